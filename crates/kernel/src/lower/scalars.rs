//! The values of a body at a point.
//!
//! A value stays a scalar as long as all that it is made of does; it becomes a vector where it meets one. The 16-bit floats are computed in
//! f32: a value of such a scalar is an f32 that the 16-bit type holds exactly, so every op that could leave it rounds.

use crate::build::KernelBuilder;
use crate::kernel::{Binary, Compare, FINITE, Ty, Unary, ValueId};
use crate::lower::access;
use crate::lower::math;
use crate::lower::point::{Access, Memo, Point, StageCx, data_sym, register_dtype};
use ir::{DType, Literal};
use nest::{Func, Index, Monoid, Nest, Scalar, ScalarId, ScalarOp, Write};
use std::borrow::Cow;
use std::collections::BTreeSet;
use sym::{Expr, Sym};

/// The value of a scalar at a point, in its register type, with one lane or the point's. Reductions must stand in the memo.
pub fn eval(b: &mut KernelBuilder, cx: &StageCx, point: &Point, id: ScalarId, memo: &mut Memo) -> ValueId {
    if let Some(known) = memo.get(&id) {
        return *known;
    }
    let scalar = cx.nest().scalar(id);
    let value = match &scalar.op {
        ScalarOp::Read(read) => {
            let point = check_data(b, cx, point, Access::Read(id), memo);
            access::load(b, cx, &point, id, read)
        }
        ScalarOp::Literal(value) => b.literal(*value, Ty::scalar(register_dtype(scalar.dtype))),
        ScalarOp::Index(expr) => {
            let expr = point.at(expr);
            access::lane_values(b, &expr, scalar.dtype, point.lanes())
        }
        ScalarOp::Apply(func, operands) => apply(b, cx, point, scalar, *func, operands, memo),
        ScalarOp::Convert(operand) => {
            let from = cx.nest().scalar(*operand).dtype;
            let value = eval(b, cx, point, *operand, memo);
            convert(b, value, from, scalar.dtype)
        }
        ScalarOp::Bits(operand) => {
            let from = cx.nest().scalar(*operand).dtype;
            let value = eval(b, cx, point, *operand, memo);
            bits(b, value, from, scalar.dtype)
        }
        ScalarOp::Reduce(..) => panic!("the reduction {id:?} is not in the memo"),
    };
    memo.insert(id, value);
    value
}

/// Fails where the scalars that a write wants finite are not; `done` are the values that were looked at before.
pub fn check_finite(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, memo: &mut Memo, done: &mut BTreeSet<ValueId>) {
    for id in &cx.nest().writes[write].finite {
        let value = eval(b, cx, point, *id, memo);
        if !done.insert(value) {
            continue;
        }
        let nothing = b.binary(Binary::Sub, value, value);
        let zero = b.literal(Literal::Float(0.0), b.ty(value));
        let finite = b.compare(Compare::Equal, nothing, zero);
        let counts = point.mask.filter(|mask| b.ty(*mask) == b.ty(finite));
        let finite = counts.map_or(finite, |counts| {
            let beyond = b.unary(Unary::Not, counts);
            b.binary(Binary::Or, finite, beyond)
        });
        let all = b.fold(Monoid::And, finite);
        let [yes, no] = [0, 1].map(|index| b.literal(Literal::Int(index), Ty::scalar(DType::I64)));
        let index = b.select(all, yes, no);
        b.check(index, &Expr::one(), FINITE as u32 + cx.site);
    }
}

/// Evaluates what a write stores and stores it, folded into the element that is there where the write says so.
pub fn write(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, memo: &mut Memo) {
    let value = written(b, cx, point, write, memo);
    let point = check_data(b, cx, point, Access::Write(write), memo);
    let value = cx.nest().writes[write].combine.map_or(value, |combine| combined(b, cx, &point, write, combine, value));
    access::store(b, cx, &point, write, value);
}

/// The value of a write, before it is folded into anything. A copy of 16-bit floats stays as it is.
pub fn written(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, memo: &mut Memo) -> ValueId {
    let Write { combine, value: id, .. } = cx.nest().writes[write];
    let scalar = cx.nest().scalar(id);
    match &scalar.op {
        ScalarOp::Read(read) if register_dtype(scalar.dtype) != scalar.dtype && combine.is_none() && !memo.contains_key(&id) => {
            let point = check_data(b, cx, point, Access::Read(id), memo);
            access::load_stored(b, cx, &point, id, read)
        }
        _ => eval(b, cx, point, id, memo),
    }
}

