//! Products of bytes, as quantised models have them: with zero points, and scaled to floats behind.

use super::arithmetic::small;
use super::shape::numbers;
use super::window::Window;
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
use onnx::proto::AttributeProto;
use sym::Expr;

/// The bytes of a type.
pub(super) fn all_bytes(dtype: DType) -> Interval {
    let (low, high) = dtype.int_range().unwrap_or((0, 1));
    Interval::new(low as f64, high as f64)
}

pub(super) fn byte_type(generator: &mut Generator) -> DType {
    generator.random.one_of([DType::U8, DType::U8, DType::I8])
}

/// A tensor of bytes with a rank in the range: an old one, floats or integers converted, or an input of the given dims.
pub(super) fn bytes(generator: &mut Generator, fits: impl Fn(&Form) -> bool, dims: impl FnOnce(&mut Generator) -> Vec<Expr>) -> Option<Id> {
    let found = generator.find(|_, form| matches!(form.dtype, DType::I8 | DType::U8) && fits(form));
    if found.is_some() && generator.random.chance(70) {
        return found;
    }
    let (dtype, dims) = (byte_type(generator), dims(generator));
    generator.input(dtype, &dims, all_bytes(dtype))
}

/// A zero point of a tensor of bytes: none, a number, or a number for each of `count`, of which some may not be known.
fn zero_point(generator: &mut Generator, of: Id, count: Option<&Expr>) -> Option<Id> {
    let dtype = generator.form(of).dtype;
    let dims = match (generator.random.below(6), count) {
        (0 | 1, _) => return None,
        (2, Some(count)) => vec![count.clone()],
        (3, _) => vec![Expr::one()],
        _ => vec![],
    };
    if dims.is_empty() && generator.random.chance(15) {
        return Some(generator.number(dtype, 0.0));
    }
    generator.tensor(dtype, &dims, all_bytes(dtype))
}

/// What a sum of `count` products of differences of bytes may be.
fn product_interval(count: i64) -> Interval {
    Interval::around_zero(255.0 * 255.0 * count as f64)
}

/// The sums as floats, scaled to about 1; or as small whole numbers.
fn rescaled(generator: &mut Generator, sums: Id, count: i64) -> Option<Id> {
    let form = generator.form(sums).clone();
    let float = generator.float;
    if float == DType::F16 || generator.random.chance(30) {
        return small(generator, sums);
    }
    let exact = form.interval.largest() * float.unit_roundoff() < 0.5;
    let wide = Form { exact, ..form.cast(float) };
    let floats = generator.emit("Cast", &[sums], vec![draft::int("to", draft::data_type(float) as i64)], wide)?;
    let factor = 1.0 / (255.0 * 64.0 * (count as f64).sqrt());
    let scale = generator.number(float, factor);
    let scaled = generator.form(floats).clone().rounded().within(form.interval.scale(factor));
    let scaled = generator.emit("Mul", &[floats, scale], vec![], scaled)?;
    generator.tame(scaled, 60.0)
}

/// Sums of so many products are floats that are not rounded.
const MOST_EXACT: i64 = 250;

/// A product's factors, how many scales the second may have, and what is added.
struct Factors {
    factors: [Id; 2],
    zero_points: [Option<Id>; 2],
    scales: Option<Expr>,
    bias: Option<Id>,
}

/// Powers of two, so that nothing is rounded but where it is meant: one of these, or a list of two.
pub(super) fn scale(generator: &mut Generator, dtype: DType, exponents: [i32; 2], count: Option<&Expr>) -> Option<Id> {
    let power = |generator: &mut Generator| 2.0_f64.powi(generator.random.between(exponents[0] as i64, exponents[1] as i64) as i32);
    let Some(count) = count.and_then(Expr::as_const).filter(|_| generator.random.chance(40)) else {
        let power = power(generator);
        return Some(generator.number(dtype, power));
    };
    let powers = (0..count).map(|_| power(generator)).collect();
    Some(generator.constant("scale", &Tensor::from_array(&Array::floats(dtype, vec![count as usize], powers))))
}

