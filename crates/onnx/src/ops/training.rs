//! Gradients, and one step of an optimizer: new values of tensors from their gradients. Learning rates are computed in f64.

use super::Entry;
use super::activation::scalar_operand;
use crate::import::{Call, Fault, Outcome};
use ::ops::Builder;
use ::ops::gradient::{gradients, replayed};
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use std::collections::BTreeMap;

pub const DOMAIN: &str = "ai.onnx.preview.training";

pub const OPS: &[Entry] =
    &[Entry("Adagrad", 1, adagrad), Entry("Adam", 1, adam), Entry("Momentum", 1, momentum), Entry("Gradient", 1, gradient)];

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// What an optimizer is given: the learning rate and the number of steps before this one, as f64 scalars, and for each tensor that it
/// changes the tensor, its gradient, and `N - 2` states.
struct Optimized<const N: usize> {
    rate: ValueId,
    steps: ValueId,
    tensors: Vec<[ValueId; N]>,
}

/// Operands are all tensors, then all gradients, and so on.
fn optimized<const N: usize>(call: &mut Call) -> Result<Optimized<N>> {
    let count = call.operand_count().saturating_sub(2);
    if count == 0 || !count.is_multiple_of(N) {
        let message = format!("{} has {count} operands behind `R` and `T`, not {N} for each tensor", call.node.op_type);
        return Err(call.error(Code::Malformed, message));
    }
    let [rate, steps] = [number(call, 0)?, number(call, 1)?];
    let each = count / N;
    let tensors = (0..each).map(|at| tensors(call, at, each)).collect::<Result<_>>()?;
    Ok(Optimized { rate, steps, tensors })
}

fn number(call: &mut Call, at: usize) -> Result<ValueId> {
    call.term(at)?;
    match scalar_operand(call, at)? {
        Some(value) => call.b().convert(value, DType::F64),
        None => Err(call.error(Code::Malformed, format!("operand {at} is missing"))),
    }
}

/// A tensor with what belongs to it: all of one type.
fn tensors<const N: usize>(call: &mut Call, first: usize, each: usize) -> Result<[ValueId; N]> {
    let places: [usize; N] = std::array::from_fn(|kind| 2 + kind * each + first);
    let ty = call.ty(places[0])?.clone();
    if !matches!(ty.dtype, DType::F32 | DType::F64) {
        return Err(call.error(Code::Type, format!("{} of {}", call.node.op_type, ty.dtype)));
    }
    let mut values = [ValueId(0); N];
    for (value, place) in values.iter_mut().zip(places) {
        let own = call.ty(place)?.clone();
        if own.dtype != ty.dtype || own.rank() != ty.rank() {
            return Err(call.error(Code::Type, format!("operand {place} is {own}, not {ty}")));
        }
        call.equal_dims(&format!("operand {place}"), &ty.dims, &own.dims)?;
        let x = call.value(place)?;
        *value = call.b().reshape(x, &ty.dims)?;
    }
    Ok(values)
}

fn required(call: &Call, name: &'static str) -> Result<f64> {
    let value = call.float(name)?.ok_or_else(|| call.attribute_error(format!("attribute `{name}` is missing")))?;
    Ok(value.into())
}

/// Results are all tensors, then all states of each kind.
fn results<const N: usize>(all: Vec<[ValueId; N]>) -> Outcome {
    Ok((0..N).flat_map(|kind| all.iter().map(move |own| own[kind].into())).collect())
}

/// `a*x + b*y`
fn combined(b: &mut Builder, (first, x): (f64, ValueId), (second, y): (f64, ValueId)) -> Result<ValueId> {
    let x = b.map_number(Func::Mul, x, first)?;
    let y = b.map_number(Func::Mul, y, second)?;
    b.map(Func::Add, &[x, y])
}

/// The gradient, with that of half of the factor times the sum of squares.
fn regularized(b: &mut Builder, factor: f64, x: ValueId, gradient: ValueId) -> Result<ValueId> {
    combined(b, (factor, x), (1.0, gradient))
}

/// `x - rate*direction`, where the rate is a scalar of any float type.
fn moved(b: &mut Builder, x: ValueId, rate: ValueId, direction: ValueId) -> Result<ValueId> {
    let rate = b.convert(rate, b.dtype(x))?;
    let step = b.map_broadcast(Func::Mul, &[rate, direction])?;
    b.map_broadcast(Func::Sub, &[x, step])
}

