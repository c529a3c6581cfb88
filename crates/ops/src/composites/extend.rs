//! `extend`: a border of the tensor's own elements.
//!
//! Operands: x. Attributes: `mode` Text (edge, reflect, wrap); `low` Exprs, `high` Exprs, one entry an axis.
//! - C1: `low` and `high` are not negative.
//! - C2: a bordered axis has an element; of mode reflect more elements than either border, of mode wrap at least as many.
//!
//! `out[i..] = x[source(i - low)..]` with the source of an axis of size n: the nearest element (edge), `|j|` mirrored at both ends without
//! repeating them (reflect), `j % n` (wrap).

use crate::attrs;
use crate::build::Builder;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::Guards;
use crate::reference::{moved, position};
use ir::{Array, Attrs, Diagnostic, ValueId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "extend", infer, reference, kind: Kind::Composite { decompose } };

/// Where the elements of a border come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Edge,
    Reflect,
    Wrap,
}

fn mode(attrs: &Attrs) -> Result<Mode, OpError> {
    match attrs::text(attrs, "mode")? {
        "edge" => Ok(Mode::Edge),
        "reflect" => Ok(Mode::Reflect),
        "wrap" => Ok(Mode::Wrap),
        other => Err(OpError::attribute(format!("attribute `mode` is {other}, not edge, reflect or wrap"))),
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    let mode = mode(cx.attrs)?;
    let low = attrs::exprs_of(cx.attrs, "low", x.rank())?;
    let high = attrs::exprs_of(cx.attrs, "high", x.rank())?;
    let mut guards = Guards::default();
    for (axis, dim) in x.dims.iter().enumerate() {
        for amount in [&low[axis], &high[axis]].into_iter().filter(|amount| !amount.is_zero()) {
            guards.at_least("padding", amount, &Expr::zero())?;
            let needed = match mode {
                Mode::Edge => Expr::one(),
                Mode::Reflect => amount + 1,
                Mode::Wrap => amount.clone(),
            };
            guards.at_least(&format!("axis {axis} against its padding"), dim, &needed)?;
        }
    }
    let dims = x.dims.iter().zip(low).zip(high).map(|((dim, low), high)| &(dim + low) + high).collect();
    Ok(Inferred::of(x.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, mode, low) = (inputs[0], mode(attrs)?, attrs::numbers(attrs, "low")?);
    let strides = x.strides();
    let source = |axis: usize, at: usize| {
        let (at, size) = (at as i64 - low[axis], x.dims()[axis] as i64);
        let inside = match mode {
            Mode::Edge => at.clamp(0, size - 1),
            Mode::Reflect => size - 1 - (size - 1 - at.abs()).abs(),
            Mode::Wrap => at.rem_euclid(size),
        };
        inside as usize
    };
    Ok(vec![moved(x, &out[0].1, |index| {
        let source: Vec<usize> = index.iter().enumerate().map(|(axis, at)| source(axis, *at)).collect();
        position(&strides, &source)
    })])
}

/// Each axis becomes its borders and itself, joined.
fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let located = |error: OpError| error.at(&b.location);
    let mode = mode(attrs).map_err(located)?;
    let (low, high) = (attrs::exprs(attrs, "low").map_err(located)?, attrs::exprs(attrs, "high").map_err(located)?);
    let mut x = inputs[0];
    for (axis, (low, high)) in low.iter().zip(high).enumerate() {
        let size = b.dims(x)[axis].clone();
        let mut parts = Vec::new();
        if !low.is_zero() {
            let (start, step) = match mode {
                Mode::Edge => (Expr::zero(), 0),
                Mode::Reflect => (low.clone(), -1),
                Mode::Wrap => (&size - low, 1),
            };
            parts.push(border(b, x, axis, (start, low), step)?);
        }
        parts.push(x);
        if !high.is_zero() {
            let (start, step) = match mode {
                Mode::Edge => (&size - 1, 0),
                Mode::Reflect => (&size - 2, -1),
                Mode::Wrap => (Expr::zero(), 1),
            };
            parts.push(border(b, x, axis, (start, high), step)?);
        }
        x = b.concat(&parts, axis)?;
    }
    Ok(vec![x])
}

/// `size` elements of an axis from `start` on in steps of `step`; 0 repeats the first.
fn border(b: &mut Builder, x: ValueId, axis: usize, (start, size): (Expr, &Expr), step: i64) -> Result<ValueId, Diagnostic> {
    let mut dims = b.dims(x).to_vec();
    let (mut starts, mut steps) = (vec![Expr::zero(); dims.len()], vec![1; dims.len()]);
    if step == 0 {
        let slice = b.slice_axis(x, axis, &start, &Expr::one())?;
        dims[axis] = size.clone();
        return b.broadcast(slice, &dims);
    }
    (starts[axis], steps[axis], dims[axis]) = (start, step, size.clone());
    b.slice(x, &starts, &dims, &steps)
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(mode: &str, low: &[&str], high: &[&str]) -> Attrs {
        let exprs = |texts: &[&str]| Attr::Exprs(texts.iter().map(|text| text.parse().unwrap()).collect());
        Attrs::from([("mode", Attr::Text(mode.to_string())), ("low", exprs(low)), ("high", exprs(high))])
    }

    #[test]
    fn meaning() {
        for (mode, want) in [("edge", [1, 1, 1, 2, 3, 3]), ("reflect", [3, 2, 1, 2, 3, 2]), ("wrap", [2, 3, 1, 2, 3, 1])] {
            let case = case("extend", attrs(mode, &["2"], &["1"]), &["i32[3]"], &[]).with_ints(0, &[1, 2, 3]);
            assert_eq!(case.check_decomposition(0.0), Array::ints(DType::I32, vec![6], want.to_vec()));
        }
    }

    #[test]
    fn any_sizes() {
        for (mode, n) in ["edge", "reflect", "wrap"].into_iter().flat_map(|mode| [0, 1, 3].map(|n| (mode, n))) {
            let attrs = attrs(mode, &["n", "0", "1"], &["n", "2", "0"]);
            case("extend", attrs, &["f32[n + 1, 4, 2]"], &[("n", n)]).check_decomposition(0.0);
        }
    }

    #[test]
    fn constraints() {
        assert_eq!(inferred("extend", attrs("reflect", &["2"], &["m"]), &["f32[n]"]), "f32[m + n + 2] where n >= 3 where n >= m + 1");
        assert_eq!(infer_error("extend", attrs("reflect", &["2"], &["0"]), &["f32[2]"]), "axis 0 against its padding: 2 is less than 3");
        assert_eq!(infer_error("extend", attrs("edge", &["1"], &["0"]), &["f32[0]"]), "axis 0 against its padding: 0 is less than 1");
        assert_eq!(
            infer_error("extend", attrs("mirror", &["1"], &["0"]), &["f32[2]"]),
            "attribute `mode` is mirror, not edge, reflect or wrap"
        );
    }
}
