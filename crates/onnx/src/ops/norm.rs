//! Normalisations.

use super::Entry;
use crate::import::{Call, Out, Outcome, one};
use ::ops::Folded;
use ::ops::WindowAttrs;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("BatchNormalization", 1, batch_normalization),
    Entry("LayerNormalization", 17, layer_normalization),
    Entry("RMSNormalization", 23, rms_normalization),
    Entry("InstanceNormalization", 6, instance_normalization),
    Entry("GroupNormalization", 18, group_normalization),
    Entry("MeanVarianceNormalization", 9, mean_variance_normalization),
    Entry("LpNormalization", 1, lp_normalization),
    Entry("LRN", 1, local_response_normalization),
];

/// Mean and variance are given, or from opset 14 on, where `training_mode` says so, those of the batch, which also move the given ones.
fn batch_normalization(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["consumed_inputs"]);
    let momentum = call.float_or("momentum", 0.9)?;
    let trains = call.opset < 7 && !call.flag_or("is_test", false)?;
    let of_batch = call.opset >= 14 && call.flag_or("training_mode", false)?;
    if trains || !of_batch && (1..5).any(|at| call.wants(at)) {
        return Err(call.unsupported("the training form").into());
    }
    if call.opset < 9 && !call.flag_or("spatial", true)? {
        return Err(call.unsupported("a mean and variance for each element").into());
    }
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let given = [call.value(1)?, call.value(2)?, call.value(3)?, call.value(4)?];
    let types = given.map(|id| call.b().dtype(id));
    let computed = match types.iter().all(|other| *other == dtype) {
        true => dtype,
        false if types.contains(&DType::F64) || dtype == DType::F64 => DType::F64,
        false => DType::F32,
    };
    let x = call.b().convert(x, computed)?;
    let mut parameters = given;
    for parameter in &mut parameters {
        *parameter = call.b().convert(*parameter, computed)?;
    }
    let mut moved = vec![];
    if of_batch {
        let [mean, variance] = batch_statistics(call, x)?;
        for ((batch, given), ty) in [(mean, parameters[2]), (variance, parameters[3])].into_iter().zip(&types[2..]) {
            let kept = call.b().map_number(Func::Mul, given, momentum)?;
            let share = call.b().map_number(Func::Mul, batch, 1.0 - momentum)?;
            let running = call.b().map(Func::Add, &[kept, share])?;
            moved.push(Out::from(call.b().convert(running, *ty)?));
        }
        parameters = [parameters[0], parameters[1], mean, variance];
    }
    let normal = call.b().batch_norm(x, parameters, epsilon)?;
    let normal = call.b().convert(normal, dtype)?;
    Ok(std::iter::once(normal.into()).chain(moved).collect())
}

/// Mean and variance of each channel, over all but axis 1.
fn batch_statistics(call: &mut Call, x: ValueId) -> Result<[ValueId; 2], Diagnostic> {
    let rank = call.b().dims(x).len();
    let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
    let b = call.b();
    let mean = b.mean(x, &axes, Folded::Kept)?;
    let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
    let square = b.map(Func::Mul, &[centred, centred])?;
    let [mean, variance] = [b.mean(x, &axes, Folded::Dropped)?, b.mean(square, &axes, Folded::Dropped)?];
    Ok([mean, variance])
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
    let normal = plain_norm(call, x, axis, epsilon)?;
    let scale = call.b().broadcast(scale, &dims)?;
    let scaled = call.b().map(Func::Mul, &[normal, scale])?;
    let Some(bias) = bias else { return Ok(scaled) };
    let bias = call.b().broadcast(bias, &dims)?;
    call.b().map(Func::Add, &[scaled, bias])
}

/// The normalised elements of x over the axes from `axis` on, without scale and bias.
fn plain_norm(call: &mut Call, x: ValueId, axis: usize, epsilon: f64) -> Result<ValueId, Diagnostic> {
    let dims = call.b().dims(x)[axis..].to_vec();
    let (ones, zeros) = (filled(call, x, 1.0, &dims)?, filled(call, x, 0.0, &dims)?);
    call.b().layer_norm(x, ones, zeros, axis, epsilon)
}

