//! The choices of the generic template. They name iterators of the flat group ([`crate::lower::rows::flat`]).

use crate::lower::contract_match;
use crate::lower::contract_schedule::Tiles;
use crate::lower::rows::flat::may_widen;
use crate::lower::rows::{scheduled, strip};
use crate::lower::scalars::{MOST_CHOICES, may_vectorise};
use nest::{IterKind, Nest};
use program::{PhysicalGroup, PhysicalStage};
use std::collections::BTreeMap;
use std::fmt;
use sym::{ParseError, Parser, Sym};

/// Tasks, and the loops of each stage inside a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowsSchedule {
    /// Parallel iterators whose points are tasks, the last one fastest. Those of the group, where it has some; but one that runs along
    /// the lanes is `piece` instead.
    pub outer: Vec<Sym>,
    /// A parallel iterator of which each task gets a piece; it is faster than `outer`.
    pub piece: Option<Piece>,
    /// Points of an iterator of the group's that a task computes stage by stage. The names in this schedule are then those of the group in
    /// such blocks, where the iterator counts the blocks.
    pub block: Option<Piece>,
    /// Tasks that are worth handing out together: some 10 us of work.
    pub grain: i64,
    /// One for each stage.
    pub stages: Vec<RowsStage>,
}

/// `size` points of an iterator; the last piece may be shorter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Piece {
    pub sym: Sym,
    pub size: i64,
}

/// How a stage is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowsStage {
    /// As any nest is.
    Loops(Loops),
    /// A contraction by register tiles, whose rows are the points of the block.
    Tiles(Tiles),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loops {
    /// The iterator along the lanes, parallel or of the reduction.
    pub vector: Option<Sym>,
    /// 1 where there is no `vector`.
    pub lanes: u32,
    /// Vectors in flight along `vector`.
    pub unroll: u32,
    /// Points of a parallel iterator that are computed at once.
    pub tile: Option<Piece>,
    /// Parallel iterators all of whose points are computed at once, each by code of its own: what the body computes for all of them is
    /// computed once.
    pub spread: Vec<Sym>,
}

impl fmt::Display for RowsSchedule {
    /// `rows outer [i0] piece i1:4096 grain 3 {vector i1:16 unroll 4 tile i0:7; scalar unroll 1}`
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let outer: Vec<&str> = self.outer.iter().map(Sym::name).collect();
        write!(f, "rows outer [{}]", outer.join(", "))?;
        if let Some(piece) = &self.piece {
            write!(f, " piece {}:{}", piece.sym, piece.size)?;
        }
        if let Some(block) = &self.block {
            write!(f, " block {}:{}", block.sym, block.size)?;
        }
        let stages: Vec<String> = self.stages.iter().map(RowsStage::to_string).collect();
        write!(f, " grain {} {{{}}}", self.grain, stages.join("; "))
    }
}

impl fmt::Display for RowsStage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RowsStage::Loops(loops) => write!(f, "{loops}"),
            RowsStage::Tiles(tiles) => write!(f, "{tiles}"),
        }
    }
}

impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.vector {
            Some(vector) => write!(f, "vector {vector}:{}", self.lanes)?,
            None => write!(f, "scalar")?,
        }
        write!(f, " unroll {}", self.unroll)?;
        if let Some(tile) = &self.tile {
            write!(f, " tile {}:{}", tile.sym, tile.size)?;
        }
        self.spread.iter().try_for_each(|sym| write!(f, " spread {sym}"))
    }
}

impl RowsSchedule {
    /// The same choices for a group whose iterators have other names. None where tasks are blocks: those names are not the flat group's.
    pub fn renamed(&self, names: &BTreeMap<Sym, Sym>) -> Option<RowsSchedule> {
        let sym = |sym: &Sym| names.get(sym).unwrap_or(sym).clone();
        let piece = |piece: &Piece| Piece { sym: sym(&piece.sym), size: piece.size };
        let stage = |stage: &RowsStage| match stage {
            RowsStage::Loops(loops) => {
                let (vector, tile) = (loops.vector.as_ref().map(sym), loops.tile.as_ref().map(piece));
                let spread = loops.spread.iter().map(sym).collect();
                Some(RowsStage::Loops(Loops { vector, tile, spread, ..loops.clone() }))
            }
            RowsStage::Tiles(_) => None,
        };
        let stages = self.stages.iter().map(stage).collect::<Option<_>>()?;
        let (outer, own) = (self.outer.iter().map(sym).collect(), self.piece.as_ref().map(piece));
        self.block.is_none().then_some(RowsSchedule { outer, piece: own, block: None, grain: self.grain, stages })
    }

