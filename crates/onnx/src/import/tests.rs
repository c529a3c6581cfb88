use super::*;
use crate::testing::{check, check_problems, check_types, imported, model, ops_of};
use ir::{Array, DType};
use proptest::prelude::*;
use prost::Message;
use sym::Sym;

#[test]
fn names_and_places_are_the_models() {
    let text = "x: f32[n, 2] w: f32[2] = 1 2 y = Add \"/add\" (x, w) z = Relu(y) => z, x";
    let graph = imported(text, &ImportOptions::default()).unwrap().graph;
    let want = r#"graph "g" {
  symbol n in 0..=1099511627776
  input %0 "x": f32[n, 2]
  weight %1 "w": f32[2]
  constant %4 "scalar": f32[] = splat 0.0
  %2 "broadcast": f32[n, 2] = broadcast(%1) {dims = exprs[n, 2]} @ ["/add"]
  %3 "y": f32[n, 2] = map(%0, %2) {func = "add"} @ ["/add"]
  %5 "broadcast_1": f32[n, 2] = broadcast(%4) {dims = exprs[n, 2]} @ ["Relu#1"]
  %6 "z": f32[n, 2] = map(%3, %5) {func = "max"} @ ["Relu#1"]
  output "z" = %6
  output "x" = %0
}"#;
    assert_eq!(ir::text::print_graph(&graph), want);
}

#[test]
fn weights_share_the_files_bytes() {
    let file = ModelFile::from_bytes(model("w: f32[2] = 1 2 y = Neg(w) => y").encode_to_vec().into()).unwrap();
    let graph = import(&file, &ImportOptions::default()).unwrap();
    let raw = file.model.graph.as_ref().unwrap().initializer[0].raw_data.clone().unwrap();
    let id = graph.nodes[0].inputs[0];
    assert_eq!(graph.constant(id).unwrap().bytes().as_ptr(), raw.as_ptr());
    assert!(matches!(&graph.value(id).def, ir::Def::Constant { weight: Some(name), .. } if **name == *"w"));
}

#[test]
fn an_input_with_an_initializer_is_a_constant() {
    check("x: f32[2] w: f32[2] w: f32[2] = 1 2 y = Add(x, w) => y", &["f32[2] 1 1"], &["f32[2] 2 3"]);
}

#[test]
fn shape_arithmetic_adds_no_nodes() {
    let text = "x: f32[n, 4, m] start: i64[1] = 1 end: i64[1] = 9223372036854775807 zero: i64[] = 0 two: i64[] = 2 open: i64[1] = -1
        s = Shape(x) tail = Slice(s, start, end) n = Gather(s, zero) half = Mul(n, two) row = Unsqueeze(half, start0) start0: i64[1] = 0
        shape = Concat {axis = 0} (row, open, tail2) tail2 = Slice(s, two1, end) two1: i64[1] = 2 y = Reshape(x, shape) => y";
    check_problems(text, &["[E002] Concat#5: `tail2` is used before the node that defines it"]);
    let sorted = text.replace("tail2 = Slice(s, two1, end)", "").replace("shape =", "tail2 = Slice(s, two1, end) shape =");
    check_types(&sorted, &["f32[2*n, 2, m]"]);
    assert_eq!(ops_of(&sorted), "reshape");
}

#[test]
fn sizes_become_data_where_a_node_needs_them() {
    let text = "x: f32[n, 2] s = Shape(x) t = Mul(s, s) y = Cast {to = 1} (t) => y, s";
    assert_eq!(ops_of(text), "sizes convert sizes");
    check(text, &["f32[3, 2] 0 0 0 0 0 0"], &["f32[2] 9 4", "i64[2] 3 2"]);
}

#[test]
fn every_problem_is_reported_once() {
    let text =
        "x: f32[2] a = Relu(x) a = Relu(x) b = Foo(none, x) c = Bar(b) d = Add(b, c) e = Bar(d) f = Add(x, wide) wide: f32[3] = 1 2 3 => e";
    check_problems(
        text,
        &[
            "[E002] Relu#1: `a` is defined twice",
            "[E002] Foo#2: `none` is not defined",
            "[E006] Foo#2: operator Foo of opset 28 is not supported; the types of its operands are not known",
            "[E006] Bar#3: operator Bar of opset 28 is not supported; the types of its operands are not known (and 1 more node)",
            "[E003] Add#6: axis 0 does not broadcast: 2 vs 3",
        ],
    );
    check_problems("x: f32[2] => y", &["[E002] y: `y` is not defined"]);
}

