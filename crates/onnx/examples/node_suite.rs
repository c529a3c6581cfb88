//! Imports and interprets the cases of ONNX's test suites: `cargo run --release -p onnx --example node_suite -- folder [name]`.
//!
//! A case is a folder with `model.onnx`, and `input_0_*.pb` and `output_0_*.pb`, or `test_data_set_0/input_*.pb` and the like. One whose shapes are computed from data is tried again
//! with its inputs as constants. Prints every case that is not a pass, and the counts.

use ir::{Array, Graph, Literal};
use onnx::file::Elements;
use onnx::proto::{GraphProto, ModelProto, TensorProto};
use onnx::{ImportOptions, ModelFile, import};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_default();
    let wanted = arguments.next().unwrap_or_default();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    cases.sort();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.to_string_lossy().contains(&wanted)) {
        let (verdict, detail) = run(case);
        *counts.entry(verdict).or_default() += 1;
        if verdict != "pass" {
            println!("{verdict}\t{}\t{detail}", case.file_name().unwrap_or_default().to_string_lossy());
        }
    }
    counts.iter().for_each(|(verdict, count)| eprintln!("{verdict}: {count}"));
}

fn run(case: &Path) -> (&'static str, String) {
    let first = attempt(case, false);
    match &first {
        ("unsupported", detail) if detail.contains("computed from data") => match attempt(case, true) {
            ("pass", _) => ("pass with constants", String::new()),
            other => other,
        },
        _ => first,
    }
}

fn attempt(case: &Path, constants: bool) -> (&'static str, String) {
    let Ok(mut file) = ModelFile::open(&case.join("model.onnx")) else { return ("no model", String::new()) };
    let inputs = tensors(case, "input");
    if constants {
        let graph = file.model.graph.get_or_insert_with(GraphProto::default);
        graph.initializer.extend(inputs.iter().cloned());
    }
    let graph = match import(&file, &ImportOptions::default()) {
        Ok(graph) => graph,
        Err(problems) if problems.exit_code() == 4 => return ("unsupported", problems.to_string()),
        Err(problems) => return ("import", problems.to_string()),
    };
    let faults = ir::verify::verify(&graph);
    if let Some(fault) = faults.first() {
        return ("illegal", fault.to_string());
    }
    if let Err(problems) = ops::verify::verify(&graph) {
        return ("illegal", problems.to_string());
    }
    match compare(case, &graph, if constants { &[] } else { &inputs }) {
        Ok(()) => ("pass", String::new()),
        Err(message) => ("mismatch", message),
    }
}

fn tensors(case: &Path, kind: &str) -> Vec<TensorProto> {
    let read = |at: usize| {
        let path = case.join(format!("{kind}_0_{at}.pb"));
        std::fs::read(path).or_else(|_| std::fs::read(case.join(format!("test_data_set_0/{kind}_{at}.pb"))))
    };
    (0..).map_while(|at| read(at).ok()).filter_map(|bytes| TensorProto::decode(&*bytes).ok()).collect()
}

fn array(tensor: &TensorProto) -> Option<Array> {
    let file =
        ModelFile::from_bytes(ModelProto { graph: Some(GraphProto::default()), ..Default::default() }.encode_to_vec().into()).ok()?;
    let read = file.tensor_bytes(tensor).ok()?;
    let names = [
        ("float", "f32"),
        ("double", "f64"),
        ("float16", "f16"),
        ("bfloat16", "bf16"),
        ("bool", "bool"),
        ("int8", "i8"),
        ("int16", "i16"),
        ("int32", "i32"),
        ("int64", "i64"),
        ("uint8", "u8"),
        ("uint16", "u16"),
        ("uint32", "u32"),
        ("uint64", "u64"),
    ];
    let name = names.iter().find(|(name, _)| *name == read.data_type.name())?.1;
    let Elements::Numbers(bytes) = read.elements else { return None };
    let dims = read.dims.iter().map(|dim| *dim as usize).collect();
    Some(ir::Tensor::new(ir::DType::from_name(name)?, dims, Arc::new(bytes))?.to_array())
}

fn compare(case: &Path, graph: &Graph, inputs: &[TensorProto]) -> Result<(), String> {
    let inputs: Option<Vec<Array>> = inputs.iter().map(array).collect();
    let inputs = inputs.ok_or("an input of another type")?;
    let dims: Vec<Vec<usize>> = inputs.iter().map(|array| array.dims().to_vec()).collect();
    let symbols = ops::interp::bind_symbols(graph, &dims).map_err(|problems| problems.to_string())?;
    let outputs = ops::interp::outputs(graph, &inputs, &symbols).map_err(|problem| problem.to_string())?;
    for (at, (got, want)) in outputs.iter().zip(tensors(case, "output")).enumerate() {
        let want = array(&want).ok_or("an output of another type")?;
        compare_arrays(got, &want).map_err(|message| format!("output {at}: {message}"))?;
    }
    Ok(())
}

fn compare_arrays(got: &Array, want: &Array) -> Result<(), String> {
    if (got.dtype(), got.dims()) != (want.dtype(), want.dims()) {
        return Err(format!("{}{:?}, not {}{:?}", got.dtype(), got.dims(), want.dtype(), want.dims()));
    }
    let tolerance = (want.dtype().unit_roundoff() * 16.0).max(1e-3);
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 + tolerance * b.abs();
    let same = |a: Literal, b: Literal| if want.dtype().is_float() { close(a.as_f64(), b.as_f64()) } else { a == b };
    let gap = |at: usize| (got.get(at).as_f64() - want.get(at).as_f64()).abs();
    match (0..want.count()).find(|at| !same(got.get(*at), want.get(*at))) {
        None => Ok(()),
        Some(at) => {
            let largest = (0..want.count()).map(gap).fold(0.0, f64::max);
            Err(format!("element {at} is {}, not {}; the largest difference is {largest:.1e}", got.get(at), want.get(at)))
        }
    }
}
