//! `map`: a scalar function of each element.
//!
//! Operands: 1 to 3 tensors. Attributes: `func` Text, a name of the scalar table.
//! - C1: `func` is in the table, and the number of operands is its arity.
//! - C2: the function is defined on the operands' element types.
//! - C3: the operands' dims are equal.
//!
//! `out[i] = func(a[i], b[i], ..)`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::Guards;
use crate::lower::{parallel, valid};
use ir::{Array, Attrs, DType, Literal};
use nest::{Func, Nest, ScalarId};

pub const DEF: OpDef = OpDef { name: "map", infer, reference, kind: Kind::Core { lower } };

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

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let func = func(attrs)?;
    // the condition of `select` stands before the data
    let dtype = inputs[inputs.len() - 1].dtype();
    let mut operands = vec![Literal::Int(0); inputs.len()];
    let (result, dims) = &out[0];
    Ok(vec![Array::from_fn(*result, dims.clone(), |at| {
        operands.iter_mut().zip(inputs).for_each(|(operand, input)| *operand = input.get(at));
        func.eval(dtype, &operands)
    })])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let operands: Vec<ScalarId> = (0..cx.inputs.len()).map(|operand| nest.read(operand, &index)).collect();
    let value = nest.apply(valid(func(cx.attrs)), &operands);
    vec![cx.store(nest, &index, value)]
}
