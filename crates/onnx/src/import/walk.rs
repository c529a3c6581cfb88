//! Graphs and their nodes, in order.

use super::call::{Call, Fault, Outcome};
use super::cx::Cx;
use super::scope::{Frame, Scope, Slot};
use super::symbols::{self, Input};
use super::term::{Form, Out, Term, constant_type};
use super::{ImportOptions, Imported, sizes, tensor};
use crate::file::ModelFile;
use crate::ops::{self, LATEST_OPSET};
use crate::proto::type_proto::Value;
use crate::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};
use ir::{Code, DType, Diagnostic, Diagnostics, Location, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use sym::Expr;

/// The deepest nesting of graphs and function bodies.
const MAX_DEPTH: usize = 64;

/// The graph of a model, whose main graph is `graph`.
pub(super) fn model(file: &ModelFile, graph: &GraphProto, options: &ImportOptions) -> Result<Imported, Diagnostics> {
    let frame = Frame {
        names: BTreeMap::new(),
        defined: defined_names(&graph.node),
        opaque: true,
        opsets: Rc::new(versions(&file.model.opset_import)),
        prefix: String::new(),
        label: String::new(),
    };
    let mut cx = Cx::new(file, Scope::new(&graph.name), frame);
    cx.functions(&file.model);
    cx.check_opset();
    cx.initializers(graph, Weights::Named);
    cx.inputs(graph, options);
    cx.nodes(&graph.node);
    cx.builder().location = Location::default();
    cx.outputs(graph);
    cx.check_declared(graph.output.iter().chain(&graph.value_info));
    let Cx { problems, scopes, .. } = cx;
    let warnings = problems.check()?;
    let graph = scopes.into_iter().next().map(|scope| scope.builder.finish()).unwrap_or_default();
    Ok(Imported { graph, warnings })
}

/// The version of each domain; that of ONNX itself is the empty text.
pub(super) fn versions(imports: &[OperatorSetIdProto]) -> BTreeMap<String, i64> {
    imports.iter().map(|import| (normal_domain(&import.domain).to_string(), import.version)).collect()
}

pub(super) fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Every name that the nodes define.
pub(super) fn defined_names(nodes: &[NodeProto]) -> BTreeSet<String> {
    nodes.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty()).cloned().collect()
}

/// Whether initializers can be found again by name.
#[derive(Clone, Copy, PartialEq)]
enum Weights {
    Named,
    Unnamed,
}

impl<'f> Cx<'f> {
    fn functions(&mut self, model: &'f ModelProto) {
        for function in &model.functions {
            let key = (normal_domain(&function.domain).to_string(), function.name.clone(), function.overload.clone());
            if self.functions.insert(key, function).is_some() {
                let location = Location::of(&function.name);
                self.problems.fault(Diagnostic::new(Code::Names, &location, format!("function `{}` is defined twice", function.name)));
            }
        }
    }

    fn check_opset(&mut self) {
        if let Some(opset) = self.frame().opsets.get("").copied().filter(|opset| *opset > LATEST_OPSET) {
            let message = format!("opset {opset} is newer than {LATEST_OPSET}, the latest that is known");
            self.problems.fault(Diagnostic::new(Code::Unsupported, &Location::default(), message));
        }
    }

    /// Gives a name in the current frame a meaning; a second one is a problem.
    fn define(&mut self, name: &str, slot: Slot, location: &Location) {
        match self.frame().names.contains_key(name) {
            true => self.problems.fault(Diagnostic::new(Code::Names, location, format!("`{name}` is defined twice"))),
            false => drop(self.frame().names.insert(name.to_string(), slot)),
        }
    }

    fn initializers(&mut self, graph: &GraphProto, weights: Weights) {
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
        match tensor::tensor(self.file, proto, &Location::of(&proto.name)) {
            Ok(tensor) => {
                let weight = (weights == Weights::Named).then(|| Arc::from(proto.name.as_str()));
                let ty = constant_type(tensor.dtype(), tensor.dims());
                Slot::Term(self.add_term(&proto.name, ty, Form::Constant { tensor, weight }))
            }
            Err(problem) => {
                self.problems.fault(problem);
                Slot::Poisoned
            }
        }
    }

    /// The inputs that no initializer gives a value.
    fn inputs(&mut self, graph: &GraphProto, options: &ImportOptions) {
        let weights: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let declared: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !weights.contains(input.name.as_str())).collect();
        let mut tensors = Vec::new();
        for info in declared {
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
        for ((dtype, info), dims) in tensors.into_iter().zip(dims) {
            self.input(info, dims.map(|dims| TensorType::new(dtype, dims)));
        }
    }

