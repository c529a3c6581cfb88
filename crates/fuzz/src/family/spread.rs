//! Elements repeated, and tensors from their sizes alone.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Literal, Tensor};
use sym::Expr;

/// To dims that are numbers, or to those of another tensor.
pub fn expand(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(0..=4)?;
    let form = generator.form(x).clone();
    if generator.random.chance(35) {
        let other = generator.find(|generator, other| generator.broadcast(&form.dims, &other.dims).is_some() && other.rank() > 0)?;
        let wanted = generator.dims(other);
        let shape = generator.shape_operand(other, &wanted)?;
        let dims = generator.broadcast(&form.dims, &wanted)?;
        return generator.emit("Expand", &[x, shape], vec![], form.of(dims));
    }
    let mut wanted: Vec<i64> = Vec::new();
    for dim in &form.dims {
        wanted.push(match dim.as_const() {
            Some(1) if generator.random.chance(70) => generator.size(),
            Some(size) if generator.random.chance(60) => size,
            _ => 1,
        });
    }
    if generator.random.chance(40) {
        wanted.insert(0, generator.random.between(1, 3));
    }
    let shape = generator.list("shape", &wanted);
    let wanted: Vec<Expr> = wanted.into_iter().map(Expr::from).collect();
    let dims = generator.broadcast(&form.dims, &wanted)?;
    generator.emit("Expand", &[x, shape], vec![], form.of(dims))
}

pub fn tile(generator: &mut Generator) -> Option<Id> {
    let x = generator.anything(1..=4)?;
    let form = generator.form(x).clone();
    let repeats: Vec<i64> = form.dims.iter().map(|_| generator.random.one_of([1, 1, 2, 3])).collect();
    let dims = form.dims.iter().zip(&repeats).map(|(dim, repeat)| dim * &Expr::from(*repeat)).collect();
    let repeats = generator.list("repeats", &repeats);
    generator.emit("Tile", &[x, repeats], vec![], form.of(dims))
}

/// One number at the dims of another tensor.
pub fn filled(generator: &mut Generator) -> Option<Id> {
    let source = generator.anything(1..=4)?;
    let dims = generator.dims(source);
    let shape = generator.shape_operand(source, &dims)?;
    let dtype = generator.random.one_of([generator.float, generator.float, DType::I64]);
    let number = generator.random.between(-2, 2);
    let literal = if dtype.is_float() { Literal::Float(number as f64 / 2.0) } else { Literal::Int(number) };
    let interval = Interval::new(literal.as_f64(), literal.as_f64());
    let value = draft::tensor("value", &Tensor::from_array(&Array::filled(dtype, vec![1], literal)));
    generator.emit("ConstantOfShape", &[shape], vec![value], Form { dtype, dims, interval, exact: true })
}

/// The number of elements of a tensor, taken off integers.
pub fn size(generator: &mut Generator) -> Option<Id> {
    let source = generator.anything(0..=4)?;
    let most = generator.largest(&Expr::product(&generator.dims(source))) as f64;
    let scalar = Form { dtype: DType::I64, dims: vec![], interval: Interval::new(0.0, most), exact: true };
    let size = generator.emit("Size", &[source], vec![], scalar)?;
    let x = generator.find(|_, form| form.dtype == DType::I64)?;
    let form = generator.form(x).clone();
    generator.emit("Sub", &[x, size], vec![], form.within(form.interval.plus(Interval::new(-most, 0.0))))
}

pub fn range(generator: &mut Generator) -> Option<Id> {
    let source = generator.anything(1..=4)?;
    let axis = generator.axis(source)?;
    positions(generator, source, axis)
}

