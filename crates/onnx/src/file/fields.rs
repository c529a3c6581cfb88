//! The fields of a `TensorProto` that may hold its elements, and how their entries become bytes in the layout of `raw_data`.

use bytes::Bytes;
use std::ops::RangeInclusive;

use super::tensor::{Size, TensorFault};
use crate::proto::{DataLocation, DataType, StringStringEntryProto, TensorProto};

/// The field that holds the elements.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    External(&'a [StringStringEntryProto]),
    Raw(&'a Bytes),
    Strings(&'a [Bytes]),
    Floats(&'a [f32]),
    Doubles(&'a [f64]),
    Int32s(&'a [i32]),
    Int64s(&'a [i64]),
    Uint64s(&'a [u64]),
}

impl Source<'_> {
    fn field(self) -> &'static str {
        match self {
            Source::External(_) => "external_data",
            Source::Raw(_) => "raw_data",
            Source::Strings(_) => "string_data",
            Source::Floats(_) => "float_data",
            Source::Doubles(_) => "double_data",
            Source::Int32s(_) => "int32_data",
            Source::Int64s(_) => "int64_data",
            Source::Uint64s(_) => "uint64_data",
        }
    }
}

/// The one field with elements; None where all are empty, an error where two are not.
pub(super) fn source(tensor: &TensorProto) -> Result<Option<Source<'_>>, TensorFault> {
    if let Some(segment) = &tensor.segment {
        return Err(TensorFault::Segment { begin: segment.begin, end: segment.end });
    }
    let number = tensor.data_location;
    let location = DataLocation::try_from(number).map_err(|_| TensorFault::DataLocation { number })?;
    let filled = [
        (location == DataLocation::External).then_some(Source::External(&tensor.external_data)),
        tensor.raw_data.as_ref().filter(|raw| !raw.is_empty()).map(Source::Raw),
        non_empty(&tensor.string_data, Source::Strings),
        non_empty(&tensor.float_data, Source::Floats),
        non_empty(&tensor.double_data, Source::Doubles),
        non_empty(&tensor.int32_data, Source::Int32s),
        non_empty(&tensor.int64_data, Source::Int64s),
        non_empty(&tensor.uint64_data, Source::Uint64s),
    ];
    let mut filled = filled.into_iter().flatten();
    match (filled.next(), filled.next()) {
        (Some(first), Some(second)) => Err(TensorFault::TwoFields { first: first.field(), second: second.field() }),
        (only, _) => Ok(only),
    }
}

fn non_empty<'a, T>(entries: &'a [T], source: fn(&'a [T]) -> Source<'a>) -> Option<Source<'a>> {
    (!entries.is_empty()).then(|| source(entries))
}

/// The elements of a typed field as bytes. The field must be the one that the schema has for the data type.
pub(super) fn little_endian(source: Source, size: &Size) -> Result<Vec<u8>, TensorFault> {
    use DataType::{Complex64, Complex128, Double, Float, Int64, Uint32, Uint64};
    let field = source.field();
    let entries = |got| size.expect(field, got, entry_count(size), "entries");
    match (source, size.data_type) {
        (Source::Floats(values), Float | Complex64) => entries(values.len()).map(|()| flat(values, f32::to_le_bytes)),
        (Source::Doubles(values), Double | Complex128) => entries(values.len()).map(|()| flat(values, f64::to_le_bytes)),
        (Source::Int64s(values), Int64) => entries(values.len()).map(|()| flat(values, i64::to_le_bytes)),
        (Source::Uint64s(values), Uint64) => entries(values.len()).map(|()| flat(values, u64::to_le_bytes)),
        (Source::Uint64s(values), Uint32) => entries(values.len()).and_then(|()| narrow_uint64s(values)),
        (Source::Int32s(values), data_type) => {
            let range = int32_range(data_type).ok_or(TensorFault::WrongField { data_type, field })?;
            entries(values.len()).and_then(|()| narrow_int32s(values, data_type, range))
        }
        (_, data_type) => Err(TensorFault::WrongField { data_type, field }),
    }
}

/// Entries of the typed field: two for a complex number, one for a byte of packed 2- or 4-bit elements, else one for an element.
fn entry_count(size: &Size) -> u64 {
    match size.data_type.bits() {
        Some(bits @ (2 | 4)) => size.count.div_ceil(u64::from(8 / bits)),
        _ if matches!(size.data_type, DataType::Complex64 | DataType::Complex128) => 2 * size.count,
        _ => size.count,
    }
}

fn flat<T: Copy, const N: usize>(values: &[T], to_le_bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(N * values.len());
    values.iter().for_each(|&value| bytes.extend_from_slice(&to_le_bytes(value)));
    bytes
}

fn narrow_uint64s(values: &[u64]) -> Result<Vec<u8>, TensorFault> {
    if let Some(index) = values.iter().position(|&value| u32::try_from(value).is_err()) {
        return Err(TensorFault::OutOfRange { index, value: values[index].into(), data_type: DataType::Uint32 });
    }
    Ok(flat(values, |value| (value as u32).to_le_bytes()))
}

fn narrow_int32s(values: &[i32], data_type: DataType, range: RangeInclusive<i32>) -> Result<Vec<u8>, TensorFault> {
    if let Some(index) = values.iter().position(|value| !range.contains(value)) {
        return Err(TensorFault::OutOfRange { index, value: values[index].into(), data_type });
    }
    Ok(match data_type.bits() {
        Some(32) => flat(values, i32::to_le_bytes),
        Some(16) => flat(values, |value| (value as u16).to_le_bytes()),
        Some(6) => packed_six_bits(values),
        _ => flat(values, |value| [value as u8]),
    })
}

/// What an entry of `int32_data` may be; None for the types that are not stored there. A float's entry is its bit pattern; an
/// entry of a 2- or 4-bit type is a byte of packed elements, which producers write with and without a sign.
fn int32_range(data_type: DataType) -> Option<RangeInclusive<i32>> {
    use DataType::*;
    match data_type {
        Int32 => Some(i32::MIN..=i32::MAX),
        Int16 => Some(-0x8000..=0x7fff),
        Int8 => Some(-0x80..=0x7f),
        Uint16 | Float16 | Bfloat16 => Some(0..=0xffff),
        Uint8 | Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz | Float8e8m0 => Some(0..=0xff),
        Uint4 | Int4 | Float4e2m1 | Uint2 | Int2 => Some(-0x80..=0xff),
        Float6e2m3 | Float6e3m2 => Some(0..=0x3f),
        Bool => Some(0..=1),
        Undefined | String | Float | Double | Int64 | Uint32 | Uint64 | Complex64 | Complex128 => None,
    }
}

/// Four 6-bit values in three bytes, from the lowest bit up; the last group is padded with zeros and cut to the bytes in use.
fn packed_six_bits(values: &[i32]) -> Vec<u8> {
    let group = |four: &[i32]| four.iter().rev().fold(0u32, |bits, &value| bits << 6 | value as u32);
    let mut bytes: Vec<u8> = values.chunks(4).flat_map(|four| group(four).to_le_bytes().into_iter().take(3)).collect();
    bytes.truncate((6 * values.len()).div_ceil(8));
    bytes
}
