//! The Program level: ordered steps of nests over buffers; no op names, no loops.
//!
//! - [`program`]: the types
//! - [`layout`]: how a buffer's elements lie in memory
//! - [`verify`]: the invariants P1..
//! - [`text`]: printing and parsing
//! - [`interp`]: the interpreter, on logical arrays
//! - [`lower`]: graph -> program
//! - [`work`]: steps under rewriting
//! - [`fuse`]: which nests become one kernel
//! - [`rows`]: row-wise groups
//! - [`invariant`]: what is computed once, in front of a loop
//! - [`prepare`]: what is computed once, before the first call
//! - [`precision`]: products of bf16
//! - [`winograd`]: 3x3 convolutions by fewer multiplications
//! - [`layouts`]: innermost dims and halos
//! - [`pack`]: panels for contractions
//! - [`memory`]: the memory plan
//! - [`physical`]: a group with its layouts applied: what a kernel is made from
//! - [`traffic`]: how much memory it touches

pub mod fuse;
pub mod interp;
pub mod invariant;
pub mod layout;
pub mod layouts;
pub mod lower;
pub mod memory;
pub mod pack;
pub mod physical;
pub mod precision;
pub mod prepare;
pub mod program;
pub mod rows;
pub mod text;
pub mod traffic;
pub mod verify;
pub mod winograd;
pub mod work;

pub use layout::{Axis, Layout};
pub use physical::{PhysicalBuffer, PhysicalGroup, PhysicalRole, PhysicalStage};
pub use program::{Buffer, BufferId, Group, HostStep, Loop, Program, Role, Stage, Step, Times};
