//! Control flow.

use super::Entry;
use crate::import::{Body, Branches, Call, Content, Out, Outcome, Typed, with_dims};
use ir::graph::SymbolFact;
use ir::{Code, DType, Diagnostic, Literal, TensorType, ValueId};
use nest::Func;
use std::collections::BTreeMap;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("If", 1, branch)];

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// A branch that is known now is imported in place of the node; else both become regions.
fn branch(call: &mut Call) -> Outcome {
    let (then, other) = (call.graph("then_branch")?, call.graph("else_branch")?);
    if call.dtype(0)? != DType::Bool {
        return Err(call.error(Code::Type, format!("the condition is {}, not bool", call.dtype(0)?)).into());
    }
    if let Some(condition) = call.constant(0) {
        let (chosen, label) = if condition == Literal::Int(0) { (other, "else_branch") } else { (then, "then_branch") };
        let outputs = call.cx.subgraph(chosen, label, &[])?;
        return Ok(outputs.into_iter().map(Into::into).collect());
    }
    let condition = call.value(0)?;
    let condition = call.b().reshape(condition, &[])?;
    let Branches { mut bodies, contents } = call.cx.branches([(then, "then_branch"), (other, "else_branch")])?;
    agree_in_sizes(call, condition, &mut bodies)?;
    let narrow = bodies[0].narrow.clone();
    let mut outputs = chosen(call, condition, bodies)?.into_iter().zip(narrow);
    Ok(contents.iter().map(|content| result(call, *content, &mut outputs)).collect())
}

fn chosen(call: &mut Call, condition: ValueId, bodies: [Body; 2]) -> Result<Vec<ValueId>> {
    let captures = bodies[0].captures.clone();
    let [then, other] = bodies.map(|body| {
        let outputs = body.outputs.clone();
        body.region(&outputs)
    });
    call.b().branch(condition, &captures, then, other)
}

fn result(call: &mut Call, content: Content, outputs: &mut impl Iterator<Item = Typed>) -> Out {
    match content {
        Content::Nothing => Out::Nothing,
        Content::Tensor => outputs.next().map_or(Out::Nothing, |(id, narrow)| Out::of(id, narrow)),
        Content::Sequence(length) => Out::Sequence(outputs.take(length).map(|given| call.cx.element(given)).collect()),
    }
}

/// What the branches give for one axis.
type Pair = (Expr, Expr);

/// Sizes in which the results of the branches differ are computed in front of them; each branch then gives results of these sizes.
fn agree_in_sizes(call: &mut Call, condition: ValueId, bodies: &mut [Body; 2]) -> Result<()> {
    let types = |at: usize| bodies.each_ref().map(|body| body.builder.ty(body.outputs[at]).clone());
    let pairs: Vec<Vec<Pair>> = (0..bodies[0].outputs.len()).map(|at| pairs(types(at))).collect();
    let mut sizes: BTreeMap<Pair, Expr> = pairs.iter().flatten().map(|(a, b)| ((a.clone(), b.clone()), a.clone())).collect();
    let open: Vec<Pair> = sizes.keys().filter(|(a, b)| a != b).cloned().collect();
    if open.is_empty() {
        return Ok(());
    }
    let computed = computed_sizes(call, condition, bodies, &open)?;
    sizes.extend(open.into_iter().zip(computed));
    let symbols = call.b().graph.graph().symbols.clone();
    for body in bodies {
        symbols.iter().for_each(|(sym, fact)| body.builder.graph.symbol(sym, *fact));
        for (output, pairs) in body.outputs.iter_mut().zip(&pairs).filter(|(_, pairs)| !pairs.is_empty()) {
            let dims: Vec<Expr> = pairs.iter().map(|pair| sizes[pair].clone()).collect();
            *output = with_dims(&mut body.builder, *output, &dims)?;
        }
    }
    Ok(())
}

/// None where more than sizes differs, which is refused where the branches are joined.
fn pairs([a, b]: [TensorType; 2]) -> Vec<Pair> {
    let same = a.dtype == b.dtype && a.rank() == b.rank();
    if same { a.dims.into_iter().zip(b.dims).collect() } else { vec![] }
}

