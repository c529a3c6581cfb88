//! `inkle tune`: schedules for a model, found by measuring.

use crate::args::TuneArgs;
use crate::failure::Failure;
use crate::inputs::{Draw, Inputs, drawn, drawn_sizes, from_file};
use crate::measure::Caller;
use crate::model::{self, Machine};
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use driver::kernel_times::{KernelTime, least_times, median_times};
use driver::{Compiled, Level, Options, Source, Tuned, Tuner};
use ir::Code;
use random::Random;
use runtime::Executable;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds of the last comparison, of the default and the best by turns.
const LAST_ROUNDS: usize = 9;
/// How long a round takes that times whole calls.
const ROUND: Duration = Duration::from_millis(60);
/// Rounds that may fail.
const MOST_FAILURES: usize = 20;
/// Of its own time a kernel must gain so much in the last comparison.
const LEAST_GAIN: f64 = 0.02;

pub fn tune(arguments: &TuneArgs) -> Result<Report, Failure> {
    let path = arguments.out.clone().unwrap_or_else(|| default_path(&arguments.model));
    check_limits(arguments, &path)?;
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let options = model::options(&arguments.compile, &machine)?;
    let search = Search { machine: &machine, budget: arguments.budget, seed: arguments.seed };
    let found = search.found(&source, &options, |compiled| inputs(arguments, compiled, &machine))?;
    std::fs::write(&path, format!("{}\n", found.tuned)).map_err(|why| unwritable(&path, &why))?;
    Ok(told(&found, &path))
}

/// A search for schedules.
pub struct Search<'a> {
    pub machine: &'a Machine,
    /// Seconds.
    pub budget: f64,
    pub seed: u64,
}

/// What a search found.
pub struct Found {
    pub tuned: Tuned,
    /// Seconds of a call with the default schedules and with the best.
    calls: [f64; 2],
    rounds: usize,
}

impl Search<'_> {
    /// The best schedules for calls with these inputs.
    pub fn found(
        &self,
        source: &Source,
        options: &Options,
        inputs: impl FnOnce(&Compiled) -> Result<Inputs, Failure>,
    ) -> Result<Found, Failure> {
        let machine = self.machine;
        // each kernel has its own place, and what is tried once is not worth keeping
        let options = Options { share_kernels: false, profile: true, store: None, ..options.clone() };
        let start = Instant::now();
        let progress = Progress::new("compiling");
        let compiled = driver::compile(source, &options)?;
        let inputs = inputs(&compiled)?;
        progress.remark(&inputs.remark);
        let measure = |compiled: &Compiled| Measured::new(compiled, machine, &inputs)?.times();
        let mut tuner = Tuner::new(&compiled, &machine.target, &measure(&compiled)?);
        let mut random = Random::new(self.seed);
        let mut below = |limit: usize| random.below(limit);
        let with = |tuned: Tuned, profile: bool| -> Result<Compiled, Failure> {
            Ok(driver::compile::recompiled(&compiled, &Options { tuned: Some(Arc::new(tuned)), profile, ..options.clone() })?)
        };
        let (mut rounds, mut failures) = (0, 0);
        while start.elapsed().as_secs_f64() < self.budget {
            match with(tuner.trial(&mut below), true).and_then(|trial| Ok((measure(&trial)?, trial))) {
                Ok((times, trial)) => tuner.measured(&trial, &times),
                // a schedule that needs too much memory, for one
                Err(_) if failures < MOST_FAILURES => failures += 1,
                Err(failure) => return Err(failure),
            }
            rounds += 1;
            let [default, best] = tuner.seconds().map(report::seconds);
            progress.now(format!("round {rounds}: {default} by default, {best} by the best schedules"));
        }
        progress.now("comparing");
        let default = Tuned::new(&compiled.graph, &machine.target);
        let both = [with(default.clone(), true)?, with(tuner.best(), true)?];
        let [before, after] = by_turns(&both, machine, &inputs, |side| side.times())?.map(median_times);
        tuner.confirm([(&both[0], &before), (&both[1], &after)], LEAST_GAIN);
        // kernels that take turns without being timed, as they run for a user
        let calls = by_turns(&[with(default.clone(), false)?, with(tuner.best(), false)?], machine, &inputs, |side| side.call())?;
        let calls = calls.map(median);
        Ok(Found { tuned: if calls[1] < calls[0] { tuner.best() } else { default }, calls, rounds })
    }
}

