//! `clamp`: elements kept between two bounds.
//!
//! Operands: x, low, high (scalars).
//! - C1: the element types are equal.
//! - C2: `low` and `high` have rank 0.
//!
//! `out = min(max(x, low), high)`

use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{rank_of, same_type};
use ir::{Array, Attrs, Diagnostic, Literal, ValueId};
use nest::Func;

pub const DEF: OpDef = OpDef { name: "clamp", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, low, high] = cx.operands()?;
    for (name, bound) in [("low", low), ("high", high)] {
        same_type(x, bound)?;
        rank_of(name, bound, 0)?;
    }
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], _: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, low, high) = (inputs[0], inputs[1].get(0), inputs[2].get(0));
    let pick = |value: Literal| {
        let raised = Func::Max.eval(x.dtype(), &[value, low]);
        Func::Min.eval(x.dtype(), &[raised, high])
    };
    Ok(vec![Array::from_fn(x.dtype(), x.dims().to_vec(), |at| pick(x.get(at)))])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], _: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let raised = b.map_broadcast(Func::Max, &[inputs[0], inputs[1]])?;
    Ok(vec![b.map_broadcast(Func::Min, &[raised, inputs[2]])?])
}
