//! `conv_transpose`: the transpose of a convolution: every element of x adds a scaled copy of the weights to the result.
//!
//! Operands: x `[N, C, spatial..]`, w `[C, M/groups, taps..]` (taps known). Attributes: `strides`, `dilations` Ints; `low` Exprs, `sizes`
//! Exprs, one entry a spatial axis; `groups` Int.
//! - C1: the ranks are equal and at least 3; the element types as in `contract`.
//! - C2: C is w's first dim and a multiple of `groups`.
//! - C3: strides and dilations are at least 1, `low` and `sizes` not negative.
//!
//! `out[n, m, o..] = sum over c in m's group, i.., t.. with i*stride + t*dilation - low = o of x[n, c, i..] * w[c, m % (M/groups), t..]`,
//! of the spatial dims `sizes`, accumulated as in `contract`.

use super::super::core::accumulate::product_type;
use crate::attrs;
use crate::build::Builder;
use crate::build::core::WindowAttrs;
use crate::def::{ConcreteType, InferCx, Inferred, Kind, OpDef, OpError};
use crate::dims::{Guards, rank_of};
use crate::reference::{as_floats, position, wrapped};
use ir::array::{Data, for_each_index, row_major_strides};
use ir::{Array, Attr, Attrs, Code, Diagnostic, ValueId};
use sym::Expr;

pub const DEF: OpDef = OpDef { name: "conv_transpose", infer, reference, kind: Kind::Composite { decompose } };

/// Where the copies of the weights go, one entry a spatial axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Transposed {
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// How much is cut off before the result.
    pub low: Vec<Expr>,
    /// The result's spatial dims.
    pub sizes: Vec<Expr>,
}

impl Transposed {
    pub fn attrs(&self, groups: i64) -> Attrs {
        Attrs::from([
            ("strides", Attr::Ints(self.strides.clone())),
            ("dilations", Attr::Ints(self.dilations.clone())),
            ("low", Attr::Exprs(self.low.clone())),
            ("sizes", Attr::Exprs(self.sizes.clone())),
            ("groups", Attr::Int(groups)),
        ])
    }

    fn read(attrs: &Attrs, axes: usize) -> Result<Transposed, OpError> {
        Ok(Transposed {
            strides: attrs::ints_of(attrs, "strides", axes, 1)?.to_vec(),
            dilations: attrs::ints_of(attrs, "dilations", axes, 1)?.to_vec(),
            low: attrs::exprs_of(attrs, "low", axes)?.to_vec(),
            sizes: attrs::exprs_of(attrs, "sizes", axes)?.to_vec(),
        })
    }
}

fn infer(cx: &InferCx) -> Result<Inferred, OpError> {
    let [x, w] = cx.operands()?;
    let dtype = product_type(x, w)?;
    if x.rank() < 3 {
        return Err(OpError::shape(format!("x is {x}, with no spatial axes")));
    }
    rank_of("w", w, x.rank())?;
    let (groups, place) = (attrs::groups(cx.attrs)?, Transposed::read(cx.attrs, x.rank() - 2)?);
    let mut guards = Guards::default();
    guards.equal("number of channels", &x.dims[1], &w.dims[0])?;
    let Some(channels) = w.dims[0].as_const() else { return Err(OpError::shape(format!("w is {w}, of unknown size"))) };
    if channels % groups != 0 {
        return Err(OpError::shape(format!("{channels} channels do not divide into {groups} groups")));
    }
    if w.const_dims().is_none_or(|dims| dims[2..].contains(&0)) {
        return Err(OpError::shape(format!("w is {w}, without known taps")));
    }
    for amount in place.low.iter().chain(&place.sizes) {
        guards.at_least("cut or size", amount, &Expr::zero())?;
    }
    let dims = [vec![x.dims[0].clone(), &w.dims[1] * groups], place.sizes].concat();
    Ok(Inferred::of(dtype, dims).with(guards))
}

