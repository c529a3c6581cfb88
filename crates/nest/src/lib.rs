//! The Nest level: one structured computation on tensors, without op names or hardware.
//!
//! A [`Nest`] is a set of iterators, a scalar body that reads operands through index maps, and writes. For every point of the parallel
//! iterators the body is evaluated over all points of the reduction iterators; `Scalar::Reduce` folds those into one value.
//!
//! - [`func`]: the table of scalar functions
//! - [`nest`]: the types
//! - [`build`]: writing nests in code
//! - [`rewrite`]: substitution of iterators, inlining, pruning
//! - [`verify`]: the invariants N1..
//! - [`interp`]: the interpreter, in f64 and exact integers
//! - [`text`]: printing and parsing
//! - [`flops`]: how much there is to compute

pub mod build;
pub mod contraction;
pub mod flops;
pub mod func;
pub mod interp;
pub mod nest;
pub mod rewrite;
pub mod text;
pub mod verify;

pub use build::NestBuilder;
pub use contraction::{Contraction, contraction};
pub use func::Func;
pub use nest::{Index, Iter, IterKind, Monoid, Nest, Operand, Read, Scalar, ScalarId, ScalarOp, Write};
