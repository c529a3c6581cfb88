//! Composites spelled out in small ops, as older exporters do, and near misses of them: a compiler that recovers the names must not
//! mistake one for the other.

use super::chain::{add, multiply, scaled};
use super::fold::mean_of_rows;
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;

/// A constant, in one of ten cases another one.
fn near(generator: &mut Generator, number: f64) -> f64 {
    if generator.random.chance(10) { number * 1.25 } else { number }
}

fn apply(generator: &mut Generator, op: &str, x: Id, interval: Interval) -> Option<Id> {
    let form = generator.form(x).within(interval).rounded();
    generator.emit(op, &[x], vec![], form)
}

fn plus(generator: &mut Generator, x: Id, number: f64) -> Option<Id> {
    let dtype = generator.form(x).dtype;
    let number = generator.number(dtype, number);
    add(generator, x, number)
}

pub fn gelu(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    gelu_of(generator, x)
}

pub fn gelu_of(generator: &mut Generator, x: Id) -> Option<Id> {
    if generator.random.chance(30) { gelu_tanh_of(generator, x) } else { gelu_erf_of(generator, x) }
}

/// `x/2 (1 + erf(x/sqrt 2))`, with its factors in one of several orders.
fn gelu_erf_of(generator: &mut Generator, x: Id) -> Option<Id> {
    let factor = near(generator, 0.5f64.sqrt());
    let inner = scaled(generator, x, factor)?;
    let erf = apply(generator, "Erf", inner, Interval::around_zero(1.0))?;
    let sum = plus(generator, erf, 1.0)?;
    halved_product(generator, x, sum)
}

/// `a * b / 2`
fn halved_product(generator: &mut Generator, a: Id, b: Id) -> Option<Id> {
    match generator.random.below(3) {
        0 => {
            let half = scaled(generator, a, 0.5)?;
            multiply(generator, half, b)
        }
        1 => {
            let half = scaled(generator, b, 0.5)?;
            multiply(generator, a, half)
        }
        _ => {
            let product = multiply(generator, a, b)?;
            scaled(generator, product, 0.5)
        }
    }
}

/// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`
fn gelu_tanh_of(generator: &mut Generator, x: Id) -> Option<Id> {
    let x = generator.tame(x, 10.0)?;
    let form = generator.form(x).clone();
    let cube = match generator.random.chance(50) {
        true => {
            let three = generator.number(form.dtype, 3.0);
            let cube = form.within(form.interval.rising(|x| x.powi(3))).rounded();
            generator.emit("Pow", &[x, three], vec![], cube)?
        }
        false => {
            let square = multiply(generator, x, x)?;
            multiply(generator, square, x)?
        }
    };
    let factor = near(generator, 0.044715);
    let part = scaled(generator, cube, factor)?;
    let sum = add(generator, x, part)?;
    let inner = scaled(generator, sum, (2.0 / std::f64::consts::PI).sqrt())?;
    let tanh = apply(generator, "Tanh", inner, Interval::around_zero(1.0))?;
    let sum = plus(generator, tanh, 1.0)?;
    halved_product(generator, x, sum)
}

pub fn swish(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    swish_of(generator, x)
}

pub fn swish_of(generator: &mut Generator, x: Id) -> Option<Id> {
    let gate = apply(generator, "Sigmoid", x, Interval::BOOL)?;
    multiply(generator, x, gate)
}

pub fn layer_norm(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    layer_norm_of(generator, x)
}

/// `(x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias` over the last axis.
pub fn layer_norm_of(generator: &mut Generator, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    let width = form.dims.last()?.as_const()? as usize;
    let mean = mean_of_rows(generator, x)?;
    let spread = Interval::around_zero(2.0 * form.interval.largest());
    let centred = generator.emit("Sub", &[x, mean], vec![], form.within(spread).rounded())?;
    let square = square(generator, centred)?;
    let normal = over_root_mean(generator, centred, square, width)?;
    let scale = generator.weight_within("scale", form.dtype, &[width], Interval::new(0.5, 1.5))?;
    let result = multiply(generator, normal, scale)?;
    let bias = generator.weight("bias", form.dtype, &[width], 1.0)?;
    if generator.random.chance(85) { add(generator, result, bias) } else { Some(result) }
}

fn square(generator: &mut Generator, x: Id) -> Option<Id> {
    let form: Form = generator.form(x).clone();
    let squared = form.within(Interval::new(0.0, form.interval.largest().powi(2))).rounded();
    if generator.random.chance(30) {
        return generator.emit("Mul", &[x, x], vec![], squared);
    }
    let two = generator.number(form.dtype, 2.0);
    generator.emit("Pow", &[x, two], vec![], squared)
}

/// `x / sqrt(mean(square) + epsilon)` over rows of `width`.
fn over_root_mean(generator: &mut Generator, x: Id, square: Id, width: usize) -> Option<Id> {
    let form = generator.form(x).clone();
    let mean = mean_of_rows(generator, square)?;
    let epsilon = generator.random.one_of([1e-5, 1e-3]);
    let shifted = plus(generator, mean, epsilon)?;
    let low = generator.form(shifted).interval.low.max(epsilon);
    let shifted_interval = Interval::new(low, generator.form(shifted).interval.high.max(epsilon));
    let root = apply(generator, "Sqrt", shifted, shifted_interval.rising(f64::sqrt))?;
    let normal = form.within(Interval::around_zero(1.01 * (width as f64).sqrt())).rounded();
    if generator.random.chance(70) {
        return generator.emit("Div", &[x, root], vec![], normal);
    }
    let root_interval = generator.form(root).interval;
    let inverse = apply(generator, "Reciprocal", root, Interval::new(1.0 / root_interval.high, 1.0 / root_interval.low))?;
    generator.emit("Mul", &[x, inverse], vec![], normal)
}

/// `x / sqrt(mean(x^2) + epsilon) * scale` over the last axis.
pub fn rms_norm(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let width = form.dims.last()?.as_const()? as usize;
    let square = square(generator, x)?;
    let normal = over_root_mean(generator, x, square, width)?;
    let scale = generator.weight_within("scale", form.dtype, &[width], Interval::new(0.5, 1.5))?;
    multiply(generator, normal, scale)
}

/// `exp(x - max) / sum exp(x - max)` along one axis.
pub fn softmax(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let mut dims = form.dims.clone();
    dims[axis] = sym::Expr::one();
    let axes = generator.list("axes", &[axis as i64]);
    let max = generator.emit("ReduceMax", &[x, axes], vec![draft::int("keepdims", 1)], form.of(dims.clone()))?;
    let shifted = form.within(Interval::new(-2.0 * form.interval.largest(), 0.0)).rounded();
    let shifted = generator.emit("Sub", &[x, max], vec![], shifted)?;
    let exp = apply(generator, "Exp", shifted, Interval::BOOL)?;
    let count = generator.largest(&form.dims[axis]) as f64;
    let sum = form.of(dims).within(Interval::new(1.0, count)).rounded();
    let sum = generator.emit("ReduceSum", &[exp, axes], vec![], sum)?;
    generator.emit("Div", &[exp, sum], vec![], form.within(Interval::BOOL).rounded())
}
