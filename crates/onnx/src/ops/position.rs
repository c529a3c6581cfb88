//! Elements chosen by where they stand: triangles, diagonals, running sums and products, one-hot vectors.

use super::Entry;
use super::activation::scalar_operand;
use crate::import::{Call, Outcome, element_type_of, one};
use ::ops::{Builder, Folded};
use ir::guard::Condition;
use ir::{Code, DType, Diagnostic, Literal, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("Trilu", 14, trilu),
    Entry("EyeLike", 9, eye),
    Entry("CumSum", 11, |call| running_op(call, Monoid::Sum)),
    Entry("CumProd", 26, |call| running_op(call, Monoid::Product)),
    Entry("OneHot", 9, one_hot),
];

/// More than any dim has.
const FAR: i64 = 1 << 62;

/// One side of diagonal `k` of each matrix, the diagonal with it; zeros on the other.
fn trilu(call: &mut Call) -> Outcome {
    let upper = call.flag_or("upper", true)?;
    let dims = call.dims(0)?;
    let Some(outer) = dims.len().checked_sub(2) else {
        return Err(call.error(Code::Shape, format!("{} holds no matrices", call.ty(0)?)).into());
    };
    let (x, k) = (call.value(0)?, scalar_operand(call, 1)?);
    let b = call.b();
    let row = b.iota(&dims[outer..], 0, DType::I64)?;
    let column = b.iota(&dims[outer..], 1, DType::I64)?;
    let diagonal = match k {
        Some(k) => {
            // beyond any diagonal, where the sum does not wrap yet
            let [low, high] = [-FAR, FAR].map(|far| b.scalar(DType::I64, Literal::Int(far)));
            let k = b.clamp(k, low, high)?;
            b.map_broadcast(Func::Add, &[row, k])?
        }
        None => row,
    };
    let kept = b.map(if upper { Func::GreaterEqual } else { Func::LessEqual }, &[column, diagonal])?;
    let zero = b.number(b.dtype(x), 0.0);
    one(b.map_broadcast(Func::Select, &[kept, x, zero])?)
}

/// Ones on diagonal `k` of a matrix, zeros elsewhere.
fn eye(call: &mut Call) -> Outcome {
    let dims = call.dims(0)?;
    if dims.len() != 2 {
        return Err(call.error(Code::Shape, format!("{} is no matrix", call.ty(0)?)).into());
    }
    let dtype = match call.int("dtype")? {
        Some(number) => element_type_of(number).map_err(|(code, text)| call.error(code, format!("EyeLike: {text}")))?,
        None => call.dtype(0)?,
    };
    let k = call.int_or("k", 0)?;
    let b = call.b();
    let (row, column) = (b.iota(&dims, 0, DType::I64)?, b.iota(&dims, 1, DType::I64)?);
    let diagonal = b.map(Func::Sub, &[column, row])?;
    let k = b.scalar(DType::I64, Literal::Int(k));
    let on = b.map_broadcast(Func::Equal, &[diagonal, k])?;
    one(b.convert(on, dtype)?)
}

/// The sums, or products, along an axis up to each element.
fn running_op(call: &mut Call, kind: Monoid) -> Outcome {
    let (exclusive, reverse) = (call.flag_or("exclusive", false)?, call.flag_or("reverse", false)?);
    let rank = call.rank(0)?;
    let axis = match call.numbers(1, "axis")?.as_slice() {
        [axis] => call.normal_axis(*axis, rank)?,
        other => return Err(call.attribute_error(format!("`axis` is {other:?}")).into()),
    };
    let (x, dtype) = (call.value(0)?, call.dtype(0)?);
    let b = call.b();
    // the sums of blocks are not rounded to 16 bits
    let wide = b.widened(x)?;
    let all = running(b, kind, wide, axis, (exclusive, reverse))?;
    one(b.convert(all, dtype)?)
}

/// Elements of which all pairs are looked at.
const BLOCK: i64 = 64;
/// How often blocks are blocks of blocks.
const LEVELS: usize = 3;

/// The fold of the elements along an axis up to each of them: without it where `exclusive`, from the end where `reverse`.
pub fn running(b: &mut Builder, kind: Monoid, x: ValueId, axis: usize, flags: (bool, bool)) -> Result<ValueId, Diagnostic> {
    running_in(b, kind, x, axis, flags, LEVELS)
}