/// The element that a write finds in its place, with the value folded into it.
fn combined(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, combine: Monoid, value: ValueId) -> ValueId {
    let before = access::load_written(b, cx, point, write);
    let lanes = b.ty(before).lanes.max(b.ty(value).lanes);
    let operands = [b.splat(before, lanes), b.splat(value, lanes)];
    let result = math::apply(b, combine.func(), &operands, &[None, None]);
    if leaves_type(combine.func()) { round_to(b, result, cx.nest().writes[write].ty.dtype) } else { result }
}

fn apply(
    b: &mut KernelBuilder,
    cx: &StageCx,
    point: &Point,
    scalar: &Scalar,
    func: Func,
    operands: &[ScalarId],
    memo: &mut Memo,
) -> ValueId {
    if let (Func::Select, [condition, yes, no]) = (func, operands)
        && let Some(holds) = decided(cx.nest(), point, *condition)
    {
        return eval(b, cx, point, if holds { *yes } else { *no }, memo);
    }
    let values: Vec<ValueId> = operands.iter().map(|id| eval(b, cx, point, *id, memo)).collect();
    let lanes = values.iter().map(|v| b.ty(*v).lanes).max().unwrap_or(1);
    let constants: Vec<Option<Literal>> = operands.iter().map(|id| constant(cx.nest(), *id)).collect();
    let values: Vec<ValueId> = values.iter().zip(&constants).map(|(v, c)| widen(b, *v, *c, lanes)).collect();
    let result = math::apply(b, func, &values, &constants);
    if leaves_type(func) { round_to(b, result, scalar.dtype) } else { result }
}

/// Whether a comparison of an index with a number holds, where the point decides it.
fn decided(nest: &Nest, point: &Point, condition: ScalarId) -> Option<bool> {
    let (index, number) = compared(nest, condition)?;
    Some(point.at(index).as_const()? == number)
}

/// The index and the number that a scalar compares for being equal.
fn compared(nest: &Nest, condition: ScalarId) -> Option<(&Expr, i64)> {
    let ScalarOp::Apply(Func::Equal, operands) = &nest.scalar(condition).op else { return None };
    match [operands[0], operands[1]].map(|id| &nest.scalar(id).op) {
        [ScalarOp::Index(index), ScalarOp::Literal(Literal::Int(number))] => Some((index, *number)),
        _ => None,
    }
}

/// The most points of iterators that only choose.
pub const MOST_CHOICES: i64 = 64;

/// Parallel iterators of few points by which a body without reductions chooses among its values: `select(i == 0, a, select(i == 1, b, c))`.
pub fn choosers(nest: &Nest) -> Vec<Sym> {
    let compared: Vec<&Sym> = (0..nest.body.len()).filter_map(|at| compared(nest, ScalarId(at as u32))?.0.as_sym()).collect();
    let indices = || nest.body.iter().filter_map(|scalar| if let ScalarOp::Index(e) = &scalar.op { Some(e) } else { None });
    let only = |sym: &Sym| compared.contains(&sym) && indices().all(|e| !e.mentions(sym) || e.as_sym() == Some(sym));
    let chosen: Vec<(&Sym, i64)> =
        nest.parallel().filter(|iter| only(&iter.sym)).filter_map(|iter| Some((&iter.sym, iter.extent.as_const()?))).collect();
    let points = chosen.iter().fold(1, |points: i64, (_, extent)| points.saturating_mul(*extent));
    let few = (2..=MOST_CHOICES).contains(&points) && !nest.has_reduction();
    if few { chosen.into_iter().map(|(sym, _)| sym.clone()).collect() } else { vec![] }
}

/// The literal that a scalar is.
fn constant(nest: &Nest, id: ScalarId) -> Option<Literal> {
    match nest.scalar(id).op {
        ScalarOp::Literal(value) => Some(value),
        ScalarOp::Read(_) | ScalarOp::Index(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) | ScalarOp::Reduce(..) => {
            None
        }
    }
}

fn widen(b: &mut KernelBuilder, value: ValueId, constant: Option<Literal>, lanes: u32) -> ValueId {
    let ty = b.ty(value);
    match constant {
        Some(literal) if ty.lanes != lanes => b.literal(literal, Ty { lanes, ..ty }),
        _ => b.splat(value, lanes),
    }
}

