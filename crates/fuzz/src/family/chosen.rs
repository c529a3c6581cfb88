//! What is picked by its elements, so that its size depends on data. Its sums have sizes that are known again.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

/// The results of a node, those whose sizes depend on data with 1 in their place. No other step takes them.
pub fn hidden(
    generator: &mut Generator,
    op: &str,
    operands: &[Option<Id>],
    attributes: Vec<AttributeProto>,
    forms: Vec<Form>,
) -> Option<Vec<Id>> {
    let ids = generator.emit_all(op, operands, attributes, forms)?;
    ids.iter().for_each(|id| generator.hide(*id, true));
    Some(ids)
}

/// The sum along an axis of which there are at most `most` places.
pub fn summed(generator: &mut Generator, x: Id, axis: usize, most: f64) -> Option<Id> {
    let form = generator.form(x).clone();
    let mut dims = form.dims.clone();
    dims.remove(axis);
    let axes = generator.list("axes", &[axis as i64]);
    let interval = form.interval.scale(most).with_zero();
    let form = form.rounded().of(dims).within(interval);
    generator.emit("ReduceSum", &[x, axes], vec![draft::int("keepdims", 0)], form)
}

fn indices(dims: Vec<Expr>, most: f64) -> Form {
    Form { dtype: DType::I64, dims, interval: Interval::new(0.0, most), exact: true }
}

/// Values whose elements every compiler tells apart.
fn told_apart(generator: &mut Generator) -> Option<Id> {
    match generator.random.below(3) {
        0 => generator.exact_floats(),
        1 => generator.bools(),
        _ => generator.integers(),
    }
}

pub fn non_zero(generator: &mut Generator) -> Option<Id> {
    let x = told_apart(generator)?;
    let dims = generator.dims(x);
    let most = generator.largest(&Expr::product(&dims)) as f64;
    let columns = indices(vec![Expr::from(dims.len() as i64), Expr::one()], most);
    let found = hidden(generator, "NonZero", &[Some(x)], vec![], vec![columns])?[0];
    summed(generator, found, 1, most)
}

pub fn compress(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let condition = generator.tensor(DType::Bool, &form.dims[axis..axis + 1], Interval::BOOL)?;
    let mut dims = form.dims.clone();
    dims[axis] = Expr::one();
    let attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    let kept = hidden(generator, "Compress", &[Some(x), Some(condition)], attributes, vec![form.of(dims)])?[0];
    let most = generator.largest(&form.dims[axis]) as f64;
    summed(generator, kept, axis, most)
}

pub fn unique(generator: &mut Generator) -> Option<Id> {
    let x = told_apart(generator)?;
    let form = generator.form(x).clone();
    let axis = if generator.random.chance(50) { generator.axis(x) } else { None };
    let size = axis.map_or_else(|| Expr::product(&form.dims), |axis| form.dims[axis].clone());
    if form.dtype == DType::Bool || !generator.is_quick([&size, &Expr::product(&form.dims)]) {
        return None;
    }
    let mut dims = axis.map_or(vec![Expr::one()], |_| form.dims.clone());
    let at = axis.unwrap_or(0);
    dims[at] = Expr::one();
    let mut attributes = vec![draft::int("sorted", generator.random.below(2) as i64)];
    attributes.extend(axis.map(|axis| draft::int("axis", generator.spelled(axis, form.rank()))));
    let most = generator.largest(&size) as f64;
    let (each, one) = (indices(vec![size], most), indices(vec![Expr::one()], most));
    let forms = vec![form.of(dims), one.clone(), each, one];
    let results = hidden(generator, "Unique", &[Some(x)], attributes, forms)?;
    match generator.random.below(4) {
        0 => summed(generator, results[0], at, most),
        2 => {
            generator.hide(results[2], false);
            Some(results[2])
        }
        other => summed(generator, results[other], 0, most),
    }
}

pub fn suppression(generator: &mut Generator) -> Option<Id> {
    let (batch, classes) = (generator.random.between(1, 2), generator.random.between(1, 3));
    let boxes = generator.dim();
    let corners = generator.input(DType::F32, &[Expr::from(batch), boxes.clone(), Expr::from(4)], Interval::around_zero(2.0))?;
    let scores = generator.input(DType::F32, &[Expr::from(batch), Expr::from(classes), boxes.clone()], Interval::new(0.0, 1.0))?;
    let most = generator.random.between(0, 9);
    let most_boxes = generator.list("most", &[most]);
    let overlap = generator.number(DType::F32, 0.3);
    let least = if generator.random.chance(50) { Some(generator.number(DType::F32, 0.25)) } else { None };
    let attributes = vec![draft::int("center_point_box", generator.random.below(2) as i64)];
    let rows = indices(vec![Expr::one(), Expr::from(3)], generator.largest(&boxes).max(3) as f64);
    let operands = [Some(corners), Some(scores), Some(most_boxes), Some(overlap), least];
    let chosen = hidden(generator, "NonMaxSuppression", &operands, attributes, vec![rows])?[0];
    summed(generator, chosen, 0, (batch * classes * most.max(1)) as f64)
}

/// A slice whose ends are data.
pub fn slice(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let mut end = || generator.input(DType::I64, &[Expr::one()], Interval::around_zero(9.0));
    let (start, end) = (end()?, end()?);
    let spelled = generator.spelled(axis, form.rank());
    let step = generator.random.one_of([1, 1, 2, -1, -3]);
    let (axes, steps) = (generator.list("axes", &[spelled]), generator.list("steps", &[step]));
    let mut dims = form.dims.clone();
    dims[axis] = Expr::one();
    let operands = [x, start, end, axes, steps].map(Some);
    let part = hidden(generator, "Slice", &operands, vec![], vec![form.of(dims)])?[0];
    let most = generator.largest(&form.dims[axis]) as f64;
    summed(generator, part, axis, most)
}
