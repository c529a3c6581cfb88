//! `cargo xtask fit`: the costs of a target record, found by measuring.
//!
//! ```text
//! operations of drawn sizes                                  (shapes)
//!   -> the programs and schedules that drawn costs choose    (alternatives)
//!   -> the time of a call of each                            (measured)
//!   -> the costs whose choices lose least                    (descent)
//!   -> what the descent would have chosen, and so on
//! ```
//!
//! Costs only choose between programs, so each operation has few alternatives however many costs are tried. Those are measured once; what
//! other costs would lose is then looked up. Where the descent meets a choice that was not measured, it goes another way; such choices are
//! measured afterwards, and the descent begins again. One half of the operations is fitted to, the other says what came of it.

mod alternatives;
mod descent;
mod measured;
mod shapes;

use crate::measure;
use alternatives::Operation;
use anyhow::{Context, Result};
use descent::{Scored, regret};
use indicatif::{ProgressBar, ProgressStyle};
use measured::Measurements;
use random::Random;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use target::{Costs, Target};

#[derive(clap::Args)]
pub struct Arguments {
    /// Seconds of measuring, for all operations together
    #[arg(long, default_value_t = 600.0)]
    budget: f64,
    /// Where the record is written; it is always printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The record to begin with: native, x86-64-v3, or a file
    #[arg(long, default_value = "native")]
    target: String,
    /// How many operations are drawn
    #[arg(long, default_value_t = 56)]
    shapes: usize,
    /// Costs that are drawn, beside those that differ from the record's in one number
    #[arg(long, default_value_t = 200)]
    draws: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keeps what is measured, and goes on from what an earlier run measured
    #[arg(long, value_name = "FILE")]
    measurements: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let target = measure::target(&arguments.target)?;
    let problems = shapes::drawn(arguments.shapes, arguments.seed);
    let candidates = candidates(&target.costs, arguments.draws, &mut Random::named(arguments.seed, "costs"));
    let mut measurements = Measurements::open(arguments.measurements.as_deref(), &target)?;
    let mut scored: Vec<Scored> =
        problems.iter().map(|problem| Ok(Scored::new(Operation::new(problem, &target)?))).collect::<Result<_>>()?;
    let mut fitted = target.costs.clone();
    for (round, share) in SHARES.into_iter().enumerate() {
        let each = Duration::from_secs_f64(arguments.budget * share / problems.len() as f64);
        let bar = bar(problems.len(), &format!("round {}: measuring", round + 1));
        for scored in &mut scored {
            bar.set_message(scored.operation.problem.to_string());
            let alternatives = if round == 0 { scored.operation.alternatives(&candidates)? } else { scored.asked() };
            measurements.add(scored, &alternatives, each)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let bar = self::bar(Costs::FIELDS.len(), &format!("round {}: fitting", round + 1));
        let [mut fitted_to, mut held_out] = halves(&mut scored);
        fitted = descent::fitted(&target.costs, &mut fitted_to, &bar)?;
        // so that these are measured too
        regret(&mut held_out, &fitted)?;
        bar.finish_and_clear();
    }
    print_regrets(&target.costs, &fitted, halves(&mut scored))?;
    print_changes(&target.costs, &fitted);
    let record = Target { costs: fitted, ..target };
    match &arguments.out {
        Some(path) => {
            std::fs::write(path, format!("{record}\n")).with_context(|| path.display().to_string())?;
            println!("{} holds the record: --target {}", path.display(), path.display());
        }
        None => println!("{record}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Descents, each with what the one before asked for, and the shares of the time to measure before each.
const ROUNDS: usize = 4;
const SHARES: [f64; ROUNDS] = [0.5, 0.2, 0.2, 0.1];

/// Those that are fitted to and those that are held out: neighbours in the list are of different kinds, so each kind is in both.
fn halves(scored: &mut [Scored]) -> [Vec<&mut Scored>; 2] {
    let (fitted_to, held_out): (Vec<_>, Vec<_>) =
        scored.iter_mut().enumerate().partition(|(at, _)| (at / shapes::KINDS.len()).is_multiple_of(2));
    [fitted_to, held_out].map(|half| half.into_iter().map(|(_, scored)| scored).collect())
}

/// Factors by which one number differs.
pub const FACTORS: [f64; 6] = [0.25, 0.5, 0.75, 1.5, 2.0, 4.0];

/// A number times a factor, inside of its range.
fn scaled(costs: &Costs, field: usize, factor: f64) -> Costs {
    let field = &Costs::FIELDS[field];
    let mut out = costs.clone();
    let number = (f64::from((field.of)(costs)) * factor).round();
    *(field.of_mut)(&mut out) = (number as u32).clamp(field.least, field.most);
    out
}

/// The record's own costs, those with one number changed, and some with many.
fn candidates(base: &Costs, draws: usize, random: &mut Random) -> Vec<Costs> {
    let single = (0..Costs::FIELDS.len()).flat_map(|field| FACTORS.map(|factor| scaled(base, field, factor)));
    let mut out: Vec<Costs> = std::iter::once(base.clone()).chain(single).collect();
    for _ in 0..draws {
        let mut costs = base.clone();
        for field in 0..Costs::FIELDS.len() {
            if random.chance(30) {
                costs = scaled(&costs, field, random.float(-2.0, 2.0).exp2());
            }
        }
        out.push(costs);
    }
    out
}

fn bar(count: usize, what: &str) -> ProgressBar {
    let template = format!("{what} {{bar:30}} {{pos}}/{{len}} {{elapsed}} {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style)
}

/// Time over the least time of any alternative, geometric means, by kind of operation.
fn print_regrets(before: &Costs, after: &Costs, halves: [Vec<&mut Scored>; 2]) -> Result<()> {
    println!("{:<10} {:>16} {:>8} {:>8} {:>16} {:>8} {:>8}", "regret", "fitted to", "before", "after", "held out", "before", "after");
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    let mut all = String::new();
    for mut half in halves {
        all += &columns(&mut half, before, after)?;
        for kind in shapes::KINDS {
            let own = half.iter_mut().filter(|scored| scored.operation.problem.parts().0 == kind);
            *rows.entry(kind).or_default() += &columns(&mut own.map(|scored| &mut **scored).collect::<Vec<_>>(), before, after)?;
        }
    }
    for (kind, row) in rows.into_iter().chain([("all", all)]) {
        println!("{kind:<10}{row}");
    }
    Ok(())
}

fn columns(half: &mut [&mut Scored], before: &Costs, after: &Costs) -> Result<String> {
    let number = |regret: Option<f64>| regret.map_or("?".to_string(), |regret| format!("{regret:.3}"));
    let (first, second) = (regret(half, before)?, regret(half, after)?);
    Ok(format!(" {:>16} {:>8} {:>8}", half.len(), number(first), number(second)))
}

fn print_changes(before: &Costs, after: &Costs) {
    for field in Costs::FIELDS {
        let (old, new) = ((field.of)(before), (field.of)(after));
        if old != new {
            println!("{}: {old} -> {new}", field.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;
    use alternatives::Alternative;

    #[test]
    fn candidates_are_records() {
        let candidates = candidates(&Costs::default(), 50, &mut Random::new(1));
        assert!(candidates.len() > 50 + Costs::FIELDS.len() && candidates.iter().all(|costs| costs.fault().is_none()));
    }

    #[test]
    fn the_default_costs_of_an_operation_are_an_alternative() {
        let target = Target::x86_64_v3();
        let operation = Operation::new(&"softmax 33x50".parse::<Problem>().unwrap(), &target).unwrap();
        let alternatives: Vec<Alternative> = operation.alternatives(&candidates(&target.costs, 10, &mut Random::new(1))).unwrap();
        assert_eq!(alternatives[0].costs, target.costs);
        assert_eq!(alternatives[0].key, operation.key(&target.costs).unwrap());
    }
}