/// Whether a function of values that a 16-bit float holds may give one that it does not hold.
fn leaves_type(func: Func) -> bool {
    use Func::*;
    match func {
        Neg | Abs | Sign | Floor | Ceil | Round | Trunc | Flush | IsNan | IsInf | Not | Rem | Max | Min | And | Or | Xor | Equal
        | NotEqual | Less | LessEqual | Greater | GreaterEqual | Select => false,
        Exp | Log | Sqrt | Rsqrt | Reciprocal | Erf | Tanh | Sigmoid | Sin | Cos | Atan | Add | Sub | Mul | Div | Pow | MulAdd => true,
    }
}

/// Rounds a register value to what an element of the type holds.
pub fn round_to(b: &mut KernelBuilder, value: ValueId, dtype: DType) -> ValueId {
    if register_dtype(dtype) == dtype {
        return value;
    }
    let narrow = b.convert(value, dtype);
    b.convert(narrow, register_dtype(dtype))
}

/// A register value of one element type as one of another. Into the 16-bit floats everything goes by way of f32.
pub fn convert(b: &mut KernelBuilder, value: ValueId, from: DType, to: DType) -> ValueId {
    let value = b.convert(value, register_dtype(to));
    if from == to { value } else { round_to(b, value, to) }
}

/// The bits of a register value of one element type as a register value of another. A bool has none of its own: it is a number of 0 or 1.
fn bits(b: &mut KernelBuilder, value: ValueId, from: DType, to: DType) -> ValueId {
    if from == DType::Bool || to == DType::Bool {
        return convert(b, value, from, to);
    }
    let stored = b.convert(value, from);
    let same = b.bits(stored, to);
    b.convert(same, register_dtype(to))
}

/// The point with the data indices of an access checked and bound.
fn check_data<'a>(b: &mut KernelBuilder, cx: &StageCx, point: &'a Point, access: Access, memo: &mut Memo) -> Cow<'a, Point> {
    let mut point = Cow::Borrowed(point);
    for (id, dim) in cx.data_indices(access) {
        if !point.env.contains_key(&data_sym(id, dim)) {
            check(b, cx, point.to_mut(), id, dim, memo);
        }
    }
    point
}

/// Checks a data index and binds its symbol in the point, unless that is done already. The index must be the same for all lanes.
pub fn check(b: &mut KernelBuilder, cx: &StageCx, point: &mut Point, id: ScalarId, dim: &Expr, memo: &mut Memo) {
    let sym = data_sym(id, dim);
    if point.env.contains_key(&sym) {
        return;
    }
    let value = eval(b, cx, point, id, memo);
    assert_eq!(b.ty(value).lanes, 1, "a data index differs from lane to lane");
    let value = b.convert(value, DType::I64);
    let checked = b.check(value, dim, cx.site);
    point.ranges.iterator(&checked.as_sym().cloned().unwrap_or_else(|| sym.clone()), dim);
    point.bind(&sym, checked);
}

/// For each scalar, whether it depends on an iterator of `syms`. A reduction does not depend on the iterators that it folds over.
pub fn depends_on(nest: &Nest, syms: &[Sym]) -> Vec<bool> {
    let folded = |sym: &Sym| nest.reductions().any(|iter| iter.sym == *sym);
    let outside: Vec<Sym> = syms.iter().filter(|sym| !folded(sym)).cloned().collect();
    let outside = (outside.len() < syms.len()).then(|| depends_on(nest, &outside));
    let mentions = |expr: &Expr| syms.iter().any(|sym| expr.mentions(sym));
    let mut depends: Vec<bool> = Vec::with_capacity(nest.body.len());
    for scalar in &nest.body {
        let any = scalar.op.operands().iter().any(|id| depends[id.0 as usize]);
        let this = match &scalar.op {
            ScalarOp::Read(read) => any || read.index.iter().filter_map(Index::as_map).any(mentions),
            ScalarOp::Index(expr) => mentions(expr),
            ScalarOp::Literal(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) => any,
            ScalarOp::Reduce(_, operand) => outside.as_ref().map_or(any, |depends| depends[operand.0 as usize]),
        };
        depends.push(this);
    }
    depends
}

/// Whether an iterator may run along the lanes: no data index depends on it, and what is written has elements (else no iterator moves the
/// address).
pub fn may_vectorise(nest: &Nest, sym: &Sym) -> bool {
    if nest.writes.iter().any(|write| write.ty.dims.iter().any(Expr::is_zero)) {
        return false;
    }
    let depends = depends_on(nest, std::slice::from_ref(sym));
    let of_reads = nest.reads().flat_map(|(_, read)| read.index.iter().filter_map(Index::as_data));
    of_reads.chain(nest.writes.iter().flat_map(Write::data)).all(|id| !depends[id.0 as usize])
}
