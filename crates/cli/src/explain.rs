//! `inkle explain`: what the code of an artefact is for.

use crate::args::ExplainArgs;
use crate::failure::Failure;
use crate::report::{self, BOLD, Report};
use artefact::explain::{Coverage, ExplainError, Explained, Explainer};
use serde_json::json;
use std::cmp::Reverse;
use std::fmt::Write;

/// Nodes that the table lists.
const LISTED: usize = 40;

pub fn explain(arguments: &ExplainArgs) -> Result<Report, Failure> {
    let explainer = Explainer::open(&arguments.artefact).map_err(failure)?;
    match arguments.address {
        Some(address) => Ok(explained(&explainer.explain(address).map_err(failure)?)),
        None => Ok(covered(&explainer.coverage())),
    }
}

fn failure(why: ExplainError) -> Failure {
    let code = match why {
        ExplainError::File(_) => ir::Code::Malformed,
        ExplainError::Address(..) => ir::Code::Input,
    };
    Failure::user(code, why.to_string())
}

fn explained(found: &Explained) -> Report {
    let Explained { function, offset, node, kernel } = found;
    let mut text = format!("{BOLD}{node}{BOLD:#}\n{function} + {offset:#x}\n");
    if let Some(kernel) = kernel {
        for node in kernel["nodes"].as_array().into_iter().flatten().filter_map(|node| node.as_str()) {
            let _ = writeln!(text, "serves {node}");
        }
        for part in ["nest", "schedule"] {
            let _ = writeln!(text, "{}", kernel[part].as_str().unwrap_or_default().trim_end());
        }
    }
    Report::new(text, json!({ "node": node, "function": function, "offset": offset, "kernel": kernel }))
}

fn covered(coverage: &Coverage) -> Report {
    let mut nodes: Vec<(&String, &u64)> = coverage.nodes.iter().collect();
    nodes.sort_by_key(|(node, bytes)| (Reverse(**bytes), *node));
    let row = |(node, bytes): &(&String, &u64)| vec![report::shortened(node), bytes.to_string()];
    let table = report::table(&["node", "bytes of code"], &nodes.iter().take(LISTED).map(row).collect::<Vec<_>>(), 1);
    let more = nodes.len().saturating_sub(LISTED);
    let more = if more == 0 { String::new() } else { format!("and {more} more\n") };
    let share = 100.0 * coverage.resolved as f64 / coverage.bytes.max(1) as f64;
    let json = json!({ "bytes": coverage.bytes, "resolved": coverage.resolved, "nodes": coverage.nodes });
    Report::new(format!("{table}{more}{BOLD}{share:.2} %{BOLD:#} of {} bytes of code are known\n", coverage.bytes), json)
}
