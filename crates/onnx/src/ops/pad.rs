//! Padding.

use super::Entry;
use super::activation::scalar_operand;
use crate::import::{Call, Outcome, one, sizes};
use ir::guard::Condition;
use ir::{Code, Diagnostic, Literal, ValueId};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Pad", 2, pad_attributes), Entry("Pad", 11, pad_operands), Entry("CenterCropPad", 18, center)];

/// Puts one number around the spatial axes.
pub(super) fn pad_spatial(call: &mut Call, x: ValueId, value: Literal, low: &[Expr], high: &[Expr]) -> Result<ValueId, Diagnostic> {
    let dtype = call.b().dtype(x);
    let value = if dtype.is_float() { Literal::Float(value.as_f64()) } else { value };
    let value = call.b().scalar(dtype, value);
    let outer = [Expr::zero(), Expr::zero()];
    call.b().pad(x, value, &[&outer, low].concat(), &[&outer, high].concat())
}

/// What stands in the border.
enum Border {
    /// A scalar.
    Value(ValueId),
    /// The tensor's own elements, by a mode of `extend`.
    Own(&'static str),
}

fn own_elements(call: &Call) -> Result<Option<Border>, Diagnostic> {
    match call.text("mode")?.unwrap_or("constant") {
        "constant" => Ok(None),
        "reflect" => Ok(Some(Border::Own("reflect"))),
        "edge" => Ok(Some(Border::Own("edge"))),
        "wrap" if call.opset >= 19 => Ok(Some(Border::Own("wrap"))),
        mode => Err(call.attribute_error(format!("attribute `mode` is `{mode}`"))),
    }
}

fn pad_attributes(call: &mut Call) -> Outcome {
    let pads = call.ints("pads")?.ok_or_else(|| call.attribute_error("attribute `pads` is missing"))?;
    let value = call.float_or("value", 0.0)?;
    let dtype = call.dtype(0)?;
    let border = match own_elements(call)? {
        Some(own) => own,
        None => Border::Value(call.b().number(dtype, value)),
    };
    let pads: Vec<Expr> = pads.into_iter().map(Expr::from).collect();
    pad(call, &pads, None, border)
}

fn pad_operands(call: &mut Call) -> Outcome {
    let pads = call.sizes(1, "pads")?;
    let axes = call.optional(3).map(|_| call.numbers(3, "axes")).transpose()?;
    let dtype = call.dtype(0)?;
    let value = scalar_operand(call, 2)?;
    let border = match own_elements(call)? {
        Some(own) => own,
        None => Border::Value(value.unwrap_or_else(|| call.b().number(dtype, 0.0))),
    };
    pad(call, &pads, axes, border)
}

/// `pads` has the sizes before all axes, then those behind them. Negative ones cut.
fn pad(call: &mut Call, pads: &[Expr], axes: Option<Vec<i64>>, border: Border) -> Outcome {
    let dims = call.dims(0)?;
    let axes = axes.unwrap_or_else(|| (0..dims.len() as i64).collect());
    let axes = call.normal_axes(&axes, dims.len())?;
    if pads.len() != 2 * axes.len() {
        return Err(call.attribute_error(format!("{} sizes of padding for {} axes", pads.len(), axes.len())).into());
    }
    let (mut low, mut high) = (vec![Expr::zero(); dims.len()], vec![Expr::zero(); dims.len()]);
    for (at, axis) in axes.iter().enumerate() {
        (low[*axis], high[*axis]) = (pads[at].clone(), pads[axes.len() + at].clone());
    }
    let x = call.value(0)?;
    let x = cut(call, x, &low, &high)?;
    let added = |pads: Vec<Expr>| pads.into_iter().map(|pad| if is_cut(&pad) { Expr::zero() } else { pad }).collect::<Vec<Expr>>();
    let (low, high) = (added(low), added(high));
    one(match border {
        Border::Value(value) => call.b().pad(x, value, &low, &high)?,
        Border::Own(mode) => call.b().extend(x, mode, &low, &high)?,
    })
}

fn is_cut(pad: &Expr) -> bool {
    sizes::is_nonnegative(pad) == Some(false)
}

/// Without what negative padding takes away.
fn cut(call: &mut Call, x: ValueId, low: &[Expr], high: &[Expr]) -> Result<ValueId, Diagnostic> {
    let removed = |pads: &[Expr]| pads.iter().map(|pad| if is_cut(pad) { -pad } else { Expr::zero() }).collect::<Vec<Expr>>();
    let (starts, ends) = (removed(low), removed(high));
    if starts.iter().chain(&ends).all(Expr::is_zero) {
        return Ok(x);
    }
    let dims = call.b().dims(x).to_vec();
    let sizes: Vec<Expr> = dims.iter().zip(&starts).zip(&ends).map(|((dim, start), end)| &(dim - start) - end).collect();
    for size in &sizes {
        if sizes::is_nonnegative(size).is_none() {
            call.guard(ir::guard::Condition::AtLeast(size.clone(), Expr::zero()));
        }
    }
    let steps = vec![1; dims.len()];
    call.b().slice(x, &starts, &sizes, &steps)
}

/// Some axes at other sizes: their middle, or themselves with zeros around.
fn center(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axes = call.ints("axes")?.unwrap_or_else(|| (0..dims.len() as i64).collect());
    let axes = call.normal_axes(&axes, dims.len())?;
    let wanted = call.sizes(1, "shape")?;
    if wanted.len() != axes.len() {
        return Err(call.error(Code::Shape, format!("{} sizes for {} axes", wanted.len(), axes.len())).into());
    }
    let zeros = vec![Expr::zero(); dims.len()];
    let (mut starts, mut kept, mut low, mut high) = (zeros.clone(), dims.clone(), zeros.clone(), zeros);
    for (axis, size) in axes.into_iter().zip(wanted) {
        if sizes::is_nonnegative(&size) == Some(false) {
            return Err(call.error(Code::Shape, format!("axis {axis} is to have the size {size}")).into());
        }
        call.guard(Condition::AtLeast(size.clone(), Expr::zero()));
        kept[axis] = sizes::minimum(&dims[axis], &size);
        starts[axis] = (&dims[axis] - &kept[axis]).floor_div(&Expr::from(2));
        low[axis] = (&size - &kept[axis]).floor_div(&Expr::from(2));
        high[axis] = &(&size - &kept[axis]) - &low[axis];
    }
    let x = call.value(0)?;
    let b = call.b();
    let middle = b.slice(x, &starts, &kept, &vec![1; dims.len()])?;
    let zero = b.number(b.dtype(x), 0.0);
    one(b.pad(middle, zero, &low, &high)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn middles() {
        let text = "x: f32[n, 3] s: i64[2] = 2 5 y = CenterCropPad(x, s) => y";
        check(text, &["f32[3, 3] 1 2 3 4 5 6 7 8 9"], &["f32[2, 5] 0 1 2 3 0 0 4 5 6 0"]);
        check(text, &["f32[1, 3] 1 2 3"], &["f32[2, 5] 0 1 2 3 0 0 0 0 0 0"]);
        check("x: i32[4, n] s: i32[1] = 1 y = CenterCropPad {axes = [0]} (x, s) => y", &["i32[4, 1] 1 2 3 4"], &["i32[1, 1] 2"]);
    }

    #[test]
    fn borders() {
        check("x: f32[2] p: i64[2] = 1 2 v: f32[] = 9 y = Pad(x, p, v) => y", &["f32[2] 1 2"], &["f32[5] 9 1 2 9 9"]);
        check("opset 10 x: f32[2] y = Pad {pads = [1, -1], value = 3.0} (x) => y", &["f32[2] 1 2"], &["f32[2] 3 1"]);
        check("x: i32[1, 2] p: i64[2] = 0 1 a: i64[1] = -1 y = Pad(x, p, _, a) => y", &["i32[1, 2] 1 2"], &["i32[1, 3] 1 2 0"]);
    }

    #[test]
    fn borders_of_own_elements() {
        let text = |mode: &str| format!("x: f32[n] p: i64[2] = 2 1 y = Pad {{mode = \"{mode}\"}} (x, p) => y");
        check(&text("edge"), &["f32[3] 1 2 3"], &["f32[6] 1 1 1 2 3 3"]);
        check(&text("reflect"), &["f32[3] 1 2 3"], &["f32[6] 3 2 1 2 3 2"]);
        check(&text("wrap"), &["f32[3] 1 2 3"], &["f32[6] 2 3 1 2 3 1"]);
        check("opset 2 x: f32[3] y = Pad {mode = \"reflect\", pads = [-1, 1]} (x) => y", &["f32[3] 1 2 3"], &["f32[3] 2 3 2"]);
        check_types(&text("reflect"), &["f32[n + 3]", "n >= 3", "n >= 2"]);
        check_problems(&format!("opset 18 {}", text("wrap")), &["[E005] Pad#0: attribute `mode` is `wrap`"]);
    }
}
