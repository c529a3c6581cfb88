//! The state of an import, and how a value of the model gets into a graph.

use super::content::Content;
use super::known::Known;
use super::narrow::Narrow;
use super::problems::Problems;
use super::scope::{Frame, Scope, Slot, lookup};
use super::sizes;
use super::term::{Form, Out, Term, TermData, constant_type};
use crate::file::ModelFile;
use crate::ops::RANDOM;
use crate::proto::{FunctionProto, GraphProto, NodeProto};
use ::ops::Builder;
use ir::{Code, Diagnostic, Location, Strings, TensorType, Texts, ValueId};
use std::collections::BTreeMap;
use std::sync::Arc;
use sym::Sym;

/// Domain, name and overload of a function.
pub(super) type FunctionKey = (String, String, String);

/// What random operators draw from.
#[derive(Default)]
pub(crate) struct Chance {
    pub seed: u64,
    /// How many such operators there are so far.
    pub nodes: u32,
    /// The numbers of the runs of the loops around the current graph, the outermost first.
    pub runs: Vec<Term>,
}

/// Everything that is known while a model is imported. Invariant: `scopes` and `frames` are never empty.
pub struct Cx<'f> {
    pub(super) file: &'f ModelFile,
    pub(super) functions: BTreeMap<FunctionKey, &'f FunctionProto>,
    /// The functions whose bodies are being imported.
    pub(super) active: Vec<FunctionKey>,
    pub(super) problems: Problems,
    pub(super) scopes: Vec<Scope>,
    pub(super) frames: Vec<Frame>,
    pub(super) nodes_left: usize,
    /// The strings of the model.
    pub(super) strings: Strings,
    /// The inputs and outputs that are of strings.
    pub(super) texts: Texts,
    /// How many sizes that depend on data were declared.
    computed: usize,
    pub(crate) chance: Chance,
    terms: Vec<TermData>,
}

/// The most elements of a `Constant` node that the text of a graph writes out; more are a weight under the node's output name.
const MAX_WRITTEN: usize = 16;

/// The most nodes of a model, with functions expanded.
const MAX_NODES: usize = 200_000;

