//! Printing graphs.

use crate::Literal;
use crate::graph::{Attr, Attrs, Def, Graph, Node, ValueId};
use crate::text::constant::elements_text;
use crate::text::parts::{literal_text, location_text, name_text, texts_text};
use std::fmt::{self, Write};

/// The graph's text, ending in `}` without a newline.
pub fn print_graph(graph: &Graph) -> String {
    let mut out = String::new();
    write_graph(&mut out, graph, 0);
    out
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&print_graph(self))
    }
}

fn write_graph(out: &mut String, graph: &Graph, indent: usize) {
    let _ = write!(out, "graph {:?} {{", graph.name);
    for (sym, fact) in &graph.symbols {
        line(out, indent, &format!("symbol {sym} in {}..={}", fact.low, fact.high));
    }
    if !graph.texts.is_empty() {
        line(out, indent, &texts_text(&graph.texts));
    }
    for id in &graph.inputs {
        line(out, indent, &format!("input {}", value_text(graph, *id)));
    }
    for at in 0..graph.values.len() {
        let id = ValueId(at as u32);
        if let Def::Constant { tensor, weight } = &graph.value(id).def {
            let value = value_text(graph, id);
            line(
                out,
                indent,
                &match weight {
                    Some(weight) if **weight == *graph.value(id).name => format!("weight {value}"),
                    Some(weight) => format!("weight {value} = {weight:?}"),
                    None => format!("constant {value} = {}", elements_text(tensor)),
                },
            );
        }
    }
    for (sym, id) in &graph.computed {
        line(out, indent, &format!("size {sym} = {id:?}"));
    }
    for guard in &graph.guards {
        line(out, indent, &format!("guard {}{}", guard.condition, location_text(&guard.location)));
    }
    for node in &graph.nodes {
        line(out, indent, &node_text(graph, node));
        for region in &node.regions {
            line(out, indent + 1, "");
            write_graph(out, region, indent + 2);
        }
    }
    for (name, id) in &graph.outputs {
        line(out, indent, &format!("output {name:?} = {id:?}"));
    }
    let _ = write!(out, "\n{}}}", "  ".repeat(indent));
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = write!(out, "\n{}{text}", "  ".repeat(indent + 1));
}

/// `%0 "x": f32[n]`
fn value_text(graph: &Graph, id: ValueId) -> String {
    let value = graph.value(id);
    format!("{id:?} {:?}: {}", value.name, value.ty)
}

/// All of a node but its regions.
fn node_text(graph: &Graph, node: &Node) -> String {
    let outputs: Vec<String> = node.outputs.iter().map(|id| value_text(graph, *id)).collect();
    let inputs: Vec<String> = node.inputs.iter().map(|id| format!("{id:?}")).collect();
    let location = if node.location.0.is_empty() { String::new() } else { location_text(&node.location) };
    format!("{} = {}({}){}{location}", outputs.join(", "), node.op, inputs.join(", "), attrs_text(&node.attrs))
}

/// ` {axis = 0}`, nothing without attributes.
pub fn attrs_text(attrs: &Attrs) -> String {
    if attrs.is_empty() {
        return String::new();
    }
    let attrs: Vec<String> = attrs.iter().map(|(name, attr)| format!("{} = {}", name_text(name), attr_text(attr))).collect();
    format!(" {{{}}}", attrs.join(", "))
}

fn attr_text(attr: &Attr) -> String {
    match attr {
        Attr::Int(value) => value.to_string(),
        Attr::Float(value) => literal_text(Literal::Float(*value)),
        Attr::Text(text) => format!("{text:?}"),
        Attr::Ints(values) => format!("{values:?}"),
        Attr::Exprs(exprs) => format!("exprs{exprs:?}"),
        Attr::DType(dtype) => format!("dtype {dtype}"),
    }
}
