//! Threads for generated code: a job is a range of tasks, handed out in chunks to the caller and the workers.
//!
//! The caller is thread 0 and works like the others. It never waits for a worker that has not started: if no worker comes, it does all
//! tasks itself. `gate` is the fork and the join, `shares` says who does what, `place` keeps the workers off the caller's processor.
//!
//! Which thread runs a task is left to chance; a kernel whose result depends on the chunks is wrong.

mod gate;
mod place;
mod shares;

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::thread::{Builder, JoinHandle};

use crate::memory::{AlignedBuffer, MemoryError};
use gate::{Gate, JobNumber, MOST_WORKERS};
use place::Place;
use shares::{Apart, Shares};

/// A generated kernel: does tasks `begin` to `end` of those that `args` describes; 0 for success.
/// `scratch` is 64-byte aligned and belongs to the call; what it holds at first is undefined.
pub type KernelFn = unsafe extern "C" fn(args: *const u64, begin: i64, end: i64, scratch: *mut u8) -> i32;

/// What generated code calls to run `kernel` over tasks 0 to `tasks`. Each chunk starts at a multiple of `grain` and
/// has at least that many tasks, but for the last. Returns 0, the smallest non-zero result of a kernel,
/// [`SCRATCH_TOO_SMALL`] or [`POOL_BUSY`]; all tasks are done even where some fail.
pub type ParallelFor =
    unsafe extern "C" fn(pool: *const c_void, kernel: KernelFn, args: *const u64, tasks: i64, grain: i64, scratch_bytes: i64) -> i32;

/// No task was run: the kernel wants more scratch than was reserved. Kernels return other values.
pub const SCRATCH_TOO_SMALL: i32 = i32::MIN;

/// No task was run: the pool is at work, for another thread or for the kernel that asks. Kernels return other values.
pub const POOL_BUSY: i32 = i32::MIN + 1;

/// Scratch of different threads lies on different pages.
const SCRATCH_STEP: usize = 4096;

/// A fixed number of threads, and scratch for each. Dropping it ends the workers.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    scratch: AlignedBuffer,
    scratch_bytes: usize,
    busy: AtomicBool,
}

/// What caller and workers share. Invariant: the caller writes `job` only while the gate is shut and nobody is
/// inside; workers read it only inside.
#[derive(Debug)]
struct Shared {
    gate: Gate,
    shares: Shares,
    job: Apart<UnsafeCell<Job>>,
    failure: AtomicI64,
    /// The processor that the caller was on when the last job began.
    caller: AtomicI32,
}

// SAFETY: the invariant of `Shared` keeps writes of `job` apart from reads; the pointers in it are the kernel's.
unsafe impl Sync for Shared {}
unsafe impl Send for Shared {}

/// One call of `parallel_for`.
#[derive(Clone, Copy, Debug)]
struct Job {
    kernel: KernelFn,
    args: *const u64,
    tasks: i64,
    grain: i64,
    scratch: *mut u8,
    scratch_stride: usize,
}

/// No failure so far; above every result of a kernel.
const NO_FAILURE: i64 = i64::MAX;

impl Pool {
    /// A pool of `threads` threads, the caller among them, so `threads - 1` are started.
    pub fn new(threads: usize) -> io::Result<Pool> {
        let threads = threads.clamp(1, MOST_WORKERS);
        let shared = Arc::new(Shared::new(threads));
        let mut pool =
            Pool { shared, workers: Vec::new(), scratch: AlignedBuffer::empty(), scratch_bytes: 0, busy: AtomicBool::new(false) };
        for thread in 1..threads {
            let shared = pool.shared.clone();
            pool.workers.push(Builder::new().name(format!("inkle-{thread}")).spawn(move || shared.work(thread))?);
        }
        Ok(pool)
    }

    /// The number of threads, the caller's among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Sees to it that every thread has at least `bytes` of scratch.
    pub fn reserve_scratch(&mut self, bytes: usize) -> Result<(), MemoryError> {
        if bytes <= self.scratch_bytes {
            return Ok(());
        }
        let all = bytes.checked_next_multiple_of(SCRATCH_STEP).and_then(|stride| stride.checked_mul(self.threads()));
        self.scratch = AlignedBuffer::zeroed(all.unwrap_or(usize::MAX))?;
        self.scratch_bytes = bytes;
        Ok(())
    }

    /// What generated code passes as `pool`; valid as long as the pool lives and is not moved.
    pub fn handle(&self) -> *const c_void {
        std::ptr::from_ref(self).cast()
    }

