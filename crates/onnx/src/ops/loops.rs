//! Loops over graphs.

use super::Entry;
use crate::import::{Body, Call, Content, Cx, Fault, Known, Narrow, Out, Outcome, Port, Term, Typed, sizes, with_dims};
use crate::proto::GraphProto;
use ::ops::dims::{Relation, relation};
use ::ops::{Builder, Scan};
use ir::graph::SymbolFact;
use ir::{Code, DType, Diagnostic, TensorType, ValueId};
use nest::Func;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Loop", 1, repeat), Entry("Scan", 8, batched_scan), Entry("Scan", 9, scan)];

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// The most runs of a loop that is unrolled because its tensors change their types.
const FEW_RUNS: i64 = 64;

/// A Loop that carries no tensor, or whose tensors change their types in few runs, is unrolled; any other becomes a region. One whose
/// number of runs is known as a size is a `scan`; any other is a `while`. One that stacks results is both: the first counts.
fn repeat(call: &mut Call) -> Outcome {
    let graph = call.graph("body")?;
    numbers_alone(call, 0)?;
    let count = call.operand_count().saturating_sub(2);
    let carried = (2..2 + count).map(|at| call.term(at)).collect::<Result<Vec<Term>>>()?;
    if carried.iter().any(|term| call.cx.content(*term) != Content::Tensor) {
        return unrolled(call, graph, carried);
    }
    let runs = call.constant(0).map(|runs| runs.as_i64());
    if runs.is_none_or(|runs| runs > FEW_RUNS) {
        return in_region(call, graph);
    }
    let before = call.cx.problems().clone();
    in_region(call, graph).or_else(|fault| {
        let problems = std::mem::replace(call.cx.problems(), before);
        unrolled(call, graph, carried).inspect_err(|_| *call.cx.problems() = problems).map_err(|_| fault)
    })
}

/// E004 where an operand that counts is of strings, or of a narrow type.
fn numbers_alone(call: &Call, operand: usize) -> Result<()> {
    match call.narrow(operand) {
        Some(narrow) => Err(call.error(Code::Type, format!("operand {operand} of {} is of type {}", call.node.op_type, narrow.name()))),
        None => Ok(()),
    }
}

/// The nodes of each run after those of the one before. How often it runs, and whether it goes on, must be known.
fn unrolled(call: &mut Call, graph: &GraphProto, mut carried: Vec<Term>) -> Outcome {
    let most = match call.optional(0) {
        Some(_) => single(call, call.numbers(0, "the number of runs")?)?,
        None => i64::MAX,
    };
    let mut goes_on = call.optional(1).map_or(Ok(true), |term| is_true(call, term))?;
    let mut stacked = vec![Vec::new(); stacked_count(call, graph, carried.len())?];
    let mut runs = 0;
    while goes_on && runs < most {
        call.cx.count_nodes(1)?;
        let run = call.cx.known_term("run", Known::scalar(DType::I64, Expr::from(runs)));
        let truth = call.cx.known_term("condition", Known::scalar(DType::Bool, Expr::one()));
        let outputs = call.cx.subgraph(graph, "body", &[&[run, truth], carried.as_slice()].concat())?;
        goes_on = is_true(call, outputs[0])?;
        for (list, term) in stacked.iter_mut().zip(&outputs[1 + carried.len()..]) {
            let (value, narrow) = call.cx.typed(*term)?;
            list.push((call.b().unsqueeze(value, &[0])?, narrow));
        }
        carried = outputs[1..=carried.len()].to_vec();
        runs += 1;
    }
    let mut results: Vec<Out> = carried.into_iter().map(Out::Term).collect();
    for list in stacked {
        let Some((_, narrow)) = list.first().copied() else {
            return Err(call.unsupported("it never runs, so that its stacked results have no type").into());
        };
        if list.iter().any(|(_, other)| *other != narrow) {
            return Err(call.unsupported("its stacked results change their type").into());
        }
        let slices: Vec<ValueId> = list.into_iter().map(|(id, _)| id).collect();
        results.push(Out::of(call.b().concat(&slices, 0)?, narrow));
    }
    Ok(results)
}

fn single(call: &Call, numbers: Vec<i64>) -> Result<i64> {
    match numbers[..] {
        [number] => Ok(number),
        _ => Err(call.error(Code::Shape, format!("the number of runs has {} elements", numbers.len()))),
    }
}

