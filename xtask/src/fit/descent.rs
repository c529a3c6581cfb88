//! Costs whose choices lose least: one number after the other, over what was measured.

use super::alternatives::Operation;
use super::measured::Seconds;
use super::{FACTORS, scaled};
use anyhow::Result;
use indicatif::ProgressBar;
use std::collections::HashMap;
use target::Costs;

/// A change must lower the regret by so much of itself: less is noise, and the number before is as good.
const LEAST_GAIN: f64 = 0.002;
/// Passes over all numbers.
const PASSES: usize = 3;

/// An operation with the times of its alternatives, and what costs that were asked for choose.
pub struct Scored {
    pub operation: Operation,
    seconds: Seconds,
    best: f64,
    keys: HashMap<Costs, String>,
}

impl Scored {
    pub fn new(operation: Operation, seconds: Seconds) -> Scored {
        let best = seconds.values().copied().fold(f64::INFINITY, f64::min);
        Scored { operation, seconds, best, keys: HashMap::new() }
    }

    /// Time over the least time; None where the choice was not measured.
    fn regret(&mut self, costs: &Costs) -> Result<Option<f64>> {
        if !self.keys.contains_key(costs) {
            self.keys.insert(costs.clone(), self.operation.key(costs)?);
        }
        Ok(self.seconds.get(&self.keys[costs]).map(|seconds| seconds / self.best))
    }
}

/// The geometric mean of the regrets; None where a choice was not measured.
pub fn regret(operations: &mut [&mut Scored], costs: &Costs) -> Result<Option<f64>> {
    let count = operations.len().max(1) as f64;
    let mut sum = Some(0.0);
    for scored in operations {
        sum = sum.zip(scored.regret(costs)?).map(|(sum, regret)| sum + regret.ln());
    }
    Ok(sum.map(|sum| (sum / count).exp()))
}

/// From `base` downhill.
pub fn fitted(base: &Costs, operations: &mut [Scored], bar: &ProgressBar) -> Result<Costs> {
    let mut operations: Vec<&mut Scored> = operations.iter_mut().collect();
    let mut best = base.clone();
    let mut least = regret(&mut operations, base)?.unwrap_or(f64::INFINITY);
    for pass in 0..PASSES {
        let before = best.clone();
        bar.set_position(0);
        for field in 0..Costs::FIELDS.len() {
            let around = best.clone();
            for factor in FACTORS {
                let trial = scaled(&around, field, factor);
                let found = regret(&mut operations, &trial)?;
                if let Some(found) = found.filter(|found| *found < least * (1.0 - LEAST_GAIN)) {
                    (best, least) = (trial, found);
                }
            }
            bar.inc(1);
            bar.set_message(format!("pass {}: {least:.4}", pass + 1));
        }
        if best == before {
            break;
        }
    }
    Ok(best)
}
