//! `reshape`: the same elements, row-major, under other dims.
//!
//! Operands: x. Attributes: `dims` Exprs.
//! - C1: the product of `dims` is the number of x's elements.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "reshape", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    let mut guards = Guards::default();
    guards.equal("number of elements", &x.count(), &Expr::product(dims))?;
    Ok(Inferred::of(x.dtype, dims.to_vec()).with(guards))
}