impl<'f> Cx<'f> {
    pub(super) fn new(file: &'f ModelFile, main: Scope, frame: Frame) -> Cx<'f> {
        Cx {
            file,
            functions: BTreeMap::new(),
            active: Vec::new(),
            problems: Problems::default(),
            scopes: vec![main],
            frames: vec![frame],
            nodes_left: MAX_NODES,
            strings: Strings::default(),
            texts: Texts::default(),
            computed: 0,
            chance: Chance::default(),
            terms: Vec::new(),
        }
    }

    pub(super) fn scope(&mut self) -> &mut Scope {
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    pub(super) fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// What is wrong so far: an attempt that another follows leaves nothing behind.
    pub(crate) fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    /// The builder of the current graph.
    pub fn builder(&mut self) -> &mut Builder {
        &mut self.scope().builder
    }

    pub(super) fn location(&self) -> &Location {
        &self.scopes[self.scopes.len() - 1].builder.location
    }

    pub(super) fn lookup(&self, name: &str) -> Option<Slot> {
        lookup(&self.frames, name)
    }

    /// Whether the current graph is inside of a node.
    pub(crate) fn is_region(&self) -> bool {
        self.scopes.len() > 1
    }

    pub fn ty(&self, term: Term) -> &TensorType {
        &self.data(term).ty
    }

    fn data(&self, term: Term) -> &TermData {
        &self.terms[term.0 as usize]
    }

    /// The elements, where they are few and known.
    pub fn known(&self, term: Term) -> Option<Known> {
        match &self.data(term).form {
            Form::Built | Form::Sequence(_) | Form::Nothing => None,
            Form::Constant { .. } if self.narrow(term).is_some() => None,
            Form::Constant { tensor, .. } => Known::of_tensor(tensor),
            Form::Known(known) => Some(known.clone()),
        }
    }

    /// The tensor, where its contents are numbers.
    pub fn constant(&self, term: Term) -> Option<ir::Tensor> {
        match &self.data(term).form {
            Form::Constant { tensor, .. } => Some(tensor.clone()),
            Form::Known(known) => {
                let (dtype, dims, numbers) = (known.dtype, known.dims.clone(), known.constants()?);
                let array = match dtype.is_float() {
                    true => ir::Array::floats(dtype, dims, numbers.into_iter().map(|number| number as f64).collect()),
                    false => ir::Array::ints(dtype, dims, numbers),
                };
                Some(ir::Tensor::from_array(&array))
            }
            Form::Built | Form::Sequence(_) | Form::Nothing => None,
        }
    }

    /// Whether it is a tensor.
    pub fn content(&self, term: Term) -> Content {
        match &self.data(term).form {
            Form::Sequence(elements) => Content::Sequence(elements.len()),
            Form::Nothing => Content::Nothing,
            Form::Built | Form::Constant { .. } | Form::Known(_) => Content::Tensor,
        }
    }

    /// Whether a graph inside of a node may draw random numbers; a function of the model may.
    pub(crate) fn may_draw(&self, graph: &GraphProto) -> bool {
        let inside =
            |node: &NodeProto| node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()).any(|graph| self.may_draw(graph));
        let called = |node: &NodeProto| self.functions.keys().any(|(_, name, _)| *name == node.op_type);
        graph.node.iter().any(|node| RANDOM.contains(&node.op_type.as_str()) || called(node) || inside(node))
    }

    /// The values of a sequence.
    pub fn sequence(&self, term: Term) -> Option<&[Term]> {
        match &self.data(term).form {
            Form::Sequence(elements) => Some(elements),
            Form::Built | Form::Constant { .. } | Form::Known(_) | Form::Nothing => None,
        }
    }

    /// What the elements stand for, where that is no type of the graph.
    pub fn narrow(&self, term: Term) -> Option<Narrow> {
        self.data(term).narrow
    }

    pub(super) fn narrowed(&mut self, term: Term, narrow: Option<Narrow>) -> Term {
        self.terms[term.0 as usize].narrow = narrow;
        term
    }

    pub(super) fn add_term(&mut self, name: &str, ty: TensorType, form: Form) -> Term {
        let location = self.location().clone();
        self.terms.push(TermData { name: Arc::from(name), ty, form, narrow: None, location });
        Term(self.terms.len() as u32 - 1)
    }

    /// A term for a sequence, or for nothing.
    pub(super) fn no_tensor(&mut self, name: &str, form: Form) -> Term {
        self.add_term(name, constant_type(ir::DType::Bool, &[]), form)
    }

    /// A term for a value of the current graph.
    pub(crate) fn built(&mut self, name: &str, id: ValueId) -> Term {
        let ty = self.builder().ty(id).clone();
        let term = self.add_term(name, ty, Form::Built);
        self.scope().values.insert(term, id);
        term
    }

    /// A term for known integers.
    pub(crate) fn known_term(&mut self, name: &str, known: Known) -> Term {
        self.add_term(name, constant_type(known.dtype, &known.dims), Form::Known(known))
    }

    /// A term under the model's name for it. Values from number `first_new` on take over the name.
    pub(super) fn named(&mut self, name: &str, out: Out, first_new: usize) -> Result<Term, Diagnostic> {
        match out {
            Out::Term(term) => Ok(term),
            Out::Known(known) => Ok(self.known_term(name, known)),
            Out::Sequence(elements) => Ok(self.no_tensor(name, Form::Sequence(elements))),
            Out::Nothing => Ok(self.no_tensor(name, Form::Nothing)),
            Out::Narrow(out, narrow) => {
                let term = self.named(name, *out, first_new)?;
                Ok(self.narrowed(term, Some(narrow)))
            }
            Out::Constant(tensor) => {
                let ty = constant_type(tensor.dtype(), tensor.dims());
                let weight = (self.frames.len() == 1 && tensor.count() > MAX_WRITTEN).then(|| Arc::from(name));
                Ok(self.add_term(name, ty, Form::Constant { tensor, weight }))
            }
            Out::Value(id) => {
                if !sizes::is_reasonable(self.builder().ty(id)) {
                    let message = format!("the type of `{name}` is beyond the limits: {} axes", self.builder().dims(id).len());
                    return Err(self.builder().error(Code::Limit, message));
                }
                if id.0 as usize >= first_new {
                    self.builder().graph.rename(id, name);
                }
                Ok(self.built(name, id))
            }
        }
    }

    /// A new symbol for a size that depends on data.
    pub(super) fn computed_symbol(&mut self) -> Sym {
        self.computed += 1;
        Sym::new(&format!("count.{}", self.computed - 1))
    }

    /// The term as a value of the current graph.
    pub fn emit(&mut self, term: Term) -> Result<ValueId, Diagnostic> {
        self.emit_in(term, self.scopes.len() - 1)
    }

    fn emit_in(&mut self, term: Term, depth: usize) -> Result<ValueId, Diagnostic> {
        if let Some(id) = self.scopes[depth].values.get(&term) {
            return Ok(*id);
        }
        let data = &self.terms[term.0 as usize];
        let builder = &mut self.scopes[depth].builder;
        let id = match &data.form {
            Form::Built if depth == 0 => return Err(builder.error(Code::Names, format!("`{}` is out of reach", data.name))),
            Form::Built => self.capture(term, depth)?,
            Form::Sequence(_) | Form::Nothing => {
                let what = if matches!(data.form, Form::Nothing) { Content::Nothing } else { Content::Sequence(0) };
                let message = format!("`{}` is {}; only tensors are supported here", data.name, what.text());
                return Err(builder.error(Code::Unsupported, message));
            }
            Form::Constant { tensor, weight } => builder.graph.constant(tensor.clone(), weight.as_deref(), &data.name),
            Form::Known(known) => {
                let consumer = std::mem::replace(&mut builder.location, data.location.clone());
                let id = builder.sizes(&known.values, &known.dims, known.dtype);
                builder.location = consumer;
                let id = id?;
                builder.graph.rename(id, &data.name);
                id
            }
        };
        self.scopes[depth].values.insert(term, id);
        Ok(id)
    }

    /// The value as an input of region number `depth`.
    pub(super) fn capture(&mut self, term: Term, depth: usize) -> Result<ValueId, Diagnostic> {
        self.emit_in(term, depth - 1)?;
        let data = &self.terms[term.0 as usize];
        let scope = &mut self.scopes[depth];
        scope.captures.push(term);
        let id = scope.builder.input(&data.name, data.ty.clone());
        scope.values.insert(term, id);
        Ok(id)
    }
}
