//! `gather_nd`: slices of a tensor, each picked by a tuple of indices.
//!
//! Operands: data, indices (i32 or i64) of shape `[batch.., rows.., k]`. Attributes: `batch` Int.
//! - C1: the first `batch` dims of data and indices are equal; `batch` is less than the rank of indices.
//! - C2: `k` is a constant, and `batch + k` is at most the rank of data.
//! - C3: an index is in `-n..n` for its axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out[b.., r.., d..] = data[b.., indices[b.., r.., 0], .., indices[b.., r.., k-1], d..]`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;
use ir::{Attrs, TensorType};

pub const DEF: OpDef =
    OpDef { name: "gather_nd", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// The number of batch axes and of indices in a tuple.
fn parameters(data: &TensorType, indices: &TensorType, attrs: &Attrs) -> Result<(usize, usize), OpError> {
    let batch = attrs::axis(attrs, "batch", indices.rank())?;
    let last = indices.dims.last().ok_or_else(|| OpError::shape("indices have rank 0"))?;
    let tuple = last.as_const().and_then(|k| usize::try_from(k).ok());
    let tuple = tuple.ok_or_else(|| OpError::shape(format!("the last dim of indices is {last}, no constant")))?;
    if batch + tuple > data.rank() {
        return Err(OpError::shape(format!("{batch} batch axes and {tuple} indices do not fit {data}")));
    }
    Ok((batch, tuple))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices] = cx.operands()?;
    super::gather::check_indices(indices)?;
    let (batch, tuple) = parameters(data, indices, cx.attrs)?;
    let mut guards = Guards::default();
    let mut dims = guards.all_equal("batch", &data.dims[..batch], &indices.dims[..batch])?;
    dims.extend_from_slice(&indices.dims[batch..indices.rank() - 1]);
    dims.extend_from_slice(&data.dims[batch + tuple..]);
    Ok(Inferred::of(data.dtype, dims).with(guards))
}
