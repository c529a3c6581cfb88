//! Normalisations and softmax.

use super::shape::numbers;
use super::window::images;
use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use sym::Expr;

pub fn batch_norm(generator: &mut Generator) -> Option<Id> {
    let x = if generator.random.chance(80) { images(generator)? } else { generator.floats(2..=4)? };
    emit_batch_norm(generator, x)
}

/// The inference form.
pub fn emit_batch_norm(generator: &mut Generator, x: Id) -> Option<Id> {
    let form = generator.form(x).clone();
    let channels = form.dims.get(1)?.as_const()? as usize;
    let mut operands = vec![x];
    let parameters = [("scale", 0.4, 1.6), ("bias", -1.0, 1.0), ("mean", -0.5, 0.5), ("variance", 0.3, 2.0)];
    for (stem, low, high) in parameters {
        operands.push(generator.weight_within(stem, form.dtype, &[channels], Interval::new(low, high))?);
    }
    let epsilon = draft::float("epsilon", generator.random.one_of([1e-5, 1e-3]));
    let attributes = if generator.random.chance(60) { vec![epsilon] } else { vec![] };
    let most = (form.interval.largest() + 0.5) * 1.6 / 0.3f64.sqrt() + 1.0;
    let normal = generator.emit("BatchNormalization", &operands, attributes, form.within(Interval::around_zero(most)).rounded())?;
    generator.tame(normal, 60.0)
}

/// Each channel of each image by itself.
pub fn instance_norm(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()? as usize;
    let count: i64 = form.dims[2..].iter().map(|dim| generator.largest(dim)).product();
    let scale = generator.weight_within("scale", form.dtype, &[channels], Interval::new(0.5, 1.5))?;
    let bias = generator.weight("bias", form.dtype, &[channels], 1.0)?;
    let most = 1.5 * (count as f64).sqrt() + 1.0;
    let normal = form.within(Interval::around_zero(most)).rounded();
    generator.emit("InstanceNormalization", &[x, scale, bias], vec![draft::float("epsilon", 1e-3)], normal)
}

/// Groups of channels of each image by themselves, with a scale and a bias for each group; from opset 21 on for each channel.
pub fn group_norm(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    let channels = form.dims[1].as_const()?;
    let divisors: Vec<i64> = (1..=channels).filter(|count| channels % count == 0).collect();
    let groups = generator.random.pick(&divisors)?;
    let parameters = if generator.opset < 21 { groups } else { channels };
    let count: i64 = form.dims[2..].iter().map(|dim| generator.largest(dim)).product::<i64>() * (channels / groups);
    let scale = generator.weight_within("scale", form.dtype, &[parameters as usize], Interval::new(0.5, 1.5))?;
    let bias = generator.weight("bias", form.dtype, &[parameters as usize], 1.0)?;
    let normal = form.within(Interval::around_zero(1.5 * (count as f64).sqrt() + 1.0)).rounded();
    let attributes = vec![draft::int("num_groups", groups), draft::float("epsilon", 1e-3)];
    generator.emit("GroupNormalization", &[x, scale, bias], attributes, normal)
}

/// Mean 0 and variance 1 over some axes; by default all but the channels of images.
pub fn mean_variance_norm(generator: &mut Generator) -> Option<Id> {
    let x = if generator.random.chance(50) { images(generator)? } else { generator.floats(1..=4)? };
    let form = generator.form(x).clone();
    let mut axes: Vec<usize> = (0..form.rank()).collect();
    generator.random.shuffle(&mut axes);
    axes.truncate(1 + generator.random.below(form.rank()));
    let mut attributes = vec![];
    if form.rank() == 4 && generator.random.chance(50) {
        axes = vec![0, 2, 3];
    } else {
        let spelled: Vec<i64> = axes.iter().map(|axis| generator.spelled(*axis, form.rank())).collect();
        attributes.push(draft::ints("axes", &spelled));
    }
    let count: i64 = axes.iter().map(|axis| generator.largest(&form.dims[*axis])).product();
    let normal = form.within(Interval::around_zero((count as f64).sqrt())).rounded();
    generator.emit("MeanVarianceNormalization", &[x], attributes, normal)
}

pub fn lp_norm(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let axis = generator.axis(x)?;
    let form = generator.form(x).clone();
    let mut attributes = vec![];
    if axis + 1 != form.rank() || generator.random.chance(50) {
        attributes.push(draft::int("axis", generator.spelled(axis, form.rank())));
    }
    if generator.random.chance(60) {
        attributes.push(draft::int("p", generator.random.between(1, 2)));
    }
    generator.emit("LpNormalization", &[x], attributes, form.within(Interval::around_zero(1.0)).rounded())
}

