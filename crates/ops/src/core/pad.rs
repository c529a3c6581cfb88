//! `pad`: a border of one value.
//!
//! Operands: x, value (a scalar). Attributes: `low` Exprs, `high` Exprs, one entry an axis.
//! - C1: the element types are equal, and `value` has rank 0.
//! - C2: `low` and `high` are not negative.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use crate::lower::{parallel, valid};
use crate::reference::position;
use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Attrs, DType, Literal};
use nest::{Func, Index, Nest, NestBuilder, ScalarId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "pad", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, value] = cx.operands()?;
    same_type(x, value)?;
    rank_of("value", value, 0)?;
    let low = attrs::exprs_of(cx.attrs, "low", x.rank())?;
    let high = attrs::exprs_of(cx.attrs, "high", x.rank())?;
    let mut guards = Guards::default();
    for amount in low.iter().chain(high) {
        guards.at_least("padding", amount, &Expr::zero())?;
    }
    let dims = x.dims.iter().zip(low).zip(high).map(|((dim, low), high)| &(dim + low) + high).collect();
    Ok(Inferred::of(x.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (dtype, dims)) = (inputs[0], &out[0]);
    let mut padded = Array::filled(*dtype, dims.clone(), inputs[1].get(0));
    let strides = row_major_strides(dims);
    let low: Vec<usize> = attrs::numbers(attrs, "low")?.into_iter().map(|low| low as usize).collect();
    let (first, mut from) = (position(&strides, &low), 0);
    for_each_index(x.dims(), |index| {
        padded.set(first + position(&strides, index), x.get(from));
        from += 1;
    });
    Ok(vec![padded])
}

/// A read with a fill. Where the value is not known it is read, and chosen by comparing the index with the bounds.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let low = valid(attrs::exprs(cx.attrs, "low"));
    let source: Vec<Expr> = index.iter().zip(low).map(|(at, low)| at - low).collect();
    let fill = cx.constant(1).unwrap_or(Literal::zero(cx.inputs[0].dtype));
    let mut value = nest.read_at(0, source.iter().cloned().map(Index::Map).collect(), Some(fill));
    if cx.constant(1).is_none() {
        let border = nest.read(1, &[]);
        if let Some(inside) = inside(&mut nest, cx, &source) {
            value = nest.apply(Func::Select, &[inside, value, border]);
        }
    }
    vec![cx.store(nest, &index, value)]
}

/// Whether the index lies in x; None where no axis is padded.
fn inside(nest: &mut NestBuilder, cx: &LowerCx, source: &[Expr]) -> Option<ScalarId> {
    let (low, high) = (valid(attrs::exprs(cx.attrs, "low")), valid(attrs::exprs(cx.attrs, "high")));
    let mut bounds = Vec::new();
    for (axis, at) in source.iter().enumerate() {
        if !low[axis].is_zero() {
            bounds.push((at.clone(), Func::GreaterEqual, Expr::zero()));
        }
        if !high[axis].is_zero() {
            bounds.push((at.clone(), Func::Less, cx.inputs[0].dims[axis].clone()));
        }
    }
    let holds = bounds.into_iter().map(|(at, func, bound)| {
        let operands = [nest.index(&at, DType::I64), nest.index(&bound, DType::I64)];
        nest.apply(func, &operands)
    });
    let holds: Vec<ScalarId> = holds.collect();
    holds.into_iter().reduce(|all, one| nest.apply(Func::And, &[all, one]))
}
