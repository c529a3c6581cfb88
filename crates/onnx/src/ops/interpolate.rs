//! Elements at positions that are data, also between elements: what the operators that sample images share.

use ::ops::Builder;
use ir::{DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// One of the elements around a position along an axis: its index, and its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub index: ValueId,
    pub weight: ValueId,
}

/// The slices of x at a tuple of indices behind `batch` axes that both share.
pub(super) fn picked(b: &mut Builder, x: ValueId, batch: usize, indices: &[ValueId]) -> Result<ValueId> {
    let indices = b.broadcast_together(indices)?;
    let last = b.dims(indices[0]).len();
    let columns = indices.iter().map(|index| b.unsqueeze(*index, &[last])).collect::<Result<Vec<ValueId>>>()?;
    let tuples = b.concat(&columns, last)?;
    b.gather_nd(x, tuples, batch)
}

/// Where the elements of an image are: behind `batch` axes and indices that all positions share.
pub(super) struct Place<'a> {
    pub x: ValueId,
    pub batch: usize,
    pub first: &'a [ValueId],
}

/// For each choice of a tap on every axis its elements times its weights.
pub(super) fn weighted(b: &mut Builder, place: &Place, axes: &[Vec<Tap>]) -> Result<Vec<ValueId>> {
    let count = axes.iter().map(Vec::len).product::<usize>();
    (0..count).map(|choice| weighted_choice(b, place, &chosen(axes, choice))).collect()
}

fn chosen(axes: &[Vec<Tap>], mut choice: usize) -> Vec<Tap> {
    let mut taps = Vec::new();
    for axis in axes {
        taps.push(axis[choice % axis.len()]);
        choice /= axis.len();
    }
    taps
}

fn weighted_choice(b: &mut Builder, place: &Place, taps: &[Tap]) -> Result<ValueId> {
    let indices: Vec<ValueId> = place.first.iter().copied().chain(taps.iter().map(|tap| tap.index)).collect();
    let elements = picked(b, place.x, place.batch, &indices)?;
    let weights = b.broadcast_together(&taps.iter().map(|tap| tap.weight).collect::<Vec<ValueId>>())?;
    let weight = weights[1..].iter().try_fold(weights[0], |product, weight| b.map(Func::Mul, &[product, *weight]))?;
    let behind: Vec<usize> = (b.dims(weight).len()..b.dims(elements).len()).collect();
    let weight = b.convert(weight, b.dtype(elements))?;
    let weight = b.unsqueeze(weight, &behind)?;
    b.map_broadcast(Func::Mul, &[elements, weight])
}

/// A fold of values of equal dims.
pub(super) fn folded(b: &mut Builder, func: Func, values: &[ValueId]) -> Result<ValueId> {
    values[1..].iter().try_fold(values[0], |folded, value| b.map(func, &[folded, *value]))
}

/// The two elements around each position, with weights that fall linearly.
pub(super) fn linear(b: &mut Builder, position: ValueId) -> Result<Vec<Tap>> {
    let (before, far) = split(b, position)?;
    let near = rest(b, far)?;
    Ok(vec![Tap { index: before, weight: near }, Tap { index: b.map_number(Func::Add, before, 1.0)?, weight: far }])
}

/// The four elements around each position, with the weights of Keys' cubic convolution for the coefficient `a`.
pub(super) fn cubic(b: &mut Builder, position: ValueId, a: f64) -> Result<Vec<Tap>> {
    let (before, far) = split(b, position)?;
    let near = rest(b, far)?;
    let mut taps = Vec::new();
    for (offset, distance) in [(-1.0, far), (0.0, far), (1.0, near), (2.0, near)] {
        let weight = match offset {
            0.0 | 1.0 => polynomial(b, distance, &[a + 2.0, -(a + 3.0), 0.0, 1.0])?,
            _ => {
                let distance = b.map_number(Func::Add, distance, 1.0)?;
                polynomial(b, distance, &[a, -5.0 * a, 8.0 * a, -4.0 * a])?
            }
        };
        taps.push(Tap { index: b.map_number(Func::Add, before, offset)?, weight });
    }
    Ok(taps)
}

/// The whole number below, and how far the position is behind it.
fn split(b: &mut Builder, position: ValueId) -> Result<(ValueId, ValueId)> {
    let before = b.map(Func::Floor, &[position])?;
    Ok((before, b.map(Func::Sub, &[position, before])?))
}

/// `1 - x`
fn rest(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let one = b.number(b.dtype(x), 1.0);
    b.map_broadcast(Func::Sub, &[one, x])
}

/// The polynomial with these coefficients, the highest power's first.
fn polynomial(b: &mut Builder, x: ValueId, coefficients: &[f64]) -> Result<ValueId> {
    let mut sum = b.map_number(Func::Mul, x, coefficients[0])?;
    for (at, coefficient) in coefficients.iter().enumerate().skip(1) {
        if *coefficient != 0.0 {
            sum = b.map_number(Func::Add, sum, *coefficient)?;
        }
        if at + 1 < coefficients.len() {
            sum = b.map(Func::Mul, &[sum, x])?;
        }
    }
    Ok(sum)
}

/// Positions as indices within `low..=high`.
pub(super) fn index_within(b: &mut Builder, position: ValueId, low: i64, high: &Expr) -> Result<ValueId> {
    let index = b.convert(position, DType::I64)?;
    let low = b.size(&Expr::from(low), DType::I64)?;
    let high = b.size(high, DType::I64)?;
    b.clamp(index, low, high)
}

/// Indices into an image that has a border of one zero on either side.
pub(super) fn index_with_border(b: &mut Builder, position: ValueId, size: &Expr) -> Result<ValueId> {
    let index = index_within(b, position, -1, size)?;
    b.map_number(Func::Add, index, 1.0)
}

/// A border of one zero around all axes but the first `outer` ones.
pub(super) fn with_border(b: &mut Builder, x: ValueId, outer: usize) -> Result<ValueId> {
    let zero = b.number(b.dtype(x), 0.0);
    let border: Vec<Expr> = (0..b.dims(x).len()).map(|axis| Expr::from((axis >= outer) as i64)).collect();
    b.pad(x, zero, &border, &border)
}

/// Axis `axis` behind all others.
pub(super) fn moved_last(b: &mut Builder, x: ValueId, axis: usize) -> Result<ValueId> {
    let rank = b.dims(x).len();
    let perm: Vec<usize> = (0..rank).filter(|other| *other != axis).chain([axis]).collect();
    b.transpose(x, &perm)
}

/// The last axis at `axis`.
pub(super) fn moved_from_last(b: &mut Builder, x: ValueId, axis: usize) -> Result<ValueId> {
    let last = b.dims(x).len() - 1;
    let perm: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
    b.transpose(x, &perm)
}
