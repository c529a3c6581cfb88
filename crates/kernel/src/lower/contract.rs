//! The contraction template: register tiles of `m` rows by `n` vectors, the whole reduction in registers, the epilogue on the tile.
//!
//! One task computes a block of rows by a block of panels:
//!
//! ```text
//! for panel in block of n            // b: k rows of `block` elements each, packed or in place
//!   for tile in block of m           // th x tw rows of a, each a broadcast
//!     acc[r][j] = 0
//!     for k..: acc[r][j] += a[row r, k] * b[k, vector j]
//!     writes of the nest at (row r, vector j), with the sum from acc[r][j]
//! ```
//!
//! Where rows of `a` lie a multiple of a page apart, they compete for the same sets of the cache: a task then copies its rows into scratch
//! first, at a stride that is none.
//!
//! It serves every f32 contraction whose `a` is affine without padding and whose `b` has stride 1 along `n`: products of matrices and
//! convolutions differ only in the strides of `a`. What it does not serve, `rows` does.

use crate::build::KernelBuilder;
use crate::kernel::{BufferId, Cond, Space, TASK, Ty, ValueId};
use crate::lower::contract_schedule::ContractSchedule;
use crate::lower::point::{Access, Memo, Point, StageCx, lane_sym};
use crate::lower::scalars;
use ir::DType;
use nest::{Contraction, Iter, Nest, Read, ScalarOp, contraction};
use std::collections::BTreeMap;
use std::fmt;
use sym::{Expr, ParseError, Parser, Sym};

/// A contraction with the iterator that its vectors run along.
#[derive(Clone, Debug)]
pub struct Matched {
    pub parts: Contraction,
    /// The `n` iterator along the vectors.
    pub n: Sym,
    /// Elements of a panel of a packed `b`; None where `b` is read in place.
    pub panel: Option<i64>,
}

/// The contraction of a physical nest that the template can serve.
pub fn matched(nest: &Nest) -> Option<Matched> {
    served(nest, contraction(nest, &along_vectors(nest)?)?)
}

/// The same for a stage of a group whose tasks are blocks of `row` at a point of the iterators in `outer`: the row is all of `m`, and `n`
/// is one iterator.
pub fn matched_rows(nest: &Nest, row: &Sym, outer: &[Iter]) -> Option<Matched> {
    let mut inner = nest.clone();
    inner.iters.retain(|iter| outer.iter().all(|other| other.sym != iter.sym));
    let parts = contraction(&inner, &along_vectors(nest)?)?;
    served(nest, parts).filter(|matched| matched.parts.m == [row.clone()] && matched.parts.n.len() == 1)
}

/// Whether a read walks along the innermost dim of the result.
fn along_vectors(nest: &Nest) -> Option<impl Fn(&Read) -> bool> {
    let last = nest.writes.first()?.index.last()?.symbols();
    Some(move |read: &Read| read.index.iter().filter_map(|i| i.as_map()).any(|e| last.iter().any(|s| e.mentions(s))))
}

fn served(nest: &Nest, parts: Contraction) -> Option<Matched> {
    let last = nest.writes.first()?.index.last()?;
    let n = parts.n.iter().find(|s| last.mentions(s)).cloned()?;
    let (a, b) = (read_of(nest, parts.a)?, read_of(nest, parts.b)?);
    let floats = [parts.a, parts.b, parts.sum].iter().all(|id| nest.scalar(*id).dtype == DType::F32);
    let linear = |e: &Expr, syms: &[&Vec<Sym>]| syms.iter().flat_map(|s| s.iter()).all(|s| e.split_linear(s).is_some());
    let a_address = address(nest, a);
    let panel = panel_of(nest, b, &n);
    let b_address = in_panel(nest, &address(nest, b), &n, panel);
    let unit = b_address.split_linear(&lane_sym()).is_some_and(|(c, _)| c.is_one());
    let fits = floats
        && a.fill.is_none()
        && unit
        && linear(&a_address, &[&parts.m, &parts.k, &parts.batch])
        && linear(&b_address, &[&parts.k, &parts.batch])
        && direct_product(nest, &parts)
        && scalars::may_vectorise(nest, &n);
    fits.then_some(Matched { parts, n, panel })
}