fn reference(inputs: &[&Array], attrs: &Attrs, out: &[ConcreteType]) -> Result<Vec<Array>, OpError> {
    let (x, w, (dtype, dims)) = (inputs[0], inputs[1], &out[0]);
    let (groups, place, low) = (attrs::groups(attrs)? as usize, Transposed::read(attrs, dims.len() - 2)?, attrs::numbers(attrs, "low")?);
    let (channels, outputs) = (x.dims()[1] / groups, w.dims()[1]);
    let (plane, strides) = (dims[2..].iter().product::<usize>(), row_major_strides(&dims[2..]));
    let mut products = Vec::new();
    for_each_index(x.dims(), |from| {
        for_each_index(&w.dims()[1..], |to| {
            let target = (0..strides.len()).map(|axis| {
                let at = from[axis + 2] as i64 * place.strides[axis] + to[axis + 1] as i64 * place.dilations[axis] - low[axis];
                usize::try_from(at).ok().filter(|at| *at < dims[axis + 2])
            });
            if let Some(target) = target.collect::<Option<Vec<usize>>>() {
                let channel = from[1] / channels.max(1) * outputs + to[0];
                let weight = position(&w.strides(), &[&[from[1]], to].concat());
                products.push(((from[0] * dims[1] + channel) * plane + position(&strides, &target), position(&x.strides(), from), weight));
            }
        });
    });
    let count = dims.iter().product();
    match (x.data(), w.data()) {
        (Data::Int(x), Data::Int(w)) => {
            let mut sums = vec![0i64; count];
            products.into_iter().for_each(|(to, from, tap)| sums[to] = sums[to].wrapping_add(x[from].wrapping_mul(w[tap])));
            Ok(vec![wrapped(*dtype, dims, sums)])
        }
        _ => {
            let (x, w, mut sums) = (as_floats(x), as_floats(w), vec![0.0; count]);
            products.into_iter().for_each(|(to, from, tap)| sums[to] += x[from] * w[tap]);
            Ok(vec![Array::floats(*dtype, dims.clone(), sums)])
        }
    }
}

/// The longest axis of weights with zeros between their taps.
const LONGEST: i64 = 1 << 32;

/// One axis: `stride` results are made side by side, by as many convolutions with `taps` taps each.
struct Phases {
    stride: i64,
    taps: i64,
    /// Dilation of the convolutions.
    dilation: i64,
}

/// A stride s makes s convolutions: place `q*s + r` of the uncut result reads x at `q - u` with weight `u*s + r`. They are one
/// convolution with `s` times the channels over x, whose channels are then spread over space:
///
/// ```text
/// w [C, M, k..] -> [C, M, u.., s..] -> [M, s.., C, reversed u..];  conv -> [N, M, s.., q..] -> [N, M, q.., s..] -> [N, M, q*s..] -> cut
/// ```
fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let axes = b.dims(inputs[0]).len() - 2;
    let located = |error: OpError| error.at(&b.location);
    let (groups, place) = (attrs::groups(attrs).map_err(located)?, Transposed::read(attrs, axes).map_err(located)?);
    let phases: Vec<Phases> = (0..axes).map(|axis| phases(b, inputs, &place, axis)).collect::<Result<_, _>>()?;
    let w = spread_weights(b, inputs[1], &place, &phases)?;
    let w = phased_weights(b, w, groups, &phases)?;
    let reach: Vec<i64> = phases.iter().map(|phase| (phase.taps - 1) * phase.dilation).collect();
    let dilations = phases.iter().map(|phase| phase.dilation).collect();
    let window = WindowAttrs { dilations, low: reach.clone(), high: reach, ..WindowAttrs::plain(axes) };
    let y = b.conv(inputs[0], w, &window, groups)?;
    let y = spread_channels(b, y, &phases)?;
    cut(b, y, &place)
}

fn phases(b: &Builder, inputs: &[ValueId], place: &Transposed, axis: usize) -> Result<Phases, Diagnostic> {
    let taps = b.dims(inputs[1])[axis + 2].as_const().ok_or_else(|| b.error(Code::Shape, "weights of unknown size"))?;
    let (stride, dilation) = (place.strides[axis], place.dilations[axis]);
    if stride == 1 {
        return Ok(Phases { stride, taps, dilation });
    }
    let reach = (taps - 1).checked_mul(dilation).filter(|reach| *reach <= LONGEST);
    let reach = reach.ok_or_else(|| b.error(Code::Limit, format!("{taps} taps at a dilation of {dilation}")))?;
    Ok(Phases { stride, taps: reach / stride + 1, dilation: 1 })
}

