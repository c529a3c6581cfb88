//! `cse`: computes and stores equal things once.

use crate::rewrite::Rewriter;
use ir::{Attr, DType, Graph, Location, Node, Tensor, TensorType, ValueId};
use std::collections::{BTreeMap, HashMap};
use sym::Expr;

/// How many different constants with equal samples are told apart; more are left alone.
const MOST_ALIKE: usize = 8;

/// Merges nodes with equal op, attributes and operands, and constants with equal types and bytes; the first stays. Nodes with regions are
/// not merged.
///
/// ```text
/// a = exp(x); b = exp(x); y = add(a, b)   ->   a = exp(x); y = add(a, a)
/// ```
pub fn cse(graph: &Graph) -> Graph {
    let merged = Merged::of(graph);
    let mut rewriter = Rewriter::new(graph);
    merged.constants.iter().for_each(|(id, first)| rewriter.join(*id, *first));
    for (at, node) in graph.nodes.iter().enumerate() {
        match merged.nodes[at] {
            Some(first) => node.outputs.iter().zip(&graph.nodes[first].outputs).for_each(|(id, first)| rewriter.join(*id, *first)),
            None => {
                let node = merged.located(graph, at);
                let site = rewriter.site(&node);
                rewriter.keep(&site, cse);
            }
        }
    }
    rewriter.finish()
}

/// What is equal to something before it.
struct Merged {
    /// Constants with the first that is equal.
    constants: BTreeMap<ValueId, ValueId>,
    /// For each node the number of the first that is equal, where that is another.
    nodes: Vec<Option<usize>>,
    /// The locations of the duplicates of a node, in order.
    locations: BTreeMap<usize, Vec<Location>>,
}

impl Merged {
    fn of(graph: &Graph) -> Merged {
        let mut merged = Merged { constants: equal_constants(graph), nodes: Vec::new(), locations: BTreeMap::new() };
        let mut same: Vec<ValueId> = (0..graph.values.len() as u32).map(ValueId).collect();
        merged.constants.iter().for_each(|(duplicate, first)| same[duplicate.0 as usize] = *first);
        let mut seen: HashMap<Key, usize> = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            let first = if node.regions.is_empty() { *seen.entry(key(graph, node, &same)).or_insert(at) } else { at };
            merged.nodes.push((first != at).then_some(first));
            if first != at {
                node.outputs.iter().zip(&graph.nodes[first].outputs).for_each(|(id, first)| same[id.0 as usize] = *first);
                merged.locations.entry(first).or_default().push(node.location.clone());
            }
        }
        merged
    }

    /// The node, coming from all places that its duplicates came from. An expanded constant that several places share comes from none of
    /// them: else all that read it would come from all of them.
    fn located(&self, graph: &Graph, at: usize) -> Node {
        let mut node = graph.nodes[at].clone();
        let Some(others) = self.locations.get(&at) else { return node };
        if node.op == "broadcast" && graph.constant(node.inputs[0]).is_some() {
            node.location = Location::default();
            return node;
        }
        node.location = Location::all(std::iter::once(&node.location).chain(others));
        node
    }
}

/// What equal nodes have in common: op, attributes, operands, types.
type Key<'a> = (&'static str, Vec<(&'static str, Exact<'a>)>, Vec<ValueId>, Vec<&'a TensorType>);

/// An attribute; floats are equal where their bits are.
#[derive(PartialEq, Eq, Hash)]
enum Exact<'a> {
    Int(i64),
    Float(u64),
    Text(&'a str),
    Ints(&'a [i64]),
    Exprs(&'a [Expr]),
    DType(DType),
}

impl Exact<'_> {
    fn of(attr: &Attr) -> Exact<'_> {
        match attr {
            Attr::Int(value) => Exact::Int(*value),
            Attr::Float(value) => Exact::Float(value.to_bits()),
            Attr::Text(text) => Exact::Text(text),
            Attr::Ints(values) => Exact::Ints(values),
            Attr::Exprs(exprs) => Exact::Exprs(exprs),
            Attr::DType(dtype) => Exact::DType(*dtype),
        }
    }
}

