//! After every pass a program is well formed, reads back from its text, and computes what the graph computes.

use ir::{Array, DType, Graph, Literal, TensorType, ValueId};
use nest::{Func, Monoid};
use ops::build::Builder;
use ops::build::core::{Folded, Scan, WindowAttrs};
use program::{Program, Step, fuse, interp, layouts, lower, pack, prepare, text, verify, winograd};
use std::collections::HashMap;
use target::Target;

type Pass = (&'static str, fn(Program) -> Program);

const PASSES: [Pass; 5] = [
    ("fuse", fuse::fuse),
    ("prepare", prepare::hoist),
    ("winograd", |program| winograd::filter(program, &Target::x86_64_v4())),
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
    let passes: [Pass; 1] = [("lower", |program| program)];
    for (name, pass) in passes.into_iter().chain(PASSES) {
        program = pass(program);
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

/// Products of small matrices and softmaxes by turns, which could all be stages of one group.
fn chain(b: &mut Builder) -> Result<(), ir::Diagnostic> {
    let mut x = b.input("x", f32s("n, 8"));
    for _ in 0..30 {
        let w = weight(b, &[8, 8]);
        x = b.contract("bk,kn->bn", x, w)?;
        x = softmax(b, x)?;
    }
    b.output("y", x);
    Ok(())
}

#[test]
fn groups_of_long_chains_are_bounded() {
    check(chain, &[&[3, 8]]);
    let mut builder = Builder::new("test");
    chain(&mut builder).unwrap();
    let program = fuse::fuse(lower::lower(&builder.finish()).unwrap());
    let stages: Vec<usize> = program.steps.iter().flat_map(Step::groups).map(|group| group.stages.len()).collect();
    assert!(stages.len() > 2 && stages.iter().all(|stages| *stages <= 32), "{stages:?}");
}

/// A result that is read at two points, of which only one is the reader's own.
#[test]
fn sums_times_their_transpose() {
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, s, 8"));
        let sums = b.reduce(Monoid::Sum, x, &[2], Folded::Kept)?;
        let transposed = b.transpose(sums, &[0, 2, 1])?;
        let products = b.map_broadcast(Func::Mul, &[sums, transposed])?;
        let y = softmax(b, products)?;
        b.output("y", y);
        Ok(())
    };
    check(build, &[&[2, 5, 8]]);
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

/// A convolution that minimal filtering serves, with tiles that reach beyond the results, a skip connection, and one of a size to be known.
#[test]
fn windows_of_three() {
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, 17, h, 11"));
        let same = WindowAttrs { low: vec![1, 1], high: vec![1, 1], ..WindowAttrs::plain(2) };
        let x = b.map_number(Func::Max, x, 0.0)?;
        let w = weight(b, &[17, 17, 3, 3]);
        let y = b.conv(x, w, &same, 1)?;
        let y = b.map(Func::Add, &[y, x])?;
        let w = weight(b, &[20, 17, 3, 3]);
        let y = b.conv(y, w, &WindowAttrs::plain(2), 1)?;
        let mean = b.mean(y, &[2, 3], Folded::Dropped)?;
        b.output("y", mean);
        Ok(())
    };
    for dims in [[2, 17, 9, 11], [1, 17, 4, 11]] {
        check(build, &[&dims]);
    }
}

/// What is packed before the first call knows no size of a call, not even one that a guard makes equal to a number.
#[test]
fn weights_are_packed_without_sizes() {
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("m, k"));
        let x = b.map_number(Func::Max, x, 0.0)?;
        let w = weight(b, &[17, 20]);
        let y = b.contract("mk,kn->mn", x, w)?;
        b.output("y", y);
        Ok(())
    };
    check(build, &[&[3, 17]]);
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

/// `h' = tanh(x_t W + h R)`, stacked.
fn recurrent_step(weights: bool) -> Result<Graph, ir::Diagnostic> {
    let mut b = Builder::new("step");
    let (h, x) = (b.input("h", f32s("n, 20")), b.input("x", f32s("n, 6")));
    let r = if weights { weight(&mut b, &[20, 20]) } else { b.input("r", f32s("20, 20")) };
    let w = weight(&mut b, &[6, 20]);
    let (x, h) = (b.contract("mk,kn->mn", x, w)?, b.contract("mk,kn->mn", h, r)?);
    let sum = b.map(Func::Add, &[x, h])?;
    let next = b.map(Func::Tanh, &[sum])?;
    b.output("h", next);
    b.output("y", next);
    Ok(b.finish())
}

fn recurrent(weights: bool, axis: usize, reverse: bool, x: &str) -> impl Fn(&mut Builder) -> Result<(), ir::Diagnostic> {
    let x = f32s(x);
    move |b: &mut Builder| {
        let x = b.input("x", x.clone());
        let start = b.number(DType::F32, 0.5);
        let start = b.broadcast(start, &f32s("n, 20").dims)?;
        let captures = if weights { vec![] } else { vec![b.input("r", f32s("20, 20"))] };
        let scan = Scan { trips: "t".parse().unwrap_or_default(), scanned: vec![(x, axis, reverse)], stacked: vec![(axis, reverse)] };
        let results = b.scan(&scan, &[start], &captures, recurrent_step(weights)?)?;
        b.output("h", results[0]);
        b.output("y", results[1]);
        Ok(())
    }
}

#[test]
fn scans() {
    check(recurrent(true, 0, false, "t, n, 6"), &[&[5, 2, 6]]);
    check(recurrent(true, 0, true, "t, n, 6"), &[&[1, 3, 6]]);
    check(recurrent(false, 1, true, "n, t, 6"), &[&[2, 4, 6], &[20, 20]]);
}

/// What each run would do again stands before the loop, and what constants alone decide before the first call.
#[test]
fn weights_are_packed_once() {
    let planned = |weights: bool| {
        let mut b = Builder::new("test");
        recurrent(weights, 0, false, "t, n, 6")(&mut b).unwrap_or_else(|error| panic!("{error}"));
        PASSES.iter().fold(lower::lower(&b.finish()).unwrap_or_else(|error| panic!("{error}")), |program, (_, pass)| pass(program))
    };
    let (known, given) = (planned(true), planned(false));
    assert_eq!((known.prepare.len(), given.prepare.len()), (2, 1), "{known}\n{given}");
    let before = given.steps.iter().take_while(|step| !matches!(step, Step::Loop(_)));
    assert!(
        before.flat_map(Step::groups).flat_map(|group| &group.stages).any(|stage| stage.nest.writes[0].name.contains("packed")),
        "{given}"
    );
}

/// The list of the runs' numbers is read in the loop alone, where its elements are the counter; it is never made.
#[test]
fn numbers_of_runs_are_the_counter() {
    let step = || {
        let mut b = Builder::new("step");
        let (total, run) = (b.input("total", f32s("3")), b.input("run", TensorType::new(DType::I64, vec![])));
        let run = b.convert(run, DType::F32)?;
        let run = b.broadcast(run, &f32s("3").dims)?;
        let next = b.map(Func::Add, &[total, run])?;
        b.output("total", next);
        Ok::<Graph, ir::Diagnostic>(b.finish())
    };
    for reverse in [false, true] {
        let build = |b: &mut Builder| {
            let x = b.input("x", f32s("n, 3"));
            let start = b.reduce(Monoid::Sum, x, &[0], Folded::Dropped)?;
            let runs = b.iota(&["n".parse().unwrap_or_default()], 0, DType::I64)?;
            let scan = Scan { trips: "n".parse().unwrap_or_default(), scanned: vec![(runs, 0, reverse)], stacked: vec![] };
            let results = b.scan(&scan, &[start], &[], step()?)?;
            b.output("y", results[0]);
            Ok(())
        };
        check(build, &[&[4, 3]]);
        let mut b = Builder::new("test");
        build(&mut b).unwrap_or_else(|error: ir::Diagnostic| panic!("{error}"));
        let fused = program::fuse::fuse(lower::lower(&b.finish()).unwrap_or_else(|error| panic!("{error}")));
        let groups = fused.steps.iter().flat_map(Step::groups);
        assert!(groups.flat_map(|group| &group.stages).all(|stage| stage.nest.writes[0].name != "iota"), "{fused}");
    }
}

/// The numbers of runs after which `x` exceeds 100 when it is doubled, and `x` itself, in a loop that runs twice for each row.
#[test]
fn nested_loops() {
    let doubling = || {
        let mut b = Builder::new("doubling");
        let scalar = |dtype: DType| TensorType::new(dtype, vec![]);
        let (x, count, most) = (b.input("x", f32s("3")), b.input("count", scalar(DType::I64)), b.input("most", scalar(DType::F32)));
        let (twice, more) = (b.map(Func::Add, &[x, x])?, b.map_number(Func::Add, count, 1.0)?);
        let largest = b.reduce(Monoid::Max, twice, &[0], Folded::Dropped)?;
        let go_on = b.map(Func::Less, &[largest, most])?;
        ["go_on", "x", "count"].iter().zip([go_on, twice, more]).for_each(|(name, id)| b.output(name, id));
        Ok::<Graph, ir::Diagnostic>(b.finish())
    };
    let row = || {
        let mut b = Builder::new("row");
        let (total, x) = (b.input("total", TensorType::new(DType::I64, vec![])), b.input("x", f32s("3")));
        let (zero, most) = (b.number(DType::I64, 0.0), b.number(DType::F32, 100.0));
        let go_on = b.map(Func::Less, &[total, total])?;
        let go_on = b.map(Func::Not, &[go_on])?;
        let results = b.repeat_while(go_on, &[x, zero], &[most], doubling()?)?;
        let sum = b.map(Func::Add, &[total, results[1]])?;
        ["total", "x", "count"].iter().zip([sum, results[0], results[1]]).for_each(|(name, id)| b.output(name, id));
        Ok::<Graph, ir::Diagnostic>(b.finish())
    };
    let build = |b: &mut Builder| {
        let x = b.input("x", f32s("n, 3"));
        let zero = b.number(DType::I64, 0.0);
        let scan = Scan { trips: "n".parse().unwrap_or_default(), scanned: vec![(x, 0, false)], stacked: vec![(1, false), (0, true)] };
        let results = b.scan(&scan, &[zero], &[], row()?)?;
        results.iter().enumerate().for_each(|(at, id)| b.output(&format!("y{at}"), *id));
        Ok(())
    };
    check(build, &[&[4, 3]]);
    check(build, &[&[0, 3]]);
}

/// Sizes that fit one branch only are no fault where the other one runs.
#[test]
fn guards_of_a_branch_hold_where_it_runs() -> Result<(), ir::Diagnostic> {
    let branch = |func: Option<Func>| {
        let mut inner = Builder::new("branch");
        let (x, y) = (inner.input("x", f32s("n")), inner.input("y", f32s("m")));
        let z = func.map_or(Ok(x), |func| inner.map(func, &[x, y]))?;
        inner.output("z", z);
        Ok::<Graph, ir::Diagnostic>(inner.finish())
    };
    let mut b = Builder::new("test");
    let (x, y) = (b.input("x", f32s("n")), b.input("y", f32s("m")));
    let flag = b.input("flag", TensorType::new(DType::Bool, vec![]));
    let z = b.branch(flag, &[x, y], branch(Some(Func::Add))?, branch(None)?)?[0];
    b.output("z", z);
    let graph = b.finish();
    let program = PASSES.iter().fold(lower::lower(&graph).map_err(|all| all.0[0].clone())?, |program, (_, pass)| pass(program));
    assert_eq!(verify::verify(&program), Vec::<String>::new());
    let run = |dims: [usize; 2], flag: i64| {
        let [x, y] = dims.map(|dim| Array::filled(DType::F32, vec![dim], Literal::Float(1.0)));
        let sizes = [("n", dims[0]), ("m", dims[1])].map(|(name, dim)| (sym::Sym::new(name), dim as i64)).into();
        interp::run(&program, &[x, y, Array::ints(DType::Bool, vec![], vec![flag])], &sizes).err()
    };
    assert_eq!((run([2, 3], 0), run([2, 2], 1)), (None, None));
    assert!(run([2, 3], 1).is_some_and(|why| why.starts_with("E009")));
    Ok(())
}

/// `x` times two, with rows of `x` added at places from `i`, and read by a product: the sum is made where the product of the pointwise
/// nest stands, and what makes the updates joins them.
fn scattered(b: &mut Builder) -> Result<(), ir::Diagnostic> {
    let (x, i) = (b.input("x", f32s("n, 8")), b.input("i", TensorType::new(DType::I64, vec![3.into(), 1.into()])));
    let u = b.input("u", f32s("3, 8"));
    let (doubled, negated) = (b.map_number(Func::Mul, x, 2.0)?, b.map(Func::Neg, &[u])?);
    let place = b.map_number(Func::Sub, i, 1.0)?;
    let y = b.scatter_nd([doubled, place, negated], Some(Monoid::Sum))?;
    let w = weight(b, &[8, 4]);
    let z = b.contract("ij,jk->ik", y, w)?;
    b.output("z", z);
    Ok(())
}

#[test]
fn updates_stay_behind_what_they_change() {
    check(scattered, &[&[5, 8], &[3, 1], &[3, 8]]);
    let mut builder = Builder::new("test");
    scattered(&mut builder).unwrap_or_else(|error| panic!("{error}"));
    let program = fuse::fuse(lower::lower(&builder.finish()).unwrap_or_else(|error| panic!("{error}")));
    let nests: Vec<_> = program.steps.iter().flat_map(Step::groups).flat_map(|group| &group.stages).map(|stage| &stage.nest).collect();
    // the places are computed once, not for each element of a row
    assert_eq!(nests.len(), 4, "{program}");
    assert!(nests[1].reads().count() == 1 && nests[2].updates() && nests[2].reads().count() == 2, "{program}");
}

/// What an update changes is a copy of a sum, which another nest behind the update reads too: the copy must not move there with the sum.
#[test]
fn what_is_updated_is_written_before() {
    let build = |b: &mut Builder| {
        let (x, y) = (b.input("x", f32s("n, 8")), b.input("y", f32s("n")));
        let (i, u) = (b.input("i", TensorType::new(DType::I64, vec![2.into(), 1.into()])), b.input("u", f32s("2")));
        let sum = b.reduce(Monoid::Sum, x, &[1], Folded::Dropped)?;
        let updated = b.scatter_nd([sum, i, u], None)?;
        let added = b.map(Func::Add, &[sum, y])?;
        b.output("updated", updated);
        b.output("added", added);
        Ok(())
    };
    check(build, &[&[5, 8], &[5], &[2, 1], &[2]]);
}
