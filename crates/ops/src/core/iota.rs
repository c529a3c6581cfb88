//! `iota`: the coordinate along an axis.
//!
//! No operands. Attributes: `dims` Exprs, `axis` Int, `dtype` DType.
//! - C1: `axis` is an axis of `dims`.
//! - C2: `dtype` is not bool.
//!
//! `out[i..] = i_axis`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{parallel, valid};
use ir::{Array, Attrs, DType, Literal};
use nest::func::{convert, wrap};
use nest::{Nest, NestBuilder, ScalarId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "iota", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [] = cx.operands()?;
    let dims = attrs::exprs(cx.attrs, "dims")?;
    attrs::axis(cx.attrs, "axis", dims.len())?;
    match attrs::dtype(cx.attrs, "dtype")? {
        DType::Bool => Err(OpError::types("coordinates are no bool")),
        dtype => Ok(Inferred::of(dtype, dims.to_vec())),
    }
}

fn reference(_: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (dtype, dims) = &out[0];
    let axis = attrs::axis(attrs, "axis", dims.len())?;
    let inner: usize = dims[axis + 1..].iter().product();
    Ok(vec![Array::from_fn(*dtype, dims.clone(), |at| number((at / inner % dims[axis]) as i64, *dtype))])
}

/// An integer as an element; cut to the width of integer types.
pub fn number(value: i64, dtype: DType) -> Literal {
    if dtype.is_float() { convert(Literal::Int(value), DType::I64, dtype) } else { Literal::Int(wrap(value, dtype)) }
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let axis = valid(attrs::axis(cx.attrs, "axis", index.len()));
    let value = size(&mut nest, &index[axis], cx.outputs[0].dtype);
    vec![cx.store(nest, &index, value)]
}

/// The value of an index map in any element type but bool.
pub fn size(nest: &mut NestBuilder, value: &Expr, dtype: DType) -> ScalarId {
    match dtype {
        DType::I32 | DType::I64 => nest.index(value, dtype),
        _ => {
            let index = nest.index(value, DType::I64);
            nest.convert(index, dtype)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(dims: &[&str], axis: i64, dtype: DType) -> Attrs {
        let dims = Attr::Exprs(dims.iter().map(|dim| dim.parse().unwrap()).collect());
        Attrs::from([("dims", dims), ("axis", Attr::Int(axis)), ("dtype", Attr::DType(dtype))])
    }

    #[test]
    fn meaning() {
        let case = case("iota", attrs(&["2", "n"], 1, DType::I64), &[], &[("n", 3)]);
        assert_eq!(case.check(), Array::ints(DType::I64, vec![2, 3], vec![0, 1, 2, 0, 1, 2]));
        assert_eq!(case.maps(), "z[i0, i1] <- i1");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool) {
            for n in [0, 1, 300] {
                case("iota", attrs(&["n", "2"], 0, dtype), &[], &[("n", n)]).check();
            }
        }
        case("iota", attrs(&["1"], 0, DType::F32), &[], &[]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("iota", attrs(&["2"], 1, DType::I64), &[]), "attribute `axis` is 1, not in 0..1");
        assert_eq!(infer_error("iota", attrs(&["2"], 0, DType::Bool), &[]), "coordinates are no bool");
    }
}
