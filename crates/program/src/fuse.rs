//! Fusion: which nests become one kernel.
//!
//! Needs: a program of single-stage groups whose nests name operands by buffer. Gives: the same results by fewer, larger groups.
//!
//! 0. *Sources* (indices, literals) join their readers inside of loops and branches: the numbers of a loop's runs are its counter.
//! 1. *Views* (copies, transposes, slices, broadcasts, shape arithmetic) vanish into the maps of their readers.
//! 2. *Epilogues*: a pointwise nest joins the reduction that makes its operand: `relu(x*w + bias + skip)` is one nest.
//! 3. *Widenings*: bytes that become wider numbers do so where these are read, in epilogues too.
//! 4. *Prologues*: a pointwise nest joins its only reader, unless that would compute points again.
//! 5. *Rows*: reductions and pointwise nests over the same outer points (softmax, norms) become the stages of one group.

use crate::layouts::is_zero;
use crate::program::{BufferId, Group, Program, Role, Stage, Step};
use crate::rows;
use crate::work::{Slot, Work, step_uses, use_counts};
use ir::TensorType;
use nest::{Func, Index, Nest, Read, ScalarOp, contraction, rewrite};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use sym::{Expr, Ranges};

/// The most scalars of a nest that fusion makes: far more than any model's own chains have, and few enough that long chains take time in
/// proportion to their length.
const LARGEST_BODY: usize = 512;

pub fn fuse(mut program: Program) -> Program {
    let steps = std::mem::take(&mut program.steps);
    let steps = Sources::new(&program, &steps).inline(&[], steps);
    let uses = use_counts(program.prepare.iter().chain(&steps));
    program.steps = fuse_steps(&program, &uses, steps);
    rows::mark_locals(&mut program);
    program
}

fn fuse_steps(program: &Program, uses: &HashMap<BufferId, usize>, steps: Vec<Step>) -> Vec<Step> {
    let inside = |step: Step| step.with_blocks(&mut |block| fuse_steps(program, uses, block));
    let steps = steps.into_iter().map(inside).collect();
    let mut work = Work::new(program, uses, steps);
    inline_views(&mut work);
    append_epilogues(&mut work);
    inline_widenings(&mut work);
    inline_prologues(&mut work);
    append_epilogues(&mut work);
    set_apart(&mut work);
    rows::group_rows(&mut work);
    work.finish()
}

/// Stages without operands join their readers in the loops and branches behind them.
struct Sources<'a> {
    program: &'a Program,
    uses: HashMap<BufferId, usize>,
    writes: HashMap<BufferId, usize>,
}

