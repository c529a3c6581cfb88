//! Tensors in memory that somebody else owns.

use crate::Fault;
use ir::{Attr, Attrs, Code, DType, Strings, TensorType};
use std::sync::Arc;

/// A tensor that an operation reads: row-major, `product(dims) * dtype.size()` bytes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub dtype: DType,
    pub dims: &'a [usize],
    pub bytes: &'a [u8],
}

/// A tensor that an operation writes.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pub dtype: DType,
    pub dims: &'a [usize],
    pub bytes: &'a mut [u8],
}

impl View<'_> {
    /// The elements of a tensor of i64.
    pub fn numbers(&self) -> impl Iterator<Item = i64> + '_ {
        self.bytes.chunks_exact(8).map(|bytes| bytes.try_into().map_or(0, i64::from_le_bytes))
    }

    /// The strings of a tensor of their numbers; E010 where one has none.
    pub fn texts(&self, strings: &Strings) -> Result<Vec<Arc<str>>, Fault> {
        let text = |number: i64| {
            let missing = || Fault::new(Code::Index, format!("there is no string of number {number}"));
            strings.text(number).ok_or_else(missing)
        };
        self.numbers().map(text).collect()
    }
}

impl ViewMut<'_> {
    /// Writes as many elements of i64 as there are; what is left of the tensor is zero.
    pub fn write_numbers(&mut self, numbers: impl IntoIterator<Item = i64>) {
        let mut numbers = numbers.into_iter();
        for bytes in self.bytes.chunks_exact_mut(8) {
            bytes.copy_from_slice(&numbers.next().unwrap_or(0).to_le_bytes());
        }
    }
}

/// The only operand's type, where it is a tensor of i64: numbers of strings.
pub fn only_texts(operands: &[TensorType]) -> Result<&TensorType, Fault> {
    let [ty] = exactly(operands)?;
    check_texts(ty)?;
    Ok(ty)
}

pub fn check_texts(ty: &TensorType) -> Result<(), Fault> {
    if ty.dtype == DType::I64 { Ok(()) } else { Err(Fault::types(format!("{ty} is no tensor of numbers of strings"))) }
}

pub fn exactly<const N: usize>(operands: &[TensorType]) -> Result<[&TensorType; N], Fault> {
    let operands: Vec<&TensorType> = operands.iter().collect();
    operands.try_into().map_err(|got: Vec<_>| Fault::new(Code::Malformed, format!("operands: {} given, {N} needed", got.len())))
}

/// All operands and results have the same dims.
pub fn check_equal_dims(operands: &[View], results: &[ViewMut]) -> Result<(), Fault> {
    let mut dims = operands.iter().map(|view| view.dims).chain(results.iter().map(|view| view.dims));
    let first = dims.next().unwrap_or_default();
    match dims.find(|other| *other != first) {
        None => Ok(()),
        Some(other) => Err(Fault::new(Code::Shape, format!("dims differ: {first:?} and {other:?}"))),
    }
}

pub fn text<'a>(attrs: &'a Attrs, name: &str) -> Result<&'a str, Fault> {
    match attrs.get(name) {
        Some(Attr::Text(text)) => Ok(text),
        other => Err(Fault::new(Code::Attribute, format!("attribute `{name}`: a text wanted, got {other:?}"))),
    }
}

pub fn int(attrs: &Attrs, name: &str) -> Result<i64, Fault> {
    match attrs.get(name) {
        Some(Attr::Int(value)) => Ok(*value),
        other => Err(Fault::new(Code::Attribute, format!("attribute `{name}`: an integer wanted, got {other:?}"))),
    }
}
