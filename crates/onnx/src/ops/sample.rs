//! Images sampled at positions that are data.

use super::Entry;
use super::interpolate::{Place, Tap, cubic, folded, index_with_border, index_within, linear, moved_from_last, moved_last, picked};
use super::interpolate::{weighted, with_border};
use super::window::spatial_dims;
use crate::import::{Call, Outcome, one};
use ::ops::{Builder, Folded};
use ir::{Code, DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("GridSample", 16, grid_sample), Entry("AffineGrid", 20, affine_grid), Entry("RoiAlign", 10, roi_align)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Most spatial axes that are interpolated along: each doubles the elements that are read.
const MOST_AXES: usize = 3;
/// The largest number of bins, or of samples in one.
const MOST_BINS: i64 = 1 << 16;
/// The coefficient of cubic interpolation.
const CUBIC: f64 = -0.75;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// What stands outside of the image.
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

fn check_floats(call: &Call, at: usize) -> Result<DType> {
    match call.dtype(at)? {
        dtype if dtype.is_float() => Ok(dtype),
        dtype => Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type))),
    }
}

struct Sampling {
    mode: Mode,
    padding: Padding,
    align_corners: bool,
}

impl Sampling {
    fn read(call: &Call) -> Result<Sampling> {
        let mode = match (call.text("mode")?, call.opset) {
            (None, _) | (Some("linear"), 20..) | (Some("bilinear"), ..20) => Mode::Linear,
            (Some("nearest"), _) => Mode::Nearest,
            (Some("cubic"), 20..) | (Some("bicubic"), ..20) => Mode::Cubic,
            (Some(other), _) => return Err(call.attribute_error(format!("attribute `mode` is `{other}`"))),
        };
        let padding = match call.text("padding_mode")?.unwrap_or("zeros") {
            "zeros" => Padding::Zeros,
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            other => return Err(call.attribute_error(format!("attribute `padding_mode` is `{other}`"))),
        };
        Ok(Sampling { mode, padding, align_corners: call.flag_or("align_corners", false)? })
    }

    /// `-1..1` as a coordinate of elements along an axis.
    fn coordinate(&self, b: &mut Builder, grid: ValueId, size: &Expr) -> Result<ValueId> {
        let from_start = b.map_number(Func::Add, grid, 1.0)?;
        let dtype = b.dtype(grid);
        if self.align_corners {
            let half = b.map_number(Func::Div, from_start, 2.0)?;
            let last = b.size(&(size - 1), dtype)?;
            return b.map_broadcast(Func::Mul, &[half, last]);
        }
        let size = b.size(size, dtype)?;
        let all = b.map_broadcast(Func::Mul, &[from_start, size])?;
        let all = b.map_number(Func::Sub, all, 1.0)?;
        b.map_number(Func::Div, all, 2.0)
    }

    /// Coordinates outside of the image as those that they stand for.
    fn inside(&self, b: &mut Builder, coordinate: ValueId, size: &Expr) -> Result<ValueId> {
        match self.padding {
            Padding::Zeros => Ok(coordinate),
            Padding::Border => {
                let dtype = b.dtype(coordinate);
                let (low, high) = (b.number(dtype, 0.0), b.size(&(size - 1), dtype)?);
                b.clamp(coordinate, low, high)
            }
            Padding::Reflection => self.reflected(b, coordinate, size),
        }
    }

    /// Reflected at both ends of the image as often as needed: a wave whose period is twice the image.
    fn reflected(&self, b: &mut Builder, coordinate: ValueId, size: &Expr) -> Result<ValueId> {
        let dtype = b.dtype(coordinate);
        let margin = if self.align_corners { 0.0 } else { 0.5 };
        let last = b.size(&(size - 1), dtype)?;
        let (low, high) = (b.number(dtype, -margin), b.map_number(Func::Add, last, margin)?);
        let range = b.map(Func::Sub, &[high, low])?;
        let period = b.map_number(Func::Mul, range, 2.0)?;
        let distance = b.map_broadcast(Func::Sub, &[coordinate, low])?;
        let distance = b.map(Func::Abs, &[distance])?;
        let rising = b.map_broadcast(Func::Rem, &[distance, period])?;
        let falling = b.map_broadcast(Func::Sub, &[period, rising])?;
        let rises = b.map_broadcast(Func::LessEqual, &[rising, range])?;
        let wave = b.map(Func::Select, &[rises, rising, falling])?;
        let reflected = b.map_broadcast(Func::Add, &[wave, low])?;
        let below = b.map_broadcast(Func::Less, &[coordinate, low])?;
        let above = b.map_broadcast(Func::Greater, &[coordinate, high])?;
        let outside = b.map(Func::Or, &[below, above])?;
        b.map(Func::Select, &[outside, reflected, coordinate])
    }

