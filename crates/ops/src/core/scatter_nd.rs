//! `scatter_nd`: slices of a tensor changed, each at a place that a tuple of indices picks.
//!
//! Operands: data, indices (i32 or i64) of shape `[rows.., k]`, updates. Attributes: `combine` Text.
//! - C1: `k` is a constant from 1 to the rank of data.
//! - C2: updates has the dims `rows..` and then those of data from axis `k` on, and data's element type.
//! - C3: `combine` is `none`, or a kind of `reduce` that is defined on the element type.
//! - C4: an index is in `-n..n` for its axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out = data`, then `out[indices[r.., 0], .., indices[r.., k-1], d..] = combine(out[..], updates[r.., d..])` in row-major order: without
//! a fold the last update of an element stays.

use super::gather::{check_indices, place};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, same_type};
use crate::lower::{iterators, parallel, valid};
use crate::reference;
use ir::{Array, Attrs, DType, TensorType};
use nest::{Index, IterKind, Monoid, Nest};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "scatter_nd", infer, reference, kind: Kind::Core { lower } };

/// The fold that `combine` names, defined on `dtype`; None where an update takes the element's place.
pub fn combine(attrs: &Attrs, dtype: DType) -> Result<Option<Monoid>, OpError> {
    let name = attrs::text(attrs, "combine")?;
    if name == "none" {
        return Ok(None);
    }
    let monoid = Monoid::ALL.into_iter().find(|monoid| monoid.name() == name);
    let monoid = monoid.ok_or_else(|| OpError::attribute(format!("attribute `combine`: there is no combination {name}")))?;
    if matches!(monoid, Monoid::And | Monoid::Or) != (dtype == DType::Bool) {
        return Err(OpError::types(format!("combination {name} is not defined on {dtype}")));
    }
    Ok(Some(monoid))
}

/// The number of indices in a tuple.
fn tuple(data: &TensorType, indices: &TensorType) -> Result<usize, OpError> {
    let last = indices.dims.last().ok_or_else(|| OpError::shape("indices have rank 0"))?;
    let tuple = last.as_const().ok_or_else(|| OpError::shape(format!("the last dim of indices is {last}, no constant")))?;
    let fits = usize::try_from(tuple).ok().filter(|tuple| (1..=data.rank()).contains(tuple));
    fits.ok_or_else(|| OpError::shape(format!("{tuple} indices do not fit {data}")))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices, updates] = cx.operands()?;
    check_indices(indices)?;
    combine(cx.attrs, same_type(data, updates)?)?;
    let tuple = tuple(data, indices)?;
    let dims = [&indices.dims[..indices.rank() - 1], &data.dims[tuple..]].concat();
    let mut guards = Guards::default();
    guards.all_equal("updates", &updates.dims, &dims)?;
    Ok(Inferred::of(data.dtype, data.dims.clone()).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (data, indices, updates) = (inputs[0], inputs[1], inputs[2]);
    let tuple = indices.dims()[indices.dims().len() - 1];
    let inner: usize = data.dims()[tuple..].iter().product();
    let mut places = Vec::with_capacity(updates.count());
    for row in 0..updates.count().checked_div(inner).unwrap_or(0) {
        let mut slice = 0;
        for (k, dim) in data.dims()[..tuple].iter().enumerate() {
            slice = slice * dim + place(indices.get(row * tuple + k).as_i64(), *dim)?;
        }
        places.extend(slice * inner..(slice + 1) * inner);
    }
    Ok(vec![updated(combine(attrs, data.dtype())?, data, updates, &places)])
}

/// Data with each of the updates, in order, taken to its place.
pub fn updated(combine: Option<Monoid>, data: &Array, updates: &Array, places: &[usize]) -> Array {
    match combine {
        None => {
            let mut out = data.clone();
            places.iter().enumerate().for_each(|(from, to)| out.set(*to, updates.get(from)));
            out
        }
        Some(monoid) => reference::folded_into(monoid, data, updates, places.iter().copied().zip(0..)),
    }
}

