//! Values from nothing: constants and sequences.

use super::Entry;
use super::activation::scalar_tensor;
use super::reshape::const_dims;
use crate::import::{Call, Known, Narrow, Out, Outcome, one, sizes};
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Constant", 1, constant), Entry("ConstantOfShape", 9, constant_of_shape), Entry("Range", 11, range)];

fn constant(call: &mut Call) -> Outcome {
    let (value, narrow) = call.tensor("value")?.unzip();
    let tensors = [
        value,
        call.float("value_float")?.map(|value| scalar_tensor(DType::F32, Literal::Float(value as f64))),
        call.floats("value_floats")?.map(float_vector),
        call.int("value_int")?.map(|value| scalar_tensor(DType::I64, Literal::Int(value))),
        call.ints("value_ints")?.map(|values| Tensor::from_array(&Array::ints(DType::I64, vec![values.len()], values))),
    ];
    if has_attribute(call, "sparse_value") {
        return Err(call.unsupported("`sparse_value`").into());
    }
    let strings = [
        call.text("value_string")?.map(|text| string_tensor(call, vec![], &[text])).transpose()?,
        call.texts("value_strings")?.map(|texts| string_tensor(call, vec![texts.len()], &texts)).transpose()?,
    ];
    let narrow = strings.iter().flatten().next().map(|_| Narrow::Text).or(narrow.flatten());
    let mut given = tensors.into_iter().chain(strings).flatten();
    match (given.next(), given.next()) {
        (Some(tensor), None) => one(Out::of(Out::Constant(tensor), narrow)),
        (None, _) => Err(call.attribute_error("attribute `value` is missing").into()),
        (Some(_), Some(_)) => Err(call.attribute_error("two attributes give the value").into()),
    }
}

/// Strings of the model, by their numbers.
pub(super) fn string_tensor(call: &Call, dims: Vec<usize>, texts: &[&str]) -> Result<Tensor, Diagnostic> {
    let numbers = texts.iter().map(|text| call.string_number(text)).collect::<Result<Vec<i64>, Diagnostic>>()?;
    Ok(Tensor::from_array(&Array::ints(DType::I64, dims, numbers)))
}

fn has_attribute(call: &Call, name: &str) -> bool {
    call.node.attribute.iter().any(|attribute| attribute.name == name)
}

fn float_vector(values: &[f32]) -> Tensor {
    Tensor::from_array(&Array::floats(DType::F32, vec![values.len()], values.iter().map(|value| *value as f64).collect()))
}

fn constant_of_shape(call: &mut Call) -> Outcome {
    let (value, narrow) = call.tensor("value")?.unwrap_or_else(|| (scalar_tensor(DType::F32, Literal::Float(0.0)), None));
    if let Some(narrow) = narrow {
        return Err(call.unsupported(format!("element type {}", narrow.name())).into());
    }
    if value.count() != 1 {
        return Err(call.attribute_error(format!("attribute `value` has {} elements, not one", value.count())).into());
    }
    let (dtype, literal) = (value.dtype(), value.to_array().get(0));
    let dims = call.computed_sizes(0, "input")?;
    if let Some(dim) = dims.iter().find(|dim| sizes::is_nonnegative(dim) == Some(false)) {
        return Err(call.error(Code::Shape, format!("the shape holds {dim}")).into());
    }
    let scalar = Known::of_tensor(&scalar_tensor(dtype, literal));
    if let Some(known) = scalar.and_then(|scalar| scalar.broadcast(&const_dims(&dims)?)) {
        return one(known);
    }
    let scalar = call.b().scalar(dtype, literal);
    one(call.b().broadcast(scalar, &dims)?)
}

/// `start, start + delta, ..` before `limit`.
fn range(call: &mut Call) -> Outcome {
    let dtype = call.dtype(0)?;
    let is_constant = (0..3).all(|at| call.constant(at).is_some());
    let known = [0, 1, 2].map(|at| call.whole(at));
    match known {
        [Some(start), Some(limit), Some(delta)] if !(dtype.is_float() && is_constant) => known_range(call, dtype, [start, limit, delta]),
        _ if dtype.is_float() && is_constant => float_range(call, dtype),
        _ => computed_range(call, dtype),
    }
}

