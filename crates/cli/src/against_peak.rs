//! One computation, compiled as a model is and timed beside the most multiply-adds that this machine does.

use crate::args::MachineArgs;
use crate::failure::Failure;
use crate::measure::{Caller, Times};
use crate::model::Machine;
use crate::peak::Peak;
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use ir::{Array, DType, Graph, Literal, Tensor};
use random::Random;
use serde_json::{Map, Value, json};

/// How many elements of a result are checked.
const CHECKED: usize = 1000;

pub struct Problem {
    /// With one output.
    pub graph: Graph,
    pub inputs: Vec<Tensor>,
    /// The element type of the factors, which the peak is for.
    pub dtype: DType,
    pub multiply_adds: f64,
    /// What was asked for, for the report.
    pub parameters: Map<String, Value>,
}

/// The time of a problem's calls; `exact` gives an element of the result, by its place in row-major order.
pub fn timed(problem: Problem, machine: &MachineArgs, exact: &dyn Fn(usize) -> f64) -> Result<Report, Failure> {
    let machine = Machine::new(machine)?;
    let progress = Progress::new("compiling");
    let compiled = driver::compile_graph(problem.graph, &machine.options())?;
    let mut executable = machine.load(&compiled)?;
    let mut callers = [Caller::new(&executable, &problem.inputs)?];
    let peak = Peak::new(&machine, problem.dtype)?;
    progress.now("timing");
    let before = peak.flops_per_second()?;
    let times = Times::of(&mut executable, &mut callers)?;
    let after = peak.flops_per_second()?;
    let max_error = max_error(&callers[0].output(&executable, 0), exact);
    drop(progress);
    let gflops = 2.0 * problem.multiply_adds / times.median() / 1e9;
    let peak_gflops = before.max(after) / 1e9;
    let mut json = problem.parameters;
    json.extend([
        ("dtype".to_string(), json!(problem.dtype.name())),
        ("threads".to_string(), json!(machine.threads)),
        ("median_ms".to_string(), json!(times.median() * 1e3)),
        ("p10_ms".to_string(), json!(times.quantile(0.1) * 1e3)),
        ("gflops".to_string(), json!(gflops)),
        ("peak_gflops".to_string(), json!(peak_gflops)),
        ("of_peak".to_string(), json!(gflops / peak_gflops)),
        ("max_error".to_string(), json!(max_error)),
    ]);
    let text = format!(
        "{BOLD}{gflops:.1} Gflop/s{BOLD:#}, {:.1} % of the {peak_gflops:.1} that {} threads reach in registers\n\
         median {}, p90 {} of {} runs; largest error {max_error:.2e}\n",
        100.0 * gflops / peak_gflops,
        machine.threads,
        report::seconds(times.median()),
        report::seconds(times.quantile(0.9)),
        times.runs(),
    );
    Ok(Report::new(text, Value::Object(json)))
}

/// Floats evenly distributed between -1 and 1, integers over all that their type holds.
pub fn drawn(dtype: DType, dims: Vec<usize>, seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let element = |_| match dtype.int_range() {
        Some((low, high)) => Literal::Int(random.between(low, high)),
        None => Literal::Float(2.0 * random.unit() - 1.0),
    };
    Tensor::from_array(&Array::from_fn(dtype, dims, element))
}

/// The elements of a tensor as numbers.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let array = tensor.to_array();
    (0..array.count()).map(|at| array.get(at).as_f64()).collect()
}

/// The largest distance of drawn elements from what they should be.
fn max_error(got: &Option<Tensor>, exact: &dyn Fn(usize) -> f64) -> f64 {
    let Some(got) = got.as_ref().map(numbers).filter(|got| !got.is_empty()) else { return f64::NAN };
    let mut random = Random::new(3);
    let mut error = |_| {
        let at = random.between(0, got.len() as i64 - 1) as usize;
        (exact(at) - got[at]).abs()
    };
    (0..CHECKED).map(&mut error).fold(0.0, |most, error| if error.is_nan() { error } else { f64::max(most, error) })
}
