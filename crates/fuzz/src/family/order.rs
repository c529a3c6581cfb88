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
    let mut dims = form.dims.clone();
    dims[axis] = Expr::from(k);
    if !generator.is_quick(form.dims.iter().chain([&Expr::from(k)])) {
        return None;
    }
    let mut attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    if generator.random.chance(50) {
        attributes.push(draft::int("largest", generator.random.below(2) as i64));
    }
    let count = generator.list("k", &[k]);
    let size = generator.largest(&form.dims[axis]) as f64;
    let indices = Form { dtype: DType::I64, dims: dims.clone(), interval: Interval::new(0.0, size - 1.0), exact: true };
    let found = generator.emit_all("TopK", &[Some(x), Some(count)], attributes, vec![form.of(dims), indices])?;
    Some(found[generator.random.below(2)])
}
