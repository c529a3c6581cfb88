//! Writing kernels in code.

mod fused;

use crate::kernel::{Binary, Buffer, BufferId, Carried, Compare, Cond, Kernel, Op, Space, Stmt, Ty, Unary, ValueId};
use ir::{DType, Literal};
use nest::Monoid;
use std::collections::{BTreeSet, HashMap};
use sym::{Expr, Sym};
use target::Target;

/// Builds one kernel. Statements go to the innermost open block. Pure ops that stand already in an open block are reused.
pub struct KernelBuilder {
    kernel: Kernel,
    blocks: Vec<Block>,
    names: usize,
    reserved: BTreeSet<Sym>,
    /// Whether the machine multiplies and adds with one rounding.
    fused: bool,
}

#[derive(Default)]
struct Block {
    stmts: Vec<Stmt>,
    known: HashMap<(Op, Ty), ValueId>,
    named: HashMap<Expr, Expr>,
}

impl KernelBuilder {
    /// For a machine.
    pub fn on(target: &Target, name: &str) -> KernelBuilder {
        KernelBuilder { fused: target.fma, ..KernelBuilder::new(name) }
    }

    pub fn new(name: &str) -> KernelBuilder {
        let kernel = Kernel { name: name.to_string(), ..Kernel::default() };
        KernelBuilder { kernel, blocks: vec![Block::default()], names: 0, reserved: BTreeSet::new(), fused: true }
    }

    pub fn buffer(&mut self, name: &str, dtype: DType, len: Expr, space: Space) -> BufferId {
        self.kernel.buffers.push(Buffer { name: name.to_string(), dtype, len, space });
        BufferId(self.kernel.buffers.len() as u32 - 1)
    }

    pub fn buffer_dtype(&self, id: BufferId) -> DType {
        self.kernel.buffer(id).dtype
    }

    pub fn ty(&self, id: ValueId) -> Ty {
        self.kernel.ty(id)
    }

    fn value(&mut self, ty: Ty) -> ValueId {
        self.kernel.values.push(ty);
        ValueId(self.kernel.values.len() as u32 - 1)
    }

    fn stmt(&mut self, stmt: Stmt) {
        if let Some(block) = self.blocks.last_mut() {
            block.stmts.push(stmt);
        }
    }

    /// Adds an op; one that reads no memory and stands already in an open block is not added again.
    pub fn op(&mut self, op: Op, ty: Ty) -> ValueId {
        let pure = !matches!(op, Op::Load { .. } | Op::LoadStrided { .. } | Op::Gather { .. });
        let key = (op, ty);
        if let Some(known) = pure.then(|| self.blocks.iter().rev().find_map(|b| b.known.get(&key).copied())).flatten() {
            return known;
        }
        let value = self.value(ty);
        self.stmt(Stmt::Def { value, op: key.0.clone() });
        if let (true, Some(block)) = (pure, self.blocks.last_mut()) {
            block.known.insert(key, value);
        }
        value
    }

    pub fn literal(&mut self, value: Literal, ty: Ty) -> ValueId {
        self.op(Op::Literal(value), ty)
    }

    pub fn float(&mut self, value: f64, ty: Ty) -> ValueId {
        let rounded = if ty.dtype == DType::F64 { value } else { value as f32 as f64 };
        self.literal(Literal::Float(rounded), ty)
    }

    pub fn int(&mut self, value: i64, ty: Ty) -> ValueId {
        self.literal(Literal::Int(value), ty)
    }

    pub fn index(&mut self, value: &Expr, dtype: DType) -> ValueId {
        self.op(Op::Index(value.clone()), Ty::scalar(dtype))
    }

    pub fn lanes(&mut self, ty: Ty) -> ValueId {
        self.op(Op::Lanes, ty)
    }

    pub fn below(&mut self, limit: &Expr, lanes: u32) -> ValueId {
        self.op(Op::Below(limit.clone()), Ty::vector(DType::Bool, lanes))
    }

    pub fn load(&mut self, buffer: BufferId, index: &Expr, lanes: u32, mask: Option<ValueId>) -> ValueId {
        let ty = Ty { dtype: self.buffer_dtype(buffer), lanes };
        self.op(Op::Load { buffer, index: index.clone(), mask }, ty)
    }

