//! A rough count of a stage's cycles by the shape of its loops: what the default choices of the generic template compare.

use crate::lower::access::{Stride, stride};
use crate::lower::point::{Access, Point, StageCx, register_dtype};
use crate::lower::rows::{interleave, transpose};
use crate::lower::scalars::depends_on;
use ir::DType;
use nest::{Func, Iter, IterKind, Monoid, Nest, ScalarId, ScalarOp};
use program::PhysicalStage;
use sym::{Expr, Sym};
use target::costs::hundredths;
use target::{Costs, Target};

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 128;

pub fn rough(extent: &Expr) -> f64 {
    extent.eval(&|_| Some(ROUGH)).unwrap_or(ROUGH).max(1) as f64
}

/// Loops of one stage: the lanes, the vectors and tile points in flight.
#[derive(Clone, Debug)]
pub struct Shape {
    pub vector: Option<Iter>,
    pub lanes: u32,
    pub unroll: u32,
    pub tile: Option<(Iter, i64)>,
}

impl Shape {
    /// Whether blocks of the tile are transposed in registers.
    fn transposes(&self) -> bool {
        self.tile.as_ref().is_some_and(|(_, size)| *size == self.lanes as i64) && self.lanes > 1
    }
}

/// A scalar or a write, with the cycles of evaluating it once.
struct Item {
    cycles: f64,
    /// The read, where it is one.
    read: Option<ScalarId>,
    /// Whether it differs from lane to lane, in the reduction, and inside of it.
    along: bool,
    folded: bool,
    steps: bool,
    body: usize,
}

/// The items of a stage for one vector iterator.
pub struct Counted<'a> {
    nest: &'a Nest,
    cx: StageCx<'a>,
    vector: Option<Iter>,
    lanes: u32,
    items: Vec<Item>,
    /// Cycles of the writes for one vector.
    writes: f64,
    folds: Vec<Monoid>,
    registers: u32,
    costs: Costs,
}

