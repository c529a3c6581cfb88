//! Where the time of a call goes, by kernel.

use crate::compile::Compiled;
use crate::work::{self, Launched, Work};
use runtime::{Executable, StepTime};
use std::time::{Duration, Instant};

/// Calls of a measurement, unless they take longer than the most time, and how long they take at least.
const LEAST_CALLS: usize = 5;
const LEAST_TIME: Duration = Duration::from_millis(40);
const MOST_TIME: Duration = Duration::from_millis(300);

/// One kernel's part of a call: all of its launches together.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The number that `inspect` heads it with.
    pub number: usize,
    /// The model nodes of the launch that takes longest.
    pub label: String,
    pub launches: Vec<LaunchWork>,
    pub seconds: f64,
}

/// What a launch has to do in a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaunchWork {
    pub runs: f64,
    /// Of one run.
    pub work: Work,
}

impl KernelTime {
    /// Of all launches together.
    pub fn flops(&self) -> f64 {
        self.launches.iter().map(|launch| launch.runs * launch.work.flops).sum()
    }
}

/// The kernels of `main` by the times that an executable measured, longest first. Sizes are those of the calls.
pub fn kernel_times(compiled: &Compiled, steps: &[StepTime], sizes: &[i64]) -> Vec<KernelTime> {
    let launched = work::launched(compiled, sizes);
    let time = |each: &Launched| steps.get(each.launch.step as usize).map_or(0.0, seconds);
    let of_kernel = |at: usize| {
        let own: Vec<&Launched> = launched.iter().filter(|each| each.launch.kernel == at).collect();
        let longest = own.iter().max_by(|a, b| time(a).total_cmp(&time(b)))?;
        Some(KernelTime {
            number: at,
            label: steps.get(longest.launch.step as usize)?.label.clone(),
            launches: own.iter().map(|each| LaunchWork { runs: each.runs, work: each.work }).collect(),
            seconds: own.iter().map(|each| time(each)).sum(),
        })
    };
    let mut times: Vec<KernelTime> = (0..compiled.assembly.lowered.len()).filter_map(of_kernel).collect();
    times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    times
}

/// The least time of each kernel over some calls of a model that was compiled with a profile, longest first.
pub fn least_times<E>(
    compiled: &Compiled,
    executable: &mut Executable,
    mut call: impl FnMut(&mut Executable) -> Result<(), E>,
) -> Result<Vec<KernelTime>, E> {
    let (mut calls, start) = (Vec::new(), Instant::now());
    while (calls.len() < LEAST_CALLS && start.elapsed() < MOST_TIME) || start.elapsed() < LEAST_TIME {
        executable.reset_profile();
        call(executable)?;
        calls.push(kernel_times(compiled, &executable.profile().unwrap_or_default(), &[]));
    }
    Ok(merged(calls, |seconds| seconds.iter().copied().fold(f64::INFINITY, f64::min)))
}

/// The median time of each kernel over some rounds, longest first.
pub fn median_times(rounds: Vec<Vec<KernelTime>>) -> Vec<KernelTime> {
    merged(rounds, |seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

fn merged(rounds: Vec<Vec<KernelTime>>, pick: impl Fn(&mut Vec<f64>) -> f64) -> Vec<KernelTime> {
    let of = |number: usize| rounds.iter().flatten().filter(move |time| time.number == number).map(|time| time.seconds);
    let one = |time: &KernelTime| KernelTime { seconds: pick(&mut of(time.number).collect()), ..time.clone() };
    let mut out: Vec<KernelTime> = rounds.first().into_iter().flatten().map(one).collect();
    out.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    out
}

/// The seconds of a step in one call.
fn seconds(time: &StepTime) -> f64 {
    time.nanoseconds as f64 / 1e9 / time.calls.max(1) as f64
}
