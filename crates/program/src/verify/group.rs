//! What makes stages one kernel: shared outer iterators, and no traffic between points of them.

use crate::program::{BufferId, Group, Program, Role, Stage, Step};
use nest::{IterKind, Read, Write};
use std::collections::BTreeSet;
use sym::{Expr, Sym};

/// P12, P13, P14, P18.
pub fn faults(program: &Program) -> Vec<String> {
    let groups: Vec<&Group> = program.prepare.iter().chain(&program.steps).flat_map(Step::groups).collect();
    let mut faults = shared_locals(program, &groups);
    for group in groups {
        faults.extend(form_faults(group).into_iter().map(|why| format!("P13: {}: {why}", group.location())));
        faults.extend(joined_updates(program, group).map(|why| format!("P18: {}: {why}", group.location())));
        faults.extend(traffic(program, group).into_iter().map(|why| format!("P14: {}: {why}", group.location())));
    }
    faults
}

fn shared_locals(program: &Program, groups: &[&Group]) -> Vec<String> {
    let mut users = vec![0; program.buffers.len()];
    for group in groups {
        let used: BTreeSet<BufferId> = group.reads().into_iter().chain(group.writes()).collect();
        used.into_iter().for_each(|id| users[id.0 as usize] += 1);
    }
    let outside = outside_uses(program, &program.steps);
    let shared = |id: BufferId| users[id.0 as usize] > 1 || outside.contains(&id);
    let locals = (0..program.buffers.len() as u32).map(BufferId).filter(|id| program.buffer(*id).role == Role::Local);
    locals.filter(|id| shared(*id)).map(|id| format!("P12: {} is local and used outside its group", program.buffer(id).name)).collect()
}

fn outside_uses(program: &Program, steps: &[Step]) -> BTreeSet<BufferId> {
    let mut used: BTreeSet<BufferId> = super::direct_uses(steps).into_iter().collect();
    used.extend(program.inputs.iter().chain(&program.outputs).map(|(_, id)| *id));
    used
}

fn form_faults(group: &Group) -> Vec<String> {
    let Some(first) = group.stages.first() else { return vec!["there are no stages".to_string()] };
    if group.outer.is_empty() && group.stages.len() > 1 {
        return vec![format!("{} stages without outer iterators", group.stages.len())];
    }
    let mut faults = Vec::new();
    for (number, stage) in group.stages.iter().enumerate() {
        for (at, sym) in group.outer.iter().enumerate() {
            match stage.nest.iters.get(at).filter(|iter| iter.sym == *sym && iter.kind == IterKind::Parallel) {
                None => faults.push(format!("{sym} is not parallel iterator {at} of stage {number}")),
                Some(iter) if first.nest.iter(sym).is_some_and(|other| other.extent != iter.extent) => {
                    faults.push(format!("{sym} has another extent in stage {number}: {}", iter.extent));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

fn joined_updates<'a>(program: &'a Program, group: &'a Group) -> impl Iterator<Item = String> + 'a {
    let updates = group.stages.iter().filter(|stage| stage.nest.updates());
    updates.filter_map(|stage| {
        let read = stage.operands.iter().find(|id| stage.writes.contains(id)).map(|id| &program.buffer(*id).name);
        let read = read.map(|name| format!("{name} is updated and read"));
        read.or_else(|| (group.stages.len() > 1).then(|| "an update is one of several stages".to_string()))
    })
}

/// A dim that an outer iterator indexes in a write of the group must be indexed by the same one in every read of that buffer; one that has
/// a single value may be that value.
fn traffic(program: &Program, group: &Group) -> Vec<String> {
    let mut faults = Vec::new();
    let single = |sym: &Sym| group.stages.iter().filter_map(|stage| stage.nest.iter(sym)).all(|iter| iter.extent.is_one());
    let outer: Vec<Sym> = group.outer.iter().filter(|sym| !single(sym)).cloned().collect();
    for (write, id) in group.stages.iter().flat_map(|stage| stage.nest.writes.iter().zip(&stage.writes)) {
        for stage in &group.stages {
            let reads = stage.nest.reads().filter(|(_, read)| stage.operands.get(read.operand) == Some(id));
            let crossing = reads.filter(|(_, read)| !same_point(&outer, write, read)).count();
            if crossing > 0 {
                faults.push(format!("{} is read where another point wrote it", program.buffer(*id).name));
            }
        }
        if program.buffer(*id).role == Role::Local {
            faults.extend(mixed_writes(program, group, write, *id));
        }
    }
    faults
}

/// Whether a read of what `write` writes stays at the point of the outer iterators.
pub(crate) fn same_point(outer: &[Sym], write: &Write, read: &Read) -> bool {
    let pairs = write.index.iter().zip(&read.index).filter_map(|(at, index)| Some((at.as_map()?, index)));
    pairs.filter(|(at, _)| outer.iter().any(|sym| at.mentions(sym))).all(|(at, index)| at.as_sym().is_some() && index.as_map() == Some(at))
}

/// The kernel's scratch for a local buffer lacks the dims of outer iterators: all writes must agree on them.
fn mixed_writes(program: &Program, group: &Group, write: &Write, id: BufferId) -> Option<String> {
    let outer = |e: &Expr| group.outer.iter().find(|sym| e.mentions(sym)).cloned();
    let dims = |write: &Write| write.maps().map(outer).collect::<Vec<_>>();
    let others = group.stages.iter().flat_map(|stage: &Stage| stage.nest.writes.iter().zip(&stage.writes));
    let mixed = others.filter(|(_, other)| **other == id).any(|(other, _)| dims(other) != dims(write));
    mixed.then(|| format!("{} is local and written along different dims", program.buffer(id).name))
}
