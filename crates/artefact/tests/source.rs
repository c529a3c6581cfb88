//! C source, made by the C compiler that is here: the same bits as code in place for the same record.

use artefact::{Artefact, Emit, Library, Request, build};
use driver::compile::assembled_graph;
use driver::{Options, compile_graph};
use ir::graph::SymbolFact;
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::{Func, Monoid};
use ops::{Builder, Folded};
use std::path::Path;
use std::process::Command;
use sym::{Expr, Sym};
use target::Target;

const FLAGS: [&str; 10] =
    ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-Wl,-z,defs"];

fn ty(text: &str) -> TensorType {
    ir::text::parse_tensor_type(&mut sym::Parser::new(text)).unwrap()
}

/// Whether there is a compiler to test with.
fn has_compiler() -> bool {
    Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn made(graph: &Graph, target: &Target, inside: bool, folder: &Path) -> Artefact {
    let options = Options::new(target.clone(), 1);
    let request = Request {
        model: "source".to_string(),
        prefix: None,
        weights_inside: Some(inside),
        rust: false,
        emit: Emit::C,
        hashes: vec![],
        metadata: vec![],
    };
    let artefact = build(request, vec![(assembled_graph(graph.clone(), &options).unwrap(), options)], folder).unwrap();
    let result = Command::new("cc").args(FLAGS).arg(folder.join("source.c")).arg("-o").arg(folder.join("libsource.so")).output().unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    artefact
}

fn bytes(tensors: &[Tensor]) -> Vec<(Vec<usize>, Vec<u8>)> {
    tensors.iter().map(|tensor| (tensor.dims().to_vec(), tensor.bytes().to_vec())).collect()
}

/// Compares calls; each has inputs and sizes.
fn check(graph: &Graph, calls: &[(Vec<Tensor>, Vec<i64>)]) {
    check_for(&[(Target::c(), false), (Target { vector_bits: 8, ..Target::c() }, true)], graph, calls);
}

/// For some targets, with the weights inside or not.
fn check_for(targets: &[(Target, bool)], graph: &Graph, calls: &[(Vec<Tensor>, Vec<i64>)]) {
    if !has_compiler() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (target, inside) in targets {
        let mut library = Library::open(&made(graph, target, *inside, folder.path())).unwrap();
        let mut executable = compile_graph(graph.clone(), &Options::new(target.clone(), 1)).unwrap().load(1).unwrap();
        for (inputs, sizes) in calls {
            let want = executable.run(inputs).map_err(|why| why.to_string());
            let got = library.call(inputs, sizes);
            match (want, got) {
                (Ok(want), Ok(got)) => assert_eq!(bytes(&got), bytes(&want), "at {sizes:?}"),
                (Err(_), Err(_)) => {}
                (want, got) => panic!("in place {want:?}, from source {got:?}"),
            }
        }
    }
}

fn floats(dims: &[usize]) -> Tensor {
    Tensor::from_array(&Array::from_fn(DType::F32, dims.to_vec(), |at| Literal::Float((at * 37 % 101) as f64 / 8.0 - 6.0)))
}

/// Softmax of a product's rows, for any number of rows.
#[test]
fn products_and_rows() {
    let mut b = Builder::new("layer");
    let x = b.input("x", ty("f32[n, 24]"));
    let weights = Array::from_fn(DType::F32, vec![24, 40], |at| Literal::Float(at as f64 % 7.0 - 3.0));
    let w = b.graph.constant(Tensor::from_array(&weights), None, "w");
    let product = b.contract("nk,km->nm", x, w).unwrap();
    let raised = b.map(Func::Exp, &[product]).unwrap();
    let sum = b.reduce(Monoid::Sum, raised, &[1], Folded::Kept).unwrap();
    let root = b.map(Func::Sqrt, &[sum]).unwrap();
    b.output("raised", raised);
    b.output("root", root);
    let calls: Vec<_> = [3, 0, 1, 70, 17].map(|n| (vec![floats(&[n, 24])], vec![n as i64])).into();
    check(&b.finish(), &calls);
}

/// Values at and around the ends of types.
fn ends(dtype: DType, count: usize) -> Tensor {
    let numbers = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -127.5, 127.9, 255.5, 65504.0, 65520.0, 1e-7, 6e-8, 3e9, -3e9, 1e19, 1e20, -1e19, 1e300];
    let specials = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 16777217.0, 9007199254740993.0];
    let all: Vec<f64> = numbers.into_iter().chain(specials).collect();
    let value = |at: usize| match (dtype.is_float(), dtype.int_range()) {
        (true, _) => Literal::Float(all[at % all.len()]),
        (false, Some((low, high))) => Literal::Int([low, high, 0, 1, low + 1, high - 1, high / 3, high / 129][at % 8]),
        (false, None) => Literal::Int([0, 1, -1, i64::MIN, i64::MAX, (1 << 53) + 1, (1 << 60) + 1, 77][at % 8]),
    };
    Tensor::from_array(&Array::from_fn(dtype, vec![count], value))
}