/// The weights with zeros between taps that are dilated, and behind them up to `taps * stride`.
fn spread_weights(b: &mut Builder, w: ValueId, place: &Transposed, phases: &[Phases]) -> Result<ValueId, Diagnostic> {
    let zero = b.number(b.dtype(w), 0.0);
    let mut w = w;
    for (axis, phase) in phases.iter().enumerate() {
        let dims = b.dims(w).to_vec();
        let rank = dims.len() + 1;
        let gap = place.dilations[axis] / phase.dilation - 1;
        if gap > 0 {
            let mut high = vec![Expr::zero(); rank];
            high[axis + 3] = Expr::from(gap);
            w = b.unsqueeze(w, &[axis + 3])?;
            w = b.pad(w, zero, &vec![Expr::zero(); rank], &high)?;
            let mut joined = dims.clone();
            joined[axis + 2] = &dims[axis + 2] * (gap + 1);
            w = b.reshape(w, &joined)?;
        }
        let wanted = Expr::from(phase.taps * phase.stride);
        let found = b.dims(w)[axis + 2].clone();
        let missing = (&wanted - &found).as_const().unwrap_or(0);
        if missing < 0 {
            w = b.slice_axis(w, axis + 2, &Expr::zero(), &wanted)?;
        } else {
            let mut high = vec![Expr::zero(); rank - 1];
            high[axis + 2] = Expr::from(missing);
            w = b.pad(w, zero, &vec![Expr::zero(); rank - 1], &high)?;
        }
    }
    Ok(w)
}

/// `[C, M/g, (u s)..]` to `[g M/g s.., C/g, reversed u..]`.
fn phased_weights(b: &mut Builder, w: ValueId, groups: i64, phases: &[Phases]) -> Result<ValueId, Diagnostic> {
    let (dims, axes) = (b.dims(w).to_vec(), phases.len());
    let groups = Expr::from(groups);
    let channels = dims[0].floor_div(&groups);
    let mut apart = vec![groups.clone(), channels.clone(), dims[1].clone()];
    apart.extend(phases.iter().flat_map(|phase| [Expr::from(phase.taps), Expr::from(phase.stride)]));
    let w = b.reshape(w, &apart)?;
    let taps = (0..axes).map(|axis| 3 + 2 * axis);
    let perm: Vec<usize> = [0, 2].into_iter().chain(taps.clone().map(|at| at + 1)).chain([1]).chain(taps).collect();
    let w = b.transpose(w, &perm)?;
    let strides = Expr::from(phases.iter().map(|phase| phase.stride).product::<i64>());
    let outputs = &(&groups * &dims[1]) * &strides;
    let joined: Vec<Expr> = [outputs, channels].into_iter().chain(phases.iter().map(|phase| Expr::from(phase.taps))).collect();
    let w = b.reshape(w, &joined)?;
    let starts = [0, 0].into_iter().chain(phases.iter().map(|phase| phase.taps - 1)).map(Expr::from).collect::<Vec<Expr>>();
    let steps: Vec<i64> = [1, 1].into_iter().chain(phases.iter().map(|phase| if phase.taps == 1 { 1 } else { -1 })).collect();
    b.slice(w, &starts, &joined, &steps)
}

/// `[N, M s.., q..]` to `[N, M, (q s)..]`.
fn spread_channels(b: &mut Builder, y: ValueId, phases: &[Phases]) -> Result<ValueId, Diagnostic> {
    if phases.iter().all(|phase| phase.stride == 1) {
        return Ok(y);
    }
    let (dims, axes) = (b.dims(y).to_vec(), phases.len());
    let strides: Vec<Expr> = phases.iter().map(|phase| Expr::from(phase.stride)).collect();
    let outputs = dims[1].floor_div(&Expr::product(&strides));
    let apart = [&[dims[0].clone(), outputs.clone()], &strides[..], &dims[2..]].concat();
    let y = b.reshape(y, &apart)?;
    let perm: Vec<usize> = [0, 1].into_iter().chain((0..axes).flat_map(|axis| [2 + axes + axis, 2 + axis])).collect();
    let y = b.transpose(y, &perm)?;
    let spread = dims[2..].iter().zip(&strides).map(|(dim, stride)| dim * stride);
    let joined: Vec<Expr> = [dims[0].clone(), outputs].into_iter().chain(spread).collect();
    b.reshape(y, &joined)
}

