//! `sizes`: integers that are known as expressions of the symbols.
//!
//! No operands. Attributes: `values` Exprs, row-major; `dims` Exprs; `dtype` DType.
//! - C1: `dims` are constants, and their product is the number of values.
//! - C2: `dtype` is not bool.

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use ir::DType;

pub const DEF: OpDef = OpDef { name: "sizes", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [] = cx.operands()?;
    let (values, dims) = (attrs::exprs(cx.attrs, "values")?, attrs::numbers(cx.attrs, "dims")?);
    if dims.iter().any(|dim| *dim < 0) || dims.iter().product::<i64>() != values.len() as i64 {
        return Err(OpError::shape(format!("dims {dims:?} do not hold {} values", values.len())));
    }
    match attrs::dtype(cx.attrs, "dtype")? {
        DType::Bool => Err(OpError::types("sizes are no bool")),
        dtype => Ok(Inferred::of(dtype, attrs::exprs(cx.attrs, "dims")?.to_vec())),
    }
}
