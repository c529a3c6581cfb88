//! Convolution of elements that offsets pick.

use super::Entry;
use super::conv::{taps, with_bias};
use super::interpolate::{Place, Tap, folded, index_with_border, linear, moved_last, weighted, with_border};
use super::window::{Rounding, Window, spatial_dims};
use crate::import::{Call, Outcome, one};
use ::ops::Builder;
use ir::guard::Condition;
use ir::{Code, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("DeformConv", 19, deform_conv)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Most spatial axes: each doubles the elements that are read.
const MOST_AXES: usize = 3;

/// The sizes of the node; a tap's axes stand in front of a position's.
struct Sizes {
    batch: Expr,
    channels: i64,
    groups: i64,
    offset_groups: i64,
    spatial: Vec<Expr>,
    /// Taps, then positions.
    samples: Vec<Expr>,
}

impl Sizes {
    fn read(call: &Call, window: &Window) -> Result<Sizes> {
        let (groups, offset_groups) = (call.int_or("group", 1)?, call.int_or("offset_group", 1)?);
        let (dims, offsets) = (call.dims(0)?, call.dims(2)?);
        let Some(channels) = dims[1].as_const() else { return Err(call.unsupported(format!("an unknown number of channels {}", dims[1]))) };
        for (name, count) in [("group", groups), ("offset_group", offset_groups)] {
            if count < 1 || channels % count != 0 {
                return Err(call.attribute_error(format!("attribute `{name}` is {count}, for {channels} channels")));
            }
        }
        if offsets.len() != dims.len() {
            return Err(call.error(Code::Shape, format!("offsets {} for {}", call.ty(2)?, call.ty(0)?)));
        }
        let samples = window.taps.iter().map(|tap| Expr::from(*tap)).chain(offsets[2..].iter().cloned()).collect();
        Ok(Sizes { batch: dims[0].clone(), channels, groups, offset_groups, spatial: dims[2..].to_vec(), samples })
    }

    fn axes(&self) -> usize {
        self.spatial.len()
    }

    /// Batch and groups of offsets, then these.
    fn by_offset_group(&self, rest: &[Expr]) -> Vec<Expr> {
        [&[self.batch.clone(), Expr::from(self.offset_groups)], rest].concat()
    }
}

fn deform_conv(call: &mut Call) -> Outcome {
    let spatial = spatial_dims(call)?;
    if spatial.len() > MOST_AXES {
        return Err(call.unsupported(format!("interpolation along {} axes", spatial.len())).into());
    }
    let taps = taps(call, 1, spatial.len())?;
    let window = Window::read(call, taps, &spatial, Rounding::Floor)?;
    let sizes = Sizes::read(call, &window)?;
    let dtype = call.dtype(0)?;
    if !dtype.is_float() {
        return Err(call.error(Code::Type, format!("DeformConv is not defined on {dtype}")).into());
    }
    check_positions(call, &window, &sizes);
    let picked = samples(call, &window, &sizes)?;
    let product = product(call, picked, &sizes)?;
    let product = match call.optional_value(3)? {
        Some(bias) => {
            let bias = call.b().widened(bias)?;
            with_bias(call, product, bias, sizes.axes())?
        }
        None => product,
    };
    one(call.b().convert(product, dtype)?)
}

/// There are as many offsets as the window has positions.
fn check_positions(call: &mut Call, window: &Window, sizes: &Sizes) {
    for axis in 0..sizes.axes() {
        let extent = (window.taps[axis] - 1).saturating_mul(window.dilations[axis]).saturating_add(1);
        let room = &(&(&sizes.spatial[axis] + &window.low[axis]) + &window.high[axis]) - extent;
        let positions = room.floor_div(&Expr::from(window.strides[axis])) + 1;
        call.guard(Condition::Equal(positions, sizes.samples[sizes.axes() + axis].clone()));
    }
}

/// What each tap reads at each position, times the mask: `[N, offset groups, taps.., positions.., channels]`.
fn samples(call: &mut Call, window: &Window, sizes: &Sizes) -> Result<ValueId> {
    let (x, offsets) = (call.value(0)?, call.value(2)?);
    let mask = call.optional_value(4)?;
    let (axes, per_group) = (sizes.axes(), sizes.channels / sizes.offset_groups);
    let b = call.b();
    let x = b.widened(x)?;
    let x = b.reshape(x, &sizes.by_offset_group(&[&[Expr::from(per_group)], &sizes.spatial[..]].concat()))?;
    let x = with_border(b, x, 3)?;
    let x = moved_last(b, x, 2)?;
    let offsets = b.convert(offsets, b.dtype(x))?;
    let (taps, positions) = sizes.samples.split_at(axes);
    let offsets = b.reshape(offsets, &sizes.by_offset_group(&[taps, &[Expr::from(axes as i64)], positions].concat()))?;
    let around = (0..axes).map(|axis| tap(b, offsets, window, sizes, axis)).collect::<Result<Vec<Vec<Tap>>>>()?;
    let terms = weighted(b, &Place { x, batch: 2, first: &[] }, &around)?;
    let sum = folded(b, Func::Add, &terms)?;
    let Some(mask) = mask else { return Ok(sum) };
    let mask = b.convert(mask, b.dtype(sum))?;
    let mask = b.reshape(mask, &sizes.by_offset_group(&sizes.samples))?;
    let mask = b.unsqueeze(mask, &[2 + 2 * axes])?;
    b.map_broadcast(Func::Mul, &[sum, mask])
}

/// The elements around what is read, along one axis.
fn tap(b: &mut Builder, offsets: ValueId, window: &Window, sizes: &Sizes, axis: usize) -> Result<Vec<Tap>> {
    let (axes, dtype) = (sizes.axes(), b.dtype(offsets));
    let own = b.slice_axis(offsets, 2 + axes, &Expr::from(axis as i64), &Expr::one())?;
    let own = b.reshape(own, &sizes.by_offset_group(&sizes.samples))?;
    let position = b.iota(&sizes.samples, axes + axis, dtype)?;
    let position = b.map_number(Func::Mul, position, window.strides[axis] as f64)?;
    let tap = b.iota(&sizes.samples, axis, dtype)?;
    let tap = b.map_number(Func::Mul, tap, window.dilations[axis] as f64)?;
    let low = b.size(&window.low[axis], dtype)?;
    let place = b.map(Func::Add, &[position, tap])?;
    let place = b.map_broadcast(Func::Sub, &[place, low])?;
    let place = b.map_broadcast(Func::Add, &[place, own])?;
    let around = linear(b, place)?;
    around.into_iter().map(|tap| Ok(Tap { index: index_with_border(b, tap.index, &sizes.spatial[axis])?, ..tap })).collect()
}

/// What was read, by the weights: `[N, M, positions..]`.
fn product(call: &mut Call, picked: ValueId, sizes: &Sizes) -> Result<ValueId> {
    let (w, maps) = (call.value(1)?, call.dims(1)?);
    let depth = Expr::product(&maps[1..]);
    let groups = Expr::from(sizes.groups);
    let per_group = maps[0].floor_div(&groups);
    let (axes, wide) = (sizes.axes(), call.b().dtype(picked));
    let positions = &sizes.samples[axes..];
    let b = call.b();
    let rank = b.dims(picked).len();
    let perm: Vec<usize> = [0, 1, rank - 1].into_iter().chain(2..rank - 1).collect();
    let columns = b.transpose(picked, &perm)?;
    let columns = b.reshape(columns, &[sizes.batch.clone(), groups.clone(), depth.clone(), Expr::product(positions)])?;
    let w = b.convert(w, wide)?;
    let w = b.reshape(w, &[groups, per_group, depth])?;
    let product = b.contract("ngko,gmk->ngmo", columns, w)?;
    b.reshape(product, &[&[sizes.batch.clone(), maps[0].clone()], positions].concat())
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn offsets_move_what_is_read() {
        let x = "f32[1, 1, 3, 3] 0 1 2 3 4 5 6 7 8";
        let w = "w: f32[1, 1, 2, 2] = 1 1 1 1";
        let text = |rest: &str| format!("x: f32[1, 1, 3, 3] {w} o: f32[1, 8, 1, 1] {rest} => y");
        let strides = "strides = [2, 2]";
        let y = format!("y = DeformConv {{{strides}}} (x, w, o)");
        check(&text(&y), &[x, "f32[1, 8, 1, 1] 0 0 0 0 0 0 0 0"], &["f32[1, 1, 1, 1] 8"]);
        check(&text(&y), &[x, "f32[1, 8, 1, 1] 0.5 0 0 0 0 0 0 9"], &["f32[1, 1, 1, 1] 5.5"]);
        let y = format!("b: f32[1] = 10 m: f32[1, 4, 1, 1] = 1 0 0 2 y = DeformConv {{{strides}}} (x, w, o, b, m)");
        check(&text(&y), &[x, "f32[1, 8, 1, 1] 1 1 0 0 0 0 0 0"], &["f32[1, 1, 1, 1] 22"]);
    }

    #[test]
    fn groups_of_channels() {
        let text = "x: f32[1, 2, 2] w: f32[2, 1, 1] = 1 10 o: f32[1, 2, 2] y = DeformConv {group = 2, offset_group = 2} (x, w, o) => y";
        check(text, &["f32[1, 2, 2] 1 2 3 4", "f32[1, 2, 2] 1 0 0 -1"], &["f32[1, 2, 2] 2 2 30 30"]);
        check_problems(
            "x: f32[1, 2, 2] w: f32[2, 1, 1] o: f32[1, 2, 2] y = DeformConv {offset_group = 3} (x, w, o) => y",
            &["[E005] DeformConv#0: attribute `offset_group` is 3, for 2 channels"],
        );
    }
}
