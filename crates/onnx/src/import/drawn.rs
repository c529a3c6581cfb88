//! Which outputs of a model are random.

use super::content::input_kinds;
use crate::file::ModelFile;
use crate::ops::RANDOM;
use crate::proto::{GraphProto, NodeProto};
use std::collections::BTreeSet;

/// How an output depends on random numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawn {
    No,
    Somehow,
    /// A Dropout of the model's inputs of these numbers, data and ratio, where it is given, gives it: the data or, else, the mask.
    Dropped {
        data: usize,
        ratio: Option<usize>,
        mask: bool,
    },
}

/// How each output of a model does.
pub fn drawn_outputs(file: &ModelFile) -> Vec<Drawn> {
    let Some(graph) = &file.model.graph else { return vec![] };
    let opset = file.model.opset_import.iter().find(|import| ["", "ai.onnx"].contains(&import.domain.as_str()));
    let opset = opset.map_or(1, |import| import.version);
    let inputs: Vec<String> = input_kinds(file).into_iter().map(|(name, _)| name).collect();
    let mut random: BTreeSet<&str> = BTreeSet::new();
    for node in &graph.node {
        if draws(node, opset) || node.input.iter().any(|name| random.contains(name.as_str())) {
            random.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
    }
    let drawn = |name: &String| match random.contains(name.as_str()) {
        true => graph.node.iter().find_map(|node| dropped(node, opset, name, &inputs)).unwrap_or(Drawn::Somehow),
        false => Drawn::No,
    };
    graph.output.iter().map(|info| drawn(&info.name)).collect()
}

fn draws(node: &NodeProto, opset: i64) -> bool {
    let inside = |graph: &GraphProto| graph.node.iter().any(|node| draws(node, opset));
    let own = RANDOM.contains(&node.op_type.as_str()) && (node.op_type != "Dropout" || trains(node, opset));
    own || node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()).any(inside)
}

/// Whether a Dropout may train.
fn trains(node: &NodeProto, opset: i64) -> bool {
    opset < 7 || node.input.get(2).is_some_and(|name| !name.is_empty())
}

fn dropped(node: &NodeProto, opset: i64, output: &str, inputs: &[String]) -> Option<Drawn> {
    let mask = node.output.iter().position(|name| name == output)? == 1;
    if node.op_type != "Dropout" || opset < 12 {
        return None;
    }
    let place = |at: usize| inputs.iter().position(|name| Some(name) == node.input.get(at));
    Some(Drawn::Dropped { data: place(0)?, ratio: place(1), mask })
}
