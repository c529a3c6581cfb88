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

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(perm: &[i64]) -> Attrs {
        Attrs::from([("perm", Attr::Ints(perm.to_vec()))])
    }

    #[test]
    fn meaning() {
        let case = case("transpose", attrs(&[1, 0]), &["i64[2, 3]"], &[]).with_ints(0, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(case.check(), Array::ints(DType::I64, vec![3, 2], vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(case.maps(), "z[i0, i1] <- a[i1, i0]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [0, 1, 4] {
                case("transpose", attrs(&[2, 0, 1]), &[&format!("{dtype}[n, 2, 3]")], &[("n", n)]).check();
            }
        }
        case("transpose", attrs(&[]), &["f32[]"], &[]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("transpose", attrs(&[0, 0]), &["f32[2, 3]"]), "attribute `perm` is [0, 0], no order of 2 axes");
    }
}
