//! `inkle test`: cases in the layout of ONNX's test suites.

mod case;
mod chance;
mod known;

use crate::args::TestArgs;
use crate::failure::{BUG, Failure};
use crate::model;
use crate::progress::Progress;
use crate::report::{self, BOLD, GREEN, RED, Report};
use case::{Outcome, Verdict};
use ir::Code;
use known::Known;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Folders below a given one, at most, in which cases are looked for.
const DEPTH: usize = 4;

pub fn test(arguments: &TestArgs) -> Result<Report, Failure> {
    model::refuse_search(&arguments.passes)?;
    model::selection(&arguments.passes)?;
    let mut cases = Vec::new();
    for folder in &arguments.folders {
        collect(folder, DEPTH, &mut cases)?;
    }
    let known = arguments.known.as_deref().map(Known::read).transpose()?;
    let verdicts = match cases.as_slice() {
        [] => return Err(Failure::user(Code::Input, "no folder has a model.onnx")),
        [case] => vec![case::tried(case, arguments)],
        cases => {
            let (progress, done) = (Progress::new("running"), AtomicUsize::new(0));
            let threads = arguments.machine.threads.map_or_else(crate::machine::cores, usize::from);
            driver::parallel::map(cases, threads, |case| {
                let verdict = case::in_own_process(case, arguments);
                let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                progress.now(format!("{done} of {} cases: {}", cases.len(), verdict.name));
                verdict
            })
        }
    };
    Ok(told(&verdicts, known.as_ref()))
}

/// The cases at or below a folder, in the order of their names.
fn collect(folder: &Path, depth: usize, cases: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if folder.join("model.onnx").is_file() {
        cases.push(folder.to_path_buf());
        return Ok(());
    }
    let fault = |why: std::io::Error| Failure::user(Code::Input, format!("{}: {why}", folder.display()));
    let mut below: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        below.push(entry.map_err(fault)?.path());
    }
    below.sort();
    for folder in below.iter().filter(|path| depth > 0 && path.is_dir()) {
        collect(folder, depth - 1, cases)?;
    }
    Ok(())
}

/// A line for each operation of the host that cases took: its name, how many cases, and the first of them.
fn host_steps(verdicts: &[Verdict]) -> String {
    let mut cases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for verdict in verdicts {
        let steps: BTreeSet<&str> = verdict.host_steps.iter().map(String::as_str).collect();
        steps.into_iter().for_each(|step| cases.entry(step).or_default().push(&verdict.name));
    }
    let row = |(step, cases): (&&str, &Vec<&str>)| vec![step.to_string(), cases.len().to_string(), cases[0].to_string()];
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { report::table(&["host step", "cases", "first"], &rows, 1) }
}

fn told(verdicts: &[Verdict], known: Option<&Known>) -> Report {
    let count = |outcome: Outcome| verdicts.iter().filter(|verdict| verdict.outcome == outcome).count();
    let surprises = known.map(|known| known.surprises(verdicts));
    let fails = match &surprises {
        Some(surprises) => !surprises.is_empty(),
        None => count(Outcome::Mismatch) + count(Outcome::Error) > 0,
    };
    let row = |verdict: &Verdict| vec![verdict.outcome.name().to_string(), verdict.name.clone(), verdict.message.clone()];
    let rows: Vec<Vec<String>> = verdicts.iter().filter(|verdict| verdict.outcome != Outcome::Pass).map(row).collect();
    let mut text = String::new();
    match &surprises {
        None if rows.is_empty() => {}
        None => text += &report::table(&["outcome", "case", "why"], &rows, 3),
        Some(surprises) => text.extend(surprises.iter().map(|surprise| format!("{RED}unexpected{RED:#} {surprise}\n"))),
    }
    text += &host_steps(verdicts);
    let drawn: Vec<&str> = verdicts.iter().filter(|verdict| verdict.message == case::DRAWN).map(|verdict| verdict.name.as_str()).collect();
    if !drawn.is_empty() {
        text += &format!("random, compared by type, shape and distribution: {}\n", drawn.join(", "));
    }
    let counts = Outcome::ALL.map(|outcome| format!("{} {}", count(outcome), outcome.name()));
    let colour = if fails { RED } else { GREEN };
    text += &format!("{BOLD}{}{BOLD:#} cases: {colour}{}{colour:#}\n", verdicts.len(), counts.join(", "));
    let json = json!({
        "cases": verdicts.iter().map(Verdict::json).collect::<Vec<Value>>(),
        "random": drawn,
        "pass": count(Outcome::Pass),
        "mismatch": count(Outcome::Mismatch),
        "unsupported": count(Outcome::Unsupported),
        "error": count(Outcome::Error),
        "unexpected": surprises,
    });
    Report { text, json, exit_code: if fails { BUG } else { 0 } }
}
