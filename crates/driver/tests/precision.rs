//! Products of bf16 where they are asked for: each step against its meaning, and results near those of f32.

use driver::verify::{Sample, verify_graph};
use driver::{Options, Precision, compile_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::Func;
use ops::Builder;
use ops::build::core::WindowAttrs;
use std::collections::BTreeMap;
use target::Target;

fn weights(b: &mut Builder, dims: &[usize]) -> ir::ValueId {
    let array = Array::from_fn(DType::F32, dims.to_vec(), |at| Literal::Float(((at * 13) % 31) as f64 / 60.0 - 0.25));
    b.graph.constant(Tensor::from_array(&array), None, "w")
}

/// A convolution whose result has another reader too, attention over its rows, and a residual product.
fn model() -> Graph {
    let mut b = Builder::new("model");
    let dims = ["n", "24", "3", "5"].map(|dim| dim.parse().unwrap()).to_vec();
    let x = b.input("x", TensorType::new(DType::F32, dims));
    let x = b.map(Func::Tanh, &[x]).unwrap();
    let w = weights(&mut b, &[40, 24, 1, 1]);
    let y = b.conv(x, w, &WindowAttrs::plain(2), 1).unwrap();
    let dims: Vec<_> = ["n", "40", "15"].map(|dim| dim.parse().unwrap()).to_vec();
    let y = b.reshape(y, &dims).unwrap();
    let rows = b.transpose(y, &[0, 2, 1]).unwrap();
    let scores = b.contract("nmd,nkd->nmk", rows, rows).unwrap();
    let scores = b.softmax(scores, 2).unwrap();
    let mixed = b.contract("nmk,nkd->nmd", scores, rows).unwrap();
    let w = weights(&mut b, &[40, 40]);
    let z = b.contract("nmd,de->nme", mixed, w).unwrap();
    let z = b.map(Func::Add, &[z, rows]).unwrap();
    b.output("z", z);
    b.finish()
}

fn inputs() -> BTreeMap<String, Tensor> {
    let array = Array::from_fn(DType::F32, vec![2, 24, 3, 5], |at| Literal::Float(((at * 37 + 11) % 101) as f64 / 20.0 - 2.5));
    [("x".to_string(), Tensor::from_array(&array))].into()
}

fn result(options: &Options) -> Array {
    let compiled = compile_graph(model(), options).unwrap();
    let inputs: Vec<Tensor> = inputs().into_values().collect();
    compiled.load(2).unwrap().run(&inputs).unwrap()[0].to_array()
}

#[test]
fn factors_are_rounded_and_nothing_else() {
    let wide = Options::new(Target::native(), 2);
    let narrow = Options { precision: Precision::Bf16, ..wide.clone() };
    let program = compile_graph(model(), &Options { target: Target::x86_64_v4(), ..narrow.clone() }).unwrap().program.to_string();
    let has_dots = Target::x86_64_v4().dot_group(DType::BF16, DType::BF16) > 1;
    assert_eq!(program.contains("bf16"), has_dots, "{program}");
    let report = verify_graph(&model(), &narrow, &inputs(), Sample::All).unwrap();
    assert!(report.failure.is_none(), "{:?}", report.failure);
    let (want, got) = (result(&wide), result(&narrow));
    let largest = (0..want.count()).map(|at| want.get(at).as_f64().abs()).fold(0.0, f64::max);
    let apart = (0..want.count()).map(|at| (want.get(at).as_f64() - got.get(at).as_f64()).abs()).fold(0.0, f64::max);
    // four products in a row, each factor rounded to 8 bits
    assert!(apart <= 8.0 * DType::BF16.unit_roundoff() * largest, "{apart} of {largest}");
}
