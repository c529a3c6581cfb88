//! Normalisations over the last axis, of sums with what skips a layer, and of embeddings.

use crate::import::{Call, Out, Outcome};
use crate::ops::Entry;
use ::ops::Folded;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

/// What stands in ONNX's own domain without being of it.
pub const OF_ONNX: &[Entry] = &[Entry("SimplifiedLayerNormalization", 1, root_mean_square)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// `x / sqrt(mean(x^2) + epsilon) * scale` over the axes from `axis` on; the second result is the factor that all of a row have.
fn root_mean_square(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    let axis = call.normal_axis(call.int_or("axis", -1)?, rank)?;
    let epsilon = call.float_or("epsilon", 1e-5)?;
    call.ignore(&["stash_type"]);
    let (x, scale) = (call.value(0)?, call.value(1)?);
    let [normal, factor] = over_root_mean(call, x, scale, axis, epsilon)?;
    Ok(vec![normal.into(), factor.into()])
}

fn over_root_mean(call: &mut Call, x: ValueId, scale: ValueId, axis: usize, epsilon: f64) -> Result<[ValueId; 2]> {
    let b = call.b();
    let dims = b.dims(x).to_vec();
    let wide = b.widened(x)?;
    let square = b.map(Func::Mul, &[wide, wide])?;
    let mean = b.mean(square, &(axis..dims.len()).collect::<Vec<usize>>(), Folded::Kept)?;
    let shifted = b.map_number(Func::Add, mean, epsilon)?;
    let factor = b.map(Func::Rsqrt, &[shifted])?;
    let normal = b.map_broadcast(Func::Mul, &[wide, factor])?;
    let scale = b.convert(scale, b.dtype(wide))?;
    let scale = b.broadcast(scale, &dims)?;
    let scaled = b.map(Func::Mul, &[normal, scale])?;
    Ok([b.convert(scaled, b.dtype(x))?, factor])
}

pub fn skip_layer_norm(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-12)?;
    let sum = skipped_sum(call, 4)?;
    let normal = layer_norm(call, sum, [2, 3], epsilon)?;
    with_sum(call, normal, sum)
}

pub fn skip_root_mean_square(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-12)?;
    let sum = skipped_sum(call, 3)?;
    let (scale, last) = (call.value(2)?, call.rank(0)? - 1);
    let [normal, _] = over_root_mean(call, sum, scale, last, epsilon)?;
    with_sum(call, normal, sum)
}

/// The result and the sum; the statistics between them are for training.
fn with_sum(call: &mut Call, normal: ValueId, sum: ValueId) -> Outcome {
    match call.wants(1) || call.wants(2) {
        true => Err(call.unsupported("the mean and deviation as results").into()),
        false => Ok(vec![normal.into(), normal.into(), normal.into(), sum.into()]),
    }
}

/// Operand 0 with operand 1, which may repeat along the batch, and the bias, operand `bias`.
fn skipped_sum(call: &mut Call, bias: usize) -> Result<ValueId> {
    let dims = call.dims(0)?;
    if dims.is_empty() {
        return Err(call.error(Code::Shape, format!("{} has no rows", call.ty(0)?)));
    }
    let (mut sum, skip, bias) = (call.value(0)?, call.value(1)?, call.optional_value(bias)?);
    let b = call.b();
    for added in [Some(skip), bias].into_iter().flatten() {
        let added = b.broadcast(added, &dims)?;
        sum = b.map(Func::Add, &[sum, added])?;
    }
    Ok(sum)
}

/// Over the last axis, with a scale and a bias that may be left out.
fn layer_norm(call: &mut Call, x: ValueId, [scale, bias]: [usize; 2], epsilon: f64) -> Result<ValueId> {
    let (scale, bias) = (call.value(scale)?, call.optional_value(bias)?);
    let b = call.b();
    let last = b.dims(x).len() - 1;
    let bias = match bias {
        Some(bias) => bias,
        None => {
            let (zero, dims) = (b.number(b.dtype(x), 0.0), b.dims(scale).to_vec());
            b.broadcast(zero, &dims)?
        }
    };
    b.layer_norm(x, scale, bias, last, epsilon)
}

