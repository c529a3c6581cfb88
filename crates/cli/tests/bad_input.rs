//! Wrong models and wrong inputs: each ends with one clear error and the exit code for whose fault it is; nothing panics.

use onnx::proto::tensor_shape_proto::{Dimension, Value as Dim};
use onnx::proto::type_proto::{self, Value};
use onnx::proto::{
    AttributeProto, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};
use prost::Message;
use serde_json::Value as Json;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// The JSON report of a command, and its exit code.
#[track_caller]
fn inkle(folder: &Path, line: &str) -> (Json, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inkle"));
    let output = command.args(line.split_whitespace()).arg("--json").current_dir(folder).output().unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(!said.contains("panicked"), "{said}");
    (serde_json::from_str(&text).unwrap_or_else(|_| panic!("{line}: {text}{said}")), output.status.code().unwrap())
}

/// One error with this code, which says `part`.
#[track_caller]
fn check_error((report, exit_code): (Json, i32), code: &str, part: &str) {
    let errors = report["errors"].as_array().unwrap_or_else(|| panic!("no errors: {report}"));
    assert_eq!((errors.len(), &errors[0]["code"]), (1, &code.into()), "{report}");
    assert!(errors[0]["message"].as_str().unwrap().contains(part), "{report}");
    let want = match code {
        "E008" => 3,
        "E006" => 4,
        _ => 2,
    };
    assert_eq!((exit_code, &report["exit_code"]), (want, &want.into()), "{report}");
}

fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    let input = input.iter().map(|name| name.to_string()).collect();
    NodeProto { op_type: op.to_string(), input, output: vec![output.to_string()], ..NodeProto::default() }
}

fn with_ints(node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    let attribute = AttributeProto { name: name.to_string(), r#type: 7, ints: ints.to_vec(), ..AttributeProto::default() };
    NodeProto { attribute: vec![attribute], ..node }
}

fn f32_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| Dimension { value: Some(Dim::DimValue(*dim)), ..Dimension::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_string(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

fn weight(dims: &[i64], bytes: usize) -> TensorProto {
    TensorProto {
        name: "w".to_string(),
        dims: dims.to_vec(),
        data_type: DataType::Float.into(),
        raw_data: Some(vec![0; bytes].into()),
        ..TensorProto::default()
    }
}

/// The output is `y`.
fn model(input: ValueInfoProto, initializer: Vec<TensorProto>, node: Vec<NodeProto>) -> ModelProto {
    let output = vec![ValueInfoProto { name: "y".to_string(), ..ValueInfoProto::default() }];
    let graph = GraphProto { node, initializer, input: vec![input], output, ..GraphProto::default() };
    let opset = OperatorSetIdProto { domain: String::new(), version: 18 };
    ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
}

#[track_caller]
fn check_model(model: &ModelProto, code: &str, part: &str) {
    check_bytes(&model.encode_to_vec(), code, part);
}

#[track_caller]
fn check_bytes(bytes: &[u8], code: &str, part: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), bytes).unwrap();
    check_error(inkle(folder.path(), "run m.onnx"), code, part);
    check_error(inkle(folder.path(), "check m.onnx"), code, part);
}

fn x() -> ValueInfoProto {
    f32_info("x", &[2, 3])
}

#[test]
fn files_that_are_no_models() {
    let whole = model(x(), vec![weight(&[3], 12)], vec![node("Add", &["x", "w"], "y")]).encode_to_vec();
    check_bytes(&[], "E001", "it has no graph");
    check_bytes(&whole[..whole.len() - 5], "E001", "not an ONNX model");
    check_bytes(b"version https://git-lfs.github.com/spec/v1", "E001", "not an ONNX model");
    // an attribute in a graph in an attribute ..
    let mut deep = NodeProto::default().encode_to_vec();
    for _ in 0..1000 {
        let mut outer = vec![0x0a, 0x80 | (deep.len() & 0x7f) as u8, (0x80 | deep.len() >> 7 & 0x7f) as u8, (deep.len() >> 14) as u8];
        outer.append(&mut deep);
        deep = outer;
    }
    let mut bytes = vec![0x3a, 0x80 | (deep.len() & 0x7f) as u8, (0x80 | deep.len() >> 7 & 0x7f) as u8, (deep.len() >> 14) as u8];
    bytes.append(&mut deep);
    check_bytes(&bytes, "E001", "not an ONNX model");
}

#[test]
fn names_that_do_not_fit() {
    check_model(&model(x(), vec![], vec![node("Add", &["x", "b"], "y"), node("Neg", &["y"], "b")]), "E002", "`b` is used before");
    check_model(&model(x(), vec![], vec![node("Neg", &["x"], "y"), node("Relu", &["x"], "y")]), "E002", "`y` is defined twice");
    check_model(&model(x(), vec![], vec![node("Add", &["x", "z"], "y")]), "E002", "`z` is not defined");
    check_model(&model(x(), vec![], vec![node("Add", &["x"], "y")]), "E001", "Add lacks its operand 1");
}

#[test]
fn tensors_whose_bytes_do_not_fit() {
    let add = |weight: TensorProto| model(x(), vec![weight], vec![node("Add", &["x", "w"], "y")]);
    check_model(&add(weight(&[3], 11)), "E007", "need 12 bytes but raw_data has 11");
    check_model(&add(weight(&[-3], 12)), "E007", "negative size at axis 0");
    check_model(&add(weight(&[1 << 62, 1 << 62], 12)), "E007", "its size overflows");
    check_model(&add(weight(&[4], 16)), "E003", "4");
}

/// What shapes the graph is taken from the inputs of the call.
#[test]
fn axes_that_are_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut reduce = model(x(), vec![], vec![node("ReduceSum", &["x", "axes"], "y")]);
    let axes = ValueInfoProto { name: "axes".to_string(), ..f32_info("axes", &[1]) };
    let graph = reduce.graph.as_mut().unwrap();
    graph.input.push(axes);
    if let Some(Value::TensorType(ty)) = graph.input[1].r#type.as_mut().and_then(|ty| ty.value.as_mut()) {
        ty.elem_type = DataType::Int64.into();
    }
    std::fs::write(folder.path().join("m.onnx"), reduce.encode_to_vec()).unwrap();
    check_error(inkle(folder.path(), "run m.onnx"), "E006", "`axes` is computed from data");
    let x: Vec<u8> = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    for (axis, shape) in [(0i64, [1, 3]), (-1, [2, 1])] {
        write_npz(&folder.path().join("in.npz"), &[("x", "<f4", "(2, 3)", &x), ("axes", "<i8", "(1,)", &axis.to_le_bytes())]);
        for line in ["run m.onnx --inputs in.npz", "run m.onnx --inputs in.npz --interpret graph", "run m.onnx --inputs in.npz --verify"] {
            let (report, exit_code) = inkle(folder.path(), line);
            assert_eq!(exit_code, 0, "{report}");
            if !line.contains("verify") {
                assert_eq!(report["outputs"][0]["shape"], Json::from(shape.to_vec()), "{report}");
            }
        }
    }
}

