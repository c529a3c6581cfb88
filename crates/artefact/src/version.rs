//! The code for one target: the entry that the compiler in place would call, the functions around it, and the bytes that it reads.

use crate::link;
use crate::names::comment;
use crate::room::{largest_symbol, most};
use crate::weights::Weights;
use arena::{Arena, Effort};
use driver::assemble::{self, Assembly};
use driver::compile::{Assembled, emit_options, print_options};
use driver::{Error, Options};
use ir::graph::SymbolFact;
use ir::{Code, Diagnostics, Guard, Location, Tensor};
use kernel::facade::{self, Facade, Size, Value};
use kernel::module::{Entry, EntryStep, Place, SIZE_FAULT, Times};
use llvm::{Origins, PrintOptions};
use program::memory::MemoryPlan;
use program::{BufferId, Program, Role};
use runtime::Executable;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};
use target::Target;

/// What an artefact needs of a C library; LLVM has no way to do without.
const LIBRARY: [&str; 3] = ["memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"];

/// What symbols are taken for where the places of temporaries are chosen: they are good for all values, and best near these.
const USUAL_SIZE: i64 = 128;

/// A model's code for one target, before it is generated.
pub struct Version {
    pub facade: Facade,
    main: Entry,
    assembled: Assembled,
    options: Options,
    model: String,
}

impl Version {
    /// Puts what the code reads into `weights`. E006 where the model needs what an artefact does not have.
    pub fn new(assembled: Assembled, options: &Options, (model, prefix): (&str, &str), weights: &mut Weights) -> Result<Version, Error> {
        refuse_host_steps(&assembled)?;
        let main = Entry { name: format!("{prefix}_main"), ..assembled.assembly.module.main.clone() };
        let own = stored(&assembled, &main, options, weights)?;
        let facade = facade(&assembled, &options.target, prefix, own)?;
        Ok(Version { facade, main, assembled, options: options.clone(), model: model.to_string() })
    }

    /// The LLVM text.
    pub fn text(&self) -> String {
        let Assembly { lowered, module, .. } = &self.assembled.assembly;
        let options = PrintOptions { internal: true, aligned: true, marks: true, small: true, ..print_options(&self.options) };
        let compiler = driver::code::compiler_version();
        let origins = Origins {
            model: &self.model,
            producer: &compiler,
            functions: self.nodes().into_iter().map(|(at, nodes)| (lowered[at].interface.name.clone(), together(&nodes))).collect(),
            steps: self.facade.steps.iter().map(|step| (step.number, step.nodes.clone())).collect(),
        };
        llvm::print_artefact(&|at| lowered[at].kernel(), &module.kernels, &self.main, &self.facade, &origins, &options)
    }

    /// The text in C.
    pub fn source(&self) -> String {
        let Assembly { lowered, module, .. } = &self.assembled.assembly;
        let origins = csource::Origins {
            model: comment(&self.model),
            target: comment(&self.target().name),
            kernels: self.nodes().into_iter().map(|(at, nodes)| (at, comment(&together(&nodes)))).collect(),
            steps: self.facade.steps.iter().map(|step| (step.number, comment(&step.nodes))).collect(),
        };
        csource::print_artefact(&|at| lowered[at].kernel(), &module.kernels, &self.main, &self.facade, &origins)
    }

