//! Discrete Fourier transforms, as products with tables of cosines and sines.
//!
//! Tables are computed in f64 from angles that are first reduced to one turn, in integers; where sizes are known that is done before the
//! first call.

use super::Entry;
use crate::import::{Call, Outcome, one, sizes};
use ::ops::{Builder, WindowAttrs};
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("DFT", 17, dft), Entry("STFT", 17, stft)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// The most entries of a table.
const MOST_ENTRIES: i64 = 1 << 24;

/// What a transform does along its axis.
struct Transform {
    /// The length of the whole signal.
    length: Expr,
    /// How many elements go in and come out.
    rows: Expr,
    columns: Expr,
    inverse: bool,
    /// Whether only one half of the frequencies goes in or comes out.
    onesided: bool,
    /// 1 for real numbers, 2 for pairs.
    parts: i64,
}

fn half(length: &Expr) -> Expr {
    length.floor_div(&Expr::from(2)) + 1
}

/// Real numbers or pairs: the last dim of operand 0.
fn parts(call: &Call) -> Result<i64> {
    if !call.dtype(0)?.is_float() {
        return Err(call.error(Code::Type, format!("{} is not defined on {}", call.node.op_type, call.dtype(0)?)));
    }
    match call.dims(0)?.last().and_then(Expr::as_const) {
        Some(parts @ (1 | 2)) => Ok(parts),
        _ => Err(call.error(Code::Shape, format!("{} holds neither real nor complex numbers", call.ty(0)?))),
    }
}

fn scalar_size(call: &Call, at: usize, what: &str) -> Result<Option<Expr>> {
    if call.optional(at).is_none() {
        return Ok(None);
    }
    match call.sizes(at, what)?.as_slice() {
        [size] => Ok(Some(size.clone())),
        other => Err(call.error(Code::Shape, format!("`{what}` has {} elements", other.len()))),
    }
}

impl Transform {
    fn check(&self, call: &Call) -> Result<()> {
        if sizes::is_nonnegative(&(&self.length - 1)) == Some(false) {
            return Err(call.error(Code::Shape, format!("a transform of length {}", self.length)));
        }
        match (self.rows.as_const(), self.columns.as_const()) {
            (Some(rows), Some(columns)) if rows.saturating_mul(columns) > MOST_ENTRIES => {
                Err(call.unsupported(format!("a transform of {rows} to {columns} elements")))
            }
            _ => Ok(()),
        }
    }

    fn is_real(&self) -> bool {
        self.inverse && self.onesided
    }

    /// `[rows, parts, columns, 2]`, without the axis of parts where there is one, and without the last where the result is real.
    fn table(&self, b: &mut Builder, dtype: DType) -> Result<ValueId> {
        let angles = self.angles(b)?;
        let [cos, sin] = [Func::Cos, Func::Sin].map(|func| b.map(func, &[angles]));
        let (cos, mut sin) = (self.weighted(b, cos?)?, self.weighted(b, sin?)?);
        if self.inverse {
            sin = b.map(Func::Neg, &[sin])?;
        }
        let [cos, sin] = [b.convert(cos, dtype)?, b.convert(sin, dtype)?];
        let minus = b.map(Func::Neg, &[sin])?;
        let [of_real, of_imaginary] = match self.is_real() {
            true => [cos, sin],
            false => [stacked(b, [cos, minus], 2)?, stacked(b, [sin, cos], 2)?],
        };
        if self.parts == 1 { Ok(of_real) } else { stacked(b, [of_real, of_imaginary], 1) }
    }

    /// `2 pi row column / length`, `[rows, columns]`.
    fn angles(&self, b: &mut Builder) -> Result<ValueId> {
        let dims = [self.rows.clone(), self.columns.clone()];
        let (row, column) = (b.iota(&dims, 0, DType::I64)?, b.iota(&dims, 1, DType::I64)?);
        let product = b.map(Func::Mul, &[row, column])?;
        let length = b.size(&self.length, DType::I64)?;
        let steps = b.map_broadcast(Func::Rem, &[product, length])?;
        let steps = b.convert(steps, DType::F64)?;
        let turns = b.map_number(Func::Mul, steps, std::f64::consts::TAU)?;
        let length = b.size(&self.length, DType::F64)?;
        b.map_broadcast(Func::Div, &[turns, length])
    }

