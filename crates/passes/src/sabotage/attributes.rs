//! Faults of attributes: kinds, axes, windows, parameters.

use super::Fault;
use ir::{Attr, DType, Graph, Node};
use ops::attrs;
use ops::core::contract::Spec;
use sym::Expr;

fn with_attr(node: &Node, name: &'static str, attr: Attr) -> Node {
    let mut node = node.clone();
    node.attrs.insert(name, attr);
    node
}

/// Another fold.
pub fn other_kinds(graph: &Graph, node: &Node) -> Vec<Fault> {
    let Ok(kind) = attrs::text(&node.attrs, "kind") else { return Vec::new() };
    let other = match kind {
        "sum" => "max",
        "max" => "min",
        "min" => "max",
        "product" => "sum",
        "and" => "or",
        _ => "and",
    };
    let dims = &graph.ty(node.inputs[0]).dims;
    let of_one = match node.op {
        "reduce" => attrs::ints(&node.attrs, "axes").is_ok_and(|axes| axes.iter().all(|axis| dims[*axis as usize].is_one())),
        _ => attrs::ints(&node.attrs, "window").is_ok_and(|window| window.iter().all(|taps| *taps == 1)),
    };
    if of_one { Vec::new() } else { vec![(with_attr(node, "kind", Attr::Text(other.to_string())), format!("{kind} becomes {other}"))] }
}

/// Another way to combine updates.
pub fn other_combinations(graph: &Graph, node: &Node) -> Vec<Fault> {
    let Ok(combine) = attrs::text(&node.attrs, "combine") else { return Vec::new() };
    let other = match combine {
        "none" if graph.ty(node.inputs[0]).dtype == DType::Bool => "or",
        "none" => "sum",
        _ => "none",
    };
    vec![(with_attr(node, "combine", Attr::Text(other.to_string())), format!("{combine} becomes {other}"))]
}

/// Another axis, two axes of a transpose or two letters of a contraction swapped: where sizes are equal.
pub fn other_axes(graph: &Graph, node: &Node) -> Vec<Fault> {
    match node.op {
        "transpose" => swapped_axes(graph, node),
        "contract" => swapped_letters(graph, node),
        "softmax" | "gather" | "concat" | "iota" => moved_axis(graph, node),
        _ => Vec::new(),
    }
}

fn moved_axis(graph: &Graph, node: &Node) -> Vec<Fault> {
    let Ok(axis) = attrs::int(&node.attrs, "axis") else { return Vec::new() };
    let like = if node.op == "gather" { node.inputs[0] } else { node.outputs[0] };
    let dims = &graph.ty(like).dims;
    let others = (0..dims.len() as i64).filter(|other| *other != axis && !(dims[*other as usize].is_one() && dims[axis as usize].is_one()));
    others.map(|other| (with_attr(node, "axis", Attr::Int(other)), format!("axis {axis} becomes {other}"))).collect()
}

fn swapped_axes(graph: &Graph, node: &Node) -> Vec<Fault> {
    let Ok(perm) = attrs::ints(&node.attrs, "perm") else { return Vec::new() };
    let dims = &graph.ty(node.outputs[0]).dims;
    let pairs = (1..perm.len()).flat_map(|b| (0..b).map(move |a| (a, b))).filter(|(a, b)| dims[*a] == dims[*b] && !dims[*a].is_one());
    pairs
        .map(|(a, b)| {
            let mut wrong = perm.to_vec();
            wrong.swap(a, b);
            (with_attr(node, "perm", Attr::Ints(wrong)), format!("axes {a} and {b} are swapped"))
        })
        .collect()
}

fn swapped_letters(graph: &Graph, node: &Node) -> Vec<Fault> {
    let Ok(spec) = Spec::read(&node.attrs) else { return Vec::new() };
    let dims = &graph.ty(node.inputs[0]).dims;
    let pairs = (1..dims.len()).flat_map(|b| (0..b).map(move |a| (a, b))).filter(|(a, b)| dims[*a] == dims[*b] && !dims[*a].is_one());
    pairs
        .map(|(i, j)| {
            let mut a = spec.a.clone();
            a.swap(i, j);
            let text = |letters: &[char]| letters.iter().collect::<String>();
            let wrong = format!("{},{}->{}", text(&a), text(&spec.b), text(&spec.out));
            (with_attr(node, "spec", Attr::Text(wrong.clone())), format!("the letters become {wrong}"))
        })
        .collect()
}

/// A slice that starts one later or earlier where that stays in bounds; padding on the other side.
pub fn other_windows(graph: &Graph, node: &Node) -> Vec<Fault> {
    match node.op {
        "slice" => shifted_slices(graph, node),
        "pad" | "conv" | "reduce_window" => swapped_padding(node),
        _ => Vec::new(),
    }
}

fn shifted_slices(graph: &Graph, node: &Node) -> Vec<Fault> {
    let (starts, sizes) = (attrs::exprs(&node.attrs, "starts"), attrs::exprs(&node.attrs, "sizes"));
    let (Ok(starts), Ok(sizes), Ok(steps)) = (starts, sizes, attrs::ints(&node.attrs, "steps")) else { return Vec::new() };
    let dims = &graph.ty(node.inputs[0]).dims;
    let in_bounds = |axis: usize, shift: i64| {
        let first = &starts[axis] + shift;
        let last = &first + &((&sizes[axis] - 1) * steps[axis]);
        let inside = |end: &Expr| end.as_const().is_none_or(|end| end >= 0) && (&dims[axis] - end).as_const().is_some_and(|gap| gap >= 1);
        let known = shift > 0 || (first.as_const().is_some() && last.as_const().is_some());
        known && inside(&first) && inside(&last)
    };
    let shifts = (0..dims.len()).flat_map(|axis| [(axis, 1), (axis, -1)]).filter(|(axis, shift)| in_bounds(*axis, *shift));
    shifts
        .map(|(axis, shift)| {
            let mut wrong = starts.to_vec();
            wrong[axis] = &wrong[axis] + shift;
            (with_attr(node, "starts", Attr::Exprs(wrong)), format!("axis {axis} starts {shift} further"))
        })
        .collect()
}

fn swapped_padding(node: &Node) -> Vec<Fault> {
    let (Some(low), Some(high)) = (node.attrs.get("low"), node.attrs.get("high")) else { return Vec::new() };
    if low == high {
        return Vec::new();
    }
    let wrong = with_attr(&with_attr(node, "low", high.clone()), "high", low.clone());
    vec![(wrong, "low and high padding are swapped".to_string())]
}

/// Another number: epsilon, scale, alpha, beta, a size, the form of gelu.
pub fn other_parameters(_: &Graph, node: &Node) -> Vec<Fault> {
    node.attrs
        .iter()
        .filter_map(|(name, attr)| other_parameter(name, attr).map(|(other, what)| (with_attr(node, name, other), what)))
        .collect()
}

fn other_parameter(name: &str, attr: &Attr) -> Option<(Attr, String)> {
    match attr {
        Attr::Float(value) => {
            let other = 2.0 * value + 0.5;
            Some((Attr::Float(other), format!("{name} is {other}, not {value}")))
        }
        Attr::Int(value) if name == "approximate" => Some((Attr::Int(1 - value), format!("{name} is {}, not {value}", 1 - value))),
        Attr::Exprs(values) if name == "values" => {
            Some((Attr::Exprs(values.iter().map(|value| value + 1).collect()), "every size is 1 larger".to_string()))
        }
        _ => None,
    }
}
