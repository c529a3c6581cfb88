//! Trigonometric and hyperbolic functions and their inverses, in forms that keep all but a few units of the last place.

use super::Entry;
use super::elementwise::of_floats;
use super::units::log_one_plus;
use ::ops::Builder;
use ir::{Diagnostic, ValueId};
use nest::Func;

pub const OPS: &[Entry] = &[
    Entry("Tan", 7, |call| of_floats(call, tan)),
    Entry("Asin", 7, |call| of_floats(call, asin)),
    Entry("Acos", 7, |call| of_floats(call, acos)),
    Entry("Atan", 7, |call| of_floats(call, |b, x| b.map(Func::Atan, &[x]))),
    Entry("Sinh", 9, |call| of_floats(call, sinh)),
    Entry("Cosh", 9, |call| of_floats(call, cosh)),
    Entry("Asinh", 9, |call| of_floats(call, asinh)),
    Entry("Acosh", 9, |call| of_floats(call, acosh)),
    Entry("Atanh", 9, |call| of_floats(call, atanh)),
];

type Result<T> = std::result::Result<T, Diagnostic>;

fn tan(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let (sin, cos) = (b.map(Func::Sin, &[x])?, b.map(Func::Cos, &[x])?);
    b.map(Func::Div, &[sin, cos])
}

/// `1 + x` and `1 - x`.
fn sides(b: &mut Builder, x: ValueId) -> Result<[ValueId; 2]> {
    let above = b.map_number(Func::Add, x, 1.0)?;
    let one = b.number(b.dtype(x), 1.0);
    Ok([above, b.map_broadcast(Func::Sub, &[one, x])?])
}

/// `atan(x / sqrt((1 + x)(1 - x)))`
fn asin(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let [above, below] = sides(b, x)?;
    let product = b.map(Func::Mul, &[above, below])?;
    let root = b.map(Func::Sqrt, &[product])?;
    let tangent = b.map(Func::Div, &[x, root])?;
    b.map(Func::Atan, &[tangent])
}

/// `2 atan(sqrt((1 - x) / (1 + x)))`
fn acos(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let [above, below] = sides(b, x)?;
    let ratio = b.map(Func::Div, &[below, above])?;
    let tangent = b.map(Func::Sqrt, &[ratio])?;
    let half = b.map(Func::Atan, &[tangent])?;
    b.map_number(Func::Mul, half, 2.0)
}

/// Where `e^|x|` is computed as `e^(|x| - FAR) e^FAR`, of which half does not overflow before `cosh x` does. The difference is exact.
const FAR: f64 = 64.0;

/// `e^|x|/2 + 1/(4 (e^|x|/2))`
fn cosh(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let dtype = b.dtype(x);
    let size = b.map(Func::Abs, &[x])?;
    let far = b.map_number(Func::Greater, size, FAR)?;
    let [zero, half, quarter, shift, factor] = [0.0, 0.5, 0.25, FAR, FAR.exp() / 2.0].map(|number| b.number(dtype, number));
    let shift = b.map_broadcast(Func::Select, &[far, shift, zero])?;
    let factor = b.map_broadcast(Func::Select, &[far, factor, half])?;
    let size = b.map(Func::Sub, &[size, shift])?;
    let exp = b.map(Func::Exp, &[size])?;
    let rising = b.map(Func::Mul, &[exp, factor])?;
    let falling = b.map_broadcast(Func::Div, &[quarter, rising])?;
    b.map(Func::Add, &[rising, falling])
}

/// `tanh(x/2) (cosh x + 1)`
fn sinh(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let half = b.map_number(Func::Mul, x, 0.5)?;
    let tanh = b.map(Func::Tanh, &[half])?;
    let cosh = cosh(b, x)?;
    let sum = b.map_number(Func::Add, cosh, 1.0)?;
    b.map(Func::Mul, &[tanh, sum])
}

/// `near` up to 2^28, and `log 2x` beyond, where squares of x may overflow and 1 is nothing beside them.
fn or_log_of_double(b: &mut Builder, x: ValueId, near: ValueId) -> Result<ValueId> {
    let log = b.map(Func::Log, &[x])?;
    let log = b.map_number(Func::Add, log, std::f64::consts::LN_2)?;
    let far = b.map_number(Func::Greater, x, (1 << 28) as f64)?;
    b.map(Func::Select, &[far, log, near])
}

