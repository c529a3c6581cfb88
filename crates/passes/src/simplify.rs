//! `simplify`: algebraic rules, one node at a time.
//!
//! - [`arithmetic`]: neutral elements, powers, signs
//! - [`logic`]: bools, comparisons, select, branches
//! - [`shape`]: ops that only move or expand elements
//! - [`index`]: slices, gathers, concatenations, padding
//! - [`contraction`]: expansions and borders of what is contracted
//! - [`expand`]: scalar functions of expanded operands

pub mod arithmetic;
pub mod contraction;
pub mod expand;
pub mod index;
pub mod logic;
pub mod shape;

use crate::rewrite::{Rewriter, Site, rewrite};
use crate::view::func_of;
use ir::{Graph, ValueId};
use nest::Func;

/// How often all rules are tried again where one applied.
const ROUNDS: usize = 4;

/// A directional rule on one node: its right side never costs more. Both sides are equal for all operands, up to rounding and the sign of
/// zeros.
pub struct Rule {
    /// `left -> right`
    pub meaning: &'static str,
    pub apply: fn(&mut Rewriter, &Site) -> Option<Vec<ValueId>>,
}

/// Applies all rules, the first that fits at each node, until nothing changes or 4 times.
///
/// ```text
/// y = add(mul(x, 1), broadcast(0))   ->   y = x
/// ```
pub fn simplify(graph: &Graph) -> Graph {
    let (mut after, mut applied) = simplified_once(graph, simplify);
    for _ in 1..ROUNDS {
        if applied == 0 {
            break;
        }
        // regions are done
        (after, applied) = simplified_once(&after, Graph::clone);
    }
    after
}

/// The graph after one sweep, its regions under `pass`, and how many rules applied to its own nodes.
fn simplified_once(graph: &Graph, pass: fn(&Graph) -> Graph) -> (Graph, usize) {
    let mut applied = 0;
    let after = rewrite(graph, pass, |rewriter, site| {
        let families = [arithmetic::RULES, logic::RULES, shape::RULES, index::RULES, contraction::RULES, expand::RULES];
        let mut rules = families.into_iter().flatten();
        let results = rules.find_map(|rule| (rule.apply)(rewriter, site).filter(|results| rewriter.fits(site.node, results)))?;
        applied += 1;
        Some(results)
    });
    (after, applied)
}

impl Site<'_> {
    /// The operands of a node that applies `func`.
    fn map(&self, func: Func) -> Option<&[ValueId]> {
        (func_of(self.node.op, &self.node.attrs) == Some(func)).then_some(self.inputs.as_slice())
    }

    /// The first operand of a node that applies `op`.
    fn operand(&self, op: &str) -> Option<ValueId> {
        self.inputs.first().copied().filter(|_| self.node.op == op)
    }
}