    /// E006 where the code would call functions that nobody has: the machine lacks an instruction that the printer counts on.
    pub fn object(&self) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::Bug(format!("code generation: {why}"));
        let object = llvm::emit_object(&self.text(), &emit_options(&self.options))?;
        let called = link::undefined(&object).map_err(failed)?;
        let known = |name: &String| LIBRARY.contains(&name.as_str()) || self.facade.weights.symbol.as_ref() == Some(name);
        let missing: Vec<String> = called.into_iter().filter(|name| !known(name)).collect();
        if missing.is_empty() {
            return Ok(object);
        }
        let why = format!("{} has no instructions for what this model needs, and no functions {}", self.target().name, missing.join(", "));
        Err(Error::Diagnostics(Diagnostics::one(Code::Unsupported, &Location::default(), why)))
    }

    pub fn target(&self) -> &Target {
        &self.options.target
    }

    pub fn program(&self) -> &Program {
        &self.assembled.program
    }

    /// The kernels that a call may launch: their names, the model nodes that they serve, their nests and schedules.
    pub fn kernels(&self) -> Vec<serde_json::Value> {
        let kernel = |(at, nodes): (usize, Vec<&str>)| {
            let lowered = &self.assembled.assembly.lowered[at];
            json!({
                "name": lowered.interface.name,
                "nodes": nodes,
                "nest": lowered.group.to_string(),
                "schedule": lowered.schedule.to_string(),
            })
        };
        self.nodes().into_iter().map(kernel).collect()
    }

    /// The model nodes of each launch, by the number of its kernel.
    fn nodes(&self) -> BTreeMap<usize, Vec<&str>> {
        let mut nodes: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for launch in self.main.launches() {
            nodes.entry(launch.kernel).or_default().push(&self.assembled.assembly.labels[launch.step as usize]);
        }
        nodes
    }
}

/// The first of several launches, and how many others there are.
fn together(nodes: &[&str]) -> String {
    match nodes {
        [] => String::new(),
        [node] => node.to_string(),
        [node, other] => format!("{node}, {other}"),
        [node, others @ ..] => format!("{node} (and {} others)", others.len()),
    }
}

/// E006 for each operation of the host, which an artefact has not.
fn refuse_host_steps(assembled: &Assembled) -> Result<(), Error> {
    let steps = assembled.program.prepare.iter().chain(&assembled.program.steps).flat_map(program::Step::host_steps);
    let refused = steps.map(|step| {
        let why = format!("{} is a step of the host (docs/host-steps.md), which an artefact has not", step.op.name);
        ir::Diagnostic::new(Code::Unsupported, &step.location, why)
    });
    let mut problems: Vec<ir::Diagnostic> = refused.collect();
    let texts = &assembled.program.texts;
    problems.extend(
        texts
            .inputs
            .iter()
            .chain(&texts.outputs)
            .map(|name| ir::Diagnostic::new(Code::Unsupported, &Location::of(name), "an artefact takes and gives no tensors of strings")),
    );
    if problems.is_empty() { Ok(()) } else { Err(Error::Diagnostics(Diagnostics(problems))) }
}

/// What the entry reads, by places in the weights.
struct Stored {
    constants: Vec<i64>,
    prepared: i64,
    values: Vec<Value>,
}

fn stored(assembled: &Assembled, main: &Entry, options: &Options, weights: &mut Weights) -> Result<Stored, Error> {
    let prepared = weights.prepared(prepared(assembled, options)?);
    let read = constants_read(&main.steps);
    let mut constants = Vec::new();
    for (at, id) in assembled.assembly.constants.iter().enumerate() {
        let tensor = constant(&assembled.program, *id).filter(|_| read.contains(&at));
        constants.push(tensor.map_or(0, |tensor| weights.tensor(tensor)));
    }
    let mut values = Vec::new();
    for (input, (name, _)) in assembled.program.inputs.iter().enumerate() {
        if let Some(tensor) = options.values.get(name) {
            values.push(Value { input, offset: weights.tensor(tensor), bytes: tensor.bytes().len() as i64 });
        }
    }
    Ok(Stored { constants, prepared, values })
}

fn constant(program: &Program, id: BufferId) -> Option<&Tensor> {
    match &program.buffer(id).role {
        Role::Constant { tensor, .. } => Some(tensor),
        _ => None,
    }
}

