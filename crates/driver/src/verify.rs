//! Each step of the pipeline checked by execution, on a user's model and inputs.
//!
//! 1. After each graph pass the graph is interpreted by its ops' reference meanings, in f64; outputs must not move.
//! 2. After lowering, every buffer must equal the graph value of its name; after each program pass, every buffer that still exists.
//! 3. The planned program's kernels are run one by one by the kernel interpreter, in the real memory plan. After each, its results are
//!    compared with its nests, interpreted on what the kernel really read, so that nothing accumulates from kernel to kernel. The bound
//!    is the nest interpreter's: `(K + 8) u sum|terms|` for a sum, the stated ulp for functions, and in a group of several stages what
//!    the bounds of the earlier ones can do to the later ones.
//! 4. The generated code must give the same bits as the kernel interpreter.

use crate::assemble;
use crate::compile::{self, Compiled};
use crate::error::Error;
use crate::interpret::{self, Machine, Sizes, fault};
use crate::options::{Options, Source};
use crate::sabotage;
use ir::array::Data;
use ir::{Array, DType, Graph, Literal, Strings, Tensor, ValueId};
use kernel::module::{Entry, EntryStep, HostLaunch, Launch};
use ops::interp::{Floats, Values};
use program::layout::from_physical;
use program::{BufferId, Group, HostStep, PhysicalGroup, Program, Step, physical};
use runtime::Executable;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many points of each value are compared with its nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    All,
    /// This many, evenly spread.
    Points(usize),
}

/// What was checked, or the first pass that differs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub checks: Vec<Check>,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug)]
pub struct Check {
    pub pass: String,
    /// Values compared.
    pub values: usize,
    /// The largest error as a share of its bound.
    pub worst: f64,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub pass: String,
    pub message: String,
}

/// The smallest number that differences are taken as a share of: what lies below is what rounding left of a cancellation.
const FLOOR: f64 = 1e-6;

/// 2^-14.
const SMALLEST_NORMAL_F16: f64 = 1.0 / 16384.0;

/// Two f64 interpretations that differ only by rewriting agree to this share of a tensor's largest number.
const REWRITTEN: f64 = 1e-9;

/// The inputs of a check, by name, with the table of their strings, which begins with the model's own.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub inputs: &'a BTreeMap<String, Tensor>,
    pub strings: &'a Arc<Strings>,
}

pub fn verify(source: &Source, options: &Options, given: Given, sample: Sample) -> Result<Report, Error> {
    let graph = match source {
        Source::Onnx(path) => compile::import(path, options)?,
        Source::Text { .. } => return verify_compiled(&compile::compile(source, options)?, options, given, sample),
    };
    verify_given(&graph, options, given, sample)
}

/// Checks the whole pipeline on a graph.
pub fn verify_graph(graph: &Graph, options: &Options, inputs: &BTreeMap<String, Tensor>, sample: Sample) -> Result<Report, Error> {
    verify_given(graph, options, Given { inputs, strings: &Arc::new(Strings::of(&graph.texts)) }, sample)
}

fn verify_given(graph: &Graph, options: &Options, given: Given, sample: Sample) -> Result<Report, Error> {
    let mut report = Report::default();
    let ordered = ordered_inputs(graph.inputs.iter().map(|id| &*graph.value(*id).name), given.inputs)?;
    let call = Call {
        arrays: ordered.iter().map(Tensor::to_array).collect(),
        sizes: ops::interp::bind_symbols(graph, &ordered.iter().map(|t| t.dims().to_vec()).collect::<Vec<_>>())?,
        strings: given.strings.clone(),
    };
    let Some(core) = graph_passes(graph, options, &call, &mut report)? else { return Ok(report) };
    let Some(program) = program_passes(&core, options, &call, &mut report)? else { return Ok(report) };
    kernels(&program, options, &ordered, call, sample, &mut report)?;
    Ok(report)
}

fn verify_compiled(compiled: &Compiled, options: &Options, given: Given, sample: Sample) -> Result<Report, Error> {
    let mut report = Report::default();
    let ordered = ordered_inputs(compiled.program.inputs.iter().map(|(name, _)| name.as_str()), given.inputs)?;
    let sizes = interpret::bind(&compiled.program, &ordered)?;
    let call = Call { arrays: vec![], sizes, strings: given.strings.clone() };
    kernels(&compiled.program, options, &ordered, call, sample, &mut report)?;
    Ok(report)
}

