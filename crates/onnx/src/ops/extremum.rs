//! Where along an axis the largest or smallest element stands.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ::ops::{Builder, Folded};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("ArgMax", 1, |call| place_of(call, Monoid::Max)), Entry("ArgMin", 1, |call| place_of(call, Monoid::Min))];

/// Which of equal elements counts.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Among {
    First,
    Last,
}

fn place_of(call: &mut Call, kind: Monoid) -> Outcome {
    let dims = call.dims(0)?;
    let axis = call.normal_axis(call.int_or("axis", 0)?, dims.len())?;
    let folded = if call.flag_or("keepdims", true)? { Folded::Kept } else { Folded::Dropped };
    let last = call.opset >= 12 && call.flag_or("select_last_index", false)?;
    if call.dtype(0)? == DType::Bool {
        return Err(call.error(Code::Type, format!("{} is not defined on bool", call.node.op_type)).into());
    }
    call.guard(Condition::AtLeast(dims[axis].clone(), Expr::one()));
    let x = call.value(0)?;
    let among = if last { Among::Last } else { Among::First };
    one(places(call.b(), x, (axis, kind, among), folded)?)
}

/// The coordinate along an axis, as i64, of the element that a fold by `kind` gives. NaN counts as the most extreme.
pub(super) fn places(
    b: &mut Builder,
    x: ValueId,
    (axis, kind, among): (usize, Monoid, Among),
    folded: Folded,
) -> Result<ValueId, Diagnostic> {
    let extreme = b.reduce(kind, x, &[axis], Folded::Kept)?;
    let mut found = b.map_broadcast(Func::Equal, &[x, extreme])?;
    if b.dtype(x).is_float() {
        let nan = b.map(Func::IsNan, &[x])?;
        found = b.map(Func::Or, &[found, nan])?;
    }
    let dims = b.dims(x).to_vec();
    let place = b.iota(&dims, axis, DType::I64)?;
    let (fold, nowhere) = match among {
        Among::First => (Monoid::Min, i64::MAX),
        Among::Last => (Monoid::Max, -1),
    };
    let nowhere = b.scalar(DType::I64, Literal::Int(nowhere));
    let place = b.map_broadcast(Func::Select, &[found, place, nowhere])?;
    b.reduce(fold, place, &[axis], folded)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn the_first_or_the_last_of_equal_elements() {
        let x = "f32[2, 3] 1 5 5 7 7 2";
        check("x: f32[2, n] y = ArgMax {axis = -1} (x) => y", &[x], &["i64[2, 1] 1 0"]);
        check("x: f32[2, n] y = ArgMax {axis = 1, keepdims = 0, select_last_index = 1} (x) => y", &[x], &["i64[2] 2 1"]);
        check("x: f32[2, n] y = ArgMin(x) => y", &[x], &["i64[1, 3] 0 0 1"]);
        check("opset 1 x: u8[3] y = ArgMin {keepdims = 0} (x) => y", &["u8[3] 255 3 3"], &["i64[] 1"]);
        check_problems(
            "opset 11 x: f32[3] y = ArgMax {select_last_index = 1} (x) => y",
            &["[E005] ArgMax#0: ArgMax of opset 11 has no attribute `select_last_index`"],
        );
        check_problems("x: f32[3] y = ArgMax {axis = 1} (x) => y", &["[E005] ArgMax#0: axis 1 is outside of rank 1"]);
    }

    #[test]
    fn nan_is_an_extreme() {
        let text = "x: f32[4] y = ArgMax(x) z = ArgMin {select_last_index = 1} (x) => y, z";
        check(text, &["f32[4] 1 nan nan -inf"], &["i64[1] 1", "i64[1] 2"]);
    }
}