    /// A whole coordinate as an index.
    fn index(&self, b: &mut Builder, coordinate: ValueId, size: &Expr) -> Result<ValueId> {
        match self.padding {
            Padding::Zeros => index_with_border(b, coordinate, size),
            Padding::Border => index_within(b, coordinate, 0, &(size - 1)),
            Padding::Reflection => {
                let reflected = self.reflected(b, coordinate, size)?;
                index_within(b, reflected, 0, &(size - 1))
            }
        }
    }

    /// The elements that take part along an axis.
    fn taps(&self, b: &mut Builder, coordinate: ValueId, size: &Expr) -> Result<Vec<Tap>> {
        // linear in between equal elements is the same outside of the image; cubic is not, and there only elements are moved inside
        let taps = match self.mode {
            Mode::Cubic => cubic(b, coordinate, CUBIC)?,
            Mode::Linear | Mode::Nearest => {
                let coordinate = self.inside(b, coordinate, size)?;
                linear(b, coordinate)?
            }
        };
        taps.into_iter().map(|tap| Ok(Tap { index: self.index(b, tap.index, size)?, ..tap })).collect()
    }

    fn nearest(&self, b: &mut Builder, coordinate: ValueId, size: &Expr) -> Result<ValueId> {
        let whole = b.map(Func::Round, &[coordinate])?;
        let whole = self.inside(b, whole, size)?;
        let whole = b.map(Func::Trunc, &[whole])?;
        self.index(b, whole, size)
    }
}

/// `y[n, c, o..] = x[n, c, grid[n, o..]]`; the grid's last axis has a coordinate for each spatial axis, the last axis's first.
fn grid_sample(call: &mut Call) -> Outcome {
    let sampling = Sampling::read(call)?;
    let sizes = spatial_dims(call)?;
    check_floats(call, 1)?;
    let grid_dims = call.dims(1)?;
    if grid_dims.len() != sizes.len() + 2 || grid_dims.last() != Some(&Expr::from(sizes.len() as i64)) {
        return Err(call.error(Code::Shape, format!("a grid {} for {}", call.ty(1)?, call.ty(0)?)).into());
    }
    let dtype = call.dtype(0)?;
    let axes = sizes.len();
    if sampling.mode != Mode::Nearest {
        check_floats(call, 0)?;
        let most = if sampling.mode == Mode::Cubic { MOST_AXES - 1 } else { MOST_AXES };
        if axes > most {
            return Err(call.unsupported(format!("interpolation along {axes} axes")).into());
        }
    }
    let (x, grid) = (call.value(0)?, call.value(1)?);
    let b = call.b();
    let x = if sampling.mode == Mode::Nearest { x } else { b.widened(x)? };
    let x = if sampling.padding == Padding::Zeros { with_border(b, x, 2)? } else { x };
    let x = moved_last(b, x, 1)?;
    let grid = b.widened(grid)?;
    let mut coordinates = Vec::new();
    for (axis, size) in sizes.iter().enumerate() {
        let column = b.slice_axis(grid, axes + 1, &Expr::from((axes - 1 - axis) as i64), &Expr::one())?;
        let column = b.reshape(column, &grid_dims[..=axes])?;
        coordinates.push(sampling.coordinate(b, column, size)?);
    }
    let each = coordinates.into_iter().zip(&sizes);
    let sampled = if sampling.mode == Mode::Nearest {
        let indices = each.map(|(coordinate, size)| sampling.nearest(b, coordinate, size)).collect::<Result<Vec<ValueId>>>()?;
        picked(b, x, 1, &indices)?
    } else {
        let taps = each.map(|(coordinate, size)| sampling.taps(b, coordinate, size)).collect::<Result<Vec<Vec<Tap>>>>()?;
        let terms = weighted(b, &Place { x, batch: 1, first: &[] }, &taps)?;
        folded(b, Func::Add, &terms)?
    };
    let y = moved_from_last(b, sampled, 1)?;
    one(b.convert(y, dtype)?)
}

