//! Softmax, its logarithm, and hardmax.

use super::Entry;
use super::extremum::{Among, places};
use crate::import::{Call, Outcome, one};
use ::ops::Folded;
use ir::{DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Softmax", 1, |call| over_rows(call, softmax)),
    Entry("Softmax", 13, |call| along_axis(call, softmax)),
    Entry("LogSoftmax", 1, |call| over_rows(call, log_softmax)),
    Entry("LogSoftmax", 13, |call| along_axis(call, log_softmax)),
    Entry("Hardmax", 1, |call| over_rows(call, hardmax)),
    Entry("Hardmax", 13, |call| along_axis(call, hardmax)),
];

type Along = fn(&mut Call, ValueId, usize) -> Result<ValueId, Diagnostic>;

fn softmax(call: &mut Call, x: ValueId, axis: usize) -> Result<ValueId, Diagnostic> {
    call.b().softmax(x, axis)
}

/// `x - max - log sum exp(x - max)`
pub(super) fn log_softmax(call: &mut Call, x: ValueId, axis: usize) -> Result<ValueId, Diagnostic> {
    let b = call.b();
    let dtype = b.dtype(x);
    let x = b.widened(x)?;
    let max = b.reduce(Monoid::Max, x, &[axis], Folded::Kept)?;
    let shifted = b.map_broadcast(Func::Sub, &[x, max])?;
    let exp = b.map(Func::Exp, &[shifted])?;
    let sum = b.reduce(Monoid::Sum, exp, &[axis], Folded::Kept)?;
    let log = b.map(Func::Log, &[sum])?;
    let out = b.map_broadcast(Func::Sub, &[shifted, log])?;
    b.convert(out, dtype)
}

/// 1 at the first of the largest elements, else 0.
fn hardmax(call: &mut Call, x: ValueId, axis: usize) -> Result<ValueId, Diagnostic> {
    let b = call.b();
    let first = places(b, x, (axis, Monoid::Max, Among::First), Folded::Kept)?;
    let dims = b.dims(x).to_vec();
    let place = b.iota(&dims, axis, DType::I64)?;
    let is_first = b.map_broadcast(Func::Equal, &[place, first])?;
    b.convert(is_first, b.dtype(x))
}

fn along_axis(call: &mut Call, along: Along) -> Outcome {
    let axis = call.normal_axis(call.int_or("axis", -1)?, call.rank(0)?)?;
    let x = call.value(0)?;
    one(along(call, x, axis)?)
}

/// All axes from `axis` on are one row.
fn over_rows(call: &mut Call, along: Along) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", 1)?, dims.len())?;
    let x = call.value(0)?;
    if axis + 1 == dims.len() {
        return one(along(call, x, axis)?);
    }
    let rows = call.b().reshape(x, &[Expr::product(&dims[..axis]), Expr::product(&dims[axis..])])?;
    let out = along(call, rows, 1)?;
    one(call.b().reshape(out, &dims)?)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn rows_before_opset_13_and_an_axis_since() {
        let x = "f32[1, 2, 2] 0 0 0 0";
        check("opset 11 x: f32[1, 2, 2] y = Softmax(x) => y", &[x], &["f32[1, 2, 2] 0.25 0.25 0.25 0.25"]);
        check("opset 13 x: f32[1, 2, 2] y = Softmax(x) => y", &[x], &["f32[1, 2, 2] 0.5 0.5 0.5 0.5"]);
        check("x: f32[2] y = LogSoftmax(x) => y", &["f32[2] 0 1000"], &["f32[2] -1000 0"]);
    }

    #[test]
    fn the_first_maximum_alone_is_1() {
        let x = "f32[1, 2, 2] 3 3 1 5";
        check("x: f32[1, 2, 2] y = Hardmax(x) => y", &[x], &["f32[1, 2, 2] 1 0 0 1"]);
        check("opset 11 x: f32[1, 2, 2] y = Hardmax(x) => y", &[x], &["f32[1, 2, 2] 0 0 0 1"]);
    }
}
