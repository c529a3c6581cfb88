//! Whether a model computes what it should.

use crate::inputs::inputs;
use crate::model::{Asked, calls};
use crate::native::{Results, check_native};
use crate::quiet::{Panic, quietly};
use crate::reference::{Reference, reference};
use ir::{Array, Code, Def, Diagnostics, Graph, Tensor};
use onnx::{ImportOptions, ModelFile};
use std::fmt;
use target::Target;

/// What came of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Agrees,
    Fails(Failure),
}

/// The kinds of failure; a model is made smaller as long as it fails in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A valid model is refused, or its call.
    Rejected,
    /// A broken invariant.
    Bug,
    Panic,
    Mismatch,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub kind: Kind,
    /// Where it happened: a part of the compiler, and for a panic the line.
    pub place: String,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, place: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { kind, place: place.into(), message: message.into() }
    }

    /// Whether two failures have the same cause, as far as one can tell: kind, place, and the message but for its numbers and names.
    pub fn is_like(&self, other: &Failure) -> bool {
        let same_message = self.kind == Kind::Mismatch || gist(&self.message) == gist(&other.message);
        self.kind == other.kind && self.place == other.place && same_message
    }
}

/// The first plain words of a message: no numbers, and no names, which have other characters in them.
fn gist(message: &str) -> Vec<&str> {
    let words = message.split_whitespace().map(|word| word.trim_end_matches([':', ',', ';', '.']));
    words.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == '-')).take(12).collect()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Kind::Rejected => "rejected",
            Kind::Bug => "bug",
            Kind::Panic => "panic",
            Kind::Mismatch => "mismatch",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} at {}: {}", self.kind, self.place, self.message)
    }
}

pub type Checked<T> = Result<T, Failure>;

/// How models are checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// Of the inputs.
    pub seed: u64,
    /// Each call is made on one thread and on so many.
    pub threads: usize,
    /// What is compiled for and run; with none, models are only imported and interpreted.
    pub targets: Vec<Target>,
    /// For one of the targets, also compile twice, and let the driver check each pass.
    pub thorough: bool,
    /// Also compile with schedules that are drawn from all legal ones.
    pub draws_schedules: bool,
    /// Also compile without some passes, and with others in another order.
    pub draws_passes: bool,
    /// Also compile ahead of time, and call the library.
    pub artefact: bool,
}

/// One seed of so many is checked thoroughly, one with drawn schedules, one with drawn passes, and
/// one ahead of time.
const THOROUGH: u64 = 4;

impl Check {
    /// For this machine, and where it has wider vectors also for AVX2; thorough for a part of the seeds, since that takes long.
    pub fn native(seed: u64) -> Check {
        let native = Target::native();
        let narrow = (native.vector_bits > 256 && native.triple.starts_with("x86_64")).then(Target::x86_64_v3);
        Check {
            seed,
            threads: 2,
            targets: [native].into_iter().chain(narrow).collect(),
            thorough: seed.is_multiple_of(THOROUGH),
            draws_schedules: seed % THOROUGH == 1,
            draws_passes: seed % THOROUGH == 2,
            artefact: seed % THOROUGH == 3,
        }
    }
}

/// A call of a model with what it should give.
pub struct Call {
    pub asked: Asked,
    pub inputs: Vec<Tensor>,
    pub expected: Expected,
}

/// What should come of a call.
pub enum Expected {
    Results(Reference),
    Refusal,
    /// An index is outside its tensor; whether that comes up depends on whether anything reads the element.
    Either,
}

impl Call {
    pub fn reference(&self) -> Option<&Reference> {
        match &self.expected {
            Expected::Results(reference) => Some(reference),
            Expected::Refusal | Expected::Either => None,
        }
    }
}

/// Imports, compiles and runs a model, for each of its calls on inputs drawn from the seed, and compares with the reference.
pub fn check_model(bytes: &[u8], check: &Check) -> Outcome {
    match quietly(|| checked(bytes, check)) {
        Ok(Ok(_)) => Outcome::Agrees,
        Ok(Err(failure)) => Outcome::Fails(failure),
        Err(Panic { place, message }) => Outcome::Fails(Failure::new(Kind::Panic, place, message)),
    }
}