/// The prepared memory, filled by the code that would fill it in place. What this machine can't run it fills by code of its own, which may
/// round sums in another order.
fn prepared(assembled: &Assembled, options: &Options) -> Result<Vec<u8>, Error> {
    let program =
        Program { symbols: BTreeMap::new(), guards: vec![], steps: vec![], inputs: vec![], outputs: vec![], ..assembled.program.clone() };
    let memory = MemoryPlan { tenants: Arena::default(), offsets: vec![], ..assembled.memory.clone() };
    let mut options = Options { profile: false, values: BTreeMap::new(), ..options.clone() };
    let here = Target::native();
    if options.target.missing_on(&here).is_some() {
        (options.target, options.tuned) = (here, None);
    }
    let assembly = assemble::assemble(&program, &memory, &options, options.store.as_deref());
    let compiled = driver::compile::from_parts(program, memory, assembly, &options)?;
    let executable = Executable::load(compiled.image, options.threads).map_err(|why| match why {
        runtime::RunError::Call(problems) => Error::Diagnostics(problems),
        why => Error::Bug(why.to_string()),
    })?;
    Ok(executable.prepared().to_vec())
}

/// The numbers of the constants that steps read.
fn constants_read(steps: &[EntryStep]) -> BTreeSet<usize> {
    let number = |place: &Place| if let Place::Constant(at) = place { Some(*at) } else { None };
    let of_step = |step: &EntryStep| -> BTreeSet<usize> {
        let own: Vec<&Place> = match step {
            EntryStep::Launch(launch) => launch.args.iter().collect(),
            EntryStep::Host(host) => host.args.iter().collect(),
            EntryStep::If { condition, .. } => vec![condition],
            EntryStep::Loop(repeat) => match &repeat.times {
                Times::While(condition) => vec![condition],
                Times::Trips(_) => vec![],
            },
            EntryStep::Size { from, .. } => vec![from],
            EntryStep::Guard { .. } => vec![],
        };
        own.into_iter().filter_map(number).chain(step.blocks().into_iter().flat_map(constants_read)).collect()
    };
    steps.iter().flat_map(of_step).collect()
}

fn facade(assembled: &Assembled, target: &Target, prefix: &str, own: Stored) -> Result<Facade, Error> {
    let Assembled { program, memory, assembly, .. } = assembled;
    let computed: BTreeSet<Sym> = program.computed().into_iter().cloned().collect();
    let (places, arena_bytes) = places(program, memory, &computed)?;
    let scratch_bytes = most(&assembly.scratch_bytes, &computed).round_up(64);
    let tensor = |(_, id): &(String, BufferId)| {
        let ty = &program.buffer(*id).ty;
        let dims: Vec<Expr> = ty.dims.to_vec();
        let room: Vec<Expr> = dims.iter().map(|dim| most(dim, &computed)).collect();
        facade::Tensor { dims, bytes: Expr::product(&room) * ty.dtype.size() as i64 }
    };
    let inputs: Vec<facade::Tensor> = program.inputs.iter().map(tensor).collect();
    let outputs: Vec<facade::Tensor> = program.outputs.iter().map(tensor).collect();
    let tensors: Vec<&facade::Tensor> = inputs.iter().chain(&outputs).collect();
    let sizes = sizes(program, memory, &computed, &tensors, &scratch_bytes)?;
    let first = assembly.prepare_steps;
    let failing: BTreeSet<usize> = (0..assembly.lowered.len()).filter(|at| assembly.lowered[*at].kernel().may_fail()).collect();
    let failing: BTreeSet<u32> =
        assembly.module.main.launches().iter().filter(|launch| failing.contains(&launch.kernel)).map(|launch| launch.step).collect();
    let step = |(at, nodes): (usize, &String)| {
        let number = at as u32;
        facade::Step { number, nodes: nodes.clone(), may_fail: failing.contains(&number) }
    };
    let steps = assembly.labels.iter().enumerate().skip(first).map(step).collect();
    Ok(Facade {
        prefix: prefix.to_string(),
        inputs,
        outputs,
        messages: messages(program, assembly, &sizes),
        sizes,
        places,
        arena_bytes,
        scratch_bytes,
        weights: facade::Weights { constants: own.constants, prepared: own.prepared, ..facade::Weights::default() },
        values: own.values,
        steps,
        needed: target.needed(),
        hidden: false,
    })
}

