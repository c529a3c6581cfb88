//! Control flow.

use super::chosen::{hidden, summed};
use super::{arithmetic, unary};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::GraphProto;
use onnx::proto::type_proto::Value as TypeValue;
use sym::Expr;

/// Two branches that each do something else to the same tensor, under a condition that is an input or known.
pub fn branch(generator: &mut Generator) -> Option<Id> {
    if generator.in_branch {
        return None;
    }
    let x = generator.floats(0..=4)?;
    let condition = match generator.random.chance(80) {
        true => generator.input(DType::Bool, &[], Interval::BOOL)?,
        false => {
            let bit = generator.random.below(2) as f64;
            generator.number(DType::Bool, bit)
        }
    };
    let form = generator.form(x).clone();
    let (then, first) = body(generator, x, &form)?;
    let (other, second) = body(generator, x, &form)?;
    let attributes = vec![draft::graph("then_branch", then), draft::graph("else_branch", other)];
    let result = form.within(first.interval.hull(second.interval)).rounded();
    generator.emit("If", &[condition], attributes, result)
}

/// A graph of a few steps from x to a tensor of the same type.
fn body(generator: &mut Generator, x: Id, form: &Form) -> Option<(GraphProto, Form)> {
    let mark = generator.enter_branch();
    let last = steps(generator, x, form);
    let result = last.map(|last| generator.form(last).clone());
    let graph = generator.leave_branch(mark, &[], last.as_slice());
    Some((graph, result?))
}

fn steps(generator: &mut Generator, x: Id, form: &Form) -> Option<Id> {
    let mut last = x;
    for _ in 0..1 + generator.random.below(3) {
        let next = match generator.random.chance(50) {
            true => unary::step(generator, last),
            false => arithmetic::with_weight(generator, last),
        };
        last = next.filter(|next| generator.dims(*next) == form.dims).unwrap_or(last);
    }
    if last == x { generator.emit("Identity", &[x], vec![], form.clone()) } else { Some(last) }
}

/// Two branches that give tensors of different sizes along one axis.
pub fn uneven(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4).filter(|_| !generator.in_branch)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let condition = generator.input(DType::Bool, &[], Interval::BOOL)?;
    let (then, first) = sized(generator, x, axis)?;
    let (other, second) = sized(generator, x, axis)?;
    let attributes = vec![draft::graph("then_branch", then), draft::graph("else_branch", other)];
    let mut dims = form.dims.clone();
    dims[axis] = Expr::one();
    let result = form.of(dims).within(first.hull(second)).rounded();
    let result = hidden(generator, "If", &[Some(condition)], attributes, vec![result])?[0];
    let most = 2.0 * generator.largest(&form.dims[axis]) as f64;
    summed(generator, result, axis, most)
}

/// A graph that gives x twice, or parts of it, whose number may depend on data. It does not declare how many.
fn sized(generator: &mut Generator, x: Id, axis: usize) -> Option<(GraphProto, Interval)> {
    let form = generator.form(x).clone();
    let mut dims = form.dims.clone();
    let kept = generator.input(DType::Bool, &dims[axis..=axis], Interval::BOOL)?;
    dims[axis] = Expr::one();
    let spelled = generator.spelled(axis, form.rank());
    let end = generator.random.between(0, generator.smallest(&form.dims[axis]));
    let (start, end, axes) = (generator.list("start", &[0]), generator.list("end", &[end]), generator.list("axes", &[spelled]));
    let mark = generator.enter_branch();
    let along = vec![draft::int("axis", spelled)];
    let result = match generator.random.below(4) {
        0 => unary::step(generator, x).filter(|result| generator.dims(*result) == form.dims),
        1 => generator.emit("Slice", &[x, start, end, axes], vec![], form.of(dims)),
        2 => generator.emit("Compress", &[x, kept], along, form.of(dims)),
        _ => generator.emit("Concat", &[x, x], along, form.of(dims)),
    };
    let interval = result.map(|result| generator.form(result).interval);
    let mut graph = generator.leave_branch(mark, &[], result.as_slice());
    for info in &mut graph.output {
        if let Some(TypeValue::TensorType(tensor)) = info.r#type.as_mut().and_then(|ty| ty.value.as_mut()) {
            tensor.shape = None;
        }
    }
    Some((graph, interval?))
}
