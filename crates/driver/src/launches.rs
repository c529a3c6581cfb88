//! The steps of a program as launches of physical groups.

use ir::Guard;
use program::{BufferId, Loop, PhysicalGroup, PhysicalRole, Program, Step, Times, physical};
use sym::Sym;

/// A step of an entry before its kernel is chosen.
pub enum Planned {
    Launch(PlannedLaunch),
    If { condition: BufferId, then: Vec<Planned>, otherwise: Vec<Planned> },
    Guard(Guard),
    Loop { counter: Sym, times: Times, body: Vec<Planned>, last: Vec<Planned> },
}

pub struct PlannedLaunch {
    pub group: PhysicalGroup,
    /// The program's buffer for each of the group's.
    pub buffers: Vec<BufferId>,
    /// The model nodes it came from.
    pub label: String,
}

impl PlannedLaunch {
    /// The buffers that it writes.
    pub fn written(&self) -> impl Iterator<Item = BufferId> {
        let all = self.buffers.iter().zip(&self.group.buffers);
        all.filter(|(_, buffer)| buffer.role == PhysicalRole::Output).map(|(id, _)| *id)
    }
}

pub fn launches(program: &Program, steps: &[Step]) -> Vec<Planned> {
    steps.iter().flat_map(|step| step_launches(program, step)).collect()
}

fn step_launches(program: &Program, step: &Step) -> Vec<Planned> {
    match step {
        Step::Group(group) => {
            let (physical, buffers) = PhysicalGroup::new(program, group);
            vec![Planned::Launch(PlannedLaunch { group: physical, buffers, label: group.location().to_string() })]
        }
        Step::Border(id) => {
            let label = format!("border of {}", program.buffer(*id).name);
            let launch = |group| Planned::Launch(PlannedLaunch { group, buffers: vec![*id], label: label.clone() });
            physical::border_groups(program, *id).into_iter().map(launch).collect()
        }
        Step::If { condition, then, otherwise } => {
            vec![Planned::If { condition: *condition, then: launches(program, then), otherwise: launches(program, otherwise) }]
        }
        Step::Guard(guard) => vec![Planned::Guard(guard.clone())],
        Step::Loop(Loop { counter, times, body, last }) => {
            let (body, last) = (launches(program, body), launches(program, last));
            vec![Planned::Loop { counter: counter.clone(), times: times.clone(), body, last }]
        }
    }
}

/// All launches in order, those inside branches and loops included.
pub fn flat(planned: &[Planned]) -> Vec<&PlannedLaunch> {
    let mut out = Vec::new();
    for step in planned {
        match step {
            Planned::Launch(launch) => out.push(launch),
            Planned::Guard(_) => {}
            Planned::If { then: first, otherwise: second, .. } | Planned::Loop { body: first, last: second, .. } => {
                out.extend(flat(first).into_iter().chain(flat(second)));
            }
        }
    }
    out
}
