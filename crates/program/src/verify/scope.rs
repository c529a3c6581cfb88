//! Which symbols steps may mention.

use crate::physical::PhysicalGroup;
use crate::program::{Loop, Program, Step, Times};
use ir::Guard;
use ir::guard::Condition;
use std::collections::BTreeSet;
use sym::Sym;

/// P17. The other invariants hold.
pub fn faults(program: &Program) -> Vec<String> {
    let mut scope = Scope { program, known: program.symbols.keys().cloned().collect(), faults: Vec::new() };
    scope.steps(&program.prepare);
    scope.steps(&program.steps);
    scope.faults
}

struct Scope<'a> {
    program: &'a Program,
    /// The program's symbols and the counters of the loops around.
    known: BTreeSet<Sym>,
    faults: Vec<String>,
}

impl Scope<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Group(group) => self.mentioned(PhysicalGroup::new(self.program, group).0.sizes(), &group.location().to_string()),
                // sizes of buffers are those of the program
                Step::Host(_) | Step::Border(_) => {}
                Step::Guard(Guard {
                    condition: Condition::Equal(a, b) | Condition::OneOrEqual(a, b) | Condition::AtLeast(a, b),
                    location,
                }) => {
                    self.mentioned(&a.symbols() | &b.symbols(), &location.to_string());
                }
                Step::If { then, otherwise, .. } => [then, otherwise].into_iter().for_each(|steps| self.steps(steps)),
                Step::Loop(repeat) => self.repeat(repeat),
            }
        }
    }

    fn repeat(&mut self, repeat: &Loop) {
        if let Times::Trips(trips) = &repeat.times {
            self.mentioned(trips.symbols(), "the trips of a loop");
        }
        if !self.known.insert(repeat.counter.clone()) {
            return self.faults.push(format!("P17: {} counts a loop and means something else around it", repeat.counter));
        }
        self.steps(&repeat.body);
        self.steps(&repeat.last);
        self.known.remove(&repeat.counter);
    }

    fn mentioned(&mut self, symbols: impl IntoIterator<Item = Sym>, place: &str) {
        let unknown = symbols.into_iter().filter(|sym| !self.known.contains(sym));
        self.faults.extend(unknown.map(|sym| format!("P17: {place}: there is no {sym} here")));
    }
}
