//! The verifier of graphs as far as it knows ops. (`ir` verifies what needs no op.)
//!
//! - O1: every node's op is in the list.
//! - O2: the op's constraints hold, by its shape rule.
//! - O3: every output has the type that the shape rule gives: the same element type, and dims that are the same expressions, or that a
//!   guard makes equal.
//!
//! Regions are verified as graphs, with the guards of those around them.

use crate::def::InferCx;
use ir::guard::{Condition, Guard};
use ir::{Code, Diagnostic, Diagnostics, Graph, Node, TensorType};
use sym::Expr;

/// Every node of the graph that breaks O1 to O3.
pub fn verify(graph: &Graph) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::default();
    verify_nodes(graph, &[], &mut problems);
    if problems.0.is_empty() { Ok(()) } else { Err(problems) }
}

/// Adds what the nodes' shape rules demand of sizes where no guard says it yet: a graph that comes from a text may lack guards.
pub fn add_guards(graph: &mut Graph) {
    let mut missing: Vec<Guard> = Vec::new();
    for node in &graph.nodes {
        let inputs: Vec<TensorType> = node.inputs.iter().map(|id| graph.ty(*id).clone()).collect();
        let cx = InferCx { inputs: &inputs, attrs: &node.attrs, regions: &node.regions };
        let demanded = crate::find(node.op).and_then(|def| (def.infer)(&cx).ok()).map_or(vec![], |inferred| inferred.guards);
        for condition in demanded {
            if !graph.guards.iter().chain(&missing).any(|guard| guard.condition == condition) {
                missing.push(Guard { condition, location: node.location.clone() });
            }
        }
    }
    graph.guards.extend(missing);
    graph.nodes.iter_mut().flat_map(|node| &mut node.regions).for_each(add_guards);
}

fn verify_nodes(graph: &Graph, outer: &[&Condition], problems: &mut Diagnostics) {
    let guards: Vec<&Condition> = outer.iter().copied().chain(graph.guards.iter().map(|guard| &guard.condition)).collect();
    for node in &graph.nodes {
        let fault = fault(graph, node, &guards);
        problems.0.extend(fault.map(|(code, message)| Diagnostic::new(code, &node.location, format!("{}: {message}", node.op))));
        node.regions.iter().for_each(|region| verify_nodes(region, &guards, problems));
    }
}

fn fault(graph: &Graph, node: &Node, guards: &[&Condition]) -> Option<(Code, String)> {
    let types = |ids: &[ir::ValueId]| ids.iter().map(|id| graph.ty(*id).clone()).collect::<Vec<TensorType>>();
    let (inputs, declared) = (types(&node.inputs), types(&node.outputs));
    let Some(def) = crate::find(node.op) else { return Some((Code::Unsupported, "O1: there is no such op".to_string())) };
    let inferred = match (def.infer)(&InferCx { inputs: &inputs, attrs: &node.attrs, regions: &node.regions }) {
        Ok(inferred) => inferred.types,
        Err(error) => return Some((error.code, format!("O2: {}", error.message))),
    };
    let same = declared.len() == inferred.len() && declared.iter().zip(&inferred).all(|(a, b)| same_type(a, b, guards));
    (!same).then(|| (Code::Type, format!("O3: results are {inferred:?}, declared {declared:?}")))
}

fn same_type(a: &TensorType, b: &TensorType, guards: &[&Condition]) -> bool {
    a.dtype == b.dtype && a.rank() == b.rank() && a.dims.iter().zip(&b.dims).all(|(a, b)| a == b || guarded(a, b, guards))
}

/// Whether a guard says that two sizes are equal.
fn guarded(a: &Expr, b: &Expr, guards: &[&Condition]) -> bool {
    guards.iter().any(|guard| match guard {
        Condition::Equal(x, y) => (x, y) == (a, b) || (x, y) == (b, a),
        Condition::OneOrEqual(..) | Condition::AtLeast(..) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::check::ty;
    use nest::Func;

    fn check(change: impl Fn(&mut Graph), want: &str) {
        let mut b = Builder::new("g");
        let (x, y) = (b.input("x", ty("f32[n]")), b.input("y", ty("f32[m]")));
        let sum = b.map(Func::Add, &[x, y]).unwrap();
        b.output("sum", sum);
        let mut graph = b.finish();
        change(&mut graph);
        assert_eq!(verify(&graph).err().map_or(String::new(), |problems| problems.to_string()), want);
    }

    #[test]
    fn invariants() {
        check(|_| (), "");
        check(|graph| graph.values[2].ty = ty("f32[m]"), "");
        check(|graph| graph.nodes[0].op = "plus", "[E006] model: plus: O1: there is no such op");
        check(|graph| graph.values[1].ty = ty("i32[m]"), "[E004] model: map: O2: add: operand types differ: f32 vs i32");
        check(|graph| graph.values[2].ty = ty("f64[n]"), "[E004] model: map: O3: results are [f32[n]], declared [f64[n]]");
    }
}
