//! Comparisons, logic, and choice between elements.

use super::Entry;
use super::elementwise::{binary, unary};
use crate::import::{Call, Outcome, one};
use ir::{DType, Literal};
use nest::Func;

pub const OPS: &[Entry] = &[
    Entry("Not", 1, |call| of_bools(call, Func::Not)),
    Entry("And", 1, |call| of_bools(call, Func::And)),
    Entry("Or", 1, |call| of_bools(call, Func::Or)),
    Entry("Xor", 1, |call| of_bools(call, Func::Xor)),
    Entry("BitwiseNot", 18, |call| unary(call, Func::Not)),
    Entry("BitwiseAnd", 18, |call| binary(call, Func::And)),
    Entry("BitwiseOr", 18, |call| binary(call, Func::Or)),
    Entry("BitwiseXor", 18, |call| binary(call, Func::Xor)),
    Entry("Equal", 1, |call| binary(call, Func::Equal)),
    Entry("Less", 1, |call| binary(call, Func::Less)),
    Entry("LessOrEqual", 12, |call| binary(call, Func::LessEqual)),
    Entry("Greater", 1, |call| binary(call, Func::Greater)),
    Entry("GreaterOrEqual", 12, |call| binary(call, Func::GreaterEqual)),
    Entry("Where", 9, choose),
    Entry("IsNaN", 9, |call| unary(call, Func::IsNan)),
    Entry("IsInf", 10, is_inf),
];

fn of_bools(call: &mut Call, func: Func) -> Outcome {
    match call.dtype(0)? {
        DType::Bool if func.arity() == 1 => unary(call, func),
        DType::Bool => binary(call, func),
        other => Err(call.error(ir::Code::Type, format!("{} takes bools, not {other}", call.node.op_type)).into()),
    }
}

fn choose(call: &mut Call) -> Outcome {
    if let Some(known) = call.fold(Func::Select) {
        return one(known);
    }
    let operands = [call.value(0)?, call.value(1)?, call.value(2)?];
    one(call.b().map_broadcast(Func::Select, &operands)?)
}

fn is_inf(call: &mut Call) -> Outcome {
    let negative = call.flag_or("detect_negative", true)?;
    let positive = call.flag_or("detect_positive", true)?;
    let x = call.value(0)?;
    let (dtype, dims) = (call.dtype(0)?, call.dims(0)?);
    let b = call.b();
    if negative && positive {
        return one(b.map(Func::IsInf, &[x])?);
    }
    if !negative && !positive {
        let no = b.scalar(DType::Bool, Literal::Int(0));
        return one(b.broadcast(no, &dims)?);
    }
    let infinity = b.number(dtype, if positive { f64::INFINITY } else { f64::NEG_INFINITY });
    one(b.map_broadcast(Func::Equal, &[x, infinity])?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn choices() {
        check("c: bool[2, 1] a: f32[2] = 1 2 b: f32[] = 0 y = Where(c, a, b) => y", &["bool[2, 1] 1 0"], &["f32[2, 2] 1 2 0 0"]);
        check("x: f32[3] y = IsInf {detect_negative = 0} (x) => y", &["f32[3] inf -inf nan"], &["bool[3] 1 0 0"]);
        check_problems("x: f32[2] y = And(x, x) => y", &["[E004] And#0: And takes bools, not f32"]);
    }

    #[test]
    fn comparisons_of_sizes_are_decided() {
        let text = "x: f32[n, 4] s = Shape(x) open: i64[1] = -1 e = Equal(s, open) one: i64[2] = 1 1 t = Where(e, one, s) y = ConstantOfShape(t) => y";
        check_types(text, &["f32[n, 4]"]);
    }
}
