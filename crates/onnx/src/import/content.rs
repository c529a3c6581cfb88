//! Inputs and outputs that are sequences or optionals. A call has their tensors under names of their own, `NAME[0]`, `NAME[1]` ...; an
//! optional tensor has the name itself.

use super::tensor;
use crate::file::ModelFile;
use crate::proto::type_proto::{self, Value as Type};
use crate::proto::{GraphProto, OptionalProto, SequenceProto, TensorProto, TypeProto, ValueInfoProto};
use ir::{Code, Diagnostic, Location, Strings, Tensor};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The most elements of a sequence.
pub const LONGEST: usize = 4096;

/// What a call gives for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An optional without a value.
    Nothing,
    Tensor,
    /// This many tensors.
    Sequence(usize),
}

impl Content {
    pub fn text(self) -> String {
        match self {
            Content::Nothing => "an optional without a value".to_string(),
            Content::Tensor => "a tensor".to_string(),
            Content::Sequence(_) => "a sequence".to_string(),
        }
    }

    /// The names of its tensors.
    pub(super) fn names(self, name: &str) -> Vec<String> {
        match self {
            Content::Nothing => vec![],
            Content::Tensor => vec![name.to_string()],
            Content::Sequence(length) => (0..length).map(|at| element_name(name, at)).collect(),
        }
    }
}

/// The name of element number `at` of a sequence.
pub fn element_name(name: &str, at: usize) -> String {
    format!("{name}[{at}]")
}

/// How an input or output is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tensor,
    Sequence,
    OptionalTensor,
    OptionalSequence,
}

impl Kind {
    /// With the type of its tensors.
    pub(super) fn of(info: &ValueInfoProto) -> Result<(Kind, &type_proto::Tensor), Diagnostic> {
        let location = Location::of(&info.name);
        let Some(declared) = value(info.r#type.as_ref()) else {
            return Err(Diagnostic::new(Code::Malformed, &location, "the input has no type"));
        };
        kind(declared)
            .map_err(|kind| Diagnostic::new(Code::Unsupported, &location, format!("the input is {kind}; only tensors are supported")))
    }

    /// What a call gives, by the names of its tensors.
    fn content(self, name: &str, given: &BTreeSet<&str>) -> Content {
        let length = (0..LONGEST).take_while(|at| given.contains(element_name(name, *at).as_str())).count();
        match self {
            Kind::Tensor => Content::Tensor,
            Kind::OptionalTensor if given.contains(name) => Content::Tensor,
            Kind::OptionalSequence if length > 0 => Content::Sequence(length),
            Kind::OptionalTensor | Kind::OptionalSequence => Content::Nothing,
            Kind::Sequence => Content::Sequence(length),
        }
    }

    pub(super) fn allows(self, content: Content) -> bool {
        match content {
            Content::Nothing => matches!(self, Kind::OptionalTensor | Kind::OptionalSequence),
            Content::Tensor => matches!(self, Kind::Tensor | Kind::OptionalTensor),
            Content::Sequence(length) => matches!(self, Kind::Sequence | Kind::OptionalSequence) && length <= LONGEST,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Kind::Tensor => "a tensor",
            Kind::Sequence => "a sequence",
            Kind::OptionalTensor => "an optional tensor",
            Kind::OptionalSequence => "an optional sequence",
        }
    }
}

fn value(ty: Option<&TypeProto>) -> Option<&Type> {
    ty.and_then(|ty| ty.value.as_ref())
}

/// The text names what can't be read.
fn kind(declared: &Type) -> Result<(Kind, &type_proto::Tensor), &'static str> {
    match declared {
        Type::TensorType(tensor) => Ok((Kind::Tensor, tensor)),
        Type::SequenceType(sequence) => match value(sequence.elem_type.as_deref()) {
            Some(Type::TensorType(tensor)) => Ok((Kind::Sequence, tensor)),
            _ => Err("a sequence of what is no tensor"),
        },
        Type::OptionalType(optional) => match value(optional.elem_type.as_deref()).map(kind) {
            Some(Ok((Kind::Tensor, tensor))) => Ok((Kind::OptionalTensor, tensor)),
            Some(Ok((Kind::Sequence, tensor))) => Ok((Kind::OptionalSequence, tensor)),
            Some(Err(other)) => Err(other),
            Some(Ok(_)) | None => Err("an optional of what is neither a tensor nor a sequence"),
        },
        Type::MapType(_) => Err("a map"),
        Type::SparseTensorType(_) => Err("a sparse tensor"),
        Type::OpaqueType(_) => Err("opaque"),
    }
}

