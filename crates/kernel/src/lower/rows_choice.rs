//! The default choices of the generic template: a rough count of cycles for each iterator that the lanes could run along.

use crate::lower::access::{Stride, stride};
use crate::lower::point::{Access, Point, StageCx, register_dtype};
use crate::lower::rows::flat::{flat, widen_locals};
use crate::lower::rows::transpose;
use crate::lower::rows_schedule::{Piece, RowsSchedule, RowsStage};
use crate::lower::scalars::{depends_on, may_vectorise};
use ir::DType;
use nest::{Func, Iter, IterKind, Nest, ScalarOp};
use program::{PhysicalGroup, PhysicalStage};
use std::cmp::Ordering;
use sym::{Expr, Sym};
use target::Target;

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 128;
/// Cycles of a task that is long enough: some microseconds.
const TASK: f64 = 10_000.0;
/// Cycles of tasks that are handed out together.
const GRAIN: f64 = 40_000.0;

/// A schedule that is legal for the group.
pub fn rows_schedule(group: &PhysicalGroup, target: &Target) -> RowsSchedule {
    let group = flat(group);
    let inner = inner_choices(&group, target);
    match outer_choice(&group, target) {
        Some(outer) if outer.cost < 0.7 * inner.cost => outer.schedule(&group),
        _ => inner.schedule(&group),
    }
}

/// Choices for all stages with the cycles of all points.
struct Choice {
    stages: Vec<RowsStage>,
    cost: f64,
    /// An iterator of the group's that the lanes run along.
    outer: Option<Piece>,
}

/// Each stage with its own vector iterator.
fn inner_choices(group: &PhysicalGroup, target: &Target) -> Choice {
    let is_outer = |sym: &Sym| group.outer.iter().any(|iter| iter.sym == *sym);
    let mut choice = Choice { stages: vec![], cost: 0.0, outer: None };
    for stage in &group.stages {
        let inner = stage.nest.iters.iter().filter(|iter| !is_outer(&iter.sym) && iter.kind != IterKind::Scan);
        let inner: Vec<&Iter> = inner.collect();
        let vectors = inner.iter().filter(|iter| may_vectorise(&stage.nest, &iter.sym)).map(|iter| Some(*iter));
        let counted = vectors.chain([None]).map(|iter| Candidate::new(stage, iter, target).or_transposed(stage, &inner, target));
        let best = counted.min_by(|a, b| a.cost.partial_cmp(&b.cost).unwrap_or(Ordering::Equal));
        if let Some(best) = best {
            choice.cost += best.cost;
            choice.stages.push(best.stage_choice(stage, group, target));
        }
    }
    choice
}

/// All stages along one of the group's own iterators.
fn outer_choice(group: &PhysicalGroup, target: &Target) -> Option<Choice> {
    let legal = |iter: &&Iter| group.stages.iter().all(|stage| may_vectorise(&stage.nest, &iter.sym));
    let choices = group.outer.iter().filter(legal).map(|iter| {
        let lanes = group.stages.iter().map(|stage| lanes_along(&stage.nest, iter, target)).min().unwrap_or(1);
        let mut wide = group.clone();
        widen_locals(&mut wide, &iter.sym, lanes);
        let cost = wide.stages.iter().map(|stage| Candidate::along(stage, iter, lanes, target).cost).sum();
        let choice = RowsStage { vector: Some(iter.sym.clone()), lanes, unroll: 1, tile: None };
        let outer = Some(Piece { sym: iter.sym.clone(), size: lanes as i64 });
        Choice { stages: vec![choice; group.stages.len()], cost, outer }
    });
    choices.min_by(|a, b| a.cost.partial_cmp(&b.cost).unwrap_or(Ordering::Equal))
}

impl Choice {
    fn schedule(self, group: &PhysicalGroup) -> RowsSchedule {
        if group.stages.len() > 1 || !group.outer.is_empty() {
            return self.group_schedule(group);
        }
        let nest = &group.stages[0].nest;
        let choice = self.stages[0].clone();
        let held = |sym: &Sym| choice.vector.as_ref() == Some(sym) || choice.tile.as_ref().is_some_and(|tile| tile.sym == *sym);
        let mut work = self.cost;
        let mut outer: Vec<Sym> = Vec::new();
        let free: Vec<&Iter> = nest.parallel().filter(|iter| !held(&iter.sym)).collect();
        let unknown = free.iter().rposition(|iter| iter.extent.as_const().is_none());
        for (at, iter) in free.iter().enumerate() {
            if work <= TASK && unknown.is_none_or(|unknown| at > unknown) {
                break;
            }
            work /= rough(&iter.extent);
            outer.push(iter.sym.clone());
        }
        let piece = choice.vector.as_ref().and_then(|sym| piece_of(nest, sym, &choice, work));
        if let (Some(piece), Some(iter)) = (&piece, choice.vector.as_ref().and_then(|sym| nest.iter(sym))) {
            work *= (piece.size as f64 / rough(&iter.extent)).min(1.0);
        }
        RowsSchedule { outer, piece, grain: grain(work), stages: self.stages }
    }

