//! `inkle check`: all that is wrong with a model or not supported.

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::model::{self, Machine};
use crate::progress::Progress;
use crate::report::{BOLD, GREEN, Report, YELLOW};
use crate::timings::Timings;
use driver::{Compiled, Options, Source};
use ir::{Diagnostic, TensorType};
use onnx::ModelFile;
use serde_json::{Value, json};

pub fn check(arguments: &CheckArgs) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let options = model::options(&arguments.compile, &machine)?;
    let progress = Progress::new("compiling");
    let compiled = driver::compile(&source, &options)?;
    let warnings = warnings(&source, &options)?;
    drop(progress);
    let timings = Timings::new(&compiled, None);
    let table = if arguments.timings { timings.table() } else { String::new() };
    Ok(Report::new(table + &text(&compiled, &warnings), json(&compiled, &warnings, &timings)))
}

/// What is odd about a model that compiles: shapes that it declares and contradicts.
fn warnings(source: &Source, options: &Options) -> Result<Vec<Diagnostic>, Failure> {
    let Source::Onnx(path) = source else { return Ok(vec![]) };
    let file = ModelFile::open(path).map_err(|why| Failure::user(ir::Code::Malformed, why.to_string()))?;
    Ok(onnx::import_with_warnings(&file, &options.import())?.warnings)
}

fn text(compiled: &Compiled, warnings: &[Diagnostic]) -> String {
    let image = &compiled.image;
    let list = |kind: &str, list: &[(String, TensorType)]| -> String {
        list.iter().map(|(name, ty)| format!("{kind} {BOLD}{name}{BOLD:#}  {ty}\n")).collect()
    };
    let facts = image.given().map(|sym| {
        let fact = image.symbol_facts.get(sym).copied().unwrap_or_default();
        format!("size   {BOLD}{sym}{BOLD:#}  {}..={}\n", fact.low, fact.high)
    });
    let guards = image.guards.iter().map(|guard| format!("guard  {}  {}\n", guard.condition, guard.location));
    let warnings = warnings.iter().map(|warning| format!("{YELLOW}warning{YELLOW:#} {}: {}\n", warning.location, warning.message));
    let facts: String = facts.chain(guards).chain(warnings).collect();
    let counts = format!("{} nodes, {} kernels", compiled.graph.nodes.len(), compiled.assembly.lowered.len());
    format!("{}{}{facts}{GREEN}compiles{GREEN:#}: {counts}\n", list("input ", &image.inputs), list("output", &image.outputs))
}

fn json(compiled: &Compiled, warnings: &[Diagnostic], timings: &Timings) -> Value {
    let image = &compiled.image;
    let list = |list: &[(String, TensorType)]| -> Vec<Value> {
        let dims = |ty: &TensorType| ty.dims.iter().map(|dim| dim.to_string()).collect::<Vec<_>>();
        list.iter().map(|(name, ty)| json!({ "name": name, "type": ty.dtype.name(), "shape": dims(ty) })).collect()
    };
    let guards: Vec<String> = image.guards.iter().map(|guard| format!("{}: {}", guard.location, guard.condition)).collect();
    let warnings: Vec<String> = warnings.iter().map(|warning| format!("{}: {}", warning.location, warning.message)).collect();
    json!({
        "exit_code": 0,
        "errors": [],
        "warnings": warnings,
        "inputs": list(&image.inputs),
        "outputs": list(&image.outputs),
        "guards": guards,
        "stages_s": timings.stages_json(),
        "cache": timings.cache_json(),
    })
}
