//! The generic template: it makes a kernel of every legal group, with loops, vectors along one iterator, and reductions in registers.
//!
//! ```text
//! task -> outer iterators                       // each stage, for that point:
//!   for inner parallel iterators..              //   values that change no more inside are computed here
//!     for vectors of the vector iterator        //   whole ones, then a masked one
//!       acc = identity
//!       for reduction iterators..: acc = acc op value
//!       writes
//! ```
//!
//! Where the vector iterator is a reduction's, the accumulators are vectors and are folded at the end.
//!
//! - [`flat`]: fewer, longer iterators
//! - [`frame`]: what is known inside some loops
//! - [`hoist`]: computing values as far outside as they are known
//! - [`strip`]: blocks of points as tasks, so that contractions among the stages are computed by register tiles
//! - [`stage`]: the loops of one stage
//! - [`reduce`]: its reductions
//! - [`transpose`], [`interleave`]: blocks transposed and vectors interleaved in registers

pub mod flat;
mod frame;
mod hoist;
pub mod interleave;
mod reduce;
mod stage;
pub mod strip;
#[cfg(test)]
mod tests;
pub mod transpose;

use crate::build::KernelBuilder;
use crate::kernel::{BufferId, Kernel, Space, TASK};
use crate::lower::contract;
use crate::lower::contract_match;
use crate::lower::point::{Point, StageCx};
use crate::lower::rows_schedule::{Piece, RowsSchedule, RowsStage};
use frame::{Frame, Lanes};
use program::{PhysicalBuffer, PhysicalGroup, PhysicalRole};
use stage::{Emit, Span};
use std::collections::BTreeMap;
use sym::{Expr, Sym};
use target::Target;

/// The group whose iterators a schedule names: in blocks where it has some, and flat.
pub fn scheduled(group: &PhysicalGroup, block: Option<&Piece>) -> PhysicalGroup {
    match block {
        Some(block) => flat::flat_around(&strip::strip(group, &block.sym, block.size), Some(&strip::row_sym(group, &block.sym))),
        None => flat::flat(group),
    }
}

/// The kernel of a group by a legal schedule.
pub fn lower(name: &str, group: &PhysicalGroup, schedule: &RowsSchedule, target: &Target) -> Kernel {
    let mut flat = scheduled(group, schedule.block.as_ref());
    let piece = schedule.piece.as_ref().filter(|piece| flat.outer.iter().any(|iter| iter.sym == piece.sym));
    let outer_vector = piece.map(|piece| piece.sym.clone());
    if let Some(piece) = piece {
        flat::widen_locals(&mut flat, &piece.sym, piece.size as u32);
    }
    let sizes = group.sizes();
    let mut b = KernelBuilder::on(target, name);
    b.reserve(sizes.iter().cloned());
    b.reserve(flat.stages.iter().flat_map(|stage| stage.nest.iters.iter().map(|iter| iter.sym.clone())));
    let buffers = declare_buffers(&mut b, &flat.buffers);
    let tasks = Tasks::new(&flat, schedule);
    let (env, spans) = tasks.bind(&mut b);
    let row = schedule.block.as_ref().map(|block| strip::row_sym(group, &block.sym));
    if let Some(row) = &row {
        flat = count_rows(&mut b, flat, row, &env);
    }
    for (at, (stage, choice)) in flat.stages.iter().zip(&schedule.stages).enumerate() {
        let cx = StageCx::new(stage, &buffers, at as u32);
        let point = root(&cx, &env, &spans);
        match choice {
            RowsStage::Loops(choice) => {
                let lanes = outer_vector.as_ref().map(|sym| task_lanes(&mut b, &spans[sym], sym, choice.lanes));
                let frame = Frame::new(point, lanes);
                Emit::new(&cx, choice, &spans, &tasks.outer_syms(), frame.lanes.as_ref()).stage(&mut b, frame);
            }
            RowsStage::Tiles(tiles) => match row.as_ref().and_then(|row| contract_match::matched_rows(&stage.nest, row, &flat.outer)) {
                Some(matched) => contract::emit_stage(&mut b, &cx, &point, &matched, tiles),
                None => panic!("{name}: stage {at} is no contraction that tiles serve"),
            },
        }
    }
    b.finish(tasks.count(), sizes)
}

/// The group with the number of points in the task's block computed.
fn count_rows(b: &mut KernelBuilder, group: PhysicalGroup, row: &Sym, env: &BTreeMap<Sym, (Expr, Expr)>) -> PhysicalGroup {
    let extent = group.stages.iter().find_map(|stage| stage.nest.iter(row)).map_or(Expr::one(), |iter| iter.extent.clone());
    let count = b.name("n", &extent.substitute(&|sym| env.get(sym).map(|(value, _)| value.clone())));
    strip::with_rows(&group, row, &count)
}

