//! Products of bytes with zero points.
//!
//! `sum (a - p)(b - q)` is computed as `sum ab - p (sum b - K q) - q sum a`, exact in i32 that wraps: the product stays one of bytes, for
//! which machines have instructions, and what a zero point of 0 would add is left out.

use super::Entry;
use super::activation::scalar_operand;
use super::conv::{taps, unpadded};
use super::matmul::product_spec;
use super::window::{Rounding, Window, spatial_dims};
use crate::import::{Call, Outcome, one};
use ::ops::{Folded, WindowAttrs};
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("MatMulInteger", 10, matmul_integer), Entry("ConvInteger", 10, conv_integer)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Whether operand `at` is a zero point that changes anything.
fn has_zero_point(call: &Call, at: usize, factor: usize) -> Result<bool> {
    if call.optional(at).is_none() {
        return Ok(false);
    }
    let (own, of) = (call.dtype(at)?, call.dtype(factor)?);
    if own != of {
        return Err(call.error(Code::Type, format!("zero point {at} of {} is {own}, and its operand {of}", call.node.op_type)));
    }
    let zero = call.term(at).ok().and_then(|term| call.cx.constant(term)).and_then(|tensor| tensor.uniform());
    Ok(zero != Some(Literal::Int(0)))
}

fn check_bytes(call: &Call, factors: [usize; 2]) -> Result<()> {
    for at in factors {
        let dtype = call.dtype(at)?;
        if !matches!(dtype, DType::I8 | DType::U8) {
            return Err(call.error(Code::Type, format!("{} is not defined on {dtype}", call.node.op_type)));
        }
    }
    Ok(())
}

/// The sum of a tensor of bytes over an axis, in i32.
fn sum(call: &mut Call, x: ValueId, axis: usize, folded: Folded) -> Result<ValueId> {
    let wide = call.b().convert(x, DType::I32)?;
    call.b().reduce(Monoid::Sum, wide, &[axis], folded)
}

/// Which operands of a node are the factors, and which their zero points.
pub(super) struct Factors {
    pub factors: [usize; 2],
    pub zero_points: [usize; 2],
}

const INTEGER_FACTORS: Factors = Factors { factors: [0, 1], zero_points: [2, 3] };

fn matmul_integer(call: &mut Call) -> Outcome {
    one(matrix_product(call, &INTEGER_FACTORS)?)
}

/// The product of matrices of bytes, less their zero points, in i32.
pub(super) fn matrix_product(call: &mut Call, at: &Factors) -> Result<ValueId> {
    let ([first, second], [first_zero, second_zero]) = (at.factors, at.zero_points);
    check_bytes(call, at.factors)?;
    let operands = [call.value(first)?, call.value(second)?];
    let dims = operands.map(|id| call.b().dims(id).to_vec());
    if dims.iter().any(Vec::is_empty) {
        return Err(call.error(Code::Shape, format!("a factor of {} is a scalar", call.node.op_type)));
    }
    let (spec, factors) = product_spec(call, operands)?;
    let product = call.b().contract(&spec, factors[0], factors[1])?;
    let matrices = dims.iter().all(|dims| dims.len() >= 2);
    let folded = if matrices { Folded::Kept } else { Folded::Dropped };
    let p = has_zero_point(call, first_zero, first)?.then(|| zero_point(call, first_zero, matrices)).transpose()?;
    let q = has_zero_point(call, second_zero, second)?.then(|| zero_point(call, second_zero, false)).transpose()?;
    let (last, depth) = (dims[0].len() - 1, dims[0][dims[0].len() - 1].clone());
    let mut excess = Vec::new();
    if let Some(p) = p {
        let sums = sum(call, operands[1], dims[1].len().saturating_sub(2), folded)?;
        excess.push(first_excess(call, p, sums, q, &depth)?);
    }
    if let Some(q) = q {
        let sums = sum(call, operands[0], last, folded)?;
        excess.push(call.b().map_broadcast(Func::Mul, &[q, sums])?);
    }
    without(call, product, &excess)
}

/// A zero point in i32.
fn zero_point(call: &mut Call, at: usize, of_rows: bool) -> Result<ValueId> {
    let value = call.value(at)?;
    let value = call.b().convert(value, DType::I32)?;
    along_rows(call, value, of_rows)
}

/// A list of numbers, one for each row, as a column; a list of one as a scalar.
pub(super) fn along_rows(call: &mut Call, value: ValueId, of_rows: bool) -> Result<ValueId> {
    match call.b().dims(value) {
        [one] if one.is_one() => call.b().reshape(value, &[]),
        [_] if of_rows => call.b().unsqueeze(value, &[1]),
        _ => Ok(value),
    }
}

