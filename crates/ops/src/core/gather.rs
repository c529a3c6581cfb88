//! `gather`: slices of a tensor, picked along one axis by indices from a tensor.
//!
//! Operands: data, indices (i32 or i64). Attributes: `axis` Int.
//! - C1: `axis` is an axis of data.
//! - C2: an index is in `-n..n` for the axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out[.., i.., ..] = data[.., indices[i..], ..]`; `out.dims = data.dims[..axis] + indices.dims + data.dims[axis+1..]`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::{DType, TensorType};

pub const DEF: OpDef = OpDef { name: "gather", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// Indices are i32 or i64.
pub fn check_indices(indices: &TensorType) -> Result<(), OpError> {
    match indices.dtype {
        DType::I32 | DType::I64 => Ok(()),
        other => Err(OpError::types(format!("indices are {other}, not i32 or i64"))),
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices] = cx.operands()?;
    check_indices(indices)?;
    let axis = attrs::axis(cx.attrs, "axis", data.rank())?;
    let dims = [&data.dims[..axis], &indices.dims, &data.dims[axis + 1..]].concat();
    Ok(Inferred::of(data.dtype, dims))
}
