//! The verifier. A graph that passes can be walked in order by any pass without a check of its own; what a single op demands of its
//! operands is the op's business.
//!
//! - G1: every id that is mentioned is in range.
//! - G2: definitions agree: input n of the graph is defined as `Input(n)`, output n of a node as `Node(node, n)`; every value is one input,
//!   one output of a node, or a constant.
//! - G3: nodes stand in topological order: a node reads inputs, constants and outputs of nodes above it.
//! - G4: value names are unique.
//! - G5: every symbol in a type, guard or attribute is declared, by the graph or, for a region, by a graph around it; its bounds are in
//!   order.
//! - G6: output names are unique.
//! - G7: a constant's tensor has the type of its value.
//! - G8: every region is a legal graph.
//! - G9: every symbol of the whole graph occurs in a dim of an input, or is computed.
//! - G10: a computed size is declared, is no negative number by its bounds, is computed once, from an i64 scalar, and nothing that stands
//!   before what makes that mentions it.

use crate::dtype::DType;
use crate::graph::{Def, Graph, Location, NodeId, ValueId, symbols_of};
use std::collections::BTreeSet;
use std::fmt;
use sym::Sym;

/// An invariant that does not hold: a fault of the compiler, or of a text written by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The number of the invariant.
    pub invariant: &'static str,
    pub location: Location,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.location, self.message)
    }
}

/// What is wrong with the graph; empty where it is legal.
pub fn verify(graph: &Graph) -> Vec<Fault> {
    let mut faults = Faults::default();
    graph_faults(graph, &BTreeSet::new(), &mut faults);
    unbound_symbols(graph, &mut faults);
    faults.found
}

/// What was found so far. `regions` names the regions around the present one.
#[derive(Default)]
struct Faults {
    found: Vec<Fault>,
    regions: Vec<String>,
}

impl Faults {
    fn add(&mut self, invariant: &'static str, location: &Location, message: String) {
        let regions: String = self.regions.iter().map(|name| format!("region {name}: ")).collect();
        self.found.push(Fault { invariant, location: location.clone(), message: regions + &message });
    }
}

fn graph_faults(graph: &Graph, around: &BTreeSet<Sym>, faults: &mut Faults) {
    let before = faults.found.len();
    ids_in_range(graph, faults);
    if faults.found.len() > before {
        return;
    }
    definitions_agree(graph, faults);
    topological_order(graph, faults);
    let names = graph.values.iter().map(|value| &*value.name);
    repeated(names).for_each(|name| faults.add("G4", &Location::default(), format!("two values are named {name:?}")));
    let outputs = graph.outputs.iter().map(|(name, _)| name.as_str());
    repeated(outputs).for_each(|name| faults.add("G6", &Location::default(), format!("two outputs are named {name:?}")));
    constants_fit(graph, faults);
    let declared: BTreeSet<Sym> = around.iter().chain(graph.symbols.keys()).cloned().collect();
    symbols_declared(graph, &declared, faults);
    computed_sizes(graph, around, faults);
    for node in &graph.nodes {
        for region in &node.regions {
            faults.regions.push(format!("{:?} of {}", region.name, node.location));
            graph_faults(region, &declared, faults);
            faults.regions.pop();
        }
    }
}

fn ids_in_range(graph: &Graph, faults: &mut Faults) {
    let values = graph.values.len();
    let is_out = |id: &&ValueId| id.0 as usize >= values;
    for node in &graph.nodes {
        if let Some(id) = node.inputs.iter().chain(&node.outputs).find(is_out) {
            faults.add("G1", &node.location, format!("{} mentions {id:?} of {values} values", node.op));
        }
    }
    if let Some(id) = graph.inputs.iter().copied().chain(graph.roots()).find(|id| is_out(&id)) {
        faults.add("G1", &Location::default(), format!("the graph mentions {id:?} of {values} values"));
    }
    for value in &graph.values {
        match value.def {
            Def::Node(node, _) if node.0 as usize >= graph.nodes.len() => {
                faults.add("G1", &Location::default(), format!("{:?} is made by {node:?} of {}", value.name, graph.nodes.len()));
            }
            Def::Node(..) | Def::Input(_) | Def::Constant { .. } => (),
        }
    }
}

