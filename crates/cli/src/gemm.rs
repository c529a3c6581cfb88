//! `inkle bench gemm`: one matrix product beside the peak of this machine.

use crate::against_peak::{Problem, drawn, numbers, timed};
use crate::args::GemmArgs;
use crate::failure::Failure;
use crate::report::Report;
use ir::{DType, Diagnostic, Graph, TensorType};
use ops::Builder;
use serde_json::{Map, json};
use sym::Expr;

pub fn gemm(arguments: &GemmArgs) -> Result<Report, Failure> {
    let [m, n, k] = [arguments.m, arguments.n, arguments.k].map(|size| size as usize);
    let dtype = arguments.dtype;
    let inputs = vec![drawn(dtype, vec![m, k], 1), drawn(dtype, vec![k, n], 2)];
    let (a, b) = (numbers(&inputs[0]), numbers(&inputs[1]));
    let problem = Problem {
        graph: product(dtype, m, n, k).map_err(|problem| Failure::from(ir::Diagnostics::from(problem)))?,
        inputs,
        dtype,
        multiply_adds: m as f64 * n as f64 * k as f64,
        parameters: Map::from_iter([("m", m), ("n", n), ("k", k)].map(|(name, size)| (name.to_string(), json!(size)))),
    };
    timed(problem, &arguments.machine, &|at| (0..k).map(|i| a[at / n * k + i] * b[i * n + at % n]).sum())
}

/// `c = a b`
fn product(dtype: DType, m: usize, n: usize, k: usize) -> Result<Graph, Diagnostic> {
    let ty = |rows: usize, columns: usize| TensorType::new(dtype, vec![Expr::from(rows as i64), Expr::from(columns as i64)]);
    let mut builder = Builder::new("gemm");
    let (a, b) = (builder.input("a", ty(m, k)), builder.input("b", ty(k, n)));
    let c = builder.contract("mk,kn->mn", a, b)?;
    builder.output("c", c);
    Ok(builder.finish())
}
