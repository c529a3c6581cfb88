//! Compiled models against the reference.

use crate::check::{Call, Check, Checked, Expected, Failure, Kind};
use crate::levels;
use crate::reference::Reference;
use artefact::{Emit, Library, Request};
use driver::{Compiled, Error, Options, Selection, Tuned, compile_graph};
use ir::array::Data;
use ir::{Array, Graph, Tensor};
use kernel::space::Space;
use random::Random;
use runtime::{Executable, Image, RunError};
use std::sync::Arc;
use target::Target;

/// The outputs of each call that is not to be refused.
pub type Results = Vec<Option<Vec<Tensor>>>;

/// Compiles a graph for a target, checks its levels, runs every call on one thread and on several, and compares.
pub fn check_native(graph: &Graph, calls: &[Call], target: &Target, check: &Check) -> Checked<Results> {
    let failure = |(kind, message): (Kind, String)| Failure::new(kind, target.name.clone(), message);
    let mut options = Options::new(target.clone(), check.threads);
    let compile = |options: &Options| {
        compile_graph(graph.clone(), options).map_err(|error| match error {
            Error::Diagnostics(problems) => failure((Kind::Rejected, format!("compile: {problems}"))),
            Error::Bug(message) => failure((Kind::Bug, format!("compile: {message}"))),
        })
    };
    let mut compiled = compile(&options)?;
    if wants_finite(&compiled, calls) {
        options.winograd = false;
        compiled = compile(&options)?;
    }
    let results = run_all(graph, compiled.image.clone(), calls, 1).map_err(failure)?;
    if check.threads > 1 {
        let others = run_all(graph, compiled.image.clone(), calls, check.threads);
        let others = others.map_err(|(kind, message)| failure((kind, format!("{} threads: {message}", check.threads))))?;
        if !same_bits(&results, &others) {
            return Err(failure((Kind::Mismatch, format!("1 and {} threads give other bits", check.threads))));
        }
    }
    levels::check_levels(&compiled, calls)?;
    if check.draws_schedules {
        check_schedules(graph, &compiled, calls, &options, check.seed).map_err(failure)?;
    }
    if check.draws_passes {
        check_selection(graph, calls, &options, check.seed).map_err(failure)?;
    }
    if check.artefact {
        check_artefact(graph, &compiled, calls, &options, &results).map_err(failure)?;
    }
    if check.thorough {
        levels::check_repeatable(graph, &compiled, &options)?;
        calls.iter().find(|call| call.reference().is_some()).map_or(Ok(()), |call| levels::check_passes(graph, call, &options))?;
    }
    Ok(results)
}

/// Every schedule that can be drawn gives the same results, up to rounding.
fn check_schedules(graph: &Graph, compiled: &Compiled, calls: &[Call], options: &Options, seed: u64) -> Ran<()> {
    let bug = |error: Error| (Kind::Bug, format!("drawn schedules: {error}"));
    let own = Options { share_kernels: false, ..options.clone() };
    let plain = driver::compile::recompiled(compiled, &own).map_err(bug)?;
    let (mut tuned, mut random) = (Tuned::new(graph, &options.target), Random::named(seed, "schedules"));
    for lowered in &plain.assembly.lowered {
        let drawn = Space::new(&lowered.group, &options.target).drawn(&mut |limit| random.below(limit));
        drawn.iter().for_each(|schedule| tuned.put(&lowered.group, schedule));
    }
    let drawn = driver::compile::recompiled(&plain, &Options { tuned: Some(Arc::new(tuned)), ..own }).map_err(bug)?;
    let texts = || drawn.assembly.lowered.iter().map(|lowered| lowered.schedule.to_string()).collect::<Vec<_>>().join(" | ");
    for threads in [1, 2] {
        let ran = run_all(graph, drawn.image.clone(), calls, threads);
        ran.map_err(|(kind, message)| (kind, format!("drawn schedules: {message}: {}", texts())))?;
    }
    Ok(())
}

/// Without some passes, and with others in another order, the results are the same, up to rounding.
fn check_selection(graph: &Graph, calls: &[Call], options: &Options, seed: u64) -> Ran<()> {
    let selection = Selection::drawn(&mut Random::named(seed, "passes"));
    let place = selection.text();
    let compile = |options: &Options| compile_graph(graph.clone(), options).map_err(|error| (Kind::Bug, format!("{place}: {error}")));
    let mut options = Options { selection, ..options.clone() };
    let mut compiled = compile(&options)?;
    if wants_finite(&compiled, calls) {
        options.winograd = false;
        compiled = compile(&options)?;
    }
    run_all(graph, compiled.image, calls, 1).map(drop).map_err(|(kind, message)| (kind, format!("{place}: {message}")))
}