#[test]
fn sizes_beyond_all_limits() {
    check_model(&model(f32_info("x", &[1 << 62]), vec![], vec![node("Neg", &["x"], "y")]), "E008", "too large");
    check_model(&model(f32_info("x", &[1; 300]), vec![], vec![node("Neg", &["x"], "y")]), "E008", "300 axes");
    let conv = |name: &str, ints: &[i64]| {
        let w = TensorProto { dims: vec![1, 1, 3, 3], ..weight(&[], 36) };
        model(f32_info("x", &[1, 1, 8, 8]), vec![w], vec![with_ints(node("Conv", &["x", "w"], "y"), name, ints)])
    };
    check_model(&conv("strides", &[0, 1]), "E005", "`strides` holds 0");
    check_model(&conv("dilations", &[1 << 60, 1]), "E005", "`dilations` holds");
    check_model(&conv("pads", &[1 << 62; 4]), "E005", "`pads` holds");
    check_model(&conv("kernel_shape", &[1 << 60, 3]), "E005", "`kernel_shape` is");
    check_model(&model(x(), vec![], vec![with_ints(node("Transpose", &["x"], "y"), "perm", &[0, 1 << 60])]), "E005", "outside of rank 2");
}

#[test]
fn data_outside_of_the_models_folder() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("m");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(top.path().join("secret"), [1; 12]).unwrap();
    std::os::unix::fs::symlink(top.path().join("secret"), folder.join("link")).unwrap();
    let secret = top.path().join("secret").display().to_string();
    for (location, part) in
        [("../secret", "no"), (secret.as_str(), "not"), ("link", "outside the model's folder"), ("none", "No such file")]
    {
        let part = if location == "link" || location == "none" { part } else { "is not a relative path below the model's folder" };
        let entry = StringStringEntryProto { key: "location".to_string(), value: location.to_string() };
        let w = TensorProto { raw_data: None, data_location: 1, external_data: vec![entry], ..weight(&[3], 0) };
        let model = model(x(), vec![w], vec![node("Add", &["x", "w"], "y")]);
        std::fs::write(folder.join("m.onnx"), model.encode_to_vec()).unwrap();
        check_error(inkle(&folder, "run m.onnx"), "E007", part);
    }
}

/// An archive of arrays: name, type, shape, bytes.
fn write_npz(path: &Path, arrays: &[(&str, &str, &str, &[u8])]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, descr, shape, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// A model `y = -x`.
fn negation() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), model(x(), vec![], vec![node("Neg", &["x"], "y")]).encode_to_vec()).unwrap();
    folder
}

