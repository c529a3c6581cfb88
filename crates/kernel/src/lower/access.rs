//! Loads and stores at a point: addresses split into what the lanes add and the rest, guards as masks.

use crate::build::KernelBuilder;
use crate::kernel::{Binary, BufferId, Compare, Cond, Ty, Unary, ValueId};
use crate::lower::point::{Access, Point, StageCx, lane_sym, register_dtype};
use ir::{DType, Literal};
use nest::{Index, Read, ScalarId};
use sym::{Atom, Expr};

/// How the address of a vector of points runs along the lanes.
pub enum Stride {
    /// The same element in every lane.
    Same(Expr),
    /// Consecutive elements.
    Unit(Expr),
    /// `base + lane*stride`.
    Strided { base: Expr, stride: Expr },
    /// Anything else, as an expression with [`lane_sym`].
    Irregular(Expr),
}

/// Splits an address that [`Point::at`] gave.
pub fn stride(address: &Expr) -> Stride {
    match address.split_linear(&lane_sym()) {
        Some((stride, base)) if stride.is_zero() => Stride::Same(base),
        Some((stride, base)) if stride.is_one() => Stride::Unit(base),
        Some((stride, base)) => Stride::Strided { base, stride },
        None => Stride::Irregular(address.clone()),
    }
}

/// The element that a read gives at a point, in its register type: a scalar where all lanes read the same element.
pub fn load(b: &mut KernelBuilder, cx: &StageCx, point: &Point, id: ScalarId, read: &Read) -> ValueId {
    let value = load_stored(b, cx, point, id, read);
    let dtype = b.ty(value).dtype;
    b.convert(value, register_dtype(dtype))
}

/// The same as it lies in memory.
pub fn load_stored(b: &mut KernelBuilder, cx: &StageCx, point: &Point, id: ScalarId, read: &Read) -> ValueId {
    let buffer = cx.operand_buffer(read.operand);
    let address = point.address(cx, Access::Read(id));
    let inside = read.fill.and_then(|_| inside(b, cx, point, read));
    let value = load_address(b, buffer, &address, point, inside);
    let dtype = b.buffer_dtype(buffer);
    match (inside, read.fill) {
        (Some(inside), Some(fill)) if fill != Literal::zero(dtype) => filled(b, inside, value, fill),
        (_, _) => value,
    }
}

fn filled(b: &mut KernelBuilder, inside: ValueId, value: ValueId, fill: Literal) -> ValueId {
    let ty = b.ty(value);
    let fill = b.literal(fill, ty);
    let inside = b.splat(inside, ty.lanes);
    b.select(inside, value, fill)
}

fn load_address(b: &mut KernelBuilder, buffer: BufferId, address: &Expr, point: &Point, inside: Option<ValueId>) -> ValueId {
    let lanes = point.lanes();
    let varies = inside.is_some_and(|mask| b.ty(mask).lanes > 1);
    match stride(address) {
        Stride::Same(base) if !varies => b.load(buffer, &base, 1, inside),
        Stride::Same(base) => {
            let mask = both(b, point.mask, inside, lanes);
            b.load_strided(buffer, &base, &Expr::zero(), lanes, mask)
        }
        Stride::Unit(base) => {
            let mask = both(b, point.mask, inside, lanes);
            b.load(buffer, &base, lanes, mask)
        }
        Stride::Strided { base, stride } => {
            let mask = both(b, point.mask, inside, lanes);
            b.load_strided(buffer, &base, &stride, lanes, mask)
        }
        Stride::Irregular(address) => {
            let mask = both(b, point.mask, inside, lanes);
            let (base, varying) = split_varying(&address);
            let offsets = lane_values(b, &varying, DType::I64, lanes);
            b.gather(buffer, &base, offsets, mask)
        }
    }
}

/// Both masks over all lanes; a scalar mask counts for every lane.
fn both(b: &mut KernelBuilder, x: Option<ValueId>, y: Option<ValueId>, lanes: u32) -> Option<ValueId> {
    let x = x.map(|mask| b.splat(mask, lanes));
    let y = y.map(|mask| b.splat(mask, lanes));
    match (x, y) {
        (Some(x), Some(y)) => Some(b.binary(Binary::And, x, y)),
        (x, y) => x.or(y),
    }
}

/// `(base, varying)`: the terms without and with the lane.
fn split_varying(expr: &Expr) -> (Expr, Expr) {
    let lane = lane_sym();
    let (mut base, mut varying) = (Expr::zero(), Expr::zero());
    for (monomial, c) in expr.terms() {
        let term = monomial.iter().fold(Expr::from(*c), |product, atom| &product * &Expr::atom(atom.clone()));
        if term.mentions(&lane) { varying += &term } else { base += &term }
    }
    (base, varying)
}

