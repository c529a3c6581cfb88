//! `inkle tune`: schedules for a model, found by measuring.

use crate::args::TuneArgs;
use crate::failure::Failure;
use crate::inputs::{Draw, Inputs, drawn, drawn_sizes, read};
use crate::measure::Caller;
use crate::model::{self, Machine};
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use driver::kernel_times::{KernelTime, least_times, median_times};
use driver::{Compiled, Options, Tuned, Tuner};
use ir::Code;
use random::Random;
use runtime::Executable;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds of the last comparison, of the default and the best by turns.
const LAST_ROUNDS: usize = 9;
/// Of its own time a kernel must gain so much in the last comparison.
const LEAST_GAIN: f64 = 0.02;

pub fn tune(arguments: &TuneArgs) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    // each kernel has its own place, and what is tried once is not worth keeping
    let options = Options { share_kernels: false, profile: true, store: None, ..model::options(&arguments.compile, &machine)? };
    let (start, budget) = (Instant::now(), Duration::from_secs_f64(arguments.budget));
    let progress = Progress::new("compiling");
    let compiled = driver::compile(&source, &options)?;
    let inputs = inputs(arguments, &compiled, &machine)?;
    progress.remark(&inputs.remark);
    let measure = |compiled: &Compiled| Measured::new(compiled, &machine, &inputs)?.times();
    let mut tuner = Tuner::new(&compiled, &machine.target, &measure(&compiled)?);
    let mut random = Random::new(arguments.seed);
    let mut below = |limit: usize| random.between(0, limit as i64 - 1) as usize;
    let mut rounds = 0;
    let compile = |tuned: Tuned| driver::compile::recompiled(&compiled, &Options { tuned: Some(Arc::new(tuned)), ..options.clone() });
    while start.elapsed() < budget {
        let trial = compile(tuner.trial(&mut below))?;
        tuner.measured(&trial, &measure(&trial)?);
        rounds += 1;
        let [default, best] = tuner.seconds().map(report::seconds);
        progress.now(format!("round {rounds}: {default} by default, {best} by the best schedules"));
    }
    progress.now("comparing");
    let (default, best) = (compile(Tuned::new(&compiled.graph, &machine.target))?, compile(tuner.best())?);
    let mut both = [Measured::new(&default, &machine, &inputs)?, Measured::new(&best, &machine, &inputs)?];
    let mut times = [vec![], vec![]];
    for _ in 0..LAST_ROUNDS {
        for (times, measured) in times.iter_mut().zip(&mut both) {
            times.push(measured.times()?);
        }
    }
    let [before, after] = times.map(median_times);
    tuner.confirm([(&default, &before), (&best, &after)], LEAST_GAIN);
    drop(progress);
    let tuned = tuner.best();
    let path = arguments.out.clone().unwrap_or_else(|| default_path(&arguments.model));
    std::fs::write(&path, format!("{tuned}\n")).map_err(|why| Failure::user(Code::Input, format!("{}: {why}", path.display())))?;
    Ok(told(&tuned, tuner.seconds(), rounds, &path))
}

/// `model.tuned.json` in the present folder.
fn default_path(model: &Path) -> PathBuf {
    PathBuf::from(format!("{}.tuned.json", model::name(model)))
}

fn inputs(arguments: &TuneArgs, compiled: &Compiled, machine: &Machine) -> Result<Inputs, Failure> {
    match &arguments.inputs {
        Some(path) => Ok(Inputs { tensors: read(path, &compiled.image)?, remark: format!("inputs: {}", path.display()) }),
        None => {
            let draw = Draw { seed: arguments.seed, most_bytes: machine.most_bytes };
            drawn(&compiled.image, &compiled.graph, &drawn_sizes(&compiled.image)?, draw)
        }
    }
}

/// A compiled model whose kernels are measured.
struct Measured<'a> {
    compiled: &'a Compiled,
    executable: Executable,
    caller: Caller,
}

impl<'a> Measured<'a> {
    /// It was called once.
    fn new(compiled: &'a Compiled, machine: &Machine, inputs: &Inputs) -> Result<Measured<'a>, Failure> {
        let mut executable = machine.load(compiled)?;
        let mut caller = Caller::new(&executable, &inputs.tensors)?;
        caller.call(&mut executable)?;
        Ok(Measured { compiled, executable, caller })
    }

    /// The least time of each kernel over some calls, longest first.
    fn times(&mut self) -> Result<Vec<KernelTime>, Failure> {
        least_times(self.compiled, &mut self.executable, |executable| self.caller.call(executable).map(drop))
    }
}

fn told(tuned: &Tuned, [default, best]: [f64; 2], rounds: usize, path: &Path) -> Report {
    let mut kernels: Vec<_> = tuned.kernels.values().collect();
    kernels.sort_by(|a, b| (b.default_seconds - b.seconds).total_cmp(&(a.default_seconds - a.seconds)));
    let rows: Vec<Vec<String>> = kernels
        .iter()
        .map(|kernel| {
            let regret = format!("{:.2}", kernel.default_seconds / kernel.seconds);
            vec![
                report::shortened(&kernel.label),
                report::seconds(kernel.default_seconds),
                report::seconds(kernel.seconds),
                regret,
                kernel.schedule.clone(),
            ]
        })
        .collect();
    let table = if rows.is_empty() { String::new() } else { report::table(&["kernel", "default", "tuned", "ratio", "schedule"], &rows, 1) };
    let text = format!(
        "{table}kernels of one call: {} by default, {BOLD}{}{BOLD:#} tuned ({:.3} times as fast), after {rounds} rounds\n{} holds them: --tuned {}\n",
        report::seconds(default),
        report::seconds(best),
        default / best,
        path.display(),
        path.display(),
    );
    let json = json!({
        "file": path.display().to_string(),
        "rounds": rounds,
        "default_s": default,
        "tuned_s": best,
        "kernels": kernels,
    });
    Report::new(text, json)
}
