//! Numbers as integers of few bits, with scales and zero points.
//!
//! `real = (integer - zero point) * scale`. Rounding is to nearest, ties to even, and done before the zero point is added; a conversion of
//! floats to integers saturates. Products of quantised tensors are products of bytes: sums in i32, which one factor scales.

use super::Entry;
use super::integer::{Factors, along_rows, convolution, matrix_product};
use super::narrow::{Powers, Rounding, decoded, encoded};
use crate::import::{Call, Narrow, Out, Outcome, Stored, one, stored_type_of};
use ::ops::{Builder, Folded};
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("QuantizeLinear", 10, quantize),
    Entry("DequantizeLinear", 10, dequantize),
    Entry("DynamicQuantizeLinear", 11, quantize_dynamically),
    Entry("QLinearMatMul", 10, matmul),
    Entry("QLinearConv", 10, conv),
];

type Result<T> = std::result::Result<T, Diagnostic>;

/// The domain whose version 1 has axes.
const MICROSOFT: &str = "com.microsoft";

/// The longest block.
const MAX_BLOCK: i64 = 1 << 31;

pub(super) fn check_type(call: &Call, dtype: DType, allowed: &[DType]) -> Result<()> {
    match allowed.contains(&dtype) {
        true => Ok(()),
        false => Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type))),
    }
}

/// An attribute that names an element type, those that a byte holds among them; 0 is as good as none.
fn stored_attribute(call: &Call, name: &'static str, since: i64) -> Result<Option<Stored>> {
    if call.opset < since {
        return Ok(None);
    }
    let Some(number) = call.int(name)?.filter(|number| *number != 0) else { return Ok(None) };
    let stored = stored_type_of(number).map_err(|(code, text)| call.error(code, format!("attribute `{name}`: {text}")))?;
    match stored.1 {
        Some(Narrow::Text) => Err(call.error(Code::Unsupported, format!("attribute `{name}`: element type string is not supported"))),
        _ => Ok(Some(stored)),
    }
}

/// The same, of a type of the graph.
fn type_attribute(call: &Call, name: &'static str, since: i64) -> Result<Option<DType>> {
    match stored_attribute(call, name, since)? {
        Some((_, Some(narrow))) => Err(call.unsupported(format!("attribute `{name}`: element type {}", narrow.name()))),
        stored => Ok(stored.map(|(dtype, _)| dtype)),
    }
}

/// A tensor's axis along which numbers belong to places, or to blocks of places.
pub(super) struct Granularity {
    pub dims: Vec<Expr>,
    pub axis: i64,
    pub block: i64,
}

impl Granularity {
    fn read(call: &Call) -> Result<Granularity> {
        let axis = if call.opset >= 13 || call.node.domain == MICROSOFT { call.int_or("axis", 1)? } else { 1 };
        let block = if call.opset >= 21 { call.int_or("block_size", 0)? } else { 0 };
        match (0..=MAX_BLOCK).contains(&block) {
            true => Ok(Granularity { dims: call.dims(0)?, axis, block }),
            false => Err(call.attribute_error(format!("attribute `block_size` is {block}"))),
        }
    }

    /// A scale or zero point at the dims of the tensor: a number, a list along the axis, or a number for each block.
    pub fn spread(&self, call: &mut Call, value: ValueId) -> Result<ValueId> {
        let own = call.b().dims(value).to_vec();
        if own.iter().all(Expr::is_one) {
            let value = call.b().reshape(value, &[])?;
            return call.b().broadcast(value, &self.dims);
        }
        let axis = call.normal_axis(self.axis, self.dims.len())?;
        let value = match own.len() {
            _ if self.block > 0 && own.len() == self.dims.len() => self.repeated(call, value, axis)?,
            1 => {
                let behind: Vec<usize> = (1..self.dims.len() - axis).collect();
                call.b().unsqueeze(value, &behind)?
            }
            _ => return Err(call.error(Code::Shape, format!("a scale or zero point has dims {own:?}"))),
        };
        call.b().broadcast(value, &self.dims)
    }

