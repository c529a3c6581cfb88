//! Failures: those with the same cause once, made smaller, as text and as a model file.

use super::Arguments;
use super::job::{Answer, Job, Verdict};
use super::pool::Worker;
use anyhow::Result;
use fuzz::Kind;
use onnx::proto::ModelProto;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A model that failed.
pub struct Failed {
    pub job: Job,
    pub answer: Answer,
}

/// The most failures that are made smaller.
const MOST: usize = 20;
/// The most checks that making one smaller takes.
const MOST_ATTEMPTS: usize = 600;

/// Shows one of each cause. Mismatches, crashes and hangs all look alike at first: these are told apart by what is left of them.
pub fn report(failed: &[Failed], arguments: &Arguments, timeout: Duration) -> Result<()> {
    let mut known: Vec<&Failed> = Vec::new();
    let mut causes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in failed {
        let told_apart = !matches!(one.answer.verdict, Verdict::Fails(Kind::Mismatch) | Verdict::Crash | Verdict::Hang);
        if known.len() < MOST && !(told_apart && known.iter().any(|other| other.answer.is_like(&one.answer))) {
            known.push(one);
            let small = smallest(one, arguments, timeout)?;
            let alike = causes.entry(small.cause()).or_default();
            if alike.is_empty() {
                println!("\n{}: {}\n{}\n{}", one.job.name(), small.answer, small.file.display(), text(&small.model.encode_to_vec()));
            }
            alike.push(one.job.name());
        }
    }
    for (_, seeds) in causes.iter().filter(|(_, seeds)| seeds.len() > 1) {
        println!("alike: {}", seeds.join(" "));
    }
    Ok(())
}

/// What is left of a model that fails.
struct Small {
    model: ModelProto,
    answer: Answer,
    file: PathBuf,
}

impl Small {
    /// The kind of failure, the pass that is blamed, and the operators.
    fn cause(&self) -> String {
        let nodes = self.model.graph.iter().flat_map(|graph| &graph.node);
        let ops: Vec<&str> = nodes.map(|node| node.op_type.as_str()).collect();
        let pass = self.answer.explanation.split(':').next().unwrap_or_default();
        format!("{} {} {pass} {}", self.answer.verdict.name(), self.answer.place, ops.join(" "))
    }
}

/// Writes the model, and the smallest that fails alike.
fn smallest(failed: &Failed, arguments: &Arguments, timeout: Duration) -> Result<Small> {
    fs::create_dir_all(&arguments.failures)?;
    let whole = arguments.failures.join(format!("{}.onnx", failed.job.seed));
    let file = arguments.failures.join(format!("{}.small.onnx", failed.job.seed));
    let Some(model) = model_of(&failed.job) else {
        return Ok(Small { model: ModelProto::default(), answer: failed.answer.clone(), file: PathBuf::new() });
    };
    fs::write(&whole, model.encode_to_vec())?;
    let model = if arguments.whole { model } else { shrunk(&model, failed, &file, timeout)? };
    fs::write(&file, model.encode_to_vec())?;
    let mut worker = Worker::start("fuzz-worker")?;
    let answer = worker.ask(&Job { model: Some(file.clone()), dump: None, explain: true, ..failed.job.clone() }.line(), timeout)?;
    Ok(Small { model, answer, file })
}

fn model_of(job: &Job) -> Option<ModelProto> {
    match &job.model {
        Some(path) => ModelProto::decode(fs::read(path).ok()?.as_slice()).ok(),
        None => fuzz::quiet::quietly(|| fuzz::generate(job.seed)).ok(),
    }
}

/// A smaller model that fails alike; attempts are checked by a worker, through a file.
fn shrunk(model: &ModelProto, failed: &Failed, file: &Path, timeout: Duration) -> Result<ModelProto> {
    let mut worker = Worker::start("fuzz-worker")?;
    // what only a thorough check finds is not at a target
    let brief = failed.answer.verdict != Verdict::Fails(Kind::Bug);
    let job = Job { model: Some(file.to_path_buf()), dump: None, brief, ..failed.job.clone() };
    let timeout = if failed.answer.verdict == Verdict::Hang { timeout / 4 } else { timeout };
    let mut fails = |model: &ModelProto| {
        let written = fs::write(file, model.encode_to_vec()).is_ok();
        written && worker.ask(&job.line(), timeout).is_ok_and(|answer| answer.is_like(&failed.answer))
    };
    Ok(fuzz::shrink::shrink(model, failed.job.seed, MOST_ATTEMPTS, &mut fails))
}

/// The graph as text; where it can't be imported, what the file holds.
fn text(bytes: &[u8]) -> String {
    let graph = fuzz::quiet::quietly(|| fuzz::check::imported(bytes).map(|(_, graph)| ir::text::print_graph(&graph)));
    match (graph, ModelProto::decode(bytes)) {
        (Ok(Ok(text)), _) => text,
        (_, Ok(model)) => nodes(&model),
        (_, Err(error)) => error.to_string(),
    }
}

fn nodes(model: &ModelProto) -> String {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes.map(|node| format!("{} = {}({})", node.output.join(", "), node.op_type, node.input.join(", "))).collect::<Vec<_>>().join("\n")
}
