//! Damaged model files. Most of the damage is to messages that stay readable: it gets further than damage to bytes.

use super::{damage_bytes, odd};
use bytes::Bytes;
use onnx::proto::tensor_shape_proto::{Dimension, Value as DimValue};
use onnx::proto::type_proto::Value as TypeValue;
use onnx::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use prost::Message;
use random::Random;

/// What a dim may be called.
const DIM_TEXTS: [&str; 16] = [
    "n",
    "m",
    "",
    "?",
    "-1",
    "n*2",
    "2*n",
    "n/2",
    "n - 5",
    "-n",
    "min(n, 3)",
    "n*n*n*n*n*n",
    "((((",
    "n//0",
    "i0",
    "1000000000000000000000",
];
/// The most bytes of a node that is put inside of branches.
const MOST_NESTED: usize = 10_000;
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "my"];

/// The file of a damaged model.
pub fn damaged(mut model: ModelProto, random: &mut Random) -> Vec<u8> {
    let changes = random.one_of([0, 1, 1, 1, 1, 1, 1, 2, 2, 4]);
    for _ in 0..changes {
        damage_model(&mut model, random);
    }
    let mut bytes = model.encode_to_vec();
    if changes == 0 || random.chance(10) {
        damage_bytes(&mut bytes, random);
    }
    bytes
}

fn damage_model(model: &mut ModelProto, random: &mut Random) {
    match random.below(30) {
        0 => model.opset_import = vec![OperatorSetIdProto { domain: random.one_of(DOMAINS).to_string(), version: odd(random) }],
        1 => add_function(model, random),
        _ => {
            if let Some(graph) = &mut model.graph {
                damage_graph(graph, random);
            }
        }
    }
}

/// A function around some of the graph's nodes, which may call itself, and a node that calls it.
fn add_function(model: &mut ModelProto, random: &mut Random) {
    let Some(graph) = &mut model.graph else { return };
    let Some(node) = random.pick(&graph.node) else { return };
    let call = NodeProto { op_type: "F".to_string(), domain: "my".to_string(), ..node.clone() };
    let mut body = vec![node.clone()];
    if random.chance(30) {
        body.push(call.clone());
    }
    model.functions.push(FunctionProto {
        name: "F".to_string(),
        domain: "my".to_string(),
        input: node.input.clone(),
        output: node.output.clone(),
        opset_import: model.opset_import.clone(),
        node: body,
        ..FunctionProto::default()
    });
    if let Some(own) = graph.node.iter_mut().find(|own| own.output == node.output) {
        *own = call;
    }
}

fn damage_graph(graph: &mut GraphProto, random: &mut Random) {
    let at = random.below(graph.node.len());
    match random.below(20) {
        0..10 if !graph.node.is_empty() => damage_node(graph, at, random),
        10..13 if !graph.initializer.is_empty() => {
            let at = random.below(graph.initializer.len());
            damage_tensor(&mut graph.initializer[at], random);
        }
        13..16 if !graph.input.is_empty() => {
            let at = random.below(graph.input.len());
            damage_info(&mut graph.input[at], random);
        }
        16 => damage_list(&mut graph.node, random),
        17 => damage_list(&mut graph.initializer, random),
        18 => damage_list(&mut graph.input, random),
        _ => damage_list(&mut graph.output, random),
    }
}

/// Something repeated, left out or moved.
pub(super) fn damage_list<T: Clone>(list: &mut Vec<T>, random: &mut Random) {
    let (at, other) = (random.below(list.len()), random.below(list.len()));
    match random.below(3) {
        _ if list.is_empty() => {}
        0 => list.insert(other, list[at].clone()),
        1 => drop(list.remove(at)),
        _ => list.swap(at, other),
    }
}

/// Any name that stands in the graph.
fn some_name(graph: &GraphProto, random: &mut Random) -> String {
    let values = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output));
    let names: Vec<&String> =
        values.chain(graph.initializer.iter().map(|tensor| &tensor.name)).chain(graph.input.iter().map(|info| &info.name)).collect();
    random.pick(&names).cloned().unwrap_or_default()
}

fn damage_node(graph: &mut GraphProto, at: usize, random: &mut Random) {
    let name = match random.below(8) {
        0 => String::new(),
        1 => "nowhere".to_string(),
        _ => some_name(graph, random),
    };
    let node = &mut graph.node[at];
    let (input, output) = (random.below(node.input.len()), random.below(node.output.len()));
    match random.below(12) {
        0 | 1 => node.op_type = random.pick(&onnx::op_names()).map_or(String::new(), |op| op.op_type.to_string()),
        2 | 3 if !node.input.is_empty() => node.input[input] = name,
        4 if !node.output.is_empty() => node.output[output] = name,
        5 => node.input.insert(input, name),
        6 => damage_list(&mut node.input, random),
        7 => damage_list(&mut node.output, random),
        8 => damage_list(&mut node.attribute, random),
        9 => nest(node, random),
        _ if !node.attribute.is_empty() => {
            let at = random.below(node.attribute.len());
            damage_attribute(&mut node.attribute[at], random);
        }
        _ => node.attribute.push(AttributeProto {
            name: random.one_of(["axis", "perm", "pads", "strides", "keepdims", "to", "group", "kernel_shape"]).to_string(),
            r#type: random.one_of([2, 7]),
            i: odd(random),
            ints: vec![odd(random); random.below(5)],
            ..AttributeProto::default()
        }),
    }
}

