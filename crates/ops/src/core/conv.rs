//! `conv`: cross-correlation over any number of spatial axes, padded with zeros.
//!
//! Operands: x `[N, C, spatial..]`, w `[M, C/groups, taps..]`. Attributes: `strides`, `dilations`, `low`, `high` Ints, one entry a spatial
//! axis; `groups` Int.
//! - C1: the ranks are equal and at least 2; the element types as in `contract`.
//! - C2: C is `groups` times w's second dim; M is a multiple of `groups`.
//! - C3: strides and dilations are at least 1, low and high at least 0.
//! - C4: no dim of the result is negative (it is 0 where less than a stride is lacking for one window).
//!
//! `out[n, m, o..] = sum over c, t.. of x[n, g*C/groups + c, o*stride + t*dilation - low, ..] * w[m, c, t..]` with `g = m/(M/groups)`,
//! accumulated as in `contract`.

use super::accumulate::{accumulator, product_type};
use super::window::Window;
use crate::attrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, LowerCx, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use crate::lower::{fold, parallel, reduction, valid};
use crate::reference::{dot, dot_ints, wrapped};
use ir::array::{Data, for_each_index};
use ir::{Array, Attrs, Code, Literal};
use nest::{Func, Index, Monoid, Nest};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "conv", infer, reference, kind: Kind::Core { lower } };

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, w] = cx.operands()?;
    let dtype = product_type(x, w)?;
    if x.rank() < 2 {
        return Err(OpError::shape(format!("x is {x}, with no channels")));
    }
    rank_of("w", w, x.rank())?;
    let (groups, window) = (attrs::groups(cx.attrs)?, Window::read(cx.attrs, x.rank() - 2)?);
    let mut guards = Guards::default();
    guards.equal("number of channels", &x.dims[1], &(&w.dims[1] * groups))?;
    if w.dims[0].as_const().is_some_and(|m| m % groups != 0) {
        return Err(OpError::shape(format!("{} output channels do not divide into {groups} groups", w.dims[0])));
    }
    let mut dims: Vec<Expr> = vec![x.dims[0].clone(), w.dims[0].clone()];
    for axis in 0..x.rank() - 2 {
        dims.push(window.output(&mut guards, axis, &x.dims[axis + 2], &w.dims[axis + 2])?);
    }
    Ok(Inferred::of(dtype, dims).with(guards))
}

/// The sizes of a convolution.
struct Sizes {
    batch: usize,
    groups: usize,
    /// Of one group.
    channels: usize,
    outputs: usize,
    spatial: Vec<usize>,
    taps: Vec<usize>,
    results: Vec<usize>,
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, w, (dtype, dims)) = (inputs[0], inputs[1], &out[0]);
    let (groups, window) = (attrs::groups(attrs)? as usize, Window::read(attrs, dims.len() - 2)?);
    let sizes = Sizes {
        batch: x.dims()[0],
        groups,
        channels: w.dims()[1],
        outputs: w.dims()[0] / groups,
        spatial: x.dims()[2..].to_vec(),
        taps: w.dims()[2..].to_vec(),
        results: dims[2..].to_vec(),
    };
    match (x.data(), w.data()) {
        (Data::Float(x), Data::Float(w)) => Ok(vec![Array::floats(*dtype, dims.clone(), correlate(&sizes, &window, x, w, dot))]),
        (Data::Int(x), Data::Int(w)) => Ok(vec![wrapped(*dtype, dims, correlate(&sizes, &window, x, w, dot_ints))]),
        (Data::Float(_), Data::Int(_)) | (Data::Int(_), Data::Float(_)) => Err(OpError::new(Code::Type, "element types differ")),
    }
}

