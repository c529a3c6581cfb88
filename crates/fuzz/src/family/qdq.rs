//! Operators on floats between DequantizeLinear and QuantizeLinear, as quantised models have them.
//!
//! Beside them operators of onnxruntime between tensors of bytes, which mean the same.
//!
//! Scales are powers of two and sums have few enough products that f32 holds them all: nothing is rounded but where it is meant.

use super::bytes::{Filters, all_bytes, along, byte_type, bytes, scale};
use super::window::Window;
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
use sym::Expr;

/// Sums of so many products of differences of bytes, and a bias, are f32s that are not rounded.
const MOST_EXACT: i64 = 200;

/// The exponents of scales of factors.
const EXPONENTS: [i32; 2] = [-6, -4];

/// The exponents of scales of numbers that are not summed.
const FINE: [i32; 2] = [-8, -6];

/// Bytes as f32, some less a zero point; some with a scale for each place of an axis.
fn dequantized(generator: &mut Generator, codes: Id, axis: Option<usize>) -> Option<Id> {
    let form = generator.form(codes).clone();
    let count = axis.map(|axis| form.dims[axis].clone());
    let scale = scale(generator, DType::F32, EXPONENTS, count.as_ref())?;
    let zero = match generator.random.below(4) {
        0 | 1 => None,
        2 if form.dtype == DType::I8 => Some(numbers_like(generator, scale, form.dtype, &[0.0])),
        _ => Some(numbers_like(generator, scale, form.dtype, &[3.0, 100.0, 7.0])),
    };
    let result = Form { dtype: DType::F32, interval: Interval::around_zero(16.0), exact: true, ..form.clone() };
    let attributes = along(generator, axis, form.rank());
    generator.emit_all("DequantizeLinear", &[Some(codes), Some(scale), zero], attributes, vec![result])?.first().copied()
}

/// A constant of the dims of another, which takes these numbers in turn.
fn numbers_like(generator: &mut Generator, like: Id, dtype: DType, numbers: &[f64]) -> Id {
    let dims: Vec<usize> = generator.dims(like).iter().filter_map(|dim| Some(dim.as_const()? as usize)).collect();
    let count: usize = dims.iter().product();
    let values = (0..count).map(|at| numbers[at % numbers.len()] as i64).collect();
    generator.constant("zero_point", &Tensor::from_array(&Array::ints(dtype, dims, values)))
}

/// Exact floats as bytes, with a scale that takes a part of the range, or all of it.
fn quantized(generator: &mut Generator, x: Id, exponent: i32) -> Option<Id> {
    let form = generator.form(x).clone();
    let of_result = scale(generator, DType::F32, [exponent, exponent + 2], None)?;
    let dtype = byte_type(generator);
    let zero = if generator.random.chance(70) { Some(numbers_like(generator, of_result, dtype, &[5.0])) } else { None };
    let dtype = if zero.is_some() { dtype } else { DType::U8 };
    let result = Form { dtype, interval: all_bytes(dtype), exact: true, ..form };
    generator.emit_all("QuantizeLinear", &[Some(x), Some(of_result), zero], vec![], vec![result])?.first().copied()
}

/// What may stand between a product and its quantisation: a largest window, another summand, an activation.
fn followed(generator: &mut Generator, sums: Id, count: i64) -> Option<Id> {
    let form = generator.form(sums).clone();
    let mut result = sums;
    if generator.random.chance(40) {
        let other = generator.find(|_, other| matches!(other.dtype, DType::U8 | DType::I8) && other.dims == form.dims);
        let other = match other {
            Some(other) => other,
            None => generator.input(DType::U8, &form.dims, all_bytes(DType::U8))?,
        };
        let other = dequantized(generator, other, None)?;
        result = generator.emit("Add", &[result, other], vec![], form.clone())?;
    }
    if generator.random.chance(40) {
        result = generator.emit("Relu", &[result], vec![], form.clone())?;
    }
    let exponent = (2.0 * (EXPONENTS[0] as f64) + (count as f64).sqrt().log2()).round() as i32 + 7;
    let codes = quantized(generator, result, exponent)?;
    if form.rank() == 4 && generator.random.chance(20) { pooled(generator, codes, exponent) } else { Some(codes) }
}

/// The largest of windows of what is dequantised.
fn pooled(generator: &mut Generator, codes: Id, exponent: i32) -> Option<Id> {
    let x = dequantized(generator, codes, None)?;
    let form = generator.form(x).clone();
    let window = Window::draw(generator, &form.dims[2..]).with_short_padding();
    let dims = [&form.dims[..2], &window.positions(generator, &form.dims[2..])?].concat();
    let attributes = window.attributes(generator);
    let largest = generator.emit("MaxPool", &[x], attributes, form.of(dims))?;
    quantized(generator, largest, exponent.min(-1))
}

fn sums_of(dims: Vec<Expr>, count: i64) -> Form {
    Form { dtype: DType::F32, dims, interval: Interval::around_zero(256.0 * count as f64), exact: true }
}