fn is_true(call: &Call, condition: Term) -> Result<bool> {
    let known = call.cx.known(condition).and_then(|known| single(call, known.constants()?).ok());
    known
        .map(|known| known != 0)
        .ok_or_else(|| call.unsupported("whether it goes on is computed from data, and what it carries changes its type"))
}

/// The number of the body's outputs behind the condition and the carried values.
fn stacked_count(call: &Call, graph: &GraphProto, carried: usize) -> Result<usize> {
    graph.output.len().checked_sub(1 + carried).ok_or_else(|| {
        let message = format!("the body has {} outputs for a condition and {carried} carried values", graph.output.len());
        call.error(Code::Malformed, message)
    })
}

/// A Loop whose number of runs is known as a size is a `scan`; any other is a `while`.
fn in_region(call: &mut Call, graph: &GraphProto) -> Outcome {
    let count = call.operand_count().saturating_sub(2);
    let stacked = stacked_count(call, graph, count)?;
    let (first, trips) = (condition(call)?, trip_count(call));
    let given: Vec<Typed> = (2..2 + count).map(|at| operand(call, at)).collect::<Result<_>>()?;
    let carried: Vec<ValueId> = given.iter().map(|(id, _)| *id).collect();
    let mut inputs: Vec<Port> = given.iter().enumerate().map(|(at, given)| port(call.b(), *given, graph, 2 + at)).collect();
    inputs.push(Port { name: input_name(graph, 0), ty: TensorType::new(DType::I64, vec![]), narrow: None });
    let mut always = false;
    let body = call.cx.body(&graph.name, &inputs, |cx, mut terms| {
        let truth = cx.known_term("condition", Known::scalar(DType::Bool, Expr::one()));
        let run = terms.pop();
        let given: Vec<Term> = run.into_iter().chain([truth]).chain(terms).collect();
        let outputs = in_run(cx, run, |cx| cx.subgraph(graph, "body", &given))?;
        always = cx.known(outputs[0]).is_some_and(|known| known.values == [Expr::one()]);
        let go_on = scalar_condition(cx, outputs[0])?;
        let next = next_values(cx, &outputs[1..], &inputs[..count])?;
        Ok([vec![(go_on, None)], next].concat())
    })?;
    let narrow = body.narrow[1..].to_vec();
    let results = match trips {
        Some(trips) if always && first.is_none() => counted(call, trips, &carried, stacked, body)?,
        _ if stacked > 0 => stacking(call, first, trips, &carried, (stacked, always), body)?,
        None if always && call.optional(0).is_none() => return Err(call.unsupported("it never ends").into()),
        trips => until(call, first, trips, &carried, body)?.0,
    };
    Ok(outs(results, narrow))
}

fn outs(results: Vec<ValueId>, narrow: Vec<Option<Narrow>>) -> Vec<Out> {
    results.into_iter().zip(narrow).map(|(id, narrow)| Out::of(id, narrow)).collect()
}

/// An operand as a value of the graph, with what its elements stand for.
fn operand(call: &mut Call, at: usize) -> Result<Typed> {
    let term = call.term(at)?;
    call.cx.typed(term)
}

/// What is done with the number of a run at hand, for random operators.
fn in_run<T>(cx: &mut Cx, run: Option<Term>, inside: impl FnOnce(&mut Cx) -> T) -> T {
    let outer = cx.chance.runs.len();
    cx.chance.runs.extend(run);
    let result = inside(cx);
    cx.chance.runs.truncate(outer);
    result
}

/// The numbers of the runs, as a tensor to scan.
fn run_numbers(b: &mut Builder, trips: &Expr) -> Result<(ValueId, usize, bool)> {
    Ok((b.iota(std::slice::from_ref(trips), 0, DType::I64)?, 0, false))
}

/// The first condition, where it is not known to be true.
fn condition(call: &mut Call) -> Result<Option<ValueId>> {
    match (call.optional(1), call.constant(1)) {
        (None, _) => Ok(None),
        (Some(_), Some(known)) if known.as_i64() != 0 => Ok(None),
        (Some(term), _) => scalar_condition(call.cx, term).map(Some),
    }
}