#[test]
fn attributes_are_checked() {
    check_problems("x: f32[2] y = Relu {alpha = 1} (x) => y", &["[E005] Relu#0: Relu of opset 28 has no attribute `alpha`"]);
    check_problems("x: f32[2] y = Softmax {axis = 1.0} (x) => y", &["[E005] Softmax#0: attribute `axis` is of kind Float, not Int"]);
    check_problems("x: f32[2] y = Softmax {axis = 2} (x) => y", &["[E005] Softmax#0: axis 2 is outside of rank 1"]);
    check_problems("x: f32[2] y = Add(x, x, x) => y", &["[E001] Add#0: Add of opset 28 has no operand 2"]);
    check_problems("x: f32[2] y = Add(x) => y", &["[E001] Add#0: Add lacks its operand 1"]);
    check_problems("opset 99 x: f32[2] y = Relu(x) => y", &["[E006] model: opset 99 is newer than 28, the latest that is known"]);
}

#[test]
fn declared_types_are_only_hints() {
    let text = "x: f32[2] y = Relu(x) => y: f32[3]";
    let imported = imported(text, &ImportOptions::default()).unwrap();
    let warnings: Vec<String> = imported.warnings.iter().map(|warning| warning.to_string()).collect();
    assert_eq!(warnings, ["[E003] y: the model declares another type for `y` than f32[2], which it has"]);
}

#[test]
fn options_bind_sizes() {
    let text = "x: f32[n, m] y = Relu(x) => y";
    let options = ImportOptions { dims: BTreeMap::from([("n".to_string(), 2)]), ..ImportOptions::default() };
    let graph = imported(text, &options).unwrap().graph;
    assert_eq!(graph.ty(graph.outputs[0].1).to_string(), "f32[2, m]");
    assert_eq!(graph.symbols.keys().collect::<Vec<_>>(), [&Sym::new("m")]);
}

#[test]
fn options_bind_values() {
    let text = "x: f32[2, n] axes: i64[k] y = ReduceSum(x, axes) => y";
    let imported = |value: Array| {
        let values = BTreeMap::from([("axes".to_string(), Tensor::from_array(&value))]);
        imported(text, &ImportOptions { values, ..ImportOptions::default() }).map(|imported| imported.graph)
    };
    let graph = imported(Array::ints(DType::I64, vec![1], vec![-1])).unwrap();
    assert_eq!((graph.inputs.len(), graph.ty(graph.outputs[0].1).to_string()), (2, "f32[2, 1]".to_string()));
    let wrong = imported(Array::ints(DType::I32, vec![1], vec![-1])).unwrap_err();
    assert_eq!(wrong.to_string(), "[E009] axes: i32[1] is no i64[k]");
}

#[test]
fn functions_are_expanded() {
    let text = "function f(a, b)[k] { s = Add(a, b) t = LeakyRelu {alpha = @k} (s) => t }
        function twice(a, b) { u = my.f {k = 0.5} (a, a) v = my.f \"second\" {k = 2.0} (u, a) => v }
        x: f32[2] y = my.twice(x) => y";
    check(text, &["f32[2] 1 -1"], &["f32[2] 3 -4"]);
    let graph = imported(text, &ImportOptions::default()).unwrap().graph;
    assert_eq!(graph.nodes[0].location.to_string(), "twice#0/f#0/Add#0");
    let absent = "function f(a, b) { c = Clip(a, b) => c } x: f32[2] y = my.f(x) => y";
    check(absent, &["f32[2] 1 -1"], &["f32[2] 1 -1"]);
    check_problems(
        "function f(a, b) { => b } x: f32[2] y = my.f(x) z = Relu(x) => y, z",
        &["[E006] f#0: `b` is a result, but an input that the function's call leaves out"],
    );
    let endless = "function f(a) { b = my.f(a) => b } x: f32[2] y = my.f(x) => y";
    check_problems(endless, &["[E002] f#0/f#0: function `f` calls itself"]);
    check_problems("function f(a) { b = Relu(x) => b } x: f32[2] y = my.f(x) => y", &["[E002] f#0/Relu#0: `x` is not defined"]);
}

#[test]
fn damage_is_limited() {
    let mut text = "x: f32[n] s0 = Shape(x) ".to_string();
    (0..64).for_each(|at| text.push_str(&format!("s{} = Mul(s{at}, s{at}) ", at + 1)));
    check_types(&format!("{text} => s64"), &["i64[1]"]);
    let mut text = "x: f32[n, m] one: i64[2] = -1 1 two: i64[2] = 1 -1 ".to_string();
    for at in 0..64 {
        let from = if at == 0 { "x".to_string() } else { format!("x{at}") };
        text.push_str(&format!("a{at} = Reshape({from}, one) b{at} = Reshape({from}, two) x{} = Add(a{at}, b{at}) ", at + 1));
    }
    let problems = imported(&format!("{text} => x64"), &ImportOptions::default()).unwrap_err();
    assert_eq!(problems.0[0].code, Code::Limit);
}

#[test]
fn expansion_is_limited_and_told_once() {
    let twice = |at: usize| format!("function f{at}(a) {{ b = my.f{}(a) c = my.f{}(b) => c }} ", at + 1, at + 1);
    let functions: String = (0..20).map(twice).collect();
    let text = format!("{functions} function f20(a) {{ b = Neg(a) => b }} x: f32[2] y = my.f0(x) => y");
    let problems = imported(&text, &ImportOptions::default()).unwrap_err();
    assert_eq!((problems.0.len(), problems.0[0].code), (1, Code::Limit), "{problems}");
}

#[test]
fn ranks_are_limited() {
    let text = format!("x: f32[{}] y = Neg(x) => y", vec!["1"; 100].join(", "));
    check_problems(&text, &["[E008] x: an input of 100 axes is too large"]);
}

#[test]
fn samples_import() {
    for sample in SAMPLES {
        imported(sample, &ImportOptions::default()).unwrap_or_else(|problems| panic!("{problems} in\n{sample}"));
    }
}

proptest! {
    #[test]
    fn damaged_models_import_or_fail(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), which in 0..SAMPLES.len()) {
        let mut bytes = model(SAMPLES[which]).encode_to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(file) = ModelFile::from_bytes(bytes.into())
            && let Ok(graph) = import(&file, &ImportOptions::default()) {
                prop_assert_eq!(ir::verify::verify(&graph), []);
                prop_assert_eq!(ops::verify::verify(&graph), Ok(()));
            }
    }
}

