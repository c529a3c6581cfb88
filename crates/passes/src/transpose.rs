//! `transpose`: orders of axes move toward the nodes that read them, where they cancel or become letters of a contraction.
//!
//! - [`order`]: orders of axes
//! - [`sink`]: what each op becomes on operands whose axes stand in another order
//! - [`groups`]: which axes a reshape splits and joins

pub mod groups;
pub mod order;
pub mod sink;

use crate::rewrite::Rewriter;
use crate::view::{Uses, View};
use ir::{Attr, Attrs, Graph, NewNode, Node, TensorType, ValueId};
use ops::core::contract::Spec;
use order::{Order, is_plain, moves_ones_only};
use std::collections::BTreeMap;

/// Moves transposes behind scalar functions, conversions, expansions, folds, softmax, slices, padding, concatenations and reshapes that do
/// not mix what they reorder. On the way they merge and cancel; a contraction takes them into its letters, on both sides; one that moves
/// only axes of size 1 becomes a reshape. The graph stays as it is where that does not leave fewer transposes.
///
/// ```text
/// t = transpose(k, [0, 2, 1]); y = contract(q, mul(t, c), bmd,bdn->bmn)   ->   y = contract(q, mul(k, c), bmd,bnd->bmn)
/// ```
pub fn transpose(graph: &Graph) -> Graph {
    let graph = with_regions(graph);
    let before = transposes(&graph);
    let mut tries = [Reach::Far, Reach::Near].into_iter().filter(|_| before > 0).map(|reach| Turner::new(&graph, reach).run());
    match tries.find(|moved| transposes(moved) < before) {
        Some(moved) => moved,
        None => graph,
    }
}

/// The graph with its regions done.
fn with_regions(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    graph.nodes.iter_mut().for_each(|node| node.regions = node.regions.iter().map(transpose).collect());
    graph
}

/// How many transposes run at each call: those of constants do not.
fn transposes(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|node| node.op == "transpose" && graph.constant(node.inputs[0]).is_none()).count()
}

/// How far orders move.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// Behind every reader of a value: each may have to undo the order for itself.
    Far,
    /// Behind the only reader.
    Near,
}

/// A tensor as another seen with its axes in another order: its axis k is axis `order[k]` of `base`.
#[derive(Clone)]
struct Turned {
    base: ValueId,
    order: Order,
}

/// Rebuilds a graph; a value may exist only as another one turned until something needs it in its own order.
struct Turner<'a> {
    rewriter: Rewriter<'a>,
    uses: Uses,
    reach: Reach,
    /// For values before: what they are after, where that is turned.
    turned: Vec<Option<Turned>>,
    /// Values after that were put into another order.
    made: BTreeMap<(ValueId, Order), ValueId>,
}

impl<'a> Turner<'a> {
    fn new(graph: &'a Graph, reach: Reach) -> Turner<'a> {
        let turned = vec![None; graph.values.len()];
        Turner { rewriter: Rewriter::new(graph), uses: Uses::of(graph), reach, turned, made: BTreeMap::new() }
    }

    fn run(mut self) -> Graph {
        let before = self.rewriter.before;
        for node in &before.nodes {
            let first = self.rewriter.start(&node.location);
            match self.sunk(node) {
                Some(turned) if is_plain(&turned.order) => self.rewriter.replace(node, &[turned.base], first),
                Some(turned) => self.turned[node.outputs[0].0 as usize] = Some(turned),
                None => {
                    node.inputs.iter().for_each(|id| {
                        self.plain(*id);
                    });
                    let site = self.rewriter.site(node);
                    self.rewriter.keep(&site, Graph::clone);
                }
            }
        }
        before.roots().for_each(|id| {
            self.plain(id);
        });
        self.rewriter.finish()
    }

    /// A value before as it is after, turned or not.
    fn seen(&mut self, id: ValueId) -> Turned {
        match &self.turned[id.0 as usize] {
            Some(turned) => turned.clone(),
            None => Turned { base: self.rewriter.after(id), order: (0..self.rewriter.before.ty(id).rank()).collect() },
        }
    }

    /// A value before in its own order.
    fn plain(&mut self, id: ValueId) -> ValueId {
        let Some(turned) = self.turned[id.0 as usize].clone() else { return self.rewriter.after(id) };
        let key = (turned.base, turned.order);
        let value = match self.made.get(&key) {
            Some(value) => *value,
            None => self.ordered(id, key.0, &key.1),
        };
        self.made.insert(key, value);
        self.rewriter.stands_for(id, value);
        value
    }

    /// `base` with its axes in another order, which gives the value that `id` was before.
    fn ordered(&mut self, id: ValueId, base: ValueId, order: &Order) -> ValueId {
        let location = View::of(self.rewriter.before).location(id);
        let ty = self.rewriter.before.ty(id).clone();
        let (op, attrs) = match moves_ones_only(order, self.rewriter.b.dims(base)) {
            true => ("reshape", Attrs::from([("dims", Attr::Exprs(ty.dims.clone()))])),
            false => ("transpose", Attrs::from([("perm", Attr::Ints(order.iter().map(|axis| *axis as i64).collect()))])),
        };
        self.rewriter.b.location = location;
        let value = self.node(op, attrs, &[base], ty, id);
        self.rewriter.takes_place(id, value);
        value
    }

    /// A node of one result, named after a value before.
    fn node(&mut self, op: &'static str, attrs: Attrs, inputs: &[ValueId], ty: TensorType, like: ValueId) -> ValueId {
        let location = self.rewriter.b.location.clone();
        let hint = self.rewriter.before.value(like).name.clone();
        let new = NewNode { op, attrs, inputs, outputs: vec![ty], regions: Vec::new(), location, hints: &[&hint] };
        self.rewriter.b.graph.add_node(new)[0]
    }

    /// A transposed contraction that nothing else reads, as one with another order of letters in its result.
    fn turned_contraction(&mut self, node: &Node, order: &Order) -> Option<ValueId> {
        let id = node.inputs[0];
        let turned = self.seen(id);
        (self.uses.count(id) == 1 && is_plain(&turned.order)).then_some(())?;
        let contraction = self.rewriter.view().made_by(turned.base, "contract")?.clone();
        let mut spec = Spec::read(&contraction.attrs).ok()?;
        spec.out = order.iter().map(|axis| spec.out[*axis]).collect();
        let ty = self.rewriter.before.ty(node.outputs[0]).clone();
        self.rewriter.covers(turned.base);
        Some(self.node("contract", spec_attrs(&spec), &contraction.inputs, ty, node.outputs[0]))
    }
}

fn spec_attrs(spec: &Spec) -> Attrs {
    let text = |letters: &[char]| letters.iter().collect::<String>();
    Attrs::from([("spec", Attr::Text(format!("{},{}->{}", text(&spec.a), text(&spec.b), text(&spec.out))))])
}

#[cfg(test)]
mod tests;
