//! Chains of nodes as networks have them, which compilers fuse.

use super::window::Window;
use super::{norm, pick, product, unary, window};
use crate::generator::{Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// The sum of two values of equal type; None where their dims differ.
pub fn add(generator: &mut Generator, a: Id, b: Id) -> Option<Id> {
    let (left, right) = (generator.form(a).clone(), generator.form(b).clone());
    let dims = generator.broadcast(&left.dims, &right.dims)?;
    let sum = left.of(dims).within(left.interval.plus(right.interval)).rounded();
    let operands = generator.random.shuffled([a, b]);
    generator.emit("Add", &operands, vec![], sum)
}

pub fn multiply(generator: &mut Generator, a: Id, b: Id) -> Option<Id> {
    let (left, right) = (generator.form(a).clone(), generator.form(b).clone());
    let dims = generator.broadcast(&left.dims, &right.dims)?;
    let product = left.of(dims).within(left.interval.multiply(right.interval)).rounded();
    let operands = generator.random.shuffled([a, b]);
    generator.emit("Mul", &operands, vec![], product)
}

/// `x W + bias` to so many columns.
pub fn linear(generator: &mut Generator, x: Id, columns: i64) -> Option<Id> {
    let form = generator.form(x).clone();
    let depth = form.dims.last()?.as_const()?;
    let weights = generator.weight("weight", form.dtype, &[depth as usize, columns as usize], 1.7 / (depth as f64).sqrt())?;
    let product = product::emit_matmul(generator, x, weights)?;
    let product = generator.tame(product, 60.0)?;
    if generator.random.chance(20) {
        return Some(product);
    }
    let bias = generator.weight("bias", form.dtype, &[columns as usize], 1.0)?;
    add(generator, product, bias)
}

/// A tensor whose last dim is a number.
pub fn rows(generator: &mut Generator) -> Option<Id> {
    let fits = |_: &Generator, form: &crate::generator::Form| {
        form.is_float() && (2..=4).contains(&form.rank()) && form.dims.last().is_some_and(|dim| dim.as_const().is_some())
    };
    let found = generator.find(fits);
    if found.is_some() && generator.random.chance(75) {
        return found;
    }
    let rank = generator.random.between(1, 2) as usize;
    let mut dims = generator.new_dims(rank);
    dims.push(Expr::from(generator.random.one_of([4, 8, 16, 24, 32, 33, 48])));
    generator.float_input(&dims)
}

pub fn dense(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let columns = generator.size();
    let hidden = linear(generator, x, columns)?;
    unary::step(generator, hidden)
}

/// Two layers around an activation, the sum with x, and a normalisation.
pub fn residual_block(generator: &mut Generator) -> Option<Id> {
    let x = rows(generator)?;
    let width = generator.dims(x).last()?.as_const()?;
    let hidden = linear(generator, x, 2 * width)?;
    let active = match generator.random.below(3) {
        0 => super::spelled::gelu_of(generator, hidden)?,
        1 => super::spelled::swish_of(generator, hidden)?,
        _ => unary::step(generator, hidden)?,
    };
    let active = generator.tame(active, 20.0)?;
    let projected = linear(generator, active, width)?;
    let sum = add(generator, projected, x)?;
    let last = generator.rank(sum) - 1;
    if generator.random.chance(70) { norm::emit_layer_norm(generator, sum, last) } else { super::spelled::layer_norm_of(generator, sum) }
}

/// A convolution that keeps sizes, a normalisation, an activation, and the sum with x where the channels are as many.
pub fn conv_block(generator: &mut Generator) -> Option<Id> {
    let x = window::images(generator)?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()?;
    let axes = form.rank() - 2;
    let taps = generator.random.one_of([1, 3, 3, 5]);
    let same = Window {
        taps: vec![taps; axes],
        strides: vec![1; axes],
        dilations: vec![1; axes],
        low: vec![taps / 2; axes],
        high: vec![taps / 2; axes],
        auto_pad: None,
        rounds_up: false,
    };
    let depthwise = generator.random.chance(30);
    let kept = generator.random.chance(60) || depthwise;
    let maps = if kept { channels } else { generator.random.one_of([4, 8, 16, 20]) };
    let y = window::emit_conv(generator, x, maps, if depthwise { channels } else { 1 }, &same)?;
    let y = if generator.random.chance(60) { norm::emit_batch_norm(generator, y)? } else { y };
    let relu = generator.form(y).within(generator.form(y).interval.rising(|x| x.max(0.0)));
    let y = generator.emit("Relu", &[y], vec![], relu)?;
    let y = if kept { add(generator, y, x)? } else { y };
    generator.tame(y, 60.0)
}

/// Channels scaled by what a pool of them gives.
pub fn squeeze_excite(generator: &mut Generator) -> Option<Id> {
    let x = window::images(generator)?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()?;
    let mut dims = form.dims.clone();
    dims[2..].fill(Expr::one());
    let pooled = generator.emit("GlobalAveragePool", &[x], vec![], form.of(dims).rounded())?;
    let axes = form.rank() - 2;
    let point = Window {
        taps: vec![1; axes],
        strides: vec![1; axes],
        dilations: vec![1; axes],
        low: vec![0; axes],
        high: vec![0; axes],
        auto_pad: None,
        rounds_up: false,
    };
    let hidden = window::emit_conv(generator, pooled, (channels / 2).max(1), 1, &point)?;
    let active = generator.form(hidden).within(generator.form(hidden).interval.rising(|x| x.max(0.0)));
    let hidden = generator.emit("Relu", &[hidden], vec![], active)?;
    let gate = window::emit_conv(generator, hidden, channels, 1, &point)?;
    let form = generator.form(gate).within(Interval::BOOL);
    let gate = generator.emit("Sigmoid", &[gate], vec![], form)?;
    multiply(generator, x, gate)
}

/// Rows of a table by ids, with the rows of another by position, normalised.
pub fn embedding(generator: &mut Generator) -> Option<Id> {
    let (rows, width) = (generator.size() + 1, generator.random.one_of([4, 8, 16, 24, 32]));
    let rank = generator.random.between(1, 2) as usize;
    let dims = generator.new_dims(rank);
    let ids = generator.input(DType::I64, &dims, Interval::new(0.0, rows as f64 - 1.0))?;
    let table = generator.weight("table", generator.float, &[rows as usize, width as usize], 1.0)?;
    let words = pick::emit_gather(generator, table, ids, 0)?;
    let longest = generator.largest(dims.last()?) as usize;
    let places = generator.weight("places", generator.float, &[longest, width as usize], 1.0)?;
    let at = super::spread::positions(generator, ids, rank - 1)?;
    let places = pick::emit_gather(generator, places, at, 0)?;
    let sum = add(generator, words, places)?;
    norm::emit_layer_norm(generator, sum, rank)
}

/// x times a number.
pub fn scaled(generator: &mut Generator, x: Id, factor: f64) -> Option<Id> {
    let form = generator.form(x).clone();
    let scaled = form.within(form.interval.scale(factor)).rounded();
    if generator.random.chance(30) {
        let divisor = generator.number(form.dtype, 1.0 / factor);
        return generator.emit("Div", &[x, divisor], vec![], scaled);
    }
    let factor = generator.number(form.dtype, factor);
    generator.emit("Mul", &[x, factor], vec![], scaled)
}