/// The positions that affine maps give to the elements of an image of a given size.
fn affine_grid(call: &mut Call) -> Outcome {
    let align_corners = call.flag_or("align_corners", false)?;
    let dtype = check_floats(call, 0)?;
    let sizes = call.sizes(1, "size")?;
    let axes = sizes.len().saturating_sub(2);
    let wanted = [sizes.first().cloned().unwrap_or_default(), Expr::from(axes as i64), Expr::from(axes as i64 + 1)];
    if !matches!(axes, 2 | 3) {
        return Err(call.error(Code::Shape, format!("a size of {} entries", sizes.len())).into());
    }
    let theta = call.value(0)?;
    let b = call.b();
    let theta = b.widened(theta)?;
    let theta = b.broadcast(theta, &wanted)?;
    let column = |b: &mut Builder, at: usize| {
        let column = b.slice_axis(theta, 2, &Expr::from(at as i64), &Expr::one())?;
        let column = b.reshape(column, &wanted[..2])?;
        b.unsqueeze(column, &(1..=axes).collect::<Vec<usize>>())
    };
    let mut grid = column(b, axes)?;
    for (axis, size) in sizes[2..].iter().enumerate() {
        let place = spread_places(b, size, align_corners, theta)?;
        let behind: Vec<usize> = (1..=axes - axis).collect();
        let place = b.unsqueeze(place, &behind)?;
        let factor = column(b, axes - 1 - axis)?;
        let part = b.map_broadcast(Func::Mul, &[factor, place])?;
        grid = b.map_broadcast(Func::Add, &[grid, part])?;
    }
    one(b.convert(grid, dtype)?)
}

/// The places of an axis's elements in `-1..1`.
fn spread_places(b: &mut Builder, size: &Expr, align_corners: bool, like: ValueId) -> Result<ValueId> {
    let dtype = b.dtype(like);
    let at = b.iota(std::slice::from_ref(size), 0, dtype)?;
    let mut twice = b.map_number(Func::Mul, at, 2.0)?;
    let mut steps = b.size(&if align_corners { size - 1 } else { size.clone() }, dtype)?;
    if align_corners {
        // a single element has no step
        steps = b.map_number(Func::Max, steps, 1.0)?;
    } else {
        twice = b.map_number(Func::Add, twice, 1.0)?;
    }
    let share = b.map_broadcast(Func::Div, &[twice, steps])?;
    b.map_number(Func::Sub, share, 1.0)
}