/// `sqrt(x) + epsilon`
fn root(b: &mut Builder, x: ValueId, epsilon: f64) -> Result<ValueId> {
    let root = b.map(Func::Sqrt, &[x])?;
    b.map_number(Func::Add, root, epsilon)
}

fn adagrad(call: &mut Call) -> Outcome {
    let (decay, epsilon) = (call.float_or("decay_factor", 0.0)?, call.float_or("epsilon", 1e-6)?);
    let norm = call.float_or("norm_coefficient", 0.0)?;
    let Optimized { rate, steps, tensors } = optimized::<3>(call)?;
    let b = call.b();
    let slowed = b.map_number(Func::Mul, steps, decay)?;
    let slowed = b.map_number(Func::Add, slowed, 1.0)?;
    let rate = b.map(Func::Div, &[rate, slowed])?;
    let mut all = Vec::new();
    for [x, gradient, squares] in tensors {
        let gradient = regularized(b, norm, x, gradient)?;
        let square = b.map(Func::Mul, &[gradient, gradient])?;
        let squares = b.map(Func::Add, &[squares, square])?;
        let root = root(b, squares, epsilon)?;
        let direction = b.map(Func::Div, &[gradient, root])?;
        all.push([moved(b, x, rate, direction)?, squares]);
    }
    results(all)
}

fn adam(call: &mut Call) -> Outcome {
    let (alpha, beta) = (call.float_or("alpha", 0.9)?, call.float_or("beta", 0.999)?);
    let (epsilon, norm) = (call.float_or("epsilon", 1e-6)?, call.float_or("norm_coefficient", 0.0)?);
    let after = call.float_or("norm_coefficient_post", 0.0)?;
    let Optimized { rate, steps, tensors } = optimized::<4>(call)?;
    let b = call.b();
    let rate = corrected_rate(b, rate, steps, [alpha, beta])?;
    let mut all = Vec::new();
    for [x, gradient, mean, square] in tensors {
        let gradient = regularized(b, norm, x, gradient)?;
        let mean = combined(b, (alpha, mean), (1.0 - alpha, gradient))?;
        let own = b.map(Func::Mul, &[gradient, gradient])?;
        let square = combined(b, (beta, square), (1.0 - beta, own))?;
        let root = root(b, square, epsilon)?;
        let direction = b.map(Func::Div, &[mean, root])?;
        let x = moved(b, x, rate, direction)?;
        all.push([b.map_number(Func::Mul, x, 1.0 - after)?, mean, square]);
    }
    results(all)
}

/// `steps > 0 ? rate * sqrt(1 - beta^steps) / (1 - alpha^steps) : rate`, in f64, where the differences keep their digits.
fn corrected_rate(b: &mut Builder, rate: ValueId, steps: ValueId, factors: [f64; 2]) -> Result<ValueId> {
    let one = b.number(DType::F64, 1.0);
    let mut missing = |factor: f64| {
        let factor = b.number(DType::F64, factor);
        let power = b.map(Func::Pow, &[factor, steps])?;
        b.map(Func::Sub, &[one, power])
    };
    let [mean, square] = factors.map(&mut missing);
    let (mean, square) = (mean?, square?);
    let square = b.map(Func::Sqrt, &[square])?;
    let corrected = b.map(Func::Mul, &[rate, square])?;
    let corrected = b.map(Func::Div, &[corrected, mean])?;
    let later = b.map_number(Func::Greater, steps, 0.0)?;
    b.map(Func::Select, &[later, corrected, rate])
}

