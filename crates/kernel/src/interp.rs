//! The interpreter: runs kernels in their own arithmetic, bit for bit what the generated code computes, except for the bits of a NaN.
//!
//! Every access is checked. Scratch holds garbage at the start of each task, so that a read of what nothing wrote shows. A kernel is
//! compiled once to a compact form in which one instruction works on all lanes of a value.
//!
//! - [`index`]: indices as linear forms
//! - [`lanes`], [`dot`], [`convert`], [`round`]: arithmetic on lanes
//! - [`code`], [`compile`]: the compact form
//! - [`memory`]: buffers and checked accesses
//! - [`machine`]: running it

mod code;
mod compile;
mod convert;
mod dot;
mod index;
mod lanes;
mod machine;
mod memory;
mod round;
#[cfg(test)]
mod tests;

use crate::kernel::Kernel;
use crate::verify::verify;
use machine::{Machine, Stop};
pub use memory::Memory;

/// Runs the tasks `begin..end`. `buffers` are the parameters in order, little-endian elements; `sizes` stand in the order of
/// [`Kernel::sizes`]. The result is the kernel's code: 0, or `1 + site` of the first failed check. Err is a fault of the kernel or of
/// the call: an access outside its buffer, a malformed kernel, a buffer that is too short.
pub fn run(kernel: &Kernel, buffers: &mut [Vec<u8>], sizes: &[i64], begin: i64, end: i64) -> Result<i32, String> {
    let buffers = buffers.iter_mut().map(|bytes| Memory::Write(bytes)).collect();
    Compiled::new(kernel)?.run(buffers, sizes, begin, end)
}

/// A kernel ready to be run many times, with any sizes.
pub struct Compiled {
    name: String,
    code: code::Code,
}

impl Compiled {
    /// Err says what is wrong with the kernel.
    pub fn new(kernel: &Kernel) -> Result<Compiled, String> {
        if let Some(fault) = verify(kernel).first() {
            return Err(format!("kernel {}: {fault}", kernel.name));
        }
        let code = compile::compile(kernel).map_err(|why| format!("kernel {}: {why}", kernel.name))?;
        Ok(Compiled { name: kernel.name.clone(), code })
    }

    /// As [`run`]. All state is of this call.
    pub fn run(&self, buffers: Vec<Memory>, sizes: &[i64], begin: i64, end: i64) -> Result<i32, String> {
        self.run_tasks(buffers, sizes, begin, end).map_err(|why| format!("kernel {}: {why}", self.name))
    }

    fn run_tasks(&self, buffers: Vec<Memory>, sizes: &[i64], begin: i64, end: i64) -> Result<i32, String> {
        let mut machine = Machine::new(&self.code, buffers, sizes)?;
        let tasks = machine.tasks()?;
        if begin < 0 || end > tasks {
            return Err(format!("tasks {begin}..{end} are not in 0..{tasks}"));
        }
        for task in begin..end {
            match machine.task(task) {
                Ok(()) => {}
                Err(Stop::Code(code)) => return Ok(code),
                Err(Stop::Fault(why)) => return Err(format!("task {task}: {why}")),
            }
        }
        Ok(0)
    }
}
