//! A nest at given sizes, made ready to run: its live scalars in three phases, its maps as polynomials.

use super::bound;
use super::poly::{Names, Poly};
use super::read::{DimCode, IndexCode, ReadCode};
use crate::func::Func;
use crate::nest::{Index, IterKind, Monoid, Nest, Read, ScalarId, ScalarOp, Write};
use ir::array::row_major_strides;
use ir::{DType, Literal};
use std::collections::BTreeMap;
use sym::Sym;

/// Whether a run also bounds the error of every value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Track {
    Values,
    Bounds,
}

/// Scalars keep their numbers. A scalar that is dead, or stands for another one, has no op.
pub(super) struct Code {
    pub track: Track,
    pub extents: Vec<i64>,
    /// The iterators of points and those of the reduction, in order.
    pub points: Vec<usize>,
    pub steps: Vec<usize>,
    pub dtypes: Vec<DType>,
    /// By scalar, whether its error is tracked.
    pub inexact: Vec<bool>,
    pub reads: Vec<ReadCode>,
    /// Evaluated once a block, at every step, and after the steps.
    pub before: Vec<Op>,
    pub during: Vec<Op>,
    pub folds: Vec<Fold>,
    pub after: Vec<Op>,
    pub writes: Vec<WriteCode>,
}

#[derive(Clone, Debug)]
pub(super) struct Op {
    pub result: usize,
    pub kind: OpKind,
}

#[derive(Clone, Debug)]
pub(super) enum OpKind {
    Read(usize),
    Literal(Literal),
    Index(Poly),
    Apply { func: Func, dtype: DType, args: Vec<usize> },
    Convert { from: DType, to: DType, arg: usize },
    Bits { from: DType, to: DType, arg: usize },
}

/// A reduction into the column of `result`.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub result: usize,
    pub monoid: Monoid,
    pub dtype: DType,
    pub term: Term,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Scalar(usize),
    /// The product of two reads of floats that nothing else needs: a contraction, folded without a column between.
    Product(usize, usize),
}

pub(super) struct WriteCode {
    pub name: String,
    pub dims: Vec<usize>,
    pub strides: Vec<i64>,
    pub index: Vec<PlaceCode>,
    /// It stores where none of these is negative.
    pub only: Vec<Poly>,
    pub combine: Option<Monoid>,
    pub finite: Vec<usize>,
    pub dtype: DType,
    pub value: usize,
}

/// One index of a write.
pub(super) enum PlaceCode {
    Map(Poly),
    Data(usize),
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Before,
    During,
    After,
}

impl Code {
    /// `uncertain`: by operand, whether it has errors; exact where the list ends.
    pub fn compile(nest: &Nest, sizes: &BTreeMap<Sym, i64>, track: Track, uncertain: &[bool]) -> Result<Code, String> {
        let iters = nest.iters.iter().enumerate().map(|(at, iter)| (iter.sym.clone(), at)).collect();
        let names = Names { iters, sizes };
        let extents: Vec<i64> = nest.iters.iter().map(|iter| names.size(&iter.extent).map(|e| e as i64)).collect::<Result<_, _>>()?;
        let of_kind =
            |reduction: bool| (0..nest.iters.len()).filter(|at| (nest.iters[*at].kind == IterKind::Reduction) == reduction).collect();
        let code = Code {
            track,
            extents,
            points: of_kind(false),
            steps: of_kind(true),
            dtypes: nest.body.iter().map(|scalar| scalar.dtype).collect(),
            inexact: vec![false; nest.body.len()],
            reads: vec![],
            before: vec![],
            during: vec![],
            folds: vec![],
            after: vec![],
            writes: vec![],
        };
        if code.point_count() == 0 {
            return Ok(code);
        }
        let aliases = aliases(nest, track);
        Compiler { nest, names, live: live(nest, &aliases, code.step_count() > 0), aliases, phases: phases(nest)?, uncertain, code }
            .finish()
    }

    pub fn point_count(&self) -> usize {
        self.points.iter().map(|iter| self.extents[*iter] as usize).product()
    }

    pub fn step_count(&self) -> usize {
        self.steps.iter().map(|iter| self.extents[*iter] as usize).product()
    }
}

struct Compiler<'a> {
    nest: &'a Nest,
    names: Names<'a>,
    live: Vec<bool>,
    aliases: Vec<usize>,
    phases: Vec<Phase>,
    uncertain: &'a [bool],
    code: Code,
}

