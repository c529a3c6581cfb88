//! `dce`: drops what no output needs.

use ir::{Def, Graph, Node, NodeId, ValueId};
use std::collections::BTreeSet;
use sym::Sym;

/// Drops nodes and constants that no output needs, and operands that no region of their node reads. Ids are renumbered in order. Inputs,
/// outputs and guards stay, and symbols but for computed ones that nothing mentions.
///
/// ```text
/// y = add(x, c); z = mul(x, d); output y   ->   y = add(x, c); output y
/// ```
pub fn dce(graph: &Graph) -> Graph {
    without_dead(graph.clone())
}

/// `dce` of a graph that nobody else needs.
pub fn without_dead(mut graph: Graph) -> Graph {
    graph.nodes.iter_mut().for_each(prune_regions);
    let (needed, inputs) = (Needed::of(&graph), vec![true; graph.inputs.len()]);
    pruned(graph, needed, &inputs)
}

struct Needed {
    /// For each value, whether an output depends on it, or on another output of its node.
    values: Vec<bool>,
    /// The computed sizes that something needed mentions.
    sizes: BTreeSet<Sym>,
}

impl Needed {
    /// Regions are pruned already.
    fn of(graph: &Graph) -> Needed {
        let mut needed = Needed { values: vec![false; graph.values.len()], sizes: BTreeSet::new() };
        graph.outputs.iter().for_each(|(_, id)| needed.value(graph, *id));
        if !graph.computed.is_empty() {
            graph.guards.iter().for_each(|guard| needed.sizes(graph, guard.condition.symbols()));
        }
        for node in graph.nodes.iter().rev() {
            if node.outputs.iter().any(|id| needed.values[id.0 as usize]) {
                node.inputs.iter().chain(&node.outputs).for_each(|id| needed.value(graph, *id));
                if !graph.computed.is_empty() {
                    needed.sizes(graph, graph.symbols_of(node));
                }
            }
        }
        needed
    }

    fn value(&mut self, graph: &Graph, id: ValueId) {
        if !std::mem::replace(&mut self.values[id.0 as usize], true) && !graph.computed.is_empty() {
            self.sizes(graph, ir::graph::symbols_of(&graph.ty(id).dims));
        }
    }

    fn sizes(&mut self, graph: &Graph, mentioned: BTreeSet<Sym>) {
        let computed: Vec<(Sym, ValueId)> = graph.computed.iter().filter(|(sym, _)| mentioned.contains(sym)).cloned().collect();
        for (sym, id) in computed {
            self.sizes.insert(sym);
            self.value(graph, id);
        }
    }
}

/// Drops the dead parts of a node's regions, and with them the captures that no region reads. Carried values and slices stay.
fn prune_regions(node: &mut Node) {
    let Some(captures) = node.regions.first().map(|region| region.inputs.len()) else { return };
    node.regions.iter_mut().for_each(|region| region.nodes.iter_mut().for_each(prune_regions));
    let needed: Vec<Needed> = node.regions.iter().map(Needed::of).collect();
    let fixed = ops::fixed_inputs(node);
    let reads =
        |at: usize| at < fixed || node.regions.iter().zip(&needed).any(|(region, needed)| needed.values[region.inputs[at].0 as usize]);
    let read: Vec<bool> = (0..captures).map(reads).collect();
    let first = node.inputs.len() - captures;
    let mut at = 0..;
    node.inputs.retain(|_| at.next().is_none_or(|at| at < first || read[at - first]));
    node.regions =
        std::mem::take(&mut node.regions).into_iter().zip(needed).map(|(region, needed)| pruned(region, needed, &read)).collect();
}

/// The graph without what is not needed; of its inputs those stay that `inputs` marks.
fn pruned(mut graph: Graph, Needed { values: mut needed, sizes }: Needed, inputs: &[bool]) -> Graph {
    let (used, unused): (Vec<_>, Vec<_>) = graph.computed.into_iter().partition(|(sym, _)| sizes.contains(sym));
    graph.computed = used;
    graph.symbols.retain(|sym, _| unused.iter().all(|(other, _)| other != sym));
    let mut keep = inputs.iter();
    graph.inputs.retain(|_| keep.next() == Some(&true));
    graph.inputs.iter().for_each(|id| needed[id.0 as usize] = true);
    graph.nodes.retain(|node| node.outputs.iter().any(|id| needed[id.0 as usize]));
    let ids = kept_ids(&needed);
    let mut at = needed.iter();
    graph.values.retain(|_| at.next() == Some(&true));
    renumber(&mut graph, &ids);
    graph
}

/// The new id of each value that stays.
fn kept_ids(needed: &[bool]) -> Vec<ValueId> {
    let mut next = 0;
    let mut id = |needed: &bool| {
        next += *needed as u32;
        ValueId(next - *needed as u32)
    };
    needed.iter().map(&mut id).collect()
}

/// Puts new ids for old ones everywhere, and definitions that point back.
fn renumber(graph: &mut Graph, ids: &[ValueId]) {
    let renew = |id: &mut ValueId| *id = ids[id.0 as usize];
    graph.inputs.iter_mut().for_each(renew);
    graph.outputs.iter_mut().for_each(|(_, id)| renew(id));
    graph.computed.iter_mut().for_each(|(_, id)| renew(id));
    for (at, node) in graph.nodes.iter_mut().enumerate() {
        node.inputs.iter_mut().chain(&mut node.outputs).for_each(renew);
        for (output, id) in node.outputs.iter().enumerate() {
            graph.values[id.0 as usize].def = Def::Node(NodeId(at as u32), output);
        }
    }
    for (at, id) in graph.inputs.iter().enumerate() {
        graph.values[id.0 as usize].def = Def::Input(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, graph, text, ty};
    use ir::{DType, GraphBuilder};
    use nest::Func;

    #[test]
    fn unused_nodes_and_constants_go_inputs_stay() {
        let before = graph(|b| {
            let (x, _) = (b.input("x", ty("f32[n]")), b.input("unused", ty("f32[]")));
            let dead = b.map_number(Func::Mul, x, 2.0)?;
            b.map(Func::Exp, &[dead])?;
            let y = b.map(Func::Neg, &[x])?;
            b.output("y", y);
            Ok(())
        });
        let after = check(dce, &before, "y = neg(x)");
        assert_eq!((after.inputs.len(), after.nodes.len(), after.values.len()), (2, 1, 3));
    }

    #[test]
    fn captures_that_no_region_reads_go() {
        let region = |func: Func| {
            graph(|b| {
                let (x, z) = (b.input("x", ty("f32[n]")), b.input("z", ty("f32[n]")));
                b.map(Func::Exp, &[z])?;
                let y = b.map(func, &[x])?;
                b.output("y", y);
                Ok(())
            })
        };
        let before = graph(|b| {
            let flag = b.input("flag", ty("bool[]"));
            let (x, z) = (b.input("x", ty("f32[n]")), b.input("z", ty("f32[n]")));
            let y = b.branch(flag, &[x, z], region(Func::Neg), region(Func::Abs))?;
            b.output("y", y[0]);
            Ok(())
        });
        check(dce, &before, "y = if(flag, x){y = neg(x)}{y = abs(x)}");
    }

    #[test]
    fn all_of_an_empty_graph_stays() {
        let mut builder = GraphBuilder::new("g");
        let x = builder.input("x", ir::TensorType::new(DType::F32, vec![]));
        builder.output("y", x);
        assert_eq!(text(&dce(&builder.finish())), "y = x");
    }
}
