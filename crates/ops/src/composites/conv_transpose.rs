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

/// The most convolutions that one is made of.
const MOST_PARTS: usize = 1 << 10;

/// One axis: `stride` results are made side by side, each from those of `taps` places of x, `dilation` apart, that have a weight.
struct Axis {
    stride: i64,
    taps: i64,
    dilation: i64,
    runs: Vec<Run>,
}

/// Neighbouring phases of an axis whose weights stand at the same places: `taps` of them, `step` apart from `first_tap` on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    first: i64,
    phases: i64,
    first_tap: i64,
    taps: i64,
    step: i64,
}

/// A stride s makes s convolutions, one a phase: place `q*s + r` of the uncut result reads x at `q - u` with weight `u*s + r`. Phases with
/// weights at the same u are one convolution of x to as many times the channels, so that nothing is multiplied with a weight that is not
/// there, which an infinity would show. The channels are then spread over space:
///
/// ```text
/// w [C, M, k..] -> [C, M, u.., s..] -> [M, s.., C, reversed u..];  conv -> [N, M, s.., q..] -> [N, M, q.., s..] -> [N, M, q*s..] -> cut
/// ```
fn decompose(b: &mut Builder, inputs: &[ValueId], attrs: &Attrs) -> Result<Vec<ValueId>, Diagnostic> {
    let rank = b.dims(inputs[0]).len() - 2;
    let located = |error: OpError| error.at(&b.location);
    let (groups, place) = (attrs::groups(attrs).map_err(located)?, Transposed::read(attrs, rank).map_err(located)?);
    let axes: Vec<Axis> = (0..rank).map(|axis| axis_of(b, inputs, &place, axis)).collect::<Result<_, _>>()?;
    let parts = axes.iter().fold(1usize, |parts, axis| parts.saturating_mul(axis.runs.len()));
    if parts > MOST_PARTS {
        return Err(b.error(Code::Limit, format!("{parts} different phases")));
    }
    let w = spread_weights(b, inputs[1], &place, &axes)?;
    let w = phased_weights(b, w, groups, &axes)?;
    let y = joined_phases(b, inputs[0], w, &axes, &mut vec![])?;
    let y = spread_phases(b, y, &axes)?;
    cut(b, y, &place)
}

fn axis_of(b: &Builder, inputs: &[ValueId], place: &Transposed, axis: usize) -> Result<Axis, Diagnostic> {
    let taps = b.dims(inputs[1])[axis + 2].as_const().ok_or_else(|| b.error(Code::Shape, "weights of unknown size"))?;
    let (stride, dilation) = (place.strides[axis], place.dilations[axis]);
    if stride == 1 {
        let run = Run { first: 0, phases: 1, first_tap: 0, taps, step: 1 };
        return Ok(Axis { stride, taps, dilation, runs: vec![run] });
    }
    let reach = (taps - 1).checked_mul(dilation).filter(|reach| *reach <= LONGEST);
    let reach = reach.ok_or_else(|| b.error(Code::Limit, format!("{taps} taps at a dilation of {dilation}")))?;
    let runs = if dilation == 1 { undilated_runs(taps, stride) } else { dilated_runs(taps, stride, dilation) };
    let runs = runs.ok_or_else(|| b.error(Code::Limit, format!("{taps} taps at a stride of {stride} and a dilation of {dilation}")))?;
    Ok(Axis { stride, taps: reach / stride + 1, dilation: 1, runs })
}

/// The first phases have one tap more where the stride does not divide the taps.
fn undilated_runs(taps: i64, stride: i64) -> Option<Vec<Run>> {
    let (whole, rest) = (taps / stride, taps % stride);
    let longer = Run { first: 0, phases: rest, first_tap: 0, taps: whole + 1, step: 1 };
    let others = Run { first: rest, phases: stride - rest, first_tap: 0, taps: whole, step: 1 };
    Some([longer, others].into_iter().filter(|run| run.phases > 0).collect())
}

/// Tap t belongs to phase `t*dilation % stride`, and so does every `stride/g`th one from there, where g divides both; None where phases
/// differ in too many ways.
fn dilated_runs(taps: i64, stride: i64, dilation: i64) -> Option<Vec<Run>> {
    let g = greatest_divisor(stride, dilation);
    let (every, step) = (stride / g, dilation / g);
    let firsts = taps.min(every);
    if firsts > MOST_PARTS as i64 {
        return None;
    }
    let run = |tap: i64| {
        let at = tap * dilation;
        Run { first: at % stride, phases: 1, first_tap: at / stride, taps: (taps - tap - 1) / every + 1, step }
    };
    let mut found: Vec<Run> = (0..firsts).map(run).collect();
    found.sort_by_key(|run| run.first);
    let mut runs: Vec<Run> = Vec::new();
    let none = |first: i64, end: i64| Run { first, phases: end - first, first_tap: 0, taps: 0, step: 1 };
    let mut next = 0;
    for run in found {
        if run.first > next {
            runs.push(none(next, run.first));
        }
        next = run.first + 1;
        runs.push(run);
    }
    if next < stride {
        runs.push(none(next, stride));
    }
    Some(runs)
}

