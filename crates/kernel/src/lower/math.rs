//! Scalar functions as ops of a kernel: the meaning of [`nest::Func`] on f32, f64, integers and bool, in any number of lanes.
//!
//! Transcendental functions are inlined polynomials without tables or calls. Their coefficients are minimax fits of the relative error,
//! made by `scripts/fit_math.py`; each file tells its form. Errors in f32, in units of the last place, over all floats: exp 0.84, log 0.9,
//! erf 0.9, tanh 1.3, sigmoid 1.9, sin and cos 1.5, atan 1.3, pow and rem correctly rounded; in f64 they are within the bounds of the
//! tests.
//!
//! - [`float`]: short names for arithmetic on one float type
//! - [`exp`]: exp, tanh, sigmoid
//! - [`log`], [`erf`], [`trig`], [`atan`], [`pow`], [`rem`]

mod atan;
mod erf;
mod exp;
mod float;
mod log;
mod pow;
mod rem;
#[cfg(test)]
mod tests;
mod trig;

use crate::build::KernelBuilder;
use crate::kernel::{Binary, Compare, Unary, ValueId};
use float::Float;
use ir::{DType, Literal};
use nest::Func;

/// The value of a function. Operands have one number of lanes; 16-bit floats come as f32. `constants` tells which operands are literals.
pub fn apply(b: &mut KernelBuilder, func: Func, x: &[ValueId], constants: &[Option<Literal>]) -> ValueId {
    let dtype = b.ty(x[x.len() - 1]).dtype;
    match dtype {
        DType::F32 | DType::F64 => float(b, func, x, constants),
        DType::Bool => bool(b, func, x),
        DType::F16 | DType::BF16 => panic!("{} of a 16-bit float outside memory", func.name()),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => integer(b, func, x),
    }
}

fn comparison(func: Func) -> Option<Compare> {
    Some(match func {
        Func::Equal => Compare::Equal,
        Func::NotEqual => Compare::NotEqual,
        Func::Less => Compare::Less,
        Func::LessEqual => Compare::LessEqual,
        Func::Greater => Compare::Greater,
        Func::GreaterEqual => Compare::GreaterEqual,
        _ => return None,
    })
}

fn float(b: &mut KernelBuilder, func: Func, x: &[ValueId], constants: &[Option<Literal>]) -> ValueId {
    use Func::*;
    let unary = |b: &mut KernelBuilder, op| b.unary(op, x[0]);
    match func {
        Neg => unary(b, Unary::Neg),
        Abs => unary(b, Unary::Abs),
        Sqrt => unary(b, Unary::Sqrt),
        Floor => unary(b, Unary::Floor),
        Ceil => unary(b, Unary::Ceil),
        Round => unary(b, Unary::Round),
        Trunc => unary(b, Unary::Trunc),
        Flush => unary(b, Unary::Flush),
        Sign => float_sign(b, x[0]),
        Reciprocal => reciprocal(b, x[0]),
        Rsqrt => {
            let root = b.unary(Unary::Sqrt, x[0]);
            reciprocal(b, root)
        }
        IsNan => b.compare(Compare::NotEqual, x[0], x[0]),
        IsInf => {
            let (size, infinity) = (b.unary(Unary::Abs, x[0]), b.float(f64::INFINITY, b.ty(x[0])));
            b.compare(Compare::Equal, size, infinity)
        }
        Add => b.binary(Binary::Add, x[0], x[1]),
        Sub => b.binary(Binary::Sub, x[0], x[1]),
        Mul => b.binary(Binary::Mul, x[0], x[1]),
        Div => b.binary(Binary::Div, x[0], x[1]),
        Max => extremum(b, Binary::Max, x, constants),
        Min => extremum(b, Binary::Min, x, constants),
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => compare(b, func, x),
        Select => b.select(x[0], x[1], x[2]),
        MulAdd => b.mul_add(x[0], x[1], x[2]),
        Exp => exp::exp(&mut Float::of(b, x[0]), x[0]),
        Log => log::log(&mut Float::of(b, x[0]), x[0]),
        Erf => erf::erf(&mut Float::of(b, x[0]), x[0]),
        Tanh => exp::tanh(&mut Float::of(b, x[0]), x[0]),
        Sigmoid => exp::sigmoid(&mut Float::of(b, x[0]), x[0]),
        Sin => trig::sin(&mut Float::of(b, x[0]), x[0]),
        Cos => trig::cos(&mut Float::of(b, x[0]), x[0]),
        Atan => atan::atan(&mut Float::of(b, x[0]), x[0]),
        Rem => rem::rem(&mut Float::of(b, x[0]), x[0], x[1]),
        Pow => pow::pow(&mut Float::of(b, x[0]), x[0], x[1], constants.get(1).copied().flatten()),
        Not | And | Or | Xor => panic!("{} of floats", func.name()),
    }
}