const TYPES: [(DType, &str); 12] = [
    (DType::I8, "i8"),
    (DType::I16, "i16"),
    (DType::I32, "i32"),
    (DType::I64, "i64"),
    (DType::U8, "u8"),
    (DType::U16, "u16"),
    (DType::U32, "u32"),
    (DType::U64, "u64"),
    (DType::F16, "f16"),
    (DType::BF16, "bf16"),
    (DType::F32, "f32"),
    (DType::F64, "f64"),
];

#[test]
fn conversions() {
    let mut b = Builder::new("casts");
    let mut inputs = Vec::new();
    for (dtype, name) in TYPES {
        let x = b.input(name, ty(&format!("{name}[53]")));
        inputs.push(ends(dtype, 53));
        for (to, other) in TYPES.into_iter().chain([(DType::Bool, "bool")]).filter(|(to, _)| *to != dtype) {
            let y = b.convert(x, to).unwrap();
            b.output(&format!("{name}_{other}"), y);
        }
    }
    check_for(&[(Target::c(), false)], &b.finish(), &[(inputs, vec![])]);
}

const TESTED: [Func; 6] = [Func::Div, Func::Rem, Func::Mul, Func::Max, Func::Min, Func::Sub];

#[test]
fn integers_wrap_and_divide() {
    let mut b = Builder::new("integers");
    let mut inputs = Vec::new();
    for (dtype, name) in TYPES.into_iter().filter(|(dtype, _)| dtype.is_int()) {
        let [x, y] = ["x", "y"].map(|stem| b.input(&format!("{stem}_{name}"), ty(&format!("{name}[64]"))));
        inputs.push(ends(dtype, 64));
        let turned: Vec<i64> = (0..64).map(|at| [0, -1, 1, 7, -3, 100, 0, 2][at / 8]).collect();
        inputs.push(Tensor::from_array(&Array::from_fn(dtype, vec![64], |at| {
            Literal::Int(if dtype.is_signed_int() { turned[at] } else { turned[at].max(0) })
        })));
        for (at, func) in TESTED.into_iter().enumerate() {
            let z = b.map(func, &[x, y]).unwrap();
            b.output(&format!("{name}_{at}"), z);
        }
    }
    check(&b.finish(), &[(inputs, vec![])]);
}

const ROUNDED: [Func; 6] = [Func::Floor, Func::Ceil, Func::Round, Func::Trunc, Func::Abs, Func::Sqrt];

#[test]
fn roundings_and_roots() {
    let mut b = Builder::new("roundings");
    let numbers: Vec<f64> = [0.0, 0.3, 0.5, 1.5, 2.5, 3.7, 8388607.5, 4503599627370495.5, 1e300, 5e-324, 1e-310].repeat(2);
    let value = |at: usize| if at < 11 { numbers[at] } else { -numbers[at] };
    let mut inputs = Vec::new();
    for (dtype, name) in [(DType::F32, "f32"), (DType::F64, "f64")] {
        let x = b.input(name, ty(&format!("{name}[22]")));
        inputs.push(Tensor::from_array(&Array::from_fn(dtype, vec![22], |at| Literal::Float(value(at)))));
        for (at, func) in ROUNDED.into_iter().enumerate() {
            let y = b.map(func, &[x]).unwrap();
            b.output(&format!("{name}_{at}"), y);
        }
    }
    check(&b.finish(), &[(inputs, vec![])]);
}

#[test]
fn indices_are_checked() {
    let mut b = Builder::new("gather");
    let (data, indices) = (b.input("data", ty("f32[9, 13]")), b.input("indices", ty("i64[k]")));
    let y = b.gather(data, indices, 0).unwrap();
    b.output("y", y);
    let call = |indices: &[i64]| {
        let count = indices.len();
        (vec![floats(&[9, 13]), Tensor::from_array(&Array::ints(DType::I64, vec![count], indices.to_vec()))], vec![count as i64])
    };
    check(&b.finish(), &[call(&[0, 8, -1, -9]), call(&[9]), call(&[-10]), call(&[i64::MIN]), call(&[])]);
}

/// The numbers up to that in `count`, and their sum.
#[test]
fn computed_sizes_ask_for_room() {
    let mut b = Builder::new("counting");
    let count = b.input("count", ty("i64[]"));
    let sym = Sym::new("s");
    b.graph.computed(&sym, SymbolFact { low: 0, high: 1 << 20 }, count);
    let line = b.iota(&[Expr::sym(&sym)], 0, DType::I64).unwrap();
    let sum = b.reduce(Monoid::Sum, line, &[0], Folded::Dropped).unwrap();
    b.output("line", line);
    b.output("sum", sum);
    let call = |n: i64| (vec![Tensor::from_array(&Array::ints(DType::I64, vec![], vec![n]))], vec![4]);
    check(&b.finish(), &[call(3), call(0), call(10_000), call(-1)]);
}
