//! Which values count: those that stores, checks and conditions come to depend on. C compilers complain of others.

use kernel::{Carried, Cond, Kernel, Stmt, ValueId};

/// For each value whether it counts.
pub fn live(kernel: &Kernel) -> Vec<bool> {
    let mut live = Live { values: vec![false; kernel.values.len()], changed: true };
    while live.changed {
        live.changed = false;
        live.block(&kernel.body);
    }
    live.values
}

struct Live {
    values: Vec<bool>,
    changed: bool,
}

impl Live {
    fn mark(&mut self, value: ValueId) {
        let own = &mut self.values[value.0 as usize];
        self.changed |= !*own;
        *own = true;
    }

    fn is(&self, value: ValueId) -> bool {
        self.values[value.0 as usize]
    }

    /// Backwards, so that few rounds are needed.
    fn block(&mut self, stmts: &[Stmt]) {
        stmts.iter().rev().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Def { value, op } if self.is(*value) => op.operands().into_iter().for_each(|operand| self.mark(operand)),
            Stmt::Def { .. } | Stmt::Name { .. } => {}
            Stmt::Check { value, .. } => self.mark(*value),
            Stmt::Store { value, mask, .. } => [*value].into_iter().chain(*mask).for_each(|operand| self.mark(operand)),
            Stmt::For { carried, body, .. } => {
                carried.iter().for_each(|c| self.carried(c));
                self.block(body);
                carried.iter().for_each(|c| self.carried(c));
            }
            Stmt::If { conds, then, otherwise } => {
                [then, otherwise].into_iter().for_each(|side| self.block(side));
                conds.iter().for_each(|cond| match cond {
                    Cond::Value(value) => self.mark(*value),
                    Cond::Less(..) | Cond::Equal(..) => {}
                });
            }
        }
    }

    fn carried(&mut self, c: &Carried) {
        if self.is(c.inside) || self.is(c.result) {
            [c.init, c.inside, c.next, c.result].into_iter().for_each(|value| self.mark(value));
        }
    }
}
