//! The interpreter of graphs: every node by its op's reference meaning, composites too.

pub mod regions;

use crate::attrs::concrete;
use crate::def::{ConcreteType, Kind};
use ir::array::Data;
use ir::{Array, Code, DType, Diagnostic, Diagnostics, Graph, Location, Node, Strings, TensorType, ValueId};
use std::collections::BTreeMap;
use sym::{Expr, Sym};

/// How floats are kept from node to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floats {
    /// In double precision, whatever their type: what other results are measured against.
    Exact,
    /// Rounded to f32, but those of f64, as code computes them: a tie of a rounding to whole numbers may hang on it.
    Rounded,
}

impl Floats {
    fn kept(self, array: Array) -> Array {
        match (self, array.data()) {
            (Floats::Rounded, Data::Float(data)) if array.dtype() != DType::F64 => {
                Array::floats(array.dtype(), array.dims().to_vec(), data.iter().map(|x| f64::from(*x as f32)).collect())
            }
            _ => array,
        }
    }
}

/// The values of a graph, by `ValueId`.
pub type Values = Vec<Option<Array>>;

/// Evaluates every node; gives the value of everything that was computed or read. `inputs` stand in the graph's order, `symbols` has
/// every symbol that is not computed (see [`bind_symbols`]). Errors: a guard that does not hold, a computed size outside its bounds (E009),
/// an index outside its tensor (E010).
pub fn interpret(graph: &Graph, inputs: &[Array], symbols: &BTreeMap<Sym, i64>) -> Result<Values, Diagnostic> {
    interpret_keeping(graph, inputs, symbols, &Strings::of(&graph.texts), Floats::Exact, &|_| true)
}

/// Like [`interpret`], with a table of strings that begins with the graph's own; a value is dropped after its last use unless it is an
/// output or `keep` holds.
pub fn interpret_keeping(
    graph: &Graph,
    inputs: &[Array],
    symbols: &BTreeMap<Sym, i64>,
    strings: &Strings,
    floats: Floats,
    keep: &dyn Fn(ValueId) -> bool,
) -> Result<Values, Diagnostic> {
    check_guards(graph, symbols)?;
    let mut symbols = symbols.clone();
    let mut values: Values = vec![None; graph.values.len()];
    for (id, input) in graph.inputs.iter().zip(inputs) {
        check_input(graph, *id, input, &symbols)?;
        values[id.0 as usize] = Some(input.clone());
    }
    let last_uses = last_uses(graph);
    load_constants(graph, &graph.computed.iter().map(|(_, id)| *id).collect::<Vec<_>>(), &mut values);
    compute_sizes(graph, &values, &mut symbols)?;
    for (at, node) in graph.nodes.iter().enumerate() {
        load_constants(graph, &node.inputs, &mut values);
        for (id, array) in node.outputs.iter().zip(node_results(graph, node, &values, &symbols, strings, floats)?) {
            values[id.0 as usize] = Some(floats.kept(array));
        }
        compute_sizes(graph, &values, &mut symbols)?;
        for id in node.inputs.iter().chain(&node.outputs).filter(|id| last_uses[id.0 as usize] <= at && !keep(**id)) {
            values[id.0 as usize] = None;
        }
    }
    let outputs: Vec<ValueId> = graph.outputs.iter().map(|(_, id)| *id).collect();
    load_constants(graph, &outputs, &mut values);
    Ok(values)
}

/// Adds the computed sizes that the values say and `symbols` has not yet, and checks the guards that wait for them.
pub fn compute_sizes(graph: &Graph, values: &Values, symbols: &mut BTreeMap<Sym, i64>) -> Result<(), Diagnostic> {
    let mut new = false;
    for (sym, id) in graph.computed.iter().filter(|(_, id)| values[id.0 as usize].is_some()) {
        let (Some(array), false) = (&values[id.0 as usize], symbols.contains_key(sym)) else { continue };
        let (size, fact) = (array.get(0).as_i64(), graph.symbols.get(sym).copied().unwrap_or_default());
        if size < fact.low || size > fact.high {
            let message = format!("the size {sym} is computed as {size}, which is not in {}..={}", fact.low, fact.high);
            return Err(Diagnostic::new(Code::Input, &Location::of(&graph.value(*id).name), message));
        }
        symbols.insert(sym.clone(), size);
        new = true;
    }
    if new { check_known_guards(graph, symbols) } else { Ok(()) }
}

/// The graph's outputs alone, in order.
pub fn outputs(graph: &Graph, inputs: &[Array], symbols: &BTreeMap<Sym, i64>) -> Result<Vec<Array>, Diagnostic> {
    outputs_with(graph, inputs, symbols, &Strings::of(&graph.texts), Floats::Exact)
}

