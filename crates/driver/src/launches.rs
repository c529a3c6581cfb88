//! The steps of a program as launches of physical groups.

use ir::Guard;
use program::{BufferId, HostStep, Loop, PhysicalGroup, PhysicalRole, Program, Step, Times, physical};
use std::collections::HashMap;
use sym::Sym;

/// A step of an entry before its kernel is chosen.
pub enum Planned {
    Launch(PlannedLaunch),
    Host(HostStep),
    If { condition: BufferId, then: Vec<Planned>, otherwise: Vec<Planned> },
    Guard(Guard),
    Size { symbol: Sym, from: BufferId },
    Loop { counter: Sym, times: Times, body: Vec<Planned>, last: Vec<Planned> },
}

pub struct PlannedLaunch {
    /// The number of its group.
    pub group: usize,
    /// The program's buffer for each of the group's.
    pub buffers: Vec<BufferId>,
    /// Those of them that it writes.
    pub written: Vec<BufferId>,
    /// The model nodes it came from.
    pub label: String,
}

/// Numbers the distinct groups of a program's steps, in order of first use.
pub struct Planner<'a> {
    program: &'a Program,
    numbers: HashMap<PhysicalGroup, usize>,
}

impl<'a> Planner<'a> {
    pub fn new(program: &'a Program) -> Planner<'a> {
        Planner { program, numbers: HashMap::new() }
    }

    pub fn launches(&mut self, steps: &[Step]) -> Vec<Planned> {
        steps.iter().flat_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Vec<Planned> {
        match step {
            Step::Group(group) => {
                let (physical, buffers) = PhysicalGroup::new(self.program, group);
                vec![self.launch(physical, buffers, group.location().to_string())]
            }
            Step::Host(step) => vec![Planned::Host(step.clone())],
            Step::Border(id) => {
                let label = format!("border of {}", self.program.buffer(*id).name);
                let groups = physical::border_groups(self.program, *id);
                groups.into_iter().map(|group| self.launch(group, vec![*id], label.clone())).collect()
            }
            Step::If { condition, then, otherwise } => {
                vec![Planned::If { condition: *condition, then: self.launches(then), otherwise: self.launches(otherwise) }]
            }
            Step::Guard(guard) => vec![Planned::Guard(guard.clone())],
            Step::Size { symbol, from } => vec![Planned::Size { symbol: symbol.clone(), from: *from }],
            Step::Loop(Loop { counter, times, body, last }) => {
                let (body, last) = (self.launches(body), self.launches(last));
                vec![Planned::Loop { counter: counter.clone(), times: times.clone(), body, last }]
            }
        }
    }

    fn launch(&mut self, group: PhysicalGroup, buffers: Vec<BufferId>, label: String) -> Planned {
        let all = buffers.iter().zip(&group.buffers);
        let written = all.filter(|(_, buffer)| buffer.role == PhysicalRole::Output).map(|(id, _)| *id).collect();
        let next = self.numbers.len();
        let group = *self.numbers.entry(group).or_insert(next);
        Planned::Launch(PlannedLaunch { group, buffers, written, label })
    }

    /// The groups by their numbers.
    pub fn groups(self) -> Vec<PhysicalGroup> {
        let mut groups: Vec<(PhysicalGroup, usize)> = self.numbers.into_iter().collect();
        groups.sort_by_key(|(_, number)| *number);
        groups.into_iter().map(|(group, _)| group).collect()
    }
}

/// All launches in order, those inside branches and loops included.
pub fn flat(planned: &[Planned]) -> Vec<&PlannedLaunch> {
    let mut out = Vec::new();
    for step in planned {
        match step {
            Planned::Launch(launch) => out.push(launch),
            Planned::Host(_) | Planned::Guard(_) | Planned::Size { .. } => {}
            Planned::If { then: first, otherwise: second, .. } | Planned::Loop { body: first, last: second, .. } => {
                out.extend(flat(first).into_iter().chain(flat(second)));
            }
        }
    }
    out
}
