//! Faults of operands, functions, regions and constants.

use super::Fault;
use crate::view::func_of;
use ir::{Array, Attr, Attrs, DType, Def, Graph, Literal, Node, Tensor, ValueId};
use nest::Func;
use random::Random;
use std::collections::BTreeSet;

/// Larger constants are left alone: changing one copies it.
const MOST_ELEMENTS: usize = 1 << 20;

/// A sum without one of its terms; attention without its mask.
pub fn dropped_terms(graph: &Graph, node: &Node) -> Vec<Fault> {
    if node.op == "attention" && node.inputs.len() == 4 {
        return vec![(Node { inputs: node.inputs[..3].to_vec(), ..node.clone() }, "the mask is dropped".to_string())];
    }
    let Some(Func::Add | Func::Sub) = func_of(node.op, &node.attrs) else { return Vec::new() };
    let attrs = Attrs::from([("to", Attr::DType(graph.ty(node.outputs[0]).dtype))]);
    let alone = |at: usize| Node { op: "convert", attrs: attrs.clone(), inputs: vec![node.inputs[at]], ..node.clone() };
    (0..2).map(|at| (alone(at), format!("operand {} is dropped", 1 - at))).collect()
}

/// The operands of a function that does not commute, the branches of a select, two tensors of a concatenation, q and k.
pub fn swapped_operands(_: &Graph, node: &Node) -> Vec<Fault> {
    let places: Vec<(usize, usize)> = match (node.op, func_of(node.op, &node.attrs)) {
        (_, Some(Func::Select)) => vec![(1, 2)],
        (_, Some(func)) if is_ordered(func) => vec![(0, 1)],
        ("concat", _) => (1..node.inputs.len()).map(|at| (at - 1, at)).collect(),
        ("contract" | "attention", _) => vec![(0, 1)],
        _ => Vec::new(),
    };
    let differ = places.into_iter().filter(|(a, b)| node.inputs[*a] != node.inputs[*b]);
    differ.map(|(a, b)| (with_swapped(node, a, b), format!("operands {a} and {b} are swapped"))).collect()
}

fn with_swapped(node: &Node, a: usize, b: usize) -> Node {
    let mut node = node.clone();
    node.inputs.swap(a, b);
    node
}

fn is_ordered(func: Func) -> bool {
    matches!(func, Func::Sub | Func::Div | Func::Rem | Func::Pow | Func::Less | Func::LessEqual | Func::Greater | Func::GreaterEqual)
}

/// A function with another of its class.
pub fn other_functions(_: &Graph, node: &Node) -> Vec<Fault> {
    let Some(func) = func_of(node.op, &node.attrs) else { return Vec::new() };
    let other = match func {
        Func::Add => Func::Sub,
        Func::Sub => Func::Add,
        Func::Mul => Func::Add,
        Func::Div => Func::Mul,
        Func::Max => Func::Min,
        Func::Min => Func::Max,
        Func::And => Func::Or,
        Func::Or => Func::And,
        Func::Equal => Func::NotEqual,
        Func::NotEqual => Func::Equal,
        Func::Less => Func::GreaterEqual,
        Func::LessEqual => Func::Greater,
        Func::Greater => Func::LessEqual,
        Func::GreaterEqual => Func::Less,
        Func::Sqrt => Func::Rsqrt,
        Func::Rsqrt => Func::Sqrt,
        Func::Floor => Func::Ceil,
        Func::Ceil => Func::Floor,
        Func::Sin => Func::Cos,
        Func::Cos => Func::Sin,
        Func::Tanh => Func::Sigmoid,
        Func::Sigmoid => Func::Tanh,
        Func::Exp => Func::Neg,
        Func::Erf => Func::Neg,
        _ => return Vec::new(),
    };
    let attrs = Attrs::from([("func", Attr::Text(other.name().to_string()))]);
    vec![(Node { attrs, ..node.clone() }, format!("{} becomes {}", func.name(), other.name()))]
}

/// The regions of a branch that differ.
pub fn swapped_regions(_: &Graph, node: &Node) -> Vec<Fault> {
    let mut wrong = node.clone();
    wrong.regions.reverse();
    let differ = wrong.regions.first().zip(node.regions.first()).is_some_and(|(a, b)| (&a.nodes, &a.values) != (&b.nodes, &b.values));
    if differ { vec![(wrong, "the branches are swapped".to_string())] } else { Vec::new() }
}

/// The graph with one element of a constant changed: a small float by 1, a large one to -2 times itself, a bool to its opposite, an integer
/// to another of its tensor (it stays a valid index). Tables of which a call may read only a part are left alone.
pub fn changed_constant(graph: &Graph, draw: &mut Random) -> Option<(Graph, String)> {
    let tables: BTreeSet<ValueId> = graph.nodes.iter().filter(|node| reads_a_part(node.op)).map(|node| node.inputs[0]).collect();
    let all = (0..graph.values.len() as u32).map(ValueId);
    let constants: Vec<ValueId> = all.filter(|id| graph.constant(*id).is_some() && !tables.contains(id)).collect();
    let first = draw.below(constants.len());
    (0..constants.len()).find_map(|at| {
        let id = constants[(first + at) % constants.len()];
        let tensor = graph.constant(id).filter(|tensor| (1..=MOST_ELEMENTS).contains(&tensor.count()))?;
        let at = draw.below(tensor.count());
        let array = changed_element(tensor.to_array(), at)?;
        let mut wrong = graph.clone();
        wrong.values[id.0 as usize].def = Def::Constant { tensor: Tensor::from_array(&array), weight: None };
        Some((wrong, format!("{}: element {at} is {}, not {}", graph.value(id).name, array.get(at), tensor.to_array().get(at))))
    })
}

fn reads_a_part(op: &str) -> bool {
    matches!(op, "gather" | "gather_nd" | "slice")
}

fn changed_element(mut array: Array, at: usize) -> Option<Array> {
    let old = array.get(at);
    let new = match (array.dtype(), old) {
        (DType::Bool, old) => Literal::Int(1 - old.as_i64()),
        (_, Literal::Float(old)) if !old.is_finite() => Literal::Float(1.0),
        (_, Literal::Float(old)) if old.abs() < 0.5 => Literal::Float(old + 1.0),
        (_, Literal::Float(old)) => Literal::Float(-2.0 * old),
        (_, old) => (0..array.count()).map(|at| array.get(at)).find(|other| *other != old)?,
    };
    array.set(at, new);
    Some(array)
}
