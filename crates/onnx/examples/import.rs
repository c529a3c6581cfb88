//! Imports a model and prints what became of it: `cargo run -p onnx --example import -- model.onnx [dim=size ..]`.

use onnx::{ImportOptions, ModelFile, import_with_warnings};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: import model.onnx [dim=size ..]");
        return ExitCode::from(2);
    };
    let dims: Option<BTreeMap<String, i64>> = arguments.map(|argument| binding(&argument)).collect();
    match dims.ok_or_else(|| "a binding is `dim=size`".to_string()).and_then(|dims| report(Path::new(&path), dims)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn binding(argument: &str) -> Option<(String, i64)> {
    let (name, size) = argument.split_once('=')?;
    Some((name.to_string(), size.parse().ok()?))
}

fn report(path: &Path, dims: BTreeMap<String, i64>) -> Result<(), String> {
    let file = ModelFile::open(path).map_err(|error| error.to_string())?;
    let start = std::time::Instant::now();
    let imported = import_with_warnings(&file, &ImportOptions { dims, ..ImportOptions::default() }).map_err(|error| error.to_string())?;
    let graph = imported.graph;
    println!("{} values, {} nodes, {:.1} ms", graph.values.len(), graph.nodes.len(), start.elapsed().as_secs_f64() * 1e3);
    let mut histogram: BTreeMap<&str, usize> = BTreeMap::new();
    graph.nodes.iter().for_each(|node| *histogram.entry(node.op).or_default() += 1);
    histogram.iter().for_each(|(op, count)| println!("  {op} {count}"));
    graph.inputs.iter().for_each(|id| println!("input {}: {}", graph.value(*id).name, graph.ty(*id)));
    graph.outputs.iter().for_each(|(name, id)| println!("output {name}: {}", graph.ty(*id)));
    graph.guards.iter().for_each(|guard| println!("guard {}: {}", guard.location, guard.condition));
    ir::verify::verify(&graph).iter().for_each(|fault| println!("fault {fault}"));
    imported.warnings.iter().for_each(|warning| println!("warning {warning}"));
    Ok(())
}
