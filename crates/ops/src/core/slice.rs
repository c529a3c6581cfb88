//! `slice`: every step-th element from a start, along every axis.
//!
//! Operands: x. Attributes: `starts` Exprs, `sizes` Exprs, `steps` Ints, one entry an axis.
//! - C1: no step is 0.
//! - C2: `start` and `start + (size-1)*step` are in bounds, or the size is 0; checked where they are constants, else the maker of the
//!   node sees to it.
//!
//! `out[i..] = x[start + i*step, ..]`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "slice", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let starts = attrs::exprs_of(cx.attrs, "starts", x.rank())?;
    let sizes = attrs::exprs_of(cx.attrs, "sizes", x.rank())?;
    let steps = attrs::ints_of(cx.attrs, "steps", x.rank(), i64::MIN)?;
    for axis in 0..x.rank() {
        check_axis(axis, &x.dims[axis], &starts[axis], &sizes[axis], steps[axis])?;
    }
    Ok(Inferred::of(x.dtype, sizes.to_vec()))
}

fn check_axis(axis: usize, dim: &Expr, start: &Expr, size: &Expr, step: i64) -> Result<(), OpError> {
    if step == 0 {
        return Err(OpError::attribute(format!("axis {axis}: the step is 0")));
    }
    if size.as_const().is_some_and(|size| size < 0) {
        return Err(OpError::attribute(format!("axis {axis}: the size is {size}")));
    }
    let last = start + &((size - 1) * step);
    for end in [start, &last] {
        let below = end.as_const().is_some_and(|end| end < 0);
        let above = (end - dim).as_const().is_some_and(|gap| gap >= 0);
        if !size.is_zero() && (below || above) {
            return Err(OpError::shape(format!("axis {axis}: index {end} is outside of size {dim}")));
        }
    }
    Ok(())
}