    /// Each element `block` times along the axis, as far as the tensor goes.
    fn repeated(&self, call: &mut Call, value: ValueId, axis: usize) -> Result<ValueId> {
        let mut dims = call.b().dims(value).to_vec();
        if dims[axis].is_one() {
            return Ok(value);
        }
        dims.insert(axis + 1, Expr::from(self.block));
        let blocks = call.b().unsqueeze(value, &[axis + 1])?;
        let blocks = call.b().broadcast(blocks, &dims)?;
        dims.remove(axis + 1);
        dims[axis] = &dims[axis] * self.block;
        let whole = call.b().reshape(blocks, &dims)?;
        call.b().slice_axis(whole, axis, &Expr::zero(), &self.dims[axis])
    }
}

/// `round(quotient) + zero`, within the range of the type.
pub(super) fn rounded(b: &mut Builder, quotient: ValueId, zero: Option<ValueId>, to: DType) -> Result<ValueId> {
    let quotient = b.widened(quotient)?;
    let mut whole = b.map(Func::Round, &[quotient])?;
    if let Some(zero) = zero {
        let zero = b.convert(zero, b.dtype(whole))?;
        whole = b.map_broadcast(Func::Add, &[whole, zero])?;
    }
    b.convert(whole, to)
}

/// Operand `at`, where it is there and not known to be 0.
pub(super) fn zero_point(call: &mut Call, at: usize) -> Result<Option<ValueId>> {
    let Some(term) = call.optional(at) else { return Ok(None) };
    let known = call.cx.constant(term).and_then(|tensor| tensor.uniform());
    if known == Some(Literal::Int(0)) { Ok(None) } else { call.value(at).map(Some) }
}

pub(super) fn quantize(call: &mut Call) -> Outcome {
    let granularity = Granularity::read(call)?;
    let (to, narrow) = quantized_type(call)?;
    let saturate = call.flag_or("saturate", true)?;
    check_type(call, call.dtype(0)?, &[DType::F32, DType::F16, DType::BF16, DType::I32])?;
    check_type(call, call.dtype(1)?, &[DType::F32, DType::F16, DType::BF16, DType::I32])?;
    let scale_type = if call.dtype(1)? == DType::I32 { DType::F32 } else { call.dtype(1)? };
    let precision = type_attribute(call, "precision", 23)?.unwrap_or(scale_type);
    check_type(call, precision, &[DType::F32, DType::F16, DType::BF16, DType::F64])?;
    let (x, scale) = (call.value(0)?, call.value(1)?);
    let zero = zero_point(call, 2)?.map(|zero| granularity.spread(call, zero)).transpose()?;
    let scale = granularity.spread(call, scale)?;
    let x = call.b().convert(x, precision)?;
    let scale = call.b().convert(scale, precision)?;
    let quotient = call.b().map(Func::Div, &[x, scale])?;
    let Some(narrow) = narrow else { return one(rounded(call.b(), quotient, zero, to)?) };
    let y = narrowed(call.b(), quotient, zero, narrow, saturate)?;
    one(Out::of(y, Some(narrow)))
}

/// As [`rounded`], for a type that a byte holds; a float is rounded where it becomes a code.
fn narrowed(b: &mut Builder, quotient: ValueId, zero: Option<ValueId>, to: Narrow, saturate: bool) -> Result<ValueId> {
    let rounding = Rounding { saturate, mode: Powers::Up };
    let quotient = b.widened(quotient)?;
    let dtype = b.dtype(quotient);
    let whole = match to {
        Narrow::Int { .. } => b.map(Func::Round, &[quotient])?,
        Narrow::Float(_) | Narrow::Text => quotient,
    };
    let moved = match zero {
        Some(zero) => {
            let zero = decoded(b, zero, to)?;
            let zero = b.convert(zero, dtype)?;
            b.map_broadcast(Func::Add, &[whole, zero])?
        }
        None => whole,
    };
    let inside = match to {
        Narrow::Int { bits, signed } => {
            let most = (1i64 << (bits - u32::from(signed))) - 1;
            let [low, high] = [if signed { -most - 1 } else { 0 }, most].map(|end| b.number(dtype, end as f64));
            b.clamp(moved, low, high)?
        }
        Narrow::Float(_) | Narrow::Text => moved,
    };
    encoded(b, inside, to, rounding)
}