/// The lanes in which the map indices of a read are inside the operand: None where all are, a scalar where it is the same for all lanes.
fn inside(b: &mut KernelBuilder, cx: &StageCx, point: &Point, read: &Read) -> Option<ValueId> {
    let mut all: Option<ValueId> = None;
    for (index, dim) in read.index.iter().zip(&cx.nest().operands[read.operand].ty.dims) {
        let Index::Map(at) = index else { continue };
        for condition in [at.clone(), dim - at - 1] {
            if let Some(holds) = nonnegative(b, cx, point, &condition) {
                all = Some(all.map_or(holds, |other| and(b, other, holds)));
            }
        }
    }
    all
}

fn and(b: &mut KernelBuilder, x: ValueId, y: ValueId) -> ValueId {
    let lanes = b.ty(x).lanes.max(b.ty(y).lanes);
    let (x, y) = (b.splat(x, lanes), b.splat(y, lanes));
    b.binary(Binary::And, x, y)
}

/// The lanes in which an expression over iterators is at least 0; None where that is proved for all.
fn nonnegative(b: &mut KernelBuilder, cx: &StageCx, point: &Point, expr: &Expr) -> Option<ValueId> {
    if cx.ranges.nonnegative(expr) {
        return None;
    }
    let expr = point.at(expr);
    if point.ranges.nonnegative(&expr) {
        return None;
    }
    let lanes = point.lanes();
    let Some((step, base)) = expr.split_linear(&lane_sym()) else {
        let values = lane_values(b, &expr, DType::I64, lanes);
        let zero = b.int(0, Ty::vector(DType::I64, lanes));
        return Some(b.compare(Compare::GreaterEqual, values, zero));
    };
    Some(match step.as_const() {
        Some(0) => b.below(&(base + 1), 1),
        Some(step) if step < 0 => b.below(&(base.floor_div(&Expr::from(-step)) + 1), lanes),
        Some(step) => {
            let before = b.below(&(-base).ceil_div(&Expr::from(step)), lanes);
            b.unary(Unary::Not, before)
        }
        None => {
            let values = lane_values(b, &expr, DType::I64, lanes);
            let zero = b.int(0, Ty::vector(DType::I64, lanes));
            b.compare(Compare::GreaterEqual, values, zero)
        }
    })
}

/// The element that a write is going to change, in its register type.
pub fn load_written(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize) -> ValueId {
    let address = point.address(cx, Access::Write(write));
    let value = load_address(b, cx.write_buffer(write), &address, point, None);
    let dtype = b.ty(value).dtype;
    b.convert(value, register_dtype(dtype))
}

/// Stores the value of a write at a point; a scalar value goes to every lane.
pub fn store(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, value: ValueId) {
    let open = cx.nest().writes[write].only.iter().filter(|e| !cx.ranges.nonnegative(e)).map(|e| (e, point.at(e)));
    let open: Vec<(&Expr, Expr)> = open.filter(|(_, at)| !point.ranges.nonnegative(at)).collect();
    let (varying, same): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, at)| at.mentions(&lane_sym()));
    let mut inside = point.clone();
    for (e, _) in varying {
        let holds = nonnegative(b, cx, point, e);
        inside.mask = both(b, inside.mask, holds, point.lanes());
    }
    let conds: Vec<Cond> = same.into_iter().map(|(_, at)| Cond::Less(Expr::from(-1), at)).collect();
    if conds.is_empty() {
        return store_inside(b, cx, &inside, write, value);
    }
    b.when(conds, |b| store_inside(b, cx, &inside, write, value), |_| {});
}

fn store_inside(b: &mut KernelBuilder, cx: &StageCx, point: &Point, write: usize, value: ValueId) {
    let buffer = cx.write_buffer(write);
    let value = b.convert(value, b.buffer_dtype(buffer));
    let address = point.address(cx, Access::Write(write));
    let lanes = point.lanes();
    match stride(&address) {
        Stride::Same(base) => {
            assert_eq!(b.ty(value).lanes, 1, "all lanes write one element");
            b.store(buffer, &base, value, None)
        }
        Stride::Unit(base) => {
            let value = b.splat(value, lanes);
            b.store(buffer, &base, value, point.mask)
        }
        Stride::Strided { base, stride } => {
            let value = b.splat(value, lanes);
            b.store_strided(buffer, &base, &stride, value, point.mask)
        }
        Stride::Irregular(address) => store_lanes(b, buffer, &address, value, point),
    }
}

