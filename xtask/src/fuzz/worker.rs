//! The worker: checks a model for each line of standard input.

use super::job::{Answer, Job, Verdict};
use anyhow::Result;
use fuzz::check::{checked, interpreted};
use fuzz::dump::{DataSet, dump};
use fuzz::quiet::{Panic, quietly};
use fuzz::{Check, Kind, Outcome, check_model};
use onnx::proto::ModelProto;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

pub fn run() -> Result<ExitCode> {
    for line in std::io::stdin().lock().lines() {
        let answer =
            Job::read(&line?).map_or_else(|| Answer::of(Verdict::Fails(Kind::Bug), "worker", "a line that is no job"), |job| answer(&job));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", answer.line())?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(job: &Job) -> Answer {
    let bytes = match &job.model {
        Some(path) => std::fs::read(path).map_err(|error| Answer::of(Verdict::Fails(Kind::Rejected), "file", &error.to_string())),
        None => quietly(|| fuzz::generate(job.seed).encode_to_vec()).map_err(|panic| of_panic(&panic)),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(answer) => return answer,
    };
    let mut check = Check::native(job.seed);
    check.thorough &= !job.brief;
    if job.reference {
        check.targets.clear();
    }
    match check_model(&bytes, &check) {
        Outcome::Agrees => dumped(job, &bytes, &check),
        Outcome::Fails(failure) => {
            let explanation = if job.explain { explanation(&bytes, &check) } else { String::new() };
            Answer { explanation, ..Answer::of(Verdict::Fails(failure.kind), &failure.place, &failure.message) }
        }
    }
}

fn of_panic(panic: &Panic) -> Answer {
    Answer::of(Verdict::Fails(Kind::Panic), &panic.place, &panic.message)
}

/// Writes a model that agrees, where that is asked.
fn dumped(job: &Job, bytes: &[u8], check: &Check) -> Answer {
    let Some(folder) = &job.dump else { return Answer::of(Verdict::Agrees, "", "") };
    match write_dump(&folder.join(format!("{:08}", job.seed)), bytes, check) {
        Ok(()) => Answer::of(Verdict::Agrees, "", ""),
        Err(error) => Answer::of(Verdict::Fails(Kind::Bug), "dump", &format!("{error:#}")),
    }
}

/// The calls that the model was made for.
fn write_dump(folder: &Path, bytes: &[u8], check: &Check) -> Result<()> {
    let model = ModelProto::decode(bytes)?;
    let (calls, results) = checked(bytes, check).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let sets = calls.into_iter().zip(results).filter_map(|(call, outputs)| {
        let (outputs, bounds) = (outputs?, call.reference()?.bounds.clone());
        (!call.asked.may_fail).then_some(DataSet { inputs: call.inputs, outputs, bounds })
    });
    Ok(dump(folder, &model, &sets.collect::<Vec<_>>())?)
}

/// The first wrong pass, as the driver's own checks of each pass see it.
fn explanation(bytes: &[u8], check: &Check) -> String {
    let explain = || -> Option<String> {
        let (graph, calls) = interpreted(bytes, check.seed).ok()?;
        let names: Vec<String> = graph.inputs.iter().map(|id| graph.value(*id).name.to_string()).collect();
        for target in &check.targets {
            let options = driver::Options::new(target.clone(), check.threads);
            for call in calls.iter().filter(|call| call.reference().is_some()) {
                let inputs: BTreeMap<String, ir::Tensor> = names.iter().cloned().zip(call.inputs.iter().cloned()).collect();
                let report = driver::verify::verify_graph(&graph, &options, &inputs, driver::verify::Sample::All);
                match report {
                    Ok(report) => match report.failure {
                        Some(failure) => return Some(format!("{}: {}", failure.pass, failure.message)),
                        None => continue,
                    },
                    Err(error) => return Some(format!("verification fails: {error}")),
                }
            }
        }
        Some("every pass passes its check".to_string())
    };
    quietly(explain).map_or_else(|panic| format!("a panic at {}: {}", panic.place, panic.message), |text| text.unwrap_or_default())
}