/// The number of elements is `(limit - start) / delta`, rounded up.
fn computed_range(call: &mut Call, dtype: DType) -> Outcome {
    let ends: Vec<ValueId> = (0..3).map(|at| call.value(at)).collect::<Result<_, Diagnostic>>()?;
    let b = call.b();
    let ends = ends.into_iter().map(|end| b.reshape(end, &[])).collect::<Result<Vec<ValueId>, Diagnostic>>()?;
    let [start, limit, delta] = ends[..] else { return Err(call.error(Code::Malformed, "a range of three operands").into()) };
    let gap = b.map(Func::Sub, &[limit, start])?;
    let wide = if dtype.is_float() { DType::F64 } else { DType::I64 };
    let (gap, step) = (b.convert(gap, wide)?, b.convert(delta, wide)?);
    let (zero, one_more) = (b.number(DType::I64, 0.0), b.number(DType::I64, 1.0));
    let count = if dtype.is_float() {
        let steps = b.map(Func::Div, &[gap, step])?;
        let steps = b.map(Func::Ceil, &[steps])?;
        let steps = b.convert(steps, DType::I64)?;
        b.map(Func::Max, &[steps, zero])?
    } else {
        // both with the sign of the step
        let sign = b.map(Func::Sign, &[step])?;
        let (gap, step) = (b.map(Func::Mul, &[gap, sign])?, b.map(Func::Mul, &[step, sign])?);
        let last = b.map(Func::Sub, &[gap, one_more])?;
        let last = b.map(Func::Div, &[last, step])?;
        let count = b.map(Func::Add, &[last, one_more])?;
        let some = b.map(Func::Greater, &[gap, zero])?;
        b.map(Func::Select, &[some, count, zero])?
    };
    let count = call.computed_size(count, &Expr::from(SymbolFact::default().high))?;
    let b = call.b();
    let exact = if dtype.is_float() && dtype != DType::F64 { DType::F32 } else { dtype };
    let steps = b.iota(&[count], 0, exact)?;
    let (start, delta) = (b.convert(start, exact)?, b.convert(delta, exact)?);
    let steps = b.map_broadcast(Func::Mul, &[steps, delta])?;
    let all = b.map_broadcast(Func::Add, &[steps, start])?;
    one(b.convert(all, dtype)?)
}

fn known_range(call: &mut Call, dtype: DType, known: [Known; 3]) -> Outcome {
    let ends = known.map(|known| <[Expr; 1]>::try_from(known.values));
    let [Ok([start]), Ok([limit]), Ok([delta])] = ends else {
        return Err(call.error(Code::Shape, "`start`, `limit` and `delta` have one element each").into());
    };
    let delta = match delta.as_const() {
        Some(delta) if delta != 0 && delta != i64::MIN => delta,
        _ => return Err(call.unsupported(format!("steps of {delta}")).into()),
    };
    let gap = if delta > 0 { &limit - &start } else { &start - &limit };
    let count = match sizes::is_nonnegative(&gap) {
        Some(false) => Expr::zero(),
        Some(true) => gap.ceil_div(&Expr::from(delta.abs())),
        None => {
            call.guard(Condition::AtLeast(gap.clone(), Expr::zero()));
            gap.ceil_div(&Expr::from(delta.abs()))
        }
    };
    if let Some(count) = count.as_const().filter(|count| *count <= Known::LIMIT as i64) {
        let values = (0..count).map(|at| &start + &Expr::from(at.saturating_mul(delta))).collect();
        return one(Known::vector(dtype, values));
    }
    let steps = call.b().iota(&[count], 0, dtype)?;
    let start = call.b().size(&start, dtype)?;
    one(sequence(call, steps, start, delta as f64)?)
}

/// `start + delta * steps`
fn sequence(call: &mut Call, steps: ValueId, start: ValueId, delta: f64) -> Result<ValueId, Diagnostic> {
    let scaled = if delta == 1.0 { steps } else { call.b().map_number(Func::Mul, steps, delta)? };
    let is_zero = call.b().graph.graph().constant(start).and_then(|start| start.uniform()).is_some_and(|start| start.as_f64() == 0.0);
    if is_zero {
        return Ok(scaled);
    }
    call.b().map_broadcast(Func::Add, &[scaled, start])
}