fn read_of(nest: &Nest, id: nest::ScalarId) -> Option<&Read> {
    match &nest.scalar(id).op {
        ScalarOp::Read(read) => Some(read),
        _ => None,
    }
}

/// Whether the product is of the reads themselves, without conversions between.
fn direct_product(nest: &Nest, parts: &Contraction) -> bool {
    let ScalarOp::Reduce(_, product) = nest.scalar(parts.sum).op else { return false };
    match &nest.scalar(product).op {
        ScalarOp::Apply(_, factors) => factors.iter().all(|f| *f == parts.a || *f == parts.b),
        _ => false,
    }
}

fn address(nest: &Nest, read: &Read) -> Expr {
    let maps: Vec<Expr> = read.index.iter().map(|i| i.as_map().cloned().unwrap_or_default()).collect();
    crate::lower::point::address(&nest.operands[read.operand].ty.dims, &maps)
}

/// The block of a packed operand: its last physical dim, where the index there is `n % block`, or `n` itself where one block holds all.
fn panel_of(nest: &Nest, read: &Read, n: &Sym) -> Option<i64> {
    let last = read.index.last()?.as_map()?;
    let block = nest.operands[read.operand].ty.dims.last()?.as_const()?;
    let one_block = nest.iter(n)?.extent.as_const().is_some_and(|width| width <= block && block <= WIDEST_PANEL);
    let packed = if last.as_sym() == Some(n) { one_block } else { *last == Expr::sym(n).modulo(&Expr::from(block)) };
    packed.then_some(block)
}

/// No panel is wider: an operand whose rows are longer lies as it came.
const WIDEST_PANEL: i64 = 64;

/// An address with `n` replaced by `block*panel + lane`, where lane runs within one panel; by the lane alone where there are no panels.
fn in_panel(nest: &Nest, address: &Expr, n: &Sym, panel: Option<i64>) -> Expr {
    let mut ranges = nest.ranges();
    let lane = Expr::sym(&lane_sym());
    let Some(block) = panel else { return ranges.simplify(&address.replace(n, &lane)) };
    ranges.iterator(&lane_sym(), &Expr::from(block));
    ranges.simplify(&address.replace(n, &(&(Expr::sym(&Sym::new("$panel")) * block) + &lane)))
}

/// Several iterators walked as one: `(sym, extent)`, outermost first.
pub type Merged = Vec<(Sym, Expr)>;

/// Iterators in order, neighbours joined where every address that mentions them walks them as one.
pub fn merge(nest: &Nest, addresses: &[Expr], syms: &[Sym]) -> Vec<Merged> {
    let mut out: Vec<Merged> = Vec::new();
    for sym in syms {
        let extent = nest.iter(sym).map_or(Expr::one(), |iter| iter.extent.clone());
        let joins = out.last().and_then(|m| m.last()).is_some_and(|(outer, _)| addresses.iter().all(|e| walks_on(e, outer, sym, &extent)));
        match out.last_mut() {
            Some(last) if joins => last.push((sym.clone(), extent)),
            _ => out.push(vec![(sym.clone(), extent)]),
        }
    }
    out
}

fn walks_on(address: &Expr, outer: &Sym, inner: &Sym, extent: &Expr) -> bool {
    match (address.split_linear(outer), address.split_linear(inner)) {
        (Some((a, _)), Some((b, _))) => a == &b * extent,
        _ => false,
    }
}

pub fn merged_extent(merged: &Merged) -> Expr {
    Expr::product(merged.iter().map(|(_, extent)| extent))
}

/// Gives each of the joined iterators its digit of `value`.
fn bind(point: &mut Point, merged: &Merged, value: &Expr) {
    let mut rest = value.clone();
    for (at, (sym, extent)) in merged.iter().enumerate().rev() {
        if at == 0 {
            point.bind(sym, rest.clone());
        } else {
            point.bind(sym, rest.modulo(extent));
            rest = rest.floor_div(extent);
        }
    }
}

