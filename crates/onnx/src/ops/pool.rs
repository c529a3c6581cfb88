//! Pools: folds of windows, or of all spatial axes.

use super::Entry;
use super::activation::lowest;
use super::pad::pad_spatial;
use super::window::{Rounding, Window, spatial_dims};
use crate::import::{Call, Outcome, one, sizes};
use ::ops::Folded;
use ir::{Code, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("MaxPool", 1, max_pool),
    Entry("AveragePool", 1, average_pool),
    Entry("GlobalMaxPool", 1, |call| global(call, Monoid::Max)),
    Entry("GlobalAveragePool", 1, global_average),
    Entry("LpPool", 2, lp_pool),
    Entry("GlobalLpPool", 2, global_lp),
];

fn window(call: &Call, spatial: &[Expr]) -> Result<Window, Diagnostic> {
    let taps = call.ints("kernel_shape")?.ok_or_else(|| call.attribute_error("attribute `kernel_shape` is missing"))?;
    let rounding = if call.flag_or("ceil_mode", false)? { Rounding::Ceil } else { Rounding::Floor };
    Window::read(call, taps, spatial, rounding)
}

fn max_pool(call: &mut Call) -> Outcome {
    let column_major = call.flag_or("storage_order", false)?;
    if call.wants(1) {
        let order = if column_major { "column-major " } else { "" };
        return Err(call.unsupported(format!("the {order}indices of the maxima")).into());
    }
    let window = window(call, &spatial_dims(call)?)?;
    let x = call.value(0)?;
    one(folded_windows(call, Monoid::Max, x, &window)?)
}

/// The windows' folds. Padding that depends on sizes is put around x first, with the fold's identity.
fn folded_windows(call: &mut Call, kind: Monoid, x: ValueId, window: &Window) -> Result<ValueId, Diagnostic> {
    if let Some(attrs) = window.constant() {
        return call.b().reduce_window(kind, x, &window.taps, &attrs);
    }
    let identity = match kind {
        Monoid::Max => lowest(call.b().dtype(x)),
        Monoid::Sum | Monoid::Product | Monoid::Min | Monoid::And | Monoid::Or => Literal::Int(0),
    };
    let padded = pad_spatial(call, x, identity, &window.low, &window.high)?;
    call.b().reduce_window(kind, padded, &window.taps, &window.unpadded())
}

fn average_pool(call: &mut Call) -> Outcome {
    let count_padding = call.flag_or("count_include_pad", false)?;
    let spatial = spatial_dims(call)?;
    let window = window(call, &spatial)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    if !dtype.is_float() {
        return Err(call.error(Code::Type, format!("AveragePool is not defined on {dtype}")).into());
    }
    let x = call.b().widened(x)?;
    let sum = folded_windows(call, Monoid::Sum, x, &window)?;
    let mean = if !window.is_padded() || count_padding && window.asked_high == window.high {
        let taps = window.taps.iter().fold(1.0, |count, taps| count * *taps as f64);
        call.b().map_number(Func::Div, sum, taps)?
    } else {
        let counted = match count_padding {
            true => [window.low.clone(), window.high.iter().zip(&window.asked_high).map(|(a, b)| sizes::minimum(a, b)).collect()].concat(),
            false => vec![Expr::zero(); 2 * spatial.len()],
        };
        let wide = call.b().dtype(x);
        let counts = counts(call, wide, &spatial, &window, &counted)?;
        call.b().map_broadcast(Func::Div, &[sum, counts])?
    };
    one(call.b().convert(mean, dtype)?)
}

/// For each window position how many of its elements count: those of the input and of `counted` padding.
fn counts(call: &mut Call, dtype: ir::DType, spatial: &[Expr], window: &Window, counted: &[Expr]) -> Result<ValueId, Diagnostic> {
    let axes = spatial.len();
    let dims: Vec<Expr> = (0..axes).map(|axis| &(&spatial[axis] + &counted[axis]) + &counted[axes + axis]).collect();
    let dims = [vec![Expr::one(), Expr::one()], dims].concat();
    let one = call.b().number(dtype, 1.0);
    let ones = call.b().broadcast(one, &dims)?;
    let rest = |padding: &[Expr], counted: &[Expr]| padding.iter().zip(counted).map(|(all, counted)| all - counted).collect();
    let (low, high) = (rest(&window.low, &counted[..axes]), rest(&window.high, &counted[axes..]));
    folded_windows(call, Monoid::Sum, ones, &Window { low, high, ..window.clone() })
}

fn spatial_axes(call: &Call) -> Result<Vec<usize>, Diagnostic> {
    Ok((2..spatial_dims(call)?.len() + 2).collect())
}

fn global(call: &mut Call, kind: Monoid) -> Outcome {
    let axes = spatial_axes(call)?;
    let x = call.value(0)?;
    one(call.b().reduce(kind, x, &axes, Folded::Kept)?)
}

fn global_average(call: &mut Call) -> Outcome {
    let axes = spatial_axes(call)?;
    let x = call.value(0)?;
    let dtype = call.b().dtype(x);
    let wide = call.b().widened(x)?;
    let mean = call.b().mean(wide, &axes, Folded::Kept)?;
    one(call.b().convert(mean, dtype)?)
}

