//! `concat`: tensors one after the other along an axis.
//!
//! Operands: 1..n tensors. Attributes: `axis` Int.
//! - C1: the operands' element types and ranks are equal, and so are their dims but for `axis`.
//! - C2: `axis` is one of their axes.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use crate::lower::{parallel, valid};
use crate::reference::position;
use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Attrs, Literal};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "concat", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let (first, rest) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no operands"))?;
    let joined = attrs::axis(cx.attrs, "axis", first.rank())?;
    let (mut dims, mut guards) = (first.dims.clone(), Guards::default());
    for ty in rest {
        same_type(first, ty)?;
        rank_of("operand", ty, first.rank())?;
        for axis in 0..dims.len() {
            dims[axis] = if axis == joined {
                &dims[axis] + &ty.dims[axis]
            } else {
                guards.equal(&format!("axis {axis}"), &dims[axis], &ty.dims[axis])?
            };
        }
    }
    Ok(Inferred::of(first.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (dtype, dims) = &out[0];
    let axis = attrs::axis(attrs, "axis", dims.len())?;
    let strides = row_major_strides(dims);
    let mut joined = Array::filled(*dtype, dims.clone(), Literal::zero(*dtype));
    let mut offset = 0;
    for input in inputs {
        let mut from = 0;
        for_each_index(input.dims(), |index| {
            joined.set(offset * strides[axis] + position(&strides, index), input.get(from));
            from += 1;
        });
        offset += input.dims()[axis];
    }
    Ok(vec![joined])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let axis = valid(attrs::axis(cx.attrs, "axis", cx.dims().len()));
    let mut offset = Expr::zero();
    let part = |operand: usize| {
        let part = copy(cx, operand, axis, &offset);
        offset += &cx.inputs[operand].dims[axis];
        part
    };
    (0..cx.inputs.len()).map(part).collect()
}

/// The nest that copies one operand to its place.
fn copy(cx: &LowerCx, operand: usize, axis: usize, offset: &Expr) -> Nest {
    let mut nest = cx.nest();
    let mut index = parallel(&mut nest, &cx.inputs[operand].dims);
    let value = nest.read(operand, &index);
    index[axis] += offset;
    cx.store(nest, &index, value)
}
