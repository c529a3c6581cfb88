//! `cargo xtask fuzz`: a campaign of random models.
//!
//! Models are checked by worker processes, so that a crash or an endless loop of generated code is a failure like others.
//!
//! - [`job`]: what a worker is asked, and what it answers, as lines
//! - [`worker`]: the worker's side
//! - [`pool`]: the other side
//! - [`report`]: failures made smaller, and shown

pub mod job;
pub mod pool;
mod report;
pub mod worker;

use anyhow::{Context, Result};
use job::{Answer, Job, Verdict};
use onnx::proto::ModelProto;
use pool::Worker;
use prost::Message;
use report::Failed;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Arguments {
    /// How many models
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// The seed of the first model; the others follow
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Check these model files instead of random ones, with inputs drawn from the seeds that they were drawn from, else `--seed`
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Write the models that agree, with inputs and outputs, in the layout of ONNX's tests
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Where models that fail are written
    #[arg(long, value_name = "DIR", default_value = "build/fuzz")]
    failures: PathBuf,
    /// Only import and interpret
    #[arg(long)]
    reference: bool,
    /// Do not make failures smaller
    #[arg(long)]
    whole: bool,
    /// Worker processes; each runs models on one and two threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Seconds of computing after which a model counts as hanging
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// What is to be done, what has come of it.
struct Campaign {
    jobs: Vec<Job>,
    next: usize,
    counts: BTreeMap<&'static str, usize>,
    failed: Vec<Failed>,
    start: Instant,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let campaign = Mutex::new(Campaign { jobs: jobs(arguments), next: 0, counts: BTreeMap::new(), failed: vec![], start: Instant::now() });
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.workers.max(1)).map(|_| scope.spawn(|| work(&campaign, timeout(arguments)))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the campaign panicked"))))
    })?;
    let mut campaign = campaign.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    campaign.failed.sort_by_key(|failed| failed.job.seed);
    summary(&campaign);
    report::report(&campaign.failed, arguments, timeout(arguments))?;
    Ok(if campaign.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn timeout(arguments: &Arguments) -> Duration {
    Duration::from_secs(arguments.timeout)
}

fn jobs(arguments: &Arguments) -> Vec<Job> {
    let job = |seed: u64, model: Option<PathBuf>| Job {
        seed,
        model,
        reference: arguments.reference,
        dump: arguments.dump.clone(),
        explain: false,
        brief: false,
    };
    if arguments.models.is_empty() {
        return (arguments.seed..arguments.seed + arguments.count).map(|seed| job(seed, None)).collect();
    }
    arguments.models.iter().map(|model| job(seed_of(model).unwrap_or(arguments.seed), Some(model.clone()))).collect()
}

/// The seed that a model was drawn from: its graph's name.
fn seed_of(path: &Path) -> Option<u64> {
    let model = ModelProto::decode(std::fs::read(path).ok()?.as_slice()).ok()?;
    model.graph?.name.strip_prefix("seed_")?.parse().ok()
}

/// Takes jobs until there are none left.
fn work(campaign: &Mutex<Campaign>, timeout: Duration) -> Result<()> {
    let mut worker = Worker::start("fuzz-worker")?;
    while let Some(job) = next(campaign) {
        let answer = worker.ask(&job.line(), timeout).with_context(|| format!("the worker at seed {}", job.seed))?;
        record(campaign, job, answer);
    }
    Ok(())
}

fn lock(campaign: &Mutex<Campaign>) -> std::sync::MutexGuard<'_, Campaign> {
    campaign.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn next(campaign: &Mutex<Campaign>) -> Option<Job> {
    let mut campaign = lock(campaign);
    campaign.next += 1;
    campaign.jobs.get(campaign.next - 1).cloned()
}

fn record(campaign: &Mutex<Campaign>, job: Job, answer: Answer) {
    let mut campaign = lock(campaign);
    *campaign.counts.entry(answer.verdict.name()).or_default() += 1;
    if answer.verdict != Verdict::Agrees {
        clear_progress();
        println!("{}: {answer}", job.name());
        campaign.failed.push(Failed { job, answer });
    }
    let done: usize = campaign.counts.values().sum();
    if std::io::stderr().is_terminal() {
        let left = campaign.start.elapsed().as_secs_f64() / done as f64 * (campaign.jobs.len() - done) as f64;
        eprint!("\r{done} of {}, {} failed, {left:.0} s left   ", campaign.jobs.len(), campaign.failed.len());
        let _ = std::io::stderr().flush();
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn summary(campaign: &Campaign) {
    clear_progress();
    let count = |name: &str| campaign.counts.get(name).copied().unwrap_or(0);
    let parts: Vec<String> = Verdict::NAMES.iter().map(|name| format!("{} {name}", count(name))).collect();
    println!("{} models in {:.0} s: {}", campaign.jobs.len(), campaign.start.elapsed().as_secs_f64(), parts.join(", "));
    let seeds: Vec<String> = campaign.failed.iter().map(|failed| failed.job.name()).collect();
    if !seeds.is_empty() {
        println!("failed: {}", seeds.join(" "));
    }
}
