//! Pools: folds of windows, or of all spatial axes.

use super::Entry;
use super::activation::lowest;
use super::pad::pad_spatial;
use super::window::{Rounding, Window, spatial_dims};
use crate::import::{Call, Outcome, one, sizes};
use ::ops::Folded;
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("MaxPool", 1, max_pool),
    Entry("MaxUnpool", 9, max_unpool),
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
    let spatial = spatial_dims(call)?;
    let window = window(call, &spatial)?;
    let x = call.value(0)?;
    let maxima = folded_windows(call, Monoid::Max, x, &window)?;
    if !call.wants(1) {
        return one(maxima);
    }
    let places = places_of_maxima(call, x, maxima, &window, column_major)?;
    Ok(vec![maxima.into(), places.into()])
}

/// The most elements of a window whose maximum is placed.
const MOST_PLACES: i64 = 1 << 16;
/// Larger than the index of any element.
const NOWHERE: i64 = 1 << 62;

/// For each window the index of its first maximum in the whole tensor; `column_major` is meant of the spatial axes.
fn places_of_maxima(call: &mut Call, x: ValueId, maxima: ValueId, window: &Window, column_major: bool) -> Result<ValueId, Diagnostic> {
    let dims = call.b().dims(x).to_vec();
    let spatial = &dims[2..];
    if window.taps.iter().fold(1_i64, |count, taps| count.saturating_mul(*taps)) > MOST_PLACES {
        return Err(call.unsupported(format!("the indices of the maxima of windows {:?}", window.taps)));
    }
    let numbers = spatial_numbers(call, spatial, column_major)?;
    let nowhere = Literal::Int(NOWHERE);
    let numbers = pad_spatial(call, numbers, nowhere, &window.low, &window.high)?;
    let numbers = windows(call, numbers, window)?;
    let dtype = call.b().dtype(x);
    let padded = pad_spatial(call, x, lowest(dtype), &window.low, &window.high)?;
    let elements = windows(call, padded, window)?;
    let taps: Vec<usize> = (0..spatial.len()).map(|axis| 3 + 2 * axis).collect();
    let b = call.b();
    let maxima = b.unsqueeze(maxima, &taps)?;
    let is_largest = b.map_broadcast(Func::Equal, &[elements, maxima])?;
    let nowhere = b.scalar(DType::I64, nowhere);
    let found = b.map_broadcast(Func::Select, &[is_largest, numbers, nowhere])?;
    let first = b.reduce(Monoid::Min, found, &taps, Folded::Dropped)?;
    let image = b.size(&Expr::product(spatial), DType::I64)?;
    let (batch, channel) = (b.iota(&dims[..2], 0, DType::I64)?, b.iota(&dims[..2], 1, DType::I64)?);
    let channels = b.size(&dims[1], DType::I64)?;
    let before = b.map_broadcast(Func::Mul, &[batch, channels])?;
    let before = b.map(Func::Add, &[before, channel])?;
    let before = b.map_broadcast(Func::Mul, &[before, image])?;
    let before = b.unsqueeze(before, &(2..dims.len()).collect::<Vec<usize>>())?;
    b.map_broadcast(Func::Add, &[first, before])
}

/// The number of each element of an image, `[1, 1, spatial..]`.
fn spatial_numbers(call: &mut Call, spatial: &[Expr], column_major: bool) -> Result<ValueId, Diagnostic> {
    let dims = [&[Expr::one(), Expr::one()], spatial].concat();
    let b = call.b();
    let mut sum = b.number(DType::I64, 0.0);
    for axis in 0..spatial.len() {
        let inner = if column_major { &spatial[..axis] } else { &spatial[axis + 1..] };
        let stride = b.size(&Expr::product(inner), DType::I64)?;
        let at = b.iota(&dims, 2 + axis, DType::I64)?;
        let part = b.map_broadcast(Func::Mul, &[at, stride])?;
        sum = b.map_broadcast(Func::Add, &[sum, part])?;
    }
    Ok(sum)
}

