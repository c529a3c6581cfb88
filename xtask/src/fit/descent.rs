//! Costs whose choices lose least: one number after the other, over what was measured.

use super::alternatives::{Alternative, Operation};
use super::measured::Seconds;
use super::{FACTORS, scaled};
use anyhow::Result;
use indicatif::ProgressBar;
use std::collections::{BTreeMap, HashMap};
use target::Costs;

/// A change must lower the regret by so much of itself: less is noise, and the number before is as good.
const LEAST_GAIN: f64 = 0.003;
/// Passes over all numbers.
const PASSES: usize = 3;

/// An operation with the times of its alternatives, and what costs that were asked for choose.
pub struct Scored {
    pub operation: Operation,
    pub seconds: Seconds,
    keys: HashMap<Costs, String>,
    /// What was asked for and not measured, how often, with costs that choose it.
    asked: BTreeMap<String, (usize, Costs)>,
}

impl Scored {
    pub fn new(operation: Operation) -> Scored {
        Scored { operation, seconds: Seconds::new(), keys: HashMap::new(), asked: BTreeMap::new() }
    }

    /// Time over the least time; None where the choice was not measured.
    fn regret(&mut self, costs: &Costs) -> Result<Option<f64>> {
        if !self.keys.contains_key(costs) {
            self.keys.insert(costs.clone(), self.operation.key(costs)?);
        }
        let key = &self.keys[costs];
        let Some(seconds) = self.seconds.get(key) else {
            self.asked.entry(key.clone()).or_insert((0, costs.clone())).0 += 1;
            return Ok(None);
        };
        Ok(Some(seconds / self.seconds.values().copied().fold(f64::INFINITY, f64::min)))
    }

    /// What was asked for and not measured, the most often first; that is then forgotten.
    pub fn asked(&mut self) -> Vec<Alternative> {
        let mut asked: Vec<_> = std::mem::take(&mut self.asked).into_iter().collect();
        asked.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        asked.into_iter().map(|(key, (_, costs))| Alternative { key, costs }).collect()
    }
}

/// The geometric mean of the regrets; None where a choice was not measured.
pub fn regret(operations: &mut [&mut Scored], costs: &Costs) -> Result<Option<f64>> {
    let count = operations.len().max(1) as f64;
    let mut sum = Some(0.0);
    for scored in operations {
        // all are asked, that what is missing is known
        let regret = scored.regret(costs)?;
        sum = sum.zip(regret).map(|(sum, regret)| sum + regret.ln());
    }
    Ok(sum.map(|sum: f64| (sum / count).exp()))
}

/// From `base` downhill.
pub fn fitted(base: &Costs, operations: &mut [&mut Scored], bar: &ProgressBar) -> Result<Costs> {
    let mut best = base.clone();
    let mut least = regret(operations, base)?.unwrap_or(f64::INFINITY);
    for pass in 0..PASSES {
        let before = best.clone();
        bar.set_position(0);
        for field in 0..Costs::FIELDS.len() {
            let around = best.clone();
            for factor in FACTORS {
                let trial = scaled(&around, field, factor);
                let found = regret(operations, &trial)?;
                if let Some(found) = found.filter(|found| *found < least * (1.0 - LEAST_GAIN)) {
                    (best, least) = (trial, found);
                }
            }
            bar.inc(1);
            bar.set_message(format!("pass {}: {least:.3}", pass + 1));
        }
        if best == before {
            break;
        }
    }
    Ok(best)
}