fn definitions_agree(graph: &Graph, faults: &mut Faults) {
    let mut listed = vec![0; graph.values.len()];
    for (at, id) in graph.inputs.iter().enumerate() {
        listed[id.0 as usize] += 1;
        if graph.value(*id).def != Def::Input(at) {
            faults.add("G2", &Location::default(), format!("input {at} is {id:?}, which is defined as {}", definition(graph, *id)));
        }
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        for (at, id) in node.outputs.iter().enumerate() {
            listed[id.0 as usize] += 1;
            if graph.value(*id).def != Def::Node(NodeId(number as u32), at) {
                let message =
                    format!("output {at} of node{number} ({}) is {id:?}, which is defined as {}", node.op, definition(graph, *id));
                faults.add("G2", &node.location, message);
            }
        }
    }
    for (at, value) in graph.values.iter().enumerate() {
        let wanted = match value.def {
            Def::Input(_) | Def::Node(..) => 1,
            Def::Constant { .. } => 0,
        };
        if listed[at] != wanted {
            let id = ValueId(at as u32);
            faults.add("G2", &Location::default(), format!("{id:?} is {}, but listed {} times", definition(graph, id), listed[at]));
        }
    }
}

fn definition(graph: &Graph, id: ValueId) -> String {
    match &graph.value(id).def {
        Def::Input(at) => format!("input {at}"),
        Def::Constant { .. } => "a constant".to_string(),
        Def::Node(node, at) => format!("output {at} of {node:?}"),
    }
}

fn topological_order(graph: &Graph, faults: &mut Faults) {
    for (number, node) in graph.nodes.iter().enumerate() {
        let early = node.inputs.iter().find(|id| matches!(graph.value(**id).def, Def::Node(maker, _) if maker.0 as usize >= number));
        if let Some(id) = early {
            faults.add("G3", &node.location, format!("{} reads {id:?}, which is {}, before it is made", node.op, definition(graph, *id)));
        }
    }
}

/// The names that stand more than once, each time after the first.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| !seen.insert(*name))
}

fn constants_fit(graph: &Graph, faults: &mut Faults) {
    for value in &graph.values {
        match &value.def {
            Def::Constant { tensor, .. } => {
                if value.ty.dtype != tensor.dtype() || value.ty.const_dims().as_deref() != Some(tensor.dims()) {
                    faults.add("G7", &Location::default(), format!("{:?} is {}, but its tensor is {tensor:?}", value.name, value.ty));
                }
            }
            Def::Input(_) | Def::Node(..) => (),
        }
    }
}

fn symbols_declared(graph: &Graph, declared: &BTreeSet<Sym>, faults: &mut Faults) {
    let mut check = |location: &Location, what: &dyn fmt::Display, symbols: &BTreeSet<Sym>| {
        if let Some(sym) = symbols.iter().find(|sym| !declared.contains(sym)) {
            faults.add("G5", location, format!("the symbol {sym} of {what} is not declared"));
        }
    };
    for value in &graph.values {
        let location = match value.def {
            Def::Node(node, _) => &graph.node(node).location,
            Def::Input(_) | Def::Constant { .. } => &Location::default(),
        };
        check(location, &format!("{:?}: {}", value.name, value.ty), &symbols_of(&value.ty.dims));
    }
    for guard in &graph.guards {
        check(&guard.location, &format!("the guard {}", guard.condition), &guard.condition.symbols());
    }
    for node in &graph.nodes {
        for (name, exprs) in node.expr_attrs() {
            check(&node.location, &format!("{} of {}", name, node.op), &symbols_of(exprs));
        }
    }
    for (sym, fact) in graph.symbols.iter().filter(|(_, fact)| fact.low > fact.high) {
        faults.add("G5", &Location::default(), format!("the symbol {sym} is in {}..={}", fact.low, fact.high));
    }
}

