//! What a model computes by the reference meanings of its ops, and how far from it a correct compiler may be.
//!
//! The bound is measured on the model itself, not guessed. The graph is interpreted again with roundings in it: every float that a node
//! computes, and every float that enters a sum, is moved by 4 times the most that its type's rounding does to it, up or down at random. (For
//! f32 that is a relative 2^-22; numbers too small to be normal are moved by as much as the smallest that are.) Zeros stay. What only moves, compares or cuts numbers rounds nothing, so it is left alone, and so are inputs and weights, which
//! every compiler is given with the same bits.
//!
//! The largest difference in an output, over a few such runs, is what rounding does to it. A compiler rounds in another order and more
//! often, so 16 times that is allowed, and 64 roundings of the largest element, for outputs whose nodes round only at the end:
//!
//! ```text
//! |got - want|  <=  16 max |perturbed - want| + 64 rounding(max |want|)
//! ```
//!
//! The maxima are over the whole output. Integers and bools must be equal.

use crate::random::Random;
use ir::array::Data;
use ir::graph::{Attr, Node};
use ir::{Array, Diagnostic, Graph, ValueId};
use nest::Func;
use ops::interp::{self, Values};
use std::collections::BTreeMap;
use sym::Sym;

/// Outputs, and how far from each of them a result may be.
#[derive(Clone, Debug)]
pub struct Reference {
    pub outputs: Vec<Array>,
    pub bounds: Vec<f64>,
}

/// How many perturbed runs there are. With one, the differences of a single number could cancel.
const RUNS: u64 = 3;
/// A perturbation, in roundings.
const STEP: f64 = 4.0;
const FACTOR: f64 = 16.0;
const LEAST_ROUNDINGS: f64 = 64.0;

pub fn reference(graph: &Graph, inputs: &[Array], sizes: &BTreeMap<Sym, i64>, seed: u64) -> Result<Reference, Diagnostic> {
    let outputs = interp::outputs(graph, inputs, sizes)?;
    let mut differences = vec![0.0f64; outputs.len()];
    for run in 0..RUNS {
        let perturbed = perturbed_outputs(graph, inputs, sizes, &mut Random::named(seed + run, "perturbation"))?;
        for (difference, (want, other)) in differences.iter_mut().zip(outputs.iter().zip(&perturbed)) {
            *difference = difference.max(largest_difference(want, other));
        }
    }
    let bound = |(want, difference): (&Array, &f64)| FACTOR * difference + LEAST_ROUNDINGS * want.dtype().rounding(largest(want));
    let bounds = outputs.iter().zip(&differences).map(bound).collect();
    Ok(Reference { outputs, bounds })
}

/// The largest finite element, without its sign.
fn largest(array: &Array) -> f64 {
    match array.data() {
        Data::Float(data) => data.iter().filter(|x| x.is_finite()).fold(0.0, |largest, x| largest.max(x.abs())),
        Data::Int(_) => 0.0,
    }
}

fn largest_difference(a: &Array, b: &Array) -> f64 {
    match (a.data(), b.data()) {
        (Data::Float(a), Data::Float(b)) => a.iter().zip(b).map(|(a, b)| (a - b).abs()).filter(|x| x.is_finite()).fold(0.0, f64::max),
        (_, _) => 0.0,
    }
}

fn perturbed_outputs(graph: &Graph, inputs: &[Array], sizes: &BTreeMap<Sym, i64>, random: &mut Random) -> Result<Vec<Array>, Diagnostic> {
    let mut values: Values =
        graph.values.iter().enumerate().map(|(at, _)| graph.constant(ValueId(at as u32)).map(|tensor| tensor.to_array())).collect();
    for (id, input) in graph.inputs.iter().zip(inputs) {
        values[id.0 as usize] = Some(input.clone());
    }
    for node in &graph.nodes {
        let exact = is_exact(graph, node);
        let kept: Vec<(ValueId, Option<Array>)> = node.inputs.iter().map(|id| (*id, values[id.0 as usize].clone())).collect();
        if !exact && node.op != "map" && node.regions.is_empty() {
            node.inputs.iter().for_each(|id| perturb(&mut values[id.0 as usize], random));
        }
        let results = match node.regions.is_empty() {
            true => interp::node_results(graph, node, &values, sizes)?,
            false => {
                let operands: Vec<Array> = node.inputs.iter().filter_map(|id| values[id.0 as usize].clone()).collect();
                let mut run = |region: &Graph, inputs: &[Array]| perturbed_outputs(region, inputs, sizes, random);
                interp::regions::results(node, &operands, sizes, &mut run)?
            }
        };
        kept.into_iter().for_each(|(id, value)| values[id.0 as usize] = value);
        for (id, result) in node.outputs.iter().zip(results) {
            values[id.0 as usize] = Some(result);
            if !exact {
                perturb(&mut values[id.0 as usize], random);
            }
        }
    }
    Ok(graph.outputs.iter().filter_map(|(_, id)| values[id.0 as usize].clone()).collect())
}

