//! Whether a kernel's accesses stay inside of its buffers, whatever the sizes and the data.
//!
//! Kernels that templates make do: what they are made of was proved in bounds, and their interpreter checks each access in every test. This
//! is for kernels that came as text: each index is shown to be in `0..len` from the loops, names, checks and conditions around it. A proof
//! may not be found for a kernel that is right; it is then not taken.
//!
//! A masked access needs one only for the lanes of its mask, where that is `below(limit)` or such a mask `and` another one.

use crate::kernel::{Binary, BufferId, Cond, Kernel, Op, Stmt, TASK, ValueId};
use std::collections::BTreeMap;
use sym::{Atom, Expr, Premises, Ranges, Sym};

/// Larger constants are not reasoned about: indices are computed in 64 bits.
const LARGEST: i64 = 1 << 40;

/// The accesses for which no proof is found.
pub fn unproved(kernel: &Kernel) -> Vec<String> {
    let mut walk = Walk { kernel, limits: BTreeMap::new(), counters: 0, faults: vec![] };
    let mut scope = Scope { premises: Premises::default(), ranges: Ranges::new(0), values: BTreeMap::new() };
    let task = scope.new_symbol(walk.counter(), kernel.tasks.clone() - 1);
    scope.values.insert(Sym::new(TASK), task);
    walk.block(&kernel.body, &mut scope);
    walk.faults
}

struct Walk<'a> {
    kernel: &'a Kernel,
    /// Of the masks that end somewhere, over sizes, tasks and counters: the number of lanes that may be true.
    limits: BTreeMap<ValueId, Expr>,
    /// How many loops were met: each has a counter of its own.
    counters: usize,
    faults: Vec<String>,
}

/// What is known at a statement.
#[derive(Clone)]
struct Scope {
    premises: Premises,
    /// The constant bounds of counters; they know that what is between two numbers is the lower one, at most.
    ranges: Ranges,
    /// What names stand for.
    values: BTreeMap<Sym, Expr>,
}

impl Scope {
    /// A symbol of `0..=most`.
    fn new_symbol(&mut self, sym: Sym, most: Expr) -> Expr {
        let symbol = Expr::sym(&sym);
        if let Some(most) = self.ranges.upper_bound(&most).filter(|most| most.as_const().is_some()) {
            self.ranges.bound(&sym, Expr::zero(), most.clone());
            self.premises.nonnegative(most - symbol.clone());
        }
        self.premises.nonnegative(most - symbol.clone());
        symbol
    }

    /// The value that a name stands for. A quotient and what is left of a division become symbols of their own.
    fn named(&mut self, value: Expr, sym: Sym) -> Expr {
        let quotient = |atom: &Atom| match atom {
            Atom::FloorDiv(x, d) => d.as_const().is_some_and(|d| d > 0).then(|| (x.clone(), d.clone())),
            Atom::Sym(_) | Atom::Min(..) | Atom::Max(..) => None,
        };
        let Some((x, d)) = value.atoms().find_map(quotient) else { return value };
        if value == x.modulo(&d) {
            return self.new_symbol(sym, d - 1);
        }
        if value != x.floor_div(&d) || !self.premises.imply(&x) {
            return value;
        }
        let symbol = self.new_symbol(sym, value);
        let rest = &x - &(&d * &symbol);
        self.premises.nonnegative(d - 1 - rest.clone());
        self.premises.nonnegative(rest);
        symbol
    }

    fn at(&self, expr: &Expr) -> Expr {
        expr.substitute(&|sym| self.values.get(sym).cloned())
    }
}

