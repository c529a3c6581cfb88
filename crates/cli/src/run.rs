//! `inkle run`: one call of a model, by generated code or by an interpreter.

use crate::args::{Interpret, RunArgs, Verify};
use crate::chart;
use crate::failure::{BUG, Failure};
use crate::inputs::{Draw, Inputs, given, inputs};
use crate::memory::Memory;
use crate::model::{self, Machine};
use crate::npz;
use crate::profile::Profile;
use crate::progress::Progress;
use crate::report::{self, BOLD, GREEN, RED, Report};
use crate::roofline::{Ceilings, Roofline};
use crate::summary::Summary;
use crate::timings::Timings;
use crate::tune;
use driver::interpret::{self, Interpreter};
use driver::values::{compile_for, import_for};
use driver::verify::{self, Given, Sample};
use driver::{Compiled, Options, Sabotage, Source};
use ir::{Graph, Strings, Tensor};
use ops::interp::Floats;
use runtime::Image;
use serde_json::{Value, json};
use std::time::Instant;

/// Elements of each value that a sampled verification looks at.
const SAMPLED: usize = 256;

pub fn run(arguments: &RunArgs) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let options = Options {
        profile: is_profiled(arguments),
        sabotage: sabotage(arguments)?,
        ..model::options_of_search(&arguments.compile, &machine)?
    };
    let draw = Draw { seed: arguments.seed, most_bytes: machine.most_bytes };
    let progress = Progress::new("compiling");
    if let (Some(Interpret::Graph), Source::Onnx(path)) = (arguments.interpret, &source) {
        let graph = import_for(path, &options, || given(arguments.inputs.as_deref(), &source))?;
        return interpreted_graph(arguments, &graph, draw, &progress);
    }
    let (compiled, options) = compile_for(&source, options, || given(arguments.inputs.as_deref(), &source))?;
    let inputs = inputs(arguments.inputs.as_deref(), &compiled.image, &compiled.graph, draw)?;
    progress.remark(&inputs.remark);
    let (compiled, options) = match arguments.compile.passes.opt {
        2 => tune::searched(&machine, &source, options, &inputs)?,
        _ => (compiled, options),
    };
    let report = match (arguments.interpret, arguments.verify) {
        (Some(level), _) => interpreted(arguments, &compiled, level, &inputs, &progress),
        (None, Some(how)) => verified(&compiled, &source, &options, how, &inputs, &progress),
        (None, None) => called(arguments, &machine, &source, &options, &compiled, &inputs, &progress),
    };
    drop(progress);
    report
}

fn is_profiled(arguments: &RunArgs) -> bool {
    arguments.profile || arguments.chart.is_some()
}

fn sabotage(arguments: &RunArgs) -> Result<Option<Sabotage>, Failure> {
    let Some((pass, seed)) = arguments.sabotage.clone() else { return Ok(None) };
    let passes = driver::sabotage::passes();
    match passes.contains(&pass.as_str()) {
        true => Ok(Some(Sabotage { pass, seed })),
        false => Err(Failure::user(ir::Code::Input, format!("there is no pass {pass} to corrupt; there are {}", passes.join(", ")))),
    }
}

fn called(
    arguments: &RunArgs,
    machine: &Machine,
    source: &Source,
    options: &Options,
    compiled: &Compiled,
    inputs: &Inputs,
    progress: &Progress,
) -> Result<Report, Failure> {
    progress.now("running");
    let start = Instant::now();
    let mut executable = machine.load(compiled)?;
    executable.share_strings(&inputs.strings);
    let load = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let outputs = match executable.run(&inputs.tensors) {
        Err(error) if error.is_not_finite() && options.winograd => {
            progress.remark(&format!("{error}: compiling again"));
            let options = Options { winograd: false, ..options.clone() };
            let compiled = driver::compile(source, &options)?;
            return called(arguments, machine, source, &options, &compiled, inputs, progress);
        }
        outputs => outputs?,
    };
    let latency = start.elapsed().as_secs_f64();
    write_outputs(arguments, &compiled.image, &outputs, &inputs.strings)?;
    let roofline = arguments.chart.as_ref().map(|_| Roofline::new(machine)).transpose()?;
    let before = roofline.as_ref().map_or(Ok(Ceilings::default()), Roofline::ceilings)?;
    let profile = if is_profiled(arguments) { Profile::of(&mut executable, &inputs.tensors)? } else { Profile::default() };
    let memory = Memory::of(&executable, compiled, &inputs.tensors)?;
    if let (Some(folder), Some(roofline)) = (&arguments.chart, roofline) {
        let ceilings = before.best(roofline.ceilings()?);
        let kernels: Vec<_> = profile.kernels(compiled, &memory.sizes).into_iter().map(|kernel| kernel.within(&ceilings)).collect();
        let name = model::name(&arguments.model);
        let memory = chart::memory::chart(&name, &memory.plan(compiled));
        chart::write(folder, &[("memory.svg", memory), ("time.svg", chart::time::chart(&name, &kernels))])?;
    }
    let timings = Timings::new(compiled, Some(load));
    let table = if arguments.timings { timings.table() } else { String::new() };
    let text = [
        outputs_text(&compiled.image, &outputs, &inputs.strings),
        table,
        timings.text(),
        memory.text(),
        latency_text(latency),
        profile.text(),
    ];
    let json = json!({
        "inputs": inputs.remark,
        "outputs": outputs_json(&compiled.image, &outputs, &inputs.strings),
        "host_steps": compiled.image.host_calls.iter().map(|call| call.op.name).collect::<Vec<_>>(),
        "compile_s": timings.seconds(),
        "stages_s": timings.stages_json(),
        "cache": timings.cache_json(),
        "latency_ms": latency * 1e3,
        "memory": memory.json(),
        "profile": profile.json(),
    });
    Ok(Report::new(text.concat(), json))
}

