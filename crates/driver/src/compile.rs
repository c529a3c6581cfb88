//! The pipeline on one page.

use crate::assemble::{self, Assembly};
use crate::code::{self, CacheUse};
use crate::error::Error;
use crate::options::{Level, Options, Source};
use ir::{Code, Diagnostics, Graph, Location, Tensor};
use kernel::Kernel;
use kernel::module::Module;
use llvm::{EmitOptions, PrintOptions};
use onnx::ModelFile;
use program::memory::{self, MemoryPlan};
use program::{Program, Role, lower};
use runtime::{Executable, Image, RunError};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;
use target::Target;

/// A compiled model with every level that it went through.
pub struct Compiled {
    /// As imported; empty where the source was the text of a later level.
    pub graph: Graph,
    /// Core ops only; empty likewise.
    pub core: Graph,
    pub program: Program,
    pub memory: MemoryPlan,
    pub assembly: Assembly,
    pub image: Image,
    pub cache: CacheUse,
    /// Seconds of each stage, in order.
    pub timings: Vec<(String, f64)>,
}

impl Compiled {
    pub fn module(&self) -> &Module {
        &self.assembly.module
    }

    /// Makes the model callable, with this many threads a call.
    pub fn load(&self, threads: usize) -> Result<Executable, RunError> {
        Executable::load(self.image.clone(), threads)
    }

    /// Seconds of all stages.
    pub fn seconds(&self) -> f64 {
        self.timings.iter().map(|(_, seconds)| seconds).sum()
    }
}

/// A compiled model up to its kernels, for which no code is generated yet.
#[derive(Default)]
pub struct Assembled {
    pub graph: Graph,
    pub core: Graph,
    pub program: Program,
    pub memory: MemoryPlan,
    pub assembly: Assembly,
    clock: Clock,
}

/// What happens between two levels is timed under its name.
#[derive(Default)]
pub struct Clock {
    pub timings: Vec<(String, f64)>,
}

impl Clock {
    fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.timings.push((name.to_string(), start.elapsed().as_secs_f64()));
        result
    }
}

pub fn compile(source: &Source, options: &Options) -> Result<Compiled, Error> {
    assembled(source, options)?.generated(options)
}

/// Everything but the code.
pub fn assembled(source: &Source, options: &Options) -> Result<Assembled, Error> {
    let mut clock = Clock::default();
    match source {
        Source::Onnx(path) => {
            let graph = clock.time("import", || import(path, options))?;
            from_graph(graph, options, clock)
        }
        Source::Text { level, text, weights } => from_text(*level, text, weights.as_deref(), options, clock),
    }
}

/// Compiles a graph that was built in this process.
pub fn compile_graph(graph: Graph, options: &Options) -> Result<Compiled, Error> {
    assembled_graph(graph, options)?.generated(options)
}

/// The same without its code.
pub fn assembled_graph(graph: Graph, options: &Options) -> Result<Assembled, Error> {
    from_graph(graph, options, Clock::default())
}

pub fn import(path: &Path, options: &Options) -> Result<Graph, Error> {
    let file = ModelFile::open(path).map_err(crate::text::file_error)?;
    Ok(onnx::import(&file, &options.import())?)
}

fn from_graph(graph: Graph, options: &Options, mut clock: Clock) -> Result<Assembled, Error> {
    options.tuned.as_deref().map_or(Ok(()), |tuned| tuned.check(&graph, &options.target))?;
    let mut core = graph.clone();
    for pass in options.selection.graph_passes() {
        core = clock.time(pass.name, || (pass.run)(&core));
        core = crate::sabotage::graph(pass.name, core, options)?;
    }
    Ok(Assembled { graph, ..from_core(core, options, clock)? })
}

fn from_core(core: Graph, options: &Options, mut clock: Clock) -> Result<Assembled, Error> {
    let mut program = clock.time("lower", || lower::lower(&core))?;
    program = crate::sabotage::program("lower", program, options)?;
    for pass in options.selection.program_passes(options) {
        program = clock.time(pass.name, || (pass.run)(program, options));
        program = crate::sabotage::program(pass.name, program, options)?;
    }
    let faults = clock.time("verify", || program::verify::verify_flow(&program));
    if let (Some(fault), None) = (faults.first(), &options.sabotage) {
        return Err(Error::Bug(fault.clone()));
    }
    Ok(Assembled { core, ..from_program(program, options, clock)? })
}

fn from_program(program: Program, options: &Options, mut clock: Clock) -> Result<Assembled, Error> {
    let memory = clock.time("memory", || memory::plan(&program));
    let store = options.store.as_deref();
    let mut assembly = clock.time("schedule", || assemble::assemble(&program, &memory, options, store));
    crate::sabotage::kernels("schedule", &mut assembly, options)?;
    Ok(Assembled { program, memory, assembly, clock, ..Assembled::default() })
}

