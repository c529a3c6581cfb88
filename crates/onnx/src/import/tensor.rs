//! Tensors and element types of a model file as those of the graph.

use super::narrow::Narrow;
use crate::file::{Elements, ModelFile};
use crate::proto::{DataType, TensorProto};
use bytes::Bytes;
use ir::{Code, DType, Diagnostic, Location, Strings, Tensor};
use std::sync::Arc;

/// The element type, where the compiler has it.
pub(super) fn element_type(data_type: DataType) -> Option<DType> {
    match data_type {
        DataType::Bool => Some(DType::Bool),
        DataType::Int8 => Some(DType::I8),
        DataType::Int16 => Some(DType::I16),
        DataType::Int32 => Some(DType::I32),
        DataType::Int64 => Some(DType::I64),
        DataType::Uint8 => Some(DType::U8),
        DataType::Uint16 => Some(DType::U16),
        DataType::Uint32 => Some(DType::U32),
        DataType::Uint64 => Some(DType::U64),
        DataType::Float16 => Some(DType::F16),
        DataType::Bfloat16 => Some(DType::BF16),
        DataType::Float => Some(DType::F32),
        DataType::Double => Some(DType::F64),
        DataType::Undefined
        | DataType::String
        | DataType::Complex64
        | DataType::Complex128
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz
        | DataType::Float8e8m0
        | DataType::Uint4
        | DataType::Int4
        | DataType::Float4e2m1
        | DataType::Uint2
        | DataType::Int2
        | DataType::Float6e2m3
        | DataType::Float6e3m2 => None,
    }
}

/// How elements are held: the type, and what they stand for where that is another.
pub type Stored = (DType, Option<Narrow>);

/// As [`element_type_of`], with the types that another one holds.
pub fn stored_type_of(number: i64) -> Result<Stored, (Code, String)> {
    let data_type = i32::try_from(number).ok().and_then(|number| DataType::try_from(number).ok());
    match data_type.and_then(Narrow::of) {
        Some(narrow) => Ok((narrow.held_in(), Some(narrow))),
        None => Ok((element_type_of(number)?, None)),
    }
}

/// The element type with this number in a model file; the text says what is wrong with it.
pub fn element_type_of(number: i64) -> Result<DType, (Code, String)> {
    let data_type = i32::try_from(number).ok().and_then(|number| DataType::try_from(number).ok());
    let data_type = data_type.filter(|data_type| *data_type != DataType::Undefined);
    let data_type = data_type.ok_or_else(|| (Code::Type, format!("{number} is no element type")))?;
    element_type(data_type).ok_or_else(|| (Code::Unsupported, format!("element type {data_type} is not supported")))
}

/// The tensor, sharing the file's bytes, and what its elements stand for. Strings are added to the table.
pub(super) fn tensor(
    file: &ModelFile,
    proto: &TensorProto,
    location: &Location,
    strings: &Strings,
) -> Result<(Tensor, Option<Narrow>), Diagnostic> {
    let problem = |code: Code, message: String| Diagnostic::new(code, location, message);
    let read = file.tensor_bytes(proto).map_err(|error| problem(Code::Data, error.to_string()))?;
    let (dtype, narrow) =
        stored_type_of(read.data_type as i64).map_err(|(code, text)| problem(code, format!("tensor `{}`: {text}", proto.name)))?;
    let dims: Option<Vec<usize>> = read.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let bytes = match read.elements {
        Elements::Numbers(bytes) => bytes,
        Elements::Strings(texts) => return Ok((numbers_of(&texts, dims.unwrap_or_default(), location, strings)?, narrow)),
    };
    let tensor = dims.and_then(|dims| match narrow {
        None => Tensor::new(dtype, dims, Arc::new(bytes)),
        Some(narrow) => {
            let count = dims.iter().product();
            Tensor::new(dtype, dims, Arc::new(narrow.unpacked(&bytes, count)))
        }
    });
    tensor
        .map(|tensor| (tensor, narrow))
        .ok_or_else(|| problem(Code::Data, format!("tensor `{}`: its dims {:?} are too large", proto.name, read.dims)))
}

/// The tensor of the numbers of strings.
fn numbers_of(texts: &[Bytes], dims: Vec<usize>, location: &Location, strings: &Strings) -> Result<Tensor, Diagnostic> {
    let text = |text| std::str::from_utf8(text).map_err(|_| Diagnostic::new(Code::Data, location, "a string is not in UTF-8"));
    let texts = texts.iter().map(|bytes| text(bytes)).collect::<Result<Vec<&str>, Diagnostic>>()?;
    strings.tensor(dims, &texts).map_err(|problem| Diagnostic { location: location.clone(), ..problem })
}