    fn input(&mut self, info: &ValueInfoProto, ty: Option<TensorType>) {
        let location = Location::of(&info.name);
        let slot = match ty {
            None => Slot::Poisoned,
            Some(ty) if !sizes::is_reasonable(&ty) => {
                self.problems.fault(Diagnostic::new(Code::Limit, &location, format!("an input of {} axes is too large", ty.rank())));
                Slot::Poisoned
            }
            Some(ty) => {
                let id = self.builder().input(&info.name, ty);
                Slot::Term(self.built(&info.name, id))
            }
        };
        self.define(&info.name, slot, &location);
    }

    fn outputs(&mut self, graph: &GraphProto) {
        let mut seen = BTreeSet::new();
        for info in &graph.output {
            let location = Location::of(&info.name);
            if !seen.insert(&info.name) {
                self.problems.fault(Diagnostic::new(Code::Names, &location, format!("two outputs are named `{}`", info.name)));
            }
            if let Some(term) = self.defined(&info.name, &location) {
                match self.emit(term) {
                    Ok(id) => self.builder().output(&info.name, id),
                    Err(problem) => self.problems.fault(problem),
                }
            }
        }
    }

    /// The value of a name; a problem where it has none, which is reported once.
    fn defined(&mut self, name: &str, location: &Location) -> Option<Term> {
        match self.lookup(name) {
            Some(Slot::Term(term)) => Some(term),
            Some(Slot::Absent | Slot::Poisoned) => None,
            None => {
                let message = match self.frame().defined.contains(name) {
                    true => format!("`{name}` is used before the node that defines it"),
                    false => format!("`{name}` is not defined"),
                };
                self.problems.fault(Diagnostic::new(Code::Names, location, message));
                if !self.frame().defined.contains(name) {
                    self.frame().names.insert(name.to_string(), Slot::Poisoned);
                }
                None
            }
        }
    }

    /// The outputs of a graph inside of the current node, which sees the names around it. `attribute` is where it stands.
    pub(crate) fn subgraph(&mut self, graph: &GraphProto, attribute: &str) -> Result<Vec<Term>, Fault> {
        let label = format!("{}.{attribute}/", self.location());
        let outer = self.frame();
        let frame = Frame {
            names: BTreeMap::new(),
            defined: defined_names(&graph.node),
            opaque: false,
            opsets: outer.opsets.clone(),
            prefix: outer.prefix.clone(),
            label,
        };
        self.enter(frame)?;
        self.initializers(graph, Weights::Unnamed);
        self.nodes(&graph.node);
        let location = self.location().clone();
        let outputs = graph.output.iter().map(|info| self.defined(&info.name, &location)).collect::<Option<Vec<Term>>>();
        self.frames.pop();
        outputs.ok_or(Fault::Poisoned)
    }

