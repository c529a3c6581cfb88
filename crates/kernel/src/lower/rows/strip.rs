//! Strip mining: blocks of an outer iterator's points become the tasks, and each stage walks the points of a block by itself.
//!
//! before: `for o in n: s[o, j] = ..; y[o] = sum of s[o, j]` with a scratch row `s[j]` -> after: `for o in ceil(n / 8)`, and in each stage
//! `for r in min(8, n - 8*o)`, `8*o + r` for `o`, and scratch `s[r, j]`. A contraction among the stages then has rows to tile.

use nest::{Index, Iter, IterKind, ScalarOp, rewrite};
use program::{PhysicalGroup, PhysicalRole, PhysicalStage};
use sym::{Expr, Sym};

/// Elements behind each row of a scratch matrix whose rows would otherwise compete for the same sets of the first cache.
const PAD: i64 = 16;
/// Rows of a multiple of so many elements compete.
const CONFLICT: i64 = 256;

/// The iterator of the points in a block.
pub fn row_sym(group: &PhysicalGroup, outer: &Sym) -> Sym {
    let taken = |sym: &Sym| group.sizes().contains(sym) || group.stages.iter().any(|stage| stage.nest.iter(sym).is_some());
    let names = (0..).map(|k| Sym::new(&format!("r{k}_{outer}")));
    names.into_iter().find(|sym| !taken(sym)).unwrap_or_else(|| outer.clone())
}

/// The group with blocks of `size` points of `outer`; it means the same.
pub fn strip(group: &PhysicalGroup, outer: &Sym, size: i64) -> PhysicalGroup {
    let row = row_sym(group, outer);
    let Some(whole) = group.outer.iter().find(|iter| iter.sym == *outer).map(|iter| iter.extent.clone()) else { return group.clone() };
    let unit = Expr::from(size);
    let blocks = whole.ceil_div(&unit);
    let first = &Expr::sym(outer) * &unit;
    let rows = match whole.as_const() {
        Some(whole) if whole % size == 0 => unit.clone(),
        _ => unit.minimum(&(&whole - &first)),
    };
    let mut out = group.clone();
    out.outer.iter_mut().filter(|iter| iter.sym == *outer).for_each(|iter| iter.extent = blocks.clone());
    let local: Vec<bool> = out.buffers.iter().map(|buffer| buffer.role == PhysicalRole::Local).collect();
    for stage in &mut out.stages {
        let point = &first + &Expr::sym(&row);
        stage.nest = rewrite::substitute(&stage.nest, &|sym| (sym == outer).then(|| point.clone()));
        stage.nest.iters.iter_mut().filter(|iter| iter.sym == *outer).for_each(|iter| iter.extent = blocks.clone());
        let inner = Iter { sym: row.clone(), extent: rows.clone(), kind: IterKind::Parallel };
        stage.nest.iters.insert(group.outer.len(), inner);
        deepen(stage, &local, &row, size);
    }
    for (buffer, _) in out.buffers.iter_mut().zip(&local).filter(|(_, local)| **local) {
        buffer.ty.dims = deepened(&buffer.ty.dims, size);
    }
    out
}

/// Gives each access of a scratch buffer the row's index in front.
fn deepen(stage: &mut PhysicalStage, local: &[bool], row: &Sym, size: i64) {
    for (write, _) in stage.nest.writes.iter_mut().zip(&stage.writes).filter(|(_, place)| local[**place]) {
        write.index.insert(0, Index::Map(Expr::sym(row)));
        write.ty.dims = deepened(&write.ty.dims, size);
    }
    for scalar in &mut stage.nest.body {
        match &mut scalar.op {
            ScalarOp::Read(read) if local[stage.operands[read.operand]] => read.index.insert(0, Index::Map(Expr::sym(row))),
            _ => {}
        }
    }
    for (operand, _) in stage.nest.operands.iter_mut().zip(&stage.operands).filter(|(_, place)| local[**place]) {
        operand.ty.dims = deepened(&operand.ty.dims, size);
    }
}

/// The dims of a scratch buffer with the rows in front, padded where rows would compete.
fn deepened(dims: &[Expr], size: i64) -> Vec<Expr> {
    let mut dims = dims.to_vec();
    let row = Expr::product(&dims).as_const();
    if let Some(last) = dims.last_mut().filter(|_| row.is_some_and(|row| row % CONFLICT == 0)) {
        *last = &*last + &Expr::from(PAD);
    }
    dims.insert(0, Expr::from(size));
    dims
}

/// The group with the number of a block's points under a name, where it is not a constant.
pub fn with_rows(group: &PhysicalGroup, row: &Sym, count: &Expr) -> PhysicalGroup {
    let mut out = group.clone();
    for iter in out.stages.iter_mut().flat_map(|stage| &mut stage.nest.iters).filter(|iter| iter.sym == *row) {
        iter.extent = count.clone();
    }
    out
}
