//! What is wrong with a model: each problem once.

use ir::{Code, Diagnostic, Diagnostics, Location};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Problems {
    faults: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// For each unsupported operator, which of the faults says so and how many more nodes have it.
    unsupported: BTreeMap<String, (usize, usize)>,
}

impl Problems {
    pub fn fault(&mut self, diagnostic: Diagnostic) {
        self.faults.push(diagnostic);
    }

    /// Nodes of one unsupported operator are one problem: the first is named, the others counted.
    pub fn unsupported(&mut self, operator: String, location: &Location, message: impl FnOnce() -> String) {
        match self.unsupported.get_mut(&operator) {
            Some((_, more)) => *more += 1,
            None => {
                self.unsupported.insert(operator, (self.faults.len(), 0));
                self.faults.push(Diagnostic::new(Code::Unsupported, location, message()));
            }
        }
    }

    /// All faults, where there is one.
    pub fn check(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        for (at, more) in self.unsupported.into_values().filter(|(_, more)| *more > 0) {
            let nodes = if more == 1 { "node" } else { "nodes" };
            self.faults[at].message.push_str(&format!(" (and {more} more {nodes})"));
        }
        match self.faults.is_empty() {
            true => Ok(self.warnings),
            false => Err(Diagnostics(self.faults)),
        }
    }
}