fn scalar_condition(cx: &mut Cx, term: Term) -> Result<ValueId> {
    let dtype = cx.ty(term).dtype;
    if dtype != DType::Bool {
        return Err(cx.builder().error(Code::Type, format!("the condition is {dtype}, not bool")));
    }
    let value = cx.emit(term)?;
    cx.builder().reshape(value, &[])
}

/// The trip count as a size.
fn trip_count(call: &Call) -> Option<Expr> {
    let known = call.known(0)?;
    (known.values.len() == 1).then(|| sizes::bounded(sizes::maximum(&known.values[0], &Expr::zero()))).flatten()
}

fn input_name(graph: &GraphProto, at: usize) -> &str {
    graph.input.get(at).map_or("input", |info| info.name.as_str())
}

/// Input number `at` of the body, which is given this.
fn port<'a>(b: &Builder, (id, narrow): Typed, graph: &'a GraphProto, at: usize) -> Port<'a> {
    Port { name: input_name(graph, at), ty: b.ty(id).clone(), narrow }
}

/// The body's outputs as values, the first ones with the types of the carried values.
fn next_values(cx: &mut Cx, outputs: &[Term], carried: &[Port]) -> Result<Vec<Typed>, Fault> {
    let mut values = Vec::new();
    for (at, term) in outputs.iter().enumerate() {
        let given = cx.typed(*term)?;
        values.push(carried.get(at).map_or(Ok(given), |port| of_type(cx.builder(), given, port))?);
    }
    Ok(values)
}

/// The value under the type that it must have; the sizes of a call decide what is open.
fn of_type(b: &mut Builder, (value, narrow): Typed, port: &Port) -> Result<Typed> {
    let found = b.ty(value).clone();
    let differs = || found.dims.iter().zip(&port.ty.dims).any(|(a, b)| relation(a, b) == Relation::Different);
    if narrow != port.narrow || found.dtype != port.ty.dtype || found.rank() != port.ty.rank() || differs() {
        let text = |ty: &TensorType, narrow: Option<Narrow>| match narrow {
            Some(narrow) => format!("{} in {ty}", narrow.name()),
            None => ty.to_string(),
        };
        let (before, after) = (text(&port.ty, port.narrow), text(&found, narrow));
        return Err(b.error(Code::Unsupported, format!("the carried value `{}` is {before} before a run and {after} after it", port.name)));
    }
    Ok((with_dims(b, value, &port.ty.dims)?, narrow))
}

/// A `scan` whose only slices are the numbers of its runs.
fn counted(call: &mut Call, trips: Expr, carried: &[ValueId], stacked: usize, body: Body) -> Result<Vec<ValueId>> {
    let runs = run_numbers(call.b(), &trips)?;
    let scan = Scan { trips, scanned: vec![runs], stacked: vec![(0, false); stacked] };
    let (captures, outputs) = (body.captures.clone(), body.outputs[1..].to_vec());
    call.b().scan(&scan, carried, &captures, body.region(&outputs))
}

/// A `scan` over as many runs as data decides: the trip count alone, or what a `while` counts that leaves the stacked results out.
fn stacking(
    call: &mut Call,
    first: Option<ValueId>,
    trips: Option<Expr>,
    carried: &[ValueId],
    (stacked, always): (usize, bool),
    body: Body,
) -> Result<Vec<ValueId>> {
    let most = Expr::from(SymbolFact::default().high);
    let runs = match limit(call, trips.clone())? {
        None if always => return Err(call.unsupported("it never ends")),
        Some(limit) if always && first.is_none() => {
            let b = call.b();
            let zero = b.number(DType::I64, 0.0);
            b.map(Func::Max, &[limit, zero])?
        }
        _ => {
            call.cx.count_nodes(body.builder.graph.graph().node_count())?;
            let mut counting = body.clone();
            counting.outputs.truncate(1 + carried.len());
            until(call, first, trips, carried, counting)?.1
        }
    };
    let runs = call.computed_size(runs, &most)?;
    counted(call, runs, carried, stacked, body)
}

