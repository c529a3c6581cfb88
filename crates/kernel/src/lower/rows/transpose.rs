//! Square blocks transposed in registers: reads that are contiguous along the tile, not along the lanes.
//!
//! before: for each of L tile points, L elements far apart -> after: for each of L lanes, L consecutive elements; then `log2 L` rounds of
//! shuffles turn rows into columns.

use super::frame::{Frame, State};
use super::stage::Emit;
use crate::build::KernelBuilder;
use crate::kernel::ValueId;
use crate::lower::point::{Access, StageCx, register_dtype};
use nest::{Index, ScalarId, ScalarOp};
use sym::{Expr, Sym};

impl Emit<'_> {
    /// Gives the states their elements of such reads, where the states are one whole block.
    pub fn transpose_reads(&self, b: &mut KernelBuilder, frame: &mut Frame) {
        let (Some(vector), Some(tile)) = (&self.choice.vector, &self.choice.tile) else { return };
        if frame.states.len() != self.choice.lanes as usize || self.choice.lanes == 1 || !one_block(&frame.states) {
            return;
        }
        for id in across(self.cx, vector, &tile.sym).into_iter().filter(|id| self.needs.written[id.0 as usize]) {
            let rows = self.rows(b, frame, id);
            for (state, column) in frame.states.iter_mut().zip(transposed(b, rows)) {
                state.memo.insert(id, column);
            }
        }
    }

    /// For each lane, the read's elements along the tile.
    fn rows(&self, b: &mut KernelBuilder, frame: &Frame, id: ScalarId) -> Vec<ValueId> {
        let ScalarOp::Read(read) = &self.cx.nest().scalar(id).op else { return vec![] };
        let buffer = self.cx.operand_buffer(read.operand);
        let Some((tile, lanes)) = frame.states.first().and_then(|state| Some((state.tile.clone()?, state.lanes.clone()?))) else {
            return vec![];
        };
        let load = |lane: i64| {
            let mut point = frame.point.clone();
            point.bind(&tile.0, tile.1.clone());
            point.bind(&lanes.sym, &lanes.base + lane);
            let address = point.address(self.cx, Access::Read(id));
            let row = b.load(buffer, &address, self.choice.lanes, None);
            let dtype = b.buffer_dtype(buffer);
            b.convert(row, register_dtype(dtype))
        };
        (0..self.choice.lanes as i64).map(load).collect()
    }
}

/// Whether the states are one vector at consecutive points of the tile; as many states are also several vectors at fewer points.
fn one_block(states: &[State]) -> bool {
    let place = |state: &State| match (&state.tile, &state.lanes) {
        (Some((_, tile)), Some(lanes)) if lanes.mask.is_none() && state.spread.is_empty() => Some((tile.clone(), lanes.base.clone())),
        _ => None,
    };
    let places: Option<Vec<(Expr, Expr)>> = states.iter().map(place).collect();
    places.is_some_and(|places| places.iter().zip(0..).all(|((tile, base), at)| *tile == &places[0].0 + at && *base == places[0].1))
}

/// The reads that are contiguous along `tile` and far apart along `vector`.
pub fn across(cx: &StageCx, vector: &Sym, tile: &Sym) -> Vec<ScalarId> {
    let nest = cx.nest();
    let fits = |id: ScalarId| {
        let address = cx.ranges.simplify(&cx.address(Access::Read(id)));
        let along = |sym: &Sym| address.split_linear(sym).map(|(c, _)| c);
        along(tile).is_some_and(|c| c.is_one()) && along(vector).is_some_and(|c| !c.is_zero() && !c.is_one())
    };
    let plain = nest.reads().filter(|(_, read)| read.fill.is_none() && read.index.iter().all(|index| matches!(index, Index::Map(_))));
    plain.map(|(id, _)| id).filter(|id| fits(*id)).collect()
}

/// Rows to columns; as many vectors as lanes, a power of two. Each round swaps blocks off the diagonal of twice the size of the last one.
fn transposed(b: &mut KernelBuilder, mut rows: Vec<ValueId>) -> Vec<ValueId> {
    let lanes = rows.len() as u32;
    let mut block = 1;
    while block < lanes {
        for low in (0..lanes).filter(|row| row & block == 0) {
            let high = low + block;
            let (x, y) = (rows[low as usize], rows[high as usize]);
            let first = (0..lanes).map(|lane| if lane & block == 0 { lane } else { lanes + lane - block }).collect();
            let second = (0..lanes).map(|lane| if lane & block == 0 { lane + block } else { lanes + lane }).collect();
            (rows[low as usize], rows[high as usize]) = (b.shuffle(x, y, first), b.shuffle(x, y, second));
        }
        block *= 2;
    }
    rows
}
