//! Where the time of a call goes, by kernel.

use crate::compile::Compiled;
use kernel::module::{EntryStep, Launch};
use nest::flops::flops;
use runtime::StepTime;
use sym::Sym;

/// One kernel's part of a call: all of its launches together.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// `k` and the number that `inspect` heads it with.
    pub kernel: String,
    /// The model nodes of the launch that takes longest.
    pub label: String,
    pub launches: usize,
    pub seconds: f64,
    /// Operations on floats, a multiply-add counted as two; of one run where a loop has several, NaN where runs differ in size.
    pub flops: f64,
}

/// The kernels of `main` by the times that an executable measured, longest first. Sizes are those of the calls.
pub fn kernel_times(compiled: &Compiled, steps: &[StepTime], sizes: &[i64]) -> Vec<KernelTime> {
    let value = |sym: &Sym| compiled.image.symbols.iter().position(|other| other == sym).and_then(|at| sizes.get(at).copied());
    let mut launches: Vec<(&Launch, f64)> = Vec::new();
    collect(&compiled.module().main.steps, steps, &mut launches);
    let of_kernel = |(at, lowered): (usize, &crate::assemble::Lowered)| {
        let own: Vec<&(&Launch, f64)> = launches.iter().filter(|(launch, _)| launch.kernel == at).collect();
        let longest = own.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let of_launch = |launch: &Launch| -> f64 {
            let names = &lowered.interface.sizes;
            let size = |sym: &Sym| names.iter().position(|name| name == sym).and_then(|at| launch.sizes.get(at)?.eval(&value));
            lowered.group.stages.iter().map(|stage| flops(&stage.nest, &size)).sum()
        };
        Some(KernelTime {
            kernel: format!("k{at}"),
            label: steps[longest.0.step as usize].label.clone(),
            launches: own.len(),
            seconds: own.iter().map(|(_, seconds)| seconds).sum(),
            flops: own.iter().map(|(launch, _)| of_launch(launch)).sum(),
        })
    };
    let mut times: Vec<KernelTime> = compiled.assembly.lowered.iter().enumerate().filter_map(of_kernel).collect();
    times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    times
}

/// Launches with the seconds that they take in one call.
fn collect<'a>(list: &'a [EntryStep], times: &[StepTime], out: &mut Vec<(&'a Launch, f64)>) {
    for step in list {
        if let EntryStep::Launch(launch) = step {
            let time = times.get(launch.step as usize);
            out.extend(time.map(|time| (launch, time.nanoseconds as f64 / 1e9 / time.calls.max(1) as f64)));
        }
        step.blocks().into_iter().for_each(|block| collect(block, times, out));
    }
}
