//! Random nests against a direct reading of the definition, in f64 and with every float scalar rounded to f32.

use super::{floats, sizes};
use crate::func::{Func, bits, convert};
use crate::interp::{run, run_bounded};
use crate::nest::{Index, IterKind, Monoid, Nest, Read, Scalar, ScalarId, ScalarOp, Write};
use ir::array::for_each_index;
use ir::{Array, DType, Literal, TensorType};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use sym::{Expr, Sym};

const FRAME: &str = "nest {
    for i in n, j in m
    reduce k in r, l in 2
    operand x: f32[3, 4]
    operand y: f32[4]
    operand t: i64[3]
    v0: f32 = y[min(j, 3)]
    v1: i64 = t[min(i, 2)]
    v2: i64 = t[min(k, 2)]
}";

struct Direct<'a> {
    nest: &'a Nest,
    operands: &'a [&'a Array],
    round: fn(f64) -> f64,
    /// The largest magnitude met.
    largest: Cell<f64>,
}

type Point = BTreeMap<Sym, i64>;

impl Direct<'_> {
    fn value(&self, id: ScalarId, point: &Point) -> Literal {
        let scalar = self.nest.scalar(id);
        let dtype_of = |id: ScalarId| self.nest.scalar(id).dtype;
        let value = match &scalar.op {
            ScalarOp::Read(read) => self.element(read, point),
            ScalarOp::Literal(value) => *value,
            ScalarOp::Index(map) => Literal::Int(at(map, point)),
            ScalarOp::Apply(func, args) => {
                let x: Vec<Literal> = args.iter().map(|arg| self.value(*arg, point)).collect();
                func.eval(dtype_of(args[args.len() - 1]), &x)
            }
            ScalarOp::Convert(arg) => convert(self.value(*arg, point), dtype_of(*arg), scalar.dtype),
            ScalarOp::Bits(arg) => bits(self.value(*arg, point), dtype_of(*arg), scalar.dtype),
            ScalarOp::Reduce(monoid, term) => self.folded(*monoid, *term, point),
        };
        self.rounded(value)
    }

    fn rounded(&self, value: Literal) -> Literal {
        self.largest.set(self.largest.get().max(value.as_f64().abs()));
        match value {
            Literal::Float(value) => Literal::Float((self.round)(value)),
            Literal::Int(_) => value,
        }
    }

    fn element(&self, read: &Read, point: &Point) -> Literal {
        let array = self.operands[read.operand];
        let mut position = 0;
        for (index, dim) in read.index.iter().zip(array.dims()) {
            let dim = *dim as i64;
            let at = match index {
                Index::Map(map) => at(map, point),
                Index::Data(id) => self.value(*id, point).as_i64().rem_euclid(dim),
            };
            if !(0..dim).contains(&at) {
                return read.fill.unwrap();
            }
            position = position * dim + at;
        }
        array.get(position as usize)
    }

    fn folded(&self, monoid: Monoid, term: ScalarId, point: &Point) -> Literal {
        let dtype = self.nest.scalar(term).dtype;
        let extents: Vec<usize> = self.nest.reductions().map(|iter| at(&iter.extent, point) as usize).collect();
        let mut total = monoid.identity(dtype);
        for_each_index(&extents, |index| {
            let steps = self.nest.reductions().zip(index).map(|(iter, at)| (iter.sym.clone(), *at as i64));
            let point: Point = point.clone().into_iter().chain(steps).collect();
            total = self.rounded(monoid.func().eval(dtype, &[total, self.value(term, &point)]));
        });
        total
    }
}