/// Of `t = |x|`, with the sign of x: `log(1 + t + t^2 / (1 + sqrt(1 + t^2)))`
fn asinh(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let size = b.map(Func::Abs, &[x])?;
    let square = b.map(Func::Mul, &[size, size])?;
    let sum = b.map_number(Func::Add, square, 1.0)?;
    let root = b.map(Func::Sqrt, &[sum])?;
    let below = b.map_number(Func::Add, root, 1.0)?;
    let quotient = b.map(Func::Div, &[square, below])?;
    let more = b.map(Func::Add, &[size, quotient])?;
    let near = log_one_plus(b, more)?;
    let value = or_log_of_double(b, size, near)?;
    with_sign(b, value, x)
}

/// `log(1 + t + sqrt(t) sqrt(x + 1))`, `t = x - 1`
fn acosh(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let (low, high) = (b.map_number(Func::Sub, x, 1.0)?, b.map_number(Func::Add, x, 1.0)?);
    let (low_root, high_root) = (b.map(Func::Sqrt, &[low])?, b.map(Func::Sqrt, &[high])?);
    let root = b.map(Func::Mul, &[low_root, high_root])?;
    let more = b.map(Func::Add, &[low, root])?;
    let near = log_one_plus(b, more)?;
    or_log_of_double(b, x, near)
}

/// Of `t = |x|`, with the sign of x: `log(1 + 2t / (1 - t)) / 2`
fn atanh(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let size = b.map(Func::Abs, &[x])?;
    let [_, below] = sides(b, size)?;
    let twice = b.map(Func::Add, &[size, size])?;
    let more = b.map(Func::Div, &[twice, below])?;
    let log = log_one_plus(b, more)?;
    let value = b.map_number(Func::Mul, log, 0.5)?;
    with_sign(b, value, x)
}

/// A positive value of an odd function, with the sign of x; 0 where x is.
fn with_sign(b: &mut Builder, value: ValueId, x: ValueId) -> Result<ValueId> {
    let sign = b.map(Func::Sign, &[x])?;
    b.map(Func::Mul, &[value, sign])
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    fn check_function(op: &str, x: &str, want: &str) {
        for dtype in ["f32", "f64"] {
            check(&format!("x: {dtype}[4] y = {op}(x) => y"), &[&format!("{dtype}[4] {x}")], &[&format!("{dtype}[4] {want}")]);
        }
    }

    #[test]
    fn angles() {
        check_function("Tan", "0 1 -1 3", "0 1.5574 -1.5574 -0.1425");
        check_function("Atan", "0 1 -inf nan", "0 0.7854 -1.5708 NaN");
        check_function("Asin", "0.5 1 -1 2", "0.5236 1.5708 -1.5708 NaN");
        check_function("Acos", "0.5 1 -1 -2", "1.0472 0 3.1416 NaN");
    }

    #[test]
    fn hyperbolic_functions() {
        check_function("Sinh", "0 1 -1 -inf", "0 1.1752 -1.1752 -inf");
        check_function("Cosh", "0 1 -1 -inf", "1 1.5431 1.5431 inf");
        let logs = "x: f64[2] y = Sinh(x) ly = Log(y) z = Cosh(x) lz = Log(z) => ly, lz";
        check(logs, &["f64[2] 64.5 710.4"], &["f64[2] 63.8069 709.7069", "f64[2] 63.8069 709.7069"]);
        check_function("Asinh", "0 1 -1 -inf", "0 0.8814 -0.8814 -inf");
        check_function("Acosh", "1 2 0.5 inf", "0 1.317 NaN inf");
        check_function("Acosh", "-1 -2 -100000 nan", "NaN NaN NaN NaN");
        check_function("Atanh", "0 0.5 -1 2", "0 0.5493 -inf NaN");
    }

    #[test]
    fn small_and_large_numbers_keep_their_accuracy() {
        let text = |op: &str| format!("x: f64[2] y = {op}(x) s: f64[] = 1000000000000 z = Mul(y, s) => z");
        for op in ["Sinh", "Asinh", "Atanh", "Asin", "Tan"] {
            check(&text(op), &["f64[2] 0.0000000000015 -0.0000000000015"], &["f64[2] 1.5 -1.5"]);
        }
        check("x: f64[2] y = Asinh(x) => y", &["f64[2] 1000000000000 -1000000000000"], &["f64[2] 28.3242 -28.3242"]);
    }
}
