//! The command line.

mod bench;
mod parse;

pub use bench::{AttentionArgs, Bench, BenchArgs, ConvArgs, GemmArgs, Peer};
use clap::{Args, Parser, Subcommand, ValueEnum};
use onnx::Content;
pub use parse::Shape;
use std::path::PathBuf;

/// Compile neural networks to native code, run them, and see each step from the model's node to the instruction.
///
/// A MODEL is an ONNX file, or the text of a level as `inkle inspect` prints it, told by its extension: .graph, .core, .program or
/// .kernel. The text names the model's weights; --weights says where they are.
#[derive(Debug, Parser)]
#[command(name = "inkle", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 a bug in inkle (a difference that --verify finds is one), 2 wrong input, \
3 a limit of memory or time, 4 valid but not supported.

With --json, standard output holds one JSON document on one line; everything else goes to standard error.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a model, run it once, and sum up its outputs
    Run(RunArgs),
    /// Compile a model ahead of time to files that need nothing but a C library: object, shared library, header, weights, manifest
    Compile(CompileArgs),
    /// Tell what an instruction of a compiled artefact is for: the model's node, the nest and the schedule
    Explain(ExplainArgs),
    /// Time a model, one matrix product, one convolution, or attention
    Bench(BenchArgs),
    /// Print a level of a compiled model
    Inspect(InspectArgs),
    /// Tell everything that is wrong with a model or not supported, without running it
    Check(CheckArgs),
    /// Look for better schedules of a model's kernels by measuring, and write them to a file for --tuned
    Tune(TuneArgs),
    /// Run the cases of test suites in ONNX's layout, and tell which of them pass
    Test(TestArgs),
    /// Print or write the record of a machine to generate for
    Target(TargetArgs),
    /// Show, clear or explain the cache of compiled kernels
    Cache(CacheArgs),
}

/// What is compiled, and for which machine.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The ONNX file that has the weights, where MODEL is the text of a level
    #[arg(long, value_name = "MODEL.onnx")]
    pub weights: Option<PathBuf>,

    /// Bind a free size of the inputs at compile time; may be repeated. What is not bound stays free: one compile serves every size
    #[arg(long, value_name = "NAME=SIZE", value_parser = parse::dim)]
    pub dim: Vec<(String, i64)>,

    /// Bind the dims of an input at compile time, `?` for those that stay as they are: x=1,3,?,192; may be repeated
    #[arg(long, value_name = "INPUT=D,D,..", value_parser = parse::shape)]
    pub shape: Vec<(String, Shape)>,

    /// Say of an input that is a sequence how many tensors it has, or of an optional whether it has a value: x=3, x=none, x=tensor; may be
    /// repeated. The tensors of a sequence x are inputs of their own, x[0], x[1] and so on. Needed only where no --inputs tell it
    #[arg(long, value_name = "INPUT=LENGTH", value_parser = parse::length)]
    pub length: Vec<(String, Content)>,

    /// Whether kernels that differ in sizes alone become one, with sizes as parameters
    #[arg(long, value_name = "HOW", default_value = "on")]
    pub share_kernels: Switch,

    /// Whether 3x3 convolutions may be computed by Winograd's minimal filtering where that is faster. Its rounding errors are up to about
    /// twice those of the direct sum. A call that meets infinite or NaN elements there fails with E011, whereupon `run` compiles again
    /// without it
    #[arg(long, value_name = "HOW", default_value = "on")]
    pub winograd: Switch,

    /// The seed of the model's own random operators, where they have none: with the same one, calls repeat their numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub random_seed: u64,

    /// The type in which f32 factors of products and convolutions are multiplied: bf16 where the machine does that itself: results are good
    /// to two or three digits; sums, norms and activations stay f32
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: Precision,

    /// Use the schedules that `inkle tune` found for this model on this machine
    #[arg(long, value_name = "FILE")]
    pub tuned: Option<PathBuf>,

    #[command(flatten)]
    pub passes: PassArgs,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Which of the compiler's passes run.
