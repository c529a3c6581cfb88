//! `convert`: another element type.
//!
//! Operands: x. Attributes: `to` DType.
//!
//! `out[i] = to(x[i])`: floats to integers truncate and saturate (NaN gives 0), integers wrap, anything to bool is `!= 0`.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};

pub const DEF: OpDef = OpDef { name: "convert", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    Ok(Inferred::of(attrs::dtype(cx.attrs, "to")?, x.dims.clone()))
}