/// `x * scale + bias`, with a scale and a bias for each entry of axis 1.
fn scaled_by_channel(call: &mut Call, x: ValueId, scale: ValueId, bias: ValueId) -> Result<ValueId, Diagnostic> {
    let behind: Vec<usize> = (1..call.b().dims(x).len() - 1).collect();
    let scale = call.b().unsqueeze(scale, &behind)?;
    let bias = call.b().unsqueeze(bias, &behind)?;
    let scaled = call.b().map_broadcast(Func::Mul, &[x, scale])?;
    call.b().map_broadcast(Func::Add, &[scaled, bias])
}

/// The dims of an operand with batch, channels and more.
fn channel_dims(call: &Call) -> Result<Vec<Expr>, Diagnostic> {
    let dims = call.dims(0)?;
    match dims.len() {
        0..=2 => Err(call.error(Code::Shape, format!("{} has no axes behind its channels", call.ty(0)?))),
        _ => Ok(dims),
    }
}

/// A vector with an entry for each of `count`.
fn check_vector(call: &mut Call, at: usize, count: &Expr) -> Result<(), Diagnostic> {
    match call.dims(at)?.as_slice() {
        [size] => {
            call.guard(Condition::Equal(size.clone(), count.clone()));
            Ok(())
        }
        _ => Err(call.error(Code::Shape, format!("operand {at} is {}, no vector", call.ty(at)?))),
    }
}

/// Each channel of each batch entry by itself.
fn instance_normalization(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-5)?;
    let dims = channel_dims(call)?;
    check_vector(call, 1, &dims[1])?;
    check_vector(call, 2, &dims[1])?;
    let (x, scale, bias) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let normal = plain_norm(call, x, 2, epsilon)?;
    one(scaled_by_channel(call, normal, scale, bias)?)
}

/// Groups of channels; scale and bias are by group before opset 21, by channel from it on.
fn group_normalization(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["stash_type"]);
    let groups = call.int("num_groups")?.filter(|groups| *groups >= 1);
    let groups = Expr::from(groups.ok_or_else(|| call.attribute_error("attribute `num_groups` is missing or not positive"))?);
    let dims = channel_dims(call)?;
    let channels = dims[1].floor_div(&groups);
    call.guard(Condition::Equal(&channels * &groups, dims[1].clone()));
    let by_group = call.opset < 21;
    let count = if by_group { &groups } else { &dims[1] };
    check_vector(call, 1, count)?;
    check_vector(call, 2, count)?;
    let (x, scale, bias) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let apart = [&[dims[0].clone(), groups.clone(), channels], &dims[2..]].concat();
    let x = call.b().reshape(x, &apart)?;
    let normal = plain_norm(call, x, 2, epsilon)?;
    if by_group {
        let scaled = scaled_by_channel(call, normal, scale, bias)?;
        return one(call.b().reshape(scaled, &dims)?);
    }
    let normal = call.b().reshape(normal, &dims)?;
    one(scaled_by_channel(call, normal, scale, bias)?)
}

/// `x / sqrt(mean of squares + epsilon)` over the axes from `axis` on, in x's type; then the scale, which gives its type to the result.
fn rms_normalization(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", -1)?, dims.len())?;
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["stash_type"]);
    let axes: Vec<usize> = (axis..dims.len()).collect();
    let (x, scale, dtype, result) = (call.value(0)?, call.value(1)?, call.dtype(0)?, call.dtype(1)?);
    let b = call.b();
    let x = b.widened(x)?;
    let square = b.map(Func::Mul, &[x, x])?;
    let mean = b.mean(square, &axes, Folded::Kept)?;
    let shifted = b.map_number(Func::Add, mean, epsilon)?;
    let inverse = b.map(Func::Rsqrt, &[shifted])?;
    let normal = b.map_broadcast(Func::Mul, &[x, inverse])?;
    let normal = b.convert(normal, dtype)?;
    let normal = b.convert(normal, result)?;
    let scale = b.broadcast(scale, &dims)?;
    one(b.map(Func::Mul, &[normal, scale])?)
}

