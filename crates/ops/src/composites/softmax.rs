//! `softmax`: exponentials that sum to 1 along an axis.
//!
//! Operands: x (float). Attributes: `axis` Int.
//! - C1: x has a float type.
//! - C2: `axis` is an axis of x.
//!
//! `out[.., i, ..] = exp(x[.., i, ..] - max) / sum over j of exp(x[.., j, ..] - max)` with the maximum over j of `x[.., j, ..]`

use super::check_float;
use crate::attrs;
use crate::build::{Builder, core::Folded};
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::{Attrs, Diagnostic, ValueId};
use nest::{Func, Monoid};

pub const DEF: OpDef = OpDef { name: "softmax", infer, reference: crate::def::later, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    check_float(x)?;
    attrs::axis(cx.attrs, "axis", x.rank())?;
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let dtype = b.dtype(inputs[0]);
    let axis = attrs::axis(attrs, "axis", b.dims(inputs[0]).len()).map_err(|error| error.at(&b.location))?;
    let x = b.widened(inputs[0])?;
    let max = b.reduce(Monoid::Max, x, &[axis], Folded::Kept)?;
    let shifted = b.map_broadcast(Func::Sub, &[x, max])?;
    let exp = b.map(Func::Exp, &[shifted])?;
    let sum = b.reduce(Monoid::Sum, exp, &[axis], Folded::Kept)?;
    let out = b.map_broadcast(Func::Div, &[exp, sum])?;
    Ok(vec![b.convert(out, dtype)?])
}
