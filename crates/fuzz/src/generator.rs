//! The state of generation: the draft, what is known of its values, and how a step finds its operands.
//!
//! A step never asks whether a model is valid afterwards: it knows the dims of every value as expressions of the symbols, and the sizes
//! that the symbols will have.

use crate::draft::{self, Draft};
use crate::interval::Interval;
use ir::{Array, DType, Literal, Tensor};
use onnx::proto::{AttributeProto, GraphProto, NodeProto};
use random::Random;
use sym::{Expr, Sym};

mod operand;
mod tensor;

/// A value by its place in `Generator::values`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(usize);

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    pub dtype: DType,
    pub dims: Vec<Expr>,
    pub interval: Interval,
    /// Nothing on the way to it rounds, so that every correct compiler gives the same bits. Only such floats are compared, rounded to
    /// whole numbers or converted to integers.
    pub exact: bool,
}

impl Form {
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    pub fn is_float(&self) -> bool {
        self.dtype.is_float()
    }

    pub fn of(&self, dims: Vec<Expr>) -> Form {
        Form { dims, ..self.clone() }
    }

    pub fn within(&self, interval: Interval) -> Form {
        Form { interval, ..self.clone() }
    }

    /// Integers stay exact, whatever is done to them.
    pub fn rounded(&self) -> Form {
        Form { exact: !self.is_float(), ..self.clone() }
    }

    pub fn cast(&self, dtype: DType) -> Form {
        Form { dtype, exact: self.exact || !dtype.is_float(), ..self.clone() }
    }
}

#[derive(Clone, Debug)]
pub struct Value {
    pub name: String,
    pub form: Form,
    /// Whether a node reads it.
    pub used: bool,
    /// Whether it is there to parametrise one node (a shape, axes, bounds), and not to be computed with.
    pub is_parameter: bool,
}

/// A named size, with the sizes that it has in each of the model's calls.
#[derive(Clone, Debug)]
pub struct Symbol {
    pub name: String,
    pub sizes: Vec<i64>,
}

pub struct Generator {
    pub random: Random,
    pub draft: Draft,
    pub values: Vec<Value>,
    pub symbols: Vec<Symbol>,
    /// How many calls are made.
    pub calls: usize,
    pub opset: i64,
    /// The type of floats, where nothing asks for another.
    pub float: DType,
    /// The most elements of one tensor.
    pub most_elements: i64,
    /// The most multiplications of one node.
    pub most_work: i64,
    /// Whether nodes go into a branch or the body of a loop.
    pub in_branch: bool,
}

/// Where a branch or body began: the nodes before it, and the number of values.
pub struct Mark {
    nodes: Vec<NodeProto>,
    values: usize,
}

