//! The levels of a compiled model: each is well formed, reads back from its text, and is the same when the model is compiled again.

use crate::check::{Call, Checked, Failure, Kind};
use driver::code::texts;
use driver::verify::{Sample, verify_graph};
use driver::{Compiled, Error, Options, compile_graph};
use ir::{Graph, Tensor};
use program::{Program, Role};
use std::collections::BTreeMap;

fn bug(place: &str, message: impl Into<String>) -> Failure {
    Failure::new(Kind::Bug, place, message)
}

/// The verifiers and texts of the program and its kernels. What the verifier does not prove for all sizes must hold at those of each call.
pub fn check_levels(compiled: &Compiled, calls: &[Call]) -> Checked<()> {
    let kernels: Vec<kernel::Kernel> = compiled.assembly.lowered.iter().map(|lowered| lowered.kernel().clone()).collect();
    let sizes = calls.iter().filter(|call| call.reference().is_some()).map(|call| &call.asked.sizes);
    if let Some(problem) = sizes.flat_map(|sizes| program::verify::verify_at(&compiled.program, sizes)).next() {
        return Err(bug("verifier of programs", problem));
    }
    let proved = program::verify::verify(&compiled.program).is_empty();
    if let Some(problem) = kernels.iter().flat_map(kernel::verify::verify).next() {
        return Err(bug("verifier of kernels", problem));
    }
    let text = driver::text::print_kernels(compiled);
    let read = driver::text::kernels(&text, &|name| weight(&compiled.program, name));
    let (program, read) = match read {
        Ok(read) => read,
        // a text is taken only where its bounds are proved for all sizes
        Err(_) if !proved => return Ok(()),
        Err(error) => return Err(bug("text of kernels", error.to_string())),
    };
    match program == compiled.program && read == kernels {
        true => Ok(()),
        false => Err(bug("text of kernels", "reads back as something else")),
    }
}

fn weight(program: &Program, name: &str) -> Option<Tensor> {
    program.buffers.iter().find_map(|buffer| match &buffer.role {
        Role::Constant { tensor, weight: Some(own) } if **own == *name => Some(tensor.clone()),
        _ => None,
    })
}

/// A second compilation gives the same text for the code generator.
pub fn check_repeatable(graph: &Graph, compiled: &Compiled, options: &Options) -> Checked<()> {
    let again = compile_graph(graph.clone(), options).map_err(|error| bug("second compilation", error.to_string()))?;
    match texts(&compiled.assembly, options) == texts(&again.assembly, options) && compiled.image.objects == again.image.objects {
        true => Ok(()),
        false => Err(bug("second compilation", "gives other code")),
    }
}

/// The driver's own check of each pass raises no alarm.
pub fn check_passes(graph: &Graph, call: &Call, options: &Options) -> Checked<()> {
    let names = graph.inputs.iter().map(|id| graph.value(*id).name.to_string());
    let inputs: BTreeMap<String, Tensor> = names.zip(call.inputs.iter().cloned()).collect();
    let report = verify_graph(graph, options, &inputs, Sample::All).map_err(|error| match error {
        Error::Diagnostics(problems) => Failure::new(Kind::Rejected, "verify", problems.to_string()),
        Error::Bug(message) => bug("verify", message),
    })?;
    match report.failure {
        Some(failure) => Err(bug("verify", format!("{}: {}", failure.pass, failure.message))),
        None => Ok(()),
    }
}
