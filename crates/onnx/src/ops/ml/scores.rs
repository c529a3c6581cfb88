//! What becomes of the scores of a model: the attribute `post_transform`.

use super::Result;
use crate::import::Call;
use ::ops::{Builder, Folded};
use ir::ValueId;
use nest::{Func, Monoid};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    None,
    Softmax,
    Logistic,
    /// A softmax that leaves scores of about 0 near 0.
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub const ALL: [(&str, Transform); 5] = [
        ("NONE", Transform::None),
        ("SOFTMAX", Transform::Softmax),
        ("LOGISTIC", Transform::Logistic),
        ("SOFTMAX_ZERO", Transform::SoftmaxZero),
        ("PROBIT", Transform::Probit),
    ];

    pub fn of(call: &Call) -> Result<Transform> {
        let text = call.text("post_transform")?.unwrap_or("NONE");
        let found = Transform::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, transform)| transform).ok_or_else(|| call.attribute_error(format!("attribute `post_transform` is `{text}`")))
    }

    /// Each row of `x`.
    pub fn apply(self, b: &mut Builder, x: ValueId) -> Result<ValueId> {
        match self {
            Transform::None => Ok(x),
            Transform::Softmax => b.softmax(x, 1),
            Transform::Logistic => b.map(Func::Sigmoid, &[x]),
            Transform::SoftmaxZero => softmax_zero(b, x),
            Transform::Probit => probit(b, x),
        }
    }
}

fn softmax_zero(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let most = b.reduce(Monoid::Max, x, &[1], Folded::Kept)?;
    let gap = b.map_broadcast(Func::Sub, &[x, most])?;
    let exp = b.map(Func::Exp, &[gap])?;
    let most = b.map(Func::Neg, &[most])?;
    let factor = b.map(Func::Exp, &[most])?;
    let small = b.map_broadcast(Func::Mul, &[x, factor])?;
    let size = b.map(Func::Abs, &[x])?;
    let is_large = b.map_number(Func::Greater, size, 1e-7)?;
    let part = b.map(Func::Select, &[is_large, exp, small])?;
    let sum = b.reduce(Monoid::Sum, part, &[1], Folded::Kept)?;
    let (is_zero, half) = (b.map_number(Func::Equal, sum, 0.0)?, b.number(b.dtype(x), 0.5));
    let quotient = b.map_broadcast(Func::Div, &[part, sum])?;
    b.map_broadcast(Func::Select, &[is_zero, half, quotient])
}

/// The inverse of the normal distribution: `sqrt 2 * inverse erf(2x - 1)`, with Winitzki's approximation.
#[expect(clippy::approx_constant, reason = "the digits of onnxruntime, which are what models were made with")]
fn probit(b: &mut Builder, x: ValueId) -> Result<ValueId> {
    let x = b.map_number(Func::Mul, x, 2.0)?;
    let x = b.map_number(Func::Sub, x, 1.0)?;
    let one = b.number(b.dtype(x), 1.0);
    let (less, more) = (b.map_broadcast(Func::Sub, &[one, x])?, b.map_number(Func::Add, x, 1.0)?);
    let product = b.map(Func::Mul, &[less, more])?;
    let log = b.map(Func::Log, &[product])?;
    let half = b.map_number(Func::Mul, log, 0.5)?;
    let v = b.map_number(Func::Add, half, 2.0 / (3.14159 * 0.147))?;
    let w = b.map_number(Func::Mul, log, 1.0 / 0.147)?;
    let square = b.map(Func::Mul, &[v, v])?;
    let inner = b.map(Func::Sub, &[square, w])?;
    let root = b.map(Func::Sqrt, &[inner])?;
    let gap = b.map(Func::Sub, &[root, v])?;
    let size = b.map(Func::Sqrt, &[gap])?;
    let size = b.map_number(Func::Mul, size, 1.41421356)?;
    let (opposite, is_negative) = (b.map(Func::Neg, &[size])?, b.map_number(Func::Less, x, 0.0)?);
    b.map(Func::Select, &[is_negative, opposite, size])
}