impl<'a> Counted<'a> {
    pub fn new(stage: &'a PhysicalStage, vector: Option<&Iter>, lanes: u32, target: &Target) -> Counted<'a> {
        let nest = &stage.nest;
        let cx = StageCx::new(stage, &[], 0);
        let costs = &target.costs;
        let point = sample_point(nest, vector, lanes);
        let along = depends_on(nest, vector.map(|iter| iter.sym.clone()).as_slice());
        let reductions: Vec<Sym> = nest.reductions().map(|iter| iter.sym.clone()).collect();
        let steps = depends_on(nest, &reductions);
        let folded = folded(nest);
        let item = |at: usize| {
            let scalar = &nest.body[at];
            let registers = if along[at] { registers(scalar.dtype, lanes, target) } else { 1.0 };
            let read = matches!(scalar.op, ScalarOp::Read(_)).then_some(ScalarId(at as u32));
            let cycles = match &scalar.op {
                ScalarOp::Read(read) => {
                    let guard = if read.fill.is_some() { hundredths(costs.guard) } else { 0.0 };
                    // most reads outside of reductions come from beyond the first cache
                    let stream = if folded[at] { 1.0 } else { hundredths(costs.stream) };
                    guard + stream * access_cycles(&point.address(&cx, Access::Read(ScalarId(at as u32))), lanes, registers, costs)
                }
                ScalarOp::Literal(_) | ScalarOp::Reduce(..) => 0.0,
                ScalarOp::Index(_) | ScalarOp::Convert(_) | ScalarOp::Bits(_) => registers,
                ScalarOp::Apply(func, _) => func_cycles(*func, scalar.dtype) * registers,
            };
            Item { cycles, read, along: along[at], folded: folded[at], steps: steps[at], body: at }
        };
        let items = (0..nest.body.len()).map(item).collect();
        let write = |at: usize| {
            let registers = registers(nest.writes[at].ty.dtype, lanes, target);
            hundredths(costs.stream) * access_cycles(&point.address(&cx, Access::Write(at)), lanes, registers, costs)
        };
        let writes = (0..nest.writes.len()).map(write).sum();
        let folds = nest.body.iter().filter_map(|s| if let ScalarOp::Reduce(monoid, _) = s.op { Some(monoid) } else { None }).collect();
        Counted { nest, vector: vector.cloned(), lanes, items, writes, folds, registers: target.vector_registers, costs: costs.clone(), cx }
    }

    /// The shape with the fewest cycles for all points, with them. Tiles are of one of `inner`.
    pub fn best(&self, inner: &[&Iter]) -> (Shape, f64) {
        let tiles: Vec<&Iter> = inner.iter().copied().filter(|iter| self.may_tile(iter)).rev().take(3).collect();
        let mut best = self.counted(1, None);
        for unroll in 1..=self.most_vectors() {
            let mut sizes: Vec<Option<(&Iter, i64)>> = vec![None];
            let most = self.most_accumulators() / unroll as i64;
            sizes.extend(tiles.iter().flat_map(|iter| self.tile_sizes(iter, most).into_iter().map(move |size| Some((*iter, size)))));
            for tile in sizes {
                let other = self.counted(unroll, tile);
                if other.1 < best.1 {
                    best = other;
                }
            }
        }
        best
    }

    fn counted(&self, unroll: u32, tile: Option<(&Iter, i64)>) -> (Shape, f64) {
        let tile = tile.map(|(iter, size)| (iter.clone(), size));
        let shape = Shape { vector: self.vector.clone(), lanes: self.lanes, unroll, tile };
        let cycles = self.cycles(&shape);
        (shape, cycles)
    }

    fn is_vector(&self, iter: &Iter) -> bool {
        self.vector.as_ref().is_some_and(|vector| vector.sym == iter.sym)
    }

    fn along_parallel(&self) -> bool {
        self.vector.as_ref().is_some_and(|iter| iter.kind == IterKind::Parallel)
    }

    fn may_tile(&self, iter: &Iter) -> bool {
        iter.kind == IterKind::Parallel && !self.is_vector(iter) && (self.along_parallel() || !self.folds.is_empty())
    }

    /// Cycles of what stands in the code once for each vector: along a reduction that is what is folded.
    fn work(&self) -> f64 {
        let along = self.vector.is_none() || self.along_parallel();
        self.items.iter().filter(|item| along || item.folded).map(|item| item.cycles).sum()
    }

    /// Vectors at once: more only where the code of one is short.
    fn most_vectors(&self) -> u32 {
        let vectors = |iter: &Iter| iter.extent.as_const().map_or(4, |e| (e.max(1) as u64).div_ceil(self.lanes as u64).min(4) as u32);
        let short = match self.work() {
            work if work <= 10.0 => 4,
            work if work <= 40.0 => 2,
            _ if self.folds.is_empty() => 1,
            _ => 2,
        };
        self.vector.as_ref().map_or(1, vectors).min(if self.folds.is_empty() { short } else { short.max(2) })
    }

    /// Half of the registers hold accumulators; and what stands once for each should not become long.
    fn most_accumulators(&self) -> i64 {
        let short = 72 / self.items.len().max(1) as i64;
        (self.registers as i64 / 2 / self.folds.len().max(1) as i64).min(short).max(1)
    }

    fn tile_sizes(&self, iter: &Iter, most: i64) -> Vec<i64> {
        let extent = iter.extent.as_const().unwrap_or(i64::MAX);
        if self.folds.is_empty() {
            let block = self.lanes as i64;
            let vector_fits = self.vector.as_ref().is_some_and(|v| v.extent.as_const().is_none_or(|e| e >= block));
            let fits = |size: &i64| extent >= *size && (*size == block && self.lanes > 1 || self.interleaves(iter, *size));
            return [2, 4, block].into_iter().filter(|size| vector_fits && fits(size)).collect();
        }
        (2..=most.min(8).min(extent)).collect()
    }

    /// Cycles of all points.
    fn cycles(&self, shape: &Shape) -> f64 {
        let tile = shape.tile.as_ref();
        let size = tile.map_or(1.0, |(_, size)| *size as f64);
        let across = depends_on(self.nest, tile.map(|(iter, _)| iter.sym.clone()).as_slice());
        let parallel = self.along_parallel();
        // vectors whose results are written: those along a reduction make one result together
        let vectors = if parallel { shape.unroll as f64 } else { 1.0 };
        let turned = self.turned(shape);
        let interleaved = tile.is_some_and(|(iter, size)| self.folds.is_empty() && self.interleaves(iter, *size));
        let writes = if interleaved { hundredths(self.costs.stream) + size.log2() } else { self.writes };
        if shape.transposes() && self.folds.is_empty() && turned.is_empty() && !interleaved {
            return f64::INFINITY;
        }
        let (mut inside, mut outside) = (0.0, writes * vectors * size);
        for item in &self.items {
            let cycles = match item.read {
                Some(id) if turned.contains(&id) => 2.0 + hundredths(self.costs.turn_step) * (self.lanes as f64).log2(),
                _ => item.cycles,
            };
            let times = if item.along { vectors } else { 1.0 } * if across[item.body] { size } else { 1.0 };
            match (item.folded, item.steps) {
                (true, true) => inside += cycles * times,
                (true, false) => outside += cycles * times,
                // what the lanes do not change is computed outside of their loop
                (false, _) if !item.along && self.folds.is_empty() && self.vector.is_some() => outside += 0.2 * cycles * times,
                (false, _) => outside += cycles * times,
            }
        }
        let points: f64 = self.nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction).map(|iter| rough(&iter.extent)).product();
        let steps: f64 = self.nest.reductions().map(|iter| rough(&iter.extent)).product();
        let filled = self.vector.as_ref().map_or(1.0, |iter| filled_lanes(&iter.extent, self.lanes));
        let count = self.folds.len() as f64 * vectors * size;
        let folding = self.vector.is_some() && !parallel;
        let loop_turn = hundredths(self.costs.loop_turn);
        let turns = if folding { shape.unroll as f64 } else { 1.0 };
        let step = if self.folds.is_empty() { 0.0 } else { (turns * (inside + count) + loop_turn).max(self.latency(steps)) };
        let uneven = tile.map_or(1.0, |(iter, size)| rest_factor(&iter.extent, *size));
        // of equally good shapes the one with less code
        let code = 1.0 + 0.005 * shape.unroll as f64 * size;
        let (steps, lanes) = if folding { (steps / (filled * turns), 1.0) } else { (steps, filled) };
        let fold_end = if folding { count * (4.0 * (self.lanes as f64).log2() + 2.0 * turns) } else { 0.0 };
        code * uneven * points / (lanes * vectors * size) * (step * steps + outside + fold_end + loop_turn)
    }