/// The same program with other options of what follows it: threads, schedules, profile.
pub fn recompiled(compiled: &Compiled, options: &Options) -> Result<Compiled, Error> {
    let again = from_program(compiled.program.clone(), options, Clock::default())?;
    Assembled { graph: compiled.graph.clone(), core: compiled.core.clone(), ..again }.generated(options)
}

/// Generates code for what was planned and scheduled elsewhere.
pub fn from_parts(program: Program, memory: MemoryPlan, assembly: Assembly, options: &Options) -> Result<Compiled, Error> {
    Assembled { program, memory, assembly, ..Assembled::default() }.generated(options)
}

impl Assembled {
    /// With the code of kernels and entries.
    pub fn generated(self, options: &Options) -> Result<Compiled, Error> {
        let Assembled { graph, core, program, memory, assembly, mut clock } = self;
        let parts = clock.time("print", || code::parts(&assembly, options));
        let (objects, cache) = clock.time("emit", || code::objects(parts, options))?;
        let image = clock.time("image", || image(&program, &memory, &assembly, objects, options));
        Ok(Compiled { graph, core, program, memory, assembly, image, cache, timings: clock.timings })
    }
}

fn from_text(level: Level, text: &str, weights: Option<&Path>, options: &Options, mut clock: Clock) -> Result<Assembled, Error> {
    let weights = clock.time("import", || weights.map_or(Ok(HashMap::new()), crate::text::weights))?;
    let weight = |name: &str| -> Option<Tensor> { weights.get(name).cloned() };
    if options.tuned.is_some() && level != Level::Graph {
        return Err(Error::input("tuned schedules hold for a whole model, not for the text of a later level"));
    }
    match level {
        Level::Graph => from_graph(crate::text::graph(text, &weight)?, options, clock),
        Level::Core => {
            let assembled = from_core(crate::text::graph(text, &weight)?, options, clock)?;
            Ok(Assembled { graph: assembled.core.clone(), ..assembled })
        }
        Level::Program => from_program(crate::text::program(text, &weight)?, options, clock),
        Level::Kernel => {
            let (program, kernels) = crate::text::kernels(text, &weight)?;
            kernels.iter().try_for_each(|kernel| check_products(kernel, &options.target))?;
            let memory = memory::plan(&program);
            let mut assembly = assemble::assemble(&program, &memory, options, None);
            assembly.replace(kernels)?;
            Ok(Assembled { program, memory, assembly, clock, ..Assembled::default() })
        }
    }
}

/// E006 where a kernel multiplies by what the target lacks.
fn check_products(kernel: &Kernel, target: &Target) -> Result<(), Error> {
    if !target.fma && kernel.has_mul_add() {
        let why = format!("kernel {}: {} has no mul_add", kernel.name, target.name);
        return Err(Error::Diagnostics(Diagnostics::one(Code::Unsupported, &Location::default(), why)));
    }
    match kernel.dot_types().into_iter().find(|[a, b]| target.dot_group(*a, *b) == 1) {
        None => Ok(()),
        Some([a, b]) => {
            let why = format!("kernel {}: {} has no dot of {a} and {b}", kernel.name, target.name);
            Err(Error::Diagnostics(Diagnostics::one(Code::Unsupported, &Location::default(), why)))
        }
    }
}

pub fn print_options(options: &Options) -> PrintOptions {
    PrintOptions { profile: options.profile, ..PrintOptions::of(&options.target) }
}

pub fn emit_options(options: &Options) -> EmitOptions {
    let target = &options.target;
    EmitOptions { cpu: target.cpu.clone(), features: target.feature_text(), triple: target.triple.clone() }
}

fn image(program: &Program, memory: &MemoryPlan, assembly: &Assembly, objects: Vec<Vec<u8>>, options: &Options) -> Image {
    let named =
        |list: &[(String, program::BufferId)]| list.iter().map(|(name, id)| (name.clone(), program.buffer(*id).ty.clone())).collect();
    let constant = |id: &program::BufferId| match &program.buffer(*id).role {
        Role::Constant { tensor, .. } => Some(tensor.clone()),
        _ => None,
    };
    Image {
        objects,
        main: assembly.module.main.name.clone(),
        prepare: assembly.module.prepare.name.clone(),
        symbols: program.symbols.keys().cloned().collect(),
        symbol_facts: program.symbols.clone(),
        computed: program.computed().into_iter().cloned().collect(),
        guards: program.guards.clone(),
        step_guards: assembly.step_guards.clone(),
        inputs: named(&program.inputs),
        values: program.inputs.iter().map(|(name, _)| options.values.get(name).cloned()).collect(),
        outputs: named(&program.outputs),
        constants: assembly.constants.iter().filter_map(constant).collect(),
        prepared_bytes: memory.prepared_bytes.clone(),
        arena: memory.tenants.clone(),
        scratch_bytes: assembly.scratch_bytes.clone(),
        host_calls: assembly.host_calls.clone(),
        texts: program.texts.clone(),
        steps: assembly.labels.clone(),
        prepare_steps: assembly.prepare_steps,
        profiled: options.profile,
    }
}
