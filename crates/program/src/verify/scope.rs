//! Which symbols steps may mention.

use crate::physical::PhysicalGroup;
use crate::program::{Loop, Program, Step, Times};
use std::collections::BTreeSet;
use sym::Sym;

/// P17. The other invariants hold.
pub fn faults(program: &Program) -> Vec<String> {
    let computed = program.computed();
    let given = program.symbols.keys().filter(|sym| !computed.contains(sym));
    let mut scope = Scope { program, known: given.cloned().collect(), faults: Vec::new() };
    scope.steps(&program.prepare);
    scope.steps(&program.steps);
    scope.faults
}

struct Scope<'a> {
    program: &'a Program,
    /// The sizes of the call, those computed before, and the counters of the loops around.
    known: BTreeSet<Sym>,
    faults: Vec<String>,
}

impl Scope<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Group(group) => self.mentioned(PhysicalGroup::new(self.program, group).0.sizes(), &group.location().to_string()),
                Step::Host(step) => {
                    let sizes = step.buffers().flat_map(|id| self.program.buffer(id).ty.dims.iter().flat_map(|dim| dim.symbols()));
                    self.mentioned(sizes, &step.location.to_string());
                }
                Step::Border(id) => {
                    let sizes = self.program.buffer(*id).ty.dims.iter().flat_map(|dim| dim.symbols());
                    self.mentioned(sizes, "border");
                }
                Step::Guard(guard) => self.mentioned(guard.condition.symbols(), &guard.location.to_string()),
                Step::Size { symbol, .. } => self.computed(symbol),
                Step::If { then, otherwise, .. } => [then, otherwise].into_iter().for_each(|steps| self.inner(steps)),
                Step::Loop(repeat) => self.repeat(repeat),
            }
        }
    }

    /// What steps inside of others compute is known to them alone.
    fn inner(&mut self, steps: &[Step]) {
        let around = self.known.clone();
        self.steps(steps);
        self.known = around;
    }

    fn computed(&mut self, symbol: &Sym) {
        let why = match self.program.symbols.get(symbol) {
            None => "is no symbol of the program",
            Some(fact) if fact.low < 0 => "may be negative",
            Some(_) if !self.known.insert(symbol.clone()) => "is computed where it is known already",
            Some(_) => return,
        };
        self.faults.push(format!("P17: {symbol} {why}"));
    }

    fn repeat(&mut self, repeat: &Loop) {
        if let Times::Trips(trips) = &repeat.times {
            self.mentioned(trips.symbols(), "the trips of a loop");
        }
        if !self.known.insert(repeat.counter.clone()) {
            return self.faults.push(format!("P17: {} counts a loop and means something else around it", repeat.counter));
        }
        self.inner(&repeat.body);
        self.inner(&repeat.last);
        self.known.remove(&repeat.counter);
    }

    fn mentioned(&mut self, symbols: impl IntoIterator<Item = Sym>, place: &str) {
        let unknown = symbols.into_iter().filter(|sym| !self.known.contains(sym));
        self.faults.extend(unknown.map(|sym| format!("P17: {place}: there is no {sym} here")));
    }
}