fn ordered_inputs<'a>(names: impl Iterator<Item = &'a str>, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, Error> {
    names.map(|name| inputs.get(name).cloned().ok_or_else(|| Error::input(format!("input {name} is not given")))).collect()
}

/// The call that is interpreted.
struct Call {
    arrays: Vec<Array>,
    sizes: Sizes,
    strings: Arc<Strings>,
}

impl Call {
    fn graph(&self, graph: &Graph) -> Result<Vec<Array>, Error> {
        interpret::graph(graph, &self.arrays, &self.sizes, &self.strings, Floats::Exact)
    }
}

impl Report {
    fn pass(&mut self, pass: &str, values: usize, worst: f64) {
        self.checks.push(Check { pass: pass.to_string(), values, worst });
    }

    fn fail(&mut self, pass: &str, message: String) {
        self.failure.get_or_insert(Failure { pass: pass.to_string(), message });
    }
}

fn graph_passes(graph: &Graph, options: &Options, call: &Call, report: &mut Report) -> Result<Option<Graph>, Error> {
    let mut want = call.graph(graph)?;
    let mut before = graph.clone();
    for pass in options.selection.graph_passes() {
        let after = sabotage::graph(pass.name, (pass.run)(&before), options)?;
        let mut problems: Vec<String> = ir::verify::verify(&after).iter().map(|p| p.to_string()).collect();
        problems.extend(ops::verify(&after).err().map(|p| p.to_string()));
        if let Some(problem) = problems.first() {
            report.fail(pass.name, problem.clone());
            return Ok(None);
        }
        if after == before {
            continue;
        }
        let got = match call.graph(&after) {
            Ok(got) => got,
            Err(why) => {
                report.fail(pass.name, format!("its result can't be interpreted: {why}"));
                return Ok(None);
            }
        };
        let (tolerance, floor) = (tolerance(pass.tolerance, &after), floor(pass.tolerance, &after));
        let mut worst = 0f64;
        for (at, (name, _)) in after.outputs.iter().enumerate() {
            let moved = difference(&want[at], &got[at], floor);
            let allowed = match moved > tolerance && pass.tolerance > REWRITTEN {
                true => tolerance.max(ROUNDED * difference(&want[at], &rounded_constants(&before, call)?[at], floor)),
                false => tolerance,
            };
            worst = worst.max(moved / allowed);
            if worst > 1.0 {
                report.fail(pass.name, format!("output {name} moves by {moved:.3e} of its largest number"));
                return Ok(None);
            }
        }
        report.pass(pass.name, got.len(), worst);
        (before, want) = (after, got);
    }
    Ok(Some(before))
}

/// Where what a graph computes from constants alone is ill-conditioned, as `x - mean(x)` is of equal numbers, a pass that rounds it may
/// move an output by this many times what rounding all of it does.
const ROUNDED: f64 = 4.0;

/// The outputs with the results of nodes that depend on no input rounded to their types.
fn rounded_constants(graph: &Graph, call: &Call) -> Result<Vec<Array>, Error> {
    let diagnosed = |problem: ir::Diagnostic| Error::Diagnostics(problem.into());
    let mut values: Values = (0..graph.values.len()).map(|at| Some(graph.constant(ValueId(at as u32))?.to_array())).collect();
    let (mut sizes, mut constant) = (call.sizes.clone(), values.iter().map(Option::is_some).collect::<Vec<bool>>());
    for (id, input) in graph.inputs.iter().zip(&call.arrays) {
        values[id.0 as usize] = Some(input.clone());
    }
    for node in &graph.nodes {
        ops::interp::compute_sizes(graph, &values, &mut sizes).map_err(diagnosed)?;
        let known = node.inputs.iter().all(|id| constant[id.0 as usize]);
        let results = ops::interp::node_results(graph, node, &values, &sizes, &call.strings, Floats::Exact).map_err(diagnosed)?;
        for (id, result) in node.outputs.iter().zip(results) {
            constant[id.0 as usize] = known;
            values[id.0 as usize] = Some(if known { Tensor::from_array(&result).to_array() } else { result });
        }
    }
    Ok(graph.outputs.iter().filter_map(|(_, id)| values[id.0 as usize].clone()).collect())
}