/// One kernel buffer for each of the group's, in order.
pub fn declare_buffers(b: &mut KernelBuilder, buffers: &[PhysicalBuffer]) -> Vec<BufferId> {
    let declare = |(at, buffer): (usize, &PhysicalBuffer)| {
        let space = match buffer.role {
            PhysicalRole::Input => Space::Input,
            PhysicalRole::Output => Space::Output,
            PhysicalRole::Local => Space::Scratch,
        };
        b.buffer(&format!("b{at}"), buffer.ty.dtype, Expr::product(&buffer.ty.dims), space)
    };
    buffers.iter().enumerate().map(declare).collect()
}

/// The iterators of tasks with their extents, and the piece.
struct Tasks {
    outer: Vec<(Sym, Expr)>,
    /// Iterator, extent, size of a piece.
    piece: Option<(Sym, Expr, i64)>,
}

impl Tasks {
    fn new(group: &PhysicalGroup, schedule: &RowsSchedule) -> Tasks {
        let extent = |sym: &Sym| group.stages[0].nest.iter(sym).map_or(Expr::one(), |iter| iter.extent.clone());
        Tasks {
            outer: schedule.outer.iter().map(|sym| (sym.clone(), extent(sym))).collect(),
            piece: schedule.piece.as_ref().map(|piece| (piece.sym.clone(), extent(&piece.sym), piece.size)),
        }
    }

    fn outer_syms(&self) -> Vec<Sym> {
        self.outer.iter().map(|(sym, _)| sym.clone()).collect()
    }

    fn pieces(&self) -> Expr {
        self.piece.as_ref().map_or(Expr::one(), |(_, extent, size)| extent.ceil_div(&Expr::from(*size)))
    }

    fn count(&self) -> Expr {
        self.outer.iter().fold(self.pieces(), |count, (_, extent)| &count * extent)
    }

    /// Names the task's iterators: the value of each outer one, and the span of the piece.
    fn bind(&self, b: &mut KernelBuilder) -> (BTreeMap<Sym, (Expr, Expr)>, BTreeMap<Sym, Span>) {
        let mut digits: Vec<(Option<&Sym>, Expr)> = self.outer.iter().map(|(sym, extent)| (Some(sym), extent.clone())).collect();
        if self.piece.is_some() {
            digits.push((None, self.pieces()));
        }
        let (mut values, mut spans) = (BTreeMap::new(), BTreeMap::new());
        let mut rest = Expr::sym(&Sym::new(TASK));
        for (at, (sym, extent)) in digits.iter().enumerate().rev() {
            let value = if at == 0 {
                rest.clone()
            } else {
                let above = b.name("t", &rest.floor_div(extent));
                let value = b.name("t", &(&rest - &(&above * extent)));
                rest = above;
                value
            };
            match (sym, &self.piece) {
                (Some(sym), _) => {
                    values.insert((*sym).clone(), (value, extent.clone()));
                }
                (None, Some((sym, whole, size))) => {
                    spans.insert(sym.clone(), piece_span(b, &value, extent, whole, *size));
                }
                (None, None) => {}
            }
        }
        (values, spans)
    }
}

/// The points of one piece.
fn piece_span(b: &mut KernelBuilder, at: &Expr, pieces: &Expr, whole: &Expr, size: i64) -> Span {
    let start = at * &Expr::from(size);
    let divides = whole.as_const().is_some_and(|whole| whole % size == 0);
    let left = whole - &start;
    let extent = if divides { Expr::from(size) } else { b.name("n", &Expr::from(size).minimum(&left)) };
    Span { start, extent, piece: at.as_sym().map(|sym| (sym.clone(), pieces.clone())) }
}

/// The point of a stage outside of all its loops: the task's iterators are bound.
fn root(cx: &StageCx, env: &BTreeMap<Sym, (Expr, Expr)>, spans: &BTreeMap<Sym, Span>) -> Point {
    let mut point = Point::new(cx.nest());
    for (sym, (value, extent)) in env {
        declare(&mut point, value, extent);
        point.bind(sym, value.clone());
    }
    spans.values().for_each(|span| span.declare(&mut point));
    point
}

/// The one vector that a task has of an iterator of the group's.
fn task_lanes(b: &mut KernelBuilder, span: &Span, sym: &Sym, lanes: u32) -> Lanes {
    let full = span.extent.as_const() == Some(lanes as i64);
    let mask = (!full).then(|| b.below(&span.extent, lanes));
    Lanes { sym: sym.clone(), base: span.start.clone(), lanes, mask }
}

/// Says that a named value or a loop variable is below an extent.
fn declare(point: &mut Point, value: &Expr, extent: &Expr) {
    if let Some(sym) = value.as_sym() {
        point.ranges.iterator(sym, extent);
    }
}
