//! `inkle bench`: the time of a model's calls.

use crate::args::{Bench, BenchArgs};
use crate::attention;
use crate::conv;
use crate::failure::Failure;
use crate::gemm;
use crate::inputs::{Draw, Inputs, drawn, drawn_sizes, from_file, given, read, shuffled};
use crate::machine::{Started, peak_rss_mib};
use crate::measure::{Caller, Times};
use crate::memory::Memory;
use crate::model::{self, Machine};
use crate::peers::{self, serve};
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use crate::timings::Timings;
use crate::tune;
use driver::Compiled;
use driver::values::compile_for;
use ir::{Code, Tensor};
use random::Random;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Seeds of the two sets of inputs that are drawn.
const SEEDS: [u64; 2] = [0, 1];

pub fn bench(arguments: &BenchArgs, started: Started) -> Result<Report, Failure> {
    match &arguments.product {
        Some(Bench::Gemm(product)) => return gemm::gemm(product),
        Some(Bench::Conv(convolution)) => return conv::conv(convolution),
        Some(Bench::Attention(arguments)) => return attention::attention(arguments),
        None => {}
    }
    match (arguments.serve.as_deref(), arguments.against.as_slice(), arguments.models.as_slice()) {
        (Some([model, folder]), ..) => serve::serve(arguments, model, folder, started),
        (_, [], [model]) => bench_model(arguments, model, started),
        (_, [], _) => Err(Failure::user(Code::Input, "several models are timed with --against only")),
        _ => peers::against(arguments),
    }
}

/// The file of a model's inputs: that of the command line, or the model's own in the folder of the command line.
pub fn inputs_of(arguments: &BenchArgs, model: &Path) -> Option<PathBuf> {
    let given = arguments.inputs.as_ref()?;
    Some(if given.is_dir() { given.join(format!("{}.npz", model::name(model))) } else { given.clone() })
}

fn bench_model(arguments: &BenchArgs, path: &Path, started: Started) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(path, arguments.compile.weights.as_deref())?;
    let progress = Progress::new("compiling");
    let options = model::options_of_search(&arguments.compile, &machine)?;
    let (mut compiled, options) = compile_for(&source, options, || given(inputs_of(arguments, path).as_deref(), &source))?;
    if arguments.compile.passes.opt == 2 {
        let [inputs, _] = both_sets(inputs_of(arguments, path).as_deref(), &compiled, machine.most_bytes)?;
        compiled = tune::searched(&machine, &source, options, &inputs)?.0;
    }
    let start = Instant::now();
    let mut executable = machine.load(&compiled)?;
    let timings = Timings::new(&compiled, Some(start.elapsed().as_secs_f64()));
    let compile_s = started.seconds();
    progress.now("timing");
    let [first, second] = both_sets(inputs_of(arguments, path).as_deref(), &compiled, machine.most_bytes)?;
    executable.share_strings(&first.strings);
    let memory = Memory::of(&executable, &compiled, &first.tensors)?;
    let mut callers = [Caller::new(&executable, &first.tensors)?, Caller::new(&executable, &second.tensors)?];
    let times = Times::of(&mut executable, &mut callers)?;
    drop(progress);
    let remark = format!("{}; {}", first.remark, second.remark);
    report::remark(&remark);
    let [p10, median, p90] = [0.1, 0.5, 0.9].map(|share| times.quantile(share));
    let peak = peak_rss_mib();
    let json = json!({
        "model": path.display().to_string(),
        "threads": machine.threads,
        "inputs": remark,
        "compile_s": compile_s,
        "stages_s": timings.stages_json(),
        "cache": timings.cache_json(),
        "first_ms": times.first * 1e3,
        "median_ms": median * 1e3,
        "p10_ms": p10 * 1e3,
        "p90_ms": p90 * 1e3,
        "runs": times.runs(),
        "peak_rss_mb": peak,
        "arena_bytes": memory.temporaries.arena_bytes,
        "live_bytes": memory.temporaries.lower_bound(),
        "arena_ratio": memory.temporaries.ratio(),
        "kernels": compiled.assembly.lowered.len(),
        "code_bytes": executable.code_bytes(),
        "recompiles": 0,
        "host_steps": compiled.image.host_calls.len(),
    });
    let text = format!(
        "median {BOLD}{}{BOLD:#}, p10 {}, p90 {} of {} runs on {} threads; first call {}\ncompiled in {}, from the start of the process{}\n\
         memory: peak {}, {}; {} kernels, code {}\n",
        report::seconds(median),
        report::seconds(p10),
        report::seconds(p90),
        times.runs(),
        machine.threads,
        report::seconds(times.first),
        report::seconds(compile_s),
        timings.cache_text(),
        peak.map_or("unknown".to_string(), |mib| report::bytes((mib * 1048576.0) as usize)),
        memory.arena_text(),
        compiled.assembly.lowered.len(),
        report::bytes(executable.code_bytes()),
    );
    Ok(Report::new(if arguments.timings { timings.table() + &text } else { text }, json))
}

/// Two sets of inputs of the same shapes: F.npz with F.2.npz or else with its own elements in another order; or both drawn.
pub fn both_sets(file: Option<&Path>, compiled: &Compiled, most_bytes: usize) -> Result<[Inputs; 2], Failure> {
    let Some(path) = file else {
        let sizes = drawn_sizes(&compiled.image)?;
        let [first, second] = SEEDS.map(|seed| drawn(&compiled.image, &compiled.graph, &sizes, Draw { seed, most_bytes }));
        return Ok([first?, second?]);
    };
    let Inputs { tensors, remark, strings } = from_file(path, &compiled.image)?;
    let beside = path.with_extension("2.npz");
    let second = match beside.exists().then(|| read(&beside, &compiled.image, &strings)).transpose()? {
        Some(others) if same_types(&tensors, &others) => {
            Inputs { tensors: others, remark: format!("then {}", beside.display()), strings: strings.clone() }
        }
        _ => {
            let mut random = Random::new(SEEDS[1]);
            let bound = |at: usize| compiled.image.values.get(at).is_some_and(Option::is_some);
            let other = |(at, tensor): (usize, &Tensor)| if bound(at) { tensor.clone() } else { shuffled(tensor, &mut random) };
            let others = tensors.iter().enumerate().map(other).collect();
            Inputs { tensors: others, remark: "then the same elements in another order".to_string(), strings: strings.clone() }
        }
    };
    Ok([Inputs { tensors, remark, strings }, second])
}

fn same_types(a: &[Tensor], b: &[Tensor]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.dtype() == b.dtype() && a.dims() == b.dims())
}
