//! Row-wise groups: reductions and pointwise nests that share their outer points become stages of one kernel, and so do the contractions
//! before and behind them whose rows are such points, where the matrix between costs more than what the kernel reads again: attention is
//! one group, scores, softmax and weighted sum.

use crate::fuse::is_contraction;
use crate::program::{BufferId, Group, Program, Role, Stage, Step};
use crate::verify::group::same_point;
use crate::work::{Slot, Work, step_uses};
use ir::DType;
use nest::{Contraction, Index, IterKind, Nest, Read, contraction, rewrite};
use std::collections::{BTreeMap, BTreeSet};
use sym::Sym;

/// A group under construction: members by place in the order, with their iterators already renamed.
struct Rows {
    outer: Vec<Sym>,
    members: BTreeMap<usize, Stage>,
}

/// The most stages of a group: far more than any model's own rows have, and few enough that long chains take time in proportion to their
/// length.
const MOST_STAGES: usize = 32;

/// before: `m = max_j s`, `e = exp(s - m)`, `z = sum_j e`, `y = e / z` -> after: one group with outer `(b, h, i)`.
pub fn group_rows(work: &mut Work) {
    for at in 0..work.slots.len() {
        let Some(stage) = work.stage(at) else { continue };
        if !stage.nest.has_reduction() || is_contraction(&stage.nest) || stage.nest.parallel().next().is_none() {
            continue;
        }
        let rows = grow(work, seed(at, stage));
        if rows.members.len() > 1 {
            place(work, rows);
        }
    }
}

fn seed(at: usize, stage: &Stage) -> Rows {
    let names: BTreeMap<Sym, Sym> =
        stage.nest.parallel().enumerate().map(|(k, iter)| (iter.sym.clone(), Sym::new(&format!("o{k}")))).collect();
    let outer: Vec<Sym> = (0..names.len()).map(|k| Sym::new(&format!("o{k}"))).collect();
    Rows { members: BTreeMap::from([(at, aligned(stage, &names, &outer))]), outer }
}

/// The stage with its iterators renamed and the outer ones leading.
fn aligned(stage: &Stage, names: &BTreeMap<Sym, Sym>, outer: &[Sym]) -> Stage {
    let nest = rewrite::lead_with(&rewrite::rename(&stage.nest, names), outer);
    Stage { nest, ..stage.clone() }
}

fn grow(work: &Work, mut rows: Rows) -> Rows {
    loop {
        let before = rows.members.len();
        let written: Vec<BufferId> = rows.members.values().flat_map(|s| s.writes.clone()).collect();
        let next: BTreeSet<usize> = written.iter().flat_map(|id| work.readers(*id).clone()).collect();
        for at in next {
            try_join(work, &mut rows, at, &|rows, stage| reader_names(rows, stage));
        }
        let read: Vec<BufferId> = rows.members.values().flat_map(|s| s.operands.clone()).collect();
        for at in read.iter().filter_map(|id| work.sole_writer(*id)) {
            let needed_only_here = work.stage(at).is_some_and(|s| work.readers(s.writes[0]).iter().all(|r| rows.members.contains_key(r)));
            if needed_only_here {
                try_join(work, &mut rows, at, &|rows, stage| writer_names(rows, stage));
            }
        }
        if rows.members.len() == before {
            return rows;
        }
    }
}

/// How a stage's iterators are called within the group: those that match an outer iterator get its name.
type Naming<'a> = &'a dyn Fn(&Rows, &Stage) -> Option<BTreeMap<Sym, Sym>>;

fn try_join(work: &Work, rows: &mut Rows, at: usize, naming: Naming) {
    if rows.members.contains_key(&at) || rows.members.len() == MOST_STAGES {
        return;
    }
    let Some(stage) = work.stage(at).filter(|stage| !stage.nest.updates()) else { return };
    let Some(names) = naming(rows, stage).and_then(|outer| complete(rows, &stage.nest, outer)) else { return };
    let member = aligned(stage, &names, &rows.outer);
    if is_contraction(&stage.nest) && !pays(rows, &member) {
        return;
    }
    rows.members.insert(at, member);
    if !movable(work, rows) || !meet_at_points(rows) {
        rows.members.remove(&at);
    }
}

