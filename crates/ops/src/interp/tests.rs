use super::*;
use crate::build::Builder;
use crate::build::core::Folded;
use ir::DType;
use nest::{Func, Monoid};

fn ty(dtype: DType, dims: &[&str]) -> TensorType {
    TensorType::new(dtype, dims.iter().map(|dim| dim.parse().unwrap()).collect())
}

fn floats(dims: &[usize], data: &[f64]) -> Array {
    Array::floats(DType::F32, dims.to_vec(), data.to_vec())
}

fn sizes(pairs: &[(&str, i64)]) -> BTreeMap<Sym, i64> {
    pairs.iter().map(|(name, value)| (Sym::new(name), *value)).collect()
}

#[test]
fn a_chain_runs_at_any_size() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty(DType::F32, &["n", "2"]));
    let doubled = b.map_number(Func::Mul, x, 2.0).unwrap();
    let sum = b.reduce(Monoid::Sum, doubled, &[0], Folded::Dropped).unwrap();
    b.output("sum", sum);
    let graph = b.finish();
    for (dims, data, want) in [([2, 2], vec![1.0, 2.0, 3.0, 4.0], [8.0, 12.0]), ([0, 2], vec![], [0.0, 0.0])] {
        let symbols = bind_symbols(&graph, &[dims.to_vec()]).unwrap();
        let got = outputs(&graph, &[floats(&dims, &data)], &symbols).unwrap();
        assert_eq!(got, [floats(&[2], &want)]);
    }
}

#[test]
fn results_beyond_the_limit_are_no_allocation() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty(DType::F32, &[]));
    let wide = b.broadcast(x, &["n".parse().unwrap()]).unwrap();
    b.output("wide", wide);
    let error = outputs(&b.finish(), &[floats(&[], &[1.0])], &sizes(&[("n", 1 << 50)])).unwrap_err();
    assert_eq!(error.code, Code::Limit);
}

#[test]
fn dead_values_are_dropped() {
    let mut b = Builder::new("g");
    let x = b.input("x", ty(DType::F32, &["2"]));
    let y = b.map(Func::Neg, &[x]).unwrap();
    let z = b.map(Func::Abs, &[y]).unwrap();
    b.output("z", z);
    let graph = b.finish();
    let x = floats(&[2], &[1.0, -2.0]);
    let kept = |keep: &dyn Fn(ValueId) -> bool| {
        let values = interpret_keeping(&graph, std::slice::from_ref(&x), &sizes(&[]), &Strings::default(), Floats::Exact, keep).unwrap();
        values.iter().map(Option::is_some).collect::<Vec<bool>>()
    };
    assert_eq!(kept(&|_| false), [false, false, true]);
    assert_eq!(kept(&|id| id == y), [false, true, true]);
    assert_eq!(kept(&|_| true), [true, true, true]);
}

#[test]
fn a_branch_runs_the_region_that_holds() {
    let region = |name: &str, func: Func| {
        let mut b = Builder::new(name);
        let x = b.input("x", ty(DType::F32, &["n"]));
        let y = b.map(func, &[x]).unwrap();
        b.output("y", y);
        b.finish()
    };
    let mut b = Builder::new("g");
    let condition = b.input("condition", ty(DType::Bool, &[]));
    let x = b.input("x", ty(DType::F32, &["n"]));
    let y = b.branch(condition, &[x], region("then", Func::Neg), region("else", Func::Abs)).unwrap();
    b.output("y", y[0]);
    let graph = b.finish();
    for (flag, want) in [(1, [2.0, -3.0]), (0, [2.0, 3.0])] {
        let condition = Array::ints(DType::Bool, vec![], vec![flag]);
        let got = outputs(&graph, &[condition, floats(&[2], &[-2.0, 3.0])], &sizes(&[("n", 2)])).unwrap();
        assert_eq!(got, [floats(&[2], &want)]);
    }
}

#[test]
fn guards_are_checked_first() {
    let mut b = Builder::new("g");
    let (x, y) = (b.input("x", ty(DType::F32, &["n"])), b.input("y", ty(DType::F32, &["m"])));
    b.location = Location::of("/Add");
    let sum = b.map_broadcast(Func::Add, &[x, y]).unwrap();
    b.output("sum", sum);
    let graph = b.finish();
    let run = |n: usize, m: usize| {
        let symbols = bind_symbols(&graph, &[vec![n], vec![m]]).unwrap();
        outputs(&graph, &[floats(&[n], &vec![1.0; n]), floats(&[m], &vec![2.0; m])], &symbols)
    };
    assert_eq!(run(1, 3).unwrap(), [floats(&[3], &[3.0; 3])]);
    assert_eq!(run(3, 3).unwrap(), [floats(&[3], &[3.0; 3])]);
    assert_eq!(run(2, 3).unwrap_err().to_string(), "[E009] /Add: one_or_equal(n, max(m, n)) does not hold for m = 3, n = 2");
}

#[test]
fn symbols_come_from_dims() {
    let mut b = Builder::new("g");
    b.input("x", ty(DType::F32, &["2*n + m", "4"]));
    b.input("y", ty(DType::F32, &["m"]));
    let graph = b.finish();
    assert_eq!(bind_symbols(&graph, &[vec![7, 4], vec![1]]), Ok(sizes(&[("m", 1), ("n", 3)])));
    let errors = |dims: &[Vec<usize>]| bind_symbols(&graph, dims).unwrap_err().to_string();
    assert_eq!(errors(&[vec![7, 5], vec![1]]), "[E009] x: a dim is 5, not 4");
    assert_eq!(errors(&[vec![7], vec![1]]), "[E009] x: rank is 1, not 2");
    assert_eq!(errors(&[vec![8, 4], vec![1]]), "[E009] x: a dim is 8, not m + 2*n (which does not fix its symbols)");
}
