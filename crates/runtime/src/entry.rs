//! How generated entry functions are called, and what their results mean.

use crate::pool::{ParallelFor, Pool};
use crate::steps::{HostFn, Steps, host_step};
use std::ffi::c_void;

/// An entry function of an image: runs the steps of `main` or `prepare`; see [`Outcome`] for its result.
///
/// `inputs` and `outputs` point to one 64-byte aligned pointer for each tensor, `dims` to the symbols' values; `arena` is 64-byte aligned.
pub type EntryFn = unsafe extern "C" fn(
    context: *const Context,
    inputs: *const *const u8,
    outputs: *const *mut u8,
    dims: *mut i64,
    arena: *mut u8,
    parallel_for: ParallelFor,
) -> i32;

/// What all calls of an image share. Generated code reads the fields at these offsets: 8 bytes each, in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// One pointer for each constant; it need not be aligned.
    pub constants: *const *const u8,
    pub prepared: *mut u8,
    /// What `parallel_for` gets.
    pub pool: *const c_void,
    /// Scratch for kernels that an entry calls itself.
    pub scratch: *mut u8,
    /// The nanoseconds of each step, added up. Null where the image is not profiled.
    pub profile: *mut u64,
    /// Nanoseconds since some fixed moment.
    pub clock: extern "C" fn() -> u64,
    /// What `host_step` gets.
    pub host: *const c_void,
    pub host_step: HostFn,
}

/// The parallel-for of [`Pool`], under the name that entries know it by.
pub const PARALLEL_FOR: ParallelFor = crate::pool::parallel_for;

/// What an entry's result says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A check of a step failed: an index read from data was outside. `check` counts from 0.
    Check {
        step: usize,
        check: usize,
    },
    /// A value of a step is not finite, though it is to be.
    NotFinite {
        step: usize,
    },
    /// A step of the host failed.
    Host {
        step: usize,
    },
    /// A guard does not hold.
    Guard(usize),
    /// The size in this word of `dims` is outside of its bounds, or beyond the memory.
    Size(usize),
    /// A code that no correct program returns.
    Broken(i32),
}

/// Guards have the codes from -1 to this, sizes those below.
const SIZES: i32 = -(1 << 16);

/// A failed check's code is `(step + 1) * STEP + check + 1`; checks from `FINITE` on are of values that are to be finite.
const STEP: i32 = 1 << 16;
const FINITE: i32 = 1 << 15;

/// The last of them all is a failed step of the host.
pub const HOST_FAULT: i32 = STEP - 1;

impl Outcome {
    pub fn of(code: i32) -> Outcome {
        match code {
            0 => Outcome::Done,
            crate::pool::SCRATCH_TOO_SMALL | crate::pool::POOL_BUSY => Outcome::Broken(code),
            SIZES..0 => Outcome::Guard((-(code + 1)) as usize),
            ..SIZES if code >= 2 * SIZES => Outcome::Size((SIZES - 1 - code) as usize),
            ..SIZES => Outcome::Broken(code),
            _ => match (code / STEP, code % STEP) {
                (1.., HOST_FAULT) => Outcome::Host { step: (code / STEP - 1) as usize },
                (1.., 1..) if code % STEP > FINITE => Outcome::NotFinite { step: (code / STEP - 1) as usize },
                (1.., 1..) => Outcome::Check { step: (code / STEP - 1) as usize, check: (code % STEP - 1) as usize },
                _ => Outcome::Broken(code),
            },
        }
    }
}

impl Context {
    pub fn new(
        constants: &[*const u8],
        prepared: *mut u8,
        pool: &Pool,
        scratch: *mut u8,
        profile: Option<&mut [u64]>,
        steps: &Steps,
    ) -> Context {
        let profile = profile.map_or(std::ptr::null_mut(), <[u64]>::as_mut_ptr);
        Context {
            constants: constants.as_ptr(),
            prepared,
            pool: pool.handle(),
            scratch,
            profile,
            clock: nanoseconds,
            host: std::ptr::from_ref(steps).cast(),
            host_step,
        }
    }
}

/// The system's monotonic clock.
pub extern "C" fn nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `now` and nothing else; it can't fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn results_are_told_apart() {
        assert_eq!(Outcome::of(0), Outcome::Done);
        assert_eq!(Outcome::of(3 * 65536 + 5), Outcome::Check { step: 2, check: 4 });
        assert_eq!(Outcome::of(3 * 65536 + 32768), Outcome::Check { step: 2, check: 32767 });
        assert_eq!(Outcome::of(3 * 65536 + 32769), Outcome::NotFinite { step: 2 });
        assert_eq!(Outcome::of(3 * 65536 + 65535), Outcome::Host { step: 2 });
        assert_eq!(Outcome::of(-1), Outcome::Guard(0));
        assert_eq!(Outcome::of(-8), Outcome::Guard(7));
        assert_eq!(
            [-65536, -65537, -65540, -131072].map(Outcome::of),
            [Outcome::Guard(65535), Outcome::Size(0), Outcome::Size(3), Outcome::Size(65535)]
        );
        for code in [1, 65535, 65536, i32::MIN, i32::MIN + 1] {
            assert_eq!(Outcome::of(code), Outcome::Broken(code));
        }
    }

    #[test]
    fn context_lies_as_generated_code_reads_it() {
        let offsets = [
            offset_of!(Context, constants),
            offset_of!(Context, prepared),
            offset_of!(Context, pool),
            offset_of!(Context, scratch),
            offset_of!(Context, profile),
            offset_of!(Context, clock),
            offset_of!(Context, host),
            offset_of!(Context, host_step),
        ];
        assert_eq!(offsets, [0, 8, 16, 24, 32, 40, 48, 56]);
    }
}