/// The inputs that no initializer gives a value.
pub(super) fn given_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.iter().filter(|input| !weights.contains(input.name.as_str())).collect()
}

fn kinds(infos: &[&ValueInfoProto]) -> Vec<(String, Kind)> {
    infos.iter().map(|info| (info.name.clone(), Kind::of(info).map_or(Kind::Tensor, |(kind, _)| kind))).collect()
}

/// The inputs of a model's graph, in order.
pub fn input_kinds(file: &ModelFile) -> Vec<(String, Kind)> {
    file.model.graph.as_ref().map_or(vec![], |graph| kinds(&given_inputs(graph)))
}

/// The outputs of a model's graph, in order.
pub fn output_kinds(file: &ModelFile) -> Vec<(String, Kind)> {
    file.model.graph.as_ref().map_or(vec![], |graph| kinds(&graph.output.iter().collect::<Vec<_>>()))
}

/// What a call with tensors of these names gives for the inputs that are sequences or optionals.
pub fn contents(file: &ModelFile, given: &BTreeSet<&str>) -> BTreeMap<String, Content> {
    let inputs = input_kinds(file).into_iter().filter(|(_, kind)| *kind != Kind::Tensor);
    inputs.map(|(name, kind)| (name.clone(), kind.content(&name, given))).collect()
}

/// The names of the tensors of a call whose rank the model does not declare.
pub fn unranked(file: &ModelFile, contents: &BTreeMap<String, Content>) -> Vec<String> {
    let inputs = file.model.graph.as_ref().map_or(vec![], given_inputs);
    let open = inputs.into_iter().filter(|info| Kind::of(info).is_ok_and(|(_, tensor)| tensor.shape.is_none()));
    open.flat_map(|info| contents.get(&info.name).copied().unwrap_or(Content::Tensor).names(&info.name)).collect()
}

/// The contents of a file as ONNX's test suites keep them: one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nothing,
    Tensor(Tensor),
    Sequence(Vec<Tensor>),
}

impl Value {
    pub fn content(&self) -> Content {
        match self {
            Value::Nothing => Content::Nothing,
            Value::Tensor(_) => Content::Tensor,
            Value::Sequence(elements) => Content::Sequence(elements.len()),
        }
    }

    /// Its tensors, under the names that a call has for them.
    pub fn tensors(self, name: &str) -> Vec<(String, Tensor)> {
        let names = self.content().names(name);
        let tensors = match self {
            Value::Nothing => vec![],
            Value::Tensor(tensor) => vec![tensor],
            Value::Sequence(elements) => elements,
        };
        names.into_iter().zip(tensors).collect()
    }
}

/// Reads such a file, of what is declared as `kind`. Elements of the narrow types have a byte each; strings are added to the table.
pub fn read_value(path: &Path, kind: Kind, strings: &Strings) -> Result<Value, Diagnostic> {
    let location = Location::of(&path.display().to_string());
    let problem = |why: String| Diagnostic::new(Code::Data, &location, why);
    let bytes = std::fs::read(path).map_err(|why| problem(why.to_string()))?;
    let not = |why: prost::DecodeError| problem(format!("not {}: {why}", kind.text()));
    let tensor = |proto: &TensorProto| tensor::tensor(&ModelFile::empty(), proto, &location, strings).map(|(tensor, _)| tensor);
    let sequence = |proto: &SequenceProto| proto.tensor_values.iter().map(tensor).collect::<Result<_, _>>().map(Value::Sequence);
    match kind {
        Kind::Tensor => tensor(&TensorProto::decode(bytes.as_slice()).map_err(not)?).map(Value::Tensor),
        Kind::Sequence => sequence(&SequenceProto::decode(bytes.as_slice()).map_err(not)?),
        Kind::OptionalTensor | Kind::OptionalSequence => {
            let proto = OptionalProto::decode(bytes.as_slice()).map_err(not)?;
            match (&proto.tensor_value, &proto.sequence_value) {
                (Some(value), _) => tensor(value).map(Value::Tensor),
                (None, Some(value)) => sequence(value),
                (None, None) => Ok(Value::Nothing),
            }
        }
    }
}
