//! Functions of one operand.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;

/// Where a function may be applied.
#[derive(Clone, Copy, PartialEq)]
enum Domain {
    All,
    Positive,
    /// No more than 6: the function grows fast.
    Low,
    /// At most 0.9 from 0: there are poles at 1, or a little farther.
    Inner,
    /// Above 1.
    Outer,
}

/// What a function does to numbers.
struct Function {
    op: &'static str,
    domain: Domain,
    interval: fn(Interval) -> Interval,
}

const UNIT: Interval = Interval { low: -1.0, high: 1.0 };

/// Functions that give a float back as it is, but for its sign.
const EXACT: &[Function] = &[
    Function { op: "Neg", domain: Domain::All, interval: |x| x.negate() },
    Function { op: "Abs", domain: Domain::All, interval: |x| x.absolute() },
    Function { op: "Relu", domain: Domain::All, interval: |x| x.rising(|x| x.max(0.0)) },
    Function { op: "Identity", domain: Domain::All, interval: |x| x },
    Function { op: "Dropout", domain: Domain::All, interval: |x| x },
];

const ROUNDED: &[Function] = &[
    Function { op: "Exp", domain: Domain::Low, interval: |x| x.rising(f64::exp) },
    Function { op: "Log", domain: Domain::Positive, interval: |x| x.rising(f64::ln) },
    Function { op: "Sqrt", domain: Domain::Positive, interval: |x| x.rising(f64::sqrt) },
    Function { op: "Reciprocal", domain: Domain::Positive, interval: |x| Interval::new(1.0 / x.high, 1.0 / x.low) },
    Function { op: "Erf", domain: Domain::All, interval: |_| UNIT },
    Function { op: "Tanh", domain: Domain::All, interval: |x| x.rising(f64::tanh) },
    Function { op: "Sigmoid", domain: Domain::All, interval: |_| Interval::BOOL },
    Function { op: "Sin", domain: Domain::All, interval: |_| UNIT },
    Function { op: "Cos", domain: Domain::All, interval: |_| UNIT },
    Function { op: "Tan", domain: Domain::Inner, interval: |x| x.rising(f64::tan) },
    Function { op: "Asin", domain: Domain::Inner, interval: |x| x.rising(f64::asin) },
    Function { op: "Acos", domain: Domain::Inner, interval: |x| x.negate().rising(|x| (-x).acos()) },
    Function { op: "Atan", domain: Domain::All, interval: |x| x.rising(f64::atan) },
    Function { op: "Sinh", domain: Domain::Low, interval: |x| x.rising(f64::sinh) },
    Function { op: "Cosh", domain: Domain::Low, interval: |x| x.absolute().rising(f64::cosh) },
    Function { op: "Asinh", domain: Domain::All, interval: |x| x.rising(f64::asinh) },
    Function { op: "Acosh", domain: Domain::Outer, interval: |x| x.rising(f64::acosh) },
    Function { op: "Atanh", domain: Domain::Inner, interval: |x| x.rising(f64::atanh) },
    Function { op: "Softplus", domain: Domain::All, interval: |x| x.rising(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()) },
    Function { op: "Softsign", domain: Domain::All, interval: |x| x.rising(|x| x / (1.0 + x.abs())) },
    Function { op: "Mish", domain: Domain::All, interval: |x| x.hull(Interval::new(-0.31, 0.0)) },
];

pub fn unary(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    step(generator, x)
}

/// Some function of x.
pub fn step(generator: &mut Generator, x: Id) -> Option<Id> {
    let functions = if generator.random.chance(25) { EXACT } else { ROUNDED };
    let at = generator.random.below(functions.len());
    apply(generator, &functions[at], x)
}

fn apply(generator: &mut Generator, function: &Function, x: Id) -> Option<Id> {
    let x = match function.domain {
        Domain::All => x,
        Domain::Positive => generator.positive(x)?,
        Domain::Low => generator.tame(x, 6.0)?,
        Domain::Inner if generator.form(x).interval.largest() <= 0.9 => x,
        Domain::Inner => generator.clip(x, Interval::around_zero(0.9))?,
        Domain::Outer => {
            let positive = generator.positive(x)?;
            let (one, form) = (generator.number(generator.form(x).dtype, 1.0), generator.form(positive).clone());
            let moved = form.rounded().within(form.interval.plus(Interval::new(1.0, 1.0)));
            generator.emit("Add", &[positive, one], vec![], moved)?
        }
    };
    let form = generator.form(x).clone();
    let form = form.within((function.interval)(form.interval));
    let exact = EXACT.iter().any(|other| other.op == function.op);
    generator.emit(function.op, &[x], vec![], if exact { form } else { form.rounded() })
}

