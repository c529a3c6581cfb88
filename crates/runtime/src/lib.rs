//! What compiled models need while they run: memory and code, and later threads.

mod mapping;

mod memory;

mod load;

pub use load::{Code, LoadError};
pub use memory::{ALIGNMENT, AlignedBuffer, HUGE_PAGE, MemoryError};
