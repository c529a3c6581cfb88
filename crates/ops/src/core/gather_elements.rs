//! `gather_elements`: single elements of a tensor, picked along one axis.
//!
//! Operands: data, indices (i32 or i64). Attributes: `axis` Int.
//! - C1: the ranks are equal, and `axis` is one of their axes.
//! - C2: on every other axis indices is no longer than data.
//! - C3: an index is in `-n..n` for the axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out[.., i, ..] = data[.., indices[.., i, ..], ..]`; `out.dims = indices.dims`

use super::gather::{check_indices, place};
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use crate::lower::{parallel, valid};
use crate::reference::{picked, position};
use ir::array::for_each_index;
use ir::{Array, Attrs, TensorType};
use nest::{Index, Nest};
use sym::Ranges;

pub const DEF: OpDef = OpDef { name: "gather_elements", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices] = cx.operands()?;
    let guards = fit(cx.attrs, data, indices)?;
    Ok(Inferred::of(data.dtype, indices.dims.clone()).with(guards))
}

/// What must hold of data and the indices of its elements: C1, C2.
pub fn fit(attrs: &Attrs, data: &TensorType, indices: &TensorType) -> Result<Guards, OpError> {
    check_indices(indices)?;
    rank_of("indices", indices, data.rank())?;
    let picked = attrs::axis(attrs, "axis", data.rank())?;
    let mut guards = Guards::default();
    for axis in (0..data.rank()).filter(|axis| *axis != picked) {
        guards.at_least(&format!("axis {axis} of data against indices"), &data.dims[axis], &indices.dims[axis])?;
    }
    Ok(guards)
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    Ok(vec![picked(inputs[0], &out[0].1, &positions(attrs, inputs[0], inputs[1])?)])
}

/// The row-major position in data that each index picks.
pub fn positions(attrs: &Attrs, data: &Array, indices: &Array) -> Result<Vec<usize>, OpError> {
    let axis = attrs::axis(attrs, "axis", data.dims().len())?;
    let (strides, mut positions, mut at) = (data.strides(), Vec::with_capacity(indices.count()), 0);
    let mut fault = None;
    for_each_index(indices.dims(), |index| {
        let mut source = index.to_vec();
        match place(indices.get(at).as_i64(), data.dims()[axis]) {
            Ok(place) => source[axis] = place,
            Err(error) => fault = Some(error),
        }
        positions.push(position(&strides, &source));
        at += 1;
    });
    fault.map_or(Ok(positions), Err)
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (data, axis) = (&cx.inputs[0], valid(attrs::axis(cx.attrs, "axis", cx.inputs[0].rank())));
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let place = nest.read(1, &index);
    let inside = |at: usize| {
        let last = &data.dims[at] - 1;
        let fits = Ranges::new(1).nonnegative(&(&data.dims[at] - &cx.dims()[at]));
        if fits { index[at].clone() } else { index[at].minimum(&last) }
    };
    let source = (0..data.rank()).map(|at| if at == axis { Index::Data(place) } else { Index::Map(inside(at)) }).collect();
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
        let case = case("gather_elements", attrs(1), &["i32[2, 2]", "i64[2, 3]"], &[]);
        let case = case.with_ints(0, &[1, 2, 3, 4]).with_ints(1, &[0, 1, -1, 0, 0, 1]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![2, 3], vec![1, 2, 2, 3, 3, 4]));
        assert_eq!(case.maps(), "z[i0, i1] <- b[i0, i1], a[i0, *]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for (n, m) in [(0, 0), (2, 1), (3, 3)] {
                let types = [&format!("{dtype}[n, 4, 2]"), "i32[m, 3, 1]"];
                let case = case("gather_elements", attrs(1), &types, &[("n", n), ("m", m)]);
                case.with_ints(1, &[3, -4, 0].repeat(m as usize)).check();
            }
        }
    }

    #[test]
    fn constraints() {
        case("gather_elements", attrs(0), &["f32[3]", "i64[1]"], &[]).with_ints(1, &[3]).check_error("E010");
        assert_eq!(inferred("gather_elements", attrs(1), &["f32[a, 3]", "i64[b, 5]"]), "f32[b, 5] where a >= b");
        assert_eq!(
            infer_error("gather_elements", attrs(1), &["f32[2, 3]", "i64[3, 3]"]),
            "axis 0 of data against indices: 2 is less than 3"
        );
        assert_eq!(infer_error("gather_elements", attrs(0), &["f32[2]", "i64[3, 3]"]), "indices: rank 2 of i64[3, 3], not 1");
    }
}
