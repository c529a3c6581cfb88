//! The default choices of the generic template: the shape of loops that costs least by a rough count, and tasks of some microseconds.

use crate::lower::contract_match;
use crate::lower::contract_schedule::{self, Tiles};
use crate::lower::rows::flat::{flat, may_widen, widen_locals};
use crate::lower::rows::{scheduled, strip};
use crate::lower::rows_cost::{Counted, Shape, lanes_along, rough};
use crate::lower::rows_schedule::{Loops, Piece, RowsSchedule, RowsStage};
use crate::lower::scalars::{choosers, may_vectorise};
use nest::{Iter, IterKind, Nest};
use program::{PhysicalGroup, PhysicalRole, PhysicalStage};
use std::cmp::Ordering;
use sym::Sym;
use target::costs::hundredths;
use target::{Costs, Target};

/// A schedule that is legal for the group.
pub fn rows_schedule(group: &PhysicalGroup, target: &Target) -> RowsSchedule {
    if let Some(schedule) = group.outer.iter().rev().find_map(|iter| block_schedule(group, iter, target)) {
        return schedule;
    }
    let group = flat(group);
    let inner = inner_choices(&group, target);
    match outer_choice(&group, target) {
        Some(outer) if outer.cost < hundredths(target.costs.rows_outer) * inner.cost => outer.schedule(&group, &target.costs),
        _ => inner.schedule(&group, &target.costs),
    }
}

/// Blocks of an outer iterator's points, where some stage is a contraction with these points as its rows.
fn block_schedule(group: &PhysicalGroup, iter: &Iter, target: &Target) -> Option<RowsSchedule> {
    let row = strip::row_sym(group, &iter.sym);
    let tiles = |group: &PhysicalGroup, stage: &PhysicalStage| {
        let matched = contract_match::matched_rows(&stage.nest, &row, &group.outer)?;
        contract_schedule::tiles(&stage.nest, &matched, target)
    };
    let probe = scheduled(group, Some(&Piece { sym: iter.sym.clone(), size: 1 }));
    let rows = probe.stages.iter().filter_map(|stage| tiles(&probe, stage)).map(|tiles| tiles.rows).min()?;
    let each = probe.stages.iter().filter_map(|stage| rows_of_point(&probe, stage, &row)).max().unwrap_or(1);
    let (rows, size) = if each > 1 {
        let size = points_of_block(group, iter, each, rows, target);
        (contract_schedule::even_piece(size * each, rows), size)
    } else {
        let rows = iter.extent.as_const().map_or(rows, |whole| contract_schedule::even_piece(whole, rows));
        let most = (rough(&iter.extent) as i64 + rows - 1) / rows;
        (rows, rows * tiles_of_block(&probe, rows, target).min(most))
    };
    let block = Piece { sym: iter.sym.clone(), size };
    let blocked = scheduled(group, Some(&block));
    let mut work = 0.0;
    let stages = blocked.stages.iter().map(|stage| match tiles(&blocked, stage) {
        Some(tiles) => {
            work += stage.nest.iters.iter().map(|iter| rough(&iter.extent)).product::<f64>() / tiles.lanes as f64;
            RowsStage::Tiles(Tiles { rows: rows.min(tiles.rows), ..tiles })
        }
        None => {
            let (shape, cost) = best_shape(stage, &blocked.outer, target);
            work += cost;
            RowsStage::Loops(stage_choice(&stage.nest, shape))
        }
    });
    let stages: Vec<RowsStage> = stages.collect();
    let points: f64 = blocked.outer.iter().map(|iter| rough(&iter.extent)).product();
    let outer = blocked.outer.iter().map(|iter| iter.sym.clone()).collect();
    Some(RowsSchedule { outer, piece: None, block: Some(block), grain: grain(work / points.max(1.0), &target.costs), stages })
}

/// Rows of a contraction at one point of the block.
fn rows_of_point(group: &PhysicalGroup, stage: &PhysicalStage, row: &Sym) -> Option<i64> {
    let matched = contract_match::matched_rows(&stage.nest, row, &group.outer)?;
    let others = matched.parts.m.iter().filter(|sym| *sym != row).filter_map(|sym| stage.nest.iter(sym));
    Some(others.map(|iter| rough(&iter.extent) as i64).product())
}