#[derive(Debug, Args)]
pub struct PassArgs {
    /// How much to optimise. 0 runs no pass that can be left out. 2, for `run` and `bench` alone, looks for better schedules by measuring
    /// for ten seconds, as `inkle tune` does
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub opt: u8,

    /// Leave out a pass; may be repeated. Results stay the same up to rounding
    #[arg(long, value_name = "PASS")]
    pub without: Vec<String>,

    /// Draw the order of the graph passes. Results stay the same up to rounding
    #[arg(long, value_name = "SEED")]
    pub shuffle_passes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// The machine to generate for and to run on.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Threads of a call and of the compiler; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// The machine to generate for: native, x86-64-v2, x86-64-v3, x86-64-v4, with +vnni and +bf16 for instructions beyond that level,
    /// aarch64, aarch64-sve256 for scalable vectors of 256 bits or more, riscv64, wasm32, cortex-m7, c, or a file with a target record.
    /// What is for another machine than this one can be compiled to files, and inspected. `inkle compile` takes several levels of x86-64 with commas between, the least demanding first: the artefact
    /// has code for each and uses the best for the processor that it is loaded on
    #[arg(long, value_name = "TARGET", default_value = "native")]
    pub target: String,

    /// Most memory, for the compiler as for weights and a call, as 800M or 4G; by default three quarters of the machine's
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    pub max_memory: Option<usize>,

    /// Neither read nor write the cache of compiled kernels: $XDG_CACHE_HOME/inkle or ~/.cache/inkle, of at most 256 MiB
    #[arg(long)]
    pub no_cache: bool,

    /// Most time for the whole command, as 500ms, 90s or 2h, or `none`
    #[arg(long, value_name = "TIME", value_parser = parse::time, default_value = "10min")]
    pub max_time: f64,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    /// Inputs: an .npz with an array for each of the model's inputs, under its name. Without it, seeded random ones are drawn: indices
    /// stay inside their tables, masks are ones, a free leading size is 1; any other free size must be bound. Where the values of small
    /// inputs shape the model (axes, sizes), it is compiled for those that the file has. Integers below 8 bits and floats of 8 or fewer
    /// have a byte an element: the number, or the code
    #[arg(long, value_name = "FILE.npz")]
    pub inputs: Option<PathBuf>,

    /// Write the outputs, under the model's names
    #[arg(long, value_name = "FILE.npz")]
    pub outputs: Option<PathBuf>,

    #[command(flatten)]
    pub compile: ModelArgs,

    /// Check each step of the compiler on these inputs, against the meaning of the step before: all elements, or a sample of them.
    /// A difference names the first pass that makes it, and the exit code is 1
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub verify: Option<Verify>,

    /// Print where the time goes, step by step
    #[arg(long, conflicts_with_all = ["interpret", "verify"])]
    pub profile: bool,

    /// Print how long each stage of the compiler took
    #[arg(long, conflicts_with_all = ["interpret", "verify"])]
    pub timings: bool,

    /// Draw the memory plan and the time of each kernel: memory.svg and time.svg in this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["interpret", "verify"])]
    pub chart: Option<PathBuf>,

    /// Run the interpreter of a level in place of the generated code; slow
    #[arg(long, value_name = "LEVEL", conflicts_with = "verify")]
    pub interpret: Option<Interpret>,

    /// Corrupt the result of a pass, to see that --verify finds it
    #[arg(long, value_name = "PASS[:SEED]", value_parser = parse::sabotage)]
    pub sabotage: Option<(String, u64)>,

    /// The seed of the inputs that are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    #[command(flatten)]
    pub form: FormArgs,
}