/// A product whose result is of bytes.
fn quantized(
    generator: &mut Generator,
    op: &str,
    product: Factors,
    attributes: Vec<AttributeProto>,
    dims: Vec<Expr>,
    count: i64,
) -> Option<Id> {
    let [a, b] = product.factors;
    let zero_points = [0, 1].map(|at| {
        let dtype = generator.form(product.factors[at]).dtype;
        product.zero_points[at].unwrap_or_else(|| generator.number(dtype, 0.0))
    });
    let [p, q] = zero_points;
    let first = scale(generator, DType::F32, [-3, 0], None)?;
    let second = scale(generator, DType::F32, [-3, 0], product.scales.as_ref())?;
    let spread = 6 + (count as f64).sqrt().log2().round() as i32;
    let of_result = scale(generator, DType::F32, [spread - 5, spread - 3], None)?;
    let dtype = byte_type(generator);
    let zero = generator.tensor(dtype, &[], all_bytes(dtype))?;
    let result = Form { dtype, dims, interval: all_bytes(dtype), exact: true };
    let operands = [a, first, p, b, second, q, of_result, zero].map(Some);
    let operands = [&operands[..], &[product.bias]].concat();
    generator.emit_all(op, &operands, attributes, vec![result])?.first().copied()
}

/// Floats as integers of few bits.
pub fn quantize(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let form = generator.form(x).clone();
    if form.dtype == DType::F64 {
        return None;
    }
    let axis = if form.rank() > 0 { generator.axis(x) } else { None };
    let count = axis.map(|axis| form.dims[axis].clone());
    let scale = scale(generator, form.dtype, [-6, -2], count.as_ref())?;
    let dtype = generator.random.one_of([DType::U8, DType::U8, DType::I8, DType::U16, DType::I16]);
    let zero = if dtype != DType::U8 || generator.random.chance(60) {
        let dims = generator.dims(scale);
        Some(generator.tensor(dtype, &dims, all_bytes(dtype))?)
    } else {
        None
    };
    let result = Form { dtype, interval: all_bytes(dtype), exact: true, ..form.clone() };
    let attributes = along(generator, axis, form.rank());
    generator.emit_all("QuantizeLinear", &[Some(x), Some(scale), zero], attributes, vec![result])?.first().copied()
}

pub(super) fn along(generator: &mut Generator, axis: Option<usize>, rank: usize) -> Vec<AttributeProto> {
    axis.map(|axis| draft::int("axis", generator.spelled(axis, rank))).into_iter().collect()
}

/// Integers of few bits as floats.
pub fn dequantize(generator: &mut Generator) -> Option<Id> {
    let fits = |form: &Form| form.rank() <= 4;
    let x = bytes(generator, fits, |generator| generator.new_dims(2))?;
    let form = generator.form(x).clone();
    let axis = if form.rank() > 0 { generator.axis(x) } else { None };
    let count = axis.map(|axis| form.dims[axis].clone());
    let float = if generator.float == DType::F64 { DType::F32 } else { generator.float };
    let scale = scale(generator, float, [-8, -5], count.as_ref())?;
    let zero = if generator.random.chance(60) {
        let dims = generator.dims(scale);
        Some(generator.tensor(form.dtype, &dims, all_bytes(form.dtype))?)
    } else {
        None
    };
    let result = Form { dtype: float, interval: Interval::around_zero(8.0), exact: true, ..form.clone() };
    let attributes = along(generator, axis, form.rank());
    generator.emit_all("DequantizeLinear", &[Some(x), Some(scale), zero], attributes, vec![result])?.first().copied()
}

/// Floats whose range is 255, so that the scale is 1.
pub fn quantize_dynamically(generator: &mut Generator) -> Option<Id> {
    let (rows, columns, low) = (generator.dim(), generator.size(), generator.random.between(-255, 0) as f64);
    let range = Interval::new(low, low + 255.0);
    let x = generator.input(DType::I32, &[rows.clone(), Expr::from(columns)], range)?;
    let form = Form { dtype: DType::F32, ..generator.form(x).clone() };
    let x = generator.emit("Cast", &[x], vec![draft::int("to", draft::data_type(DType::F32) as i64)], form.clone())?;
    let ends = [range.low, range.high].into_iter().flat_map(|end| vec![end; columns as usize]).collect();
    let ends = generator.constant("ends", &Tensor::from_array(&Array::floats(DType::F32, vec![2, columns as usize], ends)));
    let dims = vec![rows + 2, Expr::from(columns)];
    let x = generator.emit("Concat", &[x, ends], vec![draft::int("axis", 0)], form.of(dims.clone()))?;
    let bytes = |dims: Vec<Expr>| Form { dtype: DType::U8, dims, interval: all_bytes(DType::U8), exact: true };
    let scale = form.of(vec![]).within(Interval::new(1.0, 1.0));
    generator.emit_all("DynamicQuantizeLinear", &[Some(x)], vec![], vec![bytes(dims), scale, bytes(vec![])])?.first().copied()
}

