//! The interpreter: what a program means, on logical arrays in f64 and exact integers. Layouts, borders and the grouping of stages change
//! nothing here.

use crate::program::{BufferId, Group, HostStep, Loop, Program, Role, Stage, Step, Times};
use ir::graph::SymbolFact;
use ir::{Array, DType, Guard, Literal, Strings, TensorType};
use std::collections::BTreeMap;
use sym::Sym;

/// The arrays of a run, by buffer. A buffer that no step wrote has none.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferValues {
    arrays: Vec<Option<Array>>,
    /// The values of the sizes: those given, and of those computed the last ones.
    pub sizes: BTreeMap<Sym, i64>,
    /// The largest value that each computed size had.
    pub largest: BTreeMap<Sym, i64>,
}

impl BufferValues {
    pub fn new(program: &Program, sizes: &BTreeMap<Sym, i64>) -> BufferValues {
        BufferValues { arrays: vec![None; program.buffers.len()], sizes: sizes.clone(), largest: BTreeMap::new() }
    }

    pub fn get(&self, id: BufferId) -> Option<&Array> {
        self.arrays.get(id.0 as usize)?.as_ref()
    }

    pub fn set(&mut self, id: BufferId, array: Array) {
        self.arrays[id.0 as usize] = Some(array);
    }

    fn take(&mut self, id: BufferId) -> Option<Array> {
        self.arrays.get_mut(id.0 as usize)?.take()
    }

    /// The model's outputs in order.
    pub fn outputs(&self, program: &Program) -> Vec<Array> {
        program.outputs.iter().filter_map(|(_, id)| self.get(*id).cloned()).collect()
    }
}

/// Runs the prepare steps, then the steps. `inputs` stand in the order of [`Program::inputs`], `sizes` bind every symbol that no step
/// computes. Elements that no step writes are NaN, or the lowest value of an integer type.
///
/// An error that starts with `E008` (a buffer that is too large), `E009` (a guard, a size or an input that does not fit) or `E010` (an
/// index read from data) is the user's; any other is a fault of the program.
pub fn run(program: &Program, inputs: &[Array], sizes: &BTreeMap<Sym, i64>) -> Result<BufferValues, String> {
    run_with(program, inputs, sizes, &Strings::of(&program.texts))
}

/// As [`run`], with a table of strings that begins with the program's own.
pub fn run_with(program: &Program, inputs: &[Array], sizes: &BTreeMap<Sym, i64>, strings: &Strings) -> Result<BufferValues, String> {
    check_sizes(program, sizes)?;
    let mut values = BufferValues::new(program, sizes);
    bind_inputs(program, inputs, sizes, &mut values)?;
    for (at, buffer) in program.buffers.iter().enumerate() {
        if let Role::Constant { tensor, .. } = &buffer.role {
            values.set(BufferId(at as u32), tensor.to_array());
        }
    }
    run_steps(program, &program.prepare, strings, &mut values)?;
    run_steps(program, &program.steps, strings, &mut values)?;
    for (name, id) in &program.outputs {
        values.get(*id).ok_or_else(|| format!("output {name}: nothing writes {id:?}"))?;
    }
    Ok(values)
}

/// Runs the stages of a group, one after the other.
pub fn run_group(program: &Program, group: &Group, values: &mut BufferValues) -> Result<(), String> {
    group.stages.iter().try_for_each(|stage| run_stage(program, stage, values))
}

fn run_steps(program: &Program, steps: &[Step], strings: &Strings, values: &mut BufferValues) -> Result<(), String> {
    for step in steps {
        match step {
            Step::Group(group) => run_group(program, group, values)?,
            Step::Host(step) => run_host(program, step, strings, values)?,
            Step::Border(_) => {}
            Step::Guard(guard) => check_guard(guard, &values.sizes)?,
            Step::Size { symbol, from } => compute_size(program, symbol, *from, values)?,
            Step::If { condition, then, otherwise } => {
                run_steps(program, if holds(program, values, *condition)? { then } else { otherwise }, strings, values)?;
            }
            Step::Loop(repeat) => run_loop(program, repeat, strings, values)?,
        }
    }
    Ok(())
}

fn run_host(program: &Program, step: &HostStep, strings: &Strings, values: &mut BufferValues) -> Result<(), String> {
    let operands = step.operands.iter().map(|id| read(program, values, *id)).collect::<Result<Vec<&Array>, String>>()?;
    let dims = step.results.iter().map(|id| concrete(&program.buffer(*id).ty, &values.sizes));
    let dims = dims.collect::<Result<Vec<Vec<usize>>, String>>()?;
    let results = step.call(program).interpreted(&operands, &dims, strings);
    let results = results.map_err(|fault| format!("{} {}: {}", fault.code.name(), step.location, fault.message))?;
    step.results.iter().zip(results).for_each(|(id, array)| values.set(*id, array));
    Ok(())
}

fn compute_size(program: &Program, symbol: &Sym, from: BufferId, values: &mut BufferValues) -> Result<(), String> {
    let (size, fact) = (read(program, values, from)?.get(0).as_i64(), program.symbols.get(symbol).copied().unwrap_or_default());
    check_size(symbol, size, fact)?;
    values.sizes.insert(symbol.clone(), size);
    let largest = values.largest.entry(symbol.clone()).or_insert(size);
    *largest = size.max(*largest);
    Ok(())
}

fn run_loop(program: &Program, repeat: &Loop, strings: &Strings, values: &mut BufferValues) -> Result<(), String> {
    let mut run = 0;
    values.sizes.insert(repeat.counter.clone(), run);
    while again(program, repeat, run, values)? {
        run += 1;
        values.sizes.insert(repeat.counter.clone(), run);
        run_steps(program, &repeat.body, strings, values)?;
    }
    if run == 0 {
        write_empty(program, &repeat.body, values)?;
    }
    run_steps(program, &repeat.last, strings, values)?;
    values.sizes.remove(&repeat.counter);
    Ok(())
}

