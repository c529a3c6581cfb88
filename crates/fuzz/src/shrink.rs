//! Smaller models that fail alike.
//!
//! A model is taken through attempts, each of which makes it smaller in some way; the first that still fails is the next model, until
//! none does. Attempts need not be valid: what they break, the check refuses, and that is another failure.
//!
//! - [`facts`]: the types and numbers of a model's values
//! - [`prune`]: what nothing depends on goes
//! - [`cut`]: fewer calls, outputs and nodes
//! - [`sizes`]: smaller dims, simpler numbers

mod cut;
mod facts;
mod prune;
mod sizes;

pub use facts::Facts;
pub use prune::pruned;

use crate::model::calls;
use onnx::proto::{GraphProto, ModelProto};

/// Models that may be next, in the order of trying.
type Attempts<'a> = Box<dyn Iterator<Item = ModelProto> + 'a>;
type Way = for<'a> fn(&'a ModelProto, &'a Facts) -> Attempts<'a>;

/// The ways to make a model smaller, those that remove most first.
static WAYS: [Way; 14] = [
    cut::one_call,
    cut::one_output,
    cut::ends_early,
    cut::begins_late,
    cut::frozen,
    cut::bypassed,
    cut::fewer_outputs,
    cut::fewer_calls,
    sizes::without_symbols,
    sizes::smaller_symbols,
    sizes::smaller_dims,
    cut::without_operands,
    cut::without_attributes,
    sizes::ones,
];

/// A smallest model that still `fails`, within so many attempts. Tensors without elements are not introduced: they fail in ways of their
/// own.
pub fn shrink(model: &ModelProto, seed: u64, most_attempts: usize, fails: &mut dyn FnMut(&ModelProto) -> bool) -> ModelProto {
    let had_empty = Facts::of(model, seed).has_empty();
    let mut fails = |attempt: &ModelProto| fails(attempt) && (had_empty || !Facts::of(attempt, seed).has_empty());
    let mut best = model.clone();
    let mut left = most_attempts;
    while let Some(next) = smaller(&best, seed, &mut left, &mut fails) {
        best = next;
    }
    best
}

fn smaller(model: &ModelProto, seed: u64, left: &mut usize, fails: &mut dyn FnMut(&ModelProto) -> bool) -> Option<ModelProto> {
    let facts = Facts::of(model, seed);
    let weight = weight(model);
    let attempts = WAYS.iter().flat_map(|way| way(model, &facts)).map(pruned);
    attempts.filter(|attempt| self::weight(attempt) < weight).take_while(|_| take_one(left)).find(|attempt| fails(attempt))
}

fn take_one(left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
}

/// How large a model is, what matters most first; every step makes it less.
fn weight(model: &ModelProto) -> [usize; 6] {
    let empty = GraphProto::default();
    let graph = model.graph.as_ref().unwrap_or(&empty);
    let asked = calls(model);
    let symbols: usize = asked.iter().map(|call| call.sizes.len()).sum();
    let parts = graph.node.iter().map(|node| node.input.len() + node.attribute.len()).sum::<usize>() + graph.initializer.len();
    [graph.node.len(), graph.output.len() + asked.len(), symbols, parts, sizes::elements(model), sizes::odd_numbers(graph)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::imported;
    use crate::model::generate;
    use prost::Message;

    fn holds(model: &ModelProto, op: &str) -> bool {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node).filter(|node| node.op_type == op).count();
        nodes > 0 && imported(&model.encode_to_vec()).is_ok()
    }

    /// A model that is wrong wherever it has such a node comes down to that node on small operands.
    fn check(op: &str, most_elements: usize) {
        let seed = (0..).find(|seed| holds(&generate(*seed), op) && generate(*seed).graph.is_some_and(|graph| graph.node.len() > 8));
        let seed = seed.unwrap_or_default();
        let small = shrink(&generate(seed), seed, 2000, &mut |model| holds(model, op));
        let graph = small.graph.clone().unwrap_or_default();
        assert_eq!(graph.node.iter().map(|node| node.op_type.as_str()).collect::<Vec<_>>(), [op]);
        assert_eq!(graph.output.len(), 1);
        assert!(sizes::elements(&small) <= most_elements, "{} elements", sizes::elements(&small));
    }

    #[test]
    fn one_node_is_left() {
        check("Conv", 20);
        check("Softmax", 4);
        check("MatMul", 4);
    }

    #[test]
    fn what_is_valid_stays_valid() {
        let model = generate(3);
        assert!(imported(&pruned(model).encode_to_vec()).is_ok());
    }
}
