//! A compiled model run by the interpreters of its levels.

use crate::assemble::Assembly;
use crate::compile::Compiled;
use crate::error::Error;
use host::{View, ViewMut};
use ir::{Array, Code, Diagnostics, Graph, Location, Strings, Tensor, TensorType};
use kernel::interp::{Compiled as CompiledKernel, Memory};
use kernel::kernel::Space;
use kernel::module::{Entry, EntryStep, HostLaunch, Launch, Loop, Place, Times};
use ops::interp::Floats;
use program::{Program, Role};
use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;
use sym::{Expr, Sym};

/// Which interpreter runs the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// Reference meanings of the ops of the imported graph.
    Graph,
    /// The planned program's nests, as they were lowered and fused.
    Program,
    /// The program before planning: one nest a node.
    Nest,
    /// The kernels, in the order and the memory of the generated entry.
    Kernel,
}

pub type Sizes = BTreeMap<Sym, i64>;

/// Runs a compiled model. Inputs stand in the model's order; the table of strings begins with the model's own.
pub fn interpret(compiled: &Compiled, how: Interpreter, inputs: &[Tensor], strings: &Arc<Strings>) -> Result<Vec<Tensor>, Error> {
    let sizes = bind(&compiled.program, inputs)?;
    let arrays: Vec<Array> = inputs.iter().map(Tensor::to_array).collect();
    let round = |arrays: Vec<Array>| arrays.iter().map(Tensor::from_array).collect();
    match how {
        Interpreter::Graph => Ok(round(graph(&compiled.graph, &arrays, &sizes, strings, Floats::Rounded)?)),
        Interpreter::Program => Ok(round(program(&compiled.program, &arrays, &sizes, strings)?)),
        Interpreter::Nest => Ok(round(program(&program::lower::lower(&compiled.core)?, &arrays, &sizes, strings)?)),
        Interpreter::Kernel => {
            let mut machine = Machine::new(&compiled.program, &compiled.assembly, &compiled.memory, inputs, sizes, strings)?;
            machine.prepare()?;
            machine.run(&compiled.assembly.module.main)?;
            machine.outputs()
        }
    }
}

pub fn graph(graph: &Graph, inputs: &[Array], sizes: &Sizes, strings: &Strings, floats: Floats) -> Result<Vec<Array>, Error> {
    ops::interp::outputs_with(graph, inputs, sizes, strings, floats).map_err(|problem| Error::Diagnostics(problem.into()))
}

pub fn program(program: &Program, inputs: &[Array], sizes: &Sizes, strings: &Strings) -> Result<Vec<Array>, Error> {
    Ok(program::interp::run_with(program, inputs, sizes, strings).map_err(fault)?.outputs(program))
}

/// An interpreter's message: the user's where it starts with E003, E005 or E008 to E011, which the error has as its code.
pub fn fault(message: String) -> Error {
    let code = match message.get(..4) {
        Some("E003") => Code::Shape,
        Some("E005") => Code::Attribute,
        Some("E008") => Code::Limit,
        Some("E009") => Code::Input,
        Some("E010") => Code::Index,
        Some("E011") => Code::NotFinite,
        _ => return Error::Bug(message),
    };
    let text = message[4..].trim_start_matches([':', ' ']);
    Error::Diagnostics(Diagnostics::one(code, &Location::default(), text))
}

/// Memory that nothing has written yet. E008 where there is not that much.
fn garbage(bytes: usize) -> Result<Vec<u8>, Error> {
    let mut garbage = Vec::new();
    let why = || Diagnostics::one(Code::Limit, &Location::default(), format!("{bytes} bytes are too many for the interpreter"));
    garbage.try_reserve_exact(bytes).map_err(|_| Error::Diagnostics(why()))?;
    garbage.resize(bytes, 0xff);
    Ok(garbage)
}

/// The symbols' values from the dims of the inputs: those that are plain symbols; the interpreters check the rest.
pub fn bind(program: &Program, inputs: &[Tensor]) -> Result<Sizes, Error> {
    let mut sizes = Sizes::new();
    for ((name, id), input) in program.inputs.iter().zip(inputs) {
        let ty = &program.buffer(*id).ty;
        if ty.rank() != input.dims().len() || ty.dtype != input.dtype() {
            return Err(Error::input(format!("input {name} is {ty}, given {input:?}")));
        }
        for (dim, given) in ty.dims.iter().zip(input.dims()) {
            if let Some(sym) = dim.as_sym() {
                sizes.entry(sym.clone()).or_insert(*given as i64);
            }
        }
    }
    Ok(sizes)
}

