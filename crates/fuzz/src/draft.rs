//! A model under construction: its nodes, initializers and inputs as messages of the file format.

use ir::{DType, Tensor};
use onnx::proto::tensor_shape_proto::{Dimension, Value as DimValue};
use onnx::proto::type_proto::{self, Value as TypeValue};
use onnx::proto::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};
use sym::Expr;

/// The version of the file format that is written.
const IR_VERSION: i64 = 10;

/// The domain of onnxruntime's own operators.
pub const MICROSOFT: &str = "com.microsoft";

/// The domain of optimizers.
pub const TRAINING: &str = "ai.onnx.preview.training";

/// Messages in the making. Names are unique in the whole model, also those inside of branches.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub graph: GraphProto,
    names: usize,
}

impl Draft {
    /// A new name that tells where a value comes from.
    pub fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}_{}", self.names)
    }

    /// An operator of another domain than ONNX's own is written with it: `com.microsoft.Gelu`.
    pub fn node(&mut self, op: &str, inputs: Vec<String>, outputs: Vec<String>, attribute: Vec<AttributeProto>) {
        let (domain, op) = op.rsplit_once('.').unwrap_or(("", op));
        let name = if self.names.is_multiple_of(3) { String::new() } else { format!("/{op}_{}", self.names) };
        self.graph.node.push(NodeProto {
            name,
            op_type: op.to_string(),
            domain: domain.to_string(),
            input: inputs,
            output: outputs,
            attribute,
            ..NodeProto::default()
        });
    }

    /// The name of a new initializer.
    pub fn initializer(&mut self, stem: &str, tensor: &Tensor) -> String {
        let name = self.fresh(stem);
        self.graph.initializer.push(tensor_proto(&name, tensor));
        name
    }

    /// The graph as a whole model.
    pub fn into_model(self, opset: i64) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: [("", opset), (MICROSOFT, 1), ("ai.onnx.ml", 5), ("ai.onnx.preview", 1), (TRAINING, 1)]
                .into_iter()
                .filter(|(domain, _)| *domain != "ai.onnx.preview" || self.graph.node.iter().any(|node| node.domain == *domain))
                .map(|(domain, version)| OperatorSetIdProto { domain: domain.to_string(), version })
                .collect(),
            producer_name: "inkle-fuzz".to_string(),
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }
}

pub fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Bool,
        DType::I8 => DataType::Int8,
        DType::I16 => DataType::Int16,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::U8 => DataType::Uint8,
        DType::U16 => DataType::Uint16,
        DType::U32 => DataType::Uint32,
        DType::U64 => DataType::Uint64,
        DType::F16 => DataType::Float16,
        DType::BF16 => DataType::Bfloat16,
        DType::F32 => DataType::Float,
        DType::F64 => DataType::Double,
    }
}

/// The element type with this number in a model file.
pub fn dtype_of(data_type_number: i32) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| data_type(*dtype) as i32 == data_type_number)
}

pub fn tensor_proto(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: name.to_string(),
        dims: tensor.dims().iter().map(|dim| *dim as i64).collect(),
        data_type: data_type(tensor.dtype()) as i32,
        raw_data: Some(bytes::Bytes::copy_from_slice(tensor.bytes())),
        ..TensorProto::default()
    }
}

/// A value's declaration. Dims of one symbol are spelled out; those of several stay open.
pub fn value_info(name: &str, dtype: DType, dims: &[Expr]) -> ValueInfoProto {
    let dim = |dim: &Expr| {
        let number = dim.as_const().map(DimValue::DimValue);
        let value = number.or_else(|| (dim.symbols().len() == 1).then(|| DimValue::DimParam(dim.to_string())));
        Dimension { value, ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: data_type(dtype) as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_string(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// The declaration of a tensor of any shape.
pub fn unranked_info(name: &str, dtype: DType) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: data_type(dtype) as i32, shape: None };
    let r#type = TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_string(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_string(), r#type: kind as i32, ..AttributeProto::default() }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: value, ..attribute(name, AttributeType::Int) }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

pub fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { f: value as f32, ..attribute(name, AttributeType::Float) }
}

pub fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto { floats: values.to_vec(), ..attribute(name, AttributeType::Floats) }
}

pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: bytes::Bytes::copy_from_slice(value.as_bytes()), ..attribute(name, AttributeType::String) }
}

pub fn texts(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|value| bytes::Bytes::copy_from_slice(value.as_bytes())).collect();
    AttributeProto { strings, ..attribute(name, AttributeType::Strings) }
}

pub fn tensor(name: &str, value: &Tensor) -> AttributeProto {
    AttributeProto { t: Some(Box::new(tensor_proto("", value))), ..attribute(name, AttributeType::Tensor) }
}

pub fn graph(name: &str, value: GraphProto) -> AttributeProto {
    AttributeProto { g: Some(Box::new(value)), ..attribute(name, AttributeType::Graph) }
}