/// Points of `iter` in a block where each has `each` rows: tiles of about `rows` rows should be full, and the cores evenly loaded.
fn points_of_block(group: &PhysicalGroup, iter: &Iter, each: i64, rows: i64, target: &Target) -> i64 {
    let points = rough(&iter.extent) as i64;
    let others: i64 = group.outer.iter().filter(|other| other.sym != iter.sym).map(|other| rough(&other.extent) as i64).product();
    let cores = target.cores as i64;
    let quality = |size: i64| {
        let blocks = (points + size - 1) / size * others;
        let balance = points as f64 * others as f64 / (size * cores) as f64 / ((blocks + cores - 1) / cores) as f64;
        let full = contract_schedule::even_piece(size * each, rows) as f64;
        // each tile of rows waits for the panels once
        balance * full / (full + 2.0) * (1.0 - 2.0 / (size * each + 8) as f64)
    };
    let sizes = (1..=points.min(8)).filter(|size| points % size == 0 && (*size == 1 || size * each <= 64));
    sizes.max_by(|a, b| quality(*a).total_cmp(&quality(*b))).unwrap_or(1)
}

/// Tiles of rows in a block: as many as the first cache holds the scratch of.
fn tiles_of_block(probe: &PhysicalGroup, rows: i64, target: &Target) -> i64 {
    let locals = probe.buffers.iter().filter(|buffer| buffer.role == PhysicalRole::Local);
    let row_bytes: f64 = locals.map(|local| local.ty.dims.iter().map(rough).product::<f64>() * local.ty.dtype.size() as f64).sum();
    (target.l1_bytes as f64 / (row_bytes * rows as f64).max(1.0)).clamp(1.0, 4.0) as i64
}

/// Choices for all stages with the cycles of all points.
struct Choice {
    stages: Vec<Loops>,
    cost: f64,
    /// An iterator of the group's that the lanes run along.
    outer: Option<Piece>,
}

/// Each stage with its own vector iterator.
fn inner_choices(group: &PhysicalGroup, target: &Target) -> Choice {
    let mut choice = Choice { stages: vec![], cost: 0.0, outer: None };
    for stage in &group.stages {
        let (shape, cost) = best_shape(stage, &group.outer, target);
        choice.cost += cost;
        choice.stages.push(stage_choice(&stage.nest, shape));
    }
    choice
}

fn best_shape(stage: &PhysicalStage, outer: &[Iter], target: &Target) -> (Shape, f64) {
    let spread = choosers(&stage.nest);
    let own = |iter: &&Iter| iter.kind != IterKind::Scan && !spread.contains(&iter.sym) && outer.iter().all(|other| other.sym != iter.sym);
    let inner: Vec<&Iter> = stage.nest.iters.iter().filter(own).collect();
    let vectors = inner.iter().filter(|iter| may_vectorise(&stage.nest, &iter.sym)).map(|iter| Some(*iter));
    let mut best = Counted::new(stage, None, 1, target).best(&inner);
    for vector in vectors {
        let lanes = vector.map_or(1, |iter| lanes_along(&stage.nest, iter, target));
        let other = Counted::new(stage, vector, lanes, target).best(&inner);
        if other.1 < best.1 {
            best = other;
        }
    }
    best
}

fn stage_choice(nest: &Nest, shape: Shape) -> Loops {
    let tile = shape.tile.map(|(iter, size)| Piece { sym: iter.sym, size });
    Loops { vector: shape.vector.map(|iter| iter.sym), lanes: shape.lanes, unroll: shape.unroll, tile, spread: choosers(nest) }
}

/// All stages along one of the group's own iterators.
fn outer_choice(group: &PhysicalGroup, target: &Target) -> Option<Choice> {
    let choices = group.outer.iter().filter(|iter| may_widen(group, &iter.sym)).map(|iter| {
        let lanes = group.stages.iter().map(|stage| lanes_along(&stage.nest, iter, target)).min().unwrap_or(1);
        let mut wide = group.clone();
        widen_locals(&mut wide, &iter.sym, lanes);
        let cost = wide.stages.iter().map(|stage| Counted::new(stage, Some(iter), lanes, target).best(&[]).1).sum();
        let choice = Loops { vector: Some(iter.sym.clone()), lanes, unroll: 1, tile: None, spread: vec![] };
        let outer = Some(Piece { sym: iter.sym.clone(), size: lanes as i64 });
        Choice { stages: vec![choice; group.stages.len()], cost, outer }
    });
    choices.min_by(|a, b| a.cost.partial_cmp(&b.cost).unwrap_or(Ordering::Equal))
}

impl Choice {
    fn schedule(self, group: &PhysicalGroup, costs: &Costs) -> RowsSchedule {
        match group.stages.as_slice() {
            [stage] if group.outer.is_empty() => self.stage_schedule(&stage.nest, costs),
            _ => self.group_schedule(group, costs),
        }
    }

