use super::*;
use crate::graph::{Attr, Attrs, Def, Graph, Location, Node, NodeId, SymbolFact, TensorType, Value, ValueId};
use crate::guard::{Condition, Guard};
use crate::strings::Texts;
use crate::{Array, DType, Literal, Tensor};
use proptest::prelude::*;
use std::sync::Arc;
use sym::{Expr, Sym};

const EXAMPLE: &str = r#"graph "encoder" {
  symbol m in 1..=64
  symbol n in 0..=1099511627776
  input %0 "ids": i64[n, m]
  input %8 "c": bool[]
  weight %1 "table": f32[4, 3]
  weight %2 "table_1": f32[3] = "bias \"q\""
  constant %4 "one": f32[3, 3] = splat 1.0
  constant %5 "ε": f32[] = splat 1e-5
  constant %6 "axes": i64[3] = [1, -2, 3]
  constant %7 "odd": f32[2] = bits "0100a07f0000803f"
  guard n == 2*m @ ["/Add"]
  guard one_or_equal(n, m + 1) @ ["/Add", "/Mul"]
  guard -m + n >= 1 @ []
  %3 "rows": f32[n, m, 3] = gather(%1, %0) {axis = 0} @ ["/Gather"]
  %9 "é": f32[n], %10 "b": f32[(n)/(2)] = two(%3, %3) {dims = exprs[n, max(2*m, n)], epsilon = 1e-5, kind = "sum", perm = [0, -1], to = dtype f16}
  %11 "y": f32[n, m, 3] = if(%8, %3) @ ["/If"]
    graph "then" {
      input %0 "x": f32[n, m, 3]
      output "x" = %0
    }
    graph "else" {
      symbol n in 0..=9
      input %0 "x": f32[n, m, 3]
      %1 "z": f32[n, m, 3] = map(%0) {func = "neg"}
      output "z" = %1
    }
  output "y" = %11
  output "rows" = %3
  output "again" = %3
}"#;

/// Test names live as long as the process.
fn intern(name: &str) -> Option<&'static str> {
    let known = ["axis", "dims", "epsilon", "func", "gather", "if", "kind", "map", "perm", "to", "two"];
    known.into_iter().find(|other| *other == name)
}

fn weights(name: &str) -> Option<Tensor> {
    let dims = match name {
        "table" => vec![4, 3],
        "bias \"q\"" => vec![1, 3],
        _ => return None,
    };
    Some(Tensor::from_array(&Array::from_fn(DType::F32, dims, |at| Literal::Float(at as f64))))
}

fn parse(text: &str) -> Result<Graph, String> {
    parse_graph(text, &intern, &weights).map_err(|error| error.to_string())
}

