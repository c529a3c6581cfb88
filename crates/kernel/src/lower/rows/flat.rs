//! Fewer, longer iterators: the first step of the template, which schedules refer to.
//!
//! before: `c[b, i, j] = a[b, i, j] + 1` over `b: 4, i: 8, j: 16` -> after: the same over `j: 512`, with `j/128`, `j/16%8`, `j%16` in the
//! maps, so that each address is `j` alone.
//!
//! 0. A group of one stage needs no outer iterators.
//! 1. Iterators of extent 1 are 0.
//! 2. An iterator that maps divide by a constant is split there: `i/48`, `i%48` -> `i0`, `i1`.
//! 3. Inner iterators stand in the order of their strides, the longest first.
//! 4. Neighbours that every address walks as one are one. It keeps the inner one's name.

use crate::lower::contract_match;
use crate::lower::point::{Access, StageCx};
use crate::lower::scalars::may_vectorise;
use nest::{Iter, IterKind, Nest, ScalarOp, rewrite};
use program::{PhysicalGroup, PhysicalRole, PhysicalStage};
use std::collections::BTreeSet;
use sym::{Atom, Expr, Sym};

/// The group with flat iterators; it means the same.
pub fn flat(group: &PhysicalGroup) -> PhysicalGroup {
    flat_around(group, None)
}

/// The same, with the points of a block left alone, and with them the stages that are computed by register tiles of such points.
pub fn flat_around(group: &PhysicalGroup, row: Option<&Sym>) -> PhysicalGroup {
    let mut group = group.clone();
    if row.is_none() && group.stages.len() == 1 && group.buffers.iter().all(|buffer| buffer.role != PhysicalRole::Local) {
        group.outer.clear();
    }
    drop_units(&mut group, row);
    let kept = |group: &PhysicalGroup| group.outer.iter().map(|iter| iter.sym.clone()).chain(row.cloned()).collect::<BTreeSet<Sym>>();
    let tiled =
        |stage: &PhysicalStage, outer: &[Iter]| row.is_some_and(|row| contract_match::matched_rows(&stage.nest, row, outer).is_some());
    let outer = kept(&group);
    for stage in group.stages.iter_mut().filter(|stage| !tiled(stage, &group.outer)) {
        split_at_divisors(stage, &outer);
        sort_inner(stage, &outer);
    }
    merge_outer(&mut group);
    let outer = kept(&group);
    for stage in group.stages.iter_mut().filter(|stage| !tiled(stage, &group.outer)) {
        merge_inner(stage, &outer);
    }
    group
}

fn drop_units(group: &mut PhysicalGroup, row: Option<&Sym>) {
    let long = |iter: &Iter| !iter.extent.is_one() || row == Some(&iter.sym);
    group.outer.retain(long);
    for stage in &mut group.stages {
        let units: BTreeSet<Sym> = stage.nest.iters.iter().filter(|iter| !long(iter)).map(|iter| iter.sym.clone()).collect();
        if !units.is_empty() {
            stage.nest = rewrite::substitute(&stage.nest, &|sym| units.contains(sym).then(Expr::zero));
            stage.nest.iters.retain(long);
            let zero = |sym: &Sym| units.contains(sym).then(Expr::zero);
            stage.nest.iters.iter_mut().for_each(|iter| iter.extent = iter.extent.substitute(&zero));
            simplify(&mut stage.nest);
        }
    }
}

fn simplify(nest: &mut Nest) {
    let ranges = nest.ranges();
    for scalar in &mut nest.body {
        scalar.op = scalar.op.map(&|id| id, &|e| ranges.simplify(e));
    }
    for write in &mut nest.writes {
        *write = write.map(&|id| id, &|e| ranges.simplify(e));
    }
}

/// The addresses of all accesses, simplified, over the iterators.
pub fn addresses(stage: &PhysicalStage) -> Vec<Expr> {
    let cx = StageCx::new(stage, &[], 0);
    let writes = (0..stage.nest.writes.len()).map(Access::Write);
    let reads = stage.nest.reads().map(|(id, _)| Access::Read(id));
    writes.chain(reads).map(|access| cx.ranges.simplify(&cx.address(access))).collect()
}

/// Iterators that walk from element to element where a stage reads and writes memory, and indices that it computes with.
fn walked(stage: &PhysicalStage) -> Vec<Expr> {
    let mut all = addresses(stage);
    for scalar in &stage.nest.body {
        match &scalar.op {
            ScalarOp::Index(e) => all.push(e.clone()),
            ScalarOp::Read(read) if read.fill.is_some() => all.extend(read.index.iter().filter_map(|i| i.as_map()).cloned()),
            ScalarOp::Read(_)
            | ScalarOp::Literal(_)
            | ScalarOp::Apply(..)
            | ScalarOp::Convert(_)
            | ScalarOp::Bits(_)
            | ScalarOp::Reduce(..) => {}
        }
    }
    all.extend(stage.nest.writes.iter().flat_map(|write| write.only.iter().cloned()));
    all
}

