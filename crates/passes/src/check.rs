//! Whether two graphs compute the same, by executing both on drawn inputs.

use ir::array::Data;
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Array, DType, Graph, Literal};
use ops::interp::{check_guards, concrete_type, outputs};
use random::Random;
use std::collections::{BTreeMap, BTreeSet};
use sym::Sym;

/// The difference between two graphs that are equal but for the rounding of f64.
pub const ROUNDING: f64 = 1e-9;

/// How many draws of sizes are tried before giving up.
const DRAWS: usize = 2000;

/// How many inputs are tried until some show something; the sizes double each time.
const ATTEMPTS: usize = 6;

/// Interprets both graphs on small inputs drawn from `seed` (symbols get small sizes that satisfy the guards and facts of both) and
/// compares outputs: names and types must be equal, numbers up to 1e-9 of the largest in their tensor. The error says what differs.
pub fn executes_equally(before: &Graph, after: &Graph, seed: u64) -> Result<(), String> {
    executes_within(before, after, seed, ROUNDING)
}

/// Like [`executes_equally`], with another bound on the relative difference: of passes that know constants only up to their type's
/// rounding. Inputs that show nothing, because both graphs fail alike or give no number, are drawn again with larger sizes. It is an error
/// where no others are found.
pub fn executes_within(before: &Graph, after: &Graph, seed: u64, tolerance: f64) -> Result<(), String> {
    same_interface(before, after)?;
    let mut draw = Random::new(seed);
    let mut nothing = String::new();
    for attempt in 0..ATTEMPTS {
        let symbols = drawn_sizes(&[before, after], 4 << attempt, &mut draw).ok_or("no small sizes satisfy the guards")?;
        let inputs = drawn_inputs(before, &symbols, &mut draw)?;
        match compare_on(before, after, &inputs, &symbols, tolerance)? {
            Outcome::Equal => return Ok(()),
            Outcome::Nothing(why) => nothing = format!("nothing is shown for {symbols:?}: {why}"),
        }
    }
    Err(nothing)
}

/// What two executions that don't differ show.
pub enum Outcome {
    /// Equal outputs, with a number among them.
    Equal,
    /// Errors of one code, or outputs that are empty or NaN.
    Nothing(String),
}

/// Interprets both graphs on given inputs and compares outputs; the error says what differs.
pub fn compare_on(
    before: &Graph,
    after: &Graph,
    inputs: &[Array],
    symbols: &BTreeMap<Sym, i64>,
    tolerance: f64,
) -> Result<Outcome, String> {
    let (want, got) = match (outputs(before, inputs, symbols), outputs(after, inputs, symbols)) {
        (Ok(want), Ok(got)) => (want, got),
        (Err(a), Err(b)) if a.code == b.code => return Ok(Outcome::Nothing(a.to_string())),
        (Err(a), Err(b)) => return Err(format!("before fails with {a}, after with {b}")),
        (Err(error), Ok(_)) => return Err(format!("only before fails: {error}")),
        (Ok(_), Err(error)) => return Err(format!("only after fails: {error}")),
    };
    for (((name, _), want), got) in before.outputs.iter().zip(&want).zip(&got) {
        same_array(want, got, tolerance).map_err(|why| format!("output {name} for {symbols:?}: {why}"))?;
    }
    let number = |array: &Array| (0..array.count()).any(|at| !array.get(at).as_f64().is_nan());
    Ok(if want.iter().any(number) { Outcome::Equal } else { Outcome::Nothing("no output has a number".to_string()) })
}

/// Names and element types of inputs and outputs, in order.
fn same_interface(before: &Graph, after: &Graph) -> Result<(), String> {
    let inputs =
        |graph: &Graph| graph.inputs.iter().map(|id| (graph.value(*id).name.to_string(), graph.ty(*id).clone())).collect::<Vec<_>>();
    let outputs = |graph: &Graph| graph.outputs.iter().map(|(name, id)| (name.clone(), graph.ty(*id).clone())).collect::<Vec<_>>();
    for (what, a, b) in [("inputs", inputs(before), inputs(after)), ("outputs", outputs(before), outputs(after))] {
        if a != b {
            return Err(format!("{what} differ: {a:?} vs {b:?}"));
        }
    }
    Ok(())
}

/// The first element that differs by more than `tolerance` of the largest number in the tensor.
fn same_array(want: &Array, got: &Array, tolerance: f64) -> Result<(), String> {
    if (want.dtype(), want.dims()) != (got.dtype(), got.dims()) {
        return Err(format!("{}{:?} vs {}{:?}", want.dtype(), want.dims(), got.dtype(), got.dims()));
    }
    let largest = match want.data() {
        Data::Float(data) => data.iter().filter(|x| x.is_finite()).fold(0.0, |largest: f64, x| largest.max(x.abs())),
        Data::Int(_) => 0.0,
    };
    let differs = |at: &usize| !same_number(want.get(*at), got.get(*at), tolerance * largest);
    match (0..want.count()).find(differs) {
        Some(at) => Err(format!("element {at} of {}{:?}: {} vs {}", want.dtype(), want.dims(), want.get(at), got.get(at))),
        None => Ok(()),
    }
}

fn same_number(want: Literal, got: Literal, bound: f64) -> bool {
    match (want, got) {
        (Literal::Float(a), Literal::Float(b)) => a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= bound,
        (a, b) => a == b,
    }
}

