//! Program + memory plan -> module: a kernel for each distinct group, and the two entries.

use crate::choices::{self, Choice};
use crate::code::{self, Lookup};
use crate::error::Error;
use crate::launches::{self, Planned, PlannedLaunch, Planner};
use crate::options::Options;
use crate::parallel;
use cache::{Key, Store};
use host::HostCall;
use ir::Guard;
use kernel::module::{self, Entry, EntryStep, HostLaunch, Launch, Module, Place};
use kernel::schedule::Schedule;
use kernel::{Interface, Kernel};
use program::memory::MemoryPlan;
use program::{BufferId, HostStep, PhysicalGroup, Program, Role, Times};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use sym::{Expr, Sym};
use target::Target;

/// A kernel with what it was made from. It is made when it is first asked for: where its object is there, it may never be.
#[derive(Clone, Debug)]
pub struct Lowered {
    pub group: PhysicalGroup,
    pub schedule: Schedule,
    /// The model nodes of its first launch.
    pub label: String,
    pub interface: Interface,
    kernel: OnceLock<Kernel>,
    target: Arc<Target>,
    /// What its object is kept under; None for a kernel that took the place of the schedule's own.
    pub key: Option<Key>,
    /// The object that was found under the key.
    pub object: Option<Vec<u8>>,
}

impl Lowered {
    fn new(choice: &Choice, label: &str, lookup: &Lookup) -> Lowered {
        let Choice { group, schedule, .. } = choice;
        let key = lookup.kernel_key(group, schedule);
        let name = code::kernel_name(&key);
        let (interface, kernel, object) = match lookup.kernel(&key, &name) {
            Some((interface, object)) => (interface, OnceLock::new(), Some(object)),
            None => {
                let kernel = kernel::lower::lower(&name, group, schedule, &lookup.target);
                (kernel.interface(), OnceLock::from(kernel), None)
            }
        };
        let (group, schedule) = (group.clone(), schedule.clone());
        let target = lookup.target.clone();
        Lowered { group, schedule, label: label.to_string(), interface, kernel, target, key: Some(key), object }
    }

    pub fn kernel(&self) -> &Kernel {
        self.kernel.get_or_init(|| kernel::lower::lower(&self.interface.name, &self.group, &self.schedule, &self.target))
    }

    /// Puts another kernel in its place; its interface must be the same but for scratch.
    pub fn replace(&mut self, kernel: Kernel) {
        self.interface = kernel.interface();
        (self.kernel, self.key, self.object) = (OnceLock::from(kernel), None, None);
    }
}

/// The kernels and entries of a program.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    pub lowered: Vec<Lowered>,
    pub module: Module,
    /// The constants behind `Place::Constant`, in order.
    pub constants: Vec<BufferId>,
    /// The calls of the host by their numbers.
    pub host_calls: Vec<HostCall>,
    /// For each launch and each step of the host, those of `prepare` first, the model nodes it came from.
    pub labels: Vec<String>,
    pub prepare_steps: usize,
    /// The guards among the steps; their numbers follow those of the program's own.
    pub step_guards: Vec<Guard>,
    /// Scratch that the largest kernel needs.
    pub scratch_bytes: Expr,
}

/// Objects that the store has are taken from there; their kernels are not made.
pub fn assemble(program: &Program, memory: &MemoryPlan, options: &Options, store: Option<&Store>) -> Assembly {
    let sizes: Vec<Sym> = program.symbols.keys().chain(&memory.offsets).cloned().collect();
    let mut planner = Planner::new(program);
    let [prepare, main] = [&program.prepare, &program.steps].map(|steps| planner.launches(steps));
    let groups = planner.groups();
    let lookup = Lookup::new(&options.target, store);
    let choices = choices::choices(program, &groups, options, &lookup);
    let launches = [launches::flat(&prepare), launches::flat(&main)].concat();
    let (lowered, kernels) = kernels(&launches, &choices, &lookup, options.threads);
    let mut assembler =
        Assembler { program, memory, choices, kernels, constants: HashMap::new(), out: Assembly { lowered, ..Assembly::default() } };
    let prepare = assembler.steps(prepare);
    assembler.out.prepare_steps = assembler.out.labels.len();
    let mut steps: Vec<EntryStep> = (0..program.guards.len())
        .map(|at| EntryStep::Guard { condition: program.guards[at].condition.clone(), guard: at as u32 })
        .collect();
    steps.extend(assembler.steps(main));
    let mut out = assembler.out;
    out.module.prepare = Entry { name: "inkle_prepare".to_string(), sizes: vec![], steps: prepare };
    out.module.main = Entry { name: "inkle_main".to_string(), sizes, steps };
    out.module.kernels = out.interfaces();
    out
}

