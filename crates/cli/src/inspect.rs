//! `inkle inspect`: a level of a compiled model.

use crate::args::{At, InspectArgs};
use crate::failure::Failure;
use crate::model::{self, Machine};
use crate::progress::Progress;
use crate::report::{self, Report};
use serde_json::json;

pub fn inspect(arguments: &InspectArgs) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let options = model::options(&arguments.compile, &machine)?;
    let progress = Progress::new("compiling");
    let compiled = driver::compile(&source, &options)?;
    let text = driver::inspect(&compiled, &options, level(arguments.at), arguments.node.as_deref())?;
    drop(progress);
    if let (true, Some(node)) = (text.is_empty(), &arguments.node) {
        report::remark(&format!("nothing came from a node whose name contains {node}"));
    }
    let json = json!({ "at": format!("{:?}", arguments.at).to_lowercase(), "node": arguments.node, "text": text });
    Ok(Report::new(text, json))
}

fn level(at: At) -> driver::At {
    match at {
        At::Graph => driver::At::Graph,
        At::Core => driver::At::Core,
        At::Program => driver::At::Program,
        At::Nest => driver::At::Nest,
        At::Kernel => driver::At::Kernel,
        At::Schedule => driver::At::Schedule,
        At::Llvm => driver::At::Llvm,
        At::Asm => driver::At::Asm,
    }
}