const FILES: &str = "The folder gets NAME.h, NAME.o, libNAME.so (NAME.wasm for WebAssembly, neither for a machine without a system) and \
NAME.json, where NAME is the model's in letters that C allows. The header tells how to call the model: a context and scratch of the \
caller's, no allocation, no state, no threads but the caller's. The code is the one that `inkle run` would call, with weights packed as \
it wants them. With --emit c the code is NAME.c, for any C compiler, and is made for a record of 128-bit vectors where --target does not \
say another. docs/artefacts.md has the whole interface.";

#[derive(Debug, Args)]
#[command(after_help = FILES)]
pub struct CompileArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    /// The folder for the files; it is made where it is not there
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,

    /// The start of all names in C
    #[arg(long, value_name = "NAME", value_parser = parse::prefix)]
    pub name: Option<String>,

    /// What the code is written as: an object and a shared library, or C source (C11) for machines that neither is made for
    #[arg(long, value_name = "WHAT", default_value = "object")]
    pub emit: EmitAs,

    /// Where the weights go: into the code, or to a file NAME.weights that the caller reads or maps. By default into the code, but for C
    /// source and WebAssembly
    #[arg(long, value_name = "WHERE")]
    pub weights_in: Option<WeightsIn>,

    /// Write NAME.rs too: the same functions as a safe interface in Rust, for `include!`
    #[arg(long)]
    pub rust: bool,

    /// Inputs as for `inkle run`: where the values of small inputs shape the model, it is compiled for those that the file has
    #[arg(long, value_name = "FILE.npz")]
    pub inputs: Option<PathBuf>,

    #[command(flatten)]
    pub compile: ModelArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmitAs {
    Object,
    C,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsIn {
    Inside,
    File,
}

/// Profilers and debuggers show the model's nodes where they have files and lines: `perf annotate`, `gdb`, `addr2line -e`. This tells more.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A shared library or object that `inkle compile` made; its manifest is looked for in the same folder
    pub artefact: PathBuf,

    /// The instruction's address in the file, as `perf`, `nm` and `objdump` give it: 0x1a2b. Without it: how many bytes of code serve which
    /// nodes
    #[arg(value_parser = parse::address)]
    pub address: Option<u64>,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    /// The level
    #[arg(long, value_name = "LEVEL")]
    pub at: At,

    /// Only what came from model nodes whose name contains this
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,

    #[command(flatten)]
    pub compile: ModelArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

/// All kernels are measured at once, each in its place in the model, on the sizes of the inputs; each round tries one new schedule for
/// every kernel. What stays faster than the default in a last comparison is written. The model's results do not change beyond rounding.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    /// Inputs as for `inkle run`: their sizes are those that are measured
    #[arg(long, value_name = "FILE.npz")]
    pub inputs: Option<PathBuf>,

    /// How long to look
    #[arg(long, value_name = "TIME", value_parser = parse::time, default_value = "60s")]
    pub budget: f64,

    /// Where the schedules go; by default MODEL.tuned.json in the present folder
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Seed of the inputs and of the schedules that are tried
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    #[command(flatten)]
    pub compile: ModelArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

/// A case is a folder with `model.onnx` and folders `test_data_set_N`, which hold `input_N.pb` and `output_N.pb`. Several cases run in
/// processes of their own, of at most a minute each. A result passes where its type and shape are the expected ones and each number is
/// within 1e-7 and a thousandth of the expected one; integers and bools must be equal.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Cases, or folders that have cases somewhere below them
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,

    /// Run by an interpreter of this level in place of generated code
    #[arg(long, value_name = "LEVEL")]
    pub interpret: Option<Interpret>,

    /// Cases that do not pass, a line each: its name, the outcome, and why. The command fails where any other case does not pass, and where
    /// one of these has another outcome. Without it, it fails for mismatches and errors
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,

    #[command(flatten)]
    pub passes: PassArgs,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    #[command(flatten)]
    pub compile: ModelArgs,

    /// Print how long each stage of the compiler took
    #[arg(long)]
    pub timings: bool,

    #[command(flatten)]
    pub form: FormArgs,
}