fn float_range(call: &mut Call, dtype: DType) -> Outcome {
    let number = |at: usize, what: &str| {
        let literal = call.constant(at).map(Literal::as_f64);
        literal.ok_or_else(|| call.unsupported(format!("`{what}` of floats that is computed from data")))
    };
    let (start, limit, delta) = (number(0, "start")?, number(1, "limit")?, number(2, "delta")?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() || count >= (1i64 << 40) as f64 {
        return Err(call.error(Code::Shape, format!("a range of {count} elements")).into());
    }
    let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let steps = call.b().iota(&[Expr::from(count as i64)], 0, wide)?;
    let start = call.b().number(wide, start);
    let sequence = sequence(call, steps, start, delta)?;
    one(call.b().convert(sequence, dtype)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn constants_of_every_kind() {
        let text = "a = Constant {value_ints = [1, 2]} () b = Constant {value = f32[] 3} () c = Constant {value_float = 2.5} () d = Constant {value_int = 7} () => a, b, c, d";
        check(text, &[], &["i64[2] 1 2", "f32[] 3", "f32[] 2.5", "i64[] 7"]);
        check("a = Constant {value_string = \"a\"} () => a", &[], &["string[] [\"a\"]"]);
    }

    #[test]
    fn long_ranges_of_integers_are_exact() {
        // from 2^53 + 1 on
        let text = "h: i64[] = 4503599627370496 two: i64[] = 2 u: i64[] = 1 n: i64[] = 2000 p = Mul(h, two) a = Add(p, u) b = Add(a, n)
            r = Range(a, b, u) i: i64[] = 0 f = Gather(r, i) y = Sub(f, p) => y";
        check(text, &[], &["i64[] 1"]);
    }

    #[test]
    fn one_value_for_a_shape() {
        check_types("x: f32[n, 2] s = Shape(x) y = ConstantOfShape {value = i32[1] 7} (s) => y", &["i32[n, 2]"]);
        check("s: i64[1] = 2 y = ConstantOfShape(s) => y", &[], &["f32[2] 0 0"]);
    }

    #[test]
    fn sequences() {
        check("a: i64[] = 3 b: i64[] = 9 d: i64[] = 2 y = Range(a, b, d) => y", &[], &["i64[3] 3 5 7"]);
        check("a: f32[] = 1 b: f32[] = 0 d: f32[] = -0.5 y = Range(a, b, d) => y", &[], &["f32[2] 1 0.5"]);
        let text = "x: f32[n] z: i64[] = 0 s = Shape(x) e = Squeeze(s) o: i64[] = 1 y = Range(z, e, o) => y";
        check(text, &["f32[3] 0 0 0"], &["i64[3] 0 1 2"]);
        check_types(text, &["i64[n]"]);
        let floats = "x: f32[n] z: f32[] = 1 s = Shape(x) e = Squeeze(s) f = Cast {to = 1} (e) o: f32[] = 2 y = Range(z, f, o) => y";
        check(floats, &["f32[4] 0 0 0 0"], &["f32[2] 1 3"]);
        check_types(floats, &["f32[(n)/(2)]", "n >= 1"]);
    }

    #[test]
    fn ranges_of_data() {
        let text = |ty: &str| format!("a: {ty}[] b: {ty}[] d: {ty}[] y = Range(a, b, d) => y");
        check(&text("i64"), &["i64[] 3", "i64[] 9", "i64[] 2"], &["i64[3] 3 5 7"]);
        check(&text("i32"), &["i32[] 9", "i32[] 3", "i32[] -4"], &["i32[2] 9 5"]);
        check(&text("i32"), &["i32[] 9", "i32[] 3", "i32[] 4"], &["i32[0]"]);
        check(&text("f32"), &["f32[] 1", "f32[] 2", "f32[] 0.25"], &["f32[4] 1 1.25 1.5 1.75"]);
        check(&text("f32"), &["f32[] 2", "f32[] 1", "f32[] 0.25"], &["f32[0]"]);
    }
}
