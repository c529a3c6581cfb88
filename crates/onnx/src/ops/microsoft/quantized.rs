//! Operators between tensors of bytes, each with a scale and a zero point.
//!
//! What they compute is the operator on the numbers that the bytes stand for, quantised again. Products become products of bytes later on.

use crate::import::{Call, Outcome, one};
use crate::ops::quantize::{Granularity, check_type, rounded, scale, zero_point};
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use ops::Folded;

type Result<T> = std::result::Result<T, Diagnostic>;

const BYTES: [DType; 2] = [DType::U8, DType::I8];

/// The numbers that operand `at` stands for, in f32; its scale and zero point are the next two operands.
fn numbers(call: &mut Call, at: usize) -> Result<ValueId> {
    numbers_along(call, at, -1)
}

/// The same, where lists of scales and zero points belong to an axis.
fn numbers_along(call: &mut Call, at: usize, axis: i64) -> Result<ValueId> {
    check_type(call, call.dtype(at)?, &BYTES)?;
    if call.optional(at + 2).is_some() && call.dtype(at + 2)? != call.dtype(at)? {
        let why = format!("zero point {} is {}, and its operand {}", at + 2, call.dtype(at + 2)?, call.dtype(at)?);
        return Err(call.error(Code::Type, why));
    }
    let granularity = Granularity { dims: call.dims(at)?, axis, block: 0 };
    let (x, scale) = (call.value(at)?, scale(call, at + 1)?);
    let mut whole = call.b().convert(x, DType::I32)?;
    if let Some(zero) = zero_point(call, at + 2)? {
        let zero = granularity.spread(call, zero)?;
        let zero = call.b().convert(zero, DType::I32)?;
        whole = call.b().map(Func::Sub, &[whole, zero])?;
    }
    let scale = granularity.spread(call, scale)?;
    let whole = call.b().convert(whole, DType::F32)?;
    call.b().map(Func::Mul, &[whole, scale])
}

/// f32 as bytes with the scale that is operand `at`, and the zero point behind it.
fn bytes(call: &mut Call, x: ValueId, at: usize) -> Outcome {
    let to = if call.optional(at + 1).is_some() { call.dtype(at + 1)? } else { DType::U8 };
    check_type(call, to, &BYTES)?;
    let granularity = Granularity { dims: call.b().dims(x).to_vec(), axis: -1, block: 0 };
    let scale = scale(call, at)?;
    let scale = granularity.spread(call, scale)?;
    let zero = zero_point(call, at + 1)?.map(|zero| granularity.spread(call, zero)).transpose()?;
    let quotient = call.b().map(Func::Div, &[x, scale])?;
    one(rounded(call.b(), quotient, zero, to)?)
}

fn binary(call: &mut Call, func: Func) -> Outcome {
    let operands = [numbers(call, 0)?, numbers(call, 3)?];
    let result = call.b().map_broadcast(func, &operands)?;
    bytes(call, result, 6)
}

pub fn add(call: &mut Call) -> Outcome {
    binary(call, Func::Add)
}

pub fn mul(call: &mut Call) -> Outcome {
    binary(call, Func::Mul)
}

pub fn sigmoid(call: &mut Call) -> Outcome {
    let x = numbers(call, 0)?;
    let result = call.b().map(Func::Sigmoid, &[x])?;
    bytes(call, result, 3)
}

pub fn leaky_relu(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 0.01)?;
    let x = numbers(call, 0)?;
    let b = call.b();
    let zero = b.number(DType::F32, 0.0);
    let scaled = b.map_number(Func::Mul, x, alpha)?;
    let negative = b.map_broadcast(Func::Less, &[x, zero])?;
    let result = b.map(Func::Select, &[negative, scaled, x])?;
    bytes(call, result, 3)
}

pub fn global_average(call: &mut Call) -> Outcome {
    let rank = call.rank(0)?;
    if rank < 3 {
        return Err(call.error(Code::Shape, format!("x of {} has rank {rank}", call.node.op_type)).into());
    }
    let first = if call.flag_or("channels_last", false)? { 1 } else { 2 };
    let axes: Vec<usize> = (first..first + rank - 2).collect();
    let x = numbers(call, 0)?;
    let mean = call.b().mean(x, &axes, Folded::Kept)?;
    bytes(call, mean, 3)
}

/// Operands 2, 5 and so on, one after the other.
pub fn concat(call: &mut Call) -> Outcome {
    let axis = call.int("axis")?.ok_or_else(|| call.attribute_error("attribute `axis` is missing"))?;
    let axis = call.normal_axis(axis, call.rank(2)?)?;
    if call.operand_count() % 3 != 2 {
        return Err(call.error(Code::Malformed, "an operand of QLinearConcat lacks its scale or zero point").into());
    }
    let operands: Vec<ValueId> = (2..call.operand_count()).step_by(3).map(|at| numbers(call, at)).collect::<Result<_>>()?;
    let result = call.b().concat(&operands, axis)?;
    bytes(call, result, 0)
}

