//! `conv`: cross-correlation over any number of spatial axes, padded with zeros.
//!
//! Operands: x `[N, C, spatial..]`, w `[M, C/groups, taps..]`. Attributes: `strides`, `dilations`, `low`, `high` Ints, one entry a spatial
//! axis; `groups` Int.
//! - C1: the ranks are equal and at least 2; the element types as in `contract`.
//! - C2: C is `groups` times w's second dim; M is a multiple of `groups`.
//! - C3: strides and dilations are at least 1, low and high at least 0; a window fits the padded input.
//!
//! `out[n, m, o..] = sum over c, t.. of x[n, g*C/groups + c, o*stride + t*dilation - low, ..] * w[m, c, t..]` with `g = m/(M/groups)`,
//! accumulated as in `contract`.

use super::accumulate::product_type;
use super::window::Window;
use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use ir::Attrs;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "conv", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// The number of groups, at least 1.
fn groups(attrs: &Attrs) -> Result<i64, OpError> {
    match attrs::int(attrs, "groups")? {
        groups if groups >= 1 => Ok(groups),
        groups => Err(OpError::attribute(format!("attribute `groups` is {groups}"))),
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, w] = cx.operands()?;
    let dtype = product_type(x, w)?;
    if x.rank() < 2 {
        return Err(OpError::shape(format!("x is {x}, with no channels")));
    }
    rank_of("w", w, x.rank())?;
    let (groups, window) = (groups(cx.attrs)?, Window::read(cx.attrs, x.rank() - 2)?);
    let mut guards = Guards::default();
    guards.equal("number of channels", &x.dims[1], &(&w.dims[1] * groups))?;
    if w.dims[0].as_const().is_some_and(|m| m % groups != 0) {
        return Err(OpError::shape(format!("{} output channels do not divide into {groups} groups", w.dims[0])));
    }
    let mut dims: Vec<Expr> = vec![x.dims[0].clone(), w.dims[0].clone()];
    for axis in 0..x.rank() - 2 {
        dims.push(window.output(&mut guards, axis, &x.dims[axis + 2], &w.dims[axis + 2])?);
    }
    Ok(Inferred::of(dtype, dims).with(guards))
}
