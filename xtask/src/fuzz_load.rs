//! `cargo xtask fuzz-load`: damaged model files and texts of levels, each loaded, compiled and where it is small called.
//!
//! Workers do it, so that a crash, an endless loop or a lack of memory is a failure like others.

use crate::fuzz::job::{Answer, Verdict};
use crate::fuzz::pool::Worker;
use anyhow::{Context, Result};
use fuzz::loader::{Fate, check_seed, input};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Arguments {
    /// How long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
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
    counts: BTreeMap<String, usize>,
    failed: Vec<(u64, Answer)>,
    end: Instant,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.one {
        println!("{}", written(arguments.seed, &arguments.failures)?);
        println!("{:?}", check_seed(arguments.seed, &std::env::temp_dir()));
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(60.0 * arguments.minutes);
    let campaign = Mutex::new(Campaign { next: arguments.seed, counts: BTreeMap::new(), failed: vec![], end });
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.workers.max(1)).map(|_| scope.spawn(|| work(&campaign, arguments))).collect();
        let joined =
            |worker: std::thread::ScopedJoinHandle<Result<()>>| worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")));
        workers.into_iter().try_for_each(joined)
    })?;
    let campaign = campaign.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let counts: Vec<String> = campaign.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    println!("{} inputs in {:.0} s: {}", campaign.next - arguments.seed, start.elapsed().as_secs_f64(), counts.join(", "));
    Ok(if campaign.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes seeds until the time is over.
fn work(campaign: &Mutex<Campaign>, arguments: &Arguments) -> Result<()> {
    let lock = || campaign.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut worker = Worker::start(WORKER)?;
    let next = || {
        let mut campaign = lock();
        let seed = campaign.next;
        let goes_on = Instant::now() < campaign.end;
        campaign.next += u64::from(goes_on);
        goes_on.then_some(seed)
    };
    while let Some(seed) = next() {
        let answer =
            worker.ask(&seed.to_string(), Duration::from_secs(arguments.timeout)).with_context(|| format!("the worker at seed {seed}"))?;
        if answer.message == fate_name(Fate::Endless) {
            worker = Worker::start(WORKER)?;
        }
        let mut campaign = lock();
        let name = if answer.verdict == Verdict::Agrees { answer.message.clone() } else { answer.verdict.name().to_string() };
        *campaign.counts.entry(name).or_default() += 1;
        if answer.verdict != Verdict::Agrees {
            let known = campaign.failed.iter().any(|(_, other)| other.is_like(&answer));
            println!("{seed}: {answer}{}", if known { " (like others)" } else { "" });
            campaign.failed.push((seed, answer));
        }
    }
    Ok(())
}

/// Writes the input of a seed and tells where.
fn written(seed: u64, folder: &Path) -> Result<String> {
    let (input, model) = input(seed).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("load_{seed}.{}", input.extension()));
    std::fs::write(&path, input.bytes())?;
    let weights = folder.join(format!("load_{seed}.weights.onnx"));
    std::fs::write(&weights, prost::Message::encode_to_vec(&model))?;
    Ok(format!("{} and {}", path.display(), weights.display()))
}

/// Answers each seed on standard input.
pub fn worker() -> Result<ExitCode> {
    std::thread::spawn(watch_memory);
    for line in std::io::stdin().lock().lines() {
        let seed = line?.trim().parse()?;
        let answer = match check_seed(seed, &std::env::temp_dir()) {
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
