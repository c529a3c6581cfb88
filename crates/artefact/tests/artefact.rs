//! Artefacts: the same bits as code in place, errors by number, sizes that calls give and that they compute, one file for several
//! processors.

use artefact::explain::Explainer;
use artefact::{Artefact, CallError, Emit, Library, Request, build};
use driver::compile::assembled_graph;
use driver::{Options, compile_graph};
use ir::graph::SymbolFact;
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::{Func, Monoid};
use ops::{Builder, Folded};
use std::collections::BTreeMap;
use std::path::Path;
use sym::{Expr, Sym};
use target::Target;

fn ty(text: &str) -> TensorType {
    ir::text::parse_tensor_type(&mut sym::Parser::new(text)).unwrap()
}

fn request(inside: bool) -> Request {
    Request {
        model: "Layer 1".to_string(),
        prefix: None,
        weights_inside: Some(inside),
        rust: false,
        emit: Emit::Object,
        hashes: vec![],
        metadata: vec![],
    }
}

fn made(graph: &Graph, targets: &[Target], inside: bool, folder: &Path) -> Artefact {
    let versions = targets.iter().map(|target| {
        let options = Options::new(target.clone(), 1);
        (assembled_graph(graph.clone(), &options).unwrap(), options)
    });
    build(request(inside), versions.collect(), folder).unwrap()
}

/// relu(x w) and the sums of its rows, for any number of rows.
fn layer() -> Graph {
    let mut b = Builder::new("layer");
    let x = b.input("x", ty("f32[n, 24]"));
    let weights = Array::from_fn(DType::F32, vec![24, 40], |at| Literal::Float(at as f64 % 7.0 - 3.0));
    let w = b.graph.constant(Tensor::from_array(&weights), None, "w");
    let product = b.contract("nk,km->nm", x, w).unwrap();
    let y = b.map(Func::Max, &[product, product]).unwrap();
    let sum = b.reduce(Monoid::Sum, y, &[1], Folded::Dropped).unwrap();
    b.output("y", y);
    b.output("sum", sum);
    b.finish()
}

fn rows(n: usize) -> Tensor {
    Tensor::from_array(&Array::from_fn(DType::F32, vec![n, 24], |at| Literal::Float((at * 37 % 101) as f64 / 8.0 - 6.0)))
}

fn bytes(tensors: &[Tensor]) -> Vec<(Vec<usize>, Vec<u8>)> {
    tensors.iter().map(|tensor| (tensor.dims().to_vec(), tensor.bytes().to_vec())).collect()
}

#[test]
fn bits_are_those_of_code_in_place() {
    let graph = layer();
    let mut executable = compile_graph(graph.clone(), &Options::new(Target::native(), 1)).unwrap().load(1).unwrap();
    for inside in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut library = Library::open(&made(&graph, &[Target::native()], inside, folder.path())).unwrap();
        for n in [3, 0, 1, 200, 17] {
            let want = executable.run(&[rows(n)]).unwrap();
            assert_eq!(bytes(&library.call(&[rows(n)], &[n as i64]).unwrap()), bytes(&want), "n = {n}, weights inside: {inside}");
        }
    }
}

#[test]
fn sizes_out_of_their_bounds_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = made(&layer(), &[Target::native()], true, folder.path());
    let mut library = Library::open(&artefact).unwrap();
    let high = artefact.interface.facade.sizes[0].high;
    for n in [-1, high + 1, i64::MAX, i64::MIN] {
        let why = library.call(&[rows(1)], &[n]).unwrap_err();
        assert_eq!(why, CallError::Result { code: -65537, message: format!("n is not from 0 to {high}") }, "n = {n}");
    }
    assert!(library.call(&[rows(1)], &[1]).is_ok());
}

