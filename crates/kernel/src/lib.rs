//! The Kernel level: explicit loops, buffers and vectors; no tensors, ops or shapes to infer.
//!
//! - [`kernel`]: the types
//! - [`bounds`]: proofs that accesses stay inside
//! - [`build`]: writing kernels in code
//! - [`verify`]: the invariants K1..
//! - [`text`]: printing and parsing
//! - [`interp`]: the interpreter, in the kernel's own arithmetic: bit for bit what the generated code computes
//! - [`schedule`]: the choices that turn a group of nests into one kernel
//! - [`space`]: all that could be chosen
//! - [`lower`]: group + schedule -> kernel, by templates
//! - [`interface`]: what a caller of a kernel must know
//! - [`module`]: what one executable holds: kernels and the entries that call them
//! - [`facade`]: how a program in C calls it

pub mod bounds;
pub mod build;
pub mod facade;
pub mod interface;
pub mod interp;
pub mod kernel;
pub mod lower;
pub mod module;
pub mod schedule;
pub mod space;
pub mod text;
pub mod verify;

pub use build::KernelBuilder;
pub use interface::Interface;
pub use kernel::{Binary, Buffer, BufferId, Carried, Compare, Cond, FINITE, Kernel, Op, Space, Stmt, Ty, Unary, ValueId};