/// Buffers without elements are written where their steps never run: stacked results of a loop of no runs.
fn write_empty(program: &Program, steps: &[Step], values: &mut BufferValues) -> Result<(), String> {
    let sizes = &values.sizes.clone();
    for id in steps.iter().flat_map(Step::groups).flat_map(Group::writes) {
        let ty = &program.buffer(id).ty;
        let is_empty = || ty.dims.iter().any(|dim| dim.eval(&|sym| sizes.get(sym).copied()) == Some(0));
        if values.get(id).is_none() && is_empty() {
            values.set(id, unwritten(ty, sizes)?);
        }
    }
    Ok(())
}

/// Whether a loop that has run so often runs once more.
fn again(program: &Program, repeat: &Loop, runs: i64, values: &BufferValues) -> Result<bool, String> {
    match &repeat.times {
        Times::Trips(trips) => {
            let trips = trips.eval(&|sym| values.sizes.get(sym).copied()).ok_or_else(|| format!("{trips} has no value"))?;
            Ok(runs < trips)
        }
        Times::While(condition) => holds(program, values, *condition),
    }
}

fn holds(program: &Program, values: &BufferValues, condition: BufferId) -> Result<bool, String> {
    Ok(read(program, values, condition)?.get(0).as_i64() != 0)
}

fn run_stage(program: &Program, stage: &Stage, values: &mut BufferValues) -> Result<(), String> {
    let mut results = Vec::with_capacity(stage.writes.len());
    for id in &stage.writes {
        let before = if stage.operands.contains(id) { values.get(*id).cloned() } else { values.take(*id) };
        // what a run before wrote at other computed sizes is another array
        let dims = concrete(&program.buffer(*id).ty, &values.sizes)?;
        let before = before.filter(|before| before.dims() == dims);
        results.push(before.map_or_else(|| unwritten(&program.buffer(*id).ty, &values.sizes), Ok)?);
    }
    let operands = stage.operands.iter().map(|id| read(program, values, *id)).collect::<Result<Vec<&Array>, String>>()?;
    nest::interp::run(&stage.nest, &operands, &values.sizes, &mut results).map_err(|why| located(stage, why))?;
    stage.writes.iter().zip(results).for_each(|(id, array)| values.set(*id, array));
    Ok(())
}

/// The error's code stays in front.
fn located(stage: &Stage, why: String) -> String {
    match why.split_at_checked(4) {
        Some((code @ ("E010" | "E011"), rest)) => format!("{code} {}{rest}", stage.location),
        _ => format!("{}: {why}", stage.location),
    }
}

fn read<'a>(program: &Program, values: &'a BufferValues, id: BufferId) -> Result<&'a Array, String> {
    values.get(id).ok_or_else(|| format!("{id:?} {} is read before it is written", program.buffer(id).name))
}

/// An array of garbage.
fn unwritten(ty: &TensorType, sizes: &BTreeMap<Sym, i64>) -> Result<Array, String> {
    let dims = concrete(ty, sizes)?;
    if !Array::fits(&dims) {
        return Err(format!("E008: a buffer of {dims:?} is too large for the interpreter"));
    }
    Ok(Array::filled(ty.dtype, dims, garbage(ty.dtype)))
}

fn garbage(dtype: DType) -> Literal {
    dtype.int_range().map_or(Literal::Float(f64::NAN), |(low, _)| Literal::Int(low))
}

fn concrete(ty: &TensorType, sizes: &BTreeMap<Sym, i64>) -> Result<Vec<usize>, String> {
    let dim = |dim: &sym::Expr| usize::try_from(dim.eval(&|sym| sizes.get(sym).copied())?).ok();
    ty.dims.iter().map(|d| dim(d).ok_or_else(|| format!("{ty}: the dim {d} has no value"))).collect()
}

fn check_sizes(program: &Program, sizes: &BTreeMap<Sym, i64>) -> Result<(), String> {
    let computed = program.computed();
    for (sym, fact) in program.symbols.iter().filter(|(sym, _)| !computed.contains(sym)) {
        let size = *sizes.get(sym).ok_or_else(|| format!("E009: the size {sym} is not given"))?;
        check_size(sym, size, *fact)?;
    }
    program.guards.iter().try_for_each(|guard| check_guard(guard, sizes))
}

fn check_size(sym: &Sym, size: i64, fact: SymbolFact) -> Result<(), String> {
    match (fact.low..=fact.high).contains(&size) {
        true => Ok(()),
        false => Err(format!("E009: the size {sym} = {size} is not in {}..={}", fact.low, fact.high)),
    }
}

fn check_guard(guard: &Guard, sizes: &BTreeMap<Sym, i64>) -> Result<(), String> {
    match guard.condition.holds(&|sym| sizes.get(sym).copied()) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("E009 {}: {} does not hold", guard.location, guard.condition)),
        None => Err(format!("the guard {} has no value", guard.condition)),
    }
}

fn bind_inputs(program: &Program, inputs: &[Array], sizes: &BTreeMap<Sym, i64>, values: &mut BufferValues) -> Result<(), String> {
    if inputs.len() != program.inputs.len() {
        return Err(format!("E009: {} inputs for a model of {}", inputs.len(), program.inputs.len()));
    }
    for ((name, id), array) in program.inputs.iter().zip(inputs) {
        let ty = &program.buffer(*id).ty;
        if ty.dtype != array.dtype() || concrete(ty, sizes)? != array.dims() {
            return Err(format!("E009: input {name} is {}{:?}, not {ty}", array.dtype(), array.dims()));
        }
        values.set(*id, array.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