    fn group_schedule(self, group: &PhysicalGroup) -> RowsSchedule {
        let points: f64 = group.outer.iter().map(|iter| rough(&iter.extent)).product();
        let task = self.cost / points.max(1.0) * self.outer.as_ref().map_or(1.0, |piece| piece.size as f64);
        let is_piece = |sym: &Sym| self.outer.as_ref().is_some_and(|piece| piece.sym == *sym);
        let outer = group.outer.iter().map(|iter| iter.sym.clone()).filter(|sym| !is_piece(sym)).collect();
        RowsSchedule { outer, piece: self.outer, grain: grain(task), stages: self.stages }
    }
}

/// The piece of a parallel vector iterator that makes a task of the right length; None where one task holds all of it.
fn piece_of(nest: &Nest, sym: &Sym, choice: &RowsStage, work: f64) -> Option<Piece> {
    let iter = nest.iter(sym).filter(|iter| iter.kind == IterKind::Parallel)?;
    let extent = rough(&iter.extent);
    let unit = (choice.lanes * choice.unroll) as f64;
    let size = (TASK / (work / extent).max(1e-3) / unit).floor().clamp(1.0, 4096.0) * unit;
    let Some(known) = iter.extent.as_const() else { return Some(Piece { sym: sym.clone(), size: size as i64 }) };
    let pieces = (extent / size).ceil();
    // of equal length, as far as whole vectors allow
    let even = ((known as f64 / pieces / unit).ceil() * unit) as i64;
    (pieces > 1.0 && work > 2.0 * TASK).then(|| Piece { sym: sym.clone(), size: even })
}

fn grain(task: f64) -> i64 {
    ((GRAIN / task.max(1.0)) as i64).max(1)
}

fn rough(extent: &Expr) -> f64 {
    extent.eval(&|_| Some(ROUGH)).unwrap_or(ROUGH).max(1) as f64
}

/// A stage with its lanes along one iterator, or without.
struct Candidate {
    vector: Option<Iter>,
    lanes: u32,
    /// Cycles of all points.
    cost: f64,
    /// Ops of one vector.
    ops: f64,
    /// The iterator of blocks that are transposed in registers.
    across: Option<Sym>,
}

impl Candidate {
    fn new(stage: &PhysicalStage, vector: Option<&Iter>, target: &Target) -> Candidate {
        match vector {
            Some(iter) => Candidate::along(stage, iter, lanes_along(&stage.nest, iter, target), target),
            None => Candidate::counted(stage, None, 1, target, None),
        }
    }

    fn along(stage: &PhysicalStage, iter: &Iter, lanes: u32, target: &Target) -> Candidate {
        Candidate::counted(stage, Some(iter), lanes, target, None)
    }

    /// The same with blocks transposed in registers along the best other iterator, where that costs less.
    fn or_transposed(self, stage: &PhysicalStage, inner: &[&Iter], target: &Target) -> Candidate {
        let Some(vector) = self.vector.clone() else { return self };
        let lanes = self.lanes;
        let long = |iter: &Iter| iter.kind == IterKind::Parallel && iter.extent.as_const().is_none_or(|e| e >= lanes as i64);
        let folds = stage.nest.body.iter().any(|scalar| matches!(scalar.op, ScalarOp::Reduce(..)));
        if folds || !long(&vector) {
            return self;
        }
        let others = inner.iter().filter(|iter| long(iter) && iter.sym != vector.sym);
        let transposed = others.map(|iter| Candidate::counted(stage, Some(&vector), lanes, target, Some(&iter.sym)));
        transposed.fold(self, |best, other| if other.cost < best.cost { other } else { best })
    }

