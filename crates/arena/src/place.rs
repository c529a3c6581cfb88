//! Offsets for buffers of known sizes.
//!
//! A plan is made by an order: each buffer takes the lowest place that those before it leave free during its life. The orders to start
//! from are the largest first, the largest area of bytes times steps first, and the longest lived first. An order is improved by its own
//! result: the buffer that ends highest moves to the front ("squeaky wheel").

use crate::life::{Lives, live_bytes};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Where the buffers start, in bytes, and where the last one ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub offsets: Vec<i64>,
    pub bytes: i64,
}

/// How long to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The most looks of a buffer at one that lives with it, in all orders together; each takes some nanoseconds.
    pub looks: usize,
    /// Percent of the bytes that live at once, over which a plan need not be improved.
    pub waste: i64,
}

impl Effort {
    /// For sizes that hold for good.
    pub const ONCE: Effort = Effort { looks: 1 << 21, waste: 0 };
    /// For the sizes of some calls.
    pub const CALL: Effort = Effort { looks: 1 << 16, waste: 3 };
}

impl Lives {
    /// The smallest plan that was found. None where a size is negative or their sum overflows.
    pub fn plan(&self, sizes: &[i64], effort: Effort) -> Option<Plan> {
        let bound = live_bytes(&self.lives, sizes)?.into_iter().max().unwrap_or(0);
        let enough = bound.saturating_add(bound / 100 * effort.waste);
        let mut best: Option<Plan> = None;
        for plan in self.candidates(sizes, effort.looks) {
            if plan.bytes <= enough {
                return Some(plan);
            }
            best = best.into_iter().chain([plan]).min_by_key(|plan| plan.bytes);
        }
        best
    }

    /// The plans of all orders that so many looks are enough for, and a rough one. Each is made when it is asked for.
    fn candidates(&self, sizes: &[i64], looks: usize) -> impl Iterator<Item = Plan> {
        let neighbours = self.neighbours.as_deref();
        let looks_an_order = neighbours.map(|neighbours| sizes.len() + neighbours.iter().map(Vec::len).sum::<usize>());
        let starts = [Lives::largest_first, Lives::largest_area_first, Lives::longest_first];
        let orders = looks_an_order.map_or(0, |looks_an_order| looks / looks_an_order.max(1) / starts.len());
        let of_start = move |start: fn(&Lives, &[i64]) -> Vec<usize>| improved(neighbours.unwrap_or_default(), sizes, start(self, sizes));
        starts.into_iter().flat_map(move |start| of_start(start).take(orders)).chain(std::iter::once_with(|| self.by_steps(sizes)))
    }

    fn largest_first(&self, sizes: &[i64]) -> Vec<usize> {
        self.by_least(|k| Reverse(sizes[k]))
    }

    fn largest_area_first(&self, sizes: &[i64]) -> Vec<usize> {
        self.by_least(|k| Reverse(i128::from(sizes[k]) * self.lives[k].steps() as i128))
    }

    fn longest_first(&self, sizes: &[i64]) -> Vec<usize> {
        self.by_least(|k| Reverse((self.lives[k].steps(), sizes[k])))
    }

    /// Places in the order of the steps, each in the smallest gap that is large enough: a rough plan in linearithmic time.
    fn by_steps(&self, sizes: &[i64]) -> Plan {
        let (mut gaps, mut ends) = (Gaps::default(), BinaryHeap::new());
        let mut offsets = vec![0; sizes.len()];
        for k in self.by_start().into_iter().filter(|k| sizes[*k] > 0) {
            while let Some((_, gone)) = ends.peek().copied().filter(|(Reverse(last), _)| *last < self.lives[k].first) {
                ends.pop();
                gaps.free(offsets[gone], sizes[gone]);
            }
            offsets[k] = gaps.take(sizes[k]);
            ends.push((Reverse(self.lives[k].last), k));
        }
        Plan { offsets, bytes: gaps.end }
    }
}

/// The plan of an order, and those of the orders that each plan leads to.
fn improved(neighbours: &[Vec<u32>], sizes: &[i64], mut order: Vec<usize>) -> impl Iterator<Item = Plan> {
    let mut room = Room { placed: vec![false; sizes.len()], taken: Vec::new() };
    std::iter::repeat_with(move || {
        let plan = room.place(neighbours, sizes, &order);
        let end = |k: usize| plan.offsets[k] + sizes[k];
        if let Some(at) = (0..order.len()).rev().max_by_key(|at| end(order[*at])) {
            order[..=at].rotate_right(1);
        }
        plan
    })
}

/// What placing needs beside the plan, kept from one order to the next.
struct Room {
    placed: Vec<bool>,
    taken: Vec<(i64, i64)>,
}

impl Room {
    /// Each buffer at the lowest offset that is free during its life.
    fn place(&mut self, neighbours: &[Vec<u32>], sizes: &[i64], order: &[usize]) -> Plan {
        self.placed.fill(false);
        let mut plan = Plan { offsets: vec![0; sizes.len()], bytes: 0 };
        for &k in order {
            self.taken.clear();
            let others = neighbours[k].iter().map(|other| *other as usize).filter(|other| self.placed[*other]);
            self.taken.extend(others.map(|other| (plan.offsets[other], plan.offsets[other] + sizes[other])));
            self.taken.sort_unstable();
            plan.offsets[k] = lowest_gap(&self.taken, sizes[k]);
            plan.bytes = plan.bytes.max(plan.offsets[k] + sizes[k]);
            self.placed[k] = true;
        }
        plan
    }
}

/// The lowest offset of that many bytes outside of spans that are sorted.
fn lowest_gap(taken: &[(i64, i64)], bytes: i64) -> i64 {
    let mut at = 0;
    for (start, end) in taken {
        if at + bytes <= *start {
            break;
        }
        at = at.max(*end);
    }
    at
}

