//! Rewrites of nests: inlining a producer into its reader, appending a reader to its producer, splitting iterators, tidying.
//!
//! All are pure and meaning-preserving; each gives None where its precondition does not hold.

use crate::nest::{Index, Iter, IterKind, Nest, Operand, Read, Scalar, ScalarId, ScalarOp, Write};
use std::collections::{BTreeMap, HashMap};
use sym::{Expr, Ranges, Sym};

/// Builds a nest body with common subexpressions shared and operands merged by name.
struct Body {
    nest: Nest,
    known: HashMap<Scalar, ScalarId>,
    operands: HashMap<Operand, usize>,
}

impl Body {
    fn new(iters: Vec<Iter>) -> Body {
        Body { nest: Nest { iters, ..Nest::default() }, known: HashMap::new(), operands: HashMap::new() }
    }

    fn push(&mut self, scalar: Scalar) -> ScalarId {
        if let Some(id) = self.known.get(&scalar) {
            return *id;
        }
        let id = ScalarId(self.nest.body.len() as u32);
        self.nest.body.push(scalar.clone());
        self.known.insert(scalar, id);
        id
    }

    fn operand(&mut self, operand: &Operand) -> usize {
        if let Some(at) = self.operands.get(operand) {
            return *at;
        }
        let at = self.nest.operands.len();
        self.nest.operands.push(operand.clone());
        self.operands.insert(operand.clone(), at);
        at
    }

    /// Copies the scalars of `from`: maps rewritten by `expr`, reads of `replaced` given by `replacement`. Gives the new id of each.
    fn copy(
        &mut self,
        from: &Nest,
        expr: &dyn Fn(&Expr) -> Expr,
        replacement: &mut dyn FnMut(&mut Body, &Read) -> Option<Option<ScalarId>>,
    ) -> Option<Vec<ScalarId>> {
        let mut ids: Vec<ScalarId> = Vec::with_capacity(from.body.len());
        for scalar in &from.body {
            let op = scalar.op.map(&|id| ids[id.0 as usize], expr);
            let id = match op {
                ScalarOp::Read(mut read) => match replacement(self, &read)? {
                    Some(id) => id,
                    None => {
                        read.operand = self.operand(&from.operands[read.operand]);
                        self.push(Scalar { op: ScalarOp::Read(read), dtype: scalar.dtype })
                    }
                },
                op => self.push(Scalar { op, dtype: scalar.dtype }),
            };
            ids.push(id);
        }
        Some(ids)
    }

    fn write(&mut self, write: &Write, ids: &[ScalarId], expr: &dyn Fn(&Expr) -> Expr) {
        self.nest.writes.push(write.map(&|id| ids[id.0 as usize], expr));
    }
}

/// Whether a nest is pointwise without arithmetic: every write is a read, a literal or an index.
pub fn is_view(nest: &Nest) -> bool {
    !nest.has_reduction() && nest.body.iter().all(|s| matches!(s.op, ScalarOp::Read(_)))
}

/// Replaces the reads of operand `name` in `consumer` by `producer`'s value. Needs: the producer has no reduction, no scan and one write
/// that covers the tensor. Operands of both nests that have the same name are the same tensor.
pub fn inline(consumer: &Nest, name: &str, producer: &Nest) -> Option<Nest> {
    if producer.has_reduction() || producer.writes.len() != 1 || !covers(producer, &producer.writes[0]) {
        return None;
    }
    let consumer = split_for(consumer, name, producer);
    let ranges = consumer.ranges();
    let mut body = Body::new(consumer.iters.clone());
    let ids = body.copy(&consumer, &|e| e.clone(), &mut |body, read| {
        if consumer.operands[read.operand].name != name {
            return Some(None);
        }
        inline_read(body, read, producer, &ranges).map(Some)
    })?;
    for write in &consumer.writes {
        body.write(write, &ids, &|e| e.clone());
    }
    Some(tidy(&body.nest))
}

