//! `map`: a scalar function of each element.
//!
//! Operands: 1 to 3 tensors. Attributes: `func` Text, a name of the scalar table.
//! - C1: `func` is in the table, and the number of operands is its arity.
//! - C2: the function is defined on the operands' element types.
//! - C3: the operands' dims are equal.
//!
//! `out[i] = func(a[i], b[i], ..)`

use crate::attrs;
use crate::def::{InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;
use ir::{Attrs, DType};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "map", infer, reference: crate::def::later, kind: Kind::Core { lower: crate::def::later_nests } };

/// The scalar function of a `map`.
pub fn func(attrs: &Attrs) -> Result<Func, OpError> {
    let name = attrs::text(attrs, "func")?;
    Func::from_name(name).ok_or_else(|| OpError::attribute(format!("attribute `func`: there is no scalar function {name}")))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let types: Vec<DType> = cx.inputs.iter().map(|ty| ty.dtype).collect();
    let dtype = func(cx.attrs)?.result(&types).map_err(OpError::types)?;
    let mut guards = Guards::default();
    let (first, rest) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no operands"))?;
    let dims = rest.iter().try_fold(first.dims.clone(), |dims, ty| guards.all_equal("operands", &dims, &ty.dims))?;
    Ok(Inferred::of(dtype, dims).with(guards))
}
