//! The invariants of kernels.
//!
//! - K1: every value and buffer that is mentioned exists; lanes are at least 1.
//! - K2: a value is defined once: by a statement, or inside or after a loop that carries it.
//! - K3: a value is used after its definition, in the block of it or in blocks inside that one. `next` is of the loop's body.
//! - K4: a symbol is in scope where it is used, and not bound again there. Sizes are distinct and none is `task`.
//! - K5: lens of buffers and the number of tasks mention only sizes.
//! - K6: an op's operands have the types that its result's type asks for.
//! - K7: an op is defined on its element type; f16 and bf16 are only moved and converted, Bool is not computed with.
//! - K8: masks are Bool with the lanes of the access.
//! - K9: a literal is a float for float types, else an integer.
//! - K10: a load has its buffer's element type.
//! - K11: a store goes to an output or to scratch and has its buffer's element type.
//! - K12: a fold's operand has a power of two lanes, its result has one.
//! - K13: a shuffle names lanes that its operands have, one for each lane of the result.
//! - K14: what a loop carries has one type in all four places; the step is positive.
//! - K15: a check's value is an i64 scalar, and its code `1 + site` fits 32 bits.
//! - K16: a condition's value is a Bool scalar.
//! - K17: a dot's result is f32 or i32 in 4, 8 or 16 lanes; its factors are two bf16 a lane, or four u8 and four i8.

mod ops;
#[cfg(test)]
mod tests;

use crate::kernel::{BufferId, Carried, Cond, Kernel, Op, Space, Stmt, TASK, Ty, ValueId};
use ir::DType;
use ops::op_faults;
use std::collections::BTreeSet;
use sym::{Expr, Sym};

/// The faults, each with its invariant and the statement; none where the kernel is well formed.
pub fn verify(kernel: &Kernel) -> Vec<String> {
    let count = kernel.values.len();
    let mut checker = Checker { kernel, symbols: Vec::new(), visible: vec![false; count], defined: vec![false; count], faults: Vec::new() };
    checker.header();
    checker.stmts(&kernel.body);
    checker.faults
}

