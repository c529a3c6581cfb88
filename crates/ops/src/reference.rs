//! What reference meanings share: loops over indices, folds and sums of products, in f64 and exact integers.

use ir::array::{Data, for_each_index};
use ir::{Array, DType, Literal};
use nest::Monoid;
use nest::func::wrap;

/// The array whose element at every index of `dims` is x's at row-major position `from(index)`.
pub fn moved(x: &Array, dims: &[usize], mut from: impl FnMut(&[usize]) -> usize) -> Array {
    let mut positions = Vec::with_capacity(dims.iter().product());
    for_each_index(dims, |index| positions.push(from(index)));
    picked(x, dims, &positions)
}

/// x's elements at row-major positions, under `dims`.
pub fn picked(x: &Array, dims: &[usize], positions: &[usize]) -> Array {
    match x.data() {
        Data::Float(data) => Array::floats(x.dtype(), dims.to_vec(), positions.iter().map(|at| data[*at]).collect()),
        Data::Int(data) => Array::ints(x.dtype(), dims.to_vec(), positions.iter().map(|at| data[*at]).collect()),
    }
}

/// The row-major position of an index.
pub fn position(strides: &[usize], index: &[usize]) -> usize {
    strides.iter().zip(index).map(|(stride, at)| stride * at).sum()
}

/// The elements as f64, also of integers.
pub fn as_floats(x: &Array) -> Vec<f64> {
    match x.data() {
        Data::Float(data) => data.clone(),
        Data::Int(data) => data.iter().map(|value| *value as f64).collect(),
    }
}

/// An array of `dtype` from sums of i64: cut to the type's width.
pub fn wrapped(dtype: DType, dims: &[usize], mut sums: Vec<i64>) -> Array {
    sums.iter_mut().for_each(|sum| *sum = wrap(*sum, dtype));
    Array::ints(dtype, dims.to_vec(), sums)
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn dot_ints(a: &[i64], b: &[i64]) -> i64 {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)))
}

/// Folds x's elements by groups: `groups` gives, for every element that takes part, its position in the result and in x.
pub fn folded(kind: Monoid, x: &Array, dims: &[usize], groups: impl Iterator<Item = (usize, usize)>) -> Array {
    let identity = if x.dtype().is_float() { Literal::Float(float_identity(kind)) } else { Literal::Int(int_identity(kind, x.dtype())) };
    folded_from(kind, &Array::filled(x.dtype(), dims.to_vec(), identity), x, groups, |number| number)
}

/// The same, onto elements that stand already: each step's result is an element, a number of their type.
pub fn folded_into(kind: Monoid, start: &Array, x: &Array, groups: impl Iterator<Item = (usize, usize)>) -> Array {
    folded_from(kind, start, x, groups, |number| x.dtype().rounded(number))
}

fn folded_from(
    kind: Monoid,
    start: &Array,
    x: &Array,
    groups: impl Iterator<Item = (usize, usize)>,
    element: impl Fn(f64) -> f64,
) -> Array {
    match (start.data(), x.data()) {
        (Data::Float(start_data), Data::Float(data)) => {
            let mut out = start_data.clone();
            groups.for_each(|(to, from)| out[to] = element(fold_float(kind, out[to], data[from])));
            Array::floats(x.dtype(), start.dims().to_vec(), out)
        }
        (Data::Int(start_data), Data::Int(data)) => {
            let mut out = start_data.clone();
            // cut to the type's width each time, so that comparisons see what is there
            groups.for_each(|(to, from)| out[to] = wrap(fold_int(kind, x.dtype(), out[to], data[from]), x.dtype()));
            Array::ints(x.dtype(), start.dims().to_vec(), out)
        }
        _ => panic!("bug: a fold of {} into {}", x.dtype(), start.dtype()),
    }
}

fn float_identity(kind: Monoid) -> f64 {
    match kind {
        Monoid::Sum | Monoid::Or => 0.0,
        Monoid::Product | Monoid::And => 1.0,
        Monoid::Max => f64::NEG_INFINITY,
        Monoid::Min => f64::INFINITY,
    }
}

fn fold_float(kind: Monoid, a: f64, b: f64) -> f64 {
    match kind {
        Monoid::Sum => a + b,
        Monoid::Product => a * b,
        Monoid::Max | Monoid::Min if a.is_nan() || b.is_nan() => f64::NAN,
        Monoid::Max => a.max(b),
        Monoid::Min => a.min(b),
        Monoid::And => (a != 0.0 && b != 0.0) as u8 as f64,
        Monoid::Or => (a != 0.0 || b != 0.0) as u8 as f64,
    }
}

fn int_identity(kind: Monoid, dtype: DType) -> i64 {
    let (low, high) = dtype.int_range().unwrap_or((0, 0));
    match kind {
        Monoid::Sum | Monoid::Or => 0,
        Monoid::Product | Monoid::And => 1,
        Monoid::Max => low,
        Monoid::Min => high,
    }
}

fn fold_int(kind: Monoid, dtype: DType, a: i64, b: i64) -> i64 {
    let less = if dtype == DType::U64 { (a as u64) < (b as u64) } else { a < b };
    match kind {
        Monoid::Sum => a.wrapping_add(b),
        Monoid::Product => a.wrapping_mul(b),
        Monoid::Max => {
            if less {
                b
            } else {
                a
            }
        }
        Monoid::Min => {
            if less {
                a
            } else {
                b
            }
        }
        Monoid::And => (a != 0 && b != 0) as i64,
        Monoid::Or => (a != 0 || b != 0) as i64,
    }
}