    /// Tasks of one stage: leading iterators until a task is short enough, the last one in pieces where its single points are too short.
    fn stage_schedule(self, nest: &Nest, costs: &Costs) -> RowsSchedule {
        let (choice, task) = (self.stages[0].clone(), f64::from(costs.rows_task));
        let tiled = |sym: &Sym| choice.tile.as_ref().is_some_and(|tile| tile.sym == *sym);
        let held = |sym: &Sym| choice.vector.as_ref() == Some(sym) || tiled(sym) || choice.spread.contains(sym);
        let free: Vec<&Iter> = nest.parallel().filter(|iter| !held(&iter.sym)).collect();
        let unknown = free.iter().rposition(|iter| iter.extent.as_const().is_none());
        let mut work = self.cost;
        let (mut outer, mut piece) = (Vec::new(), None);
        for (at, iter) in free.iter().enumerate() {
            if work <= task && unknown.is_none_or(|unknown| at > unknown) {
                break;
            }
            let point = work / rough(&iter.extent);
            if point < task / 16.0 && unknown.is_none_or(|unknown| at >= unknown) {
                piece = piece_of(iter, 1.0, point, task);
                work = point * piece.as_ref().map_or(rough(&iter.extent), |piece| piece.size as f64);
                break;
            }
            outer.push(iter.sym.clone());
            work = point;
        }
        if let (None, Some((iter, unit))) = (&piece, most_units(nest, &choice)) {
            let point = work / rough(&iter.extent);
            piece = piece_of(iter, unit, point, task);
            work = point * piece.as_ref().map_or(rough(&iter.extent), |piece| piece.size as f64);
        }
        RowsSchedule { outer, piece, block: None, grain: grain(work, costs), stages: looped(self.stages) }
    }

    fn group_schedule(self, group: &PhysicalGroup, costs: &Costs) -> RowsSchedule {
        let points: f64 = group.outer.iter().map(|iter| rough(&iter.extent)).product();
        let task = self.cost / points.max(1.0) * self.outer.as_ref().map_or(1.0, |piece| piece.size as f64);
        let is_piece = |sym: &Sym| self.outer.as_ref().is_some_and(|piece| piece.sym == *sym);
        let outer = group.outer.iter().map(|iter| iter.sym.clone()).filter(|sym| !is_piece(sym)).collect();
        RowsSchedule { outer, piece: self.outer, block: None, grain: grain(task, costs), stages: looped(self.stages) }
    }
}

fn looped(stages: Vec<Loops>) -> Vec<RowsStage> {
    stages.into_iter().map(RowsStage::Loops).collect()
}

/// Of the parallel vector iterator and the tile's the one with more units, points that are computed at once; better whole units, whose
/// loops have known turns.
fn most_units<'a>(nest: &'a Nest, choice: &Loops) -> Option<(&'a Iter, f64)> {
    let vector = choice.vector.iter().map(|sym| (sym, (choice.lanes * choice.unroll) as f64));
    let tile = choice.tile.iter().map(|tile| (&tile.sym, tile.size as f64));
    let held = vector.chain(tile).filter_map(|(sym, unit)| Some((nest.iter(sym)?, unit)));
    let units = |(iter, unit): &(&Iter, f64)| {
        let whole = iter.extent.as_const().is_some_and(|extent| extent % *unit as i64 == 0);
        rough(&iter.extent) / unit * if whole { 4.0 } else { 1.0 }
    };
    held.filter(|(iter, _)| iter.kind == IterKind::Parallel).max_by(|a, b| units(a).partial_cmp(&units(b)).unwrap_or(Ordering::Equal))
}

/// The piece of an iterator, a multiple of `unit` points of so many cycles, that makes a task of the right length; None where one task
/// holds all of it.
fn piece_of(iter: &Iter, unit: f64, point: f64, task: f64) -> Option<Piece> {
    let size = (task / point.max(1e-3) / unit).floor().clamp(1.0, 4096.0) * unit;
    let Some(known) = iter.extent.as_const() else { return Some(Piece { sym: iter.sym.clone(), size: size as i64 }) };
    let pieces = (known as f64 / size).ceil();
    // of equal length, as far as whole units allow; then loops have known turns
    let even = ((known as f64 / pieces / unit).ceil() * unit) as i64;
    let size = (even..=even * 3 / 2).step_by(unit as usize).find(|size| known % size == 0).unwrap_or(even);
    (pieces > 1.0 && known as f64 * point > 2.0 * task).then(|| Piece { sym: iter.sym.clone(), size })
}

fn grain(task: f64, costs: &Costs) -> i64 {
    ((f64::from(costs.rows_grain) / task.max(1.0)) as i64).max(1)
}
