//! A group and its schedule to a kernel, by the schedule's template.

use crate::build::KernelBuilder;
use crate::kernel::Kernel;
use crate::lower::contract;
use crate::lower::contract_match::{self, Matched};
use crate::lower::contract_schedule::ContractSchedule;
use crate::lower::point::StageCx;
use crate::lower::rows;
use crate::schedule::Schedule;
use program::PhysicalGroup;
use target::Target;

/// The kernel of a group. The schedule is legal for it ([`Schedule::faults`]). Parameters are the group's buffers in order, locals left
/// out.
pub fn lower(name: &str, group: &PhysicalGroup, schedule: &Schedule, target: &Target) -> Kernel {
    match schedule {
        Schedule::Rows(schedule) => rows::lower(name, group, schedule, target),
        Schedule::Contract(schedule) => match contract_match::matched(&group.stages[0].nest) {
            Some(matched) => contraction(name, group, &matched, schedule, target),
            None => panic!("{name}: the nest is no contraction that the template serves"),
        },
    }
}

fn contraction(name: &str, group: &PhysicalGroup, matched: &Matched, schedule: &ContractSchedule, target: &Target) -> Kernel {
    let stage = &group.stages[0];
    let mut b = KernelBuilder::on(target, name);
    b.reserve(group.sizes());
    b.reserve(stage.nest.iters.iter().map(|iter| iter.sym.clone()));
    let buffers = rows::declare_buffers(&mut b, &group.buffers);
    let cx = StageCx::new(stage, &buffers, 0);
    let tasks = contract::emit(&mut b, &cx, matched, schedule);
    b.finish(tasks, group.sizes())
}