/// Functions with parameters.
pub fn activation(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    let form = generator.form(x).clone();
    let rounded = form.rounded();
    match generator.random.below(if generator.opset >= 20 { 7 } else { 6 }) {
        0 => {
            let alpha = generator.random.float(-0.5, 0.9);
            let attributes = if generator.random.chance(70) { vec![draft::float("alpha", alpha)] } else { vec![] };
            generator.emit("LeakyRelu", &[x], attributes, rounded.within(Interval::around_zero(form.interval.largest())))
        }
        1 => {
            let (alpha, beta) = (generator.random.float(0.05, 0.5), generator.random.float(-0.2, 0.7));
            let attributes = vec![draft::float("alpha", alpha), draft::float("beta", beta)];
            generator.emit("HardSigmoid", &[x], attributes, rounded.within(Interval::BOOL))
        }
        2 => generator.emit("HardSwish", &[x], vec![], rounded.within(form.interval.hull(Interval::new(-0.5, 0.0)))),
        3 => clip(generator, x, &form),
        4 => prelu(generator, x, &form),
        5 => exponential_unit(generator, x, &form),
        _ => {
            let attributes = if generator.random.chance(50) { vec![draft::text("approximate", "tanh")] } else { vec![] };
            generator.emit("Gelu", &[x], attributes, rounded.within(form.interval.hull(Interval::new(-0.2, 0.0))))
        }
    }
}

/// A line that bends to a constant below 0.
fn exponential_unit(generator: &mut Generator, x: Id, form: &Form) -> Option<Id> {
    let op = generator.random.one_of(["Elu", "Selu", "Celu"]);
    let op = if op == "Celu" && form.dtype != DType::F32 && generator.opset < 28 { "Elu" } else { op };
    let mut attributes = vec![];
    if generator.random.chance(60) {
        attributes.push(draft::float("alpha", generator.random.float(0.3, 2.0)));
    }
    if op == "Selu" && generator.random.chance(50) {
        attributes.push(draft::float("gamma", generator.random.float(0.5, 1.5)));
    }
    let most = Interval::around_zero(1.5 * form.interval.largest() + 3.0);
    generator.emit(op, &[x], attributes, form.rounded().within(most))
}

/// Functions that jump, of numbers that no rounding made.
pub fn threshold(generator: &mut Generator) -> Option<Id> {
    let whole = generator.random.chance(25);
    let x = if whole { generator.integers()? } else { generator.exact_floats()? };
    let form = generator.form(x).clone();
    let limit = generator.random.float(0.1, 1.5);
    if !whole && generator.random.chance(50) {
        let attributes = vec![draft::float("alpha", limit)];
        return generator.emit("ThresholdedRelu", &[x], attributes, form.within(form.interval.with_zero()));
    }
    let bias = generator.random.one_of([0.0, 0.5, 1.0]);
    let attributes = vec![draft::float("lambd", limit), draft::float("bias", bias)];
    let most = Interval::around_zero(form.interval.largest() + bias);
    generator.emit("Shrink", &[x], attributes, form.rounded().within(most))
}

/// Numbers times their sigmoids, and at times others.
pub fn gated(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 28 {
        return None;
    }
    let x = generator.floats(0..=4)?;
    let form = generator.form(x).clone();
    let attributes = if generator.random.chance(40) { vec![draft::float("alpha", generator.random.float(0.5, 2.0))] } else { vec![] };
    let gate = form.interval.hull(Interval::new(-0.6, 0.0));
    if generator.random.chance(40) {
        return generator.emit("Swish", &[x], attributes, form.rounded().within(gate));
    }
    let linear = generator.tensor(form.dtype, &form.dims, Interval::around_zero(2.0))?;
    let interval = gate.multiply(generator.form(linear).interval);
    generator.emit("SwiGLU", &[x, linear], attributes, form.rounded().within(interval))
}

/// One bound or both; the bounds may be inputs.
fn clip(generator: &mut Generator, x: Id, form: &Form) -> Option<Id> {
    let (low, high) = (generator.random.float(-2.0, 0.0), generator.random.float(0.0, 2.0));
    let which = generator.random.below(4);
    let mut bound = |value: f64| match generator.random.chance(20) {
        true => generator.input(form.dtype, &[], Interval::new(value, value + 0.1)),
        false => Some(generator.number(form.dtype, value)),
    };
    let low = if which == 1 { None } else { bound(low) };
    let high = if which == 2 { None } else { bound(high) };
    let cut = form.within(Interval::around_zero(form.interval.largest().max(2.1)));
    generator.emit_all("Clip", &[Some(x), low, high], vec![], vec![cut])?.first().copied()
}

fn prelu(generator: &mut Generator, x: Id, form: &Form) -> Option<Id> {
    let slope = generator.partner_within(form, Interval::new(-0.2, 0.6), false)?;
    let fits = generator.broadcast(&form.dims, &generator.dims(slope)).is_some_and(|dims| dims == form.dims);
    let interval = form.interval.hull(form.interval.multiply(generator.form(slope).interval));
    fits.then(|| generator.emit("PRelu", &[x, slope], vec![], form.rounded().within(interval)))?
}

/// Steps to whole numbers.
pub fn whole_number(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let form = generator.form(x).clone();
    let op = generator.random.one_of(["Floor", "Ceil", "Round", "Sign"]);
    let interval = if op == "Sign" { UNIT } else { Interval::new(form.interval.low.floor(), form.interval.high.ceil()) };
    generator.emit(op, &[x], vec![], form.within(interval))
}
