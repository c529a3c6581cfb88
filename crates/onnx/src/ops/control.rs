//! Control flow.

use super::Entry;
use crate::import::{Call, Outcome};
use ir::{Code, DType, Literal};

pub const OPS: &[Entry] = &[Entry("If", 1, branch)];

/// A branch that is known now is imported in place of the node; else both become regions.
fn branch(call: &mut Call) -> Outcome {
    let (then, other) = (call.graph("then_branch")?, call.graph("else_branch")?);
    if call.dtype(0)? != DType::Bool {
        return Err(call.error(Code::Type, format!("the condition is {}, not bool", call.dtype(0)?)).into());
    }
    if let Some(condition) = call.constant(0) {
        let (chosen, label) = if condition == Literal::Int(0) { (other, "else_branch") } else { (then, "then_branch") };
        let outputs = call.cx.subgraph(chosen, label)?;
        return Ok(outputs.into_iter().map(Into::into).collect());
    }
    let condition = call.value(0)?;
    let condition = call.b().reshape(condition, &[])?;
    let regions = call.cx.regions([(then, "then_branch"), (other, "else_branch")])?;
    let outputs = call.b().branch(condition, &regions.captures, regions.then, regions.other)?;
    Ok(outputs.into_iter().map(Into::into).collect())
}
