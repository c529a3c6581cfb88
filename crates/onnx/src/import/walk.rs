//! Graphs and their nodes, in order.

use super::call::{Call, Fault, Outcome};
use super::content::Content;
use super::cx::Cx;
use super::function::left_out;
use super::interface::Weights;
use super::narrow::Narrow;
use super::scope::{Frame, Scope, Slot};
use super::term::{Out, Term};
use super::{ImportOptions, Imported};
use crate::file::ModelFile;
use crate::ops::{self, LATEST_OPSET, Reading};
use crate::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use ir::{Code, Diagnostic, Diagnostics, Location, Texts};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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
    cx.chance.seed = options.seed;
    cx.functions(&file.model);
    cx.check_opset();
    cx.initializers(graph, Weights::Named);
    cx.inputs(graph, options);
    cx.nodes(&graph.node);
    cx.builder().location = Location::default();
    cx.outputs(graph);
    cx.check_declared(graph.output.iter().chain(&graph.value_info));
    let Cx { problems, scopes, strings, texts, .. } = cx;
    let warnings = problems.check()?;
    let mut graph = scopes.into_iter().next().map(|scope| scope.builder.finish()).unwrap_or_default();
    graph.texts = Texts { table: strings.added(), ..texts };
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
    pub(super) fn define(&mut self, name: &str, slot: Slot, location: &Location) {
        match self.frame().names.contains_key(name) {
            true => self.problems.fault(Diagnostic::new(Code::Names, location, format!("`{name}` is defined twice"))),
            false => drop(self.frame().names.insert(name.to_string(), slot)),
        }
    }

    /// The value of a name; a problem where it has none, which is reported once.
    pub(crate) fn defined(&mut self, name: &str, location: &Location) -> Option<Term> {
        match self.lookup(name) {
            Some(Slot::Term(term)) => Some(term),
            Some(Slot::Poisoned) => None,
            Some(Slot::Absent) => {
                self.problems.fault(left_out(name, location));
                None
            }
            None if self.nodes_left == 0 => None,
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

    /// The outputs of a graph inside of the current node, which sees the names around it. `attribute` is where it stands, `inputs` are
    /// the values of its inputs.
    pub(crate) fn subgraph(&mut self, graph: &GraphProto, attribute: &str, inputs: &[Term]) -> Result<Vec<Term>, Fault> {
        if graph.input.len() != inputs.len() {
            let message = format!("`{attribute}` has {} inputs, not {}", graph.input.len(), inputs.len());
            return Err(Diagnostic::new(Code::Malformed, self.location(), message).into());
        }
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
        let location = self.location().clone();
        for (info, term) in graph.input.iter().zip(inputs) {
            self.define(&info.name, Slot::Term(*term), &location);
        }
        self.initializers(graph, Weights::Unnamed);
        self.nodes(&graph.node);
        let outputs = graph.output.iter().map(|info| self.defined(&info.name, &location)).collect::<Option<Vec<Term>>>();
        self.frames.pop();
        outputs.ok_or(Fault::Poisoned)
    }

    /// Counts copies of a graph's nodes, and runs of unrolled bodies, like the model's own nodes: a file is untrusted, and both may nest.
    pub(crate) fn count_nodes(&mut self, count: usize) -> Result<(), Diagnostic> {
        match self.nodes_left.checked_sub(count).filter(|left| *left > 0) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => {
                let message = "the model has too many nodes, with its loops unrolled and the sizes of its branches computed";
                Err(Diagnostic::new(Code::Limit, self.location(), message))
            }
        }
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
    pub(super) fn nodes(&mut self, nodes: &[impl Borrow<NodeProto>]) {
        let outer = self.location().clone();
        for (index, node) in nodes.iter().enumerate() {
            let Some(left) = self.nodes_left.checked_sub(1) else { break };
            self.nodes_left = left;
            if left == 0 {
                self.problems.fault(Diagnostic::new(Code::Limit, &outer, "the model has too many nodes, with its functions expanded"));
            }
            self.node(index, node.borrow());
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
            let name = if domain.is_empty() { "ai.onnx" } else { domain };
            let problem =
                Diagnostic::new(Code::Malformed, self.location(), format!("the model does not say which version of {name} it uses"));
            self.problems.once(format!("version of {name}"), problem);
            return Err(Fault::Poisoned);
        };
        let Some(import) = ops::find(domain, &node.op_type, opset) else {
            self.unsupported(node, opset, operands);
            return Err(Fault::Poisoned);
        };
        let operands = operands?;
        let narrow = operands.iter().flatten().find_map(|term| self.narrow(*term));
        let takes_sequences = domain.is_empty() && ops::TAKES_SEQUENCES.contains(&node.op_type.as_str());
        let strange = operands.iter().flatten().map(|term| self.content(*term)).find(|content| *content != Content::Tensor);
        if let Some(content) = strange.filter(|_| !takes_sequences) {
            let message = format!("{}: {} is not supported", node.op_type, content.text());
            return Err(Diagnostic::new(Code::Unsupported, self.location(), message).into());
        }
        let reading = narrow.map_or(Reading::Knows, |narrow| ops::reading(domain, &node.op_type, narrow));
        if let Some(narrow) = narrow.filter(|_| reading == Reading::Refuses) {
            let message = format!("{}: element type {} is not supported", node.op_type, narrow.name());
            return Err(Diagnostic::new(Code::Unsupported, self.location(), message).into());
        }
        self.check_alike(node, &operands)?;
        let mut call = Call { cx: self, node, opset, operands, asked: Default::default() };
        let outs = import(&mut call)?;
        call.check_all_asked()?;
        Ok(match narrow.filter(|_| reading == Reading::Moves) {
            Some(narrow) => outs.into_iter().map(|out| Out::of(out, Some(narrow))).collect(),
            None => outs,
        })
    }

    /// Operands whose elements meet in one tensor, or are compared, are all of strings or none is.
    fn check_alike(&self, node: &NodeProto, operands: &[Option<Term>]) -> Result<(), Diagnostic> {
        let alike = operands.iter().enumerate().filter(|(at, _)| ops::meets(&node.op_type, *at)).filter_map(|(_, term)| *term);
        let texts: Vec<bool> = alike.map(|term| self.narrow(term) == Some(Narrow::Text)).collect();
        match texts.iter().any(|text| *text != texts[0]) {
            true => Err(Diagnostic::new(Code::Type, self.location(), format!("{} of strings and what is none", node.op_type))),
            false => Ok(()),
        }
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
        let name = if domain.is_empty() { node.op_type.clone() } else { format!("{domain}.{}", node.op_type) };
        let since = ops::oldest(domain, &node.op_type).map_or(String::new(), |since| format!("; it is from opset {since} on"));
        let types = match operands {
            Ok(operands) if operands.is_empty() => "it has no operands".to_string(),
            Ok(operands) => format!("its operands are {}", self.types(&operands)),
            Err(_) => "the types of its operands are not known".to_string(),
        };
        let message = format!("operator {name} of opset {opset} is not supported{since}; {types}");
        let problem = Diagnostic::new(Code::Unsupported, self.location(), message);
        self.problems.once(name, problem);
    }

    fn types(&self, operands: &[Option<Term>]) -> String {
        let ty = |term: &Option<Term>| {
            term.map_or("nothing".to_string(), |term| match self.content(term) {
                Content::Tensor => self.ty(term).to_string(),
                content => content.text(),
            })
        };
        operands.iter().map(ty).collect::<Vec<String>>().join(", ")
    }

    fn results(&mut self, node: &NodeProto, outs: Vec<Out>, first_new: usize) -> Result<Vec<Slot>, Fault> {
        if let Some(name) = node.output.iter().skip(outs.len()).find(|name| !name.is_empty()) {
            let message = format!("{} gives no result for `{name}`", node.op_type);
            return Err(Diagnostic::new(Code::Unsupported, self.location(), message).into());
        }
        let pairs = node.output.iter().zip(outs);
        pairs.map(|(name, out)| Ok(Slot::Term(self.named(name, out, first_new)?))).collect()
    }
}
