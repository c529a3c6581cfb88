//! `gather_nd`: slices of a tensor, each picked by a tuple of indices.
//!
//! Operands: data, indices (i32 or i64) of shape `[batch.., rows.., k]`. Attributes: `batch` Int.
//! - C1: the first `batch` dims of data and indices are equal; `batch` is less than the rank of indices.
//! - C2: `k` is a constant, and `batch + k` is at most the rank of data.
//! - C3: an index is in `-n..n` for its axis's size n; negative ones count from the end. Checked at run time: E010.
//!
//! `out[b.., r.., d..] = data[b.., indices[b.., r.., 0], .., indices[b.., r.., k-1], d..]`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::Guards;
use crate::lower::{parallel, valid};
use crate::reference::picked;
use ir::{Array, Attrs, TensorType};
use nest::{Index, Nest};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "gather_nd", infer, reference, kind: Kind::Core { lower } };

/// The number of batch axes and of indices in a tuple.
fn parameters(data: &TensorType, indices: &TensorType, attrs: &Attrs) -> Result<(usize, usize), OpError> {
    let batch = attrs::axis(attrs, "batch", indices.rank())?;
    let last = indices.dims.last().ok_or_else(|| OpError::shape("indices have rank 0"))?;
    let tuple = last.as_const().and_then(|k| usize::try_from(k).ok());
    let tuple = tuple.ok_or_else(|| OpError::shape(format!("the last dim of indices is {last}, no constant")))?;
    if batch + tuple > data.rank() {
        return Err(OpError::shape(format!("{batch} batch axes and {tuple} indices do not fit {data}")));
    }
    Ok((batch, tuple))
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [data, indices] = cx.operands()?;
    super::gather::check_indices(indices)?;
    let (batch, tuple) = parameters(data, indices, cx.attrs)?;
    let mut guards = Guards::default();
    let mut dims = guards.all_equal("batch", &data.dims[..batch], &indices.dims[..batch])?;
    dims.extend_from_slice(&indices.dims[batch..indices.rank() - 1]);
    dims.extend_from_slice(&data.dims[batch + tuple..]);
    Ok(Inferred::of(data.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (data, indices) = (inputs[0], inputs[1]);
    let (rank, batch) = (indices.dims().len(), attrs::int(attrs, "batch")? as usize);
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (tuple, rows) = (indices.dims()[rank - 1], count(&indices.dims()[batch..rank - 1]));
    let inner = count(&data.dims()[batch + tuple..]);
    let mut positions = Vec::with_capacity(count(&out[0].1));
    for row in 0..if inner == 0 { 0 } else { count(&indices.dims()[..rank - 1]) } {
        let mut slice = row / rows;
        for k in 0..tuple {
            let dim = data.dims()[batch + k];
            slice = slice * dim + super::gather::place(indices.get(row * tuple + k).as_i64(), dim)?;
        }
        positions.extend(slice * inner..(slice + 1) * inner);
    }
    Ok(vec![picked(data, &out[0].1, &positions)])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (batch, tuple) = valid(parameters(&cx.inputs[0], &cx.inputs[1], cx.attrs));
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let (row, slice) = index.split_at(cx.inputs[1].rank() - 1);
    let mut source: Vec<Index> = row[..batch].iter().cloned().map(Index::Map).collect();
    for k in 0..tuple {
        let at = [row, &[Expr::from(k as i64)]].concat();
        source.push(Index::Data(nest.read(1, &at)));
    }
    source.extend(slice.iter().cloned().map(Index::Map));
    let value = nest.read_at(0, source, None);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(batch: i64) -> Attrs {
        Attrs::from([("batch", Attr::Int(batch))])
    }

    #[test]
    fn meaning() {
        let whole = case("gather_nd", attrs(0), &["i32[2, 2]", "i64[2, 2]"], &[]).with_ints(0, &[1, 2, 3, 4]).with_ints(1, &[0, 0, -1, 1]);
        assert_eq!(whole.check(), Array::ints(DType::I32, vec![2], vec![1, 4]));
        assert_eq!(whole.maps(), "z[i0] <- b[i0, 0], b[i0, 1], a[*, *]");
        let batched = case("gather_nd", attrs(1), &["i32[2, 2, 2]", "i64[2, 1]"], &[]).with_ints(1, &[1, 0]);
        let batched = batched.with_ints(0, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(batched.check(), Array::ints(DType::I32, vec![2, 2], vec![3, 4, 5, 6]));
        assert_eq!(batched.maps(), "z[i0, i1] <- b[i0, 0], a[i0, *, i1]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [0, 1, 3] {
                let indices = [0, 1, -1, 0, 1, 0];
                let case = case("gather_nd", attrs(1), &[&format!("{dtype}[n, 2, 2, 5]"), "i32[n, 1, 2]"], &[("n", n)]);
                case.with_ints(1, &indices[..2 * n as usize]).check();
            }
        }
    }

    #[test]
    fn indices_are_checked() {
        case("gather_nd", attrs(0), &["f32[2, 3]", "i64[1, 2]"], &[]).with_ints(1, &[0, 3]).check_error("E010");
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("gather_nd", attrs(1), &["f32[a, 4, c]", "i64[b, n, 1]"]), "f32[a, n, c] where a == b");
        assert_eq!(infer_error("gather_nd", attrs(0), &["f32[3]", "i64[2, k]"]), "the last dim of indices is k, no constant");
        assert_eq!(infer_error("gather_nd", attrs(0), &["f32[3]", "i64[2]"]), "0 batch axes and 2 indices do not fit f32[3]");
    }
}