/// A copy of data, then the updates: the tuples in order, the elements of a slice on their own.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (data, indices) = (&cx.inputs[0], &cx.inputs[1]);
    let tuple = valid(tuple(data, indices));
    let mut nest = cx.nest();
    let rows = iterators(&mut nest, &indices.dims[..indices.rank() - 1], IterKind::Scan);
    let slice = parallel(&mut nest, &data.dims[tuple..]);
    let picked = |k: usize| Index::Data(nest.read(1, &[&rows[..], &[Expr::from(k as i64)]].concat()));
    let target: Vec<Index> = (0..tuple).map(picked).collect();
    let value = nest.read(2, &[rows, slice.clone()].concat());
    let target = target.into_iter().chain(slice.into_iter().map(Index::Map)).collect();
    vec![cx.copy(0), cx.update(nest, target, valid(combine(cx.attrs, data.dtype)), value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(combine: &str) -> Attrs {
        Attrs::from([("combine", Attr::Text(combine.to_string()))])
    }

    #[test]
    fn meaning() {
        let rows = |combine| {
            let case = case("scatter_nd", attrs(combine), &["i32[3, 2]", "i64[3, 1]", "i32[3, 2]"], &[]);
            case.with_ints(0, &[1, 2, 3, 4, 5, 6]).with_ints(1, &[2, 0, -1]).with_ints(2, &[10, 20, 30, 40, 50, 60])
        };
        let result = |values: [i64; 6]| Array::ints(DType::I32, vec![3, 2], values.to_vec());
        assert_eq!(rows("none").check(), result([30, 40, 3, 4, 50, 60]));
        assert_eq!(rows("sum").check(), result([31, 42, 3, 4, 65, 86]));
        assert_eq!(rows("min").check(), result([1, 2, 3, 4, 5, 6]));
        assert_eq!(rows("none").nests()[1].writes[0].index.len(), 2);
        let elements = case("scatter_nd", attrs("none"), &["i32[2, 2]", "i64[2, 2]", "i32[2]"], &[]);
        let elements = elements.with_ints(0, &[1, 2, 3, 4]).with_ints(1, &[0, 1, -1, 0]).with_ints(2, &[7, 8]);
        assert_eq!(elements.check(), Array::ints(DType::I32, vec![2, 2], vec![1, 7, 8, 4]));
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [0, 1, 3] {
                let types = [&format!("{dtype}[2, 3, 5]"), "i32[n, 1, 2]", &format!("{dtype}[n, 1, 5]")];
                for combine in if dtype == DType::Bool { ["none", "and"] } else { ["none", "max"] } {
                    let case = case("scatter_nd", attrs(combine), &types, &[("n", n)]);
                    case.with_ints(1, &[0, 1, -1, 2, 1, -1][..2 * n as usize]).check();
                }
            }
        }
    }

    #[test]
    fn constraints() {
        let types = ["f32[2, 3]", "i64[1, 2]", "f32[1]"];
        case("scatter_nd", attrs("sum"), &types, &[]).with_ints(1, &[0, 3]).check_error("E010");
        assert_eq!(inferred("scatter_nd", attrs("none"), &["f32[a, c]", "i64[n, 1]", "f32[m, c]"]), "f32[a, c] where m == n");
        let error = |types: [&str; 3]| infer_error("scatter_nd", attrs("none"), &types);
        assert_eq!(error(["f32[3]", "i64[2, k]", "f32[2]"]), "the last dim of indices is k, no constant");
        assert_eq!(error(["f32[3]", "i64[2]", "f32[]"]), "2 indices do not fit f32[3]");
        assert_eq!(error(["f32[3]", "i64[2, 0]", "f32[2, 3]"]), "0 indices do not fit f32[3]");
        assert_eq!(error(["f32[3, 4]", "i64[2, 1]", "f32[2, 5]"]), "updates: axis 1 differs: 5 vs 4");
    }
}
