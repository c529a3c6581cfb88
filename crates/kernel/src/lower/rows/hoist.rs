//! Computing values as far outside as they are known.
//!
//! The generated code is not searched for invariants again, so this decides what an inner loop repeats. At the start of each loop body
//! everything that depends on no iterator still open is computed: parts of addresses, checked data indices, scalars.

use super::frame::Frame;
use super::stage::Emit;
use crate::build::KernelBuilder;
use crate::lower::point::{Access, Memo, StageCx, data_sym};
use crate::lower::scalars;
use nest::{Index, Nest, Read, ScalarId, ScalarOp, Write};
use sym::{Expr, Ranges, Sym};

/// Which scalars a phase of a stage evaluates.
pub struct Needs {
    /// Inside the reduction loops.
    pub folded: Vec<bool>,
    /// By the writes, outside of the reductions.
    pub written: Vec<bool>,
    /// Anywhere.
    pub all: Vec<bool>,
}

impl Needs {
    pub fn new(nest: &Nest) -> Needs {
        let written = reached(nest, nest.writes.iter().flat_map(Write::operands));
        let reduced = |(id, scalar): (usize, &nest::Scalar)| match scalar.op {
            ScalarOp::Reduce(_, operand) if written[id] => Some(operand),
            _ => None,
        };
        let folded = reached(nest, nest.body.iter().enumerate().filter_map(reduced));
        let all = folded.iter().zip(&written).map(|(a, b)| *a || *b).collect();
        Needs { folded, written, all }
    }
}

/// The scalars that the roots are made of, as far as the next reductions.
fn reached(nest: &Nest, roots: impl Iterator<Item = ScalarId>) -> Vec<bool> {
    let mut all = vec![false; nest.body.len()];
    roots.for_each(|id| all[id.0 as usize] = true);
    for at in (0..all.len()).rev().filter(|at| !matches!(nest.body[*at].op, ScalarOp::Reduce(..))).collect::<Vec<_>>() {
        if all[at] {
            nest.body[at].op.operands().iter().for_each(|id| all[id.0 as usize] = true);
        }
    }
    all
}

