//! What a model computes by the reference meanings of its ops, and how far from it a correct compiler may be.
//!
//! The bound is measured on the model itself, not guessed. The graph, its composites as core ops, is interpreted again with roundings in
//! it: every float that a node computes, and every float that enters a sum, is moved by 2 to 4 times the most that its type's rounding does
//! to it, by how much and up or down at random, so that two moves of one number hardly cancel. (For f32 that is a relative 2^-23 to 2^-22;
//! numbers too small to be normal are moved by as much as the smallest that are.) Zeros stay. What only moves, compares or cuts numbers
//! rounds nothing, so it is left alone, and so are inputs and weights, which every compiler is given with the same bits.
//!
//! The largest difference in an output, over a few such runs, is what rounding does to it. A compiler rounds in another order and more
//! often, so 16 times that is allowed, and 64 roundings of the largest element, for outputs whose nodes round only at the end:
//!
//! ```text
//! |got - want|  <=  16 max |perturbed - want| + 64 rounding(max |want|)
//! ```
//!
//! The maxima are over the whole output. Integers and bools must be equal.
//!
//! The interpreter has the range of f64. Where a node's number is outside its type's range, a compiler may have an infinity or a zero
//! there, or the number, if it keeps a chain in a wider type. So when there are such numbers the graph is interpreted with each of them cut
//! to the range, and with NaN for each; an element that any run gives another class (a number, an infinity of a sign, NaN), or that these
//! move by more than the bound, is open: any value is right.

use ir::array::Data;
use ir::graph::{Attr, Node};
use ir::{Array, DType, Diagnostic, Graph, Literal, Strings, ValueId};
use nest::Func;
use ops::interp::{self, Floats, Values};
use random::Random;
use std::collections::BTreeMap;
use sym::Sym;

/// Outputs, how far from each of them a result may be, and which elements are not compared.
#[derive(Clone, Debug)]
pub struct Reference {
    pub outputs: Vec<Array>,
    pub bounds: Vec<f64>,
    pub open: Vec<Vec<bool>>,
}

/// How many perturbed runs there are, each twice: all moves of the second are those of the first turned round, as a function may be flat on
/// one side. With one, the differences of a single number could cancel.
const RUNS: u64 = 2;
/// The least perturbation, in roundings; the largest is twice that.
const STEP: f64 = 2.0;
const FACTOR: f64 = 16.0;
/// A sum of terms of one sign is off by a rounding for each term at most, and by a part of that where equal terms are added one by one:
/// their roundings have one sign for a while.
const BIAS: f64 = 1.0 / FACTOR;
const LEAST_ROUNDINGS: f64 = 64.0;

pub fn reference(graph: &Graph, inputs: &[Array], sizes: &BTreeMap<Sym, i64>, seed: u64) -> Result<Reference, Diagnostic> {
    let outputs = interp::outputs(graph, inputs, sizes)?;
    // what is inside of a composite is rounded too; where it differs from the composite, nothing of that enters the bound
    let graph = &passes::decompose::decompose(graph);
    let exact = interp::outputs(graph, inputs, sizes)?;
    let mut differences = vec![0.0f64; outputs.len()];
    let mut open: Vec<Vec<bool>> = outputs.iter().map(|output| vec![false; output.count()]).collect();
    let (mut leaves_range, mut meets_infinity) = (false, inputs.iter().any(has_infinity));
    for (run, turn) in (0..RUNS).flat_map(|run| [(run, 1.0), (run, -1.0)]) {
        let mut perturbed = Changed::new(Change::Perturb { random: Random::named(seed + run, "perturbation"), turn }, graph);
        let others = perturbed.outputs(graph, inputs, sizes)?;
        leaves_range |= perturbed.leaves_range;
        meets_infinity |= perturbed.meets_infinity;
        for (at, (exact, other)) in exact.iter().zip(&others).enumerate() {
            differences[at] = differences[at].max(largest_difference(exact, other));
            mark(&mut open[at], exact, other, |exact, other| class(exact) != class(other));
        }
    }
    let bound = |(want, difference): (&Array, &f64)| FACTOR * difference + LEAST_ROUNDINGS * want.dtype().rounding(largest(want));
    let bounds: Vec<f64> = outputs.iter().zip(&differences).map(bound).collect();
    for change in [Change::Cut, Change::Spoil].into_iter().filter(|_| leaves_range) {
        let others = Changed::new(change, graph).outputs(graph, inputs, sizes)?;
        for (at, (exact, other)) in exact.iter().zip(&others).enumerate() {
            mark(&mut open[at], exact, other, |exact, other| class(exact) != class(other) || (exact - other).abs() > bounds[at]);
        }
    }
    // a difference that is zero by chance turns an infinite factor into NaN
    if meets_infinity || leaves_range {
        let others = Changed::new(Change::Cancel, graph).outputs(graph, inputs, sizes)?;
        for (at, (exact, other)) in exact.iter().zip(&others).enumerate() {
            mark(&mut open[at], exact, other, |exact, other| class(exact) != class(other));
        }
    }
    Ok(Reference { outputs, bounds, open })
}