fn interpreted(
    arguments: &RunArgs,
    compiled: &Compiled,
    level: Interpret,
    inputs: &Inputs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let how = match level {
        Interpret::Graph => Interpreter::Graph,
        Interpret::Program => Interpreter::Program,
        Interpret::Nest => Interpreter::Nest,
        Interpret::Kernel => Interpreter::Kernel,
    };
    progress.now("interpreting");
    let outputs = interpret::interpret(compiled, how, &inputs.tensors, &inputs.strings)?;
    outputs_report(arguments, &compiled.image, &outputs, &inputs.strings)
}

/// The imported graph alone is interpreted: it need not compile.
fn interpreted_graph(arguments: &RunArgs, graph: &Graph, draw: Draw, progress: &Progress) -> Result<Report, Failure> {
    let named = |id: &ir::ValueId| (graph.value(*id).name.to_string(), graph.ty(*id).clone());
    let image = Image {
        symbols: graph.symbols.keys().cloned().collect(),
        symbol_facts: graph.symbols.clone(),
        computed: graph.computed.iter().map(|(sym, _)| sym.clone()).collect(),
        inputs: graph.inputs.iter().map(named).collect(),
        outputs: graph.outputs.iter().map(|(name, id)| (name.clone(), graph.ty(*id).clone())).collect(),
        texts: graph.texts.clone(),
        ..Image::default()
    };
    let inputs = inputs(arguments.inputs.as_deref(), &image, graph, draw)?;
    progress.remark(&inputs.remark);
    progress.now("interpreting");
    outputs_report(arguments, &image, &graph_outputs(graph, &inputs.tensors, &inputs.strings)?, &inputs.strings)
}

/// What a graph gives by the definitions of its ops.
pub fn graph_outputs(graph: &Graph, inputs: &[Tensor], strings: &Strings) -> Result<Vec<Tensor>, Failure> {
    let sizes = ops::interp::bind_symbols(graph, &inputs.iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>())?;
    let arrays: Vec<_> = inputs.iter().map(Tensor::to_array).collect();
    Ok(interpret::graph(graph, &arrays, &sizes, strings, Floats::Rounded)?.iter().map(Tensor::from_array).collect())
}

fn outputs_report(arguments: &RunArgs, image: &Image, outputs: &[Tensor], strings: &Strings) -> Result<Report, Failure> {
    write_outputs(arguments, image, outputs, strings)?;
    Ok(Report::new(outputs_text(image, outputs, strings), json!({ "outputs": outputs_json(image, outputs, strings) })))
}

fn verified(
    compiled: &Compiled,
    source: &Source,
    options: &Options,
    how: Verify,
    inputs: &Inputs,
    progress: &Progress,
) -> Result<Report, Failure> {
    progress.now("verifying");
    let sample = match how {
        Verify::All => Sample::All,
        Verify::Sample => Sample::Points(SAMPLED),
    };
    let named = compiled.image.inputs.iter().zip(&inputs.tensors).map(|((name, _), tensor)| (name.clone(), tensor.clone())).collect();
    let found = verify::verify(source, options, Given { inputs: &named, strings: &inputs.strings }, sample)?;
    let rows: Vec<Vec<String>> =
        found.checks.iter().map(|check| vec![check.pass.clone(), check.values.to_string(), format!("{:.3}", check.worst)]).collect();
    let verdict = match &found.failure {
        Some(failure) => format!("{RED}differs{RED:#} after {BOLD}{}{BOLD:#}: {}\n", failure.pass, failure.message),
        None => format!("{GREEN}no difference{GREEN:#}\n"),
    };
    let json = json!({
        "checks": found.checks.iter().map(|check| json!({ "pass": check.pass, "values": check.values, "worst": check.worst })).collect::<Vec<_>>(),
        "failure": found.failure.as_ref().map(|failure| json!({ "pass": failure.pass, "message": failure.message })),
    });
    let text = report::table(&["pass", "values", "error/bound"], &rows, 1) + &verdict;
    Ok(Report { text, json, exit_code: if found.failure.is_some() { BUG } else { 0 } })
}

fn write_outputs(arguments: &RunArgs, image: &Image, outputs: &[Tensor], strings: &Strings) -> Result<(), Failure> {
    let texts = |name: &str, tensor: &Tensor| image.texts.outputs.contains(name).then(|| strings.texts(tensor)).flatten();
    match &arguments.outputs {
        Some(path) => Ok(npz::write_with(path, image.outputs.iter().map(|(name, _)| name.as_str()).zip(outputs), texts)?),
        None => Ok(()),
    }
}

fn outputs_text(image: &Image, outputs: &[Tensor], strings: &Strings) -> String {
    summaries(image, outputs, strings).iter().map(Summary::text).collect()
}

fn outputs_json(image: &Image, outputs: &[Tensor], strings: &Strings) -> Vec<Value> {
    summaries(image, outputs, strings).iter().map(Summary::json).collect()
}

fn summaries(image: &Image, outputs: &[Tensor], strings: &Strings) -> Vec<Summary> {
    let summary = |((name, _), tensor): (&(String, ir::TensorType), &Tensor)| {
        let texts = image.texts.outputs.contains(name).then(|| strings.texts(tensor)).flatten();
        Summary::new(name, tensor).with_texts(texts.as_deref())
    };
    image.outputs.iter().zip(outputs).map(summary).collect()
}

fn latency_text(latency: f64) -> String {
    format!("first call took {BOLD}{}{BOLD:#}\n", report::seconds(latency))
}