/// The largest value of each computed size in a call: what the memory must have room for.
fn computed_room(program: &Program, inputs: &[Tensor], sizes: &Sizes, strings: &Strings) -> Result<Sizes, Error> {
    if program.computed().is_empty() {
        return Ok(Sizes::new());
    }
    let arrays: Vec<Array> = inputs.iter().map(Tensor::to_array).collect();
    Ok(program::interp::run_with(program, &arrays, sizes, strings).map_err(fault)?.largest)
}

/// The memory of a call and of what was prepared for it, with kernels run by their interpreter.
pub struct Machine<'a> {
    assembly: &'a Assembly,
    kernels: HashMap<usize, CompiledKernel>,
    pub sizes: Sizes,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<(TensorType, Vec<u8>)>,
    /// The largest value of each computed size.
    room: Sizes,
    constants: Vec<Tensor>,
    pub strings: Arc<Strings>,
    prepared: Vec<u8>,
    arena: Vec<u8>,
}

/// What looks on while a machine runs.
pub type Watcher<'a> = &'a mut dyn FnMut(&mut Machine, &EntryStep) -> Result<(), Error>;

impl<'a> Machine<'a> {
    pub fn new(
        program: &Program,
        assembly: &'a Assembly,
        memory: &program::memory::MemoryPlan,
        inputs: &[Tensor],
        mut sizes: Sizes,
        strings: &Arc<Strings>,
    ) -> Result<Machine<'a>, Error> {
        let room = computed_room(program, inputs, &sizes, strings)?;
        let most = |e: &Expr| Some(e.span(&|s| sizes.get(s).map(|size| (*size, *size)).or_else(|| Some((0, *room.get(s)?))))?.1);
        let bytes = |e: &Expr| most(e).map(|n| n.max(0) as usize);
        let missing = || Error::Bug("a size of the memory plan has no value".to_string());
        let constant = |id: &program::BufferId| match &program.buffer(*id).role {
            Role::Constant { tensor, .. } => Some(tensor.clone()),
            _ => None,
        };
        let mut outputs = Vec::new();
        for (_, id) in &program.outputs {
            let ty = &program.buffer(*id).ty;
            let dims: Option<Vec<usize>> = ty.dims.iter().map(&bytes).collect();
            let count = dims.ok_or_else(missing)?.iter().try_fold(ty.dtype.size(), |bytes, dim| bytes.checked_mul(*dim));
            outputs.push((ty.clone(), garbage(count.ok_or_else(missing)?)?));
        }
        let prepared = garbage(bytes(&memory.prepared_bytes).ok_or_else(missing)?)?;
        let (offsets, arena_bytes) = memory.at(&most).ok_or_else(missing)?;
        sizes.extend(offsets);
        Ok(Machine {
            assembly,
            kernels: HashMap::new(),
            inputs: inputs.iter().map(|t| t.bytes().to_vec()).collect(),
            outputs,
            constants: assembly.constants.iter().filter_map(constant).collect(),
            strings: strings.clone(),
            prepared,
            arena: garbage(arena_bytes as usize)?,
            sizes,
            room,
        })
    }

    pub fn prepare(&mut self) -> Result<(), Error> {
        let assembly = self.assembly;
        self.run(&assembly.module.prepare)
    }

    pub fn run(&mut self, entry: &Entry) -> Result<(), Error> {
        self.steps(&entry.steps, &mut |_, _| Ok(()))
    }

    /// Runs steps; `watch` is called after each launch and each step of the host.
    pub fn steps(&mut self, steps: &[EntryStep], watch: Watcher) -> Result<(), Error> {
        for step in steps {
            match step {
                EntryStep::Launch(launch) => {
                    self.launch(launch)?;
                    watch(self, step)?;
                }
                EntryStep::Host(host) => {
                    self.host(host)?;
                    watch(self, step)?;
                }
                EntryStep::If { condition, then, otherwise } => {
                    self.steps(if self.holds(condition)? { then } else { otherwise }, watch)?;
                }
                EntryStep::Loop(repeat) => self.repeat(repeat, watch)?,
                EntryStep::Size { symbol, from, least } => self.size(symbol, from, *least)?,
                EntryStep::Guard { condition, guard } => {
                    if condition.holds(&|s| self.sizes.get(s).copied()) != Some(true) {
                        return Err(Error::input(format!("guard {guard} does not hold: {condition}")));
                    }
                }
            }
        }
        Ok(())
    }

    fn size(&mut self, symbol: &Sym, from: &Place, least: i64) -> Result<(), Error> {
        let bytes: Option<[u8; 8]> = self.bytes(from, 8)?.try_into().ok();
        let size = i64::from_le_bytes(bytes.unwrap_or_default());
        if size < least || self.room.get(symbol).is_none_or(|most| size > *most) {
            return Err(Error::Bug(format!("the size {symbol} is computed as {size}, not as the program says")));
        }
        self.sizes.insert(symbol.clone(), size);
        Ok(())
    }

    fn repeat(&mut self, repeat: &Loop, watch: Watcher) -> Result<(), Error> {
        let mut runs = 0;
        self.sizes.insert(repeat.counter.clone(), runs);
        while match &repeat.times {
            Times::Trips(trips) => runs < self.eval(trips)?,
            Times::While(condition) => self.holds(condition)?,
        } {
            runs += 1;
            self.sizes.insert(repeat.counter.clone(), runs);
            self.steps(&repeat.body, watch)?;
        }
        self.steps(&repeat.last, watch)?;
        self.sizes.remove(&repeat.counter);
        Ok(())
    }

    fn holds(&self, condition: &Place) -> Result<bool, Error> {
        Ok(self.bytes(condition, 1)?.first().is_some_and(|byte| *byte != 0))
    }

    pub fn eval(&self, expr: &Expr) -> Result<i64, Error> {
        expr.eval(&|s| self.sizes.get(s).copied()).ok_or_else(|| Error::Bug(format!("the size {expr} has no value")))
    }

    /// What a parameter of a launch holds.
    pub fn parameter(&self, launch: &Launch, at: usize) -> Result<Vec<u8>, Error> {
        let kernel = self.assembly.lowered[launch.kernel].kernel();
        let Some((_, buffer)) = kernel.params().nth(at) else { return Err(Error::Bug("a launch has too many arguments".into())) };
        let bound: Sizes = kernel.sizes.iter().cloned().zip(self.size_values(launch)?).collect();
        let len = buffer.len.eval(&|s| bound.get(s).copied()).unwrap_or(0);
        self.bytes(&launch.args[at], len.max(0) as usize * buffer.dtype.size())
    }

    fn size_values(&self, launch: &Launch) -> Result<Vec<i64>, Error> {
        launch.sizes.iter().map(|e| self.eval(e)).collect()
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), Error> {
        let kernel = self.assembly.lowered[launch.kernel].kernel();
        let count = kernel.params().count();
        let mut memory: Vec<Vec<u8>> = (0..count).map(|at| self.parameter(launch, at)).collect::<Result<_, _>>()?;
        let (sizes, tasks) = (self.size_values(launch)?, self.eval(&launch.tasks)?);
        let compiled = match self.kernels.entry(launch.kernel) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => new.insert(CompiledKernel::new(kernel).map_err(Error::Bug)?),
        };
        let parameters = memory.iter_mut().map(|bytes| Memory::Write(bytes)).collect();
        let code = compiled.run(parameters, &sizes, 0, tasks.max(0)).map_err(Error::Bug)?;
        let label = &self.assembly.labels[launch.step as usize];
        match code {
            0 => {}
            1..=kernel::FINITE => return Err(fault(format!("E010: {label}: an index is outside its tensor"))),
            _ => return Err(fault(format!("E011: {label}: a value is not finite"))),
        }
        let written: Vec<bool> = kernel.params().map(|(_, buffer)| buffer.space == Space::Output).collect();
        for ((place, bytes), _) in launch.args.iter().zip(memory).zip(written).filter(|(_, written)| *written) {
            self.memory(place)?[..bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// The dims of each tensor of a step of the host.
    fn host_dims(&self, host: &HostLaunch) -> Result<Vec<Vec<usize>>, Error> {
        let mut dims = host.dims.iter().map(|dim| self.eval(dim).map(|dim| dim.max(0) as usize));
        let call = &self.assembly.host_calls[host.call as usize];
        call.tensors().map(|(_, rank)| dims.by_ref().take(rank).collect()).collect()
    }

    /// What a tensor of a step of the host holds.
    pub fn host_tensor(&self, host: &HostLaunch, at: usize) -> Result<Vec<u8>, Error> {
        let call = &self.assembly.host_calls[host.call as usize];
        let dims = self.host_dims(host)?;
        let dtype = call.tensors().nth(at).map(|(dtype, _)| dtype);
        let bytes = dtype.and_then(|dtype| dims[at].iter().try_fold(dtype.size(), |bytes, dim| bytes.checked_mul(*dim)));
        self.bytes(&host.args[at], bytes.ok_or_else(|| Error::Bug("a step of the host has too large a tensor".into()))?)
    }

    fn host(&mut self, host: &HostLaunch) -> Result<(), Error> {
        let call = &self.assembly.host_calls[host.call as usize];
        let dims = self.host_dims(host)?;
        let mut memory: Vec<Vec<u8>> = (0..dims.len()).map(|at| self.host_tensor(host, at)).collect::<Result<_, _>>()?;
        let (own, made) = memory.split_at_mut(call.operands.len());
        let (dims_of_own, dims_of_made) = dims.split_at(call.operands.len());
        let operands = call.operands.iter().zip(dims_of_own).zip(own);
        let operands: Vec<View> = operands.map(|(((dtype, _), dims), bytes)| View { dtype: *dtype, dims, bytes }).collect();
        let results = call.results.iter().zip(dims_of_made).zip(made);
        let mut results: Vec<ViewMut> = results.map(|(((dtype, _), dims), bytes)| ViewMut { dtype: *dtype, dims, bytes }).collect();
        let label = &self.assembly.labels[host.step as usize];
        let done = call.run(&operands, &mut results, &self.strings);
        done.map_err(|why| fault(format!("{}: {label}: {}", why.code.name(), why.message)))?;
        for (place, bytes) in host.args.iter().zip(&memory).skip(call.operands.len()) {
            self.memory(place)?[..bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The memory at a place, from there on.
    fn memory(&mut self, place: &Place) -> Result<&mut [u8], Error> {
        let start = match place {
            Place::Prepared(offset) | Place::Arena(offset) => self.eval(offset)?.max(0) as usize,
            Place::Input(_) | Place::Output(_) | Place::Constant(_) => 0,
        };
        let whole: &mut [u8] = match place {
            Place::Output(at) => &mut self.outputs[*at].1,
            Place::Prepared(_) => &mut self.prepared,
            Place::Arena(_) => &mut self.arena,
            Place::Input(_) | Place::Constant(_) => return Err(Error::Bug("a kernel writes an input".into())),
        };
        whole.get_mut(start..).ok_or_else(|| Error::Bug("a place outside its memory".into()))
    }

    pub fn bytes(&self, place: &Place, len: usize) -> Result<Vec<u8>, Error> {
        let (whole, start): (&[u8], usize) = match place {
            Place::Input(at) => (&self.inputs[*at], 0),
            Place::Output(at) => (&self.outputs[*at].1, 0),
            Place::Constant(at) => (self.constants[*at].bytes(), 0),
            Place::Prepared(offset) => (&self.prepared, self.eval(offset)? as usize),
            Place::Arena(offset) => (&self.arena, self.eval(offset)? as usize),
        };
        let range = whole.get(start..).and_then(|rest| rest.get(..len));
        range.map(<[u8]>::to_vec).ok_or_else(|| Error::Bug(format!("{place:?}: {len} bytes are outside its memory")))
    }

    pub fn outputs(&self) -> Result<Vec<Tensor>, Error> {
        let make = |(ty, bytes): &(TensorType, Vec<u8>)| {
            let dims = ty.dims.iter().map(|dim| usize::try_from(self.eval(dim).ok()?).ok()).collect::<Option<Vec<usize>>>()?;
            let count = dims.iter().product::<usize>() * ty.dtype.size();
            Tensor::new(ty.dtype, dims, Arc::new(bytes.get(..count)?.to_vec()))
        };
        self.outputs.iter().map(|o| make(o).ok_or_else(|| Error::Bug("an output's size".into()))).collect()
    }
}
