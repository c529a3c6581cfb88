//! After every pass a program is well formed, reads back from its text, and computes what the graph computes.

use ir::{Array, DType, Graph, Literal, TensorType, ValueId};
use nest::{Func, Monoid};
use ops::build::Builder;
use ops::build::core::{Folded, WindowAttrs};
use program::{Program, fuse, interp, layouts, lower, pack, prepare, text, verify};
use std::collections::HashMap;
use target::Target;

type Pass = (&'static str, fn(&Program) -> Program);

const PASSES: [Pass; 4] = [
    ("fuse", fuse::fuse),
    ("prepare", prepare::hoist),
    ("layouts", layouts::assign),
    ("pack", |program| pack::pack(program, &Target::x86_64_v4())),
];

/// Builds a graph, lowers it and checks the program after each pass on inputs of these dims.
fn check(build: impl Fn(&mut Builder) -> Result<(), ir::Diagnostic>, dims: &[&[usize]]) {
    let mut builder = Builder::new("test");
    build(&mut builder).unwrap_or_else(|error| panic!("{error}"));
    let graph = builder.finish();
    let inputs: Vec<Array> = graph.inputs.iter().zip(dims).enumerate().map(|(seed, (id, dims))| input(&graph, *id, dims, seed)).collect();
    let dims: Vec<Vec<usize>> = dims.iter().map(|dims| dims.to_vec()).collect();
    let sizes = ops::interp::bind_symbols(&graph, &dims).unwrap_or_else(|error| panic!("{error}"));
    let want = ops::interp::outputs(&graph, &inputs, &sizes).unwrap_or_else(|error| panic!("{error}"));
    let mut program = lower::lower(&graph).unwrap_or_else(|error| panic!("{error}"));
    let passes: [Pass; 1] = [("lower", Program::clone)];
    for (name, pass) in passes.into_iter().chain(PASSES) {
        program = pass(&program);
        assert_eq!(verify::verify(&program), Vec::<String>::new(), "{name}:\n{program}");
        round_trip(&program);
        let values = interp::run(&program, &inputs, &sizes).unwrap_or_else(|error| panic!("{name}: {error}\n{program}"));
        for (want, got) in want.iter().zip(values.outputs(&program)) {
            assert!(close(want, &got), "{name}: want {want:?}\ngot {got:?}\n{program}");
        }
    }
}

fn round_trip(program: &Program) {
    let weights: HashMap<&str, _> = HashMap::new();
    let parsed = text::parse_program(&program.to_string(), &|name| weights.get(name).cloned());
    assert_eq!(parsed.as_ref().map_err(|error| error.to_string()), Ok(program), "{program}");
}

fn input(graph: &Graph, id: ValueId, dims: &[usize], seed: usize) -> Array {
    let dtype = graph.ty(id).dtype;
    Array::from_fn(dtype, dims.to_vec(), |at| match dtype.is_float() {
        true => Literal::Float(((at * 37 + seed * 11) % 64) as f64 / 32.0 - 1.0),
        false => Literal::Int(((at * 5 + seed) % 3) as i64),
    })
}

/// Passes reorder sums, which differ in the last digits of f64 only.
fn close(a: &Array, b: &Array) -> bool {
    let near = |at: usize| {
        let (a, b) = (a.get(at).as_f64(), b.get(at).as_f64());
        (a - b).abs() <= 1e-9 * (1.0 + a.abs())
    };
    a.dims() == b.dims() && (0..a.count()).all(near)
}

fn f32s(text: &str) -> TensorType {
    let dims = text.split(',').map(|dim| dim.trim().parse().unwrap_or_else(|error| panic!("{dim}: {error}"))).collect();
    TensorType::new(DType::F32, dims)
}

fn weight(b: &mut Builder, dims: &[usize]) -> ValueId {
    let array = Array::from_fn(DType::F32, dims.to_vec(), |at| Literal::Float(((at * 13) % 16) as f64 / 8.0 - 1.0));
    b.graph.constant(ir::Tensor::from_array(&array), None, "w")
}

/// `exp(x - max) / sum` over the last axis.
fn softmax(b: &mut Builder, x: ValueId) -> Result<ValueId, ir::Diagnostic> {
    let axis = b.ty(x).rank() - 1;
    let max = b.reduce(Monoid::Max, x, &[axis], Folded::Kept)?;
    let low = b.map_broadcast(Func::Sub, &[x, max])?;
    let exp = b.map(Func::Exp, &[low])?;
    let sum = b.reduce(Monoid::Sum, exp, &[axis], Folded::Kept)?;
    b.map_broadcast(Func::Div, &[exp, sum])
}

#[test]
fn attention() {
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, s, 32"));
        let mut heads = Vec::new();
        for _ in 0..3 {
            let w = weight(b, &[32, 32]);
            let y = b.contract("bsk,kn->bsn", x, w)?;
            let dims = b.dims(y).to_vec();
            let split = b.reshape(y, &[dims[0].clone(), dims[1].clone(), 4.into(), 8.into()])?;
            heads.push(b.transpose(split, &[0, 2, 1, 3])?);
        }
        let scores = b.contract("bhik,bhjk->bhij", heads[0], heads[1])?;
        let scores = b.map_number(Func::Mul, scores, 0.5)?;
        let weights = softmax(b, scores)?;
        let mixed = b.contract("bhij,bhjk->bhik", weights, heads[2])?;
        let mixed = b.transpose(mixed, &[0, 2, 1, 3])?;
        let dims = b.dims(x).to_vec();
        let joined = b.reshape(mixed, &dims)?;
        let sum = b.map(Func::Add, &[joined, x])?;
        b.output("y", sum);
        Ok(())
    };
    check(build, &[&[2, 5, 32]]);
    check(build, &[&[1, 1, 32]]);
}