/// Nesterov's form goes on along the new momentum.
fn momentum(call: &mut Call) -> Outcome {
    let (alpha, beta, norm) = (required(call, "alpha")?, required(call, "beta")?, required(call, "norm_coefficient")?);
    let looks_ahead = match call.text("mode")? {
        Some("standard") => false,
        Some("nesterov") => true,
        other => return Err(call.attribute_error(format!("attribute `mode` is {other:?}, not standard or nesterov")).into()),
    };
    let Optimized { rate, steps, tensors } = optimized::<3>(call)?;
    let b = call.b();
    let later = b.map_number(Func::Greater, steps, 0.0)?;
    let (first, others) = (b.number(DType::F64, 1.0), b.number(DType::F64, beta));
    let share = b.map(Func::Select, &[later, others, first])?;
    let mut all = Vec::new();
    for [x, gradient, momentum] in tensors {
        let gradient = regularized(b, norm, x, gradient)?;
        let share = b.convert(share, b.dtype(x))?;
        let new = b.map_broadcast(Func::Mul, &[gradient, share])?;
        let momentum = combined(b, (alpha, momentum), (1.0, new))?;
        let direction = if looks_ahead { combined(b, (1.0, gradient), (alpha, momentum))? } else { momentum };
        all.push([moved(b, x, rate, direction)?, momentum]);
    }
    results(all)
}

/// The derivatives of a value that the model has computed by others that it has, which are named; for other values, where these are given.
fn gradient(call: &mut Call) -> Outcome {
    let xs = call.texts("xs")?.ok_or_else(|| call.attribute_error("attribute `xs` is missing"))?;
    let y = call.text("y")?.ok_or_else(|| call.attribute_error("attribute `y` is missing"))?;
    let names = [&xs[..], &call.texts("zs")?.unwrap_or_default()].concat();
    if names.len() != call.operand_count() {
        return Err(call
            .error(Code::Malformed, format!("Gradient has {} operands for {} names", call.operand_count(), names.len()))
            .into());
    }
    if call.cx.is_region() {
        return Err(call.unsupported("in the body of a loop or branch").into());
    }
    let y = named(call, y, true)?;
    let (mut points, mut others) = (Vec::new(), BTreeMap::new());
    for (at, name) in names.iter().enumerate() {
        let known = named(call, name, at < xs.len())?;
        let given = call.value(at)?;
        let [known_type, given_type] = [known, given].map(|id| call.b().ty(id).clone());
        if known_type != given_type {
            return Err(call.error(Code::Type, format!("`{name}` is {known_type}, operand {at} {given_type}")).into());
        }
        if known != given {
            others.insert(known, given);
        }
        points.push(given);
    }
    points.truncate(xs.len());
    let y = if others.is_empty() { y } else { replayed(call.b(), y, &others)? };
    Ok(gradients(call.b(), y, &points)?.into_iter().map(Into::into).collect())
}