impl<'a> Sources<'a> {
    fn new(program: &'a Program, steps: &[Step]) -> Sources<'a> {
        let mut writes = HashMap::new();
        steps.iter().flat_map(|step| step_uses(step).1).for_each(|id| *writes.entry(id).or_default() += 1);
        Sources { program, uses: use_counts(steps), writes }
    }

    /// `outer` are the sources in front of the steps.
    fn inline(&self, outer: &[Arc<Stage>], steps: Vec<Step>) -> Vec<Step> {
        if outer.is_empty() && steps.iter().all(|step| step.blocks().is_empty()) {
            return steps;
        }
        let mut work = Work::new(self.program, &self.uses, steps);
        outer.iter().for_each(|source| {
            inline_view(&mut work, source);
        });
        let own = (0..work.slots.len()).filter_map(|at| work.stage(at)).filter(|stage| self.is_source(stage));
        let sources: Vec<Arc<Stage>> = outer.iter().chain(own).cloned().collect();
        let inside = |step: Step| step.with_blocks(&mut |block| self.inline(&sources, block));
        work.finish().into_iter().map(inside).collect()
    }

    fn is_source(&self, stage: &Stage) -> bool {
        let written_once = |id: &BufferId| self.program.buffer(*id).role == Role::Temp && self.writes.get(id) == Some(&1);
        stage.operands.is_empty() && is_cheap(&stage.nest) && stage.writes.len() == 1 && stage.writes.iter().all(written_once)
    }
}

/// A nest that only moves elements or writes indices and literals: reading it again costs no more than reading its result.
pub fn is_cheap(nest: &Nest) -> bool {
    let moves = |op: &ScalarOp| matches!(op, ScalarOp::Read(_) | ScalarOp::Literal(_) | ScalarOp::Index(_));
    !nest.has_reduction() && nest.body.iter().all(|s| moves(&s.op))
}

pub fn is_contraction(nest: &Nest) -> bool {
    contraction(nest, &|_: &Read| false).is_some()
}

/// Whether a contraction reads numbers other than zero beyond its operands: no halo holds these.
fn has_other_border(nest: &Nest) -> bool {
    nest.reads().any(|(_, read)| read.fill.is_some_and(|fill| !is_zero(fill)))
}

fn inline_views(work: &mut Work) {
    for at in 0..work.slots.len() {
        let Some(stage) = work.stage(at).filter(|s| is_cheap(&s.nest) && s.writes.len() == 1).cloned() else { continue };
        if work.sole_writer(stage.writes[0]) != Some(at) {
            continue;
        }
        if inline_view(work, &stage) {
            work.set(at, Slot::Gone);
        }
    }
}

/// Inlines a cheap stage into its readers among these steps; whether all of them took it.
fn inline_view(work: &mut Work, stage: &Stage) -> bool {
    let mut all = true;
    for reader in work.readers(stage.writes[0]).clone() {
        all &=
            inline_into(work, stage, reader, &|before, after| !is_contraction(before) || is_contraction(after) && !has_other_border(after));
    }
    all
}

/// Inlines a stage's nest into the one at `reader` where the rewrite exists and `accept(before, after)` agrees.
fn inline_into(work: &mut Work, stage: &Stage, reader: usize, accept: &dyn Fn(&Nest, &Nest) -> bool) -> bool {
    let Some(target) = work.stage(reader).cloned() else { return false };
    let name = work.name(stage.writes[0]);
    let Some(nest) = rewrite::inline(&target.nest, &name, &stage.nest) else { return false };
    if nest.body.len() > LARGEST_BODY || !accept(&target.nest, &nest) {
        return false;
    }
    let bound = work.bind(nest, &[&target, stage]);
    work.set(reader, Slot::Stage(bound));
    true
}

fn append_epilogues(work: &mut Work) {
    for at in 0..work.slots.len() {
        let Some(stage) = work.stage(at).filter(|s| !s.nest.has_reduction()).cloned() else { continue };
        let mut producers: Vec<(usize, BufferId)> = stage.operands.iter().filter_map(|id| epilogue_producer(work, *id, at)).collect();
        producers.sort_by_key(|(p, _)| (work.stage(*p).is_some_and(|s| is_contraction(&s.nest)), *p));
        while let Some((producer, id)) = producers.pop() {
            if append_to(work, producer, id, at) {
                break;
            }
        }
    }
}

/// The reduction that makes a buffer, where only the stage at `reader` needs it.
fn epilogue_producer(work: &Work, id: BufferId, reader: usize) -> Option<(usize, BufferId)> {
    let producer = work.sole_writer(id)?;
    let fits = work.stage(producer).is_some_and(|s| s.nest.has_reduction()) && work.readers(id).iter().all(|r| *r == reader);
    fits.then_some((producer, id))
}

fn append_to(work: &mut Work, producer: usize, id: BufferId, at: usize) -> bool {
    let (Some(first), Some(second)) = (work.stage(producer).cloned(), work.stage(at).cloned()) else { return false };
    let Some(nest) = rewrite::append(&first.nest, &work.name(id), &second.nest) else { return false };
    if nest.body.len() > LARGEST_BODY || is_contraction(&first.nest) && !is_contraction(&nest) {
        return false;
    }
    let bound = work.bind(nest, &[&first, &second]);
    work.set(producer, Slot::Gone);
    work.set(at, Slot::Stage(bound));
    true
}

/// Constants, and what is computed from them alone: once, before the first call, unless it joins what is not.
fn known_buffers(work: &Work) -> HashSet<BufferId> {
    let mut known = HashSet::new();
    for at in 0..work.slots.len() {
        let Some(stage) = work.stage(at) else { continue };
        known.extend(stage.operands.iter().filter(|id| matches!(work.program.buffer(**id).role, Role::Constant { .. })));
        let made = stage.writes.iter().all(|id| work.sole_writer(*id) == Some(at));
        if made && is_known(stage, &known) {
            known.extend(&stage.writes);
        }
    }
    known
}

fn is_known(stage: &Stage, known: &HashSet<BufferId>) -> bool {
    !stage.operands.is_empty() && stage.operands.iter().all(|id| known.contains(id))
}

/// The most elements of a result for each of an operand that is worth preparing.
const MOST_PREPARED: i64 = 4;

/// Whether a stage gives what is known to one that needs more than that, and its result is not much larger than what it reads.
fn is_prepared(work: &Work, stage: &Stage, known: &HashSet<BufferId>) -> bool {
    let ([write], true) = (stage.nest.writes.as_slice(), is_known(stage, known)) else { return false };
    let count = |ty: &TensorType| Expr::product(&ty.dims);
    let is_like = |ty: &TensorType| ty.dtype.size() >= write.ty.dtype.size() && no_more(&count(&write.ty), &(&count(ty) * MOST_PREPARED));
    let mut readers = stage.writes.iter().flat_map(|id| work.readers(*id));
    stage.nest.operands.iter().any(|operand| is_like(&operand.ty))
        && readers.any(|reader| work.stage(*reader).is_none_or(|reader| !is_known(reader, known)))
}

/// What is prepared keeps out of groups that run at every call.
fn set_apart(work: &mut Work) {
    let known = known_buffers(work);
    for at in 0..work.slots.len() {
        if let Some(stage) = work.stage(at).filter(|stage| is_prepared(work, stage, &known)).cloned() {
            work.set(at, Slot::Fixed(Step::Group(Group { outer: vec![], stages: vec![Stage::clone(&stage)] })));
        }
    }
}

/// From the last to the first, so that a chain whose middle has two readers, one of which joins the other, joins as a whole.
fn inline_prologues(work: &mut Work) {
    let known = known_buffers(work);
    for at in (0..work.slots.len()).rev() {
        let Some(stage) = work.stage(at).filter(|s| !s.nest.has_reduction() && s.writes.len() == 1).cloned() else { continue };
        let readers = work.readers(stage.writes[0]).clone();
        if work.sole_writer(stage.writes[0]) != Some(at) || readers.len() != 1 {
            continue;
        }
        if is_prepared(work, &stage, &known) {
            continue;
        }
        let computed = rewrite::points(&stage.nest);
        let once = |before: &Nest, after: &Nest| !is_contraction(before) && no_more(&rewrite::points(after), &computed);
        if readers.iter().all(|reader| inline_into(work, &stage, *reader, &once)) {
            work.set(at, Slot::Gone);
        }
    }
}

/// Pointwise nests of few steps that read bytes and little else join all readers that compute each point once. So does a factor of a
/// contraction that has one row: what counts is then how much is read. From the first to the last, so that chains join link by link.
fn inline_widenings(work: &mut Work) {
    for at in 0..work.slots.len() {
        let Some(stage) = work.stage(at).filter(|stage| is_widening(&stage.nest)).cloned() else { continue };
        if work.sole_writer(stage.writes[0]) != Some(at) {
            continue;
        }
        let (name, computed) = (work.name(stage.writes[0]), rewrite::points(&stage.nest));
        let once = |before: &Nest, after: &Nest| {
            let stays = !is_contraction(before) || is_contraction(after);
            (stays || is_factor(before, &name)) && no_more(&points_of(before, &name), &computed)
        };
        let readers = work.readers(stage.writes[0]).clone();
        let mut all = true;
        for reader in readers {
            all &= inline_into(work, &stage, reader, &once);
        }
        if all {
            work.set(at, Slot::Gone);
        }
    }
}

/// The most scalars of a widening.
const LARGEST_WIDENING: usize = 12;

/// How many elements of the result there are at least for each of an operand that is read beside the narrow one.
const LEAST_SHARED: i64 = 8;

fn is_widening(nest: &Nest) -> bool {
    let [write] = nest.writes.as_slice() else { return false };
    let simple = |op: &ScalarOp| match op {
        ScalarOp::Read(_) | ScalarOp::Literal(_) | ScalarOp::Convert(_) => true,
        ScalarOp::Apply(func, _) => matches!(func, Func::Add | Func::Sub | Func::Mul),
        ScalarOp::Bits(_) | ScalarOp::Index(_) | ScalarOp::Reduce(..) => false,
    };
    let count = |ty: &TensorType| Expr::product(&ty.dims);
    let is_small = |ty: &TensorType| no_more(&(&count(ty) * LEAST_SHARED), &count(&write.ty));
    let mut large = nest.operands.iter().filter(|operand| !is_small(&operand.ty));
    let narrow = large.next().is_some_and(|operand| operand.ty.dtype.size() < write.ty.dtype.size()) && large.next().is_none();
    narrow && nest.body.len() <= LARGEST_WIDENING && nest.body.iter().all(|scalar| simple(&scalar.op))
}

/// Whether a contraction multiplies elements of an operand.
fn is_factor(nest: &Nest, name: &str) -> bool {
    let parts = contraction(nest, &|_: &Read| false);
    let reads = |id| nest.read(id).is_some_and(|read| nest.operands[read.operand].name == name);
    parts.is_some_and(|parts| reads(parts.a) || reads(parts.b))
}

/// The points at which a nest reads an operand: those of the results, unless a fold needs it.
fn points_of(nest: &Nest, name: &str) -> Expr {
    let mentions = |read: &Read| nest.reductions().any(|iter| read.index.iter().filter_map(Index::as_map).any(|e| e.mentions(&iter.sym)));
    let folded = nest.reads().any(|(_, read)| nest.operands[read.operand].name == name && mentions(read));
    if folded { rewrite::points(nest) } else { Expr::product(nest.parallel().map(|iter| &iter.extent)) }
}

fn no_more(a: &Expr, b: &Expr) -> bool {
    Ranges::new(1).nonnegative(&(b - a))
}