#[test]
fn arrays_that_do_not_fit() {
    let folder = negation();
    let path = folder.path().join("in.npz");
    let run = |name: &str, descr: &str, shape: &str, bytes: usize| {
        write_npz(&path, &[(name, descr, shape, &vec![0; bytes])]);
        inkle(folder.path(), "run m.onnx --inputs in.npz")
    };
    assert_eq!(run("x", "<f4", "(2, 3)", 24).1, 0);
    check_error(run("x", "<f8", "(2, 3)", 48), "E009", "its type is f64, not f32");
    check_error(run("x", "<f4", "(2, 4)", 32), "E009", "4");
    check_error(run("x", "<f4", "(6,)", 24), "E009", "");
    check_error(run("x", "<f4", "(2, 3)", 20), "E009", "only 20 follow");
    check_error(run("x", "<f4", "(2, 4611686018427387904)", 20), "E009", "too large");
    check_error(run("x", "<f4", "(1099511627776,)", 20), "E009", "only 20 follow");
    check_error(run("x", "<U4", "(2, 3)", 24), "E009", "only 24 follow");
    check_error(run("x", "<U4", "(2, 3)", 96), "E009", "not f32");
    let (report, exit_code) = run("z", "<f4", "(2, 3)", 24);
    let places: Vec<&Json> = report["errors"].as_array().unwrap().iter().map(|error| &error["location"]).collect();
    assert_eq!((exit_code, places), (2, vec![&"x".into(), &"z".into()]), "{report}");
    std::fs::write(&path, &std::fs::read(&path).unwrap()[..40]).unwrap();
    check_error(inkle(folder.path(), "run m.onnx --inputs in.npz"), "E009", "in.npz");
}

#[test]
fn limits_of_time_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let square = model(f32_info("x", &[2048, 2048]), vec![], vec![node("MatMul", &["x", "x"], "y")]);
    std::fs::write(folder.path().join("m.onnx"), square.encode_to_vec()).unwrap();
    check_error(inkle(folder.path(), "run m.onnx --interpret graph --max-time 500ms"), "E008", "it takes more than 500 ms");
    check_error(inkle(folder.path(), "run m.onnx --interpret graph --max-memory 20M"), "E008", "too large to draw");
    check_error(inkle(folder.path(), "run m.onnx --interpret graph --max-memory 51M"), "E008", "of memory; --max-memory allows more");
}

/// A model that adds 1, or the number of the turn, to `x` as often as `trips` says.
fn counting(trips: i64, what: &str) -> ModelProto {
    let scalar = |name: &str, dtype: DataType, bytes: &[u8]| TensorProto {
        name: name.to_string(),
        data_type: dtype.into(),
        raw_data: Some(bytes.to_vec().into()),
        ..TensorProto::default()
    };
    let named = |name: &str| ValueInfoProto { name: name.to_string(), ..ValueInfoProto::default() };
    let to = AttributeProto { name: "to".to_string(), r#type: 2, i: DataType::Float as i64, ..AttributeProto::default() };
    let number = NodeProto { attribute: vec![to], ..node("Cast", &["turn"], "number") };
    let body = GraphProto {
        node: vec![node("Identity", &["more"], "on"), number, node("Add", &["a", what], "b")],
        input: vec![named("turn"), named("more"), named("a")],
        output: vec![named("on"), named("b")],
        ..GraphProto::default()
    };
    let body = AttributeProto { name: "body".to_string(), r#type: 5, g: Some(Box::new(body)), ..AttributeProto::default() };
    let repeat = NodeProto { attribute: vec![body], ..node("Loop", &["trips", "", "x"], "y") };
    let one = scalar("one", DataType::Float, &1f32.to_le_bytes());
    model(f32_info("x", &[4]), vec![scalar("trips", DataType::Int64, &trips.to_le_bytes()), one], vec![repeat])
}

#[test]
fn loops_without_end_meet_the_limit_of_time() {
    let folder = tempfile::tempdir().unwrap();
    for what in ["one", "number"] {
        std::fs::write(folder.path().join("few.onnx"), counting(3, what).encode_to_vec()).unwrap();
        std::fs::write(folder.path().join("many.onnx"), counting(1 << 40, what).encode_to_vec()).unwrap();
        assert_eq!(inkle(folder.path(), "check many.onnx").1, 0);
        for how in ["", "--interpret program", "--interpret kernel"] {
            check_error(inkle(folder.path(), &format!("run many.onnx --max-time 1s {how}")), "E008", "it takes more than 1.00 s");
        }
        // each makes the list of all turns
        for how in ["--interpret graph", "--interpret nest", "--verify"] {
            check_error(inkle(folder.path(), &format!("run many.onnx {how}")), "E008", "too large for the interpreter");
        }
        assert_eq!(inkle(folder.path(), "run few.onnx --verify").1, 0);
    }
}
