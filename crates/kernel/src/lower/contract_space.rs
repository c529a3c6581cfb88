//! The space of the contraction template's schedules.

use crate::lower::contract_match::{Matched, loops, merged_extent};
use crate::lower::contract_schedule::{ContractSchedule, has_dots, rough};
use crate::lower::point::StageCx;
use crate::space::{Below, one_of, piece_sizes};
use ir::DType;
use target::Target;

/// Accumulators of a tile in registers' count: more than there are can't be good, but is legal.
const MOST_ACCUMULATORS: f64 = 1.25;
const MOST_VECTORS: i64 = 4;

/// What may be chosen for one contraction.
pub struct ContractSpace {
    lanes: u32,
    /// Vectors of a panel.
    vectors: Vec<i64>,
    /// Rows of the last but one and of the last joined `m` iterator; 1 where there is none.
    rows: [i64; 2],
    /// The level of rows that is cut into blocks.
    level: usize,
    width: i64,
    accumulators: i64,
}

impl ContractSpace {
    /// None where the template does not serve the contraction on this target.
    pub fn new(cx: &StageCx, matched: &Matched, target: &Target) -> Option<ContractSpace> {
        let nest = cx.nest();
        if !has_dots(nest, matched, target) {
            return None;
        }
        let lanes = target.lanes(DType::F32);
        let width = nest.iter(&matched.n).map(|iter| iter.extent.clone())?;
        let in_place = || -> Option<Vec<i64>> {
            let width = width.as_const()?;
            Some((1..=MOST_VECTORS).filter(|vectors| width % (vectors * lanes as i64) == 0).collect())
        };
        let vectors = match matched.panel {
            Some(panel) => (panel % lanes as i64 == 0).then(|| vec![panel / lanes as i64])?,
            None => in_place().filter(|vectors| !vectors.is_empty())?,
        };
        let (m, _) = loops(cx, matched);
        Some(ContractSpace {
            lanes,
            vectors,
            rows: [2, 1].map(|back| m.len().checked_sub(back).map_or(1, |at| rough(&merged_extent(&m[at])))),
            level: usize::from(m.len() < 2),
            width: rough(&width),
            accumulators: (target.vector_registers as f64 * MOST_ACCUMULATORS) as i64,
        })
    }

    pub fn drawn(&self, below: &mut Below) -> ContractSchedule {
        let vectors = one_of(&self.vectors, below).unwrap_or(1);
        let tile = self.tile(vectors, below);
        let panel = vectors * self.lanes as i64;
        ContractSchedule {
            panel,
            lanes: self.lanes,
            tile,
            block_m: self.block_m(tile, below),
            block_n: self.block_n(panel, below),
            rows_inner: below(2) == 0,
        }
    }

    pub fn beside(&self, schedule: &ContractSchedule, below: &mut Below) -> ContractSchedule {
        let mut out = schedule.clone();
        let unit = out.tile[self.level];
        match below(6) {
            0 => {
                let vectors = one_of(&self.vectors, below).unwrap_or(1);
                (out.panel, out.tile) = (vectors * self.lanes as i64, self.tile(vectors, below));
            }
            1 => out.tile = self.tile(out.panel / self.lanes as i64, below),
            2 => out.block_m = self.block_m(out.tile, below),
            3 => out.block_n = self.block_n(out.panel, below),
            4 => out.rows_inner = !out.rows_inner,
            _ => (out.block_m, out.block_n) = (self.block_m(out.tile, below), self.block_n(out.panel, below)),
        }
        // about as many rows as before, in whole tiles
        let tiles = (out.block_m / unit.max(1) * unit / out.tile[self.level]).max(1);
        if out.block_m % out.tile[self.level] != 0 {
            out.block_m = tiles * out.tile[self.level];
        }
        out
    }

    fn tile(&self, vectors: i64, below: &mut Below) -> [i64; 2] {
        let most = (self.accumulators / vectors).max(1);
        let inner = 1 + below(most.min(self.rows[1]) as usize) as i64;
        let outer = if self.level == 0 { 1 + below((most / inner).min(self.rows[0]).max(1) as usize) as i64 } else { 1 };
        [outer, inner]
    }

    fn block_m(&self, tile: [i64; 2], below: &mut Below) -> i64 {
        let unit = tile[self.level];
        let tiles = (self.rows[self.level] + unit - 1) / unit;
        unit * one_of(&piece_sizes(tiles), below).unwrap_or(1)
    }

    fn block_n(&self, panel: i64, below: &mut Below) -> i64 {
        one_of(&piece_sizes((self.width + panel - 1) / panel), below).unwrap_or(1)
    }
}
