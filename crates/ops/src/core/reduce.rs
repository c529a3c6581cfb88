//! `reduce`: folds axes away.
//!
//! Operands: x. Attributes: `kind` Text (sum, product, max, min, and, or), `axes` Ints, `keep` Int.
//! - C1: `axes` are axes of x, sorted, without repeats.
//! - C2: `and` and `or` take bool, the others any other type.
//!
//! With `keep` 1 a folded axis stays with size 1. The fold of nothing is the kind's identity. Max and min of floats give NaN where an
//! element is NaN; f16 and bf16 accumulate in f32.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::{Attrs, DType};
use nest::Monoid;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "reduce", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// The fold that `kind` names, defined on `dtype`.
pub fn monoid(attrs: &Attrs, dtype: DType) -> Result<Monoid, OpError> {
    let name = attrs::text(attrs, "kind")?;
    let monoid = Monoid::ALL.into_iter().find(|monoid| monoid.name() == name);
    let monoid = monoid.ok_or_else(|| OpError::attribute(format!("attribute `kind`: there is no reduction {name}")))?;
    let logical = matches!(monoid, Monoid::And | Monoid::Or);
    if logical != (dtype == DType::Bool) {
        return Err(OpError::types(format!("reduction {name} is not defined on {dtype}")));
    }
    Ok(monoid)
}

/// For each axis of x, whether it is folded.
fn folded(attrs: &Attrs, rank: usize) -> Result<Vec<bool>, OpError> {
    let axes = attrs::ints(attrs, "axes")?;
    let sorted = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || axes.iter().any(|axis| *axis < 0 || *axis >= rank as i64) {
        return Err(OpError::attribute(format!("attribute `axes` is {axes:?}, no sorted axes of rank {rank}")));
    }
    Ok((0..rank as i64).map(|axis| axes.contains(&axis)).collect())
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    monoid(cx.attrs, x.dtype)?;
    let folded = folded(cx.attrs, x.rank())?;
    let keep = attrs::flag(cx.attrs, "keep")?;
    let dim = |(dim, folded): (&Expr, &bool)| match (folded, keep) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(Expr::one()),
        (true, false) => None,
    };
    Ok(Inferred::of(x.dtype, x.dims.iter().zip(&folded).filter_map(dim).collect()))
}
