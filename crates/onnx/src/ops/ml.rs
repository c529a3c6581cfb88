//! Machine-learning operators: the domain `ai.onnx.ml`.

pub mod features;
pub mod linear;
mod maps;
mod scores;
pub mod support;
pub mod trees;

pub use maps::OPS as MAPS;

use crate::import::{Call, Narrow, Out};
use ::ops::Builder;
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor, ValueId};
use nest::{Func, Monoid};

type Result<T> = std::result::Result<T, Diagnostic>;

/// Numbers as a constant of a float type.
fn floats(b: &mut Builder, dtype: DType, dims: Vec<usize>, values: impl IntoIterator<Item = f32>) -> ValueId {
    let values = values.into_iter().map(f64::from).collect();
    b.graph.constant(Tensor::from_array(&Array::floats(dtype, dims, values)), None, "constant")
}

/// Operand 0 in the type that is computed in: f64 stays, all else becomes f32.
fn input(call: &mut Call) -> Result<ValueId> {
    let dtype = call.dtype(0)?;
    if !matches!(dtype, DType::F32 | DType::F64 | DType::I32 | DType::I64) {
        return Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type)));
    }
    let x = call.value(0)?;
    call.b().convert(x, if dtype == DType::F64 { DType::F64 } else { DType::F32 })
}

/// Rows of features whose number is known: `[n, f]`; one row where there is one axis.
fn rows(call: &mut Call) -> Result<(ValueId, usize)> {
    let x = input(call)?;
    let dims = call.dims(0)?;
    let features = dims.last().and_then(|dim| dim.as_const()).and_then(|count| usize::try_from(count).ok());
    match (dims.len(), features) {
        (2, Some(features)) => Ok((x, features)),
        (1, Some(features)) => Ok((call.b().unsqueeze(x, &[0])?, features)),
        (1 | 2, None) => Err(call.unsupported(format!("features whose number is {}, not known before a call", dims[dims.len() - 1]))),
        _ => Err(call.error(Code::Shape, format!("features of {} axes", dims.len()))),
    }
}

/// What classes are named by: whole numbers, or strings by their numbers.
struct Labels {
    numbers: Vec<i64>,
    narrow: Option<Narrow>,
}

impl Labels {
    fn of(call: &Call, ints: &'static str, strings: &'static str) -> Result<Labels> {
        let numbers = call.ints(ints)?.unwrap_or_default();
        let texts = call.texts(strings)?.unwrap_or_default();
        match (numbers.is_empty(), texts.is_empty()) {
            (_, true) => Ok(Labels { numbers, narrow: None }),
            (true, false) => {
                let numbers = texts.iter().map(|text| call.string_number(text)).collect::<Result<_>>()?;
                Ok(Labels { numbers, narrow: Some(Narrow::Text) })
            }
            (false, false) => Err(call.attribute_error(format!("both `{ints}` and `{strings}` are given"))),
        }
    }

    fn result(&self, label: ValueId) -> Out {
        Out::of(label, self.narrow)
    }
}

/// For each row the label of the column with the largest score, of equal ones the first; scores that all are NaN give the first.
fn best_label(b: &mut Builder, scores: ValueId, labels: &[i64]) -> Result<ValueId> {
    let best = super::extremum::places(b, scores, (1, Monoid::Max, super::extremum::Among::First), ::ops::Folded::Dropped)?;
    let labels = b.ints(DType::I64, vec![labels.len()], labels.to_vec());
    b.gather(labels, best, 0)
}

/// One of two labels.
fn chosen_label(b: &mut Builder, is_second: ValueId, [first, second]: [i64; 2]) -> Result<ValueId> {
    let [first, second] = [first, second].map(|label| b.scalar(DType::I64, Literal::Int(label)));
    b.map_broadcast(Func::Select, &[is_second, second, first])
}

/// A column of a matrix, with one axis.
fn column(b: &mut Builder, x: ValueId, at: usize) -> Result<ValueId> {
    let rows = b.dims(x)[0].clone();
    let column = b.slice_axis(x, 1, &(at as i64).into(), &1.into())?;
    b.reshape(column, &[rows])
}