fn divisions(exprs: &[Expr]) -> Vec<(Expr, Expr)> {
    fn collect(expr: &Expr, out: &mut Vec<(Expr, Expr)>) {
        for atom in expr.terms().iter().flat_map(|(monomial, _)| monomial) {
            match atom {
                Atom::Sym(_) => {}
                Atom::FloorDiv(a, b) => {
                    out.push((a.clone(), b.clone()));
                    collect(a, out);
                }
                Atom::Min(a, b) | Atom::Max(a, b) => {
                    collect(a, out);
                    collect(b, out);
                }
            }
        }
    }
    let mut out = Vec::new();
    exprs.iter().for_each(|e| collect(e, &mut out));
    out
}

fn split_at_divisors(stage: &mut PhysicalStage, outer: &BTreeSet<Sym>) {
    for _ in 0..8 {
        let before = divisions(&walked(stage));
        if before.is_empty() {
            return;
        }
        let better = split_candidates(stage, outer, &before).into_iter().find_map(|(sym, extents)| {
            let mut split = PhysicalStage { nest: rewrite::split(&stage.nest, &sym, &extents), ..stage.clone() };
            simplify(&mut split.nest);
            (divisions(&walked(&split)).len() < before.len()).then_some(split)
        });
        match better {
            Some(split) => *stage = split,
            None => return,
        }
    }
}

/// Inner iterators with a constant divisor of their extent by which some map divides them.
fn split_candidates(stage: &PhysicalStage, outer: &BTreeSet<Sym>, divisions: &[(Expr, Expr)]) -> BTreeSet<(Sym, Vec<Expr>)> {
    let mut out = BTreeSet::new();
    for iter in stage.nest.iters.iter().filter(|iter| !outer.contains(&iter.sym) && iter.kind != IterKind::Scan) {
        let Some(extent) = iter.extent.as_const() else { continue };
        for (dividend, divisor) in divisions {
            let coefficient = dividend.split_linear(&iter.sym).and_then(|(c, _)| c.as_const()).filter(|c| *c != 0);
            let (Some(coefficient), Some(divisor)) = (coefficient, divisor.as_const()) else { continue };
            let part = if divisor % coefficient == 0 { divisor / coefficient } else { continue };
            if 1 < part && part < extent && extent % part == 0 {
                out.insert((iter.sym.clone(), vec![Expr::from(extent / part), Expr::from(part)]));
            }
        }
    }
    out
}

/// Sizes are taken for this number where strides are compared.
const ROUGH: i64 = 97;

/// How far an address moves when an iterator goes from 0 to 1.
fn rough_stride(address: &Expr, sym: &Sym, iters: &[Iter]) -> i64 {
    let at = |value: i64| {
        let number = |s: &Sym| if s == sym { value } else { iters.iter().find(|iter| iter.sym == *s).map_or(ROUGH, |_| 0) };
        address.eval(&|s| Some(number(s))).unwrap_or(0)
    };
    (at(1) - at(0)).abs()
}

/// Parallel iterators by their strides in the first write, reductions by those in the read that most of them move.
fn sort_inner(stage: &mut PhysicalStage, outer: &BTreeSet<Sym>) {
    let all = addresses(stage);
    let iters = stage.nest.iters.clone();
    let moved = |e: &Expr| stage.nest.reductions().filter(|iter| e.mentions(&iter.sym)).count();
    let reads = &all[stage.nest.writes.len()..];
    let most = reads.iter().rev().max_by_key(|e| moved(e)).cloned().unwrap_or_default();
    let key = |iter: &Iter| match iter.kind {
        _ if outer.contains(&iter.sym) => (0, 0),
        IterKind::Scan => (1, 0),
        IterKind::Parallel => (2, -rough_stride(all.first().unwrap_or(&Expr::zero()), &iter.sym, &iters)),
        IterKind::Reduction => (3, -rough_stride(&most, &iter.sym, &iters)),
    };
    stage.nest.iters.sort_by_key(key);
}

fn merge_inner(stage: &mut PhysicalStage, outer: &BTreeSet<Sym>) {
    let inner = |iter: &Iter| !outer.contains(&iter.sym);
    loop {
        let walked = walked(stage);
        match neighbours(&stage.nest.iters, &inner).find(|(a, b)| merges(&walked, a, b)) {
            Some((a, b)) => merge(stage, &a, &b),
            None => return,
        }
    }
}