/// All addresses of a nest except `b`'s, over its iterators.
pub fn row_addresses(cx: &StageCx, matched: &Matched) -> Vec<Expr> {
    let nest = cx.nest();
    let reads = nest.reads().filter(|(id, _)| *id != matched.parts.b).map(|(id, _)| cx.address(Access::Read(id)));
    reads.chain((0..nest.writes.len()).map(|w| cx.address(Access::Write(w)))).collect()
}

/// The rows of `m` in the order of their strides in `a`, joined; the reduction likewise in `a` and `b`.
pub fn loops(cx: &StageCx, matched: &Matched) -> (Vec<Merged>, Vec<Merged>) {
    let nest = cx.nest();
    let (a, b) = (cx.address(Access::Read(matched.parts.a)), cx.address(Access::Read(matched.parts.b)));
    let stride = |s: &Sym| a.split_linear(s).and_then(|(c, _)| c.eval(&|_| Some(64))).unwrap_or(0);
    let sorted = |syms: &[Sym]| {
        let mut syms = syms.to_vec();
        syms.sort_by_key(|s| std::cmp::Reverse(stride(s)));
        syms
    };
    let m = merge(nest, &row_addresses(cx, matched), &sorted(&matched.parts.m));
    let walked = [a.clone(), in_panel(nest, &b, &matched.n, matched.panel)];
    let k = merge(nest, &walked, &sorted(&matched.parts.k));
    (m, k)
}

/// What the emission of one kernel needs throughout.
struct Emit<'a> {
    cx: &'a StageCx<'a>,
    matched: &'a Matched,
    schedule: &'a ContractSchedule,
    k: Vec<Merged>,
    /// The last two joined `m` iterators; missing ones have extent 1.
    rows: [Option<Merged>; 2],
    width: Expr,
    /// The copy of the task's rows of `a`.
    staged: Option<Staged>,
}

/// Rows of `a` in scratch: row `r` of the task starts at `(r - start) * stride`.
#[derive(Clone, Debug)]
struct Staged {
    buffer: BufferId,
    stride: i64,
    depth: i64,
}

/// Writes the kernel of a one-stage group. Gives the number of tasks.
pub fn emit(b: &mut KernelBuilder, cx: &StageCx, matched: &Matched, schedule: &ContractSchedule) -> Expr {
    let nest = cx.nest();
    let (mut m, k) = loops(cx, matched);
    let last = m.pop();
    let second = m.pop();
    let width = nest.iter(&matched.n).map_or(Expr::one(), |iter| iter.extent.clone());
    let staged = schedule.stage_rows.then(|| staged(b, schedule, &k)).flatten();
    let emit = Emit { cx, matched, schedule, k, rows: [second, last], width, staged };
    let single = |s: &Sym| vec![(s.clone(), nest.iter(s).map_or(Expr::one(), |iter| iter.extent.clone()))];
    let others = matched.parts.n.iter().filter(|s| **s != matched.n);
    let outer: Vec<Merged> = matched.parts.batch.iter().chain(others).map(single).chain(m).collect();
    emit.task(b, &outer)
}

/// Register tiles of a contraction that is a stage of a larger kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tiles {
    /// Elements of `n` in a panel: whole vectors.
    pub panel: i64,
    pub lanes: u32,
    /// Rows of a tile.
    pub rows: i64,
}

impl fmt::Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "tiles panel {} x {} rows {}", self.panel, self.lanes, self.rows)
    }
}

impl Tiles {
    /// Reads what `Display` prints.
    pub fn parse(parser: &mut Parser) -> Result<Tiles, ParseError> {
        parser.expect("tiles")?;
        parser.expect("panel")?;
        let panel = parser.integer()?;
        parser.expect("x")?;
        let lanes = parser.integer()?;
        parser.expect("rows")?;
        let rows = parser.integer()?;
        match u32::try_from(lanes) {
            Ok(lanes) if lanes > 0 && panel > 0 && panel % lanes as i64 == 0 && rows > 0 => Ok(Tiles { panel, lanes, rows }),
            _ => parser.error("tiles: a panel holds whole vectors"),
        }
    }

