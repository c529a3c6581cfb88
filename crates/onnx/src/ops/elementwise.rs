//! Arithmetic on elements, with numpy broadcasting.

use super::Entry;
use crate::import::{Call, Known, Outcome, one, sizes};
use ::ops::Builder;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Add", 1, |call| binary(call, Func::Add)),
    Entry("Sub", 1, |call| binary(call, Func::Sub)),
    Entry("Mul", 1, |call| binary(call, Func::Mul)),
    Entry("Div", 1, |call| binary(call, Func::Div)),
    Entry("Pow", 1, pow),
    Entry("Mod", 10, modulo),
    Entry("Max", 6, |call| variadic(call, Func::Max)),
    Entry("Min", 6, |call| variadic(call, Func::Min)),
    Entry("Sum", 6, |call| variadic(call, Func::Add)),
    Entry("Mean", 6, mean),
    Entry("Neg", 6, |call| unary(call, Func::Neg)),
    Entry("Abs", 6, |call| unary(call, Func::Abs)),
    Entry("Sign", 9, |call| unary(call, Func::Sign)),
    Entry("Exp", 6, |call| unary(call, Func::Exp)),
    Entry("Log", 6, |call| unary(call, Func::Log)),
    Entry("Sqrt", 6, |call| unary(call, Func::Sqrt)),
    Entry("Reciprocal", 6, |call| unary(call, Func::Reciprocal)),
    Entry("Erf", 9, |call| unary(call, Func::Erf)),
    Entry("Sin", 7, |call| unary(call, Func::Sin)),
    Entry("Cos", 7, |call| unary(call, Func::Cos)),
    Entry("Floor", 6, |call| unary(call, Func::Floor)),
    Entry("Ceil", 6, |call| unary(call, Func::Ceil)),
    Entry("Round", 11, |call| unary(call, Func::Round)),
];

/// A function of one operand.
pub(super) fn unary(call: &mut Call, func: Func) -> Outcome {
    if let Some(known) = call.fold(func) {
        return one(known);
    }
    let x = call.value(0)?;
    one(call.b().map(func, &[x])?)
}

/// A function of one operand, which must be a float; f16 and bf16 are computed as f32.
pub(super) fn of_floats(call: &mut Call, function: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) -> Outcome {
    let dtype = call.dtype(0)?;
    if !dtype.is_float() {
        return Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type)).into());
    }
    let x = call.value(0)?;
    let b = call.b();
    let wide = b.widened(x)?;
    let value = function(b, wide)?;
    one(b.convert(value, dtype)?)
}

/// A function of two operands.
pub(super) fn binary(call: &mut Call, func: Func) -> Outcome {
    if call.opset < 7 {
        return one(aligned(call, func)?);
    }
    if let Some(known) = call.fold(func) {
        return one(known);
    }
    let operands = [call.value(0)?, call.value(1)?];
    one(call.b().map_broadcast(func, &operands)?)
}

/// A function of two operands as before opset 7: the second is broadcast where `broadcast` says so, with its first axis at `axis` of the
/// first, or its last at the last.
fn aligned(call: &mut Call, func: Func) -> Result<ValueId, Diagnostic> {
    call.ignore(&["consumed_inputs"]);
    let (broadcasts, axis) = (call.flag_or("broadcast", false)?, call.int("axis")?);
    let dims = call.dims(0)?;
    let (x, y) = (call.value(0)?, call.value(1)?);
    if !broadcasts {
        return call.b().map(func, &[x, y]);
    }
    let y = match axis {
        None => y,
        Some(axis) => aligned_at(call, y, call.normal_axis(axis, dims.len())?, dims.len())?,
    };
    let y = call.b().broadcast(y, &dims)?;
    call.b().map(func, &[x, y])
}

/// An operand with its first axis at `axis` of `rank`.
pub(super) fn aligned_at(call: &mut Call, y: ValueId, axis: usize, rank: usize) -> Result<ValueId, Diagnostic> {
    let mut dims = call.b().dims(y).to_vec();
    if axis + dims.len() > rank {
        return Err(call.error(Code::Shape, format!("{} axes do not fit behind axis {axis} of {rank}", dims.len())));
    }
    dims.resize(rank - axis, Expr::one());
    call.b().reshape(y, &dims)
}

