//! exp, tanh, sigmoid.
//!
//! `x = n log 2 + r` with `n` whole and `|r| <= log 2 / 2`; `e^x = 2^n e^r` with `e^r = 1 + r (1 + r P(r))`. Fits: `exp_f32`,
//! `exp_f64`, `tanh_f32`.

use super::float::Float;
use crate::kernel::{Binary, Compare, ValueId};

const F32: [f64; 5] = [0.4999999403953552, 0.16666516661643982, 0.041668105870485306, 0.00836913101375103, 0.0013836432481184602];
const F64: [f64; 10] = [
    0.5000000000000011,
    0.1666666666666641,
    0.04166666666652919,
    0.008333333333495627,
    0.0013888888943922354,
    0.0001984126950475702,
    2.4801492763043503e-05,
    2.7557587351527635e-06,
    2.763037854765961e-07,
    2.499996193486001e-08,
];

const TANH_F32: [f64; 5] = [-0.33333298563957214, 0.13331936299800873, -0.05378471687436104, 0.02079862542450428, -0.005897966679185629];

/// log 2 as a sum of two floats of the type.
const LOG2_F32: (f64, f64) = (std::f32::consts::LN_2 as f64, -1.904654323148236e-09);
const LOG2_F64: (f64, f64) = (std::f64::consts::LN_2, 2.3190468138462996e-17);

/// `e^x = 2^n (1 + r (1 + r p))`.
struct Reduced {
    r: ValueId,
    p: ValueId,
    /// As integers.
    n: ValueId,
}

/// Needs `|x|` below some thousands (or NaN: `r` is NaN then).
fn reduce(f: &mut Float, x: ValueId) -> Reduced {
    // adding 1.5 * 2^mantissa rounds to a whole number, which then stands in the low bits
    let shift = 1.5 * (f.mantissa_bits() as f64).exp2();
    let shift_bits = f.pick((shift as f32).to_bits() as i64, shift.to_bits() as i64);
    let (log2e, shift) = (f.c(std::f64::consts::LOG2_E), f.c(shift));
    let shifted = f.mul_add(x, log2e, shift);
    let whole = f.sub(shifted, shift);
    let (high, low) = f.pick(LOG2_F32, LOG2_F64);
    let (high, low) = (f.c(-high), f.c(-low));
    let r = f.fma(whole, high, x);
    let r = f.fma(whole, low, r);
    let p = f.poly(r, f.pick(&F32[..], &F64[..]));
    let (bits, base) = (f.bits_of(shifted), f.int(shift_bits));
    Reduced { r, p, n: f.b.binary(Binary::Sub, bits, base) }
}

/// `1 + r (1 + r p)`.
fn mantissa(f: &mut Float, r: ValueId, p: ValueId) -> ValueId {
    let one = f.c(1.0);
    let u = f.mul_add(p, r, one);
    // whole powers of whole numbers are to come out whole
    if f.is_f64() { f.fma(r, u, one) } else { f.mul_add(r, u, one) }
}

/// `2^(n - bias)` for integers `0 < n < 2 bias + 1`.
fn power_of_two(f: &mut Float, biased: ValueId) -> ValueId {
    let shift = f.int(f.mantissa_bits());
    let bits = f.b.binary(Binary::Shl, biased, shift);
    f.float_of(bits)
}

fn plus(f: &mut Float, n: ValueId, value: i64) -> ValueId {
    let value = f.int(value);
    f.b.binary(Binary::Add, n, value)
}

/// `e^x`: infinite on overflow, rounded once into the denormals.
pub fn exp(f: &mut Float, x: ValueId) -> ValueId {
    let (low, high) = f.pick((-104.0, 89.0), (-746.0, 710.0));
    let x = f.at_most(high, x);
    let x = f.at_least(low, x);
    let Reduced { r, p, n } = reduce(f, x);
    let value = mantissa(f, r, p);
    // 2^n may be no float: 2^floor(n/2) and 2^(n - floor(n/2)) are; the shift is logical, so of a positive number
    let bias = f.exponent_bias();
    let half = plus(f, n, 2 * (bias + 1));
    let by = f.int(1);
    let half = f.b.binary(Binary::Shr, half, by);
    let first = plus(f, half, -1);
    let second = f.b.binary(Binary::Sub, n, half);
    let second = plus(f, second, 2 * bias + 1);
    let (first, second) = (power_of_two(f, first), power_of_two(f, second));
    let value = f.mul(value, first);
    f.mul(value, second)
}

/// `e^x` where the result is a normal number for certain (or x is NaN).
pub fn exp_normal(f: &mut Float, x: ValueId) -> ValueId {
    let Reduced { r, p, n } = reduce(f, x);
    let biased = plus(f, n, f.exponent_bias());
    let (value, scale) = (mantissa(f, r, p), power_of_two(f, biased));
    f.mul(value, scale)
}

/// `e^x - 1` for `0 <= x <= 40`, or NaN.
fn exp_less_one(f: &mut Float, x: ValueId) -> ValueId {
    let Reduced { r, p, n } = reduce(f, x);
    let biased = plus(f, n, f.exponent_bias());
    let scale = power_of_two(f, biased);
    let bend = f.mul(p, r);
    let tail = f.fma(bend, r, r);
    let minus = f.c(-1.0);
    let whole = f.add(scale, minus);
    f.fma(tail, scale, whole)
}

/// Of `t = |x|`, with the sign of x: in f64 `m / (m + 2)` with `m = e^2t - 1`; in f32, where that could lose two units,
/// `1 - 2 / (e^2t + 1)`, and below 0.6 `t + t^3 P(t^2)`.
pub fn tanh(f: &mut Float, x: ValueId) -> ValueId {
    let size = f.abs(x);
    let bounded = f.at_most(20.0, size);
    let twice = f.add(bounded, bounded);
    let two = f.c(2.0);
    let value = if f.is_f64() {
        let m = exp_less_one(f, twice);
        let below = f.add(m, two);
        f.div(m, below)
    } else {
        let (power, one) = (exp_normal(f, twice), f.c(1.0));
        let below = f.add(power, one);
        let rest = f.div(two, below);
        let high = f.sub(one, rest);
        let low = tanh_low(f, size);
        let far = f.is(Compare::Greater, size, 0.6);
        f.select(far, high, low)
    };
    let sign = f.sign_bit(x);
    f.flip(value, sign)
}

fn tanh_low(f: &mut Float, t: ValueId) -> ValueId {
    let square = f.mul(t, t);
    let p = f.poly(square, &TANH_F32);
    let cube = f.mul(square, t);
    f.mul_add(p, cube, t)
}

/// `1 / (1 + z)` for x >= 0 and `z / (1 + z)` below, with `z = e^-|x|`: no overflow, right into the denormals.
pub fn sigmoid(f: &mut Float, x: ValueId) -> ValueId {
    let size = f.abs(x);
    let negated = f.neg(size);
    let z = exp(f, negated);
    let one = f.c(1.0);
    let below = f.add(z, one);
    let negative = f.is(Compare::Less, x, 0.0);
    let above = f.select(negative, z, one);
    f.div(above, below)
}
