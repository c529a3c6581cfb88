//! What a graph takes and gives: initializers, inputs, outputs, and the types that a model declares.

use super::ImportOptions;
use super::cx::Cx;
use super::narrow::Narrow;
use super::scope::Slot;
use super::symbols::{self, Input};
use super::tensor::Stored;
use super::term::{Form, constant_type};
use super::{sizes, tensor};
use crate::file::ModelFile;
use crate::proto::tensor_shape_proto::{Dimension, Value as Dim};
use crate::proto::type_proto::{self, Value};
use crate::proto::{GraphProto, TensorProto, ValueInfoProto};
use ir::{Code, Diagnostic, Location, Tensor, TensorType};
use std::collections::BTreeSet;
use std::sync::Arc;
use sym::Expr;

/// Whether initializers can be found again by name.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Weights {
    Named,
    Unnamed,
}

impl Cx<'_> {
    pub(super) fn initializers(&mut self, graph: &GraphProto, weights: Weights) {
        for proto in &graph.initializer {
            let slot = self.initializer(proto, weights);
            self.define(&proto.name, slot, &Location::of(&proto.name));
        }
        for proto in &graph.sparse_initializer {
            let name = proto.values.as_ref().map_or("", |values| values.name.as_str());
            let location = Location::of(name);
            self.problems.fault(Diagnostic::new(Code::Unsupported, &location, "sparse initializers are not supported"));
            self.define(name, Slot::Poisoned, &location);
        }
    }

    fn initializer(&mut self, proto: &TensorProto, weights: Weights) -> Slot {
        match tensor::tensor(self.file, proto, &Location::of(&proto.name), &self.strings) {
            Ok((tensor, narrow)) => {
                let weight = (weights == Weights::Named).then(|| Arc::from(proto.name.as_str()));
                let ty = constant_type(tensor.dtype(), tensor.dims());
                let term = self.add_term(&proto.name, ty, Form::Constant { tensor, weight });
                Slot::Term(self.narrowed(term, narrow))
            }
            Err(problem) => {
                self.problems.fault(problem);
                Slot::Poisoned
            }
        }
    }

    pub(super) fn inputs(&mut self, graph: &GraphProto, options: &ImportOptions) {
        let mut tensors = Vec::new();
        for info in given_inputs(graph) {
            match input_type(info) {
                Ok(dtype) => tensors.push((dtype, info)),
                Err(problem) => {
                    self.problems.fault(problem);
                    self.define(&info.name, Slot::Poisoned, &Location::of(&info.name));
                }
            }
        }
        let shapes: Vec<Input> =
            tensors.iter().map(|(_, info)| (info.name.as_str(), tensor_value(info).and_then(|t| t.shape.as_ref()))).collect();
        let (dims, problems) = symbols::input_dims(&shapes, options);
        problems.into_iter().for_each(|problem| self.problems.fault(problem));
        for (((dtype, narrow), info), dims) in tensors.into_iter().zip(dims) {
            // the numbers of strings mean something to a table alone
            let value = options.values.get(&info.name).filter(|_| narrow != Some(Narrow::Text));
            if narrow == Some(Narrow::Text) {
                self.texts.inputs.insert(info.name.clone());
            }
            self.input(info, dims.map(|dims| TensorType::new(dtype, dims)), value, narrow);
        }
    }

    fn input(&mut self, info: &ValueInfoProto, ty: Option<TensorType>, value: Option<&Tensor>, narrow: Option<Narrow>) {
        let location = Location::of(&info.name);
        let slot = match ty {
            None => Slot::Poisoned,
            Some(ty) if !sizes::is_reasonable(&ty) => {
                self.problems.fault(Diagnostic::new(Code::Limit, &location, format!("an input of {} axes is too large", ty.rank())));
                Slot::Poisoned
            }
            Some(ty) => {
                let misfit = value.filter(|value| !fits(&ty, value)).map(|value| format!("{}{:?} is no {ty}", value.dtype(), value.dims()));
                let id = self.builder().input(&info.name, ty);
                match (value, misfit) {
                    (_, Some(misfit)) => {
                        self.problems.fault(Diagnostic::new(Code::Input, &location, misfit));
                        Slot::Poisoned
                    }
                    (Some(tensor), None) => {
                        let form = Form::Constant { tensor: tensor.clone(), weight: None };
                        Slot::Term(self.add_term(&info.name, constant_type(tensor.dtype(), tensor.dims()), form))
                    }
                    (None, None) => Slot::Term(self.built(&info.name, id)),
                }
            }
        };
        let slot = if let Slot::Term(term) = slot { Slot::Term(self.narrowed(term, narrow)) } else { slot };
        self.define(&info.name, slot, &location);
    }

    pub(super) fn outputs(&mut self, graph: &GraphProto) {
        let mut seen = BTreeSet::new();
        for info in &graph.output {
            let location = Location::of(&info.name);
            if !seen.insert(&info.name) {
                self.problems.fault(Diagnostic::new(Code::Names, &location, format!("two outputs are named `{}`", info.name)));
            }
            if let Some(term) = self.defined(&info.name, &location) {
                if self.narrow(term) == Some(Narrow::Text) {
                    self.texts.outputs.insert(info.name.clone());
                }
                match self.emit(term) {
                    Ok(id) => self.builder().output(&info.name, id),
                    Err(problem) => self.problems.fault(problem),
                }
            }
        }
    }

    /// Compares declared types with the real ones: a contradiction is a warning.
    pub(super) fn check_declared<'a>(&mut self, declared: impl Iterator<Item = &'a ValueInfoProto>) {
        for info in declared {
            let (Some(Slot::Term(term)), Some(wanted)) = (self.lookup(&info.name), tensor_value(info)) else { continue };
            let Some(shape) = &wanted.shape else { continue };
            let ty = self.ty(term);
            let same_rank = shape.dim.len() == ty.rank();
            let contradicts = |(dim, real): (&Dimension, &Expr)| match (&dim.value, real.as_const()) {
                (Some(Dim::DimValue(size)), Some(real)) => *size > 0 && *size != real,
                _ => false,
            };
            let other_type = tensor::stored_type_of(wanted.elem_type as i64).is_ok_and(|(dtype, _)| dtype != ty.dtype);
            if !same_rank || other_type || shape.dim.iter().zip(&ty.dims).any(contradicts) {
                let message = format!("the model declares another type for `{}` than {ty}, which it has", info.name);
                self.problems.warnings.push(Diagnostic::new(Code::Shape, &Location::of(&info.name), message));
            }
        }
    }
}