/// A record is what the compiler knows of a machine: vectors, caches, cores, instructions. `--target FILE` generates for it anywhere; the
/// same record gives the same code.
#[derive(Debug, Args)]
pub struct TargetArgs {
    #[command(subcommand)]
    pub action: TargetAction,
}

#[derive(Debug, Subcommand)]
pub enum TargetAction {
    /// The record of this machine
    Probe(ProbeArgs),
    /// The record that a name or a file stands for
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Write it to a file for --target
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A name as for --target, or a file with a record
    pub name: String,

    #[command(flatten)]
    pub form: FormArgs,
}

/// The cache lies in $XDG_CACHE_HOME/inkle, or else in ~/.cache/inkle, and belongs to the user alone. It holds at most 256 MiB: what was
/// not used for longest goes first.
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub action: Option<CacheAction>,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Remove all entries
    Clear(FormArgs),
    /// Tell for each kernel of a model that the cache lacks in which field of its key the nearest entry differs
    Why(Box<WhyArgs>),
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// An ONNX file or the text of a level
    pub model: PathBuf,

    #[command(flatten)]
    pub compile: ModelArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct FormArgs {
    /// Print one JSON document on one line
    #[arg(long)]
    pub json: bool,
}

impl Command {
    /// None where nothing is compiled.
    pub fn machine(&self) -> Option<&MachineArgs> {
        match self {
            Command::Run(arguments) => Some(&arguments.compile.machine),
            Command::Compile(arguments) => Some(&arguments.compile.machine),
            Command::Explain(_) => None,
            Command::Bench(arguments) => Some(match &arguments.product {
                Some(Bench::Gemm(product)) => &product.machine,
                Some(Bench::Conv(convolution)) => &convolution.machine,
                Some(Bench::Attention(attention)) => &attention.machine,
                None => &arguments.compile.machine,
            }),
            Command::Inspect(arguments) => Some(&arguments.compile.machine),
            Command::Check(arguments) => Some(&arguments.compile.machine),
            Command::Tune(arguments) => Some(&arguments.compile.machine),
            Command::Test(arguments) => Some(&arguments.machine),
            Command::Target(_) => None,
            Command::Cache(arguments) => match &arguments.action {
                Some(CacheAction::Why(arguments)) => Some(&arguments.compile.machine),
                Some(CacheAction::Clear(_)) | None => None,
            },
        }
    }

