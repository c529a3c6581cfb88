//! Layouts: which dim of each buffer is innermost in memory, and which buffers carry a halo of zeros.
//!
//! Rows that contractions would otherwise read from the same few sets of the cache are padded.
//!
//! Contractions vote: the broadcast operand wants a reduced dim innermost, the result the vectorised one. A vote reaches every buffer that
//! some nest walks along the same iterator, so a whole stretch of convolutions, additions and pools agrees on channels last.
//!
//! Needs: a fused, hoisted program, row-major. Gives: the same program with layouts, copies where an outside buffer has the wrong one, and
//! `Border` steps.

use crate::layout::Layout;
use crate::program::{Buffer, BufferId, Group, HostStep, Program, Role, Stage, Step};
use ir::{Literal, TensorType};
use nest::{Contraction, Index, Nest, Read, contraction, rewrite};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use sym::{Atom, Expr, Sym};

pub fn assign(mut program: Program) -> Program {
    copy_outside_operands(&mut program);
    copy_folded_constants(&mut program);
    let votes = votes(&program);
    let fixed = of_host_steps(&program);
    for (id, dim) in votes.into_iter().filter(|(id, _)| !fixed.contains(id)) {
        let buffer = &mut program.buffers[id.0 as usize];
        let mut order: Vec<usize> = (0..buffer.ty.rank()).filter(|d| *d != dim).collect();
        order.push(dim);
        buffer.layout = Layout::permuted(&order);
    }
    add_halos(&mut program);
    add_pads(&mut program);
    program
}

/// What steps of the host read and write stays row-major.
fn of_host_steps(program: &Program) -> BTreeSet<BufferId> {
    program.steps.iter().flat_map(Step::host_steps).flat_map(HostStep::buffers).collect()
}

/// The contraction of a stage: `b` is by preference the operand that is known before the call. None where nothing is gained by treating the
/// stage as one: a single row that uses each element of a `b` of the call once, as in a depthwise convolution.
pub fn stage_contraction(program: &Program, stage: &Stage) -> Option<Contraction> {
    let known = |read: &Read| matches!(program.buffer(stage.operands[read.operand]).role, Role::Constant { .. } | Role::Prepared);
    let found = contraction(&stage.nest, &known)?;
    let extent = |sym: &Sym| stage.nest.iter(sym).and_then(|iter| iter.extent.as_const());
    let one_row = found.m.iter().all(|sym| extent(sym) == Some(1));
    (!one_row || stage.nest.read(found.b).is_some_and(known)).then_some(found)
}

/// A rough number of points, for weighing votes: an unknown size counts as 64.
pub fn rough_points(nest: &Nest) -> f64 {
    nest.iters.iter().map(|iter| iter.extent.eval(&|_| Some(64)).unwrap_or(64) as f64).product()
}

/// The dim that an index walks by exactly one of `syms`; the last such dim where it is innermost already, else the first. Where there is
/// none, the dim that it walks in runs: d of `64*h + d`.
fn plain_dim(index: &[Option<&Expr>], syms: &[Sym]) -> Option<usize> {
    let plain = |e: &Option<&Expr>| e.and_then(|e| e.as_sym()).is_some_and(|s| syms.contains(s));
    if index.last().is_some_and(plain) {
        return Some(index.len() - 1);
    }
    let in_runs = |e: &Option<&Expr>| e.is_some_and(|e| is_remainder(e, syms));
    index.iter().position(plain).or_else(|| index.iter().position(in_runs))
}

/// The shortest run of an iterator that is worth a layout.
const SHORTEST_RUN: i64 = 16;

/// Whether an expression is one of `syms` modulo a number that is not small.
fn is_remainder(e: &Expr, syms: &[Sym]) -> bool {
    e.atoms().any(|atom| {
        let Atom::FloorDiv(whole, unit) = atom else { return false };
        let long = unit.as_const().is_some_and(|unit| unit >= SHORTEST_RUN);
        long && whole.as_sym().is_some_and(|sym| syms.contains(sym)) && *e == whole.modulo(unit)
    })
}

