//! The element types of ONNX tensors: their numbers in a model file, names and widths.

use prost::Enumeration;
use std::fmt;

/// The type of one tensor element; the value is the number that a model file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum DataType {
    Undefined = 0,
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Uint16 = 4,
    Int16 = 5,
    Int32 = 6,
    Int64 = 7,
    String = 8,
    Bool = 9,
    Float16 = 10,
    Double = 11,
    Uint32 = 12,
    Uint64 = 13,
    Complex64 = 14,
    Complex128 = 15,
    Bfloat16 = 16,
    Float8e4m3fn = 17,
    Float8e4m3fnuz = 18,
    Float8e5m2 = 19,
    Float8e5m2fnuz = 20,
    Uint4 = 21,
    Int4 = 22,
    Float4e2m1 = 23,
    Float8e8m0 = 24,
    Uint2 = 25,
    Int2 = 26,
    Float6e2m3 = 27,
    Float6e3m2 = 28,
}

impl DataType {
    /// Bits of one element; a packed tensor of `n` elements takes `ceil(n * bits / 8)` bytes. None for `Undefined` and `String`.
    pub fn bits(self) -> Option<u32> {
        self.name_and_bits().1
    }

    /// The schema's name in lower case, as `float` or `float8e4m3fn`.
    pub fn name(self) -> &'static str {
        self.name_and_bits().0
    }

    fn name_and_bits(self) -> (&'static str, Option<u32>) {
        match self {
            DataType::Undefined => ("undefined", None),
            DataType::Float => ("float", Some(32)),
            DataType::Uint8 => ("uint8", Some(8)),
            DataType::Int8 => ("int8", Some(8)),
            DataType::Uint16 => ("uint16", Some(16)),
            DataType::Int16 => ("int16", Some(16)),
            DataType::Int32 => ("int32", Some(32)),
            DataType::Int64 => ("int64", Some(64)),
            DataType::String => ("string", None),
            DataType::Bool => ("bool", Some(8)),
            DataType::Float16 => ("float16", Some(16)),
            DataType::Double => ("double", Some(64)),
            DataType::Uint32 => ("uint32", Some(32)),
            DataType::Uint64 => ("uint64", Some(64)),
            DataType::Complex64 => ("complex64", Some(64)),
            DataType::Complex128 => ("complex128", Some(128)),
            DataType::Bfloat16 => ("bfloat16", Some(16)),
            DataType::Float8e4m3fn => ("float8e4m3fn", Some(8)),
            DataType::Float8e4m3fnuz => ("float8e4m3fnuz", Some(8)),
            DataType::Float8e5m2 => ("float8e5m2", Some(8)),
            DataType::Float8e5m2fnuz => ("float8e5m2fnuz", Some(8)),
            DataType::Uint4 => ("uint4", Some(4)),
            DataType::Int4 => ("int4", Some(4)),
            DataType::Float4e2m1 => ("float4e2m1", Some(4)),
            DataType::Float8e8m0 => ("float8e8m0", Some(8)),
            DataType::Uint2 => ("uint2", Some(2)),
            DataType::Int2 => ("int2", Some(2)),
            DataType::Float6e2m3 => ("float6e2m3", Some(6)),
            DataType::Float6e3m2 => ("float6e3m2", Some(6)),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
