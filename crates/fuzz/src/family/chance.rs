//! Random numbers. Every level draws the same bits, so that they can be compared like any others.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

/// No normal number that is drawn is farther from 0: they are made of 53 bits.
const FARTHEST: f64 = 8.6;

/// A seed at times.
fn seed(generator: &mut Generator) -> Vec<AttributeProto> {
    if generator.random.chance(30) { vec![draft::float("seed", generator.random.below(3) as f64)] } else { vec![] }
}

/// Normal or uniform, at given dims or those of another tensor.
pub fn distribution(generator: &mut Generator) -> Option<Id> {
    let mut attributes = seed(generator);
    let (low, high) = (-(generator.random.below(3) as f64), 0.5 + generator.random.below(2) as f64);
    let (op, interval) = match generator.random.chance(50) {
        true => ("RandomUniform", Interval::new(low, high)),
        false => ("RandomNormal", Interval::around_zero(FARTHEST).scale(high).plus(Interval::new(low, low))),
    };
    let names = if op == "RandomUniform" { ["low", "high"] } else { ["mean", "scale"] };
    attributes.extend([draft::float(names[0], low), draft::float(names[1], high)]);
    let form = |dtype: DType, dims: Vec<Expr>| Form { dtype, dims, interval, exact: false };
    if generator.random.chance(30) {
        let dims: Vec<i64> = (0..generator.random.below(4)).map(|_| generator.size()).collect();
        attributes.extend([draft::ints("shape", &dims), draft::int("dtype", draft::data_type(generator.float) as i64)]);
        let dims = dims.into_iter().map(Expr::from).collect();
        return generator.emit(op, &[], attributes, form(generator.float, dims));
    }
    let x = generator.anything(0..=4)?;
    let own = generator.form(x).clone();
    let dtype = if own.is_float() && generator.random.chance(60) { own.dtype } else { generator.float };
    if dtype != own.dtype {
        attributes.push(draft::int("dtype", draft::data_type(dtype) as i64));
    }
    generator.emit(&format!("{op}Like"), &[x], attributes, form(dtype, own.dims))
}

/// Hits by probabilities that nothing has rounded.
pub fn bernoulli(generator: &mut Generator) -> Option<Id> {
    let x = generator.exact_floats()?;
    let probability = generator.clip(x, Interval::BOOL)?;
    let form = generator.form(probability).clone();
    let mut attributes = seed(generator);
    let dtype = generator.random.one_of([form.dtype, form.dtype, DType::I64, DType::Bool]);
    if dtype != form.dtype {
        attributes.push(draft::int("dtype", draft::data_type(dtype) as i64));
    }
    let hits = Form { exact: true, interval: Interval::BOOL, ..form.cast(dtype) };
    generator.emit("Bernoulli", &[probability], attributes, hits)
}

/// Classes of rows, by weights that nothing has rounded.
pub fn multinomial(generator: &mut Generator) -> Option<Id> {
    let found = generator.find(|_, form| form.is_float() && form.exact && form.rank() == 2 && form.interval.largest() <= 10.0);
    let x = match found {
        Some(x) => x,
        None => {
            let dims = generator.new_dims(2);
            generator.float_input(&dims)?
        }
    };
    let form = generator.form(x).clone();
    let count = generator.random.one_of([1, 2, 5, 16]);
    if !generator.is_quick(&[form.dims.clone(), vec![Expr::from(20 * count)]].concat()) {
        return None;
    }
    let mut attributes = seed(generator);
    attributes.push(draft::int("sample_size", count));
    let dtype = generator.random.one_of([DType::I32, DType::I64]);
    attributes.push(draft::int("dtype", draft::data_type(dtype) as i64));
    let classes = generator.largest(&form.dims[1]) as f64;
    let dims = vec![form.dims[0].clone(), Expr::from(count)];
    generator.emit("Multinomial", &[x], attributes, Form { dtype, dims, interval: Interval::new(0.0, classes - 1.0), exact: true })
}

/// Dropout that trains, at times as an input says.
pub fn dropout(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(0..=4)?;
    let form = generator.form(x).clone();
    let ratio = generator.random.one_of([0.0, 0.25, 0.5, 0.9]);
    let given = generator.number(form.dtype, ratio);
    let trains = match generator.random.chance(70) {
        true => generator.number(DType::Bool, 1.0),
        false => generator.input(DType::Bool, &[], Interval::BOOL)?,
    };
    let attributes = if generator.random.chance(30) { vec![draft::int("seed", 3)] } else { vec![] };
    let result = form.within(form.interval.scale(1.0 / (1.0 - ratio)).hull(form.interval).with_zero()).rounded();
    let mask = Form { dtype: DType::Bool, interval: Interval::BOOL, exact: true, ..form };
    let forms = if generator.random.chance(50) { vec![result, mask] } else { vec![result] };
    let y = generator.emit_all("Dropout", &[Some(x), Some(given), Some(trains)], attributes, forms)?.first().copied()?;
    generator.tame(y, 60.0)
}
