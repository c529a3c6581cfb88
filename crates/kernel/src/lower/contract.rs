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
//! It serves every contraction accumulated in f32 or i32 whose `a` is affine without padding and whose `b` has stride 1 along `n`: products
//! of matrices and convolutions differ only in the strides of `a`. Factors of narrower types are converted as they are loaded; or, where
//! `b` is packed in groups of the reduction (`program::pack`), multiplied as they are by [`crate::kernel::Op::Dot`]. What the template does
//! not serve, `rows` does.

use crate::build::KernelBuilder;
use crate::kernel::{Binary, BufferId, Compare, Cond, Space, TASK, Ty, ValueId};
use crate::lower::contract_match::{Matched, Merged, bind, extent_of, factor_address, in_panel, loops, merged_extent};
use crate::lower::contract_schedule::{ContractSchedule, Tiles, writes_are_long};
use crate::lower::point::{Memo, Point, StageCx};
use crate::lower::scalars;
use ir::{DType, Literal};
use nest::{ScalarId, ScalarOp};
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};

/// What the emission of one kernel needs throughout.
struct Emit<'a> {
    cx: &'a StageCx<'a>,
    matched: &'a Matched,
    schedule: &'a ContractSchedule,
    k: Vec<Merged>,
    /// Elements of the innermost reduction beyond its whole groups.
    rest: Expr,
    /// The last two joined `m` iterators; missing ones have extent 1.
    rows: [Option<Merged>; 2],
    width: Expr,
    /// Scratch for the sums of a tile, where the writes are loops over its rows.
    sums: Option<BufferId>,
}

/// Writes the kernel of a one-stage group. Gives the number of tasks.
pub fn emit(b: &mut KernelBuilder, cx: &StageCx, matched: &Matched, schedule: &ContractSchedule) -> Expr {
    let nest = cx.nest();
    let (mut m, k) = loops(cx, matched);
    let last = m.pop();
    let second = m.pop();
    let width = extent_of(nest, &matched.n);
    let rest = matched.rest(nest);
    let sums = sums_buffer(b, cx, matched, schedule);
    let emit = Emit { cx, matched, schedule, k, rest, rows: [second, last], width, sums };
    let single = |s: &Sym| vec![(s.clone(), extent_of(nest, s))];
    let others = matched.parts.n.iter().filter(|s| **s != matched.n);
    let outer: Vec<Merged> = matched.parts.batch.iter().chain(others).map(single).chain(m).collect();
    emit.task(b, &outer)
}

/// Writes a contraction over all its rows and panels, as a stage of a larger kernel; `point` binds the group's iterators.
pub fn emit_stage(b: &mut KernelBuilder, cx: &StageCx, point: &Point, matched: &Matched, tiles: &Tiles) {
    let (mut m, k) = loops(cx, matched);
    let (width, rest) = (extent_of(cx.nest(), &matched.n), matched.rest(cx.nest()));
    let (last, second) = (m.pop(), m.pop());
    let schedule = tiles.schedule();
    let sums = sums_buffer(b, cx, matched, &schedule);
    let emit = Emit { cx, matched, schedule: &schedule, k, rest, rows: [second, last], width, sums };
    emit.batch(b, point, &matched.parts.batch);
}

/// Where the writes of a tile would be long code: scratch for its sums, from which a loop over the rows takes them.
fn sums_buffer(b: &mut KernelBuilder, cx: &StageCx, matched: &Matched, schedule: &ContractSchedule) -> Option<BufferId> {
    let elements = schedule.tile[0] * schedule.tile[1] * schedule.panel;
    let dtype = cx.nest().scalar(matched.parts.sum).dtype;
    writes_are_long(cx.nest(), &matched.parts).then(|| b.buffer("sums", dtype, Expr::from(elements), Space::Scratch))
}