/// The symbols with their bounds: narrower than the model's where memory for the largest values could not be counted.
fn sizes(
    program: &Program,
    memory: &MemoryPlan,
    computed: &BTreeSet<Sym>,
    tensors: &[&facade::Tensor],
    scratch: &Expr,
) -> Result<Vec<Size>, Error> {
    let room: Vec<Expr> = memory.tenants.expressions().map(|bytes| most(bytes, computed)).collect();
    // what is summed may be as many times as large as there are summands
    let all = room.iter().fold(Expr::zero(), |sum, bytes| sum + bytes.clone());
    let bytes = tensors.iter().map(|tensor| &tensor.bytes);
    let dims = tensors.iter().flat_map(|tensor| &tensor.dims);
    let expressions: Vec<&Expr> = bytes.chain(dims).chain(&room).chain([scratch, &all]).collect();
    let most = largest_symbol(&program.symbols, &expressions).ok_or_else(|| limit("the memory of a call can't be counted in 64 bits"))?;
    let size = |(symbol, fact): (&Sym, &SymbolFact)| Size {
        symbol: symbol.clone(),
        low: fact.low.max(0),
        high: fact.high.min(most).max(fact.low),
        computed: computed.contains(symbol),
    };
    Ok(program.symbols.iter().map(size).collect())
}

fn limit(message: &str) -> Error {
    Error::Diagnostics(Diagnostics::one(Code::Limit, &Location::default(), message))
}

/// The offsets of the temporaries, each over those before it, and the end of them all.
fn places(program: &Program, memory: &MemoryPlan, computed: &BTreeSet<Sym>) -> Result<(Vec<(Sym, Expr)>, Expr), Error> {
    let usual = |sym: &Sym| program.symbols.get(sym).map(|fact| USUAL_SIZE.clamp(fact.low, fact.high.max(fact.low)));
    let room: Vec<Expr> = memory.tenants.expressions().map(|bytes| most(bytes, computed)).collect();
    let stack = memory.tenants.stack(&|bytes| most(bytes, computed).eval(&usual), Effort::ONCE);
    let stack = stack.ok_or_else(|| limit("the memory of a call can't be counted in 64 bits"))?;
    let end = |at: &usize| Expr::sym(&memory.offsets[*at]) + room[*at].clone();
    let largest = |ends: Vec<Expr>| ends.into_iter().reduce(|a, b| a.maximum(&b)).unwrap_or_default();
    let place = |at: &usize| (memory.offsets[*at].clone(), largest(stack.below[*at].iter().map(end).collect()));
    let places: Vec<(Sym, Expr)> = stack.order.iter().map(place).collect();
    let stood_on: BTreeSet<usize> = stack.below.iter().flatten().copied().collect();
    let tops = (0..room.len()).filter(|at| !stood_on.contains(at));
    Ok((places, largest(tops.map(|at| end(&at)).collect())))
}

/// What results below 0 say.
fn messages(program: &Program, assembly: &Assembly, sizes: &[Size]) -> Vec<(i32, String)> {
    let guard = |(at, guard): (usize, &Guard)| (-(at as i32) - 1, format!("{}: this does not hold: {}", guard.location, guard.condition));
    let size = |(at, size): (usize, &Size)| {
        let Size { symbol, low, high, computed } = size;
        let room = if *computed { ", or beyond the room that was given" } else { "" };
        (SIZE_FAULT - at as i32, format!("{symbol} is not from {low} to {high}{room}"))
    };
    let guards = program.guards.iter().chain(&assembly.step_guards).enumerate().map(guard);
    guards.chain(sizes.iter().enumerate().map(size)).collect()
}
