//! Which buffers live at once.

use std::cmp::Reverse;

/// The first and the last step at which a buffer is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub first: usize,
    pub last: usize,
}

impl Life {
    pub fn steps(self) -> usize {
        self.last - self.first + 1
    }

    pub fn overlaps(self, other: Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The bytes that are live at each step. None where a size is negative or their sum overflows.
pub fn live_bytes(lives: &[Life], sizes: &[i64]) -> Option<Vec<i64>> {
    sizes.iter().try_fold(0i64, |sum, bytes| sum.checked_add(*bytes).filter(|_| *bytes >= 0))?;
    let mut changes = vec![0; lives.iter().map(|life| life.last + 2).max().unwrap_or(0)];
    for (life, bytes) in lives.iter().zip(sizes) {
        changes[life.first] += bytes;
        changes[life.last + 1] -= bytes;
    }
    changes.pop();
    let mut live = 0;
    changes.iter_mut().for_each(|change| {
        live += *change;
        *change = live;
    });
    Some(changes)
}

/// The lives of some buffers.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    pub(crate) lives: Vec<Life>,
    /// The others that each buffer lives with; None where there are more than [`MOST_PAIRS`].
    pub(crate) neighbours: Option<Vec<Vec<u32>>>,
}

/// Pairs of buffers that live at once, up to which they are searched for good places.
const MOST_PAIRS: usize = 1 << 20;

impl Lives {
    pub fn new(lives: Vec<Life>) -> Lives {
        let lives = Lives { lives, neighbours: None };
        Lives { neighbours: lives.find_neighbours(), ..lives }
    }

    /// The buffers by some key, equal ones as they stand.
    pub(crate) fn by_least<K: Ord>(&self, key: impl Fn(usize) -> K) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lives.len()).collect();
        order.sort_by_key(|k| key(*k));
        order
    }

    /// The buffers by first step; of those that start together the longest lived first.
    pub(crate) fn by_start(&self) -> Vec<usize> {
        self.by_least(|k| (self.lives[k].first, Reverse(self.lives[k].last)))
    }

    fn find_neighbours(&self) -> Option<Vec<Vec<u32>>> {
        let (mut neighbours, mut alive, mut pairs) = (vec![Vec::new(); self.lives.len()], Vec::new(), 0);
        for k in self.by_start() {
            alive.retain(|other: &usize| self.lives[*other].last >= self.lives[k].first);
            pairs += alive.len();
            if pairs > MOST_PAIRS {
                return None;
            }
            for other in &alive {
                neighbours[*other].push(k as u32);
                neighbours[k].push(*other as u32);
            }
            alive.push(k);
        }
        Some(neighbours)
    }
}
