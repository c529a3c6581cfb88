//! Images sampled at positions that are data. Positions are exact, so that which elements are read does not depend on rounding.

use super::window::{Window, images};
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use sym::Expr;

/// Multiples of a power of two between the bounds.
fn positions(generator: &mut Generator, dtype: DType, dims: &[Expr], [low, high]: [f64; 2], unit: f64) -> Option<Id> {
    let whole = Interval::new((low / unit).ceil(), (high / unit).floor());
    let steps = generator.tensor(DType::I32, dims, whole)?;
    let form = Form { dtype, ..generator.form(steps).clone() };
    let steps = generator.emit("Cast", &[steps], vec![draft::int("to", draft::data_type(dtype) as i64)], form.clone())?;
    let unit_of = generator.number(dtype, unit);
    generator.emit("Mul", &[steps, unit_of], vec![], form.within(whole.scale(unit)))
}

pub fn grid(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let axes = form.rank() - 2;
    if axes < 2 {
        return None;
    }
    let mut sizes: Vec<Expr> = vec![form.dims[0].clone()];
    sizes.extend((0..axes).map(|_| Expr::from(generator.random.one_of([1, 2, 3, 5, 7, 8]))));
    let mode = generator.random.below(if axes == 2 { 3 } else { 2 });
    let name = if generator.opset >= 20 { ["linear", "nearest", "cubic"][mode] } else { ["bilinear", "nearest", "bicubic"][mode] };
    if axes > 2 && generator.opset < 20 {
        return None;
    }
    let taps: i64 = [8, 1, 16][mode];
    let dims = [&[sizes[0].clone(), form.dims[1].clone()], &sizes[1..]].concat();
    if !generator.is_quick(dims.iter().chain([&Expr::from(taps)])) {
        return None;
    }
    let grid_dims = [&sizes[..], &[Expr::from(axes as i64)]].concat();
    let grid = positions(generator, form.dtype, &grid_dims, [-1.5, 1.5], 0.125)?;
    let mut attributes = vec![draft::text("mode", name)];
    let padding = generator.random.one_of(["zeros", "zeros", "border", "reflection"]);
    if padding != "zeros" || generator.random.chance(30) {
        attributes.push(draft::text("padding_mode", padding));
    }
    if generator.random.chance(50) {
        attributes.push(draft::int("align_corners", generator.random.below(2) as i64));
    }
    let result = match mode {
        0 => form.of(dims).rounded().within(form.interval.with_zero()),
        1 => form.of(dims).within(form.interval.with_zero()),
        _ => form.of(dims).rounded().within(Interval::around_zero(3.0 * form.interval.largest())),
    };
    generator.emit("GridSample", &[x, grid], attributes, result)
}

pub fn affine_grid(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 20 {
        return None;
    }
    let axes = generator.random.between(2, 3);
    let batch = generator.random.between(1, 3);
    let dims = [batch, axes, axes + 1].map(Expr::from);
    let float = generator.float;
    let theta = generator.tensor(float, &dims, Interval::around_zero(1.0))?;
    let mut sizes = vec![batch, 1];
    sizes.extend((0..axes).map(|_| generator.random.one_of([1, 2, 3, 5, 8])));
    let mut result: Vec<Expr> = sizes.iter().map(|size| Expr::from(*size)).collect();
    result.remove(1);
    result.push(Expr::from(axes));
    let size = generator.list("size", &sizes);
    let attributes = vec![draft::int("align_corners", generator.random.below(2) as i64)];
    let form = generator.form(theta).of(result).within(Interval::around_zero(axes as f64 + 1.0)).rounded();
    generator.emit("AffineGrid", &[theta, size], attributes, form)
}

pub fn regions(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    if form.rank() != 4 {
        return None;
    }
    let count = Expr::from(generator.random.between(1, 4));
    let bins = [0, 1].map(|_| generator.random.one_of([1, 2, 4]));
    let samples = generator.random.one_of([1, 2]);
    let dims = vec![count.clone(), form.dims[1].clone(), Expr::from(bins[0]), Expr::from(bins[1])];
    if !generator.is_quick(dims.iter().chain([&Expr::from(4 * samples * samples)])) {
        return None;
    }
    let images = generator.smallest(&form.dims[0]) as f64;
    let rois = positions(generator, form.dtype, &[count.clone(), Expr::from(4)], [-2.0, 10.0], 0.5)?;
    let batch = generator.tensor(DType::I64, &[count], Interval::new(0.0, images - 1.0))?;
    let mut attributes = vec![
        draft::int("output_height", bins[0]),
        draft::int("output_width", bins[1]),
        draft::int("sampling_ratio", samples),
        draft::float("spatial_scale", generator.random.one_of([0.5, 1.0, 2.0])),
    ];
    if generator.random.chance(40) {
        attributes.push(draft::text("coordinate_transformation_mode", generator.random.one_of(["half_pixel", "output_half_pixel"])));
    }
    if generator.random.chance(40) {
        attributes.push(draft::text("mode", generator.random.one_of(["avg", "max"])));
    }
    let result = form.of(dims).rounded().within(form.interval.with_zero());
    generator.emit("RoiAlign", &[x, rois, batch], attributes, result)
}

