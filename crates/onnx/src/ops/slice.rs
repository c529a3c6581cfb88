//! Slices.
//!
//! ONNX clamps starts and ends to the dim. Where the sizes of a call decide whether that changes anything, the slice is taken as written,
//! and a guard checks that it fits: a call whose sizes would be clamped is an error. Only a number as end, which does not fit every dim
//! that is not empty, is clamped as ONNX says; the size is then a minimum. Starts and ends that depend on data are clamped by the call.

use super::Entry;
use super::reshape::const_dims;
use crate::import::{Call, Known, Outcome, one, sizes};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::{Expr, Ranges};

pub const OPS: &[Entry] = &[Entry("Slice", 1, slice_attributes), Entry("Slice", 10, slice_operands)];

/// Numbers beyond this mean "to the end" or "from the start".
const FAR: i64 = 1 << 40;

fn exprs(values: Vec<i64>) -> Vec<Expr> {
    values.into_iter().map(Expr::from).collect()
}

fn slice_attributes(call: &mut Call) -> Outcome {
    let missing = |name: &str| call.attribute_error(format!("attribute `{name}` is missing"));
    let starts = call.ints("starts")?.ok_or_else(|| missing("starts"))?;
    let ends = call.ints("ends")?.ok_or_else(|| missing("ends"))?;
    let axes = call.ints("axes")?;
    slice(call, Ends::Known(exprs(starts), exprs(ends)), axes, None)
}

fn slice_operands(call: &mut Call) -> Outcome {
    let axes = call.optional(3).map(|_| call.numbers(3, "axes")).transpose()?;
    let steps = call.optional(4).map(|_| call.numbers(4, "steps")).transpose()?;
    match (call.known(1), call.known(2)) {
        (Some(starts), Some(ends)) => slice(call, Ends::Known(starts.values, ends.values), axes, steps),
        _ => {
            let (starts, ends) = (call.integers(1, "starts")?, call.integers(2, "ends")?);
            slice(call, Ends::Data(starts, ends), axes, steps)
        }
    }
}

/// Starts and ends, an entry for each axis that is sliced.
enum Ends {
    Known(Vec<Expr>, Vec<Expr>),
    Data(Vec<ValueId>, Vec<ValueId>),
}

impl Ends {
    fn counts(&self) -> (usize, usize) {
        match self {
            Ends::Known(starts, ends) => (starts.len(), ends.len()),
            Ends::Data(starts, ends) => (starts.len(), ends.len()),
        }
    }

    fn part(&self, call: &mut Call, at: usize, dim: &Expr, step: i64) -> Result<(Expr, Expr), Diagnostic> {
        if step == 0 || step.saturating_abs() > FAR {
            return Err(call.error(Code::Shape, format!("a step of {step}")));
        }
        match self {
            Ends::Known(starts, ends) => part(call, dim, &starts[at], &ends[at], step),
            Ends::Data(starts, ends) => computed_part(call, dim, starts[at], ends[at], step),
        }
    }
}

fn slice(call: &mut Call, ends: Ends, axes: Option<Vec<i64>>, steps: Option<Vec<i64>>) -> Outcome {
    let dims = call.dims(0)?;
    let (starts_count, ends_count) = ends.counts();
    let axes = axes.unwrap_or_else(|| (0..starts_count as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts_count]);
    if [ends_count, axes.len(), steps.len()].iter().any(|count| *count != starts_count) {
        let message = format!("{starts_count} starts, {ends_count} ends, {} axes, {} steps", axes.len(), steps.len());
        return Err(call.error(Code::Shape, message).into());
    }
    let axes = call.normal_axes(&axes, dims.len())?;
    let mut parts = Parts { starts: vec![Expr::zero(); dims.len()], sizes: dims.clone(), steps: vec![1; dims.len()] };
    for (at, axis) in axes.into_iter().enumerate() {
        let (start, size) = ends.part(call, at, &dims[axis], steps[at])?;
        (parts.starts[axis], parts.sizes[axis], parts.steps[axis]) = (start, size, steps[at]);
    }
    if let Some(known) = call.known(0).and_then(|known| known_slice(&known, &parts)) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().slice(x, &parts.starts, &parts.sizes, &parts.steps)?)
}

