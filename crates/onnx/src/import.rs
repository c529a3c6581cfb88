//! From the messages of a model file to a graph.
//!
//! Everything in a model is untrusted: what is wrong is a diagnostic at the node, and all of a model's problems are found in one go. A
//! node that fails poisons its results, and what depends on them is skipped silently, so that each problem is reported once.
//!
//! Shape arithmetic is done here, on expressions of the symbols; it becomes part of the graph only where a node needs it as data.
//!
//! - [`symbols`]: the dims of the inputs
//! - [`interface`]: what a graph takes and gives
//! - [`content`]: inputs and outputs that are sequences or optionals
//! - [`walk`]: graphs, their nodes in order
//! - [`region`]: graphs inside of nodes
//! - [`function`]: calls of the model's own functions
//! - [`cx`]: the state, and how a value gets into a graph
//! - [`call`]: what an operator sees of its node
//! - [`drawn`]: which outputs are random
//! - [`known`]: shape arithmetic
//! - [`narrow`]: element types of less than 8 bits, and floats of 8

mod call;
mod content;
mod cx;
mod drawn;
mod function;
mod interface;
mod known;
mod narrow;
mod problems;
mod region;
mod scope;
pub(crate) mod sizes;
mod symbols;
mod tensor;
mod term;
mod walk;

pub use call::{Call, Fault, Outcome, one};
pub use content::{Content, Kind, LONGEST, Value, contents, element_name, input_kinds, output_kinds, read_value, unranked};
pub use cx::Cx;
pub use drawn::{Drawn, drawn_outputs};
pub use known::Known;
pub use narrow::{Format, Narrow};
pub(crate) use region::{Body, Branches, Port, Typed, with_dims};
pub(crate) use tensor::{Stored, element_type_of, stored_type_of};
pub use term::{Out, Term};

use crate::file::ModelFile;
use ir::{Code, Diagnostic, Diagnostics, Graph, Location, Tensor};
use std::collections::BTreeMap;

/// What the caller knows about the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// Sizes by the name of a symbol, or by the text that a model has for a dim.
    pub dims: BTreeMap<String, i64>,
    /// Sizes by input and position; None leaves a dim as the model declares it. Also the rank of an input that declares none.
    pub shapes: BTreeMap<String, Vec<Option<i64>>>,
    /// What inputs hold in every call: they stay inputs, but the graph is that for these values.
    pub values: BTreeMap<String, Tensor>,
    /// What every call gives for the inputs that are sequences or optionals.
    pub contents: BTreeMap<String, Content>,
    /// What random operators without a seed of their own start from.
    pub seed: u64,
}

/// A model as a graph, and what is odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub graph: Graph,
    /// Declared shapes that contradict the real ones.
    pub warnings: Vec<Diagnostic>,
}

/// The graph of a model.
///
/// Initializers are constants whose weight is their name, and which share the file's bytes; so are inputs that have an initializer, and
/// large `Constant` nodes under the name of their output. The symbols are those of the inputs' dims. Names of inputs and outputs are the
/// model's. Every node has the name of its model node, or `op_type#index`, as location. Errors are all of the model's problems.
pub fn import(file: &ModelFile, options: &ImportOptions) -> Result<Graph, Diagnostics> {
    import_with_warnings(file, options).map(|imported| imported.graph)
}

/// As `import`, with the warnings.
pub fn import_with_warnings(file: &ModelFile, options: &ImportOptions) -> Result<Imported, Diagnostics> {
    match &file.model.graph {
        Some(graph) => walk::model(file, graph, options),
        None => Err(Diagnostics::one(Code::Malformed, &Location::default(), "the model has no graph")),
    }
}

#[cfg(test)]
mod tests;