/// A fold of one or more operands, from the left.
fn variadic(call: &mut Call, func: Func) -> Outcome {
    if call.operand_count() == 1 {
        return one(call.term(0)?);
    }
    if let Some(known) = folded_sizes(call, func) {
        return one(known);
    }
    one(folded(call, func)?)
}

fn folded_sizes(call: &Call, func: Func) -> Option<Known> {
    let first = call.known(0)?;
    (1..call.operand_count()).try_fold(first, |folded, at| Known::map(func, &[folded, call.known(at)?]))
}

fn folded(call: &mut Call, func: Func) -> Result<ValueId, Diagnostic> {
    let mut folded = call.value(0)?;
    for at in 1..call.operand_count() {
        let operand = call.value(at)?;
        folded = call.b().map_broadcast(func, &[folded, operand])?;
    }
    Ok(folded)
}

fn mean(call: &mut Call) -> Outcome {
    let count = call.operand_count();
    let sum = folded(call, Func::Add)?;
    one(call.b().map_number(Func::Div, sum, count as f64)?)
}

/// The result has the base's type; the exponent may have any. An integer is raised to a float in f64, which holds more integers than f32.
fn pow(call: &mut Call) -> Outcome {
    if call.opset < 7 {
        return one(aligned(call, Func::Pow)?);
    }
    if let Some(known) = call.fold(Func::Pow) {
        return one(known);
    }
    let (base_type, exponent_type) = (call.dtype(0)?, call.dtype(1)?);
    let (base, exponent) = (call.value(0)?, call.value(1)?);
    let common = if exponent_type.is_float() && !base_type.is_float() { DType::F64 } else { base_type };
    let base = call.b().convert(base, common)?;
    let exponent = call.b().convert(exponent, common)?;
    let power = call.b().map_broadcast(Func::Pow, &[base, exponent])?;
    one(call.b().convert(power, base_type)?)
}

/// With `fmod` the remainder has the sign of the dividend, without it that of the divisor.
fn modulo(call: &mut Call) -> Outcome {
    let fmod = call.flag_or("fmod", false)?;
    let dtype = call.dtype(0)?;
    if dtype.is_float() && !fmod && call.opset < 28 {
        return Err(call.attribute_error("attribute `fmod` must be 1 for floats").into());
    }
    if fmod || dtype.is_unsigned_int() {
        return binary(call, Func::Rem);
    }
    let both_positive = |known: &Known| known.values.iter().all(|value| sizes::is_nonnegative(value) == Some(true));
    if let Some(known) = call.fold(Func::Rem).filter(|_| [0, 1].iter().all(|at| call.known(*at).as_ref().is_some_and(both_positive))) {
        return one(known);
    }
    let operands = [call.value(0)?, call.value(1)?];
    let operands: [ValueId; 2] = call.b().broadcast_together(&operands)?.try_into().unwrap_or(operands);
    one(floored_remainder(call.b(), operands, dtype)?)
}