    pub fn load_strided(&mut self, buffer: BufferId, index: &Expr, stride: &Expr, lanes: u32, mask: Option<ValueId>) -> ValueId {
        let ty = Ty { dtype: self.buffer_dtype(buffer), lanes };
        self.op(Op::LoadStrided { buffer, index: index.clone(), stride: stride.clone(), mask }, ty)
    }

    pub fn gather(&mut self, buffer: BufferId, index: &Expr, offsets: ValueId, mask: Option<ValueId>) -> ValueId {
        let ty = Ty { dtype: self.buffer_dtype(buffer), lanes: self.ty(offsets).lanes };
        self.op(Op::Gather { buffer, index: index.clone(), offsets, mask }, ty)
    }

    /// The scalar in `lanes` lanes; itself for one lane or where it is a vector already.
    pub fn splat(&mut self, value: ValueId, lanes: u32) -> ValueId {
        let ty = self.ty(value);
        if ty.lanes == lanes { value } else { self.op(Op::Splat(value), Ty { dtype: ty.dtype, lanes }) }
    }

    pub fn unary(&mut self, op: Unary, a: ValueId) -> ValueId {
        self.op(Op::Unary(op, a), self.ty(a))
    }

    pub fn binary(&mut self, op: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.op(Op::Binary(op, a, b), self.ty(a))
    }

    pub fn compare(&mut self, op: Compare, a: ValueId, b: ValueId) -> ValueId {
        let lanes = self.ty(a).lanes;
        self.op(Op::Compare(op, a, b), Ty { dtype: DType::Bool, lanes })
    }

    /// `a*b + c`, rounded once where the machine does that, else twice.
    pub fn mul_add(&mut self, a: ValueId, b: ValueId, c: ValueId) -> ValueId {
        if self.fused {
            return self.op(Op::MulAdd(a, b, c), self.ty(a));
        }
        let product = self.binary(Binary::Mul, a, b);
        self.binary(Binary::Add, product, c)
    }

    /// `a*b + c` as if rounded once, on every machine.
    pub fn fused_mul_add(&mut self, a: ValueId, b: ValueId, c: ValueId) -> ValueId {
        if self.fused { self.op(Op::MulAdd(a, b, c), self.ty(a)) } else { fused::mul_add(self, [a, b, c]) }
    }

    /// `c` plus the products of groups of lanes; see [`Op::Dot`].
    pub fn dot(&mut self, a: ValueId, b: ValueId, c: ValueId) -> ValueId {
        self.op(Op::Dot(a, b, c), self.ty(c))
    }

    pub fn select(&mut self, cond: ValueId, a: ValueId, b: ValueId) -> ValueId {
        self.op(Op::Select(cond, a, b), self.ty(a))
    }

    pub fn convert(&mut self, a: ValueId, to: DType) -> ValueId {
        let ty = self.ty(a);
        if ty.dtype == to { a } else { self.op(Op::Convert(a), Ty { dtype: to, lanes: ty.lanes }) }
    }

    /// As many lanes of `to` as the value's bits make.
    pub fn bits(&mut self, a: ValueId, to: DType) -> ValueId {
        let Ty { dtype, lanes } = self.ty(a);
        self.op(Op::Bits(a), Ty { dtype: to, lanes: lanes * dtype.size() as u32 / to.size() as u32 })
    }

    pub fn fold(&mut self, monoid: Monoid, a: ValueId) -> ValueId {
        let ty = self.ty(a);
        if ty.lanes == 1 { a } else { self.op(Op::Fold(monoid, a), Ty::scalar(ty.dtype)) }
    }

    pub fn shuffle(&mut self, a: ValueId, b: ValueId, lanes: Vec<u32>) -> ValueId {
        let ty = Ty { dtype: self.ty(a).dtype, lanes: lanes.len() as u32 };
        self.op(Op::Shuffle(a, b, lanes), ty)
    }

    pub fn store(&mut self, buffer: BufferId, index: &Expr, value: ValueId, mask: Option<ValueId>) {
        self.stmt(Stmt::Store { buffer, index: index.clone(), stride: None, value, mask });
    }