pub fn deform_conv(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    if generator.opset < 20 || form.rank() != 4 {
        return None;
    }
    let channels = form.dims[1].as_const()?;
    let divisor = |generator: &mut Generator| if channels % 2 == 0 && generator.random.chance(30) { 2 } else { 1 };
    let (groups, offset_groups) = (divisor(generator), divisor(generator));
    let mut window = Window::draw(generator, &form.dims[2..]);
    window.auto_pad = None;
    let positions_of = window.positions(generator, &form.dims[2..])?;
    let maps = groups * generator.random.one_of([1, 2, 3]);
    let depth = channels / groups;
    let dims = [&[form.dims[0].clone(), Expr::from(maps)], &positions_of[..]].concat();
    let columns = [&[form.dims[0].clone(), Expr::from(channels * window.count() * 4)], &positions_of[..]].concat();
    if !generator.is_quick(dims.iter().chain([&Expr::from(depth * window.count())])) || !generator.is_quick(&columns) {
        return None;
    }
    let at_positions = |count: i64| [&[form.dims[0].clone(), Expr::from(count)], &positions_of[..]].concat();
    let shape: Vec<usize> = [maps, depth].iter().chain(&window.taps).map(|size| *size as usize).collect();
    let size = 1.7 / ((depth * window.count()) as f64).sqrt();
    let w = generator.weight("weight", form.dtype, &shape, size)?;
    let offsets = at_positions(offset_groups * window.count() * 2);
    if !generator.is_handy(&offsets) {
        return None;
    }
    let offsets = positions(generator, form.dtype, &offsets, [-2.0, 2.0], 0.25)?;
    let bias = if generator.random.chance(40) { Some(generator.weight("bias", form.dtype, &[maps as usize], 1.0)?) } else { None };
    let mask = match generator.random.chance(50) {
        true => Some(generator.tensor(form.dtype, &at_positions(offset_groups * window.count()), Interval::BOOL)?),
        false => None,
    };
    let mut attributes = window.attributes(generator);
    for (name, count) in [("group", groups), ("offset_group", offset_groups)] {
        if count != 1 || generator.random.chance(20) {
            attributes.push(draft::int(name, count));
        }
    }
    let most = form.interval.largest() * size * (depth * window.count()) as f64 + 1.0;
    let result = form.of(dims).within(Interval::around_zero(most)).rounded();
    let result = generator.emit_all("DeformConv", &[Some(x), Some(w), Some(offsets), bias, mask], attributes, vec![result])?[0];
    generator.tame(result, 60.0)
}

/// Blocks of an image added up.
pub fn columns(generator: &mut Generator) -> Option<Id> {
    let axes = generator.random.one_of([1, 2, 2, 3]);
    let image: Vec<i64> = (0..axes).map(|_| generator.random.one_of([1, 4, 5, 7, 8])).collect();
    let spatial: Vec<Expr> = image.iter().map(|size| Expr::from(*size)).collect();
    let mut window = Window::draw(generator, &spatial);
    window.auto_pad = None;
    let blocks = Expr::product(&window.positions(generator, &spatial)?);
    let (batch, channels) = (generator.dim(), generator.random.between(1, 3));
    let x = generator.float_input(&[batch.clone(), Expr::from(channels * window.count()), blocks])?;
    let form = generator.form(x).clone();
    let (image_shape, block_shape) = (generator.list("image_shape", &image), generator.list("block_shape", &window.taps));
    let mut attributes = window.attributes(generator);
    attributes.retain(|attribute| attribute.name != "kernel_shape");
    let dims = [&[batch, Expr::from(channels)], &spatial[..]].concat();
    let result = form.of(dims).within(form.interval.with_zero().scale(window.count() as f64)).rounded();
    let result = generator.emit("Col2Im", &[x, image_shape, block_shape], attributes, result)?;
    generator.tame(result, 60.0)
}