fn maps(index: &[Index]) -> Vec<Option<&Expr>> {
    index.iter().map(Index::as_map).collect()
}

/// Union-find over (buffer, dim).
#[derive(Default)]
struct Classes {
    number: HashMap<(BufferId, usize), usize>,
    parent: Vec<usize>,
}

impl Classes {
    fn find(&mut self, key: (BufferId, usize)) -> usize {
        let next = self.parent.len();
        let mut at = *self.number.entry(key).or_insert(next);
        if at == next {
            self.parent.push(next);
        }
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, a: (BufferId, usize), b: (BufferId, usize)) {
        let (a, b) = (self.find(a), self.find(b));
        self.parent[a.max(b)] = a.min(b);
    }
}

/// For each buffer whose layout is free, the dim that should be innermost, where it is not the last one already.
fn votes(program: &Program) -> Vec<(BufferId, usize)> {
    let mut classes = Classes::default();
    let mut cast: Vec<((BufferId, usize), f64)> = Vec::new();
    for stage in program.steps.iter().flat_map(Step::groups).flat_map(|g| &g.stages) {
        let found = stage_contraction(program, stage);
        if let Some(c) = &found {
            let weight = rough_points(&stage.nest);
            if let Some((id, dim)) = operand_vote(stage, c) {
                cast.push(((id, dim), weight));
            }
            let index = maps(&stage.nest.writes[0].index);
            if let Some(dim) = plain_dim(&index, &c.n) {
                cast.push(((stage.writes[0], dim), weight));
            }
        }
        link(stage, found.as_ref(), &mut classes);
    }
    let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
    for (key, weight) in cast {
        *weights.entry(classes.find(key)).or_insert(0.0) += weight;
    }
    let free = (0..program.buffers.len()).filter(|at| matches!(program.buffers[*at].role, Role::Temp | Role::Local | Role::Prepared));
    free.filter_map(|at| innermost(BufferId(at as u32), program.buffers[at].ty.rank(), &mut classes, &weights)).collect()
}

fn innermost(id: BufferId, rank: usize, classes: &mut Classes, weights: &BTreeMap<usize, f64>) -> Option<(BufferId, usize)> {
    let weight = |dim: usize, classes: &mut Classes| weights.get(&classes.find((id, dim))).copied().unwrap_or(0.0);
    let best =
        (0..rank).rev().map(|dim| (weight(dim, classes), dim)).fold((0.0, rank), |best, this| if this.0 > best.0 { this } else { best });
    (best.1 + 1 < rank).then_some((id, best.1))
}

fn operand_vote(stage: &Stage, c: &Contraction) -> Option<(BufferId, usize)> {
    let a = stage.nest.read(c.a)?;
    Some((stage.operands[a.operand], plain_dim(&maps(&a.index), &c.k)?))
}

/// How many times the elements of its results an operand of a fold may have so that their layouts are one matter.
const MOST_FOLDED: f64 = 16.0;

/// Joins the dims that one iterator walks plainly in several buffers; a contraction's own operands keep out, and so does what is folded to
/// much less than it is: the order of a few sums is not worth the order of all their terms.
fn link(stage: &Stage, found: Option<&Contraction>, classes: &mut Classes) {
    let mut walked: HashMap<Sym, (BufferId, usize)> = HashMap::new();
    let mut visit = |id: BufferId, index: Vec<Option<&Expr>>, classes: &mut Classes| {
        for (dim, sym) in index.iter().enumerate().filter_map(|(dim, e)| Some((dim, e.and_then(|e| e.as_sym())?))) {
            let first = *walked.entry(sym.clone()).or_insert((id, dim));
            classes.join(first, (id, dim));
        }
    };
    for (write, id) in stage.nest.writes.iter().zip(&stage.writes) {
        visit(*id, maps(&write.index), classes);
    }
    let most = stage.nest.writes.iter().map(|write| rough_elements(&write.ty)).sum::<f64>() * MOST_FOLDED;
    let folded = |read: &Read| stage.nest.has_reduction() && rough_elements(&stage.nest.operands[read.operand].ty) > most;
    for (at, read) in stage.nest.reads() {
        if found.map_or(!folded(read), |c| c.a != at && c.b != at) {
            visit(stage.operands[read.operand], maps(&read.index), classes);
        }
    }
}

