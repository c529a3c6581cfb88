//! What a compile must know of a call: the values of inputs that a model takes as data and the standard lets shape the graph, such as the
//! axes of a reduction or the sizes of a resize; the lengths of sequences, and whether optionals have values; ranks that the model leaves
//! open.
//!
//! An input that is bound to what it holds in a call stays an input, and a call with another value is refused (E009). So is one with
//! another number of elements.

use crate::compile::{Assembled, Compiled, assembled, import};
use crate::error::Error;
use crate::options::{Options, Source};
use ir::{Graph, Tensor};
use onnx::{Content, ModelFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Inputs of more elements shape no graph.
const MOST_ELEMENTS: usize = 1024;

/// The tensors of a call by name, and what they are to the inputs that are sequences or optionals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    pub tensors: BTreeMap<String, Tensor>,
    pub contents: BTreeMap<String, Content>,
}

impl Given {
    /// As the tensors' names tell it.
    pub fn by_name(source: &Source, tensors: BTreeMap<String, Tensor>) -> Given {
        let names: BTreeSet<&str> = tensors.keys().map(String::as_str).collect();
        let contents = match source {
            Source::Onnx(path) => ModelFile::open(path).map_or(BTreeMap::new(), |file| onnx::contents(&file, &names)),
            Source::Text { .. } => BTreeMap::new(),
        };
        Given { tensors, contents }
    }
}

/// As [`crate::compile()`]; where the model can't be imported without knowing a call, the options are given back with what `given` says.
pub fn compile_for(source: &Source, options: Options, given: impl FnOnce() -> Given) -> Result<(Compiled, Options), Error> {
    let (assembled, options) = assembled_for(source, options, given)?;
    Ok((assembled.generated(&options)?, options))
}

/// As [`assembled`], likewise.
pub fn assembled_for(source: &Source, options: Options, given: impl FnOnce() -> Given) -> Result<(Assembled, Options), Error> {
    let first = assembled(source, &options);
    match (&first, source) {
        (Err(Error::Diagnostics(_)), Source::Onnx(path)) => match needed(path, &options, given()) {
            Some(options) => Ok((assembled(source, &options)?, options)),
            None => Ok((first?, options)),
        },
        _ => Ok((first?, options)),
    }
}

/// As [`import`], with what the model needs of what `given` says.
pub fn import_for(path: &Path, options: &Options, given: impl FnOnce() -> Given) -> Result<Graph, Error> {
    match import(path, options) {
        Err(Error::Diagnostics(problems)) => match needed(path, options, given()) {
            Some(options) => import(path, &options),
            None => Err(Error::Diagnostics(problems)),
        },
        imported => imported,
    }
}

/// As few of the small inputs' values as make the model one that can be imported; None where all of them do not.
fn needed(path: &Path, options: &Options, given: Given) -> Option<Options> {
    let open = shaped(path, options, &given)?;
    let mut values: BTreeMap<String, Tensor> = given.tensors.into_iter().filter(|(_, tensor)| tensor.count() <= MOST_ELEMENTS).collect();
    let suffices = |values: &BTreeMap<String, Tensor>| import(path, &Options { values: values.clone(), ..open.clone() }).is_ok();
    if !suffices(&values) {
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
    Some(Options { values, ..open })
}

/// The options with the lengths of sequences, and ranks; what the options say already stays.
fn shaped(path: &Path, options: &Options, given: &Given) -> Option<Options> {
    let mut bound = options.clone();
    for (name, content) in &given.contents {
        bound.contents.entry(name.clone()).or_insert(*content);
    }
    let file = ModelFile::open(path).ok()?;
    for name in onnx::unranked(&file, &bound.contents) {
        if let Some(tensor) = given.tensors.get(&name) {
            bound.shapes.entry(name).or_insert_with(|| vec![None; tensor.dims().len()]);
        }
    }
    Some(bound)
}