    /// Runs a kernel as [`ParallelFor`] says.
    ///
    /// # Safety
    /// `kernel` may be called with `args` on any thread, for any split of the tasks, and with scratch of this size.
    pub unsafe fn parallel_for(&self, kernel: KernelFn, args: *const u64, tasks: i64, grain: i64, scratch_bytes: i64) -> i32 {
        if usize::try_from(scratch_bytes).is_ok_and(|bytes| bytes > self.scratch_bytes) {
            return SCRATCH_TOO_SMALL;
        }
        if self.busy.swap(true, Ordering::Acquire) {
            return POOL_BUSY;
        }
        let scratch_stride = self.scratch.len() / self.threads();
        let job = Job { kernel, args, tasks, grain, scratch: self.scratch.as_ptr().cast_mut(), scratch_stride }.with_grain();
        let result = self.run(job);
        self.busy.store(false, Ordering::Release);
        result
    }

    fn run(&self, job: Job) -> i32 {
        match job.units() {
            0 => 0,
            1 => job.run_tasks(0..job.tasks, 0),
            _ if self.workers.is_empty() => job.run_tasks(0..job.tasks, 0),
            units => self.shared.fork_join(job, units),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.gate.stop();
        for worker in self.workers.drain(..) {
            // A worker runs only generated code and cannot panic; there is nobody to tell if it did.
            let _ = worker.join();
        }
    }
}

/// The [`ParallelFor`] that generated code gets.
///
/// # Safety
/// `pool` comes from [`Pool::handle`] of a pool that lives at the same place still; the rest is as for
/// [`Pool::parallel_for`].
pub unsafe extern "C" fn parallel_for(
    pool: *const c_void,
    kernel: KernelFn,
    args: *const u64,
    tasks: i64,
    grain: i64,
    scratch_bytes: i64,
) -> i32 {
    // SAFETY: the caller answers for the pool and the kernel.
    unsafe { (*pool.cast::<Pool>()).parallel_for(kernel, args, tasks, grain, scratch_bytes) }
}

impl Shared {
    fn new(threads: usize) -> Shared {
        unsafe extern "C" fn nothing(_: *const u64, _: i64, _: i64, _: *mut u8) -> i32 {
            0
        }
        let scratch = std::ptr::null_mut();
        let job = Job { kernel: nothing, args: std::ptr::null(), tasks: 0, grain: 1, scratch, scratch_stride: 0 };
        Shared {
            gate: Gate::new(threads),
            shares: Shares::new(threads),
            job: Apart(UnsafeCell::new(job)),
            failure: AtomicI64::new(NO_FAILURE),
            caller: AtomicI32::new(-1),
        }
    }

    fn fork_join(&self, job: Job, units: u32) -> i32 {
        // SAFETY: the gate is shut and nobody is inside, since `busy` lets one caller in at a time.
        unsafe { *self.job.0.get() = job };
        self.failure.store(NO_FAILURE, Ordering::Relaxed);
        self.caller.store(place::processor(), Ordering::Relaxed);
        self.shares.deal(units);
        self.gate.open();
        self.take_part(job, 0);
        self.gate.shut();
        match self.failure.load(Ordering::Relaxed) {
            NO_FAILURE => 0,
            code => code as i32,
        }
    }

    fn work(&self, thread: usize) {
        let mut seen = JobNumber::NONE;
        let place = Place::new();
        while let Some(job) = self.gate.next_job(thread, seen) {
            seen = job;
            self.gate.wake_after(thread);
            place.keep_off(self.caller.load(Ordering::Relaxed));
            if let Some(_visitor) = self.gate.enter(job) {
                // SAFETY: this thread is inside until `_visitor` is dropped.
                self.take_part(unsafe { *self.job.0.get() }, thread);
            }
        }
    }

    /// Runs chunks until all are handed out.
    fn take_part(&self, job: Job, thread: usize) {
        while let Some(units) = self.shares.next(thread) {
            let code = job.run_tasks(job.tasks_of(units), thread);
            if code != 0 {
                self.failure.fetch_min(i64::from(code), Ordering::Relaxed);
            }
        }
    }
}

impl Job {
    /// The same job with a grain of at least 1, and so coarse that 32 bits count the units.
    fn with_grain(self) -> Job {
        let least = self.tasks.max(0) / i64::from(u32::MAX) + 1;
        let grain = self.grain.max(1);
        Job { grain: grain * ((least - 1) / grain + 1), ..self }
    }

    /// The number of units, each of `grain` tasks.
    fn units(&self) -> u32 {
        let tasks = self.tasks.max(0);
        (tasks / self.grain + i64::from(tasks % self.grain != 0)) as u32
    }

    fn tasks_of(&self, units: Range<u32>) -> Range<i64> {
        let end = i64::from(units.end).saturating_mul(self.grain);
        i64::from(units.start) * self.grain..end.min(self.tasks)
    }

    fn run_tasks(&self, tasks: Range<i64>, thread: usize) -> i32 {
        let scratch = self.scratch.wrapping_add(thread * self.scratch_stride);
        // SAFETY: whoever called `parallel_for` answers for the kernel and its arguments.
        unsafe { (self.kernel)(self.args, tasks.start, tasks.end, scratch) }
    }
}