    /// An inverse is divided by the length; a frequency that stands for its mirror image too counts twice.
    fn weighted(&self, b: &mut Builder, table: ValueId) -> Result<ValueId> {
        if !self.inverse {
            return Ok(table);
        }
        let length = b.size(&self.length, DType::F64)?;
        let table = b.map_broadcast(Func::Div, &[table, length])?;
        if !self.onesided {
            return Ok(table);
        }
        let row = b.iota(&[self.rows.clone(), Expr::one()], 0, DType::I64)?;
        let first = b.map_number(Func::Equal, row, 0.0)?;
        let twice = b.map_number(Func::Mul, row, 2.0)?;
        let length = b.size(&self.length, DType::I64)?;
        let middle = b.map_broadcast(Func::Equal, &[twice, length])?;
        let single = b.map(Func::Or, &[first, middle])?;
        let doubled = b.map_number(Func::Mul, table, 2.0)?;
        b.map_broadcast(Func::Select, &[single, table, doubled])
    }
}

/// Two values of equal dims along a new axis.
fn stacked(b: &mut Builder, values: [ValueId; 2], axis: usize) -> Result<ValueId> {
    let [first, second] = values.map(|value| b.unsqueeze(value, &[axis]));
    b.concat(&[first?, second?], axis)
}

fn dft(call: &mut Call) -> Outcome {
    let (parts, rank) = (parts(call)?, call.rank(0)?);
    let axis = match call.opset {
        ..20 => call.int_or("axis", 1)?,
        _ if call.optional(2).is_some() => match call.numbers(2, "axis")?.as_slice() {
            [axis] => *axis,
            other => return Err(call.attribute_error(format!("`axis` is {other:?}")).into()),
        },
        _ => -2,
    };
    let axis = call.normal_axis(axis, rank)?;
    if axis + 1 == rank {
        return Err(call.attribute_error(format!("axis {axis} holds the parts of the numbers")).into());
    }
    let (inverse, onesided) = (call.flag_or("inverse", false)?, call.flag_or("onesided", false)?);
    let dims = call.dims(0)?;
    let default = if inverse && onesided { (&dims[axis] - 1) * 2 } else { dims[axis].clone() };
    let length = scalar_size(call, 1, "dft_length")?.unwrap_or(default);
    let given = if inverse && onesided { half(&length) } else { length.clone() };
    let rows = sizes::minimum(&given, &dims[axis]);
    let columns = if onesided && !inverse { half(&length) } else { length.clone() };
    let transform = Transform { length, rows, columns, inverse, onesided, parts };
    transform.check(call)?;
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let x = b.slice_axis(x, axis, &Expr::zero(), &transform.rows)?;
    let (before, behind) = (&dims[..axis], &dims[axis + 1..rank - 1]);
    let mut flat = vec![Expr::product(before), transform.rows.clone(), Expr::product(behind)];
    if parts == 2 {
        flat.push(Expr::from(2));
    }
    let x = b.reshape(x, &flat)?;
    let table = transform.table(b, b.dtype(x))?;
    let spec = match (parts, transform.is_real()) {
        (1, false) => "anb,nmd->ambd",
        (1, true) => "anb,nm->amb",
        (_, false) => "anbc,ncmd->ambd",
        (_, true) => "anbc,ncm->amb",
    };
    let y = b.contract(spec, x, table)?;
    let last = Expr::from(if transform.is_real() { 1 } else { 2 });
    let y = b.reshape(y, &[before, std::slice::from_ref(&transform.columns), behind, &[last]].concat())?;
    one(b.convert(y, dtype)?)
}