/// Whether a node rounds nothing.
fn is_exact(graph: &Graph, node: &Node) -> bool {
    let text = |name: &str| match node.attrs.get(name) {
        Some(Attr::Text(text)) => text.as_str(),
        _ => "",
    };
    match node.op {
        "broadcast" | "reshape" | "transpose" | "slice" | "concat" | "pad" | "gather" | "gather_nd" | "iota" | "sizes" | "clamp" => true,
        "map" => Func::from_name(text("func")).is_some_and(is_exact_function),
        "reduce" | "reduce_window" => matches!(text("kind"), "max" | "min" | "and" | "or"),
        "convert" => {
            let [from, to] = [node.inputs[0], node.outputs[0]].map(|id| graph.ty(id).dtype);
            !to.is_float() || from.is_float() && to.unit_roundoff() <= from.unit_roundoff()
        }
        _ => false,
    }
}

fn is_exact_function(func: Func) -> bool {
    let exact = matches!(
        func,
        Func::Neg | Func::Abs | Func::Sign | Func::Floor | Func::Ceil | Func::Round | Func::Trunc | Func::IsNan | Func::IsInf | Func::Not
    );
    exact || func.is_comparison() || matches!(func, Func::Rem | Func::Max | Func::Min | Func::And | Func::Or | Func::Xor | Func::Select)
}

fn perturb(value: &mut Option<Array>, random: &mut Random) {
    let Some(array) = value else { return };
    let Data::Float(data) = array.data() else { return };
    let dtype = array.dtype();
    let mut step = |x: f64| STEP * dtype.rounding(x) * if random.bits() >> 63 == 0 { 1.0 } else { -1.0 };
    let moved = data.iter().map(|x| if *x == 0.0 { *x } else { x + step(*x) }).collect();
    *array = Array::floats(dtype, array.dims().to_vec(), moved);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;
    use ops::{Builder, Folded};

    fn bound(numbers: &[f64], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> f64 {
        bound_in(DType::F32, numbers, build)
    }

    fn bound_in(dtype: DType, numbers: &[f64], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> f64 {
        let mut b = Builder::new("g");
        let x = b.input("x", ir::TensorType::new(dtype, vec![sym::Expr::from(numbers.len() as i64)]));
        let y = build(&mut b, x);
        b.output("y", y);
        let x = Array::floats(dtype, vec![numbers.len()], numbers.to_vec());
        reference(&b.finish(), &[x], &BTreeMap::new(), 1).unwrap().bounds[0]
    }

    const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

    #[test]
    fn what_rounds_nothing_has_the_least_bound() {
        let moved = bound(&[3.0, -4.0], |b, x| b.map(Func::Neg, &[x]).unwrap());
        assert_eq!(moved, LEAST_ROUNDINGS * DType::F32.rounding(4.0));
    }

    #[test]
    fn a_product_may_underflow() {
        let scaled = bound_in(DType::F16, &[1e-4], |b, x| {
            let product = b.map(Func::Mul, &[x, x]).unwrap();
            b.map_number(Func::Mul, product, 6e4).unwrap()
        });
        // 1e-8 is 0 in f16
        assert!(scaled >= 1e-8 * 6e4 && scaled < 1.0, "{scaled}");
    }

    #[test]
    fn a_sum_that_cancels_has_a_bound_by_its_terms() {
        let sum = bound(&[1000.0, -1000.0, 0.25], |b, x| b.reduce(nest::Monoid::Sum, x, &[0], Folded::Kept).unwrap());
        assert!(sum > 1000.0 * UNIT && sum < 1000.0 * 1000.0 * UNIT, "{sum}");
    }

    #[test]
    fn the_bound_grows_with_the_condition_of_the_function() {
        let steep = bound(&[10.0], |b, x| {
            let scaled = b.map_number(Func::Mul, x, 1.1).unwrap();
            b.map(Func::Exp, &[scaled]).unwrap()
        });
        let relative = steep / 11f64.exp();
        assert!(relative > 11.0 * STEP * UNIT, "{relative}");
    }
}
