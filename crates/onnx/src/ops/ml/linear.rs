//! Linear models: scores are sums of features by coefficients.

use super::scores::Transform;
use super::{Labels, Result, best_label, chosen_label, column, floats, rows};
use crate::import::{Call, Outcome, one};
use crate::ops::Entry;
use ::ops::Builder;
use ir::{DType, ValueId};
use nest::Func;

pub const OPS: &[Entry] = &[Entry("LinearRegressor", 1, regress), Entry("LinearClassifier", 1, classify)];

/// `[n, targets]`: each row of `x` by a row of coefficients, plus its intercept.
fn scores(call: &mut Call, x: ValueId, features: usize, targets: usize, coefficients: &[f32]) -> Result<ValueId> {
    let intercepts = call.floats("intercepts")?.filter(|intercepts| !intercepts.is_empty());
    if let Some(intercepts) = intercepts.filter(|intercepts| intercepts.len() != targets) {
        return Err(call.attribute_error(format!("attribute `intercepts` has {} entries, not {targets}", intercepts.len())));
    }
    let b = call.b();
    let dtype = b.dtype(x);
    let weights = floats(b, dtype, vec![targets, features], coefficients.iter().copied());
    let products = b.contract("nf,tf->nt", x, weights)?;
    match intercepts {
        Some(intercepts) => {
            let intercepts = floats(b, dtype, vec![targets], intercepts.iter().copied());
            b.map_broadcast(Func::Add, &[products, intercepts])
        }
        None => Ok(products),
    }
}

fn regress(call: &mut Call) -> Outcome {
    let (x, features) = rows(call)?;
    let targets = call.int_or("targets", 1)?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let fitting = usize::try_from(targets).ok().filter(|targets| targets.checked_mul(features) == Some(coefficients.len()));
    let Some(targets) = fitting else {
        let message = format!("attribute `coefficients` has {} entries for {targets} targets of {features} features", coefficients.len());
        return Err(call.attribute_error(message).into());
    };
    let transform = Transform::of(call)?;
    let scores = scores(call, x, features, targets, coefficients)?;
    let b = call.b();
    let scores = transform.apply(b, scores)?;
    one(b.convert(scores, DType::F32)?)
}

/// Labels and scores. A single column of scores stands for the second of two classes.
fn classify(call: &mut Call) -> Outcome {
    call.ignore(&["multi_class"]);
    let (x, features) = rows(call)?;
    let labels = Labels::of(call, "classlabels_ints", "classlabels_strings")?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let columns = coefficients.len().checked_div(features).filter(|columns| *columns > 0 && columns * features == coefficients.len());
    let Some(columns) = columns else {
        let message = format!("attribute `coefficients` has {} entries for {features} features", coefficients.len());
        return Err(call.attribute_error(message).into());
    };
    let transform = Transform::of(call)?;
    let raw = scores(call, x, features, columns, coefficients)?;
    let misfit = call.attribute_error(format!("{columns} columns of scores for {} classes", labels.numbers.len()));
    let b = call.b();
    let (label, scores) = match (columns, &labels.numbers[..]) {
        (1, [first, second]) => {
            let score = column(b, raw, 0)?;
            let is_second = b.map_number(Func::Greater, score, 0.0)?;
            (chosen_label(b, is_second, [*first, *second])?, two_columns(b, raw, transform)?)
        }
        (1, [only]) => {
            let scores = transform.apply(b, raw)?;
            let score = column(b, scores, 0)?;
            let is_it = b.map_number(Func::GreaterEqual, score, if transform == Transform::None { 0.0 } else { 0.5 })?;
            (chosen_label(b, is_it, [0, *only])?, scores)
        }
        _ if labels.numbers.len() == columns => (best_label(b, raw, &labels.numbers)?, transform.apply(b, raw)?),
        _ => return Err(misfit.into()),
    };
    let scores = b.convert(scores, DType::F32)?;
    Ok(vec![labels.result(label), scores.into()])
}

/// The scores of two classes from that of the second.
fn two_columns(b: &mut Builder, score: ValueId, transform: Transform) -> Result<ValueId> {
    let opposite = match transform {
        Transform::Logistic | Transform::Probit => b.map(Func::Neg, &[score])?,
        Transform::None | Transform::Softmax | Transform::SoftmaxZero => {
            let one = b.number(b.dtype(score), 1.0);
            b.map_broadcast(Func::Sub, &[one, score])?
        }
    };
    let both = b.concat(&[opposite, score], 1)?;
    match transform {
        Transform::Logistic | Transform::Probit => transform.apply(b, both),
        Transform::None | Transform::Softmax | Transform::SoftmaxZero => Ok(both),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn scores_and_labels() {
        let x = "f32[2, 2] 1 2 -1 -3";
        let text = "x: f32[n, 2] y = ai.onnx.ml.LinearRegressor {targets = 2, coefficients = [0.5, 1.0, 2.0, 0.0], intercepts = [0.25, 1.0]} (x) => y";
        check(text, &[x], &["f32[2, 2] 2.75 3 -3.25 -1"]);
        let of = |labels: &str, coefficients: &str, transform: &str| {
            let attributes = format!("classlabels_ints = {labels}, coefficients = {coefficients}, post_transform = \"{transform}\"");
            format!("x: f32[n, 2] l, s = ai.onnx.ml.LinearClassifier {{{attributes}}} (x) => l, s")
        };
        check(&of("[3, 9]", "[0.25, 0.5]", "NONE"), &[x], &["i64[2] 9 3", "f32[2, 2] -0.25 1.25 2.75 -1.75"]);
        check(&of("[3, 9]", "[0.25, 0.5]", "LOGISTIC"), &[x], &["i64[2] 9 3", "f32[2, 2] 0.2227 0.7773 0.852 0.148"]);
        check(&of("[7]", "[0.25, 0.5]", "NONE"), &[x], &["i64[2] 7 0", "f32[2, 1] 1.25 -1.75"]);
        let three = of("[3, 9, 4]", "[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]", "SOFTMAX_ZERO");
        check(&three, &[x], &["i64[2] 9 4", "f32[2, 3] 0.2689 0.7311 0 0.8808 0.1192 0"]);
        let named = |labels: &str, coefficients: &str| of(labels, coefficients, "NONE").replace("classlabels_ints", "classlabels_strings");
        check(&named(r#"["no", "yes"]"#, "[0.25, 0.5]"), &[x], &["string[2] [\"yes\", \"no\"]", "f32[2, 2] -0.25 1.25 2.75 -1.75"]);
        let three = named(r#"["a", "b", "c"]"#, "[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]");
        check(&three, &[x], &["string[2] [\"b\", \"c\"]", "f32[2, 3] 1 2 0 -1 -3 0"]);
        check_problems(&of("[3]", "[1.0, 0.0, 0.0, 1.0]", "NONE"), &["[E005] LinearClassifier#0: 2 columns of scores for 1 classes"]);
        check_problems(&of("[3]", "[1.0]", "NONE"), &["[E005] LinearClassifier#0: attribute `coefficients` has 1 entries for 2 features"]);
        check_problems(&of("[3, 9]", "[1.0, 2.0]", "WARP"), &["[E005] LinearClassifier#0: attribute `post_transform` is `WARP`"]);
    }
}
