//! What a model wants to find in an input, as far as its graph tells.

use ir::{Attr, Graph, Node, ValueId};
use nest::Func;
use std::collections::BTreeSet;
use sym::Expr;

/// The contents that suit an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Normally distributed floats.
    Normal,
    /// Integers from 0 on, below the smallest of these sizes: places in tables.
    Below(Vec<Expr>),
    Ones,
    /// 0 and 1.
    Bits,
    /// All values of a byte.
    Bytes,
}

/// The contents for the graph's input number `input`. A mask is known by its name, or as integers that are compared or made bools.
pub fn content(graph: &Graph, input: usize) -> Content {
    let value = graph.value(graph.inputs[input]);
    let mut uses = Uses::default();
    uses.follow(graph, graph.inputs[input]);
    match value.ty.dtype {
        _ if is_mask(&value.name) => Content::Ones,
        dtype if dtype.is_float() => Content::Normal,
        dtype if dtype.is_int() && !uses.tables.is_empty() => Content::Below(uses.tables.into_iter().collect()),
        dtype if dtype.is_int() && uses.judged => Content::Ones,
        dtype if dtype.is_int() && dtype.size() == 1 => Content::Bytes,
        _ => Content::Bits,
    }
}

/// Contents by name and type alone, where there is no graph.
pub fn content_by_name(name: &str, dtype: ir::DType) -> Content {
    match dtype {
        _ if is_mask(name) => Content::Ones,
        _ if dtype.is_float() => Content::Normal,
        _ if dtype.is_int() && dtype.size() == 1 => Content::Bytes,
        _ => Content::Bits,
    }
}

fn is_mask(name: &str) -> bool {
    name.to_lowercase().contains("mask")
}

/// How the elements of a value are used, also after ops that only move them.
#[derive(Default)]
struct Uses {
    /// Sizes of the axes that they index.
    tables: BTreeSet<Expr>,
    /// Whether they are compared, or made bools.
    judged: bool,
    seen: BTreeSet<ValueId>,
}

impl Uses {
    fn follow(&mut self, graph: &Graph, value: ValueId) {
        if !self.seen.insert(value) {
            return;
        }
        for node in graph.nodes.iter().filter(|node| node.inputs.contains(&value)) {
            for operand in (0..node.inputs.len()).filter(|at| node.inputs[*at] == value) {
                self.used(graph, node, operand);
            }
        }
    }

    fn used(&mut self, graph: &Graph, node: &Node, operand: usize) {
        match (node.op, operand) {
            ("gather" | "gather_nd", 1) => self.tables.extend(indexed_axes(graph, node)),
            ("convert", _) if node.attrs.get("to") == Some(&Attr::DType(ir::DType::Bool)) => self.judged = true,
            ("map", _) if is_comparison(node) => self.judged = true,
            ("if" | "while", 1..) => node.regions.iter().for_each(|region| self.follow_into(region, region.inputs[operand - 1])),
            ("scan", _) => node.regions.iter().for_each(|region| self.follow_into(region, region.inputs[operand])),
            _ if moves(graph, node, operand) => node.outputs.iter().for_each(|output| self.follow(graph, *output)),
            _ => {}
        }
    }

    /// Follows a capture; a region's values are numbered anew.
    fn follow_into(&mut self, region: &Graph, value: ValueId) {
        let outside = std::mem::take(&mut self.seen);
        self.follow(region, value);
        self.seen = outside;
    }
}

/// The sizes of the axes that the indices of a gather point into.
fn indexed_axes(graph: &Graph, node: &Node) -> Vec<Expr> {
    let data = &graph.ty(node.inputs[0]).dims;
    let int = |name: &str| match node.attrs.get(name) {
        Some(Attr::Int(value)) => usize::try_from(*value).unwrap_or(0),
        _ => 0,
    };
    let tuple = graph.ty(node.inputs[1]).dims.last().and_then(|last| last.as_const()).unwrap_or(1) as usize;
    let axes = if node.op == "gather" { int("axis")..int("axis") + 1 } else { int("batch")..int("batch") + tuple };
    data.get(axes).map(<[Expr]>::to_vec).unwrap_or_default()
}

fn is_comparison(node: &Node) -> bool {
    use Func::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    match node.attrs.get("func") {
        Some(Attr::Text(name)) => [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual].iter().any(|func| func.name() == name),
        _ => false,
    }
}

/// Whether the node's result has the operand's elements, unchanged.
fn moves(graph: &Graph, node: &Node, operand: usize) -> bool {
    match node.op {
        "reshape" | "broadcast" | "transpose" | "slice" | "concat" => true,
        "pad" | "gather" | "gather_nd" => operand == 0,
        "convert" => node.outputs.iter().all(|output| graph.ty(*output).dtype.is_int()),
        "map" => operand > 0 && node.attrs.get("func") == Some(&Attr::Text(Func::Select.name().to_string())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{DType, Tensor, TensorType};
    use ops::Builder;

    fn ty(dtype: DType, dims: &[&str]) -> TensorType {
        TensorType::new(dtype, dims.iter().map(|dim| dim.parse().unwrap()).collect())
    }

    #[test]
    fn indices_are_known_through_what_moves_them() {
        let mut b = Builder::new("g");
        let ids = b.input("ids", ty(DType::I64, &["n", "s"]));
        let kept = b.input("kept", ty(DType::I64, &["n", "s"]));
        let plain = b.input("plain", ty(DType::I32, &["n"]));
        b.input("attention_mask", ty(DType::F32, &["n"]));
        b.input("x", ty(DType::F32, &["n"]));
        b.input("image", ty(DType::U8, &["n"]));
        let table = Tensor::from_array(&ir::Array::floats(DType::F32, vec![7, 2], vec![0.0; 14]));
        let table = b.graph.constant(table, None, "table");
        let turned = b.transpose(ids, &[1, 0]).unwrap();
        let narrow = b.convert(turned, DType::I32).unwrap();
        let rows = b.gather(table, narrow, 0).unwrap();
        let zero = b.number(DType::I64, 0.0);
        let judged = b.map_broadcast(Func::NotEqual, &[kept, zero]).unwrap();
        let sum = b.map(Func::Add, &[plain, plain]).unwrap();
        for value in [rows, judged, sum] {
            b.output("y", value);
        }
        let graph = b.finish();
        let contents: Vec<Content> = (0..graph.inputs.len()).map(|at| content(&graph, at)).collect();
        let below = Content::Below(vec![Expr::from(7)]);
        assert_eq!(contents, [below, Content::Ones, Content::Bits, Content::Ones, Content::Normal, Content::Bytes]);
    }
}
