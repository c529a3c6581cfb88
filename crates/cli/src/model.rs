//! From the command line to a compiled model that can be called.

use crate::args::{MachineArgs, ModelArgs, PassArgs, Precision, Switch};
use crate::failure::Failure;
use crate::machine;
use crate::report;
use cache::Store;
use driver::{Compiled, Level, Options, Selection, Source, Tuned};
use ir::Code;
use runtime::Executable;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use target::Target;

/// The bound of the cache; `--help` tells it.
pub const CACHE_BYTES: u64 = 256 << 20;

/// The machine to generate for and what may be used of this one.
#[derive(Clone, Debug)]
pub struct Machine {
    pub target: Target,
    pub threads: usize,
    pub most_bytes: usize,
    pub store: Option<Arc<Store>>,
}

impl Machine {
    pub fn new(arguments: &MachineArgs) -> Result<Machine, Failure> {
        Machine::for_target(arguments, &arguments.target)
    }

    /// With another target than the arguments'.
    pub fn for_target(arguments: &MachineArgs, name: &str) -> Result<Machine, Failure> {
        Ok(Machine {
            target: target(name)?,
            threads: arguments.threads.map_or_else(machine::cores, usize::from),
            most_bytes: arguments.max_memory.unwrap_or_else(machine::default_memory_limit),
            store: if arguments.no_cache { None } else { store() },
        })
    }

    pub fn options(&self) -> Options {
        Options { store: self.store.clone(), ..Options::new(self.target.clone(), self.threads) }
    }

    /// Loads a compiled model, which takes the code generated and leaves what can be inspected.
    pub fn load(&self, compiled: &Compiled) -> Result<Executable, Failure> {
        self.check_runs_here()?;
        Ok(Executable::load_within(compiled.image.clone(), self.threads, self.most_bytes)?)
    }

    /// E006 where the target has what this machine lacks, as far as the records tell.
    fn check_runs_here(&self) -> Result<(), Failure> {
        let why = |missing| Failure::user(Code::Unsupported, format!("{missing}; `inkle compile` writes code for it to files"));
        self.target.missing_on(&Target::native()).map_or(Ok(()), |missing| Err(why(missing)))
    }
}

/// The user's cache. Where there is none to be had the user is told, and compiles without it.
fn store() -> Option<Arc<Store>> {
    let folder = machine::cache_folder()?;
    let store = Store::open(&folder, CACHE_BYTES, SystemTime::now());
    let store = store.inspect_err(|why| report::remark(&format!("the cache {} is not used: {why}", folder.display())));
    store.ok().map(Arc::new)
}

/// A target by name, or the record in a file.
pub fn target(name: &str) -> Result<Target, Failure> {
    let known = if name == "native" { Some(Target::native()) } else { Target::named(name) };
    known.map_or_else(|| recorded(name), Ok)
}

fn recorded(file: &str) -> Result<Target, Failure> {
    let fault = |why: String| Failure::user(Code::Malformed, format!("target {file}: {why}"));
    let text = std::fs::read_to_string(file).map_err(|why| fault(why.to_string()))?;
    text.parse().map_err(fault)
}

/// What the driver compiles: the text of a level by its extension, anything else as ONNX.
pub fn source(model: &Path, weights: Option<&Path>) -> Result<Source, Failure> {
    let level = match model.extension().and_then(|extension| extension.to_str()) {
        Some("graph") => Level::Graph,
        Some("core") => Level::Core,
        Some("program") => Level::Program,
        Some("kernel") => Level::Kernel,
        _ => return Ok(Source::Onnx(model.to_path_buf())),
    };
    let text = std::fs::read_to_string(model).map_err(|why| Failure::user(Code::Malformed, format!("{}: {why}", model.display())))?;
    Ok(Source::Text { level, text, weights: weights.map(Path::to_path_buf) })
}

/// The model's file without its extension.
pub fn name(model: &Path) -> String {
    model.file_stem().unwrap_or(model.as_os_str()).to_string_lossy().into_owned()
}

/// The driver's options for a model's arguments, of a command that makes no search.
pub fn options(arguments: &ModelArgs, machine: &Machine) -> Result<Options, Failure> {
    refuse_search(&arguments.passes)?;
    options_of_search(arguments, machine)
}

/// The same, where a search may follow.
pub fn options_of_search(arguments: &ModelArgs, machine: &Machine) -> Result<Options, Failure> {
    let (dims, shapes) = (arguments.dim.iter().cloned().collect(), arguments.shape.iter().cloned().collect());
    let contents = arguments.length.iter().cloned().collect();
    let precision = match arguments.precision {
        Precision::F32 => driver::Precision::F32,
        Precision::Bf16 => driver::Precision::Bf16,
    };
    let [share_kernels, winograd] = [arguments.share_kernels, arguments.winograd].map(|switch| switch == Switch::On);
    let tuned = arguments.tuned.as_deref().map(tuned).transpose()?;
    let (seed, selection) = (arguments.random_seed, selection(&arguments.passes)?);
    Ok(Options { dims, shapes, contents, seed, share_kernels, precision, winograd, tuned, selection, ..machine.options() })
}

/// The passes to run.
pub fn selection(arguments: &PassArgs) -> Result<Selection, Failure> {
    let mut selection = if arguments.opt == 0 { Selection::least() } else { Selection::default() };
    selection.shuffle = arguments.shuffle_passes;
    for name in &arguments.without {
        selection.leave_out(name).map_err(|why| Failure::user(Code::Input, why))?;
    }
    Ok(selection)
}

/// E009 where a search is asked for that the command does not make.
pub fn refuse_search(arguments: &PassArgs) -> Result<(), Failure> {
    match arguments.opt {
        2 => Err(Failure::user(Code::Input, "--opt 2 looks for schedules by measuring, which `run` and `bench` do")),
        _ => Ok(()),
    }
}

/// The schedules in a file.
fn tuned(path: &Path) -> Result<Arc<Tuned>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|why| Failure::user(Code::Malformed, format!("{}: {why}", path.display())))?;
    Ok(Arc::new(text.parse()?))
}