    /// Whether the write of a tile is interleaved.
    fn interleaves(&self, tile: &Iter, size: i64) -> bool {
        self.vector.as_ref().is_some_and(|vector| interleave::interleaves(&self.cx, &vector.sym, &tile.sym, size))
    }

    /// The reads that blocks transpose.
    fn turned(&self, shape: &Shape) -> Vec<ScalarId> {
        match (&shape.vector, &shape.tile) {
            (Some(vector), Some((tile, _))) if shape.transposes() && self.folds.is_empty() => {
                transpose::across(&self.cx, &vector.sym, &tile.sym)
            }
            (_, _) => vec![],
        }
    }

    /// Cycles from one step of an accumulator to the next; short reductions overlap with the next point's.
    fn latency(&self, steps: f64) -> f64 {
        let slow = self.folds.iter().any(|monoid| matches!(monoid, Monoid::Max | Monoid::Min));
        let chain = hundredths(if slow { self.costs.max_latency } else { self.costs.add_latency });
        if steps <= 16.0 { 0.5 * chain } else { chain }
    }
}

/// What the single points after the whole tiles add.
fn rest_factor(extent: &Expr, size: i64) -> f64 {
    let Some(extent) = extent.as_const() else { return 1.05 };
    let (whole, rest) = ((extent / size) as f64, (extent % size) as f64);
    (whole + 0.7 * rest) * size as f64 / extent.max(1) as f64
}

