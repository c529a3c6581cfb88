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
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::{Func, Monoid};

pub const DEF: OpDef = OpDef { name: "softmax", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    check_float(x)?;
    attrs::axis(cx.attrs, "axis", x.rank())?;
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, axis) = (inputs[0], attrs::axis(attrs, "axis", inputs[0].dims().len())?);
    let (dim, inner) = (x.dims()[axis], x.dims()[axis + 1..].iter().product::<usize>());
    let mut out = as_floats(x);
    for first in (0..out.len()).filter(|at| at / inner % dim == 0) {
        let lane = |k: usize| first + k * inner;
        let max = (0..dim).map(|k| out[lane(k)]).fold(f64::NEG_INFINITY, f64::max);
        (0..dim).for_each(|k| out[lane(k)] = (out[lane(k)] - max).exp());
        let sum: f64 = (0..dim).map(|k| out[lane(k)]).sum();
        (0..dim).for_each(|k| out[lane(k)] /= sum);
    }
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), out)])
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
