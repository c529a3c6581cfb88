//! What is known inside some loops.

use crate::kernel::ValueId;
use crate::lower::point::{Memo, Point};
use sym::{Expr, Sym};

/// The vector iterator at some place.
#[derive(Clone, Debug)]
pub struct Lanes {
    pub sym: Sym,
    /// Its value in lane 0.
    pub base: Expr,
    pub lanes: u32,
    pub mask: Option<ValueId>,
}

/// One of the points, or vectors of points, that are computed at once.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The tile's iterator.
    pub tile: Option<(Sym, Expr)>,
    /// Spread iterators.
    pub spread: Vec<(Sym, Expr)>,
    pub lanes: Option<Lanes>,
    /// What is known in this state; the frame's memo is part of it.
    pub memo: Memo,
}

impl State {
    /// Whether the states differ in spread iterators alone.
    pub fn is_beside(&self, other: &State) -> bool {
        let base = |state: &State| (state.tile.clone(), state.lanes.as_ref().map(|lanes| lanes.base.clone()));
        base(self) == base(other)
    }
}

/// The iterators that are bound for all states alike, and the states. Before the innermost parallel loop there is no state.
#[derive(Clone, Debug)]
pub struct Frame {
    pub point: Point,
    /// What is the same in all states.
    pub memo: Memo,
    pub states: Vec<State>,
    /// Where the lanes run along an iterator of the task.
    pub lanes: Option<Lanes>,
}

impl Frame {
    pub fn new(point: Point, lanes: Option<Lanes>) -> Frame {
        Frame { point, memo: Memo::new(), states: vec![], lanes }
    }

    /// Binds an iterator to a loop's variable plus `start`.
    pub fn bind(&mut self, sym: &Sym, start: &Expr, variable: &Expr, extent: &Expr) {
        super::declare(&mut self.point, variable, extent);
        self.point.bind(sym, start + variable);
    }

    /// The point of a state.
    pub fn at(&self, state: &State) -> Point {
        let mut point = self.point.clone();
        for (sym, value) in state.tile.iter().chain(&state.spread) {
            point.bind(sym, value.clone());
        }
        if let Some(lanes) = &state.lanes {
            point.vectorise(&lanes.sym, lanes.base.clone(), lanes.lanes, lanes.mask);
        }
        point
    }

    /// Adds what the frame knows to what its states know.
    pub fn share(&mut self) {
        for state in &mut self.states {
            state.memo.extend(self.memo.iter().map(|(id, value)| (*id, *value)));
        }
    }
}