/// A `while` that also carries the number of its runs, which is given apart.
fn until(
    call: &mut Call,
    first: Option<ValueId>,
    trips: Option<Expr>,
    carried: &[ValueId],
    mut body: Body,
) -> Result<(Vec<ValueId>, ValueId)> {
    let limit = limit(call, trips)?;
    let b = call.b();
    let truth = b.number(DType::Bool, 1.0);
    let (zero, mut first) = (b.number(DType::I64, 0.0), first.unwrap_or(truth));
    let inner = &mut body.builder;
    let run = inner.graph.graph().inputs[carried.len()];
    let next = inner.map_number(Func::Add, run, 1.0)?;
    let mut go_on = body.outputs[0];
    if let Some(limit) = limit {
        let most = inner.input("limit", TensorType::new(DType::I64, vec![]));
        body.captures.push(limit);
        let more = inner.map(Func::Less, &[next, most])?;
        go_on = inner.map(Func::And, &[go_on, more])?;
        let any = b.map(Func::Less, &[zero, limit])?;
        first = b.map(Func::And, &[first, any])?;
    }
    let (captures, outputs) = (body.captures.clone(), [&[go_on], &body.outputs[1..], &[next]].concat());
    let mut results = b.repeat_while(first, &[carried, &[zero]].concat(), &captures, body.region(&outputs))?;
    let runs = results.split_off(carried.len())[0];
    Ok((results, runs))
}

/// The trip count as a scalar.
fn limit(call: &mut Call, trips: Option<Expr>) -> Result<Option<ValueId>> {
    match (trips, call.optional(0)) {
        (Some(trips), _) => call.b().size(&trips, DType::I64).map(Some),
        (None, None) => Ok(None),
        (None, Some(term)) => {
            let value = call.cx.emit(term)?;
            let value = call.b().reshape(value, &[])?;
            call.b().convert(value, DType::I64).map(Some)
        }
    }
}

/// The axes and directions of a Scan's tensors, which its attributes give for as many as there are.
fn scan(call: &mut Call) -> Outcome {
    let graph = call.graph("body")?;
    let (values, narrow): (Vec<ValueId>, Vec<Option<Narrow>>) =
        (0..call.operand_count()).map(|at| operand(call, at)).collect::<Result<Vec<Typed>>>()?.into_iter().unzip();
    let count = carried_count(call, values.len())?;
    let (carried, whole) = values.split_at(count);
    let stacked = scan_results(call, graph, count)?;
    let ranks: Vec<usize> = whole.iter().map(|id| call.b().dims(*id).len()).collect();
    let axes = axes(call, "scan_input_axes", &ranks)?;
    let reverse = directions(call, "scan_input_directions", whole.len())?;
    let trips = call.b().dims(whole[0])[axes[0]].clone();
    let mut scanned: Vec<Scanned> = whole.iter().zip(axes).zip(reverse).map(|((id, axis), reverse)| (*id, axis, reverse)).collect();
    if call.cx.may_draw(graph) {
        scanned.push(run_numbers(call.b(), &trips)?);
    }
    let ports = ports(call.b(), graph, carried, &scanned, &narrow);
    let body = scan_body(call.cx, graph, ports, (count, values.len()), None)?;
    let ranks: Vec<usize> = body.outputs[count..].iter().map(|id| body.builder.dims(*id).len() + 1).collect();
    let stacked_axes = self::axes(call, "scan_output_axes", &ranks)?;
    let stacked_reverse = directions(call, "scan_output_directions", stacked)?;
    let scan = Scan { trips, scanned, stacked: stacked_axes.into_iter().zip(stacked_reverse).collect() };
    let (captures, outputs, narrow) = (body.captures.clone(), body.outputs.clone(), body.narrow.clone());
    let results = call.b().scan(&scan, carried, &captures, body.region(&outputs))?;
    Ok(outs(results, narrow))
}

/// A tensor, the axis along which it is scanned, and whether from its end.
type Scanned = (ValueId, usize, bool);

/// The inputs of a Scan's body: the carried values, and slices of the scanned tensors, whose elements stand for what `narrow` says.
fn ports<'a>(b: &Builder, graph: &'a GraphProto, carried: &[ValueId], scanned: &[Scanned], narrow: &[Option<Narrow>]) -> Vec<Port<'a>> {
    let states = carried.iter().map(|id| b.ty(*id).clone());
    let slices = scanned.iter().map(|(id, axis, _)| slice_type(b.ty(*id), *axis));
    let narrow = narrow.iter().copied().chain(std::iter::repeat(None));
    let ports = states.chain(slices).zip(narrow).enumerate();
    ports.map(|(at, (ty, narrow))| Port { name: input_name(graph, at), ty, narrow }).collect()
}