/// The type of the result: the zero point's, which `output_dtype` repeats.
fn quantized_type(call: &Call) -> Result<Stored> {
    let asked = stored_attribute(call, "output_dtype", 21)?;
    let of_zero = call.optional(2).map(|_| Ok((call.dtype(2)?, call.narrow(2)))).transpose()?;
    if let (Some(asked), Some(of_zero)) = (asked, of_zero)
        && asked != of_zero
    {
        let name = |(dtype, narrow): Stored| narrow.map_or(dtype.to_string(), Narrow::name);
        return Err(call.attribute_error(format!("attribute `output_dtype` is {}, and the zero point {}", name(asked), name(of_zero))));
    }
    let to = of_zero.or(asked).unwrap_or((DType::U8, None));
    check_type(call, to.0, &[DType::U8, DType::I8, DType::U16, DType::I16])?;
    Ok(to)
}

pub(super) fn dequantize(call: &mut Call) -> Outcome {
    let granularity = Granularity::read(call)?;
    check_type(call, call.dtype(0)?, &[DType::U8, DType::I8, DType::U16, DType::I16, DType::I32])?;
    check_type(call, call.dtype(1)?, &[DType::F32, DType::F16, DType::BF16])?;
    let to = type_attribute(call, "output_dtype", 23)?.unwrap_or(call.dtype(1)?);
    check_type(call, to, &[DType::F32, DType::F16, DType::BF16])?;
    if call.optional(2).is_some() && call.dtype(2)? != call.dtype(0)? {
        return Err(call.error(Code::Type, format!("the zero point is {}, and x {}", call.dtype(2)?, call.dtype(0)?)).into());
    }
    if call.optional(2).is_some() && call.narrow(2) != call.narrow(0) {
        return Err(call.error(Code::Type, "the zero point is of another type than x").into());
    }
    let (x, scale) = (call.value(0)?, call.value(1)?);
    let narrow = call.narrow(0);
    let exact = if let Some(Narrow::Float(_)) = narrow { DType::F32 } else { DType::I32 };
    let number = |call: &mut Call, x: ValueId| {
        let x = narrow.map_or(Ok(x), |narrow| decoded(call.b(), x, narrow))?;
        call.b().convert(x, exact)
    };
    let mut whole = number(call, x)?;
    if let Some(zero) = zero_point(call, 2)? {
        let zero = granularity.spread(call, zero)?;
        let zero = number(call, zero)?;
        whole = call.b().map(Func::Sub, &[whole, zero])?;
    }
    let whole = call.b().convert(whole, DType::F32)?;
    let scale = granularity.spread(call, scale)?;
    let scale = call.b().convert(scale, DType::F32)?;
    let product = call.b().map(Func::Mul, &[whole, scale])?;
    one(call.b().convert(product, to)?)
}

/// Bytes over the range of the numbers and 0; the scale is 1 where there is nothing but zeros.
fn quantize_dynamically(call: &mut Call) -> Outcome {
    check_type(call, call.dtype(0)?, &[DType::F32])?;
    let axes: Vec<usize> = (0..call.rank(0)?).collect();
    let x = call.value(0)?;
    let b = call.b();
    let mut end = |kind: Monoid, func: Func| {
        let end = b.reduce(kind, x, &axes, Folded::Dropped)?;
        b.map_number(func, end, 0.0)
    };
    let (low, high) = (end(Monoid::Min, Func::Min)?, end(Monoid::Max, Func::Max)?);
    let range = b.map(Func::Sub, &[high, low])?;
    let scale = b.map_number(Func::Div, range, 255.0)?;
    let empty = b.map(Func::Equal, &[high, low])?;
    let unit = b.number(DType::F32, 1.0);
    let scale = b.map(Func::Select, &[empty, unit, scale])?;
    let below = b.map(Func::Div, &[low, scale])?;
    let zero = b.map(Func::Neg, &[below])?;
    let zero = rounded(b, zero, None, DType::U8)?;
    let quotient = b.map_broadcast(Func::Div, &[x, scale])?;
    let y = rounded(b, quotient, Some(zero), DType::U8)?;
    Ok(vec![y.into(), scale.into(), zero.into()])
}

