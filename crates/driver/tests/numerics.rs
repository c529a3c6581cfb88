//! What `docs/numerics.md` says of sums: their order, and that the number of threads does not matter.

use driver::{Options, compile_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::Monoid;
use ops::{Builder, Folded};
use random::Random;
use sym::Expr;
use target::Target;

fn targets() -> [Target; 2] {
    [Target::native(), Target::x86_64_v3()]
}

/// Floats whose sums round.
fn drawn(random: &mut Random, dims: &[usize]) -> Array {
    Array::from_fn(DType::F32, dims.to_vec(), |_| Literal::Float(f64::from(random.normal() as f32)))
}

fn graph(inputs: &[&[usize]], build: impl FnOnce(&mut Builder, &[ir::ValueId]) -> Vec<ir::ValueId>) -> Graph {
    let mut b = Builder::new("sums");
    let ty = |dims: &&[usize]| TensorType::new(DType::F32, dims.iter().map(|dim| Expr::from(*dim as i64)).collect());
    let ids: Vec<ir::ValueId> = inputs.iter().map(|dims| b.input("x", ty(dims))).collect();
    let outputs = build(&mut b, &ids);
    outputs.iter().enumerate().for_each(|(at, id)| b.output(&format!("y{at}"), *id));
    b.finish()
}

fn outputs(graph: &Graph, target: Target, inputs: &[Array], threads: usize) -> Vec<Array> {
    let inputs: Vec<Tensor> = inputs.iter().map(Tensor::from_array).collect();
    let compiled = compile_graph(graph.clone(), &Options::new(target, threads)).unwrap();
    compiled.load(threads).unwrap().run(&inputs).unwrap().iter().map(Tensor::to_array).collect()
}

fn f32s(array: &Array) -> Vec<f32> {
    (0..array.count()).map(|at| array.get(at).as_f64() as f32).collect()
}

#[test]
fn a_contraction_adds_products_one_after_the_other() {
    let (m, k, n) = (7, 333, 40);
    let mut random = Random::new(1);
    let inputs = [drawn(&mut random, &[m, k]), drawn(&mut random, &[k, n])];
    let graph = graph(&[&[m, k], &[k, n]], |b, x| vec![b.contract("mk,kn->mn", x[0], x[1]).unwrap()]);
    let (a, b) = (f32s(&inputs[0]), f32s(&inputs[1]));
    let want: Vec<f32> = (0..m * n).map(|at| (0..k).fold(0.0, |sum, t| a[at / n * k + t].mul_add(b[t * n + at % n], sum))).collect();
    for target in targets() {
        assert_eq!(f32s(&outputs(&graph, target, &inputs, 1)[0]), want);
    }
}

/// A sum in vectors of so many lanes, so many of them in turn.
fn sum_in_vectors(x: &[f32], lanes: usize, vectors: usize) -> f32 {
    let mut sums = vec![vec![0f32; lanes]; vectors];
    x.iter().enumerate().for_each(|(at, x)| sums[at / lanes % vectors][at % lanes] += x);
    while sums.len() > 1 {
        let add = |pair: &[Vec<f32>]| match pair {
            [a, b] => a.iter().zip(b).map(|(a, b)| a + b).collect(),
            other => other[0].clone(),
        };
        sums = sums.chunks(2).map(add).collect();
    }
    let mut last = sums.swap_remove(0);
    while last.len() > 1 {
        let half = last.len() / 2;
        last = (0..half).map(|lane| last[lane] + last[lane + half]).collect();
    }
    last[0]
}

#[test]
fn a_fold_along_memory_adds_in_vectors() {
    let mut random = Random::new(2);
    for n in [1000, 1024, 77] {
        let x = drawn(&mut random, &[n]);
        let graph = graph(&[&[n]], |b, x| vec![b.reduce(Monoid::Sum, x[0], &[0], Folded::Dropped).unwrap()]);
        for target in targets() {
            let got = f32s(&outputs(&graph, target, std::slice::from_ref(&x), 1)[0])[0];
            let mut ways = [1, 4, 8, 16, 32].into_iter().flat_map(|lanes| (1..=16).map(move |vectors| (lanes, vectors)));
            let found = ways.find(|(lanes, vectors)| sum_in_vectors(&f32s(&x), *lanes, *vectors) == got);
            assert!(found.is_some(), "{n}: {got}");
        }
    }
}

#[test]
fn a_fold_across_memory_adds_in_order() {
    let (rows, columns) = (300, 64);
    let x = drawn(&mut Random::new(3), &[rows, columns]);
    let graph = graph(&[&[rows, columns]], |b, x| vec![b.reduce(Monoid::Sum, x[0], &[0], Folded::Dropped).unwrap()]);
    let numbers = f32s(&x);
    let want: Vec<f32> = (0..columns).map(|at| (0..rows).fold(0.0, |sum, row| sum + numbers[row * columns + at])).collect();
    for target in targets() {
        assert_eq!(f32s(&outputs(&graph, target, std::slice::from_ref(&x), 1)[0]), want);
    }
}

#[test]
fn threads_do_not_change_bits() {
    let mut random = Random::new(4);
    let dims: [&[usize]; 4] = [&[96, 257], &[257, 130], &[2, 16, 30, 30], &[16, 16, 3, 3]];
    let inputs = dims.map(|dims| drawn(&mut random, dims));
    let graph = graph(&dims, |b, x| {
        let product = b.contract("mk,kn->mn", x[0], x[1]).unwrap();
        let soft = b.softmax(product, 1).unwrap();
        let sums = b.reduce(Monoid::Sum, soft, &[0], Folded::Dropped).unwrap();
        let whole = b.reduce(Monoid::Sum, x[0], &[0, 1], Folded::Dropped).unwrap();
        let window = ops::WindowAttrs { low: vec![1, 1], high: vec![1, 1], ..ops::WindowAttrs::plain(2) };
        let conv = b.conv(x[2], x[3], &window, 1).unwrap();
        let pooled = b.mean(conv, &[2, 3], Folded::Dropped).unwrap();
        let dims = b.dims(conv).to_vec();
        let bits = b.philox(&dims, 7, 1, 0, None).unwrap();
        vec![product, soft, sums, whole, conv, pooled, bits]
    });
    for target in targets() {
        let one = outputs(&graph, target.clone(), &inputs, 1);
        for threads in [2, 3, 5] {
            assert_eq!(outputs(&graph, target.clone(), &inputs, threads), one, "{threads} threads");
        }
    }
}
