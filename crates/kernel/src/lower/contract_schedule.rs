//! The choices of the contraction template, and their default.

use crate::lower::contract_match::{Matched, Merged, loops, merged_extent, row_strides};
use crate::lower::point::StageCx;
use crate::lower::rows_cost::func_cycles;
use crate::lower::rows_schedule::{LARGEST, MOST_LANES};
use ir::DType;
use nest::{Contraction, Nest, ScalarOp};
use program::pack::tile_rows;
use std::fmt;
use sym::{Expr, ParseError, Parser};
use target::Target;

/// Vectors of sums in a tile, at most.
const MOST_SUMS: i64 = 256;

/// Lanes of i32 or f32 that instructions add dots to.
const DOT_LANES: [u32; 3] = [4, 8, 16];

/// Tiles and blocks of one contraction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractSchedule {
    /// Elements of `n` in a panel: `vectors * lanes`.
    pub panel: i64,
    pub lanes: u32,
    /// Rows of a register tile, along the last but one and the last of the joined `m` iterators.
    pub tile: [i64; 2],
    /// Rows of a task: along the last but one joined `m` iterator where there is one, else along the last. A multiple of the tile.
    pub block_m: i64,
    /// Panels of a task.
    pub block_n: i64,
    /// Whether consecutive tasks walk the blocks of rows (and so reuse the panels), not those of panels.
    pub rows_inner: bool,
}

impl fmt::Display for ContractSchedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let inner = if self.rows_inner { "m" } else { "n" };
        let [h, w] = self.tile;
        write!(f, "contract panel {} x {} tile {h} x {w} block {} x {} inner {inner}", self.panel, self.lanes, self.block_m, self.block_n)
    }
}

impl ContractSchedule {
    /// Reads what `Display` prints.
    pub fn parse(parser: &mut Parser) -> Result<ContractSchedule, ParseError> {
        parser.expect("contract")?;
        let pair = |parser: &mut Parser, word: &str| {
            parser.expect(word)?;
            let first = parser.integer()?;
            parser.expect("x")?;
            Ok((first, parser.integer()?))
        };
        let (panel, lanes) = pair(parser, "panel")?;
        let (h, w) = pair(parser, "tile")?;
        let (block_m, block_n) = pair(parser, "block")?;
        parser.expect("inner")?;
        let rows_inner = parser.accept("m");
        if !rows_inner {
            parser.expect("n")?;
        }
        let lanes = u32::try_from(lanes).unwrap_or(0);
        let schedule = ContractSchedule { panel, lanes, tile: [h, w], block_m, block_n, rows_inner };
        if schedule.is_legal() {
            Ok(schedule)
        } else {
            parser.error("a contraction's schedule: panels hold whole vectors, blocks whole tiles")
        }
    }

    /// What forbids the schedule for a contraction; empty where it is legal.
    pub fn faults(&self, cx: &StageCx, matched: &Matched) -> Vec<String> {
        let (m, _) = loops(cx, matched);
        let width = cx.nest().iter(&matched.n).and_then(|iter| iter.extent.as_const());
        let fits = matched.panel.map_or_else(|| width.is_some_and(|width| width % self.panel == 0), |panel| panel == self.panel);
        let level = usize::from(m.len() < 2);
        let mut faults = Vec::new();
        if !self.is_legal() || !fits {
            faults.push("panels hold whole vectors, and are those of the operand".to_string());
        }
        if matched.dot.is_some() && !DOT_LANES.contains(&self.lanes) {
            faults.push("no instruction adds dots to so many lanes".to_string());
        }
        if self.block_m % self.tile[level] != 0 || level == 1 && self.tile[0] != 1 {
            faults.push("blocks hold whole tiles".to_string());
        }
        faults
    }

    pub fn is_legal(&self) -> bool {
        let numbers = [self.panel, self.lanes as i64, self.tile[0], self.tile[1], self.block_m, self.block_n];
        let positive = numbers.iter().all(|number| (1..=LARGEST).contains(number));
        // the sums of a tile stand in the code one by one
        positive
            && self.lanes <= MOST_LANES
            && self.lanes.is_power_of_two()
            && self.tile[0].saturating_mul(self.tile[1]).saturating_mul(self.panel / self.lanes as i64) <= MOST_SUMS
            && self.panel % self.lanes as i64 == 0
            && (self.block_m % self.tile[0] == 0 || self.block_m % self.tile[1] == 0)
    }
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
            Ok(lanes) if lanes > 0 && Tiles { panel, lanes, rows }.schedule().is_legal() => Ok(Tiles { panel, lanes, rows }),
            _ => parser.error("tiles: a panel holds whole vectors"),
        }
    }

    /// Whether the panels are those of a packed operand, or divide the rows of one that is read in place.
    pub fn fits(&self, nest: &Nest, matched: &Matched) -> bool {
        let width = nest.iter(&matched.n).and_then(|iter| iter.extent.as_const());
        let panels = matched.panel == Some(self.panel)
            || (matched.panel.is_none() || matched.panel == width) && width.is_some_and(|width| width % self.panel == 0);
        panels && self.schedule().is_legal() && (matched.dot.is_none() || DOT_LANES.contains(&self.lanes))
    }

    /// The schedule of the stage alone.
    pub fn schedule(&self) -> ContractSchedule {
        let Tiles { panel, lanes, rows } = *self;
        ContractSchedule { panel, lanes, tile: [1, rows], block_m: rows, block_n: 1, rows_inner: true }
    }
}

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 128;

