//! `broadcast`: numpy expansion, aligned at the last axis.
//!
//! Operands: x. Attributes: `dims` Exprs.
//! - C1: `dims` has at least x's rank.
//! - C2: every dim of x is 1 or equals the result's; where that is not decided a guard checks it.
//!
//! `out[.., i, j] = x[i if i's dim is not 1 else 0, ..]`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, Relation, relation};
use crate::lower::parallel;
use crate::reference::moved;
use ir::{Array, Attrs};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "broadcast", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    let lead = dims.len().checked_sub(x.rank()).ok_or_else(|| OpError::shape(format!("{x} does not broadcast to rank {}", dims.len())))?;
    let mut guards = Guards::default();
    for (axis, (from, to)) in x.dims.iter().zip(&dims[lead..]).enumerate() {
        guards.broadcasts(lead + axis, from, to)?;
    }
    Ok(Inferred::of(x.dtype, dims.to_vec()).with(guards))
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, dims) = (inputs[0], &out[0].1);
    let lead = dims.len() - x.dims().len();
    let strides: Vec<usize> = x.dims().iter().zip(x.strides()).map(|(dim, stride)| if *dim == 1 { 0 } else { stride }).collect();
    Ok(vec![moved(x, dims, |index| index[lead..].iter().zip(&strides).map(|(at, stride)| at * stride).sum())])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let (x, dims) = (&cx.inputs[0], cx.dims());
    let index = parallel(&mut nest, dims);
    let lead = dims.len() - x.rank();
    let source: Vec<Expr> = (0..x.rank()).map(|axis| source(&x.dims[axis], &dims[lead + axis], &index[lead + axis])).collect();
    let value = nest.read(0, &source);
    vec![cx.store(nest, &index, value)]
}

/// The index into a dim of size `from`: 0 where that is 1, `at` where it is `to`, and the one or the other at run time.
fn source(from: &Expr, to: &Expr, at: &Expr) -> Expr {
    match (from.as_const(), relation(from, to)) {
        (Some(1), _) => Expr::zero(),
        (Some(_), _) | (None, Relation::Equal) => at.clone(),
        (None, Relation::Undecided | Relation::Different) => at.minimum(&(from - 1)),
    }
}
