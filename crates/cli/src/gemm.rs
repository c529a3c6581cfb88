//! `inkle bench gemm`: one matrix product, compiled as a model is, beside the peak of this machine.

use crate::args::GemmArgs;
use crate::failure::Failure;
use crate::measure::{Caller, Times};
use crate::model::Machine;
use crate::peak::Peak;
use crate::progress::Progress;
use crate::random::Random;
use crate::report::{self, BOLD, Report};
use ir::array::Data;
use ir::{Array, DType, Graph, Literal, Tensor, TensorType};
use ops::Builder;
use serde_json::json;
use sym::Expr;

/// How many elements of the product are checked.
const CHECKED: usize = 1000;

pub fn gemm(arguments: &GemmArgs) -> Result<Report, Failure> {
    let (m, n, k, dtype) = (arguments.m as usize, arguments.n as usize, arguments.k as usize, arguments.dtype);
    let machine = Machine::new(&arguments.machine)?;
    let progress = Progress::new("compiling");
    let compiled = driver::compile_graph(product(dtype, m, n, k)?, &machine.options())?;
    let mut executable = machine.load(&compiled)?;
    let inputs = [drawn(dtype, m, k, 1), drawn(dtype, k, n, 2)];
    let mut callers = [Caller::new(&executable, &inputs)?];
    let peak = Peak::new(&machine, dtype)?;
    progress.now("timing");
    let before = peak.flops_per_second()?;
    let times = Times::of(&mut executable, &mut callers)?;
    let after = peak.flops_per_second()?;
    let max_error = max_error(&inputs, [m, n, k], &Tensor::new(dtype, vec![m, n], std::sync::Arc::new(callers[0].output(0).to_vec())));
    drop(progress);
    let gflops = 2.0 * m as f64 * n as f64 * k as f64 / times.median() / 1e9;
    let peak_gflops = before.max(after) / 1e9;
    let json = json!({
        "m": m, "n": n, "k": k, "dtype": dtype.name(), "threads": machine.threads,
        "median_ms": times.median() * 1e3,
        "gflops": gflops,
        "peak_gflops": peak_gflops,
        "of_peak": gflops / peak_gflops,
        "max_error": max_error,
    });
    let text = format!(
        "{BOLD}{gflops:.1} Gflop/s{BOLD:#}, {:.1} % of the {peak_gflops:.1} that {} threads reach in registers\n\
         median {}, p90 {} of {} runs; largest error {max_error:.2e}\n",
        100.0 * gflops / peak_gflops,
        machine.threads,
        report::seconds(times.median()),
        report::seconds(times.quantile(0.9)),
        times.runs(),
    );
    Ok(Report::new(text, json))
}

/// `c = a b`
fn product(dtype: DType, m: usize, n: usize, k: usize) -> Result<Graph, Failure> {
    let ty = |rows: usize, columns: usize| TensorType::new(dtype, vec![Expr::from(rows as i64), Expr::from(columns as i64)]);
    let mut builder = Builder::new("gemm");
    let (a, b) = (builder.input("a", ty(m, k)), builder.input("b", ty(k, n)));
    let c = builder.contract("mk,kn->mn", a, b).map_err(|problem| Failure::from(ir::Diagnostics::from(problem)))?;
    builder.output("c", c);
    Ok(builder.finish())
}

/// Evenly distributed between -1 and 1.
fn drawn(dtype: DType, rows: usize, columns: usize, seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    Tensor::from_array(&Array::from_fn(dtype, vec![rows, columns], |_| Literal::Float(2.0 * random.unit() - 1.0)))
}

/// The largest distance of drawn elements from the product in f64.
fn max_error(inputs: &[Tensor; 2], [m, n, k]: [usize; 3], got: &Option<Tensor>) -> f64 {
    let (Some(got), mut random) = (got, Random::new(3)) else { return f64::NAN };
    let [a, b, got] = [&inputs[0], &inputs[1], got].map(Tensor::to_array);
    let (Data::Float(a), Data::Float(b), Data::Float(got)) = (a.data(), b.data(), got.data()) else { return f64::NAN };
    let mut error = |_| {
        let (row, column) = (random.between(0, m as i64 - 1) as usize, random.between(0, n as i64 - 1) as usize);
        let want: f64 = (0..k).map(|at| a[row * k + at] * b[at * n + column]).sum();
        (want - got[row * n + column]).abs()
    };
    (0..CHECKED).map(&mut error).fold(0.0, |most, error| if error.is_nan() { error } else { f64::max(most, error) })
}
