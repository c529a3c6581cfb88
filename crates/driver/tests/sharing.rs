//! Groups that differ in sizes alone: one kernel, the same results.

use driver::{Compiled, Options, compile_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::Func;
use ops::Builder;
use runtime::Executable;
use sym::Expr;
use target::Target;

const SHAPES: [[i64; 2]; 3] = [[20, 304], [33, 200], [0, 77]];

/// Transposed and added to itself, for each shape; the first dim of the last is free.
fn model() -> Graph {
    let mut b = Builder::new("model");
    for (at, [rows, columns]) in SHAPES.into_iter().enumerate() {
        let rows = if rows == 0 { "n".parse().unwrap() } else { Expr::from(rows) };
        let x = b.input(&format!("x{at}"), TensorType::new(DType::F32, vec![rows, Expr::from(columns)]));
        let turned = b.transpose(x, &[1, 0]).unwrap();
        let sum = b.map(Func::Add, &[turned, turned]).unwrap();
        b.output(&format!("y{at}"), sum);
    }
    b.finish()
}

fn compiled(share_kernels: bool) -> Compiled {
    compile_graph(model(), &Options { share_kernels, ..Options::new(Target::native(), 2) }).unwrap()
}

fn outputs(compiled: Compiled, free: usize) -> Vec<Vec<u8>> {
    let inputs: Vec<Tensor> = SHAPES
        .iter()
        .map(|[rows, columns]| {
            let rows = if *rows == 0 { free } else { *rows as usize };
            Tensor::from_array(&Array::from_fn(DType::F32, vec![rows, *columns as usize], |at| Literal::Float(at as f64)))
        })
        .collect();
    let mut executable = Executable::load(compiled.image, 2).unwrap();
    executable.run(&inputs).unwrap().iter().map(|tensor| tensor.bytes().to_vec()).collect()
}

#[test]
fn shared_kernels_give_the_same_bits() {
    let (shared, own) = (compiled(true), compiled(false));
    assert!(shared.assembly.lowered.len() < own.assembly.lowered.len(), "{}", shared.assembly.lowered.len());
    for free in [0, 1, 45] {
        assert_eq!(outputs(compiled(true), free), outputs(compiled(false), free), "n = {free}");
    }
}