/// The exponent of a norm.
fn exponent(call: &Call) -> Result<f64, Diagnostic> {
    match call.int_or("p", 2)? {
        p if p >= 1 => Ok(p as f64),
        p => Err(call.attribute_error(format!("attribute `p` is {p}"))),
    }
}

/// `(fold |x|^p)^(1/p)`
fn norm(call: &mut Call, fold: impl FnOnce(&mut Call, ValueId) -> Result<ValueId, Diagnostic>) -> Outcome {
    let p = exponent(call)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let x = call.b().widened(x)?;
    let absolute = call.b().map(Func::Abs, &[x])?;
    let powers = power(call, absolute, p)?;
    let sum = fold(call, powers)?;
    let root = match p {
        2.0 => call.b().map(Func::Sqrt, &[sum])?,
        _ => power(call, sum, 1.0 / p)?,
    };
    one(call.b().convert(root, dtype)?)
}

fn power(call: &mut Call, x: ValueId, p: f64) -> Result<ValueId, Diagnostic> {
    match p {
        1.0 => Ok(x),
        2.0 => call.b().map(Func::Mul, &[x, x]),
        _ => call.b().map_number(Func::Pow, x, p),
    }
}

fn lp_pool(call: &mut Call) -> Outcome {
    let window = window(call, &spatial_dims(call)?)?;
    norm(call, |call, x| folded_windows(call, Monoid::Sum, x, &window))
}

fn global_lp(call: &mut Call) -> Outcome {
    let axes = spatial_axes(call)?;
    norm(call, |call, x| call.b().reduce(Monoid::Sum, x, &axes, Folded::Kept))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn windows_of_maxima() {
        check(
            "x: f32[1, 1, 5] y = MaxPool {kernel_shape = [2], strides = [2]} (x) => y",
            &["f32[1, 1, 5] 1 2 3 4 5"],
            &["f32[1, 1, 2] 2 4"],
        );
        check(
            "x: f32[1, 1, n] y = MaxPool {kernel_shape = [2], strides = [2], ceil_mode = 1} (x) => y",
            &["f32[1, 1, 5] 1 2 3 4 5"],
            &["f32[1, 1, 3] 2 4 5"],
        );
        check(
            "x: i8[1, 1, 3] y = MaxPool {kernel_shape = [2], pads = [1, 0]} (x) => y",
            &["i8[1, 1, 3] -9 -3 -4"],
            &["i8[1, 1, 3] -9 -3 -3"],
        );
    }

    #[test]
    fn averages_count_padding_or_not() {
        let text = |count: i64| {
            format!("x: f32[1, 1, 3] y = AveragePool {{kernel_shape = [2], pads = [1, 0], count_include_pad = {count}}} (x) => y")
        };
        check(&text(0), &["f32[1, 1, 3] 4 2 6"], &["f32[1, 1, 3] 4 3 4"]);
        check(&text(1), &["f32[1, 1, 3] 4 2 6"], &["f32[1, 1, 3] 2 3 4"]);
        let ceil = "x: f32[1, 1, n] y = AveragePool {kernel_shape = [2], strides = [2], pads = [1, 0], ceil_mode = 1, count_include_pad = 1} (x) => y";
        check(ceil, &["f32[1, 1, 4] 4 2 6 8"], &["f32[1, 1, 3] 2 4 8"]);
        for (side, want) in [("UPPER", "3 4 2"), ("LOWER", "1 3 4")] {
            let text = format!(
                "x: f32[1, 1, n] y = AveragePool {{kernel_shape = [2], auto_pad = \"SAME_{side}\", count_include_pad = 1}} (x) => y"
            );
            check(&text, &["f32[1, 1, 3] 2 4 4"], &[&format!("f32[1, 1, 3] {want}")]);
        }
        check("x: f16[1, 1, 2] y = AveragePool {kernel_shape = [2]} (x) => y", &["f16[1, 1, 2] 40000 40000"], &["f16[1, 1, 1] 40000"]);
    }

    #[test]
    fn whole_axes() {
        check(
            "x: f32[1, 2, n] y = GlobalAveragePool(x) z = GlobalMaxPool(x) => y, z",
            &["f32[1, 2, 2] 1 3 5 8"],
            &["f32[1, 2, 1] 2 6.5", "f32[1, 2, 1] 3 8"],
        );
    }

    #[test]
    fn norms() {
        let text = |p: i64| {
            format!(
                "x: f32[1, 1, 3] y = LpPool {{kernel_shape = [2], p = {p}, pads = [0, 1]}} (x) z = GlobalLpPool {{p = {p}}} (x) => y, z"
            )
        };
        check(&text(2), &["f32[1, 1, 3] 3 -4 0"], &["f32[1, 1, 3] 5 4 0", "f32[1, 1, 1] 5"]);
        check(&text(1), &["f32[1, 1, 3] 3 -4 0"], &["f32[1, 1, 3] 7 4 0", "f32[1, 1, 1] 7"]);
        check(&text(3), &["f32[1, 1, 3] 1 0 -2"], &["f32[1, 1, 3] 1 2 2", "f32[1, 1, 1] 2.0801"]);
    }
}
