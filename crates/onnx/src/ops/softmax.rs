//! Softmax and its logarithm.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ::ops::Folded;
use ir::{Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Softmax", 1, |call| over_rows(call, softmax)),
    Entry("Softmax", 13, |call| along_axis(call, softmax)),
    Entry("LogSoftmax", 1, |call| over_rows(call, log_softmax)),
    Entry("LogSoftmax", 13, |call| along_axis(call, log_softmax)),
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
}
