//! Failures: those with the same cause once, made smaller, as text and as a model file.

use super::Arguments;
use super::job::{Answer, Job, Verdict};
use super::pool::Worker;
use anyhow::Result;
use onnx::proto::ModelProto;
use prost::Message;
use std::fs;
use std::path::Path;
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

pub fn report(failed: &[Failed], arguments: &Arguments, timeout: Duration) -> Result<()> {
    let mut shown: Vec<&Failed> = Vec::new();
    for one in failed {
        if shown.len() < MOST && !shown.iter().any(|other| other.answer.is_like(&one.answer)) {
            shown.push(one);
            report_one(one, arguments, timeout)?;
        }
    }
    Ok(())
}

fn report_one(failed: &Failed, arguments: &Arguments, timeout: Duration) -> Result<()> {
    fs::create_dir_all(&arguments.failures)?;
    let file = arguments.failures.join(format!("{}.onnx", failed.job.seed));
    let Some(model) = model_of(&failed.job) else { return Ok(println!("\n{}: no model\n{}", failed.job.name(), failed.answer)) };
    let small = arguments.failures.join(format!("{}.small.onnx", failed.job.seed));
    fs::write(&file, model.encode_to_vec())?;
    let model = if arguments.whole { model } else { shrunk(&model, failed, &small, timeout)? };
    fs::write(&small, model.encode_to_vec())?;
    let mut worker = Worker::start()?;
    let answer = worker.ask(&Job { model: Some(small.clone()), dump: None, explain: true, ..failed.job.clone() }, timeout)?;
    println!("\n{}: {answer}\n{} from {}\n{}", failed.job.name(), small.display(), file.display(), text(&model.encode_to_vec()));
    Ok(())
}

fn model_of(job: &Job) -> Option<ModelProto> {
    match &job.model {
        Some(path) => ModelProto::decode(fs::read(path).ok()?.as_slice()).ok(),
        None => fuzz::quiet::quietly(|| fuzz::generate(job.seed)).ok(),
    }
}

/// A smaller model that fails alike; attempts are checked by a worker, through a file.
fn shrunk(model: &ModelProto, failed: &Failed, file: &Path, timeout: Duration) -> Result<ModelProto> {
    let mut worker = Worker::start()?;
    let job = Job { model: Some(file.to_path_buf()), dump: None, ..failed.job.clone() };
    let timeout = if failed.answer.verdict == Verdict::Hang { timeout / 4 } else { timeout };
    let mut fails = |model: &ModelProto| {
        let written = fs::write(file, model.encode_to_vec()).is_ok();
        written && worker.ask(&job, timeout).is_ok_and(|answer| answer.is_like(&failed.answer))
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