/// As [`outputs`], with a table of strings that begins with the graph's own.
pub fn outputs_with(
    graph: &Graph,
    inputs: &[Array],
    symbols: &BTreeMap<Sym, i64>,
    strings: &Strings,
    floats: Floats,
) -> Result<Vec<Array>, Diagnostic> {
    let values = interpret_keeping(graph, inputs, symbols, strings, floats, &|_| false)?;
    Ok(graph.outputs.iter().filter_map(|(_, id)| values[id.0 as usize].clone()).collect())
}

/// The results of one node, given the values of its operands.
pub fn node_results(
    graph: &Graph,
    node: &Node,
    values: &Values,
    symbols: &BTreeMap<Sym, i64>,
    strings: &Strings,
    floats: Floats,
) -> Result<Vec<Array>, Diagnostic> {
    let error = |code: Code, message: String| Diagnostic::new(code, &node.location, message);
    let operands: Option<Vec<&Array>> = node.inputs.iter().map(|id| values[id.0 as usize].as_ref()).collect();
    let operands = operands.ok_or_else(|| error(Code::Names, format!("an operand of {} has no value", node.op)))?;
    let def = crate::find(node.op).ok_or_else(|| error(Code::Unsupported, format!("there is no op {}", node.op)))?;
    let unknown = || error(Code::Names, format!("a size of {} is not known", node.op));
    let types: Option<Vec<ConcreteType>> = node.outputs.iter().map(|id| concrete_type(graph.ty(*id), symbols)).collect();
    if let Some((_, dims)) = types.iter().flatten().find(|(_, dims)| !Array::fits(dims)) {
        return Err(error(Code::Limit, format!("a result of {dims:?} is too large for the interpreter")));
    }
    if let Kind::Region = def.kind {
        let operands: Vec<Array> = operands.into_iter().cloned().collect();
        return regions::results(node, &operands, symbols, &mut |region, inputs| outputs_with(region, inputs, symbols, strings, floats));
    }
    let attrs = concrete(&node.attrs, &|sym| symbols.get(sym).copied()).ok_or_else(unknown)?;
    let types = types.ok_or_else(unknown)?;
    let results = match def.kind {
        Kind::Host(op) => crate::steps::results(op, &operands, &attrs, &types, strings),
        Kind::Core { .. } | Kind::Composite { .. } | Kind::Region => (def.reference)(&operands, &attrs, &types),
    };
    results.map_err(|error| error.at(&node.location))
}

/// Element type and dims under an assignment; None where a symbol is unknown or a dim is negative.
pub fn concrete_type(ty: &TensorType, symbols: &BTreeMap<Sym, i64>) -> Option<ConcreteType> {
    let dim = |dim: &Expr| usize::try_from(dim.eval(&|sym| symbols.get(sym).copied())?).ok();
    Some((ty.dtype, ty.dims.iter().map(dim).collect::<Option<Vec<usize>>>()?))
}

fn check_input(graph: &Graph, id: ValueId, input: &Array, symbols: &BTreeMap<Sym, i64>) -> Result<(), Diagnostic> {
    let value = graph.value(id);
    match concrete_type(&value.ty, symbols) {
        Some((dtype, dims)) if dtype == input.dtype() && dims == input.dims() => Ok(()),
        _ => {
            let message = format!("input is {}{:?}, not {}", input.dtype(), input.dims(), value.ty);
            Err(Diagnostic::new(Code::Input, &Location::of(&value.name), message))
        }
    }
}

/// E009 at the place of the first guard that does not hold, of those that mention no computed size.
pub fn check_guards(graph: &Graph, symbols: &BTreeMap<Sym, i64>) -> Result<(), Diagnostic> {
    check_guards_of(graph, symbols, &|sym| !graph.is_computed(sym))
}

/// The same for those whose sizes are known.
fn check_known_guards(graph: &Graph, symbols: &BTreeMap<Sym, i64>) -> Result<(), Diagnostic> {
    check_guards_of(graph, symbols, &|sym| symbols.contains_key(sym))
}

fn check_guards_of(graph: &Graph, symbols: &BTreeMap<Sym, i64>, decides: &dyn Fn(&Sym) -> bool) -> Result<(), Diagnostic> {
    for guard in graph.guards.iter().filter(|guard| graph.computed.is_empty() || guard.condition.symbols().iter().all(decides)) {
        if guard.condition.holds(&|sym| symbols.get(sym).copied()) != Some(true) {
            let message = format!("{} does not hold for {}", guard.condition, assignment(symbols));
            return Err(Diagnostic::new(Code::Input, &guard.location, message));
        }
    }
    Ok(())
}

fn assignment(symbols: &BTreeMap<Sym, i64>) -> String {
    symbols.iter().map(|(sym, value)| format!("{sym} = {value}")).collect::<Vec<_>>().join(", ")
}

