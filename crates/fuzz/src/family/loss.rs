//! Losses of classifiers.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

/// What a loss has besides its scores.
struct Setting {
    targets: Id,
    weights: Option<Id>,
    attributes: Vec<AttributeProto>,
    /// The form of the loss, where that of one score is in the interval.
    form: Form,
}

/// Targets of operands `[N, C, ..]`. A mean has none to ignore: it would be 0 over 0 where all are.
fn setting(generator: &mut Generator, x: Id, one: Interval) -> Option<Setting> {
    let form = generator.form(x).clone();
    let classes = generator.smallest(&form.dims[1]);
    let places = [&form.dims[..1], &form.dims[2..]].concat();
    let reduction = generator.random.one_of(["none", "sum", "mean"]);
    let mut attributes = match reduction == "mean" && generator.random.chance(50) {
        true => vec![],
        false => vec![draft::text("reduction", reduction)],
    };
    let ignores = generator.random.chance(40);
    let ignored = generator.random.one_of([-1, -1, 0, -100, 1 << 40]);
    if ignores {
        attributes.push(draft::int("ignore_index", ignored));
    }
    let mean_may_be_none = reduction == "mean" && ignored == 0 && ignores;
    let low = if ignores && ignored == -1 && reduction != "mean" { -1.0 } else { 0.0 };
    if mean_may_be_none {
        return None;
    }
    let dtype = generator.random.one_of([DType::I64, DType::I64, DType::I32]);
    let targets = generator.tensor(dtype, &places, Interval::new(low, classes as f64 - 1.0))?;
    let weighed = if generator.random.chance(40) { form.dims[1].as_const() } else { None };
    let weights = match weighed {
        Some(classes) => Some(generator.weight_within("weight", form.dtype, &[classes as usize], Interval::new(0.5, 2.0))?),
        None => None,
    };
    let most = if weights.is_some() { one.scale(2.0).hull(one.scale(0.5)) } else { one }.with_zero();
    let count = generator.largest(&Expr::product(&places)) as f64;
    let (dims, interval) = match reduction {
        "none" => (places, most),
        "sum" => (vec![], most.scale(count)),
        _ => (vec![], one),
    };
    Some(Setting { targets, weights, attributes, form: Form { dims, interval, exact: false, ..form } })
}

pub fn negative_log_likelihood(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(2..=4)?;
    let one = generator.form(x).interval.negate();
    let Setting { targets, weights, attributes, form } = setting(generator, x, one)?;
    let losses = generator.emit_all("NegativeLogLikelihoodLoss", &[Some(x), Some(targets), weights], attributes, vec![form])?;
    losses.first().copied()
}

pub fn cross_entropy(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(2..=4)?;
    let form = generator.form(x).clone();
    let range = 2.0 * form.interval.largest() + (generator.largest(&form.dims[1]) as f64).ln();
    let setting = setting(generator, x, Interval::new(0.0, range))?;
    let mut forms = vec![setting.form];
    if generator.random.chance(40) {
        forms.push(form.within(Interval::new(-range, 0.0)).rounded());
    }
    let operands = [Some(x), Some(setting.targets), setting.weights];
    generator.emit_all("SoftmaxCrossEntropyLoss", &operands, setting.attributes, forms)?.first().copied()
}