fn has_infinity(array: &Array) -> bool {
    matches!(array.data(), Data::Float(data) if data.iter().any(|x| x.is_infinite()))
}

/// Marks the elements that are apart.
fn mark(open: &mut [bool], want: &Array, other: &Array, apart: impl Fn(f64, f64) -> bool) {
    match (want.data(), other.data()) {
        (Data::Float(want), Data::Float(other)) => {
            open.iter_mut().zip(want.iter().zip(other)).for_each(|(open, (want, other))| *open |= apart(*want, *other));
        }
        (Data::Int(want), Data::Int(other)) => {
            open.iter_mut().zip(want.iter().zip(other)).for_each(|(open, (want, other))| *open |= want != other);
        }
        (_, _) => {}
    }
}

/// Numbers, each infinity, and NaN.
fn class(x: f64) -> i32 {
    match (x.is_finite(), x.is_nan()) {
        (true, _) => 0,
        (_, true) => 2,
        (_, false) => x.signum() as i32,
    }
}

/// The largest element that is a number of its type, without its sign.
fn largest(array: &Array) -> f64 {
    match array.data() {
        Data::Float(data) => data.iter().map(|x| x.abs()).filter(|x| *x <= array.dtype().largest()).fold(0.0, f64::max),
        Data::Int(_) => 0.0,
    }
}

fn largest_difference(a: &Array, b: &Array) -> f64 {
    match (a.data(), b.data()) {
        (Data::Float(a), Data::Float(b)) => a.iter().zip(b).map(|(a, b)| (a - b).abs()).filter(|x| x.is_finite()).fold(0.0, f64::max),
        (_, _) => 0.0,
    }
}

/// What is done to the floats that nodes compute.
enum Change {
    /// `turn` is 1 or -1.
    Perturb { random: Random, turn: f64 },
    /// Numbers outside the type's range become what they are rounded to.
    Cut,
    /// They become NaN.
    Spoil,
    /// Sums and differences within some roundings of what they are made of become zero.
    Cancel,
}

/// A run of a graph in which floats are changed.
struct Changed {
    change: Change,
    /// Whether a number was outside its type's range.
    leaves_range: bool,
    /// Whether a number that a node computed was infinite.
    meets_infinity: bool,
    strings: Strings,
}

impl Changed {
    fn new(change: Change, graph: &Graph) -> Changed {
        Changed { change, leaves_range: false, meets_infinity: false, strings: Strings::of(&graph.texts) }
    }

