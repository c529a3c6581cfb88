//! `inkle compile`: a model as files that stand by themselves.

use crate::args::{CompileArgs, EmitAs, WeightsIn};
use crate::failure::Failure;
use crate::inputs::given;
use crate::model::{self, Machine};
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use artefact::{Artefact, Emit, Request};
use driver::values::assembled_for;
use driver::{Options, Source};
use onnx::ModelFile;
use serde_json::{Value, json};
use target::Target;

pub fn compile(arguments: &CompileArgs) -> Result<Report, Failure> {
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let progress = Progress::new("compiling");
    let mut versions = Vec::new();
    for target in arguments.compile.machine.target.split(',') {
        let mut machine = Machine::for_target(&arguments.compile.machine, target)?;
        if arguments.emit == EmitAs::C {
            machine.target = if target == "native" { Target::c() } else { machine.target.in_c() };
        }
        let options = model::options(&arguments.compile, &machine)?;
        versions.push(assembled_for(&source, options, || given(arguments.inputs.as_deref(), &source))?);
    }
    let request = Request {
        model: model::name(&arguments.model),
        prefix: arguments.name.clone(),
        weights_inside: arguments.weights_in.map(|place| place == WeightsIn::Inside),
        rust: arguments.rust,
        emit: match arguments.emit {
            EmitAs::Object => Emit::Object,
            EmitAs::C => Emit::C,
        },
        hashes: hashes(&source, &versions[0].1)?,
        metadata: metadata(&source)?,
    };
    progress.now("generating code");
    let artefact = artefact::build(request, versions, &arguments.out)?;
    drop(progress);
    Ok(Report::new(text(&artefact), json(&artefact)))
}

/// Of what the artefact was made from.
fn hashes(source: &Source, options: &Options) -> Result<Vec<(String, Value)>, Failure> {
    let path = match source {
        Source::Onnx(path) => Some(path),
        Source::Text { weights, .. } => weights.as_ref(),
    };
    let file = |path: &std::path::PathBuf| artefact::hash::file(path).map_err(|why| Failure::user(ir::Code::Malformed, why.to_string()));
    let text = match source {
        Source::Onnx(_) => None,
        Source::Text { text, .. } => Some(artefact::hash::text(text)),
    };
    let of = |name: &str, value: Value| (name.to_string(), value);
    Ok(vec![
        of("model", json!(path.map(file).transpose()?)),
        of("text", json!(text)),
        of("options", json!(artefact::hash::text(&options.described()))),
        of("tuned", json!(options.tuned.as_ref().map(|tuned| artefact::hash::text(&tuned.to_string())))),
    ])
}

/// What an ONNX file carries for its users.
fn metadata(source: &Source) -> Result<Vec<(String, Value)>, Failure> {
    let Source::Onnx(path) = source else { return Ok(vec![]) };
    let file = ModelFile::open(path).map_err(|why| Failure::user(ir::Code::Malformed, why.to_string()))?;
    Ok(file.all_metadata().map(|(key, text)| (key.to_string(), json!(text))).collect())
}

fn text(artefact: &Artefact) -> String {
    let rows: Vec<Vec<String>> = artefact.files.iter().map(|file| vec![file.name.clone(), report::bytes(file.bytes as usize)]).collect();
    let header = artefact.folder.join(&artefact.files[0].name);
    let table = report::table(&["file", "bytes"], &rows, 1);
    format!("{table}{BOLD}{}{BOLD:#} tells how to call it\n", header.display())
}

fn json(artefact: &Artefact) -> Value {
    let files: Vec<Value> = artefact.files.iter().map(|file| json!({ "name": file.name, "bytes": file.bytes })).collect();
    json!({ "folder": artefact.folder, "files": files })
}