/// What is wanted of the result; zeros where it ends before.
fn cut(b: &mut Builder, y: ValueId, place: &Transposed) -> Result<Vec<ValueId>, Diagnostic> {
    let dims = b.dims(y).to_vec();
    let (mut high, mut starts, mut sizes) = (vec![Expr::zero(); dims.len()], vec![Expr::zero(); dims.len()], dims.clone());
    for axis in 0..place.low.len() {
        let missing = &(&place.low[axis] + &place.sizes[axis]) - &dims[axis + 2];
        high[axis + 2] = if sym::Ranges::new(0).nonnegative(&-&missing) { Expr::zero() } else { missing.maximum(&Expr::zero()) };
        (starts[axis + 2], sizes[axis + 2]) = (place.low[axis].clone(), place.sizes[axis].clone());
    }
    let zero = b.number(b.dtype(y), 0.0);
    let y = b.pad(y, zero, &vec![Expr::zero(); dims.len()], &high)?;
    Ok(vec![b.slice(y, &starts, &sizes, &vec![1; dims.len()])?])
}

#[cfg(test)]
mod tests {
    use super::Transposed;
    use crate::check::{case, infer_error, inferred};
    use ir::{Array, Attrs, DType};

    fn attrs(strides: &[i64], dilations: &[i64], low: &[i64], sizes: &[&str], groups: i64) -> Attrs {
        let sizes = sizes.iter().map(|size| size.parse().unwrap()).collect();
        let low = low.iter().map(|low| (*low).into()).collect();
        Transposed { strides: strides.to_vec(), dilations: dilations.to_vec(), low, sizes }.attrs(groups)
    }

    #[test]
    fn meaning() {
        let case = case("conv_transpose", attrs(&[2], &[1], &[0], &["5"], 1), &["i32[1, 1, 2]", "i32[1, 1, 3]"], &[]);
        let out = case.with_ints(0, &[1, 2]).with_ints(1, &[10, 20, 30]).check_decomposition(0.0);
        assert_eq!(out, Array::ints(DType::I32, vec![1, 1, 5], vec![10, 20, 50, 40, 60]));
    }

    #[test]
    fn strides_dilations_and_groups() {
        for (stride, dilation, taps, low, groups) in [
            (1, 1, 3, 1, 1),
            (2, 1, 2, 0, 1),
            (2, 1, 3, 1, 2),
            (2, 1, 4, 1, 1),
            (3, 2, 2, 0, 4),
            (1, 2, 3, 2, 2),
            (4, 3, 3, 2, 1),
            (3, 1, 1, 0, 2),
        ] {
            for (n, extra) in [(1, 0), (3, 1), (0, 0), (4, 2)] {
                let size = format!("{stride}*n + {}", (taps - 1) * dilation + 1 - stride - 2 * low + extra);
                if n == 0 || stride * n + (taps - 1) * dilation + 1 - stride - 2 * low + extra < 0 {
                    continue;
                }
                let attrs = attrs(&[stride, 2], &[dilation, 1], &[low, 0], &[&size, "7"], groups);
                for dtype in ["f32", "i32", "f64"] {
                    let types = [format!("{dtype}[2, 4, n, 3]"), format!("{dtype}[4, 3, {taps}, 3]")];
                    case("conv_transpose", attrs.clone(), &[&types[0], &types[1]], &[("n", n)]).check_decomposition(0.0);
                }
            }
        }
    }

    #[test]
    fn results_beyond_the_last_copy_are_zero() {
        case("conv_transpose", attrs(&[2], &[1], &[0], &["2*n + 3"], 1), &["f32[1, 2, n]", "f32[2, 3, 2]"], &[("n", 2)])
            .check_decomposition(0.0);
        case("conv_transpose", attrs(&[1], &[1], &[0], &["m"], 1), &["f32[1, 2, n]", "f32[2, 3, 2]"], &[("n", 2), ("m", 5)])
            .check_decomposition(0.0);
    }

    #[test]
    fn constraints() {
        let plain = |groups: i64| attrs(&[2], &[1], &[0], &["2*h"], groups);
        assert_eq!(inferred("conv_transpose", plain(2), &["bf16[n, c, h]", "bf16[4, 3, 2]"]), "bf16[n, 6, 2*h] where c == 4");
        assert_eq!(infer_error("conv_transpose", plain(1), &["f32[n, 3, h]", "f32[4, 3, 2]"]), "number of channels differs: 3 vs 4");
        assert_eq!(infer_error("conv_transpose", plain(3), &["f32[n, 4, h]", "f32[4, 3, 2]"]), "4 channels do not divide into 3 groups");
        assert_eq!(infer_error("conv_transpose", plain(1), &["f32[n, 4, h]", "f32[4, 3, k]"]), "w is f32[4, 3, k], without known taps");
    }
}