/// Each block for itself, and then the fold of the blocks before it: work in proportion to the length.
fn running_in(b: &mut Builder, kind: Monoid, x: ValueId, axis: usize, flags: (bool, bool), levels: usize) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(x).to_vec();
    let size = &dims[axis];
    if levels == 0 || size.as_const().is_some_and(|size| size <= 2 * BLOCK) {
        return running_pairs(b, kind, x, axis, flags);
    }
    let nothing = b.number(b.dtype(x), if kind == Monoid::Product { 1.0 } else { 0.0 });
    let (blocks, mut high) = (size.ceil_div(&Expr::from(BLOCK)), vec![Expr::zero(); dims.len()]);
    high[axis] = Expr::from(BLOCK - 1);
    let padded = b.pad(x, nothing, &vec![Expr::zero(); dims.len()], &high)?;
    let padded = b.slice_axis(padded, axis, &Expr::zero(), &(&blocks * BLOCK))?;
    let padded_dims = b.dims(padded).to_vec();
    let mut blocked = dims.clone();
    blocked[axis] = blocks;
    blocked.insert(axis + 1, Expr::from(BLOCK));
    let inside = b.reshape(padded, &blocked)?;
    let totals = b.reduce(kind, inside, &[axis + 1], Folded::Dropped)?;
    let inside = running_pairs(b, kind, inside, axis + 1, flags)?;
    let before = running_in(b, kind, totals, axis, (true, flags.1), levels - 1)?;
    let before = b.unsqueeze(before, &[axis + 1])?;
    let func = if kind == Monoid::Product { Func::Mul } else { Func::Add };
    let all = b.map_broadcast(func, &[before, inside])?;
    let all = b.reshape(all, &padded_dims)?;
    b.slice_axis(all, axis, &Expr::zero(), size)
}

/// The same by looking at all pairs of elements.
fn running_pairs(
    b: &mut Builder,
    kind: Monoid,
    x: ValueId,
    axis: usize,
    (exclusive, reverse): (bool, bool),
) -> Result<ValueId, Diagnostic> {
    let dims = b.dims(x).to_vec();
    let pairs = [dims[axis].clone(), dims[axis].clone()];
    let mut each = dims.clone();
    each.insert(axis, dims[axis].clone());
    let (to, from) = (b.iota(&pairs, 0, DType::I64)?, b.iota(&pairs, 1, DType::I64)?);
    let takes_part = match (exclusive, reverse) {
        (false, false) => Func::LessEqual,
        (true, false) => Func::Less,
        (false, true) => Func::GreaterEqual,
        (true, true) => Func::Greater,
    };
    let counted = b.map(takes_part, &[from, to])?;
    let behind: Vec<usize> = (2..each.len() - axis).collect();
    let counted = b.unsqueeze(counted, &behind)?;
    let counted = b.broadcast(counted, &each)?;
    let terms = b.unsqueeze(x, &[axis])?;
    let terms = b.broadcast(terms, &each)?;
    let nothing = b.number(b.dtype(x), if kind == Monoid::Product { 1.0 } else { 0.0 });
    let terms = b.map_broadcast(Func::Select, &[counted, terms, nothing])?;
    b.reduce(kind, terms, &[axis + 1], Folded::Dropped)
}

/// A new axis of size `depth`: `values[1]` where it stands at the index, else `values[0]`. Indices out of range stand nowhere.
fn one_hot(call: &mut Call) -> Outcome {
    let rank = call.rank(0)? + 1;
    let axis = call.normal_axis(call.int_or("axis", -1)?, rank)?;
    let depth = depth(call)?;
    let mut dims = call.dims(0)?;
    dims.insert(axis, depth.clone());
    let [off, on] = [0, 1].map(|at| choice(call, at));
    let (off, on, indices) = (off?, on?, call.value(0)?);
    let b = call.b();
    let indices = b.convert(indices, DType::I64)?;
    let size = b.size(&depth, DType::I64)?;
    let from_end = b.map_broadcast(Func::Add, &[indices, size])?;
    let is_negative = b.map_number(Func::Less, indices, 0.0)?;
    let place = b.map(Func::Select, &[is_negative, from_end, indices])?;
    let place = b.unsqueeze(place, &[axis])?;
    let at = b.iota(&dims, axis, DType::I64)?;
    let hot = b.map_broadcast(Func::Equal, &[at, place])?;
    one(b.map_broadcast(Func::Select, &[hot, on, off])?)
}

/// The number of classes, which shapes the result.
fn depth(call: &mut Call) -> Result<Expr, Diagnostic> {
    let depth = match (call.constant(1), call.known(1)) {
        (Some(depth), None) => Expr::from(depth.as_f64() as i64),
        _ => call.computed_number(1, "depth")?,
    };
    call.guard(Condition::AtLeast(depth.clone(), Expr::zero()));
    Ok(depth)
}

