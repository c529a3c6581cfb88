//! Damaged inputs end to end: each is refused in good order, or becomes a model that can be called.

use crate::check::{Checked, Failure, Kind, imported};
use crate::damage::{self, whole::Whole};
use crate::quiet::{Panic, quietly};
use driver::{Compiled, Error, Level, Options, Source, compile, compile_graph};
use ir::{DType, Tensor};
use nest::Nest;
use onnx::proto::ModelProto;
use program::Step;
use prost::Message;
use random::Random;
use runtime::{Executable, RunError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use sym::{Expr, Sym};
use target::Target;

/// Models of more nodes are not compiled.
const MOST_NODES: usize = 300;
/// Models that evaluate more points, or take more memory, are not called.
const MOST_POINTS: f64 = 2e7;
const MOST_BYTES: usize = 256 << 20;
/// A model with a loop may take so long.
const LOOPING: Duration = Duration::from_secs(5);

/// What is loaded.
pub enum Input {
    Model(Vec<u8>),
    Text(Level, String),
}

impl Input {
    /// The customary end of a file's name.
    pub fn extension(&self) -> &'static str {
        match self {
            Input::Model(_) => "onnx",
            Input::Text(Level::Graph, _) => "graph",
            Input::Text(Level::Core, _) => "core",
            Input::Text(Level::Program, _) => "program",
            Input::Text(Level::Kernel, _) => "kernel",
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Input::Model(bytes) => bytes,
            Input::Text(_, text) => text.as_bytes(),
        }
    }
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Refused,
    /// Not refused, nor compiled.
    Clean,
    /// Compiled, but too large to be called.
    Compiled,
    Called,
    /// A model with a loop goes on and on, as it may: the thread that runs it does so until the process ends.
    Endless,
}

/// Damaged inputs of seeds, one after the other.
pub struct Loader {
    whole: Option<Whole>,
    /// Where weights of texts are written.
    folder: PathBuf,
}

impl Loader {
    pub fn new(folder: &Path) -> Loader {
        Loader { whole: None, folder: folder.to_path_buf() }
    }

    /// The damaged input of a seed, with the undamaged model, which has the weights of a text. A failure here is one of the compiler, on a
    /// model that is whole.
    pub fn input(&mut self, seed: u64) -> Checked<(Input, ModelProto)> {
        let (input, whole) = self.damaged(seed)?;
        Ok((input, whole.model.clone()))
    }

    fn damaged(&mut self, seed: u64) -> Checked<(Input, &mut Whole)> {
        let whole = Whole::of(seed, self.whole.take());
        let whole = self.whole.insert(whole);
        let mut random = Random::named(seed, "damage");
        let level = match random.below(20) {
            0..16 => return Ok((Input::Model(damage::model::damaged(whole.model.clone(), &mut random)), whole)),
            16 => Level::Graph,
            17 => Level::Core,
            18 => Level::Program,
            _ => Level::Kernel,
        };
        Ok((Input::Text(level, damage::text::damaged(whole.text(level)?, &mut random)), whole))
    }

    /// Makes and loads the input of a seed, and compiles and calls what is not refused where that is asked for. A panic or a broken
    /// invariant is a failure.
    pub fn check(&mut self, seed: u64, calls: bool) -> Checked<Fate> {
        let folder = self.folder.clone();
        let outcome = quietly(|| {
            let (input, whole) = self.damaged(seed)?;
            match (calls, input) {
                (false, Input::Model(bytes)) => refused_or(imported(&bytes).map(|_| Fate::Clean)),
                (false, Input::Text(level, text)) => read(level, &text, whole),
                (true, input) => compiled(&input, &whole.model, seed, &folder),
            }
        });
        outcome.unwrap_or_else(|Panic { place, message }| Err(Failure::new(Kind::Panic, place, message)))
    }
}

fn refused_or(fate: Checked<Fate>) -> Checked<Fate> {
    match fate {
        Err(failure) if failure.kind == Kind::Rejected => Ok(Fate::Refused),
        fate => fate,
    }
}

/// Parses and verifies a text.
fn read(level: Level, text: &str, whole: &mut Whole) -> Checked<Fate> {
    let weights = whole.weights()?;
    let weight = |name: &str| weights.get(name).cloned();
    let read = match level {
        Level::Graph | Level::Core => driver::text::graph(text, &weight).map(drop),
        Level::Program => driver::text::program(text, &weight).map(drop),
        Level::Kernel => driver::text::kernels(text, &weight).map(drop),
    };
    match read {
        Ok(()) => Ok(Fate::Clean),
        Err(Error::Diagnostics(_)) => Ok(Fate::Refused),
        Err(Error::Bug(message)) => Err(Failure::new(Kind::Bug, "text", message)),
    }
}

