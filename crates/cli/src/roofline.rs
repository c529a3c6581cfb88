//! The least time that a computation takes on this machine: what its operations take at the most multiply-adds a second, or what its
//! memory takes at the most bytes read a second, whichever is longer. Both are measured beside the computation.

use crate::bandwidth::{Bandwidth, ReadSpeeds};
use crate::failure::Failure;
use crate::model::Machine;
use crate::peak::Peak;
use driver::{KernelTime, LaunchWork, Work};
use ir::DType;
use serde::{Deserialize, Serialize};

/// What measures the ceilings.
pub struct Roofline {
    peak: Peak,
    bandwidth: Bandwidth,
}

/// The best of the measurements so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Operations on f32 a second.
    pub flops_per_s: f64,
    pub read_bytes_per_s: ReadSpeeds,
}

impl Roofline {
    pub fn new(machine: &Machine) -> Result<Roofline, Failure> {
        Ok(Roofline { peak: Peak::new(machine, DType::F32)?, bandwidth: Bandwidth::new(machine)? })
    }

    pub fn ceilings(&self) -> Result<Ceilings, Failure> {
        Ok(Ceilings { flops_per_s: self.peak.flops_per_second()?, read_bytes_per_s: self.bandwidth.read_speeds()? })
    }
}

impl Ceilings {
    /// The higher of both, each for itself.
    pub fn best(self, other: Ceilings) -> Ceilings {
        Ceilings {
            flops_per_s: self.flops_per_s.max(other.flops_per_s),
            read_bytes_per_s: self.read_bytes_per_s.best(other.read_bytes_per_s),
        }
    }

    /// The least seconds of a computation that goes once over its memory; NaN where its work is not known.
    pub fn least_seconds(&self, work: &Work) -> f64 {
        let (compute, memory) = (work.flops / self.flops_per_s, work.bytes / self.read_bytes_per_s.at(work.bytes));
        if compute.is_nan() || memory.is_nan() { f64::NAN } else { compute.max(memory) }
    }
}

/// A kernel's part of a call, and the least time that it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelShare {
    pub kernel: String,
    /// The model nodes of the launch that takes longest.
    pub label: String,
    pub ms: f64,
    /// None where it is not known.
    pub least_ms: Option<f64>,
    pub launches: Vec<LaunchShare>,
}

/// What a launch has to do; None where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchShare {
    pub runs: Option<f64>,
    /// Of one run.
    pub gflop: Option<f64>,
    pub mbytes: Option<f64>,
}

impl KernelShare {
    pub fn new(time: KernelTime) -> KernelShare {
        let known = |value: f64| value.is_finite().then_some(value);
        let launch =
            |LaunchWork { runs, work }| LaunchShare { runs: known(runs), gflop: known(work.flops / 1e9), mbytes: known(work.bytes / 1e6) };
        let launches = time.launches.into_iter().map(launch).collect();
        KernelShare { kernel: format!("k{}", time.number), label: time.label, ms: time.seconds * 1e3, least_ms: None, launches }
    }

    /// With the least time of its launches one after the other.
    pub fn within(self, ceilings: &Ceilings) -> KernelShare {
        let least = |launch: &LaunchShare| {
            let work = Work { flops: launch.gflop? * 1e9, bytes: launch.mbytes? * 1e6 };
            Some(launch.runs? * ceilings.least_seconds(&work) * 1e3).filter(|least| least.is_finite())
        };
        KernelShare { least_ms: self.launches.iter().map(least).sum(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_is_the_limit() {
        let ceilings = Ceilings { flops_per_s: 100.0, read_bytes_per_s: ReadSpeeds(vec![(10.0, 10.0)]) };
        assert_eq!(ceilings.least_seconds(&Work { flops: 50.0, bytes: 1.0 }), 0.5);
        assert_eq!(ceilings.least_seconds(&Work { flops: 50.0, bytes: 20.0 }), 2.0);
        assert!(ceilings.least_seconds(&Work { flops: f64::NAN, bytes: 20.0 }).is_nan());
        let launch = |runs, bytes| LaunchWork { runs, work: Work { flops: 0.0, bytes } };
        let time = |launches| KernelTime { number: 0, label: String::new(), launches, seconds: 1.0 };
        let least = |launches| KernelShare::new(time(launches)).within(&ceilings).least_ms;
        assert_eq!(least(vec![launch(1.0, 10.0), launch(3.0, 20.0)]), Some(7e3));
        assert_eq!(least(vec![launch(1.0, 10.0), launch(f64::NAN, 20.0)]), None);
    }
}