/// Regions of images, each cut into bins: the means, or the maxima, of as many samples in each bin.
fn roi_align(call: &mut Call) -> Outcome {
    let offset = match (call.opset, if call.opset < 16 { None } else { call.text("coordinate_transformation_mode")? }) {
        (..16, _) | (_, Some("output_half_pixel")) => 0.0,
        (_, None | Some("half_pixel")) => 0.5,
        (_, Some(other)) => {
            return Err(call.attribute_error(format!("attribute `coordinate_transformation_mode` is `{other}`")).into());
        }
    };
    let average = match call.text("mode")?.unwrap_or("avg") {
        "avg" => true,
        "max" => false,
        other => return Err(call.attribute_error(format!("attribute `mode` is `{other}`")).into()),
    };
    let bins = [bins(call, "output_height", 1)?, bins(call, "output_width", 1)?];
    let scale = call.float_or("spatial_scale", 1.0)?;
    let samples = match call.int_or("sampling_ratio", 0)? {
        0 => return Err(call.unsupported("attribute `sampling_ratio` of 0: the number of samples is computed from data").into()),
        _ => bins_range(call, "sampling_ratio", call.int_or("sampling_ratio", 0)?)?,
    };
    let dtype = check_floats(call, 0)?;
    let (dims, rois, batch) = (call.dims(0)?, call.dims(1)?, call.rank(2)?);
    if dims.len() != 4 || rois.len() != 2 || rois[1] != Expr::from(4) || batch != 1 {
        return Err(call.error(Code::Shape, format!("regions {} of {}", call.ty(1)?, call.ty(0)?)).into());
    }
    let (x, rois, batch) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let b = call.b();
    let x = b.widened(x)?;
    let x = moved_last(b, x, 1)?;
    let rois = b.convert(rois, b.dtype(x))?;
    let batch = b.convert(batch, DType::I64)?;
    let batch = b.unsqueeze(batch, &[1, 2, 3, 4])?;
    let mut taps = Vec::new();
    for axis in 0..2 {
        let ends = [edge(b, rois, 1 - axis, scale, offset)?, edge(b, rois, 3 - axis, scale, offset)?];
        let places = sample_places(b, ends, bins[axis], samples, offset == 0.0)?;
        // [R, bins, samples, 1, 1] and [R, 1, 1, bins, samples]
        let places = b.unsqueeze(places, if axis == 0 { &[3, 4] } else { &[1, 2] })?;
        taps.push(roi_taps(b, places, &dims[2 + axis])?);
    }
    let terms = weighted(b, &Place { x, batch: 0, first: &[batch] }, &taps)?;
    let pooled = if average {
        let sum = folded(b, Func::Add, &terms)?;
        b.mean(sum, &[2, 4], Folded::Dropped)?
    } else {
        let most = folded(b, Func::Max, &terms)?;
        b.reduce(Monoid::Max, most, &[2, 4], Folded::Dropped)?
    };
    let y = moved_from_last(b, pooled, 1)?;
    one(b.convert(y, dtype)?)
}

fn bins(call: &Call, name: &'static str, default: i64) -> Result<i64> {
    let count = call.int_or(name, default)?;
    bins_range(call, name, count)
}

fn bins_range(call: &Call, name: &str, count: i64) -> Result<i64> {
    match (1..=MOST_BINS).contains(&count) {
        true => Ok(count),
        false => Err(call.attribute_error(format!("attribute `{name}` is {count}"))),
    }
}

/// Column `at` of the regions as a coordinate of the image.
fn edge(b: &mut Builder, rois: ValueId, at: usize, scale: f64, offset: f64) -> Result<ValueId> {
    let dims = b.dims(rois)[..1].to_vec();
    let column = b.slice_axis(rois, 1, &Expr::from(at as i64), &Expr::one())?;
    let column = b.reshape(column, &dims)?;
    let scaled = b.map_number(Func::Mul, column, scale)?;
    b.map_number(Func::Sub, scaled, offset)
}

/// The coordinates of the samples of every bin, `[R, bins, samples]`.
fn sample_places(b: &mut Builder, [start, end]: [ValueId; 2], bins: i64, samples: i64, at_least_one: bool) -> Result<ValueId> {
    let dtype = b.dtype(start);
    let mut extent = b.map(Func::Sub, &[end, start])?;
    if at_least_one {
        extent = b.map_number(Func::Max, extent, 1.0)?;
    }
    let bin = b.map_number(Func::Div, extent, bins as f64)?;
    let [start, bin] = [b.unsqueeze(start, &[1, 2])?, b.unsqueeze(bin, &[1, 2])?];
    let dims = [Expr::from(bins), Expr::from(samples)];
    let (number, sample) = (b.iota(&dims, 0, dtype)?, b.iota(&dims, 1, dtype)?);
    let before = b.map_broadcast(Func::Mul, &[number, bin])?;
    let start = b.map_broadcast(Func::Add, &[start, before])?;
    let middle = b.map_number(Func::Add, sample, 0.5)?;
    let inside = b.map_broadcast(Func::Mul, &[middle, bin])?;
    let inside = b.map_number(Func::Div, inside, samples as f64)?;
    b.map(Func::Add, &[start, inside])
}