/// How many of a Scan's values are carried; at least one is scanned.
fn carried_count(call: &Call, values: usize) -> Result<usize> {
    let scanned = call.int("num_scan_inputs")?.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let carried = scanned.and_then(|scanned| values.checked_sub(scanned));
    carried.ok_or_else(|| call.attribute_error(format!("`num_scan_inputs` does not fit {values} operands")))
}

/// How many of a Scan's results are stacked.
fn scan_results(call: &Call, graph: &GraphProto, carried: usize) -> Result<usize> {
    let outputs = graph.output.len();
    let message = || format!("the body has {outputs} outputs for {carried} carried values");
    outputs.checked_sub(carried).ok_or_else(|| call.error(Code::Malformed, message()))
}

/// The body of a Scan that carries `count` values. The graph sees the first `seen` of these inputs; one more is the number of the run,
/// which is there where it is needed: to draw numbers, or because of a length.
fn scan_body(
    cx: &mut Cx,
    graph: &GraphProto,
    inputs: Vec<Port>,
    (count, seen): (usize, usize),
    length: Option<ValueId>,
) -> Result<Body, Fault> {
    let mut body = cx.body(&graph.name, &inputs, |cx, terms| {
        let outputs = in_run(cx, terms.get(seen).copied(), |cx| cx.subgraph(graph, "body", &terms[..seen]))?;
        next_values(cx, &outputs, &inputs[..count])
    })?;
    if let Some(length) = length {
        hold(&mut body, count, seen, length)?;
    }
    Ok(body)
}

/// From run number `length` on, the carried values stay as they are and the slices are 0; input number `run` is the run's.
fn hold(body: &mut Body, carried: usize, run: usize, length: ValueId) -> Result<()> {
    let b = &mut body.builder;
    let inputs = b.graph.graph().inputs.clone();
    let length_type = TensorType::new(DType::I64, vec![]);
    let most = b.input("length", length_type);
    body.captures.push(length);
    let runs = b.map(Func::Less, &[inputs[run], most])?;
    for (at, output) in body.outputs.iter_mut().enumerate() {
        let before = match at < carried {
            true => inputs[at],
            false => b.number(b.dtype(*output), 0.0),
        };
        *output = b.map_broadcast(Func::Select, &[runs, *output, before])?;
    }
    Ok(())
}

fn slice_type(whole: &TensorType, axis: usize) -> TensorType {
    let mut slice = whole.clone();
    slice.dims.remove(axis);
    slice
}

/// Scan of opset 8: axis 0 of all tensors is a batch, axis 1 the time; each sequence of the batch is scanned by itself, and may have its
/// own length.
fn batched_scan(call: &mut Call) -> Outcome {
    let graph = call.graph("body")?;
    numbers_alone(call, 0)?;
    let lengths = call.optional_value(0)?;
    let given = (1..call.operand_count()).map(|at| operand(call, at)).collect::<Result<Vec<Typed>>>()?;
    let (values, narrow): (Vec<ValueId>, Vec<Option<Narrow>>) = given.into_iter().unzip();
    let count = carried_count(call, values.len())?;
    let stacked = scan_results(call, graph, count)?;
    let reverse = directions(call, "directions", values.len() - count)?;
    for (at, id) in values.iter().enumerate() {
        let least = if at < count { 1 } else { 2 };
        if call.b().dims(*id).len() < least {
            return Err(call.error(Code::Shape, format!("operand {} has no batch or no time: {}", at + 1, call.ty(at + 1)?)).into());
        }
    }
    let batch = call.b().dims(values[count])[0].clone();
    let mut scanned: Vec<Scanned> = values.iter().copied().chain(lengths).map(|id| (id, 0, false)).collect();
    let draws = call.cx.may_draw(graph);
    if draws {
        scanned.push(run_numbers(call.b(), &batch)?);
    }
    if let Some(lengths) = lengths {
        let ty = call.b().ty(lengths).clone();
        if ty.dtype != DType::I64 || ty.rank() != 1 {
            return Err(call.error(Code::Type, format!("`sequence_lens` is {ty}, not a vector of i64")).into());
        }
    }
    let inputs = ports(call.b(), graph, &[], &scanned, &narrow);
    let body = call.cx.body(&graph.name, &inputs, |cx, mut terms| {
        let run = if draws { terms.pop() } else { None };
        let mut own: Vec<Typed> = terms.into_iter().map(|term| cx.typed(term)).collect::<Result<_>>()?;
        let length = lengths.and_then(|_| own.pop()).map(|(id, _)| id);
        in_run(cx, run, |cx| one_sequence(cx, graph, &own, count, &reverse, length))
    })?;
    let scan = Scan { trips: batch, scanned, stacked: vec![(0, false); count + stacked] };
    let (captures, outputs, narrow) = (body.captures.clone(), body.outputs.clone(), body.narrow.clone());
    let results = call.b().scan(&scan, &[], &captures, body.region(&outputs))?;
    Ok(outs(results, narrow))
}

