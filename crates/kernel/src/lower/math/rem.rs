//! The remainder of floats, with the sign of the dividend; exact.
//!
//! One step takes `trunc(r/d) d` from `r` in f64: the quotient is right to 53 bits, the difference is a float, so the step is exact and
//! leaves less than `2^-52 r` or less than `d`. Enough steps leave the remainder, or it less `d` where a quotient was rounded up.

use super::float::Float;
use crate::kernel::{Compare, ValueId};
use ir::DType;
use sym::Expr;

pub fn rem(f: &mut Float, x: ValueId, y: ValueId) -> ValueId {
    let (dividend, divisor) = (f.b.convert(x, DType::F64), f.b.convert(y, DType::F64));
    let mut g = Float::of(f.b, dividend);
    let (size, divisor) = (g.abs(dividend), g.abs(divisor));
    let left = if f.is_f64() { steps_f64(f, size, divisor) } else { steps(f, size, divisor, 6) };
    let mut g = Float::of(f.b, left);
    let below = g.is(Compare::Less, left, 0.0);
    let raised = g.add(left, divisor);
    let left = g.select(below, raised, left);
    let sign = g.sign_bit(dividend);
    let left = g.abs(left);
    let left = g.flip(left, sign);
    // a finite number modulo infinity is itself
    let unbounded = g.is(Compare::Equal, divisor, f64::INFINITY);
    let finite = g.is(Compare::Less, size, f64::INFINITY);
    let kept = g.b.binary(crate::kernel::Binary::And, unbounded, finite);
    let left = g.select(kept, dividend, left);
    f.b.convert(left, f.ty.dtype)
}

fn steps(f: &mut Float, size: ValueId, divisor: ValueId, turns: i64) -> ValueId {
    let turns = (&Expr::zero(), &Expr::from(turns), 1);
    let left = f.b.for_loop("turn", turns, &[size], |b, _, left| {
        let mut g = Float::of(b, left[0]);
        let quotient = g.div(left[0], divisor);
        let quotient = g.trunc(quotient);
        let negated = g.neg(quotient);
        vec![g.fma(negated, divisor, left[0])]
    });
    left[0]
}

/// `r mod d = (r mod 2^k d) mod d` keeps the quotients finite: by the size of d, first modulo a multiple of it.
fn steps_f64(f: &mut Float, size: ValueId, divisor: ValueId) -> ValueId {
    let scaled = |f: &mut Float, powers: [i32; 2]| {
        let (tiny, small) = (f.is(Compare::Less, divisor, 2f64.powi(-60)), f.is(Compare::Less, divisor, 2.0));
        let by = |f: &mut Float, power: i32| {
            let half = f.c(2f64.powi(power / 2));
            let once = f.mul(divisor, half);
            f.mul(once, half)
        };
        let (most, some) = (by(f, powers[0]), by(f, powers[1]));
        let rest = f.select(small, some, divisor);
        f.select(tiny, most, rest)
    };
    let first = scaled(f, [1080, 64]);
    let left = steps(f, size, first, 24);
    let second = scaled(f, [540, 0]);
    let left = steps(f, left, second, 13);
    steps(f, left, divisor, 13)
}
