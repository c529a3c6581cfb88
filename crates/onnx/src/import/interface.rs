//! What a graph takes and gives: initializers, inputs, outputs, and the types that a model declares.

use super::ImportOptions;
use super::content::{Content, Kind, given_inputs};
use super::cx::Cx;
use super::narrow::Narrow;
use super::scope::Slot;
use super::symbols::{self, Input};
use super::tensor::Stored;
use super::term::{Form, Term, constant_type};
use super::{sizes, tensor};
use crate::proto::tensor_shape_proto::{Dimension, Value as Dim};
use crate::proto::type_proto::{self, Value};
use crate::proto::{GraphProto, TensorProto, TensorShapeProto, ValueInfoProto};
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
        let infos = given_inputs(graph);
        let given: Vec<Option<Given>> = infos.iter().map(|info| self.given(info, options)).collect();
        self.check_contents(&infos, options);
        let parts: Vec<&Part> = given.iter().flatten().flat_map(|given| &given.parts).collect();
        let shapes: Vec<Input> = parts.iter().map(|part| (part.name.as_str(), part.shape.as_ref())).collect();
        let (dims, problems) = symbols::input_dims(&shapes, options);
        problems.into_iter().for_each(|problem| self.problems.fault(problem));
        let mut dims = dims.into_iter();
        for (info, given) in infos.iter().zip(&given) {
            let slot = given.as_ref().map_or(Slot::Poisoned, |given| self.input(&info.name, given, &mut dims, options));
            self.define(&info.name, slot, &Location::of(&info.name));
        }
    }

    /// What a call gives for an input; None, and a problem, where that is not known or can't be.
    fn given(&mut self, info: &ValueInfoProto, options: &ImportOptions) -> Option<Given> {
        let given = given(info, options.contents.get(&info.name).copied());
        given.map_err(|problem| self.problems.fault(problem)).ok()
    }

    /// Options for sequences and optionals are for inputs that there are, and the names of elements are no other input's.
    fn check_contents(&mut self, infos: &[&ValueInfoProto], options: &ImportOptions) {
        let names: BTreeSet<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        for (name, content) in &options.contents {
            let problem = |code: Code, message: String| Diagnostic::new(code, &Location::of(name), message);
            if !names.contains(name.as_str()) {
                self.problems.fault(problem(Code::Input, "the model has no such input".to_string()));
            }
            let elements = if matches!(content, Content::Sequence(_)) { content.names(name) } else { vec![] };
            if let Some(twice) = elements.iter().find(|element| names.contains(element.as_str())) {
                self.problems.fault(problem(Code::Names, format!("its element and an input are both named `{twice}`")));
            }
        }
    }

    /// `dims` are those of the parts to come.
    fn input(&mut self, name: &str, given: &Given, dims: &mut impl Iterator<Item = Option<Vec<Expr>>>, options: &ImportOptions) -> Slot {
        let mut terms = Vec::new();
        for (part, dims) in given.parts.iter().zip(dims) {
            let ty = dims.map(|dims| TensorType::new(part.stored.0, dims));
            let is_text = part.stored.1 == Some(Narrow::Text);
            if is_text {
                self.texts.inputs.insert(part.name.clone());
            }
            // the numbers of strings mean something to a table alone
            let value = options.values.get(&part.name).filter(|_| !is_text);
            terms.push(ty.and_then(|ty| self.part(part, ty, value)));
        }
        let Some(terms) = terms.into_iter().collect::<Option<Vec<Term>>>() else { return Slot::Poisoned };
        Slot::Term(match (given.content, terms.first()) {
            (Content::Tensor, Some(term)) => *term,
            (Content::Sequence(_), _) => self.no_tensor(name, Form::Sequence(terms)),
            (Content::Nothing | Content::Tensor, _) => self.no_tensor(name, Form::Nothing),
        })
    }

    /// A tensor of the call as an input of the graph, which may hold this value.
    fn part(&mut self, part: &Part, ty: TensorType, value: Option<&Tensor>) -> Option<Term> {
        let location = Location::of(&part.name);
        if !sizes::is_reasonable(&ty) {
            self.problems.fault(Diagnostic::new(Code::Limit, &location, format!("an input of {} axes is too large", ty.rank())));
            return None;
        }
        if let Some(value) = value.filter(|value| !fits(&ty, value)) {
            let misfit = format!("{}{:?} is no {ty}", value.dtype(), value.dims());
            self.problems.fault(Diagnostic::new(Code::Input, &location, misfit));
            return None;
        }
        let id = self.builder().input(&part.name, ty);
        let term = match value {
            Some(tensor) => {
                let form = Form::Constant { tensor: tensor.clone(), weight: None };
                self.add_term(&part.name, constant_type(tensor.dtype(), tensor.dims()), form)
            }
            None => self.built(&part.name, id),
        };
        Some(self.narrowed(term, part.stored.1))
    }

    pub(super) fn outputs(&mut self, graph: &GraphProto) {
        let mut seen = BTreeSet::new();
        for info in &graph.output {
            let location = Location::of(&info.name);
            let Some(term) = self.defined(&info.name, &location) else { continue };
            let names = self.content(term).names(&info.name);
            let tensors = self.sequence(term).map_or(vec![term], <[Term]>::to_vec);
            for (name, term) in names.into_iter().zip(tensors) {
                if !seen.insert(name.clone()) {
                    self.problems.fault(Diagnostic::new(Code::Names, &location, format!("two outputs are named `{name}`")));
                }
                if self.narrow(term) == Some(Narrow::Text) {
                    self.texts.outputs.insert(name.clone());
                }
                match self.emit(term) {
                    Ok(id) => self.builder().output(&name, id),
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

/// What a call gives for an input: the tensors that it is made of.
struct Given {
    content: Content,
    parts: Vec<Part>,
}

struct Part {
    name: String,
    stored: Stored,
    shape: Option<TensorShapeProto>,
}

/// Names of dims hold for one element of a sequence: the standard lets each have its own sizes.
fn given(info: &ValueInfoProto, content: Option<Content>) -> Result<Given, Diagnostic> {
    let problem = |code: Code, message: String| Diagnostic::new(code, &Location::of(&info.name), message);
    let (kind, tensor) = Kind::of(info)?;
    let Some(content) = content.or((kind == Kind::Tensor).then_some(Content::Tensor)) else {
        let unknown = if kind == Kind::Sequence { "how long it is" } else { "whether it has a value" };
        return Err(problem(Code::Unsupported, format!("the input is {}; {unknown} is not known before a call", kind.text())));
    };
    if !kind.allows(content) {
        return Err(problem(Code::Input, format!("the input is {}, and can't be {}", kind.text(), content.text())));
    }
    let stored = tensor::stored_type_of(tensor.elem_type as i64).map_err(|(code, text)| problem(code, text))?;
    let is_sequence = matches!(content, Content::Sequence(_));
    let shape = tensor.shape.as_ref().map(|shape| if is_sequence { without_names(shape) } else { shape.clone() });
    let parts = content.names(&info.name).into_iter().map(|name| Part { name, stored, shape: shape.clone() }).collect();
    Ok(Given { content, parts })
}

fn without_names(shape: &TensorShapeProto) -> TensorShapeProto {
    let dim = |dim: &Dimension| Dimension { value: dim.value.clone().filter(|value| matches!(value, Dim::DimValue(_))), ..dim.clone() };
    TensorShapeProto { dim: shape.dim.iter().map(dim).collect() }
}
