//! Losses of classifiers.

use super::Entry;
use super::softmax::log_softmax;
use crate::import::{Call, Outcome, one};
use ::ops::Folded;
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};

pub const OPS: &[Entry] =
    &[Entry("NegativeLogLikelihoodLoss", 12, negative_log_likelihood), Entry("SoftmaxCrossEntropyLoss", 12, softmax_cross_entropy)];

#[derive(Clone, Copy, PartialEq)]
enum Reduction {
    None,
    Sum,
    Mean,
}

fn negative_log_likelihood(call: &mut Call) -> Outcome {
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let x = call.b().widened(x)?;
    let loss = loss(call, x)?;
    one(call.b().convert(loss, dtype)?)
}

/// The loss of the logarithms of probabilities, which are a result too.
fn softmax_cross_entropy(call: &mut Call) -> Outcome {
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    check_rank(call)?;
    let x = call.b().widened(x)?;
    let logarithms = log_softmax(call, x, 1)?;
    let loss = loss(call, logarithms)?;
    let b = call.b();
    Ok(vec![b.convert(loss, dtype)?.into(), b.convert(logarithms, dtype)?.into()])
}

fn check_rank(call: &Call) -> Result<(), Diagnostic> {
    match call.rank(0)? {
        0 | 1 => Err(call.error(Code::Shape, format!("{} has no axis of classes behind that of the batch", call.ty(0)?))),
        _ => Ok(()),
    }
}

fn reduction(call: &Call) -> Result<Reduction, Diagnostic> {
    match call.text("reduction")?.unwrap_or("mean") {
        "none" => Ok(Reduction::None),
        "sum" => Ok(Reduction::Sum),
        "mean" => Ok(Reduction::Mean),
        other => Err(call.attribute_error(format!("attribute `reduction` is `{other}`, not `none`, `sum` or `mean`"))),
    }
}

/// `-weight[target] x[.., target, ..]`, reduced; `x` is `[N, C, ..]` and computed with, targets are operand 1, weights operand 2.
fn loss(call: &mut Call, x: ValueId) -> Result<ValueId, Diagnostic> {
    check_rank(call)?;
    let (reduction, ignored) = (reduction(call)?, call.int("ignore_index")?);
    let dims = call.dims(0)?;
    let places = [&dims[..1], &dims[2..]].concat();
    call.equal_dims("dims of targets", &places, &call.dims(1)?)?;
    let targets = call.value(1)?;
    let targets = call.b().convert(targets, DType::I64)?;
    let (targets, is_ignored) = match ignored {
        Some(ignored) => {
            let b = call.b();
            let ignored = b.scalar(DType::I64, Literal::Int(ignored));
            let is_ignored = b.map_broadcast(Func::Equal, &[targets, ignored])?;
            // any class will do
            let zero = b.number(DType::I64, 0.0);
            (b.map_broadcast(Func::Select, &[is_ignored, zero, targets])?, Some(is_ignored))
        }
        None => (targets, None),
    };
    let b = call.b();
    let indices = b.unsqueeze(targets, &[1])?;
    let picked = b.gather_elements(x, indices, 1)?;
    let dims = b.dims(targets).to_vec();
    let picked = b.reshape(picked, &dims)?;
    let mut losses = b.map(Func::Neg, &[picked])?;
    let mut weights = weights(call, x, targets)?;
    if let Some(weights) = weights {
        losses = call.b().map(Func::Mul, &[weights, losses])?;
    }
    if let Some(is_ignored) = is_ignored {
        let b = call.b();
        let [zero, one] = [0.0, 1.0].map(|number| b.number(b.dtype(x), number));
        losses = b.map_broadcast(Func::Select, &[is_ignored, zero, losses])?;
        weights = Some(b.map_broadcast(Func::Select, &[is_ignored, zero, weights.unwrap_or(one)])?);
    }
    reduced(call, losses, weights, reduction)
}

