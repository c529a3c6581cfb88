//! `reduce`: folds axes away.
//!
//! Operands: x. Attributes: `kind` Text (sum, product, max, min, and, or), `axes` Ints, `keep` Int.
//! - C1: `axes` are axes of x, sorted, without repeats.
//! - C2: `and` and `or` take bool, the others any other type.
//!
//! With `keep` 1 a folded axis stays with size 1. The fold of nothing is the kind's identity. Max and min of floats give NaN where an
//! element is NaN; f16 and bf16 accumulate in f32.

use super::accumulate::accumulator;
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{fold, parallel, reduction, valid};
use crate::reference::{self, position};
use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Attrs, DType};
use nest::{Monoid, Nest, NestBuilder, ScalarId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "reduce", infer, reference, kind: Kind::Core { lower } };

/// The fold that `kind` names, defined on `dtype`.
pub fn monoid(attrs: &Attrs, dtype: DType) -> Result<Monoid, OpError> {
    let name = attrs::text(attrs, "kind")?;
    let monoid = Monoid::ALL.into_iter().find(|monoid| monoid.name() == name);
    let monoid = monoid.ok_or_else(|| OpError::attribute(format!("attribute `kind`: there is no reduction {name}")))?;
    let logical = matches!(monoid, Monoid::And | Monoid::Or);
    if logical != (dtype == DType::Bool) {
        return Err(OpError::types(format!("reduction {name} is not defined on {dtype}")));
    }
    Ok(monoid)
}

/// For each axis of x, whether it is folded.
fn folded(attrs: &Attrs, rank: usize) -> Result<Vec<bool>, OpError> {
    let axes = attrs::ints(attrs, "axes")?;
    let sorted = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || axes.iter().any(|axis| *axis < 0 || *axis >= rank as i64) {
        return Err(OpError::attribute(format!("attribute `axes` is {axes:?}, no sorted axes of rank {rank}")));
    }
    Ok((0..rank as i64).map(|axis| axes.contains(&axis)).collect())
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    monoid(cx.attrs, x.dtype)?;
    let folded = folded(cx.attrs, x.rank())?;
    let keep = attrs::flag(cx.attrs, "keep")?;
    let dim = |(dim, folded): (&Expr, &bool)| match (folded, keep) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(Expr::one()),
        (true, false) => None,
    };
    Ok(Inferred::of(x.dtype, x.dims.iter().zip(&folded).filter_map(dim).collect()))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, folded) = (inputs[0], folded(attrs, inputs[0].dims().len())?);
    let kept: Vec<usize> = x.dims().iter().zip(&folded).map(|(dim, folded)| if *folded { 1 } else { *dim }).collect();
    let mut strides = row_major_strides(&kept);
    strides.iter_mut().zip(&folded).for_each(|(stride, folded)| *stride *= !folded as usize);
    let mut groups = Vec::with_capacity(x.count());
    for_each_index(x.dims(), |index| groups.push((position(&strides, index), groups.len())));
    Ok(vec![reference::folded(monoid(attrs, x.dtype())?, x, &out[0].1, groups.into_iter())])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let x = &cx.inputs[0];
    let folded = valid(folded(cx.attrs, x.rank()));
    let dims_where =
        |wanted: &bool| x.dims.iter().zip(&folded).filter(|(_, folded)| folded == &wanted).map(|(dim, _)| dim.clone()).collect();
    let (kept, gone): (Vec<Expr>, Vec<Expr>) = (dims_where(&false), dims_where(&true));
    let mut nest = cx.nest();
    let (mut outer, mut inner) = (parallel(&mut nest, &kept).into_iter(), reduction(&mut nest, &gone).into_iter());
    let source: Vec<Expr> = folded.iter().filter_map(|folded| if *folded { inner.next() } else { outer.next() }).collect();
    let value = nest.read(0, &source);
    let value = accumulated(&mut nest, valid(monoid(cx.attrs, x.dtype)), &gone, value);
    let keep = valid(attrs::flag(cx.attrs, "keep"));
    let result = |(at, folded): (Expr, &bool)| match (folded, keep) {
        (false, _) => Some(at),
        (true, true) => Some(Expr::zero()),
        (true, false) => None,
    };
    let index: Vec<Expr> = source.into_iter().zip(&folded).filter_map(result).collect();
    vec![cx.store(nest, &index, value)]
}

/// The fold of `value` over the iterators that `dims` gave, f16 and bf16 summed and multiplied in f32.
pub fn accumulated(nest: &mut NestBuilder, monoid: Monoid, dims: &[Expr], value: ScalarId) -> ScalarId {
    let dtype = nest.dtype(value);
    let wide = match monoid {
        Monoid::Sum | Monoid::Product if dtype.is_float() => nest.convert(value, accumulator(dtype)),
        Monoid::Sum | Monoid::Product | Monoid::Max | Monoid::Min | Monoid::And | Monoid::Or => value,
    };
    let folded = fold(nest, monoid, dims, wide);
    nest.convert(folded, dtype)
}

#[cfg(test)]
mod tests {
    use super::DEF;
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};
    use nest::Monoid;

    fn attrs(kind: &str, axes: &[i64], keep: i64) -> Attrs {
        Attrs::from([("kind", Attr::Text(kind.to_string())), ("axes", Attr::Ints(axes.to_vec())), ("keep", Attr::Int(keep))])
    }

    #[test]
    fn meaning() {
        let case = case(DEF.name, attrs("max", &[0], 1), &["i32[2, 2]"], &[]).with_ints(0, &[1, 8, 3, 4]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![1, 2], vec![3, 8]));
        assert_eq!(case.maps(), "z[0, i0] <- a[i1, i0]");
    }

    #[test]
    fn every_kind_and_type_at_any_size() {
        for (kind, dtype) in Monoid::ALL.into_iter().flat_map(|kind| DType::ALL.map(|dtype| (kind, dtype))) {
            let logical = matches!(kind, Monoid::And | Monoid::Or);
            for (n, keep) in [(0, 0), (1, 1), (4, 0)].into_iter().filter(|_| logical == (dtype == DType::Bool)) {
                case("reduce", attrs(kind.name(), &[0, 2], keep), &[&format!("{dtype}[n, 3, 2, 1]")], &[("n", n)]).check();
            }
        }
        case("reduce", attrs("sum", &[], 0), &["f32[n]"], &[("n", 3)]).check();
        case("reduce", attrs("sum", &[0, 1], 0), &["f32[1, 1]"], &[]).check();
        case("reduce", attrs("min", &[0], 0), &["f32[3]"], &[]).with_floats(0, &[1.0, f64::NAN, 0.5]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("reduce", attrs("sum", &[0], 1), &["f32[n, m]"]), "f32[1, m]");
        assert_eq!(infer_error("reduce", attrs("sum", &[1, 0], 0), &["f32[2, 3]"]), "attribute `axes` is [1, 0], no sorted axes of rank 2");
        assert_eq!(infer_error("reduce", attrs("mean", &[0], 0), &["f32[2]"]), "attribute `kind`: there is no reduction mean");
        assert_eq!(infer_error("reduce", attrs("sum", &[0], 0), &["bool[2]"]), "reduction sum is not defined on bool");
        assert_eq!(infer_error("reduce", attrs("sum", &[0], 2), &["f32[2]"]), "attribute `keep` is 2, not 0 or 1");
    }
}
