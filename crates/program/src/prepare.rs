//! What depends on constants alone is computed once, before the first call.

use crate::invariant;
use crate::physical::PhysicalGroup;
use crate::program::{BufferId, Program, Role, Step};
use crate::work::step_uses;

/// Moves invariant steps out of loops, and then those that read only constants and prepared buffers to `prepare`; what they write becomes
/// `Prepared`. before: steps `s = w * scale; y = conv(x, s)` -> after: prepare `s = w * scale`, steps `y = conv(x, s)`.
pub fn hoist(program: Program) -> Program {
    let mut out = invariant::hoist(program);
    let partial = written_elsewhere(&out);
    for step in std::mem::take(&mut out.steps) {
        let (reads, writes) = step_uses(&step);
        let known = |id: &BufferId| matches!(out.buffer(*id).role, Role::Constant { .. } | Role::Prepared);
        let fixed = |id: &BufferId| out.buffer(*id).role == Role::Temp && constant_size(&out, *id) && !partial[id.0 as usize];
        if reads.iter().all(known) && writes.iter().all(fixed) && mentions_no_size(&out, &step) {
            writes.iter().for_each(|id| out.buffers[id.0 as usize].role = Role::Prepared);
            out.prepare.push(step);
        } else {
            out.steps.push(step);
        }
    }
    out
}

/// Buffers that several steps write in parts: they are prepared only if all parts are, which is left alone.
fn written_elsewhere(program: &Program) -> Vec<bool> {
    let mut writers = vec![0; program.buffers.len()];
    for step in &program.steps {
        step_uses(step).1.iter().for_each(|id| writers[id.0 as usize] += 1);
    }
    writers.iter().map(|n| *n > 1).collect()
}

fn mentions_no_size(program: &Program, step: &Step) -> bool {
    matches!(step, Step::Group(group) if PhysicalGroup::new(program, group).0.sizes().is_empty())
}

fn constant_size(program: &Program, id: BufferId) -> bool {
    program.buffer(id).ty.const_dims().is_some()
}
