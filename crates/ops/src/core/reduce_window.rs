//! `reduce_window`: folds a window that slides over the spatial axes.
//!
//! Operands: x `[N, C, spatial..]`. Attributes: `kind` Text as in `reduce`; `window`, `strides`, `dilations`, `low`, `high` Ints, one
//! entry a spatial axis.
//! - C1: x has rank `window.len() + 2`.
//! - C2: window, strides and dilations are at least 1, low and high at least 0.
//! - C3: no dim of the result is negative, as in `conv`.
//! - C4: `kind` is defined on the element type, as in `reduce`.
//!
//! `out[n, c, o..] = fold over t.. of x[n, c, o*stride + t*dilation - low, ..]`; padding gives the kind's identity.

use super::reduce::{accumulated, monoid};
use super::window::Window;
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use crate::lower::{parallel, reduction, valid};
use crate::reference::folded;
use ir::array::for_each_index;
use ir::{Array, Attrs};
use nest::{Index, Nest};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "reduce_window", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x] = cx.operands()?;
    monoid(cx.attrs, x.dtype)?;
    let axes = attrs::ints(cx.attrs, "window")?.len();
    let taps = attrs::ints_of(cx.attrs, "window", axes, 1)?;
    rank_of("x", x, axes + 2)?;
    let (window, mut guards) = (Window::read(cx.attrs, axes)?, Guards::default());
    let mut dims = x.dims[..2].to_vec();
    for (axis, taps) in taps.iter().enumerate() {
        dims.push(window.output(&mut guards, axis, &x.dims[axis + 2], &Expr::from(*taps))?);
    }
    Ok(Inferred::of(x.dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, dims) = (inputs[0], &out[0].1);
    let window = Window::read(attrs, dims.len() - 2)?;
    let taps: Vec<usize> = attrs::ints(attrs, "window")?.iter().map(|taps| *taps as usize).collect();
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (planes, plane, results) = (count(&dims[..2]), count(&x.dims()[2..]), count(&dims[2..]));
    let (mut groups, mut result) = (Vec::new(), 0);
    for_each_index(&dims[2..], |at| {
        let places: Vec<usize> = window.places(at, &taps, &x.dims()[2..]).into_iter().flatten().collect();
        groups.extend(
            (0..planes)
                .flat_map(|n| places.iter().map(move |place| (n, *place)))
                .map(|(n, place)| (n * results + result, n * plane + place)),
        );
        result += 1;
    });
    Ok(vec![folded(monoid(attrs, x.dtype())?, x, dims, groups.into_iter())])
}

fn lower(cx: &LowerCx) -> Vec<Nest> {
    let x = &cx.inputs[0];
    let (monoid, window) = (valid(monoid(cx.attrs, x.dtype)), valid(Window::read(cx.attrs, x.rank() - 2)));
    let taps: Vec<Expr> = valid(attrs::ints(cx.attrs, "window")).iter().map(|taps| Expr::from(*taps)).collect();
    let mut nest = cx.nest();
    let index = parallel(&mut nest, cx.dims());
    let terms = reduction(&mut nest, &taps);
    let mut source: Vec<Index> = index[..2].iter().cloned().map(Index::Map).collect();
    source.extend((0..taps.len()).map(|axis| Index::Map(window.source(axis, &index[axis + 2], &terms[axis]))));
    let value = nest.read_at(0, source, window.has_padding().then_some(monoid.identity(x.dtype)));
    let value = accumulated(&mut nest, monoid, &taps, value);
    vec![cx.store(nest, &index, value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};
    use nest::Monoid;

    fn attrs(kind: &str, window: &[i64], strides: &[i64], dilations: &[i64], low: &[i64], high: &[i64]) -> Attrs {
        let ints = |values: &[i64]| Attr::Ints(values.to_vec());
        Attrs::from([
            ("kind", Attr::Text(kind.to_string())),
            ("window", ints(window)),
            ("strides", ints(strides)),
            ("dilations", ints(dilations)),
            ("low", ints(low)),
            ("high", ints(high)),
        ])
    }

    #[test]
    fn meaning() {
        let case = case("reduce_window", attrs("max", &[3], &[2], &[1], &[1], &[1]), &["i32[1, 1, 4]"], &[]).with_ints(0, &[5, 1, 2, 9]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![1, 1, 2], vec![5, 9]));
        assert_eq!(case.maps(), "z[0, 0, i0] <- a[0, 0, 2*i0 + i1 - 1] else -2147483648");
    }

    #[test]
    fn every_kind_and_type_at_any_size() {
        for (kind, dtype) in Monoid::ALL.into_iter().flat_map(|kind| DType::ALL.map(|dtype| (kind, dtype))) {
            let logical = matches!(kind, Monoid::And | Monoid::Or);
            for (n, h) in [(0, 3), (2, 4), (1, 1)].into_iter().filter(|_| logical == (dtype == DType::Bool)) {
                let attrs = attrs(kind.name(), &[2, 3], &[1, 2], &[1, 2], &[1, 2], &[0, 3]);
                case("reduce_window", attrs, &[&format!("{dtype}[n, 3, h, 5]")], &[("n", n), ("h", h)]).check();
            }
        }
        case("reduce_window", attrs("sum", &[1], &[2], &[1], &[0], &[0]), &["f32[1, 2, n]"], &[("n", 5)]).check();
    }

    #[test]
    fn constraints() {
        let pool = |taps: i64| attrs("max", &[taps, 2], &[2, 2], &[1, 1], &[0, 0], &[0, 0]);
        assert_eq!(inferred("reduce_window", pool(2), &["f32[n, c, h, 8]"]), "f32[n, c, (h)/(2), 4]");
        assert_eq!(infer_error("reduce_window", pool(2), &["f32[n, c, 8]"]), "x: rank 3 of f32[n, c, 8], not 4");
        assert_eq!(infer_error("reduce_window", pool(0), &["f32[n, c, 8, 8]"]), "attribute `window` holds 0, less than 1");
    }
}