/// For each pair the size of the branch that is taken. One that depends on data inside of a branch is what an `if` of its own gives.
fn computed_sizes(call: &mut Call, condition: ValueId, bodies: &[Body; 2], pairs: &[Pair]) -> Result<Vec<Expr>> {
    let is_inner = |body: &Body, size: &Expr| body.builder.graph.graph().computed.iter().any(|(sym, _)| size.mentions(sym));
    let [then, other] = bodies;
    let (inner, outer): (Vec<Pair>, Vec<Pair>) = pairs.iter().cloned().partition(|(a, b)| is_inner(then, a) || is_inner(other, b));
    let mut counts: BTreeMap<&Pair, ValueId> = BTreeMap::new();
    for pair in &outer {
        let b = call.b();
        let operands = [condition, b.size(&pair.0, DType::I64)?, b.size(&pair.1, DType::I64)?];
        counts.insert(pair, b.map(Func::Select, &operands)?);
    }
    if !inner.is_empty() {
        counts.extend(inner.iter().zip(inner_sizes(call, condition, bodies.clone(), &inner)?));
    }
    let most = |(a, b): &Pair| Some(Expr::from(a.as_const()?.max(b.as_const()?)));
    let largest = Expr::from(SymbolFact::default().high);
    pairs.iter().map(|pair| call.computed_size(counts[pair], &most(pair).unwrap_or(largest.clone()))).collect()
}

/// The sizes alone of what a branch gives.
fn inner_sizes(call: &mut Call, condition: ValueId, bodies: [Body; 2], pairs: &[Pair]) -> Result<Vec<ValueId>> {
    let [mut then, mut other] = bodies;
    for body in [&then, &other] {
        call.cx.count_nodes(body.builder.graph.graph().node_count())?;
    }
    then.outputs = pairs.iter().map(|(size, _)| then.builder.size(size, DType::I64)).collect::<Result<_>>()?;
    other.outputs = pairs.iter().map(|(_, size)| other.builder.size(size, DType::I64)).collect::<Result<_>>()?;
    chosen(call, condition, [then, other])
}

#[cfg(test)]
mod tests {
    use crate::ImportOptions;
    use crate::testing::{check, check_problems, imported, ops_of};

    const BRANCHES: &str = "c: bool[] x: f32[n] w: f32[] = 2 k: f32[n]
        y = If {then_branch = graph { a = Mul(x, w) => a }, else_branch = graph { t = Shape(x) u = Cast {to = 1} (t) b = Add(k, u) => b }} (c)
        => y";

    #[test]
    fn branches_capture_what_they_use() {
        check(BRANCHES, &["bool[] 1", "f32[2] 1 2", "f32[2] 5 6"], &["f32[2] 2 4"]);
        check(BRANCHES, &["bool[] 0", "f32[2] 1 2", "f32[2] 5 6"], &["f32[2] 7 8"]);
        let graph = imported(BRANCHES, &ImportOptions::default()).unwrap().graph;
        let node = graph.nodes.last().unwrap();
        assert_eq!((node.inputs.len(), node.regions.len()), (3, 2));
        assert_eq!(node.regions[0].nodes[1].location.to_string(), "If#0.then_branch/Mul#0");
    }

    #[test]
    fn nested_branches_capture_through_each_other() {
        let inner = "If {then_branch = graph { p = Neg(x) => p }, else_branch = graph { q = Identity(x) => q }} (d)";
        let text = format!(
            "c: bool[] d: bool[] x: f32[1] y = If {{then_branch = graph {{ a = {inner} => a }}, else_branch = graph {{ b = Abs(x) => b }}}} (c) => y"
        );
        check(&text, &["bool[] 1", "bool[] 1", "f32[1] -3"], &["f32[1] 3"]);
        check(&text, &["bool[] 1", "bool[] 0", "f32[1] -3"], &["f32[1] -3"]);
    }

