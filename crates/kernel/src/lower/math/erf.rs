//! The error function.
//!
//! Near 0, `erf(x) = x + x P(x^2)`. Beyond, in f32: `1 - exp(-(t + t Q(t)))`, `t = |x|`; in f64: `1 - exp(-t^2) Q(u)` with
//! `u = 3/(t + 2) - 0.6875`. Fits: `erf_low_f32`, `erf_high_f32`, `erf_low_f64`, `erf_high_f64`.

use super::exp::{exp, exp_normal};
use super::float::Float;
use crate::kernel::{Compare, ValueId};

const LOW_F32: [f64; 7] = [
    0.12837916612625122,
    -0.3761262893676758,
    0.11283624172210693,
    -0.026855560019612312,
    0.005191753152757883,
    -0.0008039752719923854,
    7.943100354168564e-05,
];
const HIGH_F32: [f64; 7] = [
    0.12863707542419434,
    0.6351980566978455,
    0.10615897923707962,
    -0.023694483563303947,
    0.003610289888456464,
    -0.00031484058126807213,
    1.043230622599367e-05,
];
const LOW_F64: [f64; 13] = [
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954857,
    -0.026866170645072896,
    0.005223977624780871,
    -0.0008548326978742374,
    0.00012055331036906764,
    -1.4925593507109043e-05,
    1.6460972821431944e-06,
    -1.6350025279140323e-07,
    1.4657880285400842e-08,
    -1.1365667901812112e-09,
    5.945265378995368e-11,
];
const HIGH_F64: [f64; 17] = [
    0.2214295402299318,
    0.5180594177312798,
    0.3948602411538696,
    0.18313433192337092,
    0.020671541042184167,
    -0.027109365248199166,
    -0.007881821091813151,
    0.006801723113225492,
    0.0017976934780795052,
    -0.002464794964396243,
    -6.62458293571901e-05,
    0.0009457436615106399,
    -0.00031009526460544615,
    -0.00027544453224829504,
    0.00026327524812849956,
    1.7762619821045502e-05,
    -0.00011826115336576635,
];

pub fn erf(f: &mut Float, x: ValueId) -> ValueId {
    let size = f.abs(x);
    let square = f.mul(x, x);
    let p = f.poly(square, f.pick(&LOW_F32[..], &LOW_F64[..]));
    let low = f.mul_add(p, x, x);
    let complement = if f.is_f64() { complement_f64(f, size) } else { complement_f32(f, size) };
    let one = f.c(1.0);
    let high = f.sub(one, complement);
    let sign = f.sign_bit(x);
    let high = f.flip(high, sign);
    let far = f.is(Compare::Greater, size, f.pick(0.9, 1.0));
    f.select(far, high, low)
}

/// `1 - erf(t)` from 0.9 to 4; from there on erf is 1 in f32.
fn complement_f32(f: &mut Float, t: ValueId) -> ValueId {
    let t = f.at_most(4.0, t);
    let q = f.poly(t, &HIGH_F32);
    let exponent = f.mul_add(q, t, t);
    let exponent = f.neg(exponent);
    exp_normal(f, exponent)
}

/// `1 - erf(t)` from 1 to 6; from there on erf is 1 in f64.
fn complement_f64(f: &mut Float, t: ValueId) -> ValueId {
    let t = f.at_most(6.0, t);
    let (two, three, centre) = (f.c(2.0), f.c(3.0), f.c(0.6875));
    let below = f.add(t, two);
    let u = f.div(three, below);
    let u = f.sub(u, centre);
    let q = f.poly(u, &HIGH_F64);
    let square = f.mul(t, t);
    let exponent = f.neg(square);
    let bell = exp(f, exponent);
    f.mul(bell, q)
}
