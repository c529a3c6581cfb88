//! `concat`: tensors one after the other along an axis.
//!
//! Operands: 1..n tensors. Attributes: `axis` Int.
//! - C1: the operands' element types and ranks are equal, and so are their dims but for `axis`.
//! - C2: `axis` is one of their axes.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use crate::lower::{parallel, valid};
use crate::reference::position;
use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Attrs, Literal};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "concat", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let (first, rest) = cx.inputs.split_first().ok_or_else(|| OpError::shape("no operands"))?;
    let joined = attrs::axis(cx.attrs, "axis", first.rank())?;
    let (mut dims, mut guards) = (first.dims.clone(), Guards::default());
    for ty in rest {
        same_type(first, ty)?;
        rank_of("operand", ty, first.rank())?;
        for (axis, (dim, other)) in dims.iter_mut().zip(&ty.dims).enumerate() {
            *dim = if axis == joined { &*dim + other } else { guards.equal(&format!("axis {axis}"), dim, other)? };
        }
    }
    Ok(Inferred::of(first.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (dtype, dims) = &out[0];
    let axis = attrs::axis(attrs, "axis", dims.len())?;
    let strides = row_major_strides(dims);
    let mut joined = Array::filled(*dtype, dims.clone(), Literal::zero(*dtype));
    let mut offset = 0;
    for input in inputs {
        let mut from = 0;
        for_each_index(input.dims(), |index| {
            joined.set(offset * strides[axis] + position(&strides, index), input.get(from));
            from += 1;
        });
        offset += input.dims()[axis];
    }
    Ok(vec![joined])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let axis = valid(attrs::axis(cx.attrs, "axis", cx.dims().len()));
    let mut offset = Expr::zero();
    let part = |operand: usize| {
        let part = copy(cx, operand, axis, &offset);
        offset += &cx.inputs[operand].dims[axis];
        part
    };
    (0..cx.inputs.len()).map(part).collect()
}

/// The nest that copies one operand to its place.
fn copy(cx: &LowerCx, operand: usize, axis: usize, offset: &Expr) -> Nest {
    let mut nest = cx.nest_of(operand);
    let mut index = parallel(&mut nest, &cx.inputs[operand].dims);
    let value = nest.read(0, &index);
    index[axis] += offset;
    cx.store(nest, &index, value)
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
        let case = case("concat", attrs(1), &["i32[2, 1]", "i32[2, 2]"], &[]).with_ints(0, &[1, 2]).with_ints(1, &[3, 4, 5, 6]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![2, 3], vec![1, 3, 4, 2, 5, 6]));
        assert_eq!(case.maps(), "z[i0, 0] <- a[i0, 0]");
        assert_eq!(case.nests().len(), 2);
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for (past, now) in [(0, 1), (3, 2), (0, 0)] {
                let types = [format!("{dtype}[2, past, 3]"), format!("{dtype}[2, now, 3]"), format!("{dtype}[2, 1, 3]")];
                let types: Vec<&str> = types.iter().map(String::as_str).collect();
                case("concat", attrs(1), &types, &[("past", past), ("now", now)]).check();
            }
        }
        case("concat", attrs(0), &["f32[1]"; 30], &[]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("concat", attrs(0), &["f32[n, a]", "f32[m, b]"]), "f32[m + n, a] where a == b");
        assert_eq!(infer_error("concat", attrs(0), &["f32[2, 3]", "f32[2, 4]"]), "axis 1 differs: 3 vs 4");
        assert_eq!(infer_error("concat", attrs(0), &["f32[2]", "i32[2]"]), "element types differ: f32 vs i32");
        assert_eq!(infer_error("concat", attrs(2), &["f32[2, 3]"]), "attribute `axis` is 2, not in 0..2");
    }
}