fn compare(b: &mut KernelBuilder, func: Func, x: &[ValueId]) -> ValueId {
    match comparison(func) {
        Some(op) => b.compare(op, x[0], x[1]),
        None => panic!("{} is no comparison", func.name()),
    }
}

fn reciprocal(b: &mut KernelBuilder, x: ValueId) -> ValueId {
    let one = b.float(1.0, b.ty(x));
    b.binary(Binary::Div, one, x)
}

/// 1 or -1 by the sign; zeros and NaN stay what they are.
fn float_sign(b: &mut KernelBuilder, x: ValueId) -> ValueId {
    let ty = b.ty(x);
    let (zero, plus, minus) = (b.float(0.0, ty), b.float(1.0, ty), b.float(-1.0, ty));
    let (above, below) = (b.compare(Compare::Greater, x, zero), b.compare(Compare::Less, x, zero));
    let rest = b.select(below, minus, x);
    b.select(above, plus, rest)
}

/// NaN where an operand is NaN. The kernel's `max(a, b)` gives `b` then: enough where `a` is a number for certain.
fn extremum(b: &mut KernelBuilder, op: Binary, x: &[ValueId], constants: &[Option<Literal>]) -> ValueId {
    let number = |at: usize| constants.get(at).copied().flatten().is_some_and(|c| !c.as_f64().is_nan());
    if number(0) {
        return b.binary(op, x[0], x[1]);
    }
    if number(1) {
        return b.binary(op, x[1], x[0]);
    }
    let ordered = b.binary(op, x[0], x[1]);
    let nan = b.compare(Compare::NotEqual, x[0], x[0]);
    b.select(nan, x[0], ordered)
}

fn bool(b: &mut KernelBuilder, func: Func, x: &[ValueId]) -> ValueId {
    use Func::*;
    let pair = |b: &mut KernelBuilder, op, (x, negate_x), (y, negate_y): (ValueId, bool)| {
        let x = if negate_x { b.unary(Unary::Not, x) } else { x };
        let y = if negate_y { b.unary(Unary::Not, y) } else { y };
        b.binary(op, x, y)
    };
    let plain = |b: &mut KernelBuilder, op| b.binary(op, x[0], x[1]);
    match func {
        Not => b.unary(Unary::Not, x[0]),
        And | Min => plain(b, Binary::And),
        Or | Max => plain(b, Binary::Or),
        Xor | NotEqual => plain(b, Binary::Xor),
        Equal => {
            let differ = plain(b, Binary::Xor);
            b.unary(Unary::Not, differ)
        }
        Less => pair(b, Binary::And, (x[0], true), (x[1], false)),
        LessEqual => pair(b, Binary::Or, (x[0], true), (x[1], false)),
        Greater => pair(b, Binary::And, (x[0], false), (x[1], true)),
        GreaterEqual => pair(b, Binary::Or, (x[0], false), (x[1], true)),
        Select => b.select(x[0], x[1], x[2]),
        Neg | Abs | Sign | Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid | Sin | Cos | Atan | Floor | Ceil | Round
        | Trunc | Flush | IsNan | IsInf | Add | Sub | Mul | Div | Rem | Pow | MulAdd => panic!("{} of bool", func.name()),
    }
}

