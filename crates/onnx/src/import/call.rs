//! What an operator sees of its node: operands, attributes, and the graph to add to.

use super::cx::Cx;
use super::known::Known;
use super::narrow::Narrow;
use super::sizes::{self, MAX_RANK};
use super::tensor;
use super::term::{Out, Term};
use crate::proto::{AttributeProto, AttributeType, GraphProto, NodeProto, TensorProto};
use ::ops::Builder;
use ::ops::dims::Guards;
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Tensor, TensorType, ValueId};
use nest::Func;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use sym::Expr;

/// One node with its operands, and the import that it is part of.
pub struct Call<'a, 'f> {
    pub cx: &'a mut Cx<'f>,
    pub node: &'a NodeProto,
    /// The version of the operator's domain.
    pub opset: i64,
    pub(super) operands: Vec<Option<Term>>,
    pub(super) asked: Asked,
}

/// What the operator has asked for: the names of attributes, and the number of operands up to the last one.
#[derive(Default)]
pub(super) struct Asked {
    attributes: RefCell<BTreeSet<&'static str>>,
    operands: Cell<usize>,
}

/// Why a node has no results.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Problem(Diagnostic),
    /// Something that has been reported already.
    Poisoned,
}

impl From<Diagnostic> for Fault {
    fn from(problem: Diagnostic) -> Fault {
        Fault::Problem(problem)
    }
}

/// The results of a node, in order.
pub type Outcome = Result<Vec<Out>, Fault>;

/// A single result.
pub fn one(out: impl Into<Out>) -> Outcome {
    Ok(vec![out.into()])
}

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

