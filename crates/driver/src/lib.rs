//! The whole pipeline: from a model to code that runs.
//!
//! - [`plan`]: the program passes, in order

pub mod plan;
