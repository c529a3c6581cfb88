//! Reading patterns out of a graph.

use ir::{Attr, Attrs, Graph, Literal, Location, Node, NodeId, TensorType, ValueId};
use nest::Func;

/// How far [`View::uniform`] looks through nodes.
const UNIFORM_DEPTH: usize = 6;

/// Questions to a graph: each answers None where a value is made in another way.
#[derive(Clone, Copy)]
pub struct View<'g> {
    pub graph: &'g Graph,
}

impl<'g> View<'g> {
    pub fn of(graph: &'g Graph) -> View<'g> {
        View { graph }
    }

    pub fn ty(self, value: ValueId) -> &'g TensorType {
        self.graph.ty(value)
    }

    /// The node that makes a value, where it applies `op`.
    pub fn made_by(self, value: ValueId, op: &str) -> Option<&'g Node> {
        self.graph.producer(value).map(|(_, node)| node).filter(|node| node.op == op)
    }

    /// The operand of the one-operand op that makes a value.
    pub fn operand_of(self, value: ValueId, op: &str) -> Option<ValueId> {
        self.made_by(value, op).map(|node| node.inputs[0])
    }

    /// The operands of the scalar function that makes a value.
    pub fn map(self, value: ValueId, func: Func) -> Option<&'g [ValueId]> {
        let node = self.made_by(value, "map")?;
        (func_of(node.op, &node.attrs) == Some(func)).then_some(node.inputs.as_slice())
    }

    /// The operand of a scalar function of one operand.
    pub fn unary(self, value: ValueId, func: Func) -> Option<ValueId> {
        self.map(value, func).map(|operands| operands[0])
    }

    /// The operands of a commutative function in the order in which `pick` answers for the first.
    pub fn either<T>(self, value: ValueId, func: Func, pick: impl Fn(ValueId) -> Option<T>) -> Option<(T, ValueId)> {
        let operands = self.map(value, func)?;
        let (a, b) = (operands[0], operands[1]);
        pick(a).map(|picked| (picked, b)).or_else(|| pick(b).map(|picked| (picked, a)))
    }

    /// The value that all elements have, where that is known: of a constant, also under ops that only move elements.
    pub fn uniform(self, value: ValueId) -> Option<Literal> {
        let mut value = value;
        for _ in 0..UNIFORM_DEPTH {
            match self.graph.producer(value) {
                None => return self.graph.constant(value)?.uniform(),
                Some((_, node)) if moves_elements(node.op) => value = node.inputs[0],
                Some(_) => return None,
            }
        }
        None
    }

    /// The number that all elements are.
    pub fn number(self, value: ValueId) -> Option<f64> {
        self.uniform(value).map(Literal::as_f64)
    }

    pub fn is_number(self, value: ValueId, number: f64) -> bool {
        self.number(value) == Some(number)
    }

    /// Whether all elements are a number, up to the rounding of the element type and of the program that wrote the model.
    pub fn is_about(self, value: ValueId, number: f64) -> bool {
        let tolerance = 4.0 * self.ty(value).dtype.unit_roundoff().max(1e-15) * number.abs();
        self.number(value).is_some_and(|found| (found - number).abs() <= tolerance)
    }

    /// What was expanded to this value, or the value itself.
    pub fn unbroadcast(self, value: ValueId) -> ValueId {
        self.operand_of(value, "broadcast").unwrap_or(value)
    }

    /// What the node that makes a value came from; nothing for inputs and constants.
    pub fn location(self, value: ValueId) -> Location {
        self.graph.producer(value).map(|(_, node)| node.location.clone()).unwrap_or_default()
    }
}

/// Ops whose result has no elements but those of their first operand.
fn moves_elements(op: &str) -> bool {
    matches!(op, "broadcast" | "reshape" | "transpose" | "slice")
}

/// The scalar function of a `map` node.
pub fn func_of(op: &str, attrs: &Attrs) -> Option<Func> {
    match attrs.get("func") {
        Some(Attr::Text(name)) if op == "map" => Func::from_name(name),
        _ => None,
    }
}

/// Who reads each value.
pub struct Uses(Vec<(Vec<NodeId>, usize)>);

impl Uses {
    pub fn of(graph: &Graph) -> Uses {
        Uses(graph.uses())
    }

    /// How often a value is read, by nodes and as an output of the graph.
    pub fn count(&self, value: ValueId) -> usize {
        let (readers, outputs) = &self.0[value.0 as usize];
        readers.len() + outputs
    }

    /// Whether nothing but the nodes that make `inner` or `root` reads the `inner` values.
    pub fn closed(&self, graph: &Graph, root: ValueId, inner: &[ValueId]) -> bool {
        let inside = |node: &NodeId| graph.node(*node).outputs.iter().any(|id| *id == root || inner.contains(id));
        inner.iter().all(|value| {
            let (readers, outputs) = &self.0[value.0 as usize];
            *outputs == 0 && readers.iter().all(inside)
        })
    }
}
