//! `sizes`: integers that are known as expressions of the symbols.
//!
//! No operands. Attributes: `values` Exprs, row-major; `dims` Exprs; `dtype` DType.
//! - C1: `dims` are constants, and their product is the number of values.
//! - C2: `dtype` is not bool.

use super::iota::{number, size};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::valid;
use ir::array::for_each_index;
use ir::{Array, Attrs, DType};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "sizes", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [] = cx.operands()?;
    let (values, dims) = (attrs::exprs(cx.attrs, "values")?, attrs::numbers(cx.attrs, "dims")?);
    if dims.iter().any(|dim| *dim < 0) || Expr::product(attrs::exprs(cx.attrs, "dims")?).as_const() != Some(values.len() as i64) {
        return Err(OpError::shape(format!("dims {dims:?} do not hold {} values", values.len())));
    }
    match attrs::dtype(cx.attrs, "dtype")? {
        DType::Bool => Err(OpError::types("sizes are no bool")),
        dtype => Ok(Inferred::of(dtype, attrs::exprs(cx.attrs, "dims")?.to_vec())),
    }
}

fn reference(_: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (values, (dtype, dims)) = (attrs::numbers(attrs, "values")?, &out[0]);
    Ok(vec![Array::from_fn(*dtype, dims.clone(), |at| number(values[at], *dtype))])
}

/// A nest for each element; one that writes nothing where there are none.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let values = valid(attrs::exprs(cx.attrs, "values"));
    if values.is_empty() {
        return vec![cx.nothing()];
    }
    let mut nests = Vec::new();
    let dims: Vec<usize> = valid(attrs::numbers(cx.attrs, "dims")).into_iter().map(|dim| dim as usize).collect();
    for_each_index(&dims, |index| {
        let mut nest = cx.nest();
        let value = size(&mut nest, &values[nests.len()], cx.outputs[0].dtype);
        let index: Vec<Expr> = index.iter().map(|at| Expr::from(*at as i64)).collect();
        nests.push(cx.store(nest, &index, value));
    });
    nests
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(values: &[&str], dims: &[&str], dtype: DType) -> Attrs {
        let exprs = |texts: &[&str]| Attr::Exprs(texts.iter().map(|text| text.parse().unwrap()).collect());
        Attrs::from([("values", exprs(values)), ("dims", exprs(dims)), ("dtype", Attr::DType(dtype))])
    }

    #[test]
    fn meaning() {
        let case = case("sizes", attrs(&["n", "n/2 - 5"], &["2"], DType::I64), &[], &[("n", 7)]);
        assert_eq!(case.check(), Array::ints(DType::I64, vec![2], vec![7, -2]));
        assert_eq!(case.maps(), "z[0] <- n");
        assert_eq!(case.nests().len(), 2);
    }

    #[test]
    fn every_type_and_rank() {
        for dtype in DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool) {
            case("sizes", attrs(&["n", "300", "1", "0"], &["2", "2"], dtype), &[], &[("n", 7)]).check();
        }
        case("sizes", attrs(&["n"], &[], DType::I32), &[], &[("n", 7)]).check();
        case("sizes", attrs(&["min(1, n)"], &[], DType::I64), &[], &[("n", 0)]).check();
        case("sizes", attrs(&[], &["0"], DType::I32), &[], &[]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("sizes", attrs(&["n"], &["2"], DType::I64), &[]), "dims [2] do not hold 1 values");
        assert_eq!(infer_error("sizes", attrs(&["n"], &["m"], DType::I64), &[]), "attribute `dims`: m is no number");
    }
}
