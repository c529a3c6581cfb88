//! `cargo xtask schedules`: how good the default schedules are.
//!
//! For each operation: the time by the default schedule of its longest kernel, by the best of a short search, and by many schedules that
//! are drawn from all legal ones of its template.

use crate::measure::{self, Memory};
use crate::problem::Problem;
use anyhow::{Context, Result};
use driver::kernel_times::{KernelTime, least_times};
use driver::{Compiled, Options, Tuned, Tuner};
use kernel::schedule::Schedule;
use kernel::space::Space;
use program::PhysicalGroup;
use random::Random;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use target::Target;

#[derive(clap::Args)]
pub struct Arguments {
    /// Operations: `matmul 128x768x3072` (m, n, k), `conv 56x56x64x64x3x1x1` (height, width, channels, outputs, window, stride, groups),
    /// `block 28x28x96` (height, width, channels), `softmax`, `norm` and `transpose` (rows, columns), `attention 12x512x64` (heads, length,
    /// depth); by default twelve of them
    operations: Vec<Problem>,
    /// Schedules that are drawn for each
    #[arg(long, default_value_t = 500)]
    draws: usize,
    /// Seconds of the search for each
    #[arg(long, default_value_t = 60.0)]
    budget: f64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The target: native, x86-64-v3, or a file with a record
    #[arg(long, default_value = "native")]
    target: String,
    /// Write each measured schedule as a line of JSON
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
}

/// Rounds of the last comparison: memory that is loaded anew lies elsewhere each time, and may lie better.
const LAST_ROUNDS: usize = 15;

/// Four contractions, four convolutions, two of rows, attention, and a step of decoding.
pub const OPERATIONS: [&str; 12] = [
    "matmul 1024x1024x1024",
    "matmul 128x768x3072",
    "matmul 197x2304x768",
    "matmul 49x960x160",
    "conv 56x56x64x64x3x1x1",
    "conv 14x14x256x256x3x1x1",
    "conv 28x28x512x128x1x1x1",
    "conv 56x56x72x72x5x1x72",
    "softmax 1536x197",
    "norm 512x768",
    "attention 12x512x64",
    "matmul 1x5632x2048",
];

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let target = measure::target(&arguments.target)?;
    let operations = match arguments.operations.as_slice() {
        [] => OPERATIONS.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        given => given.to_vec(),
    };
    let mut dump = arguments.dump.as_ref().map(std::fs::File::create).transpose()?;
    println!("operation | default us | search / default | best drawn / default | drawn no slower than 1.05 of the best");
    for operation in &operations {
        let found = Search::new(operation, &target, arguments.threads)?.run(arguments)?;
        let best = found.drawn.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
        let near = found.drawn.iter().filter(|(_, seconds)| *seconds <= 1.05 * best.min(found.default.1)).count();
        let (default, searched) = (found.default.1, found.searched.1);
        println!(
            "{operation} | {:.1} | {:.3} | {:.3} | {near} of {}",
            default * 1e6,
            searched / default,
            best / default,
            found.drawn.len()
        );
        println!("    default {}\n    search  {}", found.default.0, found.searched.0);
        if let Some((schedule, _)) = found.drawn.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
            println!("    drawn   {schedule}");
        }
        if let Some(dump) = &mut dump {
            for (schedule, seconds) in [&found.default, &found.searched].into_iter().chain(&found.drawn) {
                let line = serde_json::json!({ "operation": operation.to_string(), "schedule": schedule.to_string(), "seconds": seconds });
                writeln!(dump, "{line}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

type Timed = (Schedule, f64);

struct Found {
    default: Timed,
    searched: Timed,
    drawn: Vec<Timed>,
}

/// The longest kernel of one operation.
struct Search {
    compiled: Compiled,
    options: Options,
    memory: Memory,
    group: PhysicalGroup,
}

impl Search {
    fn new(operation: &Problem, target: &Target, threads: usize) -> Result<Search> {
        let (graph, inputs) = operation.model()?;
        let plain = Options::new(target.clone(), threads);
        let options = Options { share_kernels: false, profile: true, winograd: false, ..plain };
        let compiled = driver::compile_graph(graph, &options)?;
        let mut memory = Memory::new(&compiled, &inputs)?;
        let times = times(&compiled, &mut memory, threads)?;
        let longest = times.first().context("an operation without a kernel")?;
        let group = compiled.assembly.lowered[longest.number].group.clone();
        Ok(Search { compiled, options, memory, group })
    }

    fn run(mut self, arguments: &Arguments) -> Result<Found> {
        let mut random = Random::named(arguments.seed, "schedules");
        let mut below = |limit: usize| random.below(limit);
        let (group, target) = (self.group.clone(), self.options.target.clone());
        let mut tuner = Tuner::new(&self.compiled, &target, &times(&self.compiled, &mut self.memory, arguments.threads)?);
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < arguments.budget {
            let (trial, times) = self.measured(tuner.trial(&mut below))?;
            tuner.measured(&trial, &times);
        }
        let space = Space::new(&group, &target);
        let mut drawn = Vec::new();
        for _ in 0..arguments.draws {
            drawn.extend(space.drawn(&mut below).map(|schedule| self.timed(schedule)).transpose()?);
        }
        let default = kernel::schedule::choose(&group, &target);
        let searched = tuner.best().schedule(&group).unwrap_or_else(|| default.clone());
        // the three that count, by turns
        let best = drawn.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(schedule, _)| schedule.clone());
        let (mut default, mut searched) = ((default, f64::INFINITY), (searched, f64::INFINITY));
        let mut best = best.map(|schedule| (schedule, f64::INFINITY));
        for _ in 0..LAST_ROUNDS {
            for timed in [&mut default, &mut searched].into_iter().chain(&mut best) {
                timed.1 = timed.1.min(self.timed(timed.0.clone())?.1);
            }
        }
        drawn.iter_mut().filter(|(schedule, _)| best.as_ref().is_some_and(|best| best.0 == *schedule)).for_each(|known| {
            known.1 = best.as_ref().map_or(known.1, |best| best.1);
        });
        Ok(Found { default, searched, drawn })
    }

    fn timed(&mut self, schedule: Schedule) -> Result<Timed> {
        let mut tuned = Tuned::new(&self.compiled.graph, &self.options.target);
        tuned.put(&self.group, &schedule);
        let (compiled, times) = self.measured(tuned)?;
        let own = times.iter().find(|time| compiled.assembly.lowered[time.number].group == self.group);
        Ok((schedule, own.context("the kernel is gone")?.seconds))
    }

    fn measured(&mut self, tuned: Tuned) -> Result<(Compiled, Vec<KernelTime>)> {
        let options = Options { tuned: Some(Arc::new(tuned)), ..self.options.clone() };
        let compiled = driver::compile::recompiled(&self.compiled, &options)?;
        let times = times(&compiled, &mut self.memory, options.threads)?;
        Ok((compiled, times))
    }
}

/// The least time of each kernel over some calls, longest first.
fn times(compiled: &Compiled, memory: &mut Memory, threads: usize) -> Result<Vec<KernelTime>> {
    let mut executable = compiled.load(threads)?;
    memory.call(&mut executable)?;
    Ok(least_times(compiled, &mut executable, |executable| memory.call(executable))?)
}