/// The elements around a sample; it counts nothing where it is further than one element outside of the image.
fn roi_taps(b: &mut Builder, place: ValueId, size: &Expr) -> Result<Vec<Tap>> {
    let dtype = b.dtype(place);
    let after_start = b.map_number(Func::GreaterEqual, place, -1.0)?;
    let length = b.size(size, dtype)?;
    let before_end = b.map_broadcast(Func::LessEqual, &[place, length])?;
    let counts = b.map(Func::And, &[after_start, before_end])?;
    let (zero, last) = (b.number(dtype, 0.0), b.size(&(size - 1), dtype)?);
    let place = b.clamp(place, zero, last)?;
    let mut taps = linear(b, place)?;
    for tap in &mut taps {
        tap.index = index_within(b, tap.index, 0, &(size - 1))?;
        tap.weight = b.map_broadcast(Func::Select, &[counts, tap.weight, zero])?;
    }
    Ok(taps)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn grids() {
        let text = |attributes: &str| format!("x: f32[1, 1, 2, 2] g: f32[1, 1, n, 2] y = GridSample {{{attributes}}} (x, g) => y");
        let x = "f32[1, 1, 2, 2] 1 2 3 4";
        let grid = "f32[1, 1, 4, 2] 0 0 -0.5 0.5 1 -1 -2 0";
        let inputs = [x, grid];
        check(&text("align_corners = 0"), &inputs, &["f32[1, 1, 1, 4] 2.5 3 0.5 0"]);
        check(&text("align_corners = 1"), &inputs, &["f32[1, 1, 1, 4] 2.5 2.75 2 1"]);
        check(&text("padding_mode = \"border\""), &inputs, &["f32[1, 1, 1, 4] 2.5 3 2 2"]);
        check(&text("padding_mode = \"reflection\""), &inputs, &["f32[1, 1, 1, 4] 2.5 3 2 2.5"]);
        check(&text("mode = \"nearest\""), &inputs, &["f32[1, 1, 1, 4] 1 3 0 0"]);
        check(&text("mode = \"cubic\", padding_mode = \"border\""), &inputs, &["f32[1, 1, 1, 4] 2.5 3 1.9063 2"]);
        check(&format!("opset 16 {}", text("mode = \"bilinear\"")), &inputs, &["f32[1, 1, 1, 4] 2.5 3 0.5 0"]);
        check_problems(
            "x: f32[1, 1, 2, 2] g: f32[1, 1, 2, 3] y = GridSample(x, g) => y",
            &["[E003] GridSample#0: a grid f32[1, 1, 2, 3] for f32[1, 1, 2, 2]"],
        );
    }

    #[test]
    fn affine_grids() {
        let text = |corners: i64| format!("t: f32[1, 2, 3] s: i64[4] = 1 1 1 2 y = AffineGrid {{align_corners = {corners}}} (t, s) => y");
        let theta = "f32[1, 2, 3] 2 0 1 0 3 0";
        check(&text(0), &[theta], &["f32[1, 1, 2, 2] 0 0 2 0"]);
        check(&text(1), &[theta], &["f32[1, 1, 2, 2] -1 -3 3 -3"]);
    }

    #[test]
    fn regions() {
        let text = |attributes: &str| {
            format!("x: f32[1, 1, 2, n] r: f32[1, 4] i: i64[1] = 0 y = RoiAlign {{sampling_ratio = 1, {attributes}}} (x, r, i) => y")
        };
        let inputs = ["f32[1, 1, 2, 2] 1 2 3 4", "f32[1, 4] 0 0 2 2"];
        check(&text("output_width = 2"), &inputs, &["f32[1, 1, 1, 2] 2 3"]);
        check(&text("mode = \"max\""), &inputs, &["f32[1, 1, 1, 1] 1"]);
        check(&text("coordinate_transformation_mode = \"output_half_pixel\""), &inputs, &["f32[1, 1, 1, 1] 4"]);
        check_problems(
            "x: f32[1, 1, 2, 2] r: f32[1, 4] i: i64[1] y = RoiAlign(x, r, i) => y",
            &["[E006] RoiAlign#0: RoiAlign: attribute `sampling_ratio` of 0: the number of samples is computed from data"],
        );
    }
}