/// The transforms of frames, which a window weights: a convolution of the signal by the weighted table.
fn stft(call: &mut Call) -> Outcome {
    let (parts, onesided) = (parts(call)?, call.flag_or("onesided", true)?);
    let dims = call.dims(0)?;
    let step = match call.numbers(1, "frame_step")?.as_slice() {
        [step] if (1..=1 << 31).contains(step) => *step,
        other => return Err(call.attribute_error(format!("`frame_step` is {other:?}")).into()),
    };
    let asked = scalar_size(call, 3, "frame_length")?;
    let of_window = call.optional(2).map(|_| call.dims(2)).transpose()?;
    let length = match (&asked, &of_window) {
        (Some(asked), Some(window)) if *window != [asked.clone()] => {
            return Err(call.error(Code::Shape, format!("a window {window:?} for frames of length {asked}")).into());
        }
        (Some(length), _) => length.clone(),
        (None, Some(window)) if window.len() == 1 => window[0].clone(),
        (None, None) if dims.len() == 3 => dims[1].clone(),
        _ => return Err(call.error(Code::Shape, format!("neither a window nor `frame_length` for {}", call.ty(0)?)).into()),
    };
    if dims.len() != 3 || length.as_const().is_none() {
        return Err(call.unsupported(format!("frames of length {length} of {}", call.ty(0)?)).into());
    }
    let bins = if onesided { half(&length) } else { length.clone() };
    let transform = Transform { length: length.clone(), rows: length.clone(), columns: bins.clone(), inverse: false, onesided, parts };
    transform.check(call)?;
    let (x, window, dtype) = (call.value(0)?, call.optional_value(2)?, call.dtype(0)?);
    let b = call.b();
    let x = b.widened(x)?;
    let mut table = transform.table(b, b.dtype(x))?;
    if let Some(window) = window {
        let window = b.convert(window, b.dtype(x))?;
        let behind: Vec<usize> = (1..b.dims(table).len()).collect();
        let window = b.unsqueeze(window, &behind)?;
        table = b.map_broadcast(Func::Mul, &[table, window])?;
    }
    let table = if parts == 1 { b.unsqueeze(table, &[1])? } else { table };
    // [length, parts, bins, 2] as the weights of 2 * bins channels
    let weights = b.transpose(table, &[2, 3, 1, 0])?;
    let weights = b.reshape(weights, &[&bins * 2, Expr::from(parts), length])?;
    let x = b.transpose(x, &[0, 2, 1])?;
    let attrs = WindowAttrs { strides: vec![step], ..WindowAttrs::plain(1) };
    let y = b.conv(x, weights, &attrs, 1)?;
    let frames = b.dims(y)[2].clone();
    let y = b.reshape(y, &[dims[0].clone(), bins, Expr::from(2), frames])?;
    let y = b.transpose(y, &[0, 3, 1, 2])?;
    one(b.convert(y, dtype)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn transforms_and_their_inverses() {
        let text = |parts: i64, attributes: &str| format!("x: f32[1, n, {parts}] y = DFT {{{attributes}}} (x) => y");
        let real = "f32[1, 4, 1] 1 2 3 4";
        check(&text(1, "inverse = 0"), &[real], &["f32[1, 4, 2] 10 0 -2 2 -2 0 -2 -2"]);
        check(&text(1, "onesided = 1"), &[real], &["f32[1, 3, 2] 10 0 -2 2 -2 0"]);
        check(&text(2, "inverse = 1"), &["f32[1, 4, 2] 10 0 -2 2 -2 0 -2 -2"], &["f32[1, 4, 2] 1 0 2 0 3 0 4 0"]);
        check(&text(2, "inverse = 1, onesided = 1"), &["f32[1, 3, 2] 10 0 -2 2 -2 0"], &["f32[1, 4, 1] 1 2 3 4"]);
        let lengths = "x: f64[3, 1, 1] l: i64[] = 2 a: i64[] = 0 y = DFT(x, l, a) => y";
        check(lengths, &["f64[3, 1, 1] 1 2 3"], &["f64[2, 1, 2] 3 0 -1 0"]);
        let longer = "opset 17 x: f32[1, 2, 2] l: i64[] = 4 y = DFT {axis = -2} (x, l) => y";
        check(longer, &["f32[1, 2, 2] 0 1 1 0"], &["f32[1, 4, 2] 1 1 0 0 -1 1 0 2"]);
    }

    #[test]
    fn frames() {
        let text = |rest: &str| format!("x: f32[1, n, 1] s: i64[] = 2 {rest} => y");
        let x = "f32[1, 5, 1] 1 2 3 4 5";
        check(&text("w: f32[2] = 1 0.5 y = STFT(x, s, w)"), &[x], &["f32[1, 2, 2, 2] 2 0 0 0 5 0 1 0"]);
        check(&text("l: i64[] = 4 y = STFT {onesided = 0} (x, s, _, l)"), &[x], &["f32[1, 1, 4, 2] 10 0 -2 2 -2 0 -2 -2"]);
    }

    #[test]
    fn what_is_no_transform() {
        check_problems("x: f32[1, 4, 3] y = DFT(x) => y", &["[E003] DFT#0: f32[1, 4, 3] holds neither real nor complex numbers"]);
        check_problems("x: f32[1, 4, 1] l: i64[] = 0 y = DFT(x, l) => y", &["[E003] DFT#0: a transform of length 0"]);
        check_problems("x: f32[1, 100000, 1] y = DFT(x) => y", &["[E006] DFT#0: DFT: a transform of 100000 to 100000 elements"]);
    }
}
