//! Writing nests in code.

use crate::func::Func;
use crate::nest::{Index, Iter, IterKind, Monoid, Nest, Operand, Read, Scalar, ScalarId, ScalarOp, Write};
use ir::{DType, Literal, TensorType};
use sym::{Expr, Sym};

/// Builds one nest. Iterators are named `i0, i1, ..` in the order they are added. Methods panic on a type misuse: a bug of the caller.
#[derive(Default)]
pub struct NestBuilder {
    nest: Nest,
}

impl NestBuilder {
    pub fn new() -> NestBuilder {
        NestBuilder::default()
    }

    pub fn iter(&mut self, extent: &Expr, kind: IterKind) -> Expr {
        let sym = Sym::new(&format!("i{}", self.nest.iters.len()));
        self.nest.iters.push(Iter { sym: sym.clone(), extent: extent.clone(), kind });
        Expr::sym(&sym)
    }

    /// A parallel iterator for each dim.
    pub fn parallel(&mut self, dims: &[Expr]) -> Vec<Expr> {
        dims.iter().map(|d| self.iter(d, IterKind::Parallel)).collect()
    }

    /// A reduction iterator for each dim.
    pub fn reduction(&mut self, dims: &[Expr]) -> Vec<Expr> {
        dims.iter().map(|d| self.iter(d, IterKind::Reduction)).collect()
    }

    /// Declares the next operand; its number is its position.
    pub fn operand(&mut self, name: &str, ty: &TensorType) -> usize {
        self.nest.operands.push(Operand { name: name.to_string(), ty: ty.clone() });
        self.nest.operands.len() - 1
    }

    fn push(&mut self, op: ScalarOp, dtype: DType) -> ScalarId {
        self.nest.body.push(Scalar { op, dtype });
        ScalarId(self.nest.body.len() as u32 - 1)
    }

    pub fn dtype(&self, id: ScalarId) -> DType {
        self.nest.scalar(id).dtype
    }

    /// Reads `operand` at an in-bounds map.
    pub fn read(&mut self, operand: usize, index: &[Expr]) -> ScalarId {
        self.read_at(operand, index.iter().cloned().map(Index::Map).collect(), None)
    }

    pub fn read_at(&mut self, operand: usize, index: Vec<Index>, fill: Option<Literal>) -> ScalarId {
        let ty = &self.nest.operands[operand].ty;
        assert_eq!(ty.rank(), index.len(), "index rank of operand {operand}");
        let dtype = ty.dtype;
        self.push(ScalarOp::Read(Read { operand, index, fill }), dtype)
    }

    pub fn literal(&mut self, value: Literal, dtype: DType) -> ScalarId {
        self.push(ScalarOp::Literal(value), dtype)
    }

    pub fn index(&mut self, value: &Expr, dtype: DType) -> ScalarId {
        self.push(ScalarOp::Index(value.clone()), dtype)
    }

    pub fn apply(&mut self, func: Func, operands: &[ScalarId]) -> ScalarId {
        let types: Vec<DType> = operands.iter().map(|id| self.dtype(*id)).collect();
        let dtype = func.result(&types).unwrap_or_else(|why| panic!("nest body: {why}"));
        self.push(ScalarOp::Apply(func, operands.to_vec()), dtype)
    }

    pub fn convert(&mut self, operand: ScalarId, to: DType) -> ScalarId {
        if self.dtype(operand) == to { operand } else { self.push(ScalarOp::Convert(operand), to) }
    }

    pub fn bits(&mut self, operand: ScalarId, to: DType) -> ScalarId {
        if self.dtype(operand) == to { operand } else { self.push(ScalarOp::Bits(operand), to) }
    }

    pub fn reduce(&mut self, monoid: Monoid, operand: ScalarId) -> ScalarId {
        let dtype = self.dtype(operand);
        self.push(ScalarOp::Reduce(monoid, operand), dtype)
    }

    /// Declares the next result, stored at `index`.
    pub fn write(&mut self, name: &str, ty: &TensorType, index: &[Expr], value: ScalarId) {
        assert_eq!(ty.dtype, self.dtype(value), "type of write {name}");
        self.nest.writes.push(Write::plain(name, ty, index, value));
    }

    /// The last result declared is right only where the scalar is finite; elsewhere the nest fails.
    pub fn finite(&mut self, scalar: ScalarId) {
        self.nest.writes.iter_mut().rev().take(1).for_each(|write| write.finite.push(scalar));
    }

    /// Declares the next result, a tensor that stands already and whose element at `index` is changed.
    pub fn update(&mut self, name: &str, ty: &TensorType, index: Vec<Index>, combine: Option<Monoid>, value: ScalarId) {
        assert_eq!(ty.dtype, self.dtype(value), "type of write {name}");
        self.nest.writes.push(Write { name: name.to_string(), ty: ty.clone(), index, only: vec![], combine, finite: vec![], value });
    }

    pub fn finish(self) -> Nest {
        self.nest
    }
}
