//! Folds of axes.

use super::Entry;
use crate::import::{Call, Known, Outcome, one};
use ::ops::{Builder, Folded};
use ir::{DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};

/// `axes` is an attribute before opset 13 (ReduceSum) or 18, and an operand from it on.
pub const OPS: &[Entry] = &[
    Entry("ReduceSum", 1, |call| reduce(call, 13, |b, x, over| b.reduce(Monoid::Sum, x, over.axes, over.folded))),
    Entry("ReduceProd", 1, |call| reduce(call, 18, |b, x, over| b.reduce(Monoid::Product, x, over.axes, over.folded))),
    Entry("ReduceMax", 1, |call| reduce(call, 18, max)),
    Entry("ReduceMin", 1, |call| reduce(call, 18, min)),
    Entry("ReduceMean", 1, |call| reduce(call, 18, mean)),
    Entry("ReduceL1", 1, |call| reduce(call, 18, absolute_sum)),
    Entry("ReduceL2", 1, |call| reduce(call, 18, root_of_squares)),
    Entry("ReduceSumSquare", 1, |call| reduce(call, 18, squares)),
    Entry("ReduceLogSum", 1, |call| reduce(call, 18, log_sum)),
    Entry("ReduceLogSumExp", 1, |call| reduce(call, 18, log_sum_exp)),
];

/// The axes to fold.
#[derive(Clone, Copy)]
struct Over<'a> {
    axes: &'a [usize],
    folded: Folded,
}

type Fold = fn(&mut Builder, ValueId, Over) -> Result<ValueId, Diagnostic>;

fn reduce(call: &mut Call, axes_operand_since: i64, fold: Fold) -> Outcome {
    let folded = if call.flag_or("keepdims", true)? { Folded::Kept } else { Folded::Dropped };
    let axes = call.axes(1, axes_operand_since)?.unwrap_or_default();
    let keep_all = call.opset >= axes_operand_since && call.flag_or("noop_with_empty_axes", false)?;
    let rank = call.rank(0)?;
    let axes = match axes.is_empty() {
        true if keep_all => Vec::new(),
        true => (0..rank).collect(),
        false => call.normal_axes(&axes, rank)?,
    };
    if let Some(known) = folded_sizes(call, &axes, folded) {
        return one(known);
    }
    let x = call.value(0)?;
    one(fold(call.b(), x, Over { axes: &axes, folded })?)
}

/// The fold of a vector whose elements are known.
fn folded_sizes(call: &Call, axes: &[usize], folded: Folded) -> Option<Known> {
    let known = call.known(0).filter(|known| known.dims.len() == 1 && axes == [0])?;
    let func = match call.node.op_type.as_str() {
        "ReduceSum" => Func::Add,
        "ReduceProd" => Func::Mul,
        "ReduceMax" => Func::Max,
        "ReduceMin" => Func::Min,
        _ => return None,
    };
    let mut elements = known.values.into_iter().map(|value| Known::scalar(known.dtype, value));
    let first = elements.next()?;
    let scalar = elements.try_fold(first, |sum, element| Known::map(func, &[sum, element]))?;
    match folded {
        Folded::Kept => scalar.reshaped(vec![1]),
        Folded::Dropped => Some(scalar),
    }
}

fn max(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    let kind = if b.dtype(x) == DType::Bool { Monoid::Or } else { Monoid::Max };
    b.reduce(kind, x, over.axes, over.folded)
}

fn min(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    let kind = if b.dtype(x) == DType::Bool { Monoid::And } else { Monoid::Min };
    b.reduce(kind, x, over.axes, over.folded)
}

/// `fold` of x in a type that holds the sums: f32 where it is f16 or bf16, i64 where it is an integer.
fn wide(
    b: &mut Builder,
    x: ValueId,
    fold: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>,
) -> Result<ValueId, Diagnostic> {
    let dtype = b.dtype(x);
    let wide = if dtype.is_int() && dtype != DType::U64 { b.convert(x, DType::I64)? } else { b.widened(x)? };
    let folded = fold(b, wide)?;
    b.convert(folded, dtype)
}