impl Emit<'_> {
    /// Computes, at the start of a block, those of the `needed` scalars that depend on none of the iterators in `open`, which later loops
    /// bind. Reads that only the reductions need are left inside where those may have no steps and the read would then be outside its
    /// buffer.
    pub fn hoist(&self, b: &mut KernelBuilder, frame: &mut Frame, open: &[Sym], needed: &[bool]) {
        let nest = self.cx.nest();
        let varying: Vec<Sym> = open.iter().chain(&self.varying).cloned().collect();
        let depends = scalars::depends_on(nest, &varying);
        let steps = nest.reductions().filter(|iter| open.contains(&iter.sym)).all(|iter| iter.extent.as_const().is_some_and(|e| e > 0));
        let allowed = self.allowed(&frame.memo, steps, needed);
        for at in (0..nest.body.len()).filter(|at| allowed[*at] && !depends[*at]) {
            let id = ScalarId(at as u32);
            self.check_indices(b, frame, Access::Read(id));
            scalars::eval(b, self.cx, &frame.point, id, &mut frame.memo);
        }
        // an access may vary while the data that it is indexed by does not
        let known = |frame: &Frame, id: ScalarId| frame.memo.contains_key(&id) || (allowed[id.0 as usize] && !depends[id.0 as usize]);
        for access in &self.accesses {
            let now = match access {
                Access::Read(id) => allowed[id.0 as usize] && depends[id.0 as usize],
                Access::Write(_) => true,
            };
            if now && self.cx.data_indices(*access).all(|(id, _)| known(frame, id)) {
                self.check_indices(b, frame, *access);
            }
        }
        self.hoist_addresses(b, frame, &varying, needed);
        frame.share();
        if open.iter().all(|sym| nest.reductions().any(|iter| iter.sym == *sym)) && !open.is_empty() {
            self.hoist_states(b, frame, open, &depends, steps);
        }
    }

    /// Before and inside the loops of a reduction: what differs from state to state, but not in the loops that are still open.
    fn hoist_states(&self, b: &mut KernelBuilder, frame: &mut Frame, open: &[Sym], shared: &[bool], steps: bool) {
        let nest = self.cx.nest();
        let depends = scalars::depends_on(nest, open);
        let mut states = std::mem::take(&mut frame.states);
        for state in &mut states {
            let point = frame.at(state);
            let allowed = self.allowed(&state.memo, steps, &self.needs.folded);
            let folded = |at: &usize| allowed[*at] && !depends[*at] && shared[*at];
            for at in (0..nest.body.len()).filter(folded) {
                scalars::eval(b, self.cx, &point, ScalarId(at as u32), &mut state.memo);
            }
        }
        frame.states = states;
    }

    /// Computes once for each vector what is the same for all points of the spread iterators.
    pub fn hoist_spread(&self, b: &mut KernelBuilder, frame: &mut Frame) {
        let nest = self.cx.nest();
        let depends = scalars::depends_on(nest, &self.choice.spread);
        let mut states = std::mem::take(&mut frame.states);
        for same in states.chunk_by_mut(|a, b| a.is_beside(b)).filter(|same| same.len() > 1) {
            let allowed = self.allowed(&frame.memo, true, &self.needs.written);
            let (point, mut memo) = (frame.at(&same[0]), frame.memo.clone());
            for at in (0..nest.body.len()).filter(|at| allowed[*at] && !depends[*at]) {
                scalars::eval(b, self.cx, &point, ScalarId(at as u32), &mut memo);
            }
            same.iter_mut().for_each(|state| state.memo.extend(memo.iter().map(|(id, value)| (*id, *value))));
        }
        frame.states = states;
    }

    /// The scalars that may be evaluated now: needed, with all reductions under them done.
    fn allowed(&self, memo: &Memo, steps: bool, wanted: &[bool]) -> Vec<bool> {
        let nest = self.cx.nest();
        let mut allowed: Vec<bool> = Vec::with_capacity(nest.body.len());
        for (at, scalar) in nest.body.iter().enumerate() {
            let surely = self.needs.written[at] || steps;
            let this = match &scalar.op {
                ScalarOp::Reduce(..) => memo.contains_key(&ScalarId(at as u32)),
                ScalarOp::Read(read) => (surely || inside_always(self.cx, read)) && all_of(&scalar.op, &allowed),
                ScalarOp::Literal(_) => true,
                ScalarOp::Index(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) => all_of(&scalar.op, &allowed),
            };
            allowed.push(wanted[at] && this);
        }
        allowed
    }

    fn check_indices(&self, b: &mut KernelBuilder, frame: &mut Frame, access: Access) {
        for (data, dim) in self.cx.data_indices(access) {
            scalars::check(b, self.cx, &mut frame.point, data, dim, &mut frame.memo);
        }
    }

    /// Names the terms of each address that no open iterator moves.
    fn hoist_addresses(&self, b: &mut KernelBuilder, frame: &mut Frame, open: &[Sym], needed: &[bool]) {
        let wanted = |access: &&Access| match access {
            Access::Read(id) => needed[id.0 as usize],
            Access::Write(_) => true,
        };
        for access in self.accesses.iter().filter(wanted) {
            let unchecked = self.unchecked(frame, *access);
            let address = frame.point.address(self.cx, *access);
            let (mut known, mut rest) = (Expr::zero(), Expr::zero());
            for (monomial, c) in address.terms() {
                let term = monomial.iter().fold(Expr::from(*c), |product, atom| &product * &Expr::atom(atom.clone()));
                let moves = open.iter().chain(&unchecked).any(|sym| term.mentions(sym));
                if moves { rest += &term } else { known += &term }
            }
            let named = &known - known.constant_part();
            let address = &(&b.name("a", &named) + known.constant_part()) + &rest;
            frame.point.addresses.insert(*access, address);
        }
    }

    /// The symbols of data indices that are not checked yet.
    fn unchecked(&self, frame: &Frame, access: Access) -> Vec<Sym> {
        let syms = self.cx.data_indices(access).map(|(data, dim)| data_sym(data, dim));
        syms.filter(|sym| !frame.point.env.contains_key(sym)).collect()
    }
}

fn all_of(op: &ScalarOp, allowed: &[bool]) -> bool {
    op.operands().iter().all(|id| allowed[id.0 as usize])
}

/// Whether a read is in bounds even where some size is 0.
fn inside_always(cx: &StageCx, read: &Read) -> bool {
    let nest = cx.nest();
    let mut ranges = Ranges::new(0);
    nest.iters.iter().for_each(|iter| ranges.iterator(&iter.sym, &iter.extent));
    read.index.iter().zip(&nest.operands[read.operand].ty.dims).all(|(index, dim)| match index {
        Index::Map(e) => ranges.nonnegative(e) && ranges.less(e, dim),
        Index::Data(_) => false,
    })
}