/// Where the two factors, their scales and their zero points stand, here and in `QLinearConv`.
const FACTORS: Factors = Factors { factors: [0, 3], zero_points: [2, 5] };

pub(super) fn scale(call: &mut Call, at: usize) -> Result<ValueId> {
    check_type(call, call.dtype(at)?, &[DType::F32, DType::F16, DType::BF16])?;
    let scale = call.value(at)?;
    call.b().convert(scale, DType::F32)
}

/// Sums in i32 as the result's type: times `first * second / y_scale`, which are operands 6 and 7 with the zero point.
fn rescaled(call: &mut Call, sums: ValueId, [first, second]: [ValueId; 2]) -> Result<ValueId> {
    let dims = call.b().dims(sums).to_vec();
    let of_result = scale(call, 6)?;
    let of_result = along_rows(call, of_result, false)?;
    let to = if call.optional(7).is_some() { call.dtype(7)? } else { call.dtype(0)? };
    check_type(call, to, &[DType::U8, DType::I8])?;
    let zero = zero_point(call, 7)?.map(|zero| along_rows(call, zero, false)).transpose()?;
    let b = call.b();
    let factor = b.map_broadcast(Func::Mul, &[first, second])?;
    let factor = b.map_broadcast(Func::Div, &[factor, of_result])?;
    let factor = b.broadcast(factor, &dims)?;
    let numbers = b.convert(sums, DType::F32)?;
    let product = b.map(Func::Mul, &[numbers, factor])?;
    rounded(b, product, zero, to)
}

fn matmul(call: &mut Call) -> Outcome {
    let sums = matrix_product(call, &FACTORS)?;
    let matrices = call.rank(0)? >= 2 && call.rank(3)? >= 2;
    let (first, second) = (scale(call, 1)?, scale(call, 4)?);
    let first = along_rows(call, first, matrices)?;
    let second = along_rows(call, second, false)?;
    one(rescaled(call, sums, [first, second])?)
}