/// The results of scanning one sequence of a batch, `values[count..]` along axis 0. Beyond its length, states stay and slices are 0.
fn one_sequence(
    cx: &mut Cx,
    graph: &GraphProto,
    values: &[Typed],
    count: usize,
    reverse: &[bool],
    length: Option<ValueId>,
) -> Result<Vec<Typed>, Fault> {
    let (values, narrow): (Vec<ValueId>, Vec<Option<Narrow>>) = values.iter().copied().unzip();
    let (carried, whole) = values.split_at(count);
    let trips = cx.builder().dims(whole[0])[0].clone();
    let mut scanned: Vec<Scanned> = whole.iter().zip(reverse).map(|(id, reverse)| (*id, 0, *reverse)).collect();
    if length.is_some() || cx.may_draw(graph) {
        scanned.push(run_numbers(cx.builder(), &trips)?);
    }
    if let (Some(length), [own @ .., (runs, ..)]) = (length, scanned.as_mut_slice()) {
        for (id, _, reverse) in own.iter_mut().filter(|(.., reverse)| *reverse) {
            (*id, *reverse) = (turned(cx.builder(), *id, *runs, length)?, false);
        }
    }
    let ports = ports(cx.builder(), graph, carried, &scanned, &narrow);
    let body = scan_body(cx, graph, ports, (count, values.len()), length)?;
    let scan = Scan { trips, scanned, stacked: vec![(0, false); body.outputs.len() - count] };
    let (captures, outputs, narrow) = (body.captures.clone(), body.outputs.clone(), body.narrow.clone());
    let results = cx.builder().scan(&scan, carried, &captures, body.region(&outputs))?;
    Ok(results.into_iter().zip(narrow).collect())
}

/// The first `length` slices along axis 0, the last of them first.
fn turned(b: &mut Builder, x: ValueId, runs: ValueId, length: ValueId) -> Result<ValueId> {
    let last = b.map_number(Func::Sub, length, 1.0)?;
    let place = b.map_broadcast(Func::Sub, &[last, runs])?;
    let place = b.map_number(Func::Max, place, 0.0)?;
    b.gather(x, place, 0)
}

/// An axis for each rank; 0 where none are given.
fn axes(call: &Call, name: &'static str, ranks: &[usize]) -> Result<Vec<usize>> {
    let axes = call.ints(name)?.unwrap_or_else(|| vec![0; ranks.len()]);
    if axes.len() != ranks.len() {
        return Err(call.attribute_error(format!("`{name}` has {} entries, not {}", axes.len(), ranks.len())));
    }
    axes.iter().zip(ranks).map(|(axis, rank)| call.normal_axis(*axis, *rank)).collect()
}

