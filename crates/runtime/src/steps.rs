//! Steps of the host, as generated code calls them.

use crate::image::Image;
use host::{Fault, HostCall, View, ViewMut};
use ir::{Code, Strings};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Runs a step of the host: its number, and its words, a pointer for each operand and result, then their dims. The result is 0, or
/// [`crate::entry::HOST_FAULT`].
pub type HostFn = unsafe extern "C" fn(host: *const c_void, call: u32, words: *const u64) -> i32;

/// The host of one call.
pub struct Steps<'a> {
    calls: &'a [HostCall],
    strings: &'a Strings,
    fault: Mutex<Option<Fault>>,
}

impl<'a> Steps<'a> {
    pub fn new(image: &'a Image, strings: &'a Strings) -> Steps<'a> {
        Steps { calls: &image.host_calls, strings, fault: Mutex::new(None) }
    }

    /// Why a step failed.
    pub fn fault(self) -> Option<Fault> {
        self.fault.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// # Safety
    /// The words are those of the call: its pointers lead to memory of its dims that nothing else uses meanwhile.
    unsafe fn run(&self, call: u32, words: *const u64) -> Result<(), Fault> {
        let broken = |why: &str| Fault::new(Code::Malformed, format!("step {call} of the host: {why}"));
        let call = self.calls.get(call as usize).ok_or_else(|| broken("there is none of this number"))?;
        // SAFETY: the caller has as many words as the call's tensors need.
        let words = unsafe { std::slice::from_raw_parts(words, call.words()) };
        let (pointers, dims) = words.split_at(call.operands.len() + call.results.len());
        let dims: Vec<usize> = dims.iter().map(|dim| usize::try_from(*dim)).collect::<Result<_, _>>().map_err(|_| broken("a size"))?;
        let mut rest = dims.as_slice();
        let (mut operands, mut results) = (Vec::new(), Vec::new());
        for (at, ((dtype, rank), pointer)) in call.tensors().zip(pointers).enumerate() {
            let (dims, behind) = rest.split_at(rank);
            rest = behind;
            let bytes = dims.iter().try_fold(dtype.size(), |bytes, dim| bytes.checked_mul(*dim)).ok_or_else(|| broken("a size"))?;
            let pointer = std::ptr::with_exposed_provenance_mut::<u8>(*pointer as usize);
            if at < call.operands.len() {
                // SAFETY: by the contract.
                operands.push(View { dtype, dims, bytes: unsafe { std::slice::from_raw_parts(pointer, bytes) } });
            } else {
                // SAFETY: by the contract; a result is no other tensor of the step.
                results.push(ViewMut { dtype, dims, bytes: unsafe { std::slice::from_raw_parts_mut(pointer, bytes) } });
            }
        }
        let panicked = |_| Err(Fault::new(Code::Malformed, format!("a panic in {}", call.op.name)));
        catch_unwind(AssertUnwindSafe(|| call.run(&operands, &mut results, self.strings))).unwrap_or_else(panicked)
    }
}

/// The [`HostFn`] of [`Steps`].
pub unsafe extern "C" fn host_step(host: *const c_void, call: u32, words: *const u64) -> i32 {
    // SAFETY: generated code passes on what the context holds, which lives as long as the call.
    let steps = unsafe { &*host.cast::<Steps>() };
    // SAFETY: the image's author answers for the words.
    match unsafe { steps.run(call, words) } {
        Ok(()) => 0,
        Err(fault) => {
            *steps.fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(fault);
            crate::entry::HOST_FAULT
        }
    }
}
