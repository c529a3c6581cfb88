//! What one executable holds: kernels, and the entries that call them.
//!
//! An [`Entry`] is printed as one function
//!
//! ```text
//! int32 NAME(ctx, inputs, outputs, dims, arena, parallel_for)
//! ```
//!
//! | parameter | C type | |
//! | --- | --- | --- |
//! | `ctx` | `const Context *` | see below |
//! | `inputs`, `outputs` | `uint8_t *const *` | the start of each tensor, 64-byte aligned |
//! | `dims` | `int64_t *` | the values of [`Entry::sizes`]; for a size that a step computes, the largest that there is memory for, in place of which the step puts the value |
//! | `arena` | `uint8_t *` | temporary memory, 64-byte aligned |
//! | `parallel_for` | function | `int32 (pool, kernel, args, tasks, grain, scratch_bytes)`; runs a kernel over its tasks |
//!
//! The context is a C struct of eight words:
//!
//! | byte | field | |
//! | --- | --- | --- |
//! | 0 | `constants: *const *const u8` | the start of each constant |
//! | 8 | `prepared: *mut u8` | what the `prepare` entry writes and `main` reads |
//! | 16 | `pool: *const c_void` | first argument of `parallel_for` |
//! | 24 | `scratch: *mut u8` | the caller's scratch for kernels that it runs itself |
//! | 32 | `profile: *mut u64` | ticks of each step, added up; only used where the entry was printed with profiling |
//! | 40 | `clock: extern "C" fn() -> u64` | ticks; only used like `profile` |
//! | 48 | `host: *const c_void` | first argument of `host_step` |
//! | 56 | `host_step: extern "C" fn(host, u32 call, const uint64_t *words) -> i32` | runs a step of the host: its number, and [`HostLaunch`]'s words; 0, or [`HOST_FAULT`] |
//!
//! The result is 0; `-(g + 1)` where guard number g does not hold; `-(65536 + d + 1)` where a step put a size into word d of `dims` that
//! is below the least of its symbol or beyond the memory; `(s + 1) * 65536 + c` where the kernel of step s gave the code c > 0, or the host
//! for step s; what `parallel_for` gives below 0 as it is. So steps stay below 32767, codes, guards and sizes below 65536.

use crate::interface::Interface;
use ir::guard::Condition;
use std::collections::BTreeSet;
use sym::{Expr, Sym};

/// The kernels of an executable and its two functions. `prepare` runs once, before the first `main`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// Their names differ.
    pub kernels: Vec<Interface>,
    pub prepare: Entry,
    pub main: Entry,
}

/// One function that runs steps in order. All expressions are over `sizes` and the counters of the loops around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    pub name: String,
    /// The sizes in the order of the `dims` array.
    pub sizes: Vec<Sym>,
    pub steps: Vec<EntryStep>,
}

/// The code of a step of the host that failed; the host keeps why.
pub const HOST_FAULT: i32 = 65535;

/// The result where the size in word 0 of `dims` leaves its bounds; that of word n is n less.
pub const SIZE_FAULT: i32 = -65537;

#[derive(Clone, Debug, PartialEq)]
pub enum EntryStep {
    Launch(Launch),
    Host(HostLaunch),
    /// Runs one list of steps, by the Bool at a place.
    If {
        condition: Place,
        then: Vec<EntryStep>,
        otherwise: Vec<EntryStep>,
    },
    Loop(Loop),
    /// Ends the entry with `-(guard + 1)` where the condition does not hold.
    Guard {
        condition: Condition,
        guard: u32,
    },
    /// From here on a size is the I64 at a place.
    Size {
        symbol: Sym,
        from: Place,
        least: i64,
    },
}

/// Steps that run again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// The number of the present run, from 1 on; in `last` that of runs. The expressions of the steps may mention it.
    pub counter: Sym,
    pub times: Times,
    pub body: Vec<EntryStep>,
    /// Run once at the end.
    pub last: Vec<EntryStep>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    Trips(Expr),
    /// As long as the Bool at a place holds.
    While(Place),
}

