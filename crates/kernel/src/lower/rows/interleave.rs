//! Vectors put together lane by lane: a write that steps by the tile's size along the lanes and by one along the tile, as packing for dots
//! does.
//!
//! before: for each of 2 or 4 tile points, L elements that far apart -> after: shuffles, and `2 L` or `4 L` elements in one piece.

use super::frame::{Frame, State};
use super::stage::Emit;
use crate::build::KernelBuilder;
use crate::kernel::ValueId;
use crate::lower::point::{Access, StageCx};
use crate::lower::scalars;
use nest::Index;
use sym::{Expr, Sym};

impl Emit<'_> {
    /// Makes the nest's write for all states, where they are whole tiles of such a write. Gives whether it did.
    pub fn write_interleaved(&self, b: &mut KernelBuilder, frame: &Frame) -> bool {
        let (Some(vector), Some(tile)) = (&self.choice.vector, &self.choice.tile) else { return false };
        let whole = |state: &State| state.tile.is_some() && state.lanes.as_ref().is_some_and(|lanes| lanes.mask.is_none());
        if !interleaves(self.cx, vector, &tile.sym, tile.size) || !frame.states.iter().all(whole) {
            return false;
        }
        // the states of a tile's first point come first, then those of the second
        let vectors = frame.states.len() / tile.size as usize;
        if vectors * tile.size as usize != frame.states.len() || vectors == 0 {
            return false;
        }
        for at in 0..vectors {
            let states = frame.states[at..].iter().step_by(vectors);
            let values: Vec<ValueId> = states.map(|state| self.stored(b, frame, state)).collect();
            let joined = if let [x, y, z, w] = values[..] { [joined(b, x, z), joined(b, y, w)] } else { [values[0], values[1]] };
            let joined = self::joined(b, joined[0], joined[1]);
            let address = frame.at(&frame.states[at]).address(self.cx, Access::Write(0));
            let first = address.replace(&crate::lower::point::lane_sym(), &Expr::zero());
            b.store(self.cx.write_buffer(0), &first, joined, None);
        }
        true
    }

    /// What the write stores in a state, in every lane.
    fn stored(&self, b: &mut KernelBuilder, frame: &Frame, state: &State) -> ValueId {
        let value = scalars::written(b, self.cx, &frame.at(state), 0, &mut state.memo.clone());
        let value = b.convert(value, b.buffer_dtype(self.cx.write_buffer(0)));
        b.splat(value, self.choice.lanes)
    }
}

/// `x[0], y[0], x[1], y[1], ..`
fn joined(b: &mut KernelBuilder, x: ValueId, y: ValueId) -> ValueId {
    let lanes = b.ty(x).lanes;
    b.shuffle(x, y, (0..lanes).flat_map(|lane| [lane, lanes + lane]).collect())
}

/// Whether the stage's write lies in one piece over a tile of so many points and the lanes.
pub fn interleaves(cx: &StageCx, vector: &Sym, tile: &Sym, size: i64) -> bool {
    let [write] = cx.nest().writes.as_slice() else { return false };
    let plain = write.combine.is_none()
        && write.only.is_empty()
        && write.finite.is_empty()
        && write.index.iter().all(|index| matches!(index, Index::Map(_)));
    let address = cx.ranges.simplify(&cx.address(Access::Write(0)));
    let along = |sym: &Sym| address.split_linear(sym).and_then(|(step, _)| step.as_const());
    plain && matches!(size, 2 | 4) && along(tile) == Some(1) && along(vector) == Some(size)
}
