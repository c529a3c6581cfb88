//! The natural logarithm.
//!
//! `x = 2^e m`. In f32 with `m` in [2/3, 4/3): `log(1 + f) = f + f^2 P(f)`. In f64 with `m` in [sqrt 1/2, sqrt 2):
//! `log(1 + f) = 2 s + s^3 P(s^2)`, `s = f / (2 + f)`, put as `f - (f^2/2 - s (f^2/2 + s^2 P))`, which loses nothing near 1.
//! Fits: `log_f32`, `log_f64`.

use super::float::Float;
use crate::kernel::{Binary, Compare, ValueId};

const F32: [f64; 9] = [
    -0.5,
    0.33333197236061096,
    -0.24999919533729553,
    0.20011433959007263,
    -0.16674451529979706,
    0.13990876078605652,
    -0.12274513393640518,
    0.14053447544574738,
    -0.12458126246929169,
];
pub const F64: [f64; 7] = [
    0.6666666666666734,
    0.39999999999414354,
    0.2857142874246784,
    0.2222219856425387,
    0.1818356482418689,
    0.1531403698546266,
    0.1479609333938363,
];

/// log 2 with its last bits cut, so that products with exponents are exact, and the rest.
pub const LOG2_F64: (f64, f64) = (0.6931471805601177, -1.7239444525614835e-13);

/// `x = 2^exponent (1 + fraction)` for positive finite x.
pub struct Split {
    pub exponent: ValueId,
    pub fraction: ValueId,
}

/// `1 + fraction` lies in [low, 2 low).
pub fn split(f: &mut Float, x: ValueId, low: f64) -> Split {
    let (smallest, lift) = f.pick((f32::MIN_POSITIVE as f64, 23.0), (f64::MIN_POSITIVE, 52.0));
    let denormal = f.is(Compare::Less, x, smallest);
    let factor = f.c(f64::exp2(lift));
    let lifted = f.mul(x, factor);
    let x = f.select(denormal, lifted, x);
    let (lift, none) = (f.c(-lift), f.c(0.0));
    let start = f.select(denormal, lift, none);
    let low_bits = f.pick((low as f32).to_bits() as i64, low.to_bits() as i64);
    let (bits, low_bits) = (f.bits_of(x), f.int(low_bits));
    let above = f.b.binary(Binary::Sub, bits, low_bits);
    let mask = f.int(-1 << f.mantissa_bits());
    let exponent = f.b.binary(Binary::And, above, mask);
    let bits = f.b.binary(Binary::Sub, bits, exponent);
    let (one, mantissa) = (f.c(1.0), f.float_of(bits));
    let exponent = f.b.convert(exponent, f.ty.dtype);
    let unit = f.c(f64::exp2(-f.mantissa_bits() as f64));
    Split { exponent: f.mul_add(exponent, unit, start), fraction: f.sub(mantissa, one) }
}

pub fn log(f: &mut Float, x: ValueId) -> ValueId {
    let value = if f.is_f64() { finite_f64(f, x) } else { finite_f32(f, x) };
    // infinity and NaN stay; 0 gives minus infinity, below 0 there is nothing
    let finite = f.is(Compare::Less, x, f64::INFINITY);
    let value = f.select(finite, value, x);
    let zero = f.is(Compare::Equal, x, 0.0);
    let (pole, nan) = (f.c(f64::NEG_INFINITY), f.c(f64::NAN));
    let edge = f.select(zero, pole, nan);
    let outside = f.is(Compare::LessEqual, x, 0.0);
    f.select(outside, edge, value)
}

fn finite_f32(f: &mut Float, x: ValueId) -> ValueId {
    let Split { exponent, fraction } = split(f, x, 2.0 / 3.0);
    let p = f.poly(fraction, &F32);
    let square = f.mul(fraction, fraction);
    let tail = f.mul_add(p, square, fraction);
    let log2 = f.c(std::f64::consts::LN_2);
    f.fma(exponent, log2, tail)
}

fn finite_f64(f: &mut Float, x: ValueId) -> ValueId {
    let Split { exponent, fraction } = split(f, x, std::f64::consts::FRAC_1_SQRT_2);
    let two = f.c(2.0);
    let below = f.add(fraction, two);
    let s = f.div(fraction, below);
    let z = f.mul(s, s);
    let p = f.poly(z, &F64);
    let half = f.c(0.5);
    let half_square = f.mul(fraction, half);
    let half_square = f.mul(half_square, fraction);
    let inner = f.mul_add(p, z, half_square);
    let (high, low) = (f.c(LOG2_F64.0), f.c(LOG2_F64.1));
    let correction = f.mul(exponent, low);
    let correction = f.mul_add(s, inner, correction);
    let rest = f.sub(correction, half_square);
    let sum = f.add(rest, fraction);
    f.fma(exponent, high, sum)
}
