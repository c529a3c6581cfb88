//! `iota`: the coordinate along an axis.
//!
//! No operands. Attributes: `dims` Exprs, `axis` Int, `dtype` DType.
//! - C1: `axis` is an axis of `dims`.
//! - C2: `dtype` is not bool.
//!
//! `out[i..] = i_axis`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::DType;

pub const DEF: OpDef = OpDef { name: "iota", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    attrs::axis(cx.attrs, "axis", dims.len())?;
    match attrs::dtype(cx.attrs, "dtype")? {
        DType::Bool => Err(OpError::types("coordinates are no bool")),
        dtype => Ok(Inferred::of(dtype, dims.to_vec())),
    }
}