fn merge_outer(group: &mut PhysicalGroup) {
    let merged = |group: &PhysicalGroup| {
        let mut pairs = neighbours(&group.outer, &|_| true).peekable();
        pairs.peek()?;
        let extents = || group.stages.iter().flat_map(|stage| &stage.nest.iters).map(|iter| &iter.extent);
        let walked: Vec<Expr> = group.stages.iter().flat_map(walked).collect();
        pairs.find(|(a, b)| merges(&walked, a, b) && !extents().any(|e| e.mentions(&a.sym) || e.mentions(&b.sym)))
    };
    while let Some((a, b)) = merged(group) {
        group.stages.iter_mut().for_each(|stage| merge(stage, &a, &b));
        group.outer.retain(|iter| iter.sym != a.sym);
        group.outer.iter_mut().filter(|iter| iter.sym == b.sym).for_each(|iter| iter.extent = &a.extent * &b.extent);
    }
}

/// Pairs of neighbours of one kind.
fn neighbours(iters: &[Iter], counts: &dyn Fn(&Iter) -> bool) -> impl Iterator<Item = (Iter, Iter)> + use<> {
    let listed: Vec<Iter> = iters.iter().filter(|iter| counts(iter)).cloned().collect();
    let pair = |pair: &[Iter]| (pair[0].kind == pair[1].kind && pair[0].kind != IterKind::Scan).then(|| (pair[0].clone(), pair[1].clone()));
    listed.windows(2).filter_map(pair).collect::<Vec<_>>().into_iter()
}

/// Whether every address walks `a` and `b` as one: it moves by `b.extent` steps of `b` where `a` moves by one.
fn merges(walked: &[Expr], a: &Iter, b: &Iter) -> bool {
    let walks_on = |e: &Expr| match (e.split_linear(&a.sym), e.split_linear(&b.sym)) {
        (Some((outer, _)), Some((inner, _))) => outer == &inner * &b.extent,
        _ => false,
    };
    walked.iter().all(walks_on)
}

fn merge(stage: &mut PhysicalStage, a: &Iter, b: &Iter) {
    let joined = Expr::sym(&b.sym);
    let value = |sym: &Sym| match sym {
        sym if *sym == a.sym => Some(joined.floor_div(&b.extent)),
        sym if *sym == b.sym => Some(joined.modulo(&b.extent)),
        _ => None,
    };
    stage.nest = rewrite::substitute(&stage.nest, &value);
    stage.nest.iters.retain(|iter| iter.sym != a.sym);
    stage.nest.iters.iter_mut().filter(|iter| iter.sym == b.sym).for_each(|iter| iter.extent = &a.extent * &b.extent);
}

/// Whether an outer iterator may run along the lanes of all stages: what a local buffer holds then differs from lane to lane.
pub fn may_widen(group: &PhysicalGroup, sym: &Sym) -> bool {
    let mut wide = group.clone();
    widen_locals(&mut wide, sym, 2);
    wide.stages.iter().all(|stage| may_vectorise(&stage.nest, sym))
}

/// The group with a lane for each local buffer's element, where an outer iterator runs along the lanes: `t[i]` -> `t[i, o % lanes]`.
pub fn widen_locals(group: &mut PhysicalGroup, vector: &Sym, lanes: u32) {
    let lanes = Expr::from(lanes as i64);
    let lane = Expr::sym(vector).modulo(&lanes);
    let local: Vec<bool> = group.buffers.iter().map(|buffer| buffer.role == PhysicalRole::Local).collect();
    for stage in &mut group.stages {
        for (write, _) in stage.nest.writes.iter_mut().zip(&stage.writes).filter(|(_, place)| local[**place]) {
            write.index.push(nest::Index::Map(lane.clone()));
            write.ty.dims.push(lanes.clone());
        }
        for (operand, _) in stage.nest.operands.iter_mut().zip(&stage.operands).filter(|(_, place)| local[**place]) {
            operand.ty.dims.push(lanes.clone());
        }
        for scalar in &mut stage.nest.body {
            match &mut scalar.op {
                ScalarOp::Read(read) if local[stage.operands[read.operand]] => read.index.push(nest::Index::Map(lane.clone())),
                _ => {}
            }
        }
    }
    group.buffers.iter_mut().zip(&local).filter(|(_, local)| **local).for_each(|(buffer, _)| buffer.ty.dims.push(lanes.clone()));
}