    fn counted(stage: &PhysicalStage, vector: Option<&Iter>, lanes: u32, target: &Target, across: Option<&Sym>) -> Candidate {
        let nest = &stage.nest;
        let cx = StageCx::new(stage, &[], 0);
        let point = sample_point(nest, vector, lanes);
        let varies = depends_on(nest, vector.map(|iter| iter.sym.clone()).as_slice());
        let folds = scalar_flags(nest);
        let turned = match (vector, across) {
            (Some(vector), Some(across)) => transpose::across(&cx, &vector.sym, across),
            (_, _) => vec![],
        };
        let steps: f64 = nest.reductions().map(|iter| rough(&iter.extent)).product();
        let points: f64 = nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction).map(|iter| rough(&iter.extent)).product();
        let (mut inside, mut outside, mut ops) = (0.0, 0.0, 0.0);
        for (at, scalar) in nest.body.iter().enumerate() {
            let id = nest::ScalarId(at as u32);
            let registers = if varies[at] { registers(scalar.dtype, lanes, target) } else { 1.0 };
            let cost = match &scalar.op {
                ScalarOp::Read(_) if turned.contains(&id) => registers * (2.0 + (lanes as f64).log2()),
                ScalarOp::Read(read) => {
                    let guard = if read.fill.is_some() { 2.0 } else { 0.0 };
                    guard + access_cost(&point.address(&cx, Access::Read(id)), lanes, registers)
                }
                ScalarOp::Literal(_) => 0.0,
                ScalarOp::Index(_) => registers,
                ScalarOp::Apply(func, _) => func_cost(*func, scalar.dtype) * registers,
                ScalarOp::Convert(_) => registers,
                ScalarOp::Reduce(..) => 0.0,
            };
            // what the lanes do not change is computed outside of their loop
            let cost = if vector.is_some() && !varies[at] { 0.2 * cost } else { cost };
            ops += cost;
            if folds[at] { inside += cost } else { outside += cost }
        }
        for write in 0..nest.writes.len() {
            let registers = registers(nest.writes[write].ty.dtype, lanes, target);
            outside += access_cost(&point.address(&cx, Access::Write(write)), lanes, registers);
        }
        let folding = vector.is_some_and(|iter| iter.kind == IterKind::Reduction);
        let filled = vector.map_or(1.0, |iter| filled_lanes(&iter.extent, lanes));
        let count = nest.body.iter().filter(|s| matches!(s.op, ScalarOp::Reduce(..))).count() as f64;
        let per_step = (inside + count + 1.0) / filled;
        let fold_end = if folding { 4.0 * (lanes as f64).log2() + 8.0 } else { 0.0 };
        let per_point = (outside + 1.0) / if folding { 1.0 } else { filled } + fold_end;
        let cost = points * (per_point + if count > 0.0 { steps * per_step } else { 0.0 });
        Candidate { vector: vector.cloned(), lanes, cost, ops, across: across.cloned() }
    }

    fn stage_choice(&self, stage: &PhysicalStage, group: &PhysicalGroup, target: &Target) -> RowsStage {
        let vector = self.vector.as_ref().map(|iter| iter.sym.clone());
        if let Some(across) = &self.across {
            let tile = Some(Piece { sym: across.clone(), size: self.lanes as i64 });
            return RowsStage { vector, lanes: self.lanes, unroll: 1, tile };
        }
        let unroll = self.unroll(&stage.nest);
        let tile = self.tile(stage, group, target, unroll);
        RowsStage { vector, lanes: self.lanes, unroll, tile }
    }

    /// Vectors that there are at the most.
    fn vectors(&self) -> u32 {
        let vectors = |iter: &Iter| iter.extent.as_const().map_or(u32::MAX, |e| (e.max(1) as u64).div_ceil(self.lanes as u64) as u32);
        self.vector.as_ref().map_or(1, vectors)
    }

    fn unroll(&self, nest: &Nest) -> u32 {
        let folds = nest.body.iter().filter(|s| matches!(s.op, ScalarOp::Reduce(..))).count() as u32;
        let wanted = match folds {
            0 if self.ops <= 8.0 => 4,
            0 if self.ops <= 16.0 => 2,
            0 => 1,
            1 => 4,
            _ => 2,
        };
        let vectors = self.vectors();
        let even = (2..=wanted).rev().find(|count| vectors % count == 0);
        if vectors < wanted { vectors.max(1) } else { even.unwrap_or(wanted) }
    }

    /// Points of the innermost other parallel iterator at once, where the vectors in flight would not hide an accumulator's latency.
    fn tile(&self, stage: &PhysicalStage, group: &PhysicalGroup, target: &Target, unroll: u32) -> Option<Piece> {
        let nest = &stage.nest;
        let parallel = self.vector.as_ref().is_some_and(|iter| iter.kind == IterKind::Parallel);
        let folds = nest.body.iter().filter(|s| matches!(s.op, ScalarOp::Reduce(..))).count() as u32;
        let room = target.vector_registers / 4 / (unroll * folds).max(1);
        let own = |iter: &&Iter| {
            let outer = group.outer.iter().any(|outer| outer.sym == iter.sym);
            !outer && self.vector.as_ref().is_none_or(|vector| vector.sym != iter.sym)
        };
        let iter = nest.parallel().filter(own).last().filter(|_| parallel && folds > 0 && room > 1)?;
        let extent = iter.extent.as_const()?;
        let size = (2..=room.min(4) as i64).rev().find(|size| extent % size == 0)?;
        Some(Piece { sym: iter.sym.clone(), size })
    }
}

