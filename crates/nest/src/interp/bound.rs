//! How far a computation in the body's own types may lie from the interpreter's f64.
//!
//! Reads, literals and indices are exact. Every function adds its own rounding, `2 ulp(f) u |value|`, to what its operands' errors do to
//! it: bounded by the values at the ends of the operands' error intervals for functions that are monotone in each operand, by their
//! Lipschitz constant for the others. A sum of K terms adds `(K + 8) u sum |term|`. Beyond the largest number of the type the error is
//! infinite, and stands for any value, NaN too; it stays infinite in everything but comparisons and a choice that does not take it.

use crate::func::{Func, convert};
use ir::{DType, Literal};

/// Whether every value of `from` is one of `to`.
pub(super) fn widens(from: DType, to: DType) -> bool {
    matches!((from, to), (DType::F16 | DType::BF16, DType::F32 | DType::F64) | (DType::F32, DType::F64) | (DType::Bool, _))
        || from == to
        || (!from.is_float() && !to.is_float())
        || (from.is_int() && from.size() < to.size() && to.is_float() && to.size() >= 4)
}

/// The function's own rounding at a value of a type.
pub(super) fn own(func: Func, dtype: DType, value: Literal) -> f64 {
    if func.is_exact(dtype) { 0.0 } else { 2.0 * func.ulp() * dtype.rounding(value.as_f64()) }
}

/// The error of `value = func(x..)` where each `x[i]` has an error of `error[i]` and the function itself is exact.
pub(super) fn propagated(func: Func, dtype: DType, x: &[Literal], error: &[f64], value: Literal) -> f64 {
    if error.iter().all(|error| *error == 0.0) {
        return 0.0;
    }
    if error.iter().any(|error| error.is_infinite()) {
        return anything(func, x, error);
    }
    let f = |at: usize| x[at].as_f64();
    let product = || times(error[1], f(0)) + times(error[0], f(1)) + times(error[0], error[1]);
    match func {
        Func::Neg | Func::Abs => error[0],
        Func::Sin | Func::Cos => error[0].min(2.0),
        Func::Add | Func::Sub => error[0] + error[1],
        Func::Mul => product(),
        Func::MulAdd => product() + error[2],
        Func::Max | Func::Min => error[0].max(error[1]),
        Func::Select if error[0] > 0.0 => (f(1) - f(2)).abs() + error[1].max(error[2]),
        Func::Select => error[if x[0].as_i64() != 0 { 1 } else { 2 }],
        Func::Equal | Func::NotEqual | Func::Less | Func::LessEqual | Func::Greater | Func::GreaterEqual => {
            ((f(0) - f(1)).abs() <= error[0] + error[1]) as i64 as f64
        }
        Func::Not | Func::And | Func::Or | Func::Xor if dtype == DType::Bool => error.iter().copied().fold(0.0, f64::max),
        Func::Not | Func::And | Func::Or | Func::Xor => f64::INFINITY,
        Func::IsNan | Func::IsInf => 0.0,
        Func::Reciprocal if f(0).abs() <= error[0] => f64::INFINITY,
        Func::Div if f(1).abs() <= error[1] => f64::INFINITY,
        Func::Exp | Func::Log | Func::Sqrt | Func::Rsqrt | Func::Reciprocal | Func::Erf | Func::Tanh | Func::Sigmoid => {
            at_corners(x, error, value, |x| func.eval(dtype, x))
        }
        Func::Atan
        | Func::Sign
        | Func::Floor
        | Func::Ceil
        | Func::Round
        | Func::Trunc
        | Func::Flush
        | Func::Div
        | Func::Rem
        | Func::Pow => at_corners(x, error, value, |x| func.eval(dtype, x)),
    }
}

/// The same where an operand may be any value.
fn anything(func: Func, x: &[Literal], error: &[f64]) -> f64 {
    match func {
        Func::Equal | Func::NotEqual | Func::Less | Func::LessEqual | Func::Greater | Func::GreaterEqual => 1.0,
        Func::IsNan | Func::IsInf | Func::Not => 1.0,
        Func::Select if error[0] == 0.0 => error[if x[0].as_i64() != 0 { 1 } else { 2 }],
        _ => f64::INFINITY,
    }
}

/// The error of a conversion of a value with an error, its own rounding included.
pub(super) fn converted(from: DType, to: DType, x: Literal, error: f64, value: Literal) -> f64 {
    let own = if widens(from, to) { 0.0 } else { to.rounding(value.as_f64()) };
    if error == 0.0 || error.is_infinite() { own + error } else { own + at_corners(&[x], &[error], value, |x| convert(x[0], from, to)) }
}

/// The largest distance from `value` at the corners of the operands' error intervals.
fn at_corners(x: &[Literal], error: &[f64], value: Literal, f: impl Fn(&[Literal]) -> Literal) -> f64 {
    let mut corner = [Literal::Int(0); 3];
    let mut worst: f64 = 0.0;
    for signs in 0..1usize << x.len() {
        for at in 0..x.len() {
            let sign = if signs >> at & 1 == 1 { 1.0 } else { -1.0 };
            corner[at] = moved(x[at], sign * error[at]);
        }
        worst = worst.max(distance(f(&corner[..x.len()]), value));
    }
    worst
}

fn moved(x: Literal, by: f64) -> Literal {
    match x {
        Literal::Float(x) => Literal::Float(x + by),
        Literal::Int(x) => Literal::Int(x.saturating_add(by as i64)),
    }
}

/// Infinite where only one of the two is a number.
fn distance(a: Literal, b: Literal) -> f64 {
    let (a, b) = (a.as_f64(), b.as_f64());
    let apart = if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() };
    if apart.is_nan() { f64::INFINITY } else { apart }
}

/// The product of magnitudes, where nothing times infinity is nothing.
pub(super) fn times(error: f64, x: f64) -> f64 {
    if error == 0.0 || x == 0.0 { 0.0 } else { error * x.abs() }
}