fn key<'a>(graph: &'a Graph, node: &'a Node, same: &[ValueId]) -> Key<'a> {
    let attrs = node.attrs.iter().map(|(name, attr)| (*name, Exact::of(attr))).collect();
    let inputs = node.inputs.iter().map(|id| same[id.0 as usize]).collect();
    let types = node.outputs.iter().map(|id| graph.ty(*id)).collect();
    (node.op, attrs, inputs, types)
}

/// Constants that repeat another, with the first of their kind. Samples of the bytes are compared before all of them.
fn equal_constants(graph: &Graph) -> BTreeMap<ValueId, ValueId> {
    let mut seen: HashMap<(&TensorType, Vec<u8>), Vec<ValueId>> = HashMap::new();
    let mut equal = BTreeMap::new();
    for id in (0..graph.values.len() as u32).map(ValueId) {
        let Some(tensor) = graph.constant(id) else { continue };
        let alike = seen.entry((graph.ty(id), sample(tensor))).or_default();
        match alike.iter().find(|other| graph.constant(**other) == Some(tensor)) {
            Some(first) => {
                equal.insert(id, *first);
            }
            None if alike.len() < MOST_ALIKE => alike.push(id),
            None => {}
        }
    }
    equal
}

/// All bytes of a short tensor; of a long one its start, its end and 16 places between.
fn sample(tensor: &Tensor) -> Vec<u8> {
    let bytes = tensor.bytes();
    if bytes.len() <= 256 {
        return bytes.to_vec();
    }
    let between = (1..17).flat_map(|k| &bytes[bytes.len() / 17 * k..][..8]);
    bytes[..64].iter().chain(&bytes[bytes.len() - 64..]).chain(between).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, counted, graph_of, ty};
    use ir::DType;
    use nest::Func;

    #[test]
    fn equal_nodes_merge_through_their_operands() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n]"));
            let mut ends = Vec::new();
            for at in ["/a", "/b"] {
                b.location = Location::of(at);
                let exp = b.map(Func::Exp, &[x])?;
                ends.push(b.map(Func::Neg, &[exp])?);
            }
            b.map(Func::Add, &ends)
        });
        let after = check(cse, &before, "y = add(neg(exp(x)), neg(exp(x)))");
        assert_eq!(after.nodes.len(), 3);
        assert_eq!(after.nodes[0].location, Location(vec!["/a".into(), "/b".into()]));
        assert_eq!(after.value(after.nodes[1].outputs[0]).name, before.value(before.nodes[1].outputs[0]).name);
    }

    #[test]
    fn shared_numbers_come_from_nowhere() {
        let before = graph_of(|b| {
            let mut x = b.input("x", ty("f32[n]"));
            for at in ["/a", "/b"] {
                b.location = Location::of(at);
                x = b.map_number(Func::Mul, x, 2.0)?;
            }
            Ok(x)
        });
        let after = check(cse, &before, "y = mul(mul(x, broadcast<[n]>(2.0)), broadcast<[n]>(2.0))");
        let locations: Vec<String> = after.nodes.iter().map(|node| node.location.to_string()).collect();
        assert_eq!(locations, ["model", "/a", "/b"]);
    }

    #[test]
    fn attributes_tell_nodes_apart() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n, 3, 3]"));
            let (s, t) = (b.softmax(x, 1)?, b.softmax(x, 2)?);
            b.map(Func::Add, &[s, t])
        });
        assert_eq!(cse(&before), before);
    }

    #[test]
    fn equal_constants_merge() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[99]"));
            let (c, d) = (counted(b, DType::F32, &[99]), counted(b, DType::F32, &[99]));
            let y = b.map(Func::Add, &[x, c])?;
            b.map(Func::Add, &[y, d])
        });
        let after = check(cse, &before, "y = add(add(x, constant), constant)");
        assert_eq!(after.values.len(), 4);
    }

    #[test]
    fn constants_that_differ_in_one_byte_stay() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("u8[999]"));
            let c = b.ints(DType::U8, vec![999], vec![0; 999]);
            let d = b.ints(DType::U8, vec![999], (0..999).map(|at| (at == 100) as i64).collect());
            let y = b.map(Func::Add, &[x, c])?;
            b.map(Func::Add, &[y, d])
        });
        assert_eq!(cse(&before), before);
    }
}