pub fn matmul(generator: &mut Generator) -> Option<Id> {
    let rank = generator.random.one_of([2, 2, 3, 4]);
    let a = bytes(generator, |form| (2..=4).contains(&form.rank()), |generator| generator.new_dims(rank))?;
    let dims = generator.dims(a);
    let (rows, depth) = (dims[..dims.len() - 1].to_vec(), dims[dims.len() - 1].clone());
    let (columns, count) = (Expr::from(generator.size()), depth.as_const()?);
    if count > MOST_EXACT || !generator.is_quick(rows.iter().chain([&depth, &columns])) {
        return None;
    }
    let transposed = generator.random.chance(40);
    let shape = if transposed { [columns.clone(), depth] } else { [depth, columns.clone()] };
    let dtype = byte_type(generator);
    let b = generator.tensor(dtype, &shape, all_bytes(dtype))?;
    let axis = generator.random.chance(70).then_some(usize::from(!transposed));
    let (first, mut second) = (dequantized(generator, a, None)?, dequantized(generator, b, axis)?);
    if transposed {
        let form = generator.form(second).clone();
        let turned = vec![form.dims[1].clone(), form.dims[0].clone()];
        second = generator.emit("Transpose", &[second], vec![draft::ints("perm", &[1, 0])], form.of(turned))?;
    }
    let sums = generator.emit("MatMul", &[first, second], vec![], sums_of([&rows[..], &[columns]].concat(), count))?;
    followed(generator, sums, count)
}

pub fn conv(generator: &mut Generator) -> Option<Id> {
    let fits = |form: &Form| form.rank() == 4 && form.dims[1].as_const().is_some();
    let x = bytes(generator, fits, |generator| {
        let mut dims = vec![generator.dim(), Expr::from(generator.random.one_of([1, 2, 3, 4, 8, 16]))];
        dims.extend((0..2).map(|_| Expr::from(generator.random.one_of([1, 4, 5, 7, 8, 12]))));
        dims
    })?;
    let Filters { weights: w, window, groups, maps, dims, count } = Filters::draw(generator, x, MOST_EXACT)?;
    let axis = generator.random.chance(70).then_some(0);
    let (first, second) = (dequantized(generator, x, None)?, dequantized(generator, w, axis)?);
    let bias = if generator.random.chance(50) { Some(bias(generator, maps)?) } else { None };
    let mut attributes = window.attributes(generator);
    if groups != 1 {
        attributes.push(draft::int("group", groups));
    }
    let sums = generator.emit_all("Conv", &[Some(first), Some(second), bias], attributes, vec![sums_of(dims, count)])?;
    followed(generator, sums[0], count)
}

/// A bias in i32, whose unit is no smaller than that of the sums.
fn bias(generator: &mut Generator, maps: i64) -> Option<Id> {
    let codes = generator.weight_within("bias", DType::I32, &[maps as usize], Interval::around_zero(1000.0))?;
    let unit = generator.number(DType::F32, 2f64.powi(2 * EXPONENTS[1]));
    let form = Form { dtype: DType::F32, interval: Interval::around_zero(4.0), exact: true, ..generator.form(codes).clone() };
    generator.emit("DequantizeLinear", &[codes, unit], vec![], form)
}

/// A tensor of bytes with its scale and zero point.
struct Codes {
    codes: Id,
    scale: Id,
    zero: Id,
}

impl Codes {
    fn of(generator: &mut Generator, codes: Id) -> Option<Codes> {
        let dtype = generator.form(codes).dtype;
        let scale = scale(generator, DType::F32, EXPONENTS, None)?;
        let zero = generator.tensor(dtype, &[], all_bytes(dtype))?;
        Some(Codes { codes, scale, zero })
    }

    fn operands(&self) -> [Option<Id>; 3] {
        [Some(self.codes), Some(self.scale), Some(self.zero)]
    }
}

/// The scale and zero point of a result of bytes, and what it is.
fn result(generator: &mut Generator, exponents: [i32; 2], dims: Vec<Expr>) -> Option<([Option<Id>; 2], Form)> {
    let dtype = byte_type(generator);
    let (scale, zero) = (scale(generator, DType::F32, exponents, None)?, generator.tensor(dtype, &[], all_bytes(dtype))?);
    Some(([Some(scale), Some(zero)], Form { dtype, dims, interval: all_bytes(dtype), exact: true }))
}