/// `(x - mean) / (deviation + 1e-9)`
fn mean_variance_normalization(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let axes = call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = call.normal_axes(&axes, rank)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let mean = b.mean(x, &axes, Folded::Kept)?;
    let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
    let square = b.map(Func::Mul, &[centred, centred])?;
    let variance = b.mean(square, &axes, Folded::Kept)?;
    let deviation = b.map(Func::Sqrt, &[variance])?;
    let deviation = b.map_number(Func::Add, deviation, 1e-9)?;
    let normal = b.map_broadcast(Func::Div, &[centred, deviation])?;
    one(b.convert(normal, dtype)?)
}

/// `x / norm` along an axis, and 0 where the norm is.
fn lp_normalization(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let axis = call.normal_axis(call.int_or("axis", -1)?, rank)?;
    let p = call.int_or("p", 2)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let norm = match p {
        1 => {
            let absolute = b.map(Func::Abs, &[x])?;
            b.reduce(Monoid::Sum, absolute, &[axis], Folded::Kept)?
        }
        2 => {
            let square = b.map(Func::Mul, &[x, x])?;
            let sum = b.reduce(Monoid::Sum, square, &[axis], Folded::Kept)?;
            b.map(Func::Sqrt, &[sum])?
        }
        _ => return Err(call.attribute_error(format!("attribute `p` is {p}, not 1 or 2")).into()),
    };
    let zero = b.number(b.dtype(x), 0.0);
    let is_zero = b.map_broadcast(Func::Equal, &[norm, zero])?;
    let quotient = b.map_broadcast(Func::Div, &[x, norm])?;
    let normal = b.map_broadcast(Func::Select, &[is_zero, zero, quotient])?;
    one(b.convert(normal, dtype)?)
}