impl Compiler<'_> {
    fn finish(mut self) -> Result<Code, String> {
        for at in 0..self.nest.body.len() {
            if self.live[at] && self.aliases[at] == at {
                self.scalar(at).map_err(|why| format!("{why} (v{at})"))?;
            }
        }
        for write in &self.nest.writes {
            let write = self.write(write)?;
            self.code.writes.push(write);
        }
        for at in 0..self.code.folds.len() {
            self.fuse_product(at);
        }
        Ok(self.code)
    }

    fn slot(&self, id: &ScalarId) -> usize {
        self.aliases[id.0 as usize]
    }

    fn scalar(&mut self, at: usize) -> Result<(), String> {
        let scalar = &self.nest.body[at];
        let dtype_of = |id: &ScalarId| self.nest.scalar(*id).dtype;
        let kind = match &scalar.op {
            ScalarOp::Read(read) => {
                let read = self.read(read, self.phases[at])?;
                self.code.reads.push(read);
                OpKind::Read(self.code.reads.len() - 1)
            }
            ScalarOp::Literal(value) => OpKind::Literal(*value),
            ScalarOp::Index(map) => OpKind::Index(self.names.poly(map)?),
            ScalarOp::Apply(func, args) => {
                let types: Vec<DType> = args.iter().map(dtype_of).collect();
                func.result(&types).map_err(|why| format!("bug: {why}"))?;
                OpKind::Apply { func: *func, dtype: types[types.len() - 1], args: args.iter().map(|id| self.slot(id)).collect() }
            }
            ScalarOp::Convert(arg) => OpKind::Convert { from: dtype_of(arg), to: scalar.dtype, arg: self.slot(arg) },
            ScalarOp::Bits(arg) => OpKind::Bits { from: dtype_of(arg), to: scalar.dtype, arg: self.slot(arg) },
            ScalarOp::Reduce(monoid, term) => {
                let term = self.slot(term);
                self.code.inexact[at] = self.code.track == Track::Bounds && self.fold_rounds(*monoid, scalar.dtype, term);
                self.code.folds.push(Fold { result: at, monoid: *monoid, dtype: scalar.dtype, term: Term::Scalar(term) });
                return Ok(());
            }
        };
        self.code.inexact[at] = self.code.track == Track::Bounds && self.rounds(&kind);
        let op = Op { result: at, kind };
        match self.phases[at] {
            Phase::Before => self.code.before.push(op),
            Phase::During => self.code.during.push(op),
            Phase::After => self.code.after.push(op),
        }
        Ok(())
    }

    fn rounds(&self, kind: &OpKind) -> bool {
        match kind {
            OpKind::Read(read) => {
                self.code.reads[*read].uncertain || self.code.reads[*read].indices().any(|index| self.code.inexact[index])
            }
            OpKind::Literal(_) | OpKind::Index(_) => false,
            OpKind::Apply { func, dtype, args } => !func.is_exact(*dtype) || args.iter().any(|arg| self.code.inexact[*arg]),
            OpKind::Bits { from, arg, .. } => from.is_float() || self.code.inexact[*arg],
            OpKind::Convert { from, to, arg } => !bound::widens(*from, *to) || self.code.inexact[*arg],
        }
    }

    fn fold_rounds(&self, monoid: Monoid, dtype: DType, term: usize) -> bool {
        self.code.inexact[term] || (dtype.is_float() && matches!(monoid, Monoid::Sum | Monoid::Product))
    }

    fn read(&self, read: &Read, phase: Phase) -> Result<ReadCode, String> {
        let operand = self.nest.operands.get(read.operand).ok_or("bug: a read of no operand")?;
        let dims: Vec<usize> = operand.ty.dims.iter().map(|dim| self.names.size(dim)).collect::<Result<_, _>>()?;
        if dims.len() != read.index.len() {
            return Err(format!("bug: {} indices into {}: {}", read.index.len(), operand.name, operand.ty));
        }
        let strides = row_major_strides(&dims);
        let dim = |axis: usize| {
            let index = self.index(&read.index[axis], phase)?;
            Ok(DimCode { extent: dims[axis] as i64, stride: strides[axis] as i64, index })
        };
        let dims = (0..dims.len()).map(dim).collect::<Result<_, String>>()?;
        let uncertain = self.uncertain.get(read.operand).copied().unwrap_or(false);
        Ok(ReadCode { operand: read.operand, name: format!("`{}: {}`", operand.name, operand.ty), dims, fill: read.fill, uncertain })
    }

    fn index(&self, index: &Index, phase: Phase) -> Result<IndexCode, String> {
        let map = match index {
            Index::Map(map) => map,
            Index::Data(id) => {
                let varies = phase == Phase::During && self.phases[id.0 as usize] == Phase::During;
                return Ok(IndexCode::Data { scalar: self.slot(id), varies });
            }
        };
        let (lane, step, mixed) = self.names.split_poly(map, &|iter| self.code.steps.contains(&iter))?;
        match mixed {
            Some(_) => Ok(IndexCode::Mixed(self.names.poly(map)?)),
            None => Ok(IndexCode::Split { lane, range: step.range(&self.code.extents), step }),
        }
    }

    fn write(&self, write: &Write) -> Result<WriteCode, String> {
        if write.operands().any(|id| self.phases[id.0 as usize] == Phase::During) {
            return Err(format!("bug: write {} depends on a reduction iterator", write.name));
        }
        let dims: Vec<usize> = write.ty.dims.iter().map(|dim| self.names.size(dim)).collect::<Result<_, _>>()?;
        Ok(WriteCode {
            name: write.name.clone(),
            strides: row_major_strides(&dims).into_iter().map(|stride| stride as i64).collect(),
            dims,
            index: write.index.iter().map(|index| self.place(index)).collect::<Result<_, _>>()?,
            only: write.only.iter().map(|expr| self.names.poly(expr)).collect::<Result<_, _>>()?,
            combine: write.combine,
            finite: write.finite.iter().map(|id| self.slot(id)).collect(),
            dtype: write.ty.dtype,
            value: self.slot(&write.value),
        })
    }

    fn place(&self, index: &Index) -> Result<PlaceCode, String> {
        match index {
            Index::Map(map) => self.names.poly(map).map(PlaceCode::Map),
            Index::Data(id) => Ok(PlaceCode::Data(self.slot(id))),
        }
    }

    /// Drops the ops of a product of two reads that only this fold needs, and folds the product itself.
    fn fuse_product(&mut self, fold: usize) {
        let Fold { monoid: Monoid::Sum, dtype, term: Term::Scalar(term), .. } = self.code.folds[fold] else { return };
        let during = |scalar: usize| self.code.during.iter().find(|op| op.result == scalar).map(|op| &op.kind);
        let Some(OpKind::Apply { func: Func::Mul, args, .. }) = during(term) else { return };
        let (&[a, b], true) = (args.as_slice(), dtype.is_float()) else { return };
        let (Some(OpKind::Read(read_a)), Some(OpKind::Read(read_b))) = (during(a), during(b)) else { return };
        let exact = !self.code.inexact[a] && !self.code.inexact[b];
        if exact && [term, a, b].iter().all(|scalar| self.uses(*scalar) == 1) {
            self.code.folds[fold].term = Term::Product(*read_a, *read_b);
            self.code.during.retain(|op| ![term, a, b].contains(&op.result));
        }
    }

    fn uses(&self, scalar: usize) -> usize {
        let live = (0..self.nest.body.len()).filter(|at| self.live[*at] && self.aliases[*at] == *at);
        let in_body = live.flat_map(|at| self.nest.body[at].op.operands()).filter(|id| self.slot(id) == scalar).count();
        in_body + self.nest.writes.iter().flat_map(Write::operands).filter(|id| self.slot(id) == scalar).count()
    }
}