/// G10.
fn computed_sizes(graph: &Graph, around: &BTreeSet<Sym>, faults: &mut Faults) {
    let mut known: BTreeSet<&Sym> = BTreeSet::new();
    for (sym, id) in &graph.computed {
        let fact = graph.symbols.get(sym);
        let why = match (fact, graph.ty(*id)) {
            (None, _) => "is not declared".to_string(),
            (Some(fact), _) if fact.low < 0 => format!("may be {}", fact.low),
            (_, ty) if ty.dtype != DType::I64 || ty.rank() != 0 => format!("is a number of {ty}"),
            _ if around.contains(sym) => "means something else around here".to_string(),
            _ if !known.insert(sym) => "is computed twice".to_string(),
            _ => continue,
        };
        faults.add("G10", &Location::default(), format!("the size {sym} {why}"));
    }
    let mut open: Vec<(&Sym, usize)> = Vec::new();
    for (sym, id) in &graph.computed {
        if let Def::Node(maker, _) = graph.value(*id).def {
            open.push((sym, maker.0 as usize));
        }
        if graph.inputs.iter().any(|input| graph.ty(*input).dims.iter().any(|dim| dim.mentions(sym))) {
            faults.add("G10", &Location::default(), format!("the size {sym} is computed, and a dim of an input"));
        }
    }
    if open.is_empty() {
        return;
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        let early = graph.symbols_of(node).into_iter().find(|sym| open.iter().any(|(open, maker)| *open == sym && *maker >= at));
        if let Some(sym) = early {
            faults.add("G10", &node.location, format!("{} mentions {sym} before it is computed", node.op));
        }
    }
}

