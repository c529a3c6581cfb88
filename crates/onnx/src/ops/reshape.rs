//! Other dims for the same elements, and sizes as values.

use super::Entry;
use crate::import::{Call, Known, Outcome, one, sizes};
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Reshape", 5, reshape),
    Entry("Flatten", 1, flatten),
    Entry("Squeeze", 1, squeeze),
    Entry("Unsqueeze", 1, unsqueeze),
    Entry("Shape", 1, shape),
    Entry("Size", 1, size),
];

/// Operand 0 under dims of as many elements, as known integers where it is that.
fn reshaped(call: &mut Call, dims: &[Expr]) -> Outcome {
    if let Some(known) = call.known(0).and_then(|known| known.reshaped(const_dims(dims)?)) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().reshape(x, dims)?)
}

/// The dims, where all are numbers.
pub(super) fn const_dims(dims: &[Expr]) -> Option<Vec<usize>> {
    dims.iter().map(|dim| dim.as_const().and_then(|dim| usize::try_from(dim).ok())).collect()
}

/// 0 keeps a dim (without `allowzero`), -1 takes what is left. Where the rest does not divide the elements for all sizes, the quotient
/// is rounded down, and a guard checks the product.
fn reshape(call: &mut Call) -> Outcome {
    let allow_zero = call.flag_or("allowzero", false)?;
    let given = call.dims(0)?;
    let Some(wanted) = call.known(1).map(|known| known.values) else { return computed_reshape(call, &given, allow_zero) };
    let mut dims = Vec::new();
    for (axis, size) in wanted.iter().enumerate() {
        dims.push(match size.as_const() {
            Some(0) if !allow_zero => kept_dim(call, &given, axis)?,
            Some(size) if size < -1 => return Err(call.error(Code::Shape, format!("dim {axis} of the new shape is {size}")).into()),
            _ => size.clone(),
        });
    }
    let open: Vec<usize> = (0..dims.len()).filter(|axis| dims[*axis].as_const() == Some(-1)).collect();
    match open.as_slice() {
        [] => {}
        [axis] => dims[*axis] = remaining(call, &given, &dims, *axis)?,
        _ => return Err(call.error(Code::Shape, format!("the new shape {wanted:?} has two unknown dims")).into()),
    }
    reshaped(call, &dims)
}

/// The same to a shape that depends on data.
fn computed_reshape(call: &mut Call, given: &[Expr], allow_zero: bool) -> Outcome {
    let wanted = call.integers(1, "shape")?;
    let b = call.b();
    let (zero, one_more) = (b.number(DType::I64, 0.0), b.number(DType::I64, 1.0));
    let (mut sizes, mut product) = (Vec::new(), one_more);
    for (axis, wanted) in wanted.into_iter().enumerate() {
        let mut size = wanted;
        if let (Some(kept), false) = (given.get(axis), allow_zero) {
            let (kept, keeps) = (b.size(kept, DType::I64)?, b.map(Func::Equal, &[wanted, zero])?);
            size = b.map(Func::Select, &[keeps, kept, wanted])?;
        }
        let open = b.map_number(Func::Equal, wanted, -1.0)?;
        let factor = b.map(Func::Select, &[open, one_more, size])?;
        product = b.map(Func::Mul, &[product, factor])?;
        sizes.push((open, size));
    }
    let count = b.size(&Expr::product(given), DType::I64)?;
    let product = b.map(Func::Max, &[product, one_more])?;
    let rest = b.map(Func::Div, &[count, product])?;
    let sizes = sizes.into_iter().map(|(open, size)| call.b().map(Func::Select, &[open, rest, size]));
    let sizes = sizes.collect::<Result<Vec<ValueId>, Diagnostic>>()?;
    let most = Expr::from(SymbolFact::default().high);
    let dims = sizes.into_iter().map(|size| call.computed_size(size, &most)).collect::<Result<Vec<Expr>, Diagnostic>>()?;
    let x = call.value(0)?;
    one(call.b().reshape(x, &dims)?)
}

fn kept_dim(call: &Call, given: &[Expr], axis: usize) -> Result<Expr, Diagnostic> {
    let message = || format!("dim {axis} of the new shape is 0, and the operand has rank {}", given.len());
    given.get(axis).cloned().ok_or_else(|| call.error(Code::Shape, message()))
}

/// The size of the dim that is open.
fn remaining(call: &mut Call, given: &[Expr], dims: &[Expr], open: usize) -> Result<Expr, Diagnostic> {
    let others = dims.iter().enumerate().filter(|(axis, _)| *axis != open).map(|(_, dim)| dim);
    let (Some(count), Some(others)) = (sizes::product(given), sizes::product(others)) else {
        return Err(call.error(Code::Limit, format!("the new shape {dims:?} is too complicated")));
    };
    if others.is_zero() {
        return Err(call.error(Code::Shape, format!("the open dim of the new shape {dims:?} is undetermined")));
    }
    if let Some(quotient) = count.exact_div(&others) {
        return Ok(quotient);
    }
    if let (Some(count), Some(others)) = (count.as_const(), others.as_const()) {
        return Err(call.error(Code::Shape, format!("{count} elements do not fit the new shape {dims:?}, a multiple of {others}")));
    }
    call.guard(Condition::AtLeast(others.clone(), Expr::one()));
    let quotient = sizes::bounded(count.floor_div(&others));
    quotient.ok_or_else(|| call.error(Code::Limit, format!("the new shape {dims:?} is too complicated")))
}

fn flatten(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.int_or("axis", 1)?;
    let axis = if axis == dims.len() as i64 { dims.len() } else { call.normal_axis(axis, dims.len())? };
    reshaped(call, &[Expr::product(&dims[..axis]), Expr::product(&dims[axis..])])
}

