//! Control flow.

use super::{arithmetic, unary};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::GraphProto;

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