fn integer(b: &mut KernelBuilder, func: Func, x: &[ValueId]) -> ValueId {
    use Func::*;
    match func {
        Neg => b.unary(Unary::Neg, x[0]),
        Abs => integer_abs(b, x[0]),
        Sign => integer_sign(b, x[0]),
        Not => b.unary(Unary::Not, x[0]),
        Add => b.binary(Binary::Add, x[0], x[1]),
        Sub => b.binary(Binary::Sub, x[0], x[1]),
        Mul => b.binary(Binary::Mul, x[0], x[1]),
        Div => b.binary(Binary::Div, x[0], x[1]),
        Rem => b.binary(Binary::Rem, x[0], x[1]),
        Max => b.binary(Binary::Max, x[0], x[1]),
        Min => b.binary(Binary::Min, x[0], x[1]),
        And => b.binary(Binary::And, x[0], x[1]),
        Or => b.binary(Binary::Or, x[0], x[1]),
        Xor => b.binary(Binary::Xor, x[0], x[1]),
        Pow => integer_pow(b, x[0], x[1]),
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => compare(b, func, x),
        Select => b.select(x[0], x[1], x[2]),
        Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid | Sin | Cos | Atan | Floor | Ceil | Round | Trunc | Flush | IsNan
        | IsInf | MulAdd => panic!("{} of integers", func.name()),
    }
}

fn integer_abs(b: &mut KernelBuilder, x: ValueId) -> ValueId {
    let ty = b.ty(x);
    if ty.dtype.is_unsigned_int() {
        return x;
    }
    let zero = b.int(0, ty);
    let (negative, negated) = (b.compare(Compare::Less, x, zero), b.unary(Unary::Neg, x));
    b.select(negative, negated, x)
}

fn integer_sign(b: &mut KernelBuilder, x: ValueId) -> ValueId {
    let ty = b.ty(x);
    let (zero, one) = (b.int(0, ty), b.int(1, ty));
    let above = b.compare(Compare::Greater, x, zero);
    if ty.dtype.is_unsigned_int() {
        return b.select(above, one, zero);
    }
    let (minus, below) = (b.int(-1, ty), b.compare(Compare::Less, x, zero));
    let rest = b.select(below, minus, zero);
    b.select(above, one, rest)
}

/// By squaring, one turn a bit of the exponent. A negative exponent gives 0 unless the base is 1 or -1, which the bits of the exponent
/// settle rightly.
fn integer_pow(b: &mut KernelBuilder, base: ValueId, exponent: ValueId) -> ValueId {
    let ty = b.ty(base);
    let (zero, one, minus) = (b.int(0, ty), b.int(1, ty), b.int(-1, ty));
    let bits = sym::Expr::from(ty.dtype.size() as i64 * 8);
    let powers = b.for_loop("bit", (&sym::Expr::zero(), &bits, 1), &[one, base, exponent], |b, _, carried| {
        let (power, square, left) = (carried[0], carried[1], carried[2]);
        let low = b.binary(Binary::And, left, one);
        let odd = b.compare(Compare::NotEqual, low, zero);
        let more = b.binary(Binary::Mul, power, square);
        vec![b.select(odd, more, power), b.binary(Binary::Mul, square, square), b.binary(Binary::Shr, left, one)]
    });
    if ty.dtype.is_unsigned_int() && ty.dtype != DType::U64 {
        return powers[0];
    }
    let top = b.int(i64::MIN, ty);
    let negative = match ty.dtype {
        DType::U64 => b.compare(Compare::GreaterEqual, exponent, top),
        _ => b.compare(Compare::Less, exponent, zero),
    };
    let (is_one, is_minus) = (b.compare(Compare::Equal, base, one), b.compare(Compare::Equal, base, minus));
    let unit = b.binary(Binary::Or, is_one, is_minus);
    let other = b.unary(Unary::Not, unit);
    let none = b.binary(Binary::And, negative, other);
    b.select(none, zero, powers[0])
}
