//! Smaller dims, and simpler numbers.

use super::{Attempts, Facts};
use crate::draft::{dtype_of, tensor_proto};
use crate::inputs::type_of;
use crate::model::{calls, set_calls};
use ir::{Array, DType, Literal, Tensor};
use onnx::proto::tensor_shape_proto::Value as DimValue;
use onnx::proto::type_proto::Value as TypeValue;
use onnx::proto::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use std::collections::BTreeSet;
use std::sync::Arc;
use sym::{Expr, Sym};

/// The elements of inputs and initializers, with a call's sizes.
pub fn elements(model: &ModelProto) -> usize {
    let Some(graph) = &model.graph else { return 0 };
    let asked = calls(model);
    let inputs = asked.iter().flat_map(|call| graph.input.iter().filter_map(|info| type_of(info, &call.sizes)));
    let initializers: i64 = graph.initializer.iter().map(|tensor| tensor.dims.iter().product::<i64>()).sum();
    inputs.map(|(_, dims)| dims.iter().product::<usize>()).sum::<usize>() + initializers as usize
}

/// How many numbers of float initializers are not 1.
pub fn odd_numbers(graph: &GraphProto) -> usize {
    let odd = |tensor: &Tensor| {
        let array = tensor.to_array();
        (0..array.count()).filter(|at| array.get(*at).as_f64() != 1.0).count()
    };
    graph.initializer.iter().filter_map(tensor_of).filter(|tensor| tensor.dtype().is_float()).map(|tensor| odd(&tensor)).sum()
}

fn tensor_of(proto: &TensorProto) -> Option<Tensor> {
    let dims = proto.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<usize>>>()?;
    Tensor::new(dtype_of(proto.data_type)?, dims, Arc::new(proto.raw_data.clone()?))
}

/// One symbol is the number that it is in the first call.
pub fn without_symbols<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let first = calls(model).into_iter().next().unwrap_or_default();
    Box::new(first.sizes.into_iter().map(|(sym, size)| {
        let mut model = model.clone();
        let mut asked = calls(&model);
        asked.iter_mut().for_each(|call| call.sizes.retain(|other, _| *other != sym));
        set_calls(&mut model, &asked);
        each_dim(&mut model, &mut |dim| *dim = with_size(dim, &sym, size));
        model
    }))
}

/// A dim with one of its symbols known.
fn with_size(dim: &DimValue, sym: &Sym, size: i64) -> DimValue {
    let DimValue::DimParam(text) = dim else { return dim.clone() };
    let Ok(expr) = text.parse::<Expr>() else { return dim.clone() };
    let expr = expr.replace(sym, &Expr::from(size));
    expr.as_const().map_or_else(|| DimValue::DimParam(expr.to_string()), DimValue::DimValue)
}

pub fn smaller_symbols<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let all = calls(model);
    let places: Vec<(usize, Sym, i64)> =
        all.iter().enumerate().flat_map(|(at, call)| call.sizes.iter().map(move |(sym, size)| (at, sym.clone(), *size))).collect();
    Box::new(places.into_iter().flat_map(move |(at, sym, size)| {
        let (all, model) = (all.clone(), model.clone());
        smaller_numbers(size).map(move |size| {
            let (mut all, mut model) = (all.clone(), model.clone());
            all[at].sizes.insert(sym.clone(), size);
            set_calls(&mut model, &all);
            model
        })
    }))
}

fn smaller_numbers(number: i64) -> impl Iterator<Item = i64> {
    [1, 2, 3, number / 2, number - 1].into_iter().filter(move |smaller| (1..number).contains(smaller))
}

/// A size is smaller everywhere: in inputs, initializers, and lists of integers such as shapes.
pub fn smaller_dims<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let mut found = BTreeSet::new();
    let mut copy = model.clone();
    each_dim(&mut copy, &mut |dim| {
        if let DimValue::DimValue(size) = dim {
            found.insert(*size);
        }
    });
    found.extend(model.graph.iter().flat_map(|graph| &graph.initializer).flat_map(|tensor| tensor.dims.clone()));
    let pairs = found.into_iter().rev().flat_map(|size| smaller_numbers(size).map(move |smaller| (size, smaller)));
    Box::new(pairs.map(|(size, smaller)| resized(model, size, smaller)))
}

fn resized(model: &ModelProto, from: i64, to: i64) -> ModelProto {
    let mut model = model.clone();
    each_dim(&mut model, &mut |dim| {
        if *dim == DimValue::DimValue(from) {
            *dim = DimValue::DimValue(to);
        }
    });
    for proto in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if let Some(tensor) = tensor_of(proto) {
            *proto = tensor_proto(&proto.name.clone(), &resized_tensor(&tensor, from, to));
        }
    }
    model
}

/// Fewer elements, the first ones of each axis; of integers also the size itself.
fn resized_tensor(tensor: &Tensor, from: i64, to: i64) -> Tensor {
    let array = tensor.to_array();
    let strides = array.strides();
    let dims: Vec<usize> = array.dims().iter().map(|dim| if *dim as i64 == from { to as usize } else { *dim }).collect();
    let mut picked = Vec::new();
    ir::array::for_each_index(&dims, |index| {
        let literal = array.get(index.iter().zip(&strides).map(|(at, stride)| at * stride).sum());
        picked.push(if literal == Literal::Int(from) { Literal::Int(to) } else { literal });
    });
    Tensor::from_array(&Array::from_fn(array.dtype(), dims, |at| picked[at]))
}

/// Calls `change` with every dim of inputs and outputs.
fn each_dim(model: &mut ModelProto, change: &mut dyn FnMut(&mut DimValue)) {
    let Some(graph) = &mut model.graph else { return };
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        dims_of(info).for_each(&mut *change);
    }
}

fn dims_of(info: &mut ValueInfoProto) -> impl Iterator<Item = &mut DimValue> {
    let ty = info.r#type.as_mut().and_then(|ty| ty.value.as_mut());
    let shape = match ty {
        Some(TypeValue::TensorType(tensor)) => tensor.shape.as_mut(),
        _ => None,
    };
    shape.into_iter().flat_map(|shape| &mut shape.dim).filter_map(|dim| dim.value.as_mut())
}

/// A float initializer is all ones.
pub fn ones<'a>(model: &'a ModelProto, _: &'a Facts) -> Attempts<'a> {
    let count = model.graph.as_ref().map_or(0, |graph| graph.initializer.len());
    Box::new((0..count).filter_map(|at| {
        let mut model = model.clone();
        let proto = model.graph.as_mut()?.initializer.get_mut(at)?;
        let tensor = tensor_of(proto).filter(|tensor| tensor.dtype().is_float() && tensor.dtype() != DType::BF16)?;
        let filled = Array::filled(tensor.dtype(), tensor.dims().to_vec(), Literal::Float(1.0));
        *proto = tensor_proto(&proto.name.clone(), &Tensor::from_array(&filled));
        Some(model)
    }))
}
