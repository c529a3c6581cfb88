//! Control flow.

use super::Entry;
use crate::import::{Call, Content, Out, Outcome};
use ir::{Code, DType, Literal, ValueId};

pub const OPS: &[Entry] = &[Entry("If", 1, branch)];

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
    let regions = call.cx.regions([(then, "then_branch"), (other, "else_branch")])?;
    let outputs = call.b().branch(condition, &regions.captures, regions.then, regions.other)?;
    let mut outputs = outputs.into_iter();
    Ok(regions.contents.iter().map(|content| result(call, *content, &mut outputs)).collect())
}

fn result(call: &mut Call, content: Content, outputs: &mut impl Iterator<Item = ValueId>) -> Out {
    match content {
        Content::Nothing => Out::Nothing,
        Content::Tensor => outputs.next().map_or(Out::Nothing, Out::Value),
        Content::Sequence(length) => Out::Sequence(outputs.take(length).map(|id| call.cx.built("element", id)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use crate::ImportOptions;
    use crate::testing::{check, imported, ops_of};

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
    fn a_known_branch_takes_the_place_of_the_node() {
        let text = BRANCHES.replace("c: bool[]", "c: bool[] = 1");
        assert_eq!(ops_of(&text), "broadcast map");
        let text = "x: f32[n, 3] i: i64[] = 1 s = Shape(x) d = Gather(s, i) k: i64[] = 3 c = Equal(d, k)
            y = If {then_branch = graph { a = Relu(x) => a }, else_branch = graph { b = Foo(x) => b }} (c) => y";
        check(text, &["f32[1, 3] -1 0 1"], &["f32[1, 3] 0 0 1"]);
    }
}