/// The bias, in i32, has the scale of the sums.
fn conv(call: &mut Call) -> Outcome {
    let mut sums = convolution(call, &FACTORS)?;
    let dims = call.b().dims(sums).to_vec();
    let behind: Vec<usize> = (1..dims.len() - 1).collect();
    if let Some(bias) = call.optional_value(8)? {
        check_type(call, call.dtype(8)?, &[DType::I32])?;
        let bias = call.b().unsqueeze(bias, &behind)?;
        let bias = call.b().broadcast(bias, &dims)?;
        sums = call.b().map(Func::Add, &[sums, bias])?;
    }
    let (first, second) = (scale(call, 1)?, scale(call, 4)?);
    let first = along_rows(call, first, false)?;
    let mut second = along_rows(call, second, false)?;
    if call.b().dims(second).len() == 1 {
        second = call.b().unsqueeze(second, &behind)?;
    }
    one(rescaled(call, sums, [first, second])?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    #[test]
    fn rounding_is_to_even_and_saturates() {
        let text = "x: f32[n] s: f32[] = 2 z: u8[] = 3 y = QuantizeLinear(x, s, z) => y";
        check(text, &["f32[7] 1 3 5 -3 -900 900 inf"], &["u8[7] 3 5 5 1 0 255 255"]);
        let text = "x: f16[2] s: f16[] = 0.5 y = QuantizeLinear {output_dtype = 3} (x, s) => y";
        check(text, &["f16[2] 3 -100"], &["i8[2] 6 -128"]);
        check("opset 10 x: i32[2] s: f32[] = 2 y = QuantizeLinear(x, s) => y", &["i32[2] 3 -1"], &["u8[2] 2 0"]);
        check("x: f32[1] s: f32[] = 1 z: i16[] = -2 y = QuantizeLinear(x, s, z) => y", &["f32[1] -32767"], &["i16[1] -32768"]);
    }

    #[test]
    fn scales_belong_to_an_axis_or_to_blocks() {
        let list = "s: f32[2] = 1 2 z: u8[2] = 0 1";
        check(&format!("x: f32[n, 2] {list} y = QuantizeLinear(x, s, z) => y"), &["f32[2, 2] 1 2 3 4"], &["u8[2, 2] 1 2 3 3"]);
        check(&format!("x: u8[2, n] {list} y = DequantizeLinear {{axis = -2}} (x, s, z) => y"), &["u8[2, 1] 1 3"], &["f32[2, 1] 1 4"]);
        let blocks = "x: u8[1, 3] s: f32[1, 2] = 1 10 y = DequantizeLinear {block_size = 2} (x, s) => y";
        check(blocks, &["u8[1, 3] 1 2 3"], &["f32[1, 3] 1 2 30"]);
        check_problems(
            "x: u8[2, 3] s: f32[2] = 1 10 y = DequantizeLinear(x, s) => y",
            &["[E003] DequantizeLinear#0: axis 1 does not broadcast: 2 to 3"],
        );
    }

    #[test]
    fn products_are_of_bytes() {
        let operands = "as: f32[] = 0.5 az: u8[] = 1 b: i8[2, 2] = 1 2 3 4 bs: f32[2] = 1 0.5 bz: i8[] = 0 ys: f32[] = 2 yz: u8[] = 10";
        // (0, 2) by b is (6, 8), times (1/4, 1/8)
        let text = format!("a: u8[1, 2] {operands} y = QLinearMatMul(a, as, az, b, bs, bz, ys, yz) => y");
        check(&text, &["u8[1, 2] 1 3"], &["u8[1, 2] 12 11"]);
        assert!(ops_of(&text).starts_with("contract"));
        let operands = "xs: f32[] = 0.5 xz: u8[] = 1 w: i8[2, 1, 1] = 1 2 ws: f32[2] = 1 2 wz: i8[] = 0 ys: f32[] = 1 yz: i8[] = -1";
        check(
            &format!("x: u8[1, 1, 2] {operands} b: i32[2] = 10 1 y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz, b) => y"),
            &["u8[1, 1, 2] 1 5"],
            &["i8[1, 2, 2] 4 6 0 8"],
        );
    }

    #[test]
    fn ranges_hold_zero() {
        let text = "x: f32[n] y, s, z = DynamicQuantizeLinear(x) => y, s, z";
        check(text, &["f32[3] 51 255 102"], &["u8[3] 51 255 102", "f32[] 1", "u8[] 0"]);
        check(text, &["f32[2] -51 204"], &["u8[2] 0 255", "f32[] 1", "u8[] 51"]);
        check(text, &["f32[1] 0"], &["u8[1] 0", "f32[] 1", "u8[] 0"]);
    }

    #[test]
    fn narrow_types() {
        let text = |ty: i64| {
            format!("x: f32[3] s: f32[] = 2 q = QuantizeLinear {{output_dtype = {ty}}} (x, s) y = DequantizeLinear(q, s) => q, y")
        };
        check(&text(22), &["f32[3] 5 -40 40"], &["i8[3] 2 -8 7", "f32[3] 4 -16 14"]);
        check(&text(17), &["f32[3] 4 -6 0.0625"], &["u8[3] 64 196 16", "f32[3] 4 -6 0.0625"]);
    }

    #[test]
    fn types_must_fit() {
        let problem = |text: &str, want: &str| check_problems(&format!("x: f32[2] s: f32[] = 1 {text} => y"), &[want]);
        problem("y = QuantizeLinear {output_dtype = 1} (x, s)", "[E004] QuantizeLinear#0: QuantizeLinear is not defined on f32");
        problem(
            "y = QuantizeLinear {output_dtype = 8} (x, s)",
            "[E006] QuantizeLinear#0: attribute `output_dtype`: element type string is not supported",
        );
        problem("y = DequantizeLinear(x, s)", "[E004] DequantizeLinear#0: DequantizeLinear is not defined on f32");
    }
}
