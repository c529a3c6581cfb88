//! Where the time of a call goes, step by step.

use crate::failure::Failure;
use crate::report::{self, BOLD};
use crate::roofline::KernelShare;
use driver::Compiled;
use ir::Tensor;
use runtime::{Executable, StepTime};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The least that is measured.
const LEAST_RUNS: usize = 10;
const LEAST_TIME: Duration = Duration::from_millis(500);

/// The steps of a call with their times, those of `prepare` first; none where nothing was measured.
#[derive(Debug, Default)]
pub struct Profile {
    pub steps: Vec<StepTime>,
    prepare_steps: usize,
}

impl Profile {
    /// Calls an executable that measures its steps.
    pub fn of(executable: &mut Executable, inputs: &[Tensor]) -> Result<Profile, Failure> {
        executable.reset_profile();
        let (start, mut runs) = (Instant::now(), 0);
        while runs < LEAST_RUNS || start.elapsed() < LEAST_TIME {
            executable.run(inputs)?;
            runs += 1;
        }
        let prepare_steps = executable.image().prepare_steps;
        Ok(Profile { steps: executable.profile().unwrap_or_default(), prepare_steps })
    }

    fn of_call(&self) -> &[StepTime] {
        &self.steps[self.prepare_steps..]
    }

    /// A table of the times in one call, longest first.
    pub fn text(&self) -> String {
        let all: f64 = self.of_call().iter().map(seconds).sum();
        let mut order: Vec<&StepTime> = self.of_call().iter().collect();
        order.sort_by_key(|step| std::cmp::Reverse(step.nanoseconds));
        let row = |step: &StepTime| {
            let share = 100.0 * seconds(step) / all.max(f64::MIN_POSITIVE);
            vec![report::shortened(&step.label), report::seconds(seconds(step)), format!("{share:.1} %"), step.calls.to_string()]
        };
        let rows: Vec<Vec<String>> = order.into_iter().map(row).collect();
        if rows.is_empty() {
            return String::new();
        }
        let table = report::table(&["step", "time", "share", "calls"], &rows, 1);
        format!("\n{table}{BOLD}{}{BOLD:#} in the steps of one call\n", report::seconds(all))
    }

    /// The kernels of a call, longest first. Sizes are those of the calls.
    pub fn kernels(&self, compiled: &Compiled, sizes: &[i64]) -> Vec<KernelShare> {
        driver::kernel_times(compiled, &self.steps, sizes).into_iter().map(KernelShare::new).collect()
    }

    pub fn json(&self) -> Vec<Value> {
        let step = |step: &StepTime| json!({ "step": step.label, "nanoseconds": step.nanoseconds, "calls": step.calls });
        self.of_call().iter().map(step).collect()
    }
}

/// The seconds of a step in one call.
fn seconds(step: &StepTime) -> f64 {
    step.nanoseconds as f64 / 1e9 / step.calls.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_steps_stand_first() {
        let step = |label: &str, nanoseconds| StepTime { label: label.to_string(), nanoseconds, calls: 10 };
        let profile = Profile { steps: vec![step("/w", 5), step("/a", 10_000), step("/b + /c", 30_000)], prepare_steps: 1 };
        let text = anstream::adapter::strip_str(&profile.text()).to_string();
        let want = "\nstep        time   share  calls\n/b + /c  3.00 µs  75.0 %     10\n/a       1.00 µs  25.0 %     10\n\
            4.00 µs in the steps of one call\n";
        assert_eq!(text, want);
        assert_eq!(Profile::default().text(), "");
    }
}
