//! Powers of floats, with the special cases of C's `pow`.
//!
//! `|x|^y = e^(y log |x|)`. For f32 both are computed in f64. For f64 the logarithm and the product carry a second float.

use super::exp::exp;
use super::float::Float;
use super::log::{F64 as LOG_F64, LOG2_F64, Split, log, split};
use crate::kernel::{Binary, Compare, Unary, ValueId};
use ir::{DType, Literal};

/// `x^y`; a small whole or half exponent that is known is multiplied out.
pub fn pow(f: &mut Float, x: ValueId, y: ValueId, exponent: Option<Literal>) -> ValueId {
    let one = f.c(1.0);
    match exponent.map(Literal::as_f64) {
        Some(0.0) => return one,
        Some(1.0) => return x,
        Some(-1.0) => return f.div(one, x),
        Some(2.0) => return f.mul(x, x),
        Some(3.0) => {
            let square = f.mul(x, x);
            return f.mul(square, x);
        }
        Some(0.5) => return root(f, x),
        _ => {}
    }
    let size = f.abs(x);
    let value = if f.is_f64() { size_f64(f, size, y) } else { size_f32(f, size, y) };
    special_cases(f, x, y, value)
}

/// `x^0.5`: the square root, but 0 of -0 and infinity of -infinity.
fn root(f: &mut Float, x: ValueId) -> ValueId {
    let zero = f.c(0.0);
    let positive = f.add(x, zero);
    let root = f.b.unary(Unary::Sqrt, positive);
    let (lowest, infinity) = (f.is(Compare::Equal, x, f64::NEG_INFINITY), f.c(f64::INFINITY));
    f.select(lowest, infinity, root)
}

fn size_f32(f: &mut Float, size: ValueId, y: ValueId) -> ValueId {
    let (size, y) = (f.b.convert(size, DType::F64), f.b.convert(y, DType::F64));
    let mut g = Float::of(f.b, size);
    let logarithm = log(&mut g, size);
    let exponent = g.mul(y, logarithm);
    let value = exp(&mut g, exponent);
    g.b.convert(value, DType::F32)
}

/// `log size = high + low`, with about 60 bits.
fn size_f64(f: &mut Float, size: ValueId, y: ValueId) -> ValueId {
    let Split { exponent, fraction } = split(f, size, std::f64::consts::FRAC_1_SQRT_2);
    let two = f.c(2.0);
    let below = f.add(fraction, two);
    let s = f.div(fraction, below);
    // the quotient's error: (fraction - s * (2 + fraction)) / (2 + fraction), with the error of the sum below it
    let lost = f.sub(below, two);
    let lost = f.sub(fraction, lost);
    let negated = f.neg(s);
    let error = f.fma(negated, below, fraction);
    let error = f.fma(negated, lost, error);
    let error = f.div(error, below);
    let z = f.mul(s, s);
    let p = f.poly(z, &LOG_F64);
    let cube = f.mul(z, s);
    let tail = f.mul(cube, p);
    let (high, low) = (f.c(LOG2_F64.0), f.c(LOG2_F64.1));
    let whole = f.mul(exponent, high);
    let twice = f.add(s, s);
    let sum = f.add(whole, twice);
    let taken = f.sub(sum, whole);
    let rounding = f.sub(twice, taken);
    let error = f.add(error, error);
    let small = f.fma(exponent, low, tail);
    let small = f.add(small, error);
    let small = f.add(small, rounding);
    let high = f.add(sum, small);
    let taken = f.sub(high, sum);
    let low = f.sub(small, taken);
    // of size 0, infinity and NaN the logarithm alone counts
    let plain = log(f, size);
    let (zero, ends) = (f.c(0.0), f.is(Compare::Equal, size, 0.0));
    let finite = f.is(Compare::Less, size, f64::INFINITY);
    let inner = f.b.unary(Unary::Not, ends);
    let regular = f.b.binary(Binary::And, finite, inner);
    let (high, low) = (f.select(regular, high, plain), f.select(regular, low, zero));
    exp_of_product(f, y, high, low)
}

/// `e^(y (high + low))`.
fn exp_of_product(f: &mut Float, y: ValueId, high: ValueId, low: ValueId) -> ValueId {
    let product = f.mul(y, high);
    let negated = f.neg(product);
    let rest = f.fma(y, high, negated);
    let rest = f.fma(y, low, rest);
    let size = f.abs(product);
    let moderate = f.is(Compare::Less, size, 1000.0);
    let zero = f.c(0.0);
    let rest = f.select(moderate, rest, zero);
    let value = exp(f, product);
    let finite = f.is(Compare::Less, value, f64::INFINITY);
    let corrected = f.fma(value, rest, value);
    f.select(finite, corrected, value)
}

/// From `|x|^y` as far as `e^(y log |x|)` tells it.
fn special_cases(f: &mut Float, x: ValueId, y: ValueId, value: ValueId) -> ValueId {
    let (one, nan, half) = (f.c(1.0), f.c(f64::NAN), f.c(0.5));
    let size = f.abs(x);
    let unit = f.is(Compare::Equal, size, 1.0);
    let known = f.b.compare(Compare::Equal, y, y);
    let unit = f.b.binary(Binary::And, unit, known);
    let value = f.select(unit, one, value);
    // negative x: the sign by an odd y; no number for a y that is not whole
    let whole = f.b.unary(Unary::Floor, y);
    let is_whole = f.b.compare(Compare::Equal, whole, y);
    let halved = f.mul(y, half);
    let floor = f.b.unary(Unary::Floor, halved);
    let is_half = f.b.compare(Compare::NotEqual, floor, halved);
    let odd = f.b.binary(Binary::And, is_whole, is_half);
    let sign = f.sign_bit(x);
    let flipped = f.flip(value, sign);
    let value = f.select(odd, flipped, value);
    let negative = f.is(Compare::Less, x, 0.0);
    let finite = f.is(Compare::Greater, x, f64::NEG_INFINITY);
    let split = f.b.unary(Unary::Not, is_whole);
    let outside = f.b.binary(Binary::And, negative, finite);
    let outside = f.b.binary(Binary::And, outside, split);
    let value = f.select(outside, nan, value);
    let (base_one, power_zero) = (f.is(Compare::Equal, x, 1.0), f.is(Compare::Equal, y, 0.0));
    let certain = f.b.binary(Binary::Or, base_one, power_zero);
    f.select(certain, one, value)
}
