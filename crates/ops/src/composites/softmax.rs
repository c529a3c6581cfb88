//! `softmax`: exponentials that sum to 1 along an axis.
//!
//! Operands: x (float). Attributes: `axis` Int.
//! - C1: x has a float type.
//! - C2: `axis` is an axis of x.
//!
//! `out[.., i, ..] = exp(x[.., i, ..] - max) / sum over j of exp(x[.., j, ..] - max)` with the maximum over j of `x[.., j, ..]`

use super::check_float;
use crate::attrs;
use crate::build::{Builder, core::Folded};
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::reference::as_floats;
use ir::{Array, Attrs, Diagnostic, ValueId};
use nest::{Func, Monoid};

pub const DEF: OpDef = OpDef { name: "softmax", infer, reference, kind: Kind::Composite { decompose } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    check_float(x)?;
    attrs::axis(cx.attrs, "axis", x.rank())?;
    Ok(Inferred::of(x.dtype, x.dims.clone()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, axis) = (inputs[0], attrs::axis(attrs, "axis", inputs[0].dims().len())?);
    let (dim, inner) = (x.dims()[axis], x.dims()[axis + 1..].iter().product::<usize>());
    let mut out = as_floats(x);
    for first in (0..out.len()).filter(|at| at / inner % dim == 0) {
        let lane = |k: usize| first + k * inner;
        let max = (0..dim).map(|k| out[lane(k)]).fold(f64::NEG_INFINITY, f64::max);
        (0..dim).for_each(|k| out[lane(k)] = (out[lane(k)] - max).exp());
        let sum: f64 = (0..dim).map(|k| out[lane(k)]).sum();
        (0..dim).for_each(|k| out[lane(k)] /= sum);
    }
    Ok(vec![Array::floats(x.dtype(), x.dims().to_vec(), out)])
}

fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let dtype = b.dtype(inputs[0]);
    let axis = attrs::axis(attrs, "axis", b.dims(inputs[0]).len()).map_err(|error| error.at(&b.location))?;
    let x = b.widened(inputs[0])?;
    let max = b.reduce(Monoid::Max, x, &[axis], Folded::Kept)?;
    let shifted = b.map_broadcast(Func::Sub, &[x, max])?;
    let exp = b.map(Func::Exp, &[shifted])?;
    let sum = b.reduce(Monoid::Sum, exp, &[axis], Folded::Kept)?;
    let out = b.map_broadcast(Func::Div, &[exp, sum])?;
    Ok(vec![b.convert(out, dtype)?])
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Attr, Attrs, Literal};

    fn attrs(axis: i64) -> Attrs {
        Attrs::from([("axis", Attr::Int(axis))])
    }

    #[test]
    fn decomposition() {
        for dtype in ["f16", "bf16", "f32", "f64"] {
            for (n, axis) in [(0, 0), (0, 1), (3, 0), (3, 1), (1, 0)] {
                // a few roundings of f64, of values up to 1
                case("softmax", attrs(axis), &[&format!("{dtype}[n, 5, 2]")], &[("n", n)]).check_decomposition(1e-14);
            }
        }
    }

    #[test]
    fn large_values_do_not_overflow() {
        let out = case("softmax", attrs(0), &["f32[2]"], &[]).with_floats(0, &[1e30, 1e30]).check_decomposition(0.0);
        assert_eq!(out.get(0), Literal::Float(0.5));
        case("softmax", attrs(0), &["f32[2]"], &[]).with_floats(0, &[f64::NAN, 1.0]).check_decomposition(0.0);
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("softmax", attrs(0), &["i32[2]"]), "i32[2] is no float tensor");
        assert_eq!(infer_error("softmax", attrs(1), &["f32[2]"]), "attribute `axis` is 1, not in 0..1");
    }
}