/// Lanes of 32 bits or less that fill a register, but no more than a power of two that holds the whole iterator.
pub fn lanes_along(nest: &Nest, iter: &Iter, target: &Target) -> u32 {
    let varies = depends_on(nest, std::slice::from_ref(&iter.sym));
    let sizes = nest.body.iter().enumerate().filter(|(at, _)| varies[*at]).map(|(_, scalar)| register_dtype(scalar.dtype).size());
    let size = sizes.max().unwrap_or(4).min(4) as u32;
    let full = (target.vector_bits / 8 / size).max(1);
    match iter.extent.as_const() {
        Some(extent) if extent < full as i64 => (extent.max(1) as u32).next_power_of_two(),
        _ => full,
    }
}

/// Points that a vector holds on average.
fn filled_lanes(extent: &Expr, lanes: u32) -> f64 {
    let lanes = lanes as f64;
    match extent.as_const() {
        Some(extent) => extent.max(1) as f64 / (extent.max(1) as f64 / lanes).ceil(),
        None => 0.9 * lanes,
    }
}

/// A point in the middle of a loop of vectors.
fn sample_point(nest: &Nest, vector: Option<&Iter>, lanes: u32) -> Point {
    let mut point = Point::new(nest);
    if let Some(iter) = vector {
        let turn = Sym::new("$turn");
        point.ranges.iterator(&turn, &iter.extent.ceil_div(&Expr::from(lanes as i64)));
        point.vectorise(&iter.sym, Expr::sym(&turn) * lanes as i64, lanes, None);
    }
    point
}

/// For each scalar, whether a reduction folds it or what is made of it.
fn folded(nest: &Nest) -> Vec<bool> {
    let mut inside = vec![false; nest.body.len()];
    for at in (0..nest.body.len()).rev() {
        if inside[at] || matches!(nest.body[at].op, ScalarOp::Reduce(..)) {
            nest.body[at].op.operands().iter().for_each(|id| inside[id.0 as usize] = true);
        }
    }
    inside
}

fn access_cycles(address: &Expr, lanes: u32, registers: f64, costs: &Costs) -> f64 {
    match stride(address) {
        Stride::Same(_) => hundredths(costs.scalar_read),
        Stride::Unit(_) => registers,
        Stride::Strided { .. } => hundredths(costs.strided_lane) * lanes as f64,
        Stride::Irregular(_) => hundredths(costs.gathered_lane) * lanes as f64,
    }
}

fn registers(dtype: DType, lanes: u32, target: &Target) -> f64 {
    (lanes as f64 / target.lanes(register_dtype(dtype)) as f64).max(1.0)
}

/// Cycles of a function of one register.
pub fn func_cycles(func: Func, dtype: DType) -> f64 {
    use Func::*;
    let wide = if dtype == DType::F64 { 2.0 } else { 1.0 };
    match func {
        Neg | Abs | Sign | Floor | Ceil | Round | Trunc | Flush | IsNan | IsInf | Not | Add | Sub | Mul | And | Or | Xor | Equal
        | NotEqual | Less | LessEqual | Greater | GreaterEqual | Select | MulAdd | Max | Min => 1.0,
        Div | Rem if !dtype.is_float() => 40.0,
        Div | Sqrt | Reciprocal | Rsqrt => 8.0 * wide,
        Exp | Log => 10.0 * wide,
        Sigmoid | Tanh | Erf | Atan => 20.0 * wide,
        Sin | Cos => 50.0,
        Pow | Rem => 80.0,
    }
}