fn compiled(input: &Input, model: &ModelProto, seed: u64, folder: &Path) -> Checked<Fate> {
    let options = Options::new(Target::native(), 1);
    let compiled = match input {
        Input::Model(bytes) => match imported(bytes) {
            Err(failure) => return refused_or(Err(failure)),
            Ok((_, graph)) if graph.node_count() > MOST_NODES => return Ok(Fate::Compiled),
            Ok((_, graph)) => compile_graph(graph, &options),
        },
        Input::Text(level, text) => {
            let source = Source::Text { level: *level, text: text.clone(), weights: Some(weights_file(model, folder)?) };
            compile(&source, &options)
        }
    };
    match compiled {
        Err(Error::Diagnostics(_)) => Ok(Fate::Refused),
        Err(Error::Bug(message)) => Err(Failure::new(Kind::Bug, "compile", message)),
        Ok(compiled) => called(&compiled, seed),
    }
}

fn weights_file(model: &ModelProto, folder: &Path) -> Checked<PathBuf> {
    let path = folder.join(format!("inkle-fuzz-{}.onnx", std::process::id()));
    std::fs::write(&path, model.encode_to_vec()).map_err(|why| Failure::new(Kind::Bug, "weights of a text", why.to_string()))?;
    Ok(path)
}

/// One call at small sizes, where that is not much work.
fn called(compiled: &Compiled, seed: u64) -> Checked<Fate> {
    let image = &compiled.image;
    let low = |sym: &Sym| image.symbol_facts.get(sym).copied().unwrap_or_default().low.max(2);
    let sizes: BTreeMap<Sym, i64> = image.symbols.iter().map(|sym| (sym.clone(), low(sym))).collect();
    let value = |sym: &Sym| sizes.get(sym).copied();
    let steps = compiled.program.prepare.iter().chain(&compiled.program.steps).flat_map(Step::groups);
    let work: f64 = steps.flat_map(|group| &group.stages).map(|stage| points(&stage.nest, &value)).sum();
    let Some(inputs) = inputs(compiled, &value, seed).filter(|_| work <= MOST_POINTS) else { return Ok(Fate::Compiled) };
    let image = image.clone();
    let run = move || Executable::load_within(image, 1, MOST_BYTES)?.run(&inputs);
    let result = if compiled.program.steps.iter().any(loops) { run_for(LOOPING, run) } else { Some(run()) };
    match result {
        Some(Err(RunError::Bug(message))) => Err(Failure::new(Kind::Bug, "call", message)),
        Some(Ok(_) | Err(RunError::Call(_))) => Ok(Fate::Called),
        None => Ok(Fate::Endless),
    }
}

fn loops(step: &Step) -> bool {
    matches!(step, Step::Loop(_)) || step.blocks().into_iter().flatten().any(loops)
}

/// What `work` gives; None where it takes longer.
fn run_for<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, result) = channel();
    std::thread::spawn(move || send.send(work()));
    result.recv_timeout(limit).ok()
}

/// Points that a nest evaluates; infinite where a size has no value.
fn points(nest: &Nest, value: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let extent = |extent: &Expr| extent.eval(value).map_or(f64::INFINITY, |extent| extent.max(1) as f64);
    nest.iters.iter().map(|iter| extent(&iter.extent)).product()
}

/// Any elements; None where they are too many.
fn inputs(compiled: &Compiled, value: &dyn Fn(&Sym) -> Option<i64>, seed: u64) -> Option<Vec<Tensor>> {
    let mut random = Random::named(seed, "inputs");
    let mut left = MOST_BYTES;
    let mut tensor = |ty: &ir::TensorType| {
        let dims = ty.dims.iter().map(|dim| usize::try_from(dim.eval(value)?).ok()).collect::<Option<Vec<usize>>>()?;
        let bytes = dims.iter().try_fold(ty.dtype.size(), |bytes, dim| bytes.checked_mul(*dim))?;
        left = left.checked_sub(bytes)?;
        let odd = random.chance(50);
        let byte =
            |at: usize| if odd && ty.dtype != DType::Bool { (at * 37 + 11) as u8 } else { u8::from(at.is_multiple_of(ty.dtype.size())) };
        Tensor::new(ty.dtype, dims, Arc::new((0..bytes).map(byte).collect::<Vec<u8>>()))
    };
    compiled.image.inputs.iter().map(|(_, ty)| tensor(ty)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_inputs_are_refused_and_some_work() {
        let mut loader = Loader::new(&std::env::temp_dir());
        let fates: Vec<Fate> = (0..48).map(|seed| loader.check(seed, seed % 2 == 0).unwrap()).collect();
        let all = [Fate::Refused, Fate::Clean, Fate::Called].iter().all(|fate| fates.contains(fate));
        assert!(all, "{fates:?}");
    }
}
