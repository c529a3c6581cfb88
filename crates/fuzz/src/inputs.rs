//! The inputs of a call, drawn from a seed within the bounds that the model gives.

use crate::draft::dtype_of;
use crate::interval::Interval;
use crate::model::{Asked, Sizes};
use ir::{Array, DType, Literal, Tensor};
use onnx::proto::tensor_shape_proto::Value as DimValue;
use onnx::proto::type_proto::Value as TypeValue;
use onnx::proto::{ModelProto, ValueInfoProto};
use random::Random;
use sym::Expr;

/// The inputs in the model's order. The same name, seed and dims give the same tensor, whatever else the model holds. None where an
/// input is no tensor of numbers, or a dim of it no number and no symbol of the call.
pub fn inputs(model: &ModelProto, call: &Asked, seed: u64) -> Option<Vec<Tensor>> {
    let graph = model.graph.as_ref()?;
    let given = |info: &&ValueInfoProto| graph.initializer.iter().all(|tensor| tensor.name != info.name);
    graph.input.iter().filter(given).map(|info| input(info, call, seed)).collect()
}

fn input(info: &ValueInfoProto, call: &Asked, seed: u64) -> Option<Tensor> {
    let (dtype, dims) = type_of(info, &call.sizes)?;
    let mut array = drawn(&info.name, dtype, dims, bounds(info), seed);
    if call.odd_floats && dtype.is_float() {
        make_odd(&mut array, &mut Random::named(seed ^ 1, &info.name));
    }
    Some(Tensor::from_array(&array))
}

/// Puts odd floats among the others. None is large and finite: what overflows in f32 does not in the reference.
fn make_odd(array: &mut Array, random: &mut Random) {
    for at in 0..array.count() {
        if random.chance(3) {
            array.set(at, Literal::Float(random.one_of([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-40])));
        }
    }
}

/// Element type and dims of a declaration.
pub fn type_of(info: &ValueInfoProto, sizes: &Sizes) -> Option<(DType, Vec<usize>)> {
    let TypeValue::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()? else { return None };
    let dim = |value: &Option<DimValue>| match value.as_ref()? {
        DimValue::DimValue(size) => usize::try_from(*size).ok(),
        DimValue::DimParam(text) => usize::try_from(text.parse::<Expr>().ok()?.eval(&|sym| sizes.get(sym).copied())?).ok(),
    };
    let dims = tensor.shape.as_ref()?.dim.iter().map(|entry| dim(&entry.value)).collect::<Option<Vec<usize>>>()?;
    Some((dtype_of(tensor.elem_type)?, dims))
}

/// The dims of a declaration as they are written, but for numbers.
pub fn dims_text(info: &ValueInfoProto) -> Vec<String> {
    let Some(TypeValue::TensorType(tensor)) = info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) else { return vec![] };
    let text = |value: &Option<DimValue>| match value {
        Some(DimValue::DimParam(text)) => Some(text.clone()),
        Some(DimValue::DimValue(_)) | None => None,
    };
    tensor.shape.iter().flat_map(|shape| &shape.dim).filter_map(|dim| text(&dim.value)).collect()
}

/// The bounds of an input's elements.
fn bounds(info: &ValueInfoProto) -> Interval {
    let mut numbers = info.doc_string.split_whitespace().filter_map(|text| text.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(low), Some(high)) => Interval::new(low, high),
        (_, _) => Interval::new(0.0, 1.0),
    }
}

fn drawn(name: &str, dtype: DType, dims: Vec<usize>, bounds: Interval, seed: u64) -> Array {
    let mut random = Random::named(seed, name);
    Array::from_fn(dtype, dims, |_| match dtype.is_float() {
        true => Literal::Float(random.float(bounds.low, bounds.high)),
        false => Literal::Int(random.between(bounds.low as i64, bounds.high as i64)),
    })
}