/// The operand without the given axes, which have size 1.
fn squeeze(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axes = match call.axes(1, 13)? {
        Some(axes) => call.normal_axes(&axes, dims.len())?,
        None => single_axes(call, &dims),
    };
    for axis in &axes {
        match dims[*axis].as_const() {
            Some(1) => {}
            Some(size) => return Err(call.error(Code::Shape, format!("axis {axis} to squeeze has size {size}")).into()),
            None => call.guard(Condition::Equal(dims[*axis].clone(), Expr::one())),
        }
    }
    let kept: Vec<Expr> = dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim.clone()).collect();
    reshaped(call, &kept)
}

/// The axes of size 1; a size that depends on the call is taken to be larger, and guarded.
fn single_axes(call: &mut Call, dims: &[Expr]) -> Vec<usize> {
    for dim in dims.iter().filter(|dim| dim.as_const().is_none()) {
        call.guard(Condition::AtLeast(dim.clone(), Expr::from(2)));
    }
    (0..dims.len()).filter(|axis| dims[*axis].is_one()).collect()
}

/// Axes count in the result.
fn unsqueeze(call: &mut Call) -> Outcome {
    let given = call.dims(0)?;
    let axes = call.axes(1, 13)?.ok_or_else(|| call.attribute_error("`axes` is missing"))?;
    let rank = given.len() + axes.len();
    let axes = call.normal_axes(&axes, rank)?;
    let mut given = given.into_iter();
    let dim = |axis: usize| if axes.contains(&axis) { Some(Expr::one()) } else { given.next() };
    let dims: Vec<Expr> = (0..rank).filter_map(dim).collect();
    reshaped(call, &dims)
}

/// The dims from `start` to `end`; both count from the end where negative, and are clamped.
fn shape(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let rank = dims.len() as i64;
    let clamped = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = match call.opset < 15 {
        true => (0, dims.len()),
        false => (clamped(call.int_or("start", 0)?), clamped(call.int_or("end", rank)?)),
    };
    one(Known::vector(DType::I64, dims.get(start..end).unwrap_or_default().to_vec()))
}

fn size(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let count = sizes::product(&dims).ok_or_else(|| call.error(Code::Limit, "the number of elements is too complicated"))?;
    one(Known::scalar(DType::I64, count))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn zero_keeps_and_minus_one_takes_the_rest() {
        check_types("x: f32[n, 3, 8] s: i64[3] = 0 -1 4 y = Reshape(x, s) => y", &["f32[n, 6, 4]"]);
        check_types("x: f32[n, 3] s: i64[2] = -1 2 y = Reshape(x, s) => y", &["f32[n + (n)/(2), 2]", "3*n == 2*n + 2*((n)/(2))"]);
        check_types("x: f32[n, 0] s: i64[2] = 0 5 y = Reshape {allowzero = 1} (x, s) => y", &["f32[0, 5]", "n*x_1 == 0"]);
    }

    #[test]
    fn shapes_that_do_not_fit() {
        let problem = |shape: &str, message: &str| {
            check_problems(&format!("x: f32[2, 3] s: i64{shape} y = Reshape(x, s) => y"), &[&format!("[E003] Reshape#0: {message}")]);
        };
        problem("[2] = 4 -1", "6 elements do not fit the new shape [4, -1], a multiple of 4");
        problem("[2] = -1 -1", "the new shape [-1, -1] has two unknown dims");
        problem("[1] = 7", "number of elements differs: 6 vs 7");
        problem("[3] = 2 3 0", "dim 2 of the new shape is 0, and the operand has rank 2");
        let huge = "[E006] Reshape#0: Reshape: `shape` is i64[n], computed from data, and not known before a call";
        check_problems("x: f32[2] s: i64[n] y = Reshape(x, s) => y", &[huge]);
    }

    #[test]
    fn data_shapes() {
        let text = "x: f32[2, n] s: i64[3] y = Reshape(x, s) => y";
        let x = "f32[2, 3] 1 2 3 4 5 6";
        check(text, &[x, "i64[3] 3 1 2"], &["f32[3, 1, 2] 1 2 3 4 5 6"]);
        check(text, &[x, "i64[3] 0 -1 1"], &["f32[2, 3, 1] 1 2 3 4 5 6"]);
        check(text, &["f32[2, 0]", "i64[3] 0 0 5"], &["f32[2, 0, 5]"]);
    }

    #[test]
    fn axes_of_size_1_come_and_go() {
        check_types("x: f32[n, 1, 3] y = Squeeze(x) => y", &["f32[n, 3]", "n >= 2"]);
        check_types("opset 11 x: f32[n, m] y = Squeeze {axes = [-1]} (x) => y", &["f32[n]", "m == 1", "m*n == n"]);
        check_types("x: f32[n] a: i64[2] = -1 0 y = Unsqueeze(x, a) => y", &["f32[1, n, 1]"]);
        check_problems("x: f32[2, 3] a: i64[1] = 0 y = Squeeze(x, a) => y", &["[E003] Squeeze#0: axis 0 to squeeze has size 2"]);
        check_types("x: f32[n, 2, 3] y = Flatten {axis = -1} (x) z = Flatten {axis = 0} (x) => y, z", &["f32[2*n, 3]", "f32[1, 6*n]"]);
    }

    #[test]
    fn sizes_are_values() {
        check("x: f32[n, 2, 3] s = Shape {start = -2} (x) c = Size(x) => s, c", &["f32[1, 2, 3] 0 0 0 0 0 0"], &["i64[2] 2 3", "i64[] 6"]);
    }
}
