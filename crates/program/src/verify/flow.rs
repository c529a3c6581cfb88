//! What is written before what is read, and by whom.

use crate::program::{BufferId, Group, Loop, Program, Role, Stage, Step, Times};
use ir::DType;
use nest::{Index, IterKind, Write};

/// P9, P10, P11, P15, P16.
pub fn faults(program: &Program) -> Vec<String> {
    let known = |role: &Role| matches!(role, Role::Constant { .. });
    let mut flow = Flow { program, written: program.buffers.iter().map(|b| known(&b.role)).collect(), faults: Vec::new() };
    flow.prepare();
    for (_, id) in &program.inputs {
        flow.written[id.0 as usize] = true;
    }
    flow.steps(&program.steps);
    for (name, id) in &program.outputs {
        flow.read(*id, &format!("output {name}"));
    }
    flow.faults
}

/// The buffers of which each run of a counted loop writes one slice of as many as there are runs.
fn stacked(repeat: &Loop) -> Vec<BufferId> {
    let Times::Trips(trips) = &repeat.times else { return vec![] };
    let groups = repeat.body.iter().filter_map(|step| match step {
        Step::Group(group) => Some(group),
        Step::Host(_) | Step::Border(_) | Step::If { .. } | Step::Loop(_) | Step::Guard(_) | Step::Size { .. } => None,
    });
    let counts = |at: &Index| at.as_map().is_some_and(|at| at.mentions(&repeat.counter));
    let slices = |write: &Write| write.index.iter().zip(&write.ty.dims).any(|(at, dim)| dim == trips && counts(at));
    let writes = groups.flat_map(|group| &group.stages).flat_map(|stage| stage.nest.writes.iter().zip(&stage.writes));
    writes.filter(|(write, _)| slices(write) && !write.is_update()).map(|(_, id)| *id).collect()
}

struct Flow<'a> {
    program: &'a Program,
    /// The buffers that are written wherever control comes to here.
    written: Vec<bool>,
    faults: Vec<String>,
}

impl Flow<'_> {
    fn fault(&mut self, number: u32, id: BufferId, place: &str, why: &str) {
        self.faults.push(format!("P{number}: {place}: {} {why}", self.program.buffer(id).name));
    }

    fn prepare(&mut self) {
        for step in &self.program.prepare {
            match step {
                Step::Group(group) => self.prepare_group(group),
                Step::Border(id) => self.fault(11, *id, "prepare", "has a border step"),
                Step::Host(_) | Step::If { .. } | Step::Loop(_) | Step::Guard(_) | Step::Size { .. } => {
                    self.faults.push("P11: prepare: there is a host step, a branch, a loop, a guard or a computed size".to_string());
                }
            }
        }
    }

    fn prepare_group(&mut self, group: &Group) {
        for stage in &group.stages {
            let place = stage.location.to_string();
            for id in &stage.operands {
                if !matches!(self.program.buffer(*id).role, Role::Constant { .. } | Role::Prepared) {
                    self.fault(11, *id, &place, "is read by a prepare step");
                }
            }
            for id in &stage.writes {
                if self.program.buffer(*id).role != Role::Prepared {
                    self.fault(11, *id, &place, "is written by a prepare step");
                }
            }
            if let Some(iter) = stage.nest.iters.iter().find(|iter| !iter.extent.symbols().is_empty()) {
                self.faults.push(format!("P11: {place}: a prepare step runs over {}, which no call has given yet", iter.extent));
            }
            self.stage(stage, &place);
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Group(group) => {
                for stage in &group.stages {
                    let place = stage.location.to_string();
                    stage.writes.iter().for_each(|id| self.may_write(*id, &place));
                    self.stage(stage, &place);
                }
            }
            Step::Host(step) => {
                let place = step.location.to_string();
                step.operands.iter().for_each(|id| self.read(*id, &place));
                for id in &step.results {
                    self.may_write(*id, &place);
                    self.written[id.0 as usize] = true;
                }
            }
            Step::Border(id) => {
                self.may_write(*id, "border");
                if !self.program.buffer(*id).layout.has_halo() {
                    self.fault(16, *id, "border", "has no halo");
                }
            }
            Step::If { condition, then, otherwise } => self.branch(*condition, then, otherwise),
            Step::Loop(repeat) => self.repeat(repeat),
            Step::Guard(_) => {}
            Step::Size { from, .. } => self.scalar(*from, "size", DType::I64),
        }
    }

    /// What both branches write is written.
    fn branch(&mut self, condition: BufferId, then: &[Step], otherwise: &[Step]) {
        self.scalar(condition, "if", DType::Bool);
        let before = self.written.clone();
        self.steps(then);
        let after = std::mem::replace(&mut self.written, before);
        self.steps(otherwise);
        self.written.iter_mut().zip(after).for_each(|(written, then)| *written &= then);
    }

    fn scalar(&mut self, id: BufferId, place: &str, dtype: DType) {
        self.read(id, place);
        let ty = &self.program.buffer(id).ty;
        if ty.dtype != dtype || ty.rank() != 0 {
            self.fault(15, id, place, &format!("is {ty}"));
        }
    }

    /// A body may never run: behind the loop, what it writes counts for its stacked results alone, which then are empty.
    fn repeat(&mut self, repeat: &Loop) {
        if let Times::While(condition) = &repeat.times {
            self.scalar(*condition, "loop", DType::Bool);
        }
        let before = self.written.clone();
        self.steps(&repeat.body);
        self.written = before;
        for id in stacked(repeat) {
            self.written[id.0 as usize] = true;
        }
        self.steps(&repeat.last);
    }

    fn may_write(&mut self, id: BufferId, place: &str) {
        match &self.program.buffer(id).role {
            Role::Input(_) | Role::Constant { .. } => self.fault(10, id, place, "is an input or a constant and is written"),
            Role::Prepared => self.fault(11, id, place, "is prepared and written by a step"),
            Role::Output(_) | Role::Temp | Role::Local => {}
        }
    }

    /// A scan may read what its own earlier points wrote. An update changes what is written already.
    fn stage(&mut self, stage: &Stage, place: &str) {
        let scans = stage.nest.iters.iter().any(|iter| iter.kind == IterKind::Scan);
        for id in stage.operands.iter().filter(|id| !scans || !stage.writes.contains(id)) {
            self.read(*id, place);
        }
        for (write, id) in stage.nest.writes.iter().zip(&stage.writes) {
            if write.is_update() {
                self.read(*id, place);
            }
            self.written[id.0 as usize] = true;
        }
    }

    fn read(&mut self, id: BufferId, place: &str) {
        if !self.written[id.0 as usize] {
            self.fault(9, id, place, "is read before it is written");
        }
    }
}
