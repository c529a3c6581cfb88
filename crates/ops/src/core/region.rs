//! Control flow: ops whose meaning is in their regions.
//!
//! - [`branch`]: the `if`
//! - [`repeat`]: `while` and `scan`

pub mod branch;
pub mod repeat;

use crate::def::{ConcreteType, OpError};
use ir::{Array, Attrs, Code, Graph, Node, TensorType, ValueId};

/// The types of a region's inputs are `types`, in order.
fn check_inputs(region: &Graph, types: &[TensorType]) -> Result<(), OpError> {
    let inputs: Vec<&TensorType> = region.inputs.iter().map(|id| region.ty(*id)).collect();
    if inputs.len() != types.len() {
        return Err(OpError::new(Code::Malformed, format!("region {} has {} inputs, not {}", region.name, inputs.len(), types.len())));
    }
    match inputs.iter().zip(types).find(|(input, ty)| **input != *ty) {
        Some((input, ty)) => Err(OpError::types(format!("region {}: input {input} is given {ty}", region.name))),
        None => Ok(()),
    }
}

/// The type of a region's output; what the region computes of sizes means nothing outside of it.
fn known_outside(region: &Graph, id: ValueId) -> Result<&TensorType, OpError> {
    let ty = region.ty(id);
    match region.computed.iter().find(|(sym, _)| ty.dims.iter().any(|dim| dim.mentions(sym))) {
        None => Ok(ty),
        Some(_) => Err(OpError::new(Code::Unsupported, format!("a size of {ty} depends on data inside of {}", region.name))),
    }
}

/// Never called: the interpreter evaluates the regions.
fn interpreted(_: &[&Array], _: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    Err(OpError::new(Code::Unsupported, "control flow is evaluated with its regions"))
}

/// How many of the inputs of a node's regions are more than captures: those of a loop's carried values and slices.
pub fn fixed_inputs(node: &Node) -> usize {
    match node.op {
        "while" | "scan" => repeat::Parts::of(&node.attrs).map_or(0, |parts| parts.carried + parts.axes.len() - parts.stacked),
        _ => 0,
    }
}