impl Generator {
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id.0]
    }

    pub fn form(&self, id: Id) -> &Form {
        &self.value(id).form
    }

    pub fn dims(&self, id: Id) -> Vec<Expr> {
        self.form(id).dims.clone()
    }

    pub fn rank(&self, id: Id) -> usize {
        self.form(id).rank()
    }

    pub fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.values.len()).map(Id)
    }

    /// An axis of a value; None for scalars.
    pub fn axis(&mut self, id: Id) -> Option<usize> {
        let rank = self.rank(id);
        (rank > 0).then(|| self.random.below(rank))
    }

    /// An axis as a model may spell it: counted from the start or from the end.
    pub fn spelled(&mut self, axis: usize, rank: usize) -> i64 {
        if self.random.chance(30) { axis as i64 - rank as i64 } else { axis as i64 }
    }

    /// What an expression is in each call.
    pub fn sizes(&self, expr: &Expr) -> Vec<i64> {
        let value = |call: usize, sym: &Sym| {
            let symbol = self.symbols.iter().find(|symbol| symbol.name == sym.name());
            symbol.and_then(|symbol| symbol.sizes.get(call).copied())
        };
        (0..self.calls).filter_map(|call| expr.eval(&|sym| value(call, sym))).collect()
    }

    pub fn smallest(&self, expr: &Expr) -> i64 {
        self.sizes(expr).into_iter().min().unwrap_or(0)
    }

    pub fn largest(&self, expr: &Expr) -> i64 {
        self.sizes(expr).into_iter().max().unwrap_or(0)
    }

    /// Whether a tensor of these dims is neither empty nor too large.
    pub fn is_handy(&self, dims: &[Expr]) -> bool {
        dims.len() <= 6 && dims.iter().all(|dim| self.smallest(dim) >= 1) && self.largest(&Expr::product(dims)) <= self.most_elements
    }

    /// Whether this many multiplications are not too many.
    pub fn is_quick<'a>(&self, factors: impl IntoIterator<Item = &'a Expr>) -> bool {
        self.largest(&Expr::product(factors)) <= self.most_work
    }

    /// Adds a node of one result; None where that is too large.
    pub fn emit(&mut self, op: &str, operands: &[Id], attributes: Vec<AttributeProto>, form: Form) -> Option<Id> {
        let operands: Vec<Option<Id>> = operands.iter().map(|id| Some(*id)).collect();
        self.emit_all(op, &operands, attributes, vec![form])?.first().copied()
    }

    /// Adds a node; an operand of None is left out.
    pub fn emit_all(&mut self, op: &str, operands: &[Option<Id>], attributes: Vec<AttributeProto>, forms: Vec<Form>) -> Option<Vec<Id>> {
        if !forms.iter().all(|form| self.is_handy(&form.dims)) {
            return None;
        }
        let mut inputs: Vec<String> = operands.iter().map(|id| id.map_or(String::new(), |id| self.value(id).name.clone())).collect();
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        operands.iter().flatten().for_each(|id| self.values[id.0].used = true);
        let ids: Vec<Id> = forms.into_iter().map(|form| self.add(op, form)).collect();
        let outputs = ids.iter().map(|id| self.value(*id).name.clone()).collect();
        self.draft.node(op, inputs, outputs, attributes);
        Some(ids)
    }

    /// The name of a value that a node reads.
    pub fn used(&mut self, id: Id) -> String {
        self.values[id.0].used = true;
        self.values[id.0].name.clone()
    }

    /// Lets no other step compute with a value.
    pub fn hide(&mut self, id: Id) {
        self.values[id.0].is_parameter = true;
    }

    /// Lets the nodes to come be those of a branch or body. Inputs and initializers still go to the whole model.
    pub fn enter_branch(&mut self) -> Mark {
        self.in_branch = true;
        Mark { nodes: std::mem::take(&mut self.draft.graph.node), values: self.values.len() }
    }

    /// A value that a body is given in each run.
    pub fn given(&mut self, stem: &str, form: Form) -> Id {
        self.add(stem, form)
    }

    /// The branch or body. What it made is not seen outside.
    pub fn leave_branch(&mut self, mark: Mark, inputs: &[Id], outputs: &[Id]) -> GraphProto {
        let info = |id: &Id| draft::value_info(&self.value(*id).name, self.form(*id).dtype, &self.form(*id).dims);
        let (input, output) = (inputs.iter().map(info).collect(), outputs.iter().map(info).collect());
        let node = std::mem::replace(&mut self.draft.graph.node, mark.nodes);
        self.values.truncate(mark.values);
        self.in_branch = false;
        GraphProto { name: self.draft.fresh("branch"), node, input, output, ..GraphProto::default() }
    }

    fn add(&mut self, stem: &str, form: Form) -> Id {
        let stem = stem.rsplit_once('.').map_or(stem, |(_, op)| op);
        let name = self.draft.fresh(&stem.to_lowercase());
        self.add_named(name, form)
    }

    fn add_named(&mut self, name: String, form: Form) -> Id {
        self.values.push(Value { name, form, used: false, is_parameter: false });
        Id(self.values.len() - 1)
    }

    /// A tensor of the model, as an initializer or as the result of a Constant node.
    pub fn constant(&mut self, stem: &str, tensor: &Tensor) -> Id {
        let array = tensor.to_array();
        let numbers: Vec<f64> = (0..array.count()).map(|at| array.get(at).as_f64()).collect();
        let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let interval = if numbers.is_empty() { Interval::around_zero(0.0) } else { Interval::new(low, high) };
        let dims = tensor.dims().iter().map(|dim| Expr::from(*dim as i64)).collect();
        let form = Form { dtype: tensor.dtype(), dims, interval, exact: true };
        if self.random.chance(15) {
            let id = self.add(stem, form);
            let name = self.value(id).name.clone();
            self.draft.node("Constant", vec![], vec![name], vec![draft::tensor("value", tensor)]);
            return id;
        }
        let name = self.draft.initializer(stem, tensor);
        self.add_named(name, form)
    }

    pub fn number(&mut self, dtype: DType, value: f64) -> Id {
        let literal = if dtype.is_float() { Literal::Float(value) } else { Literal::Int(value as i64) };
        let tensor = Tensor::from_array(&Array::filled(dtype, vec![], literal));
        self.constant("number", &tensor)
    }

    /// Integers of a vector, as shapes and axes are given.
    pub fn list(&mut self, stem: &str, values: &[i64]) -> Id {
        let tensor = Tensor::from_array(&Array::ints(DType::I64, vec![values.len()], values.to_vec()));
        let id = self.constant(stem, &tensor);
        self.values[id.0].is_parameter = true;
        id
    }
}