/// One entry an axis.
struct Parts {
    starts: Vec<Expr>,
    sizes: Vec<Expr>,
    steps: Vec<i64>,
}

fn known_slice(known: &Known, parts: &Parts) -> Option<Known> {
    let starts = const_dims(&parts.starts)?;
    known.arranged(const_dims(&parts.sizes)?, |index| {
        let at = |axis: usize| (starts[axis] as i64 + index[axis] as i64 * parts.steps[axis]).try_into().ok();
        (0..index.len()).map(at).collect()
    })
}

/// The first index along an axis, and the number of them.
fn part(call: &mut Call, dim: &Expr, start: &Expr, end: &Expr, step: i64) -> Result<(Expr, Expr), Diagnostic> {
    let bounds = if step > 0 { [(0, dim.clone()), (0, dim.clone())] } else { [(0, dim - 1), (-1, dim - 1)] };
    let start = bounded(call, indexed(dim, start), &bounds[0], Side::Start);
    let end = bounded(call, indexed(dim, end), &bounds[1], Side::End);
    let gap = if step > 0 { &end - &start } else { &start - &end };
    match sizes::is_nonnegative(&gap) {
        Some(false) => return Ok((Expr::zero(), Expr::zero())),
        Some(true) => {}
        None => call.guard(Condition::AtLeast(gap.clone(), Expr::zero())),
    }
    let size = gap.ceil_div(&Expr::from(step.abs()));
    Ok((if size.is_zero() { Expr::zero() } else { start }, size))
}

/// The same of a start and an end that depend on data.
fn computed_part(call: &mut Call, dim: &Expr, start: ValueId, end: ValueId, step: i64) -> Result<(Expr, Expr), Diagnostic> {
    let b = call.b();
    let size = b.size(dim, DType::I64)?;
    let (zero, before) = (b.number(DType::I64, 0.0), b.number(DType::I64, -1.0));
    let last = b.map(Func::Add, &[size, before])?;
    let ((low, high), end_low) = if step > 0 { ((zero, size), zero) } else { ((zero, last), before) };
    let mut clamped = |index: ValueId, low: ValueId| {
        let from_end = b.map(Func::Add, &[index, size])?;
        let is_negative = b.map(Func::Less, &[index, zero])?;
        let index = b.map(Func::Select, &[is_negative, from_end, index])?;
        let index = b.map(Func::Max, &[index, low])?;
        b.map(Func::Min, &[index, high])
    };
    let (start, end) = (clamped(start, low)?, clamped(end, end_low)?);
    let gap = b.map(Func::Sub, &if step > 0 { [end, start] } else { [start, end] })?;
    let gap = b.map(Func::Max, &[gap, zero])?;
    let gap = b.map_number(Func::Add, gap, (step.abs() - 1) as f64)?;
    let count = b.map_number(Func::Div, gap, step.abs() as f64)?;
    let start = b.map(Func::Max, &[start, zero])?;
    let most = if step > 0 { dim.clone() } else { sizes::maximum(&(dim - 1), &Expr::zero()) };
    let (start, count) = (call.computed_size(start, &most)?, call.computed_size(count, dim)?);
    let last = &start + &(&(&count - 1) * step);
    call.guard(if step > 0 { Condition::AtLeast(dim - 1, last) } else { Condition::AtLeast(last, Expr::zero()) });
    Ok((start, count))
}

/// A start or end as it is counted from the start of the axis.
enum Index {
    /// Before the start.
    Lowest,
    /// Behind the end.
    Highest,
    At(Expr),
    /// Nothing says that it is not negative; it is taken as counted from the start.
    Unsigned(Expr),
}

