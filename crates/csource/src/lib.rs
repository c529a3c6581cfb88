//! The last level, for compilers that LLVM is no part of: a model's kernels and entry, and the functions around it, as one file in C11.
//!
//! What is printed means what the kernel interpreter does, bit for bit, and is defined for every operand value. A value of several lanes is
//! an array, and an op on it a loop over its lanes, which C compilers make vectors of. Indices are `uint64_t` and wrap.
//!
//! - [`text`]: lines and names; C's words for element types and constants
//! - [`index`]: index expressions
//! - [`live`]: which values count
//! - [`function`]: a kernel's frame, statements and control flow
//! - [`op`], [`convert`], [`memory`]: the ops
//! - [`library`]: the functions that ops call
//! - [`entry`]: the function that runs the kernels in order
//! - [`facade`]: the functions that callers see
//! - [`file`]: all of it, and bytes as an array

mod convert;
mod entry;
mod facade;
mod file;
mod function;
mod index;
mod library;
mod live;
mod memory;
mod op;
mod text;

pub use file::{Bytes, Origins, print_artefact};