fn inline_read(body: &mut Body, read: &Read, producer: &Nest, ranges: &Ranges) -> Option<ScalarId> {
    if read.fill.is_some() && !fill_passes(producer) {
        return None;
    }
    let point = solve(producer, &read.index, ranges)?;
    let value = |sym: &Sym| point.get(sym).and_then(Index::as_map).cloned();
    let data = |sym: &Sym| matches!(point.get(sym), Some(Index::Data(_)));
    let plain_or_free = |e: &Expr| e.as_sym().is_some_and(data) || !point.keys().any(|s| data(s) && e.mentions(s));
    let mut ids: Vec<ScalarId> = Vec::with_capacity(producer.body.len());
    for scalar in &producer.body {
        let op = match &scalar.op {
            ScalarOp::Read(inner) => {
                let mut index = Vec::with_capacity(inner.index.len());
                for (at, dim) in inner.index.iter().zip(&producer.operands[inner.operand].ty.dims) {
                    index.push(match at {
                        Index::Data(id) => Index::Data(ids[id.0 as usize]),
                        Index::Map(e) if !plain_or_free(e) => return None,
                        Index::Map(e) => match e.as_sym().filter(|s| data(s)) {
                            // an index read from data is checked, and counts from the end, by the dim that it points into
                            Some(sym) if written_dim(producer, sym) != Some(dim) => return None,
                            Some(sym) => point[sym].clone(),
                            None => Index::Map(ranges.simplify(&e.substitute(&value))),
                        },
                    });
                }
                let operand = body.operand(&producer.operands[inner.operand]);
                ScalarOp::Read(Read { operand, index, fill: inner.fill.or(read.fill) })
            }
            ScalarOp::Index(e) if !plain_or_free(e) || e.as_sym().is_some_and(data) => return None,
            op => op.map(&|id| ids[id.0 as usize], &|e| ranges.simplify(&e.substitute(&value))),
        };
        ids.push(body.push(Scalar { op, dtype: scalar.dtype }));
    }
    Some(ids[producer.writes[0].value.0 as usize])
}

/// The dim of the producer's result that an iterator walks alone.
fn written_dim<'a>(producer: &'a Nest, sym: &Sym) -> Option<&'a Expr> {
    let write = &producer.writes[0];
    let at = write.index.iter().position(|e| e.as_map().and_then(Expr::as_sym) == Some(sym))?;
    Some(&write.ty.dims[at])
}

/// Whether a read outside the producer's result may become the same read outside its operand: a permutation of whole dims.
fn fill_passes(producer: &Nest) -> bool {
    let write = &producer.writes[0];
    let [Scalar { op: ScalarOp::Read(read), .. }] = producer.body.as_slice() else { return false };
    let dims = &producer.operands[read.operand].ty.dims;
    read.fill.is_none()
        && read.index.len() == write.index.len()
        && read.index.iter().zip(dims).all(|(index, dim)| {
            let map = index.as_map();
            let at = write.index.iter().position(|at| map.is_some() && at.as_map() == map);
            at.is_some_and(|at| write.ty.dims[at] == *dim && map.and_then(Expr::as_sym).is_some())
        })
}

/// Whether the write gives every element: it is no update, and each dim is an iterator of the dim's extent, a mixed-radix sum of such, or 0
/// with extent 1.
pub fn covers(nest: &Nest, write: &Write) -> bool {
    let points = Expr::product(nest.parallel().map(|iter| &iter.extent));
    let all = write.maps().zip(&write.ty.dims).all(|(index, dim)| dim_covered(nest, index, dim));
    !write.is_update() && write.only.is_empty() && all && points == Expr::product(&write.ty.dims)
}

/// The same of any write of a nest that is legal: its points are different elements, so as many of them are all.
fn fills(nest: &Nest, write: &Write) -> bool {
    let points = Expr::product(nest.parallel().map(|iter| &iter.extent));
    !write.is_update() && write.only.is_empty() && points == Expr::product(&write.ty.dims)
}

fn dim_covered(nest: &Nest, index: &Expr, dim: &Expr) -> bool {
    if index.is_zero() {
        return dim.is_one();
    }
    digits(nest, index).is_some_and(|digits| Expr::product(digits.iter().map(|(iter, _)| &iter.extent)) == *dim)
}