fn indexed(dim: &Expr, index: &Expr) -> Index {
    match (index.as_const(), sizes::is_nonnegative(index)) {
        (Some(number), _) if number > FAR => Index::Highest,
        (Some(number), _) if number < -FAR => Index::Lowest,
        (_, Some(true)) => Index::At(index.clone()),
        (_, Some(false)) => Index::At(dim + index),
        (_, None) => Index::Unsigned(index.clone()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Start,
    End,
}

/// The index within its bounds.
fn bounded(call: &mut Call, index: Index, (low, high): &(i64, Expr), side: Side) -> Expr {
    let low = Expr::from(*low);
    let index = match index {
        Index::Lowest => return low,
        Index::Highest => return high.clone(),
        Index::At(index) if index == *high => return index,
        Index::At(index) => index,
        Index::Unsigned(index) => {
            call.guard(Condition::AtLeast(index.clone(), Expr::zero()));
            index
        }
    };
    match sizes::is_nonnegative(&(&index - &low)) {
        Some(true) => {}
        Some(false) => return low,
        None => call.guard(Condition::AtLeast(index.clone(), low)),
    }
    match sizes::is_nonnegative(&(high - &index)) {
        Some(true) => index,
        Some(false) => high.clone(),
        None if side == Side::End && index.as_const().is_some() && !fits_what_is_not_empty(&index, high) => sizes::minimum(&index, high),
        None => {
            call.guard(Condition::AtLeast(high.clone(), index.clone()));
            index
        }
    }
}

fn fits_what_is_not_empty(index: &Expr, high: &Expr) -> bool {
    Ranges::new(1).nonnegative(&(high - index))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn starts_and_ends_are_clamped() {
        let text = |start: &str, end: &str, step: i64| {
            format!("x: i64[5] s: i64[1] = {start} e: i64[1] = {end} a: i64[1] = 0 t: i64[1] = {step} y = Slice(x, s, e, a, t) => y")
        };
        let x = ["i64[5] 0 1 2 3 4"];
        check(&text("1", "9223372036854775807", 2), &x, &["i64[2] 1 3"]);
        check(&text("-2", "99", 1), &x, &["i64[2] 3 4"]);
        check(&text("3", "1", 1), &x, &["i64[0]"]);
        check(&text("-1", "-9223372036854775808", -1), &x, &["i64[5] 4 3 2 1 0"]);
        check(&text("99", "0", -2), &x, &["i64[2] 4 2"]);
        check("opset 9 x: i64[5] y = Slice {starts = [1], ends = [-1]} (x) => y", &x, &["i64[3] 1 2 3"]);
    }

    #[test]
    fn unknown_sizes_are_guarded_or_clamped() {
        let types = |x: &str, start: &str, end: &str, want: &[&str]| {
            check_types(&format!("x: f32{x} s: i64[1] = {start} e: i64[1] = {end} y = Slice(x, s, e) => y"), want);
        };
        types("[n]", "0", "9223372036854775807", &["f32[n]"]);
        types("[n]", "0", "1", &["f32[1]", "n >= 1"]);
        types("[n]", "-1", "9223372036854775807", &["f32[1]", "n >= 1"]);
        types("[n]", "0", "512", &["f32[min(512, n)]"]);
        types("[n]", "2", "-1", &["f32[n - 3]", "n >= 2", "n >= 1", "n >= 3"]);
        let text = "x: f32[n] w: f32[512, 2] s = Shape(x) z: i64[1] = 0 y = Slice(w, z, s) => y";
        check_types(text, &["f32[n, 2]", "512 >= n"]);
    }

    #[test]
    fn data_decides() {
        let text = |step: i64| format!("x: f32[n] a: i64[1] b: i64[1] x0: i64[1] = 0 s: i64[1] = {step} y = Slice(x, a, b, x0, s) => y");
        let run = |step: i64, [start, end]: [i64; 2], want: &str| {
            check(&text(step), &["f32[5] 0 1 2 3 4", &format!("i64[1] {start}"), &format!("i64[1] {end}")], &[want]);
        };
        run(1, [1, 3], "f32[2] 1 2");
        run(1, [-2, i64::MAX], "f32[2] 3 4");
        run(1, [3, 1], "f32[0]");
        run(2, [i64::MIN, 4], "f32[2] 0 2");
        run(-2, [i64::MAX, i64::MIN], "f32[3] 4 2 0");
        run(-1, [1, 3], "f32[0]");
        check(&text(-1), &["f32[0]", "i64[1] 5", "i64[1] -9"], &["f32[0]"]);
    }
}
