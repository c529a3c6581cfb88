//! The ops: one file each, and the list. `docs/ops.md` has them in one table.
//!
//! A core op has a shape rule, a reference meaning and a lowering to Nests; a composite has a decomposition instead of the lowering.
//! To add one: write its file, add it to the list below, and to `docs/ops.md`.
//!
//! - [`def`]: what an op is
//! - [`attrs`]: reading attributes
//! - [`dims`]: rules on sizes, and the guards that they leave
//! - [`lower`]: what lowerings share
//! - [`reference`]: what reference meanings share
//! - [`core`]: the core ops
//! - [`composites`]: the composites
//! - [`steps`]: the operations of the host as ops
//! - [`build`]: the builder that infers types
//! - [`gradient`]: reverse-mode differentiation
//! - [`verify`]: the invariants O1.. of graphs
//! - [`interp`]: the interpreter of graphs

pub mod attrs;
pub mod build;
pub mod composites;
pub mod core;
pub mod def;
pub mod dims;
pub mod gradient;
pub mod interp;
pub mod lower;
pub mod reference;
pub mod steps;
pub mod verify;

#[cfg(test)]
mod check;

pub use build::Builder;
pub use build::core::{Folded, Scan, WindowAttrs};
pub use core::region::fixed_inputs;
pub use core::region::repeat::Parts;
pub use def::{ConcreteType, Decompose, InferCx, Inferred, Kind, LowerCx, OpDef, OpError, Reference};
pub use verify::verify;

static OPS: [OpDef; 43] = [
    core::map::DEF,
    core::convert::DEF,
    core::bitcast::DEF,
    core::broadcast::DEF,
    core::reshape::DEF,
    core::transpose::DEF,
    core::slice::DEF,
    core::concat::DEF,
    core::pad::DEF,
    core::gather::DEF,
    core::gather_nd::DEF,
    core::gather_elements::DEF,
    core::scatter_nd::DEF,
    core::scatter_elements::DEF,
    core::contract::DEF,
    core::conv::DEF,
    core::reduce::DEF,
    core::reduce_window::DEF,
    core::iota::DEF,
    core::sizes::DEF,
    core::philox::DEF,
    core::region::branch::IF,
    core::region::repeat::WHILE,
    core::region::repeat::SCAN,
    composites::softmax::DEF,
    composites::layer_norm::DEF,
    composites::gelu::DEF,
    composites::attention::DEF,
    composites::batch_norm::DEF,
    composites::hard_sigmoid::DEF,
    composites::clamp::DEF,
    composites::extend::DEF,
    composites::resize::DEF,
    composites::conv_transpose::DEF,
    steps::def::<0>(),
    steps::def::<1>(),
    steps::def::<2>(),
    steps::def::<3>(),
    steps::def::<4>(),
    steps::def::<5>(),
    steps::def::<6>(),
    steps::def::<7>(),
    steps::def::<8>(),
];

/// Every op.
pub fn all() -> &'static [OpDef] {
    &OPS
}

pub fn find(name: &str) -> Option<&'static OpDef> {
    OPS.iter().find(|def| def.name == name)
}

/// Whether an op is an operation of the host.
pub fn is_host_step(op: &str) -> bool {
    find(op).is_some_and(|def| matches!(def.kind, Kind::Host(_)))
}

/// Names of attributes, as the ops read them.
const ATTRIBUTES: [&str; 48] = [
    "alpha",
    "antialias",
    "approximate",
    "axes",
    "axis",
    "batch",
    "beta",
    "combine",
    "carried",
    "case",
    "coordinates",
    "cubic",
    "delimiter",
    "dilations",
    "dims",
    "dtype",
    "end",
    "epsilon",
    "exclude",
    "extrapolation",
    "format",
    "func",
    "groups",
    "half",
    "high",
    "keep",
    "kind",
    "low",
    "mode",
    "most",
    "pattern",
    "perm",
    "reverse",
    "rounding",
    "scale",
    "seed",
    "sizes",
    "spec",
    "stacked",
    "start",
    "starts",
    "steps",
    "stream",
    "strides",
    "to",
    "trips",
    "values",
    "window",
];

/// The list's own text for the name of an op or attribute.
pub fn intern(name: &str) -> Option<&'static str> {
    let op = OPS.iter().map(|def| def.name).find(|known| *known == name);
    op.or_else(|| ATTRIBUTES.into_iter().find(|known| *known == name))
}
