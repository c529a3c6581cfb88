//! The space of the generic template's schedules.

use crate::lower::contract_match;
use crate::lower::contract_schedule::{self, Tiles};
use crate::lower::rows::{scheduled, strip};
use crate::lower::rows_cost::{lanes_along, rough};
use crate::lower::rows_schedule::{Loops, Piece, RowsSchedule, RowsStage};
use crate::lower::scalars::{choosers, may_vectorise};
use crate::space::{Below, one_of, piece_sizes};
use nest::{Iter, IterKind, Nest};
use program::{PhysicalGroup, PhysicalStage};
use target::Target;

const UNROLLS: [u32; 6] = [1, 2, 3, 4, 6, 8];
const GRAINS: [i64; 6] = [1, 2, 4, 8, 16, 64];
/// Points of a tile, besides the lanes'.
const MOST_TILE: i64 = 8;
/// Scalars of a body times the points that are computed at once: longer code takes long to compile, and is no faster.
const MOST_CODE: i64 = 800;

/// What may be chosen for one group.
pub struct RowsSpace<'a> {
    group: &'a PhysicalGroup,
    target: &'a Target,
    flat: PhysicalGroup,
}

impl<'a> RowsSpace<'a> {
    pub fn new(group: &'a PhysicalGroup, target: &'a Target) -> RowsSpace<'a> {
        RowsSpace { group, target, flat: scheduled(group, None) }
    }

    /// It may be illegal.
    pub fn drawn(&self, below: &mut Below) -> RowsSchedule {
        let grain = one_of(&GRAINS, below).unwrap_or(1);
        let blocks: Vec<RowsSchedule> = self.group.outer.iter().filter_map(|iter| self.blocked(iter, below)).collect();
        if let Some(schedule) = one_of(&blocks, below).filter(|_| below(3) > 0) {
            return RowsSchedule { grain, ..schedule };
        }
        let along = one_of(&self.flat.outer, below).filter(|_| below(3) == 0);
        if let Some(iter) = along.filter(|_| !self.flat.stages.is_empty()) {
            return RowsSchedule { grain, ..self.along_outer(&iter) };
        }
        let stages: Vec<Loops> = self.flat.stages.iter().map(|stage| self.loops(&self.flat, stage, below)).collect();
        match (self.flat.stages.as_slice(), self.flat.outer.is_empty()) {
            ([stage], true) => {
                let (outer, piece) = tasks(&stage.nest, &stages[0], below);
                RowsSchedule { outer, piece, block: None, grain, stages: looped(stages) }
            }
            _ => {
                let outer = self.flat.outer.iter().map(|iter| iter.sym.clone()).collect();
                RowsSchedule { outer, piece: None, block: None, grain, stages: looped(stages) }
            }
        }
    }

    /// It may be illegal.
    pub fn beside(&self, schedule: &RowsSchedule, below: &mut Below) -> RowsSchedule {
        let mut out = schedule.clone();
        let group = scheduled(self.group, out.block.as_ref());
        let at = below(out.stages.len().max(1));
        match below(6) {
            0 => out.grain = one_of(&GRAINS, below).unwrap_or(1),
            1 | 2 => self.change(&mut out.stages[at], &group.stages[at], &group, below),
            3 => {
                if let RowsStage::Loops(loops) = &mut out.stages[at] {
                    *loops = self.loops(&group, &group.stages[at], below);
                }
            }
            4 if group.outer.is_empty() && group.stages.len() == 1 => {
                if let RowsStage::Loops(loops) = &out.stages[0] {
                    (out.outer, out.piece) = tasks(&group.stages[0].nest, loops, below);
                }
            }
            4 => {
                if let Some(block) = &mut out.block {
                    let iter = self.group.outer.iter().find(|iter| iter.sym == block.sym);
                    block.size = one_of(&piece_sizes(iter.map_or(1, |iter| rough(&iter.extent) as i64)), below).unwrap_or(1);
                }
            }
            _ => return self.drawn(below),
        }
        out
    }

    /// One choice of a stage.
    fn change(&self, choice: &mut RowsStage, stage: &PhysicalStage, group: &PhysicalGroup, below: &mut Below) {
        match choice {
            RowsStage::Tiles(tiles) => tiles.rows = 1 + below(2 * tiles.rows as usize) as i64,
            RowsStage::Loops(loops) => match below(2) {
                0 => loops.unroll = unroll(stage, loops.tile.as_ref().map_or(1, |tile| tile.size), below),
                _ => loops.tile = self.tile(group, stage, loops, below),
            },
        }
    }

    /// Blocks of an outer iterator's points; None where no stage is a contraction over them.
    fn blocked(&self, iter: &Iter, below: &mut Below) -> Option<RowsSchedule> {
        let size = one_of(&piece_sizes(rough(&iter.extent) as i64), below)?;
        let block = Piece { sym: iter.sym.clone(), size };
        let group = scheduled(self.group, Some(&block));
        let row = strip::row_sym(self.group, &iter.sym);
        let mut has_tiles = false;
        let stages = group.stages.iter().map(|stage| {
            let matched = contract_match::matched_rows(&stage.nest, &row, &group.outer);
            match matched.and_then(|matched| contract_schedule::tiles(&stage.nest, &matched, self.target)) {
                Some(tiles) => {
                    has_tiles = true;
                    RowsStage::Tiles(Tiles { rows: 1 + below(tiles.rows.max(1) as usize) as i64, ..tiles })
                }
                None => RowsStage::Loops(self.loops(&group, stage, below)),
            }
        });
        let stages: Vec<RowsStage> = stages.collect();
        let outer = group.outer.iter().map(|iter| iter.sym.clone()).collect();
        has_tiles.then_some(RowsSchedule { outer, piece: None, block: Some(block), grain: 1, stages })
    }

    /// All stages along one of the group's own iterators.
    fn along_outer(&self, iter: &Iter) -> RowsSchedule {
        let lanes = self.flat.stages.iter().map(|stage| lanes_along(&stage.nest, iter, self.target)).min().unwrap_or(1);
        let loops = Loops { vector: Some(iter.sym.clone()), lanes, unroll: 1, tile: None, spread: vec![] };
        let outer = self.flat.outer.iter().map(|iter| iter.sym.clone()).filter(|sym| *sym != iter.sym).collect();
        let piece = Some(Piece { sym: iter.sym.clone(), size: lanes as i64 });
        RowsSchedule { outer, piece, block: None, grain: 1, stages: looped(vec![loops; self.flat.stages.len()]) }
    }

    fn loops(&self, group: &PhysicalGroup, stage: &PhysicalStage, below: &mut Below) -> Loops {
        let spread = choosers(&stage.nest);
        let inner = |iter: &&Iter| group.outer.iter().all(|other| other.sym != iter.sym) && !spread.contains(&iter.sym);
        let vectors: Vec<&Iter> = stage.nest.iters.iter().filter(inner).filter(|iter| may_vectorise(&stage.nest, &iter.sym)).collect();
        let vector = one_of(&vectors, below).filter(|_| below(8) > 0);
        let lanes = vector.map_or(1, |iter| lanes_along(&stage.nest, iter, self.target));
        let loops = Loops { vector: vector.map(|iter| iter.sym.clone()), lanes, unroll: unroll(stage, 1, below), tile: None, spread };
        Loops { tile: self.tile(group, stage, &loops, below), ..loops }
    }

    fn tile(&self, group: &PhysicalGroup, stage: &PhysicalStage, loops: &Loops, below: &mut Below) -> Option<Piece> {
        let free = |iter: &&Iter| {
            let inner = group.outer.iter().all(|other| other.sym != iter.sym) && !loops.spread.contains(&iter.sym);
            iter.kind == IterKind::Parallel && inner && loops.vector.as_ref() != Some(&iter.sym)
        };
        let iters: Vec<&Iter> = stage.nest.iters.iter().filter(free).collect();
        let iter = one_of(&iters, below).filter(|_| below(2) == 0)?;
        let most = (rough(&iter.extent) as i64).min(most_points(stage) / loops.unroll as i64);
        let sizes: Vec<i64> = (2..=MOST_TILE).chain([loops.lanes as i64]).filter(|size| *size > 1 && *size <= most).collect();
        Some(Piece { sym: iter.sym.clone(), size: one_of(&sizes, below)? })
    }
}

