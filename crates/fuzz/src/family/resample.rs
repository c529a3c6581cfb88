//! Images at other sizes.

use super::window::images;
use crate::draft;
use crate::generator::{Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
use sym::Expr;

/// Spatial axes whole numbers of times as long; by powers of two where elements are interpolated, so that weights are exact.
pub fn resize(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let linear = generator.random.chance(30) && form.dims.iter().all(|dim| dim.as_const().is_some());
    let factors: Vec<i64> = (2..form.rank()).map(|_| if linear { 2 } else { generator.random.one_of([1, 2, 2, 3]) }).collect();
    let mut dims = form.dims.clone();
    dims[2..].iter_mut().zip(&factors).for_each(|(dim, factor)| *dim = &*dim * *factor);
    if !generator.is_quick(&dims) {
        return None;
    }
    let scales: Vec<f64> = [1, 1].iter().chain(&factors).map(|factor| *factor as f64).collect();
    let scales = generator.constant("scales", &Tensor::from_array(&Array::floats(DType::F32, vec![scales.len()], scales)));
    let mut attributes = vec![draft::text("mode", if linear { "linear" } else { "nearest" })];
    if !linear && generator.random.chance(60) {
        attributes.push(draft::text("coordinate_transformation_mode", "asymmetric"));
        attributes.push(draft::text("nearest_mode", "floor"));
    }
    let result = if linear { form.of(dims).rounded() } else { form.of(dims) };
    generator.emit_all("Resize", &[Some(x), None, Some(scales)], attributes, vec![result])?.first().copied()
}

/// An axis made shorter by a filter that is stretched.
pub fn antialiased(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let axis = generator.axis(x)?;
    let old = form.dims[axis].as_const().filter(|old| *old > 1)?;
    let new = 1 + generator.random.below(old as usize) as i64;
    let mut dims = form.dims.clone();
    dims[axis] = Expr::from(new);
    if !generator.is_quick(&[&form.dims[..], &[Expr::from(4)]].concat()) {
        return None;
    }
    let sizes = generator.list("sizes", &[new]);
    let mode = generator.random.one_of(["linear", "cubic"]);
    let spelled = generator.spelled(axis, form.rank());
    let mut attributes = vec![draft::text("mode", mode), draft::int("antialias", 1), draft::ints("axes", &[spelled])];
    if generator.random.chance(30) {
        attributes.push(draft::int("exclude_outside", 1));
    }
    if generator.random.chance(40) {
        let coordinates = generator.random.one_of(["asymmetric", "align_corners", "half_pixel_symmetric", "pytorch_half_pixel"]);
        attributes.push(draft::text("coordinate_transformation_mode", coordinates));
    }
    // weights of the cubic filter may be negative, and their magnitudes are at most 2 together
    let interval = if mode == "cubic" { Interval::around_zero(2.0 * form.interval.largest()) } else { form.interval };
    let result = form.of(dims).within(interval).rounded();
    generator.emit_all("Resize", &[Some(x), None, None, Some(sizes)], attributes, vec![result])?.first().copied()
}

pub fn conv_transpose(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()?;
    let groups = if channels % 2 == 0 && generator.random.chance(25) { 2 } else { 1 };
    let maps = generator.random.one_of([1, 2, 3, 8, 17]);
    let (mut dims, mut taps, mut strides, mut pads) = (vec![form.dims[0].clone(), Expr::from(maps * groups)], vec![], vec![], vec![]);
    for dim in &form.dims[2..] {
        let (tap, stride) = (generator.random.one_of([1, 2, 2, 3, 4]), generator.random.one_of([1, 2, 2, 3]));
        let pad = if tap > 2 && generator.random.chance(40) { 1 } else { 0 };
        dims.push((dim - 1) * stride + (tap - 2 * pad));
        taps.push(tap);
        strides.push(stride);
        pads.push(pad);
    }
    let products = channels / groups * taps.iter().product::<i64>();
    let work = [&dims[..], &[Expr::from(products)]].concat();
    if !generator.is_quick(&work) || dims.iter().any(|dim| generator.smallest(dim) < 1) {
        return None;
    }
    let shape: Vec<usize> = [channels, maps].iter().chain(&taps).map(|size| *size as usize).collect();
    let size = 1.7 / (products as f64).sqrt();
    let mut operands = vec![x, generator.weight("weight", form.dtype, &shape, size)?];
    if generator.random.chance(50) {
        operands.push(generator.weight("bias", form.dtype, &[(maps * groups) as usize], 1.0)?);
    }
    let mut attributes = vec![draft::ints("strides", &strides), draft::ints("pads", &[&pads[..], &pads].concat())];
    if groups > 1 {
        attributes.push(draft::int("group", groups));
    }
    let most = form.interval.largest() * size * products as f64 + 1.0;
    let result = form.of(dims).within(Interval::around_zero(most)).rounded();
    let result = generator.emit("ConvTranspose", &operands, attributes, result)?;
    generator.tame(result, 60.0)
}

/// Channels spread over space.
pub fn depth_to_space(generator: &mut Generator) -> Option<Id> {
    let fits = |_: &Generator, form: &crate::generator::Form| {
        form.is_float() && form.rank() == 4 && form.dims[1].as_const().is_some_and(|channels| channels % 4 == 0)
    };
    let x = generator.find(fits)?;
    let form = generator.form(x).clone();
    let [n, c, h, w] = <[Expr; 4]>::try_from(form.dims.clone()).ok()?;
    let mut attributes = vec![draft::int("blocksize", 2)];
    if generator.random.chance(60) {
        attributes.push(draft::text("mode", generator.random.one_of(["DCR", "CRD"])));
    }
    let dims = vec![n, Expr::from(c.as_const()? / 4), h * 2, w * 2];
    generator.emit("DepthToSpace", &[x], attributes, form.of(dims))
}

/// Blocks of space become channels.
pub fn space_to_depth(generator: &mut Generator) -> Option<Id> {
    let size = generator.random.one_of([2, 2, 3, 4]);
    let divides = |generator: &Generator, dim: &Expr| generator.sizes(dim).iter().all(|dim| dim % size == 0);
    let found = generator.find(|generator, form| {
        form.is_float() && form.rank() == 4 && divides(generator, &form.dims[2]) && divides(generator, &form.dims[3])
    });
    let x = match found {
        Some(x) => x,
        None => {
            let dims = [generator.dim(), Expr::from(generator.random.between(1, 4)), generator.dim() * size, generator.dim() * size];
            generator.float_input(&dims)?
        }
    };
    let form = generator.form(x).clone();
    let block = Expr::from(size);
    let [n, c, h, w] = <[Expr; 4]>::try_from(form.dims.clone()).ok()?;
    let dims = vec![n, &(&c * &block) * &block, h.floor_div(&block), w.floor_div(&block)];
    generator.emit("SpaceToDepth", &[x], vec![draft::int("blocksize", size)], form.of(dims))
}
