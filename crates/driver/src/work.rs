//! What a call has to compute and to move, counted on nests: what a roofline is drawn with.

use crate::compile::Compiled;
use crate::error::Error;
use kernel::module::{EntryStep, Launch, Loop, Place, Times};
use nest::flops::flops;
use program::{Step, lower, prepare, traffic};
use sym::{Expr, Sym};

/// Operations on floats, a multiply-add counted as two, and bytes of memory touched, each counted once a launch. NaN where not known:
/// where sizes change from run to run of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    pub flops: f64,
    pub bytes: f64,
}

/// A launch of `main`.
pub struct Launched<'a> {
    pub launch: &'a Launch,
    /// How often it runs in a call. A branch counts as taken; NaN in a loop whose number of runs is decided by data.
    pub runs: f64,
    /// Of one run.
    pub work: Work,
}

/// The launches of `main` in order, for sizes in the order of the image's symbols.
pub fn launched<'a>(compiled: &'a Compiled, sizes: &[i64]) -> Vec<Launched<'a>> {
    let mut out = Vec::new();
    collect(&compiled.module().main.steps, 1.0, &value(compiled, sizes), &mut out);
    let work = |launch: &Launch| {
        let size = kernel_sizes(compiled, sizes, launch);
        let stages = &compiled.assembly.lowered[launch.kernel].group.stages;
        let flops = stages.iter().map(|stage| flops(&stage.nest, &size)).sum();
        Work { flops, bytes: param_bytes(compiled, launch, &size).into_iter().sum() }
    };
    out.into_iter().map(|(launch, runs)| Launched { launch, runs, work: work(launch) }).collect()
}

/// Launches with how often each runs.
fn collect<'a>(steps: &'a [EntryStep], runs: f64, value: &dyn Fn(&Sym) -> Option<i64>, out: &mut Vec<(&'a Launch, f64)>) {
    for step in steps {
        match step {
            EntryStep::Launch(launch) => out.push((launch, runs)),
            EntryStep::Host(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => {}
            EntryStep::If { then, otherwise, .. } => [then, otherwise].into_iter().for_each(|block| collect(block, runs, value, out)),
            EntryStep::Loop(Loop { times, body, last, .. }) => {
                let trips = match times {
                    Times::Trips(trips) => self::runs(trips, value),
                    Times::While(_) => f64::NAN,
                };
                collect(body, runs * trips, value, out);
                collect(last, runs, value, out);
            }
        }
    }
}

/// How often a loop runs.
fn runs(trips: &Expr, value: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    trips.eval(value).map_or(f64::NAN, |trips| trips.max(0) as f64)
}

fn value(compiled: &Compiled, sizes: &[i64]) -> impl Fn(&Sym) -> Option<i64> {
    move |sym| compiled.image.symbols.iter().position(|other| other == sym).and_then(|at| sizes.get(at).copied())
}

/// The values of the sizes that a launch's kernel knows.
fn kernel_sizes(compiled: &Compiled, sizes: &[i64], launch: &Launch) -> impl Fn(&Sym) -> Option<i64> {
    let names = &compiled.assembly.lowered[launch.kernel].interface.sizes;
    let value = value(compiled, sizes);
    move |sym| names.iter().position(|name| name == sym).and_then(|at| launch.sizes.get(at)?.eval(&value))
}

/// Bytes that one run touches of each of its parameters.
fn param_bytes(compiled: &Compiled, launch: &Launch, size: &dyn Fn(&Sym) -> Option<i64>) -> Vec<f64> {
    let lowered = &compiled.assembly.lowered[launch.kernel];
    let bytes = traffic::bytes(&lowered.group, size);
    lowered.interface.params.iter().filter_map(|param| bytes.get(*param).copied()).collect()
}

/// A whole call, whatever the plan made of it: the operations of the core graph's nests, without those on constants alone, and the bytes
/// that must be read and written however much stays in caches: inputs, outputs and weights, each once.
pub fn call_work(compiled: &Compiled, sizes: &[i64]) -> Result<Work, Error> {
    let program = match compiled.core.outputs.is_empty() {
        true => compiled.program.clone(),
        false => prepare::hoist(lower::lower(&compiled.core)?),
    };
    let flops = steps_flops(&program.steps, &value(compiled, sizes));
    Ok(Work { flops, bytes: outside_bytes(compiled, sizes) })
}

fn steps_flops(steps: &[Step], value: &dyn Fn(&Sym) -> Option<i64>) -> f64 {
    let of_step = |step: &Step| -> f64 {
        match step {
            Step::Group(group) => group.stages.iter().map(|stage| flops(&stage.nest, value)).sum(),
            Step::Host(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => 0.0,
            Step::If { then, otherwise, .. } => steps_flops(then, value) + steps_flops(otherwise, value),
            Step::Loop(repeat) => {
                let trips = match &repeat.times {
                    program::Times::Trips(trips) => runs(trips, value),
                    program::Times::While(_) => f64::NAN,
                };
                trips * steps_flops(&repeat.body, value) + steps_flops(&repeat.last, value)
            }
        }
    };
    steps.iter().map(of_step).sum()
}

/// What launches touch outside of the arena.
fn outside_bytes(compiled: &Compiled, sizes: &[i64]) -> f64 {
    let mut touched: Vec<(&Place, f64)> = Vec::new();
    for each in launched(compiled, sizes) {
        let bytes = param_bytes(compiled, each.launch, &kernel_sizes(compiled, sizes, each.launch));
        for (place, bytes) in each.launch.args.iter().zip(bytes).filter(|(place, _)| !matches!(place, Place::Arena(_))) {
            match touched.iter_mut().find(|(known, _)| *known == place) {
                Some((_, most)) => *most = most.max(bytes),
                None => touched.push((place, bytes)),
            }
        }
    }
    touched.iter().map(|(_, bytes)| bytes).sum()
}
