//! Which of the passes that could be left out run, and in which order: results must agree whatever is selected.

use crate::options::{Options, Precision};
use crate::plan::{self, ProgramPass};
use passes::Pass;
use random::Random;
use std::collections::BTreeSet;

/// What selects the passes of a compile; the default is all of them, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The optional passes that are left out.
    pub without: BTreeSet<&'static str>,
    /// Draws the order of the graph passes.
    pub shuffle: Option<u64>,
}

/// The pass without which no graph is one of core ops; those before it take any graph, those behind it core ops alone, in any order.
const MANDATORY: &str = "decompose";

/// The names of the passes that can be left out, in the order of the pipeline.
pub fn optional_passes() -> Vec<&'static str> {
    let graph = passes::pipeline().iter().map(|pass| pass.name).filter(|name| *name != MANDATORY);
    graph.chain(plan::PASSES.iter().map(|pass| pass.name).filter(|name| *name != plan::PRECISION)).collect()
}

impl Selection {
    /// No pass that can be left out.
    pub fn least() -> Selection {
        Selection { without: optional_passes().into_iter().collect(), shuffle: None }
    }

    /// Leaves out one more; the error lists those that could be.
    pub fn leave_out(&mut self, name: &str) -> Result<(), String> {
        let optional = optional_passes();
        match optional.iter().find(|known| **known == name) {
            Some(known) => {
                self.without.insert(known);
                Ok(())
            }
            None => Err(format!("there is no pass {name} to leave out; there are {}", optional.join(", "))),
        }
    }

    /// A random one: maybe the least, else without some, and maybe in another order.
    pub fn drawn(random: &mut Random) -> Selection {
        if random.chance(25) {
            return Selection::least();
        }
        let share = random.one_of([0, 15, 50]);
        let without = optional_passes().into_iter().filter(|_| random.chance(share)).collect();
        let shuffle = random.chance(70).then(|| random.below(1 << 30) as u64);
        Selection { without, shuffle }
    }

    /// The graph passes to run.
    pub fn graph_passes(&self) -> Vec<&'static Pass> {
        let all: Vec<&'static Pass> = passes::pipeline().iter().filter(|pass| !self.without.contains(pass.name)).collect();
        let Some(mut random) = self.shuffle.map(Random::new) else { return all };
        let middle = all.iter().position(|pass| pass.name == MANDATORY).unwrap_or(all.len());
        let (before, behind) = all.split_at(middle);
        let Some((mandatory, behind)) = behind.split_first() else { return all };
        let (mut before, mut behind) = (before.to_vec(), behind.to_vec());
        random.shuffle(&mut before);
        random.shuffle(&mut behind);
        [before, vec![*mandatory], behind].concat()
    }

    /// The program passes to run.
    pub fn program_passes(&self, options: &Options) -> Vec<&'static ProgramPass> {
        let (narrow, winograd) = (options.precision == Precision::Bf16, options.winograd);
        let runs = |pass: &&ProgramPass| match pass.name {
            plan::PRECISION => narrow,
            plan::WINOGRAD => winograd,
            _ => true,
        };
        plan::PASSES.iter().filter(runs).filter(|pass| !self.without.contains(pass.name)).collect()
    }

    /// Its options of the command.
    pub fn text(&self) -> String {
        let without = self.without.iter().map(|name| format!("--without {name}"));
        without.chain(self.shuffle.map(|seed| format!("--shuffle-passes {seed}"))).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_left_out_and_shuffled() {
        let names = |selection: &Selection| selection.graph_passes().iter().map(|pass| pass.name).collect::<Vec<_>>();
        assert_eq!(names(&Selection::default()), passes::pipeline().iter().map(|pass| pass.name).collect::<Vec<_>>());
        assert_eq!(names(&Selection::least()), [MANDATORY]);
        let mut selection = Selection { shuffle: Some(3), ..Selection::default() };
        selection.leave_out("raise").unwrap();
        assert!(selection.leave_out("decompose").unwrap_err().starts_with("there is no pass decompose to leave out; there are dce, cse, "));
        assert_eq!(names(&selection).len(), passes::pipeline().len() - 1);
        assert_ne!(names(&selection), names(&Selection { shuffle: Some(4), ..selection.clone() }));
        let middle = |names: &[&str]| names.iter().position(|name| *name == MANDATORY);
        assert_eq!(middle(&names(&selection)), middle(&names(&Selection::default())).map(|at| at - 1));
        assert_eq!(selection.text(), "--without raise --shuffle-passes 3");
    }
}
