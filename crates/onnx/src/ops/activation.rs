//! Activation functions.

use super::Entry;
use super::elementwise::{aligned_at, unary};
use crate::import::{Call, Outcome, one};
use ir::{DType, Diagnostic, Literal, Tensor, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Relu", 6, relu),
    Entry("LeakyRelu", 6, leaky_relu),
    Entry("PRelu", 1, prelu),
    Entry("Clip", 6, clip_attributes),
    Entry("Clip", 11, clip_operands),
    Entry("Sigmoid", 6, |call| unary(call, Func::Sigmoid)),
    Entry("Tanh", 6, |call| unary(call, Func::Tanh)),
    Entry("HardSigmoid", 6, hard_sigmoid),
    Entry("HardSwish", 14, hard_swish),
    Entry("Gelu", 20, gelu),
];

fn relu(call: &mut Call) -> Outcome {
    let x = call.value(0)?;
    one(call.b().map_number(Func::Max, x, 0.0)?)
}

/// `x` where it is at least 0, else `slope * x`.
fn sloped(call: &mut Call, x: ValueId, slope: ValueId) -> Result<ValueId, Diagnostic> {
    let dtype = call.b().dtype(x);
    let b = call.b();
    let zero = b.number(dtype, 0.0);
    let scaled = b.map_broadcast(Func::Mul, &[x, slope])?;
    let negative = b.map_broadcast(Func::Less, &[x, zero])?;
    b.map_broadcast(Func::Select, &[negative, scaled, x])
}

fn leaky_relu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 0.01)?;
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let slope = call.b().number(dtype, alpha);
    one(sloped(call, x, slope)?)
}

/// The slope broadcasts to x; before opset 7, several are those of the channels.
fn prelu(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let (x, mut slope) = (call.value(0)?, call.value(1)?);
    let channels = |dims: &[Expr]| matches!(dims, [count] if !count.is_one());
    if call.opset < 7 && dims.len() > 1 && channels(call.b().dims(slope)) {
        slope = aligned_at(call, slope, 1, dims.len())?;
    }
    let slope = call.b().broadcast(slope, &dims)?;
    one(sloped(call, x, slope)?)
}

fn clip_attributes(call: &mut Call) -> Outcome {
    let (low, high) = (call.float("min")?, call.float("max")?);
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let low = low.map(|low| call.b().number(dtype, low as f64));
    let high = high.map(|high| call.b().number(dtype, high as f64));
    clip(call, x, low, high)
}

fn clip_operands(call: &mut Call) -> Outcome {
    let x = call.value(0)?;
    let (low, high) = (scalar_operand(call, 1)?, scalar_operand(call, 2)?);
    clip(call, x, low, high)
}

/// An operand of one element, of rank 0.
pub(super) fn scalar_operand(call: &mut Call, at: usize) -> Result<Option<ValueId>, Diagnostic> {
    if call.optional(at).is_none() {
        return Ok(None);
    }
    if let Some(literal) = call.constant(at) {
        let dtype = call.dtype(at)?;
        return Ok(Some(call.b().scalar(dtype, literal)));
    }
    let value = call.value(at)?;
    call.b().reshape(value, &[]).map(Some)
}

/// A bound that is left out is the least or the largest number of the type, so infinities are clipped.
fn clip(call: &mut Call, x: ValueId, low: Option<ValueId>, high: Option<ValueId>) -> Outcome {
    let b = call.b();
    let dtype = b.dtype(x);
    let (low, high) = match dtype.is_float() {
        true => (low.or_else(|| Some(b.number(dtype, -dtype.largest()))), high.or_else(|| Some(b.number(dtype, dtype.largest())))),
        false => (low, high),
    };
    one(match (low, high) {
        (Some(low), Some(high)) => b.clamp(x, low, high)?,
        (Some(low), None) => b.map_broadcast(Func::Max, &[x, low])?,
        (None, Some(high)) => b.map_broadcast(Func::Min, &[x, high])?,
        (None, None) => x,
    })
}

fn hard_sigmoid(call: &mut Call) -> Outcome {
    let (alpha, beta) = (call.float_or("alpha", 0.2)?, call.float_or("beta", 0.5)?);
    let x = call.value(0)?;
    one(call.b().hard_sigmoid(x, alpha, beta)?)
}

/// `x * max(0, min(1, x/6 + 1/2))`
fn hard_swish(call: &mut Call) -> Outcome {
    let x = call.value(0)?;
    let ramp = call.b().hard_sigmoid(x, (1.0f32 / 6.0) as f64, 0.5)?;
    one(call.b().map(Func::Mul, &[x, ramp])?)
}

fn gelu(call: &mut Call) -> Outcome {
    let approximate = call.text("approximate")?.unwrap_or("none");
    let tanh = match approximate {
        "none" => false,
        "tanh" => true,
        other => return Err(call.attribute_error(format!("attribute `approximate` is `{other}`, not `none` or `tanh`")).into()),
    };
    let x = call.value(0)?;
    one(if tanh { call.b().gelu_tanh(x)? } else { call.b().gelu(x)? })
}

/// The lowest value of an element type: minus infinity for floats.
pub(super) fn lowest(dtype: DType) -> Literal {
    match dtype.int_range() {
        Some((low, _)) => Literal::Int(low),
        None => Literal::Float(f64::NEG_INFINITY),
    }
}

/// A tensor of one element.
pub(super) fn scalar_tensor(dtype: DType, value: Literal) -> Tensor {
    Tensor::from_array(&ir::Array::filled(dtype, vec![], value))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, ops_of};

    #[test]
    fn slopes() {
        check("x: f32[3] y = LeakyRelu {alpha = 0.5} (x) => y", &["f32[3] -2 0 2"], &["f32[3] -1 0 2"]);
        check("x: f32[2, 2] s: f32[2] = 2 3 y = PRelu(x, s) => y", &["f32[2, 2] -1 -1 1 1"], &["f32[2, 2] -2 -3 1 1"]);
        check("x: f32[2] y = HardSwish(x) z = HardSigmoid(x) => y, z", &["f32[2] 1 -6"], &["f32[2] 0.6667 0", "f32[2] 0.7 0"]);
    }

    #[test]
    fn bounds_are_attributes_or_operands() {
        check("opset 6 x: f32[3] y = Clip {min = 0.0} (x) => y", &["f32[3] -1 0 9"], &["f32[3] 0 0 9"]);
        for text in ["opset 6 x: f32[2] y = Clip {max = 5.0} (x) => y", "x: f32[2] h: f32[] = 5 y = Clip(x, _, h) => y"] {
            check(text, &["f32[2] -inf 9"], &["f32[2] -340282346638528860000000000000000000000 5"]);
        }
        check("x: f32[3] h: f32[1] = 6 y = Clip(x, _, h) => y", &["f32[3] -1 0 9"], &["f32[3] -1 0 6"]);
        assert_eq!(ops_of("x: f32[3] l: f32[] = 0 h: f32[] = 6 y = Clip(x, l, h) => y"), "clamp");
    }
}