/// Whether each of `count` tensors is walked from its end.
fn directions(call: &Call, name: &'static str, count: usize) -> Result<Vec<bool>> {
    let flags = call.ints(name)?.unwrap_or_else(|| vec![0; count]);
    match flags.iter().find(|flag| !(0..=1).contains(*flag)) {
        _ if flags.len() != count => Err(call.attribute_error(format!("`{name}` has {} entries, not {count}", flags.len()))),
        Some(other) => Err(call.attribute_error(format!("`{name}` holds {other}, not 0 or 1"))),
        None => Ok(flags.iter().map(|flag| *flag == 1).collect()),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, ops_of};

    /// A body of these nodes: `s` is carried; `i` and `c` are the number of the run and the condition.
    fn looped(operands: &str, nodes: &str) -> String {
        format!(
            "m: i64[] b: bool[] s: f32[2] x: f32[n, 2] k: i64[] = 3 one: bool[] = 1 l: f32[] = 9
            y = Loop {{body = graph {{ i: i64[] c: bool[] s: f32[2] {nodes} }}}} ({operands}, s) => y"
        )
    }

    #[test]
    fn a_known_number_of_runs_is_a_scan() {
        let nodes = "d = Add(s, s) => c, d";
        let inputs = ["i64[] 9", "bool[] 0", "f32[2] 1 2", "f32[1, 2] 0 0"];
        check(&looped("k, _", nodes), &inputs, &["f32[2] 8 16"]);
        assert_eq!(ops_of(&looped("k, one", nodes)), "iota scan");
        let rows = "d = Gather(x, i) e = Add(s, d) => c, e";
        let text = looped("rows, _", rows).replace(" y = L", " h = Shape(x) z: i64[] = 0 rows = Gather(h, z) y = L");
        check(&text, &["i64[] 9", "bool[] 0", "f32[2] 1 2", "f32[3, 2] 1 2 3 4 5 6"], &["f32[2] 10 14"]);
    }

    #[test]
    fn data_decides_how_often_a_while_runs() {
        let inputs = |m: i64, b: i64| [format!("i64[] {m}"), format!("bool[] {b}"), "f32[2] 1 2".to_string(), "f32[1, 2] 0 0".to_string()];
        let run = |operands: &str, nodes: &str, m: i64, b: i64, want: &str| {
            let inputs = inputs(m, b);
            check(&looped(operands, nodes), &inputs.each_ref().map(String::as_str), &[want]);
        };
        let doubled = "d = Add(s, s) => c, d";
        run("m, _", doubled, 2, 0, "f32[2] 4 8");
        run("m, _", doubled, -2, 0, "f32[2] 1 2");
        run("m, b", doubled, 2, 0, "f32[2] 1 2");
        let bounded = "d = Add(s, s) e = ReduceMax {keepdims = 0} (d) f = Less(e, l) => f, d";
        run("_, b", bounded, 0, 1, "f32[2] 8 16");
        run("k, b", bounded, 0, 1, "f32[2] 8 16");
        run("m, b", bounded, 1, 1, "f32[2] 2 4");
    }

    #[test]
    fn data_decides_how_much_is_stacked() {
        let inputs = |m: i64, b: i64| [format!("i64[] {m}"), format!("bool[] {b}"), "f32[2] 1 2".to_string(), "f32[1, 2] 0 0".to_string()];
        let run = |operands: &str, nodes: &str, m: i64, b: i64, want: [&str; 2]| {
            let inputs = inputs(m, b);
            let text = looped(operands, nodes).replace("y = Loop", "y, z = Loop").replace("=> y", "=> y, z");
            check(&text, &inputs.each_ref().map(String::as_str), &want);
        };
        let doubled = "d = Add(s, s) => c, d, d";
        run("m, _", doubled, 2, 0, ["f32[2] 4 8", "f32[2, 2] 2 4 4 8"]);
        run("m, _", doubled, -2, 0, ["f32[2] 1 2", "f32[0, 2]"]);
        run("m, b", doubled, 2, 0, ["f32[2] 1 2", "f32[0, 2]"]);
        let bounded = "d = Add(s, s) e = ReduceMax {keepdims = 0} (d) f = Less(e, l) => f, d, e";
        run("_, b", bounded, 0, 1, ["f32[2] 8 16", "f32[3] 4 8 16"]);
        run("m, b", bounded, 1, 1, ["f32[2] 2 4", "f32[1] 4"]);
    }

    #[test]
    fn loops_that_are_not_supported_say_why() {
        let problems = |operands: &str, nodes: &str, want: &str| check_problems(&looped(operands, nodes), &[want]);
        problems("_, one", "d = Add(s, s) => c, d", "[E006] Loop#0: Loop: it never ends");
        let grown = "the carried value `s` is f32[2] before a run and f32[4] after it";
        problems("m, _", "d = Concat {axis = 0} (s, s) => c, d", &format!("[E006] Loop#0: {grown}"));
        problems("m, _", "=> c", "[E001] Loop#0: the body has 1 outputs for a condition and 1 carried values");
    }

    #[test]
    fn a_scan_walks_along_any_axis() {
        let text = |attributes: &str| {
            format!(
                "s: f32[2] x: f32[2, n] w: f32[2] = 10 20
                z, y = Scan {{num_scan_inputs = 1, scan_input_axes = [-1], {attributes} body = graph {{
                    t: f32[2] v: f32[2] a = Add(t, v) b = Mul(a, w) => a, b }}}} (s, x) => z, y"
            )
        };
        let inputs = ["f32[2] 0 1", "f32[2, 3] 1 2 3 4 5 6"];
        check(&text(""), &inputs, &["f32[2] 6 16", "f32[3, 2] 10 100 30 200 60 320"]);
        let turned = "scan_output_axes = [1], scan_input_directions = [1], scan_output_directions = [1],";
        check(&text(turned), &inputs, &["f32[2] 6 16", "f32[2, 3] 60 50 30 320 240 140"]);
    }

    /// The state is carried along each sequence of the batch by itself.
    #[test]
    fn loops_carry_and_stack_strings() {
        let text = "m: i64[] s: string[2] t: string[n]
            y, ys = Loop {body = graph { i: i64[] c: bool[] p: string[2] d = Identity(c) q = StringConcat(p, t) => d q p }} (m, _, s) => y ys";
        let inputs = ["i64[] 2", "string[2] \"a\" \"b\"", "string[1] \"x\""];
        check(text, &inputs, &["string[2] [\"axx\", \"bxx\"]", "string[2, 2] [\"a\", \"b\", \"ax\", \"bx\"]"]);
        check(
            &text.replace("m: i64[]", "m: i64[] = 2"),
            &inputs[1..],
            &["string[2] [\"axx\", \"bxx\"]", "string[2, 2] [\"a\", \"b\", \"ax\", \"bx\"]"],
        );
        let text = "s: string[] x: string[n] y, ys = Scan {num_scan_inputs = 1, body = graph { p: string[] e: string[]
            q = StringConcat(p, e) r = Identity(q) => q r }} (s, x) => y ys";
        check(text, &["string[] \"\"", "string[2] \"a\" \"b\""], &["string[] [\"ab\"]", "string[2] [\"a\", \"ab\"]"]);
        let text = "s: string[] x: i64[3] y = Scan {num_scan_inputs = 1, body = graph { p: string[] e: i64[] => e }} (s, x) => y";
        check_problems(text, &["[E006] Scan#0: the carried value `p` is string in i64[] before a run and i64[] after it"]);
        check_problems(
            "s: string[] x: f32[1] y = Loop {body = graph { i: i64[] c: bool[] p: f32[1] => c p }} (s, _, x) => y",
            &["[E004] Loop#0: operand 0 of Loop is of type string"],
        );
    }

    #[test]
    fn a_scan_of_opset_8_has_a_batch() {
        let text = |attributes: &str, operands: &str| {
            format!(
                "opset 8 l: i64[b] s: f32[b, 1] x: f32[b, t, 1]
                z, y = Scan {{num_scan_inputs = 1, {attributes} body = graph {{
                    t: f32[1] v: f32[1] a = Add(t, v) c = Identity(a) => a, c }}}} ({operands}, s, x) => z, y"
            )
        };
        let inputs = ["i64[2] 2 3", "f32[2, 1] 10 20", "f32[2, 3, 1] 1 2 3 4 5 6"];
        check(&text("", "_"), &inputs, &["f32[2, 1] 16 35", "f32[2, 3, 1] 11 13 16 24 29 35"]);
        check(&text("directions = [1],", "_"), &inputs, &["f32[2, 1] 16 35", "f32[2, 3, 1] 13 15 16 26 31 35"]);
        check(&text("", "l"), &inputs, &["f32[2, 1] 13 35", "f32[2, 3, 1] 11 13 0 24 29 35"]);
        check(&text("directions = [1],", "l"), &inputs, &["f32[2, 1] 13 35", "f32[2, 3, 1] 12 13 0 26 31 35"]);
        check_problems(
            &text("", "_").replace("num_scan_inputs = 1", "num_scan_inputs = 3"),
            &["[E005] Scan#0: `num_scan_inputs` does not fit 2 operands"],
        );
    }
}
