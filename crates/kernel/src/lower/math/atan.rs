//! The arc tangent.
//!
//! Of `t = |x|`, with the sign of x: up to 1 `t + t^3 P(t^2)`; beyond, `pi/2` less that of `1/t`. Fits: `atan_f32`, `atan_f64`.

use super::float::Float;
use crate::kernel::{Compare, ValueId};

const F32: [f64; 9] = [
    -0.33333298563957214,
    0.1999852955341339,
    -0.14264015853405,
    0.10950881242752075,
    -0.0839930847287178,
    0.057881154119968414,
    -0.031096065416932106,
    0.010867577977478504,
    -0.001782383187673986,
];
const F64: [f64; 20] = [
    -0.3333333333333307,
    0.1999999999995145,
    -0.14285714282574583,
    0.11111111007012654,
    -0.09090907002788866,
    0.07692279837313919,
    -0.06666404044201767,
    0.058805277498324184,
    -0.05253518323603417,
    0.04722321620391156,
    -0.042191778285514146,
    0.036641896145363145,
    -0.02990384715513542,
    0.021984853356278523,
    -0.013900572535400078,
    0.007196520401294069,
    -0.0028849314630753167,
    0.0008313278494009793,
    -0.0001521624594085412,
    1.3225263646118342e-05,
];

/// pi/2 as a sum of two floats of the type.
const HALF_PI_F32: (f64, f64) = (std::f32::consts::FRAC_PI_2 as f64, -4.371139000186241e-08);
const HALF_PI_F64: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);

pub fn atan(f: &mut Float, x: ValueId) -> ValueId {
    let (size, one) = (f.abs(x), f.c(1.0));
    let inverse = f.div(one, size);
    let far = f.is(Compare::Greater, size, 1.0);
    let t = f.select(far, inverse, size);
    let square = f.mul(t, t);
    let p = f.poly(square, f.pick(&F32[..], &F64[..]));
    let bend = f.mul(square, p);
    let near = f.mul_add(bend, t, t);
    let (high, low) = f.pick(HALF_PI_F32, HALF_PI_F64);
    let (high, low) = (f.c(high), f.c(low));
    let below = f.sub(near, low);
    let rest = f.sub(high, below);
    let value = f.select(far, rest, near);
    let sign = f.sign_bit(x);
    f.flip(value, sign)
}
