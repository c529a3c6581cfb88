//! Arithmetic of two and more operands, with broadcasting.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;

/// A node of two operands, in an order drawn where it does not matter for the bounds.
fn emit_binary(generator: &mut Generator, op: &str, [a, b]: [Id; 2], interval: Interval) -> Option<Id> {
    let (left, right) = (generator.form(a).clone(), generator.form(b).clone());
    let dims = generator.broadcast(&left.dims, &right.dims)?;
    let keeps = matches!(op, "Max" | "Min") && left.exact && right.exact;
    let form = left.of(dims).within(interval);
    generator.emit(op, &[a, b], vec![], if keeps { form } else { form.rounded() })
}

pub fn binary(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    let y = generator.partner(x)?;
    combined(generator, x, y)
}

/// x and weights along its last axis.
pub fn with_weight(generator: &mut Generator, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    let last = form.dims.last().and_then(|dim| dim.as_const());
    let dims: Vec<usize> = last.into_iter().map(|dim| dim as usize).collect();
    let y = generator.weight("weight", form.dtype, &dims, 1.0)?;
    combined(generator, x, y)
}

fn combined(generator: &mut Generator, x: Id, y: Id) -> Option<Id> {
    let [a, b] = if generator.random.chance(30) { [y, x] } else { [x, y] };
    let op = generator.random.one_of(["Add", "Add", "Mul", "Mul", "Sub", "Max", "Min"]);
    let (left, right) = (generator.form(a).interval, generator.form(b).interval);
    let interval = match op {
        "Add" => left.plus(right),
        "Sub" => left.plus(right.negate()),
        "Mul" => left.multiply(right),
        _ => left.hull(right),
    };
    let result = emit_binary(generator, op, [a, b], interval)?;
    generator.tame(result, 50.0)
}

pub fn division(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    let y = generator.partner(x)?;
    let y = generator.positive(y)?;
    let (left, right) = (generator.form(x).interval, generator.form(y).interval);
    let quotient = left.multiply(Interval::new(1.0 / right.high, 1.0 / right.low));
    emit_binary(generator, "Div", [x, y], quotient)
}

/// Positive bases under any exponent, any base under a whole one.
pub fn power(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=5)?;
    let x = generator.tame(x, 5.0)?;
    let form = generator.form(x).clone();
    if generator.random.chance(50) {
        let exponent = generator.random.one_of([1.0, 2.0, 2.0, 3.0]);
        let y = generator.number(form.dtype, exponent);
        return emit_binary(generator, "Pow", [x, y], Interval::around_zero(form.interval.largest().powf(exponent).max(1.0)));
    }
    let x = generator.positive(x)?;
    let form = generator.form(x).clone();
    let y = match generator.random.chance(50) {
        true => {
            let exponent = generator.random.one_of([-1.0, -0.5, 0.0, 0.5, 1.5]);
            generator.number(form.dtype, exponent)
        }
        false => generator.partner(x)?,
    };
    let y = generator.tame(y, 2.0)?;
    let interval = form.interval.corners(generator.form(y).interval, f64::powf);
    emit_binary(generator, "Pow", [x, y], interval)
}

pub fn variadic(generator: &mut Generator) -> Option<Id> {
    let first = generator.floats(0..=5)?;
    let mut operands = vec![first];
    let mut form = generator.form(first).clone();
    for _ in 0..generator.random.below(4) {
        let next = generator.partner_within(&form, Interval::around_zero(2.0), false)?;
        form.dims = generator.broadcast(&form.dims, &generator.dims(next))?;
        operands.push(next);
    }
    let op = generator.random.one_of(["Sum", "Mean", "Max", "Min"]);
    let forms: Vec<Form> = operands.iter().map(|id| generator.form(*id).clone()).collect();
    let sum = forms.iter().skip(1).fold(forms[0].interval, |sum, form| sum.plus(form.interval));
    let hull = forms.iter().fold(forms[0].interval, |hull, form| hull.hull(form.interval));
    let keeps = matches!(op, "Max" | "Min") || operands.len() == 1;
    form.exact = keeps && forms.iter().all(|form| form.exact);
    let result = generator.emit(op, &operands, vec![], form.within(if op == "Sum" { sum } else { hull }))?;
    generator.tame(result, 50.0)
}

/// Integers stay below a million, so that no product overflows.
pub fn integer(generator: &mut Generator) -> Option<Id> {
    let x = generator.integers()?;
    if generator.random.chance(15) {
        return integer_unary(generator, x);
    }
    let y = generator.partner_of(x, Interval::around_zero(9.0), true)?;
    let op = generator.random.one_of(["Add", "Sub", "Mul", "Div", "Mod", "Max", "Min"]);
    let y = if matches!(op, "Div" | "Mod") { nonzero(generator, y)? } else { y };
    let (left, right) = (generator.form(x).clone(), generator.form(y).clone());
    let (a, b) = (left.interval, right.interval);
    let interval = match op {
        "Add" => a.plus(b),
        "Sub" => a.plus(b.negate()),
        "Mul" => a.multiply(b),
        "Div" => a.with_zero().hull(a.negate()),
        "Mod" => a.with_zero().hull(Interval::around_zero(b.largest())),
        _ => a.hull(b),
    };
    let form = left.of(generator.broadcast(&left.dims, &right.dims)?).within(interval);
    let remainder = vec![draft::int("fmod", generator.random.below(2) as i64)];
    let attributes = if op == "Mod" && generator.random.chance(60) { remainder } else { vec![] };
    let result = generator.emit(op, &[x, y], attributes, form)?;
    small(generator, result)
}

fn integer_unary(generator: &mut Generator, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    match generator.random.below(4) {
        3 => generator.clip(x, Interval::new(-3.0, 5.0)),
        0 => generator.emit("Neg", &[x], vec![], form.within(form.interval.negate())),
        1 => generator.emit("Abs", &[x], vec![], form.within(form.interval.absolute())),
        _ => generator.emit("Sign", &[x], vec![], form.within(Interval::around_zero(1.0))),
    }
}

/// `|y| + 1`, in half of the cases with its sign turned: a divisor.
fn nonzero(generator: &mut Generator, y: Id) -> Option<Id> {
    let form = generator.form(y).clone();
    let absolute = generator.emit("Abs", &[y], vec![], form.within(form.interval.absolute()))?;
    let one = generator.number(form.dtype, 1.0);
    let shifted = form.within(form.interval.absolute().plus(Interval::new(1.0, 1.0)));
    let positive = generator.emit("Add", &[absolute, one], vec![], shifted.clone())?;
    match generator.random.chance(50) {
        true => generator.emit("Neg", &[positive], vec![], shifted.within(shifted.interval.negate())),
        false => Some(positive),
    }
}

/// Whole numbers that are not too large for more arithmetic.
pub fn small(generator: &mut Generator, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    if form.interval.largest() < 1000.0 || !matches!(form.dtype, DType::I32 | DType::I64) {
        return Some(x);
    }
    let divisor = generator.number(form.dtype, 97.0);
    generator.emit("Mod", &[x, divisor], vec![], form.within(Interval::new(0.0, 96.0)))
}
