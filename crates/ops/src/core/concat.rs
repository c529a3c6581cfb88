//! `concat`: tensors one after the other along an axis.
//!
//! Operands: 1..n tensors. Attributes: `axis` Int.
//! - C1: the operands' element types and ranks are equal, and so are their dims but for `axis`.
//! - C2: `axis` is one of their axes.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};

pub const DEF: OpDef = OpDef { name: "concat", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let (first, rest) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no operands"))?;
    let joined = attrs::axis(cx.attrs, "axis", first.rank())?;
    let (mut dims, mut guards) = (first.dims.clone(), Guards::default());
    for ty in rest {
        same_type(first, ty)?;
        rank_of("operand", ty, first.rank())?;
        for axis in 0..dims.len() {
            dims[axis] = if axis == joined {
                &dims[axis] + &ty.dims[axis]
            } else {
                guards.equal(&format!("axis {axis}"), &dims[axis], &ty.dims[axis])?
            };
        }
    }
    Ok(Inferred::of(first.dtype, dims).with(guards))
}