    /// Reads what `Display` prints.
    pub fn parse(parser: &mut Parser) -> Result<RowsSchedule, ParseError> {
        parser.expect("rows")?;
        parser.expect("outer")?;
        let outer = parser.list("[", "]", |p| p.ident().map(Sym::new))?;
        let piece = if parser.accept("piece") { Some(parse_piece(parser)?) } else { None };
        let block = if parser.accept("block") { Some(parse_piece(parser)?) } else { None };
        parser.expect("grain")?;
        let grain = positive(parser)?;
        parser.expect("{")?;
        let mut stages = vec![parse_stage(parser)?];
        while parser.accept(";") {
            stages.push(parse_stage(parser)?);
        }
        parser.expect("}")?;
        Ok(RowsSchedule { outer, piece, block, grain, stages })
    }

    /// What forbids the schedule for a group; empty where it is legal.
    ///
    /// - R1: there is one choice for each stage.
    /// - R2: `outer` and `piece` are distinct parallel iterators of every stage; all of the group's `outer` are among them.
    /// - R3: tasks share no scratch values: without `outer` of the group, only a group of one stage has tasks; a piece of an `outer` of the
    ///   group is one vector of it, in all stages.
    /// - R4: a vector iterator is a parallel or reduction iterator of its stage, no other iterator of tasks than the piece's, and no data
    ///   index depends on it; lanes are a power of two, 1 without a vector.
    /// - R5: a piece of a vector iterator is whole vectors.
    /// - R6: a tile is of another parallel iterator, of which a task has more than one point; sizes are positive.
    /// - R7: a block is of an iterator of the group's, and there is no piece beside it.
    /// - R10: what stands in the code once for each vector and point of a tile is not too long.
    /// - R9: spread iterators are other parallel ones of the stage alone, of known extents, with no more points than [`MOST_CHOICES`]
    ///   together.
    /// - R8: a stage by tiles is a contraction that they serve, with the block's points as its rows and panels of the right width.
    pub fn faults(&self, group: &PhysicalGroup) -> Vec<String> {
        if let Some(block) = &self.block
            && (self.piece.is_some() || block.size < 1 || !is_outer(group, &block.sym))
        {
            return vec![format!("R7: a block of {}", block.sym)];
        }
        let row = self.block.as_ref().map(|block| strip::row_sym(group, &block.sym));
        let group = scheduled(group, self.block.as_ref());
        let mut faults = self.task_faults(&group);
        if self.stages.len() != group.stages.len() {
            faults.push(format!("R1: {} stages are scheduled, {} are there", self.stages.len(), group.stages.len()));
            return faults;
        }
        for (at, (choice, stage)) in self.stages.iter().zip(&group.stages).enumerate() {
            let found = match choice {
                RowsStage::Loops(loops) => self.stage_faults(&group, loops, stage),
                RowsStage::Tiles(tiles) => tile_faults(&group, stage, tiles, row.as_ref()),
            };
            faults.extend(found.into_iter().map(|why| format!("{why}, in stage {at}")));
        }
        faults
    }

    /// The iterators of tasks.
    fn task_syms(&self) -> Vec<&Sym> {
        self.outer.iter().chain(self.piece.iter().map(|piece| &piece.sym)).collect()
    }

    fn task_faults(&self, group: &PhysicalGroup) -> Vec<String> {
        let mut faults = Vec::new();
        let syms = self.task_syms();
        for (at, sym) in syms.iter().enumerate() {
            let parallel = group.stages.iter().all(|stage| kind(&stage.nest, sym) == Some(IterKind::Parallel));
            if !parallel || syms[..at].contains(sym) {
                faults.push(format!("R2: tasks over {sym}"));
            }
        }
        if let Some(iter) = group.outer.iter().find(|iter| !syms.contains(&&iter.sym)) {
            faults.push(format!("R2: {} makes no tasks", iter.sym));
        }
        if group.outer.is_empty() && group.stages.len() > 1 && !syms.is_empty() {
            faults.push("R3: tasks of a group without outer iterators".to_string());
        }
        if !group.outer.is_empty() && group.stages.len() > 1 && syms.len() != group.outer.len() {
            faults.push("R3: tasks over an inner iterator".to_string());
        }
        if let Some(piece) = self.piece.as_ref().filter(|piece| is_outer(group, &piece.sym)) {
            let one_vector = |choice: &RowsStage| match choice {
                RowsStage::Loops(loops) => loops.vector.as_ref() == Some(&piece.sym) && loops.lanes as i64 == piece.size,
                RowsStage::Tiles(_) => false,
            };
            if !may_widen(group, &piece.sym) {
                faults.push(format!("R4: vectors along {}", piece.sym));
            }
            if !self.stages.iter().all(one_vector) {
                faults.push(format!("R3: pieces of {} that are not one vector", piece.sym));
            }
        }
        if self.grain < 1 || self.piece.as_ref().is_some_and(|piece| piece.size < 1) {
            faults.push("R6: a size that is not positive".to_string());
        }
        faults
    }

