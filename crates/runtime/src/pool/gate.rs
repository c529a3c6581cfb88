//! Lets workers into a job while it is open, and tells the caller when all that went in have come out.
//!
//! One word holds the number of the job, whether it is open, and how many workers are inside. A worker goes in by
//! raising the count in the same exchange that sees the job open; the caller first shuts the gate and then waits for
//! the count to fall to zero. So the caller waits only for workers that went in, and a late worker finds the gate
//! shut and touches nothing of the job. Waiting workers spin, then yield, then park.

use std::hint::spin_loop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};

use super::shares::Apart;

/// How often a waiting thread looks again with a pause between: about 50 microseconds.
const SPINS: u32 = 1500;

/// How often a worker then gives way to other threads before it parks.
const YIELDS: u32 = 50;

/// After so many looks a worker parks.
const PATIENCE: u32 = SPINS + YIELDS;

const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const STOP: u64 = 1 << 17;
const JOB_SHIFT: u32 = 32;

/// The most workers a gate can count.
pub const MOST_WORKERS: usize = INSIDE as usize;

/// The number of a job, counted from one; it wraps, which at worst lets a worker sleep through a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobNumber(u32);

/// The gate between the caller, thread 0, and the workers.
#[derive(Debug)]
pub struct Gate {
    word: Apart<AtomicU64>,
    seats: Box<[Apart<Seat>]>,
}

/// Where one thread parks. Invariant: `thread` is set before `parked` first is.
#[derive(Debug, Default)]
struct Seat {
    parked: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Gate {
    /// A shut gate for `threads` threads, the caller included.
    pub fn new(threads: usize) -> Gate {
        Gate { word: Apart::default(), seats: (0..threads).map(|_| Apart::default()).collect() }
    }

    /// Opens the gate for a new job; what the caller wrote before is seen by every worker that goes in.
    /// The gate must be shut and nobody inside.
    pub fn open(&self) {
        let job = job_of(self.word.0.load(Ordering::Relaxed)).0.wrapping_add(1);
        // Sequentially consistent, as is `park`: either the worker sees the job or this thread sees it parked.
        self.word.0.store(u64::from(job) << JOB_SHIFT | OPEN, Ordering::SeqCst);
        self.wake_after(0);
    }

    /// Shuts the gate and waits until nobody is inside; what the workers wrote is then seen here.
    pub fn shut(&self) {
        let mut word = self.word.0.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while word & INSIDE != 0 {
            looks += 1;
            if looks < SPINS {
                spin_loop()
            } else {
                thread::yield_now()
            }
            word = self.word.0.load(Ordering::Acquire);
        }
    }

    /// Sends all workers home, for good.
    pub fn stop(&self) {
        self.word.0.fetch_or(STOP, Ordering::SeqCst);
        (1..self.seats.len()).for_each(|thread| self.wake(thread));
    }

    /// Waits for a job other than `seen`; `None` when the gate is stopped. The job may be over by the time it returns.
    pub fn next_job(&self, thread: usize, seen: JobNumber) -> Option<JobNumber> {
        let mut looks = 0;
        loop {
            let word = self.word.0.load(Ordering::Acquire);
            if word & STOP != 0 {
                return None;
            }
            if job_of(word) != seen {
                return Some(job_of(word));
            }
            match looks {
                ..SPINS => spin_loop(),
                SPINS..PATIENCE => thread::yield_now(),
                PATIENCE.. => self.park(thread, seen),
            }
            looks = looks.saturating_add(1);
        }
    }

    /// Goes in if `job` is still open; the visitor is inside until it is dropped.
    pub fn enter(&self, job: JobNumber) -> Option<Visitor<'_>> {
        let inside = |word: u64| (word & OPEN != 0 && job_of(word) == job).then_some(word + 1);
        self.word.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, inside).ok().map(|_| Visitor(self))
    }

    /// Wakes the two workers that `thread` answers for, if they are parked: so many wake in few steps.
    pub fn wake_after(&self, thread: usize) {
        let last = self.seats.len() - 1;
        (2 * thread + 1..=(2 * thread + 2).min(last)).for_each(|thread| self.wake(thread));
    }

    fn wake(&self, thread: usize) {
        let seat = &self.seats[thread].0;
        if let (true, Some(handle)) = (seat.parked.load(Ordering::SeqCst), seat.thread.get()) {
            handle.unpark();
        }
    }

    fn park(&self, thread: usize, seen: JobNumber) {
        let seat = &self.seats[thread].0;
        seat.thread.get_or_init(thread::current);
        seat.parked.store(true, Ordering::SeqCst);
        let word = self.word.0.load(Ordering::SeqCst);
        if word & STOP == 0 && job_of(word) == seen {
            thread::park();
        }
        seat.parked.store(false, Ordering::Relaxed);
    }
}

impl JobNumber {
    /// Before the first job.
    pub const NONE: JobNumber = JobNumber(0);
}

/// A worker inside the gate.
#[derive(Debug)]
pub struct Visitor<'a>(&'a Gate);

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        self.0.word.0.fetch_sub(1, Ordering::Release);
    }
}

fn job_of(word: u64) -> JobNumber {
    JobNumber((word >> JOB_SHIFT) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_job_lets_in() {
        let gate = Gate::new(2);
        gate.open();
        let first = gate.next_job(1, JobNumber::NONE).unwrap();
        assert!(gate.enter(first).is_some());
        gate.shut();
        assert!(gate.enter(first).is_none());
        gate.open();
        assert!(gate.enter(first).is_none());
        assert!(gate.enter(gate.next_job(1, first).unwrap()).is_some());
    }

    #[test]
    fn shutting_waits_for_those_inside() {
        let gate = Gate::new(2);
        let written = AtomicBool::new(false);
        gate.open();
        let visitor = gate.enter(gate.next_job(1, JobNumber::NONE).unwrap()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(std::time::Duration::from_millis(5));
                written.store(true, Ordering::Relaxed);
                drop(visitor);
            });
            gate.shut();
            assert!(written.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn parked_worker_wakes_for_a_job_and_for_the_stop() {
        let gate = Gate::new(2);
        let parked = || {
            while !gate.seats[1].0.parked.load(Ordering::SeqCst) {
                thread::yield_now()
            }
        };
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let job = gate.next_job(1, JobNumber::NONE).unwrap();
                (job, gate.next_job(1, job))
            });
            parked();
            gate.open();
            gate.shut();
            while gate.seats[1].0.parked.load(Ordering::SeqCst) {
                thread::yield_now()
            }
            parked();
            gate.stop();
            assert_eq!(worker.join().unwrap(), (JobNumber(1), None));
        });
    }
}