/// For each scalar, the one that holds its value: itself, except where it is a conversion that changes nothing.
fn aliases(nest: &Nest, track: Track) -> Vec<usize> {
    let mut aliases: Vec<usize> = Vec::with_capacity(nest.body.len());
    for (at, scalar) in nest.body.iter().enumerate() {
        let alias = match &scalar.op {
            ScalarOp::Convert(arg) => {
                let from = nest.scalar(*arg).dtype;
                let same = from.is_float() && scalar.dtype.is_float() && (track == Track::Values || bound::widens(from, scalar.dtype));
                if same { aliases[arg.0 as usize] } else { at }
            }
            ScalarOp::Read(_) | ScalarOp::Literal(_) | ScalarOp::Index(_) => at,
            ScalarOp::Apply(..) | ScalarOp::Bits(_) | ScalarOp::Reduce(..) => at,
        };
        aliases.push(alias);
    }
    aliases
}

/// What the writes need; without any step a reduction needs no term.
fn live(nest: &Nest, aliases: &[usize], has_steps: bool) -> Vec<bool> {
    let mut live = vec![false; nest.body.len()];
    nest.writes.iter().flat_map(Write::operands).for_each(|id| live[aliases[id.0 as usize]] = true);
    for at in (0..nest.body.len()).rev() {
        let op = &nest.body[at].op;
        if live[at] && (has_steps || !matches!(op, ScalarOp::Reduce(..))) {
            op.operands().iter().for_each(|id| live[aliases[id.0 as usize]] = true);
        }
    }
    live
}

fn phases(nest: &Nest) -> Result<Vec<Phase>, String> {
    let varies = nest.varies_in_reduction();
    let mut phases: Vec<Phase> = Vec::with_capacity(nest.body.len());
    for (at, scalar) in nest.body.iter().enumerate() {
        let reduces = matches!(scalar.op, ScalarOp::Reduce(..));
        let after_one = scalar.op.operands().iter().any(|id| phases[id.0 as usize] == Phase::After);
        if after_one && (varies[at] || reduces) {
            return Err(format!("bug: v{at} needs a finished reduction at each step of it"));
        }
        phases.push(match (reduces || after_one, varies[at]) {
            (true, _) => Phase::After,
            (false, true) => Phase::During,
            (false, false) => Phase::Before,
        });
    }
    Ok(phases)
}
