//! Convolutions by minimal filtering, from the pass to the generated code.

use driver::verify::{Sample, verify_graph};
use driver::{Options, compile_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::Func;
use ops::Builder;
use ops::build::core::WindowAttrs;
use std::collections::BTreeMap;
use target::Target;

/// Two convolutions of 3x3 over `channels`, the first with a skip connection; rows are known where `rows` is a number.
fn model(rows: &str, channels: usize) -> Graph {
    let mut b = Builder::new("windows");
    let dims = ["n", &channels.to_string(), rows, "13"].map(|dim| dim.parse().unwrap()).to_vec();
    let x = b.input("x", TensorType::new(DType::F32, dims));
    let x = b.map(Func::Sin, &[x]).unwrap();
    let window = WindowAttrs { low: vec![1, 1], high: vec![1, 1], ..WindowAttrs::plain(2) };
    let weights = |b: &mut Builder, dims: &[usize]| {
        let array = Array::from_fn(DType::F32, dims.to_vec(), |at| Literal::Float(((at * 13) % 31) as f64 / 16.0 - 0.9));
        b.graph.constant(Tensor::from_array(&array), None, "w")
    };
    let w = weights(&mut b, &[channels, channels, 3, 3]);
    let y = b.conv(x, w, &window, 1).unwrap();
    let y = b.map(Func::Add, &[y, x]).unwrap();
    let w = weights(&mut b, &[24, channels, 3, 3]);
    let y = b.conv(y, w, &WindowAttrs::plain(2), 1).unwrap();
    let y = b.map(Func::Tanh, &[y]).unwrap();
    let y = b.map_number(Func::Mul, y, 2.0).unwrap();
    let y = b.transpose(y, &[0, 2, 3, 1]).unwrap();
    let y = b.softmax(y, 3).unwrap();
    b.output("y", y);
    b.finish()
}

fn input(dims: [usize; 4]) -> BTreeMap<String, Tensor> {
    let array = Array::from_fn(DType::F32, dims.to_vec(), |at| Literal::Float(((at * 37 + 11) % 101) as f64 / 20.0 - 2.5));
    [("x".to_string(), Tensor::from_array(&array))].into()
}

#[test]
fn every_step_agrees_with_its_meaning() {
    for (rows, sizes) in [("8", vec![8]), ("7", vec![7]), ("h", vec![3, 5])] {
        let graph = model(rows, 19);
        for target in [Target::native(), Target::x86_64_v3()] {
            let options = Options::new(target, 2);
            let program = compile_graph(graph.clone(), &options).unwrap().program.to_string();
            assert!(program.contains(".products"), "{program}");
            for h in &sizes {
                let report = verify_graph(&graph, &options, &input([1, 19, *h, 13]), Sample::All).unwrap();
                assert!(report.failure.is_none(), "rows {rows} = {h}: {:?}", report.failure);
            }
        }
    }
}

#[test]
fn values_that_are_not_finite_are_told() {
    let graph = model("8", 19);
    for target in [Target::native(), Target::x86_64_v3()] {
        let options = Options::new(target, 2);
        let mut filtered = compile_graph(graph.clone(), &options).unwrap().load(2).unwrap();
        let mut direct = compile_graph(graph.clone(), &Options { winograd: false, ..options }).unwrap().load(2).unwrap();
        for (at, odd) in [(0, f64::INFINITY), (7, f64::NAN), (19 * 8 * 13 - 1, f64::NEG_INFINITY), (3 * 8 * 13 + 55, f64::NAN)] {
            let mut array = input([1, 19, 8, 13])["x"].to_array();
            assert!(filtered.run(&[Tensor::from_array(&array)]).is_ok());
            array.set(at, Literal::Float(odd));
            let inputs = [Tensor::from_array(&array)];
            let error = filtered.run(&inputs).unwrap_err();
            assert!(error.is_not_finite() && error.to_string().starts_with("[E011] "), "{error}");
            let results = direct.run(&inputs).unwrap()[0].to_array();
            let odd = (0..results.count()).filter(|at| results.get(*at).as_f64().is_nan()).count();
            assert!((1..=9 * 25 * 24).contains(&odd), "{odd} of {}", results.count());
        }
    }
}
