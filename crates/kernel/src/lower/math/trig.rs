//! sin and cos.
//!
//! The angle in quarter turns is `n + r`, `n` whole, `|r| <= 1/2`; then `sin y = y + y^3 P(y^2)` and `cos y = 1 - y^2/2 + y^4 Q(y^2)` of
//! `y = r pi/2`, swapped and negated by `n`. Fits: `sin_f32`, `cos_f32`, `sin_f64`, `cos_f64`.

use super::float::Float;
use crate::kernel::{Binary, Compare, Ty, ValueId};
use ir::DType;

const SIN_F32: [f64; 3] = [-0.16666655242443085, 0.008332188241183758, -0.00019518093904480338];
const COS_F32: [f64; 3] = [0.04166664555668831, -0.00138873013202101, 2.4430670237052254e-05];
const SIN_F64: [f64; 6] = [
    -0.1666666666666663,
    0.008333333333322061,
    -0.00019841269829542409,
    2.7557313604483625e-06,
    -2.5050745034054902e-08,
    1.5896067416404928e-10,
];
const COS_F64: [f64; 6] = [
    0.0416666666666666,
    -0.0013888888888874064,
    2.4801587289443512e-05,
    -2.7557314340668476e-07,
    2.087572162491817e-09,
    -1.1359559390678293e-11,
];

/// 2/pi in pieces of 29 bits: an f32 times a piece is exact in f64.
const TWO_OVER_PI: [f64; 7] = [
    0.636619770899415,
    1.4681663246252086e-09,
    2.2760100671971816e-18,
    5.8812147387730434e-27,
    1.0346868700836215e-35,
    3.783256351091319e-45,
    3.720474886296508e-53,
];

/// pi/2 as a sum of three f64.
const HALF_PI: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

/// `x = (n + 4 k) pi/2 + y`.
struct Reduced {
    y: ValueId,
    /// The quadrant, as i32; only its last two bits count.
    n: ValueId,
}

pub fn sin(f: &mut Float, x: ValueId) -> ValueId {
    let Reduced { y, n } = reduce(f, x);
    quadrant(f, y, n)
}

pub fn cos(f: &mut Float, x: ValueId) -> ValueId {
    let Reduced { y, n } = reduce(f, x);
    let one = f.b.int(1, f.b.ty(n));
    let n = f.b.binary(Binary::Add, n, one);
    quadrant(f, y, n)
}

/// `sin(y + n pi/2)`.
fn quadrant(f: &mut Float, y: ValueId, n: ValueId) -> ValueId {
    let square = f.mul(y, y);
    let p = f.poly(square, f.pick(&SIN_F32[..], &SIN_F64[..]));
    let cube = f.mul(square, y);
    let sine = f.mul_add(p, cube, y);
    let (half, one) = (f.c(-0.5), f.c(1.0));
    let q = f.poly(square, f.pick(&COS_F32[..], &COS_F64[..]));
    let q = f.mul_add(q, square, half);
    let cosine = f.mul_add(q, square, one);
    let odd = bit_is_set(f, n, 1);
    let value = f.select(odd, cosine, sine);
    let negated = f.neg(value);
    let turned = bit_is_set(f, n, 2);
    f.select(turned, negated, value)
}

fn bit_is_set(f: &mut Float, n: ValueId, bit: i64) -> ValueId {
    let ty = f.b.ty(n);
    let (bit, zero) = (f.b.int(bit, ty), f.b.int(0, ty));
    let masked = f.b.binary(Binary::And, n, bit);
    f.b.compare(Compare::NotEqual, masked, zero)
}

fn reduce(f: &mut Float, x: ValueId) -> Reduced {
    if f.is_f64() { reduce_f64(f, x) } else { reduce_f32(f, x) }
}

/// Exact for every f32: each product with a piece of 2/pi is, and so is what is left of it modulo 4; the pieces are then added from the
/// largest on, after the whole quarter turns went.
fn reduce_f32(f: &mut Float, x: ValueId) -> Reduced {
    let wide = f.b.convert(x, DType::F64);
    let mut g = Float::of(f.b, wide);
    let (quarter, four) = (g.c(0.25), g.c(-4.0));
    let pieces: Vec<ValueId> = TWO_OVER_PI
        .iter()
        .map(|piece| {
            let piece = g.c(*piece);
            let product = g.mul(wide, piece);
            let turns = g.mul(product, quarter);
            let turns = g.round(turns);
            g.mul_add(turns, four, product)
        })
        .collect();
    let sum = pieces.iter().skip(1).fold(pieces[0], |sum, piece| g.add(sum, *piece));
    let whole = g.round(sum);
    let first = g.sub(pieces[0], whole);
    let rest = pieces.iter().skip(1).fold(first, |sum, piece| g.add(sum, *piece));
    let half_pi = g.c(HALF_PI[0]);
    let y = g.mul(rest, half_pi);
    Reduced { y: f.b.convert(y, DType::F32), n: f.b.convert(whole, DType::I32) }
}

/// Good to 2^27 quarter turns; the error grows beyond.
fn reduce_f64(f: &mut Float, x: ValueId) -> Reduced {
    let (turns, quarter) = (f.c(std::f64::consts::FRAC_2_PI), f.c(0.25));
    let turns = f.mul(x, turns);
    let whole = f.round(turns);
    let y = HALF_PI.iter().fold(x, |y, part| {
        let part = f.c(-part);
        f.fma(whole, part, y)
    });
    let cycles = f.mul(whole, quarter);
    let cycles = f.round(cycles);
    let four = f.c(-4.0);
    let n = f.mul_add(cycles, four, whole);
    let ty = Ty { dtype: DType::I32, lanes: f.ty.lanes };
    Reduced { y, n: f.b.convert(n, ty.dtype) }
}
