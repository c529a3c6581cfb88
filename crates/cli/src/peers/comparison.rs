//! One model on all sides, round by round.

use super::environment::DRIVER;
use super::process::Process;
use super::result::{Difference, ModelFailure, ModelResult, Side};
use crate::args::{BenchArgs, Peer};
use crate::failure::{BUG, Failure};
use crate::model;
use crate::progress::Progress;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The least seconds of a round on each side.
const ROUND_SECONDS: f64 = 0.25;

/// What is the same for all models.
pub struct Bench<'a> {
    pub arguments: &'a BenchArgs,
    pub threads: usize,
    /// Of our vectors; peers that can be told have no wider ones.
    pub vector_bits: u32,
    /// The interpreter of the peers.
    pub python: PathBuf,
    /// For inputs and outputs.
    pub folder: tempfile::TempDir,
}

/// A side at work: its calls in seconds, by round.
struct Running {
    process: Process,
    side: Side,
    rounds: Vec<Vec<f64>>,
}

impl Bench<'_> {
    /// The error is that of our machinery; what fails on a side is told in the result.
    pub fn model(&self, path: &Path, progress: &Progress) -> Result<ModelResult, Failure> {
        let name = model::name(path);
        progress.now(format!("{name}: compiling"));
        let (ours, ready) = match Process::start(&mut self.our_command(path)) {
            Ok(started) => started,
            Err(error) => return Ok(failed(name, &error)),
        };
        let mut sides = vec![Ok(Running::new("inkle", ours, &ready))];
        for peer in &self.arguments.against {
            progress.now(format!("{name}: {} loads it", peer.name()));
            sides.push(self.start(*peer, path));
        }
        self.rounds(&mut sides, &name, progress);
        progress.now(format!("{name}: comparing outputs"));
        let profile = finish(&mut sides);
        let result = ModelResult { model: name, inputs: text(&ready["inputs"]), ..ModelResult::default() };
        Ok(match profile {
            Ok(profile) => with_profile(with_sides(result, sides), &profile)?,
            Err(error) => ModelResult { failure: failed(String::new(), &error).failure, ..with_sides(result, sides) },
        })
    }

    /// This program once more, with the same arguments and which of the models to serve; that stands in front, as a `--` may follow.
    fn our_command(&self, path: &Path) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args(["bench", "--serve"]).arg(path).arg(self.folder.path()).args(std::env::args_os().skip(2));
        command
    }

    fn start(&self, peer: Peer, path: &Path) -> Result<Running, Box<Side>> {
        let mut command = Command::new(&self.python);
        command.args(["-I", "-c", DRIVER, "serve", peer.name()]).arg(path).arg("--folder").arg(self.folder.path());
        command.args(["--vector-bits", &self.vector_bits.to_string(), "--threads", &self.threads.to_string()]);
        command.args(["--precision", self.arguments.peer_precision.name()]);
        let compile = &self.arguments.compile;
        for (name, size) in &compile.dim {
            command.arg("--dim").arg(format!("{name}={size}"));
        }
        if !(compile.dim.is_empty() && compile.shape.is_empty()) {
            command.arg("--bound");
        }
        let started = Process::start(&mut command);
        started
            .map(|(process, ready)| Running::new(peer.name(), process, &ready))
            .map_err(|why| Box::new(Side::failed(peer.name(), text(&why["error"]))))
    }

    /// Every round begins with another side. A side that fails is out.
    fn rounds(&self, sides: &mut [Result<Running, Box<Side>>], name: &str, progress: &Progress) {
        let count = sides.len();
        for round in 0..usize::from(self.arguments.rounds) {
            progress.now(format!("{name}: round {} of {}", round + 1, self.arguments.rounds));
            for at in 0..count {
                ask(&mut sides[(round + at) % count], &json!({ "run": ROUND_SECONDS }), |running, answer| {
                    running.rounds.push(answer["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect());
                });
            }
        }
    }
}

impl Running {
    fn new(name: &str, process: Process, ready: &Value) -> Running {
        let (version, load_s) = (text(&ready["version"]), ready["load_s"].as_f64().unwrap_or(f64::NAN));
        let vector_bits = ready["vector_bits"].as_u64();
        Running { process, side: Side { name: name.to_string(), version, load_s, vector_bits, ..Side::default() }, rounds: vec![] }
    }
}

/// Asks a side that has not failed yet; it has, where there is no answer.
fn ask(side: &mut Result<Running, Box<Side>>, request: &Value, take: impl FnOnce(&mut Running, &Value)) {
    let Ok(running) = side else { return };
    match running.process.ask(request) {
        Ok(answer) => take(running, &answer),
        Err(why) => *side = Err(Box::new(Side::failed(&running.side.name, text(&why["error"])))),
    }
}

/// As [`ask`], of a side whose calls are timed: these stay, with the failure beside them.
fn ask_late(side: &mut Result<Running, Box<Side>>, request: &Value, take: impl FnOnce(&mut Running, &Value)) {
    let Ok(running) = side else { return };
    match running.process.ask(request) {
        Ok(answer) => take(running, &answer),
        Err(why) => running.side.failure = Some(text(&why["error"])),
    }
}

/// Memory of all, the peers' outputs against ours, and at last our profile, which compiles once more.
fn finish(sides: &mut [Result<Running, Box<Side>>]) -> Result<Value, Value> {
    for side in sides.iter_mut() {
        ask_late(side, &json!({ "memory": null }), |running, answer| {
            running.side.peak_rss_mib = answer["peak_rss_mib"].as_f64().unwrap_or(f64::NAN);
        });
    }
    for side in sides.iter_mut().skip(1) {
        ask_late(side, &json!({ "compare": null }), |running, answer| {
            running.side.difference = Some(Difference { output: text(&answer["output"]), over_bound: answer["worst"].as_f64() });
        });
    }
    let Some(Ok(ours)) = sides.first_mut() else {
        let failure = sides.first().and_then(|side| side.as_ref().err()?.failure.clone());
        return Err(json!({ "error": failure }));
    };
    ours.process.ask(&json!({ "profile": null }))
}

fn with_sides(result: ModelResult, sides: Vec<Result<Running, Box<Side>>>) -> ModelResult {
    let mut ours: Vec<f64> = Vec::new();
    let finished = |side: Result<Running, Box<Side>>| match side {
        Ok(running) => {
            let side = running.side.with_rounds(&running.rounds, &ours);
            if ours.is_empty() {
                ours.clone_from(&side.rounds_ms);
            }
            side
        }
        Err(failed) => *failed,
    };
    ModelResult { sides: sides.into_iter().map(finished).collect(), ..result }
}

fn with_profile(result: ModelResult, profile: &Value) -> Result<ModelResult, Failure> {
    let kernels = serde_json::from_value(profile["kernels"].clone()).map_err(|why| Failure::bug(why.to_string()))?;
    Ok(ModelResult { gflop: profile["gflop"].as_f64(), mbytes: profile["mbytes"].as_f64(), kernels, ..result })
}

/// A model that our side fails on.
fn failed(model: String, error: &Value) -> ModelResult {
    let exit_code = error["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(BUG);
    ModelResult { model, failure: Some(ModelFailure { error: text(&error["error"]), exit_code }), ..ModelResult::default() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}