#[test]
fn text_is_kept() {
    let graph = parse(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(print_graph(&graph), EXAMPLE);
    assert_eq!(parse(&print_graph(&graph)), Ok(graph));
    assert_eq!(parse("graph \"\" {}"), Ok(Graph::default()));
}

#[test]
fn errors_say_where() {
    let error = |from: &str, to: &str| parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
    let got = [
        error("gather(", "gatter("),
        error("{axis =", "{axe ="),
        error("%8, %3", "%8, %12"),
        error("%10 \"b\"", "%3 \"b\""),
        error("%11 \"y\"", "%12 \"y\""),
        error("\"table\"", "\"tablet\""),
        error("f32[4, 3]", "f32[4, 4]"),
        error("splat 1.0", "[1.0]"),
        error("803f\"", "803\""),
        error("803f\"", "\""),
        error("[1, -2, 3]", "[1, -2, 0.5]"),
        error("f32[3, 3] =", "f32[3000000, 3000000] ="),
        error("f32[3, 3] =", "f32[n] ="),
        error("guard n ==", "guard n ="),
        error("output \"again\"", "outputs \"again\""),
    ];
    let want = [
        "line 15, column 35: there is no op `gatter`",
        "line 15, column 48: there is no attribute `axe`",
        "line 31, column 2: %12 is not defined",
        "line 16, column 39: %3 is defined twice",
        "line 31, column 2: %11 is not defined",
        "line 7, column 3: the model holds no weight \"tablet\"",
        "line 7, column 3: the weight \"table\" is f32[4, 3], not f32[4, 4]",
        "line 8, column 39: 1 elements for f32[3, 3]",
        "line 11, column 53: bits are pairs of hexadecimal digits",
        "line 11, column 50: 6 bytes for f32[2]",
        "line 10, column 43: 0.5 is no i64",
        "line 8, column 45: a constant of more than 4294967296 bytes: f32[3000000, 3000000]",
        "line 8, column 30: a constant of unknown dims: f32[n]",
        "line 12, column 11: expected `==`, found `= 2*m @ [\"/Add\"]\n  g`",
        "line 30, column 10: `outputs` starts no statement of a graph",
    ];
    assert_eq!(got, want);
}

#[test]
fn short_texts_of_elements_are_exact() {
    let text =
        |dtype, values: &[f64]| constant::elements_text(&Tensor::from_array(&Array::floats(dtype, vec![values.len()], values.to_vec())));
    assert_eq!(text(DType::F32, &[0.1, 1e-5, -0.0, f64::INFINITY, f64::NAN, 16777217.0]), "[0.1, 1e-5, -0.0, inf, nan, 16777216.0]");
    assert_eq!(text(DType::F16, &[0.1, 65504.0]), "[0.099975586, 65504.0]");
    assert_eq!(text(DType::F64, &[0.1, 1.0 / 3.0]), "[0.1, 0.3333333333333333]");
    assert_eq!(text(DType::F32, &[-f64::NAN, 1.0]), "[nan:fff8000000000000, 1.0]");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_round_trips(graph in graph(2)) {
        let text = print_graph(&graph);
        prop_assert_eq!(parse(&text), Ok(graph), "{}", text);
    }

    #[test]
    fn any_constant_round_trips(dtype in dtype(), bytes in prop::collection::vec(any::<u8>(), 0..600), uniform in any::<bool>()) {
        let count = bytes.len() / dtype.size();
        let bytes = if uniform { bytes[..dtype.size().min(bytes.len())].repeat(count) } else { bytes[..count * dtype.size()].to_vec() };
        let tensor = Tensor::new(dtype, vec![count], Arc::new(bytes)).unwrap();
        let text = constant::elements_text(&tensor);
        let ty = TensorType::new(dtype, vec![Expr::from(count as i64)]);
        prop_assert_eq!(constant::parse_elements(&mut sym::Parser::new(&text), &ty), Ok(tensor), "{}", text);
    }

    #[test]
    fn no_text_panics(at in 0usize..2000, cut in 0usize..20, new in "[ -~\\n]{0,4}") {
        let mut chars: Vec<char> = EXAMPLE.replace(['ε', 'é'], "e").chars().collect();
        let at = at.min(chars.len());
        chars.splice(at..(at + cut).min(chars.len()), new.chars());
        let _ = parse(&chars.into_iter().collect::<String>());
    }
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

fn expr() -> impl Strategy<Value = Expr> {
    prop::sample::select(vec!["0", "7", "n", "2*n + 1", "(n + 1)/2", "n % 4", "min(n, m)*m"]).prop_map(|text| text.parse().unwrap())
}

fn ty() -> impl Strategy<Value = TensorType> {
    (dtype(), prop::collection::vec(expr(), 0..3)).prop_map(|(dtype, dims)| TensorType { dtype, dims })
}

fn location() -> impl Strategy<Value = Location> {
    prop::collection::vec(".{0,8}", 0..3).prop_map(|names| Location(names.into_iter().map(Arc::from).collect()))
}

fn attr() -> impl Strategy<Value = Attr> {
    prop_oneof![
        any::<i64>().prop_map(Attr::Int),
        any::<f64>().prop_filter("NaN equals nothing", |value| !value.is_nan()).prop_map(Attr::Float),
        ".{0,6}".prop_map(Attr::Text),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(Attr::Ints),
        prop::collection::vec(expr(), 0..3).prop_map(Attr::Exprs),
        dtype().prop_map(Attr::DType),
    ]
}

fn attrs() -> impl Strategy<Value = Attrs> {
    prop::collection::btree_map(prop::sample::select(vec!["axis", "dims", "kind", "to"]), attr(), 0..3)
}

fn condition() -> impl Strategy<Value = Condition> {
    (0..3, expr(), expr()).prop_map(|(kind, a, b)| match kind {
        0 => Condition::Equal(a, b),
        1 => Condition::OneOrEqual(a, b),
        _ => Condition::AtLeast(a, b),
    })
}

fn constant() -> impl Strategy<Value = (TensorType, Def)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    (dtype(), bytes).prop_map(|(dtype, mut bytes)| {
        bytes.truncate(bytes.len() / dtype.size() * dtype.size());
        let count = bytes.len() / dtype.size();
        let tensor = Tensor::new(dtype, vec![count], Arc::new(bytes)).unwrap();
        (TensorType::new(dtype, vec![Expr::from(count as i64)]), Def::Constant { tensor, weight: None })
    })
}

/// A node with the types of its outputs; the numbers of its inputs are any, taken modulo the values there are.
fn node(depth: u32) -> BoxedStrategy<(Node, Vec<TensorType>)> {
    let regions = if depth == 0 { Just(vec![]).boxed() } else { prop::collection::vec(graph(depth - 1), 0..2).boxed() };
    let inputs = prop::collection::vec(any::<u32>().prop_map(ValueId), 0..3);
    let op = prop::sample::select(vec!["gather", "two", "map"]);
    (op, attrs(), inputs, prop::collection::vec(ty(), 0..3), regions, location())
        .prop_map(|(op, attrs, inputs, types, regions, location)| (Node { op, attrs, inputs, outputs: vec![], regions, location }, types))
        .boxed()
}

fn graph(depth: u32) -> BoxedStrategy<Graph> {
    let symbols = prop::collection::btree_map(
        prop::sample::select(vec!["n", "m", "seq.len"]).prop_map(Sym::new),
        any::<(i64, i64)>().prop_map(|(low, high)| SymbolFact { low, high }),
        0..3,
    );
    let guards = prop::collection::vec((condition(), location()), 0..2);
    let guards = guards.prop_map(|guards| guards.into_iter().map(|(condition, location)| Guard { condition, location }).collect());
    let parts = (".{0,6}", symbols, guards, prop::collection::vec(ty(), 1..3), prop::collection::vec(constant(), 0..3));
    let nodes = prop::collection::vec(node(depth), 0..4);
    let outputs = prop::collection::vec((".{0,6}", any::<u32>()), 0..3);
    (parts, nodes, outputs, ".{0,6}", any::<u64>())
        .prop_map(|((name, symbols, guards, inputs, constants), nodes, outputs, hint, seed)| {
            let texts = texts(&hint, seed);
            let mut graph = Graph { name, symbols, guards, texts, ..Graph::default() };
            let add = |graph: &mut Graph, ty, def| {
                let id = ValueId(graph.values.len() as u32);
                graph.values.push(Value { name: format!("{hint}{}", id.0).into(), ty, def });
                id
            };
            for (at, ty) in inputs.into_iter().enumerate() {
                let id = add(&mut graph, ty, Def::Input(at));
                graph.inputs.push(id);
            }
            constants.into_iter().for_each(|(ty, def)| {
                add(&mut graph, ty, def);
            });
            for (at, (mut node, types)) in nodes.into_iter().enumerate() {
                let count = graph.values.len() as u32;
                node.inputs.iter_mut().for_each(|id| id.0 %= count);
                let outputs = types.into_iter().enumerate();
                node.outputs = outputs.map(|(n, ty)| add(&mut graph, ty, Def::Node(NodeId(at as u32), n))).collect();
                graph.nodes.push(node);
            }
            let count = graph.values.len() as u32;
            graph.outputs = outputs.into_iter().map(|(name, id)| (name, ValueId(id % count))).collect();
            shuffled(graph, seed)
        })
        .boxed()
}

/// Strings out of what was drawn anyway.
fn texts(hint: &str, seed: u64) -> Texts {
    let table = if seed.is_multiple_of(2) { vec![format!("{hint}.").into(), format!("{hint}\n\u{e9}").into()] } else { vec![] };
    Texts { inputs: table.iter().map(|text: &Arc<str>| text.to_string()).take(1).collect(), table, ..Texts::default() }
}

/// The same graph with its values in another order.
fn shuffled(graph: Graph, seed: u64) -> Graph {
    let mut order: Vec<usize> = (0..graph.values.len()).collect();
    order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(seed | 1));
    let new = |id: &ValueId| ValueId(order.iter().position(|at| *at == id.0 as usize).unwrap() as u32);
    let rename = |ids: &[ValueId]| ids.iter().map(new).collect::<Vec<_>>();
    let nodes = graph.nodes.iter().map(|node| Node { inputs: rename(&node.inputs), outputs: rename(&node.outputs), ..node.clone() });
    Graph {
        values: order.iter().map(|at| graph.values[*at].clone()).collect(),
        nodes: nodes.collect(),
        inputs: rename(&graph.inputs),
        outputs: graph.outputs.iter().map(|(name, id)| (name.clone(), new(id))).collect(),
        ..graph.clone()
    }
}
