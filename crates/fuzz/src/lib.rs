//! Random models: valid ONNX models drawn from a seed, checked end to end against the reference meanings of the ops, and made smaller
//! where they fail.
//!
//! The same seed gives the same model and the same inputs on every machine.
//!
//! - [`interval`]: what is known of the numbers in a tensor
//! - [`draft`]: a model under construction
//! - [`generator`]: a draft with its values, and how operands are found
//! - [`family`]: what is added to a model in one step, one file a kind of operator
//! - [`model`]: from a seed to a whole model; what the model says of its own inputs
//! - [`inputs`]: the inputs of a call
//! - [`reference`]: what a model should compute, and how far off that a result may be
//! - [`check`]: whether a model computes what it should
//! - [`native`]: compiled models against the reference
//! - [`levels`]: the levels of a compiled model by themselves
//! - [`quiet`]: panics as values
//! - [`shrink`]: smaller models that fail alike
//! - [`dump`]: a model with inputs and outputs as files
//! - [`damage`], [`loader`]: inputs that are no valid models

pub mod check;
pub mod damage;
pub mod draft;
pub mod dump;
pub mod family;
pub mod generator;
pub mod inputs;
pub mod interval;
pub mod levels;
pub mod loader;
pub mod model;
pub mod native;
pub mod quiet;
pub mod reference;
pub mod shrink;

pub use check::{Check, Failure, Kind, Outcome, check_model};
pub use model::generate;