/// `0, 1, ..` along an axis of a tensor, from its size.
pub fn positions(generator: &mut Generator, source: Id, axis: usize) -> Option<Id> {
    let form = generator.form(source).clone();
    let vector =
        |size: usize| Form { dtype: DType::I64, dims: vec![Expr::from(size as i64)], interval: Interval::new(0.0, 1e4), exact: true };
    let shape = generator.emit("Shape", &[source], vec![], vector(form.rank()))?;
    let at = generator.number(DType::I64, axis as f64);
    let limit = generator.emit("Gather", &[shape, at], vec![draft::int("axis", 0)], vector(1).of(vec![]))?;
    let (start, delta) = (generator.number(DType::I64, 0.0), generator.number(DType::I64, 1.0));
    let most = generator.largest(&form.dims[axis]) as f64 - 1.0;
    let result = vector(1).of(vec![form.dims[axis].clone()]).within(Interval::new(0.0, most));
    generator.emit("Range", &[start, limit, delta], vec![], result)
}

/// A window of signal processing, of a number of places or of the size of an axis.
pub fn signal_window(generator: &mut Generator) -> Option<Id> {
    let source = generator.anything(1..=4)?;
    let axis = generator.axis(source)?;
    let wanted = match generator.random.chance(50) {
        true => generator.dims(source)[axis].clone(),
        false => Expr::from(generator.size()),
    };
    let periodic = generator.smallest(&wanted) < 2 || generator.random.chance(60);
    let size = match wanted.as_const() {
        Some(size) => generator.number(DType::I64, size as f64),
        None => {
            let listed = generator.shape_operand(source, std::slice::from_ref(&wanted))?;
            let scalar = generator.form(listed).of(vec![]);
            generator.emit("Squeeze", &[listed], vec![], scalar)?
        }
    };
    let dtype = generator.float;
    let attributes = vec![draft::int("periodic", periodic as i64), draft::int("output_datatype", draft::data_type(dtype) as i64)];
    let op = generator.random.one_of(["HannWindow", "HammingWindow", "BlackmanWindow"]);
    let form = Form { dtype, dims: vec![wanted], interval: Interval::new(-0.01, 1.0), exact: false };
    generator.emit(op, &[size], attributes, form)
}

/// The weights of a few bands; no edge of a band is a whole number of bins.
pub fn mel_weights(generator: &mut Generator) -> Option<Id> {
    let (bands, length) = (generator.random.between(1, 8), generator.random.one_of([15, 16, 32]));
    let numbers = [bands as f64, length as f64, 8000.0].map(|number| generator.number(DType::I64, number));
    let edges = [31.0, 3700.0].map(|number| generator.number(DType::F32, number));
    let dtype = generator.float;
    let attributes = vec![draft::int("output_datatype", draft::data_type(dtype) as i64)];
    let form = Form { dtype, dims: vec![Expr::from(length / 2 + 1), Expr::from(bands)], interval: Interval::BOOL, exact: false };
    generator.emit("MelWeightMatrix", &[numbers[0], numbers[1], numbers[2], edges[0], edges[1]], attributes, form)
}

/// Rows with one element that stands out, at places that indices name; some name none. The number of places is given, or the size of an
/// axis of another tensor.
pub fn one_hot(generator: &mut Generator) -> Option<Id> {
    let indices = generator.integers()?;
    let source = generator.anything(1..=4)?;
    let wanted = match generator.axis(source) {
        Some(axis) if generator.random.chance(40) => generator.dims(source)[axis].clone(),
        _ => Expr::from(generator.size()),
    };
    let listed = generator.shape_operand(source, std::slice::from_ref(&wanted))?;
    let depth = match wanted.as_const() {
        Some(depth) if generator.random.chance(50) => generator.number(DType::I64, depth as f64),
        _ => listed,
    };
    let dtype = generator.random.one_of([generator.float, generator.float, DType::I64]);
    let values = generator.weight("values", dtype, &[2], 2.0)?;
    let mut dims = generator.dims(indices);
    let axis = generator.random.below(dims.len() + 1);
    dims.insert(axis, wanted);
    let spelled = draft::int("axis", generator.spelled(axis, dims.len()));
    let attributes = if axis + 1 == dims.len() && generator.random.chance(40) { vec![] } else { vec![spelled] };
    let form = Form { dims, ..generator.form(values).clone() };
    generator.emit("OneHot", &[indices, depth, values], attributes, form)
}