fn load_constants(graph: &Graph, ids: &[ValueId], values: &mut Values) {
    for id in ids {
        if let (None, Some(tensor)) = (&values[id.0 as usize], graph.constant(*id)) {
            values[id.0 as usize] = Some(tensor.to_array());
        }
    }
}

/// For each value the number of the last node that reads it; outputs are read after all nodes.
fn last_uses(graph: &Graph) -> Vec<usize> {
    let mut last = vec![0; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|id| last[id.0 as usize] = at);
    }
    graph.outputs.iter().for_each(|(_, id)| last[id.0 as usize] = graph.nodes.len());
    for id in graph.computed.iter().filter_map(|(_, id)| graph.constant(*id).is_some().then_some(id)) {
        last[id.0 as usize] = graph.nodes.len();
    }
    last
}

/// The symbols' values that the dims of a call's inputs give, in the graph's order of inputs. Errors (E009) name the input: a rank or
/// size that does not fit, a symbol with two values or outside its bounds, one that no input binds.
pub fn bind_symbols(graph: &Graph, inputs: &[Vec<usize>]) -> Result<BTreeMap<Sym, i64>, Diagnostics> {
    let mut problems = Diagnostics::default();
    if inputs.len() != graph.inputs.len() {
        let message = format!("{} inputs are given, {} needed", inputs.len(), graph.inputs.len());
        return Err(Diagnostics::one(Code::Input, &Location::default(), message));
    }
    let named = graph.inputs.iter().map(|id| graph.value(*id)).zip(inputs);
    let mut pairs = Vec::new();
    for (value, dims) in named {
        if dims.len() == value.ty.rank() {
            pairs.extend(value.ty.dims.iter().zip(dims).map(|(dim, size)| (&*value.name, dim, *size as i64)));
        } else {
            problems.0.push(input_error(&value.name, format!("rank is {}, not {}", dims.len(), value.ty.rank())));
        }
    }
    let symbols = solve(&pairs);
    let mismatches = pairs.iter().filter(|(_, dim, size)| dim.eval(&|sym| symbols.get(sym).copied()) != Some(*size));
    problems.0.extend(mismatches.map(|(name, dim, size)| input_error(name, format!("a dim is {size}, not {}", described(dim, &symbols)))));
    problems.0.extend(fact_errors(graph, &symbols));
    if problems.0.is_empty() { Ok(symbols) } else { Err(problems) }
}

fn input_error(name: &str, message: String) -> Diagnostic {
    Diagnostic::new(Code::Input, &Location::of(name), message)
}

/// `2*n = 6` or `n (not known)`.
fn described(dim: &Expr, symbols: &BTreeMap<Sym, i64>) -> String {
    match (dim.as_const(), dim.eval(&|sym| symbols.get(sym).copied())) {
        (Some(value), _) => value.to_string(),
        (None, Some(value)) => format!("{dim} = {value}"),
        (None, None) => format!("{dim} (which does not fix its symbols)"),
    }
}

/// Symbols from dims that are linear in one unknown symbol, until no more come.
fn solve(pairs: &[(&str, &Expr, i64)]) -> BTreeMap<Sym, i64> {
    let mut symbols = BTreeMap::new();
    loop {
        let known = symbols.len();
        for (_, dim, size) in pairs {
            if let Some((sym, value)) = solve_one(dim, *size, &symbols) {
                symbols.entry(sym).or_insert(value);
            }
        }
        if symbols.len() == known {
            return symbols;
        }
    }
}

/// `value` of the only unknown symbol of `dim == size`, where that is linear in it and divides evenly.
fn solve_one(dim: &Expr, size: i64, symbols: &BTreeMap<Sym, i64>) -> Option<(Sym, i64)> {
    let left = dim.substitute(&|sym| symbols.get(sym).map(|value| Expr::from(*value)));
    let unknown = left.symbols();
    let sym = unknown.first().filter(|_| unknown.len() == 1)?;
    let (coefficient, rest) = left.split_linear(sym)?;
    let (coefficient, gap) = (coefficient.as_const()?, size - rest.as_const()?);
    (coefficient != 0 && gap % coefficient == 0).then(|| (sym.clone(), gap / coefficient))
}

fn fact_errors(graph: &Graph, symbols: &BTreeMap<Sym, i64>) -> Vec<Diagnostic> {
    let problem = |(sym, fact): (&Sym, &ir::graph::SymbolFact)| {
        let value = *symbols.get(sym)?;
        let outside = value < fact.low || value > fact.high;
        outside.then(|| input_error(sym.name(), format!("size {value} is not in {}..={}", fact.low, fact.high)))
    };
    graph.symbols.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests;
