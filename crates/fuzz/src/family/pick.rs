//! Elements picked by indices.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

pub fn gather(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=4)?;
    let axis = generator.axis(x)?;
    let size = generator.smallest(&generator.dims(x)[axis]);
    let indices = indices(generator, size)?;
    emit_gather(generator, x, indices, axis)
}

pub fn emit_gather(generator: &mut Generator, x: Id, indices: Id, axis: usize) -> Option<Id> {
    let form = generator.form(x).clone();
    let dims = [&form.dims[..axis], &generator.dims(indices), &form.dims[axis + 1..]].concat();
    let spelled = generator.spelled(axis, form.rank());
    generator.emit("Gather", &[x, indices], vec![draft::int("axis", spelled)], form.of(dims))
}

/// Integers in `-size..size`: some value, an input, or weights.
fn indices(generator: &mut Generator, size: i64) -> Option<Id> {
    let bounds = Interval::new(-size as f64, size as f64 - 1.0);
    let fits = |_: &Generator, form: &Form| {
        matches!(form.dtype, DType::I32 | DType::I64)
            && form.rank() <= 2
            && form.interval.low >= bounds.low
            && form.interval.high <= bounds.high
    };
    let found = if generator.random.chance(30) { generator.find(fits) } else { None };
    if found.is_some() {
        return found;
    }
    let dtype = generator.random.one_of([DType::I64, DType::I64, DType::I32]);
    let rank = generator.random.one_of([0, 1, 1, 1, 2]);
    let dims = generator.new_dims(rank);
    generator.tensor(dtype, &dims, bounds)
}

/// Indices of one or two axes, after as many batch axes as both tensors share.
pub fn gather_nd(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let batch = if form.rank() >= 2 && generator.random.chance(30) { 1 } else { 0 };
    let depth = 1 + generator.random.below((form.rank() - batch).min(2));
    let picked = &form.dims[batch..batch + depth];
    let smallest = picked.iter().map(|dim| generator.smallest(dim)).min().unwrap_or(1) as f64;
    let count = generator.size();
    let dims = [&form.dims[..batch], &[Expr::from(count), Expr::from(depth as i64)]].concat();
    let indices = generator.tensor(DType::I64, &dims, Interval::new(-smallest, smallest - 1.0))?;
    let result = [&form.dims[..batch], &[Expr::from(count)], &form.dims[batch + depth..]].concat();
    let attributes = if batch > 0 { vec![draft::int("batch_dims", batch as i64)] } else { vec![] };
    generator.emit("GatherND", &[x, indices], attributes, form.of(result))
}

/// Indices of x's rank, which may be longer on the axis and shorter on the others.
pub fn gather_elements(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=3)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let smallest = generator.smallest(&form.dims[axis]) as f64;
    let mut dims = form.dims.clone();
    dims[axis] = Expr::from(generator.size());
    let other = generator.random.below(form.rank());
    if other != axis && generator.random.chance(30) {
        dims[other] = Expr::one();
    }
    let indices = generator.tensor(DType::I64, &dims, Interval::new(-smallest, smallest - 1.0))?;
    let spelled = generator.spelled(axis, form.rank());
    generator.emit("GatherElements", &[x, indices], vec![draft::int("axis", spelled)], form.of(dims))
}
