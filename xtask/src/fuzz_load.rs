//! `cargo xtask fuzz-load`: damaged model files and texts of levels, each loaded and checked; those that are not refused are compiled and
//! where they are small called, all or so many of them.
//!
//! Workers do it, so that a crash, an endless loop or a lack of memory is a failure like others.

use crate::fuzz::job::{Answer, Verdict};
use crate::fuzz::pool::Worker;
use anyhow::{Context, Result};
use fuzz::loader::{Fate, Loader};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Arguments {
    /// How long at most; without it and `--count`, one minute
    #[arg(long)]
    minutes: Option<f64>,
    /// How many inputs at most
    #[arg(long)]
    count: Option<u64>,
    /// Compile and call at most so many of the inputs that are not refused, spread evenly over `--count`; all without it
    #[arg(long, requires = "count")]
    calls: Option<u64>,
    /// The seed of the first input; the others follow
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the input of `--seed`, in this process; it is written to `--failures`
    #[arg(long)]
    one: bool,
    /// Where inputs that fail are written
    #[arg(long, value_name = "DIR", default_value = "build/fuzz")]
    failures: PathBuf,
    /// Worker processes
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Seconds after which an input counts as hanging
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

/// The command of a worker.
const WORKER: &str = "fuzz-load-worker";
/// The most memory of a worker.
const MOST_BYTES: usize = 3 << 30;

struct Campaign {
    next: u64,
    /// Inputs that were compiled, or are to be if they are not refused.
    calls: u64,
    counts: BTreeMap<String, usize>,
    failed: Vec<(u64, Answer)>,
    /// The longest time for an input that was not compiled, in seconds, with its seed.
    slowest: (f64, u64),
    end: Option<Instant>,
}

impl Campaign {
    /// The next seed, and whether its input is to be compiled.
    fn next(&mut self, arguments: &Arguments) -> Option<(u64, bool)> {
        let done = self.next - arguments.seed;
        if arguments.count.is_some_and(|count| done >= count) || self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let due = |(calls, count): (u64, u64)| (u128::from(calls) * u128::from(done + 1)).div_ceil(u128::from(count));
        let calls = arguments.calls.zip(arguments.count).is_none_or(|limits| u128::from(self.calls) < due(limits));
        self.calls += u64::from(calls);
        self.next += 1;
        Some((self.next - 1, calls))
    }

    fn record(&mut self, (seed, calls): (u64, bool), answer: Answer, seconds: f64) {
        let name = if answer.verdict == Verdict::Agrees { answer.message.clone() } else { answer.verdict.name().to_string() };
        self.calls -= u64::from(calls && name == fate_name(Fate::Refused));
        if !calls && seconds > self.slowest.0 {
            self.slowest = (seconds, seed);
        }
        *self.counts.entry(name).or_default() += 1;
        if answer.verdict != Verdict::Agrees {
            let known = self.failed.iter().any(|(_, other)| other.is_like(&answer));
            println!("{seed}: {answer}{}", if known { " (like others)" } else { "" });
            self.failed.push((seed, answer));
        }
    }

    fn summary(&self, arguments: &Arguments, start: Instant) {
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("{} inputs in {:.0} s: {}", self.next - arguments.seed, start.elapsed().as_secs_f64(), counts.join(", "));
        let (seconds, seed) = self.slowest;
        if seconds > 0.0 {
            println!("the slowest that was only loaded, on the clock: {seed}, {seconds:.2} s");
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.one {
        let mut loader = Loader::new(&std::env::temp_dir());
        println!("{}", written(&mut loader, arguments.seed, &arguments.failures)?);
        println!("{:?}", loader.check(arguments.seed, false));
        println!("{:?}", loader.check(arguments.seed, true));
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let minutes = arguments.minutes.or(arguments.count.is_none().then_some(1.0));
    let end = minutes.map(|minutes| start + Duration::from_secs_f64(60.0 * minutes));
    let campaign = Campaign { next: arguments.seed, calls: 0, counts: BTreeMap::new(), failed: vec![], slowest: (0.0, 0), end };
    let campaign = Mutex::new(campaign);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.workers.max(1)).map(|_| scope.spawn(|| work(&campaign, arguments))).collect();
        let joined =
            |worker: std::thread::ScopedJoinHandle<Result<()>>| worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")));
        workers.into_iter().try_for_each(joined)
    })?;
    let campaign = campaign.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    campaign.summary(arguments, start);
    Ok(if campaign.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes seeds until there are no more.
fn work(campaign: &Mutex<Campaign>, arguments: &Arguments) -> Result<()> {
    let lock = || campaign.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut worker = Worker::start(WORKER)?;
    let next = || lock().next(arguments);
    while let Some((seed, calls)) = next() {
        let start = Instant::now();
        let answer = worker.ask(&job(seed, calls), Duration::from_secs(arguments.timeout));
        let answer = answer.with_context(|| format!("the worker at seed {seed}"))?;
        if answer.message == fate_name(Fate::Endless) {
            worker = Worker::start(WORKER)?;
        }
        lock().record((seed, calls), answer, start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// What a worker is asked: a seed, and whether to compile what comes of it.
fn job(seed: u64, calls: bool) -> String {
    format!("{seed} {calls}")
}

fn read_job(line: &str) -> Result<(u64, bool)> {
    let (seed, calls) = line.trim().split_once(' ').context("no job")?;
    Ok((seed.parse()?, calls.parse()?))
}

/// Writes the input of a seed and tells where.
fn written(loader: &mut Loader, seed: u64, folder: &Path) -> Result<String> {
    let (input, model) = loader.input(seed).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("load_{seed}.{}", input.extension()));
    std::fs::write(&path, input.bytes())?;
    let weights = folder.join(format!("load_{seed}.weights.onnx"));
    std::fs::write(&weights, prost::Message::encode_to_vec(&model))?;
    Ok(format!("{} and {}", path.display(), weights.display()))
}

/// Answers each job on standard input.
pub fn worker() -> Result<ExitCode> {
    std::thread::spawn(watch_memory);
    let mut loader = Loader::new(&std::env::temp_dir());
    for line in std::io::stdin().lock().lines() {
        let (seed, calls) = read_job(&line?)?;
        let answer = match loader.check(seed, calls) {
            Ok(fate) => Answer::of(Verdict::Agrees, "", fate_name(fate)),
            Err(failure) => Answer::of(Verdict::Fails(failure.kind), &failure.place, &failure.message),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", answer.line())?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Refused => "refused",
        Fate::Clean => "clean",
        Fate::Compiled => "compiled",
        Fate::Called => "called",
        Fate::Endless => "endless",
    }
}

/// Ends a worker that takes too much.
fn watch_memory() {
    loop {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).and_then(|line| line.split_whitespace().next());
        let kib: usize = field.and_then(|number| number.parse().ok()).unwrap_or(0);
        if kib << 10 > MOST_BYTES {
            std::process::abort();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
