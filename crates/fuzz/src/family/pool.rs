//! Pools.

use super::window::{Window, images};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

pub fn pool(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let spatial = generator.dims(x)[2..].to_vec();
    let mut window = Window::draw(generator, &spatial);
    let average = generator.random.chance(50);
    if average {
        window = window.without_dilations();
    }
    window = window.with_short_padding();
    window.rounds_up = window.auto_pad.is_none() && generator.random.chance(25);
    let form = generator.form(x).clone();
    let dims = [&form.dims[..2], &window.positions(generator, &spatial)?].concat();
    let mut attributes = window.attributes(generator);
    if average {
        attributes.retain(|attribute| attribute.name != "dilations");
    }
    if window.rounds_up {
        attributes.push(draft::int("ceil_mode", 1));
    }
    let result = form.of(dims).within(form.interval.with_zero());
    if !average {
        return match form.exact && generator.random.chance(35) {
            true => places(generator, x, attributes, result),
            false => generator.emit("MaxPool", &[x], attributes, result),
        };
    }
    if generator.random.chance(40) {
        attributes.push(draft::int("count_include_pad", generator.random.below(2) as i64));
    }
    generator.emit("AveragePool", &[x], attributes, result.rounded())
}

/// Maxima with their places; in part of the cases they go back there.
fn places(generator: &mut Generator, x: Id, mut attributes: Vec<AttributeProto>, result: Form) -> Option<Id> {
    if generator.random.chance(30) {
        attributes.push(draft::int("storage_order", 1));
    }
    let count = generator.largest(&Expr::product(&generator.dims(x)));
    let places = Form { dtype: DType::I64, interval: Interval::new(0.0, count as f64), exact: true, ..result.clone() };
    let found = generator.emit_all("MaxPool", &[Some(x)], attributes, vec![result, places])?;
    Some(found[0])
}

/// Elements put to the places that `MaxPool` finds for windows side by side.
pub fn unpool(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let form = generator.form(x).clone();
    let taps = generator.random.one_of([1, 2, 2, 3]);
    let fits = |dim: &Expr| dim.as_const().is_some_and(|dim| dim % taps == 0);
    if form.rank() < 3 || !form.dims[2..].iter().all(fits) {
        return None;
    }
    let dims = [&form.dims[..2], &form.dims[2..].iter().map(|dim| dim.floor_div(&Expr::from(taps))).collect::<Vec<Expr>>()].concat();
    let each = vec![taps; form.rank() - 2];
    let attributes = vec![draft::ints("kernel_shape", &each), draft::ints("strides", &each)];
    let count = generator.largest(&Expr::product(&form.dims));
    let places = Form { dtype: DType::I64, dims: dims.clone(), interval: Interval::new(0.0, count as f64), exact: true };
    let found = generator.emit_all("MaxPool", &[Some(x)], attributes.clone(), vec![form.of(dims), places])?;
    generator.emit("MaxUnpool", &found, attributes, form.within(form.interval.with_zero()))
}

/// The norm of each window.
pub fn norms(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let spatial = form.dims[2..].to_vec();
    let (p, exponent) = exponent(generator);
    if generator.random.chance(35) {
        let count = generator.largest(&Expr::product(&spatial));
        let mut dims = form.dims.clone();
        dims[2..].fill(Expr::one());
        return emit_norm(generator, "GlobalLpPool", x, exponent, (dims, p, count));
    }
    let mut window = Window::draw(generator, &spatial).with_short_padding();
    window.rounds_up = window.auto_pad.is_none() && generator.random.chance(25);
    let dims = [&form.dims[..2], &window.positions(generator, &spatial)?].concat();
    let mut attributes = [window.attributes(generator), exponent].concat();
    if window.rounds_up {
        attributes.push(draft::int("ceil_mode", 1));
    }
    emit_norm(generator, "LpPool", x, attributes, (dims, p, window.count()))
}

/// The exponent of a norm, and the attribute that says it.
fn exponent(generator: &mut Generator) -> (i64, Vec<AttributeProto>) {
    let p = generator.random.one_of([1, 2, 2, 3]);
    let said = p != 2 || generator.random.chance(50);
    (p, if said { vec![draft::int("p", p)] } else { vec![] })
}

/// Norms of `count` elements each, tame before as well, for a power of them is summed.
fn emit_norm(
    generator: &mut Generator,
    op: &str,
    x: Id,
    attributes: Vec<AttributeProto>,
    (dims, p, count): (Vec<Expr>, i64, i64),
) -> Option<Id> {
    let x = generator.tame(x, 20.0)?;
    let form = generator.form(x).clone();
    let most = form.interval.largest() * (count as f64).powf(1.0 / p as f64);
    let norms = generator.emit(op, &[x], attributes, form.of(dims).within(Interval::new(0.0, most)).rounded())?;
    generator.tame(norms, 60.0)
}

pub fn global(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let mut dims = form.dims.clone();
    dims[2..].fill(Expr::one());
    match generator.random.chance(60) {
        true => generator.emit("GlobalAveragePool", &[x], vec![], form.of(dims).rounded()),
        false => generator.emit("GlobalMaxPool", &[x], vec![], form.of(dims)),
    }
}
