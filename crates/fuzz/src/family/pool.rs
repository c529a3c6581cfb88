//! Pools.

use super::window::{Window, images};
use crate::draft;
use crate::generator::{Generator, Id};

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
        return generator.emit("MaxPool", &[x], attributes, result);
    }
    if generator.random.chance(40) {
        attributes.push(draft::int("count_include_pad", generator.random.below(2) as i64));
    }
    generator.emit("AveragePool", &[x], attributes, result.rounded())
}

pub fn global(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let mut dims = form.dims.clone();
    dims[2..].fill(sym::Expr::one());
    match generator.random.chance(60) {
        true => generator.emit("GlobalAveragePool", &[x], vec![], form.of(dims).rounded()),
        false => generator.emit("GlobalMaxPool", &[x], vec![], form.of(dims)),
    }
}
