//! The loops of one stage.

use super::frame::{Frame, Lanes, State};
use super::hoist::Needs;
use crate::build::KernelBuilder;
use crate::kernel::Cond;
use crate::lower::point::{Access, Point, StageCx};
use crate::lower::rows_schedule::Loops;
use crate::lower::scalars;
use nest::{Iter, IterKind};
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};

/// The points of an iterator that a task covers.
#[derive(Clone, Debug)]
pub struct Span {
    pub start: Expr,
    pub extent: Expr,
    /// The symbol that numbers the pieces, with their count.
    pub piece: Option<(Sym, Expr)>,
}

impl Span {
    fn whole(extent: &Expr) -> Span {
        Span { start: Expr::zero(), extent: extent.clone(), piece: None }
    }

    /// Says what is known of the symbols in it.
    pub fn declare(&self, point: &mut Point) {
        if let Some((sym, count)) = &self.piece {
            point.ranges.iterator(sym, count);
        }
    }
}

/// A loop over the inner parallel iterators of a stage, outermost first.
#[derive(Clone, Debug)]
enum Level {
    Points(Sym, Span),
    /// Some points at once.
    Tile(Sym, Span, i64),
    Vectors(Sym, Span),
}

/// What the emission of one stage needs throughout.
pub struct Emit<'a> {
    pub cx: &'a StageCx<'a>,
    pub choice: &'a Loops,
    pub needs: Needs,
    /// All reads and writes.
    pub accesses: Vec<Access>,
    /// Iterators that each state binds for itself.
    pub varying: Vec<Sym>,
    levels: Vec<Level>,
}