/// The iterators of a mixed-radix sum `h*64 + d`, most significant first, with their weights; None where the index is something else.
fn digits<'a>(nest: &'a Nest, index: &Expr) -> Option<Vec<(&'a Iter, Expr)>> {
    let mut rest = index.clone();
    let mut found: Vec<(&Iter, Expr)> = Vec::new();
    for iter in &nest.iters {
        let (coefficient, without) = rest.split_linear(&iter.sym)?;
        if !coefficient.is_zero() {
            found.push((iter, coefficient));
            rest = without;
        }
    }
    if !rest.is_zero() {
        return None;
    }
    // order by weight: the least significant has weight 1, the next one the product of the extents before
    let (mut ordered, mut weight) = (Vec::new(), Expr::one());
    while !found.is_empty() {
        let at = found.iter().position(|(_, w)| *w == weight)?;
        let digit = found.remove(at);
        weight = &weight * &digit.0.extent;
        ordered.push(digit);
    }
    ordered.reverse();
    Some(ordered)
}

/// The producer's point whose write lands on `index`.
fn solve(producer: &Nest, index: &[Index], ranges: &Ranges) -> Option<BTreeMap<Sym, Index>> {
    let mut point = BTreeMap::new();
    for (at, target) in producer.writes[0].maps().zip(index) {
        if at.is_zero() {
            continue;
        }
        let digits = digits(producer, at)?;
        if let [(iter, _)] = digits.as_slice() {
            point.insert(iter.sym.clone(), target.clone());
            continue;
        }
        let target = target.as_map()?;
        for (iter, weight) in &digits {
            let digit = target.floor_div(weight).modulo(&iter.extent);
            let top = iter.sym == digits[0].0.sym;
            let digit = if top { target.floor_div(weight) } else { digit };
            point.insert(iter.sym.clone(), Index::Map(ranges.simplify(&digit)));
        }
    }
    Some(point)
}

/// Splits iterators of the consumer that run over a mixed-radix dim of the producer's result: `j` becomes `h*64 + d`.
fn split_for(consumer: &Nest, name: &str, producer: &Nest) -> Nest {
    let mut nest = consumer.clone();
    for (dim, at) in producer.writes[0].maps().enumerate() {
        let Some(digits) = digits(producer, at).filter(|d| d.len() > 1) else { continue };
        let extents: Vec<Expr> = digits.iter().map(|(iter, _)| iter.extent.clone()).collect();
        let reads: Vec<Read> = nest.reads().filter(|(_, r)| nest.operands[r.operand].name == name).map(|(_, r)| r.clone()).collect();
        for read in reads {
            let whole = read.index[dim].as_map().and_then(Expr::as_sym).and_then(|s| nest.iter(s)).cloned();
            if let Some(iter) = whole.filter(|iter| iter.extent == Expr::product(&extents)) {
                nest = split(&nest, &iter.sym, &extents);
            }
        }
    }
    nest
}

/// Replaces an iterator by several, most significant first, whose extents multiply to its own.
pub fn split(nest: &Nest, sym: &Sym, extents: &[Expr]) -> Nest {
    let fresh: Vec<Sym> = (0..).map(|k| Sym::new(&format!("i{k}"))).filter(|s| nest.iter(s).is_none()).take(extents.len()).collect();
    let value = fresh.iter().zip(extents).fold(Expr::zero(), |sum, (sym, extent)| &(&sum * extent) + &Expr::sym(sym));
    let mut out = substitute(nest, &|s| (s == sym).then(|| value.clone()));
    let at = out.iters.iter().position(|iter| iter.sym == *sym).unwrap_or(0);
    let kind = out.iters[at].kind;
    let parts = fresh.into_iter().zip(extents).map(|(sym, extent)| Iter { sym, extent: extent.clone(), kind });
    out.iters.splice(at..=at, parts);
    out
}

