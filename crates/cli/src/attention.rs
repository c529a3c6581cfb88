//! `inkle bench attention`: softmax(Q K^T / sqrt(d)) V beside the peak of this machine, by the multiply-adds of its two products.

use crate::against_peak::{Problem, drawn, numbers, timed};
use crate::args::AttentionArgs;
use crate::failure::Failure;
use crate::report::Report;
use ir::{DType, Diagnostic, Graph, TensorType};
use ops::Builder;
use serde_json::{Map, json};
use sym::Expr;

pub fn attention(arguments: &AttentionArgs) -> Result<Report, Failure> {
    let AttentionArgs { batch, heads, length, depth, .. } = *arguments;
    let sizes = [batch, heads, length, depth].map(|size| size as usize);
    let [batch, heads, length, depth] = sizes;
    let inputs: Vec<_> = (1..=3).map(|seed| drawn(DType::F32, sizes.to_vec(), seed)).collect();
    let terms: Vec<Vec<f64>> = inputs.iter().map(numbers).collect();
    let problem = Problem {
        graph: graph(sizes).map_err(|problem| Failure::from(ir::Diagnostics::from(problem)))?,
        inputs,
        dtype: DType::F32,
        multiply_adds: 2.0 * (batch * heads * length * length * depth) as f64,
        parameters: Map::from_iter(["batch", "heads", "length", "depth"].into_iter().zip(sizes).map(|(k, v)| (k.to_string(), json!(v)))),
    };
    timed(problem, &arguments.machine, &|at| element(&terms, length, depth, at))
}

fn graph(sizes: [usize; 4]) -> Result<Graph, Diagnostic> {
    let ty = TensorType::new(DType::F32, sizes.map(|size| Expr::from(size as i64)).to_vec());
    let mut builder = Builder::new("attention");
    let [q, k, v] = ["q", "k", "v"].map(|name| builder.input(name, ty.clone()));
    let y = builder.attention(q, k, v, None, (sizes[3] as f64).powf(-0.5))?;
    builder.output("y", y);
    Ok(builder.finish())
}

/// An element of the result, `[batch, head, row, column]`.
fn element(terms: &[Vec<f64>], length: usize, depth: usize, at: usize) -> f64 {
    let (column, row) = (at % depth, at / depth);
    let head = row / length * length;
    let score = |other: usize| {
        let products = (0..depth).map(|i| terms[0][row * depth + i] * terms[1][(head + other) * depth + i]);
        products.sum::<f64>() / (depth as f64).sqrt()
    };
    let scores: Vec<f64> = (0..length).map(score).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = scores.iter().map(|score| (score - most).exp());
    let sums = weights
        .enumerate()
        .fold((0.0, 0.0), |(sum, all), (other, weight)| (sum + weight * terms[2][(head + other) * depth + column], all + weight));
    sums.0 / sums.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Tensor;

    #[test]
    fn elements_are_those_of_the_reference() {
        let sizes = [2, 3, 5, 4];
        let inputs: Vec<Tensor> = (1..=3).map(|seed| drawn(DType::F32, sizes.to_vec(), seed)).collect();
        let terms: Vec<Vec<f64>> = inputs.iter().map(numbers).collect();
        let arrays: Vec<ir::Array> = inputs.iter().map(Tensor::to_array).collect();
        let want = ops::interp::outputs(&graph(sizes).unwrap(), &arrays, &Default::default()).unwrap();
        for at in 0..want[0].count() {
            assert!((want[0].get(at).as_f64() - element(&terms, 5, 4, at)).abs() < 1e-6);
        }
    }
}