impl Emit<'_> {
    /// All rows and panels of each point of the batch's iterators.
    fn batch(&self, b: &mut KernelBuilder, point: &Point, batch: &[Sym]) {
        let Some((sym, inner)) = batch.split_first() else { return self.whole(b, point) };
        let extent = extent_of(self.cx.nest(), sym);
        b.each("x", &Expr::zero(), &extent, 1, |b, at| {
            let mut point = point.clone();
            self.declare(&mut point, at, &extent);
            point.bind(sym, at.clone());
            self.batch(b, &point, inner);
        });
    }

    fn whole(&self, b: &mut KernelBuilder, point: &Point) {
        let (level, panels) = (self.block_level(), self.panels());
        let rows = self.extent(level);
        b.each("p", &Expr::zero(), &panels, 1, |b, panel| {
            let mut point = point.clone();
            self.declare(&mut point, panel, &panels);
            self.block(b, &point, panel, level, (&Expr::zero(), &rows));
        });
    }

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
        let mut point = Point::new(self.cx.nest());
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
        b.each("p", &first, &last, 1, |b, panel| {
            let mut point = point.clone();
            self.declare(&mut point, panel, &panels);
            self.block(b, &point, panel, level, (&start, &end));
        });
        outer.iter().fold(&count_m * &count_n, |tasks, merged| &tasks * &merged_extent(merged))
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
                return self.tile(b, point, panel, [&Expr::zero(), at], [1, size]);
            }
            let columns = self.extent(1);
            self.pieces(b, (&Expr::zero(), &columns), self.schedule.tile[1], columns.as_const(), i64::MAX, &mut |b, column, width| {
                self.tile(b, point, panel, [at, column], [size, width]);
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

    /// One register tile of `size[0] * size[1]` rows.
    fn tile(&self, b: &mut KernelBuilder, point: &Point, panel: &Expr, at: [&Expr; 2], size: [i64; 2]) {
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
        let sums = self.reduce(b, &rows, panel);
        match self.sums.filter(|_| rows.len() > 1) {
            Some(buffer) => self.finish_by_rows(b, &point, panel, (&at, size), (&sums, buffer)),
            None => rows.iter().zip(sums.chunks(self.vectors() as usize)).for_each(|(row, sums)| self.finish(b, row, panel, sums)),
        }
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
    fn reduce(&self, b: &mut KernelBuilder, rows: &[Point], panel: &Expr) -> Vec<ValueId> {
        let ty = Ty::vector(self.accumulator(), self.schedule.lanes);
        let zero = b.literal(Literal::zero(ty.dtype), ty);
        let init = vec![zero; rows.len() * self.vectors() as usize];
        let (a, a_strides) = self.split(b, self.matched.parts.a, rows, None);
        let (bs, b_strides) = self.split(b, self.matched.parts.b, &rows[..1], Some(panel));
        let buffers = (self.read_buffer(self.matched.parts.a), self.read_buffer(self.matched.parts.b));
        self.steps(b, 0, init, (a, bs[0].clone()), (&a_strides, &b_strides), buffers)
    }

    fn dtype(&self, id: ScalarId) -> DType {
        self.cx.nest().scalar(id).dtype
    }

    fn accumulator(&self) -> DType {
        self.dtype(self.matched.parts.sum)
    }

    fn read_buffer(&self, id: ScalarId) -> BufferId {
        match &self.cx.nest().scalar(id).op {
            ScalarOp::Read(read) => self.cx.operand_buffer(read.operand),
            other => panic!("{id:?} is no read: {other:?}"),
        }
    }

    /// An operand's address in each row with the reduction at 0, and its stride along each joined reduction loop.
    fn split(&self, b: &mut KernelBuilder, factor: ScalarId, rows: &[Point], panel: Option<&Expr>) -> (Vec<Expr>, Vec<Expr>) {
        let address = factor_address(self.cx, self.matched, factor);
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
        let Some(merged) = self.k.get(level) else { return self.multiply_add(b, sums, &a, &bs, buffers, None) };
        let extent = merged_extent(merged);
        let at = |k: &Expr| -> (Vec<Expr>, Expr) {
            (a.iter().map(|row| row + &(k * &strides.0[level])).collect(), &bs + &(k * &strides.1[level]))
        };
        let mut sums = sums;
        if !extent.is_zero() {
            sums = b.for_loop("k", (&Expr::zero(), &extent, 1), &sums, |b, k, inside| {
                self.steps(b, level + 1, inside.to_vec(), at(k), strides, buffers)
            });
        }
        if level + 1 < self.k.len() || self.rest.is_zero() {
            return sums;
        }
        // at most one turn
        let turns = self.rest.minimum(&Expr::one());
        b.for_loop("k", (&extent, &(&extent + &turns), 1), &sums, |b, k, inside| {
            let (a, bs) = at(k);
            self.multiply_add(b, inside.to_vec(), &a, &bs, buffers, Some(&self.rest))
        })
    }

    /// One step of the reduction; of a last group, only its first `rest` elements.
    fn multiply_add(
        &self,
        b: &mut KernelBuilder,
        sums: Vec<ValueId>,
        a: &[Expr],
        bs: &Expr,
        buffers: (BufferId, BufferId),
        rest: Option<&Expr>,
    ) -> Vec<ValueId> {
        let width = self.schedule.lanes as i64 * self.matched.group();
        let columns: Vec<ValueId> = (0..self.vectors()).map(|j| self.column(b, buffers.1, &(bs + j * width), rest)).collect();
        let mut next = Vec::with_capacity(sums.len());
        for (row, at) in a.iter().enumerate() {
            let element = self.element(b, buffers.0, at, rest);
            for (j, column) in columns.iter().enumerate() {
                next.push(self.add_product(b, element, *column, sums[row * columns.len() + j]));
            }
        }
        next
    }

    fn add_product(&self, b: &mut KernelBuilder, x: ValueId, y: ValueId, sum: ValueId) -> ValueId {
        match (&self.matched.dot, self.accumulator()) {
            (Some(_), _) => b.dot(x, y, sum),
            (None, DType::F32) => b.mul_add(x, y, sum),
            (None, _) => {
                let product = b.binary(Binary::Mul, x, y);
                b.binary(Binary::Add, sum, product)
            }
        }
    }

    /// A vector of `b`. What its groups hold beyond the reduction's end counts as zero: a panel has any bits there.
    fn column(&self, b: &mut KernelBuilder, buffer: BufferId, at: &Expr, rest: Option<&Expr>) -> ValueId {
        let lanes = self.schedule.lanes * self.matched.group() as u32;
        let column = b.load(buffer, at, lanes, None);
        let Some(rest) = rest else {
            return if self.matched.dot.is_some() { column } else { b.convert(column, self.accumulator()) };
        };
        let ty = Ty::vector(DType::I8, lanes);
        let (place, mask) = (b.lanes(ty), b.int(self.matched.group() - 1, ty));
        let place = b.binary(Binary::And, place, mask);
        let rest = b.index(rest, DType::I64);
        let rest = b.convert(rest, DType::I8);
        let rest = b.splat(rest, lanes);
        let inside = b.compare(Compare::Less, place, rest);
        let ty = b.ty(column);
        let zero = b.literal(Literal::zero(ty.dtype), ty);
        b.select(inside, column, zero)
    }

    /// An element of `a`, or a group of them, in all lanes.
    fn element(&self, b: &mut KernelBuilder, buffer: BufferId, at: &Expr, rest: Option<&Expr>) -> ValueId {
        let lanes = self.schedule.lanes;
        let Some(dot) = &self.matched.dot else {
            let element = b.load(buffer, at, 1, None);
            let element = b.convert(element, self.accumulator());
            return b.splat(element, lanes);
        };
        let mask = rest.map(|rest| b.below(rest, dot.group as u32));
        let group = b.load(buffer, at, dot.group as u32, mask);
        let group = b.bits(group, DType::I32);
        let mut group = b.splat(group, lanes);
        let mut dtype = self.dtype(self.matched.parts.a);
        if dot.turned {
            let top = b.int(i64::from(0x8080_8080_u32 as i32), b.ty(group));
            group = b.binary(Binary::Xor, group, top);
            dtype = if dtype == DType::I8 { DType::U8 } else { DType::I8 };
        }
        b.bits(group, dtype)
    }

    /// The writes of a tile by a loop over its rows: the sums go by way of scratch.
    fn finish_by_rows(
        &self,
        b: &mut KernelBuilder,
        point: &Point,
        panel: &Expr,
        (at, size): (&[Expr; 2], [i64; 2]),
        (sums, buffer): (&[ValueId], BufferId),
    ) {
        let lanes = self.schedule.lanes as i64;
        for (number, sum) in sums.iter().enumerate() {
            b.store(buffer, &Expr::from(number as i64 * lanes), *sum, None);
        }
        let [outer, inner] = size.map(Expr::from);
        b.each("h", &Expr::zero(), &outer, 1, |b, h| {
            b.each("w", &Expr::zero(), &inner, 1, |b, w| {
                let mut row = point.clone();
                self.declare(&mut row, h, &outer);
                self.declare(&mut row, w, &inner);
                self.bind_rows(&mut row, [&(&at[0] + h), &(&at[1] + w)]);
                let first = (&(h * &inner) + w) * Expr::from(self.schedule.panel);
                let sums: Vec<ValueId> =
                    (0..self.vectors()).map(|j| b.load(buffer, &(&first + j * lanes), self.schedule.lanes, None)).collect();
                self.finish(b, &row, panel, &sums);
            });
        });
    }

    /// The nest's writes for each vector of a row.
    fn finish(&self, b: &mut KernelBuilder, row: &Point, panel: &Expr, sums: &[ValueId]) {
        let lanes = self.schedule.lanes;
        let whole = self.width.as_const().is_some_and(|w| w % self.schedule.panel == 0);
        for (j, sum) in sums.iter().enumerate() {
            let start = panel * &Expr::from(self.schedule.panel) + (j as i64 * lanes as i64);
            let mask = (!whole).then(|| b.below(&(&self.width - &start), lanes));
            let mut point = row.clone();
            point.vectorise(&self.matched.n, start, lanes, mask);
            let mut memo = Memo::from([(self.matched.parts.sum, *sum)]);
            for write in 0..self.cx.nest().writes.len() {
                scalars::check_finite(b, self.cx, &point, write, &mut memo, &mut BTreeSet::new());
                scalars::write(b, self.cx, &point, write, &mut memo);
            }
        }
    }
}