/// One scalar store a lane.
fn store_lanes(b: &mut KernelBuilder, buffer: BufferId, address: &Expr, value: ValueId, point: &Point) {
    let value = b.splat(value, point.lanes());
    for lane in 0..point.lanes() {
        let at = address.replace(&lane_sym(), &Expr::from(lane as i64));
        let one = b.shuffle(value, value, vec![lane]);
        let mask = point.mask.map(|mask| b.shuffle(mask, mask, vec![lane]));
        b.store(buffer, &at, one, mask);
    }
}

/// The values of an expression that [`Point::at`] gave, in every lane, as integers: a scalar where they are all the same.
pub fn lane_values(b: &mut KernelBuilder, expr: &Expr, dtype: DType, lanes: u32) -> ValueId {
    if !matches!(dtype, DType::I32 | DType::I64) {
        let wide = lane_values(b, expr, DType::I64, lanes);
        return b.convert(wide, dtype);
    }
    match expr.split_linear(&lane_sym()) {
        Some((step, base)) if step.is_zero() => b.index(&base, dtype),
        Some((step, base)) => {
            let ty = Ty::vector(dtype, lanes);
            let lane = b.lanes(ty);
            let scaled = if step.is_one() { lane } else { times(b, lane, &step, ty) };
            plus(b, scaled, &base, ty)
        }
        None => {
            let wide = polynomial_lanes(b, expr, lanes);
            b.convert(wide, dtype)
        }
    }
}

fn index_vector(b: &mut KernelBuilder, value: &Expr, ty: Ty) -> ValueId {
    match value.as_const() {
        Some(value) => b.int(value, ty),
        None => {
            let scalar = b.index(value, ty.dtype);
            b.splat(scalar, ty.lanes)
        }
    }
}

fn times(b: &mut KernelBuilder, x: ValueId, factor: &Expr, ty: Ty) -> ValueId {
    let factor = index_vector(b, factor, ty);
    b.binary(Binary::Mul, x, factor)
}

fn plus(b: &mut KernelBuilder, x: ValueId, term: &Expr, ty: Ty) -> ValueId {
    if term.is_zero() {
        return x;
    }
    let term = index_vector(b, term, ty);
    b.binary(Binary::Add, x, term)
}

/// An expression that is not linear in the lane, term by term in i64.
fn polynomial_lanes(b: &mut KernelBuilder, expr: &Expr, lanes: u32) -> ValueId {
    let ty = Ty::vector(DType::I64, lanes);
    let (base, varying) = split_varying(expr);
    let mut sum: Option<ValueId> = None;
    for (monomial, c) in varying.terms() {
        let (with, without): (Vec<&Atom>, Vec<&Atom>) = monomial.iter().partition(|a| Expr::atom((*a).clone()).mentions(&lane_sym()));
        let factor = without.into_iter().fold(Expr::from(*c), |product, atom| &product * &Expr::atom(atom.clone()));
        let factors: Vec<ValueId> = with.into_iter().map(|atom| atom_lanes(b, atom, ty)).collect();
        let product = factors.into_iter().reduce(|x, y| b.binary(Binary::Mul, x, y));
        let term = product.map(|x| if factor.is_one() { x } else { times(b, x, &factor, ty) });
        sum = match (sum, term) {
            (Some(x), Some(y)) => Some(b.binary(Binary::Add, x, y)),
            (x, y) => x.or(y),
        };
    }
    match sum {
        Some(sum) => plus(b, sum, &base, ty),
        None => index_vector(b, &base, ty),
    }
}

fn atom_lanes(b: &mut KernelBuilder, atom: &Atom, ty: Ty) -> ValueId {
    let vector = |b: &mut KernelBuilder, e: &Expr| {
        let value = lane_values(b, e, DType::I64, ty.lanes);
        b.splat(value, ty.lanes)
    };
    match atom {
        Atom::Sym(_) => b.lanes(ty),
        Atom::FloorDiv(x, y) => {
            let (x, y) = (vector(b, x), vector(b, y));
            floor_div(b, x, y)
        }
        Atom::Min(x, y) => {
            let (x, y) = (vector(b, x), vector(b, y));
            b.binary(Binary::Min, x, y)
        }
        Atom::Max(x, y) => {
            let (x, y) = (vector(b, x), vector(b, y));
            b.binary(Binary::Max, x, y)
        }
    }
}

/// `floor(x / y)` for positive `y`: the truncated quotient, less 1 where the remainder is negative.
fn floor_div(b: &mut KernelBuilder, x: ValueId, y: ValueId) -> ValueId {
    let ty = b.ty(x);
    let quotient = b.binary(Binary::Div, x, y);
    let remainder = b.binary(Binary::Rem, x, y);
    let (zero, one) = (b.int(0, ty), b.int(1, ty));
    let negative = b.compare(Compare::Less, remainder, zero);
    let less = b.binary(Binary::Sub, quotient, one);
    b.select(negative, less, quotient)
}
