//! Tensors put together and taken apart along an axis.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use sym::Expr;

pub fn concat(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=5)?;
    let axis = generator.axis(x)?;
    let mut operands = vec![x];
    for _ in 0..1 + generator.random.below(3) {
        operands.push(neighbour(generator, x, axis)?);
    }
    generator.random.shuffle(&mut operands);
    emit_concat(generator, &operands, axis)
}

/// A tensor that differs from x in its size along the axis at most.
fn neighbour(generator: &mut Generator, x: Id, axis: usize) -> Option<Id> {
    let form = generator.form(x).clone();
    let others = |dims: &[Expr]| [&dims[..axis], &dims[axis + 1..]].concat();
    let fits =
        |_: &Generator, other: &Form| other.dtype == form.dtype && other.rank() == form.rank() && others(&other.dims) == others(&form.dims);
    if generator.random.chance(70) {
        return generator.find(fits);
    }
    let mut dims = form.dims.clone();
    dims[axis] = generator.dim();
    generator.tensor(form.dtype, &dims, Interval::new(0.0, 1.0))
}

pub fn emit_concat(generator: &mut Generator, operands: &[Id], axis: usize) -> Option<Id> {
    let forms: Vec<Form> = operands.iter().map(|id| generator.form(*id).clone()).collect();
    let mut result = forms.first()?.clone();
    for form in &forms[1..] {
        result.dims[axis] = &result.dims[axis] + &form.dims[axis];
        result.interval = result.interval.hull(form.interval);
        result.exact &= form.exact;
    }
    let spelled = generator.spelled(axis, result.rank());
    generator.emit("Concat", operands, vec![draft::int("axis", spelled)], result)
}

/// Parts of given sizes, or equal ones; the last of these may be smaller.
pub fn split(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=5)?;
    let axis = generator.axis(x)?;
    let size = generator.dims(x)[axis].as_const()?;
    let count = 1 + generator.random.between(1, 3);
    if size < count {
        return None;
    }
    let part = (size + count - 1) / count;
    if generator.random.chance(40) && part * (count - 1) < size {
        let parts: Vec<i64> = (0..count).map(|at| part.min(size - at * part)).collect();
        let attributes = vec![draft::int("axis", axis as i64), draft::int("num_outputs", count)];
        return emit_split(generator, x, axis, &parts, None, attributes);
    }
    let mut parts: Vec<i64> = vec![1; count as usize];
    for _ in 0..size - count {
        let at = generator.random.below(parts.len());
        parts[at] += 1;
    }
    let spelled = generator.spelled(axis, generator.rank(x));
    let sizes = generator.list("parts", &parts);
    emit_split(generator, x, axis, &parts, Some(sizes), vec![draft::int("axis", spelled)])
}

fn emit_split(
    generator: &mut Generator,
    x: Id,
    axis: usize,
    parts: &[i64],
    sizes: Option<Id>,
    attributes: Vec<onnx::proto::AttributeProto>,
) -> Option<Id> {
    let form = generator.form(x).clone();
    let part = |size: &i64| {
        let mut dims = form.dims.clone();
        dims[axis] = Expr::from(*size);
        form.of(dims)
    };
    let results = generator.emit_all("Split", &[Some(x), sizes], attributes, parts.iter().map(part).collect())?;
    generator.random.pick(&results)
}