fn mean(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    wide(b, x, |b, x| b.mean(x, over.axes, over.folded))
}

fn sum(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    b.reduce(Monoid::Sum, x, over.axes, over.folded)
}

fn absolute_sum(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    let absolute = b.map(Func::Abs, &[x])?;
    sum(b, absolute, over)
}

fn sum_of_squares(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    let square = b.map(Func::Mul, &[x, x])?;
    sum(b, square, over)
}

fn squares(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    wide(b, x, |b, x| sum_of_squares(b, x, over))
}

fn root_of_squares(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    wide(b, x, |b, x| {
        let sum = sum_of_squares(b, x, over)?;
        b.map(Func::Sqrt, &[sum])
    })
}

fn log_sum(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    wide(b, x, |b, x| {
        let sum = sum(b, x, over)?;
        b.map(Func::Log, &[sum])
    })
}

/// `max + log sum exp(x - max)`, with a maximum that is infinite taken as 0.
fn log_sum_exp(b: &mut Builder, x: ValueId, over: Over) -> Result<ValueId, Diagnostic> {
    wide(b, x, |b, x| {
        let max = b.reduce(Monoid::Max, x, over.axes, Folded::Kept)?;
        let infinite = b.map(Func::IsInf, &[max])?;
        let zero = b.scalar(b.dtype(x), Literal::Float(0.0));
        let max = b.map_broadcast(Func::Select, &[infinite, zero, max])?;
        let shifted = b.map_broadcast(Func::Sub, &[x, max])?;
        let exp = b.map(Func::Exp, &[shifted])?;
        let sum = sum(b, exp, over)?;
        let log = b.map(Func::Log, &[sum])?;
        let dims = b.dims(log).to_vec();
        let max = b.reshape(max, &dims)?;
        b.map(Func::Add, &[log, max])
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_types};

    #[test]
    fn axes_are_an_attribute_or_an_operand() {
        let x = "f32[2, 2] 1 2 3 4";
        check("opset 11 x: f32[2, 2] y = ReduceSum {axes = [-1]} (x) => y", &[x], &["f32[2, 1] 3 7"]);
        check("opset 13 x: f32[2, 2] a: i64[1] = 0 y = ReduceSum {keepdims = 0} (x, a) => y", &[x], &["f32[2] 4 6"]);
        check("opset 13 x: i32[2] y = ReduceMean(x) => y", &["i32[2] 2147483647 2147483645"], &["i32[1] 2147483646"]);
        check("opset 13 x: f32[2, 2] y = ReduceMean {axes = [0], keepdims = 0} (x) => y", &[x], &["f32[2] 2 3"]);
        check(
            "x: f32[2, 2] y = ReduceProd {keepdims = 0} (x) z = ReduceL2 {noop_with_empty_axes = 1} (x) => y, z",
            &[x],
            &["f32[] 24", "f32[2, 2] 1 2 3 4"],
        );
    }

    #[test]
    fn folds_of_functions() {
        check(
            "x: f32[2] y = ReduceL1(x) z = ReduceL2(x) s = ReduceSumSquare(x) => y, z, s",
            &["f32[2] -3 4"],
            &["f32[1] 7", "f32[1] 5", "f32[1] 25"],
        );
        check("x: f32[2] y = ReduceLogSumExp {keepdims = 0} (x) => y", &["f32[2] 1000 1000"], &["f32[] 1000.6931"]);
        check("x: f32[2] y = ReduceLogSumExp(x) => y", &["f32[2] -inf -inf"], &["f32[1] -inf"]);
        check("x: bool[2] y = ReduceMax(x) z = ReduceMin(x) => y, z", &["bool[2] 1 0"], &["bool[1] 1", "bool[1] 0"]);
    }

    #[test]
    fn products_of_sizes_are_known() {
        check_types("x: f32[n, 3, m] s = Shape(x) p = ReduceProd(s) y = Reshape(x, p) => y", &["f32[3*m*n]"]);
    }
}
