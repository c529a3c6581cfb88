//! `reduce_window`: folds a window that slides over the spatial axes.
//!
//! Operands: x `[N, C, spatial..]`. Attributes: `kind` Text as in `reduce`; `window`, `strides`, `dilations`, `low`, `high` Ints, one
//! entry a spatial axis.
//! - C1: x has rank `window.len() + 2`.
//! - C2: window, strides and dilations are at least 1, low and high at least 0; a window fits the padded input.
//! - C3: `kind` is defined on the element type, as in `reduce`.
//!
//! `out[n, c, o..] = fold over t.. of x[n, c, o*stride + t*dilation - low, ..]`; padding gives the kind's identity.

use super::reduce::monoid;
use super::window::Window;
use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use sym::Expr;

pub const DEF: OpDef =
    OpDef { name: "reduce_window", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    monoid(cx.attrs, x.dtype)?;
    let axes = attrs::ints(cx.attrs, "window")?.len();
    let taps = attrs::ints_of(cx.attrs, "window", axes, 1)?;
    rank_of("x", x, axes + 2)?;
    let (window, mut guards) = (Window::read(cx.attrs, axes)?, Guards::default());
    let mut dims = x.dims[..2].to_vec();
    for axis in 0..axes {
        dims.push(window.output(&mut guards, axis, &x.dims[axis + 2], &Expr::from(taps[axis]))?);
    }
    Ok(Inferred::of(x.dtype, dims).with(guards))
}