/// For every output point the window's elements, with zeros in the padding, times the weights of every output channel.
fn correlate<T: Copy + Default>(sizes: &Sizes, window: &Window, x: &[T], w: &[T], dot: fn(&[T], &[T]) -> T) -> Vec<T> {
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    let (plane, taps, results) = (count(&sizes.spatial), count(&sizes.taps), count(&sizes.results));
    let length = sizes.channels * taps;
    let mut out = vec![T::default(); sizes.batch * sizes.groups * sizes.outputs * results];
    let (mut row, mut result) = (vec![T::default(); length], 0);
    for_each_index(&sizes.results, |at| {
        let places = window.places(at, &sizes.taps, &sizes.spatial);
        for group in 0..sizes.batch * sizes.groups {
            for (channel, row) in row.chunks_exact_mut(taps.max(1)).enumerate() {
                let first = (group * sizes.channels + channel) * plane;
                row.iter_mut().zip(&places).for_each(|(term, place)| *term = place.map_or(T::default(), |place| x[first + place]));
            }
            for output in 0..sizes.outputs {
                let channel = group % sizes.groups * sizes.outputs + output;
                out[(group * sizes.outputs + output) * results + result] = dot(&row, &w[channel * length..][..length]);
            }
        }
        result += 1;
    });
    out
}

/// Iterators: batch, output channels (group and channel inside it, where there are both), space; then input channels and taps.
fn lower(cx: &LowerCx) -> Vec<Nest> {
    let (x, w, dims) = (&cx.inputs[0], &cx.inputs[1], cx.dims());
    let groups = Expr::from(valid(attrs::groups(cx.attrs)));
    let window = valid(Window::read(cx.attrs, x.rank() - 2));
    let mut nest = cx.nest();
    let batch = parallel(&mut nest, &dims[..1]);
    let outputs = dims[1].floor_div(&groups);
    let channel = parallel(&mut nest, &[groups, outputs.clone()]);
    let output = &(&channel[0] * &outputs) + &channel[1];
    let space = parallel(&mut nest, &dims[2..]);
    let terms = reduction(&mut nest, &w.dims[1..]);
    let input = &(&channel[0] * &w.dims[1]) + &terms[0];

    let mut source = vec![Index::Map(batch[0].clone()), Index::Map(input)];
    source.extend((0..space.len()).map(|axis| Index::Map(window.source(axis, &space[axis], &terms[axis + 1]))));
    let dtype = accumulator(x.dtype);
    let x = nest.read_at(0, source, window.has_padding().then_some(Literal::zero(x.dtype)));
    let x = nest.convert(x, dtype);
    let weight = nest.read(1, &[std::slice::from_ref(&output), &terms].concat());
    let weight = nest.convert(weight, dtype);
    let product = nest.apply(Func::Mul, &[x, weight]);
    let sum = fold(&mut nest, Monoid::Sum, &w.dims[1..], product);
    let value = nest.convert(sum, cx.outputs[0].dtype);
    vec![cx.store(nest, &[&batch[..], &[output], &space].concat(), value)]
}

