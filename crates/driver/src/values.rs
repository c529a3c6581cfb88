//! Inputs whose values a compile needs: what a model takes as data and the standard lets shape the graph, such as the axes of a reduction or the
//! sizes of a resize.
//!
//! Such an input is bound to what it holds in a call; it stays an input, and a call with another value is refused (E009).

use crate::compile::{Compiled, compile, import};
use crate::error::Error;
use crate::options::{Options, Source};
use ir::{Graph, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// Inputs of more elements shape no graph.
const MOST_ELEMENTS: usize = 1024;

/// The tensors of a call by the names of the inputs.
pub type Given = BTreeMap<String, Tensor>;

/// As [`compile`]; where the model can't be imported without the values of some inputs, the options are given back with those that `given` says.
pub fn compile_for(source: &Source, options: Options, given: impl FnOnce() -> Given) -> Result<(Compiled, Options), Error> {
    let compiled = compile(source, &options);
    match (&compiled, source) {
        (Err(Error::Diagnostics(_)), Source::Onnx(path)) => match needed(path, &options, given()) {
            Some(values) => {
                let options = Options { values, ..options };
                Ok((compile(source, &options)?, options))
            }
            None => Ok((compiled?, options)),
        },
        _ => Ok((compiled?, options)),
    }
}

/// As [`import`], with the values that the model needs of those that `given` says.
pub fn import_for(path: &Path, options: &Options, given: impl FnOnce() -> Given) -> Result<Graph, Error> {
    match import(path, options) {
        Err(Error::Diagnostics(problems)) => match needed(path, options, given()) {
            Some(values) => import(path, &Options { values, ..options.clone() }),
            None => Err(Error::Diagnostics(problems)),
        },
        imported => imported,
    }
}

/// As few of the small inputs as make the model one that can be imported; None where all of them do not.
fn needed(path: &Path, options: &Options, given: Given) -> Option<Given> {
    let mut values: Given = given.into_iter().filter(|(_, tensor)| tensor.count() <= MOST_ELEMENTS).collect();
    let suffices = |values: &Given| import(path, &Options { values: values.clone(), ..options.clone() }).is_ok();
    if values.is_empty() || !suffices(&values) {
        return None;
    }
    let mut names: Vec<String> = values.keys().cloned().collect();
    // floats first: they are the least likely to be needed
    names.sort_by_key(|name| !values[name].dtype().is_float());
    for name in names {
        let Some(value) = values.remove(&name) else { continue };
        if !suffices(&values) {
            values.insert(name, value);
        }
    }
    Some(values)
}