/// `alpha (A' B' + C)`, where C is in the unit of the sums. The result is f32 where it has no scale.
pub fn gemm(call: &mut Call) -> Outcome {
    let alpha = call.float_or("alpha", 1.0)?;
    let spec = match (call.flag_or("transA", false)?, call.flag_or("transB", false)?) {
        (false, false) => "mk,kn->mn",
        (false, true) => "mk,nk->mn",
        (true, false) => "km,kn->mn",
        (true, true) => "km,nk->mn",
    };
    let a = numbers(call, 0)?;
    // each column of the product may have its own
    let b = numbers_along(call, 3, if spec.contains("nk") { 0 } else { -1 })?;
    let mut result = call.b().contract(spec, a, b)?;
    if let Some(c) = call.optional_value(6)? {
        check_type(call, call.dtype(6)?, &[DType::I32])?;
        let units = [scale(call, 1)?, scale(call, 4)?];
        let b = call.b();
        let (c, dims) = (b.convert(c, DType::F32)?, b.dims(result).to_vec());
        let unit = b.map_broadcast(Func::Mul, &units)?;
        let c = b.map_broadcast(Func::Mul, &[c, unit])?;
        let c = b.broadcast(c, &dims)?;
        result = b.map(Func::Add, &[result, c])?;
    }
    let result = if alpha == 1.0 { result } else { call.b().map_number(Func::Mul, result, alpha)? };
    if call.optional(7).is_some() { bytes(call, result, 7) } else { one(result) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    const SCALES: &str = "s: f32[] = 0.5 z: u8[] = 10 t: f32[] = 2";

    fn model(operands: &str, node: &str) -> String {
        format!("{operands} {SCALES} y = com.microsoft.{node} => y")
    }

    #[test]
    fn sums_and_products() {
        // (2, -5) and (3, 1) as halves
        let operands = ["u8[2] 14 0", "u8[2] 16 12"];
        check(&model("a: u8[n] b: u8[n]", "QLinearAdd(a, s, z, b, s, z, s, z)"), &operands, &["u8[2] 20 2"]);
        check(&model("a: u8[n] b: u8[n]", "QLinearMul(a, s, z, b, s, z, t)"), &operands, &["u8[2] 3 0"]);
    }

    #[test]
    fn functions() {
        check(&model("x: u8[2]", "QLinearLeakyRelu {alpha = 0.5} (x, s, z, s, z)"), &["u8[2] 14 6"], &["u8[2] 14 8"]);
        check(&model("x: u8[2] u: f32[] = 0.0078125", "QLinearSigmoid(x, s, z, u)"), &["u8[2] 10 255"], &["u8[2] 64 128"]);
    }

    #[test]
    fn means_and_joined_tensors() {
        check(&model("x: u8[1, 1, 4]", "QLinearGlobalAveragePool(x, s, z, s, z)"), &["u8[1, 1, 4] 10 12 14 12"], &["u8[1, 1, 1] 12"]);
        check(
            &model("a: u8[1] b: u8[1]", "QLinearConcat {axis = 0} (s, z, a, s, z, b, t, z)"),
            &["u8[1] 11", "u8[1] 11"],
            &["u8[2] 11 14"],
        );
    }

    #[test]
    fn products_of_matrices() {
        let b = "b: i8[2, 2] = 1 2 3 4 bs: f32[2] = 1 0.5 q: i8[] = 0 c: i32[2] = 10 4";
        // (2, 3) as halves by b is (11, 16), times (1/2, 1/4)
        let text = model(&format!("a: u8[1, 2] {b}"), "QGemm(a, s, z, b, bs, q, c)");
        check(&text, &["u8[1, 2] 12 13"], &["f32[1, 2] 10.5 5"]);
        let text = model("a: u8[1, 2] b: i8[1, 2] = 1 3 q: i8[] = 0", "QGemm {transB = 1} (a, s, z, b, s, q, _, s, z)");
        check(&text, &["u8[1, 2] 12 13"], &["u8[1, 1] 16"]);
        assert!(ops_of(&text).contains("contract"));
    }

    #[test]
    fn types_must_fit() {
        check_problems(
            &model("x: u16[2]", "QLinearSigmoid(x, s, z, s, z)"),
            &["[E004] QLinearSigmoid#0: QLinearSigmoid is not defined on u16"],
        );
        check_problems(
            &model("x: i8[2]", "QLinearSigmoid(x, s, z, s, z)"),
            &["[E004] QLinearSigmoid#0: zero point 2 is u8, and its operand i8"],
        );
    }
}
