//! `inkle target`: the records of machines.

use crate::args::{TargetAction, TargetArgs};
use crate::failure::Failure;
use crate::model::target;
use crate::report::Report;
use ir::Code;
use serde_json::json;
use target::Target;

pub fn record(arguments: &TargetArgs) -> Result<Report, Failure> {
    match &arguments.action {
        TargetAction::Probe(probe) => {
            let native = Target::native();
            let Some(path) = &probe.out else { return Ok(shown(&native)) };
            let text = format!("{native}\n");
            std::fs::write(path, text).map_err(|why| Failure::user(Code::Input, format!("{}: {why}", path.display())))?;
            let place = path.display().to_string();
            Ok(Report::new(format!("{place} holds the record: --target {place}\n"), json!({ "file": place })))
        }
        TargetAction::Show(show) => Ok(shown(&target(&show.name)?)),
    }
}

fn shown(target: &Target) -> Report {
    Report::new(format!("{target}\n"), json!(target))
}