    /// Whether the panels are those of a packed operand, or divide the rows of one that is read in place.
    pub fn fits(&self, nest: &Nest, matched: &Matched) -> bool {
        let width = nest.iter(&matched.n).and_then(|iter| iter.extent.as_const());
        let panels = matched.panel == Some(self.panel)
            || (matched.panel.is_none() || matched.panel == width) && width.is_some_and(|width| width % self.panel == 0);
        panels && self.panel % self.lanes as i64 == 0 && self.rows > 0
    }

    fn schedule(&self) -> ContractSchedule {
        let Tiles { panel, lanes, rows } = *self;
        ContractSchedule { panel, lanes, tile: [1, rows], block_m: rows, block_n: 1, rows_inner: true, stage_rows: false }
    }
}

/// Writes a contraction over all its rows and panels, as a stage of a larger kernel; `point` binds the iterators of its batch.
pub fn emit_stage(b: &mut KernelBuilder, cx: &StageCx, point: &Point, matched: &Matched, tiles: &Tiles) {
    let (mut m, k) = loops(cx, matched);
    let width = cx.nest().iter(&matched.n).map_or(Expr::one(), |iter| iter.extent.clone());
    let emit = Emit { cx, matched, schedule: &tiles.schedule(), k, rows: [None, m.pop()], width, staged: None };
    let (rows, panels) = (emit.extent(1), emit.panels());
    b.each("p", &Expr::zero(), &panels, 1, |b, panel| {
        let mut point = point.clone();
        emit.declare(&mut point, panel, &panels);
        emit.block(b, &point, panel, 1, (&Expr::zero(), &rows));
    });
}

fn staged(b: &mut KernelBuilder, schedule: &ContractSchedule, k: &[Merged]) -> Option<Staged> {
    let [only] = k else { return None };
    let depth = merged_extent(only).as_const()?;
    let stride = depth + schedule.lanes as i64;
    let buffer = b.buffer("rows", DType::F32, Expr::from(stride * schedule.block_m), Space::Scratch);
    Some(Staged { buffer, stride, depth })
}

/// The distance in `a` of neighbouring rows, and of neighbouring elements of the reduction, where rows and reduction are one loop each.
pub fn row_strides(cx: &StageCx, matched: &Matched, m: &[Merged], k: &[Merged]) -> Option<(i64, i64)> {
    let ([m], [k]) = (m, k) else { return None };
    let a = cx.address(Access::Read(matched.parts.a));
    let stride = |merged: &Merged| a.split_linear(&merged.last()?.0)?.0.as_const();
    Some((stride(m)?, stride(k)?))
}