/// `r = a rem b`, plus b where r is not 0 and its sign is not b's. A float's 0 gets b's sign.
fn floored_remainder(b: &mut Builder, [dividend, divisor]: [ValueId; 2], dtype: DType) -> Result<ValueId, Diagnostic> {
    let remainder = b.map(Func::Rem, &[dividend, divisor])?;
    let zero = b.number(dtype, 0.0);
    let negative = b.map_broadcast(Func::Less, &[remainder, zero])?;
    let divisor_negative = b.map_broadcast(Func::Less, &[divisor, zero])?;
    let signs_differ = b.map(Func::Xor, &[negative, divisor_negative])?;
    let moved = b.map(Func::Add, &[remainder, divisor])?;
    let moved = b.map(Func::Select, &[signs_differ, moved, remainder])?;
    let is_zero = b.map_broadcast(Func::Equal, &[remainder, zero])?;
    if !dtype.is_float() {
        return b.map(Func::Select, &[is_zero, remainder, moved]);
    }
    let negative_zero = b.number(dtype, -0.0);
    let signed_zero = b.map_broadcast(Func::Select, &[divisor_negative, negative_zero, zero])?;
    b.map(Func::Select, &[is_zero, signed_zero, moved])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn integers_are_raised_to_floats_exactly() {
        let text = "opset 15 x: i64[2] e: f32[2] y = Pow(x, e) => y";
        check(text, &["i64[2] 3 7", "f32[2] 20 11"], &["i64[2] 3486784401 1977326743"]);
    }

    #[test]
    fn operands_broadcast() {
        check("x: f32[n, 2] w: f32[2] = 1 2 y = Sub(x, w) => y", &["f32[2, 2] 1 2 3 4"], &["f32[2, 2] 0 0 2 2"]);
        check("x: i64[2] w: i64[] = 2 y = Div(x, w) => y", &["i64[2] -3 3"], &["i64[2] -1 1"]);
        check(
            "x: f32[2] a: f32[] = 2 b: f32[1] = 3 y = Max(x, a, b) z = Mean(x, a, b) => y, z",
            &["f32[2] 1 4"],
            &["f32[2] 3 4", "f32[2] 2 3"],
        );
    }

    #[test]
    fn operands_broadcast_where_old_models_say() {
        let text = |attributes: &str| format!("opset 6 x: f32[2, 2, n] w: f32[2] = 1 2 y = Add {{{attributes}}} (x, w) => y");
        let x = "f32[2, 2, 1] 1 2 3 4";
        check(&text("broadcast = 1, axis = 0"), &[x], &["f32[2, 2, 1] 2 3 5 6"]);
        check(&text("broadcast = 1, axis = 1"), &[x], &["f32[2, 2, 1] 2 4 4 6"]);
        check("opset 6 x: f32[n, 2] w: f32[2] = 1 2 y = Sub {broadcast = 1} (x, w) => y", &["f32[1, 2] 1 2"], &["f32[1, 2] 0 0"]);
        check_problems(&text("broadcast = 1, axis = 3"), &["[E005] Add#0: axis 3 is outside of rank 3"]);
        check_problems(
            "opset 6 x: f32[2, 2] w: f32[2, 2] y = Mul {broadcast = 1, axis = 1} (x, w) => y",
            &["[E003] Mul#0: 2 axes do not fit behind axis 1 of 2"],
        );
        check("opset 6 x: f32[2] y = Pow(x, x) => y", &["f32[2] 2 3"], &["f32[2] 4 27"]);
        let slopes = "opset 6 x: f32[1, 2, n] w: f32[2] = 0.5 0.25 y = PRelu(x, w) => y";
        check(slopes, &["f32[1, 2, 2] -4 1 -4 2"], &["f32[1, 2, 2] -2 1 -1 2"]);
    }

    #[test]
    fn powers_have_the_bases_type() {
        check("x: f32[2] e: i64[] = 2 y = Pow(x, e) => y", &["f32[2] 3 -2"], &["f32[2] 9 4"]);
        check("x: i32[2] e: f32[] = 0.5 y = Pow(x, e) => y", &["i32[2] 9 5"], &["i32[2] 3 2"]);
    }

    #[test]
    fn remainders() {
        let inputs = ["i32[4] -5 5 -5 5", "i32[4] 3 3 -3 -3"];
        check("x: i32[4] w: i32[4] y = Mod(x, w) => y", &inputs, &["i32[4] 1 2 -2 -1"]);
        check("x: i32[4] w: i32[4] y = Mod {fmod = 1} (x, w) => y", &inputs, &["i32[4] -2 2 -2 2"]);
        check("x: f32[2] w: f32[] = 3 y = Mod(x, w) => y", &["f32[2] -4 3"], &["f32[2] 2 0"]);
        check_problems("opset 13 x: f32[2] y = Mod(x, x) => y", &["[E005] Mod#0: attribute `fmod` must be 1 for floats"]);
    }
}
