//! What an op is: the entry of the list, and what its functions are given.

use crate::build::Builder;
use ir::array::Array;
use ir::guard::Condition;
use ir::{Attrs, Code, DType, Diagnostic, Graph, Literal, Location, TensorType, ValueId};
use nest::Nest;

/// One op: everything the compiler knows about it.
pub struct OpDef {
    pub name: &'static str,
    /// The types of the outputs, or which of the op's numbered constraints does not hold.
    pub infer: fn(&InferCx) -> Result<Inferred, OpError>,
    /// The meaning: a direct loop over the definition, sharing nothing with the lowering.
    pub reference: Reference,
    pub kind: Kind,
}

/// How an op gets to code.
pub enum Kind {
    /// Nests in order; operand k of each is the node's input k, and write k its output k.
    Core { lower: fn(&LowerCx) -> Vec<Nest> },
    /// An equal expression in core ops.
    Composite { decompose: Decompose },
    /// A step of the host: its operation is called, by generated code and interpreters alike; `reference` is never called.
    Host(&'static host::HostOp),
    /// Control flow: the node's regions are compiled and interpreted in place; `reference` is never called.
    Region,
}

/// Operands and attributes that have passed `infer`.
pub type Decompose = fn(&mut Builder, &[ValueId], &Attrs) -> Result<Vec<ValueId>, Diagnostic>;

/// Operands, attributes without symbols, and the types of the results. Types and attributes have passed `infer`.
pub type Reference = fn(&[&Array], &Attrs, &[ConcreteType]) -> Result<Vec<Array>, OpError>;

/// An element type with known dims.
pub type ConcreteType = (DType, Vec<usize>);

/// What shape rules see.
pub struct InferCx<'a> {
    pub inputs: &'a [TensorType],
    pub attrs: &'a Attrs,
    pub regions: &'a [Graph],
}

impl InferCx<'_> {
    /// The operands, where there are exactly N.
    pub fn operands<const N: usize>(&self) -> Result<[&TensorType; N], OpError> {
        let operands: Vec<&TensorType> = self.inputs.iter().collect();
        operands.try_into().map_err(|got: Vec<_>| OpError::new(Code::Malformed, format!("operands: {} given, {N} needed", got.len())))
    }
}

/// The results' types, and the conditions on sizes that could not be decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inferred {
    pub types: Vec<TensorType>,
    pub guards: Vec<Condition>,
}

impl Inferred {
    /// One result, no conditions.
    pub fn of(dtype: DType, dims: Vec<sym::Expr>) -> Inferred {
        Inferred { types: vec![TensorType::new(dtype, dims)], guards: Vec::new() }
    }

    pub fn with(mut self, guards: crate::dims::Guards) -> Inferred {
        self.guards.extend(guards.0);
        self
    }
}

/// What lowerings see. Types and attributes have passed `infer`.
pub struct LowerCx<'a> {
    pub inputs: &'a [TensorType],
    pub outputs: &'a [TensorType],
    pub attrs: &'a Attrs,
    /// For each operand the value of all its elements, where that is known.
    pub constants: &'a [Option<Literal>],
}

/// A constraint that does not hold; the message names the two things that disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct OpError {
    pub code: Code,
    pub message: String,
}

impl OpError {
    pub fn new(code: Code, message: impl Into<String>) -> OpError {
        OpError { code, message: message.into() }
    }

    pub fn shape(message: impl Into<String>) -> OpError {
        OpError::new(Code::Shape, message)
    }

    pub fn types(message: impl Into<String>) -> OpError {
        OpError::new(Code::Type, message)
    }

    pub fn attribute(message: impl Into<String>) -> OpError {
        OpError::new(Code::Attribute, message)
    }

    pub fn at(self, location: &Location) -> Diagnostic {
        Diagnostic::new(self.code, location, self.message)
    }
}
