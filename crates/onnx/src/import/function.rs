//! Calls of the model's own functions: the body is imported in place of the call.

use super::call::{Fault, Outcome};
use super::cx::{Cx, FunctionKey};
use super::scope::{Frame, Slot};
use super::term::{Out, Term};
use super::walk::{defined_names, versions};
use crate::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use ir::{Code, Diagnostic, Location};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The attributes of a call, by name.
type Arguments<'a> = BTreeMap<&'a str, &'a AttributeProto>;

impl<'f> Cx<'f> {
    /// The results of a function's body for these operands.
    pub(super) fn inline(&mut self, key: FunctionKey, function: &FunctionProto, node: &NodeProto, operands: Vec<Option<Term>>) -> Outcome {
        if self.active.contains(&key) {
            return Err(Diagnostic::new(Code::Names, self.location(), format!("function `{}` calls itself", function.name)).into());
        }
        if operands.len() > function.input.len() {
            let message = format!("function `{}` takes {} operands, not {}", function.name, function.input.len(), operands.len());
            return Err(Diagnostic::new(Code::Malformed, self.location(), message).into());
        }
        let arguments = self.arguments(function, node)?;
        let body: Vec<Cow<NodeProto>> = function.node.iter().map(|node| with_arguments(node, &arguments)).collect();
        self.enter(self.body_frame(function, &operands))?;
        self.active.push(key);
        self.nodes(&body);
        self.active.pop();
        let outputs = function.output.iter().map(|name| self.lookup(name)).collect::<Vec<Option<Slot>>>();
        self.frames.pop();
        outputs.into_iter().zip(&function.output).map(|(slot, name)| self.result(slot, name)).collect()
    }

    fn result(&self, slot: Option<Slot>, name: &str) -> Result<Out, Fault> {
        match slot {
            Some(Slot::Term(term)) => Ok(Out::Term(term)),
            Some(Slot::Poisoned) => Err(Fault::Poisoned),
            Some(Slot::Absent) => Err(left_out(name, self.location()).into()),
            // the limit has been told
            None if self.nodes_left == 0 => Err(Fault::Poisoned),
            None => Err(Diagnostic::new(Code::Names, self.location(), format!("`{name}` is not defined")).into()),
        }
    }

    fn body_frame(&self, function: &FunctionProto, operands: &[Option<Term>]) -> Frame {
        let slot = |at: usize| operands.get(at).copied().flatten().map_or(Slot::Absent, Slot::Term);
        let outer = &self.frames[self.frames.len() - 1];
        let mut opsets = (*outer.opsets).clone();
        opsets.extend(versions(&function.opset_import));
        let prefix = format!("{}/", self.location());
        Frame {
            names: function.input.iter().enumerate().map(|(at, name)| (name.clone(), slot(at))).collect(),
            defined: defined_names(&function.node),
            opaque: true,
            opsets: Rc::new(opsets),
            label: prefix.clone(),
            prefix,
        }
    }

    /// The function's attributes: those of the call, else their defaults.
    fn arguments<'a>(&self, function: &'a FunctionProto, node: &'a NodeProto) -> Result<Arguments<'a>, Diagnostic> {
        let mut arguments: Arguments = function.attribute_proto.iter().map(|attribute| (attribute.name.as_str(), attribute)).collect();
        for attribute in &node.attribute {
            let name = attribute.name.as_str();
            if !arguments.contains_key(name) && !function.attribute.iter().any(|known| known == name) {
                let message = format!("function `{}` has no attribute `{name}`", function.name);
                return Err(Diagnostic::new(Code::Attribute, self.location(), message));
            }
            arguments.insert(name, attribute);
        }
        Ok(arguments)
    }
}

/// An input of a function that its call leaves out, where a value is needed.
pub(super) fn left_out(name: &str, location: &Location) -> Diagnostic {
    Diagnostic::new(Code::Unsupported, location, format!("`{name}` is a result, but an input that the function's call leaves out"))
}

/// Whether a node refers to attributes of the function that it is in.
fn refers(node: &NodeProto) -> bool {
    let graph = |attribute: &AttributeProto| attribute.g.as_ref().is_some_and(|graph| graph.node.iter().any(refers));
    node.attribute.iter().any(|attribute| !attribute.ref_attr_name.is_empty() || graph(attribute))
}

/// The node with references to the function's attributes replaced; one that the call leaves out is left out.
fn with_arguments<'n>(node: &'n NodeProto, arguments: &Arguments) -> Cow<'n, NodeProto> {
    if !refers(node) {
        return Cow::Borrowed(node);
    }
    let attribute = node.attribute.iter().filter_map(|attribute| bound_attribute(attribute, arguments)).collect();
    Cow::Owned(NodeProto {
        attribute,
        input: node.input.clone(),
        output: node.output.clone(),
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        domain: node.domain.clone(),
        overload: node.overload.clone(),
        ..NodeProto::default()
    })
}

fn bound_attribute(attribute: &AttributeProto, arguments: &Arguments) -> Option<AttributeProto> {
    if !attribute.ref_attr_name.is_empty() {
        let argument = arguments.get(attribute.ref_attr_name.as_str())?;
        return Some(AttributeProto { name: attribute.name.clone(), ..(*argument).clone() });
    }
    let mut bound = attribute.clone();
    bound.g = attribute.g.as_ref().map(|graph| Box::new(bound_graph(graph, arguments)));
    Some(bound)
}

fn bound_graph(graph: &GraphProto, arguments: &Arguments) -> GraphProto {
    let node = graph.node.iter().map(|node| with_arguments(node, arguments).into_owned()).collect();
    GraphProto { node, ..graph.clone() }
}
