//! Discrete Fourier transforms.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// Real numbers or pairs, with their axis behind the others: an old tensor, or a new one.
fn numbers(generator: &mut Generator, parts: i64) -> Option<Id> {
    if parts == 2 {
        let rank = generator.random.one_of([1, 2, 2, 3]);
        let dims = [generator.new_dims(rank), vec![Expr::from(2)]].concat();
        return generator.float_input(&dims);
    }
    let x = generator.floats(1..=3)?;
    let x = generator.tame(x, 20.0)?;
    let form = generator.form(x).clone();
    let axes = generator.list("axes", &[-1]);
    generator.emit("Unsqueeze", &[x, axes], vec![], form.of([&form.dims[..], &[Expr::one()]].concat()))
}

fn half(length: &Expr) -> Expr {
    length.floor_div(&Expr::from(2)) + 1
}

pub fn transform(generator: &mut Generator) -> Option<Id> {
    let parts = generator.random.between(1, 2);
    let x = numbers(generator, parts)?;
    let form = generator.form(x).clone();
    let axis = generator.random.below(form.rank() - 1);
    let (inverse, onesided) = match (parts, generator.random.chance(30)) {
        (1, onesided) => (false, onesided),
        (_, inverse) => (inverse, false),
    };
    let asked = generator.random.chance(40).then(|| generator.size());
    let length = asked.map_or(form.dims[axis].clone(), Expr::from);
    let mut dims = form.dims.clone();
    dims[axis] = if onesided { half(&length) } else { length.clone() };
    dims[form.rank() - 1] = Expr::from(2);
    if !generator.is_quick(dims.iter().chain([&form.dims[axis], &Expr::from(2)])) {
        return None;
    }
    let mut attributes = vec![];
    for (name, set) in [("inverse", inverse), ("onesided", onesided)] {
        if set || generator.random.chance(20) {
            attributes.push(draft::int(name, set as i64));
        }
    }
    let spelled = generator.spelled(axis, form.rank());
    let length = asked.map(|length| generator.number(DType::I64, length as f64));
    let mut operands = vec![Some(x), length];
    if generator.opset >= 20 {
        operands.push(Some(generator.number(DType::I64, spelled as f64)));
    } else {
        attributes.push(draft::int("axis", spelled));
    }
    let most = 2.0 * form.interval.largest() * generator.largest(&form.dims[axis]) as f64;
    let result = form.of(dims).within(Interval::around_zero(most)).rounded();
    let result = generator.emit_all("DFT", &operands, attributes, vec![result])?[0];
    generator.tame(result, 60.0)
}

pub fn frames(generator: &mut Generator) -> Option<Id> {
    let parts = generator.random.between(1, 2);
    let dims = [generator.dim(), generator.dim(), Expr::from(parts)];
    let x = generator.float_input(&dims)?;
    let smallest = generator.smallest(&dims[1]);
    let (length, step) = (generator.random.between(1, smallest.min(16)), generator.random.between(1, 5));
    let onesided = parts == 1 && generator.random.chance(60);
    let length_of = Expr::from(length);
    let bins = if onesided { half(&length_of) } else { length_of.clone() };
    let count = (&dims[1] - length).floor_div(&Expr::from(step)) + 1;
    let result = vec![dims[0].clone(), count, bins, Expr::from(2)];
    if !generator.is_quick(result.iter().chain([&length_of, &dims[2]])) {
        return None;
    }
    let step = generator.number(DType::I64, step as f64);
    let windowed = generator.random.chance(60);
    let float = generator.float;
    let window = if windowed { Some(generator.weight("window", float, &[length as usize], 1.0)?) } else { None };
    let said = if windowed && generator.random.chance(60) { None } else { Some(generator.number(DType::I64, length as f64)) };
    let attributes = vec![draft::int("onesided", onesided as i64)];
    let form = generator.form(x).clone();
    let most = 2.0 * form.interval.largest() * length as f64;
    let result = Form { dims: result, ..form }.within(Interval::around_zero(most)).rounded();
    let result = generator.emit_all("STFT", &[Some(x), Some(step), window, said], attributes, vec![result])?[0];
    generator.tame(result, 60.0)
}
