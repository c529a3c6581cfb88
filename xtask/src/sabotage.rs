//! `cargo xtask sabotage`: passes are corrupted on purpose, and the driver's checks must find that.
//!
//! A corruption that no check finds is run: it is a miss only where an output is wrong; else it had no effect on these inputs.

use anyhow::{Context, Result, bail};
use driver::verify::{Report, Sample, verify_graph};
use driver::{Error, Options, Sabotage};
use fuzz::check::call_reference;
use fuzz::{Check, model};
use ir::{Graph, Tensor};
use random::Random;
use runtime::Executable;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

#[derive(clap::Args)]
pub struct Arguments {
    /// How many corruptions, over all models and passes
    #[arg(long, default_value_t = 200)]
    count: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Model files; random models where there are none
    models: Vec<PathBuf>,
}

/// A model with the inputs of one call.
struct Subject {
    name: String,
    graph: Graph,
    inputs: BTreeMap<String, Tensor>,
}

/// What came of one corruption.
enum Outcome {
    /// There was nothing to corrupt in the pass's result, or it made no difference.
    Nothing,
    /// The pass that was blamed.
    Found(String),
    Missed,
}

#[derive(Default)]
struct Tally {
    found: usize,
    blamed: usize,
    missed: usize,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let passes = driver::sabotage::passes();
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut random = Random::new(arguments.seed);
    let (mut done, mut tried) = (0, 0);
    while done < arguments.count && tried < 20 * arguments.count {
        let subject = subject(arguments, tried)?;
        for pass in passes.iter().take(arguments.count - done) {
            let sabotage = Sabotage { pass: pass.to_string(), seed: random.bits() };
            done += record(tallies.entry(pass).or_default(), &subject, sabotage) as usize;
        }
        tried += 1;
    }
    print(&passes, &tallies);
    let missed: usize = tallies.values().map(|tally| tally.missed).sum();
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The model files in turn; without any, a new random model each time.
fn subject(arguments: &Arguments, at: usize) -> Result<Subject> {
    let seed = arguments.seed + at as u64;
    let (name, bytes) = match arguments.models.get(at % arguments.models.len().max(1)) {
        Some(path) => (path.display().to_string(), std::fs::read(path).with_context(|| path.display().to_string())?),
        None => (format!("seed {seed}"), prost::Message::encode_to_vec(&fuzz::generate(seed))),
    };
    let (file, graph) = fuzz::check::imported(&bytes).map_err(|failure| anyhow::anyhow!("{name}: {failure}"))?;
    let call = model::calls(&file.model).into_iter().next().unwrap_or_default();
    let Some(tensors) = fuzz::inputs::inputs(&file.model, &call, seed) else { bail!("{name}: no inputs can be drawn") };
    let names = graph.inputs.iter().map(|id| graph.value(*id).name.to_string());
    let inputs = names.zip(tensors).collect();
    Ok(Subject { name, graph, inputs })
}

/// Counts what came of a corruption; whether there was one.
fn record(tally: &mut Tally, subject: &Subject, sabotage: Sabotage) -> bool {
    match outcome(subject, &sabotage) {
        Outcome::Nothing => return false,
        Outcome::Found(pass) => {
            tally.found += 1;
            tally.blamed += (pass == sabotage.pass) as usize;
        }
        Outcome::Missed => {
            tally.missed += 1;
            println!("missed: {} with pass {} corrupted by seed {}", subject.name, sabotage.pass, sabotage.seed);
        }
    }
    true
}

fn outcome(subject: &Subject, sabotage: &Sabotage) -> Outcome {
    let options = Options { sabotage: Some(sabotage.clone()), ..Options::new(Target::native(), Check::native(0).threads) };
    let report = fuzz::quiet::quietly(|| verify_graph(&subject.graph, &options, &subject.inputs, Sample::All));
    match report {
        Err(panic) => Outcome::Found(format!("a panic at {}", panic.place)),
        Ok(Err(Error::Bug(_))) => Outcome::Found("an error".to_string()),
        Ok(Err(Error::Diagnostics(_))) => Outcome::Nothing,
        Ok(Ok(Report { failure: Some(failure), .. })) => Outcome::Found(failure.pass),
        Ok(Ok(Report { failure: None, .. })) if has_effect(subject, &options) => Outcome::Missed,
        Ok(Ok(Report { failure: None, .. })) => Outcome::Nothing,
    }
}

/// Whether the corrupted code gives a wrong output.
fn has_effect(subject: &Subject, options: &Options) -> bool {
    let inputs: Vec<Tensor> =
        subject.graph.inputs.iter().filter_map(|id| subject.inputs.get(&*subject.graph.value(*id).name).cloned()).collect();
    let Ok(reference) = call_reference(&subject.graph, &inputs, 0) else { return false };
    let Ok(compiled) = driver::compile_graph(subject.graph.clone(), options) else { return true };
    let outputs = Executable::load(compiled.image, options.threads).and_then(|mut executable| executable.run(&inputs));
    outputs.map_or(true, |outputs| fuzz::native::compare(&subject.graph, &outputs, &reference).is_err())
}

fn print(passes: &[&str], tallies: &BTreeMap<&str, Tally>) {
    println!("{:<12} {:>9} {:>6} {:>7} {:>7}", "pass", "corrupted", "found", "blamed", "missed");
    let mut all = Tally::default();
    for pass in passes {
        let Some(tally) = tallies.get(pass) else { continue };
        println!("{}", row(pass, tally));
        all = Tally { found: all.found + tally.found, blamed: all.blamed + tally.blamed, missed: all.missed + tally.missed };
    }
    println!("{}", row("all", &all));
    println!("found: {:.1} %", 100.0 * all.found as f64 / (all.found + all.missed).max(1) as f64);
}

fn row(name: &str, tally: &Tally) -> String {
    format!("{name:<12} {:>9} {:>6} {:>7} {:>7}", tally.found + tally.missed, tally.found, tally.blamed, tally.missed)
}