/// Rewrites every index map; the iterators stay as they are.
pub fn substitute(nest: &Nest, value: &dyn Fn(&Sym) -> Option<Expr>) -> Nest {
    let mut out = nest.clone();
    for scalar in &mut out.body {
        scalar.op = scalar.op.map(&|id| id, &|e| e.substitute(value));
    }
    for write in &mut out.writes {
        *write = write.map(&|id| id, &|e| e.substitute(value));
    }
    out
}

/// Puts numbers for sizes, everywhere.
pub fn at_sizes(nest: &Nest, size: &dyn Fn(&Sym) -> Option<i64>) -> Nest {
    let value = |sym: &Sym| size(sym).filter(|_| nest.iter(sym).is_none()).map(Expr::from);
    let mut out = substitute(nest, &value);
    let types = out.operands.iter_mut().map(|operand| &mut operand.ty).chain(out.writes.iter_mut().map(|write| &mut write.ty));
    let exprs = types.flat_map(|ty| &mut ty.dims).chain(out.iters.iter_mut().map(|iter| &mut iter.extent));
    exprs.for_each(|expr| *expr = expr.substitute(&value));
    out
}

/// Renames iterators (and replaces them everywhere); unlisted ones keep their names.
pub fn rename(nest: &Nest, names: &BTreeMap<Sym, Sym>) -> Nest {
    let mut out = substitute(nest, &|s| names.get(s).map(Expr::sym));
    for iter in &mut out.iters {
        if let Some(name) = names.get(&iter.sym) {
            iter.sym = name.clone();
        }
    }
    out
}

/// Appends a pointwise `consumer` that updates nothing to `producer`, whose result `name` is read at one index that runs over all of it,
/// and nothing else needs. before: `t[i, j] = sum_k ..`, `z[j, i] = relu(t[i, j])` -> after: `z[j, i] = relu(sum_k ..)`.
pub fn append(producer: &Nest, name: &str, consumer: &Nest) -> Option<Nest> {
    let [write] = producer.writes.as_slice() else { return None };
    if consumer.has_reduction() || consumer.updates() || write.name != name || !fills(producer, write) {
        return None;
    }
    let mut reads = consumer.reads().filter(|(_, r)| consumer.operands[r.operand].name == name).map(|(_, r)| r);
    let first = reads.next()?.clone();
    if first.fill.is_some() || reads.any(|r| *r != first) {
        return None;
    }
    let point = consumer_point(&first, write, consumer)?;
    let ranges = producer.ranges();
    let mut body = Body::new(producer.iters.clone());
    let made = body.copy(producer, &|e| e.clone(), &mut |_, _| Some(None))?;
    let result = made[write.value.0 as usize];
    let map = |e: &Expr| ranges.simplify(&e.substitute(&|s| point.get(s).cloned()));
    let ids = body.copy(consumer, &map, &mut |_, read| {
        let own = consumer.operands[read.operand].name == name;
        Some(own.then_some(result))
    })?;
    for write in &consumer.writes {
        body.write(write, &ids, &map);
    }
    Some(tidy(&body.nest))
}

/// The consumer's iterators as expressions of the producer's: each read index is a distinct iterator, or a mixed-radix sum of distinct
/// iterators, that runs over the whole dim.
fn consumer_point(read: &Read, write: &Write, consumer: &Nest) -> Option<BTreeMap<Sym, Expr>> {
    let mut point = BTreeMap::new();
    for ((index, at), dim) in read.index.iter().zip(write.maps()).zip(&write.ty.dims) {
        let map = index.as_map()?;
        if map.is_zero() && dim.is_one() {
            continue;
        }
        if !dim_covered(consumer, map, dim) {
            return None;
        }
        for (place, (iter, weight)) in digits(consumer, map)?.into_iter().enumerate() {
            let quotient = at.floor_div(&weight);
            let digit = if place == 0 { quotient } else { quotient.modulo(&iter.extent) };
            if point.insert(iter.sym.clone(), digit).is_some() {
                return None;
            }
        }
    }
    (point.len() == consumer.iters.len()).then_some(point)
}

