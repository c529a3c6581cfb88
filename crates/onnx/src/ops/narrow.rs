//! Numbers to and from the narrow types.

use crate::import::{Format, Narrow};
use ::ops::Builder;
use ir::{Array, Attr, Attrs, DType, Diagnostic, Literal, Tensor, ValueId};
use nest::{Func, Monoid};
use ops::Folded;

/// How a number becomes a float of a narrow type.
#[derive(Clone, Copy)]
pub struct Rounding {
    /// What is too large becomes the largest number.
    pub saturate: bool,
    /// Of powers of two.
    pub mode: Powers,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Powers {
    Up,
    Down,
    Nearest,
}

/// The numbers that elements of a narrow type stand for: i8 or u8 for integers, f32 for floats.
pub fn decoded(b: &mut Builder, x: ValueId, from: Narrow) -> Result<ValueId, Diagnostic> {
    let Narrow::Float(format) = from else { return Ok(x) };
    let values = (0..=u8::MAX).map(|code| format.value(code)).collect();
    let table = floats(b, values);
    let codes = b.convert(x, DType::I32)?;
    b.gather(table, codes, 0)
}

/// The numbers that strings are read as.
pub fn read_as(b: &mut Builder, x: ValueId, to: DType) -> Result<ValueId, Diagnostic> {
    b.one("number_of", Attrs::from([("to", Attr::DType(to))]), &[x])
}

/// The elements of a narrow type for numbers. Integers wrap; strings are the numbers written out.
pub fn encoded(b: &mut Builder, x: ValueId, to: Narrow, rounding: Rounding) -> Result<ValueId, Diagnostic> {
    match to {
        Narrow::Int { bits, signed } => {
            let (half, mask) = (if signed { 1i64 << (bits - 1) } else { 0 }, (1i64 << bits) - 1);
            let x = b.convert(x, DType::I64)?;
            let x = b.map_number(Func::Add, x, half as f64)?;
            let x = b.map_number(Func::And, x, mask as f64)?;
            let x = b.map_number(Func::Sub, x, half as f64)?;
            b.convert(x, if signed { DType::I8 } else { DType::U8 })
        }
        Narrow::Float(format) => {
            let x = b.convert(x, DType::F32)?;
            float(b, x, format, rounding)
        }
        Narrow::Text => b.one("string_of", Attrs::new(), &[x]),
    }
}

/// `code = place * 2^mantissa + round(|x| / 2^(exponent - mantissa))`, with the place of the exponent counted from the lowest: numbers that
/// round up to the next power of two have its code, and subnormal ones the lowest exponent.
fn float(b: &mut Builder, x: ValueId, format: &Format, rounding: Rounding) -> Result<ValueId, Diagnostic> {
    let (lowest, mantissa) = (format.lowest(), format.mantissa as i32);
    let highest = (i32::from(format.largest) >> mantissa) - format.bias;
    let magnitude = b.map(Func::Abs, &[x])?;
    let powers = floats(b, (lowest + 1..=highest).map(|exponent| 2f64.powi(exponent)).collect());
    let rank = b.dims(x).len();
    let one_each = b.unsqueeze(magnitude, &[rank])?;
    let reached = b.map_broadcast(Func::GreaterEqual, &[one_each, powers])?;
    let reached = b.convert(reached, DType::F32)?;
    let place = b.reduce(Monoid::Sum, reached, &[rank], Folded::Dropped)?;
    let scales = floats(b, (lowest..=highest).map(|exponent| 2f64.powi(mantissa - exponent)).collect());
    let at = b.convert(place, DType::I32)?;
    let scale = b.gather(scales, at, 0)?;
    let scaled = b.map(Func::Mul, &[magnitude, scale])?;
    let code = match format.is_signed() {
        true => {
            let whole = b.map(Func::Round, &[scaled])?;
            let start = b.map_number(Func::Mul, place, f64::from(1 << mantissa))?;
            b.map(Func::Add, &[start, whole])?
        }
        false => power(b, place, scaled, rounding.mode)?,
    };
    let too_large = b.map_number(Func::Greater, code, f64::from(format.largest))?;
    let most = if rounding.saturate { format.largest } else { format.overflow };
    let mut code = choose(b, too_large, f64::from(most), code)?;
    if format.is_signed() {
        code = with_sign(b, x, code, format)?;
    } else if !rounding.saturate {
        let too_small = b.map_number(Func::Less, magnitude, 2f64.powi(lowest))?;
        code = choose(b, too_small, f64::from(format.nan), code)?;
    }
    let is_nan = b.map(Func::IsNan, &[x])?;
    let code = choose(b, is_nan, f64::from(format.nan), code)?;
    b.convert(code, DType::U8)
}

/// The code of a power of two: `scaled` is the number over the power at `place`, so from 1 up to 2, or less below the lowest.
fn power(b: &mut Builder, place: ValueId, scaled: ValueId, mode: Powers) -> Result<ValueId, Diagnostic> {
    let further = match mode {
        Powers::Down => return Ok(place),
        Powers::Up => b.map_number(Func::Greater, scaled, 1.0)?,
        Powers::Nearest => b.map_number(Func::GreaterEqual, scaled, 1.5)?,
    };
    let further = b.convert(further, DType::F32)?;
    b.map(Func::Add, &[place, further])
}

/// The code with its sign. A zero keeps it where there is a negative zero, and a code that stands for no number has none of its own.
fn with_sign(b: &mut Builder, x: ValueId, code: ValueId, format: &Format) -> Result<ValueId, Diagnostic> {
    let below = b.map_number(Func::Less, x, 0.0)?;
    let inverse = b.map(Func::Reciprocal, &[x])?;
    let zero_below = b.map_number(Func::Less, inverse, 0.0)?;
    let negative = b.map(Func::Or, &[below, zero_below])?;
    let sign = f64::from(1 << format.sign_bit());
    let signed = b.map_number(Func::Add, code, sign)?;
    let chosen = b.map(Func::Select, &[negative, signed, code])?;
    if format.negative_zero {
        return Ok(chosen);
    }
    let [nothing, none] = [0.0, f64::from(format.nan)].map(|code| b.number(DType::F32, code));
    let plain = [nothing, none].map(|plain| b.map_broadcast(Func::Equal, &[code, plain]));
    let [nothing, none] = plain;
    let plain = b.map(Func::Or, &[nothing?, none?])?;
    b.map(Func::Select, &[plain, code, chosen])
}

fn choose(b: &mut Builder, condition: ValueId, value: f64, other: ValueId) -> Result<ValueId, Diagnostic> {
    let value = b.scalar(DType::F32, Literal::Float(value));
    b.map_broadcast(Func::Select, &[condition, value, other])
}

fn floats(b: &mut Builder, values: Vec<f64>) -> ValueId {
    let tensor = Tensor::from_array(&Array::floats(DType::F32, vec![values.len()], values));
    b.graph.constant(tensor, None, "table")
}
