//! What a compile is given.

use crate::selection::Selection;
use crate::tuned::Tuned;
use cache::Store;
use ir::Tensor;
use onnx::{Content, ImportOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use target::Target;

/// A level of the pipeline whose text can be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Graph,
    Core,
    Program,
    Kernel,
}

/// Where the model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Onnx(PathBuf),
    /// The text of a level; `weights` is the model file that holds the constants it names.
    Text {
        level: Level,
        text: String,
        weights: Option<PathBuf>,
    },
}

/// A pass whose result is to be corrupted, to prove that the checks find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sabotage {
    pub pass: String,
    pub seed: u64,
}

/// The type of the factors of products and convolutions of f32 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Where the target multiplies bf16 itself; sums and all else stay f32.
    Bf16,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    /// Threads that a call will use; also how many the code generator uses.
    pub threads: usize,
    /// Whether the entries measure their steps.
    pub profile: bool,
    /// Symbols bound at compile time.
    pub dims: BTreeMap<String, i64>,
    /// Input dims bound at compile time; None leaves one open.
    pub shapes: BTreeMap<String, Vec<Option<i64>>>,
    /// What inputs of an ONNX model hold in every call: the code is for these values alone.
    pub values: BTreeMap<String, Tensor>,
    /// What every call gives for inputs that are sequences or optionals.
    pub contents: BTreeMap<String, Content>,
    /// Of random operators that have none.
    pub seed: u64,
    pub sabotage: Option<Sabotage>,
    /// Where code is kept from compile to compile; without it everything is generated anew, to the same bytes.
    pub store: Option<Arc<Store>>,
    /// Whether groups that differ in sizes alone share a kernel.
    pub share_kernels: bool,
    /// Schedules that were measured; the others are the default.
    pub tuned: Option<Arc<Tuned>>,
    pub precision: Precision,
    /// Whether convolutions of 3x3 may be computed by minimal filtering.
    pub winograd: bool,
    /// Which passes run.
    pub selection: Selection,
}

impl Options {
    /// What the frontend is told.
    pub fn import(&self) -> ImportOptions {
        let Options { dims, shapes, values, contents, seed, .. } = self.clone();
        ImportOptions { dims, shapes, values, contents, seed }
    }

    /// What decides the code beside model, target and tuned schedules, as text.
    pub fn described(&self) -> String {
        let Options { dims, shapes, contents, seed, share_kernels, precision, winograd, selection, threads, .. } = self;
        let values: Vec<_> = self.values.iter().map(|(name, tensor)| (name, tensor.dims(), tensor.bytes())).collect();
        format!("{:?}", (dims, shapes, values, contents, seed, share_kernels, precision, winograd, selection, threads))
    }

    /// For this machine and all of its cores.
    pub fn native() -> Options {
        let target = Target::native();
        let threads = target.cores as usize;
        Options::new(target, threads)
    }

    pub fn new(target: Target, threads: usize) -> Options {
        Options {
            target,
            threads,
            profile: false,
            dims: BTreeMap::new(),
            shapes: BTreeMap::new(),
            values: BTreeMap::new(),
            contents: BTreeMap::new(),
            seed: 0,
            sabotage: None,
            store: None,
            share_kernels: true,
            tuned: None,
            precision: Precision::F32,
            winograd: true,
            selection: Selection::default(),
        }
    }
}