    fn stage_faults(&self, group: &PhysicalGroup, choice: &Loops, stage: &PhysicalStage) -> Vec<String> {
        let mut faults = Vec::new();
        let nest = &stage.nest;
        if let Some(vector) = &choice.vector {
            let kind_fits = matches!(kind(nest, vector), Some(IterKind::Parallel | IterKind::Reduction));
            let outer = self.outer.contains(vector) || (is_outer(group, vector) && self.piece.as_ref().is_none_or(|p| p.sym != *vector));
            if !kind_fits || outer || !may_vectorise(nest, vector) {
                faults.push(format!("R4: vectors along {vector}"));
            }
            if self.piece.as_ref().is_some_and(|piece| piece.sym == *vector && piece.size % choice.lanes.max(1) as i64 != 0) {
                faults.push(format!("R5: pieces of {vector} that are no whole vectors"));
            }
        }
        if !choice.lanes.is_power_of_two() || choice.lanes > MOST_LANES || (choice.vector.is_none() && choice.lanes != 1) {
            faults.push(format!("R4: {} lanes", choice.lanes));
        }
        if let Some(tile) = &choice.tile {
            let inner = kind(nest, &tile.sym) == Some(IterKind::Parallel) && !self.outer.contains(&tile.sym) && !is_outer(group, &tile.sym);
            if !inner || choice.vector.as_ref() == Some(&tile.sym) || tile.size < 1 {
                faults.push(format!("R6: a tile of {}", tile.sym));
            }
        }
        let mut points = 1;
        for (at, sym) in choice.spread.iter().enumerate() {
            let taken = choice.vector.iter().chain(choice.tile.iter().map(|tile| &tile.sym)).chain(&choice.spread[..at]).any(|s| s == sym);
            let inner = kind(nest, sym) == Some(IterKind::Parallel) && !self.task_syms().contains(&sym) && !is_outer(group, sym);
            points *= nest.iter(sym).and_then(|iter| iter.extent.as_const()).unwrap_or(0).clamp(0, MOST_CHOICES + 1);
            if taken || !inner || !(1..=MOST_CHOICES).contains(&points) {
                faults.push(format!("R9: {sym} is spread"));
            }
        }
        if choice.unroll < 1 {
            faults.push("R6: unroll 0".to_string());
        }
        let copies = (choice.unroll as i64).saturating_mul(choice.tile.as_ref().map_or(1, |tile| tile.size));
        if copies.saturating_mul(nest.body.len().max(1) as i64) > MOST_CODE.max(nest.body.len() as i64) {
            faults.push(format!("R10: {copies} points at once"));
        }
        faults
    }
}

fn tile_faults(group: &PhysicalGroup, stage: &PhysicalStage, tiles: &Tiles, row: Option<&Sym>) -> Vec<String> {
    let matched = row.and_then(|row| contract_match::matched_rows(&stage.nest, row, &group.outer));
    let served = matched.is_some_and(|matched| tiles.fits(&stage.nest, &matched));
    if served { vec![] } else { vec![format!("R8: {tiles}")] }
}

fn kind(nest: &Nest, sym: &Sym) -> Option<IterKind> {
    nest.iter(sym).map(|iter| iter.kind)
}

fn is_outer(group: &PhysicalGroup, sym: &Sym) -> bool {
    group.outer.iter().any(|iter| iter.sym == *sym)
}

/// No number of a schedule is larger.
pub const LARGEST: i64 = u32::MAX as i64;

/// A register has no more lanes on any machine that there is.
pub const MOST_LANES: u32 = 256;

/// Scalars of a body times the points that are computed at once, at most: they stand in the code one by one.
const MOST_CODE: i64 = 1 << 14;

fn positive(parser: &mut Parser) -> Result<i64, ParseError> {
    let value = parser.integer()?;
    if (1..=LARGEST).contains(&value) { Ok(value) } else { parser.error("a schedule's numbers are positive, and fit 32 bits") }
}

fn small(parser: &mut Parser) -> Result<u32, ParseError> {
    let value = positive(parser)?;
    u32::try_from(value).or_else(|_| parser.error("a number that fits 32 bits is wanted"))
}

fn parse_piece(parser: &mut Parser) -> Result<Piece, ParseError> {
    let sym = Sym::new(parser.ident()?);
    parser.expect(":")?;
    Ok(Piece { sym, size: positive(parser)? })
}

fn parse_stage(parser: &mut Parser) -> Result<RowsStage, ParseError> {
    if parser.peek("tiles") {
        return Ok(RowsStage::Tiles(Tiles::parse(parser)?));
    }
    let (vector, lanes) = if parser.accept("scalar") {
        (None, 1)
    } else {
        parser.expect("vector")?;
        let sym = Sym::new(parser.ident()?);
        parser.expect(":")?;
        (Some(sym), small(parser)?)
    };
    parser.expect("unroll")?;
    let unroll = small(parser)?;
    let tile = if parser.accept("tile") { Some(parse_piece(parser)?) } else { None };
    let mut spread = vec![];
    while parser.accept("spread") {
        spread.push(Sym::new(parser.ident()?));
    }
    Ok(RowsStage::Loops(Loops { vector, lanes, unroll, tile, spread }))
}