pub fn matmul(generator: &mut Generator) -> Option<Id> {
    let rank = generator.random.one_of([1, 2, 2, 2, 3, 4]);
    let a = bytes(generator, |form| (1..=4).contains(&form.rank()), |generator| generator.new_dims(rank))?;
    let form = generator.form(a).clone();
    let (rows, depth) = (form.dims[..form.rank() - 1].to_vec(), form.dims[form.rank() - 1].clone());
    let columns = if generator.random.chance(85) { vec![Expr::from(generator.size())] } else { vec![] };
    let batch = rows[..rows.len().saturating_sub(1)].to_vec();
    let batch = if columns.is_empty() || generator.random.chance(60) { vec![] } else { batch };
    let dtype = byte_type(generator);
    let b = generator.tensor(dtype, &[&batch[..], std::slice::from_ref(&depth), &columns].concat(), all_bytes(dtype))?;
    let dims = [&rows[..], &columns].concat();
    if !generator.is_quick(dims.iter().chain([&depth])) {
        return None;
    }
    let p = zero_point(generator, a, rows.last().filter(|_| rows.len() == 1 && columns.len() == 1));
    let q = zero_point(generator, b, columns.first().filter(|_| batch.is_empty()));
    let count = generator.largest(&depth);
    if count <= MOST_EXACT && generator.random.chance(35) {
        let scales = columns.first().filter(|_| batch.is_empty()).cloned();
        return quantized(
            generator,
            "QLinearMatMul",
            Factors { factors: [a, b], zero_points: [p, q], scales, bias: None },
            vec![],
            dims,
            count,
        );
    }
    let sums = Form { dtype: DType::I32, dims, interval: product_interval(count), exact: true };
    let sums = generator.emit_all("MatMulInteger", &[Some(a), Some(b), p, q], vec![], vec![sums])?[0];
    rescaled(generator, sums, count)
}

/// The filters of a convolution of bytes.
pub struct Filters {
    pub weights: Id,
    pub window: Window,
    pub groups: i64,
    pub maps: i64,
    /// Of the result.
    pub dims: Vec<Expr>,
    /// How many products a sum has.
    pub count: i64,
}

impl Filters {
    /// For x, whose channels are known; with at most so many products in a sum.
    pub fn draw(generator: &mut Generator, x: Id, most: i64) -> Option<Filters> {
        let form = generator.form(x).clone();
        let channels = form.dims[1].as_const()?;
        let groups = if generator.random.chance(25) { channels } else { 1 };
        let maps = groups * generator.random.one_of([1, 2, 8, 17]);
        let window = Window::draw(generator, &form.dims[2..]);
        let dims = [&[form.dims[0].clone(), Expr::from(maps)], &window.positions(generator, &form.dims[2..])?[..]].concat();
        let count = channels / groups * window.count();
        if count > most || !generator.is_quick(dims.iter().chain([&Expr::from(count)])) {
            return None;
        }
        let shape: Vec<Expr> = [&[maps, channels / groups], &window.taps[..]].concat().into_iter().map(Expr::from).collect();
        let dtype = byte_type(generator);
        let weights = generator.weight_within("weight", dtype, &numbers(&shape)?, all_bytes(dtype))?;
        Some(Filters { weights, window, groups, maps, dims, count })
    }
}

pub fn conv(generator: &mut Generator) -> Option<Id> {
    let fits = |form: &Form| (3..=5).contains(&form.rank()) && form.dims[1].as_const().is_some();
    let x = bytes(generator, fits, |generator| {
        let spatial = generator.random.one_of([1, 2, 2, 3]);
        let sides = [1, 4, 5, 7, 8, 9, 12, 16];
        let mut dims = vec![generator.dim(), Expr::from(generator.random.one_of([1, 2, 3, 4, 8, 16]))];
        dims.extend((0..spatial).map(|_| Expr::from(generator.random.one_of(sides))));
        dims
    })?;
    let Filters { weights: w, window, groups, maps, dims, count } = Filters::draw(generator, x, i64::MAX)?;
    let p = zero_point(generator, x, None);
    let q = zero_point(generator, w, Some(&Expr::from(maps)));
    let mut attributes = window.attributes(generator);
    if groups != 1 || generator.random.chance(30) {
        attributes.push(draft::int("group", groups));
    }
    if count <= MOST_EXACT && generator.random.chance(35) {
        let small = Interval::around_zero(1000.0);
        let bias = if generator.random.chance(50) { generator.weight_within("bias", DType::I32, &[maps as usize], small) } else { None };
        let factors = Factors { factors: [x, w], zero_points: [p, q], scales: Some(Expr::from(maps)), bias };
        return quantized(generator, "QLinearConv", factors, attributes, dims, count);
    }
    let sums = Form { dtype: DType::I32, dims, interval: product_interval(count), exact: true };
    let sums = generator.emit_all("ConvInteger", &[Some(x), Some(w), p, q], attributes, vec![sums])?[0];
    rescaled(generator, sums, count)
}
