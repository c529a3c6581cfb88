//! Filters that are stretched where an axis shrinks, so that every element of the axis counts.

use super::{Line, ResizeAttrs, cubic_pieces};
use crate::build::core::Folded;
use ir::{Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

/// Smaller weights, before they are divided by their sum, are taken as 0, and their elements do not count: at the ends of the filter,
/// rounding decides whether a weight is 0 or nearly so, and an element there may be infinite.
const LEAST_WEIGHT: f64 = 1.0 / (1u64 << 21) as f64;

/// How far the filter reaches before it is stretched.
fn radius(resize: &ResizeAttrs) -> i64 {
    if resize.mode == "linear" { 1 } else { 2 }
}

/// The elements within the filter's reach, before they are clamped, with their weights.
pub fn taps(resize: &ResizeAttrs, at: f64, from: usize, to: usize) -> Vec<(i64, f64)> {
    let scale = if resize.scale == 0.0 { to as f64 / from as f64 } else { resize.scale }.min(1.0);
    let (reach, a) = (radius(resize) as f64 / scale, resize.cubic);
    let kernel = |d: f64| match resize.mode.as_str() {
        "linear" => 1.0 - d,
        _ if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        _ => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
    };
    let places = (at - reach).ceil() as i64..=(at + reach).floor() as i64;
    let places = places.filter(|place| !resize.exclude_outside || (0..from as i64).contains(place));
    let taps = places.map(|place| (place, kernel((place as f64 - at).abs() * scale)));
    let taps: Vec<(i64, f64)> = taps.filter(|(_, weight)| weight.abs() >= LEAST_WEIGHT).collect();
    let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
    taps.into_iter().map(|(place, weight)| (place, weight / sum)).collect()
}

/// How many elements lie within the filter's reach on either side of a coordinate.
fn reach(line: &Line, resize: &ResizeAttrs) -> Expr {
    let radius = radius(resize);
    match resize.scale {
        0.0 => (&line.from * radius).ceil_div(&line.to.maximum(&Expr::one())).maximum(&Expr::from(radius)),
        scale => Expr::from((radius as f64 / scale).ceil() as i64),
    }
}

/// The sums of x's elements, each times its weight for the coordinates `at`.
pub fn filtered(line: &mut Line, resize: &ResizeAttrs, x: ValueId, at: ValueId, axis: usize) -> Result<ValueId, Diagnostic> {
    let reach = reach(line, resize);
    let pairs = [line.to.clone(), &reach * 2];
    let tap = line.b.iota(&pairs, 1, line.dtype)?;
    let first = line.b.size(&(&Expr::one() - &reach), line.dtype)?;
    let at = line.b.unsqueeze(at, &[1])?;
    let floor = line.map(Func::Floor, &[at])?;
    let first = line.map(Func::Add, &[floor, first])?;
    let whole = line.map(Func::Add, &[first, tap])?;
    let weights = weights(line, resize, whole, at)?;
    let places = line.place(whole, 0)?;
    let b = &mut *line.b;
    let dtype = b.dtype(x);
    let elements = b.gather(x, places, axis)?;
    let wide = b.widened(elements)?;
    let weights = b.convert(weights, b.dtype(wide))?;
    let behind: Vec<usize> = (2..b.dims(wide).len() - axis).collect();
    let weights = b.unsqueeze(weights, &behind)?;
    let terms = b.map_broadcast(Func::Mul, &[wide, weights])?;
    let (zero, none) = (b.number(b.dtype(weights), 0.0), b.number(b.dtype(terms), 0.0));
    let counts = b.map_broadcast(Func::NotEqual, &[weights, zero])?;
    let terms = b.map_broadcast(Func::Select, &[counts, terms, none])?;
    let sum = b.reduce(Monoid::Sum, terms, &[axis + 1], Folded::Dropped)?;
    b.convert(sum, dtype)
}

/// The weights of elements at the places `whole`, each row for one coordinate; their sums are 1.
fn weights(line: &mut Line, resize: &ResizeAttrs, whole: ValueId, at: ValueId) -> Result<ValueId, Diagnostic> {
    let scale = line.scale(resize)?;
    let scale = line.number(Func::Min, scale, 1.0)?;
    let apart = line.map(Func::Sub, &[whole, at])?;
    let apart = line.map(Func::Abs, &[apart])?;
    let distance = line.map(Func::Mul, &[apart, scale])?;
    let zero = line.b.number(line.dtype, 0.0);
    let mut weights = match resize.mode.as_str() {
        "linear" => {
            let weight = line.one_minus(distance)?;
            line.map(Func::Max, &[weight, zero])?
        }
        _ => {
            let [near, far] = cubic_pieces(resize.cubic);
            let (near, far) = (line.polynomial(distance, near)?, line.polynomial(distance, far)?);
            let (is_near, is_far) = (line.number(Func::LessEqual, distance, 1.0)?, line.number(Func::Less, distance, 2.0)?);
            let far = line.map(Func::Select, &[is_far, far, zero])?;
            line.map(Func::Select, &[is_near, near, far])?
        }
    };
    let size = line.map(Func::Abs, &[weights])?;
    let counts = line.number(Func::GreaterEqual, size, LEAST_WEIGHT)?;
    weights = line.map(Func::Select, &[counts, weights, zero])?;
    if resize.exclude_outside {
        let outside = line.outside(whole)?;
        weights = line.map(Func::Select, &[outside, zero, weights])?;
    }
    let sums = line.b.reduce(Monoid::Sum, weights, &[1], Folded::Kept)?;
    line.map(Func::Div, &[weights, sums])
}