impl Walk<'_> {
    fn block(&mut self, stmts: &[Stmt], scope: &mut Scope) {
        stmts.iter().for_each(|stmt| self.stmt(stmt, scope));
    }

    fn stmt(&mut self, stmt: &Stmt, scope: &mut Scope) {
        match stmt {
            Stmt::Def { value, op } => self.def(*value, op, scope),
            Stmt::Name { sym, value } => {
                self.small(value);
                let value = scope.named(scope.at(value), self.counter());
                scope.values.insert(sym.clone(), value);
            }
            Stmt::Check { sym, extent, .. } => {
                let index = scope.new_symbol(self.counter(), scope.at(extent) - 1);
                scope.values.insert(sym.clone(), index);
            }
            Stmt::Store { buffer, index, stride, value, mask } => {
                let step = stride.clone().unwrap_or(Expr::one());
                self.access("store", *buffer, (index, &step), self.kernel.ty(*value).lanes, *mask, scope);
            }
            Stmt::For { var, start, end, step, body, .. } => {
                [start, end].into_iter().for_each(|expr| self.small(expr));
                let (start, end) = (scope.at(start), scope.at(end));
                let mut inside = scope.clone();
                let step = Expr::from(*step);
                let count = inside.new_symbol(self.counter(), (end.clone() - 1 - start.clone()).floor_div(&step));
                let value = start + count * step;
                inside.premises.nonnegative(end - 1 - value.clone());
                inside.values.insert(var.clone(), value);
                self.block(body, &mut inside);
            }
            Stmt::If { conds, then, otherwise } => {
                let (mut holds, mut fails) = (scope.clone(), scope.clone());
                for cond in conds {
                    match cond {
                        Cond::Less(a, b) => holds.premises.nonnegative(scope.at(b) - 1 - scope.at(a)),
                        Cond::Equal(a, b) => holds.premises.equal(&scope.at(a), &scope.at(b)),
                        Cond::Value(_) => {}
                    }
                }
                if let [Cond::Less(a, b)] = conds.as_slice() {
                    fails.premises.nonnegative(scope.at(a) - scope.at(b));
                }
                self.block(then, &mut holds);
                self.block(otherwise, &mut fails);
            }
        }
    }

    fn def(&mut self, value: ValueId, op: &Op, scope: &Scope) {
        let lanes = self.kernel.ty(value).lanes;
        match op {
            Op::Load { buffer, index, mask } => self.access("load", *buffer, (index, &Expr::one()), lanes, *mask, scope),
            Op::LoadStrided { buffer, index, stride, mask } => self.access("load", *buffer, (index, stride), lanes, *mask, scope),
            Op::Gather { buffer, index, .. } => self.faults.push(format!("gather {}[{index} + ..]", self.kernel.buffer(*buffer).name)),
            Op::Below(limit) => {
                self.small(limit);
                self.limits.insert(value, scope.at(limit));
            }
            Op::Binary(Binary::And, a, b) => {
                if let Some(limit) = self.limits.get(a).or_else(|| self.limits.get(b)).cloned() {
                    self.limits.insert(value, limit);
                }
            }
            _ => {}
        }
    }

    fn access(&mut self, what: &str, id: BufferId, (index, stride): (&Expr, &Expr), lanes: u32, mask: Option<ValueId>, scope: &Scope) {
        [index, stride].into_iter().for_each(|expr| self.small(expr));
        let (first, stride) = (scope.at(index), scope.at(stride));
        let buffer = self.kernel.buffer(id);
        let inside = |lanes: Expr| {
            let last = first.clone() + (lanes - 1) * stride.clone();
            [&first, &last].into_iter().all(|at| scope.premises.imply(at) && scope.premises.imply(&(&buffer.len - at - 1)))
        };
        // with some lanes off, the last one that is on is before the limit; where none is on, nothing is touched
        let masked = |limit: &Expr| {
            let mut some = scope.premises.clone();
            some.nonnegative(limit - &Expr::one());
            let last = first.clone() + (limit.minimum(&Expr::from(lanes as i64)) - 1) * stride.clone();
            [&first, &last].into_iter().all(|at| some.imply(at) && some.imply(&(&buffer.len - at - 1)))
        };
        let limit = mask.and_then(|mask| self.limits.get(&mask));
        if !inside(Expr::from(lanes as i64)) && !limit.is_some_and(masked) {
            self.faults.push(format!("{what} {}[{index}] of {lanes} elements", buffer.name));
        }
    }

    fn counter(&mut self) -> Sym {
        self.counters += 1;
        Sym::new(&format!("$counter{}", self.counters))
    }

    fn small(&mut self, expr: &Expr) {
        if expr.terms().iter().any(|(_, factor)| factor.unsigned_abs() > LARGEST as u64) {
            self.faults.push(format!("a number beyond 2^40 in {expr}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> Vec<String> {
        let text = format!("kernel k {{\n  size n\n  input b0 x: f32[n]\n  output b1 y: f32[16*n]\n  tasks n\n{body}}}\n");
        unproved(&text.parse().unwrap_or_else(|why| panic!("{why}: {text}")))
    }

    #[test]
    fn loops_and_names_are_followed() {
        let body = "  for i1 from 0 to 16 step 4 {
    let a2 = i1 + 16*task
    v0: f32 = load b0[task]
    v1: f32x4 = splat v0
    store b1[a2] = v1
  }
";
        assert_eq!(faults(body), Vec::<String>::new());
        assert_eq!(faults(&body.replace("step 4", "step 2")), ["store y[a2] of 4 elements"]);
        assert_eq!(faults(&body.replace("16*task", "9007199254740992*task")).len(), 2);
    }

    #[test]
    fn masks_end_accesses() {
        let body = "  for i1 from 0 to n step 16 {
    v0: boolx16 = below n - i1
    v1: f32x16 = load b0[i1] mask v0
    store b1[i1] = v1 mask v0
  }
";
        assert_eq!(faults(body), Vec::<String>::new());
        assert_eq!(faults(&body.replace("below n - i1", "below n - i1 + 1")), ["load x[i1] of 16 elements"]);
    }

    #[test]
    fn checks_and_conditions_count() {
        let body = "  v0: i64 = index 5*task
  check r1 = v0 in n site 0
  v1: f32 = load b0[r1]
  if r1 < 3 {
    store b1[5*r1] = v1
  } else {
    store b1[r1] = v1
  }
";
        assert_eq!(faults(body), Vec::<String>::new());
        assert_eq!(faults(&body.replace("5*r1", "25*r1")), ["store y[25*r1] of 1 elements"]);
    }
}
