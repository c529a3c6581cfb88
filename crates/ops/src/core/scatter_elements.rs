//! `scatter_elements`: single elements of a tensor changed, at places picked along one axis.
//!
//! Operands: data, indices (i32 or i64), updates. Attributes: `axis` Int, `combine` Text.
//! - C1: the ranks are equal, and `axis` is one of their axes; indices and updates have equal dims, data and updates one element type.
//! - C2: on every other axis indices is no longer than data.
//! - C3: `combine` is `none`, or a kind of `reduce` that is defined on the element type.
//! - C4: an index is in `-n..n` for the axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out = data`, then `out[.., indices[.., i, ..], ..] = combine(out[..], updates[.., i, ..])` in row-major order: without a fold the last
//! update of an element stays.

use super::gather_elements::{fit, positions};
use super::scatter_nd::{combine, updated};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::same_type;
use crate::lower::{iterators, valid};
use ir::{Array, Attrs};
use nest::{Index, IterKind, Nest};

pub const DEF: OpDef = OpDef { name: "scatter_elements", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices, updates] = cx.operands()?;
    let mut guards = fit(cx.attrs, data, indices)?;
    combine(cx.attrs, same_type(data, updates)?)?;
    guards.all_equal("indices against updates", &indices.dims, &updates.dims)?;
    Ok(Inferred::of(data.dtype, data.dims.clone()).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, _: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let places = positions(attrs, inputs[0], inputs[1])?;
    Ok(vec![updated(combine(attrs, inputs[0].dtype())?, inputs[0], inputs[2], &places)])
}

/// A copy of data, then the updates: in order along the axis, the points of the others on their own.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (indices, axis) = (&cx.inputs[1], valid(attrs::axis(cx.attrs, "axis", cx.inputs[0].rank())));
    let mut nest = cx.nest();
    let kind = |at: usize| if at == axis { IterKind::Scan } else { IterKind::Parallel };
    let index: Vec<_> = (0..indices.rank()).flat_map(|at| iterators(&mut nest, &indices.dims[at..=at], kind(at))).collect();
    let (picked, value) = (nest.read(1, &index), nest.read(2, &index));
    let target = (0..index.len()).map(|at| if at == axis { Index::Data(picked) } else { Index::Map(index[at].clone()) }).collect();
    vec![cx.copy(0), cx.update(nest, target, valid(combine(cx.attrs, cx.inputs[0].dtype)), value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(axis: i64, combine: &str) -> Attrs {
        Attrs::from([("axis", Attr::Int(axis)), ("combine", Attr::Text(combine.to_string()))])
    }

    #[test]
    fn meaning() {
        let case = |combine| {
            let case = case("scatter_elements", attrs(1, combine), &["i32[2, 3]", "i64[2, 2]", "i32[2, 2]"], &[]);
            case.with_ints(0, &[1, 2, 3, 4, 5, 6]).with_ints(1, &[0, -1, 1, 1]).with_ints(2, &[10, 20, 30, 40])
        };
        let result = |values: [i64; 6]| Array::ints(DType::I32, vec![2, 3], values.to_vec());
        assert_eq!(case("none").check(), result([10, 2, 20, 4, 40, 6]));
        assert_eq!(case("sum").check(), result([11, 2, 23, 4, 75, 6]));
        assert_eq!(case("product").check(), result([10, 2, 60, 4, 6000, 6]));
        assert_eq!(case("max").check(), result([10, 2, 20, 4, 40, 6]));
        assert_eq!(case("min").check(), result([1, 2, 3, 4, 5, 6]));
        assert_eq!(case("sum").nests()[1].to_string().lines().filter(|line| line.contains(" in ")).count(), 2);
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for (n, m) in [(0, 0), (2, 1), (3, 3)] {
                let types = [&format!("{dtype}[n, 4, 2]"), "i32[m, 3, 1]", &format!("{dtype}[m, 3, 1]")];
                for combine in if dtype == DType::Bool { ["none", "or"] } else { ["none", "sum"] } {
                    let case = case("scatter_elements", attrs(1, combine), &types, &[("n", n), ("m", m)]);
                    case.with_ints(1, &[3, -4, 0].repeat(m as usize)).check();
                }
            }
        }
    }

    #[test]
    fn constraints() {
        let types = ["f32[3]", "i64[1]", "f32[1]"];
        case("scatter_elements", attrs(0, "none"), &types, &[]).with_ints(1, &[3]).check_error("E010");
        let types = ["f32[a, 3]", "i64[b, 5]", "f32[b, 5]"];
        assert_eq!(inferred("scatter_elements", attrs(1, "sum"), &types), "f32[a, 3] where a >= b");
        let error = |axis, combine, types: [&str; 3]| infer_error("scatter_elements", attrs(axis, combine), &types);
        assert_eq!(error(0, "none", ["f32[2]", "i64[3]", "f32[2]"]), "indices against updates: axis 0 differs: 3 vs 2");
        assert_eq!(error(1, "none", ["f32[2, 3]", "i64[3, 3]", "f32[3, 3]"]), "axis 0 of data against indices: 2 is less than 3");
        assert_eq!(error(0, "and", ["f32[2]", "i64[2]", "f32[2]"]), "combination and is not defined on f32");
        assert_eq!(error(0, "sub", ["f32[2]", "i64[2]", "f32[2]"]), "attribute `combine`: there is no combination sub");
        assert_eq!(error(0, "none", ["f32[2]", "i64[2]", "i32[2]"]), "element types differ: f32 vs i32");
    }
}