/// Models whose damaged forms reach many checks.
const SAMPLES: [&str; 6] = [
    "x: f32[n, 3, h, 8] w: f32[2, 3, 3, 3] = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
     y = Conv {pads = [1, 1, 1, 1], strides = [2, 2], dilations = [1, 1], group = 1} (x, w)
     z = MaxPool {kernel_shape = [2, 2], ceil_mode = 1, auto_pad = \"NOTSET\", strides = [3, 3]} (y)
     a = AveragePool {kernel_shape = [2, 2], pads = [1, 0, 1, 0], count_include_pad = 0} (z) => a",
    "x: f32[n, 6, \"2*n\"] s: i64[3] = 0 -1 3 a: i64[2] = 1 -9 b: i64[2] = 4 9 c: i64[2] = 0 1 d: i64[2] = 1 -2
     y = Reshape(x, s) z = Slice(x, a, b, c, d) t = Tile(y, s2) s2: i64[3] = 1 2 1 u = Expand(x, s3) s3: i64[4] = 2 1 1 1 => y, z",
    "x: i64[n] s = Shape(x) z: i64[] = 0 e = Gather(s, z) o: i64[] = 1 r = Range(z, e, o) q = Mod(r, o) f = Pow(q, o) => f, s",
    "c: bool[] x: f32[2, 3] y = If {then_branch = graph { a = Relu(x) => a }, else_branch = graph { b = Neg(x) => b }} (c)
     p: i64[4] = 1 0 -1 2 z = Pad {mode = \"constant\"} (y, p) w, v = Split {axis = 1} (z, sp) sp: i64[2] = 2 3 => w",
    "a: f32[b, 1, 2, 3] w: f32[5, 3, 4] = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
     y = MatMul(a, w) r = ReduceMean {keepdims = 0} (y, ax) ax: i64[2] = 1 -1 t = Transpose {perm = [1, 0]} (r)
     g = Gemm {transA = 1, alpha = 0.5} (t, m) m: f32[2, 2] = 0 0 0 0 l = LayerNormalization {axis = -1} (g, v) v: f32[2] = 1 1
     s = Softmax {axis = 1} (l) f = Flatten {axis = 1} (y) c = Concat {axis = 0} (s, g) q = Squeeze(a) k = Cast {to = 7} (s) => c, f, q, k",
    "d: f32[n, 4, m] i: i64[2, 1] = 1 -1 j: i64[2, 2] = 0 1 0 0 u: f32[7, 2, 3] = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
     g = Gather {axis = 1} (d, i) h = GatherND {batch_dims = 0} (d, j) o: i64[] = 2 p = Gather {axis = 2} (u, o) s = Size(d)
     z = ConstantOfShape {value = f32[1] 2} (j0) j0: i64[3] = 1 4 1 c = Less(d, z) w = Where(c, d, z) x = Unsqueeze(w, ax) ax: i64[2] = 0 -1
     l, k = Split {num_outputs = 2, axis = 1} (d) q = Clip(l, lo) lo: f32[1] = 0 => g, h, p, s, x, q",
];
