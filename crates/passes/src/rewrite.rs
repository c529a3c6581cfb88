//! Rebuilding a graph node by node under one rule.
//!
//! The rule sees each node in topological order with its operands already rebuilt. It gives back values that stand for the node's outputs,
//! or None to keep the node. What a rule leaves unused is dropped at the end.

use crate::dce::without_dead;
use crate::names::settle_names;
use crate::view::View;
use ir::graph::Def;
use ir::{Graph, Location, NewNode, Node, TensorType, ValueId};
use ops::Builder;
use std::collections::BTreeMap;
use sym::Sym;

/// A node whose turn it is.
pub struct Site<'a> {
    /// The node as it stood before.
    pub node: &'a Node,
    /// Its operands, as values of the graph after.
    pub inputs: Vec<ValueId>,
}

/// A graph on its way from before to after.
pub struct Rewriter<'a> {
    pub before: &'a Graph,
    pub b: Builder,
    /// For each value before, the value after that holds the same tensor.
    after: Vec<Option<ValueId>>,
    /// For values after that took the place of one before: that one, whose name they take.
    namesakes: BTreeMap<ValueId, ValueId>,
    /// How many of the values before have been looked at for constants to bring over.
    scanned: usize,
}

/// Rebuilds `before` under `rule`, and the regions of the nodes that it keeps under `pass`. A rule's results that don't have exactly the
/// types of the node's outputs are ignored. Values that stay the same tensor keep their names; inputs and outputs stay.
pub fn rewrite(before: &Graph, pass: fn(&Graph) -> Graph, mut rule: impl FnMut(&mut Rewriter, &Site) -> Option<Vec<ValueId>>) -> Graph {
    let mut rewriter = Rewriter::new(before);
    for node in &before.nodes {
        let site = rewriter.site(node);
        let first = rewriter.start(&node.location);
        match rule(&mut rewriter, &site).filter(|results| rewriter.fits(node, results)) {
            Some(results) => rewriter.replace(node, &results, first),
            None => rewriter.keep(&site, pass),
        }
    }
    rewriter.finish()
}

impl<'a> Rewriter<'a> {
    pub fn new(before: &'a Graph) -> Rewriter<'a> {
        let after = vec![None; before.values.len()];
        let mut rewriter = Rewriter { before, b: Builder::new(&before.name), after, namesakes: BTreeMap::new(), scanned: 0 };
        rewriter.b.graph.reserve(before);
        for id in &before.inputs {
            let value = before.value(*id);
            let input = rewriter.b.input(&value.name, value.ty.clone());
            rewriter.stands_for(*id, input);
            rewriter.namesakes.insert(input, *id);
        }
        rewriter
    }

    /// What is known of the graph after, as far as it goes.
    pub fn view(&self) -> View<'_> {
        View::of(self.b.graph.graph())
    }

    /// The value after that holds the same tensor as `id` did before.
    pub fn after(&mut self, id: ValueId) -> ValueId {
        if self.after[id.0 as usize].is_none() {
            self.bring_constants(id.0 as usize + 1);
        }
        self.after[id.0 as usize].unwrap_or_else(|| panic!("bug: {} is read before it is made", self.before.value(id).name))
    }

    /// The value before whose place a value after took.
    pub fn before_of(&self, after: ValueId) -> Option<ValueId> {
        self.namesakes.get(&after).copied()
    }

    /// A node whose turn has come, after the constants that stand before it.
    pub fn site<'n>(&mut self, node: &'n Node) -> Site<'n> {
        self.bring_constants(node.outputs.first().map_or(0, |id| id.0 as usize));
        Site { node, inputs: node.inputs.iter().map(|id| self.after(*id)).collect() }
    }

    /// Brings over the constants among the first values, but for those that something else stands for.
    fn bring_constants(&mut self, values: usize) {
        for at in self.scanned..values {
            let value = &self.before.values[at];
            if let (Def::Constant { tensor, weight }, None) = (&value.def, self.after[at]) {
                let after = self.b.graph.constant(tensor.clone(), weight.as_deref(), &value.name);
                self.stands_for(ValueId(at as u32), after);
                self.namesakes.insert(after, ValueId(at as u32));
            }
        }
        self.scanned = self.scanned.max(values);
    }

    /// Nodes made from now on come from `location`; gives the first of their values.
    pub fn start(&mut self, location: &Location) -> ValueId {
        self.b.location = location.clone();
        ValueId(self.b.graph.graph().values.len() as u32)
    }

    /// Nodes made from now on also come from what `value`, of the graph after, came from.
    pub fn covers(&mut self, value: ValueId) {
        if let Some((_, node)) = self.b.graph.graph().producer(value) {
            self.b.location = node.location.join(&self.b.location);
        }
    }

    /// Whether the results have the types of the node's outputs.
    pub fn fits(&self, node: &Node, results: &[ValueId]) -> bool {
        let types = results.iter().map(|id| self.b.ty(*id));
        results.len() == node.outputs.len() && types.eq(node.outputs.iter().map(|id| self.before.ty(*id)))
    }

    pub fn stands_for(&mut self, before: ValueId, after: ValueId) {
        self.after[before.0 as usize] = Some(after);
    }

    /// A value after takes the name of one before, and stands for it.
    pub fn takes_place(&mut self, before: ValueId, after: ValueId) {
        self.stands_for(before, after);
        self.namesakes.entry(after).or_insert(before);
    }

    /// What stands for `first`, of the values before, also stands for `id`.
    pub fn join(&mut self, id: ValueId, first: ValueId) {
        let after = self.after(first);
        self.stands_for(id, after);
    }

    /// The results stand for the node's outputs; those made since `first` take their names.
    pub fn replace(&mut self, node: &Node, results: &[ValueId], first: ValueId) {
        for (before, after) in node.outputs.iter().zip(results) {
            if *after >= first {
                self.takes_place(*before, *after);
            }
            self.stands_for(*before, *after);
        }
    }

    /// The node as it was, its regions rebuilt by `pass`.
    pub fn keep(&mut self, site: &Site, pass: fn(&Graph) -> Graph) {
        let node = site.node;
        let regions = node.regions.iter().map(pass).collect();
        let names: Vec<&str> = node.outputs.iter().map(|id| &*self.before.value(*id).name).collect();
        let first = self.start(&node.location);
        let results = self.b.graph.add_node(NewNode {
            op: node.op,
            attrs: node.attrs.clone(),
            inputs: &site.inputs,
            outputs: self.types(&node.outputs),
            regions,
            location: node.location.clone(),
            hints: &names,
        });
        self.replace(node, &results, first);
    }

    /// The types of values before.
    pub fn types(&self, ids: &[ValueId]) -> Vec<TensorType> {
        ids.iter().map(|id| self.before.ty(*id).clone()).collect()
    }

    /// The graph after.
    pub fn finish(mut self) -> Graph {
        self.bring_constants(self.before.values.len());
        for (name, id) in &self.before.outputs {
            let after = self.after(*id);
            self.b.output(name, after);
        }
        let computed: Vec<(Sym, ValueId)> = self.before.computed.iter().map(|(sym, id)| (sym.clone(), self.after(*id))).collect();
        let mut graph = self.b.finish();
        graph.computed = computed;
        graph.symbols = self.before.symbols.clone();
        graph.texts = self.before.texts.clone();
        let added = std::mem::replace(&mut graph.guards, self.before.guards.clone());
        for guard in added {
            if self.before.guards.iter().all(|old| old.condition != guard.condition) {
                graph.guards.push(guard);
            }
        }
        settle_names(&mut graph, self.before, &self.namesakes);
        without_dead(graph)
    }
}