#[test]
fn another_file_of_weights_is_refused() {
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let artefact = made(&layer(), &[Target::native()], false, own.path());
    let path = own.path().join("layer_1.weights");
    let mut weights = std::fs::read(&path).unwrap();
    weights[24] ^= 1;
    std::fs::write(&path, &weights).unwrap();
    let code = |artefact: &Artefact| match Library::open(artefact).err() {
        Some(CallError::Result { code, .. }) => code,
        _ => 0,
    };
    assert_eq!(code(&artefact), kernel::facade::code::WEIGHTS);
    std::fs::write(&path, &weights[..weights.len() - 1]).unwrap();
    assert_eq!(code(&artefact), kernel::facade::code::WEIGHTS);
    assert_eq!(code(&made(&layer(), &[Target::native()], false, other.path())), 0);
}

/// The numbers up to that in `count`, and their sum.
fn counting() -> Graph {
    let mut b = Builder::new("counting");
    let count = b.input("count", ty("i64[]"));
    let sym = Sym::new("s");
    b.graph.computed(&sym, SymbolFact { low: 0, high: 1 << 20 }, count);
    let line = b.iota(&[Expr::sym(&sym)], 0, DType::I64).unwrap();
    let sum = b.reduce(Monoid::Sum, line, &[0], Folded::Dropped).unwrap();
    b.output("line", line);
    b.output("sum", sum);
    b.finish()
}

#[test]
fn computed_sizes_ask_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut library = Library::open(&made(&counting(), &[Target::native()], true, folder.path())).unwrap();
    let count = |n: i64| Tensor::from_array(&Array::ints(DType::I64, vec![], vec![n]));
    for n in [3, 0, 100_000, 5] {
        let outputs = library.call(&[count(n)], &[4]).unwrap();
        assert_eq!(outputs[0].to_array(), Array::ints(DType::I64, vec![n as usize], (0..n).collect()));
        assert_eq!(outputs[1].to_array().get(0).as_i64(), n * (n - 1) / 2);
    }
    for n in [-1, (1 << 20) + 1] {
        assert!(matches!(library.call(&[count(n)], &[4]), Err(CallError::Result { code: -65537, .. })), "{n}");
    }
}

#[test]
fn one_file_serves_several_processors() {
    let folder = tempfile::tempdir().unwrap();
    let here = Target::native();
    let known = [Target::x86_64_v2(), Target::x86_64_v3(), Target::x86_64_v4()];
    let best = known.iter().rfind(|target| target.vector_bits <= here.vector_bits).cloned();
    let Some(best) = best.filter(|_| here.triple.starts_with("x86_64")) else { return };
    let artefact = made(&layer(), &known, true, folder.path());
    let mut executable = compile_graph(layer(), &Options::new(best, 1)).unwrap().load(1).unwrap();
    let outputs = Library::open(&artefact).unwrap().call(&[rows(9)], &[9]).unwrap();
    assert_eq!(bytes(&outputs), bytes(&executable.run(&[rows(9)]).unwrap()));
}

#[test]
fn instructions_know_their_nodes() {
    let folder = tempfile::tempdir().unwrap();
    made(&layer(), &[Target::native()], true, folder.path());
    for file in ["liblayer_1.so", "layer_1.o"] {
        let coverage = Explainer::open(&folder.path().join(file)).unwrap().coverage();
        assert!(coverage.bytes > 0 && coverage.resolved * 100 >= coverage.bytes * 99, "{file}: {coverage:?}");
    }
}

#[test]
fn artefacts_are_equal() {
    let files = |folder: &Path| -> BTreeMap<String, Vec<u8>> {
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        };
        std::fs::read_dir(folder).unwrap().map(file).collect()
    };
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    folders.iter().for_each(|folder| drop(made(&layer(), &[Target::native()], true, folder.path())));
    let [a, b] = folders.each_ref().map(|folder| files(folder.path()));
    assert_eq!(a.keys().collect::<Vec<_>>(), ["layer_1.h", "layer_1.json", "layer_1.o", "liblayer_1.so"]);
    a.iter().for_each(|(name, bytes)| assert!(*bytes == b[name], "{name} differs"));
}
