//! Types in which sums of products are formed.

use crate::def::OpError;
use ir::{DType, TensorType};

/// The type that accumulates: f32 for the short floats, i32 for 8-bit integers, else the type itself.
pub fn accumulator(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 | DType::F32 => DType::F32,
        DType::I8 | DType::U8 => DType::I32,
        DType::Bool | DType::I16 | DType::I32 | DType::I64 | DType::U16 | DType::U32 | DType::U64 | DType::F64 => dtype,
    }
}

/// The result's type of a sum of products: that of the operands, i32 for 8-bit integers (which may be of either sign).
pub fn product_type(a: &TensorType, b: &TensorType) -> Result<DType, OpError> {
    let bytes = |ty: &TensorType| matches!(ty.dtype, DType::I8 | DType::U8);
    match (bytes(a), bytes(b)) {
        (true, true) => Ok(DType::I32),
        _ if a.dtype != b.dtype => Err(OpError::types(format!("element types differ: {} vs {}", a.dtype, b.dtype))),
        _ if a.dtype == DType::Bool => Err(OpError::types("bool has no products")),
        _ => Ok(a.dtype),
    }
}