    fn outputs(&mut self, graph: &Graph, inputs: &[Array], sizes: &BTreeMap<Sym, i64>) -> Result<Vec<Array>, Diagnostic> {
        let mut values: Values =
            graph.values.iter().enumerate().map(|(at, _)| graph.constant(ValueId(at as u32)).map(|tensor| tensor.to_array())).collect();
        for (id, input) in graph.inputs.iter().zip(inputs) {
            values[id.0 as usize] = Some(input.clone());
        }
        let mut sizes = sizes.clone();
        interp::compute_sizes(graph, &values, &mut sizes)?;
        for node in &graph.nodes {
            let exact = is_exact(graph, node);
            let kept: Vec<(ValueId, Option<Array>)> = node.inputs.iter().map(|id| (*id, values[id.0 as usize].clone())).collect();
            if !exact && node.op != "map" && node.regions.is_empty() && matches!(self.change, Change::Perturb { .. }) {
                node.inputs.iter().for_each(|id| self.change(&mut values[id.0 as usize], 0.0));
            }
            let results = match node.regions.is_empty() {
                true => interp::node_results(graph, node, &values, &sizes, &self.strings, Floats::Exact)?,
                false => {
                    let operands: Vec<Array> = node.inputs.iter().filter_map(|id| values[id.0 as usize].clone()).collect();
                    let mut run = |region: &Graph, inputs: &[Array]| self.outputs(region, inputs, &sizes);
                    interp::regions::results(node, &operands, &sizes, &mut run)?
                }
            };
            kept.into_iter().for_each(|(id, value)| values[id.0 as usize] = value);
            for (id, result) in node.outputs.iter().zip(results) {
                self.meets_infinity |= has_infinity(&result);
                let result = if matches!(self.change, Change::Cancel) { cancelled(node, &values, result) } else { result };
                values[id.0 as usize] = Some(result);
                if !exact {
                    let biased = BIAS * summands(node, &values);
                    self.change(&mut values[id.0 as usize], biased);
                }
            }
            interp::compute_sizes(graph, &values, &mut sizes)?;
        }
        Ok(graph.outputs.iter().filter_map(|(_, id)| values[id.0 as usize].clone()).collect())
    }

    /// Perturbations are larger by `biased` roundings.
    fn change(&mut self, value: &mut Option<Array>, biased: f64) {
        let Some(array) = value else { return };
        let Data::Float(data) = array.data() else { return };
        let dtype = array.dtype();
        let changed = data.iter().map(|x| self.changed(dtype, *x, biased)).collect();
        *array = Array::floats(dtype, array.dims().to_vec(), changed);
    }

    fn changed(&mut self, dtype: DType, x: f64, biased: f64) -> f64 {
        let outside = x.is_finite() && x != 0.0 && (x.abs() > dtype.largest() || x.abs() <= dtype.half_smallest());
        self.leaves_range |= outside;
        match (&mut self.change, outside) {
            (Change::Cut, true) => dtype.rounded(x),
            (Change::Spoil, true) => f64::NAN,
            (Change::Perturb { random, turn }, _) if x != 0.0 && x.abs() <= dtype.largest() => {
                let bits = random.bits();
                let part = (bits & 0xffff) as f64 / 65536.0;
                let step = *turn * (STEP * (1.0 + part) + biased) * dtype.rounding(x);
                x + if bits >> 63 == 0 { step } else { -step }
            }
            (_, _) => x,
        }
    }
}

/// How many elements each element of a reduction's result is the sum of; 0 for other nodes.
fn summands(node: &Node, values: &Values) -> f64 {
    let count = |id: &ValueId| values[id.0 as usize].as_ref().map_or(0, Array::count) as f64;
    match (node.attrs.get("kind"), node.inputs.first(), node.outputs.first()) {
        (Some(Attr::Text(kind)), Some(from), Some(to)) if node.op == "reduce" && kind == "sum" => count(from) / count(to).max(1.0),
        _ => 0.0,
    }
}

/// The result of a sum or difference, zero where it is of the size of roundings.
fn cancelled(node: &Node, values: &Values, result: Array) -> Array {
    let sums = matches!(node.attrs.get("func"), Some(Attr::Text(func)) if func == "add" || func == "sub");
    let [Some(a), Some(b)] = [0, 1].map(|at| node.inputs.get(at).and_then(|id| values[id.0 as usize].as_ref())) else { return result };
    if node.op != "map" || !sums || !result.dtype().is_float() {
        return result;
    }
    let dtype = result.dtype();
    let noise = |at| LEAST_ROUNDINGS * [a, b].map(|operand| dtype.rounding(operand.get(at).as_f64())).into_iter().fold(0.0, f64::max);
    Array::from_fn(dtype, result.dims().to_vec(), |at| {
        if result.get(at).as_f64().abs() <= noise(at) { Literal::Float(0.0) } else { result.get(at) }
    })
}

