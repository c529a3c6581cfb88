//! Products of bf16, where the user asks for them and the machine multiplies them itself.
//!
//! ```text
//! before:  y[m, n] = sum over k of x[m, k] * w[k, n]                                  // x, w: f32
//! after:   y[m, n] = sum over k of f32(x.bf16[m, k]) * f32(w.bf16[k, n])
//!          what writes x writes x.bf16 too, or instead, where nothing else reads x; w.bf16 is made once
//! ```
//!
//! Sums, and all that is not a factor of a contraction, stay in f32: norms, softmax, residuals, activations. Convolutions that minimal
//! filtering makes faster still are left to it, in f32.
//!
//! Needs: a fused, hoisted program, row-major. Gives: the same with contractions of bf16.

use crate::layouts::stage_contraction;
use crate::program::{Buffer, BufferId, Group, Program, Role, Stage, Step};
use crate::winograd;
use crate::work::step_uses;
use ir::{DType, Literal, TensorType};
use nest::{Func, Nest, Operand, Read, Scalar, ScalarId, ScalarOp, Write, rewrite};
use std::collections::{BTreeMap, BTreeSet};
use sym::Expr;
use target::Target;

/// What an unknown size is taken for where a choice needs a number.
const ROUGH: i64 = 64;

/// Shorter sums gain nothing.
const SHORTEST: i64 = 16;

/// `winograd`: whether minimal filtering comes behind.
pub fn narrow(program: &Program, target: &Target, winograd: bool) -> Program {
    let mut out = program.clone();
    if target.dot_group(DType::BF16, DType::BF16) == 1 {
        return out;
    }
    let usable = usable_buffers(program);
    let mut wanted: BTreeMap<(usize, usize), [ScalarId; 2]> = BTreeMap::new();
    for (at, group) in top_groups(program) {
        for (number, stage) in group.stages.iter().enumerate() {
            let left = winograd && winograd::halves(program, stage, target);
            let factors = factors(program, stage).filter(|factors| {
                let buffer = |id: &ScalarId| stage.nest.read(*id).map(|read| stage.operands[read.operand]);
                !left && factors.iter().all(|id| buffer(id).is_some_and(|buffer| usable.contains(&buffer)))
            });
            wanted.extend(factors.map(|factors| ((at, number), factors)));
        }
    }
    let mut twins: BTreeMap<BufferId, BufferId> = BTreeMap::new();
    for ((at, number), factors) in &wanted {
        let Step::Group(group) = &program.steps[*at] else { continue };
        let stage = &group.stages[*number];
        for id in factors {
            let Some(read) = stage.nest.read(*id) else { continue };
            let buffer = stage.operands[read.operand];
            twins.entry(buffer).or_insert_with(|| add_twin(&mut out, buffer, stage));
        }
    }
    for ((at, number), factors) in wanted {
        let Step::Group(group) = &mut out.steps[at] else { continue };
        let stage = group.stages[number].clone();
        group.stages[number] = with_narrow_factors(&out.buffers, &stage, factors, &twins);
    }
    write_twins(&mut out, &twins);
    drop_unread(&mut out, &twins);
    out
}

fn top_groups(program: &Program) -> impl Iterator<Item = (usize, &Group)> {
    program.steps.iter().enumerate().filter_map(|(at, step)| if let Step::Group(group) = step { Some((at, group)) } else { None })
}

/// Buffers that can have a twin: known ones, and those that groups at the top write, each element as it is.
fn usable_buffers(program: &Program) -> BTreeSet<BufferId> {
    let mut barred: BTreeSet<BufferId> = BTreeSet::new();
    for step in &program.steps {
        match step {
            Step::Group(group) => barred.extend(group.stages.iter().filter(|stage| stage.nest.updates()).flat_map(|stage| &stage.writes)),
            other => barred.extend(step_uses(other).1),
        }
    }
    let free = |buffer: &Buffer| matches!(buffer.role, Role::Temp | Role::Local | Role::Constant { .. } | Role::Prepared);
    let all = (0..program.buffers.len() as u32).map(BufferId);
    all.filter(|id| free(program.buffer(*id)) && program.buffer(*id).ty.dtype == DType::F32 && !barred.contains(id)).collect()
}

/// The factors of a contraction of f32 that should be of bf16.
fn factors(program: &Program, stage: &Stage) -> Option<[ScalarId; 2]> {
    let nest = &stage.nest;
    let c = stage_contraction(program, stage)?;
    let ScalarOp::Reduce(_, product) = nest.scalar(c.sum).op else { return None };
    let ScalarOp::Apply(Func::Mul, operands) = &nest.scalar(product).op else { return None };
    let plain = operands.iter().all(|id| *id == c.a || *id == c.b) && nest.scalar(c.sum).dtype == DType::F32;
    let padding = nest.read(c.a)?.fill.is_none_or(|fill| fill == Literal::Float(0.0));
    let extent = |sym: &sym::Sym| nest.iter(sym).and_then(|iter| iter.extent.eval(&|_| Some(ROUGH))).unwrap_or(ROUGH);
    let long = c.k.iter().map(extent).product::<i64>() >= SHORTEST;
    (plain && padding && long).then_some([c.a, c.b])
}

