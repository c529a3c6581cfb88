//! Products of bytes, as quantised models have them: with zero points, and scaled to floats behind.

use super::arithmetic::small;
use super::shape::numbers;
use super::window::Window;
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// The bytes of a type.
fn all_bytes(dtype: DType) -> Interval {
    let (low, high) = dtype.int_range().unwrap_or((0, 1));
    Interval::new(low as f64, high as f64)
}

fn byte_type(generator: &mut Generator) -> DType {
    generator.random.one_of([DType::U8, DType::U8, DType::I8])
}

/// A tensor of bytes with a rank in the range: an old one, floats or integers converted, or an input of the given dims.
fn bytes(generator: &mut Generator, fits: impl Fn(&Form) -> bool, dims: impl FnOnce(&mut Generator) -> Vec<Expr>) -> Option<Id> {
    let found = generator.find(|_, form| matches!(form.dtype, DType::I8 | DType::U8) && fits(form));
    if found.is_some() && generator.random.chance(70) {
        return found;
    }
    let (dtype, dims) = (byte_type(generator), dims(generator));
    generator.input(dtype, &dims, all_bytes(dtype))
}

/// A zero point of a tensor of bytes: none, a number, or a number for each of `count`, of which some may not be known.
fn zero_point(generator: &mut Generator, of: Id, count: Option<&Expr>) -> Option<Id> {
    let dtype = generator.form(of).dtype;
    let dims = match (generator.random.below(6), count) {
        (0 | 1, _) => return None,
        (2, Some(count)) => vec![count.clone()],
        (3, _) => vec![Expr::one()],
        _ => vec![],
    };
    if dims.is_empty() && generator.random.chance(15) {
        return Some(generator.number(dtype, 0.0));
    }
    generator.tensor(dtype, &dims, all_bytes(dtype))
}

/// What a sum of `count` products of differences of bytes may be.
fn product_interval(count: i64) -> Interval {
    Interval::around_zero(255.0 * 255.0 * count as f64)
}

/// The sums as floats, scaled to about 1; or as small whole numbers.
fn rescaled(generator: &mut Generator, sums: Id, count: i64) -> Option<Id> {
    let form = generator.form(sums).clone();
    let float = generator.float;
    if float == DType::F16 || generator.random.chance(30) {
        return small(generator, sums);
    }
    let exact = form.interval.largest() * float.unit_roundoff() < 0.5;
    let wide = Form { exact, ..form.cast(float) };
    let floats = generator.emit("Cast", &[sums], vec![draft::int("to", draft::data_type(float) as i64)], wide)?;
    let factor = 1.0 / (255.0 * 64.0 * (count as f64).sqrt());
    let scale = generator.number(float, factor);
    let scaled = generator.form(floats).clone().rounded().within(form.interval.scale(factor));
    let scaled = generator.emit("Mul", &[floats, scale], vec![], scaled)?;
    generator.tame(scaled, 60.0)
}

pub fn matmul(generator: &mut Generator) -> Option<Id> {
    let rank = generator.random.one_of([1, 2, 2, 2, 3, 4]);
    let a = bytes(generator, |form| (1..=4).contains(&form.rank()), |generator| generator.new_dims(rank))?;
    let form = generator.form(a).clone();
    let (rows, depth) = (form.dims[..form.rank() - 1].to_vec(), form.dims[form.rank() - 1].clone());
    let columns = if generator.random.chance(85) { vec![Expr::from(generator.size())] } else { vec![] };
    let batch = rows[..rows.len().saturating_sub(1)].to_vec();
    let batch = if columns.is_empty() || generator.random.chance(60) { vec![] } else { batch };
    let dtype = byte_type(generator);
    let b = generator.tensor(dtype, &[&batch[..], std::slice::from_ref(&depth), &columns].concat(), all_bytes(dtype))?;
    let dims = [&rows[..], &columns].concat();
    if !generator.is_quick(dims.iter().chain([&depth])) {
        return None;
    }
    let p = zero_point(generator, a, rows.last().filter(|_| rows.len() == 1 && columns.len() == 1));
    let q = zero_point(generator, b, columns.first().filter(|_| batch.is_empty()));
    let count = generator.largest(&depth);
    let sums = Form { dtype: DType::I32, dims, interval: product_interval(count), exact: true };
    let sums = generator.emit_all("MatMulInteger", &[Some(a), Some(b), p, q], vec![], vec![sums])?[0];
    rescaled(generator, sums, count)
}

pub fn conv(generator: &mut Generator) -> Option<Id> {
    let fits = |form: &Form| (3..=5).contains(&form.rank()) && form.dims[1].as_const().is_some();
    let x = bytes(generator, fits, |generator| {
        let spatial = generator.random.one_of([1, 2, 2, 3]);
        let sides = [1, 4, 5, 7, 8, 9, 12, 16];
        let mut dims = vec![generator.dim(), Expr::from(generator.random.one_of([1, 2, 3, 4, 8, 16]))];
        dims.extend((0..spatial).map(|_| Expr::from(generator.random.one_of(sides))));
        dims
    })?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()?;
    let groups = if generator.random.chance(25) { channels } else { 1 };
    let maps = groups * generator.random.one_of([1, 2, 8, 17]);
    let window = Window::draw(generator, &form.dims[2..]);
    let dims = [&[form.dims[0].clone(), Expr::from(maps)], &window.positions(generator, &form.dims[2..])?[..]].concat();
    let count = channels / groups * window.count();
    if !generator.is_quick(dims.iter().chain([&Expr::from(count)])) {
        return None;
    }
    let shape: Vec<Expr> = [&[maps, channels / groups], &window.taps[..]].concat().into_iter().map(Expr::from).collect();
    let dtype = byte_type(generator);
    let w = generator.weight_within("weight", dtype, &numbers(&shape)?, all_bytes(dtype))?;
    let p = zero_point(generator, x, None);
    let q = zero_point(generator, w, Some(&Expr::from(maps)));
    let mut attributes = window.attributes(generator);
    if groups != 1 || generator.random.chance(30) {
        attributes.push(draft::int("group", groups));
    }
    let sums = Form { dtype: DType::I32, dims, interval: product_interval(count), exact: true };
    let sums = generator.emit_all("ConvInteger", &[Some(x), Some(w), p, q], attributes, vec![sums])?[0];
    rescaled(generator, sums, count)
}