/// Whether a node rounds nothing.
fn is_exact(graph: &Graph, node: &Node) -> bool {
    let text = |name: &str| match node.attrs.get(name) {
        Some(Attr::Text(text)) => text.as_str(),
        _ => "",
    };
    match node.op {
        "bitcast" | "broadcast" | "reshape" | "transpose" | "slice" | "concat" | "pad" | "gather" | "gather_nd" | "iota" | "sizes"
        | "clamp" => true,
        "map" => Func::from_name(text("func")).is_some_and(|func| is_exact_function(func, graph.ty(node.inputs[0]).dtype)),
        "reduce" | "reduce_window" => matches!(text("kind"), "max" | "min" | "and" | "or"),
        "convert" => {
            let [from, to] = [node.inputs[0], node.outputs[0]].map(|id| graph.ty(id).dtype);
            !to.is_float() || from.is_float() && to.unit_roundoff() <= from.unit_roundoff()
        }
        op => ops::is_host_step(op),
    }
}

/// A remainder of floats is a float.
fn is_exact_function(func: Func, dtype: DType) -> bool {
    func == Func::Rem || func.is_exact(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::{Builder, Folded};

    fn bound(numbers: &[f64], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> f64 {
        bound_in(DType::F32, numbers, build)
    }

    fn bound_in(dtype: DType, numbers: &[f64], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> f64 {
        referred(dtype, numbers, build).bounds[0]
    }

    fn referred(dtype: DType, numbers: &[f64], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> Reference {
        let mut b = Builder::new("g");
        let x = b.input("x", ir::TensorType::new(dtype, vec![sym::Expr::from(numbers.len() as i64)]));
        let y = build(&mut b, x);
        b.output("y", y);
        let x = Array::floats(dtype, vec![numbers.len()], numbers.to_vec());
        reference(&b.finish(), &[x], &BTreeMap::new(), 1).unwrap()
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
        assert!((1e-8 * 6e4..1.0).contains(&scaled), "{scaled}");
    }

    #[test]
    fn what_leaves_the_range_of_its_type_is_open() {
        let root = |b: &mut Builder, x: ValueId| {
            let square = b.map(Func::Mul, &[x, x]).unwrap();
            b.map(Func::Sqrt, &[square]).unwrap()
        };
        let found = referred(DType::F16, &[300.0, 200.0], root);
        assert_eq!(found.open, [vec![true, false]]);
        assert!(found.bounds[0] < 32.0, "{:?}", found.bounds);
        assert_eq!(referred(DType::F32, &[300.0, 200.0], root).open, [vec![false, false]]);
    }

    #[test]
    fn an_infinity_that_is_given_is_compared() {
        let shifted = |b: &mut Builder, x: ValueId| b.map_number(Func::Add, x, 1.0).unwrap();
        assert_eq!(referred(DType::F32, &[f64::INFINITY, 1.0], shifted).open, [vec![false, false]]);
    }

    #[test]
    fn a_sum_that_cancels_has_a_bound_by_its_terms() {
        let sum = bound(&[1000.0, -1000.0, 0.25], |b, x| b.reduce(nest::Monoid::Sum, x, &[0], Folded::Kept).unwrap());
        assert!(sum > 1000.0 * UNIT && sum < 1000.0 * 1000.0 * UNIT, "{sum}");
    }

    #[test]
    fn a_function_that_is_flat_on_one_side_shows_the_other() {
        for number in (1..50).map(|k| 1e6 + k as f64) {
            // -d / sqrt(d^2 + 1e-5), which is nearly -1 for a larger d
            let steep = bound(&[number], |b, x| {
                let moved = b.map_number(Func::Sub, x, number - 0.08).unwrap();
                let square = b.map(Func::Mul, &[moved, moved]).unwrap();
                let root = b.map_number(Func::Add, square, 1e-5).unwrap();
                let root = b.map(Func::Rsqrt, &[root]).unwrap();
                b.map(Func::Mul, &[moved, root]).unwrap()
            });
            assert!(steep > 1e-9, "{number}: {steep}");
        }
    }

    #[test]
    fn moves_of_a_single_number_do_not_cancel() {
        for number in (1..100).map(|k| 1.0 + k as f64 / 64.0) {
            let product = bound(&[number], |b, x| {
                let tripled = b.map_number(Func::Mul, x, 3.0).unwrap();
                let product = b.map(Func::Mul, &[tripled, tripled]).unwrap();
                b.convert(product, DType::F64).unwrap()
            });
            assert!(product > UNIT * 9.0 * number * number, "{number}: {product}");
        }
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
