//! `broadcast`: numpy expansion, aligned at the last axis.
//!
//! Operands: x. Attributes: `dims` Exprs.
//! - C1: `dims` has at least x's rank.
//! - C2: every dim of x is 1 or equals the result's; where that is not decided a guard checks it.
//!
//! `out[.., i, j] = x[i if i's dim is not 1 else 0, ..]`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;

pub const DEF: OpDef =
    OpDef { name: "broadcast", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    let lead = dims.len().checked_sub(x.rank()).ok_or_else(|| OpError::shape(format!("{x} does not broadcast to rank {}", dims.len())))?;
    let mut guards = Guards::default();
    for (axis, (from, to)) in x.dims.iter().zip(&dims[lead..]).enumerate() {
        guards.broadcasts(lead + axis, from, to)?;
    }
    Ok(Inferred::of(x.dtype, dims.to_vec()).with(guards))
}