pub fn rough(extent: &Expr) -> i64 {
    extent.eval(&|_| Some(ROUGH)).unwrap_or(ROUGH).max(1)
}

/// The default choices; None where the vectorised operand does not hold whole vectors, or is packed for dots that the target lacks.
pub fn choose(cx: &StageCx, matched: &Matched, target: &Target) -> Option<ContractSchedule> {
    let nest = cx.nest();
    let lanes = target.lanes(DType::F32);
    if !has_dots(nest, matched, target) {
        return None;
    }
    let width = nest.iter(&matched.n).map_or(Expr::one(), |iter| iter.extent.clone());
    let panel = matched.panel.or_else(|| panel_in_place(width.as_const()?, lanes as i64)).filter(|panel| panel % lanes as i64 == 0)?;
    let (m, k) = loops(cx, matched);
    let bytes = [matched.parts.a, matched.parts.b].map(|id| nest.scalar(id).dtype.size() as i64);
    let rows = most_rows(nest, &matched.parts, target, panel / lanes as i64);
    let rows = if conflict(row_strides(cx, matched, &m, &k), bytes[0], target) { rows.min(target.l1_ways as i64) } else { rows };
    let tile = tile(&m, rows);
    let outer = matched.parts.batch.iter().chain(matched.parts.n.iter().filter(|s| **s != matched.n));
    let outer: i64 = outer.filter_map(|s| nest.iter(s)).map(|iter| rough(&iter.extent)).product();
    let shape = Shape {
        tile,
        panel,
        m: [m.len().checked_sub(2), m.len().checked_sub(1)].map(|at| at.map_or(1, |at| rough(&merged_extent(&m[at])))),
        two_levels: m.len() >= 2,
        known: m.iter().all(|merged| merged_extent(merged).as_const().is_some()),
        outer: outer * m.iter().rev().skip(2).map(|merged| rough(&merged_extent(merged))).product::<i64>(),
        panels: (rough(&width) + panel - 1) / panel,
        depth: k.iter().map(|merged| rough(&merged_extent(merged))).product::<i64>() * matched.group(),
        group: matched.group(),
        bytes,
        a_bytes: footprint(nest, &matched.parts),
    };
    let (block_m, block_n, rows_inner) = shape.blocks(target);
    Some(ContractSchedule { panel, lanes, tile, block_m, block_n, rows_inner })
}

/// Whether the target has the dots that the operands are packed for.
pub fn has_dots(nest: &Nest, matched: &Matched, target: &Target) -> bool {
    let [a, b] = [matched.parts.a, matched.parts.b].map(|id| nest.scalar(id).dtype);
    matched.group() == 1 || matched.group() == target.dot_group(a, b)
}

/// The default tiles of a contraction that is a stage of a larger kernel; None where [`choose`] gives none.
pub fn tiles(nest: &Nest, matched: &Matched, target: &Target) -> Option<Tiles> {
    if !has_dots(nest, matched, target) {
        return None;
    }
    let lanes = target.lanes(DType::F32);
    let width = nest.iter(&matched.n)?.extent.as_const();
    let in_place = || panel_in_place(width?, lanes as i64);
    let packed = matched.panel.filter(|panel| width != Some(*panel));
    let panel = packed.or_else(in_place).or(matched.panel).filter(|panel| panel % lanes as i64 == 0)?;
    Some(Tiles { panel, lanes, rows: most_rows(nest, &matched.parts, target, panel / lanes as i64) })
}

/// Rows of a register tile of so many vectors. Long writes have constants of their own, which want registers too.
fn most_rows(nest: &Nest, parts: &Contraction, target: &Target, vectors: i64) -> i64 {
    let rows = tile_rows(target, vectors as u32) as i64;
    if writes_are_long(nest, parts) { (rows * 3 / 4).max(1) } else { rows }
}

/// The most cycles, about, of the writes of a vector that stand in the code once for each vector of a tile.
const LONG_WRITES: f64 = 10.0;

/// Whether the writes of a tile are a loop over its rows.
pub fn writes_are_long(nest: &Nest, parts: &Contraction) -> bool {
    let work = |scalar: &nest::Scalar| match scalar.op {
        ScalarOp::Apply(func, _) => func_cycles(func, scalar.dtype),
        _ => 1.0,
    };
    nest.body[parts.sum.0 as usize + 1..].iter().map(work).sum::<f64>() > LONG_WRITES
}

/// Bytes of the operand `a` for one point of the batch.
fn footprint(nest: &Nest, parts: &Contraction) -> i64 {
    let Some(read) = nest.read(parts.a) else { return i64::MAX };
    let ty = &nest.operands[read.operand].ty;
    let batch = parts.batch.iter().filter_map(|s| nest.iter(s)).map(|iter| rough(&iter.extent)).fold(1i64, i64::saturating_mul);
    let elements = ty.dims.iter().map(rough).fold(1i64, i64::saturating_mul);
    (elements / batch.max(1)).saturating_mul(ty.dtype.size() as i64)
}

