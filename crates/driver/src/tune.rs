//! Looking for better schedules by measuring: every kernel of a model at once, each in its place.
//!
//! A round compiles the model with one new schedule for each kernel, runs it, and takes each kernel's own time from the profile. So kernels
//! are measured with the caches as their neighbours leave them, on the operands and sizes of real calls, and a round costs one compile
//! however many kernels there are. What is new stands beside the best that is known (`kernel::space`), now and then anywhere.

use crate::compile::Compiled;
use crate::kernel_times::KernelTime;
use crate::tuned::{Tuned, TunedKernel};
use kernel::schedule::{self, Schedule};
use kernel::space::{Below, Space};
use program::PhysicalGroup;
use std::collections::HashSet;
use target::Target;

/// Kernels of a smaller share of a call stay as they are.
const LEAST_SHARE: f64 = 0.002;
/// One trial of so many is drawn from the whole space.
const ANYWHERE: usize = 8;

/// A kernel that is tuned.
struct Tuning {
    group: PhysicalGroup,
    label: String,
    default: Measured,
    best: Measured,
    tried: HashSet<Schedule>,
    trial: Option<Schedule>,
}

#[derive(Clone)]
struct Measured {
    schedule: Schedule,
    /// Of one call; the least that was seen.
    seconds: f64,
}

/// The state of a search.
pub struct Tuner {
    target: Target,
    empty: Tuned,
    kernels: Vec<Tuning>,
}

impl Tuner {
    /// For a model that was compiled without sharing kernels, with the times of its kernels.
    pub fn new(compiled: &Compiled, target: &Target, times: &[KernelTime]) -> Tuner {
        let all: f64 = times.iter().map(|time| time.seconds).sum();
        let tuning = |time: &KernelTime| {
            let group = compiled.assembly.lowered[time.number].group.clone();
            let default = Measured { schedule: schedule::choose(&group, target), seconds: time.seconds };
            let tried = HashSet::from([default.schedule.clone()]);
            Tuning { group, label: time.label.clone(), best: default.clone(), default, tried, trial: None }
        };
        let kernels = times.iter().filter(|time| time.seconds >= LEAST_SHARE * all).map(tuning).collect();
        Tuner { target: target.clone(), empty: Tuned::new(&compiled.graph, target), kernels }
    }

    /// New schedules for all kernels.
    pub fn trial(&mut self, below: &mut Below) -> Tuned {
        for kernel in &mut self.kernels {
            let space = Space::new(&kernel.group, &self.target);
            let mut draw = || match below(ANYWHERE) {
                0 => space.drawn(below),
                _ => space.beside(&kernel.best.schedule, below),
            };
            let tried = &mut kernel.tried;
            kernel.trial = (0..10).filter_map(|_| draw()).find(|schedule| tried.insert(schedule.clone()));
        }
        self.tuned(|kernel| kernel.trial.as_ref().unwrap_or(&kernel.best.schedule))
    }

    /// Takes in the times of a model that was compiled with the trial.
    pub fn measured(&mut self, compiled: &Compiled, times: &[KernelTime]) {
        for time in times {
            let lowered = &compiled.assembly.lowered[time.number];
            let Some(kernel) = self.kernels.iter_mut().find(|kernel| kernel.group == lowered.group) else { continue };
            match kernel.trial.take() {
                Some(trial) if time.seconds < kernel.best.seconds => kernel.best = Measured { schedule: trial, seconds: time.seconds },
                Some(_) => {}
                // it ran by the best schedule
                None => kernel.best.seconds = kernel.best.seconds.min(time.seconds),
            }
        }
    }

    /// Takes in new times of the best schedules, at another time than those that they were found by.
    pub fn measured_best(&mut self, compiled: &Compiled, times: &[KernelTime]) {
        for time in times {
            let group = &compiled.assembly.lowered[time.number].group;
            if let Some(kernel) = self.kernels.iter_mut().find(|kernel| kernel.group == *group) {
                kernel.best.seconds = time.seconds;
            }
        }
    }

    /// Keeps what is faster than the default in a last comparison as well, by more than `least` of the default's time.
    pub fn confirm(&mut self, [default, best]: [(&Compiled, &[KernelTime]); 2], least: f64) {
        let seconds = |(compiled, times): (&Compiled, &[KernelTime]), group: &PhysicalGroup| {
            times.iter().find(|time| compiled.assembly.lowered[time.number].group == *group).map(|time| time.seconds)
        };
        for kernel in &mut self.kernels {
            let (Some(before), Some(after)) = (seconds(default, &kernel.group), seconds(best, &kernel.group)) else { continue };
            (kernel.default.seconds, kernel.best.seconds) = (before, after);
            if after > before * (1.0 - least) {
                kernel.best = kernel.default.clone();
            }
        }
    }

    /// The best schedules so far.
    pub fn best(&self) -> Tuned {
        self.tuned(|kernel| &kernel.best.schedule)
    }

    /// Seconds of a call in the kernels that are tuned: by the defaults, and by the best.
    pub fn seconds(&self) -> [f64; 2] {
        [self.kernels.iter().map(|kernel| kernel.default.seconds).sum(), self.kernels.iter().map(|kernel| kernel.best.seconds).sum()]
    }

    fn tuned<'a>(&'a self, schedule: impl Fn(&'a Tuning) -> &'a Schedule) -> Tuned {
        let mut tuned = self.empty.clone();
        for kernel in &self.kernels {
            let schedule = schedule(kernel);
            if *schedule != kernel.default.schedule {
                let (label, schedule) = (kernel.label.clone(), schedule.to_string());
                let (seconds, default_seconds) = (kernel.best.seconds, kernel.default.seconds);
                tuned.insert(&kernel.group, TunedKernel { label, schedule, seconds, default_seconds });
            }
        }
        tuned
    }
}
