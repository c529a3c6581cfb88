//! The times of alternatives, kept in a file of lines.

use super::alternatives::{Alternative, Operation};
use super::descent::Scored;
use crate::measure::Memory;
use anyhow::{Context, Result, ensure};
use runtime::Executable;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use target::Target;

/// Alternatives of one operation that are measured together: the first ones.
const MOST: usize = 32;
/// Rounds at least, each alternative once in a round, and calls of one in a round.
const ROUNDS: usize = 5;
const CALLS: usize = 3;
/// How long an alternative runs in a round.
const TURN: Duration = Duration::from_millis(4);

/// Seconds of a call by the key of the alternative.
pub type Seconds = BTreeMap<String, f64>;

pub struct Measurements {
    known: BTreeMap<String, Seconds>,
    file: Option<File>,
}

impl Measurements {
    /// The first line of the file is the record that the times are of.
    pub fn open(path: Option<&Path>, target: &Target) -> Result<Measurements> {
        let Some(path) = path else { return Ok(Measurements { known: BTreeMap::new(), file: None }) };
        let text = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let mut file = File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
        let mut lines = text.lines();
        match lines.next() {
            Some(line) => {
                let same = serde_json::from_str::<Value>(line).is_ok_and(|known| known == json!(target));
                ensure!(same, "{}: the measurements are of another target", path.display());
            }
            None => writeln!(file, "{}", json!(target))?,
        }
        let mut known = BTreeMap::new();
        for line in lines {
            let line: Value = serde_json::from_str(line).with_context(|| path.display().to_string())?;
            let seconds: Seconds = serde_json::from_value(line["seconds"].clone())?;
            let operation = line["operation"].as_str().unwrap_or_default().to_string();
            known.entry(operation).or_insert_with(Seconds::new).extend(seconds);
        }
        Ok(Measurements { known, file: Some(file) })
    }

    /// Adds the times of an operation's alternatives, those that are not known by measuring. The machine may have become slower since others
    /// were measured: what the record's own costs choose runs beside the new ones, and all times are in its measure.
    pub fn add(&mut self, scored: &mut Scored, alternatives: &[Alternative], time: Duration) -> Result<()> {
        let name = scored.operation.problem.to_string();
        scored.seconds.extend(self.known.remove(&name).unwrap_or_default());
        let reference = scored.operation.reference()?;
        let new = alternatives.iter().filter(|each| each.key != reference.key && !scored.seconds.contains_key(&each.key));
        let together: Vec<Alternative> = std::iter::once(&reference).chain(new).take(MOST).cloned().collect();
        let is_known = scored.seconds.contains_key(&reference.key);
        if is_known && together.len() == 1 {
            return Ok(());
        }
        let mut seconds = measured(&scored.operation, &together, time)?;
        let unit = scored.seconds.get(&reference.key).map_or(1.0, |known| known / seconds[&reference.key]);
        seconds.values_mut().for_each(|seconds| *seconds *= unit);
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", json!({ "operation": name, "seconds": seconds }))?;
        }
        scored.seconds.extend(seconds);
        Ok(())
    }
}

/// The least seconds of a call of each, in rounds.
fn measured(operation: &Operation, alternatives: &[Alternative], time: Duration) -> Result<Seconds> {
    let start = Instant::now();
    let mut memory = None;
    let mut loaded = Vec::new();
    for alternative in alternatives {
        let options = operation.options(&alternative.costs);
        let compiled = driver::compile_graph(operation.graph.clone(), &options)?;
        let memory = match &mut memory {
            Some(memory) => memory,
            none => none.insert(Memory::new(&compiled, &operation.inputs)?),
        };
        let mut executable = compiled.load(options.threads)?;
        memory.call(&mut executable)?;
        loaded.push((executable, f64::INFINITY));
    }
    let mut memory = memory.context("an operation without alternatives")?;
    let mut rounds = 0;
    while rounds < ROUNDS || start.elapsed() < time {
        for (executable, least) in &mut loaded {
            *least = least.min(turn(executable, &mut memory)?);
        }
        rounds += 1;
    }
    Ok(alternatives.iter().zip(loaded).map(|(alternative, (_, least))| (alternative.key.clone(), least)).collect())
}

/// The least seconds of a call in one turn; the first, which finds other caches, does not count.
fn turn(executable: &mut Executable, memory: &mut Memory) -> Result<f64> {
    memory.call(executable)?;
    let (mut least, mut calls, start) = (f64::INFINITY, 0, Instant::now());
    while calls < CALLS || start.elapsed() < TURN {
        let begin = Instant::now();
        memory.call(executable)?;
        least = least.min(begin.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok(least)
}
