//! Recognising contractions: sums of products of two reads.

use crate::func::Func;
use crate::nest::{Index, IterKind, Monoid, Nest, Read, ScalarId, ScalarOp};
use ir::{DType, Literal};
use sym::{Expr, Sym};

/// The parts of a contraction `c(batch, m, n) = sum over k of a(batch, m, k) * b(batch, k, n)`, with any epilogue after the sum.
/// `a` is the operand that a kernel broadcasts, `b` the one whose `n` it vectorises.
#[derive(Clone, Debug, PartialEq)]
pub struct Contraction {
    pub a: ScalarId,
    pub b: ScalarId,
    pub sum: ScalarId,
    pub batch: Vec<Sym>,
    pub m: Vec<Sym>,
    pub n: Vec<Sym>,
    pub k: Vec<Sym>,
}

/// The contraction in a nest, where there is one; `prefer_b` says of a read whether it should rather be `b` (`a` is asked first:
/// `(true, false)` swaps). None where the reduction is not one sum of products of two affine reads.
pub fn contraction(nest: &Nest, prefer_b: &dyn Fn(&Read) -> bool) -> Option<Contraction> {
    let reduces: Vec<usize> = (0..nest.body.len()).filter(|at| matches!(nest.body[*at].op, ScalarOp::Reduce(..))).collect();
    let [sum] = reduces.as_slice() else { return None };
    let ScalarOp::Reduce(Monoid::Sum, product) = nest.body[*sum].op else { return None };
    let ScalarOp::Apply(Func::Mul, factors) = &nest.scalar(product).op else { return None };
    let (x, y) = (source(nest, factors[0])?, source(nest, factors[1])?);
    let dtype = nest.scalar(product).dtype;
    if x == y || !(dtype.is_float() || dtype == DType::I32) {
        return None;
    }
    let direct = roles(nest, ScalarId(*sum as u32), x, y);
    let swapped = roles(nest, ScalarId(*sum as u32), y, x);
    let (read_x, read_y) = (nest.read(x)?, nest.read(y)?);
    let swap = prefer_b(read_x) && !prefer_b(read_y);
    if swap { swapped.or(direct) } else { direct.or(swapped) }
}

/// The read behind conversions between float types, behind a widening of integers, or behind a byte's turn.
fn source(nest: &Nest, id: ScalarId) -> Option<ScalarId> {
    let scalar = nest.scalar(id);
    match &scalar.op {
        ScalarOp::Read(read) => read.index.iter().all(|i| matches!(i, Index::Map(_))).then_some(id),
        ScalarOp::Convert(inner) if converts(nest.scalar(*inner).dtype, scalar.dtype) => source(nest, *inner),
        ScalarOp::Apply(..) => source(nest, turned_byte(nest, id)?),
        _ => None,
    }
}

fn converts(from: DType, to: DType) -> bool {
    if from.is_float() { to.is_float() } else { from.is_int() && to.is_int() && from.size() < to.size() }
}

/// What is added to a byte so that it fits the byte type of the other sign: its top bit is flipped.
pub fn turn_of(dtype: DType) -> Option<i64> {
    match dtype {
        DType::I8 => Some(128),
        DType::U8 => Some(-128),
        _ => None,
    }
}

/// The read of a byte in `convert(byte) + turn_of(its type)`.
pub fn turned_byte(nest: &Nest, id: ScalarId) -> Option<ScalarId> {
    let ScalarOp::Apply(Func::Add, operands) = &nest.scalar(id).op else { return None };
    let (ScalarOp::Convert(byte), ScalarOp::Literal(Literal::Int(number))) = (&nest.scalar(operands[0]).op, &nest.scalar(operands[1]).op)
    else {
        return None;
    };
    let wide = nest.scalar(id).dtype.is_int() && nest.scalar(id).dtype.size() > 1;
    (wide && turn_of(nest.scalar(*byte).dtype) == Some(*number)).then_some(*byte)
}

fn roles(nest: &Nest, sum: ScalarId, a: ScalarId, b: ScalarId) -> Option<Contraction> {
    let mentions = |read: &Read, sym: &Sym| read.index.iter().filter_map(Index::as_map).any(|e| e.mentions(sym));
    let (read_a, read_b) = (nest.read(a)?, nest.read(b)?);
    let mut found = Contraction { a, b, sum, batch: vec![], m: vec![], n: vec![], k: vec![] };
    for iter in &nest.iters {
        let list = match (iter.kind, mentions(read_a, &iter.sym), mentions(read_b, &iter.sym)) {
            (IterKind::Reduction, true, true) => &mut found.k,
            (IterKind::Parallel, true, true) => &mut found.batch,
            (IterKind::Parallel, true, false) => &mut found.m,
            (IterKind::Parallel, false, true) => &mut found.n,
            _ => return None,
        };
        list.push(iter.sym.clone());
    }
    let usable = !found.n.is_empty() && !found.k.is_empty() && read_b.fill.is_none();
    usable.then_some(found)
}

/// The dim of a write that is exactly the iterator `sym`.
pub fn dim_of(index: &[Expr], sym: &Sym) -> Option<usize> {
    index.iter().position(|e| e.as_sym() == Some(sym))
}