/// Rows of a contraction that a kernel computes together, about.
const BLOCK: i64 = 16;

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 128;

/// Whether a contraction should be a stage. Its rows must be one outer iterator, all other outer ones its batch. Alone, it would write or
/// read a matrix between it and its neighbour; as a stage, it reads its `b` again for each block of rows. That comes from a nearer cache:
/// a byte of it counts for a quarter.
fn pays(rows: &Rows, stage: &Stage) -> bool {
    let nest = &stage.nest;
    let Some(c) = rows_contraction(nest) else { return false };
    let is_outer = |sym: &Sym| rows.outer.contains(sym);
    let [row] = c.m.as_slice() else { return false };
    let rough = |sym: &Sym| nest.iter(sym).and_then(|iter| iter.extent.eval(&|_| Some(ROUGH))).unwrap_or(ROUGH).max(1);
    let size = |syms: &[Sym]| syms.iter().map(rough).product::<i64>();
    let (n, k) = (size(&c.n), size(&c.k));
    let between = if reads_member(rows, stage, &c) { k } else { n };
    let floats = nest.body.iter().all(|s| s.dtype != DType::F64) && nest.scalar(c.sum).dtype == DType::F32;
    floats && is_outer(row) && c.batch.iter().all(is_outer) && !c.n.iter().any(is_outer) && n * k / BLOCK <= 2 * between * 4
}

/// The contraction whose vectors run along the innermost dim that it writes.
fn rows_contraction(nest: &Nest) -> Option<Contraction> {
    let last = nest.writes.first()?.index.last()?.as_map()?;
    let along = |read: &Read| read.index.iter().filter_map(Index::as_map).any(|e| last.symbols().iter().any(|s| e.mentions(s)));
    contraction(nest, &along)
}

/// Whether the rows of a contraction are made by a member of the group.
fn reads_member(rows: &Rows, stage: &Stage, c: &Contraction) -> bool {
    let nest::ScalarOp::Read(a) = &stage.nest.scalar(c.a).op else { return false };
    rows.members.values().any(|member| member.writes.contains(&stage.operands[a.operand]))
}

/// Checks that every outer iterator is matched by a parallel one of equal extent, and names the inner ones.
fn complete(rows: &Rows, nest: &Nest, outer: BTreeMap<Sym, Sym>) -> Option<BTreeMap<Sym, Sym>> {
    let known = &rows.members.values().next()?.nest;
    let fits = |(own, outer): (&Sym, &Sym)| {
        let (a, b) = (nest.iter(own), known.iter(outer));
        matches!((a, b), (Some(a), Some(b)) if a.extent == b.extent && a.kind == IterKind::Parallel)
    };
    let all: BTreeSet<&Sym> = outer.values().collect();
    if all.len() != rows.outer.len() || outer.len() != rows.outer.len() || !outer.iter().all(fits) {
        return None;
    }
    let inner = nest.iters.iter().filter(|iter| !outer.contains_key(&iter.sym)).enumerate();
    let named: BTreeMap<Sym, Sym> = inner.map(|(k, iter)| (iter.sym.clone(), Sym::new(&format!("i{k}")))).collect();
    Some(outer.into_iter().chain(named).collect())
}

/// For a stage that reads what members write: it must read each at the same outer point.
fn reader_names(rows: &Rows, stage: &Stage) -> Option<BTreeMap<Sym, Sym>> {
    let mut names = BTreeMap::new();
    for member in rows.members.values() {
        for (write, id) in member.nest.writes.iter().zip(&member.writes) {
            for (_, read) in stage.nest.reads().filter(|(_, r)| stage.operands[r.operand] == *id) {
                let pairs = write.maps().zip(&read.index);
                for (at, index) in pairs.filter(|(at, _)| rows.outer.iter().any(|o| at.mentions(o))) {
                    let (outer, own) = (at.as_sym()?, index.as_map().and_then(|e| e.as_sym())?);
                    if names.insert(own.clone(), outer.clone()).is_some_and(|other| other != *outer) || read.fill.is_some() {
                        return None;
                    }
                }
            }
        }
    }
    Some(names)
}