#[cfg(test)]
mod tests {
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attr, Attrs, DType};

    fn attrs(strides: &[i64], dilations: &[i64], low: &[i64], high: &[i64], groups: i64) -> Attrs {
        let ints = |values: &[i64]| Attr::Ints(values.to_vec());
        Attrs::from([
            ("strides", ints(strides)),
            ("dilations", ints(dilations)),
            ("low", ints(low)),
            ("high", ints(high)),
            ("groups", Attr::Int(groups)),
        ])
    }

    fn same(groups: i64) -> Attrs {
        attrs(&[1, 1], &[1, 1], &[1, 1], &[1, 1], groups)
    }

    #[test]
    fn meaning() {
        let case = case("conv", attrs(&[2], &[1], &[1], &[0], 1), &["i32[1, 1, 4]", "i32[1, 1, 2]"], &[]);
        let case = case.with_ints(0, &[1, 2, 3, 4]).with_ints(1, &[10, 1]);
        assert_eq!(case.check(), Array::ints(DType::I32, vec![1, 1, 2], vec![1, 23]));
    }

    #[test]
    fn iterators() {
        let maps = |x: &str, w: &str, attrs: Attrs| case("conv", attrs, &[x, w], &[("n", 1)]).maps();
        assert_eq!(
            maps("f32[n, 4, 5, 5]", "f32[8, 4, 3, 3]", same(1)),
            "z[i0, i1, i2, i3] <- a[i0, i4, i2 + i5 - 1, i3 + i6 - 1] else 0.0, b[i1, i4, i5, i6]"
        );
        assert_eq!(
            maps("f32[n, 4, 5, 5]", "f32[4, 1, 3, 3]", same(4)),
            "z[i0, i1, i2, i3] <- a[i0, i1, i2 + i4 - 1, i3 + i5 - 1] else 0.0, b[i1, 0, i4, i5]"
        );
        assert_eq!(
            maps("f32[n, 4, 5, 5]", "f32[6, 2, 3, 3]", same(2)),
            "z[i0, 3*i1 + i2, i3, i4] <- a[i0, 2*i1 + i5, i3 + i6 - 1, i4 + i7 - 1] else 0.0, b[3*i1 + i2, i5, i6, i7]"
        );
        let plain = attrs(&[2, 2], &[1, 1], &[0, 0], &[0, 0], 1);
        assert_eq!(maps("f32[n, 4, 5, 5]", "f32[8, 4, 1, 1]", plain), "z[i0, i1, i2, i3] <- a[i0, i4, 2*i2, 2*i3], b[i1, i4, 0, 0]");
    }

    #[test]
    fn every_type_at_any_size() {
        for dtype in DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool) {
            for (n, h) in [(0, 4), (2, 5), (1, 1)] {
                for (w, groups) in [("6, 4", 1), ("4, 1", 4), ("8, 1", 4), ("6, 2", 2)] {
                    let types = [format!("{dtype}[n, 4, h, 5]"), format!("{dtype}[{w}, 3, 3]")];
                    case("conv", same(groups), &[&types[0], &types[1]], &[("n", n), ("h", h)]).check();
                }
            }
        }
    }

    #[test]
    fn strides_dilations_and_ranks() {
        let odd = attrs(&[2, 3], &[2, 1], &[1, 0], &[2, 4], 1);
        case("conv", odd, &["f32[2, 3, h, w]", "f32[4, 3, 3, 2]"], &[("h", 9), ("w", 8)]).check();
        let volume = attrs(&[1, 2, 1], &[1, 1, 2], &[0, 1, 2], &[0, 1, 2], 2);
        case("conv", volume, &["f64[1, 4, 3, n, 6]", "f64[2, 2, 1, 3, 3]"], &[("n", 5)]).check();
        case("conv", attrs(&[], &[], &[], &[], 1), &["f32[n, 3]", "f32[4, 3]"], &[("n", 5)]).check();
    }

    #[test]
    fn constraints() {
        let plain = || attrs(&[2, 2], &[1, 1], &[0, 0], &[0, 0], 1);
        assert_eq!(inferred("conv", same(1), &["bf16[n, c, h, w]", "bf16[8, 3, 3, 3]"]), "bf16[n, 8, h, w] where c == 3");
        assert_eq!(inferred("conv", plain(), &["u8[1, 3, h, 9]", "i8[8, 3, 3, 3]"]), "i32[1, 8, (h + 1)/(2) - 1, 4] where h >= 1");
        assert_eq!(infer_error("conv", same(2), &["f32[1, 3, 5, 5]", "f32[4, 2, 3, 3]"]), "number of channels differs: 3 vs 4");
        assert_eq!(infer_error("conv", same(2), &["f32[1, 4, 5, 5]", "f32[5, 2, 3, 3]"]), "5 output channels do not divide into 2 groups");
        assert_eq!(
            infer_error("conv", plain(), &["f32[1, 3, 2, 5]", "f32[4, 3, 7, 3]"]),
            "padded size of spatial axis 0 against its window: 2 is less than 5"
        );
        assert_eq!(infer_error("conv", same(0), &["f32[1, 3, 5, 5]", "f32[4, 3, 3, 3]"]), "attribute `groups` is 0");
    }
}
