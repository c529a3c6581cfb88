//! The tests' judge: what a pass makes of a graph, as text, and by executing it before and after.

use crate::check::executes_equally;
use crate::view::func_of;
use ir::{Attr, Attrs, DType, Def, Diagnostic, Graph, Node, TensorType, ValueId};
use ops::Builder;

/// A type from `f32[n, 4]`.
pub fn ty(text: &str) -> TensorType {
    ir::text::parse_tensor_type(&mut sym::Parser::new(text)).expect("a type")
}

pub fn graph(build: impl FnOnce(&mut Builder) -> Result<(), Diagnostic>) -> Graph {
    let mut b = Builder::new("g");
    b.location = ir::Location::of("/test");
    build(&mut b).unwrap_or_else(|error| panic!("{error}"));
    b.finish()
}

/// The graph of one output `y`.
pub fn graph_of(build: impl FnOnce(&mut Builder) -> Result<ValueId, Diagnostic>) -> Graph {
    graph(|b| {
        let y = build(b)?;
        b.output("y", y);
        Ok(())
    })
}

/// Runs a pass: the result has the given text, is well-formed, keeps the interface, and computes the same.
pub fn check(pass: fn(&Graph) -> Graph, before: &Graph, want: &str) -> Graph {
    let after = pass(before);
    assert_eq!(text(&after), want);
    well_formed(&after);
    assert_eq!(interface(&after), interface(before));
    for seed in 0..3 {
        executes_equally(before, &after, seed).unwrap_or_else(|error| panic!("{error}\n{}", text(&after)));
    }
    after
}

fn interface(graph: &Graph) -> Vec<(String, TensorType)> {
    let inputs = graph.inputs.iter().map(|id| (graph.value(*id).name.to_string(), *id));
    inputs.chain(graph.outputs.iter().cloned()).map(|(name, id)| (name, graph.ty(id).clone())).collect()
}

/// Operands stand before their users, definitions point back, names are unique, types are those of inference.
pub fn well_formed(graph: &Graph) {
    let names: std::collections::BTreeSet<&str> = graph.values.iter().map(|value| &*value.name).collect();
    assert_eq!(names.len(), graph.values.len(), "names are unique");
    let made = |id: ValueId| graph.producer(id).map(|(node, _)| node.0);
    for (at, node) in graph.nodes.iter().enumerate() {
        assert!(node.inputs.iter().all(|id| made(*id).is_none_or(|maker| maker < at as u32)), "{} is out of order", node.op);
        assert!(node.outputs.iter().enumerate().all(|(k, id)| graph.value(*id).def == Def::Node(ir::NodeId(at as u32), k)));
        assert_eq!(inferred(graph, node), node.outputs.iter().map(|id| graph.ty(*id).clone()).collect::<Vec<_>>(), "{}", node.op);
        node.regions.iter().for_each(well_formed);
    }
}

fn inferred(graph: &Graph, node: &Node) -> Vec<TensorType> {
    let types: Vec<TensorType> = node.inputs.iter().map(|id| graph.ty(*id).clone()).collect();
    let cx = ops::InferCx { inputs: &types, attrs: &node.attrs, regions: &node.regions };
    (ops::find(node.op).expect("an op").infer)(&cx).unwrap_or_else(|error| panic!("{}: {}", node.op, error.message)).types
}

/// Each output as one expression: `y = add(x, 2.0)`; a constant shows its value where that is one number, else its name.
pub fn text(graph: &Graph) -> String {
    let outputs: Vec<String> = graph.outputs.iter().map(|(name, id)| format!("{name} = {}", value_text(graph, *id))).collect();
    outputs.join("; ")
}

fn value_text(graph: &Graph, id: ValueId) -> String {
    let value = graph.value(id);
    match &value.def {
        Def::Input(_) => value.name.to_string(),
        Def::Constant { tensor, .. } => match tensor.uniform() {
            Some(number) if tensor.dims().is_empty() => number.to_string(),
            Some(number) => format!("{number}{:?}", tensor.dims()),
            None => short_constant(tensor).unwrap_or_else(|| value.name.to_string()),
        },
        Def::Node(node, _) => node_text(graph, graph.node(*node)),
    }
}

fn short_constant(tensor: &ir::Tensor) -> Option<String> {
    let array = tensor.to_array();
    let elements: Vec<String> = (0..array.count().min(5)).map(|at| array.get(at).to_string()).collect();
    (tensor.count() <= 4).then(|| format!("{{{}}}", elements.join(", ")))
}

fn node_text(graph: &Graph, node: &Node) -> String {
    let operands: Vec<String> = node.inputs.iter().map(|id| value_text(graph, *id)).collect();
    let regions: Vec<String> = node.regions.iter().map(|region| format!("{{{}}}", text(region))).collect();
    let head = func_of(node.op, &node.attrs).map_or(node.op, |func| func.name());
    format!("{head}{}({}){}", attrs_text(node.op, &node.attrs), operands.join(", "), regions.concat())
}

fn attrs_text(op: &str, attrs: &Attrs) -> String {
    let shown = |attr: &Attr| match attr {
        Attr::Int(value) => value.to_string(),
        Attr::Float(value) => format!("{value:?}"),
        Attr::Text(value) => value.clone(),
        Attr::Ints(values) => format!("{values:?}"),
        Attr::Exprs(values) => format!("{values:?}"),
        Attr::DType(value) => value.to_string(),
    };
    let parts: Vec<String> = attrs.iter().filter(|_| op != "map").map(|(_, attr)| shown(attr)).collect();
    if parts.is_empty() { String::new() } else { format!("<{}>", parts.join(" ")) }
}

/// Four numbers of an element type: 1, 2, 3, ..
pub fn counted(b: &mut Builder, dtype: DType, dims: &[usize]) -> ValueId {
    let count: usize = dims.iter().product();
    b.ints(dtype, dims.to_vec(), (1..=count as i64).collect())
}