/// The kernels of all groups, in order of first use, each made once, and the number of each group's.
fn kernels(launches: &[&PlannedLaunch], choices: &[Choice], lookup: &Lookup, threads: usize) -> (Vec<Lowered>, Vec<usize>) {
    // the first launch of a group comes last here
    let labels: HashMap<usize, &String> = launches.iter().rev().map(|launch| (launch.group, &launch.label)).collect();
    let (mut distinct, mut known) = (Vec::new(), HashMap::new());
    let number = |(group, choice)| {
        let choice: &Choice = choice;
        *known.entry((&choice.group, &choice.schedule)).or_insert_with(|| {
            distinct.push((choice, labels.get(&group).copied()));
            distinct.len() - 1
        })
    };
    let numbers = choices.iter().enumerate().map(number).collect();
    let lowered = |(choice, label): &(&Choice, Option<&String>)| Lowered::new(choice, label.map_or("", String::as_str), lookup);
    (parallel::map(&distinct, threads, lowered), numbers)
}

struct Assembler<'a> {
    program: &'a Program,
    memory: &'a MemoryPlan,
    /// By the group's number.
    choices: Vec<Choice>,
    /// By the group's number, that of its kernel in `out`.
    kernels: Vec<usize>,
    /// The places of constants in `out`.
    constants: HashMap<BufferId, usize>,
    out: Assembly,
}

impl Assembler<'_> {
    fn steps(&mut self, steps: Vec<Planned>) -> Vec<EntryStep> {
        let beside = self.beside(&steps);
        let mut steps: Vec<EntryStep> = steps.into_iter().map(|step| self.step(step)).collect();
        for (step, beside) in steps.iter_mut().zip(beside) {
            if let EntryStep::Launch(launch) = step {
                launch.beside = beside;
            }
        }
        steps
    }

    /// For each step, whether it is a launch that may run at the same time as those before it: of long tasks, like them, and neither
    /// writes what the other uses, nor its memory.
    fn beside(&self, steps: &[Planned]) -> Vec<bool> {
        let mut run: Vec<&PlannedLaunch> = Vec::new();
        let mut out = Vec::new();
        for step in steps {
            let launch = match step {
                Planned::Launch(launch) => Some(launch).filter(|launch| self.choices[launch.group].grain == 1),
                Planned::Host(_) | Planned::If { .. } | Planned::Guard(_) | Planned::Size { .. } | Planned::Loop { .. } => None,
            };
            let joins = launch.is_some_and(|launch| run.iter().all(|other| self.independent(launch, other)));
            let beside = joins && !run.is_empty();
            if !beside {
                run.clear();
            }
            run.extend(launch);
            out.push(beside);
        }
        out
    }

    fn independent(&self, a: &PlannedLaunch, b: &PlannedLaunch) -> bool {
        let apart = |writer: &PlannedLaunch, user: &PlannedLaunch| {
            writer.written.iter().all(|id| user.buffers.iter().all(|other| id != other && self.apart(*id, *other)))
        };
        apart(a, b) && apart(b, a)
    }

    /// Whether two buffers never share memory: buffers of the arena, or of the prepared memory, that live at the same time do not.
    fn apart(&self, a: BufferId, b: BufferId) -> bool {
        let lives = |places: &[Option<Expr>]| {
            let [a, b] = [a, b].map(|id| self.memory.lives[id.0 as usize].filter(|_| places[id.0 as usize].is_some()));
            a.zip(b)
        };
        let both = lives(&self.memory.arena).or_else(|| lives(&self.memory.prepared));
        both.is_none_or(|(a, b)| a.overlaps(b))
    }

    fn step(&mut self, step: Planned) -> EntryStep {
        match step {
            Planned::Launch(launch) => self.launch(launch),
            Planned::Host(step) => self.host(step),
            Planned::If { condition, then, otherwise } => {
                let condition = self.place(condition);
                EntryStep::If { condition, then: self.steps(then), otherwise: self.steps(otherwise) }
            }
            Planned::Guard(guard) => {
                let number = (self.program.guards.len() + self.out.step_guards.len()) as u32;
                let condition = guard.condition.clone();
                self.out.step_guards.push(guard);
                EntryStep::Guard { condition, guard: number }
            }
            Planned::Size { symbol, from } => {
                let least = self.program.symbols.get(&symbol).copied().unwrap_or_default().low;
                EntryStep::Size { symbol, from: self.place(from), least }
            }
            Planned::Loop { counter, times, body, last } => {
                let times = match times {
                    Times::Trips(trips) => module::Times::Trips(trips),
                    Times::While(condition) => module::Times::While(self.place(condition)),
                };
                let (body, last) = (self.steps(body), self.steps(last));
                EntryStep::Loop(module::Loop { counter, times, body, last })
            }
        }
    }

    fn launch(&mut self, PlannedLaunch { group, buffers, label, .. }: PlannedLaunch) -> EntryStep {
        let (choice, at) = (&self.choices[group], self.kernels[group]);
        let interface = &self.out.lowered[at].interface;
        let value = |sym: &Sym| choice.values.iter().find(|(known, _)| known == sym).map(|(_, value)| value.clone());
        let tasks = interface.tasks.substitute(&value);
        let sizes = interface.sizes.iter().map(|sym| value(sym).unwrap_or_else(|| Expr::sym(sym))).collect();
        let scratch_bytes = interface.scratch_bytes.substitute(&value);
        let grain = Expr::from(choice.grain);
        let params: Vec<BufferId> = interface.params.iter().filter_map(|param| buffers.get(*param).copied()).collect();
        let args = params.into_iter().map(|id| self.place(id)).collect();
        self.out.scratch_bytes = larger(&self.out.scratch_bytes, &scratch_bytes);
        let step = self.out.labels.len() as u32;
        self.out.labels.push(label);
        EntryStep::Launch(Launch { kernel: at, args, sizes, tasks, grain, step, beside: false, parallel: true })
    }

    fn host(&mut self, host: HostStep) -> EntryStep {
        let (call, step) = (self.out.host_calls.len() as u32, self.out.labels.len() as u32);
        self.out.host_calls.push(host.call(self.program));
        self.out.labels.push(host.location.to_string());
        let args = host.buffers().map(|id| self.place(id)).collect();
        let dims = host.buffers().flat_map(|id| self.program.buffer(id).ty.dims.clone()).collect();
        EntryStep::Host(HostLaunch { call, args, dims, step })
    }

    fn place(&mut self, id: BufferId) -> Place {
        let offset = |offsets: &[Option<Expr>]| offsets[id.0 as usize].clone().unwrap_or_default();
        match &self.program.buffer(id).role {
            Role::Input(at) => Place::Input(*at),
            Role::Output(at) => Place::Output(*at),
            Role::Constant { .. } => Place::Constant(self.constant(id)),
            Role::Prepared => Place::Prepared(offset(&self.memory.prepared)),
            Role::Temp | Role::Local => Place::Arena(offset(&self.memory.arena)),
        }
    }

    fn constant(&mut self, id: BufferId) -> usize {
        let constants = &mut self.out.constants;
        *self.constants.entry(id).or_insert_with(|| {
            constants.push(id);
            constants.len() - 1
        })
    }
}