/// The windows of an image that has its padding: each spatial axis becomes one of positions and one of taps.
fn windows(call: &mut Call, padded: ValueId, window: &Window) -> Result<ValueId, Diagnostic> {
    let mut x = padded;
    for axis in 0..window.taps.len() {
        let at = 2 + 2 * axis;
        let b = call.b();
        let extent = (window.taps[axis] - 1).saturating_mul(window.dilations[axis]).saturating_add(1);
        let positions = (b.dims(x)[at].clone() - extent).floor_div(&Expr::from(window.strides[axis])) + 1;
        let dims = [positions, Expr::from(window.taps[axis])];
        let position = b.iota(&dims, 0, DType::I64)?;
        let position = b.map_number(Func::Mul, position, window.strides[axis] as f64)?;
        let tap = b.iota(&dims, 1, DType::I64)?;
        let tap = b.map_number(Func::Mul, tap, window.dilations[axis] as f64)?;
        let place = b.map(Func::Add, &[position, tap])?;
        x = b.gather(x, place, at)?;
    }
    Ok(x)
}

/// Elements put back where `MaxPool` found them, among zeros.
fn max_unpool(call: &mut Call) -> Outcome {
    let spatial = spatial_dims(call)?;
    let window = window(call, &spatial)?;
    let dims = call.dims(0)?;
    if call.dims(1)? != dims {
        return Err(call.error(Code::Shape, format!("indices {} of {}", call.ty(1)?, call.ty(0)?)).into());
    }
    let mut whole = dims[..2].to_vec();
    for (axis, size) in spatial.iter().enumerate() {
        let reach = (size - 1) * window.strides[axis] + window.taps[axis];
        whole.push(&(&reach - &window.low[axis]) - &window.high[axis]);
    }
    let asked = call.optional(2).map(|_| call.sizes(2, "output_shape")).transpose()?;
    let (x, indices) = (call.value(0)?, call.value(1)?);
    let b = call.b();
    let (count, total) = (Expr::product(&dims), Expr::product(&whole));
    let zero = b.number(b.dtype(x), 0.0);
    let zeros = b.broadcast(zero, &[total])?;
    let (x, indices) = (b.reshape(x, std::slice::from_ref(&count))?, b.reshape(indices, &[count])?);
    let flat = b.scatter_elements([zeros, indices, x], 0, None)?;
    let y = b.reshape(flat, &whole)?;
    let Some(asked) = asked else { return one(y) };
    if asked.len() != whole.len() {
        return Err(call.error(Code::Shape, format!("`output_shape` is {asked:?} for rank {}", whole.len())).into());
    }
    let more: Vec<Expr> = asked.iter().zip(&whole).map(|(asked, own)| asked - own).collect();
    if more.iter().any(|more| sizes::is_nonnegative(more) == Some(false)) {
        return Err(call.unsupported(format!("`output_shape` {asked:?}, less than {whole:?}")).into());
    }
    let low = vec![Expr::zero(); whole.len()];
    one(call.b().pad(y, zero, &low, &more)?)
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
    fn maxima_know_their_place() {
        let text = |attributes: &str| format!("x: f32[n, 2, 2, 2] y, i = MaxPool {{kernel_shape = [2, 1], {attributes}}} (x) => y, i");
        let x = "f32[1, 2, 2, 2] 1 2 3 0 -1 -1 -1 -2";
        let y = "f32[1, 2, 1, 2] 3 2 -1 -1";
        check(&text("storage_order = 0"), &[x], &[y, "i64[1, 2, 1, 2] 2 1 4 5"]);
        check(&text("storage_order = 1"), &[x], &[y, "i64[1, 2, 1, 2] 1 2 4 6"]);
        let padded = "x: i8[1, 1, 3] y, i = MaxPool {kernel_shape = [2], pads = [1, 1], strides = [2]} (x) => i";
        check(padded, &["i8[1, 1, 3] -128 5 5"], &["i64[1, 1, 2] 0 1"]);
    }

    #[test]
    fn maxima_go_back() {
        let text = |rest: &str| format!("x: f32[1, 1, 2] i: i64[1, 1, 2] {rest} => y");
        let inputs = ["f32[1, 1, 2] 5 6", "i64[1, 1, 2] 1 2"];
        let attributes = "{kernel_shape = [2], strides = [2]}";
        check(&text(&format!("y = MaxUnpool {attributes} (x, i)")), &inputs, &["f32[1, 1, 4] 0 5 6 0"]);
        let shape = format!("s: i64[3] = 1 1 5 y = MaxUnpool {attributes} (x, i, s)");
        check(&text(&shape), &inputs, &["f32[1, 1, 5] 0 5 6 0 0"]);
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
