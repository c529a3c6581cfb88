//! Types of the Program level.

use crate::layout::Layout;
use host::{HostCall, HostOp};
use ir::graph::SymbolFact;
use ir::{Attrs, Guard, Location, Tensor, TensorType, Texts};
use nest::{Nest, rewrite};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use sym::{Expr, Sym};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

impl std::fmt::Debug for BufferId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// Who owns a buffer's memory and how long it lives.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Input number n of the model: the caller's memory.
    Input(usize),
    /// Output number n of the model: the caller's memory.
    Output(usize),
    /// Known contents; `weight` is the model's name for exactly these bytes.
    Constant { tensor: Tensor, weight: Option<Arc<str>> },
    /// Computed once by the `prepare` steps, then kept: packed and folded weights.
    Prepared,
    /// A place in the arena from its first write to its last read.
    Temp,
    /// Used within one group only, and there only at equal outer iterators: scratch of the group's kernel.
    Local,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// The name of the graph value it holds, or a derived one; unique in the program.
    pub name: Arc<str>,
    /// The logical type: what nests index.
    pub ty: TensorType,
    /// How the elements lie in memory. Inputs, outputs and constants are row-major.
    pub layout: Layout,
    pub role: Role,
}

/// A nest with the buffers it reads and writes: one for each operand, one for each write.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub nest: Nest,
    pub operands: Vec<BufferId>,
    pub writes: Vec<BufferId>,
    pub location: Location,
}

/// Stages that run as one kernel. The meaning is that of the stages run whole, one after the other; `outer` names the leading parallel
/// iterators that all stages share (same names, same extents). At one point of them no stage reads what another point wrote, so that the
/// kernel runs all stages for a point together. Without `outer` there is exactly one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub outer: Vec<Sym>,
    pub stages: Vec<Stage>,
}

/// One call of an operation of the host. Its buffers are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStep {
    pub op: &'static HostOp,
    pub attrs: Attrs,
    pub operands: Vec<BufferId>,
    pub results: Vec<BufferId>,
    pub location: Location,
}

impl HostStep {
    pub fn call(&self, program: &Program) -> HostCall {
        let types = |ids: &[BufferId]| ids.iter().map(|id| (program.buffer(*id).ty.dtype, program.buffer(*id).ty.rank())).collect();
        HostCall { op: self.op, attrs: self.attrs.clone(), operands: types(&self.operands), results: types(&self.results) }
    }

    /// Operands, then results.
    pub fn buffers(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.operands.iter().chain(&self.results).copied()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Group(Group),
    Host(HostStep),
    /// Sets the halo of a buffer to zero. It changes no logical element.
    Border(BufferId),
    /// Runs one list of steps, by a bool scalar in a buffer.
    If {
        condition: BufferId,
        then: Vec<Step>,
        otherwise: Vec<Step>,
    },
    Loop(Loop),
    /// Ends the call with an error where the condition does not hold. The program's own guards hold for every call, this one where it stands.
    Guard(Guard),
    /// From here on a size is the number in an i64 scalar. The call ends with an error where that is outside of the symbol's bounds.
    Size {
        symbol: Sym,
        from: BufferId,
    },
}

/// Steps that run again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// The number of the present run, from 1 on. The nests of the loop may mention it like a size; dims do not.
    pub counter: Sym,
    pub times: Times,
    pub body: Vec<Step>,
    /// Run once at the end; the counter is then the number of runs, which may be 0.
    pub last: Vec<Step>,
}

/// How often a loop runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    Trips(Expr),
    /// As long as the bool scalar in a buffer holds.
    While(BufferId),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    pub name: String,
    /// The sizes: those that a call binds, and those that its steps compute.
    pub symbols: BTreeMap<Sym, SymbolFact>,
    pub guards: Vec<Guard>,
    pub buffers: Vec<Buffer>,
    /// Run once, before the first call: they read constants and prepared buffers only.
    pub prepare: Vec<Step>,
    pub steps: Vec<Step>,
    /// Buffers of the model's inputs and outputs with the model's names.
    pub inputs: Vec<(String, BufferId)>,
    pub outputs: Vec<(String, BufferId)>,
    pub texts: Texts,
}

impl Program {
    /// A new row-major buffer, named after another one and what it holds.
    pub fn add_buffer(&mut self, stem: &str, what: &str, ty: TensorType, role: Role) -> BufferId {
        let id = BufferId(self.buffers.len() as u32);
        let layout = Layout::row_major(ty.rank());
        self.buffers.push(Buffer { name: Arc::from(format!("{stem}.{what}{}", id.0)), ty, layout, role });
        id
    }

