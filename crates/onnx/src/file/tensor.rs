//! The elements of a `TensorProto` as little-endian bytes, whichever of its fields they are in.

use bytes::Bytes;

use super::fields::{Source, little_endian, source};
use super::{ExternalFault, ModelFile};
use crate::proto::{DataType, TensorProto};

/// A tensor's type, shape and elements.
///
/// From [`ModelFile::tensor_bytes`]: no dim is negative, their product does not overflow, and `elements` has exactly as many elements.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorBytes {
    pub data_type: DataType,
    pub dims: Vec<i64>,
    pub elements: Elements,
}

/// The elements of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Little-endian; at no particular alignment. A bool's byte is 0 or 1; complex numbers are (real, imaginary). Elements below
    /// 8 bits are packed from the lowest bit up; what the unused bits of the last byte hold is unspecified.
    Numbers(Bytes),
    /// Strings as the file has them, which should be UTF-8.
    Strings(Vec<Bytes>),
}

/// A tensor that can't be read: its name, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("tensor `{tensor}`: {fault}")]
pub struct TensorError {
    pub tensor: String,
    #[source]
    pub fault: TensorFault,
}

/// What is wrong with a tensor.
#[derive(Debug, thiserror::Error)]
pub enum TensorFault {
    #[error("its data type is {number}, which is none of 1 to 28")]
    DataType { number: i32 },
    #[error("its data location is {number}, which is neither 0 nor 1")]
    DataLocation { number: i32 },
    #[error("its dims {dims:?} have a negative size at axis {axis}")]
    NegativeDim { dims: Vec<i64>, axis: usize },
    #[error("its size overflows: dims {dims:?} of {data_type}")]
    Overflow { dims: Vec<i64>, data_type: DataType },
    #[error("it has elements in both {first} and {second}")]
    TwoFields { first: &'static str, second: &'static str },
    #[error("it is of type {data_type}, whose elements can't be in {field}")]
    WrongField { data_type: DataType, field: &'static str },
    #[error("its dims {dims:?} of {data_type} need {needed} {unit} but {field} has {got}")]
    Length { dims: Vec<i64>, data_type: DataType, needed: u64, unit: &'static str, field: &'static str, got: u64 },
    #[error("its dims {dims:?} need {needed} elements but it has none")]
    Missing { dims: Vec<i64>, needed: u64 },
    #[error("its entry {index} is {value}, which is out of range for {data_type}")]
    OutOfRange { index: usize, value: i128, data_type: DataType },
    #[error("it is a segment, {begin} to {end}, of a tensor; segments are not supported")]
    Segment { begin: i64, end: i64 },
    #[error(transparent)]
    External(#[from] ExternalFault),
}

impl ModelFile {
    /// The type, dims and elements of `tensor`. Data in `raw_data` or in another file is not copied.
    pub fn tensor_bytes(&self, tensor: &TensorProto) -> Result<TensorBytes, TensorError> {
        let size = Size::of(tensor);
        let read = size.and_then(|size| {
            let elements = self.elements(tensor, &size)?;
            Ok(TensorBytes { data_type: size.data_type, dims: tensor.dims.clone(), elements })
        });
        read.map_err(|fault| TensorError { tensor: tensor.name.clone(), fault })
    }

    fn elements(&self, tensor: &TensorProto, size: &Size) -> Result<Elements, TensorFault> {
        let numbers = match (source(tensor)?, size.bytes) {
            (None, bytes) => return no_elements(size, bytes),
            (Some(Source::Strings(values)), None) => {
                size.expect("string_data", values.len(), size.count, "strings")?;
                return Ok(Elements::Strings(values.to_vec()));
            }
            (Some(Source::Raw(raw)), Some(bytes)) => {
                size.expect("raw_data", raw.len(), bytes, "bytes")?;
                raw.clone()
            }
            (Some(Source::External(entries)), Some(bytes)) => self.external.slice(entries, bytes)?,
            (Some(typed), _) => little_endian(typed, size)?.into(),
        };
        check_bools(size.data_type, &numbers)?;
        Ok(Elements::Numbers(numbers))
    }
}

/// What type and dims say about the size: `bytes`, which strings have none of, is that of `count` elements packed.
pub(super) struct Size<'a> {
    pub data_type: DataType,
    pub dims: &'a [i64],
    pub count: u64,
    pub bytes: Option<u64>,
}

impl Size<'_> {
    fn of(tensor: &TensorProto) -> Result<Size<'_>, TensorFault> {
        let number = tensor.data_type;
        let data_type = DataType::try_from(number).ok().filter(|&known| known != DataType::Undefined);
        let data_type = data_type.ok_or(TensorFault::DataType { number })?;
        let dims = tensor.dims.as_slice();
        if let Some(axis) = dims.iter().position(|&dim| dim < 0) {
            return Err(TensorFault::NegativeDim { dims: dims.to_vec(), axis });
        }
        let overflow = || TensorFault::Overflow { dims: dims.to_vec(), data_type };
        let count = element_count(dims).ok_or_else(overflow)?;
        let bytes = data_type.bits().map(|bits| packed_bytes(count, bits).ok_or_else(overflow)).transpose()?;
        Ok(Size { data_type, dims, count, bytes })
    }

    /// Checks that `field` has the `needed` number of units.
    pub(super) fn expect(&self, field: &'static str, got: usize, needed: u64, unit: &'static str) -> Result<(), TensorFault> {
        let (data_type, got) = (self.data_type, got as u64);
        match got == needed {
            true => Ok(()),
            false => Err(TensorFault::Length { dims: self.dims.to_vec(), data_type, needed, unit, field, got }),
        }
    }
}

/// The product of `dims`, none of them negative; None where it does not fit.
fn element_count(dims: &[i64]) -> Option<u64> {
    match dims.contains(&0) {
        true => Some(0),
        false => dims.iter().try_fold(1u64, |count, &dim| count.checked_mul(dim as u64)),
    }
}

/// Bytes of `count` packed elements; None where that is more than memory can address.
fn packed_bytes(count: u64, bits: u32) -> Option<u64> {
    let bytes = count.checked_mul(u64::from(bits))?.div_ceil(8);
    isize::try_from(bytes).ok().map(|_| bytes)
}

fn no_elements(size: &Size, bytes: Option<u64>) -> Result<Elements, TensorFault> {
    match bytes {
        _ if size.count > 0 => Err(TensorFault::Missing { dims: size.dims.to_vec(), needed: size.count }),
        Some(_) => Ok(Elements::Numbers(Bytes::new())),
        None => Ok(Elements::Strings(Vec::new())),
    }
}

fn check_bools(data_type: DataType, bytes: &[u8]) -> Result<(), TensorFault> {
    if data_type != DataType::Bool {
        return Ok(());
    }
    match bytes.iter().position(|&byte| byte > 1) {
        None => Ok(()),
        Some(index) => Err(TensorFault::OutOfRange { index, value: bytes[index].into(), data_type }),
    }
}