fn at(map: &Expr, point: &Point) -> i64 {
    map.eval(&|sym| point.get(sym).copied()).unwrap()
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn write_of(nest: &Nest, value: ScalarId) -> Write {
    let dims = ["n", "m"].map(|dim| Expr::sym(&Sym::new(dim))).to_vec();
    let index = ["i", "j"].map(|iter| Expr::sym(&Sym::new(iter)));
    Write::plain(&format!("{value:?}"), &TensorType::new(nest.scalar(value).dtype, dims), &index, value)
}

fn outputs(nest: &Nest, n: usize, m: usize) -> Vec<Array> {
    nest.writes.iter().map(|write| Array::filled(write.ty.dtype, vec![n, m], Literal::zero(write.ty.dtype))).collect()
}

/// Checks every write of a nest that stores all its scalars outside reductions.
fn check(nest: &Nest, n: usize, m: usize, r: usize) {
    let x = Array::from_fn(DType::F32, vec![3, 4], |at| Literal::Float((at as f64 * 1.7 + 0.3).sin() as f32 as f64 * 2.0));
    let y = Array::floats(DType::F32, vec![4], vec![0.5, -1.25, 2.0, 0.0]);
    let t = Array::ints(DType::I64, vec![3], vec![2, -3, 0]);
    let (operands, known) = ([&x, &y, &t], sizes(&[("n", n as i64), ("m", m as i64), ("r", r as i64)]));
    let (mut plain, mut tracked) = (outputs(nest, n, m), outputs(nest, n, m));
    run(nest, &operands, &known, &mut plain).unwrap();
    let bounds = run_bounded(nest, &operands, &[], &known, &mut tracked).unwrap();
    let exact = Direct { nest, operands: &operands, round: |value| value, largest: Cell::new(0.0) };
    let single = Direct { nest, operands: &operands, round: |value| value as f32 as f64, largest: Cell::new(0.0) };
    for (number, write) in nest.writes.iter().enumerate() {
        for position in 0..n * m {
            let mut point = known.clone();
            point.extend([(Sym::new("i"), (position / m) as i64), (Sym::new("j"), (position % m) as i64)]);
            exact.largest.set(0.0);
            let (want, rounded) = (exact.value(write.value, &point).as_f64(), single.value(write.value, &point).as_f64());
            let (got, bound) = (floats(&plain[number])[position], floats(&bounds[number])[position]);
            assert!(same(got, want), "{:?} at {position}: {got}, not {want}: {nest}", write.value);
            assert!(same(floats(&tracked[number])[position], want), "{:?} at {position}, tracked: {nest}", write.value);
            if exact.largest.get() < 1e30 && want.is_finite() {
                assert!((rounded - want).abs() <= bound, "{:?} at {position}: {rounded} vs {want} +- {bound}: {nest}", write.value);
            }
        }
    }
}

/// Checks that bounds hold where `x` and `y` are other ones, as far away as is said.
fn check_errors(nest: &Nest, n: usize, m: usize, r: usize) {
    let wave = |dims: &[usize], by: f64| {
        Array::from_fn(DType::F32, dims.to_vec(), move |at| {
            let (value, sign) = ((at as f64 * 1.7 + 0.3).sin() as f32 as f64 * 2.0, if at * 7 % 3 == 0 { 1.0 } else { -1.0 });
            Literal::Float(value + sign * by)
        })
    };
    let (x, y, t) = (wave(&[3, 4], 0.0), wave(&[4], 0.0), Array::ints(DType::I64, vec![3], vec![2, -3, 0]));
    let by = 2f64.powi(-10);
    let (other_x, other_y) = (wave(&[3, 4], by), wave(&[4], by));
    let [ex, ey] = [vec![3, 4], vec![4]].map(|dims| Array::filled(DType::F64, dims, Literal::Float(by)));
    let known = sizes(&[("n", n as i64), ("m", m as i64), ("r", r as i64)]);
    let mut got = outputs(nest, n, m);
    let bounds = run_bounded(nest, &[&x, &y, &t], &[Some(&ex), Some(&ey), None], &known, &mut got).unwrap();
    let single = Direct { nest, operands: &[&other_x, &other_y, &t], round: |value| value as f32 as f64, largest: Cell::new(0.0) };
    for (number, write) in nest.writes.iter().enumerate() {
        for position in 0..n * m {
            let mut point = known.clone();
            point.extend([(Sym::new("i"), (position / m) as i64), (Sym::new("j"), (position % m) as i64)]);
            single.largest.set(0.0);
            let other = single.value(write.value, &point).as_f64();
            let (want, bound) = (floats(&got[number])[position], floats(&bounds[number])[position]);
            let inside = same(other, want) || (other - want).abs() <= bound || bound.is_infinite() || bound.is_nan();
            assert!(inside || single.largest.get() >= 1e30, "{:?} at {position}: {other} vs {want} +- {bound}: {nest}", write.value);
        }
    }
}

fn map() -> impl Strategy<Value = Expr> {
    let maps =
        ["i", "j", "k", "l", "i + k", "2*j - l", "3 - k", "(i + k)/2", "(i + 2*k + l) % 3", "j*k - 1", "min(i, k) + l", "n - 1 - i", "0"];
    prop::sample::select(maps.to_vec()).prop_map(|map| map.parse().unwrap())
}

/// Any scalar; what it mentions is any number, taken modulo the scalars above it.
fn scalar() -> impl Strategy<Value = Scalar> {
    let id = || any::<u32>().prop_map(ScalarId);
    let clamped = |map: Expr, dim: i64| map.maximum(&Expr::zero()).minimum(&Expr::from(dim - 1));
    let read = |operand, index, fill| Scalar { op: ScalarOp::Read(Read { operand, index, fill }), dtype: DType::F32 };
    let funcs = [Func::Add, Func::Sub, Func::Mul, Func::Div, Func::Max, Func::Min, Func::Rem, Func::Less, Func::Equal];
    let more = [Func::Neg, Func::Abs, Func::Sign, Func::Tanh, Func::Sqrt, Func::Floor, Func::Round, Func::Sin, Func::Select, Func::MulAdd];
    let types = prop::sample::select(vec![DType::F32, DType::I64, DType::Bool]);
    let apply = (prop::sample::select([funcs.as_slice(), &more].concat()), [id(), id(), id()], types.clone());
    prop_oneof![
        (map(), map()).prop_map(move |(a, b)| read(0, vec![Index::Map(clamped(a, 3)), Index::Map(clamped(b, 4))], None)),
        (map(), map()).prop_map(move |(a, b)| read(0, vec![Index::Map(a), Index::Map(b)], Some(Literal::Float(0.5)))),
        (1u32..3, map()).prop_map(move |(t, b)| read(0, vec![Index::Data(ScalarId(t)), Index::Map(clamped(b, 4))], None)),
        map().prop_map(|map| Scalar { op: ScalarOp::Index(map), dtype: DType::I64 }),
        (types, id()).prop_map(|(dtype, id)| Scalar { op: ScalarOp::Convert(id), dtype }),
        apply.prop_map(|(func, ids, dtype)| Scalar { op: ScalarOp::Apply(func, ids[..func.arity()].to_vec()), dtype }),
        (prop::sample::select(Monoid::ALL.to_vec()), id(), any::<bool>()).prop_map(|(monoid, id, float)| {
            Scalar { op: ScalarOp::Reduce(monoid, id), dtype: if float { DType::F32 } else { DType::I64 } }
        }),
    ]
}

/// A nest of those scalars that are legal where they stand, writing all that it may.
fn nest(scalars: Vec<Scalar>) -> Nest {
    let mut nest: Nest = FRAME.parse().unwrap();
    for mut scalar in scalars {
        let count = nest.body.len() as u32;
        let keep = matches!(scalar.op, ScalarOp::Read(_));
        scalar.op = scalar.op.map(&|id| if keep { id } else { ScalarId(id.0 % count) }, &Expr::clone);
        nest.body.push(scalar);
        let faults = crate::verify::verify(&nest, &sym::Premises::default());
        if faults.iter().any(|fault| fault.starts_with("N2") || fault.starts_with("N6")) {
            nest.body.pop();
        }
    }
    let varies = nest.varies_in_reduction();
    let stored = (0..nest.body.len()).filter(|at| !varies[*at]).map(|at| write_of(&nest, ScalarId(at as u32)));
    nest.writes = stored.collect();
    assert!(nest.iters.iter().all(|iter| iter.kind != IterKind::Scan));
    nest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_nest_means_its_definition(scalars in prop::collection::vec(scalar(), 1..40), n in 1usize..5, m in 1usize..5, r in 0usize..4) {
        check(&nest(scalars), n, m, r);
    }

    #[test]
    fn bounds_hold_for_operands_with_errors(scalars in prop::collection::vec(scalar(), 1..40), n in 1usize..5, m in 1usize..5, r in 0usize..4) {
        check_errors(&nest(scalars), n, m, r);
    }
}
