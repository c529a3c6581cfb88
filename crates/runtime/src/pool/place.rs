//! Keeps a worker off the processor of its caller.
//!
//! Schedulers that look for warm caches, or that pack what seems idle onto few processors, may wake a worker where its caller is at work.
//! There it waits until the caller's job is over, and comes too late for every job. So a worker that finds itself beside its caller moves,
//! and does not come back.

use std::mem::{size_of, zeroed};

/// Where a worker may run.
pub struct Place {
    /// The processors that its process was given.
    allowed: Option<libc::cpu_set_t>,
}

impl Place {
    /// Of the thread that asks.
    pub fn new() -> Place {
        // SAFETY: a set of processors is plain bits, and the call writes to nothing else.
        let allowed = unsafe {
            let mut set: libc::cpu_set_t = zeroed();
            (libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) == 0).then_some(set)
        };
        Place { allowed }
    }

    /// Moves the thread off this processor, if it is there.
    pub fn keep_off(&self, caller: i32) {
        if caller >= 0 && processor() == caller {
            self.avoid(caller as usize);
        }
    }

    fn avoid(&self, processor: usize) {
        let Some(mut set) = self.allowed.filter(|_| processor < libc::CPU_SETSIZE as usize) else { return };
        // SAFETY: the number is inside the set; the calls only read it. Where they fail, the worker stays where it is.
        unsafe {
            libc::CPU_CLR(processor, &mut set);
            if libc::CPU_COUNT(&set) > 0 {
                libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
            }
        }
    }
}

/// The number of the processor that runs this thread; -1 where that is not known.
pub fn processor() -> i32 {
    // SAFETY: the call takes no memory.
    unsafe { libc::sched_getcpu() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_leaves_its_caller() {
        let place = Place::new();
        // SAFETY: the call only reads the set.
        let count = |place: &Place| place.allowed.map_or(0, |set| unsafe { libc::CPU_COUNT(&set) });
        let (before, caller) = (count(&place), processor());
        place.keep_off(caller);
        // it may have been moved in between, and then has nothing to leave
        let after = count(&Place::new());
        assert!(after == before || after + 1 == before && processor() != caller, "{after} of {before}");
        place.keep_off(-1);
    }
}
