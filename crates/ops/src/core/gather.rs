//! `gather`: slices of a tensor, picked along one axis by indices from a tensor.
//!
//! Operands: data, indices (i32 or i64). Attributes: `axis` Int.
//! - C1: `axis` is an axis of data.
//! - C2: an index is in `-n..n` for the axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out[.., i.., ..] = data[.., indices[i..], ..]`; `out.dims = data.dims[..axis] + indices.dims + data.dims[axis+1..]`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{parallel, valid};
use crate::reference::picked;
use ir::array::for_each_index;
use ir::{Array, Attrs, Code, DType, TensorType};
use nest::{Index, Nest};

pub const DEF: OpDef = OpDef { name: "gather", infer, reference, kind: Kind::Core { lower } };

/// Indices are i32 or i64.
pub fn check_indices(indices: &TensorType) -> Result<(), OpError> {
    match indices.dtype {
        DType::I32 | DType::I64 => Ok(()),
        other => Err(OpError::types(format!("indices are {other}, not i32 or i64"))),
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices] = cx.operands()?;
    check_indices(indices)?;
    let axis = attrs::axis(cx.attrs, "axis", data.rank())?;
    let dims = [&data.dims[..axis], &indices.dims, &data.dims[axis + 1..]].concat();
    Ok(Inferred::of(data.dtype, dims))
}

/// The place that a run-time index names on an axis of size `dim`: E010 where there is none.
pub fn place(index: i64, dim: usize) -> Result<usize, OpError> {
    let place = if index < 0 { index.checked_add(dim as i64) } else { Some(index) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < dim);
    place.ok_or_else(|| OpError::new(Code::Index, format!("index {index} is outside of an axis of size {dim}")))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (data, indices) = (inputs[0], inputs[1]);
    let axis = attrs::axis(attrs, "axis", data.dims().len())?;
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (outer, dim, inner) = (count(&data.dims()[..axis]), data.dims()[axis], count(&data.dims()[axis + 1..]));
    if count(&out[0].1) == 0 {
        return Ok(vec![picked(data, &out[0].1, &[])]);
    }
    let places: Result<Vec<usize>, OpError> = (0..indices.count()).map(|at| place(indices.get(at).as_i64(), dim)).collect();
    let places = places?;
    let mut positions = Vec::with_capacity(count(&out[0].1));
    for_each_index(&[outer, places.len(), inner], |at| positions.push((at[0] * dim + places[at[1]]) * inner + at[2]));
    Ok(vec![picked(data, &out[0].1, &positions)])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let axis = valid(attrs::axis(cx.attrs, "axis", cx.inputs[0].rank()));
    let behind = axis + cx.inputs[1].rank();
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let place = nest.read(1, &index[axis..behind]);
    let map = |at: &sym::Expr| Index::Map(at.clone());
    let source = index[..axis].iter().map(map).chain([Index::Data(place)]).chain(index[behind..].iter().map(map)).collect();
    let value = nest.read_at(0, source, None);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(axis: i64) -> Attrs {
        Attrs::from([("axis", Attr::Int(axis))])
    }

    #[test]
    fn meaning() {
        let case = case("gather", attrs(1), &["i32[2, 3]", "i64[2]"], &[]).with_ints(0, &[1, 2, 3, 4, 5, 6]).with_ints(1, &[-1, 0]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![2, 2], vec![3, 1, 6, 4]));
        assert_eq!(case.maps(), "z[i0, i1] <- b[i1], a[i0, *]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [0, 2] {
                let case = case("gather", attrs(0), &[&format!("{dtype}[4, n]"), "i32[2, 1]"], &[("n", n)]);
                case.with_ints(1, &[3, -4]).check();
            }
        }
        case("gather", attrs(0), &["f32[1]", "i64[]"], &[]).with_ints(1, &[-1]).check();
        case("gather", attrs(0), &["f32[0]", "i64[0]"], &[]).check();
    }

    #[test]
    fn indices_are_checked() {
        for index in [3, -4, i64::MAX, i64::MIN] {
            case("gather", attrs(0), &["f32[3]", "i64[1]"], &[]).with_ints(1, &[index]).check_error("E010");
        }
        case("gather", attrs(0), &["f32[0]", "i64[1]"], &[]).with_ints(1, &[0]).check_error("E010");
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("gather", attrs(1), &["f32[a, b, c]", "i64[n, m]"]), "f32[a, n, m, c]");
        assert_eq!(infer_error("gather", attrs(0), &["f32[3]", "f32[1]"]), "indices are f32, not i32 or i64");
        assert_eq!(infer_error("gather", attrs(1), &["f32[3]", "i32[1]"]), "attribute `axis` is 1, not in 0..1");
    }
}