struct Checker<'a> {
    kernel: &'a Kernel,
    /// The symbols in scope.
    symbols: Vec<Sym>,
    visible: Vec<bool>,
    /// The values that some statement above defines.
    defined: Vec<bool>,
    faults: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, number: u32, why: impl std::fmt::Display) {
        self.faults.push(format!("K{number}: {why}"));
    }

    fn header(&mut self) {
        for sym in &self.kernel.sizes {
            self.bind(sym, "the sizes");
        }
        for buffer in &self.kernel.buffers {
            self.over_sizes(&buffer.len, &format!("the len of {}", buffer.name));
        }
        self.over_sizes(&self.kernel.tasks, "the number of tasks");
        self.bind(&Sym::new(TASK), "the tasks");
        for (at, ty) in self.kernel.values.iter().enumerate().filter(|(_, ty)| ty.lanes == 0) {
            self.fault(1, format!("v{at}: {ty} has no lanes"));
        }
    }

    fn over_sizes(&mut self, expr: &Expr, of: &str) {
        for sym in expr.symbols().iter().filter(|sym| !self.kernel.sizes.contains(sym)) {
            self.fault(5, format!("{of}: {sym} is no size"));
        }
    }

    fn bind(&mut self, sym: &Sym, at: &str) {
        if self.symbols.contains(sym) {
            self.fault(4, format!("{at}: {sym} is bound already"));
        }
        self.symbols.push(sym.clone());
    }

    fn expr(&mut self, expr: &Expr, at: &str) {
        let unknown: BTreeSet<Sym> = expr.symbols().into_iter().filter(|sym| !self.symbols.contains(sym)).collect();
        for sym in unknown {
            self.fault(4, format!("{at}: {sym} is not in scope"));
        }
    }

    fn ty(&self, id: ValueId) -> Option<Ty> {
        self.kernel.values.get(id.0 as usize).copied()
    }

    /// The type of a value that is used.
    fn used(&mut self, id: ValueId, at: &str) -> Option<Ty> {
        match self.visible.get(id.0 as usize) {
            None => self.fault(1, format!("{at}: {id:?} does not exist")),
            Some(false) => self.fault(3, format!("{at}: {id:?} is not defined here")),
            Some(true) => {}
        }
        self.ty(id)
    }

    fn define(&mut self, id: ValueId, at: &str) {
        let place = id.0 as usize;
        match self.defined.get(place) {
            None => return self.fault(1, format!("{at}: {id:?} does not exist")),
            Some(true) => self.fault(2, format!("{at}: {id:?} is defined already")),
            Some(false) => {}
        }
        self.defined[place] = true;
        self.visible[place] = true;
    }

    fn mask(&mut self, mask: Option<ValueId>, lanes: u32, at: &str) {
        let want = Ty::vector(DType::Bool, lanes);
        if let Some(ty) = mask.and_then(|mask| self.ty(mask)).filter(|ty| *ty != want) {
            self.fault(8, format!("{at}: the mask is {ty}, {want} is wanted"));
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    /// Runs `body` as a block: what it binds and defines goes out of scope.
    fn block(&mut self, body: impl FnOnce(&mut Self)) {
        let (symbols, visible) = (self.symbols.len(), self.visible.clone());
        body(self);
        self.symbols.truncate(symbols);
        self.visible = visible;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Def { value, op } => self.def(*value, op),
            Stmt::Name { sym, value } => {
                let at = format!("let {sym}");
                self.expr(value, &at);
                self.bind(sym, &at);
            }
            Stmt::Check { sym, value, extent, site } => self.check(sym, *value, extent, *site),
            Stmt::Store { buffer, index, stride, value, mask } => {
                let at = format!("store {buffer:?}[{index}]");
                self.expr(index, &at);
                stride.iter().for_each(|stride| self.expr(stride, &at));
                if let Some(mask) = mask {
                    self.used(*mask, &at);
                }
                if let Some(ty) = self.used(*value, &at) {
                    self.stored(*buffer, ty, &at);
                    self.mask(*mask, ty.lanes, &at);
                }
            }
            Stmt::For { var, start, end, step, carried, body } => self.for_loop(var, [start, end], *step, carried, body),
            Stmt::If { conds, then, otherwise } => {
                conds.iter().for_each(|cond| self.cond(cond));
                self.block(|this| this.stmts(then));
                self.block(|this| this.stmts(otherwise));
            }
        }
    }

    fn def(&mut self, value: ValueId, op: &Op) {
        let at = format!("{value:?} = {op}");
        for operand in op.operands() {
            self.used(operand, &at);
        }
        let (exprs, mask) = parts(op);
        exprs.into_iter().for_each(|expr| self.expr(expr, &at));
        let known = op.operands().iter().all(|id| self.ty(*id).is_some()) && accessed(op).is_none_or(|b| self.buffer_exists(b, &at));
        if let (Some(ty), true) = (self.ty(value), known) {
            self.mask(mask, ty.lanes, &at);
            self.faults.extend(op_faults(self.kernel, ty, op).into_iter().map(|(number, why)| format!("K{number}: {at}: {why}")));
        }
        self.define(value, &at);
    }

    fn buffer_exists(&mut self, id: BufferId, at: &str) -> bool {
        let exists = (id.0 as usize) < self.kernel.buffers.len();
        if !exists {
            self.fault(1, format!("{at}: {id:?} does not exist"));
        }
        exists
    }

    fn stored(&mut self, id: BufferId, ty: Ty, at: &str) {
        if !self.buffer_exists(id, at) {
            return;
        }
        let buffer = self.kernel.buffer(id);
        if buffer.space == Space::Input {
            self.fault(11, format!("{at}: {id:?} is an input"));
        }
        if buffer.dtype != ty.dtype {
            self.fault(11, format!("{at}: the value is {ty}, the buffer {}", buffer.dtype));
        }
    }

    fn check(&mut self, sym: &Sym, value: ValueId, extent: &Expr, site: u32) {
        let at = format!("check {sym}");
        self.expr(extent, &at);
        if let Some(ty) = self.used(value, &at).filter(|ty| *ty != Ty::scalar(DType::I64)) {
            self.fault(15, format!("{at}: {value:?}: {ty} is no i64"));
        }
        if site >= i32::MAX as u32 {
            self.fault(15, format!("{at}: site {site} is too large"));
        }
        self.bind(sym, &at);
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Less(a, b) | Cond::Equal(a, b) => [a, b].into_iter().for_each(|expr| self.expr(expr, "if")),
            Cond::Value(id) => {
                if let Some(ty) = self.used(*id, "if").filter(|ty| *ty != Ty::scalar(DType::Bool)) {
                    self.fault(16, format!("if: {id:?}: {ty} is no bool"));
                }
            }
        }
    }

    fn for_loop(&mut self, var: &Sym, bounds: [&Expr; 2], step: i64, carried: &[Carried], body: &[Stmt]) {
        let at = format!("for {var}");
        bounds.into_iter().for_each(|expr| self.expr(expr, &at));
        if step <= 0 {
            self.fault(14, format!("{at}: the step is {step}"));
        }
        carried.iter().for_each(|c| self.carried(c, &at));
        self.block(|this| {
            this.bind(var, &at);
            carried.iter().for_each(|c| this.define(c.inside, &at));
            this.stmts(body);
            for c in carried {
                this.used(c.next, &at);
            }
        });
        carried.iter().for_each(|c| self.define(c.result, &at));
    }

    fn carried(&mut self, carried: &Carried, at: &str) {
        self.used(carried.init, at);
        let Carried { init, inside, next, result } = *carried;
        for id in [inside, next, result] {
            if let (Some(first), Some(ty)) = (self.ty(init), self.ty(id))
                && first != ty
            {
                self.fault(14, format!("{at}: {init:?}: {first} is carried as {id:?}: {ty}"));
            }
        }
    }
}

/// The indices of an op, and its mask.
fn parts(op: &Op) -> (Vec<&Expr>, Option<ValueId>) {
    match op {
        Op::Index(expr) | Op::Below(expr) => (vec![expr], None),
        Op::Load { index, mask, .. } | Op::Gather { index, mask, .. } => (vec![index], *mask),
        Op::LoadStrided { index, stride, mask, .. } => (vec![index, stride], *mask),
        Op::Literal(_) | Op::Lanes | Op::Splat(_) | Op::Unary(..) | Op::Binary(..) | Op::Compare(..) => (vec![], None),
        Op::MulAdd(..) | Op::Dot(..) | Op::Select(..) | Op::Convert(_) | Op::Bits(_) | Op::Fold(..) | Op::Shuffle(..) => (vec![], None),
    }
}

fn accessed(op: &Op) -> Option<BufferId> {
    match op {
        Op::Load { buffer, .. } | Op::LoadStrided { buffer, .. } | Op::Gather { buffer, .. } => Some(*buffer),
        Op::Literal(_) | Op::Index(_) | Op::Lanes | Op::Below(_) | Op::Splat(_) | Op::Unary(..) | Op::Binary(..) => None,
        Op::Compare(..) | Op::MulAdd(..) | Op::Dot(..) | Op::Select(..) | Op::Convert(_) | Op::Bits(_) | Op::Fold(..) | Op::Shuffle(..) => {
            None
        }
    }
}