fn rough_elements(ty: &TensorType) -> f64 {
    ty.dims.iter().map(|dim| dim.eval(&|_| Some(64)).unwrap_or(64) as f64).product()
}

/// Copies that give contractions an operand or result of a free layout where the buffer is the caller's.
fn copy_outside_operands(program: &mut Program) {
    let fixed = of_host_steps(program);
    let steps = std::mem::take(&mut program.steps);
    program.steps = with_copies(program, steps, &fixed);
}

/// `fixed` are the buffers of host steps.
fn with_copies(program: &mut Program, steps: Vec<Step>, fixed: &BTreeSet<BufferId>) -> Vec<Step> {
    let mut out = Vec::new();
    for step in steps {
        let Step::Group(mut group) = step else {
            out.push(step.with_blocks(&mut |block| with_copies(program, block, fixed)));
            continue;
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        // what passes from stage to stage can't be copied in front of the group or behind it
        let (writes, read) = (group.writes(), group.stages.iter().flat_map(|stage| stage.operands.clone()).collect::<Vec<_>>());
        for stage in &mut group.stages {
            if let Some(c) = stage_contraction(program, stage) {
                before.extend(free_operand(program, stage, &c, &writes, fixed));
                after.extend(free_result(program, stage, &c, &read, fixed));
            }
        }
        out.extend(before);
        out.push(Step::Group(group));
        out.extend(after);
    }
    out
}

/// Copies, made once, of the constants that reductions other than contractions read: the weights of a depthwise convolution may then lie
/// in the order of its channels.
fn copy_folded_constants(program: &mut Program) {
    let mut copies: BTreeMap<BufferId, BufferId> = BTreeMap::new();
    let mut steps = std::mem::take(&mut program.steps);
    for step in &mut steps {
        let Step::Group(group) = step else { continue };
        for stage in &mut group.stages {
            if stage.nest.has_reduction() && stage_contraction(program, stage).is_none() {
                own_constants(program, stage, &mut copies);
            }
        }
    }
    program.steps = steps;
}

fn own_constants(program: &mut Program, stage: &mut Stage, copies: &mut BTreeMap<BufferId, BufferId>) {
    for at in 0..stage.operands.len() {
        let id = stage.operands[at];
        let whole = matches!(program.buffer(id).role, Role::Constant { .. }) && program.buffer(id).ty.rank() > 1;
        if !whole {
            continue;
        }
        let to = *copies.entry(id).or_insert_with(|| {
            let to = add_temp(program, id, "laid");
            program.buffers[to.0 as usize].role = Role::Prepared;
            let step = copy_step(program, id, to, &stage.location);
            program.prepare.push(step);
            to
        });
        stage.operands[at] = to;
        stage.nest.operands[at].name = program.buffer(to).name.to_string();
    }
}

fn add_temp(program: &mut Program, like: BufferId, what: &str) -> BufferId {
    let Buffer { name, ty, .. } = program.buffer(like).clone();
    program.add_buffer(&name, what, ty, Role::Temp)
}

fn copy_step(program: &Program, from: BufferId, to: BufferId, location: &ir::Location) -> Step {
    let (from_name, to_name) = (program.buffer(from).name.to_string(), program.buffer(to).name.to_string());
    let nest = rewrite::copy_nest(&from_name, &to_name, &program.buffer(to).ty);
    let stage = Stage { nest, operands: vec![from], writes: vec![to], location: location.clone() };
    Step::Group(Group { outer: vec![], stages: vec![stage] })
}

/// For an operand in the caller's memory that wants another innermost dim or a halo: a copy in front.
fn free_operand(
    program: &mut Program,
    stage: &mut Stage,
    c: &Contraction,
    written: &[BufferId],
    fixed: &BTreeSet<BufferId>,
) -> Option<Step> {
    let a = stage.nest.read(c.a)?.clone();
    let id = stage.operands[a.operand];
    let fixed = matches!(program.buffer(id).role, Role::Input(_) | Role::Output(_) | Role::Constant { .. }) || fixed.contains(&id);
    let wanted = plain_dim(&maps(&a.index), &c.k);
    let misplaced = wanted.is_some_and(|dim| dim + 1 < a.index.len());
    if !fixed || !(misplaced || a.fill.is_some()) || written.contains(&id) {
        return None;
    }
    let to = add_temp(program, id, "copy");
    let step = copy_step(program, id, to, &stage.location);
    stage.operands[a.operand] = to;
    stage.nest.operands[a.operand].name = program.buffer(to).name.to_string();
    Some(step)
}

/// For a result in the caller's memory whose last dim is not the vectorised one: a copy behind. A part of a result (a piece of a
/// concatenation) stays where it is.
fn free_result(program: &mut Program, stage: &mut Stage, c: &Contraction, read: &[BufferId], fixed: &BTreeSet<BufferId>) -> Option<Step> {
    let index = maps(&stage.nest.writes[0].index);
    let misplaced = plain_dim(&index, &c.n).is_some_and(|dim| dim + 1 < index.len());
    let id = stage.writes[0];
    let whole = stage.nest.writes.len() == 1 && rewrite::covers(&stage.nest, &stage.nest.writes[0]);
    let fixed = matches!(program.buffer(id).role, Role::Output(_)) || fixed.contains(&id);
    if !misplaced || !fixed || !whole || read.contains(&id) {
        return None;
    }
    let from = add_temp(program, id, "raw");
    stage.writes[0] = from;
    stage.nest.writes[0].name = program.buffer(from).name.to_string();
    Some(copy_step(program, from, id, &stage.location))
}

/// Gives temporaries that are read with padding of zero a halo that holds it, and sets it before the first write.
fn add_halos(program: &mut Program) {
    let mut wanted: BTreeMap<BufferId, Option<Vec<(i64, i64)>>> = BTreeMap::new();
    let indexed = &indexed_by_data(program) | &of_host_steps(program);
    for stage in program.steps.iter().flat_map(Step::groups).flat_map(|g| &g.stages) {
        for (_, read) in stage.nest.reads() {
            let id = stage.operands[read.operand];
            let Some(fill) = read.fill else { continue };
            let need = (program.buffer(id).role == Role::Temp && is_zero(fill) && !indexed.contains(&id))
                .then(|| halo(program, stage, read))
                .flatten();
            let known = wanted.entry(id).or_insert_with(|| need.clone());
            *known = known.take().zip(need).map(|(a, b)| a.iter().zip(&b).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1))).collect());
        }
    }
    for (id, halo) in wanted.into_iter().filter_map(|(id, halo)| Some((id, halo?))) {
        program.buffers[id.0 as usize].layout.halo = halo;
    }
    insert_borders(program);
}