impl<'a> Emit<'a> {
    /// `spans` tells of iterators that the task has a piece of, `outer` are bound by the task.
    pub fn new(cx: &'a StageCx<'a>, choice: &'a Loops, spans: &BTreeMap<Sym, Span>, outer: &[Sym], lanes: Option<&Lanes>) -> Emit<'a> {
        let needs = Needs::new(cx.nest());
        let reads = cx.nest().reads().map(|(id, _)| id);
        let accesses = reads.map(Access::Read).chain((0..cx.nest().writes.len()).map(Access::Write)).collect();
        let bound = |iter: &&Iter| outer.contains(&iter.sym) || lanes.is_some_and(|lanes| lanes.sym == iter.sym);
        let looped = |iter: &&Iter| iter.kind != IterKind::Reduction && !bound(iter) && !choice.spread.contains(&iter.sym);
        let inner: Vec<&Iter> = cx.nest().iters.iter().filter(looped).collect();
        let levels = levels(&inner, choice, spans);
        let tile = choice.tile.iter().map(|tile| tile.sym.clone());
        let varying = choice.vector.iter().cloned().chain(tile).chain(choice.spread.iter().cloned()).collect();
        Emit { cx, choice, needs, accesses, varying, levels }
    }

    /// The whole stage at the task's point. Inner sizes may be 0: then there is nothing to write, nor anything to read safely.
    pub fn stage(&self, b: &mut KernelBuilder, frame: Frame) {
        let unsure = self.levels.iter().map(Level::span).filter(|span| span.piece.is_none() && span.extent.as_const().is_none());
        let conds: Vec<Cond> = unsure.map(|span| Cond::Less(Expr::zero(), span.extent.clone())).collect();
        let body = |b: &mut KernelBuilder| {
            let mut frame = frame;
            self.enter(b, &mut frame, 0);
            self.level(b, &frame, 0);
        };
        if conds.is_empty() { body(b) } else { b.when(conds, body, |_| {}) }
    }

    /// Hoists what loops from `level` inwards do not change.
    fn enter(&self, b: &mut KernelBuilder, frame: &mut Frame, level: usize) {
        let parallel = self.levels[level..].iter().map(|level| level.sym().clone());
        let open: Vec<Sym> = parallel.chain(self.cx.nest().reductions().map(|iter| iter.sym.clone())).collect();
        self.hoist(b, frame, &open, &self.needs.all);
    }

    fn level(&self, b: &mut KernelBuilder, frame: &Frame, level: usize) {
        match self.levels.get(level) {
            None => self.leaf(b, frame, None),
            Some(Level::Points(sym, span)) => b.each("i", &Expr::zero(), &span.extent, 1, |b, i| {
                let mut frame = frame.clone();
                frame.bind(sym, &span.start, i, &span.extent);
                self.enter(b, &mut frame, level + 1);
                self.level(b, &frame, level + 1);
            }),
            Some(Level::Tile(sym, span, size)) => self.tiles(b, frame, level, (sym, span, *size)),
            Some(Level::Vectors(sym, span)) => self.vectors(b, frame, sym, span),
        }
    }

    /// Whole tiles, then single points.
    fn tiles(&self, b: &mut KernelBuilder, frame: &Frame, level: usize, (sym, span, size): (&Sym, &Span, i64)) {
        let unit = Expr::from(size);
        let whole = b.name("n", &span.extent.floor_div(&unit));
        let tile = |b: &mut KernelBuilder, first: &Expr, count: i64, variable: &Expr, turns: &Expr| {
            let mut frame = frame.clone();
            super::declare(&mut frame.point, variable, turns);
            let at = |k: i64| Some((sym.clone(), &(&span.start + first) + k));
            frame.states = (0..count).map(|k| State { tile: at(k), ..State::default() }).collect();
            self.enter(b, &mut frame, level + 1);
            self.level(b, &frame, level + 1);
        };
        b.each("i", &Expr::zero(), &whole, 1, |b, t| tile(b, &(t * &unit), size, t, &whole));
        b.each("i", &(&whole * &unit), &span.extent, 1, |b, i| tile(b, i, 1, i, &span.extent));
    }

    /// Groups of vectors, then what is left: of a known extent in one go, else vector by vector under a mask.
    fn vectors(&self, b: &mut KernelBuilder, frame: &Frame, sym: &Sym, span: &Span) {
        let (lanes, unroll) = (self.choice.lanes as i64, self.choice.unroll as i64);
        let group = |b: &mut KernelBuilder, first: &Expr, count: i64, variable: &Expr, turns: &Expr, masked: bool| {
            let mut frame = frame.clone();
            super::declare(&mut frame.point, variable, turns);
            let vectors: Vec<Lanes> = (0..count).map(|k| self.lanes(b, sym, span, &(first + k), masked && k + 1 == count)).collect();
            self.leaf(b, &frame, Some(vectors));
        };
        let unit = Expr::from(unroll);
        let groups = b.name("n", &span.extent.floor_div(&Expr::from(lanes * unroll)));
        b.each("v", &Expr::zero(), &groups, 1, |b, v| group(b, &(v * &unit), unroll, v, &groups, false));
        match span.extent.as_const() {
            Some(extent) => {
                let first = extent / (lanes * unroll) * unroll;
                let left = (extent + lanes - 1) / lanes - first;
                if left > 0 {
                    group(b, &Expr::from(first), left, &Expr::zero(), &Expr::one(), extent % lanes != 0);
                }
            }
            None => {
                let end = b.name("n", &span.extent.ceil_div(&Expr::from(lanes)));
                b.each("v", &(&groups * &unit), &end, 1, |b, v| group(b, v, 1, v, &end, true));
            }
        }
    }

    /// Vector number `at` of a span.
    pub fn lanes(&self, b: &mut KernelBuilder, sym: &Sym, span: &Span, at: &Expr, masked: bool) -> Lanes {
        let lanes = self.choice.lanes;
        let offset = at * &Expr::from(lanes as i64);
        let mask = masked.then(|| b.below(&(&span.extent - &offset), lanes));
        Lanes { sym: sym.clone(), base: &span.start + &offset, lanes, mask }
    }

    /// All parallel iterators are bound: reduces and writes, for each point of the tile and each vector.
    fn leaf(&self, b: &mut KernelBuilder, frame: &Frame, vectors: Option<Vec<Lanes>>) {
        let mut frame = frame.clone();
        let vectors: Vec<Option<Lanes>> = match vectors {
            Some(vectors) => vectors.into_iter().map(Some).collect(),
            None => vec![frame.lanes.clone()],
        };
        let tiles = if frame.states.is_empty() { vec![State::default()] } else { std::mem::take(&mut frame.states) };
        let with = |state: &State| vectors.iter().map(|lanes| State { lanes: lanes.clone(), ..state.clone() }).collect::<Vec<_>>();
        frame.states = tiles.iter().flat_map(with).flat_map(|state| self.spread(&state)).collect();
        self.reduce(b, &mut frame);
        self.hoist(b, &mut frame, &[], &self.needs.written);
        self.hoist_spread(b, &mut frame);
        self.transpose_reads(b, &mut frame);
        if self.write_interleaved(b, &frame) {
            return;
        }
        let mut finite = BTreeSet::new();
        for state in &frame.states {
            let point = frame.at(state);
            let mut memo = state.memo.clone();
            for write in 0..self.cx.nest().writes.len() {
                scalars::check_finite(b, self.cx, &point, write, &mut memo, &mut finite);
                scalars::write(b, self.cx, &point, write, &mut memo);
            }
        }
    }
}

impl Emit<'_> {
    /// A state for each point of the spread iterators.
    fn spread(&self, state: &State) -> Vec<State> {
        self.choice.spread.iter().fold(vec![state.clone()], |states, sym| {
            let extent = self.cx.nest().iter(sym).and_then(|iter| iter.extent.as_const()).unwrap_or(1);
            let at = |state: &State, k: i64| {
                let mut state = state.clone();
                state.spread.push((sym.clone(), Expr::from(k)));
                state
            };
            states.iter().flat_map(|state| (0..extent).map(move |k| at(state, k))).collect()
        })
    }
}

impl Level {
    fn sym(&self) -> &Sym {
        match self {
            Level::Points(sym, _) | Level::Tile(sym, ..) | Level::Vectors(sym, _) => sym,
        }
    }

    fn span(&self) -> &Span {
        match self {
            Level::Points(_, span) | Level::Tile(_, span, _) | Level::Vectors(_, span) => span,
        }
    }
}

/// Ordered points first, then the plain loops, the tile, the vectors.
fn levels(inner: &[&Iter], choice: &Loops, spans: &BTreeMap<Sym, Span>) -> Vec<Level> {
    let level = |iter: &&Iter| {
        let (sym, span) = (iter.sym.clone(), spans.get(&iter.sym).cloned().unwrap_or_else(|| Span::whole(&iter.extent)));
        match &choice.tile {
            _ if choice.vector.as_ref() == Some(&sym) => (3, Level::Vectors(sym, span)),
            Some(tile) if tile.sym == sym => (2, Level::Tile(sym, span, tile.size)),
            _ => (if iter.kind == IterKind::Scan { 0 } else { 1 }, Level::Points(sym, span)),
        }
    };
    let mut levels: Vec<(u32, Level)> = inner.iter().map(level).collect();
    levels.sort_by_key(|(rank, _)| *rank);
    levels.into_iter().map(|(_, level)| level).collect()
}
