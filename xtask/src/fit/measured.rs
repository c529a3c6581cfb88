//! The times of alternatives, kept in a file of lines.

use super::alternatives::{Alternative, Operation};
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

/// Alternatives of one operation that are measured: the first ones.
const MOST: usize = 24;
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
            known.insert(line["operation"].as_str().unwrap_or_default().to_string(), seconds);
        }
        Ok(Measurements { known, file: Some(file) })
    }

    /// The known times of an operation, or new ones.
    pub fn of(&mut self, operation: &Operation, alternatives: &[Alternative], time: Duration) -> Result<Seconds> {
        let name = operation.problem.to_string();
        if let Some(seconds) = self.known.get(&name) {
            return Ok(seconds.clone());
        }
        let seconds = measured(operation, &alternatives[..alternatives.len().min(MOST)], time)?;
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", json!({ "operation": name, "seconds": seconds }))?;
        }
        Ok(seconds)
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
    while loaded.len() > 1 && (rounds < ROUNDS || start.elapsed() < time) {
        for (executable, least) in &mut loaded {
            *least = least.min(turn(executable, &mut memory)?);
        }
        rounds += 1;
    }
    let least = loaded.iter().map(|(_, least)| if loaded.len() > 1 { *least } else { 1.0 });
    Ok(alternatives.iter().map(|alternative| alternative.key.clone()).zip(least).collect())
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
