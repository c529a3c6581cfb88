//! Schedules that were measured, by the groups that they are for, as a file for one model on one machine.

use crate::error::Error;
use blake3::Hasher;
use ir::Graph;
use kernel::schedule::Schedule;
use program::PhysicalGroup;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use target::Target;

/// Measured schedules. Those that are not legal for their group, or not there, leave the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The digest of the model's graph.
    pub model: String,
    /// The digest of the target record.
    pub target: String,
    /// By the group's digest.
    pub kernels: BTreeMap<String, TunedKernel>,
}

/// What was found for one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedKernel {
    /// The model nodes that it is for, to be read by people.
    pub label: String,
    /// As `inspect` prints it.
    pub schedule: String,
    /// Of one call of the model, by this schedule and by the default.
    pub seconds: f64,
    pub default_seconds: f64,
}

impl Tuned {
    pub fn new(graph: &Graph, target: &Target) -> Tuned {
        Tuned { model: digest(&ir::text::print_graph(graph)), target: digest(&target.to_string()), kernels: BTreeMap::new() }
    }

    pub fn insert(&mut self, group: &PhysicalGroup, kernel: TunedKernel) {
        self.kernels.insert(group_digest(group), kernel);
    }

    /// A schedule that nothing is known of.
    pub fn put(&mut self, group: &PhysicalGroup, schedule: &Schedule) {
        let unknown = TunedKernel { label: String::new(), schedule: schedule.to_string(), seconds: f64::NAN, default_seconds: f64::NAN };
        self.insert(group, unknown);
    }

    /// The measured schedule of a group.
    pub fn schedule(&self, group: &PhysicalGroup) -> Option<Schedule> {
        let schedule: Schedule = self.kernels.get(&group_digest(group))?.schedule.parse().ok()?;
        schedule.faults(group).is_empty().then_some(schedule)
    }

    /// E009 where the schedules are another model's or another machine's.
    pub fn check(&self, graph: &Graph, target: &Target) -> Result<(), Error> {
        let wanted = Tuned::new(graph, target);
        for (what, own, other) in [("model", &self.model, &wanted.model), ("target", &self.target, &wanted.target)] {
            if own != other {
                return Err(Error::input(format!("the tuned schedules are for another {what}: {own}, not {other}")));
            }
        }
        Ok(())
    }
}

pub fn group_digest(group: &PhysicalGroup) -> String {
    digest(&group.to_string())
}

fn digest(text: &str) -> String {
    Hasher::new().update(text.as_bytes()).finalize().to_hex()[..32].to_string()
}

impl fmt::Display for Tuned {
    /// JSON, one field a line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Tuned {
    type Err = Error;
    fn from_str(text: &str) -> Result<Tuned, Error> {
        serde_json::from_str(text).map_err(|why| Error::input(format!("tuned schedules: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_names_its_model() {
        let target = Target::x86_64_v3();
        let tuned = Tuned::new(&Graph::default(), &target);
        assert_eq!(tuned.to_string().parse::<Tuned>().unwrap(), tuned);
        assert!(tuned.check(&Graph::default(), &target).is_ok());
        let why = tuned.check(&Graph::default(), &Target::x86_64_v4()).unwrap_err().to_string();
        assert!(why.contains("another target"), "{why}");
        assert!("{}".parse::<Tuned>().is_err());
    }
}