impl<'a> Call<'a, '_> {
    pub fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, self.cx.location(), message)
    }

    pub fn unsupported(&self, message: impl Into<String>) -> Diagnostic {
        self.error(Code::Unsupported, format!("{}: {}", self.node.op_type, message.into()))
    }

    pub fn attribute_error(&self, message: impl Into<String>) -> Diagnostic {
        self.error(Code::Attribute, message)
    }

    /// The builder of the current graph.
    pub fn b(&mut self) -> &mut Builder {
        self.cx.builder()
    }

    /// A condition on sizes that is checked at run time, unless it always holds.
    pub fn guard(&mut self, condition: Condition) {
        let condition = match condition {
            Condition::AtLeast(a, b) => sizes::at_least(&a, &b),
            other => other,
        };
        let always = match &condition {
            Condition::AtLeast(a, b) => sizes::is_nonnegative(&(a - b)),
            Condition::Equal(..) | Condition::OneOrEqual(..) => condition.holds(&|_| None),
        };
        if always == Some(true) {
            return;
        }
        let location = self.cx.location().clone();
        self.b().graph.guard(condition, &location);
    }

    /// The number in a scalar of the current graph as a size, which a call computes and which is at most `most`.
    pub fn computed_size(&mut self, value: ValueId, most: &Expr) -> Result<Expr> {
        let value = self.b().reshape(value, &[])?;
        let value = self.b().convert(value, DType::I64)?;
        let known = self.b().graph.graph().computed.iter().find(|(_, id)| *id == value).map(|(sym, _)| Expr::sym(sym));
        if let Some(known) = known {
            return Ok(known);
        }
        let sym = self.cx.computed_symbol();
        let high = most.as_const().unwrap_or(SymbolFact::default().high);
        self.b().graph.computed(&sym, SymbolFact { low: 0, high }, value);
        let size = Expr::sym(&sym);
        if most.as_const().is_none() {
            self.guard(Condition::AtLeast(most.clone(), size.clone()));
        }
        Ok(size)
    }

    /// Sizes that must be equal: an error where they cannot be, and guards where the sizes of a call decide.
    pub fn equal_dims(&mut self, what: &str, a: &[Expr], b: &[Expr]) -> Result<()> {
        let mut guards = Guards::default();
        guards.all_equal(what, a, b).map_err(|error| self.error(error.code, error.message))?;
        guards.0.into_iter().for_each(|condition| self.guard(condition));
        Ok(())
    }

    /// The number of operands of an operator that takes any number.
    pub fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// The number of results that the node names.
    pub fn output_count(&self) -> usize {
        self.node.output.len()
    }

    /// Whether the node names result number `at`.
    pub fn wants(&self, at: usize) -> bool {
        self.node.output.get(at).is_some_and(|name| !name.is_empty())
    }

    /// An operand that may be left out.
    pub fn optional(&self, at: usize) -> Option<Term> {
        self.asked.operands.set(self.asked.operands.get().max(at + 1));
        self.operands.get(at).copied().flatten()
    }

    pub fn term(&self, at: usize) -> Result<Term> {
        self.optional(at).ok_or_else(|| self.error(Code::Malformed, format!("{} lacks its operand {at}", self.node.op_type)))
    }

    pub fn ty(&self, at: usize) -> Result<&TensorType> {
        Ok(self.cx.ty(self.term(at)?))
    }

    pub fn dtype(&self, at: usize) -> Result<DType> {
        Ok(self.ty(at)?.dtype)
    }

    /// The values of an operand that is a sequence.
    pub fn sequence(&self, at: usize) -> Result<Vec<Term>> {
        let term = self.term(at)?;
        let elements = self.cx.sequence(term).map(<[Term]>::to_vec);
        elements.ok_or_else(|| self.error(Code::Type, format!("operand {at} of {} is no sequence", self.node.op_type)))
    }

    /// What an operand's elements stand for, where that is no type of the graph.
    pub fn narrow(&self, at: usize) -> Option<Narrow> {
        self.optional(at).and_then(|term| self.cx.narrow(term))
    }

    pub fn dims(&self, at: usize) -> Result<Vec<Expr>> {
        Ok(self.ty(at)?.dims.clone())
    }

    pub fn rank(&self, at: usize) -> Result<usize> {
        Ok(self.ty(at)?.rank())
    }

    /// An operand as a value of the graph.
    pub fn value(&mut self, at: usize) -> Result<ValueId> {
        let term = self.term(at)?;
        self.cx.emit(term)
    }

    pub fn optional_value(&mut self, at: usize) -> Result<Option<ValueId>> {
        self.optional(at).map(|term| self.cx.emit(term)).transpose()
    }

    /// Every operand as a value of the graph.
    pub fn values(&mut self) -> Result<Vec<ValueId>> {
        (0..self.operands.len()).map(|at| self.value(at)).collect()
    }

    /// The elements of an operand, where they are few and known.
    pub fn known(&self, at: usize) -> Option<Known> {
        self.optional(at).and_then(|term| self.cx.known(term))
    }

    /// `func` of as many operands as it takes, where their elements are known.
    pub fn fold(&self, func: Func) -> Option<Known> {
        let count = func.arity();
        (0..count).find_map(|at| self.known(at))?;
        let operands: Option<Vec<Known>> = (0..count).map(|at| self.whole(at)).collect();
        Known::map(func, &operands?)
    }

    /// The elements of an operand, where they are known: also whole floats of the model.
    pub fn whole(&self, at: usize) -> Option<Known> {
        self.known(at).or_else(|| Known::of_whole_floats(&self.cx.constant(self.optional(at)?)?))
    }

    /// The elements of an operand that must be known: it shapes other tensors.
    pub fn sizes(&self, at: usize, what: &str) -> Result<Vec<Expr>> {
        self.term(at)?;
        let known = self.known(at);
        known
            .map(|known| known.values)
            .ok_or_else(|| self.unsupported(format!("`{what}` is computed from data, and not known before a call")))
    }

    /// The elements of an operand as sizes, at least 0: known ones, or those that a call computes.
    pub fn computed_sizes(&mut self, at: usize, what: &str) -> Result<Vec<Expr>> {
        match self.known(at) {
            Some(known) => Ok(known.values),
            None => {
                let elements = self.scalars(at, what)?;
                elements.into_iter().map(|element| self.computed_size(element, &Expr::from(SymbolFact::default().high))).collect()
            }
        }
    }

    /// The only one of such elements.
    pub fn computed_number(&mut self, at: usize, what: &str) -> Result<Expr> {
        match <[Expr; 1]>::try_from(self.computed_sizes(at, what)?) {
            Ok([size]) => Ok(size),
            Err(other) => Err(self.error(Code::Shape, format!("`{what}` has {} elements", other.len()))),
        }
    }

    /// As [`Call::scalars`], of integers.
    pub fn integers(&mut self, at: usize, what: &str) -> Result<Vec<ValueId>> {
        let dtype = self.ty(at)?.dtype;
        if dtype.is_int() {
            self.scalars(at, what)
        } else {
            Err(self.error(Code::Type, format!("the elements of `{what}` are {dtype}, not integers")))
        }
    }

    /// The elements of an operand that is a list of few numbers, each as an i64 scalar.
    pub fn scalars(&mut self, at: usize, what: &str) -> Result<Vec<ValueId>> {
        let ty = self.ty(at)?.clone();
        let count = match ty.const_dims().as_deref() {
            Some([]) => 1,
            Some([count]) if *count <= MAX_RANK => *count,
            _ => return Err(self.unsupported(format!("`{what}` is {ty}, computed from data, and not known before a call"))),
        };
        let list = self.value(at)?;
        let b = self.b();
        let list = b.reshape(list, &[Expr::from(count as i64)])?;
        let list = b.convert(list, DType::I64)?;
        let element = |at: usize| {
            let part = b.slice_axis(list, 0, &Expr::from(at as i64), &Expr::one())?;
            b.reshape(part, &[])
        };
        (0..count).map(element).collect()
    }

    /// The elements of an operand that must be numbers.
    pub fn numbers(&self, at: usize, what: &str) -> Result<Vec<i64>> {
        let sizes = self.sizes(at, what)?;
        let numbers: Option<Vec<i64>> = sizes.iter().map(Expr::as_const).collect();
        numbers.ok_or_else(|| self.unsupported(format!("`{what}` depends on sizes that are not known: {sizes:?}")))
    }

    /// The only element of an operand whose contents are in the model.
    pub fn constant(&self, at: usize) -> Option<ir::Literal> {
        let tensor = self.optional(at).and_then(|term| self.cx.constant(term))?;
        (tensor.count() == 1).then(|| tensor.to_array().get(0))
    }

    /// Axis `axis` of a tensor of rank `rank`, where negative ones count from the end.
    pub fn normal_axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let normal = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let normal = normal.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
        normal.ok_or_else(|| self.attribute_error(format!("axis {axis} is outside of rank {rank}")))
    }

    /// Distinct axes, in the order given.
    pub fn normal_axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let normal: Vec<usize> = axes.iter().map(|axis| self.normal_axis(*axis, rank)).collect::<Result<_>>()?;
        let distinct: BTreeSet<&usize> = normal.iter().collect();
        match distinct.len() == normal.len() {
            true => Ok(normal),
            false => Err(self.attribute_error(format!("axes {axes:?} name an axis of rank {rank} twice"))),
        }
    }

    /// `axes`: an attribute before opset `since`, from it on the operand number `at`. None where there are none.
    pub fn axes(&self, at: usize, since: i64) -> Result<Option<Vec<i64>>> {
        match self.opset < since {
            true => self.ints("axes"),
            false if self.optional(at).is_some() => self.numbers(at, "axes").map(Some),
            false => Ok(None),
        }
    }

    fn attribute(&self, name: &'static str, kind: AttributeType) -> Result<Option<&'a AttributeProto>> {
        self.asked.attributes.borrow_mut().insert(name);
        let Some(attribute) = self.node.attribute.iter().find(|attribute| attribute.name == name) else { return Ok(None) };
        match AttributeType::try_from(attribute.r#type) {
            Ok(found) if found == kind || found == AttributeType::Undefined => Ok(Some(attribute)),
            Ok(found) => Err(self.attribute_error(format!("attribute `{name}` is of kind {found:?}, not {kind:?}"))),
            Err(_) => Err(self.attribute_error(format!("attribute `{name}` is of kind {}, which is none", attribute.r#type))),
        }
    }

    /// Takes note of attributes that mean nothing here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.asked.attributes.borrow_mut().extend(names);
    }

    pub fn int(&self, name: &'static str) -> Result<Option<i64>> {
        Ok(self.attribute(name, AttributeType::Int)?.map(|attribute| attribute.i))
    }

    pub fn int_or(&self, name: &'static str, default: i64) -> Result<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// An attribute of 0 or 1.
    pub fn flag_or(&self, name: &'static str, default: bool) -> Result<bool> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(self.attribute_error(format!("attribute `{name}` is {other}, not 0 or 1"))),
        }
    }

    pub fn float(&self, name: &'static str) -> Result<Option<f32>> {
        Ok(self.attribute(name, AttributeType::Float)?.map(|attribute| attribute.f))
    }

    pub fn float_or(&self, name: &'static str, default: f32) -> Result<f64> {
        Ok(self.float(name)?.unwrap_or(default) as f64)
    }

    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|attribute| attribute.ints.clone()))
    }

    pub fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>> {
        Ok(self.attribute(name, AttributeType::Floats)?.map(|attribute| attribute.floats.as_slice()))
    }

    pub fn text(&self, name: &'static str) -> Result<Option<&'a str>> {
        let Some(attribute) = self.attribute(name, AttributeType::String)? else { return Ok(None) };
        let text = std::str::from_utf8(&attribute.s).map_err(|_| self.attribute_error(format!("attribute `{name}` is no text")))?;
        Ok(Some(text))
    }

    pub fn texts(&self, name: &'static str) -> Result<Option<Vec<&'a str>>> {
        let Some(attribute) = self.attribute(name, AttributeType::Strings)? else { return Ok(None) };
        let texts = attribute.strings.iter().map(|text| std::str::from_utf8(text)).collect::<std::result::Result<_, _>>();
        texts.map(Some).map_err(|_| self.attribute_error(format!("attribute `{name}` is no text")))
    }

    pub fn tensor(&self, name: &'static str) -> Result<Option<(Tensor, Option<Narrow>)>> {
        let Some(attribute) = self.attribute(name, AttributeType::Tensor)? else { return Ok(None) };
        let empty = TensorProto::default();
        tensor::tensor(self.cx.file, attribute.t.as_deref().unwrap_or(&empty), self.cx.location(), &self.cx.strings).map(Some)
    }

    pub fn optional_graph(&self, name: &'static str) -> Result<Option<&'a GraphProto>> {
        let attribute = self.attribute(name, AttributeType::Graph)?;
        Ok(attribute.and_then(|attribute| attribute.g.as_deref()))
    }

    /// A graph that must be there.
    pub fn graph(&self, name: &'static str) -> Result<&'a GraphProto> {
        self.optional_graph(name)?.ok_or_else(|| self.attribute_error(format!("attribute `{name}` is missing")))
    }

    /// The number of a string, which becomes one of the model's.
    pub fn string_number(&self, text: &str) -> Result<i64> {
        self.cx.strings.number(text).map_err(|_| self.error(Code::Limit, ir::strings::Full::MESSAGE))
    }

    /// Nothing is there that the operator has not asked for: it could change the meaning.
    pub(super) fn check_all_asked(&self) -> Result<()> {
        let (op, opset) = (&self.node.op_type, self.opset);
        let asked = self.asked.attributes.borrow();
        if let Some(attribute) = self.node.attribute.iter().find(|attribute| !asked.contains(attribute.name.as_str())) {
            return Err(self.attribute_error(format!("{op} of opset {opset} has no attribute `{}`", attribute.name)));
        }
        let given = self.operands.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        match self.asked.operands.get() {
            asked if given > asked => Err(self.error(Code::Malformed, format!("{op} of opset {opset} has no operand {asked}"))),
            _ => Ok(()),
        }
    }
}