impl Emit<'_> {
    fn extent(&self, level: usize) -> Expr {
        self.rows[level].as_ref().map_or(Expr::one(), merged_extent)
    }

    fn panels(&self) -> Expr {
        self.width.ceil_div(&Expr::from(self.schedule.panel))
    }

    /// The level of rows that is cut into blocks for tasks: the inner one unless it is a short row of an outer one.
    fn block_level(&self) -> usize {
        if self.rows[0].is_some() { 0 } else { 1 }
    }

    fn task(&self, b: &mut KernelBuilder, outer: &[Merged]) -> Expr {
        let level = self.block_level();
        let extent = self.extent(level);
        let (block_m, block_n) = (Expr::from(self.schedule.block_m), Expr::from(self.schedule.block_n));
        let (count_m, count_n) = (extent.ceil_div(&block_m), self.panels().ceil_div(&block_n));
        let mut point = Point::new();
        for iter in &self.cx.nest().iters {
            point.ranges.iterator(&iter.sym, &iter.extent);
        }
        // task = (outer.., blocks), the last one fastest
        let mut rest = Expr::sym(&Sym::new(TASK));
        let (first, second) = if self.schedule.rows_inner { (&count_m, &count_n) } else { (&count_n, &count_m) };
        let inner = b.name("t", &rest.modulo(first));
        rest = b.name("t", &rest.floor_div(first));
        let middle = b.name("t", &rest.modulo(second));
        rest = b.name("t", &rest.floor_div(second));
        let (at_m, at_n) = if self.schedule.rows_inner { (inner, middle) } else { (middle, inner) };
        for merged in outer.iter().rev() {
            let extent = merged_extent(merged);
            let value = b.name("t", &rest.modulo(&extent));
            rest = b.name("t", &rest.floor_div(&extent));
            self.declare(&mut point, &value, &extent);
            bind(&mut point, merged, &value);
        }
        self.declare(&mut point, &at_m, &count_m);
        self.declare(&mut point, &at_n, &count_n);
        let start = b.name("m", &(&at_m * &block_m));
        let end = match (&start + &block_m - extent.clone()).as_const() {
            Some(d) if d <= 0 => &start + &block_m,
            _ if extent.as_const().is_some_and(|e| e % self.schedule.block_m == 0) => &start + &block_m,
            _ => b.name("m", &(&start + &block_m).minimum(&extent)),
        };
        let first = &at_n * &block_n;
        let panels = self.panels();
        let last = match panels.as_const() {
            Some(p) if p % self.schedule.block_n == 0 => &first + &block_n,
            _ => b.name("p", &(&first + &block_n).minimum(&panels)),
        };
        self.stage_rows(b, &point, &start, &end);
        b.each("p", &first, &last, 1, |b, panel| {
            let mut point = point.clone();
            self.declare(&mut point, panel, &panels);
            self.block(b, &point, panel, level, (&start, &end));
        });
        outer.iter().fold(&count_m * &count_n, |tasks, merged| &tasks * &merged_extent(merged))
    }

    /// Copies the task's rows of `a` into scratch, whole vectors at a time.
    fn stage_rows(&self, b: &mut KernelBuilder, point: &Point, start: &Expr, end: &Expr) {
        let Some(staged) = &self.staged else { return };
        let lanes = self.schedule.lanes;
        let from = self.read_buffer(self.matched.parts.a);
        b.each("r", start, end, 1, |b, row| {
            let mut point = point.clone();
            self.declare_row(&mut point, row, 1, 1);
            self.bind_rows(&mut point, [&Expr::zero(), row]);
            self.k.iter().flatten().for_each(|(sym, _)| point.bind(sym, Expr::zero()));
            let base = b.name("x", &point.at(&self.cx.address(Access::Read(self.matched.parts.a))));
            let to = b.name("x", &((row - start) * Expr::from(staged.stride)));
            b.each("k", &Expr::zero(), &Expr::from(staged.depth), lanes as i64, |b, k| {
                let vector = b.load(from, &(&base + k), lanes, None);
                b.store(staged.buffer, &(&to + k), vector, None);
            });
        });
    }

    fn declare(&self, point: &mut Point, value: &Expr, extent: &Expr) {
        if let Some(sym) = value.as_sym() {
            point.ranges.iterator(sym, extent);
        }
    }

    /// All tiles of a block of rows, for one panel.
    fn block(&self, b: &mut KernelBuilder, point: &Point, panel: &Expr, level: usize, (start, end): (&Expr, &Expr)) {
        let size = self.schedule.tile[level];
        self.pieces(b, (start, end), size, self.extent(level).as_const(), self.schedule.block_m, &mut |b, at, size| {
            if level == 1 {
                return self.tile(b, point, panel, [&Expr::zero(), at], [1, size], start);
            }
            let columns = self.extent(1);
            self.pieces(b, (&Expr::zero(), &columns), self.schedule.tile[1], columns.as_const(), i64::MAX, &mut |b, column, width| {
                self.tile(b, point, panel, [at, column], [size, width], start);
            });
        });
    }

    /// Covers `start..end` by pieces of `size`, then what is left: exactly, where the whole extent is known, else by fours and ones.
    fn pieces(
        &self,
        b: &mut KernelBuilder,
        (start, end): (&Expr, &Expr),
        size: i64,
        whole: Option<i64>,
        block: i64,
        body: &mut dyn FnMut(&mut KernelBuilder, &Expr, i64),
    ) {
        if let Some(whole) = whole {
            let rest = whole % size;
            if rest == 0 {
                return b.each("r", start, end, size, |b, at| body(b, at, size));
            }
            if let (Some(s), Some(e)) = (start.as_const(), end.as_const()) {
                let main = Expr::from(s + (e - s) / size * size);
                b.each("r", start, &main, size, |b, at| body(b, at, size));
                if (e - s) % size != 0 {
                    body(b, &main, (e - s) % size);
                }
                return;
            }
            debug_assert!(block % size == 0, "blocks hold whole tiles");
            let main = b.name("r", &(end - &Expr::from(size - 1)));
            b.each("r", start, &main, size, |b, at| body(b, at, size));
            let at = Expr::from(whole - rest);
            return b.when(vec![Cond::Equal(end.clone(), Expr::from(whole))], |b| body(b, &at, rest), |_| {});
        }
        let mut from = start.clone();
        for piece in [size, 4, 1].into_iter().filter(|p| *p <= size).collect::<std::collections::BTreeSet<_>>().into_iter().rev() {
            let unit = Expr::from(piece);
            let to = b.name("r", &(&from + &((end - &from).floor_div(&unit) * unit)));
            b.each("r", &from, &to, piece, |b, at| body(b, at, piece));
            from = to;
        }
    }

    fn bind_rows(&self, point: &mut Point, at: [&Expr; 2]) {
        for (merged, value) in self.rows.iter().zip(at) {
            if let Some(merged) = merged {
                bind(point, merged, value);
            }
        }
    }

    /// One register tile of `size[0] * size[1]` rows, in a task whose rows begin at `start`.
    fn tile(&self, b: &mut KernelBuilder, point: &Point, panel: &Expr, at: [&Expr; 2], size: [i64; 2], start: &Expr) {
        let at = [b.name("r", at[0]), b.name("r", at[1])];
        let mut point = point.clone();
        for (level, value) in at.iter().enumerate() {
            self.declare_row(&mut point, value, level, size[level]);
        }
        let places: Vec<[i64; 2]> = (0..size[0]).flat_map(|h| (0..size[1]).map(move |w| [h, w])).collect();
        let rows: Vec<Point> = places
            .iter()
            .map(|p| {
                let mut row = point.clone();
                self.bind_rows(&mut row, [&(&at[0] + p[0]), &(&at[1] + p[1])]);
                row
            })
            .collect();
        let (a, a_strides) = match &self.staged {
            Some(staged) => self.staged_rows(b, staged, &(&at[1] - start), size[1]),
            None => self.split(b, Access::Read(self.matched.parts.a), &rows, None),
        };
        let sums = self.reduce(b, &rows, panel, (a, a_strides));
        self.finish(b, &rows, panel, &sums);
    }

    /// Says that a tile that starts at `value` stays inside.
    fn declare_row(&self, point: &mut Point, value: &Expr, level: usize, size: i64) {
        if let Some(sym) = value.as_sym() {
            let high = self.extent(level) - size;
            point.ranges.bound(sym, Expr::zero(), high);
        }
    }

    fn vectors(&self) -> i64 {
        self.schedule.panel / self.schedule.lanes as i64
    }

    /// The sums of a tile: `acc[row * vectors + vector]`.
    fn reduce(&self, b: &mut KernelBuilder, rows: &[Point], panel: &Expr, (a, a_strides): (Vec<Expr>, Vec<Expr>)) -> Vec<ValueId> {
        let ty = Ty::vector(DType::F32, self.schedule.lanes);
        let zero = b.float(0.0, ty);
        let init = vec![zero; rows.len() * self.vectors() as usize];
        let (bs, b_strides) = self.split(b, Access::Read(self.matched.parts.b), &rows[..1], Some(panel));
        let a_buffer = self.staged.as_ref().map_or_else(|| self.read_buffer(self.matched.parts.a), |staged| staged.buffer);
        let buffers = (a_buffer, self.read_buffer(self.matched.parts.b));
        self.steps(b, 0, init, (a, bs[0].clone()), (&a_strides, &b_strides), buffers)
    }

    fn staged_rows(&self, b: &mut KernelBuilder, staged: &Staged, first: &Expr, count: i64) -> (Vec<Expr>, Vec<Expr>) {
        let base = b.name("x", &(first * &Expr::from(staged.stride)));
        ((0..count).map(|row| &base + row * staged.stride).collect(), vec![Expr::one()])
    }

    fn read_buffer(&self, id: nest::ScalarId) -> BufferId {
        match &self.cx.nest().scalar(id).op {
            ScalarOp::Read(read) => self.cx.operand_buffer(read.operand),
            other => panic!("{id:?} is no read: {other:?}"),
        }
    }

    /// An operand's address in each row with the reduction at 0, and its stride along each joined reduction loop.
    fn split(&self, b: &mut KernelBuilder, access: Access, rows: &[Point], panel: Option<&Expr>) -> (Vec<Expr>, Vec<Expr>) {
        let address = self.cx.address(access);
        let syms: BTreeMap<Sym, Expr> = self.k.iter().flatten().map(|(s, _)| (s.clone(), Expr::zero())).collect();
        let start = address.substitute(&|s| syms.get(s).cloned());
        let place = |point: &Point, e: &Expr| {
            let mut point = point.clone();
            if let Some(panel) = panel {
                point.bind(&self.matched.n, panel * &Expr::from(self.schedule.panel));
            }
            point.at(e)
        };
        let first = place(&rows[0], &start);
        let base = b.name("x", &first);
        let starts = rows.iter().map(|row| {
            let offset = &place(row, &start) - &first;
            if offset.as_const().is_some() { &base + &offset } else { b.name("x", &(&base + &offset)) }
        });
        let starts: Vec<Expr> = starts.collect();
        let in_panel = in_panel(self.cx.nest(), &address, &self.matched.n, self.matched.panel);
        let stride = |merged: &Merged| merged.last().and_then(|(s, _)| in_panel.split_linear(s)).map_or(Expr::zero(), |(c, _)| c);
        (starts, self.k.iter().map(stride).collect())
    }

    /// The reduction loops from joined level `level` inwards.
    fn steps(
        &self,
        b: &mut KernelBuilder,
        level: usize,
        sums: Vec<ValueId>,
        (a, bs): (Vec<Expr>, Expr),
        strides: (&[Expr], &[Expr]),
        buffers: (BufferId, BufferId),
    ) -> Vec<ValueId> {
        let Some(merged) = self.k.get(level) else { return self.multiply_add(b, sums, &a, &bs, buffers) };
        let extent = merged_extent(merged);
        b.for_loop("k", (&Expr::zero(), &extent, 1), &sums, |b, k, inside| {
            let a = a.iter().map(|row| row + &(k * &strides.0[level])).collect();
            let bs = &bs + &(k * &strides.1[level]);
            self.steps(b, level + 1, inside.to_vec(), (a, bs), strides, buffers)
        })
    }

    fn multiply_add(
        &self,
        b: &mut KernelBuilder,
        sums: Vec<ValueId>,
        a: &[Expr],
        bs: &Expr,
        buffers: (BufferId, BufferId),
    ) -> Vec<ValueId> {
        let lanes = self.schedule.lanes;
        let columns: Vec<ValueId> = (0..self.vectors()).map(|j| b.load(buffers.1, &(bs + j * lanes as i64), lanes, None)).collect();
        let mut next = Vec::with_capacity(sums.len());
        for (row, at) in a.iter().enumerate() {
            let element = b.load(buffers.0, at, 1, None);
            let element = b.splat(element, lanes);
            for (j, column) in columns.iter().enumerate() {
                next.push(b.mul_add(element, *column, sums[row * columns.len() + j]));
            }
        }
        next
    }

    /// The nest's writes for each row and vector of the tile.
    fn finish(&self, b: &mut KernelBuilder, rows: &[Point], panel: &Expr, sums: &[ValueId]) {
        let lanes = self.schedule.lanes;
        let vectors = self.vectors() as usize;
        let whole = self.width.as_const().is_some_and(|w| w % self.schedule.panel == 0);
        for (at, row) in rows.iter().enumerate() {
            for j in 0..vectors {
                let start = panel * &Expr::from(self.schedule.panel) + (j as i64 * lanes as i64);
                let mask = (!whole).then(|| b.below(&(&self.width - &start), lanes));
                let mut point = row.clone();
                point.vectorise(&self.matched.n, start, lanes, mask);
                let mut memo = Memo::from([(self.matched.parts.sum, sums[at * vectors + j])]);
                for write in 0..self.cx.nest().writes.len() {
                    scalars::write(b, self.cx, &point, write, &mut memo);
                }
            }
        }
    }
}
