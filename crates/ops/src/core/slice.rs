//! `slice`: every step-th element from a start, along every axis.
//!
//! Operands: x. Attributes: `starts` Exprs, `sizes` Exprs, `steps` Ints, one entry an axis.
//! - C1: no step is 0.
//! - C2: `start` and `start + (size-1)*step` are in bounds, or the size is 0; checked where they are constants, else the maker of the
//!   node sees to it.
//!
//! `out[i..] = x[start + i*step, ..]`

use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::lower::{parallel, valid};
use crate::reference::moved;
use ir::{Array, Attrs};
use nest::Nest;
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "slice", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let starts = attrs::exprs_of(cx.attrs, "starts", x.rank())?;
    let sizes = attrs::exprs_of(cx.attrs, "sizes", x.rank())?;
    let steps = attrs::ints_of(cx.attrs, "steps", x.rank(), i64::MIN)?;
    for axis in 0..x.rank() {
        check_axis(axis, &x.dims[axis], &starts[axis], &sizes[axis], steps[axis])?;
    }
    Ok(Inferred::of(x.dtype, sizes.to_vec()))
}

fn check_axis(axis: usize, dim: &Expr, start: &Expr, size: &Expr, step: i64) -> Result<(), OpError> {
    if step == 0 {
        return Err(OpError::attribute(format!("axis {axis}: the step is 0")));
    }
    if size.as_const().is_some_and(|size| size < 0) {
        return Err(OpError::attribute(format!("axis {axis}: the size is {size}")));
    }
    let last = start + &((size - 1) * step);
    for end in [start, &last] {
        let below = end.as_const().is_some_and(|end| end < 0);
        let above = (end - dim).as_const().is_some_and(|gap| gap >= 0);
        if !size.is_zero() && (below || above) {
            return Err(OpError::shape(format!("axis {axis}: index {end} is outside of size {dim}")));
        }
    }
    Ok(())
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, strides) = (inputs[0], inputs[0].strides());
    let (starts, steps) = (attrs::numbers(attrs, "starts")?, attrs::ints(attrs, "steps")?);
    check_bounds(x, &starts, steps, &out[0].1)?;
    let at = |axis: usize, index: usize| (starts[axis] + index as i64 * steps[axis]) as usize * strides[axis];
    Ok(vec![moved(x, &out[0].1, |index| index.iter().enumerate().map(|(axis, index)| at(axis, *index)).sum())])
}

/// The constraint C2, for known sizes.
fn check_bounds(x: &Array, starts: &[i64], steps: &[i64], sizes: &[usize]) -> Result<(), OpError> {
    for (axis, dim) in x.dims().iter().enumerate().filter(|_| !sizes.contains(&0)) {
        let last = starts[axis] + (sizes[axis] as i64 - 1) * steps[axis];
        if let Some(end) = [starts[axis], last].into_iter().find(|end| *end < 0 || *end >= *dim as i64) {
            return Err(OpError::shape(format!("axis {axis}: index {end} is outside of size {dim}")));
        }
    }
    Ok(())
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let (starts, steps) = (valid(attrs::exprs(cx.attrs, "starts")), valid(attrs::ints(cx.attrs, "steps")));
    let source: Vec<Expr> = (0..index.len()).map(|axis| &starts[axis] + &(&index[axis] * steps[axis])).collect();
    let value = nest.read(0, &source);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(starts: &[&str], sizes: &[&str], steps: &[i64]) -> Attrs {
        let exprs = |texts: &[&str]| Attr::Exprs(texts.iter().map(|text| text.parse().unwrap()).collect());
        Attrs::from([("starts", exprs(starts)), ("sizes", exprs(sizes)), ("steps", Attr::Ints(steps.to_vec()))])
    }

    #[test]
    fn meaning() {
        let case = case("slice", attrs(&["4"], &["3"], &[-2]), &["i32[5]"], &[]).with_ints(0, &[10, 11, 12, 13, 14]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![3], vec![14, 12, 10]));
        assert_eq!(case.maps(), "z[i0] <- a[-2*i0 + 4]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL {
            for n in [1, 2, 5] {
                let last = attrs(&["n - 1", "0"], &["1", "2"], &[1, 2]);
                case("slice", last, &[&format!("{dtype}[n, 3]")], &[("n", n)]).check();
            }
        }
        case("slice", attrs(&["n"], &["0"], &[1]), &["f32[n]"], &[("n", 0)]).check();
        case("slice", attrs(&["1"], &["n - 1"], &[1]), &["f32[n]"], &[("n", 1)]).check();
    }

    #[test]
    fn constraints() {
        assert_eq!(infer_error("slice", attrs(&["0"], &["2"], &[0]), &["f32[2]"]), "axis 0: the step is 0");
        assert_eq!(infer_error("slice", attrs(&["1"], &["2"], &[1]), &["f32[2]"]), "axis 0: index 2 is outside of size 2");
        assert_eq!(infer_error("slice", attrs(&["n"], &["2"], &[1]), &["f32[n]"]), "axis 0: index n is outside of size n");
        assert_eq!(infer_error("slice", attrs(&["0"], &["2"], &[1]), &["f32[2, 2]"]), "attribute `starts` has 1 entries, not 2");
    }
}