/// Free spans below `end`; no two touch.
#[derive(Default)]
struct Gaps {
    by_start: BTreeMap<i64, i64>,
    by_length: BTreeSet<(i64, i64)>,
    end: i64,
}

impl Gaps {
    /// The start of that many bytes, free no longer.
    fn take(&mut self, bytes: i64) -> i64 {
        if let Some(&(length, start)) = self.by_length.range((bytes, 0)..).next() {
            self.remove(start, length);
            self.insert(start + bytes, length - bytes);
            return start;
        }
        // a gap at the top grows
        let start = match self.by_start.last_key_value().map(|(start, length)| (*start, *length)) {
            Some((start, length)) if start + length == self.end => {
                self.remove(start, length);
                start
            }
            _ => self.end,
        };
        self.end = start + bytes;
        start
    }

    fn free(&mut self, mut start: i64, mut length: i64) {
        if let Some((before, more)) =
            self.by_start.range(..start).next_back().map(|(at, more)| (*at, *more)).filter(|(at, more)| at + more == start)
        {
            self.remove(before, more);
            (start, length) = (before, length + more);
        }
        if let Some(more) = self.by_start.get(&(start + length)).copied() {
            self.remove(start + length, more);
            length += more;
        }
        self.insert(start, length);
    }

    fn insert(&mut self, start: i64, length: i64) {
        if length > 0 {
            self.by_start.insert(start, length);
            self.by_length.insert((length, start));
        }
    }

    fn remove(&mut self, start: i64, length: i64) {
        self.by_start.remove(&start);
        self.by_length.remove(&(length, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Life;
    use proptest::prelude::*;

    fn lives(spans: &[(usize, usize)]) -> Lives {
        Lives::new(spans.iter().map(|(first, last)| Life { first: *first, last: *last }).collect())
    }

    /// No two buffers that live at once overlap, and all end within the plan.
    fn check_apart(lives: &Lives, sizes: &[i64], plan: &Plan) {
        let spans: Vec<(i64, i64)> = plan.offsets.iter().zip(sizes).map(|(at, bytes)| (*at, at + bytes)).collect();
        for (k, (start, end)) in spans.iter().enumerate() {
            assert!(*start >= 0 && *end <= plan.bytes && start % 64 == 0);
            for (other, (from, to)) in spans.iter().enumerate().filter(|(other, _)| lives.lives[*other].overlaps(lives.lives[k])) {
                assert!(k == other || end <= from || to <= start, "{k} and {other} overlap: {plan:?}");
            }
        }
    }

    #[test]
    fn buffers_of_several_sizes_share_the_arena() {
        let lives = lives(&[(0, 1), (1, 1), (2, 3), (2, 3), (3, 4)]);
        let sizes = [256, 128, 64, 192, 256];
        let plan = lives.plan(&sizes, Effort::CALL).unwrap();
        check_apart(&lives, &sizes, &plan);
        assert_eq!(plan.bytes, 512);
    }

    /// The plan reaches the bytes that live at once.
    fn check_tight(spans: &[(usize, usize)], sizes: &[i64], effort: Effort) {
        let lives = lives(spans);
        let bound = live_bytes(&lives.lives, sizes).unwrap().into_iter().max().unwrap();
        let plan = lives.plan(sizes, effort).unwrap();
        check_apart(&lives, sizes, &plan);
        assert_eq!(plan.bytes, bound);
    }

    #[test]
    fn the_highest_moves_to_the_front_until_nothing_is_wasted() {
        // both largest first and largest area first leave a hole below the last
        let spans = [(0, 2), (2, 4), (1, 1), (3, 5), (5, 6), (6, 7)];
        check_tight(&spans, &[192, 128, 256, 192, 192, 192], Effort::ONCE);
    }

    #[test]
    fn the_longest_lived_leave_room_between_them() {
        // the second and the last never meet, and with the largest first both start at 0
        let spans = [(0, 10), (1, 6), (6, 12), (7, 18), (9, 24), (11, 30)];
        check_tight(&spans, &[576, 2432, 2432, 192, 640, 2432], Effort { waste: 0, ..Effort::CALL });
    }

    #[test]
    fn sums_that_overflow_give_no_plan() {
        let lives = lives(&[(0, 1), (0, 1)]);
        assert_eq!(lives.plan(&[1 << 62, 1 << 62], Effort::CALL), None);
        assert_eq!(lives.plan(&[-64, 64], Effort::CALL), None);
    }

    #[test]
    fn very_many_buffers_are_placed_by_steps() {
        let count = 20_000;
        let lives = Lives::new((0..count).map(|k| Life { first: k, last: count + k }).collect());
        let sizes: Vec<i64> = (0..count as i64).map(|k| 64 * (1 + k % 7)).collect();
        assert!(lives.neighbours.is_none());
        assert_eq!(lives.plan(&sizes, Effort::ONCE).unwrap().bytes, sizes.iter().sum::<i64>());
    }

    proptest! {
        #[test]
        fn nothing_overlaps(drawn in prop::collection::vec((0..9i64, 0..8usize, 0..5usize), 0..24)) {
            let spans: Vec<(usize, usize)> = drawn.iter().map(|(_, first, length)| (*first, first + length)).collect();
            let (lives, sizes) = (lives(&spans), drawn.iter().map(|(size, ..)| size * 64).collect::<Vec<_>>());
            for plan in [lives.plan(&sizes, Effort::CALL).unwrap(), lives.plan(&sizes, Effort::ONCE).unwrap(), lives.by_steps(&sizes)] {
                check_apart(&lives, &sizes, &plan);
            }
        }
    }
}