/// The calls of a model, with what the first target gave for each.
pub fn checked(bytes: &[u8], check: &Check) -> Checked<(Vec<Call>, Results)> {
    let (graph, calls) = interpreted(bytes, check.seed)?;
    let mut results = Vec::new();
    let turn = (check.seed / THOROUGH) as usize % check.targets.len().max(1);
    for (at, target) in check.targets.iter().enumerate() {
        let check = Check {
            thorough: check.thorough && at == turn,
            draws_schedules: check.draws_schedules && at == turn,
            draws_passes: check.draws_passes && at == turn,
            artefact: check.artefact && at == turn,
            ..check.clone()
        };
        results.push(check_native(&graph, &calls, target, &check)?);
    }
    text_round_trips(&graph)?;
    let interpreted = || calls.iter().map(|call| Some(call.reference()?.outputs.iter().map(Tensor::from_array).collect())).collect();
    let first = results.into_iter().next().unwrap_or_else(interpreted);
    Ok((calls, first))
}

/// The graph of a model, and its calls.
pub fn interpreted(bytes: &[u8], seed: u64) -> Checked<(Graph, Vec<Call>)> {
    let (file, graph) = imported(bytes)?;
    let mut made = Vec::new();
    for asked in calls(&file.model) {
        match inputs(&file.model, &asked, seed) {
            Some(inputs) => made.push(expected_call(&graph, asked, inputs, seed)?),
            None if asked.may_fail => {}
            None => return Err(Failure::new(Kind::Rejected, "inputs", "no inputs can be drawn")),
        }
    }
    Ok((graph, made))
}

fn expected_call(graph: &Graph, asked: Asked, inputs: Vec<Tensor>, seed: u64) -> Checked<Call> {
    let expected = match call_reference(graph, &inputs, seed) {
        Ok(reference) => Expected::Results(reference),
        Err(problems) if !asked.may_fail => return Err(Failure::new(Kind::Rejected, "interpreter", problems.to_string())),
        Err(problems) if problems.0.iter().any(|problem| problem.code == Code::Index) => Expected::Either,
        Err(_) => Expected::Refusal,
    };
    Ok(Call { asked, inputs, expected })
}

/// The graph of a model, which must be well formed.
pub fn imported(bytes: &[u8]) -> Checked<(ModelFile, Graph)> {
    let rejected = |why: String| Failure::new(Kind::Rejected, "import", why);
    let file = ModelFile::from_bytes(bytes::Bytes::copy_from_slice(bytes)).map_err(|error| rejected(error.to_string()))?;
    let graph = onnx::import(&file, &ImportOptions::default()).map_err(|problems| rejected(problems.to_string()))?;
    if let Some(fault) = ir::verify::verify(&graph).first() {
        return Err(Failure::new(Kind::Bug, "import", fault.to_string()));
    }
    ops::verify(&graph).map_err(|problems| Failure::new(Kind::Bug, "import", problems.to_string()))?;
    Ok((file, graph))
}

/// What a call should give.
pub fn call_reference(graph: &Graph, inputs: &[Tensor], seed: u64) -> Result<Reference, Diagnostics> {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims().to_vec()).collect();
    let bound = ops::interp::bind_symbols(graph, &dims)?;
    let arrays: Vec<Array> = inputs.iter().map(Tensor::to_array).collect();
    Ok(reference(graph, &arrays, &bound, seed)?)
}

/// The graph's text reads back as the same graph.
fn text_round_trips(graph: &Graph) -> Checked<()> {
    let text = ir::text::print_graph(graph);
    let bug = |message: String| Failure::new(Kind::Bug, "text of the graph", message);
    let read = ir::text::parse_graph(&text, &ops::intern, &|name| weight(graph, name)).map_err(|error| bug(error.to_string()))?;
    match ir::text::print_graph(&read) == text && read == *graph {
        true => Ok(()),
        false => Err(bug("reads back as another graph".to_string())),
    }
}

/// The model's own tensor of this name, in the graph or in a region.
fn weight(graph: &Graph, name: &str) -> Option<Tensor> {
    let own = graph.values.iter().find_map(|value| match &value.def {
        Def::Constant { tensor, weight: Some(own) } if **own == *name => Some(tensor.clone()),
        _ => None,
    });
    own.or_else(|| graph.nodes.iter().flat_map(|node| &node.regions).find_map(|region| weight(region, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_alike_but_for_numbers_and_names() {
        let failure = |message: &str| Failure::new(Kind::Bug, "verify", message);
        let first = failure("schedule: /Softmax_3: softmax_3[2] is 1.5, its nest gives 1.25");
        assert!(first.is_like(&failure("schedule: Softmax#1: y[7] is 0.5, its nest gives 3e-7")));
        assert!(!first.is_like(&failure("schedule: kernel k9: index 594 is outside its len 594")));
        assert!(!first.is_like(&Failure::new(Kind::Panic, "verify", first.message.clone())));
    }
}
