//! Packing: the vectorised operand of a contraction is copied into panels that the kernel reads front to back.
//!
//! Needs: layouts assigned. Gives: each contraction reads its `b` operand from a buffer in panel layout `[.., n/block, k.., n%block]`,
//! written by a copy step: a prepare step where `b` is known before the first call. A `b` that a prepare step makes for this contraction
//! alone is made in panels.
//!
//! Where the machine adds dot products of groups of elements (`Target::dot_group`), a group stands together: `[.., n/block, k.., k%group]`
//! with the last of `k` divided by the group, then `n%block`, then `k%group`. Bytes are multiplied unsigned by signed: of two bytes of one
//! sign, `sum a*b` becomes `sum (a + 128)*b - 128 * sum b` (-128 for unsigned ones), exact in i32 that wraps.

use crate::invariant;
use crate::layout::{Axis, Layout};
use crate::layouts::stage_contraction;
use crate::physical::PhysicalGroup;
use crate::program::{Buffer, BufferId, Group, Program, Role, Stage, Step};
use crate::work::use_counts;
use ir::{DType, Literal, TensorType};
use nest::contraction::turn_of;
use nest::{Contraction, Func, Index, IterKind, Nest, Operand, Read, Scalar, ScalarOp, Write};
use std::collections::HashMap;
use sym::{Expr, Sym};
use target::Target;
use target::costs::hundredths;

pub fn pack(mut program: Program, target: &Target) -> Program {
    let mut packed = Packed { uses: use_counts(program.prepare.iter().chain(&program.steps)), copies: HashMap::new() };
    for step in std::mem::take(&mut program.steps) {
        let step = pack_step(&mut program, step, target, &mut packed);
        program.steps.push(step);
    }
    invariant::hoist(program)
}

/// What is packed so far.
struct Packed {
    /// How often steps used each buffer before.
    uses: HashMap<BufferId, usize>,
    /// Packed buffers by what they hold: the copy nest with its layout.
    copies: HashMap<(Nest, Layout), BufferId>,
}