/// A value by its name. What the model holds may have shaped the graph, so that nothing can be differentiated by it.
fn named(call: &mut Call, name: &str, differentiable: bool) -> Result<ValueId, Fault> {
    let location = call.b().location.clone();
    let term = call.cx.defined(name, &location).ok_or(Fault::Poisoned)?;
    if differentiable && call.cx.constant(term).is_some() {
        return Err(call.unsupported(format!("`{name}` is a constant")).into());
    }
    let value = call.cx.emit(term)?;
    let dtype = call.b().dtype(value);
    match differentiable && !dtype.is_float() {
        true => Err(call.error(Code::Type, format!("`{name}` is {dtype}")).into()),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    const INPUTS: &str = "r: f32[] t: i64[] x: f32[2] g: f32[2] v: f32[2] h: f32[2]";

    fn operands(steps: i64) -> [String; 6] {
        let vectors = ["f32[2] 1 2", "f32[2] 0.5 -1", "f32[2] 0 2", "f32[2] 0.25 0"];
        let scalars = ["f32[] 0.5".to_string(), format!("i64[] {steps}")];
        let [x, g, v, h] = vectors.map(String::from);
        let [r, t] = scalars;
        [r, t, x, g, v, h]
    }

    #[track_caller]
    fn checked(node: &str, steps: i64, want: &[&str]) {
        let operands = operands(steps);
        check(&format!("{INPUTS} {node}"), &operands.each_ref().map(String::as_str), want);
    }

    #[test]
    fn steps_of_each_optimizer() {
        let adagrad = "a, b = ai.onnx.preview.training.Adagrad {decay_factor = 1.0, epsilon = 0.25} (r, t, x, g, h) => a, b";
        // rate 0.25; roots 0.7071 and 1
        checked(adagrad, 1, &["f32[2] 0.8694 2.2", "f32[2] 0.5 1"]);
        let momentum = |mode: &str| {
            format!(
                "a, b = ai.onnx.preview.training.Momentum {{alpha = 0.5, beta = 0.5, mode = \"{mode}\", norm_coefficient = 1.0}} (r, t, x, g, v) => a, b"
            )
        };
        // gradients 1.5 and 1
        checked(&momentum("standard"), 0, &["f32[2] 0.25 1", "f32[2] 1.5 2"]);
        checked(&momentum("standard"), 1, &["f32[2] 0.625 1.25", "f32[2] 0.75 1.5"]);
        checked(&momentum("nesterov"), 1, &["f32[2] 0.0625 1.125", "f32[2] 0.75 1.5"]);
        let adam = "a, b, c = ai.onnx.preview.training.Adam {alpha = 0.5, beta = 0.75, epsilon = 0.0, norm_coefficient_post = 0.5} (r, t, x, g, v, h)
            => a, b, c";
        checked(adam, 0, &["f32[2] 0.375 0.75", "f32[2] 0.25 0.5", "f32[2] 0.25 0.25"]);
        checked(adam, 1, &["f32[2] 0.375 0.75", "f32[2] 0.25 0.5", "f32[2] 0.25 0.25"]);
    }

    #[test]
    fn several_tensors_share_the_rate() {
        let text = "r: f32[] t: i64[] x: f32[1] y: f64[] g: f32[1] k: f64[] v: f32[1] w: f64[]
            a, b, c, d = ai.onnx.preview.training.Momentum {alpha = 1.0, beta = 1.0, mode = \"standard\", norm_coefficient = 0.0}
                (r, t, x, y, g, k, v, w) => a, b, c, d";
        let operands = ["f32[] 0.5", "i64[] 1", "f32[1] 1", "f64[] 2", "f32[1] 4", "f64[] 8", "f32[1] 1", "f64[] 2"];
        check(text, &operands, &["f32[1] -1.5", "f64[] -3", "f32[1] 5", "f64[] 10"]);
    }

    #[test]
    fn gradients_by_names() {
        let text = |operands: &str, names: &str, more: &str| {
            format!(
                "x: f32[2] w: f32[2] v: f32[2] p = Mul(x, w) s = Tanh(p) y = ReduceSum {{keepdims = 0}} (p)
                a, b = ai.onnx.preview.training.Gradient {{xs = [{names}], {more} y = \"y\"}} ({operands}) => a, b"
            )
        };
        let inputs = ["f32[2] 1 2", "f32[2] 3 4", "f32[2] 5 6"];
        check(&text("x, w", "\"x\", \"w\"", ""), &inputs, &["f32[2] 3 4", "f32[2] 1 2"]);
        check(&text("v, w", "\"x\", \"w\"", ""), &inputs, &["f32[2] 3 4", "f32[2] 5 6"]);
        check(&text("v, s", "\"v\", \"s\"", ""), &inputs, &["f32[2] 0 0", "f32[2] 0 0"]);
        check(&text("x, p, w", "\"x\", \"p\"", "zs = [\"w\"],"), &inputs, &["f32[2] 3 4", "f32[2] 1 1"]);
        check_problems(&text("x", "\"x\", \"w\"", ""), &["[E001] Gradient#3: Gradient has 1 operands for 2 names"]);
        check_problems(
            "x: f32[2] w: f32[2] = 1 2 y = Mul(x, w) a = ai.onnx.preview.training.Gradient {xs = [\"w\"], y = \"y\"} (w) => a",
            &["[E006] Gradient#1: Gradient: `w` is a constant"],
        );
    }

    #[test]
    fn operands_that_do_not_fit() {
        let text = |inputs: &str, operands: &str| format!("{inputs} a = ai.onnx.preview.training.Adagrad({operands}) => a");
        check_problems(
            &text(INPUTS, "r, t, x, g"),
            &["[E001] Adagrad#0: Adagrad has 2 operands behind `R` and `T`, not 3 for each tensor"],
        );
        let other = INPUTS.replace("g: f32[2]", "g: f32[3]");
        check_problems(&text(&other, "r, t, x, g, h"), &["[E003] Adagrad#0: operand 3: axis 0 differs: 2 vs 3"]);
        let whole = INPUTS.replace("x: f32", "x: i32");
        check_problems(&text(&whole, "r, t, x, g, h"), &["[E004] Adagrad#0: Adagrad of i32"]);
    }
}