/// Drops scalars and operands that no write needs, shares equal scalars, and simplifies maps.
pub fn tidy(nest: &Nest) -> Nest {
    let mut live = vec![false; nest.body.len()];
    nest.writes.iter().flat_map(Write::operands).for_each(|id| live[id.0 as usize] = true);
    for at in (0..nest.body.len()).rev() {
        if live[at] {
            nest.body[at].op.operands().iter().for_each(|id| live[id.0 as usize] = true);
        }
    }
    let ranges = nest.ranges();
    let mut body = Body::new(nest.iters.clone());
    let mut ids: Vec<ScalarId> = Vec::with_capacity(nest.body.len());
    for (at, scalar) in nest.body.iter().enumerate() {
        if !live[at] {
            ids.push(ScalarId(u32::MAX));
            continue;
        }
        let mut op = scalar.op.map(&|id| ids[id.0 as usize], &|e| ranges.simplify(e));
        if let ScalarOp::Read(read) = &mut op {
            read.operand = body.operand(&nest.operands[read.operand]);
            if read.fill.is_some() && read_in_bounds(read, &body.nest.operands[read.operand], &ranges) {
                read.fill = None;
            }
        }
        ids.push(body.push(Scalar { op, dtype: scalar.dtype }));
    }
    for write in &nest.writes {
        body.write(write, &ids, &|e| ranges.simplify(e));
    }
    body.nest
}

fn read_in_bounds(read: &Read, operand: &Operand, ranges: &Ranges) -> bool {
    read.index.iter().zip(&operand.ty.dims).all(|(index, dim)| match index {
        Index::Map(e) => ranges.nonnegative(e) && ranges.less(e, dim),
        Index::Data(_) => true,
    })
}

/// Number of points of all iterators, as an expression.
pub fn points(nest: &Nest) -> Expr {
    Expr::product(nest.iters.iter().map(|iter| &iter.extent))
}

/// Moves the iterators named in `leading` to the front, in that order.
pub fn lead_with(nest: &Nest, leading: &[Sym]) -> Nest {
    let mut out = nest.clone();
    let place = |iter: &Iter| leading.iter().position(|s| *s == iter.sym).unwrap_or(leading.len());
    out.iters.sort_by_key(place);
    out
}

/// A nest that copies a tensor: `out[i..] = a[i..]`.
pub fn copy_nest(from: &str, to: &str, ty: &ir::TensorType) -> Nest {
    let mut b = crate::NestBuilder::new();
    let index: Vec<Expr> = ty.dims.iter().map(|d| if d.is_one() { Expr::zero() } else { b.iter(d, IterKind::Parallel) }).collect();
    let a = b.operand(from, ty);
    let value = b.read(a, &index);
    b.write(to, ty, &index, value);
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NestBuilder;
    use ir::{DType, TensorType};

    fn ty(dtype: DType, dims: &[i64]) -> TensorType {
        TensorType::new(dtype, dims.iter().map(|d| Expr::from(*d)).collect())
    }

    /// `t[i] = x[i]` for the first `count` elements of 10.
    fn head(count: i64) -> Nest {
        let mut b = NestBuilder::new();
        let i = b.iter(&Expr::from(count), IterKind::Parallel);
        let x = b.operand("x", &ty(DType::F32, &[10]));
        let value = b.read(x, std::slice::from_ref(&i));
        b.write("t", &ty(DType::F32, &[count]), &[i], value);
        b.finish()
    }

    /// `y[i] = t[index[i]]`
    fn gathered(count: i64) -> Nest {
        let mut b = NestBuilder::new();
        let i = b.iter(&Expr::from(4), IterKind::Parallel);
        let (t, index) = (b.operand("t", &ty(DType::F32, &[count])), b.operand("index", &ty(DType::I64, &[4])));
        let at = b.read(index, std::slice::from_ref(&i));
        let value = b.read_at(t, vec![Index::Data(at)], None);
        b.write("y", &ty(DType::F32, &[4]), &[i], value);
        b.finish()
    }

    #[test]
    fn data_indices_keep_the_dim_they_point_into() {
        assert!(inline(&gathered(10), "t", &head(10)).is_some());
        assert!(inline(&gathered(3), "t", &head(3)).is_none(), "-1 would count from another end");
    }
}