    pub(super) fn enter(&mut self, frame: Frame) -> Result<(), Diagnostic> {
        if self.frames.len() >= MAX_DEPTH {
            let message = format!("graphs and functions are nested more than {MAX_DEPTH} deep");
            return Err(Diagnostic::new(Code::Limit, self.location(), message));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Imports nodes in order. Problems are collected.
    pub(super) fn nodes(&mut self, nodes: &[NodeProto]) {
        let outer = self.location().clone();
        for (index, node) in nodes.iter().enumerate() {
            let Some(left) = self.nodes_left.checked_sub(1) else { break };
            self.nodes_left = left;
            if left == 0 {
                self.problems.fault(Diagnostic::new(Code::Limit, &outer, "the model has too many nodes, with its functions expanded"));
            }
            self.node(index, node);
        }
        self.builder().location = outer;
    }

    fn node(&mut self, index: usize, node: &NodeProto) {
        let frame = self.frame();
        let name = match node.name.as_str() {
            "" => format!("{}{}#{index}", frame.label, node.op_type),
            name => format!("{}{name}", frame.prefix),
        };
        self.builder().location = Location::of(&name);
        let first_new = self.builder().graph.graph().values.len();
        let outcome = self.call(node).and_then(|outs| self.results(node, outs, first_new));
        let terms = outcome.unwrap_or_else(|fault| {
            if let Fault::Problem(problem) = fault {
                self.problems.fault(problem);
            }
            vec![Slot::Poisoned; node.output.len()]
        });
        let location = self.location().clone();
        for (name, slot) in node.output.iter().zip(terms).filter(|(name, _)| !name.is_empty()) {
            self.define(name, slot, &location);
        }
    }

    fn call(&mut self, node: &NodeProto) -> Outcome {
        let operands = self.operands(node);
        let domain = normal_domain(&node.domain);
        let key = (domain.to_string(), node.op_type.clone(), node.overload.clone());
        if let Some(function) = self.functions.get(&key).copied() {
            return self.inline(key, function, node, operands?);
        }
        let Some(opset) = self.frame().opsets.get(domain).copied() else {
            let message = || format!("{}: the model does not say which version of domain `{domain}` it uses", node.op_type);
            let location = self.location().clone();
            self.problems.unsupported(format!("{domain} without version"), &location, message);
            return Err(Fault::Poisoned);
        };
        let Some(import) = ops::find(domain, &node.op_type, opset) else {
            self.unsupported(node, opset, operands);
            return Err(Fault::Poisoned);
        };
        let mut call = Call { cx: self, node, opset, operands: operands?, asked: Default::default() };
        let outs = import(&mut call)?;
        call.check_attributes()?;
        Ok(outs)
    }

    /// The operands of a node; None for one that is left out.
    fn operands(&mut self, node: &NodeProto) -> Result<Vec<Option<Term>>, Fault> {
        let location = self.location().clone();
        let mut operand = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => match self.lookup(name) {
                Some(Slot::Absent) => Ok(None),
                _ => self.defined(name, &location).map(Some).ok_or(Fault::Poisoned),
            },
        };
        // every name is looked at, so that each undefined one is reported
        let operands: Vec<Result<Option<Term>, Fault>> = node.input.iter().map(&mut operand).collect();
        operands.into_iter().collect()
    }

    fn unsupported(&mut self, node: &NodeProto, opset: i64, operands: Result<Vec<Option<Term>>, Fault>) {
        let domain = normal_domain(&node.domain);
        let types = match operands {
            Ok(operands) => operands
                .iter()
                .map(|term| term.map_or("nothing".to_string(), |term| self.ty(term).to_string()))
                .collect::<Vec<_>>()
                .join(", "),
            Err(_) => "types that are not known".to_string(),
        };
        let location = self.location().clone();
        let name = if domain.is_empty() { node.op_type.clone() } else { format!("{domain}.{}", node.op_type) };
        let versions = match ops::oldest(domain, &node.op_type) {
            Some(since) => format!("; it is from opset {since} on"),
            None => String::new(),
        };
        let message = || format!("operator {name} of opset {opset} is not supported{versions}; its operands are {types}");
        self.problems.unsupported(name.clone(), &location, message);
    }

    fn results(&mut self, node: &NodeProto, outs: Vec<Out>, first_new: usize) -> Result<Vec<Slot>, Fault> {
        if let Some(name) = node.output.iter().skip(outs.len()).find(|name| !name.is_empty()) {
            let message = format!("{} gives no result for `{name}`", node.op_type);
            return Err(Diagnostic::new(Code::Unsupported, self.location(), message).into());
        }
        let pairs = node.output.iter().zip(outs);
        pairs.map(|(name, out)| Ok(Slot::Term(self.named(name, out, first_new)?))).collect()
    }

    /// Compares declared types with the real ones: a contradiction is a warning.
    fn check_declared<'a>(&mut self, declared: impl Iterator<Item = &'a ValueInfoProto>) {
        for info in declared {
            let (Some(Slot::Term(term)), Some(wanted)) = (self.lookup(&info.name), tensor_value(info)) else { continue };
            let Some(shape) = &wanted.shape else { continue };
            let ty = self.ty(term);
            let same_rank = shape.dim.len() == ty.rank();
            let contradicts = |(dim, real): (&crate::proto::tensor_shape_proto::Dimension, &Expr)| match (&dim.value, real.as_const()) {
                (Some(crate::proto::tensor_shape_proto::Value::DimValue(size)), Some(real)) => *size > 0 && *size != real,
                _ => false,
            };
            let other_type = tensor::element_type_of(wanted.elem_type as i64).is_ok_and(|dtype| dtype != ty.dtype);
            if !same_rank || other_type || shape.dim.iter().zip(&ty.dims).any(contradicts) {
                let message = format!("the model declares another type for `{}` than {ty}, which it has", info.name);
                self.problems.warnings.push(Diagnostic::new(Code::Shape, &Location::of(&info.name), message));
            }
        }
    }
}

fn tensor_value(info: &ValueInfoProto) -> Option<&crate::proto::type_proto::Tensor> {
    match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(Value::TensorType(tensor)) => Some(tensor),
        _ => None,
    }
}

/// The element type of an input.
fn input_type(info: &ValueInfoProto) -> Result<DType, Diagnostic> {
    let location = Location::of(&info.name);
    let kind = match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(Value::TensorType(tensor)) => {
            let dtype = tensor::element_type_of(tensor.elem_type as i64);
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
