//! Places for buffers that share one memory: no two that live at once overlap.
//!
//! - [`life`]: which buffers live at once, and how many bytes
//! - [`place`]: offsets at known sizes
//! - [`arena`]: sizes as expressions, placed anew for each assignment
//! - [`stack`]: a formula of the places for all assignments

pub mod arena;
pub mod life;
pub mod place;
pub mod stack;

pub use arena::{Arena, Tenant};
pub use life::{Life, Lives, live_bytes};
pub use place::{Effort, Plan};
pub use stack::Stack;