/// `p (sum b - K q)`, where K is `depth`.
fn first_excess(call: &mut Call, p: ValueId, sums: ValueId, q: Option<ValueId>, depth: &Expr) -> Result<ValueId> {
    let Some(q) = q else { return call.b().map_broadcast(Func::Mul, &[p, sums]) };
    let depth = call.b().size(depth, DType::I32)?;
    let all = call.b().map_broadcast(Func::Mul, &[q, depth])?;
    let sums = call.b().map_broadcast(Func::Sub, &[sums, all])?;
    call.b().map_broadcast(Func::Mul, &[p, sums])
}

/// `product - excess..`, which must not be larger than the product.
fn without(call: &mut Call, product: ValueId, excess: &[ValueId]) -> Result<ValueId> {
    let dims = call.b().dims(product).to_vec();
    excess.iter().try_fold(product, |left, excess| {
        let excess = call.b().broadcast(*excess, &dims)?;
        call.b().map(Func::Sub, &[left, excess])
    })
}

fn conv_integer(call: &mut Call) -> Outcome {
    one(convolution(call, &INTEGER_FACTORS)?)
}

/// The convolution of bytes, less their zero points, in i32.
pub(super) fn convolution(call: &mut Call, at: &Factors) -> Result<ValueId> {
    let ([first, second], [first_zero, second_zero]) = (at.factors, at.zero_points);
    check_bytes(call, at.factors)?;
    let groups = call.int_or("group", 1)?;
    let spatial = spatial_dims(call)?;
    let taps = taps(call, second, spatial.len())?;
    let window = Window::read(call, taps, &spatial, Rounding::Floor)?;
    let (x, w) = (call.value(first)?, call.value(second)?);
    let p = if has_zero_point(call, first_zero, first)? { scalar_operand(call, first_zero)? } else { None };
    let q = has_zero_point(call, second_zero, second)?.then(|| zero_point(call, second_zero, false)).transpose()?;
    // padding counts as the zero point
    let (x, attrs) = match (p, window.constant()) {
        (None, Some(attrs)) => (x, attrs),
        (None, None) => unpadded(call, x, None, &window)?,
        (Some(p), _) => unpadded(call, x, Some(p), &window)?,
    };
    let product = call.b().conv(x, w, &attrs, groups)?;
    let behind: Vec<usize> = (1..=spatial.len()).collect();
    let q = match q {
        Some(q) if call.b().dims(q).len() == 1 => Some(call.b().unsqueeze(q, &behind)?),
        q => q,
    };
    let mut excess = Vec::new();
    if let Some(p) = p {
        let p = call.b().convert(p, DType::I32)?;
        let sums = weight_sums(call, w, &behind)?;
        let depth = Expr::product(&call.b().dims(w).to_vec()[1..]);
        excess.push(first_excess(call, p, sums, q, &depth)?);
    }
    if let Some(q) = q {
        let sums = window_sums(call, x, w, &attrs, groups)?;
        excess.push(call.b().map_broadcast(Func::Mul, &[q, sums])?);
    }
    without(call, product, &excess)
}

/// The sums of the weights of each output channel, `[M, 1..]`.
fn weight_sums(call: &mut Call, w: ValueId, behind: &[usize]) -> Result<ValueId> {
    let wide = call.b().convert(w, DType::I32)?;
    let axes: Vec<usize> = (1..call.b().dims(w).len()).collect();
    let sums = call.b().reduce(Monoid::Sum, wide, &axes, Folded::Dropped)?;
    call.b().unsqueeze(sums, behind)
}

/// More weights of one are no constant: the operand's declared dims alone would take memory.
const MOST_ONES: i64 = 1 << 20;

