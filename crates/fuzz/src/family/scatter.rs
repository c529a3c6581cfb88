//! Elements changed at places picked by indices.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

/// Single elements along an axis, by indices that may be shorter than x on the others.
pub fn elements(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=3)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let smallest = generator.smallest(&form.dims[axis]) as f64;
    let (mut dims, count) = (form.dims.clone(), generator.size());
    dims[axis] = Expr::from(count);
    let other = generator.random.below(form.rank());
    if other != axis && generator.random.chance(30) {
        dims[other] = Expr::one();
    }
    let indices = generator.tensor(DType::I64, &dims, Interval::new(-smallest, smallest - 1.0))?;
    let updates = updates(generator, &form, &dims)?;
    let (mut attributes, result) = reduction(generator, &form, updates, count);
    attributes.push(draft::int("axis", generator.spelled(axis, form.rank())));
    generator.emit("ScatterElements", &[x, indices, updates], attributes, result)
}

/// Slices at places of one or two indices.
pub fn slices(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let depth = 1 + generator.random.below(form.rank().min(2));
    let smallest = form.dims[..depth].iter().map(|dim| generator.smallest(dim)).min().unwrap_or(1) as f64;
    let count = generator.size();
    let rows = [Expr::from(count), Expr::from(depth as i64)];
    let indices = generator.tensor(DType::I64, &rows, Interval::new(-smallest, smallest - 1.0))?;
    let dims = [&rows[..1], &form.dims[depth..]].concat();
    let updates = updates(generator, &form, &dims)?;
    let (attributes, result) = reduction(generator, &form, updates, count);
    generator.emit("ScatterND", &[x, indices, updates], attributes, result)
}

/// New entries of a cache, of opset 24.
pub fn cache(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 24 {
        return None;
    }
    let x = generator.floats(2..=4)?;
    let form = generator.form(x).clone();
    let axis = 1 + generator.random.below(form.rank() - 1);
    let size = generator.smallest(&form.dims[axis]);
    let count = generator.random.between(1, size);
    let mut dims = form.dims.clone();
    dims[axis] = Expr::from(count);
    let updates = updates(generator, &form, &dims)?;
    let circular = generator.random.chance(50);
    let last = if circular { 2 * size } else { size - count };
    let places = match generator.random.chance(70) {
        true => Some(generator.tensor(DType::I64, &form.dims[..1], Interval::new(0.0, last as f64))?),
        false => None,
    };
    let mut attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    if circular {
        attributes.push(draft::text("mode", "circular"));
    }
    let other = generator.form(updates).clone();
    let result = Form { exact: form.exact && other.exact, ..form.within(form.interval.hull(other.interval)) };
    generator.emit_all("TensorScatter", &[Some(x), Some(updates), places], attributes, vec![result])?.first().copied()
}

/// Some value of these dims between -1 and 1, or a new one.
fn updates(generator: &mut Generator, x: &Form, dims: &[Expr]) -> Option<Id> {
    let fits = |_: &Generator, form: &Form| form.dtype == x.dtype && form.dims == dims && form.interval.largest() <= 1.0;
    let found = if generator.random.chance(30) { generator.find(fits) } else { None };
    found.or_else(|| generator.tensor(x.dtype, dims, Interval::around_zero(1.0)))
}

/// How `count` updates, at most, change an element, and what that gives.
fn reduction(generator: &mut Generator, x: &Form, updates: Id, count: i64) -> (Vec<AttributeProto>, Form) {
    let form = generator.form(updates).clone();
    let either = Form { exact: x.exact && form.exact, ..x.within(x.interval.hull(form.interval)) };
    let name = generator.random.one_of(["none", "none", "add", "mul", "max", "min"]);
    let result = match name {
        "add" => x.rounded().within(x.interval.plus(form.interval.with_zero().scale(count as f64))),
        "mul" => x.rounded().within(Interval::around_zero(x.interval.largest())),
        _ => either,
    };
    let attributes = if name == "none" { vec![] } else { vec![draft::text("reduction", name)] };
    (attributes, result)
}