/// For a stage whose result only members read: all read it at their own outer point.
fn writer_names(rows: &Rows, stage: &Stage) -> Option<BTreeMap<Sym, Sym>> {
    let mut names = BTreeMap::new();
    let [write] = stage.nest.writes.as_slice() else { return None };
    for member in rows.members.values() {
        for (_, read) in member.nest.reads().filter(|(_, r)| member.operands[r.operand] == stage.writes[0]) {
            if read.fill.is_some() {
                return None;
            }
            for (at, index) in write.maps().zip(&read.index) {
                let mentions = matches!(index, Index::Map(e) if rows.outer.iter().any(|o| e.mentions(o)));
                if matches!(index, Index::Data(_)) {
                    return None;
                }
                if mentions {
                    let (own, outer) = (at.as_sym()?, index.as_map().and_then(|e| e.as_sym())?);
                    if names.insert(own.clone(), outer.clone()).is_some_and(|other| other != *outer) {
                        return None;
                    }
                }
            }
        }
    }
    Some(names)
}

/// Whether every member reads what another one writes at its own outer point only.
fn meet_at_points(rows: &Rows) -> bool {
    let writes = || rows.members.values().flat_map(|member| member.nest.writes.iter().zip(&member.writes));
    rows.members.values().all(|member| {
        member.nest.reads().all(|(_, read)| {
            let mut writes = writes().filter(|(_, id)| **id == member.operands[read.operand]);
            writes.all(|(write, _)| same_point(&rows.outer, write, read))
        })
    })
}

/// Whether all members can run at the last one's place: nothing before it but members needs what they write, and nothing between a member
/// and there writes what it reads or writes.
fn movable(work: &Work, rows: &Rows) -> bool {
    let Some(last) = rows.members.keys().last() else { return false };
    let is_other = |at: &usize| at <= last && !rows.members.contains_key(at);
    rows.members.iter().all(|(at, stage)| {
        let mut read = stage.writes.iter().flat_map(|id| work.readers(*id));
        let mut written = stage.writes.iter().chain(&stage.operands).flat_map(|id| work.writers(*id));
        !read.any(is_other) && !written.any(|writer| writer > at && is_other(writer))
    })
}

fn place(work: &mut Work, rows: Rows) {
    let Some(last) = rows.members.keys().last().copied() else { return };
    for at in rows.members.keys() {
        work.set(*at, Slot::Gone);
    }
    let group = Group { outer: rows.outer, stages: rows.members.into_values().collect() };
    work.set(last, Slot::Fixed(Step::Group(group)));
}

/// Gives the role `Local` to temporaries that live within one group, and there at the group's outer point.
pub fn mark_locals(program: &mut Program) {
    let steps: Vec<Step> = program.steps.clone();
    let all: Vec<(Vec<BufferId>, Vec<BufferId>)> = flat(&steps).iter().map(step_uses).collect();
    let mut users = vec![0usize; program.buffers.len()];
    for (reads, writes) in &all {
        let ids: BTreeSet<BufferId> = reads.iter().chain(writes).copied().collect();
        ids.iter().for_each(|id| users[id.0 as usize] += 1);
    }
    for group in steps.iter().flat_map(Step::groups).filter(|g| !g.outer.is_empty()) {
        for id in group.writes() {
            let read = group.stages.iter().any(|s| s.operands.contains(&id));
            if program.buffer(id).role == Role::Temp && users[id.0 as usize] == 1 && read {
                program.buffers[id.0 as usize].role = Role::Local;
            }
        }
    }
}

/// All steps with those of branches and loops, which themselves are left out but for their condition.
fn flat(steps: &[Step]) -> Vec<Step> {
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::If { .. } | Step::Loop(_) => {
                out.push(step.clone().with_blocks(&mut |_| vec![]));
                step.blocks().into_iter().for_each(|block| out.extend(flat(block)));
            }
            Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => out.push(step.clone()),
        }
    }
    out
}