/// Points that are computed at once, at most.
fn most_points(stage: &PhysicalStage) -> i64 {
    MOST_CODE / stage.nest.body.len().max(1) as i64
}

fn unroll(stage: &PhysicalStage, tile: i64, below: &mut Below) -> u32 {
    let fits: Vec<u32> = UNROLLS.into_iter().filter(|unroll| *unroll as i64 * tile <= most_points(stage).max(1)).collect();
    one_of(&fits, below).unwrap_or(1)
}

/// Iterators of tasks, and the piece, of a group of one stage.
fn tasks(nest: &Nest, loops: &Loops, below: &mut Below) -> (Vec<sym::Sym>, Option<Piece>) {
    let tiled = |iter: &Iter| loops.tile.as_ref().is_some_and(|tile| tile.sym == iter.sym);
    let held = |iter: &Iter| loops.vector.as_ref() == Some(&iter.sym) || tiled(iter) || loops.spread.contains(&iter.sym);
    let free: Vec<&Iter> = nest.parallel().filter(|iter| !held(iter)).collect();
    let count = below(free.len() + 1);
    let next = free.get(count).copied().or_else(|| nest.parallel().find(|iter| held(iter) && !loops.spread.contains(&iter.sym)));
    let unit = match next {
        Some(iter) if loops.vector.as_ref() == Some(&iter.sym) => (loops.lanes * loops.unroll) as i64,
        Some(iter) if tiled(iter) => loops.tile.as_ref().map_or(1, |tile| tile.size),
        _ => 1,
    };
    let size = |iter: &Iter, below: &mut Below| one_of(&piece_sizes((rough(&iter.extent) as i64 + unit - 1) / unit), below);
    let piece = next.filter(|_| below(2) == 0).and_then(|iter| Some(Piece { sym: iter.sym.clone(), size: unit * size(iter, below)? }));
    (free[..count].iter().map(|iter| iter.sym.clone()).collect(), piece)
}

fn looped(stages: Vec<Loops>) -> Vec<RowsStage> {
    stages.into_iter().map(RowsStage::Loops).collect()
}