/// A pass's tolerance; where it rounds constants, at least what rounding to the coarsest float type of the graph may do.
fn tolerance(stated: f64, graph: &Graph) -> f64 {
    let coarsest = graph.values.iter().map(|value| value.ty.dtype.unit_roundoff()).filter(|u| *u > DType::F32.unit_roundoff());
    if stated > REWRITTEN { stated.max(16.0 * coarsest.fold(0.0, f64::max)) } else { stated }
}

/// The floor of differences; where a pass rounds constants, at least the smallest normal number of f16, if the graph has that type: numbers
/// below it lie as far apart as those above.
fn floor(stated: f64, graph: &Graph) -> f64 {
    let narrow = graph.values.iter().any(|value| value.ty.dtype == DType::F16);
    if stated > REWRITTEN && narrow { FLOOR.max(SMALLEST_NORMAL_F16) } else { FLOOR }
}

/// The largest difference as a share of the largest number, or of `floor`; infinite where shapes, types or NaNs differ.
fn difference(want: &Array, got: &Array, floor: f64) -> f64 {
    if want.dims() != got.dims() || want.dtype() != got.dtype() {
        return f64::INFINITY;
    }
    match (want.data(), got.data()) {
        (Data::Int(a), Data::Int(b)) if a == b => 0.0,
        (Data::Float(a), Data::Float(b)) => {
            let largest = a.iter().filter(|x| x.is_finite()).fold(floor, |m, x| m.max(x.abs()));
            a.iter().zip(b).map(|(a, b)| apart(*a, *b)).fold(0.0, f64::max) / largest
        }
        _ => f64::INFINITY,
    }
}

fn apart(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        0.0
    } else if a.is_nan() || b.is_nan() {
        f64::INFINITY
    } else {
        (a - b).abs()
    }
}

fn program_passes(core: &Graph, options: &Options, call: &Call, report: &mut Report) -> Result<Option<Program>, Error> {
    let values = ops::interp::interpret_keeping(core, &call.arrays, &call.sizes, &call.strings, Floats::Exact, &|_| true);
    let values = values.map_err(|p| Error::Diagnostics(p.into()))?;
    let mut want: HashMap<Arc<str>, Array> =
        core.values.iter().zip(values).filter_map(|(value, array)| Some((value.name.clone(), array?))).collect();
    let mut program = sabotage::program("lower", program::lower::lower(core)?, options)?;
    let mut name = "lower";
    for pass in options.selection.program_passes(options).into_iter().map(Some).chain([None]) {
        match program_values(&program, call) {
            Ok(got) => {
                if !same_buffers(name, &want, &got, report) {
                    return Ok(None);
                }
                want = got;
            }
            Err(why) => {
                report.fail(name, why);
                return Ok(None);
            }
        }
        if let Some(pass) = pass {
            program = sabotage::program(pass.name, (pass.run)(program, options), options)?;
            name = pass.name;
        }
    }
    Ok(Some(program))
}

fn program_values(program: &Program, call: &Call) -> Result<HashMap<Arc<str>, Array>, String> {
    if let Some(problem) = program::verify::verify_at(program, &call.sizes).first() {
        return Err(problem.clone());
    }
    let values = program::interp::run_with(program, &call.arrays, &call.sizes, &call.strings)?;
    let named = program.buffers.iter().enumerate().filter_map(|(at, b)| Some((b.name.clone(), values.get(BufferId(at as u32))?.clone())));
    Ok(named.collect())
}

/// Compares what stands under equal names, in the order of names.
fn same_buffers(pass: &str, want: &HashMap<Arc<str>, Array>, got: &HashMap<Arc<str>, Array>, report: &mut Report) -> bool {
    let (mut worst, mut values) = (0f64, 0);
    let mut names: Vec<&Arc<str>> = got.keys().collect();
    names.sort();
    for name in names {
        let Some(want) = want.get(name) else { continue };
        let share = difference(want, &got[name], FLOOR) / REWRITTEN;
        if share > 1.0 {
            report.fail(pass, format!("buffer {name} moves by {:.3e} of its largest number", share * REWRITTEN));
            return false;
        }
        (worst, values) = (worst.max(share), values + 1);
    }
    report.pass(pass, values, worst);
    true
}