/// An operator between tensors of bytes.
pub fn between_bytes(generator: &mut Generator) -> Option<Id> {
    let rank = generator.random.one_of([1, 2, 3, 4]);
    let x = bytes(generator, |form| (1..=4).contains(&form.rank()), |generator| generator.new_dims(rank))?;
    let form = generator.form(x).clone();
    let first = Codes::of(generator, x)?;
    let microsoft = |op: &str| format!("com.microsoft.{op}");
    match generator.random.below(5) {
        0 | 1 => {
            let other = generator.input(form.dtype, &form.dims, form.interval)?;
            let second = Codes::of(generator, other)?;
            let op = generator.random.one_of(["QLinearAdd", "QLinearMul"]);
            let (of_result, form) = result(generator, EXPONENTS, form.dims)?;
            let operands = [&first.operands()[..], &second.operands(), &of_result].concat();
            generator.emit_all(&microsoft(op), &operands, vec![], vec![form])?.first().copied()
        }
        2 => {
            let sigmoid = generator.random.chance(50);
            let (of_result, form) = result(generator, if sigmoid { FINE } else { EXPONENTS }, form.dims)?;
            let operands = [&first.operands()[..], &of_result].concat();
            let (op, attributes) = match sigmoid {
                true => ("QLinearSigmoid", vec![]),
                false => ("QLinearLeakyRelu", vec![draft::float("alpha", 0.25)]),
            };
            generator.emit_all(&microsoft(op), &operands, attributes, vec![form])?.first().copied()
        }
        3 if form.rank() >= 3 => {
            let count = generator.sizes(&Expr::product(&form.dims[2..]));
            // so that no mean is rounded
            if !count.iter().all(|count| *count > 0 && (*count as u64).is_power_of_two()) {
                return None;
            }
            let dims = form.dims.iter().enumerate().map(|(axis, dim)| if axis < 2 { dim.clone() } else { Expr::one() }).collect();
            let (of_result, form) = result(generator, EXPONENTS, dims)?;
            let operands = [&first.operands()[..], &of_result].concat();
            generator.emit_all(&microsoft("QLinearGlobalAveragePool"), &operands, vec![], vec![form])?.first().copied()
        }
        _ => {
            let other = generator.input(form.dtype, &form.dims, form.interval)?;
            let second = Codes::of(generator, other)?;
            let axis = generator.axis(x)?;
            let mut dims = form.dims.clone();
            dims[axis] = &dims[axis] * 2;
            let (of_result, result) = result(generator, EXPONENTS, dims)?;
            let operands = [&of_result[..], &first.operands(), &second.operands()].concat();
            let attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
            generator.emit_all(&microsoft("QLinearConcat"), &operands, attributes, vec![result])?.first().copied()
        }
    }
}

/// A product of matrices of bytes, with a bias in the unit of the sums.
pub fn gemm(generator: &mut Generator) -> Option<Id> {
    let a = bytes(generator, |form| form.rank() == 2, |generator| generator.new_dims(2))?;
    let dims = generator.dims(a);
    let (columns, transposed) = (Expr::from(generator.size()), generator.random.chance(50));
    let count = dims[1].as_const()?;
    if count > MOST_EXACT || !generator.is_quick(dims.iter().chain([&columns])) {
        return None;
    }
    let shape = if transposed { [columns.clone(), dims[1].clone()] } else { [dims[1].clone(), columns.clone()] };
    let dtype = byte_type(generator);
    let b = generator.tensor(dtype, &shape, all_bytes(dtype))?;
    let (first, second) = (Codes::of(generator, a)?, Codes::of(generator, b)?);
    let small = Interval::around_zero(1000.0);
    let width = columns.as_const()? as usize;
    let bias = if generator.random.chance(50) { Some(generator.weight_within("bias", DType::I32, &[width], small)?) } else { None };
    let exponent = (2.0 * (EXPONENTS[0] as f64) + (count as f64).sqrt().log2()).round() as i32 + 7;
    let (of_result, form) = result(generator, [exponent, exponent + 2], vec![dims[0].clone(), columns])?;
    let operands = [&first.operands()[..], &second.operands(), &[bias], &of_result].concat();
    let attributes = vec![draft::int("transB", transposed as i64)];
    generator.emit_all("com.microsoft.QGemm", &operands, attributes, vec![form])?.first().copied()
}

/// To bytes and back, as onnxruntime spells it where the standard's operators lack a type.
pub fn there_and_back(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let form = generator.form(x).clone();
    if !matches!(form.dtype, DType::F32 | DType::F16) {
        return None;
    }
    let of_result = scale(generator, form.dtype, [-6, -2], None)?;
    let dtype = generator.random.one_of([DType::U8, DType::I8, DType::U16, DType::I16]);
    let zero = numbers_like(generator, of_result, dtype, &[5.0]);
    let all = Form { dtype, interval: all_bytes(dtype), exact: true, ..form.clone() };
    let operands = |x: Id| [x, of_result, zero].map(Some);
    let codes = generator.emit_all("com.microsoft.QuantizeLinear", &operands(x), vec![], vec![all])?[0];
    let most = if form.dtype == DType::F16 || dtype == DType::I8 || dtype == DType::U8 { 64.0 } else { 16384.0 };
    if most < 16384.0 && !matches!(dtype, DType::U8 | DType::I8) {
        return Some(codes);
    }
    let back = Form { interval: Interval::around_zero(most), ..form };
    generator.emit_all("com.microsoft.DequantizeLinear", &operands(codes), vec![], vec![back])?.first().copied()
}