/// Seconds of the search that `--opt 2` asks for.
const SEARCH: f64 = 10.0;

/// A model compiled with the best schedules for these inputs, and the options that do it.
pub fn searched(machine: &Machine, source: &Source, options: Options, inputs: &Inputs) -> Result<(Compiled, Options), Failure> {
    let search = Search { machine, budget: SEARCH, seed: 0 };
    let found = search.found(source, &options, |_| {
        let (tensors, strings) = (inputs.tensors.clone(), inputs.strings.clone());
        Ok(Inputs { tensors, remark: "looking for schedules".to_string(), strings })
    })?;
    let options = Options { tuned: Some(Arc::new(found.tuned)), ..options };
    Ok((driver::compile(source, &options)?, options))
}

/// What would come to nothing is refused before it takes its time.
fn check_limits(arguments: &TuneArgs, path: &Path) -> Result<(), Failure> {
    let wrong = |why: String| Err(Failure::user(Code::Input, why));
    let limit = arguments.compile.machine.max_time;
    if arguments.compile.tuned.is_some() {
        return wrong("tuning begins with the default schedules: no --tuned".to_string());
    }
    if matches!(model::source(&arguments.model, arguments.compile.weights.as_deref()), Ok(Source::Text { level, .. }) if level != Level::Graph)
    {
        return wrong("schedules are tuned for a whole model, not for the text of a later level".to_string());
    }
    if arguments.budget >= limit || arguments.budget.is_infinite() {
        return wrong(format!("a budget of {} s ends with no result at --max-time, {limit} s", arguments.budget));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let writable = match path.exists() {
        true => std::fs::OpenOptions::new().append(true).open(path).map(drop),
        false => tempfile::tempfile_in(folder).map(drop),
    };
    writable.map_err(|why| unwritable(path, &why))
}

fn unwritable(path: &Path, why: &std::io::Error) -> Failure {
    Failure::user(Code::Input, format!("{}: {why}", path.display()))
}

/// `model.tuned.json` in the present folder.
fn default_path(model: &Path) -> PathBuf {
    PathBuf::from(format!("{}.tuned.json", model::name(model)))
}

fn inputs(arguments: &TuneArgs, compiled: &Compiled, machine: &Machine) -> Result<Inputs, Failure> {
    match &arguments.inputs {
        Some(path) => from_file(path, &compiled.image),
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
        executable.share_strings(&inputs.strings);
        let mut caller = Caller::new(&executable, &inputs.tensors)?;
        caller.call(&mut executable)?;
        Ok(Measured { compiled, executable, caller })
    }

    /// The least time of each kernel over some calls, longest first.
    fn times(&mut self) -> Result<Vec<KernelTime>, Failure> {
        least_times(self.compiled, &mut self.executable, |executable| self.caller.call(executable).map(drop))
    }

    /// The least time of a call.
    fn call(&mut self) -> Result<f64, Failure> {
        let (mut least, start) = (f64::INFINITY, Instant::now());
        while start.elapsed() < ROUND {
            least = least.min(self.caller.call(&mut self.executable)?);
        }
        Ok(least)
    }
}

/// What two models give in the rounds of the last comparison.
fn by_turns<T>(
    both: &[Compiled; 2],
    machine: &Machine,
    inputs: &Inputs,
    measure: impl Fn(&mut Measured) -> Result<T, Failure>,
) -> Result<[Vec<T>; 2], Failure> {
    let mut sides = [Measured::new(&both[0], machine, inputs)?, Measured::new(&both[1], machine, inputs)?];
    let mut rounds = [vec![], vec![]];
    for _ in 0..LAST_ROUNDS {
        for (round, side) in rounds.iter_mut().zip(&mut sides) {
            round.push(measure(side)?);
        }
    }
    Ok(rounds)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn told(found: &Found, path: &Path) -> Report {
    let Found { tuned, calls: [default, best], rounds } = found;
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
        "{table}one call: {} by default, {BOLD}{}{BOLD:#} tuned ({:.3} times as fast), after {rounds} rounds\n{} holds them: --tuned {}\n",
        report::seconds(*default),
        report::seconds(*best),
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