fn kernels(program: &Program, options: &Options, inputs: &[Tensor], call: Call, sample: Sample, report: &mut Report) -> Result<(), Error> {
    let memory = sabotage::memory(program::memory::plan(program), program, options)?;
    let mut assembly = assemble::assemble(program, &memory, options, None);
    sabotage::kernels("schedule", &mut assembly, options)?;
    let mut machine = Machine::new(program, &assembly, &memory, inputs, call.sizes, &call.strings)?;
    let mut watch = Watch {
        program,
        groups: HashMap::new(),
        hosts: HashMap::new(),
        sample,
        worst: 0.0,
        values: 0,
        written: HashMap::new(),
        before: updated(program),
    };
    for (entry, steps) in [(&assembly.module.prepare, &program.prepare), (&assembly.module.main, &program.steps)] {
        watch.pair(entry, steps);
    }
    for entry in [&assembly.module.prepare, &assembly.module.main] {
        let done = machine.steps(&entry.steps, &mut |machine, step| watch.step(machine, step, &assembly));
        match done {
            Ok(()) => {}
            Err(Error::Bug(message)) => {
                let (pass, message) = message.split_once(": ").map_or(("schedule", message.as_str()), |(pass, m)| match pass {
                    "memory" | "layouts" => (pass, m),
                    _ => ("schedule", message.as_str()),
                });
                report.fail(pass, message.to_string());
                return Ok(());
            }
            Err(other) => return Err(other),
        }
    }
    report.pass("schedule", watch.values, watch.worst);
    native(program, options, &machine, inputs, (memory, assembly.clone()), report)
}

/// The generated code against the kernel interpreter: equal bits, NaN for NaN.
fn native(
    program: &Program,
    options: &Options,
    machine: &Machine,
    inputs: &[Tensor],
    (memory, assembly): (program::memory::MemoryPlan, assemble::Assembly),
    report: &mut Report,
) -> Result<(), Error> {
    let compiled = compile::from_parts(program.clone(), memory, assembly, options)?;
    let mut executable = Executable::load(compiled.image, options.threads).map_err(|why| Error::Bug(why.to_string()))?;
    executable.share_strings(&machine.strings);
    let got = executable.run(inputs).map_err(|why| Error::Bug(why.to_string()))?;
    for (((name, _), want), got) in program.outputs.iter().zip(machine.outputs()?).zip(&got) {
        let (want, got) = (want.to_array(), got.to_array());
        if let Some(at) = (0..want.count()).find(|at| !same_bits(want.get(*at), got.get(*at))) {
            report.fail("llvm", format!("output {name}[{at}]: the code gives {}, the kernel {}", got.get(at), want.get(at)));
            return Ok(());
        }
    }
    report.pass("llvm", got.len(), 0.0);
    Ok(())
}

fn same_bits(a: Literal, b: Literal) -> bool {
    a == b || (a.as_f64().is_nan() && b.as_f64().is_nan())
}

/// Follows the launches of a module and its steps of the host with what they came from.
struct Watch<'a> {
    program: &'a Program,
    /// By step number: the group, with the program's buffer behind each of the kernel's parameters.
    groups: HashMap<u32, (&'a Group, Vec<BufferId>)>,
    /// By step number: the step of the host.
    hosts: HashMap<u32, &'a HostStep>,
    sample: Sample,
    worst: f64,
    values: usize,
    /// A hash of what each buffer held when it was last written.
    written: HashMap<BufferId, u64>,
    /// What those held that some step updates.
    before: HashMap<BufferId, Option<Array>>,
}

impl<'a> Watch<'a> {
    /// Matches the launches and host steps of an entry with the steps that they were made from: they stand in the same order.
    fn pair(&mut self, entry: &Entry, steps: &'a [Step]) {
        let mut launches = Vec::new();
        flatten(&entry.steps, &mut launches);
        let mut launches = launches.into_iter().cloned();
        self.pair_steps(steps, &mut launches);
    }