/// Element `at` of the two values.
fn choice(call: &mut Call, at: i64) -> Result<ValueId, Diagnostic> {
    if call.dims(2)? != [Expr::from(2)] {
        return Err(call.error(Code::Shape, format!("`values` is {}, not two", call.ty(2)?)));
    }
    let values = call.value(2)?;
    let value = call.b().slice_axis(values, 0, &Expr::from(at), &Expr::one())?;
    call.b().reshape(value, &[])
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn triangles() {
        let x = "f32[2, 3] 1 2 3 4 5 6";
        check("x: f32[n, 3] y = Trilu(x) z = Trilu {upper = 0} (x) => y, z", &[x], &["f32[2, 3] 1 2 3 0 5 6", "f32[2, 3] 1 0 0 4 5 0"]);
        check("x: f32[2, 3] k: i64[] = -1 y = Trilu {upper = 0} (x, k) => y", &[x], &["f32[2, 3] 0 0 0 4 0 0"]);
        for (k, kept) in [(i64::MAX, "0 0 0 0"), (i64::MIN, "1 2 3 4")] {
            check(&format!("x: f32[2, 2] k: i64[] = {k} y = Trilu(x, k) => y"), &["f32[2, 2] 1 2 3 4"], &[&format!("f32[2, 2] {kept}")]);
        }
        check("x: bool[1, 2, 2] k: i64[] y = Trilu(x, k) => y", &["bool[1, 2, 2] 1 1 1 1", "i64[] 1"], &["bool[1, 2, 2] 0 1 0 0"]);
    }

    #[test]
    fn diagonals() {
        check("x: i32[2, n] y = EyeLike {k = 1, dtype = 1} (x) => y", &["i32[2, 3] 5 5 5 5 5 5"], &["f32[2, 3] 0 1 0 0 0 1"]);
        let far = "x: bool[1, 2] y = EyeLike {k = -9223372036854775808} (x) z = EyeLike(x) => y, z";
        check(far, &["bool[1, 2] 0 0"], &["bool[1, 2] 0 0", "bool[1, 2] 1 0"]);
        check_problems("x: f32[2] y = EyeLike(x) => y", &["[E003] EyeLike#0: f32[2] is no matrix"]);
    }

    #[test]
    fn running_products() {
        let text = |attributes: &str| format!("x: i32[n] a: i64[] = 0 y = CumProd {{{attributes}}} (x, a) => y");
        check(&text("exclusive = 1"), &["i32[3] 2 3 4"], &["i32[3] 1 2 6"]);
        check(&text("reverse = 1"), &["i32[3] 2 3 4"], &["i32[3] 24 12 4"]);
    }

    #[test]
    fn running_sums() {
        let text = |attributes: &str| format!("x: f32[2, n] a: i32[] = -1 y = CumSum {{{attributes}}} (x, a) => y");
        let x = "f32[2, 3] 1 2 inf 4 5 6";
        check(&text("exclusive = 0"), &[x], &["f32[2, 3] 1 3 inf 4 9 15"]);
        check(&text("exclusive = 1"), &[x], &["f32[2, 3] 0 1 3 0 4 9"]);
        check(&text("reverse = 1"), &["f32[2, 3] 1 2 3 4 5 6"], &["f32[2, 3] 6 5 3 15 11 6"]);
        check(&text("reverse = 1, exclusive = 1"), &["f32[2, 3] 1 2 3 4 5 6"], &["f32[2, 3] 5 3 0 11 6 0"]);
        check("x: i32[2, 2] a: i64[1] = 0 y = CumSum(x, a) => y", &["i32[2, 2] 1 2 3 4"], &["i32[2, 2] 1 2 4 6"]);
        // several blocks of blocks
        for (size, last) in [(64, 2080), (65, 2145), (5000, 12502500)] {
            let text = format!(
                "l: i64[1] = {size} o: i64[] = 1 e: i64[] = {} r = Range(o, e, o) a: i64[] = 0 y = CumSum(r, a) z = ReduceMax {{keepdims = 0}} (y) => z",
                size + 1
            );
            check(&text, &[], &[&format!("i64[] {last}")]);
        }
        let ones = ["1"; 200].join(" ");
        let counts: Vec<String> = (0..200).map(|at| at.to_string()).collect();
        check(
            &text("exclusive = 1").replace("[2, n]", "[1, n]"),
            &[&format!("f32[1, 200] {ones}")],
            &[&format!("f32[1, 200] {}", counts.join(" "))],
        );
    }

    #[test]
    fn one_hot_vectors() {
        let text = |axis: i64| format!("i: i64[n] d: f32[] = 3 v: f32[2] = 5 7 y = OneHot {{axis = {axis}}} (i, d, v) => y");
        check(&text(-1), &["i64[3] 0 -1 9"], &["f32[3, 3] 7 5 5 5 5 7 5 5 5"]);
        check(&text(0), &["i64[2] 1 0"], &["f32[3, 2] 5 7 7 5 5 5"]);
        let of_data = "i: i64[n] d: i64[] v: f32[2] = 5 7 y = OneHot(i, d, v) => y";
        check(of_data, &["i64[3] 0 -1 9", "i64[] 3"], &["f32[3, 3] 7 5 5 5 5 7 5 5 5"]);
        check(of_data, &["i64[1] 0", "i64[] 0"], &["f32[1, 0]"]);
    }
}