    pub fn form(&self) -> &FormArgs {
        match self {
            Command::Run(arguments) => &arguments.form,
            Command::Compile(arguments) => &arguments.form,
            Command::Explain(arguments) => &arguments.form,
            Command::Bench(arguments) => match &arguments.product {
                Some(Bench::Gemm(product)) => &product.form,
                Some(Bench::Conv(convolution)) => &convolution.form,
                Some(Bench::Attention(attention)) => &attention.form,
                None => &arguments.form,
            },
            Command::Inspect(arguments) => &arguments.form,
            Command::Check(arguments) => &arguments.form,
            Command::Tune(arguments) => &arguments.form,
            Command::Test(arguments) => &arguments.form,
            Command::Target(arguments) => match &arguments.action {
                TargetAction::Probe(probe) => &probe.form,
                TargetAction::Show(show) => &show.form,
            },
            Command::Cache(arguments) => match &arguments.action {
                Some(CacheAction::Clear(form)) => form,
                Some(CacheAction::Why(arguments)) => &arguments.form,
                None => &arguments.form,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Every element of every step
    All,
    /// Some elements of every step
    Sample,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Interpret {
    /// Nodes, by the definitions of their ops
    Graph,
    /// Nests, fused and laid out as the program says
    Program,
    /// Nests before fusion: one for each core op
    Nest,
    /// Kernels, in their own arithmetic
    Kernel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum At {
    /// As imported
    Graph,
    /// Core ops only
    Core,
    /// Steps over buffers
    Program,
    /// One computation a stage
    Nest,
    /// Loops, vectors, memory
    Kernel,
    /// The choices behind each kernel
    Schedule,
    /// LLVM's intermediate language
    Llvm,
    /// Assembly
    Asm,
}

#[cfg(test)]
mod tests {
    use super::bench::PeerPrecision;
    use super::*;
    use clap::CommandFactory;
    use ir::DType;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command)
    }

    #[test]
    fn options_of_a_run() {
        let line = "inkle run m.onnx --dim a=b=3 --dim seq=128 --shape x=1,?,48 --length s=2 --length o=none --verify=sample --sabotage fuse:7 --max-memory 2G --max-time 3min";
        let Command::Run(run) = parsed(line).unwrap() else { panic!("no run") };
        assert_eq!(run.compile.dim, [("a=b".to_string(), 3), ("seq".to_string(), 128)]);
        assert_eq!(run.compile.shape, [("x".to_string(), vec![Some(1), None, Some(48)])]);
        assert_eq!(run.compile.length, [("s".to_string(), Content::Sequence(2)), ("o".to_string(), Content::Nothing)]);
        assert!(parsed("inkle run m.onnx --length s=-1").is_err() && parsed("inkle run m.onnx --length s=5000").is_err());
        assert_eq!((run.verify, run.sabotage), (Some(Verify::Sample), Some(("fuse".to_string(), 7))));
        assert_eq!((run.compile.machine.max_memory, run.compile.machine.max_time), (Some(2 << 30), 180.0));
        let Command::Run(run) = parsed("inkle run m.onnx --verify --json").unwrap() else { panic!("no run") };
        assert_eq!((run.verify, run.form.json), (Some(Verify::All), true));
        assert!(parsed("inkle run m.onnx --dim n=-1").is_err());
        assert_eq!(["none", "20ms", "2h", "7"].map(|text| parse::time(text).unwrap()), [f64::INFINITY, 0.02, 7200.0, 7.0]);
        assert!(parse::time("2 weeks").is_err());
    }

    #[test]
    fn bench_takes_a_model_or_a_product() {
        let Command::Bench(bench) = parsed("inkle bench m.onnx --threads 2 --json").unwrap() else { panic!("no bench") };
        assert!(bench.models.len() == 1 && bench.product.is_none());
        let Command::Bench(bench) = parsed("inkle bench gemm --m 2 --n 3 --k 4 --dtype f64 --json").unwrap() else { panic!("no bench") };
        let Some(Bench::Gemm(gemm)) = bench.product else { panic!("no product") };
        assert_eq!((gemm.m, gemm.n, gemm.k, gemm.dtype, gemm.form.json), (2, 3, 4, DType::F64, true));
        let Command::Bench(bench) = parsed("inkle bench conv --h 7 --w 8 --channels 3 --outputs 4 --dtype i8").unwrap() else { panic!() };
        let Some(Bench::Conv(conv)) = bench.product else { panic!("no convolution") };
        assert_eq!((conv.h, conv.w, conv.channels, conv.outputs, conv.kernel, conv.dtype), (7, 8, 3, 4, 3, DType::I8));
        assert!(parsed("inkle bench --json").is_err());
    }

    #[test]
    fn bench_takes_models_and_peers() {
        let line = "inkle bench a.onnx b.onnx --against onnxruntime,openvino --peer-precision default --rounds 6 --html page.html";
        let Command::Bench(bench) = parsed(line).unwrap() else { panic!("no bench") };
        assert_eq!((bench.models.len(), bench.against), (2, vec![Peer::Onnxruntime, Peer::Openvino]));
        assert_eq!((bench.peer_precision, bench.rounds), (PeerPrecision::Default, 6));
        for line in
            ["inkle bench a.onnx --rounds 6", "inkle bench a.onnx --against nobody", "inkle bench a.onnx --against openvino --rounds 0"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