/// Buffers that are read or written at an index from data, which is checked by the dims as they lie: those have neither halo nor pad.
fn indexed_by_data(program: &Program) -> BTreeSet<BufferId> {
    let by_data = |index: &[Index]| index.iter().any(|index| index.as_data().is_some());
    let mut found = BTreeSet::new();
    for stage in program.steps.iter().flat_map(Step::groups).flat_map(|g| &g.stages) {
        let reads = stage.nest.reads().filter(|(_, read)| by_data(&read.index)).map(|(_, read)| stage.operands[read.operand]);
        let writes = stage.nest.writes.iter().zip(&stage.writes).filter(|(write, _)| by_data(&write.index)).map(|(_, id)| *id);
        found.extend(reads.chain(writes));
    }
    found
}

pub fn is_zero(value: Literal) -> bool {
    value == Literal::Float(0.0) || value == Literal::Int(0)
}

/// The widest halo that is worth its memory, in elements on one side of a dim.
const MAX_HALO: i64 = 16;

/// How far a read reaches outside its operand, per dim; None where no constant bounds it.
fn halo(program: &Program, stage: &Stage, read: &Read) -> Option<Vec<(i64, i64)>> {
    let ranges = stage.nest.ranges();
    let dims = &program.buffer(stage.operands[read.operand]).ty.dims;
    let reach = |inside: &Expr| match ranges.lower_bound(inside)?.as_const() {
        Some(least) => Some(least.saturating_neg().max(0)).filter(|h| *h <= MAX_HALO),
        None => (0..=MAX_HALO).find(|h| ranges.nonnegative(&(inside + &Expr::from(*h)))),
    };
    let side = |(index, dim): (&Index, &Expr)| {
        let map = index.as_map()?;
        Some((reach(map)?, reach(&(dim - map - 1))?))
    };
    read.index.iter().zip(dims).map(side).collect()
}