/// The node inside of branches, at times very deep; not one that already is.
fn nest(node: &mut NodeProto, random: &mut Random) {
    if node.encoded_len() > MOST_NESTED {
        return;
    }
    let innermost = node.clone();
    for _ in 0..random.one_of([1, 2, 40, 70, 200]) {
        let (input, output) = (node.input.iter().take(1).cloned().collect(), node.output.clone());
        let mut attribute = vec![branch("then_branch", std::mem::take(node))];
        if random.chance(50) {
            attribute.push(branch("else_branch", innermost.clone()));
        }
        *node = NodeProto { op_type: "If".to_string(), input, output, attribute, ..NodeProto::default() };
    }
}

/// A branch of one node, with the node's results.
fn branch(name: &str, node: NodeProto) -> AttributeProto {
    let output = node.output.iter().map(|name| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() }).collect();
    let graph = GraphProto { output, node: vec![node], ..GraphProto::default() };
    AttributeProto { name: name.to_string(), r#type: 5, g: Some(Box::new(graph)), ..AttributeProto::default() }
}

fn damage_attribute(attribute: &mut AttributeProto, random: &mut Random) {
    let at = random.below(attribute.ints.len());
    match random.below(10) {
        0 => attribute.name.push('x'),
        1 => attribute.r#type = random.below(17) as i32,
        2 => attribute.f = random.one_of([f32::NAN, f32::INFINITY, 0.0, -1.0, 1e30]),
        3 => attribute.s = random.one_of(["", "SAME_UPPER", "VALID", "wrap", "nearest", "\u{e9}"]).into(),
        4 => damage_list(&mut attribute.ints, random),
        5 => attribute.ref_attr_name = "k".to_string(),
        _ if attribute.g.is_some() => {
            if let Some(graph) = &mut attribute.g {
                damage_graph(graph, random);
            }
        }
        _ if attribute.t.is_some() => {
            if let Some(tensor) = &mut attribute.t {
                damage_tensor(tensor, random);
            }
        }
        _ if attribute.ints.is_empty() => attribute.i = odd(random),
        _ => attribute.ints[at] = odd(random),
    }
}

fn damage_tensor(tensor: &mut TensorProto, random: &mut Random) {
    let at = random.below(tensor.dims.len());
    match random.below(9) {
        0 if !tensor.dims.is_empty() => tensor.dims[at] = odd(random),
        1 => damage_list(&mut tensor.dims, random),
        2 => tensor.data_type = random.below(30) as i32,
        3 => tensor.name.push('x'),
        4 => {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_string(), value };
            tensor.data_location = 1;
            tensor.external_data = vec![
                entry("location", random.one_of(["../x", "/etc/passwd", ".", "", "x", "a/../../b"]).to_string()),
                entry("offset", odd(random).to_string()),
            ];
        }
        5 => tensor.dims.push(odd(random)),
        _ => {
            let mut raw = tensor.raw_data.clone().unwrap_or_default().to_vec();
            match random.below(3) {
                0 => damage_bytes(&mut raw, random),
                // an element of a shape, most likely
                _ => {
                    let start = 8 * random.below(raw.len() / 8);
                    raw.iter_mut().skip(start).zip(odd(random).to_le_bytes()).for_each(|(byte, odd)| *byte = odd);
                }
            }
            tensor.raw_data = Some(Bytes::from(raw));
        }
    }
}

fn damage_info(info: &mut ValueInfoProto, random: &mut Random) {
    let Some(TypeValue::TensorType(ty)) = info.r#type.as_mut().and_then(|ty| ty.value.as_mut()) else { return };
    let value = match random.below(4) {
        0 => None,
        1 => Some(DimValue::DimValue(odd(random))),
        2 => Some(DimValue::DimParam(random.one_of(DIM_TEXTS).repeat(random.one_of([1, 1, 1, 5000])))),
        _ => Some(DimValue::DimParam(random.one_of(DIM_TEXTS).to_string())),
    };
    match random.below(8) {
        0 => ty.elem_type = random.below(30) as i32,
        1 => ty.shape = None,
        2 => info.name.push('x'),
        3 => ty.shape.iter_mut().for_each(|shape| damage_list(&mut shape.dim, random)),
        _ => {
            if let Some(shape) = &mut ty.shape {
                let at = random.below(shape.dim.len() + 1);
                shape.dim.resize_with(shape.dim.len().max(at + 1), Dimension::default);
                shape.dim[at].value = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_damage() {
        let bytes = |seed: u64| damaged(crate::generate(seed), &mut Random::new(seed));
        assert_eq!(bytes(3), bytes(3));
        let whole = (0..50).filter(|seed| crate::generate(*seed).encode_to_vec() == bytes(*seed)).count();
        assert!(whole < 10, "{whole} are not damaged");
    }
}