/// The sums of what each window holds: of the same dims as the convolution, or with one channel where there is one group.
fn window_sums(call: &mut Call, x: ValueId, w: ValueId, attrs: &WindowAttrs, groups: i64) -> Result<ValueId> {
    let mut dims = call.b().dims(w).to_vec();
    if groups == 1 {
        dims[0] = Expr::one();
    }
    let ones = call.b().scalar(DType::I8, Literal::Int(1));
    let count = Expr::product(&dims).as_const();
    let ones = match dims.iter().map(|dim| dim.as_const().map(|dim| dim as usize)).collect::<Option<Vec<usize>>>() {
        Some(dims) if groups == 1 && count.is_some_and(|count| count <= MOST_ONES) => {
            call.b().graph.constant(Tensor::from_array(&Array::filled(DType::I8, dims, Literal::Int(1))), None, "ones")
        }
        _ => call.b().broadcast(ones, &dims)?,
    };
    call.b().conv(x, ones, attrs, groups)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    #[test]
    fn products_with_zero_points() {
        let b = "b: i8[2, 2] = 1 -2 3 4";
        check(&format!("a: u8[1, 2] {b} y = MatMulInteger(a, b) => y"), &["u8[1, 2] 255 2"], &["i32[1, 2] 261 -502"]);
        let scalars = "p: u8[] = 5 q: i8[] = -1";
        // (250, -3) by ((2, -1), (4, 5))
        check(&format!("a: u8[1, 2] {b} {scalars} y = MatMulInteger(a, b, p, q) => y"), &["u8[1, 2] 255 2"], &["i32[1, 2] 488 -265"]);
        let lists = "p: u8[2] = 1 2 q: i8[2] = 1 2";
        // ((1, 2), (1, 2)) by ((0, -4), (2, 2))
        check(&format!("a: u8[2, 2] {b} {lists} y = MatMulInteger(a, b, p, q) => y"), &["u8[2, 2] 2 3 3 4"], &["i32[2, 2] 4 0 4 0"]);
        let v = "v: u8[2] = 1 2 p: u8[] = 1 q: u8[] = 2";
        let one = "v: u8[2] = 1 2 p: u8[1] = 1 q: u8[1] = 2";
        check(&format!("a: u8[2] {one} y = MatMulInteger(a, v, p, q) => y"), &["u8[2] 3 4"], &["i32[] -2"]);
        check(&format!("a: u8[n, 2] {v} y = MatMulInteger(a, v, p, q) => y"), &["u8[2, 2] 1 2 3 4"], &["i32[2] 0 -2"]);
        check(&format!("a: u8[2, n] {v} y = MatMulInteger(v, a, p, q) => y"), &["u8[2, 2] 1 2 3 4"], &["i32[2] 1 2"]);
        check(
            "a: i8[2, 1, 1, n] b: i8[2, n, 1] p: i8[] = 1 y = MatMulInteger(a, b, p) => y",
            &["i8[2, 1, 1, 2] 1 2 3 4", "i8[2, 2, 1] 1 2 3 4"],
            &["i32[2, 2, 1, 1] 2 4 8 18"],
        );
    }

    #[test]
    fn declared_dims_take_no_memory() {
        let broadcasts = |text: &str| ops_of(text).matches("broadcast").count();
        let text = "x: u8[1, 1099511627776, 3, 3] w: i8[1, 1099511627776, 3, 3] q: i8[] y = ConvInteger(x, w, _, q) => y";
        assert_eq!(broadcasts(text), broadcasts(&text.replace("1099511627776", "2")) + 1);
    }

    #[test]
    fn zero_points_of_zero_cost_nothing() {
        let text = "a: u8[3, 2] b: i8[2, 2] = 1 2 3 4 p: u8[] = 0 q: i8[2] = 0 0 y = MatMulInteger(a, b, p, q) => y";
        assert_eq!(ops_of(text), "contract");
        let text = "x: u8[1, 2, 4] w: i8[2, 2, 3] = 1 2 3 4 5 6 7 8 9 1 2 3 p: u8[] = 0 y = ConvInteger {pads = [1, 1]} (x, w, p) => y";
        assert_eq!(ops_of(text), "conv");
    }

    #[test]
    fn convolutions_with_zero_points() {
        let w = "w: i8[1, 1, 2] = 1 2";
        check(&format!("x: u8[1, 1, 3] {w} y = ConvInteger(x, w) => y"), &["u8[1, 1, 3] 1 2 3"], &["i32[1, 1, 2] 5 8"]);
        let points = "p: u8[] = 1 q: i8[1] = -1";
        // (0, 1, 2) with zeros around, by (2, 3)
        check(
            &format!("x: u8[1, 1, 3] {w} {points} y = ConvInteger {{pads = [1, 1]}} (x, w, p, q) => y"),
            &["u8[1, 1, 3] 1 2 3"],
            &["i32[1, 1, 4] 0 3 8 4"],
        );
        check(
            "x: u8[1, 2, 2] w: i8[2, 1, 2] = 1 2 3 4 q: i8[2] = 1 2 y = ConvInteger {group = 2} (x, w, _, q) => y",
            &["u8[1, 2, 2] 1 2 3 4"],
            &["i32[1, 2, 1] 2 11"],
        );
    }

    #[test]
    fn types_must_fit() {
        check_problems(
            "a: i32[2, 2] b: i8[2, 2] y = MatMulInteger(a, b) => y",
            &["[E004] MatMulInteger#0: MatMulInteger is not defined on i32"],
        );
        check_problems(
            "a: u8[2, 2] b: i8[2, 2] p: i8[] = 1 y = MatMulInteger(a, b, p) => y",
            &["[E004] MatMulInteger#0: zero point 2 of MatMulInteger is i8, and its operand u8"],
        );
    }
}