fn pack_step(program: &mut Program, step: Step, target: &Target, packed: &mut Packed) -> Step {
    match step {
        Step::Group(mut group) => {
            for at in 0..group.stages.len() {
                if let Some(c) = stage_contraction(program, &group.stages[at]) {
                    pack_operand(program, &mut group, at, &c, target, packed);
                }
            }
            Step::Group(group)
        }
        Step::Host(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => step,
        // a block packs at its own place: the operand may exist only there
        Step::If { .. } | Step::Loop(_) => step.with_blocks(&mut |block| {
            let outer = std::mem::take(&mut program.steps);
            for step in block {
                let step = pack_step(program, step, target, &mut Packed { uses: HashMap::new(), copies: HashMap::new() });
                program.steps.push(step);
            }
            std::mem::replace(&mut program.steps, outer)
        }),
    }
}

fn pack_operand(program: &mut Program, group: &mut Group, at: usize, c: &Contraction, target: &Target, packed: &mut Packed) {
    let stage = &group.stages[at];
    let ScalarOp::Read(b) = stage.nest.scalar(c.b).op.clone() else { return };
    if group.writes().contains(&stage.operands[b.operand]) {
        return; // it is not there in front of the group
    }
    let (physical, _) = PhysicalGroup::new(program, group);
    let Some(n) = vector_iterator(&physical.stages[at].nest, c) else { return };
    let walk = Walk::new(&physical.stages[at].nest, c);
    let dot = dot_group(&stage.nest, c, &walk, target);
    let turned = dot == 4 && factor_types(&stage.nest, c).is_some_and(|[a, b]| a == b);
    let block = panel_width(&stage.nest, c, &n, turned, target);
    if dot == 1 && is_streamable(program, group, at, c, &n, target) {
        return;
    }
    let order = &walk.order;
    let iters: Vec<Sym> = c.batch.iter().chain(c.n.iter().filter(|s| **s != n)).chain([&n]).chain(order).cloned().collect();
    let copy = copy_nest(&stage.nest, &b, &iters);
    let layout = panel_layout(&iters, &n, block, dot);
    let whole = stage.operands[b.operand];
    if !turned
        && packed.uses.get(&whole) == Some(&2)
        && program.buffer(whole).role == Role::Prepared
        && let Some(layout) = layout_of_operand(&layout, &iters, &b)
    {
        program.buffers[whole.0 as usize].layout = layout;
        return;
    }
    let known = matches!(program.buffer(stage.operands[b.operand]).role, Role::Constant { .. } | Role::Prepared);
    let key = (copy.clone(), layout.clone());
    let id = match packed.copies.get(&key) {
        Some(id) => *id,
        None => {
            let id = add_packed(program, &copy, layout, known, stage, b.operand);
            packed.copies.insert(key, id);
            id
        }
    };
    let sums = turned.then(|| add_sums(program, stage, c, &b, known));
    let stage = &mut group.stages[at];
    stage.nest = read_packed(&stage.nest, c, &iters, &program.buffer(id).name, &program.buffer(id).ty);
    stage.operands.push(id);
    if let Some(sums) = sums {
        stage.nest = turn_bytes(&stage.nest, c, &program.buffer(sums).name, &program.buffer(sums).ty);
        stage.operands.push(sums);
    }
    *stage = stage.clone().tidied();
}

/// The `n` iterator that walks the innermost dim of a physical nest's result, else the last one.
fn vector_iterator(nest: &Nest, c: &Contraction) -> Option<Sym> {
    let maps: Vec<&Expr> = nest.writes.first()?.maps().collect();
    let last = maps.into_iter().rev().find_map(|e| c.n.iter().find(|s| e.mentions(s)));
    last.or(c.n.last()).cloned()
}

/// Rows of the register tile for a number of vector columns: accumulators, one vector a column and one broadcast fill the register file.
pub fn tile_rows(target: &Target, columns: u32) -> u32 {
    ((target.vector_registers - 1 - columns) / columns).clamp(1, 14)
}

/// Elements of a panel: the number of vector columns that wastes the least of `n`, wider where rows are few.
fn panel_width(nest: &Nest, c: &Contraction, n: &Sym, turned: bool, target: &Target) -> i64 {
    let lanes = target.lanes(DType::F32) as i64;
    let extent = |s: &Sym| nest.iter(s).map_or(Expr::one(), |iter| iter.extent.clone());
    // a row's elements are turned once for all columns
    let turn = if turned { hundredths(target.costs.byte_turn) } else { 0.0 };
    let rows: f64 = c.m.iter().map(|s| extent(s).eval(&|_| Some(64)).unwrap_or(64) as f64).product();
    let width = extent(n).as_const();
    let cost = |columns: i64| {
        let block = columns * lanes;
        let waste = width.map_or(1.0, |w| ((w + block - 1) / block * block) as f64 / w.max(1) as f64);
        // per-step work of a register tile: multiply-adds, or the loads that feed them, or the latency of few accumulators
        let tile = (tile_rows(target, columns as u32) as f64).min(rows);
        let per_row = (columns as f64 + turn).max((tile + columns as f64) / tile).max(f64::from(target.costs.sums_in_flight) / tile);
        waste * per_row / columns as f64
    };
    let best = [2, 3, 4, 1].into_iter().min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
    best.unwrap_or(2) * lanes
}

/// Whether `b` can be read where it lies: `n` has stride 1 there and whole vectors, and the operand is not known before the call.
fn is_streamable(program: &Program, group: &Group, at: usize, c: &Contraction, n: &Sym, target: &Target) -> bool {
    let stage = &group.stages[at];
    let ScalarOp::Read(b) = &stage.nest.scalar(c.b).op else { return false };
    let buffer = program.buffer(stage.operands[b.operand]);
    let index: Option<Vec<Expr>> = b.index.iter().map(|i| i.as_map().cloned()).collect();
    let Some(physical) = index.map(|index| buffer.layout.physical_index(&index)) else { return false };
    let last = physical.last().and_then(|e| e.split_linear(n)).is_some_and(|(c, _)| c.is_one());
    let others = physical.iter().rev().skip(1).all(|e| !e.mentions(n));
    let whole = stage.nest.iter(n).and_then(|i| i.extent.as_const()).is_some_and(|w| w % target.lanes(DType::F32) as i64 == 0);
    let known = matches!(buffer.role, Role::Constant { .. } | Role::Prepared);
    last && others && whole && !known && !spans_pages(stage, c, &physical, buffer, target)
}

/// Bytes of a page of memory.
const PAGE: i64 = 4096;

/// Whether the rows of `b` lie on so many pages that looking up their addresses would hold up the kernel, while packing would pay: many
/// rows of `a` use the panels.
fn spans_pages(stage: &Stage, c: &Contraction, physical: &[Expr], buffer: &Buffer, target: &Target) -> bool {
    let extent = |syms: &[Sym]| -> i64 {
        let extents = syms.iter().filter_map(|s| stage.nest.iter(s)).map(|iter| iter.extent.eval(&|_| Some(64)).unwrap_or(64));
        extents.product()
    };
    let dims = buffer.layout.physical_dims(&buffer.ty.dims);
    let address = physical.iter().zip(&dims).fold(Expr::zero(), |sum, (at, dim)| &(&sum * dim) + at);
    let stride = |s: &Sym| address.split_linear(s).and_then(|(c, _)| c.eval(&|_| Some(64))).unwrap_or(0);
    let widest = c.k.iter().map(stride).max().unwrap_or(0) * buffer.ty.dtype.size() as i64;
    extent(&c.k) * widest.min(PAGE) > i64::from(target.costs.address_pages) * PAGE && extent(&c.m) >= 32
}

/// How the reduction walks `a` in memory.
struct Walk {
    /// The reduction iterators from the widest stride to the narrowest.
    order: Vec<Sym>,
    /// Whether neighbours along the last of them are neighbours in memory, all of them elements of `a`.
    dense: bool,
}

impl Walk {
    /// Of a physical nest.
    fn new(nest: &Nest, c: &Contraction) -> Walk {
        let mut order = c.k.clone();
        let ScalarOp::Read(a) = &nest.scalar(c.a).op else { return Walk { order, dense: false } };
        let address = linear_address(&nest.operands[a.operand].ty.dims, &a.index);
        let stride = |s: &Sym| address.split_linear(s).map(|(stride, _)| stride);
        order.sort_by_key(|s| std::cmp::Reverse(stride(s).and_then(|c| c.eval(&|_| Some(64))).unwrap_or(0)));
        let dense = order.last().and_then(stride).is_some_and(|stride| stride.is_one()) && a.fill.is_none();
        Walk { order, dense }
    }
}

/// The element types of `a` and `b`, where the product is of nothing but them, widened.
fn factor_types(nest: &Nest, c: &Contraction) -> Option<[DType; 2]> {
    let ScalarOp::Reduce(_, product) = nest.scalar(c.sum).op else { return None };
    let ScalarOp::Apply(_, factors) = &nest.scalar(product).op else { return None };
    let plain = |id: &nest::ScalarId| matches!(nest.scalar(*id).op, ScalarOp::Convert(read) if read == c.a || read == c.b);
    let accumulates = matches!(nest.scalar(c.sum).dtype, DType::F32 | DType::I32);
    (accumulates && factors.iter().all(plain)).then(|| [c.a, c.b].map(|id| nest.scalar(id).dtype))
}

/// How many elements of the innermost reduction stand together in a panel.
fn dot_group(nest: &Nest, c: &Contraction, walk: &Walk, target: &Target) -> i64 {
    match factor_types(nest, c) {
        Some([a, b]) if walk.dense => target.dot_group(a, b),
        _ => 1,
    }
}

/// A buffer with the sum over `k` of what `b` reads, `[batch.., n..]`, and the step that fills it.
fn add_sums(program: &mut Program, stage: &Stage, c: &Contraction, b: &Read, known: bool) -> BufferId {
    let iter = |s: &Sym| iter_of(&stage.nest, b, s);
    let columns: Vec<nest::Iter> = c.batch.iter().chain(&c.n).filter_map(iter).collect();
    let ty = TensorType::new(DType::I32, columns.iter().map(|iter| iter.extent.clone()).collect());
    let index: Vec<Expr> = columns.iter().map(|iter| Expr::sym(&iter.sym)).collect();
    let operand = stage.nest.operands[b.operand].clone();
    let role = if known { Role::Prepared } else { Role::Temp };
    let id = program.add_buffer(&operand.name, "sums", ty.clone(), role);
    let ops = [
        (ScalarOp::Read(Read { operand: 0, ..b.clone() }), operand.ty.dtype),
        (ScalarOp::Convert(nest::ScalarId(0)), DType::I32),
        (ScalarOp::Reduce(nest::Monoid::Sum, nest::ScalarId(1)), DType::I32),
    ];
    let nest = Nest {
        iters: columns.into_iter().chain(c.k.iter().filter_map(iter)).collect(),
        operands: vec![operand],
        body: ops.into_iter().map(|(op, dtype)| Scalar { op, dtype }).collect(),
        writes: vec![Write::plain(&program.buffer(id).name, &ty, &index, nest::ScalarId(2))],
    };
    let made = Stage { nest, operands: vec![stage.operands[b.operand]], writes: vec![id], location: stage.location.clone() };
    let step = Step::Group(Group { outer: vec![], stages: vec![made] });
    if known {
        program.prepare.push(step)
    } else {
        program.steps.push(step)
    }
    id
}

/// `sum a*b` as `sum (a + turn)*b - turn*sums[batch, n]`; the operand `sums` is added.
fn turn_bytes(nest: &Nest, c: &Contraction, sums: &str, ty: &TensorType) -> Nest {
    let turn = turn_of(nest.scalar(c.a).dtype).unwrap_or(0);
    let mut out = nest.clone();
    out.operands.push(Operand { name: sums.to_string(), ty: ty.clone() });
    let read =
        Read { operand: out.operands.len() - 1, index: c.batch.iter().chain(&c.n).map(|s| Index::Map(Expr::sym(s))).collect(), fill: None };
    out.body.clear();
    let mut ids: Vec<nest::ScalarId> = Vec::with_capacity(nest.body.len());
    for (at, scalar) in nest.body.iter().enumerate() {
        let op = scalar.op.map(&|id| ids[id.0 as usize], &Expr::clone);
        let made = push(&mut out, op, scalar.dtype);
        let id = match &scalar.op {
            ScalarOp::Convert(inner) if *inner == c.a => {
                let turn = push(&mut out, ScalarOp::Literal(Literal::Int(turn)), DType::I32);
                push(&mut out, ScalarOp::Apply(Func::Add, vec![made, turn]), DType::I32)
            }
            ScalarOp::Reduce(..) if at == c.sum.0 as usize => {
                let sums = push(&mut out, ScalarOp::Read(read.clone()), DType::I32);
                let turn = push(&mut out, ScalarOp::Literal(Literal::Int(turn)), DType::I32);
                let excess = push(&mut out, ScalarOp::Apply(Func::Mul, vec![sums, turn]), DType::I32);
                push(&mut out, ScalarOp::Apply(Func::Sub, vec![made, excess]), DType::I32)
            }
            _ => made,
        };
        ids.push(id);
    }
    for write in &mut out.writes {
        *write = write.map(&|id| ids[id.0 as usize], &Expr::clone);
    }
    out
}

fn push(nest: &mut Nest, op: ScalarOp, dtype: DType) -> nest::ScalarId {
    nest.body.push(Scalar { op, dtype });
    nest::ScalarId(nest.body.len() as u32 - 1)
}

fn linear_address(dims: &[Expr], index: &[Index]) -> Expr {
    let maps = index.iter().map(|i| i.as_map().cloned().unwrap_or_default());
    maps.zip(dims).fold(Expr::zero(), |sum, (at, dim)| &(&sum * dim) + &at)
}

/// An iterator with the extent of the dim of `b` that it indexes alone, where that is a number. A guard may say only at a call that a size
/// is the same; what is copied before the first call does not know it.
fn iter_of(nest: &Nest, b: &Read, sym: &Sym) -> Option<nest::Iter> {
    let iter = nest.iter(sym)?.clone();
    let dims = &nest.operands[b.operand].ty.dims;
    let dim = b.index.iter().position(|index| index.as_map().and_then(Expr::as_sym) == Some(sym)).map(|at| &dims[at]);
    let known = dim.filter(|dim| dim.as_const().is_some() && iter.extent.as_const().is_none());
    Some(nest::Iter { extent: known.cloned().unwrap_or_else(|| iter.extent.clone()), ..iter })
}

/// `packed[iters] = b[its own index]`.
fn copy_nest(nest: &Nest, b: &Read, iters: &[Sym]) -> Nest {
    let operand = nest.operands[b.operand].clone();
    let kept: Vec<_> = iters.iter().filter_map(|s| iter_of(nest, b, s)).map(|i| nest::Iter { kind: IterKind::Parallel, ..i }).collect();
    let ty = TensorType::new(operand.ty.dtype, kept.iter().map(|i| i.extent.clone()).collect());
    let body = vec![Scalar { dtype: ty.dtype, op: ScalarOp::Read(Read { operand: 0, ..b.clone() }) }];
    let index: Vec<Expr> = iters.iter().map(Expr::sym).collect();
    let write = Write::plain("", &ty, &index, nest::ScalarId(0));
    Nest { iters: kept, operands: vec![operand], body, writes: vec![write] }
}

/// `[.., n/block, k.., n%block]`, and with a group `[.., n/block, k.., k/group, n%block, k%group]`, for the last of `k`.
fn panel_layout(iters: &[Sym], n: &Sym, block: i64, group: i64) -> Layout {
    let mut axes = Vec::new();
    let mut inner = Vec::new();
    for (dim, sym) in iters.iter().enumerate() {
        let cut = if sym == n { Some(block) } else { Some(group).filter(|group| *group > 1 && dim + 1 == iters.len()) };
        axes.push(Axis { dim, div: cut.unwrap_or(1), modulo: None });
        inner.extend(cut.map(|cut| Axis { dim, div: 1, modulo: Some(cut) }));
    }
    axes.extend(inner);
    Layout { axes, halo: vec![(0, 0); iters.len()], pad: 0 }
}

/// The layout of panels for an operand that is made in the model itself and that only one stage reads: each dim is one of `iters`.
fn layout_of_operand(layout: &Layout, iters: &[Sym], b: &Read) -> Option<Layout> {
    let dims: Option<Vec<usize>> =
        iters.iter().map(|sym| b.index.iter().position(|i| i.as_map().and_then(Expr::as_sym) == Some(sym))).collect();
    let dims = dims.filter(|dims| dims.len() == b.index.len() && b.fill.is_none())?;
    let axes = layout.axes.iter().map(|axis| Axis { dim: dims[axis.dim], ..*axis }).collect();
    Some(Layout { axes, ..layout.clone() })
}

fn add_packed(program: &mut Program, copy: &Nest, layout: Layout, known: bool, stage: &Stage, operand: usize) -> BufferId {
    let role = if known { Role::Prepared } else { Role::Temp };
    let id = program.add_buffer(&stage.nest.operands[operand].name, "packed", copy.writes[0].ty.clone(), role);
    program.buffers[id.0 as usize].layout = layout;
    let mut nest = copy.clone();
    nest.writes[0].name = program.buffer(id).name.to_string();
    let stage = Stage { nest, operands: vec![stage.operands[operand]], writes: vec![id], location: stage.location.clone() };
    let step = Step::Group(Group { outer: vec![], stages: vec![stage] });
    if known {
        program.prepare.push(step)
    } else {
        program.steps.push(step)
    }
    id
}

fn read_packed(nest: &Nest, c: &Contraction, iters: &[Sym], name: &str, ty: &TensorType) -> Nest {
    let mut out = nest.clone();
    out.operands.push(Operand { name: name.to_string(), ty: ty.clone() });
    let index = iters.iter().map(|s| Index::Map(Expr::sym(s))).collect();
    let read = Read { operand: out.operands.len() - 1, index, fill: None };
    out.body[c.b.0 as usize].op = ScalarOp::Read(read);
    out
}
