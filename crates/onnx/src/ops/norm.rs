//! Normalisations.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ::ops::Folded;
use ir::{DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("BatchNormalization", 7, batch_normalization), Entry("LayerNormalization", 17, layer_normalization)];

/// The inference form: mean and variance are given.
fn batch_normalization(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["momentum"]);
    if call.flag_or("training_mode", false)? || (1..5).any(|at| call.wants(at)) {
        return Err(call.unsupported("the training form").into());
    }
    if call.opset < 9 && !call.flag_or("spatial", true)? {
        return Err(call.unsupported("a mean and variance for each element").into());
    }
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let given = [call.value(1)?, call.value(2)?, call.value(3)?, call.value(4)?];
    let mixed = given.iter().any(|id| call.b().dtype(*id) != dtype);
    let computed = if mixed { DType::F32 } else { dtype };
    let x = call.b().convert(x, computed)?;
    let mut parameters = given;
    for parameter in &mut parameters {
        *parameter = call.b().convert(*parameter, computed)?;
    }
    let normal = call.b().batch_norm(x, parameters, epsilon)?;
    one(call.b().convert(normal, dtype)?)
}

/// Over the axes from `axis` on; scale and bias broadcast to them. The mean and the inverse of the deviation are results too.
fn layer_normalization(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let axis = call.normal_axis(call.int_or("axis", -1)?, rank)?;
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["stash_type"]);
    let normal_dims = call.dims(0)?[axis..].to_vec();
    let x = call.value(0)?;
    let (scale, bias) = (call.value(1)?, call.optional_value(2)?);
    let fits = |call: &mut Call, id: Option<ValueId>| id.is_none_or(|id| call.b().dims(id).len() <= normal_dims.len());
    let normal = if fits(call, Some(scale)) && fits(call, bias) {
        let scale = call.b().broadcast(scale, &normal_dims)?;
        let bias = match bias {
            Some(bias) => call.b().broadcast(bias, &normal_dims)?,
            None => filled(call, x, 0.0, &normal_dims)?,
        };
        call.b().layer_norm(x, scale, bias, axis, epsilon)?
    } else {
        wide_scale(call, x, scale, bias, (axis, epsilon))?
    };
    if !call.wants(1) && !call.wants(2) {
        return one(normal);
    }
    let [mean, inverse] = statistics(call, x, axis, epsilon)?;
    Ok(vec![normal.into(), mean.into(), inverse.into()])
}

/// One number in x's type, at the given dims.
fn filled(call: &mut Call, x: ValueId, value: f64, dims: &[Expr]) -> Result<ValueId, Diagnostic> {
    let dtype = call.b().dtype(x);
    let number = call.b().number(dtype, value);
    call.b().broadcast(number, dims)
}

/// Scale or bias differ along axes before `axis`: they come after the normalisation.
fn wide_scale(
    call: &mut Call,
    x: ValueId,
    scale: ValueId,
    bias: Option<ValueId>,
    (axis, epsilon): (usize, f64),
) -> Result<ValueId, Diagnostic> {
    let dims = call.b().dims(x).to_vec();
    let (ones, zeros) = (filled(call, x, 1.0, &dims[axis..])?, filled(call, x, 0.0, &dims[axis..])?);
    let normal = call.b().layer_norm(x, ones, zeros, axis, epsilon)?;
    let scale = call.b().broadcast(scale, &dims)?;
    let scaled = call.b().map(Func::Mul, &[normal, scale])?;
    let Some(bias) = bias else { return Ok(scaled) };
    let bias = call.b().broadcast(bias, &dims)?;
    call.b().map(Func::Add, &[scaled, bias])
}

/// The mean and `1/sqrt(variance + epsilon)` over the axes from `axis` on, which stay with size 1.
fn statistics(call: &mut Call, x: ValueId, axis: usize, epsilon: f64) -> Result<[ValueId; 2], Diagnostic> {
    let b = call.b();
    let axes: Vec<usize> = (axis..b.dims(x).len()).collect();
    let x = b.widened(x)?;
    let mean = b.mean(x, &axes, Folded::Kept)?;
    let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
    let square = b.map(Func::Mul, &[centred, centred])?;
    let variance = b.mean(square, &axes, Folded::Kept)?;
    let shifted = b.map_number(Func::Add, variance, epsilon)?;
    Ok([mean, b.map(Func::Rsqrt, &[shifted])?])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn batches() {
        let parameters = "s: f32[2] = 2 1 b: f32[2] = 1 0 m: f32[2] = 1 0 v: f32[2] = 4 1";
        let text = format!("x: f32[1, 2, 2] {parameters} y = BatchNormalization {{epsilon = 0.0, momentum = 0.9}} (x, s, b, m, v) => y");
        check(&text, &["f32[1, 2, 2] 1 3 5 6"], &["f32[1, 2, 2] 1 3 5 6"]);
        check_problems(
            &text.replace("momentum = 0.9", "training_mode = 1"),
            &["[E006] BatchNormalization#0: BatchNormalization: the training form"],
        );
    }

    #[test]
    fn layers() {
        check("x: f32[1, 2] s: f32[2] = 2 1 y = LayerNormalization {epsilon = 0.0} (x, s) => y", &["f32[1, 2] 1 3"], &["f32[1, 2] -2 1"]);
        let text = "x: f32[2, 2] s: f32[2, 1] = 2 1 y, m, d = LayerNormalization {epsilon = 0.0} (x, s, s) => y, m, d";
        check(text, &["f32[2, 2] 1 3 0 8"], &["f32[2, 2] 0 4 0 2", "f32[2, 1] 2 4", "f32[2, 1] 1 0.25"]);
    }
}