    #[test]
    fn branches_may_differ_in_sizes() {
        let text = "c: bool[] x: f32[n] z: f32[m]
            y = If {then_branch = graph { a = Concat {axis = 0} (x, z) => a }, else_branch = graph { b = Neg(z) => b }} (c) w = Abs(y) => w";
        check(text, &["bool[] 1", "f32[2] 1 -2", "f32[1] -3"], &["f32[3] 1 2 3"]);
        check(text, &["bool[] 0", "f32[2] 1 -2", "f32[1] -3"], &["f32[1] 3"]);
        let text =
            "c: bool[] x: f32[3] y = If {then_branch = graph { a = Compress(x, k) => a }, else_branch = graph { b = Neg(x) => b }} (c)
            w = Shape(y) => y w";
        let text = text.replace("x: f32[3]", "x: f32[3] k: bool[3]");
        check(&text, &["bool[] 1", "f32[3] 1 2 3", "bool[3] 1 0 1"], &["f32[2] 1 3", "i64[1] 2"]);
        check(&text, &["bool[] 0", "f32[3] 1 2 3", "bool[3] 1 0 1"], &["f32[3] -1 -2 -3", "i64[1] 3"]);
    }

    #[test]
    fn branches_of_other_kinds_are_refused() {
        let text = |then: &str| {
            format!(
                "c: bool[] x: f32[n, 2] y = If {{then_branch = graph {{ {then} => a }}, else_branch = graph {{ b = Neg(x) => b }}}} (c) => y"
            )
        };
        let why = "which is taken is not known before a call";
        check_problems(
            &text("a = SequenceConstruct(x)"),
            &[&format!("[E006] If#0: the branches give a sequence of 1 and a tensor, and {why}")],
        );
        check_problems(
            &text("a = Cast {to = 8} (x)"),
            &[&format!("[E006] If#0: the branches give elements of type string and numbers, and {why}")],
        );
        check_problems(&text("a = Shape(x)"), &["[E003] If#0: output 0 of the branches: ranks differ: 1 vs 2"]);
    }

    #[test]
    fn branches_have_equally_many_outputs() {
        let text =
            "c: bool[] x: f32[2] y = If {then_branch = graph { a = Abs(x) => a a }, else_branch = graph { b = Neg(x) => b }} (c) => y";
        check_problems(text, &["[E001] If#0: the branches have 2 and 1 outputs"]);
    }

    #[test]
    fn sizes_of_deep_branches_are_not_copied_without_end() {
        let mut branch = "q = Compress(x, k) => q".to_string();
        for at in 0..25 {
            branch = format!("q{at} = If {{then_branch = graph {{ {branch} }}, else_branch = graph {{ e = Neg(x) => e }}}} (c) => q{at}");
        }
        let graph = format!("c: bool[] x: f32[3] k: bool[3] {branch}");
        let message = "the model has too many nodes, with its loops unrolled and the sizes of its branches computed";
        let problems = imported(&graph, &ImportOptions::default()).unwrap_err();
        assert!(problems.to_string().contains(message), "{problems}");
    }

    #[test]
    fn branches_give_strings() {
        let text = "c: bool[] x: i64[2] s: string[2] = \"a\" \"b\"
            y = If {then_branch = graph { a = Cast {to = 8} (x) => a }, else_branch = graph { b = Identity(s) => b }} (c) => y";
        check(text, &["bool[] 1", "i64[2] 3 4"], &["string[2] [\"3\", \"4\"]"]);
        check(text, &["bool[] 0", "i64[2] 3 4"], &["string[2] [\"a\", \"b\"]"]);
    }

    #[test]
    fn a_known_branch_takes_the_place_of_the_node() {
        let text = BRANCHES.replace("c: bool[]", "c: bool[] = 1");
        assert_eq!(ops_of(&text), "broadcast map");
        let text = "x: f32[n, 3] i: i64[] = 1 s = Shape(x) d = Gather(s, i) k: i64[] = 3 c = Equal(d, k)
            y = If {then_branch = graph { a = Relu(x) => a }, else_branch = graph { b = Foo(x) => b }} (c) => y";
        check(text, &["f32[1, 3] -1 0 1"], &["f32[1, 3] 0 0 1"]);
    }
}
