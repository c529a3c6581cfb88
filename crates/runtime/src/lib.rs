//! What compiled models need while they run: memory, code and threads; and the compiled model itself.
//!
//! - `memory`: aligned buffers, over pages from the system
//! - `load`: objects become code in this process
//! - `pool`: threads, and the parallel-for of generated code
//! - [`entry`]: how generated entry functions are called
//! - `steps`: the steps of the host
//! - `image`: a compiled model as data
//! - `bind`: from the dims of inputs to sizes
//! - `tensors`, `frame`: the memory of a call
//! - `executable`: a model that can be called
//!
//! No module reads the environment or keeps state of its own; the caller owns each buffer, each piece of code and
//! each pool.

mod mapping;

mod memory;

mod load;

mod pool;

pub mod entry;

mod float_mode;

mod steps;

mod error;

mod image;

mod bind;

mod tensors;

mod frame;

mod executable;

pub use error::RunError;
pub use executable::{Executable, StepTime};
pub use image::Image;
pub use load::{Code, LoadError};
pub use memory::{ALIGNMENT, AlignedBuffer, HUGE_PAGE, MemoryError};
pub use pool::{KernelFn, POOL_BUSY, ParallelFor, Pool, SCRATCH_TOO_SMALL, parallel_for};
pub use tensors::{InputRef, OutputMut};