impl EntryStep {
    /// The sizes that the step and those inside of it compute.
    pub fn computed(&self) -> Vec<&Sym> {
        match self {
            EntryStep::Size { symbol, .. } => vec![symbol],
            EntryStep::Launch(_) | EntryStep::Host(_) | EntryStep::Guard { .. } | EntryStep::If { .. } | EntryStep::Loop(_) => {
                self.blocks().into_iter().flatten().flat_map(EntryStep::computed).collect()
            }
        }
    }

    /// What the expressions of the step and of those inside of it mention.
    pub fn symbols(&self) -> BTreeSet<Sym> {
        let place = |place: &Place| match place {
            Place::Prepared(offset) | Place::Arena(offset) => offset.symbols(),
            Place::Input(_) | Place::Output(_) | Place::Constant(_) => BTreeSet::new(),
        };
        let mut all = match self {
            EntryStep::Launch(launch) => {
                let expressions = launch.sizes.iter().chain([&launch.tasks, &launch.grain]).map(Expr::symbols);
                expressions.chain(launch.args.iter().map(place)).flatten().collect()
            }
            EntryStep::Host(host) => host.dims.iter().map(Expr::symbols).chain(host.args.iter().map(place)).flatten().collect(),
            EntryStep::If { condition, .. } => place(condition),
            EntryStep::Loop(Loop { times: Times::Trips(trips), .. }) => trips.symbols(),
            EntryStep::Loop(Loop { times: Times::While(condition), .. }) => place(condition),
            EntryStep::Guard { condition, .. } => condition.symbols(),
            EntryStep::Size { symbol, from, .. } => &BTreeSet::from([symbol.clone()]) | &place(from),
        };
        all.extend(self.blocks().into_iter().flatten().flat_map(EntryStep::symbols));
        all
    }

    /// The launches of the step and of those inside of it, in order.
    pub fn launches(&self) -> Vec<&Launch> {
        match self {
            EntryStep::Launch(launch) => vec![launch],
            EntryStep::Host(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } | EntryStep::If { .. } | EntryStep::Loop(_) => {
                self.blocks().into_iter().flatten().flat_map(EntryStep::launches).collect()
            }
        }
    }

    /// The lists of steps inside the step, in order.
    pub fn blocks(&self) -> Vec<&[EntryStep]> {
        match self {
            EntryStep::Host(_) | EntryStep::Launch(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => vec![],
            EntryStep::If { then, otherwise, .. } => vec![then, otherwise],
            EntryStep::Loop(repeat) => vec![&repeat.body, &repeat.last],
        }
    }
}

impl Entry {
    /// The numbers of the kernels that are launched, in order, each once.
    pub fn launched(&self) -> BTreeSet<usize> {
        self.launches().into_iter().map(|launch| launch.kernel).collect()
    }

    pub fn launches(&self) -> Vec<&Launch> {
        self.steps.iter().flat_map(EntryStep::launches).collect()
    }

    /// The sizes that steps compute.
    pub fn computed(&self) -> BTreeSet<&Sym> {
        self.steps.iter().flat_map(EntryStep::computed).collect()
    }
}

/// One run of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Its number in [`Module::kernels`].
    pub kernel: usize,
    /// Where each parameter lies, in the order of [`Interface::params`].
    pub args: Vec<Place>,
    /// The value of each of [`Interface::sizes`], in their order.
    pub sizes: Vec<Expr>,
    pub tasks: Expr,
    /// The fewest tasks that are worth a thread.
    pub grain: Expr,
    /// The number in result codes and in the profile.
    pub step: u32,
    /// Whether it may run at the same time as the launches before it, back to one for which this is false: none of them writes what
    /// another uses. Their tasks are then handed out as those of one launch.
    pub beside: bool,
    /// Whether threads may share the tasks, where there are more than `grain`; else the caller runs them.
    pub parallel: bool,
}

/// One call of an operation of the host. Its words are the addresses of `args`, then `dims`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostLaunch {
    /// Its number in the executable's list of host calls.
    pub call: u32,
    /// The operands, then the results.
    pub args: Vec<Place>,
    /// Their dims, one after the other.
    pub dims: Vec<Expr>,
    /// The number in result codes and in the profile.
    pub step: u32,
}

/// Where a tensor starts; offsets are in bytes, multiples of 64.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Input(usize),
    Output(usize),
    Constant(usize),
    Prepared(Expr),
    Arena(Expr),
}