fn unbound_symbols(graph: &Graph, faults: &mut Faults) {
    let inputs = graph.values.iter().filter(|value| matches!(value.def, Def::Input(_)));
    let bound: BTreeSet<Sym> = inputs.flat_map(|value| &value.ty.dims).flat_map(|dim| dim.symbols()).collect();
    for sym in graph.symbols.keys().filter(|sym| !bound.contains(sym) && !graph.is_computed(sym)) {
        faults.add("G9", &Location::default(), format!("no dim of an input says what the symbol {sym} is"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_graph;

    const LEGAL: &str = r#"graph "g" {
        symbol n in 0..=9
        input %0 "x": f32[n]
        input %1 "c": bool[]
        constant %2 "k": i64[2] = [1, 2]
        guard n >= 1 @ ["/Guard"]
        %3 "y": f32[n] = map(%0) {func = "neg"} @ ["/Neg"]
        %4 "z": f32[n] = broadcast(%3) {dims = exprs[n]} @ ["/Expand"]
        %5 "w": f32[n] = if(%1, %4) @ ["/If"]
            graph "then" { input %0 "x": f32[n] output "x" = %0 }
            graph "else" { input %0 "x": f32[n] %1 "y": f32[n] = map(%0) {func = "abs"} @ ["/Abs"] output "y" = %1 }
        output "w" = %5
        output "y" = %3
    }"#;

    fn intern(name: &str) -> Option<&'static str> {
        ["map", "broadcast", "if", "func", "dims"].into_iter().find(|known| *known == name)
    }

    fn parse(text: &str) -> Graph {
        parse_graph(text, &intern, &|_| None).unwrap_or_else(|error| panic!("{error}"))
    }

    fn texts(graph: &Graph) -> Vec<String> {
        verify(graph).iter().map(|fault| fault.to_string()).collect()
    }

    fn check(from: &str, to: &str, want: &[&str]) {
        assert!(LEGAL.contains(from), "{from}");
        assert_eq!(texts(&parse(&LEGAL.replacen(from, to, 1))), want, "{from} -> {to}");
    }

    /// Changes that no text can say.
    fn check_changed(change: impl Fn(&mut Graph), want: &[&str]) {
        let mut graph = parse(LEGAL);
        change(&mut graph);
        assert_eq!(texts(&graph), want);
    }

    #[test]
    fn a_legal_graph_has_no_faults() {
        check("", "", &[]);
    }

    #[test]
    fn g1_ids_in_range() {
        check_changed(|graph| graph.nodes[0].inputs[0] = ValueId(6), &["G1: /Neg: map mentions %6 of 6 values"]);
        check_changed(|graph| graph.outputs[0].1 = ValueId(7), &["G1: model: the graph mentions %7 of 6 values"]);
        check_changed(|graph| graph.values[3].def = Def::Node(NodeId(3), 0), &["G1: model: \"y\" is made by node3 of 3"]);
    }

    #[test]
    fn g2_definitions_agree() {
        check_changed(
            |graph| graph.inputs.swap(0, 1),
            &["G2: model: input 0 is %1, which is defined as input 1", "G2: model: input 1 is %0, which is defined as input 0"],
        );
        check_changed(
            |graph| graph.values[4].def = Def::Node(NodeId(1), 1),
            &["G2: /Expand: output 0 of node1 (broadcast) is %4, which is defined as output 1 of node1"],
        );
        check_changed(|graph| graph.inputs.truncate(1), &["G2: model: %1 is input 1, but listed 0 times"]);
    }

    #[test]
    fn g3_topological_order() {
        check("map(%0)", "map(%4)", &["G3: /Neg: map reads %4, which is output 0 of node1, before it is made"]);
    }

    #[test]
    fn g4_g6_names_are_unique() {
        check("\"z\"", "\"x\"", &["G4: model: two values are named \"x\""]);
        check("output \"y\" = %3", "output \"w\" = %3", &["G6: model: two outputs are named \"w\""]);
    }

    #[test]
    fn g5_symbols_are_declared() {
        check("%3 \"y\": f32[n]", "%3 \"y\": f32[m]", &["G5: /Neg: the symbol m of \"y\": f32[m] is not declared"]);
        check("n >= 1", "n >= m", &["G5: /Guard: the symbol m of the guard n >= m is not declared"]);
        check("exprs[n]", "exprs[2*m]", &["G5: /Expand: the symbol m of dims of broadcast is not declared"]);
        check("0..=9", "1..=0", &["G5: model: the symbol n is in 1..=0"]);
    }

    #[test]
    fn g7_constants_have_their_type() {
        check_changed(|graph| graph.values[2].ty.dims = vec![Expr::from(3)], &["G7: model: \"k\" is i64[3], but its tensor is i64[2]"]);
    }

    #[test]
    fn g8_regions_are_legal() {
        check(
            "= map(%0) {func = \"abs\"}",
            "= map(%1) {func = \"abs\"}",
            &["G3: /Abs: region \"else\" of /If: map reads %1, which is output 0 of node0, before it is made"],
        );
    }

    #[test]
    fn g10_computed_sizes_are_known_where_they_are_mentioned() {
        let computed = |from: &str, to: &str| LEGAL.replacen(from, to, 1).replacen("constant", "symbol m in 0..=9 size m = %6 constant", 1);
        let counted = "%6 \"count\": i64[] = map() {func = \"count\"} @ [\"/Count\"]";
        let with = |from: &str, to: &str| texts(&parse(&computed(from, to)));
        let behind = format!("{counted} %7 \"v\": f32[m] = broadcast(%6) {{dims = exprs[m]}} @ [\"/Use\"] output \"w\"");
        assert_eq!(with("output \"w\"", &behind), Vec::<String>::new());
        let before = format!("%7 \"v\": f32[m] = broadcast(%3) {{dims = exprs[m]}} @ [\"/Use\"] {counted} output \"w\"");
        assert_eq!(with("output \"w\"", &before), ["G10: /Use: broadcast mentions m before it is computed"]);
        let wrong = counted.replace("i64[]", "i64[2]") + " output \"w\"";
        assert_eq!(with("output \"w\"", &wrong), ["G10: model: the size m is a number of i64[2]"]);
    }

    #[test]
    fn g9_inputs_bind_symbols() {
        check("symbol n", "symbol m in 0..=1 symbol n", &["G9: model: no dim of an input says what the symbol m is"]);
    }
}
