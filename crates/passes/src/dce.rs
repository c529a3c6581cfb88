//! `dce`: drops what no output needs.

use ir::{Def, Graph, Node, NodeId, Value, ValueId};

/// Drops nodes and constants that no output needs, and operands that no region of their node reads. Ids are renumbered in order. Inputs,
/// outputs, guards and symbols stay.
///
/// ```text
/// y = add(x, c); z = mul(x, d); output y   ->   y = add(x, c); output y
/// ```
pub fn dce(graph: &Graph) -> Graph {
    Live::of(graph).pruned(graph, &vec![true; graph.inputs.len()])
}

/// What outputs depend on.
struct Live {
    /// The graph's nodes, pruned themselves.
    nodes: Vec<Node>,
    /// For each value, whether an output depends on it, or on another output of its node.
    needed: Vec<bool>,
}

impl Live {
    fn of(graph: &Graph) -> Live {
        let nodes: Vec<Node> = graph.nodes.iter().map(with_live_captures).collect();
        let mut needed = vec![false; graph.values.len()];
        graph.outputs.iter().for_each(|(_, id)| needed[id.0 as usize] = true);
        for node in nodes.iter().rev() {
            if node.outputs.iter().any(|id| needed[id.0 as usize]) {
                node.inputs.iter().chain(&node.outputs).for_each(|id| needed[id.0 as usize] = true);
            }
        }
        Live { nodes, needed }
    }

    fn reads(&self, id: ValueId) -> bool {
        self.needed[id.0 as usize]
    }

    /// The graph without what is not live; of its inputs those stay that `inputs` marks.
    fn pruned(mut self, graph: &Graph, inputs: &[bool]) -> Graph {
        let kept: Vec<ValueId> = graph.inputs.iter().zip(inputs).filter(|(_, keep)| **keep).map(|(id, _)| *id).collect();
        kept.iter().for_each(|id| self.needed[id.0 as usize] = true);
        let mut renumbered = Renumbered::new(graph, &self.needed);
        for (at, node) in self.nodes.into_iter().enumerate() {
            if node.outputs.iter().any(|id| self.needed[id.0 as usize]) {
                renumbered.push(NodeId(at as u32), node);
            }
        }
        renumbered.finish(graph, &kept)
    }
}

/// The node with dead parts of its regions dropped, and with them the captures that no region reads.
fn with_live_captures(node: &Node) -> Node {
    let mut node = node.clone();
    let Some(captures) = node.regions.first().map(|region| region.inputs.len()) else { return node };
    let lives: Vec<Live> = node.regions.iter().map(Live::of).collect();
    let reads = |at: usize| node.regions.iter().zip(&lives).any(|(region, live)| live.reads(region.inputs[at]));
    let read: Vec<bool> = (0..captures).map(reads).collect();
    let first = node.inputs.len() - captures;
    let keep = |at: &usize| *at < first || read[*at - first];
    node.inputs = (0..node.inputs.len()).filter(keep).map(|at| node.inputs[at]).collect();
    node.regions = node.regions.iter().zip(lives).map(|(region, live)| live.pruned(region, &read)).collect();
    node
}

/// The values and nodes that stay, under their new ids.
struct Renumbered {
    ids: Vec<ValueId>,
    values: Vec<Value>,
    nodes: Vec<Node>,
}

impl Renumbered {
    fn new(graph: &Graph, needed: &[bool]) -> Renumbered {
        let mut renumbered = Renumbered { ids: vec![ValueId(u32::MAX); graph.values.len()], values: Vec::new(), nodes: Vec::new() };
        for (at, value) in graph.values.iter().enumerate().filter(|(at, _)| needed[*at]) {
            renumbered.ids[at] = ValueId(renumbered.values.len() as u32);
            renumbered.values.push(value.clone());
        }
        renumbered
    }

    fn id(&self, id: &ValueId) -> ValueId {
        self.ids[id.0 as usize]
    }

    fn push(&mut self, old: NodeId, mut node: Node) {
        let new = NodeId(self.nodes.len() as u32);
        node.inputs = node.inputs.iter().map(|id| self.id(id)).collect();
        node.outputs = node.outputs.iter().map(|id| self.id(id)).collect();
        for (at, id) in node.outputs.iter().enumerate() {
            let def = &mut self.values[id.0 as usize].def;
            debug_assert_eq!(*def, Def::Node(old, at));
            *def = Def::Node(new, at);
        }
        self.nodes.push(node);
    }

    fn finish(mut self, graph: &Graph, kept: &[ValueId]) -> Graph {
        let inputs: Vec<ValueId> = kept.iter().map(|id| self.id(id)).collect();
        for (at, id) in inputs.iter().enumerate() {
            self.values[id.0 as usize].def = Def::Input(at);
        }
        let outputs = graph.outputs.iter().map(|(name, id)| (name.clone(), self.id(id))).collect();
        Graph {
            name: graph.name.clone(),
            symbols: graph.symbols.clone(),
            guards: graph.guards.clone(),
            values: self.values,
            nodes: self.nodes,
            inputs,
            outputs,
        }
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
