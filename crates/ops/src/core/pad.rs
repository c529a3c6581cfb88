//! `pad`: a border of one value.
//!
//! Operands: x, value (a scalar). Attributes: `low` Exprs, `high` Exprs, one entry an axis.
//! - C1: the element types are equal, and `value` has rank 0.
//! - C2: `low` and `high` are not negative.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "pad", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, value] = cx.operands()?;
    same_type(x, value)?;
    rank_of("value", value, 0)?;
    let low = attrs::exprs_of(cx.attrs, "low", x.rank())?;
    let high = attrs::exprs_of(cx.attrs, "high", x.rank())?;
    let mut guards = Guards::default();
    for amount in low.iter().chain(high) {
        guards.at_least("padding", amount, &Expr::zero())?;
    }
    let dims = x.dims.iter().zip(low).zip(high).map(|((dim, low), high)| &(dim + low) + high).collect();
    Ok(Inferred::of(x.dtype, dims).with(guards))
}
