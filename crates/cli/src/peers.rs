//! `inkle bench --against`: models side by side with other frameworks.
//!
//! Every side of a model, ours among them, is a process that holds the model and answers requests, so that compile time and memory are
//! its own. Rounds rotate between the sides: one works while the others are stopped.
//!
//! - [`statistics`]: medians and intervals of rounds
//! - [`process`]: a side of the comparison as a process
//! - [`environment`]: the Python that peers run in
//! - [`serve`]: our side, in its process
//! - [`comparison`]: one model on all sides, round by round
//! - [`result`]: what was found
//! - [`table`]: the same for a terminal
//! - [`page`]: the same as a page with plots

mod comparison;
mod environment;
mod page;
mod process;
mod result;
pub mod serve;
mod statistics;
mod table;

use crate::args::{BenchArgs, ModelArgs, Precision, Switch};
use crate::failure::Failure;
use crate::model::Machine;
use crate::progress::Progress;
use crate::report::Report;
use crate::roofline::{Ceilings, Roofline};
use comparison::Bench;
use ir::Code;
use result::{Comparison, ModelResult};

/// Times every model of the command line on our side and on those of the peers that it names.
pub fn against(arguments: &BenchArgs) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let python = environment::python(&arguments.against)?;
    let roofline = Roofline::new(&machine)?;
    let bench = Bench { arguments, threads: machine.threads, vector_bits: machine.target.vector_bits, python, folder: temporary_folder()? };
    let progress = Progress::new("measuring the machine");
    let (mut ceilings, mut models) = (roofline.ceilings()?, Vec::new());
    for path in &arguments.models {
        models.push(bench.model(path, &progress)?);
        ceilings = ceilings.best(roofline.ceilings()?);
    }
    drop(progress);
    report(arguments, &machine, ceilings, models)
}

/// How our side is compiled, in words.
fn ours(arguments: &ModelArgs) -> String {
    let precision = match arguments.precision {
        Precision::F32 => "in f32",
        Precision::Bf16 => "products of bf16, the rest in f32",
    };
    let tuned = arguments.tuned.as_ref().map(|path| format!("schedules of {}", path.display()));
    let direct = (arguments.winograd == Switch::Off).then(|| "without minimal filtering".to_string());
    let words: Vec<String> = std::iter::once(precision.to_string()).chain(tuned).chain(direct).collect();
    words.join(", ")
}

fn temporary_folder() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir().map_err(|why| Failure::user(Code::Input, format!("no temporary folder: {why}")))
}

/// What is found is told in three forms; the exit code is that of the first model that our side fails on.
fn report(arguments: &BenchArgs, machine: &Machine, ceilings: Ceilings, models: Vec<ModelResult>) -> Result<Report, Failure> {
    let comparison = Comparison {
        processor: crate::machine::processor(),
        threads: machine.threads,
        vector_bits: machine.target.vector_bits,
        ours: ours(&arguments.compile),
        peer_precision: arguments.peer_precision.name().to_string(),
        rounds: arguments.rounds.into(),
        coverage: statistics::coverage(arguments.rounds.into()),
        summary: result::summary(&models),
        models: models.into_iter().map(|model| model.with_limits(&ceilings)).collect(),
        ceilings,
    };
    let mut text = table::text(&comparison);
    if let Some(path) = &arguments.html {
        let fault = |why| Failure::user(Code::Input, format!("{}: {why}", path.display()));
        std::fs::write(path, page::html(&comparison)).map_err(fault)?;
        text += &format!("{}\n", path.display());
    }
    let exit_code = comparison.models.iter().find_map(|model| model.failure.as_ref()).map_or(0, |failure| failure.exit_code);
    let json = serde_json::to_value(&comparison).map_err(|why| Failure::bug(why.to_string()))?;
    Ok(Report { text, json, exit_code })
}
