//! Text of a constant's elements.

use crate::array::Array;
use crate::dtype::{DType, Literal};
use crate::graph::TensorType;
use crate::tensor::Tensor;
use crate::text::parts::{literal_text, parse_literal};
use std::sync::Arc;
use sym::{ParseError, Parser};

/// The longest tensor whose elements are listed.
const LISTED: usize = 64;

/// The most bytes of a constant that a text may ask for.
const MAX_BYTES: usize = 1 << 32;

/// `splat 1.0`, `[1, 2]`, or `bits "00ff"` where the elements are many or have no exact text.
pub fn elements_text(tensor: &Tensor) -> String {
    if let Some(value) = tensor.uniform()
        && splat(tensor.dtype(), tensor.dims().to_vec(), value).is_some_and(|splat| splat == *tensor)
    {
        return format!("splat {}", element_text(tensor.dtype(), value));
    }
    if tensor.count() <= LISTED {
        let array = tensor.to_array();
        if Tensor::from_array(&array) == *tensor {
            let elements: Vec<String> = (0..array.count()).map(|at| element_text(tensor.dtype(), array.get(at))).collect();
            return format!("[{}]", elements.join(", "));
        }
    }
    let digits: String = tensor.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("bits \"{digits}\"")
}

/// The elements of a tensor of a type without symbols.
pub fn parse_elements(parser: &mut Parser, ty: &TensorType) -> Result<Tensor, ParseError> {
    let Some(dims) = ty.const_dims() else { return parser.error(format!("a constant of unknown dims: {ty}")) };
    let count = dims.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim));
    if count.and_then(|count| count.checked_mul(ty.dtype.size())).is_none_or(|bytes| bytes > MAX_BYTES) {
        return parser.error(format!("a constant of more than {MAX_BYTES} bytes: {ty}"));
    }
    if parser.peek("[") {
        let elements = parser.list("[", "]", |parser| parse_element(parser, ty.dtype))?;
        if Some(elements.len()) != count {
            return parser.error(format!("{} elements for {ty}", elements.len()));
        }
        return Ok(Tensor::from_array(&Array::from_fn(ty.dtype, dims, |at| elements[at])));
    }
    if parser.accept("splat") {
        let value = parse_element(parser, ty.dtype)?;
        return match splat(ty.dtype, dims, value) {
            Some(tensor) => Ok(tensor),
            None => parser.error(format!("no constant {ty}")),
        };
    }
    parser.expect("bits")?;
    let bytes = parse_bytes(parser)?;
    let found = bytes.len();
    match Tensor::new(ty.dtype, dims, Arc::new(bytes)) {
        Some(tensor) => Ok(tensor),
        None => parser.error(format!("{found} bytes for {ty}")),
    }
}

fn splat(dtype: DType, dims: Vec<usize>, value: Literal) -> Option<Tensor> {
    let element = Tensor::from_array(&Array::filled(dtype, vec![], value));
    let count: usize = dims.iter().product();
    Tensor::new(dtype, dims, Arc::new(element.bytes().repeat(count)))
}

/// The shortest text that reads back as the same element of the type.
fn element_text(dtype: DType, value: Literal) -> String {
    let Literal::Float(float) = value else { return literal_text(value) };
    let short = format!("{:?}", float as f32);
    let element = |value: f64| Tensor::from_array(&Array::floats(dtype, vec![], vec![value]));
    let exact = dtype != DType::F64 && float.is_finite() && short.parse().is_ok_and(|read: f64| element(read) == element(float));
    if exact { short } else { literal_text(value) }
}

fn parse_element(parser: &mut Parser, dtype: DType) -> Result<Literal, ParseError> {
    let value = parse_literal(parser)?;
    match (value, dtype.is_float()) {
        (Literal::Float(_), false) => parser.error(format!("{value} is no {dtype}")),
        (Literal::Int(int), true) => Ok(Literal::Float(int as f64)),
        (Literal::Float(_), true) | (Literal::Int(_), false) => Ok(value),
    }
}

fn parse_bytes(parser: &mut Parser) -> Result<Vec<u8>, ParseError> {
    let digits = parser.string()?;
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    match digits.as_bytes().chunks(2).map(|pair| byte(pair).filter(|_| pair.len() == 2)).collect() {
        Some(bytes) => Ok(bytes),
        None => parser.error("bits are pairs of hexadecimal digits"),
    }
}
