use super::*;
use kernel::facade::{Facade, Size, Weights};
use std::process::Command;

fn ty(dtype: DType, dims: &[&str]) -> TensorType {
    TensorType::new(dtype, dims.iter().map(|dim| dim.parse().unwrap()).collect())
}

/// An interface with these tensors and sizes; those that start with `!` are computed.
fn interface(inputs: &[(&str, TensorType)], outputs: &[(&str, TensorType)], sizes: &[&str]) -> Interface {
    let named = |list: &[(&str, TensorType)]| list.iter().map(|(name, ty)| (name.to_string(), ty.clone())).collect();
    let size = |name: &&str| Size { symbol: Sym::new(name.trim_start_matches('!')), low: 1, high: 4096, computed: name.starts_with('!') };
    let weights = Weights { bytes: 128, symbol: Some("small_weights".to_string()), ..Weights::default() };
    Interface {
        model: "a */ \"model\"\n".to_string(),
        targets: vec!["x86-64-v3".to_string()],
        facade: Facade { prefix: "small".to_string(), sizes: sizes.iter().map(size).collect(), weights, ..Facade::default() },
        inputs: named(inputs),
        outputs: named(outputs),
        hashes: vec![],
        metadata: vec![],
    }
}

/// The lines of `run` in the wrapper, after a check that rustc takes all of it, with all warnings.
fn run_lines(interface: &Interface) -> Vec<String> {
    let (text, folder) = (wrapper(interface), tempfile::tempdir().unwrap());
    let path = folder.path().join("small.rs");
    std::fs::write(&path, format!("#![deny(warnings)]\n{text}\nconst fn send<T: Send>() {{}}\nconst _: () = send::<small::Model>();\n"))
        .unwrap();
    for edition in ["2021", "2024"] {
        let flags = ["--edition", edition, "--crate-type", "lib", "--emit", "metadata", "--out-dir"];
        let output = Command::new("rustc").args(flags).arg(folder.path()).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("pub fn run"));
    lines.take(2).map(str::to_string).collect()
}

#[test]
fn sizes_come_from_dims_room_and_arguments() {
    let inputs = [("in.1", ty(DType::F32, &["2*n + 1", "m"])), ("type", ty(DType::I64, &["m", "n*k"])), ("", ty(DType::Bool, &[]))];
    let outputs = [("y", ty(DType::F16, &["m", "j"])), ("model", ty(DType::U8, &[])), ("y", ty(DType::F64, &["n"]))];
    let run = run_lines(&interface(&inputs, &outputs, &["!j", "k", "m", "n"]));
    assert_eq!(
        run[0],
        "pub fn run(&mut self, in_1: Tensor<'_, f32, 2>, type_: Tensor<'_, i64, 2>, t: Tensor<'_, bool, 0>, k: usize) -> Result<Outputs<'_>, Error> {"
    );
    assert_eq!(
        run[1],
        "let (given, dims) = ([in_1.given(\"in.1\"), type_.given(\"type\"), t.given(\"\")], \
        [self.room[0], i64::try_from(k).unwrap_or(-1), in_1.dims[1] as i64, (in_1.dims[0] as i64).wrapping_sub(1) / 2]);"
    );
}

#[test]
fn models_may_have_no_inputs_no_outputs_and_no_sizes() {
    assert_eq!(run_lines(&interface(&[], &[], &[]))[0], "pub fn run(&mut self) -> Result<Outputs<'_>, Error> {");
}

#[test]
fn weights_may_be_a_file() {
    let mut interface = interface(&[("x", ty(DType::F32, &["n"]))], &[("x", ty(DType::BF16, &["n"]))], &["n"]);
    interface.facade.weights.symbol = None;
    run_lines(&interface);
    assert!(wrapper(&interface).contains("pub fn new(weights: std::sync::Arc<Weights>) -> Result<Model, Error> {"));
}