/// Whether rows of `a` start in the same set of the first cache.
fn conflict(strides: Option<(i64, i64)>, bytes: i64, target: &Target) -> bool {
    let sets = target.l1_bytes as i64 / target.l1_ways as i64;
    strides.is_some_and(|(row, _)| row * bytes % sets == 0)
}

/// Columns that divide `n`, for an operand read in place; None where its rows do not hold whole vectors.
fn panel_in_place(width: i64, lanes: i64) -> Option<i64> {
    [2, 4, 3, 1].into_iter().find(|columns| width % (columns * lanes) == 0).map(|columns| columns * lanes)
}

/// Rows along the last two joined iterators that fill up to `rows` accumulators' rows.
fn tile(m: &[Merged], rows: i64) -> [i64; 2] {
    let extent = |back: usize| m.len().checked_sub(back).map(|at| merged_extent(&m[at]).as_const());
    match (extent(2), extent(1)) {
        (_, None) => [1, 1],
        (_, Some(None)) => [1, rows],
        (Some(Some(outer)), Some(Some(inner))) if inner <= rows => [(rows / inner).clamp(1, outer.max(1)), inner.max(1)],
        (_, Some(Some(inner))) => [1, even_piece(inner, rows)],
    }
}

/// The piece of at most `rows` that covers `extent` with the fewest pieces, the last one as full as can be.
pub fn even_piece(extent: i64, rows: i64) -> i64 {
    let pieces = (extent + rows - 1) / rows;
    let smallest = (extent + pieces - 1) / pieces.max(1);
    (smallest..=rows).find(|p| extent % p == 0).unwrap_or(rows.min(extent)).max(1)
}

/// Rough numbers of one contraction.
struct Shape {
    tile: [i64; 2],
    panel: i64,
    m: [i64; 2],
    two_levels: bool,
    /// Whether all rows are known numbers.
    known: bool,
    outer: i64,
    panels: i64,
    /// Elements of the reduction.
    depth: i64,
    /// Elements of the reduction in one step.
    group: i64,
    /// Of an element of `a`, and of `b`.
    bytes: [i64; 2],
    /// Of the part of the operand `a` that one point of the batch reads from, at most.
    a_bytes: i64,
}

impl Shape {
    /// `(block_m, block_n, rows_inner)`.
    fn blocks(&self, target: &Target) -> (i64, i64, bool) {
        let level = if self.two_levels { 0 } else { 1 };
        let unit = self.tile[level];
        let strips = (self.m[level] + unit - 1) / unit;
        let row_bytes = self.depth * self.bytes[0] * if self.two_levels { self.m[1] } else { 1 };
        // windows overlap: all strips together read each element once
        let strip_bytes = (unit * row_bytes).min(self.a_bytes / strips.max(1)).max(1);
        let panel_bytes = self.panel * self.depth * self.bytes[1];
        let columns = if self.two_levels { self.m[1] } else { 1 };
        let costs = &target.costs;
        let per_us = 1000.0 * f64::from(costs.multiply_adds_per_ns);
        let strip_us = (unit * columns * self.panel * self.depth) as f64 / (per_us * self.group as f64);
        let all = (strips * self.panels * self.outer) as f64;
        let tasks_of = |us: u32| (all * strip_us / f64::from(us)) as i64;
        let few = tasks_of(costs.contract_least_task_us).min(i64::from(costs.contract_tasks));
        let tasks = tasks_of(costs.contract_task_us).max(few).max(1);
        let each = ((all as i64) / tasks).max(1);
        let of_cache = |twelfths: u32| (target.l2_bytes.saturating_mul(u64::from(twelfths)) / 12) as i64;
        if !self.known {
            return (unit * (each / self.panels).clamp(1, 4), (self.panels / 4).max(1), true);
        }
        if self.panels * panel_bytes <= of_cache(costs.panels_of_l2) {
            return (unit * (each / self.panels).clamp(1, strips), self.panels, true);
        }
        if strips * strip_bytes <= of_cache(costs.rows_of_l2) {
            return (unit * strips, (each / strips).clamp(1, self.panels), false);
        }
        let rows = (of_cache(costs.block_of_l2) / strip_bytes.max(1)).clamp(1, strips);
        (unit * rows, (each / rows).clamp(1, self.panels), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let schedule = ContractSchedule { panel: 32, lanes: 16, tile: [2, 7], block_m: 14, block_n: 3, rows_inner: true };
        assert_eq!(ContractSchedule::parse(&mut Parser::new(&schedule.to_string())), Ok(schedule));
    }

    #[test]
    fn pieces_are_even() {
        assert_eq!(even_piece(56, 14), 14);
        assert_eq!(even_piece(20, 14), 10);
        assert_eq!(even_piece(128, 9), 9);
        assert_eq!(even_piece(5, 14), 5);
    }
}