/// The model as a shared library gives the same bits.
fn check_artefact(graph: &Graph, compiled: &Compiled, calls: &[Call], options: &Options, results: &Results) -> Ran<()> {
    let texts = !compiled.image.texts.is_empty();
    if texts || !compiled.image.host_calls.is_empty() {
        return Ok(());
    }
    let bug = |what: &str, why: &dyn std::fmt::Display| (Kind::Bug, format!("artefact: {what}: {why}"));
    let folder = tempfile::tempdir().map_err(|why| bug("folder", &why))?;
    let assembled = driver::compile::assembled_graph(graph.clone(), options).map_err(|why| bug("compile", &why))?;
    let request = Request {
        model: "model".to_string(),
        prefix: None,
        weights_inside: None,
        rust: false,
        emit: Emit::Object,
        hashes: vec![],
        metadata: vec![],
    };
    let made = artefact::build(request, vec![(assembled, options.clone())], folder.path()).map_err(|why| bug("build", &why))?;
    let mut library = Library::open(&made).map_err(|why| bug("load", &why))?;
    let executable = compiled.load(1).map_err(|why| bug("code in place", &why))?;
    for (call, wanted) in calls.iter().zip(results) {
        let (Some(wanted), Ok(sizes)) =
            (wanted, executable.bind(&call.inputs.iter().map(|input| input.dims().to_vec()).collect::<Vec<_>>()))
        else {
            continue;
        };
        let got = library.call(&call.inputs, &sizes).map_err(|why| bug(&format!("at {}", sizes_text(call)), &why))?;
        let bits = |tensors: &[Tensor]| tensors.iter().map(|tensor| (tensor.dims().to_vec(), tensor.bytes().to_vec())).collect::<Vec<_>>();
        if bits(&got) != bits(wanted) {
            return Err((Kind::Mismatch, format!("at {}: the artefact gives other bits", sizes_text(call))));
        }
    }
    Ok(())
}

/// Whether some call meets values that the compiled code leaves to code without minimal filtering.
fn wants_finite(compiled: &Compiled, calls: &[Call]) -> bool {
    let Ok(mut executable) = compiled.load(1) else { return false };
    calls.iter().any(|call| executable.run(&call.inputs).is_err_and(|error| error.is_not_finite()))
}

type Ran<T> = Result<T, (Kind, String)>;

fn run_all(graph: &Graph, image: Image, calls: &[Call], threads: usize) -> Ran<Results> {
    let mut executable = Executable::load(image, threads).map_err(|error| (kind_of(&error), format!("load: {error}")))?;
    let results = calls.iter().map(|call| run(graph, &mut executable, call)).collect::<Ran<Results>>()?;
    // once more at the first sizes, in the memory that the others have used
    let again = calls.first().map(|call| run(graph, &mut executable, call)).transpose()?;
    match again.is_none_or(|again| same_bits(&vec![again], &results[..1].to_vec())) {
        true => Ok(results),
        false => Err((Kind::Mismatch, "a call gives other bits the second time".to_string())),
    }
}

fn run(graph: &Graph, executable: &mut Executable, call: &Call) -> Ran<Option<Vec<Tensor>>> {
    match (executable.run(&call.inputs), &call.expected) {
        (Ok(outputs), Expected::Results(reference)) => {
            compare(graph, &outputs, reference).map_err(|why| (Kind::Mismatch, format!("at {}: {why}", sizes_text(call))))?;
            Ok(Some(outputs))
        }
        (Err(RunError::Call(_)), Expected::Refusal) | (Ok(_) | Err(RunError::Call(_)), Expected::Either) => Ok(None),
        (Ok(_), Expected::Refusal) => {
            Err((Kind::Mismatch, format!("at {}: a call that the interpreter refuses gives a result", sizes_text(call))))
        }
        (Err(error), _) => Err((kind_of(&error), format!("at {}: {error}", sizes_text(call)))),
    }
}

fn kind_of(error: &RunError) -> Kind {
    match error {
        RunError::Call(_) => Kind::Rejected,
        RunError::Bug(_) => Kind::Bug,
    }
}

fn sizes_text(call: &Call) -> String {
    let sizes: Vec<String> = call.asked.sizes.iter().map(|(sym, size)| format!("{sym}={size}")).collect();
    if sizes.is_empty() { "its only sizes".to_string() } else { sizes.join(" ") }
}

/// What is wrong with the first output that differs.
pub fn compare(graph: &Graph, outputs: &[Tensor], reference: &Reference) -> Result<(), String> {
    if outputs.len() != reference.outputs.len() {
        return Err(format!("{} outputs, not {}", outputs.len(), reference.outputs.len()));
    }
    for (at, ((name, _), got)) in graph.outputs.iter().zip(outputs).enumerate() {
        let difference = difference(&got.to_array(), &reference.outputs[at], reference.bounds[at], &reference.open[at]);
        difference.map_or(Ok(()), |why| Err(format!("output {name} {why}")))?;
    }
    Ok(())
}

fn difference(got: &Array, want: &Array, bound: f64, open: &[bool]) -> Option<String> {
    if (got.dtype(), got.dims()) != (want.dtype(), want.dims()) {
        return Some(format!("is {}{:?}, not {}{:?}", got.dtype(), got.dims(), want.dtype(), want.dims()));
    }
    let wrong: Vec<usize> = (0..want.count()).filter(|at| !open[*at] && !is_close(got, want, *at, bound)).collect();
    let at = *wrong.first()?;
    Some(format!("[{at}] is {}, not {}; bound {bound:.3e}; {} of {} are wrong", got.get(at), want.get(at), wrong.len(), want.count()))
}

fn is_close(got: &Array, want: &Array, at: usize, bound: f64) -> bool {
    match (got.data(), want.data()) {
        (Data::Float(got), Data::Float(want)) => {
            let (got, want) = (got[at], want[at]);
            got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= bound
        }
        (_, _) => got.get(at) == want.get(at),
    }
}

fn same_bits(a: &Results, b: &Results) -> bool {
    let bytes = |results: &Results| results.iter().flatten().flatten().map(|tensor| tensor.bytes().to_vec()).collect::<Vec<_>>();
    bytes(a) == bytes(b)
}
