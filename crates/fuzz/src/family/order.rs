//! Elements in order.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// The largest or smallest elements of an axis, and their indices. Floats are those that no rounding made.
pub fn top(generator: &mut Generator) -> Option<Id> {
    let x = if generator.random.chance(60) { generator.exact_floats()? } else { generator.integers()? };
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let smallest = generator.smallest(&form.dims[axis]);
    let k = generator.random.between(1, smallest.min(12));
    let all = generator.random.chance(25);
    let mut dims = form.dims.clone();
    if !all {
        dims[axis] = Expr::from(k);
    }
    if !generator.is_quick(form.dims.iter().chain([&dims[axis]])) {
        return None;
    }
    let mut attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    if generator.random.chance(50) {
        attributes.push(draft::int("largest", generator.random.below(2) as i64));
    }
    let count = if all { size_of(generator, x, axis)? } else { generator.list("k", &[k]) };
    let size = generator.largest(&form.dims[axis]) as f64;
    let indices = Form { dtype: DType::I64, dims: dims.clone(), interval: Interval::new(0.0, size - 1.0), exact: true };
    let found = generator.emit_all("TopK", &[Some(x), Some(count)], attributes, vec![form.of(dims), indices])?;
    Some(found[generator.random.below(2)])
}

/// The size of an axis, as a vector of one element.
fn size_of(generator: &mut Generator, x: Id, axis: usize) -> Option<Id> {
    let form = generator.form(x).clone();
    let vector = Form { dtype: DType::I64, dims: vec![Expr::from(form.rank() as i64)], interval: Interval::new(0.0, 1e4), exact: true };
    let shape = generator.emit("Shape", &[x], vec![], vector.clone())?;
    let at = generator.list("axis", &[axis as i64]);
    generator.emit("Gather", &[shape, at], vec![], vector.of(vec![Expr::one()]))
}