fn greatest_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// The weights with zeros between taps that are dilated, and behind them up to `taps * stride`.
fn spread_weights(b: &mut Builder, w: ValueId, place: &Transposed, axes: &[Axis]) -> Result<ValueId, Diagnostic> {
    let zero = b.number(b.dtype(w), 0.0);
    let mut w = w;
    for (axis, phase) in axes.iter().enumerate() {
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

/// `[C, M/g, (u s)..]` to `[g, M/g, s.., C/g, u..]`.
fn phased_weights(b: &mut Builder, w: ValueId, groups: i64, axes: &[Axis]) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(w).to_vec();
    let groups = Expr::from(groups);
    let mut apart = vec![groups.clone(), dims[0].floor_div(&groups), dims[1].clone()];
    apart.extend(axes.iter().flat_map(|axis| [Expr::from(axis.taps), Expr::from(axis.stride)]));
    let w = b.reshape(w, &apart)?;
    let taps = (0..axes.len()).map(|axis| 3 + 2 * axis);
    let perm: Vec<usize> = [0, 2].into_iter().chain(taps.clone().map(|at| at + 1)).chain([1]).chain(taps).collect();
    b.transpose(w, &perm)
}

/// All phases, `[N, M, s.., q..]`: the runs of the first axes are chosen, those of the next are put one behind the other.
fn joined_phases(b: &mut Builder, x: ValueId, w: ValueId, axes: &[Axis], chosen: &mut Vec<Run>) -> Result<ValueId, Diagnostic> {
    let at = chosen.len();
    let Some(axis) = axes.get(at) else { return convolved(b, x, w, axes, chosen) };
    let mut parts = Vec::with_capacity(axis.runs.len());
    for run in &axis.runs {
        chosen.push(*run);
        parts.push(joined_phases(b, x, w, axes, chosen)?);
        chosen.pop();
    }
    if let [part] = parts[..] { Ok(part) } else { b.concat(&parts, at + 2) }
}

/// The phases of one run on each axis, `[N, M, s.., q..]`; zeros where some have no weights.
fn convolved(b: &mut Builder, x: ValueId, w: ValueId, axes: &[Axis], runs: &[Run]) -> Result<ValueId, Diagnostic> {
    let (dims, weights) = (b.dims(x).to_vec(), b.dims(w).to_vec());
    let phases: Vec<Expr> = runs.iter().map(|run| Expr::from(run.phases)).collect();
    let places = dims[2..].iter().zip(axes).map(|(dim, axis)| dim + (axis.taps - 1) * axis.dilation);
    let result: Vec<Expr> = [dims[0].clone(), &weights[0] * &weights[1]].into_iter().chain(phases.clone()).chain(places).collect();
    if runs.iter().any(|run| run.taps == 0) {
        let dtype = product_type(b.ty(x), b.ty(w)).map_err(|error| error.at(&b.location))?;
        let zero = b.number(dtype, 0.0);
        return b.broadcast(zero, &result);
    }
    let w = weights_of(b, w, runs, &phases)?;
    let pair = || axes.iter().zip(runs);
    let window = WindowAttrs {
        dilations: pair().map(|(axis, run)| axis.dilation * run.step).collect(),
        low: pair().map(|(axis, run)| (run.first_tap + (run.taps - 1) * run.step) * axis.dilation).collect(),
        high: pair().map(|(axis, run)| (axis.taps - 1 - run.first_tap) * axis.dilation).collect(),
        ..WindowAttrs::plain(axes.len())
    };
    let groups = weights[0].as_const().unwrap_or(1);
    let y = b.conv(x, w, &window, groups)?;
    b.reshape(y, &result)
}

/// The weights of the phases, with the taps in reverse: `[g M/g s.., C/g, u..]`.
fn weights_of(b: &mut Builder, w: ValueId, runs: &[Run], phases: &[Expr]) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(w).to_vec();
    let channels = dims[2 + runs.len()].clone();
    let taps: Vec<Expr> = runs.iter().map(|run| Expr::from(run.taps)).collect();
    let first = |run: &Run| Expr::from(run.first);
    let last = |run: &Run| Expr::from(run.first_tap + (run.taps - 1) * run.step);
    let back = |run: &Run| if run.taps == 1 { 1 } else { -run.step };
    let zero = Expr::zero;
    let starts: Vec<Expr> =
        [zero(), zero()].into_iter().chain(runs.iter().map(first)).chain([zero()]).chain(runs.iter().map(last)).collect();
    let sizes = [&dims[..2], phases, std::slice::from_ref(&channels), &taps].concat();
    let steps: Vec<i64> = vec![1; 3 + runs.len()].into_iter().chain(runs.iter().map(back)).collect();
    let w = b.slice(w, &starts, &sizes, &steps)?;
    let outputs = &(&dims[0] * &dims[1]) * &Expr::product(phases);
    b.reshape(w, &[&[outputs, channels], &taps[..]].concat())
}

/// `[N, M, s.., q..]` to `[N, M, (q s)..]`.
fn spread_phases(b: &mut Builder, y: ValueId, axes: &[Axis]) -> Result<ValueId, Diagnostic> {
    let (dims, count) = (b.dims(y).to_vec(), axes.len());
    let spread = (0..count).map(|axis| &dims[2 + count + axis] * &dims[2 + axis]);
    let joined: Vec<Expr> = dims[..2].iter().cloned().chain(spread).collect();
    if axes.iter().all(|axis| axis.stride == 1) {
        return b.reshape(y, &joined);
    }
    let perm: Vec<usize> = [0, 1].into_iter().chain((0..count).flat_map(|axis| [2 + count + axis, 2 + axis])).collect();
    let y = b.transpose(y, &perm)?;
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
    fn an_infinity_shows_where_it_has_a_weight() {
        for (stride, dilation, taps) in [(3, 1, 2), (2, 1, 3), (4, 6, 3), (3, 2, 2), (1, 2, 2)] {
            let attrs = attrs(&[stride], &[dilation], &[0], &["16"], 1);
            let case = case("conv_transpose", attrs, &["f32[1, 1, 3]", &format!("f32[1, 1, {taps}]")], &[]);
            let case = case.with_floats(0, &[1.0, f64::INFINITY, 2.0]).with_floats(1, &vec![0.5; taps]);
            case.check_decomposition(0.0);
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
