//! The types and numbers of a model's values, by interpretation of its first call.

use crate::check::imported;
use crate::inputs::inputs;
use crate::model::calls;
use crate::quiet::quietly;
use ir::array::Data;
use ir::{Array, Tensor, TensorType};
use onnx::proto::ModelProto;
use prost::Message;
use std::collections::BTreeMap;

/// What is known of the values that have a name in the model.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub values: BTreeMap<String, (TensorType, Array)>,
}

impl Facts {
    /// Nothing, where the model can't be interpreted.
    pub fn of(model: &ModelProto, seed: u64) -> Facts {
        quietly(|| interpreted(model, seed)).ok().flatten().unwrap_or_default()
    }

    /// Whether some tensor has no elements.
    pub fn has_empty(&self) -> bool {
        self.values.values().any(|(_, array)| array.count() == 0)
    }

    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        self.values.get(name).map(|(_, array)| Tensor::from_array(array))
    }

    /// The smallest and the largest number of a value, as an input's documentation has them.
    pub fn bounds(&self, name: &str) -> Option<String> {
        let (_, array) = self.values.get(name)?;
        let numbers: Vec<f64> = match array.data() {
            Data::Float(data) => data.iter().map(|x| if x.is_finite() { *x } else { 1.0 }).collect(),
            Data::Int(data) => data.iter().map(|x| *x as f64).collect(),
        };
        let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        Some(if numbers.is_empty() { "0 1".to_string() } else { format!("{low} {high}") })
    }
}

fn interpreted(model: &ModelProto, seed: u64) -> Option<Facts> {
    let (file, graph) = imported(&model.encode_to_vec()).ok()?;
    let call = calls(&file.model).into_iter().next()?;
    let inputs: Vec<Array> = inputs(&file.model, &call, seed)?.iter().map(Tensor::to_array).collect();
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims().to_vec()).collect();
    let symbols = ops::interp::bind_symbols(&graph, &dims).ok()?;
    let arrays = ops::interp::interpret(&graph, &inputs, &symbols).ok()?;
    let named = graph.values.iter().zip(arrays).filter_map(|(value, array)| Some((value.name.to_string(), (value.ty.clone(), array?))));
    Some(Facts { values: named.collect() })
}
