//! `transpose`: axes in another order.
//!
//! Operands: x. Attributes: `perm` Ints.
//! - C1: `perm` holds each of x's axes once.
//!
//! `out.dims[k] = x.dims[perm[k]]`, and the same of the indices.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::Attrs;

pub const DEF: OpDef =
    OpDef { name: "transpose", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// The permutation, checked.
pub fn perm(attrs: &Attrs, rank: usize) -> Result<Vec<usize>, OpError> {
    let perm: Vec<usize> = attrs::ints(attrs, "perm")?.iter().filter_map(|axis| usize::try_from(*axis).ok()).collect();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(OpError::attribute(format!("attribute `perm` is {:?}, no order of {rank} axes", attrs::ints(attrs, "perm")?)));
    }
    Ok(perm)
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let perm = perm(cx.attrs, x.rank())?;
    Ok(Inferred::of(x.dtype, perm.iter().map(|axis| x.dims[*axis].clone()).collect()))
}
