//! Who does which units of a job: each thread owns one contiguous share, and helps the others when it is through.
//!
//! The owner takes chunks from the front of its share, a quarter of what is left at a time: it walks memory in order,
//! and chunks get finer towards the end. A thread without work takes the back half of the largest share and owns
//! that from then on. Every unit is handed out exactly once.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value on cache lines of its own (two, since lines are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

/// The units not yet handed out, one range for each thread.
#[derive(Debug)]
pub struct Shares {
    // Begin in the high half, end in the low half. All orderings are relaxed: within a job a word never takes the
    // same non-empty value twice, and what the units read and write is ordered by the gate.
    ranges: Box<[Apart<AtomicU64>]>,
}

/// The owner takes the remaining units divided by this.
const CHUNK_DIVISOR: u32 = 4;

impl Shares {
    /// Empty shares for `threads` threads.
    pub fn new(threads: usize) -> Shares {
        Shares { ranges: (0..threads).map(|_| Apart::default()).collect() }
    }

    /// Deals units 0 to `units` in order. No thread may be taking units meanwhile.
    pub fn deal(&self, units: u32) {
        let bound = |thread: usize| (u64::from(units) * thread as u64 / self.ranges.len() as u64) as u32;
        for (thread, range) in self.ranges.iter().enumerate() {
            range.0.store(packed(bound(thread)..bound(thread + 1)), Ordering::Relaxed);
        }
    }

    /// The next chunk for `thread`, never empty; `None` when all units are handed out.
    pub fn next(&self, thread: usize) -> Option<Range<u32>> {
        self.front(thread).or_else(|| self.stolen(thread))
    }

    fn front(&self, thread: usize) -> Option<Range<u32>> {
        self.cut(thread, |range| range.start + (range.len() as u32 / CHUNK_DIVISOR).max(1), Side::Front)
    }

    /// Moves half of the largest share to `thread`, whose own is empty, and takes the first chunk of it.
    fn stolen(&self, thread: usize) -> Option<Range<u32>> {
        while let Some(victim) = self.largest() {
            if let Some(loot) = self.cut(victim, |range| range.start + range.len() as u32 / 2, Side::Back) {
                let chunk = loot.start..loot.start + (loot.len() as u32 / CHUNK_DIVISOR).max(1);
                self.ranges[thread].0.store(packed(chunk.end..loot.end), Ordering::Relaxed);
                return Some(chunk);
            }
        }
        None
    }

    /// The thread with most units left.
    fn largest(&self) -> Option<usize> {
        let left = |thread: usize| unpacked(self.ranges[thread].0.load(Ordering::Relaxed)).len();
        (0..self.ranges.len()).map(|thread| (left(thread), thread)).filter(|&(left, _)| left > 0).max().map(|(_, thread)| thread)
    }

    /// Cuts the share of `owner` at `point` and takes one side; `None` when the share is empty.
    fn cut(&self, owner: usize, point: impl Fn(&Range<u32>) -> u32, side: Side) -> Option<Range<u32>> {
        let split = |word: u64| {
            let range = unpacked(word);
            let (front, back) = (range.start..point(&range), point(&range)..range.end);
            match side {
                Side::Front => (front, back),
                Side::Back => (back, front),
            }
        };
        let keep = |word: u64| (!unpacked(word).is_empty()).then(|| packed(split(word).1));
        self.ranges[owner].0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep).ok().map(|word| split(word).0)
    }
}

/// The side of a cut that is taken.
#[derive(Clone, Copy)]
enum Side {
    Front,
    Back,
}

fn packed(range: Range<u32>) -> u64 {
    u64::from(range.start) << 32 | u64::from(range.end)
}

fn unpacked(word: u64) -> Range<u32> {
    (word >> 32) as u32..word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chunks of `order`, thread by thread, as text.
    fn chunks(units: u32, threads: usize, order: &[usize]) -> String {
        let shares = Shares::new(threads);
        shares.deal(units);
        let chunk = |&thread: &usize| shares.next(thread).map_or("-".into(), |chunk| format!("{}..{}", chunk.start, chunk.end));
        order.iter().map(chunk).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn owners_walk_their_shares_in_finer_chunks() {
        assert_eq!(chunks(32, 2, &[0, 0, 0, 0, 0]), "0..4 4..7 7..9 9..10 10..11");
        assert_eq!(chunks(3, 2, &[0, 1, 1, 0]), "0..1 1..2 2..3 -");
    }

    #[test]
    fn idle_thread_takes_the_back_half() {
        assert_eq!(chunks(9, 2, &[0, 0, 0, 0, 0, 0, 1, 1, 1]), "0..1 1..2 2..3 3..4 6..7 7..8 4..5 5..6 8..9");
    }

    #[test]
    fn one_thread_gets_everything_and_others_nothing() {
        assert_eq!(chunks(2, 4, &[3, 3, 3, 0]), "1..2 0..1 - -");
        assert_eq!(chunks(0, 3, &[0, 1, 2]), "- - -");
    }

    #[test]
    fn largest_number_of_units_is_handed_out() {
        let shares = Shares::new(3);
        shares.deal(u32::MAX);
        let handed: u64 = std::iter::from_fn(|| shares.next(1)).map(|chunk| chunk.len() as u64).sum();
        assert_eq!(handed, u64::from(u32::MAX));
    }
}
