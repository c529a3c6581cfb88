//! `convert`: another element type.
//!
//! Operands: x. Attributes: `to` DType.
//!
//! `out[i] = to(x[i])`: floats to integers truncate and saturate (NaN gives 0), integers wrap, anything to bool is `!= 0`.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::parallel;
use ir::{Array, Attrs};
use nest::Nest;
use nest::func::convert;

pub const DEF: OpDef = OpDef { name: "convert", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    Ok(Inferred::of(attrs::dtype(cx.attrs, "to")?, x.dims.clone()))
}

fn reference(inputs: &[&Array], _: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (to, dims)) = (inputs[0], &out[0]);
    Ok(vec![Array::from_fn(*to, dims.clone(), |at| convert(x.get(at), x.dtype(), *to))])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let x = nest.read(0, &index);
    let value = nest.convert(x, cx.outputs[0].dtype);
    vec![cx.store(nest, &index, value)]
}
