//! What compiled models need while they run: memory, code and threads.
//!
//! No module reads the environment or keeps state of its own; the caller owns each buffer, each piece of code and
//! each pool.

mod mapping;

mod memory;

mod load;

mod pool;

pub use load::{Code, LoadError};
pub use memory::{ALIGNMENT, AlignedBuffer, HUGE_PAGE, MemoryError};
pub use pool::{KernelFn, POOL_BUSY, ParallelFor, Pool, SCRATCH_TOO_SMALL, parallel_for};
