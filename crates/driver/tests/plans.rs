//! What plans must not do.

use driver::{Options, compile_graph};
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use nest::{Func, Monoid};
use ops::build::core::Folded;
use ops::{Builder, WindowAttrs};
use sym::Expr;
use target::Target;

fn counted(dims: Vec<usize>) -> Tensor {
    let mut at = 0;
    Tensor::from_array(&Array::from_fn(DType::F32, dims, |_| {
        at += 1;
        Literal::Float(f64::from(at % 7))
    }))
}

fn ty(dims: &[i64]) -> TensorType {
    TensorType::new(DType::F32, dims.iter().map(|dim| Expr::from(*dim)).collect())
}

/// Runs a graph, with the results of the interpreter beside it.
fn agrees(graph: Graph, inputs: Vec<Tensor>) {
    let arrays: Vec<Array> = inputs.iter().map(Tensor::to_array).collect();
    let want = ops::interp::outputs(&graph, &arrays, &Default::default()).unwrap();
    let got = compile_graph(graph, &Options::new(Target::native(), 1)).unwrap().load(1).unwrap().run(&inputs).unwrap();
    for (want, got) in want.iter().zip(got) {
        let got = got.to_array();
        (0..want.count()).for_each(|at| assert!((want.get(at).as_f64() - got.get(at).as_f64()).abs() < 1e-4, "{at}"));
    }
}

/// Channels last outside: each element of the unfolded input would be used once.
#[test]
fn a_depthwise_convolution_between_transposes_is_not_unfolded() {
    let mut b = Builder::new("depthwise");
    let x = b.input("x", ty(&[1, 10, 10, 8]));
    let x = b.transpose(x, &[0, 3, 1, 2]).unwrap();
    let w = b.graph.constant(counted(vec![8, 1, 3, 3]), None, "w");
    let y = b.conv(x, w, &WindowAttrs::plain(2), 8).unwrap();
    let y = b.transpose(y, &[0, 2, 3, 1]).unwrap();
    b.output("y", y);
    let graph = b.finish();
    let compiled = compile_graph(graph.clone(), &Options::new(Target::native(), 1)).unwrap();
    assert_eq!(compiled.program.steps.len(), 1);
    agrees(graph, vec![counted(vec![1, 10, 10, 8])]);
}

/// The normalised value is an output, and what a product of the same group reads.
#[test]
fn nothing_is_copied_in_front_of_a_group_that_the_group_writes() {
    let mut b = Builder::new("group");
    let x = b.input("x", ty(&[2, 2, 1]));
    let mean = b.mean(x, &[1, 2], Folded::Kept).unwrap();
    let shifted = b.map_broadcast(nest::Func::Sub, &[x, mean]).unwrap();
    let w = b.graph.constant(counted(vec![2, 2, 1]), None, "w");
    let y = b.conv(shifted, w, &WindowAttrs::plain(1), 1).unwrap();
    b.output("y", y);
    b.output("shifted", shifted);
    agrees(b.finish(), vec![counted(vec![2, 2, 1])]);
}

/// The weights are one number throughout, which the group itself writes.
#[test]
fn nothing_is_packed_in_front_of_a_group_that_the_group_writes() {
    let mut b = Builder::new("splat");
    let x = b.input("x", ty(&[1, 33, 2]));
    let w = b.scalar(DType::F32, Literal::Float(0.5));
    let w = b.broadcast(w, &ty(&[33, 33, 1]).dims).unwrap();
    let y = b.conv(x, w, &WindowAttrs::plain(1), 1).unwrap();
    let y = b.reduce(nest::Monoid::Sum, y, &[2], Folded::Kept).unwrap();
    b.output("y", y);
    agrees(b.finish(), vec![counted(vec![1, 33, 2])]);
}

/// The index is computed in a stage in front, one for each row: rows must not become the lanes of a vector.
#[test]
fn rows_with_indices_of_their_own_are_no_vector() {
    let mut b = Builder::new("counted");
    let (x, steps, table) = (b.input("x", ty(&[3, 5])), b.input("steps", ty(&[29])), b.input("table", ty(&[30])));
    let each = b.unsqueeze(x, &[2]).unwrap();
    let reached = b.map_broadcast(Func::GreaterEqual, &[each, steps]).unwrap();
    let reached = b.convert(reached, DType::F32).unwrap();
    let count = b.reduce(Monoid::Sum, reached, &[2], Folded::Dropped).unwrap();
    let at = b.convert(count, DType::I32).unwrap();
    let scale = b.gather(table, at, 0).unwrap();
    let y = b.map(Func::Mul, &[x, scale]).unwrap();
    b.output("y", y);
    agrees(b.finish(), vec![counted(vec![3, 5]), counted(vec![29]), counted(vec![30])]);
}
