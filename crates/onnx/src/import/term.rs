//! Values of the model during import. Many never become values of the graph: shape arithmetic and its constants stay expressions until
//! a node needs them as data.

use super::known::Known;
use super::narrow::Narrow;
use ir::{DType, Location, Tensor, TensorType, ValueId};
use std::sync::Arc;
use sym::Expr;

/// A value of the model: a row of `Cx::terms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub(super) u32);

pub(super) struct TermData {
    /// The model's name for it.
    pub name: Arc<str>,
    pub ty: TensorType,
    pub form: Form,
    /// What the elements stand for, where that is no type of the graph.
    pub narrow: Option<Narrow>,
    /// The node that made it.
    pub location: Location,
}

pub(super) enum Form {
    /// A value of a graph that is being built.
    Built,
    /// Known bytes. `weight` is the name under which the model file holds them.
    Constant { tensor: Tensor, weight: Option<Arc<str>> },
    /// Known integers.
    Known(Known),
    /// A list of values, whose type means nothing. Operators that do not take sequences never see it.
    Sequence(Vec<Term>),
    /// An optional without a value; likewise.
    Nothing,
}

/// What an operator gives for one output.
#[derive(Clone, Debug)]
pub enum Out {
    /// A value of the graph that is being built.
    Value(ValueId),
    /// Another value of the model, unchanged.
    Term(Term),
    Known(Known),
    Constant(Tensor),
    Sequence(Vec<Term>),
    /// An optional without a value.
    Nothing,
    /// One whose elements are of a narrow type.
    Narrow(Box<Out>, Narrow),
}

impl Out {
    /// A result whose elements may stand for something else.
    pub(crate) fn of(out: impl Into<Out>, narrow: Option<Narrow>) -> Out {
        match narrow {
            Some(narrow) => Out::Narrow(Box::new(out.into()), narrow),
            None => out.into(),
        }
    }
}

impl From<ValueId> for Out {
    fn from(id: ValueId) -> Out {
        Out::Value(id)
    }
}

impl From<Term> for Out {
    fn from(term: Term) -> Out {
        Out::Term(term)
    }
}

impl From<Known> for Out {
    fn from(known: Known) -> Out {
        Out::Known(known)
    }
}

/// The type of a tensor of known dims.
pub(super) fn constant_type(dtype: DType, dims: &[usize]) -> TensorType {
    TensorType::new(dtype, dims.iter().map(|dim| Expr::from(*dim as i64)).collect())
}