/// The inputs that no initializer gives a value.
fn given_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.iter().filter(|input| !weights.contains(input.name.as_str())).collect()
}

/// The names of the inputs of a model's graph, in order.
pub fn input_names(file: &ModelFile) -> Vec<String> {
    file.model.graph.as_ref().map_or(vec![], |graph| given_inputs(graph).into_iter().map(|info| info.name.clone()).collect())
}

fn fits(ty: &TensorType, value: &Tensor) -> bool {
    let same = |(dim, size): (&Expr, &usize)| dim.as_const().is_none_or(|dim| dim == *size as i64);
    ty.dtype == value.dtype() && ty.rank() == value.dims().len() && ty.dims.iter().zip(value.dims()).all(same)
}

fn tensor_value(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(Value::TensorType(tensor)) => Some(tensor),
        _ => None,
    }
}

/// The element type of an input.
fn input_type(info: &ValueInfoProto) -> Result<Stored, Diagnostic> {
    let location = Location::of(&info.name);
    let kind = match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(Value::TensorType(tensor)) => {
            let dtype = tensor::stored_type_of(tensor.elem_type as i64);
            return dtype.map_err(|(code, text)| Diagnostic::new(code, &location, text));
        }
        Some(Value::SequenceType(_)) => "a sequence",
        Some(Value::MapType(_)) => "a map",
        Some(Value::OptionalType(_)) => "an optional",
        Some(Value::SparseTensorType(_)) => "a sparse tensor",
        Some(Value::OpaqueType(_)) => "opaque",
        None => return Err(Diagnostic::new(Code::Malformed, &location, "the input has no type")),
    };
    Err(Diagnostic::new(Code::Unsupported, &location, format!("the input is {kind}; only tensors are supported")))
}