    pub fn store_strided(&mut self, buffer: BufferId, index: &Expr, stride: &Expr, value: ValueId, mask: Option<ValueId>) {
        self.stmt(Stmt::Store { buffer, index: index.clone(), stride: Some(stride.clone()), value, mask });
    }

    /// Keeps symbols (sizes, iterators of nests) from being taken for new names.
    pub fn reserve(&mut self, syms: impl IntoIterator<Item = Sym>) {
        self.reserved.extend(syms);
    }

    fn fresh(&mut self, prefix: &str) -> Sym {
        loop {
            self.names += 1;
            let sym = Sym::new(&format!("{prefix}{}", self.names));
            if !self.reserved.contains(&sym) {
                return sym;
            }
        }
    }

    /// Computes an index here, once; constants and single symbols are returned as they are.
    pub fn name(&mut self, prefix: &str, value: &Expr) -> Expr {
        if value.as_const().is_some() || value.as_sym().is_some() {
            return value.clone();
        }
        if let Some(known) = self.blocks.iter().rev().find_map(|b| b.named.get(value).cloned()) {
            return known;
        }
        let sym = self.fresh(prefix);
        self.stmt(Stmt::Name { sym: sym.clone(), value: value.clone() });
        let named = Expr::sym(&sym);
        if let Some(block) = self.blocks.last_mut() {
            block.named.insert(value.clone(), named.clone());
        }
        named
    }

    /// A checked run-time index from an i64 scalar.
    pub fn check(&mut self, value: ValueId, extent: &Expr, site: u32) -> Expr {
        let sym = self.fresh("r");
        self.stmt(Stmt::Check { sym: sym.clone(), value, extent: extent.clone(), site });
        Expr::sym(&sym)
    }

    /// `for var in start..end step step`. `body` gets the variable and the carried values, and gives their next ones; the results come back.
    pub fn for_loop(
        &mut self,
        prefix: &str,
        (start, end, step): (&Expr, &Expr, i64),
        init: &[ValueId],
        body: impl FnOnce(&mut KernelBuilder, &Expr, &[ValueId]) -> Vec<ValueId>,
    ) -> Vec<ValueId> {
        let var = self.fresh(prefix);
        let inside: Vec<ValueId> = init.iter().map(|v| self.value(self.ty(*v))).collect();
        self.blocks.push(Block::default());
        let next = body(self, &Expr::sym(&var), &inside);
        assert_eq!(next.len(), init.len(), "carried values of a loop");
        let block = self.blocks.pop().unwrap_or_default();
        let result: Vec<ValueId> = init.iter().map(|v| self.value(self.ty(*v))).collect();
        let carried = (0..init.len()).map(|k| Carried { init: init[k], inside: inside[k], next: next[k], result: result[k] }).collect();
        self.stmt(Stmt::For { var, start: start.clone(), end: end.clone(), step, carried, body: block.stmts });
        result
    }

    /// A loop that carries nothing; a single turn is written without a loop.
    pub fn each(&mut self, prefix: &str, start: &Expr, end: &Expr, step: i64, body: impl FnOnce(&mut KernelBuilder, &Expr)) {
        let turns = (end - start).as_const();
        if turns.is_some_and(|n| n <= 0) {
            return;
        }
        if turns.is_some_and(|n| n <= step) {
            return body(self, start);
        }
        self.for_loop(prefix, (start, end, step), &[], |b, var, _| {
            body(b, var);
            vec![]
        });
    }

    pub fn when(&mut self, conds: Vec<Cond>, then: impl FnOnce(&mut KernelBuilder), otherwise: impl FnOnce(&mut KernelBuilder)) {
        self.blocks.push(Block::default());
        then(self);
        let then = self.blocks.pop().unwrap_or_default().stmts;
        self.blocks.push(Block::default());
        otherwise(self);
        let otherwise = self.blocks.pop().unwrap_or_default().stmts;
        self.stmt(Stmt::If { conds, then, otherwise });
    }

    pub fn finish(mut self, tasks: Expr, sizes: Vec<Sym>) -> Kernel {
        self.kernel.body = self.blocks.pop().unwrap_or_default().stmts;
        self.kernel.tasks = tasks;
        self.kernel.sizes = sizes;
        self.kernel
    }
}
