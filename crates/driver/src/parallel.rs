//! Work on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Stack of a thread: expressions of large nests nest deeply.
const STACK_BYTES: usize = 16 << 20;

/// `work` of each item, in the order of the items, on `threads` threads (at least one).
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let some = || {
        while let Some((item, result)) = items.iter().zip(&results).nth(next.fetch_add(1, Ordering::Relaxed)) {
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(item));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            // a thread that cannot start is no loss: the others take its share
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, some);
        }
        some();
    });
    results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn order_stays() {
        let items: Vec<u64> = (0..1000).collect();
        for threads in [1, 4] {
            assert_eq!(map(&items, threads, |item| item * item), items.iter().map(|item| item * item).collect::<Vec<_>>());
        }
        assert!(map(&[0u64; 0], 3, |item| *item).is_empty());
    }
}
