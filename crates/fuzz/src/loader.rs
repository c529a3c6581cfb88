//! Damaged inputs end to end: each is refused in good order, or becomes a model that can be called.

use crate::check::{Checked, Failure, Kind, imported};
use crate::damage;
use crate::model::generate;
use crate::quiet::{Panic, quietly};
use driver::{At, Compiled, Error, Level, Options, Source, compile, compile_graph, inspect};
use ir::{DType, Graph, Tensor};
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

/// Seeds of the models that are damaged.
const MODELS: usize = 4000;
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
    /// Compiled, but too large to be called.
    Compiled,
    Called,
    /// A model with a loop goes on and on, as it may: the thread that runs it does so until the process ends.
    Endless,
}

/// The damaged input of a seed, with the undamaged model, which has the weights of a text. A failure here is one of the compiler, on a
/// model that is whole.
pub fn input(seed: u64) -> Checked<(Input, ModelProto)> {
    let mut random = Random::named(seed, "damage");
    let model = whole_model(&mut random);
    let level = match random.below(20) {
        0..16 => return Ok((Input::Model(damage::model::damaged(model.clone(), &mut random)), model)),
        16 => Level::Graph,
        17 => Level::Core,
        18 => Level::Program,
        _ => Level::Kernel,
    };
    let at = match level {
        Level::Graph => At::Graph,
        Level::Core => At::Core,
        Level::Program => At::Program,
        Level::Kernel => At::Kernel,
    };
    let (_, graph) = imported(&model.encode_to_vec())?;
    let options = Options::new(Target::native(), 1);
    let text = compile_graph(graph, &options).and_then(|compiled| inspect(&compiled, &options, at, None)).map_err(bug_at("whole model"))?;
    Ok((Input::Text(level, damage::text::damaged(&text, &mut random)), model))
}

/// A model of few nodes: most of what can go wrong does so in one of them.
fn whole_model(random: &mut Random) -> ModelProto {
    let models = (0..5).map(|_| generate(random.below(MODELS) as u64));
    models.min_by_key(|model| model.graph.as_ref().map_or(0, |graph| graph.node.len())).unwrap_or_default()
}

/// Makes and loads the input of a seed; a panic or a broken invariant is a failure. Weights of texts are written to `folder`.
pub fn check_seed(seed: u64, folder: &Path) -> Checked<Fate> {
    let outcome = quietly(|| {
        let (input, model) = input(seed)?;
        loaded(&input, &model, seed, folder)
    });
    outcome.unwrap_or_else(|Panic { place, message }| Err(Failure::new(Kind::Panic, place, message)))
}

fn loaded(input: &Input, model: &ModelProto, seed: u64, folder: &Path) -> Checked<Fate> {
    let options = Options::new(Target::native(), 1);
    let compiled = match input {
        Input::Model(bytes) => match imported(bytes) {
            Err(failure) if failure.kind == Kind::Rejected => return Ok(Fate::Refused),
            Err(failure) => return Err(failure),
            Ok((_, graph)) if node_count(&graph) > MOST_NODES => return Ok(Fate::Compiled),
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

fn bug_at(place: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure::new(Kind::Bug, place, error.to_string())
}

fn weights_file(model: &ModelProto, folder: &Path) -> Checked<PathBuf> {
    let path = folder.join(format!("inkle-fuzz-{}.onnx", std::process::id()));
    std::fs::write(&path, model.encode_to_vec()).map_err(|why| Failure::new(Kind::Bug, "weights of a text", why.to_string()))?;
    Ok(path)
}

fn node_count(graph: &Graph) -> usize {
    graph.nodes.len() + graph.nodes.iter().flat_map(|node| &node.regions).map(node_count).sum::<usize>()
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
        let fates: Vec<Fate> = (0..48).map(|seed| check_seed(seed, &std::env::temp_dir()).unwrap()).collect();
        assert!(fates.contains(&Fate::Refused) && fates.contains(&Fate::Called), "{fates:?}");
    }
}
