//! Comparisons, bools, and choice between elements.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;

fn bools_like(form: &Form, dims: Vec<sym::Expr>) -> Form {
    Form { dtype: DType::Bool, dims, interval: Interval::BOOL, exact: form.exact }
}

/// Of numbers that no rounding made; these are equal only where they are the same.
pub fn comparison(generator: &mut Generator) -> Option<Id> {
    let x = if generator.random.chance(60) { generator.exact_floats()? } else { generator.integers()? };
    let y = generator.exact_partner(x)?;
    let form = generator.form(x).clone();
    let dims = generator.broadcast(&form.dims, &generator.dims(y))?;
    let op = generator.random.one_of(["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]);
    generator.emit(op, &[x, y], vec![], bools_like(&form, dims))
}

pub fn connective(generator: &mut Generator) -> Option<Id> {
    let x = generator.bools()?;
    let form = generator.form(x).clone();
    let op = generator.random.one_of(["Not", "And", "Or", "Xor"]);
    if op == "Not" {
        return generator.emit(op, &[x], vec![], form);
    }
    let y = generator.partner_of(x, Interval::BOOL, true)?;
    let dims = generator.broadcast(&form.dims, &generator.dims(y))?;
    generator.emit(op, &[x, y], vec![], bools_like(&form, dims))
}

pub fn choice(generator: &mut Generator) -> Option<Id> {
    let condition = generator.bools()?;
    let dims = generator.dims(condition);
    let x = match generator.random.chance(70) {
        true => generator.find(|generator, form| form.dtype != DType::Bool && generator.broadcast(&dims, &form.dims).is_some())?,
        false => {
            let dims = if generator.random.chance(50) { dims.clone() } else { vec![] };
            generator.tensor(generator.float, &dims, Interval::around_zero(2.0))?
        }
    };
    let form = generator.form(x).clone();
    let joined = generator.broadcast(&dims, &form.dims)?;
    let y = generator.partner_within(&form.of(joined.clone()), Interval::around_zero(2.0), false)?;
    let other = generator.form(y).clone();
    let dims = generator.broadcast(&joined, &other.dims)?;
    let result = Form { dims, exact: form.exact && other.exact, interval: form.interval.hull(other.interval), ..form };
    let [a, b] = if generator.random.chance(50) { [x, y] } else { [y, x] };
    generator.emit("Where", &[condition, a, b], vec![], result)
}

pub fn kind_of_number(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=4)?;
    let form = generator.form(x).clone();
    let dims = form.dims.clone();
    let bools = Form { exact: true, ..bools_like(&form, dims) };
    match generator.random.chance(50) || form.dtype == DType::F16 {
        true => generator.emit("IsNaN", &[x], vec![], bools),
        false => {
            let names = ["detect_negative", "detect_positive"];
            let attributes = names.map(|name| draft::int(name, generator.random.below(2) as i64)).to_vec();
            generator.emit("IsInf", &[x], attributes, bools)
        }
    }
}

/// A few places to the left or right; before opset 28 only of unsigned numbers.
pub fn shift(generator: &mut Generator) -> Option<Id> {
    let mut x = generator.integers()?;
    if generator.opset < 28 {
        let form = generator.form(x).clone();
        let absolute = generator.emit("Abs", &[x], vec![], form.within(form.interval.absolute()))?;
        let form = generator.form(absolute).cast(DType::U32);
        let to = vec![draft::int("to", draft::data_type(DType::U32) as i64)];
        x = generator.emit("Cast", &[absolute], to, form)?;
    }
    let places = generator.partner_of(x, Interval::new(0.0, 3.0), true)?;
    if generator.form(places).interval.high > 3.0 {
        return None;
    }
    let form = generator.form(x).clone();
    let dims = generator.broadcast(&form.dims, &generator.dims(places))?;
    let direction = generator.random.one_of(["LEFT", "RIGHT"]);
    let moved = if direction == "LEFT" { form.interval.scale(8.0) } else { form.interval }.with_zero();
    let result = form.of(dims).within(Interval::new(moved.low.min(-1.0), moved.high));
    generator.emit("BitShift", &[x, places], vec![draft::text("direction", direction)], result)
}

/// Numbers that are not negative, so that the bounds are easy.
pub fn bitwise(generator: &mut Generator) -> Option<Id> {
    let x = generator.integers()?;
    let form = generator.form(x).clone();
    let around = Interval::around_zero(4.0 * form.interval.largest().max(16.0));
    let op = generator.random.one_of(["BitwiseNot", "BitwiseAnd", "BitwiseOr", "BitwiseXor"]);
    if op == "BitwiseNot" {
        return generator.emit(op, &[x], vec![], form.within(around));
    }
    let y = generator.partner_of(x, Interval::new(0.0, 15.0), true)?;
    let dims = generator.broadcast(&form.dims, &generator.dims(y))?;
    let around = around.hull(Interval::around_zero(4.0 * generator.form(y).interval.largest()));
    generator.emit(op, &[x, y], vec![], form.of(dims).within(around))
}