    /// The sizes that no call gives.
    pub fn computed(&self) -> BTreeSet<&Sym> {
        self.steps.iter().flat_map(Step::computed).collect()
    }

    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }
}

impl Stage {
    /// The stage without scalars, and so without operands, that its writes do not need.
    pub fn tidied(self) -> Stage {
        let nest = rewrite::tidy(&self.nest);
        let find = |name: &str| self.nest.operands.iter().position(|operand| operand.name == name).map(|at| self.operands[at]);
        let operands = nest.operands.iter().filter_map(|operand| find(&operand.name)).collect();
        Stage { nest, operands, ..self }
    }
}

impl Group {
    /// The model nodes that the stages came from.
    pub fn location(&self) -> Location {
        Location::all(self.stages.iter().map(|stage| &stage.location))
    }

    /// Buffers read, in order of first use, without those of `writes`.
    pub fn reads(&self) -> Vec<BufferId> {
        let writes = self.writes();
        distinct(self.stages.iter().flat_map(|s| &s.operands).filter(|b| !writes.contains(b)))
    }

    /// Buffers written, in order of first use.
    pub fn writes(&self) -> Vec<BufferId> {
        distinct(self.stages.iter().flat_map(|s| &s.writes))
    }
}

fn distinct<'a>(ids: impl Iterator<Item = &'a BufferId>) -> Vec<BufferId> {
    let mut out = Vec::new();
    for id in ids {
        if !out.contains(id) {
            out.push(*id);
        }
    }
    out
}

impl Loop {
    /// Whether a symbol means something in the body that it does not mean around the loop.
    pub fn binds(&self, sym: &Sym) -> bool {
        *sym == self.counter || self.body.iter().flat_map(Step::computed).any(|computed| computed == sym)
    }
}

impl Step {
    /// All groups of the step, those inside branches and loops included, in order.
    pub fn groups(&self) -> Vec<&Group> {
        match self {
            Step::Group(group) => vec![group],
            Step::Host(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => vec![],
            Step::If { .. } | Step::Loop(_) => self.blocks().into_iter().flatten().flat_map(Step::groups).collect(),
        }
    }

    /// All steps of the host, those inside branches and loops included, in order.
    pub fn host_steps(&self) -> Vec<&HostStep> {
        match self {
            Step::Host(step) => vec![step],
            Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => vec![],
            Step::If { .. } | Step::Loop(_) => self.blocks().into_iter().flatten().flat_map(Step::host_steps).collect(),
        }
    }

    /// The lists of steps inside the step, in order.
    pub fn blocks(&self) -> Vec<&[Step]> {
        match self {
            Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => vec![],
            Step::If { then, otherwise, .. } => vec![then, otherwise],
            Step::Loop(repeat) => vec![&repeat.body, &repeat.last],
        }
    }

    /// The step with each list of steps inside of it changed.
    pub fn with_blocks(self, change: &mut dyn FnMut(Vec<Step>) -> Vec<Step>) -> Step {
        match self {
            Step::Host(_) | Step::Group(_) | Step::Border(_) | Step::Guard(_) | Step::Size { .. } => self,
            Step::If { condition, then, otherwise } => Step::If { condition, then: change(then), otherwise: change(otherwise) },
            Step::Loop(repeat) => Step::Loop(Loop { body: change(repeat.body), last: change(repeat.last), ..repeat }),
        }
    }

    /// The bool scalar that decides which steps inside the step run, or whether they run again.
    pub fn condition(&self) -> Option<BufferId> {
        match self {
            Step::If { condition, .. } => Some(*condition),
            Step::Loop(Loop { times: Times::While(condition), .. }) => Some(*condition),
            Step::Loop(Loop { times: Times::Trips(_), .. })
            | Step::Group(_)
            | Step::Host(_)
            | Step::Border(_)
            | Step::Guard(_)
            | Step::Size { .. } => None,
        }
    }

    /// The sizes that the step and those inside of it compute.
    pub fn computed(&self) -> Vec<&Sym> {
        match self {
            Step::Size { symbol, .. } => vec![symbol],
            Step::Group(_) | Step::Host(_) | Step::Border(_) | Step::Guard(_) | Step::If { .. } | Step::Loop(_) => {
                self.blocks().into_iter().flatten().flat_map(Step::computed).collect()
            }
        }
    }
}
