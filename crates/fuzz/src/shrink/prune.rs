//! What nothing depends on goes: nodes, initializers, inputs.

use onnx::proto::{GraphProto, ModelProto, NodeProto};
use std::collections::BTreeSet;

/// The model without what its outputs do not need.
pub fn pruned(mut model: ModelProto) -> ModelProto {
    if let Some(graph) = &mut model.graph {
        let needed = needed(graph);
        graph.node.retain(|node| node.output.iter().any(|name| needed.contains(name)));
        graph.initializer.retain(|tensor| needed.contains(&tensor.name));
        graph.input.retain(|input| needed.contains(&input.name));
    }
    model
}

fn needed(graph: &GraphProto) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(reads(node));
        }
    }
    needed
}

/// The names that a node reads, also in its branches.
pub fn reads(node: &NodeProto) -> Vec<String> {
    let branches = node.attribute.iter().filter_map(|attribute| attribute.g.as_deref());
    let inside = branches.flat_map(|graph| {
        let outputs = graph.output.iter().map(|output| output.name.clone());
        graph.node.iter().flat_map(reads).chain(outputs).collect::<Vec<String>>()
    });
    node.input.iter().cloned().chain(inside).collect()
}

/// Lets what reads `from` read `to`, also in branches.
pub fn rename(nodes: &mut [NodeProto], from: &str, to: &str) {
    for node in nodes {
        node.input.iter_mut().filter(|name| *name == from).for_each(|name| *name = to.to_string());
        for graph in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
            rename(&mut graph.node, from, to);
        }
    }
}