    fn pair_steps(&mut self, steps: &'a [Step], launches: &mut dyn Iterator<Item = EntryStep>) {
        for step in steps {
            match step {
                Step::Group(group) => {
                    if let Some(EntryStep::Launch(launch)) = launches.next() {
                        let (_, ids) = PhysicalGroup::new(self.program, group);
                        self.groups.insert(launch.step, (group, ids));
                    }
                }
                Step::Host(step) => {
                    if let Some(EntryStep::Host(host)) = launches.next() {
                        self.hosts.insert(host.step, step);
                    }
                }
                Step::Border(id) => {
                    physical::border_groups(self.program, *id).iter().for_each(|_| drop(launches.next()));
                }
                Step::If { .. } | Step::Loop(_) | Step::Guard(_) | Step::Size { .. } => {
                    step.blocks().into_iter().for_each(|block| self.pair_steps(block, launches))
                }
            }
        }
    }

    fn step(&mut self, machine: &mut Machine, step: &EntryStep, assembly: &assemble::Assembly) -> Result<(), Error> {
        match step {
            EntryStep::Launch(launch) => self.launch(machine, launch, assembly),
            EntryStep::Host(host) => self.host(machine, host, assembly),
            EntryStep::If { .. } | EntryStep::Loop(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => Ok(()),
        }
    }

    /// What a step of the host reads is what was last written; its operation has one meaning at all levels.
    fn host(&mut self, machine: &mut Machine, host: &HostLaunch, assembly: &assemble::Assembly) -> Result<(), Error> {
        let Some(step) = self.hosts.get(&host.step).copied() else { return Ok(()) };
        let label = &assembly.labels[host.step as usize];
        for (at, id) in step.buffers().enumerate() {
            let hash = hash_of(&machine.host_tensor(host, at)?);
            let before = if step.results.contains(&id) { None } else { self.written.get(&id) };
            if before.is_some_and(|before| *before != hash) {
                return Err(Error::Bug(format!("memory: {label} reads {} after it was overwritten", self.program.buffer(id).name)));
            }
            if step.results.contains(&id) {
                self.written.insert(id, hash);
            }
        }
        Ok(())
    }

    fn launch(&mut self, machine: &mut Machine, launch: &Launch, assembly: &assemble::Assembly) -> Result<(), Error> {
        let Some((group, ids)) = self.groups.get(&launch.step).cloned() else { return Ok(()) };
        let params: Vec<BufferId> = assembly.lowered[launch.kernel].interface.params.iter().map(|p| ids[*p]).collect();
        let label = &assembly.labels[launch.step as usize];
        let mut values: HashMap<BufferId, Array> = HashMap::new();
        let writes = group.writes();
        for (at, id) in params.iter().enumerate() {
            let bytes = machine.parameter(launch, at)?;
            let hash = hash_of(&bytes);
            if writes.contains(id) {
                self.written.insert(*id, hash);
            } else if self.written.get(id).is_some_and(|before| *before != hash) {
                return Err(Error::Bug(format!("memory: {label} reads {} after it was overwritten", self.program.buffer(*id).name)));
            }
            values.insert(*id, self.logical(machine, *id, bytes)?);
        }
        let [want, bounds] = self.expected(group, &self.given(group, &values), &machine.sizes)?;
        for id in writes.iter().filter(|id| values.contains_key(id)) {
            self.compare(label, *id, &want[id], &values[id], &bounds[id])?;
            self.before.entry(*id).and_modify(|held| *held = Some(values[id].clone()));
        }
        Ok(())
    }

    /// The kernel's buffers as its nests are given them: what is updated as it was before.
    fn given(&self, group: &Group, values: &HashMap<BufferId, Array>) -> HashMap<BufferId, Array> {
        let mut given = values.clone();
        for id in updates(group) {
            given.extend(self.before.get(&id).cloned().flatten().map(|held| (id, held)));
        }
        given
    }

    fn logical(&self, machine: &Machine, id: BufferId, bytes: Vec<u8>) -> Result<Array, Error> {
        let buffer = self.program.buffer(id);
        let size = |e: &sym::Expr| machine.eval(e).map(|n| n.max(0) as usize);
        let dims: Vec<usize> = buffer.ty.dims.iter().map(size).collect::<Result<_, _>>()?;
        let physical: Vec<usize> = buffer.layout.physical_dims(&buffer.ty.dims).iter().map(size).collect::<Result<_, _>>()?;
        let memory = Tensor::new(buffer.ty.dtype, physical, Arc::new(bytes)).ok_or_else(|| Error::Bug("a buffer's size".into()))?;
        Ok(from_physical(&buffer.layout, &memory.to_array(), &dims))
    }

    /// What the group's nests give on what the kernel read, and how far rounding may lead away. Elements that the group does not write are
    /// taken from the kernel's result. A stage's bound holds for whatever the earlier stages' bounds allow in its operands.
    fn expected(&self, group: &Group, given: &HashMap<BufferId, Array>, sizes: &Sizes) -> Result<[HashMap<BufferId, Array>; 2], Error> {
        let (mut values, mut bounds) = (given.clone(), HashMap::new());
        for stage in &group.stages {
            let mut outs: Vec<Array> = Vec::new();
            for id in &stage.writes {
                outs.push(match values.get(id) {
                    Some(value) => value.clone(),
                    None => self.blank(*id, sizes)?,
                });
            }
            let operands: Option<Vec<&Array>> = stage.operands.iter().map(|id| values.get(id)).collect();
            let operands = operands.ok_or_else(|| Error::Bug("a stage reads what was not written".into()))?;
            let errors: Vec<Option<&Array>> = stage.operands.iter().map(|id| bounds.get(id)).collect();
            let limits = nest::interp::run_bounded(&stage.nest, &operands, &errors, sizes, &mut outs).map_err(fault)?;
            for ((id, out), bound) in stage.writes.iter().zip(outs).zip(limits) {
                values.insert(*id, out);
                let bound = match bounds.remove(id) {
                    Some(other) => larger(&other, &bound),
                    None => bound,
                };
                bounds.insert(*id, bound);
            }
        }
        Ok([values, bounds])
    }

    fn blank(&self, id: BufferId, sizes: &Sizes) -> Result<Array, Error> {
        let ty = &self.program.buffer(id).ty;
        let (dtype, dims) = ops::interp::concrete_type(ty, sizes).ok_or_else(|| Error::Bug("a size has no value".into()))?;
        Ok(Array::filled(dtype, dims, Literal::zero(dtype)))
    }

    fn compare(&mut self, label: &str, id: BufferId, want: &Array, got: &Array, bound: &Array) -> Result<(), Error> {
        let step = match self.sample {
            Sample::All => 1,
            Sample::Points(points) => (want.count() / points.max(1)).max(1),
        };
        let u = want.dtype().unit_roundoff();
        for at in (0..want.count()).step_by(step) {
            let (w, g) = (want.get(at).as_f64(), got.get(at).as_f64());
            // the interpreter rounds to f64 as well
            let sides = if want.dtype() == DType::F64 { 2.0 } else { 1.0 };
            let limit = sides * bound.get(at).as_f64() + 2.0 * u * w.abs() + f64::from(f32::MIN_POSITIVE);
            let error = apart(w, g);
            if error > limit {
                let name = &self.program.buffer(id).name;
                return Err(Error::Bug(format!(
                    "{label}: {name}[{at}] is {g:e}, its nest gives {w:e}: off by {error:.3e}, bound {limit:.3e}"
                )));
            }
            if limit.is_finite() {
                self.worst = self.worst.max(error / limit);
            }
            self.values += 1;
        }
        Ok(())
    }
}

/// The buffers that a group changes where they stand.
fn updates(group: &Group) -> impl Iterator<Item = BufferId> {
    let writes = group.stages.iter().flat_map(|stage| stage.nest.writes.iter().zip(&stage.writes));
    writes.filter(|(write, _)| write.is_update()).map(|(_, id)| *id)
}

fn updated(program: &Program) -> HashMap<BufferId, Option<Array>> {
    let groups = program.prepare.iter().chain(&program.steps).flat_map(Step::groups);
    groups.flat_map(updates).map(|id| (id, None)).collect()
}

fn flatten<'a>(steps: &'a [EntryStep], out: &mut Vec<&'a EntryStep>) {
    for step in steps {
        match step {
            EntryStep::Launch(_) | EntryStep::Host(_) => out.push(step),
            EntryStep::If { .. } | EntryStep::Loop(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => {
                step.blocks().into_iter().for_each(|block| flatten(block, out));
            }
        }
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Of two stages that write parts of one buffer: what holds for both.
fn larger(a: &Array, b: &Array) -> Array {
    Array::from_fn(DType::F64, a.dims().to_vec(), |at| Literal::Float(a.get(at).as_f64().max(b.get(at).as_f64())))
}