/// A buffer of bf16 beside another one; of known contents it is made here.
fn add_twin(program: &mut Program, of: BufferId, stage: &Stage) -> BufferId {
    let Buffer { name, ty, role, .. } = program.buffer(of).clone();
    let ty = TensorType::new(DType::BF16, ty.dims);
    let known = matches!(role, Role::Constant { .. } | Role::Prepared);
    let role = if known { Role::Prepared } else { role };
    let id = program.add_buffer(&name, "bf16.", ty.clone(), role);
    if known {
        let mut nest = rewrite::copy_nest(&name, &program.buffer(id).name, &program.buffer(of).ty);
        let value = nest.writes[0].value;
        nest.writes[0].value = narrowed(&mut nest, value);
        nest.writes[0].ty = ty;
        let stage = Stage { nest, operands: vec![of], writes: vec![id], location: stage.location.clone() };
        program.prepare.push(Step::Group(Group { outer: vec![], stages: vec![stage] }));
    }
    id
}

/// A factor of bf16. The machine's dot product takes subnormal numbers for zero, and so does its instruction that rounds to bf16; another
/// way to round would take several.
fn narrowed(nest: &mut Nest, value: ScalarId) -> ScalarId {
    let flushed = ScalarId(nest.body.len() as u32);
    nest.body.push(Scalar { op: ScalarOp::Apply(Func::Flush, vec![value]), dtype: DType::F32 });
    nest.body.push(Scalar { op: ScalarOp::Convert(flushed), dtype: DType::BF16 });
    ScalarId(flushed.0 + 1)
}

/// The stage with factors read from the twins, widened.
fn with_narrow_factors(buffers: &[Buffer], stage: &Stage, factors: [ScalarId; 2], twins: &BTreeMap<BufferId, BufferId>) -> Stage {
    let mut nest = stage.nest.clone();
    let mut operands = stage.operands.clone();
    nest.body.clear();
    let mut ids: Vec<ScalarId> = Vec::with_capacity(stage.nest.body.len());
    let push = |nest: &mut Nest, op: ScalarOp, dtype: DType| {
        nest.body.push(Scalar { op, dtype });
        ScalarId(nest.body.len() as u32 - 1)
    };
    for (at, scalar) in stage.nest.body.iter().enumerate() {
        let op = scalar.op.map(&|id| ids[id.0 as usize], &Expr::clone);
        let id = match op {
            ScalarOp::Read(read) if factors.contains(&ScalarId(at as u32)) => {
                let twin = twins[&stage.operands[read.operand]];
                let buffer = &buffers[twin.0 as usize];
                nest.operands.push(Operand { name: buffer.name.to_string(), ty: buffer.ty.clone() });
                operands.push(twin);
                let read = ScalarOp::Read(Read { operand: nest.operands.len() - 1, ..read });
                let narrow = push(&mut nest, read, DType::BF16);
                push(&mut nest, ScalarOp::Convert(narrow), DType::F32)
            }
            op => push(&mut nest, op, scalar.dtype),
        };
        ids.push(id);
    }
    nest.writes = stage.nest.writes.iter().map(|write| write.map(&|id| ids[id.0 as usize], &Expr::clone)).collect();
    Stage { nest, operands, ..stage.clone() }.tidied()
}

/// Whatever writes a buffer with a twin writes that too.
fn write_twins(program: &mut Program, twins: &BTreeMap<BufferId, BufferId>) {
    let buffers = program.buffers.clone();
    for stage in stages_at_top(&mut program.steps) {
        for at in 0..stage.writes.len() {
            let Some(twin) = twins.get(&stage.writes[at]) else { continue };
            let Write { index, only, finite, value, .. } = stage.nest.writes[at].clone();
            let value = narrowed(&mut stage.nest, value);
            let Buffer { name, ty, .. } = &buffers[twin.0 as usize];
            stage.nest.writes.push(Write { name: name.to_string(), ty: ty.clone(), index, only, combine: None, finite, value });
            stage.writes.push(*twin);
        }
    }
}

fn stages_at_top(steps: &mut [Step]) -> impl Iterator<Item = &mut Stage> {
    let groups = steps.iter_mut().filter_map(|step| if let Step::Group(group) = step { Some(group) } else { None });
    groups.flat_map(|group| &mut group.stages)
}

/// What only its twin's readers read is written no more.
fn drop_unread(program: &mut Program, twins: &BTreeMap<BufferId, BufferId>) {
    let read: BTreeSet<BufferId> = program.prepare.iter().chain(&program.steps).flat_map(|step| step_uses(step).0).collect();
    let unread = |id: &BufferId| twins.contains_key(id) && !read.contains(id);
    for stage in stages_at_top(&mut program.steps).filter(|stage| stage.writes.iter().any(unread)) {
        let kept: Vec<bool> = stage.writes.iter().map(|id| !unread(id)).collect();
        let mut keep = kept.iter();
        stage.nest.writes.retain(|_| keep.next() == Some(&true));
        let mut keep = kept.iter();
        stage.writes.retain(|_| keep.next() == Some(&true));
    }
}