/// Rows that lie a multiple of this many bytes apart share so few sets of the first cache that a register tile's rows push each other out.
const CONFLICT_BYTES: usize = 2048;

/// Bytes behind such a row: a line of the cache.
const PAD_BYTES: usize = 64;

/// Pads the rows of temporaries that contractions read by many rows at once, each for many columns.
fn add_pads(program: &mut Program) {
    let stages: Vec<&Stage> = program.steps.iter().flat_map(Step::groups).flat_map(|g| &g.stages).collect();
    let padded: Vec<BufferId> = stages.iter().filter_map(|stage| conflicting_operand(program, stage)).collect();
    let indexed = &indexed_by_data(program) | &of_host_steps(program);
    for id in padded.into_iter().filter(|id| !indexed.contains(id)) {
        let buffer = &mut program.buffers[id.0 as usize];
        buffer.layout.pad = (PAD_BYTES / buffer.ty.dtype.size()) as i64;
    }
}

/// The `a` operand of a contraction, where its rows conflict: the innermost axis is a whole reduced dim.
fn conflicting_operand(program: &Program, stage: &Stage) -> Option<BufferId> {
    let c = stage_contraction(program, stage)?;
    let a = stage.nest.read(c.a)?;
    let id = stage.operands[a.operand];
    let buffer = program.buffer(id);
    let axis = buffer.layout.axes.last().filter(|axis| axis.div == 1 && axis.modulo.is_none())?;
    let row = buffer.ty.dims[axis.dim].as_const().filter(|_| buffer.layout.halo[axis.dim] == (0, 0))?;
    let reduced = a.index[axis.dim].as_map().and_then(|e| e.as_sym()).is_some_and(|sym| c.k.contains(sym));
    let many = |syms: &[Sym], least: i64| {
        let extent = |sym: &Sym| stage.nest.iter(sym).map_or(1, |iter| iter.extent.eval(&|_| Some(64)).unwrap_or(64));
        syms.iter().map(extent).product::<i64>() >= least
    };
    let conflicts = (row as usize * buffer.ty.dtype.size()).is_multiple_of(CONFLICT_BYTES) && row > 0;
    (buffer.role == Role::Temp && reduced && conflicts && many(&c.m, 8) && many(&c.n, 64)).then_some(id)
}

fn insert_borders(program: &mut Program) {
    let mut done = vec![false; program.buffers.len()];
    let steps = std::mem::take(&mut program.steps);
    for step in steps {
        for id in crate::work::step_uses(&step).1 {
            let first = program.buffer(id).layout.has_halo() && !std::mem::replace(&mut done[id.0 as usize], true);
            if first {
                program.steps.push(Step::Border(id));
            }
        }
        program.steps.push(step);
    }
}
