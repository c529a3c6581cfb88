//! The Graph passes: pure functions from a graph to a graph that computes the same, and the list of them, [`pipeline`].
//!
//! Invariants of every pass: inputs and outputs keep their order, names and types; a value that stays the same tensor keeps its name; a new
//! node carries the locations of what it replaces; guards are never dropped; nothing dead is left. Regions are rewritten like graphs.
//!
//! - [`pipeline`]: the passes in order
//! - [`dce`], [`cse`], [`quantize`], [`fold`], [`simplify`], [`raise`], [`batch_norm`], [`decompose`], [`transpose`]: one file a pass
//! - [`rewrite`], [`view`], [`names`]: rebuilding a graph under one rule, reading patterns out of it, naming its values
//! - [`check`]: whether two graphs compute the same
//! - [`sabotage`]: wrong graphs, to test the checks

pub mod pipeline;

pub mod batch_norm;
pub mod cse;
pub mod dce;
pub mod decompose;
pub mod fold;
pub mod quantize;
pub mod raise;
pub mod simplify;
pub mod transpose;

pub mod names;
pub mod rewrite;
pub mod view;

pub mod check;
pub mod sabotage;

#[cfg(test)]
mod random;
#[cfg(test)]
mod testing;

pub use check::{executes_equally, executes_within};
pub use pipeline::{Pass, pipeline, run};
pub use sabotage::sabotage;