impl Assembly {
    /// Puts other kernels in place of those of the same names; their parameters must be the same. One that is not the schedule's own must be
    /// shown to stay inside of its buffers.
    pub fn replace(&mut self, kernels: Vec<Kernel>) -> Result<(), Error> {
        for kernel in kernels {
            let known = self.lowered.iter_mut().find(|l| l.interface.name == kernel.name);
            let known = known.ok_or_else(|| Error::input(format!("kernel {} is not one of the program's", kernel.name)))?;
            let interface = |k: &Kernel| (k.sizes.clone(), k.params().map(|(_, b)| (b.dtype, b.len.clone(), b.space)).collect::<Vec<_>>());
            if interface(known.kernel()) != interface(&kernel) || known.interface.tasks != kernel.tasks {
                return Err(Error::input(format!("kernel {}: its parameters or tasks differ from the program's", kernel.name)));
            }
            if *known.kernel() == kernel {
                continue;
            }
            if let Some(access) = kernel::bounds::unproved(&kernel).first() {
                let why = format!("kernel {}: nothing shows that this stays inside: {access}", kernel.name);
                return Err(Error::input(format!("{why}; where sizes are parameters, --share-kernels off makes it easier to show")));
            }
            self.scratch_bytes = larger(&self.scratch_bytes, &kernel.scratch().1);
            known.replace(kernel);
        }
        self.module.kernels = self.interfaces();
        Ok(())
    }

    fn interfaces(&self) -> Vec<Interface> {
        self.lowered.iter().map(|lowered| lowered.interface.clone()).collect()
    }
}

/// The larger of two byte counts; their sum where that is not decided.
fn larger(a: &Expr, b: &Expr) -> Expr {
    match (b - a).as_const() {
        Some(d) if d <= 0 => a.clone(),
        Some(_) => b.clone(),
        None => a.maximum(b),
    }
}