/// The sum of the embeddings of words, positions and segments, normalised; the number of words that a mask lets through; the sum.
pub fn embedding(call: &mut Call) -> Outcome {
    let epsilon = call.float_or("epsilon", 1e-12)?;
    call.ignore(&["mask_index_type"]);
    for at in [0, 2, 3] {
        if call.rank(at)? != 2 {
            return Err(call.error(Code::Shape, format!("operand {at} is {}, not of rank 2", call.ty(at)?)).into());
        }
    }
    let dims = call.dims(0)?;
    let (ids, words) = (call.value(0)?, call.value(2)?);
    let mut sum = call.b().gather(words, ids, 0)?;
    let places = places(call, &dims[1])?;
    let segments = match (call.optional_value(1)?, call.optional_value(4)?) {
        (Some(ids), Some(table)) => Some(call.b().gather(table, ids, 0)?),
        (None, None) => None,
        _ => return Err(call.error(Code::Malformed, "of segments and their embedding one is missing").into()),
    };
    for added in [Some(places), segments].into_iter().flatten() {
        sum = call.b().map_broadcast(Func::Add, &[sum, added])?;
    }
    let normal = layer_norm(call, sum, [5, 6], epsilon)?;
    let counts = counts(call, &dims[0])?;
    Ok([normal, counts, sum].map(Out::from).to_vec())
}

/// The embedding of given positions, or of as many as there are words.
fn places(call: &mut Call, length: &Expr) -> Result<ValueId> {
    let (table, ids) = (call.value(3)?, call.optional_value(8)?);
    match ids {
        Some(ids) => call.b().gather(table, ids, 0),
        None => {
            let rows = call.dims(3)?[0].clone();
            call.guard(ir::guard::Condition::AtLeast(rows, length.clone()));
            let rows = call.b().slice_axis(table, 0, &Expr::zero(), length)?;
            call.b().unsqueeze(rows, &[0])
        }
    }
}

/// How many ones each row of the mask has; 0 without a mask.
fn counts(call: &mut Call, batch: &Expr) -> Result<ValueId> {
    let mask = call.optional_value(7)?;
    let b = call.b();
    match mask {
        Some(mask) => {
            let ones = b.map_number(Func::Equal, mask, 1.0)?;
            let ones = b.convert(ones, DType::I32)?;
            b.reduce(Monoid::Sum, ones, &[1], Folded::Dropped)
        }
        None => {
            let zero = b.number(DType::I32, 0.0);
            b.broadcast(zero, std::slice::from_ref(batch))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn sums_are_normalised() {
        let text = "x: f32[b, s, 2] k: f32[1, s, 2] g: f32[2] = 2 1 c: f32[2] = 0 5 z: f32[2] = 1 1
            y, _, _, t = com.microsoft.SkipLayerNormalization {epsilon = 0.0} (x, k, g, c, z) => y, t";
        check(text, &["f32[1, 1, 2] 0 1", "f32[1, 1, 2] 0 1"], &["f32[1, 1, 2] -2 6", "f32[1, 1, 2] 1 3"]);
        check_problems(
            &text.replace("_, _", "_, d"),
            &["[E006] SkipLayerNormalization#0: SkipLayerNormalization: the mean and deviation as results"],
        );
    }

    #[test]
    fn root_mean_squares() {
        let text = "x: f32[1, 2] g: f32[2] = 2 1 y = SimplifiedLayerNormalization {epsilon = 0.0} (x, g)
            z, _, _, t = com.microsoft.SkipSimplifiedLayerNormalization {epsilon = 0.0} (x, x, g) => y, z, t";
        check(text, &["f32[1, 2] 1 7"], &["f32[1, 2] 0.4 1.4", "f32[1, 2] 0.4 1.4", "f32[1, 2] 2 14"]);
    }

    #[test]
    fn embeddings() {
        let tables = "w: f32[2, 2] = 0 1 2 4 p: f32[3, 2] = 0 1 1 2 9 9 e: f32[1, 2] = 0 1 g: f32[2] = 1 1 c: f32[2] = 0 0";
        let text = format!(
            "i: i32[b, s] t: i32[b, s] {tables} m: i32[b, s]
            y, n, u = com.microsoft.EmbedLayerNormalization(i, t, w, p, e, g, c, m) => y, n, u"
        );
        let operands = ["i32[1, 2] 1 0", "i32[1, 2] 0 0", "i32[1, 2] 1 0"];
        check(&text, &operands, &["f32[1, 2, 2] -1 1 -1 1", "i32[1] 1", "f32[1, 2, 2] 2 6 1 4"]);
    }
}
