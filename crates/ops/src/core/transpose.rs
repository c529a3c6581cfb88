//! `transpose`: axes in another order.
//!
//! Operands: x. Attributes: `perm` Ints.
//! - C1: `perm` holds each of x's axes once.
//!
//! `out.dims[k] = x.dims[perm[k]]`, and the same of the indices.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{parallel, valid};
use crate::reference::{moved, position};
use ir::{Array, Attrs};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "transpose", infer, reference, kind: Kind::Core { lower } };

/// The permutation, checked.
pub fn perm(attrs: &Attrs, rank: usize) -> Result<Vec<usize>, OpError> {
    let perm: Vec<usize> = attrs::ints(attrs, "perm")?.iter().filter_map(|axis| usize::try_from(*axis).ok()).collect();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(OpError::attribute(format!("attribute `perm` is {:?}, no order of {rank} axes", attrs::ints(attrs, "perm")?)));
    }
    Ok(perm)
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let perm = perm(cx.attrs, x.rank())?;
    Ok(Inferred::of(x.dtype, perm.iter().map(|axis| x.dims[*axis].clone()).collect()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, strides) = (inputs[0], inputs[0].strides());
    let strides: Vec<usize> = perm(attrs, x.dims().len())?.into_iter().map(|axis| strides[axis]).collect();
    Ok(vec![moved(x, &out[0].1, |index| position(&strides, index))])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let mut source = vec![Expr::zero(); index.len()];
    for (at, axis) in valid(perm(cx.attrs, index.len())).into_iter().enumerate() {
        source[axis] = index[at].clone();
    }
    let value = nest.read(0, &source);
    vec![cx.store(nest, &index, value)]
}
