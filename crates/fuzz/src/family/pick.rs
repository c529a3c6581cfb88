//! Elements picked by indices.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
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

/// The first elements of each batch in the opposite order.
pub fn reversed(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(2..=4)?;
    let form = generator.form(x).clone();
    let time = generator.random.below(2);
    let most = generator.smallest(&form.dims[time]) as f64;
    let lengths = generator.tensor(DType::I64, &form.dims[1 - time..=1 - time], Interval::new(0.0, most))?;
    let attributes = vec![draft::int("time_axis", time as i64), draft::int("batch_axis", 1 - time as i64)];
    let attributes = if time == 0 && generator.random.chance(50) { vec![] } else { attributes };
    generator.emit("ReverseSequence", &[x, lengths], attributes, form)
}

/// Slices of an axis, or elements, that a list of bools chooses.
pub fn compressed(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=4)?;
    let form = generator.form(x).clone();
    let axis = if generator.random.chance(80) { generator.axis(x) } else { None };
    let size = axis.map_or_else(|| Expr::product(&form.dims), |axis| form.dims[axis].clone());
    let most = generator.smallest(&size).min(20);
    let mut chosen: Vec<i64> = (0..most).map(|_| generator.random.below(2) as i64).collect();
    *chosen.first_mut()? = 1;
    let count = Expr::from(chosen.iter().sum::<i64>());
    let condition = generator.constant("condition", &Tensor::from_array(&Array::ints(DType::Bool, vec![chosen.len()], chosen)));
    let mut dims = form.dims.clone();
    match axis {
        Some(axis) => dims[axis] = count,
        None => dims = vec![count],
    }
    let attributes = axis.map(|axis| draft::int("axis", generator.spelled(axis, form.rank()))).into_iter().collect();
    generator.emit("Compress", &[x, condition], attributes, form.of(dims))
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
