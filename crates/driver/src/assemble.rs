//! Program + memory plan -> module: a kernel for each distinct group, and the two entries.

use crate::code::{self, Lookup};
use crate::error::Error;
use cache::{Key, Store};
use kernel::module::{Entry, EntryStep, Launch, Module, Place};
use kernel::schedule::{self, Schedule};
use kernel::{Interface, Kernel};
use program::memory::MemoryPlan;
use program::{BufferId, Group, PhysicalGroup, Program, Role, Step, physical};
use std::collections::HashMap;
use std::sync::OnceLock;
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
    /// What its object is kept under; None for a kernel that took the place of the schedule's own.
    pub key: Option<Key>,
    /// The object that was found under the key.
    pub object: Option<Vec<u8>>,
}

impl Lowered {
    fn new(group: PhysicalGroup, label: &str, target: &Target, lookup: &Lookup) -> Lowered {
        let schedule = schedule::choose(&group, target);
        let key = lookup.kernel_key(&group, &schedule);
        let name = code::kernel_name(&key);
        let (interface, kernel, object) = match lookup.kernel(&key, &name) {
            Some((interface, object)) => (interface, OnceLock::new(), Some(object)),
            None => {
                let kernel = kernel::lower::lower(&name, &group, &schedule);
                (kernel.interface(), OnceLock::from(kernel), None)
            }
        };
        Lowered { group, schedule, label: label.to_string(), interface, kernel, key: Some(key), object }
    }

    pub fn kernel(&self) -> &Kernel {
        self.kernel.get_or_init(|| kernel::lower::lower(&self.interface.name, &self.group, &self.schedule))
    }

    /// Puts another kernel in its place; its interface must be the same but for scratch.
    pub fn replace(&mut self, kernel: Kernel) {
        self.interface = kernel.interface();
        (self.kernel, self.key, self.object) = (OnceLock::from(kernel), None, None);
    }
}

/// The kernels and entries of a program.
#[derive(Clone, Debug)]
pub struct Assembly {
    pub lowered: Vec<Lowered>,
    pub module: Module,
    /// The constants behind `Place::Constant`, in order.
    pub constants: Vec<BufferId>,
    /// For each launch, those of `prepare` first, the model nodes it came from.
    pub labels: Vec<String>,
    pub prepare_steps: usize,
    /// Scratch that the largest kernel needs.
    pub scratch_bytes: Expr,
}

/// Objects that the store has are taken from there; their kernels are not made.
pub fn assemble(program: &Program, memory: &MemoryPlan, target: &Target, store: Option<&Store>) -> Assembly {
    let sizes: Vec<Sym> = program.symbols.keys().cloned().collect();
    let mut assembler = Assembler { program, memory, target, lookup: Lookup::new(target, store), known: HashMap::new(), out: empty() };
    let prepare = assembler.steps(&program.prepare);
    assembler.out.prepare_steps = assembler.out.labels.len();
    let mut main: Vec<EntryStep> = (0..program.guards.len())
        .map(|at| EntryStep::Guard { condition: program.guards[at].condition.clone(), guard: at as u32 })
        .collect();
    main.extend(assembler.steps(&program.steps));
    let mut out = assembler.out;
    out.module.prepare = Entry { name: "inkle_prepare".to_string(), sizes: vec![], steps: prepare };
    out.module.main = Entry { name: "inkle_main".to_string(), sizes, steps: main };
    out.module.kernels = out.interfaces();
    out
}

fn empty() -> Assembly {
    Assembly {
        lowered: vec![],
        module: Module::default(),
        constants: vec![],
        labels: vec![],
        prepare_steps: 0,
        scratch_bytes: Expr::zero(),
    }
}

struct Assembler<'a> {
    program: &'a Program,
    memory: &'a MemoryPlan,
    target: &'a Target,
    lookup: Lookup<'a>,
    known: HashMap<PhysicalGroup, usize>,
    out: Assembly,
}

impl Assembler<'_> {
    fn steps(&mut self, steps: &[Step]) -> Vec<EntryStep> {
        steps.iter().flat_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Vec<EntryStep> {
        match step {
            Step::Group(group) => vec![self.group(group)],
            Step::Border(id) => {
                let label = format!("border of {}", self.program.buffer(*id).name);
                let groups = physical::border_groups(self.program, *id);
                groups.into_iter().map(|group| self.launch(group, &[*id], label.clone())).collect()
            }
            Step::If { condition, then, otherwise } => {
                let condition = self.place(*condition);
                vec![EntryStep::If { condition, then: self.steps(then), otherwise: self.steps(otherwise) }]
            }
        }
    }

    fn group(&mut self, group: &Group) -> EntryStep {
        let (physical, ids) = PhysicalGroup::new(self.program, group);
        self.launch(physical, &ids, group.location().to_string())
    }

    fn launch(&mut self, group: PhysicalGroup, ids: &[BufferId], label: String) -> EntryStep {
        let at = self.kernel(group, &label);
        let Lowered { schedule, interface, .. } = &self.out.lowered[at];
        let (tasks, grain) = (interface.tasks.clone(), Expr::from(schedule.grain()));
        let sizes = interface.sizes.iter().map(Expr::sym).collect();
        let params: Vec<BufferId> = interface.params.iter().filter_map(|param| ids.get(*param).copied()).collect();
        let args = params.into_iter().map(|id| self.place(id)).collect();
        let step = self.out.labels.len() as u32;
        self.out.labels.push(label);
        EntryStep::Launch(Launch { kernel: at, args, sizes, tasks, grain, step, parallel: true })
    }

    /// The number of the group's kernel; equal groups share one.
    fn kernel(&mut self, group: PhysicalGroup, label: &str) -> usize {
        if let Some(at) = self.known.get(&group) {
            return *at;
        }
        let at = self.out.lowered.len();
        let lowered = Lowered::new(group.clone(), label, self.target, &self.lookup);
        self.out.scratch_bytes = larger(&self.out.scratch_bytes, &lowered.interface.scratch_bytes);
        self.known.insert(group, at);
        self.out.lowered.push(lowered);
        at
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
        constants.iter().position(|known| *known == id).unwrap_or_else(|| {
            constants.push(id);
            constants.len() - 1
        })
    }
}

impl Assembly {
    /// Puts other kernels in place of those of the same names; their parameters must be the same.
    pub fn replace(&mut self, kernels: Vec<Kernel>) -> Result<(), Error> {
        for kernel in kernels {
            let known = self.lowered.iter_mut().find(|l| l.interface.name == kernel.name);
            let known = known.ok_or_else(|| Error::input(format!("kernel {} is not one of the program's", kernel.name)))?;
            let interface = |k: &Kernel| (k.sizes.clone(), k.params().map(|(_, b)| (b.dtype, b.len.clone(), b.space)).collect::<Vec<_>>());
            if interface(known.kernel()) != interface(&kernel) || known.interface.tasks != kernel.tasks {
                return Err(Error::input(format!("kernel {}: its parameters or tasks differ from the program's", kernel.name)));
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
