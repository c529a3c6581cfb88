//! From a group of nests and its schedule to one kernel.
//!
//! - [`point`]: where a body is evaluated: the value of every iterator, in one lane or many
//! - [`access`]: addresses, guards, loads and stores at a point
//! - [`scalars`]: the values of a body at a point
//! - [`contract`]: the template of matrix products and convolutions
//! - [`contract_match`]: what it serves
//! - [`contract_schedule`]: its choices
//! - [`contract_space`]: all of them
//! - [`rows`]: the generic template
//! - [`rows_schedule`]: its choices
//! - [`rows_choice`], [`rows_cost`]: their default
//! - [`rows_space`]: all of them
//! - [`general`]: sizes as parameters
//! - [`template`]: the template that a schedule asks for
//! - [`math`]: scalar functions as ops of a kernel

pub mod access;
pub mod contract;
pub mod contract_match;
pub mod contract_schedule;
pub mod contract_space;
pub mod general;
pub mod math;
pub mod point;
pub mod rows;
pub mod rows_choice;
pub mod rows_cost;
pub mod rows_schedule;
pub mod rows_space;
pub mod scalars;
mod template;

pub use point::{Access, Memo, Point, StageCx, VectorIter};
pub use template::lower;
