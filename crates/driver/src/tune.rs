//! Looking for better schedules by measuring: every kernel of a model at once, each in its place.
//!
//! A round compiles the model with one new schedule for each kernel, runs it, and takes each kernel's own time from the profile. So kernels
//! are measured with the caches as their neighbours leave them, on the operands and sizes of real calls, and a round costs one compile
//! however many kernels there are. What is new stands beside one of the best few that are known (`kernel::space`), now and then anywhere.
//! These few are measured again and again, so that none leads, or is lost, by one measurement.

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
/// How many schedules of a kernel are kept, the best.
const KEPT: usize = 8;
/// One trial of so many measures a schedule again that is kept.
const AGAIN: usize = 4;
/// The last measurements of a schedule, of which the least counts: the machine of an hour ago may have been another one.
const LAST: usize = 5;

/// A kernel that is tuned.
struct Tuning {
    group: PhysicalGroup,
    label: String,
    default: Measured,
    /// The best first; never empty.
    kept: Vec<Measured>,
    tried: HashSet<Schedule>,
    trial: Schedule,
}

#[derive(Clone)]
struct Measured {
    schedule: Schedule,
    /// Of one call, the latest last.
    seconds: Vec<f64>,
    measurements: usize,
}

impl Measured {
    fn new(schedule: Schedule, seconds: f64) -> Measured {
        Measured { schedule, seconds: vec![seconds], measurements: 1 }
    }

    fn again(&mut self, seconds: f64) {
        self.measurements += 1;
        self.seconds.push(seconds);
        if self.seconds.len() > LAST {
            self.seconds.remove(0);
        }
    }

    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

impl Tuning {
    fn best(&self) -> &Measured {
        &self.kept[0]
    }

    /// One that is kept, or one that was never tried.
    fn next(&self, space: &Space, below: &mut Below) -> Schedule {
        if below(AGAIN) == 0 {
            let rarest = self.kept.iter().min_by_key(|measured| measured.measurements);
            return rarest.unwrap_or(self.best()).schedule.clone();
        }
        // of two that are kept the better one
        let parent = below(self.kept.len()).min(below(self.kept.len()));
        let mut draw = || match below(ANYWHERE) {
            0 => space.drawn(below),
            _ => space.beside(&self.kept[parent].schedule, below),
        };
        let new = (0..10).filter_map(|_| draw()).find(|schedule| !self.tried.contains(schedule));
        new.unwrap_or_else(|| self.best().schedule.clone())
    }

    fn measured(&mut self, seconds: f64) {
        match self.kept.iter_mut().find(|kept| kept.schedule == self.trial) {
            Some(kept) => kept.again(seconds),
            None => self.kept.push(Measured::new(self.trial.clone(), seconds)),
        }
        self.kept.sort_by(|a, b| a.least().total_cmp(&b.least()));
        self.kept.truncate(KEPT);
    }
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
            let default = Measured::new(schedule::choose(&group, target), time.seconds);
            let (tried, trial) = (HashSet::from([default.schedule.clone()]), default.schedule.clone());
            Tuning { group, label: time.label.clone(), kept: vec![default.clone()], default, tried, trial }
        };
        let kernels = times.iter().filter(|time| time.seconds >= LEAST_SHARE * all).map(tuning).collect();
        Tuner { target: target.clone(), empty: Tuned::new(&compiled.graph, target), kernels }
    }

    /// Schedules to measure, one for each kernel.
    pub fn trial(&mut self, below: &mut Below) -> Tuned {
        for kernel in &mut self.kernels {
            let space = Space::new(&kernel.group, &self.target);
            kernel.trial = kernel.next(&space, below);
            kernel.tried.insert(kernel.trial.clone());
        }
        self.tuned(|kernel| &kernel.trial)
    }

    /// Takes in the times of a model that was compiled with the trial.
    pub fn measured(&mut self, compiled: &Compiled, times: &[KernelTime]) {
        for time in times {
            let lowered = &compiled.assembly.lowered[time.number];
            if let Some(kernel) = self.kernels.iter_mut().find(|kernel| kernel.group == lowered.group) {
                kernel.measured(time.seconds);
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
            kernel.default = Measured::new(kernel.default.schedule.clone(), before);
            let best = Measured::new(kernel.best().schedule.clone(), after);
            kernel.kept = vec![if after > before * (1.0 - least) { kernel.default.clone() } else { best }];
        }
    }

    /// The best schedules so far.
    pub fn best(&self) -> Tuned {
        self.tuned(|kernel| &kernel.best().schedule)
    }

    /// Seconds of a call in the kernels that are tuned: by the defaults, and by the best.
    pub fn seconds(&self) -> [f64; 2] {
        [self.kernels.iter().map(|kernel| kernel.default.least()).sum(), self.kernels.iter().map(|kernel| kernel.best().least()).sum()]
    }

    fn tuned<'a>(&'a self, schedule: impl Fn(&'a Tuning) -> &'a Schedule) -> Tuned {
        let mut tuned = self.empty.clone();
        for kernel in &self.kernels {
            let schedule = schedule(kernel);
            if *schedule != kernel.default.schedule {
                let (label, schedule) = (kernel.label.clone(), schedule.to_string());
                let (seconds, default_seconds) = (kernel.best().least(), kernel.default.least());
                tuned.insert(&kernel.group, TunedKernel { label, schedule, seconds, default_seconds });
            }
        }
        tuned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_last_measurements_counts() {
        let mut measured = Measured::new("rows outer [] grain 1 {scalar unroll 1}".parse().unwrap(), 1.0);
        (0..LAST).for_each(|_| measured.again(3.0));
        measured.again(2.0);
        assert_eq!((measured.least(), measured.measurements), (2.0, LAST + 2));
    }

    #[test]
    fn the_best_are_kept_and_measured_again() {
        let schedule = |grain: usize| format!("rows outer [] grain {grain} {{scalar unroll 1}}").parse::<Schedule>().unwrap();
        let default = Measured::new(schedule(100), 100.0);
        let group = PhysicalGroup { outer: vec![], stages: vec![], buffers: vec![] };
        let (kept, tried) = (vec![default.clone()], HashSet::new());
        let mut tuning = Tuning { group, label: String::new(), kept, trial: default.schedule.clone(), default, tried };
        for grain in (1..=2 * KEPT).rev() {
            tuning.trial = schedule(grain);
            tuning.measured(grain as f64);
        }
        assert_eq!((tuning.kept.len(), &tuning.best().schedule), (KEPT, &schedule(1)));
        // one of two that are as good was lucky once
        tuning.trial = schedule(2);
        tuning.measured(0.5);
        assert_eq!((tuning.kept.len(), &tuning.best().schedule, tuning.best().measurements), (KEPT, &schedule(2), 2));
    }
}
