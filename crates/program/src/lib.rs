//! The Program level: ordered steps of nests over buffers; no op names, no loops.
//!
//! - [`program`]: the types
//! - [`layout`]: how a buffer's elements lie in memory
//! - [`physical`]: a group with its layouts applied: what a kernel is made from

pub mod layout;
pub mod physical;
pub mod program;

pub use layout::{Axis, Layout};
pub use physical::{PhysicalBuffer, PhysicalGroup, PhysicalRole, PhysicalStage};
pub use program::{Buffer, BufferId, Group, Program, Role, Stage, Step};
