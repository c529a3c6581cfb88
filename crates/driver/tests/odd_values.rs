//! Compiled code on odd inputs, against the definitions of the ops: NaNs, infinities, subnormal numbers, and tensors without elements.

use driver::{Options, compile_graph};
use ir::array::Data;
use ir::{Array, DType, Graph, Tensor, TensorType};
use nest::{Func, Monoid};
use ops::{Builder, Folded};
use target::Target;

/// Relative error of a scalar function: 2^-20, 16 units in the last place. Absolute error: the smallest normal number, for results below
/// it.
const RELATIVE: f64 = 1.0 / (1 << 20) as f64;
const ABSOLUTE: f64 = f32::MIN_POSITIVE as f64;

fn ty(text: &str) -> TensorType {
    let (dtype, dims) = text.strip_suffix(']').unwrap().split_once('[').unwrap();
    TensorType::new(DType::from_name(dtype).unwrap(), dims.split(", ").filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect())
}

/// Every output is as the interpreter of the graph has it, on one thread and on two.
#[track_caller]
fn check(graph: &Graph, inputs: &[Array]) {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims().to_vec()).collect();
    let sizes = ops::interp::bind_symbols(graph, &dims).unwrap();
    let want = ops::interp::outputs(graph, inputs, &sizes).unwrap();
    let tensors: Vec<Tensor> = inputs.iter().map(Tensor::from_array).collect();
    for target in [Target::native(), Target::x86_64_v3()] {
        let compiled = compile_graph(graph.clone(), &Options::new(target, 2)).unwrap();
        for threads in [1, 2] {
            let got = compiled.load(threads).unwrap().run(&tensors).unwrap();
            for (((name, _), got), want) in graph.outputs.iter().zip(&got).zip(&want) {
                assert_eq!(got.dims(), want.dims(), "{name}");
                let (got, want) = (got.to_array(), Tensor::from_array(want).to_array());
                let wrong = (0..want.count()).find(|at| !is_close(&got, &want, *at));
                assert_eq!(wrong.map(|at| (at, got.get(at), want.get(at))), None, "{name}");
            }
        }
    }
}

fn is_close(got: &Array, want: &Array, at: usize) -> bool {
    match (got.data(), want.data()) {
        (Data::Float(got), Data::Float(want)) => {
            let (got, want) = (got[at], want[at]);
            got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= RELATIVE * want.abs() + ABSOLUTE
        }
        (_, _) => got.get(at) == want.get(at),
    }
}

const ODD: [f64; 14] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-40, -1e-40, 1.0, -2.5, 0.5, 3e38, -3e38, 100.0, -100.0];

/// At a distance of 1 the cubic filter is 0; coordinates in f32 are off by too much to tell. Place 7i + 6 lies 8/7 in front of 8i + 8.
#[test]
fn infinite_elements_of_no_weight() {
    let text = r#"graph "stretched" {
      input %0 "x": f32[64]
      %1 "y": f32[56] = resize(%0) {antialias = 1, axis = 0, coordinates = "asymmetric", cubic = -0.75, end = 1.0, exclude = 0, extrapolation = 0.0, mode = "cubic", rounding = "floor", scale = 0.875, sizes = exprs[56], start = 0.0}
      output "y" = %1
    }"#;
    let graph = ir::text::parse_graph(text, &ops::intern, &|_| None).unwrap();
    let x: Vec<f64> = (0..64).map(|at| if at % 8 == 0 && at > 0 { f64::NEG_INFINITY } else { 1.0 }).collect();
    check(&graph, &[Array::floats(DType::F32, vec![64], x)]);
}

#[test]
fn functions_of_odd_floats() {
    use Func::*;
    let mut b = Builder::new("g");
    let (x, y) = (b.input("x", ty("f32[n]")), b.input("y", ty("f32[n]")));
    for func in [Neg, Abs, Sign, Exp, Log, Sqrt, Reciprocal, Erf, Tanh, Sigmoid, Atan, Floor, Ceil, Round, Trunc, IsNan, IsInf] {
        let value = b.map(func, &[x]).unwrap();
        b.output(func.name(), value);
    }
    for func in [Add, Sub, Mul, Div, Max, Min, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] {
        let value = b.map(func, &[x, y]).unwrap();
        b.output(func.name(), value);
    }
    for to in [DType::I32, DType::I64, DType::I8, DType::U8, DType::Bool, DType::F16, DType::BF16, DType::F64] {
        let value = b.convert(x, to).unwrap();
        b.output(to.name(), value);
    }
    let pairs = |first: bool| ODD.iter().flat_map(|a| ODD.iter().map(move |b| if first { *a } else { *b })).collect::<Vec<f64>>();
    let inputs = [true, false].map(|first| Array::floats(DType::F32, vec![ODD.len() * ODD.len()], pairs(first)));
    check(&b.finish(), &inputs.map(|input| Tensor::from_array(&input).to_array()));
}

#[test]
fn folds_of_odd_floats() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty("f32[n, k]"));
    let w = b.input("w", ty("f32[k, 3]"));
    for kind in [Monoid::Sum, Monoid::Max, Monoid::Min] {
        for axis in [0, 1] {
            let value = b.reduce(kind, x, &[axis], Folded::Dropped).unwrap();
            b.output(&format!("{} over {axis}", kind.name()), value);
        }
    }
    let product = b.contract("nk,km->nm", x, w).unwrap();
    b.output("product", product);
    let softmax = b.softmax(x, 1).unwrap();
    b.output("softmax", softmax);
    let graph = b.finish();
    // each row has other odd numbers among small integers, whose sums are exact
    let rows: [&[f64]; 6] = [&[], &[f64::NAN], &[f64::INFINITY], &[f64::INFINITY, f64::NEG_INFINITY], &[f64::NEG_INFINITY], &[-0.0, 0.0]];
    let columns = 37;
    let row = |odd: &&[f64]| {
        (0..columns).map(|at| odd.get(at / 5).copied().filter(|_| at % 5 == 3).unwrap_or((at % 3) as f64)).collect::<Vec<f64>>()
    };
    let x = Array::floats(DType::F32, vec![rows.len(), columns], rows.iter().flat_map(row).collect());
    let w = Array::floats(DType::F32, vec![columns, 3], (0..3 * columns).map(|at| [1.0, 0.0, -2.0][at % 3]).collect());
    check(&graph, &[x, w]);
}

#[test]
fn tensors_without_elements() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty("f32[n, k]"));
    let w = b.input("w", ty("f32[k, 3]"));
    let sum = b.reduce(Monoid::Sum, x, &[1], Folded::Dropped).unwrap();
    b.output("sum", sum);
    let most = b.reduce(Monoid::Max, x, &[0], Folded::Dropped).unwrap();
    b.output("most", most);
    let product = b.contract("nk,km->nm", x, w).unwrap();
    b.output("product", product);
    let softmax = b.softmax(x, 1).unwrap();
    b.output("softmax", softmax);
    let turned = b.transpose(x, &[1, 0]).unwrap();
    b.output("turned", turned);
    let joined = b.concat(&[turned, w], 1).unwrap();
    b.output("joined", joined);
    let doubled = b.map(Func::Add, &[x, x]).unwrap();
    b.output("doubled", doubled);
    let graph = b.finish();
    for (n, k) in [(0, 5), (4, 0), (0, 0), (1, 1)] {
        let numbers = |count: usize| (0..count).map(|at| at as f64 - 2.0).collect();
        check(&graph, &[Array::floats(DType::F32, vec![n, k], numbers(n * k)), Array::floats(DType::F32, vec![k, 3], numbers(3 * k))]);
    }
}