/// Lanes of 32 bits or less that fill a register, but no more than a power of two that holds the whole iterator.
fn lanes_along(nest: &Nest, iter: &Iter, target: &Target) -> u32 {
    let varies = depends_on(nest, std::slice::from_ref(&iter.sym));
    let sizes = nest.body.iter().enumerate().filter(|(at, _)| varies[*at]).map(|(_, scalar)| register_dtype(scalar.dtype).size());
    let size = sizes.max().unwrap_or(4).min(4) as u32;
    let full = (target.vector_bits / 8 / size).max(1);
    match iter.extent.as_const() {
        Some(extent) if extent < full as i64 => (extent.max(1) as u32).next_power_of_two(),
        _ => full,
    }
}

/// Points a vector holds on average.
fn filled_lanes(extent: &Expr, lanes: u32) -> f64 {
    let lanes = lanes as f64;
    match extent.as_const() {
        Some(extent) => extent.max(1) as f64 / (extent.max(1) as f64 / lanes).ceil(),
        None => 0.9 * lanes,
    }
}

/// A point in the middle of a loop of vectors.
fn sample_point(nest: &Nest, vector: Option<&Iter>, lanes: u32) -> Point {
    let mut point = Point::new();
    nest.iters.iter().for_each(|iter| point.ranges.iterator(&iter.sym, &iter.extent));
    if let Some(iter) = vector {
        let turn = Sym::new("$turn");
        point.ranges.iterator(&turn, &iter.extent.ceil_div(&Expr::from(lanes as i64)));
        point.vectorise(&iter.sym, Expr::sym(&turn) * lanes as i64, lanes, None);
    }
    point
}

/// For each scalar, whether it is evaluated inside the reduction.
fn scalar_flags(nest: &Nest) -> Vec<bool> {
    let mut inside = vec![false; nest.body.len()];
    for at in (0..nest.body.len()).rev() {
        if inside[at] || matches!(nest.body[at].op, ScalarOp::Reduce(..)) {
            nest.body[at].op.operands().iter().for_each(|id| inside[id.0 as usize] = true);
        }
    }
    inside
}

fn access_cost(address: &Expr, lanes: u32, registers: f64) -> f64 {
    match stride(address) {
        Stride::Same(_) => 0.5,
        Stride::Unit(_) => 2.0 * registers,
        Stride::Strided { .. } => 1.2 * lanes as f64,
        Stride::Irregular(_) => 2.0 * lanes as f64,
    }
}

fn registers(dtype: DType, lanes: u32, target: &Target) -> f64 {
    (lanes as f64 / target.lanes(register_dtype(dtype)) as f64).max(1.0)
}

/// Cycles of a function of one register.
fn func_cost(func: Func, dtype: DType) -> f64 {
    use Func::*;
    let wide = if dtype == DType::F64 { 2.0 } else { 1.0 };
    match func {
        Neg | Abs | Sign | Floor | Ceil | Round | Trunc | IsNan | IsInf | Not | Add | Sub | Mul | And | Or | Xor | Equal | NotEqual
        | Less | LessEqual | Greater | GreaterEqual | Select | MulAdd | Max | Min => 1.0,
        Div | Sqrt | Reciprocal | Rsqrt if dtype.is_float() => 8.0 * wide,
        Div | Rem if !dtype.is_float() => 40.0,
        Exp | Log => 10.0 * wide,
        Sigmoid | Tanh | Erf => 20.0 * wide,
        Sin | Cos => 50.0,
        Pow | Rem => 80.0,
        Div | Sqrt | Reciprocal | Rsqrt => 8.0,
    }
}