/// `x / (bias + alpha/size * sum of squares of `size` channels around)^beta`
fn local_response_normalization(call: &mut Call) -> Outcome {
    let (alpha, beta, bias) = (call.float_or("alpha", 1e-4)?, call.float_or("beta", 0.75)?, call.float_or("bias", 1.0)?);
    let size = call.int("size")?.filter(|size| (1..=1 << 31).contains(size));
    let size = size.ok_or_else(|| call.attribute_error("attribute `size` is missing or not positive"))?;
    let dims = channel_dims(call)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let square = b.map(Func::Mul, &[x, x])?;
    let planes = [dims[0].clone(), Expr::one(), dims[1].clone(), Expr::product(&dims[2..])];
    let square = b.reshape(square, &planes)?;
    // what lies beyond all channels adds nothing
    let most = dims[1].as_const().map_or(size, |channels| (channels - 1).max(0));
    let (low, high) = (((size - 1) / 2).min(most), (size / 2).min(most));
    let window = WindowAttrs { low: vec![low, 0], high: vec![high, 0], ..WindowAttrs::plain(2) };
    let sum = b.reduce_window(Monoid::Sum, square, &[low + high + 1, 1], &window)?;
    let sum = b.reshape(sum, &dims)?;
    let scaled = b.map_number(Func::Mul, sum, alpha / size as f64)?;
    let shifted = b.map_number(Func::Add, scaled, bias)?;
    let power = b.map_number(Func::Pow, shifted, beta)?;
    let normal = b.map(Func::Div, &[x, power])?;
    one(b.convert(normal, dtype)?)
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
        let wide = text.replace("x: f32", "x: f64");
        check(&wide, &["f64[1, 2, 2] 1 3 5 1000000000.25"], &["f64[1, 2, 2] 1 3 5 1000000000.25"]);
        let trains = text.replace("momentum = 0.9", "training_mode = 1").replace("y = ", "y, rm, rv = ").replace("=> y", "=> y, rm, rv");
        check(&trains, &["f32[1, 2, 2] 1 3 5 9"], &["f32[1, 2, 2] -1 3 -1 1", "f32[2] 1.1 0.7", "f32[2] 3.7 1.3"]);
        check_problems(&format!("opset 6 {text}"), &["[E006] BatchNormalization#0: BatchNormalization: the training form"]);
    }

    #[test]
    fn layers() {
        check("x: f32[1, 2] s: f32[2] = 2 1 y = LayerNormalization {epsilon = 0.0} (x, s) => y", &["f32[1, 2] 1 3"], &["f32[1, 2] -2 1"]);
        let text = "x: f32[2, 2] s: f32[2, 1] = 2 1 y, m, d = LayerNormalization {epsilon = 0.0} (x, s, s) => y, m, d";
        check(text, &["f32[2, 2] 1 3 0 8"], &["f32[2, 2] 0 4 0 2", "f32[2, 1] 2 4", "f32[2, 1] 1 0.25"]);
    }

    #[test]
    fn channels_and_groups() {
        let parameters = "s: f32[2] = 2 1 b: f32[2] = 1 0";
        check(
            &format!("x: f32[1, 2, n] {parameters} y = InstanceNormalization {{epsilon = 0.0}} (x, s, b) => y"),
            &["f32[1, 2, 2] 1 3 0 8"],
            &["f32[1, 2, 2] -1 3 -1 1"],
        );
        let group = format!("x: f32[1, 2, n] {parameters} y = GroupNormalization {{num_groups = 1, epsilon = 0.0}} (x, s, b) => y");
        check(&group, &["f32[1, 2, 2] 1 3 1 3"], &["f32[1, 2, 2] -1 3 -1 1"]);
        let group = "opset 18 x: f32[1, 2, n] s: f32[1] = 2 y = GroupNormalization {num_groups = 1, epsilon = 0.0} (x, s, s) => y";
        check(group, &["f32[1, 2, 2] 1 3 1 3"], &["f32[1, 2, 2] 0 4 0 4"]);
        check_problems(
            &group.replace("num_groups = 1", "num_groups = 0"),
            &["[E005] GroupNormalization#0: attribute `num_groups` is missing or not positive"],
        );
    }

    #[test]
    fn root_mean_squares() {
        let text = "x: f32[2, 2] s: f32[2] = 1 2 y = RMSNormalization {epsilon = 0.0} (x, s) => y";
        check(text, &["f32[2, 2] 1 7 3 -3"], &["f32[2, 2] 0.2 2.8 1 -2"]);
        let whole = "x: f16[2, 2] s: f32[1] = 1 y = RMSNormalization {axis = -2, epsilon = 0.0} (x, s) => y";
        check(whole, &["f16[2, 2] 400 400 0 0"], &["f32[2, 2] 1.4142 1.4142 0 0"]);
    }

    #[test]
    fn norms_and_neighbours() {
        check("x: f32[2, 2] y = LpNormalization(x) => y", &["f32[2, 2] 3 4 0 0"], &["f32[2, 2] 0.6 0.8 0 0"]);
        check("x: f32[2, 2] y = LpNormalization {p = 1, axis = 0} (x) => y", &["f32[2, 2] 3 4 -1 0"], &["f32[2, 2] 0.75 1 -0.25 0"]);
        check("x: f32[2, 2] y = MeanVarianceNormalization {axes = [1]} (x) => y", &["f32[2, 2] 1 3 0 8"], &["f32[2, 2] -1 1 -1 1"]);
        check(
            "x: f32[1, 3, n] y = LRN {size = 2, alpha = 2.0, beta = 1.0, bias = 1.0} (x) => y",
            &["f32[1, 3, 1] 1 2 3"],
            &["f32[1, 3, 1] 0.1667 0.1429 0.3"],
        );
        check(
            "x: f32[1, 2, n] y = LRN {size = 2147483648, alpha = 2147483648.0, beta = 1.0, bias = 0.0} (x) => y",
            &["f32[1, 2, 1] 1 2"],
            &["f32[1, 2, 1] 0.2 0.4"],
        );
    }
}
