//! The graphs that are being built, and the names that nodes can see.

use super::term::Term;
use ::ops::Builder;
use ir::ValueId;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A graph that is being built: the main one, or a region inside of the one before it.
pub(super) struct Scope {
    pub builder: Builder,
    /// The model's values that have a value here.
    pub values: BTreeMap<Term, ValueId>,
    /// The values of outer graphs that became inputs of this region, in order.
    pub captures: Vec<Term>,
}

impl Scope {
    pub fn new(name: &str) -> Scope {
        Scope { builder: Builder::new(name), values: BTreeMap::new(), captures: Vec::new() }
    }
}

/// The names of one graph or function body.
pub(super) struct Frame {
    pub names: BTreeMap<String, Slot>,
    /// Every name that a node of this graph defines.
    pub defined: BTreeSet<String>,
    /// Whether the names of the frames below are out of sight, as in a function's body.
    pub opaque: bool,
    /// The version of each operator set, by domain.
    pub opsets: Rc<BTreeMap<String, i64>>,
    /// What stands before the names of nodes in here.
    pub prefix: String,
    /// What stands before the operators of nodes without a name.
    pub label: String,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Slot {
    Term(Term),
    /// An input of a function that the call leaves out.
    Absent,
    /// The result of what failed; the problem has been reported.
    Poisoned,
}

/// Where a name is looked up.
pub(super) fn lookup(frames: &[Frame], name: &str) -> Option<Slot> {
    for frame in frames.iter().rev() {
        if let Some(slot) = frame.names.get(name) {
            return Some(*slot);
        }
        if frame.opaque {
            return None;
        }
    }
    None
}
