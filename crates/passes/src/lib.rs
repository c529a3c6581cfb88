//! The Graph passes: pure functions from a graph to a graph that computes the same.
//!
//! Invariants of every pass: inputs and outputs keep their order, names and types; a value that stays the same tensor keeps its name; a new
//! node carries the locations of what it replaces; guards are never dropped. Regions are rewritten like graphs.
//!
//! - [`rewrite`], [`view`], [`names`]: rebuilding a graph under one rule, reading patterns out of it, naming its values
//! - one file for each pass of [`pipeline`], in its order
//! - [`check`]: whether two graphs compute the same
//! - [`sabotage`]: wrong graphs, to test the checks

pub mod batch_norm;
pub mod cse;
pub mod dce;
pub mod decompose;
pub mod fold;
pub mod names;
pub mod raise;
pub mod rewrite;
pub mod simplify;
pub mod view;

pub mod check;

#[cfg(test)]
mod testing;