/// Images divided by what neighbouring channels hold.
pub fn response_norm(generator: &mut Generator) -> Option<Id> {
    let x = images(generator)?;
    let form = generator.form(x).clone();
    if form.rank() != 4 {
        return None;
    }
    let mut attributes = vec![draft::int("size", generator.random.one_of([1, 2, 3, 5, 5, 8]))];
    let random = &mut generator.random;
    let parameters = [("alpha", [1e-4, 0.5, 2.0]), ("beta", [0.75, 0.5, 1.0]), ("bias", [1.0, 0.5, 2.0])];
    let drawn = parameters.map(|(name, choices)| (name, random.one_of(choices), choices[0]));
    for (name, value, default) in drawn {
        if value != default || random.chance(30) {
            attributes.push(draft::float(name, value));
        }
    }
    let most = form.interval.largest() / drawn[2].1.powf(drawn[1].1);
    generator.emit("LRN", &[x], attributes, form.within(Interval::around_zero(most)).rounded())
}

/// Of opset 23.
pub fn rms_norm(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 23 {
        return None;
    }
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let axis = if generator.random.chance(70) { form.rank() - 1 } else { generator.axis(x)? };
    let dims = numbers(&form.dims[axis..])?;
    let scale = generator.weight_within("scale", form.dtype, &dims, Interval::new(0.5, 1.5))?;
    let attributes = vec![draft::int("axis", generator.spelled(axis, form.rank())), draft::float("epsilon", 1e-3)];
    let most = 1.5 * (dims.iter().product::<usize>() as f64).sqrt();
    generator.emit("RMSNormalization", &[x, scale], attributes, form.within(Interval::around_zero(most)).rounded())
}

/// Of numbers that no rounding made.
pub fn hardmax(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let axis = generator.axis(x)?;
    let form = generator.form(x).clone();
    let attributes = vec![draft::int("axis", generator.spelled(axis, form.rank()))];
    generator.emit("Hardmax", &[x], attributes, form.within(Interval::BOOL))
}

pub fn layer_norm(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let axis = if generator.random.chance(70) { generator.rank(x) - 1 } else { generator.axis(x)? };
    emit_layer_norm(generator, x, axis)
}

/// Over the axes from `axis` on, which are numbers; the scale may broadcast to them.
pub fn emit_layer_norm(generator: &mut Generator, x: Id, axis: usize) -> Option<Id> {
    let form = generator.form(x).clone();
    let dims = numbers(&form.dims[axis..])?;
    let count: usize = dims.iter().product();
    let scale_dims = if generator.random.chance(90) { dims.clone() } else { dims[dims.len() - 1..].to_vec() };
    let scale = generator.weight_within("scale", form.dtype, &scale_dims, Interval::new(0.5, 1.5))?;
    let bias = if generator.random.chance(80) { generator.weight("bias", form.dtype, &dims, 1.0) } else { None };
    let axis_spelled = generator.spelled(axis, form.rank());
    let mut attributes = vec![draft::int("axis", axis_spelled)];
    if generator.random.chance(60) {
        // a variance near so small an epsilon is lost in the rounding of those who compute it as a difference
        let least = if count >= 16 { 1e-12 } else { 1e-5 };
        attributes.push(draft::float("epsilon", generator.random.one_of([1e-5, 1e-3, least])));
    }
    let most = 1.5 * (count as f64).sqrt() + 1.0;
    let normal = form.within(Interval::around_zero(most)).rounded();
    let mut forms = vec![normal];
    if generator.random.chance(10) && form.dtype == ir::DType::F32 {
        forms.extend(statistics(&form, axis));
    }
    let normal = generator.emit_all("LayerNormalization", &[Some(x), Some(scale), bias], attributes, forms)?;
    normal.first().copied()
}

/// The mean and the inverse of the deviation.
fn statistics(form: &Form, axis: usize) -> [Form; 2] {
    let mut dims = form.dims.clone();
    dims[axis..].fill(Expr::one());
    let mean = form.of(dims).rounded();
    [mean.clone(), mean.within(Interval::new(0.0, 1e6))]
}

pub fn softmax(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let axis = if generator.random.chance(60) { generator.rank(x) - 1 } else { generator.axis(x)? };
    let form = generator.form(x).clone();
    let spelled = draft::int("axis", generator.spelled(axis, form.rank()));
    let attributes = if axis + 1 == form.rank() && generator.random.chance(40) { vec![] } else { vec![spelled] };
    match generator.random.chance(75) {
        true => generator.emit("Softmax", &[x], attributes, form.within(Interval::BOOL).rounded()),
        false => {
            let range = 2.0 * form.interval.largest() + (generator.largest(&form.dims[axis]) as f64).ln();
            generator.emit("LogSoftmax", &[x], attributes, form.within(Interval::new(-range, 0.0)).rounded())
        }
    }
}
