//! What every run of a loop would compute again is computed once, in front of the loop.

use crate::physical::PhysicalGroup;
use crate::program::{BufferId, Group, Loop, Program, Role, Step};
use crate::work::step_uses;
use nest::Index;
use std::collections::BTreeSet;

/// before: `loop t0 { p = pack(w); y[t0 - 1] = x[t0 - 1] * p }` -> after: `p = pack(w); loop t0 { y[t0 - 1] = x[t0 - 1] * p }`.
pub fn hoist(mut program: Program) -> Program {
    let steps = std::mem::take(&mut program.steps);
    program.steps = hoisted(&program, steps);
    program
}

fn hoisted(program: &Program, steps: Vec<Step>) -> Vec<Step> {
    let mut out = Vec::new();
    for step in steps {
        match step.with_blocks(&mut |block| hoisted(program, block)) {
            Step::Loop(mut repeat) => {
                out.extend(taken_out(program, &mut repeat));
                out.push(Step::Loop(repeat));
            }
            step => out.push(step),
        }
    }
    out
}

/// Removes the invariant steps of a loop's body.
fn taken_out(program: &Program, repeat: &mut Loop) -> Vec<Step> {
    let mut out = Vec::new();
    loop {
        let writes: Vec<BufferId> = repeat.body.iter().flat_map(|step| step_uses(step).1).collect();
        let (invariant, rest): (Vec<Step>, Vec<Step>) =
            std::mem::take(&mut repeat.body).into_iter().partition(|step| is_invariant(program, repeat, &writes, step));
        repeat.body = rest;
        if invariant.is_empty() {
            return out;
        }
        out.extend(invariant);
    }
}

/// Whether a step gives the same in all runs and can't fail: it reads nothing that the body writes, nor the counter or a size that the body
/// computes, nor at an index from data; and it alone writes what it writes.
fn is_invariant(program: &Program, repeat: &Loop, body_writes: &[BufferId], step: &Step) -> bool {
    let group = match step {
        Step::Group(group) => group,
        // what stands behind it may rely on it, and moves as well
        Step::Guard(guard) => return guard.condition.symbols().iter().all(|sym| !repeat.binds(sym)),
        Step::Host(_) | Step::Border(_) | Step::Size { .. } | Step::If { .. } | Step::Loop(_) => return false,
    };
    let (own, written): (Vec<BufferId>, BTreeSet<&BufferId>) = (group.writes(), body_writes.iter().collect());
    let alone = |id: &BufferId| {
        let temp = matches!(program.buffer(*id).role, Role::Temp | Role::Local);
        temp && body_writes.iter().filter(|other| *other == id).count() == 1
    };
    own.iter().all(alone)
        && group.reads().iter().all(|id| !written.contains(id))
        && PhysicalGroup::new(program, group).0.sizes().iter().all(|sym| !repeat.binds(sym))
        && !indexes_by_data(group)
}

fn indexes_by_data(group: &Group) -> bool {
    group.stages.iter().any(|stage| stage.nest.reads().any(|(_, read)| read.index.iter().any(|i| matches!(i, Index::Data(_)))))
}