#[test]
fn convolution_with_padding() {
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, 3, 9, 9"));
        let w = weight(b, &[20, 3, 3, 3]);
        let window = WindowAttrs { low: vec![1, 1], high: vec![1, 1], ..WindowAttrs::plain(2) };
        let y = b.conv(x, w, &window, 1)?;
        let y = b.map_number(Func::Max, y, 0.0)?;
        let w = weight(b, &[8, 20, 3, 3]);
        let y = b.conv(y, w, &WindowAttrs { strides: vec![2, 2], ..window.clone() }, 1)?;
        let pooled = b.reduce_window(Monoid::Max, y, &[2, 2], &WindowAttrs { strides: vec![2, 2], ..WindowAttrs::plain(2) })?;
        let mean = b.mean(pooled, &[2, 3], Folded::Dropped)?;
        b.output("y", mean);
        b.output("conv", y);
        Ok(())
    };
    check(build, &[&[2, 3, 9, 9]]);
}

#[test]
fn parts_and_lookups() {
    let build = |b: &mut Builder| {
        let table = b.input("table", f32s("v, 6"));
        let ids = b.input("ids", TensorType::new(DType::I64, vec!["n".parse().unwrap_or_default()]));
        let rows = b.gather(table, ids, 0)?;
        let both = b.concat(&[rows, rows], 1)?;
        let tanh = b.map(Func::Tanh, &[both])?;
        let sum = b.reduce(Monoid::Sum, tanh, &[1], Folded::Kept)?;
        let scaled = b.map_broadcast(Func::Mul, &[tanh, sum])?;
        b.output("y", scaled);
        b.output("rows", rows);
        Ok(())
    };
    check(build, &[&[3, 6], &[4]]);
}

#[test]
fn branches() {
    let branch = |name: &str, func: Func| {
        let mut inner = Builder::new(name);
        let x = inner.input("x", f32s("n, 12"));
        let y = inner.map(func, &[x])?;
        inner.output("y", y);
        Ok::<Graph, ir::Diagnostic>(inner.finish())
    };
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, 12"));
        let flag = b.input("flag", TensorType::new(DType::Bool, vec![]));
        let chosen = b.branch(flag, &[x], branch("then", Func::Tanh)?, branch("else", Func::Neg)?)?[0];
        let sum = b.reduce(Monoid::Sum, chosen, &[1], Folded::Kept)?;
        let scaled = b.map_broadcast(Func::Mul, &[chosen, sum])?;
        b.output("y", scaled);
        Ok(())
    };
    check(build, &[&[4, 12], &[]]);
}
