//! The space of a group's schedules: drawing from it, and small steps in it.
//!
//! Every schedule that comes out is legal ([`Schedule::faults`]), and one of the template that serves the group by default. What is drawn
//! is spread over all of these, good and bad; the same numbers give the same schedules.

use crate::lower::contract_space::ContractSpace;
use crate::lower::rows_space::RowsSpace;
use crate::schedule::{Schedule, serves_contraction};
use program::PhysicalGroup;
use target::Target;

/// Random numbers: one of `0..limit`.
pub type Below<'a> = dyn FnMut(usize) -> usize + 'a;

/// How often a draw is repeated until it is legal.
const TRIES: usize = 100;

/// The schedules of one group.
pub struct Space<'a> {
    group: &'a PhysicalGroup,
    contract: Option<ContractSpace>,
    rows: RowsSpace<'a>,
}

impl<'a> Space<'a> {
    pub fn new(group: &'a PhysicalGroup, target: &'a Target) -> Space<'a> {
        let contract = serves_contraction(group).and_then(|(cx, matched)| ContractSpace::new(&cx, &matched, target));
        Space { group, contract, rows: RowsSpace::new(group, target) }
    }

    /// Any schedule of the group's template; None where no legal one was found.
    pub fn drawn(&self, below: &mut Below) -> Option<Schedule> {
        self.first_legal(&mut || match &self.contract {
            Some(contract) => Schedule::Contract(contract.drawn(below)),
            None => Schedule::Rows(self.rows.drawn(below)),
        })
    }

    /// A schedule that differs from another one in one choice or two.
    pub fn beside(&self, schedule: &Schedule, below: &mut Below) -> Option<Schedule> {
        self.first_legal(&mut || match (schedule, &self.contract) {
            (Schedule::Contract(schedule), Some(contract)) => Schedule::Contract(contract.beside(schedule, below)),
            (Schedule::Rows(schedule), _) => Schedule::Rows(self.rows.beside(schedule, below)),
            (Schedule::Contract(_), None) => schedule.clone(),
        })
    }

    fn first_legal(&self, draw: &mut dyn FnMut() -> Schedule) -> Option<Schedule> {
        (0..TRIES).map(|_| draw()).find(|schedule| schedule.faults(self.group).is_empty())
    }
}

/// One of some items.
pub fn one_of<T: Clone>(items: &[T], below: &mut Below) -> Option<T> {
    items.get(below(items.len().max(1))).cloned()
}

/// Sizes that cut `extent` into equal pieces, or are a power of two: all sensible lengths of a piece, from 1 to the whole.
pub fn piece_sizes(extent: i64) -> Vec<i64> {
    let extent = extent.max(1);
    let halves = (0..).map(|bits| 1i64 << bits).take_while(|size| *size < extent);
    let equal = (1..=extent.min(1 << 16)).take_while(|size| size * size <= extent).filter(|size| extent % size == 0);
    let mut sizes: Vec<i64> = halves.chain(equal.flat_map(|size| [size, extent / size])).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_pieces() {
        assert_eq!(piece_sizes(12), [1, 2, 3, 4, 6, 8, 12]);
        assert_eq!(piece_sizes(7), [1, 2, 4, 7]);
        assert_eq!(piece_sizes(0), [1]);
    }
}
