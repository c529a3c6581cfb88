//! `pad`: a border of one value.
//!
//! Operands: x, value (a scalar). Attributes: `low` Exprs, `high` Exprs, one entry an axis.
//! - C1: the element types are equal, and `value` has rank 0.
//! - C2: `low` and `high` are not negative.

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of, same_type};
use crate::lower::{parallel, valid};
use crate::reference::position;
use ir::array::{for_each_index, row_major_strides};
use ir::{Array, Attrs, DType, Literal};
use nest::{Func, Index, Nest, NestBuilder, ScalarId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "pad", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, value] = cx.operands()?;
    same_type(x, value)?;
    rank_of("value", value, 0)?;
    let low = attrs::exprs_of(cx.attrs, "low", x.rank())?;
    let high = attrs::exprs_of(cx.attrs, "high", x.rank())?;
    let mut guards = Guards::default();
    for amount in low.iter().chain(high) {
        guards.at_least("padding", amount, &Expr::zero())?;
    }
    let dims = x.dims.iter().zip(low).zip(high).map(|((dim, low), high)| &(dim + low) + high).collect();
    Ok(Inferred::of(x.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, (dtype, dims)) = (inputs[0], &out[0]);
    let mut padded = Array::filled(*dtype, dims.clone(), inputs[1].get(0));
    let strides = row_major_strides(dims);
    let low: Vec<usize> = attrs::numbers(attrs, "low")?.into_iter().map(|low| low as usize).collect();
    let (first, mut from) = (position(&strides, &low), 0);
    for_each_index(x.dims(), |index| {
        padded.set(first + position(&strides, index), x.get(from));
        from += 1;
    });
    Ok(vec![padded])
}

/// A read with a fill. Where the value is not known it is read, and chosen by comparing the index with the bounds.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let low = valid(attrs::exprs(cx.attrs, "low"));
    let source: Vec<Expr> = index.iter().zip(low).map(|(at, low)| at - low).collect();
    let fill = cx.constant(1).unwrap_or(Literal::zero(cx.inputs[0].dtype));
    let mut value = nest.read_at(0, source.iter().cloned().map(Index::Map).collect(), Some(fill));
    if cx.constant(1).is_none() {
        let border = nest.read(1, &[]);
        if let Some(inside) = inside(&mut nest, cx, &source) {
            value = nest.apply(Func::Select, &[inside, value, border]);
        }
    }
    vec![cx.store(nest, &index, value)]
}

/// Whether the index lies in x; None where no axis is padded.
fn inside(nest: &mut NestBuilder, cx: &LowerCx, source: &[Expr]) -> Option<ScalarId> {
    let (low, high) = (valid(attrs::exprs(cx.attrs, "low")), valid(attrs::exprs(cx.attrs, "high")));
    let mut bounds = Vec::new();
    for (axis, at) in source.iter().enumerate() {
        if !low[axis].is_zero() {
            bounds.push((at.clone(), Func::GreaterEqual, Expr::zero()));
        }
        if !high[axis].is_zero() {
            bounds.push((at.clone(), Func::Less, cx.inputs[0].dims[axis].clone()));
        }
    }
    let holds = bounds.into_iter().map(|(at, func, bound)| {
        let operands = [nest.index(&at, DType::I64), nest.index(&bound, DType::I64)];
        nest.apply(func, &operands)
    });
    let holds: Vec<ScalarId> = holds.collect();
    holds.into_iter().reduce(|all, one| nest.apply(Func::And, &[all, one]))
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(low: &[&str], high: &[&str]) -> Attrs {
        let exprs = |texts: &[&str]| Attr::Exprs(texts.iter().map(|text| text.parse().unwrap()).collect());
        Attrs::from([("low", exprs(low)), ("high", exprs(high))])
    }

    #[test]
    fn meaning() {
        let case = case("pad", attrs(&["1"], &["2"]), &["i32[2]", "i32[]"], &[]).with_ints(0, &[5, 6]).with_ints(1, &[9]);
        let want = Array::ints(DType::I32, vec![5], vec![9, 5, 6, 9, 9]);
        assert_eq!(case.check(), want);
        assert_eq!(case.maps(), "z[i0] <- a[i0 - 1] else 0, b[], i0 - 1, 0, i0 - 1, 2");
        let known = case.with_constant(1);
        assert_eq!(known.check(), want);
        assert_eq!(known.maps(), "z[i0] <- a[i0 - 1] else 9");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [0, 1, 3] {
                let case = case("pad", attrs(&["n", "0"], &["0", "1"]), &[&format!("{dtype}[n, 2]"), &format!("{dtype}[]")], &[("n", n)]);
                case.check();
                case.with_constant(1).check();
            }
        }
        case("pad", attrs(&["0"], &["0"]), &["f32[n]", "f32[]"], &[("n", 2)]).check();
        case("pad", attrs(&[], &[]), &["f32[]", "f32[]"], &[]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("pad", attrs(&["n"], &["m - 1"]), &["f32[k]", "f32[]"]), "f32[k + m + n - 1] where m - 1 >= 0");
        assert_eq!(infer_error("pad", attrs(&["-1"], &["0"]), &["f32[2]", "f32[]"]), "padding: -1 is less than 0");
        assert_eq!(infer_error("pad", attrs(&["1"], &["0"]), &["f32[2]", "f32[1]"]), "value: rank 1 of f32[1], not 0");
    }
}