/// The weight of each target's class, in x's type.
fn weights(call: &mut Call, x: ValueId, targets: ValueId) -> Result<Option<ValueId>, Diagnostic> {
    let Some(weights) = call.optional_value(2)? else { return Ok(None) };
    call.equal_dims("dims of weights", &call.dims(0)?[1..2], &call.dims(2)?)?;
    let b = call.b();
    let weights = b.convert(weights, b.dtype(x))?;
    b.gather(weights, targets, 0).map(Some)
}

/// A mean is one by weight.
fn reduced(call: &mut Call, losses: ValueId, weights: Option<ValueId>, reduction: Reduction) -> Result<ValueId, Diagnostic> {
    let b = call.b();
    let axes: Vec<usize> = (0..b.dims(losses).len()).collect();
    match (reduction, weights) {
        (Reduction::None, _) => Ok(losses),
        (Reduction::Sum, _) => b.reduce(Monoid::Sum, losses, &axes, Folded::Dropped),
        (Reduction::Mean, None) => b.mean(losses, &axes, Folded::Dropped),
        (Reduction::Mean, Some(weights)) => {
            let sum = b.reduce(Monoid::Sum, losses, &axes, Folded::Dropped)?;
            let weight = b.reduce(Monoid::Sum, weights, &axes, Folded::Dropped)?;
            b.map(Func::Div, &[sum, weight])
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn reductions() {
        let text =
            |reduction: &str| format!("x: f32[n, 2] t: i64[n] y = NegativeLogLikelihoodLoss {{reduction = \"{reduction}\"}} (x, t) => y");
        let operands = ["f32[2, 2] -1 -2 -3 -5", "i64[2] 1 0"];
        check(&text("none"), &operands, &["f32[2] 2 3"]);
        check(&text("sum"), &operands, &["f32[] 5"]);
        check(&text("mean"), &operands, &["f32[] 2.5"]);
        check_problems(
            &text("most"),
            &["[E005] NegativeLogLikelihoodLoss#0: attribute `reduction` is `most`, not `none`, `sum` or `mean`"],
        );
    }

    #[test]
    fn weights_and_ignored_targets() {
        let text = "x: f32[1, 2, 3] t: i32[1, 3] w: f32[2] = 1 3 y = NegativeLogLikelihoodLoss {ignore_index = -5} (x, t, w) => y";
        check(text, &["f32[1, 2, 3] -1 -inf -2 -3 -inf -6", "i32[1, 3] 0 -5 1"], &["f32[] 4.75"]);
        let text = "x: f16[2, 2] t: i64[2] y = NegativeLogLikelihoodLoss {ignore_index = 1} (x, t) => y";
        check(text, &["f16[2, 2] -1 -2 -3 -5", "i64[2] 1 0"], &["f16[] 3"]);
        check(text, &["f16[2, 2] -1 -2 -3 -5", "i64[2] 1 1"], &["f16[] NaN"]);
    }

    #[test]
    fn cross_entropy_gives_logarithms_too() {
        let text = "x: f32[1, 2] t: i64[1] y, z = SoftmaxCrossEntropyLoss(x, t) => y, z";
        check(text, &["f32[1, 2] 0 0", "i64[1] 1"], &["f32[] 0.6931", "f32[1, 2] -0.6931 -0.6931"]);
    }

    #[test]
    fn shapes_agree() {
        check_types(
            "x: f32[2, 3] t: i64[n] y = NegativeLogLikelihoodLoss {reduction = \"none\"} (x, t) => y",
            &["f32[n]", "2 == n", "2 >= n"],
        );
        check_problems(
            "x: f32[3] t: i64[] y = SoftmaxCrossEntropyLoss(x, t) => y",
            &["[E003] SoftmaxCrossEntropyLoss#0: f32[3] has no axis of classes behind that of the batch"],
        );
        check_problems(
            "x: f32[2, 3] t: i64[3] y = NegativeLogLikelihoodLoss(x, t) => y",
            &["[E003] NegativeLogLikelihoodLoss#0: dims of targets: axis 0 differs: 2 vs 3"],
        );
    }
}
