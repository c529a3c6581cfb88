//! What is wrong with a model: each problem once.

use ir::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub(crate) struct Problems {
    faults: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// For what many nodes have in common, which of the faults says so and how many more nodes have it.
    common: BTreeMap<String, (usize, usize)>,
}

impl Problems {
    pub fn fault(&mut self, diagnostic: Diagnostic) {
        self.faults.push(diagnostic);
    }

    /// A problem that many nodes share, such as their operator: the first node is named, the others are counted.
    pub fn once(&mut self, what: String, diagnostic: Diagnostic) {
        match self.common.get_mut(&what) {
            Some((_, more)) => *more += 1,
            None => {
                self.common.insert(what, (self.faults.len(), 0));
                self.faults.push(diagnostic);
            }
        }
    }

    /// All faults, where there is one.
    pub fn check(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        for (at, more) in self.common.into_values().filter(|(_, more)| *more > 0) {
            let nodes = if more == 1 { "node" } else { "nodes" };
            self.faults[at].message.push_str(&format!(" (and {more} more {nodes})"));
        }
        match self.faults.is_empty() {
            true => Ok(self.warnings),
            false => Err(Diagnostics(self.faults)),
        }
    }
}