/// Sizes for all symbols of the graphs that keep their facts and guards, and give no dim of an input a negative size: of the `spread` + 1
/// smallest, and those that guards mention. None where none are found.
pub fn drawn_sizes(graphs: &[&Graph], spread: i64, draw: &mut Random) -> Option<BTreeMap<Sym, i64>> {
    let choices = choices(graphs, spread);
    for attempt in 0..DRAWS {
        // the first draws have no size below 2, so that small indices are in bounds
        let least = if attempt < DRAWS / 2 { 2 } else { 0 };
        let pick = |sizes: &Vec<i64>, draw: &mut Random| {
            let large: Vec<i64> = sizes.iter().copied().filter(|size| *size >= least).collect();
            let from = if large.is_empty() { sizes } else { &large };
            from.get(draw.below(from.len())).copied()
        };
        let symbols: Option<BTreeMap<Sym, i64>> = choices.iter().map(|(sym, sizes)| Some((sym.clone(), pick(sizes, draw)?))).collect();
        let symbols = symbols?;
        let fits = |graph: &&Graph| {
            check_guards(graph, &symbols).is_ok() && graph.inputs.iter().all(|id| concrete_type(graph.ty(*id), &symbols).is_some())
        };
        if graphs.iter().all(fits) {
            return Some(symbols);
        }
    }
    None
}

/// The sizes to try for each symbol: the smallest that its facts allow, and the numbers that guards mention.
fn choices(graphs: &[&Graph], spread: i64) -> BTreeMap<Sym, Vec<i64>> {
    let mut facts: BTreeMap<Sym, SymbolFact> = BTreeMap::new();
    let given = graphs.iter().flat_map(|graph| graph.symbols.iter().filter(|(sym, _)| !graph.is_computed(sym)));
    for (sym, fact) in given {
        let joined = facts.entry(sym.clone()).or_insert(*fact);
        *joined = SymbolFact { low: joined.low.max(fact.low), high: joined.high.min(fact.high) };
    }
    let mentioned: BTreeSet<i64> = graphs.iter().flat_map(|graph| &graph.guards).flat_map(|guard| numbers(&guard.condition)).collect();
    let sizes = |fact: &SymbolFact| {
        let small = fact.low.max(1)..=fact.low.max(1) + spread;
        let all: BTreeSet<i64> = small.chain([fact.low]).chain(mentioned.iter().copied()).collect();
        all.into_iter().filter(|size| (fact.low..=fact.high).contains(size)).collect()
    };
    facts.iter().map(|(sym, fact)| (sym.clone(), sizes(fact))).collect()
}

/// The constants of a condition, and those with the offset that the other side has.
fn numbers(condition: &Condition) -> Vec<i64> {
    let (Condition::Equal(a, b) | Condition::OneOrEqual(a, b) | Condition::AtLeast(a, b)) = condition;
    let (a, b) = (a.constant_part(), b.constant_part());
    [a, b, (a - b).abs()].into_iter().filter(|size| (0..64).contains(size)).collect()
}

/// Inputs of small numbers: floats of -2..2, integers and bools 0 or 1.
pub fn drawn_inputs(graph: &Graph, symbols: &BTreeMap<Sym, i64>, draw: &mut Random) -> Result<Vec<Array>, String> {
    let mut input = |id: &ir::ValueId| {
        let (dtype, dims) =
            concrete_type(graph.ty(*id), symbols).ok_or_else(|| format!("a size of {} is not known", graph.value(*id).name))?;
        Ok(drawn_array(dtype, dims, draw))
    };
    graph.inputs.iter().map(&mut input).collect()
}

fn drawn_array(dtype: DType, dims: Vec<usize>, draw: &mut Random) -> Array {
    Array::from_fn(dtype, dims, |_| match dtype.is_float() {
        true => Literal::Float(draw.float(-2.0, 2.0)),
        false => Literal::Int(draw.below(2) as i64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counted, graph_of, ty};
    use ir::graph::SymbolFact;
    use nest::Func;

    #[test]
    fn differences_are_named() {
        let graph = |func: Func| {
            graph_of(|b| {
                let (x, z) = (b.input("x", ty("f32[n]")), b.input("z", ty("f32[n]")));
                b.map(func, &[x, z])
            })
        };
        assert_eq!(executes_equally(&graph(Func::Add), &graph(Func::Add), 1), Ok(()));
        let error = executes_equally(&graph(Func::Add), &graph(Func::Sub), 1).unwrap_err();
        assert!(error.starts_with("output y for {n: "), "{error}");
        let other = graph_of(|b| Ok(b.input("x", ty("f32[m]"))));
        assert_eq!(
            executes_equally(&graph(Func::Add), &other, 1).unwrap_err(),
            "inputs differ: [(\"x\", f32[n]), (\"z\", f32[n])] vs [(\"x\", f32[m])]"
        );
    }

    #[test]
    fn sizes_keep_facts_and_guards() {
        let graph = graph_of(|b| {
            b.graph.symbol(&Sym::new("m"), SymbolFact { low: 7, high: 9 });
            let (x, w) = (b.input("x", ty("f32[n, m]")), b.input("w", ty("f32[23, k]")));
            let x = b.reshape(x, &ty("f32[m, n]").dims)?;
            let x = b.contract("mn,nk->mk", x, w)?;
            let table = counted(b, DType::F32, &[8, 1]);
            b.map_broadcast(Func::Add, &[x, table])
        });
        let sizes = drawn_sizes(&[&graph], 4, &mut Random::new(3)).unwrap();
        assert_eq!((sizes[&Sym::new("m")], sizes[&Sym::new("n")]), (8, 23));
    }

    /// Of nothing that runs it can't be said that it runs equally.
    #[test]
    fn what_always_fails_is_not_equal() {
        let graph = graph_of(|b| {
            let (x, index) = (b.input("x", ty("f32[3]")), b.ints(DType::I64, vec![1], vec![3]));
            b.gather(x, index, 0)
        });
        assert!(executes_equally(&graph, &graph, 1).unwrap_err().starts_with("nothing is shown for {}: [E010] /test"));
    }
}
