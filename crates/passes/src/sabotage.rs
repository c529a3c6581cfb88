//! Wrong graphs, to test the checks: each is well-typed and differs from the true one in one place.
//!
//! - [`swaps`]: operands, functions, regions and elements in the wrong place
//! - [`attributes`]: another axis, start, kind or letter

pub mod attributes;
pub mod swaps;

use crate::dce::{dce, without_dead};
use crate::view::{View, func_of};
use ir::guard::Condition;
use ir::{Graph, Node, TensorType};
use nest::Func;
use ops::InferCx;
use random::Random;
use std::collections::BTreeSet;

/// A wrong form of a node, and what is wrong with it.
pub type Fault = (Node, String);

/// The faults of one kind that a node can have. They may be ill-typed: such are dropped.
type Faults = fn(&Graph, &Node) -> Vec<Fault>;

const FAULTS: [Faults; 9] = [
    swaps::dropped_terms,
    swaps::swapped_operands,
    swaps::other_functions,
    swaps::swapped_regions,
    attributes::other_kinds,
    attributes::other_combinations,
    attributes::other_axes,
    attributes::other_windows,
    attributes::other_parameters,
];

/// A wrong graph and a sentence on what is wrong, the same for the same seed; None where nothing can be changed. Names, types, guards and
/// outputs stay, and nothing is dead. An input on which the fault does not show is possible; a fault without any effect is not made where
/// that can be told from the node.
pub fn sabotage(graph: &Graph, seed: u64) -> Option<(Graph, String)> {
    let mut draw = Random::new(seed);
    let graph = dce(graph);
    let constant_first = draw.below(4) == 0;
    let constant = |draw: &mut Random| swaps::changed_constant(&graph, draw);
    let early = if constant_first { constant(&mut draw) } else { None };
    let wrong = early.or_else(|| wrong_node(&graph, &mut draw)).or_else(|| constant(&mut draw));
    wrong.map(|(graph, what)| (without_dead(graph), what))
}

/// A fault of some node, those from a drawn one on tried in turn.
fn wrong_node(graph: &Graph, draw: &mut Random) -> Option<(Graph, String)> {
    let first = draw.below(graph.nodes.len());
    let mut unseen = shifts_under_softmax(graph);
    unseen.extend((0..graph.nodes.len()).filter(|at| is_neutral(graph, &graph.nodes[*at])));
    let mut order = (0..graph.nodes.len()).map(|at| (first + at) % graph.nodes.len()).filter(|at| !unseen.contains(at));
    order.find_map(|at| {
        let node = &graph.nodes[at];
        let faults: Vec<Fault> =
            FAULTS.iter().flat_map(|faults| faults(graph, node)).filter(|(wrong, _)| same_types(graph, node, wrong)).collect();
        let (wrong, what) = faults.get(draw.below(faults.len()))?.clone();
        let name = &graph.value(node.outputs[0]).name;
        let mut graph = graph.clone();
        graph.nodes[at] = wrong;
        Some((graph, format!("{name} ({}): {what}", node.op)))
    })
}

/// The nodes that find the maximum under a spelled-out softmax and subtract it: any other number would do.
fn shifts_under_softmax(graph: &Graph) -> BTreeSet<usize> {
    let view = View::of(graph);
    let mut nodes = BTreeSet::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some(operands) = view.map(node.outputs[0], Func::Sub) else { continue };
        let is_max = |node: &Node| node.inputs[0] == operands[0] && ops::attrs::text(&node.attrs, "kind") == Ok("max");
        let max = graph.producer(view.unbroadcast(operands[1])).filter(|(_, node)| node.op == "reduce" && is_max(node));
        nodes.extend(max.into_iter().flat_map(|(id, _)| [at, id.0 as usize]));
    }
    nodes
}

/// Whether a node changes nothing: a sum with 0, a product with 1.
fn is_neutral(graph: &Graph, node: &Node) -> bool {
    let number = match func_of(node.op, &node.attrs) {
        Some(Func::Add | Func::Sub) => 0.0,
        Some(Func::Mul | Func::Div) => 1.0,
        _ => return false,
    };
    node.inputs.iter().any(|id| View::of(graph).is_number(*id, number))
}

/// Whether the wrong node has the true one's types, and leaves no other conditions to run time.
fn same_types(graph: &Graph, node: &Node, wrong: &Node) -> bool {
    match (inferred(graph, node), inferred(graph, wrong)) {
        (Some((types, guards)), Some((wrong_types, wrong_guards))) => {
            types == wrong_types && wrong_guards.iter().all(|guard| guards.contains(guard))
        }
        _ => false,
    }
}

fn inferred(graph: &Graph, node: &Node) -> Option<(Vec<TensorType>, Vec<Condition>)> {
    let types: Vec<TensorType> = node.inputs.iter().map(|id| graph.ty(*id).clone()).collect();
    let cx = InferCx { inputs: &types, attrs: &node.attrs, regions: &node.regions };
    let inferred = (ops::find(node.op)?.infer)(&cx).ok()?;
    Some((inferred.types, inferred.guards))
}

#[cfg(test)]
mod tests;
