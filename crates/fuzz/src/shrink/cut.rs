//! Fewer calls, outputs and nodes.

use super::prune::rename;
use super::{Attempts, Facts};
use crate::draft::{tensor_proto, value_info};
use crate::model::{calls, set_calls};
use onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

fn edited(model: &ModelProto, edit: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = model.clone();
    if let Some(graph) = &mut model.graph {
        edit(graph);
    }
    model
}

fn nodes(model: &ModelProto) -> &[NodeProto] {
    model.graph.as_ref().map_or(&[], |graph| &graph.node)
}

fn outputs(model: &ModelProto) -> &[ValueInfoProto] {
    model.graph.as_ref().map_or(&[], |graph| &graph.output)
}

pub fn one_call<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    Box::new(calls(model).into_iter().map(|call| {
        let mut model = model.clone();
        set_calls(&mut model, &[call]);
        model
    }))
}

pub fn fewer_calls<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let all = calls(model);
    Box::new((0..all.len()).map(move |at| {
        let (mut model, mut calls) = (model.clone(), all.clone());
        calls.remove(at);
        set_calls(&mut model, &calls);
        model
    }))
}

pub fn one_output<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    Box::new(outputs(model).iter().map(|output| edited(model, |graph| graph.output = vec![output.clone()])))
}

pub fn fewer_outputs<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    Box::new((0..outputs(model).len()).map(|at| edited(model, |graph| drop(graph.output.remove(at)))))
}

/// A node's result is the only output, of the first nodes first.
pub fn ends_early<'a>(model: &'a ModelProto, facts: &'a Facts) -> Attempts<'a> {
    let names = nodes(model).iter().flat_map(|node| &node.output);
    Box::new(names.filter_map(|name| {
        let (ty, _) = facts.values.get(name)?;
        Some(edited(model, |graph| graph.output = vec![value_info(name, ty.dtype, &ty.dims)]))
    }))
}

/// A node's result becomes an input, of the last nodes first.
pub fn begins_late<'a>(model: &'a ModelProto, facts: &'a Facts) -> Attempts<'a> {
    Box::new(nodes(model).iter().enumerate().rev().filter_map(|(at, node)| {
        let infos: Option<Vec<ValueInfoProto>> = node.output.iter().map(|name| input_like(name, facts)).collect();
        let infos = infos?;
        Some(edited(model, |graph| {
            graph.node.remove(at);
            graph.input.extend(infos);
        }))
    }))
}

fn input_like(name: &str, facts: &Facts) -> Option<ValueInfoProto> {
    let (ty, _) = facts.values.get(name)?;
    Some(ValueInfoProto { doc_string: facts.bounds(name)?, ..value_info(name, ty.dtype, &ty.dims) })
}

/// A node's results become initializers with the numbers that they had.
pub fn frozen<'a>(model: &'a ModelProto, facts: &'a Facts) -> Attempts<'a> {
    Box::new(nodes(model).iter().enumerate().rev().filter_map(|(at, node)| {
        let tensors = node.output.iter().map(|name| Some(tensor_proto(name, &facts.tensor(name)?)));
        let tensors = tensors.collect::<Option<Vec<_>>>()?;
        Some(edited(model, |graph| {
            graph.node.remove(at);
            graph.initializer.extend(tensors);
        }))
    }))
}

/// What reads a node's first result reads one of its operands of the same type instead.
pub fn bypassed<'a>(model: &'a ModelProto, facts: &'a Facts) -> Attempts<'a> {
    let pairs = nodes(model).iter().flat_map(|node| node.input.iter().filter_map(|input| Some((input, node.output.first()?))));
    let same = |(input, output): &(&String, &String)| match (facts.values.get(*input), facts.values.get(*output)) {
        (Some((a, _)), Some((b, _))) => a == b,
        (_, _) => false,
    };
    Box::new(pairs.filter(same).map(|(input, output)| edited(model, |graph| rename(&mut graph.node, output, input))))
}

pub fn without_operands<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let last = |at: usize| edited(model, |graph| drop(graph.node[at].input.pop()));
    Box::new((0..nodes(model).len()).map(last))
}

pub fn without_attributes<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let places = nodes(model).iter().enumerate().flat_map(|(at, node)| (0..node.attribute.len()).map(move |attribute| (at, attribute)));
    Box::new(places.map(|(at, attribute)| edited(model, |graph| drop(graph.node[at].attribute.remove(attribute)))))
}
