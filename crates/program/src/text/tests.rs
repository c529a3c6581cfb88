use super::*;
use crate::layout::{Axis, Layout};
use crate::program::{Buffer, BufferId, Group, HostStep, Loop, Program, Role, Stage, Step, Times};
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Array, Attr, DType, Guard, Location, Tensor, TensorType, Texts};
use nest::Nest;
use proptest::prelude::*;
use std::sync::Arc;
use sym::{Expr, Sym};

const EXAMPLE: &str = r#"program "a \"small\" one" {
  symbol n in 1..=4096
  guard n >= 2 @ ["/Add"]
  guard one_or_equal(n, 8) @ []
  buffer b0 "x": f32[n, 4] = input 0
  buffer b1 "w": f32[4, 4] = weight "onnx::w"
  buffer b2 "eps": f32[2] = constant [1e-5, 0.5]
  buffer b3 "w.packed": f32[4, 4] (d1/16, d0, d1%16) = prepared
  buffer b4 "t": f32[n, 4] (d1+1:2, d0) = temp
  buffer b5 "y": f32[n, 4] = output 0
  buffer b6 "c": bool[] = constant splat 1
  prepare {
    group {
      stage [b1] -> [b3] @ ["/MatMul", "/Add"]
      nest {
        for i0 in 4, i1 in 4
        operand w: f32[4, 4]
        v0: f32 = w[i0, i1]
        write w.packed: f32[4, 4] at [i0, i1] = v0
      }
    }
  }
  steps {
    border b4
    if b6 {
      group over o0, o1 {
      }
    } else {
    }
  }
  input "x" = b0
  output "y" = b5
}"#;

fn weights(name: &str) -> Option<Tensor> {
    (name == "onnx::w").then(|| Tensor::from_array(&Array::floats(DType::F32, vec![16], (0..16).map(f64::from).collect())))
}

fn parse(text: &str) -> Result<Program, String> {
    parse_program(text, &weights).map_err(|error| error.to_string())
}

#[test]
fn text_is_kept() {
    assert_eq!(parse(EXAMPLE).unwrap().to_string(), EXAMPLE);
    let empty = Program::default();
    assert_eq!(parse(&empty.to_string()), Ok(empty));
}

#[test]
fn errors_say_where() {
    let error = |from: &str, to: &str| parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
    let got = [
        error("onnx::w", "onnx::v"),
        error("\"w\": f32[4, 4]", "\"w\": f32[4, 5]"),
        error("d1%16", "d2%16"),
        error("/16", "/0"),
        error("buffer b2", "buffer b1"),
        error("= temp", "= tmp"),
        error("border", "boarder"),
        error("[1e-5, 0.5]", "[1e-5]"),
    ];
    let want = [
        "line 6, column 46: the model holds no weight \"onnx::v\"",
        "line 6, column 46: the weight \"onnx::w\" is f32[16], not f32[4, 5]",
        "line 8, column 49: `d2` is no dim of the buffer",
        "line 8, column 40: 0 is not positive",
        "line 7, column 12: expected buffer b2, found b1",
        "line 9, column 46: `tmp` is no role of a buffer",
        "line 24, column 12: `boarder` starts no step",
        "line 7, column 44: 1 elements for f32[2]",
    ];
    assert_eq!(got, want);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_round_trips(program in program()) {
        let text = program.to_string();
        prop_assert_eq!(parse(&text), Ok(program), "{}", text);
    }

    #[test]
    fn no_text_panics(at in 0usize..1200, cut in 0usize..20, new in "[ -~\n]{0,4}") {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        let at = at.min(chars.len());
        chars.splice(at..(at + cut).min(chars.len()), new.chars());
        let _ = parse(&chars.into_iter().collect::<String>());
    }
}

fn expr() -> impl Strategy<Value = Expr> {
    prop::sample::select(vec!["n", "2*n + 1", "(n)/(3)", "min(n, m)", "7"]).prop_map(|text| text.parse().unwrap())
}

fn id() -> impl Strategy<Value = BufferId> {
    (0u32..20).prop_map(BufferId)
}

fn axis(rank: usize) -> impl Strategy<Value = Axis> {
    (0..rank, 1i64..20, prop::option::of(1i64..20)).prop_map(|(dim, div, modulo)| Axis { dim, div, modulo })
}

/// Every dim has an axis, so that every halo has a place in the text.
fn layout(rank: usize) -> impl Strategy<Value = Layout> {
    let extra = if rank == 0 { 0..1 } else { 0..3 };
    let axes = prop::collection::vec(axis(rank.max(1)), extra);
    (axes, prop::collection::vec((-1i64..3, 0i64..3), rank), 0i64..3).prop_map(move |(mut axes, halo, pad)| {
        axes.extend((0..rank).map(Axis::whole));
        Layout { axes, halo, pad }
    })
}

fn role(ty: TensorType) -> impl Strategy<Value = Role> {
    let simple = prop_oneof![
        (0usize..9).prop_map(Role::Input),
        (0usize..9).prop_map(Role::Output),
        Just(Role::Prepared),
        Just(Role::Temp),
        Just(Role::Local),
    ];
    (simple, any::<[u8; 8]>(), any::<bool>()).prop_map(move |(simple, bytes, constant)| match ty.const_dims() {
        Some(dims) if constant && ty.dtype != DType::Bool => {
            let count = dims.iter().product::<usize>() * ty.dtype.size();
            let bytes: Vec<u8> = bytes.into_iter().cycle().take(count).collect();
            Tensor::new(ty.dtype, dims, Arc::new(bytes)).map_or(simple, |tensor| Role::Constant { tensor, weight: None })
        }
        _ => simple,
    })
}

fn buffer() -> impl Strategy<Value = Buffer> {
    let ty = (prop::sample::select(DType::ALL.to_vec()), prop::collection::vec(expr(), 0..4));
    let ty = ty.prop_map(|(dtype, dims)| TensorType::new(dtype, dims));
    ty.prop_flat_map(|ty| {
        let (layout, role) = (layout(ty.rank()), role(ty.clone()));
        (".{0,5}", Just(ty), layout, role).prop_map(|(name, ty, layout, role)| Buffer { name: name.into(), ty, layout, role })
    })
}

fn location() -> impl Strategy<Value = Location> {
    prop::collection::vec(".{0,4}", 0..3).prop_map(|names| Location(names.into_iter().map(Into::into).collect()))
}

fn stage() -> impl Strategy<Value = Stage> {
    let ids = || prop::collection::vec(id(), 0..3);
    (ids(), ids(), location()).prop_map(|(operands, writes, location)| Stage { nest: Nest::default(), operands, writes, location })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outer = prop::collection::vec("o[0-9]", 0..3).prop_map(|names| names.iter().map(|name| Sym::new(name)).collect());
    let group = (outer, prop::collection::vec(stage(), 0..3)).prop_map(|(outer, stages)| Step::Group(Group { outer, stages }));
    let ids = || prop::collection::vec(id(), 0..3);
    let attrs = prop::option::of(".{0,4}").prop_map(|text| text.map(|text| ("pattern", Attr::Text(text))).into_iter().collect());
    let op = prop::sample::select(host::OPS.iter().collect::<Vec<_>>());
    let host = (op, attrs, ids(), ids(), location())
        .prop_map(|(op, attrs, operands, results, location)| Step::Host(HostStep { op, attrs, operands, results, location }));
    let step = prop_oneof![group, host, id().prop_map(Step::Border), guard().prop_map(Step::Guard)].prop_recursive(2, 8, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        let branch = (id(), list(), list()).prop_map(|(condition, then, otherwise)| Step::If { condition, then, otherwise });
        let times = prop_oneof![expr().prop_map(Times::Trips), id().prop_map(Times::While)];
        let counter = "t[0-9]".prop_map(|name| Sym::new(&name));
        let repeat =
            (counter, times, list(), list()).prop_map(|(counter, times, body, last)| Step::Loop(Loop { counter, times, body, last }));
        prop_oneof![branch, repeat]
    });
    prop::collection::vec(step, 0..4)
}

fn guard() -> impl Strategy<Value = Guard> {
    let condition = prop_oneof![
        (expr(), expr()).prop_map(|(a, b)| Condition::Equal(a, b)),
        (expr(), expr()).prop_map(|(a, b)| Condition::OneOrEqual(a, b)),
        (expr(), expr()).prop_map(|(a, b)| Condition::AtLeast(a, b)),
    ];
    (condition, location()).prop_map(|(condition, location)| Guard { condition, location })
}

prop_compose! {
    fn program()(
        name in ".{0,6}",
        symbols in prop::collection::btree_map("[a-z]{1,2}", (any::<i64>(), any::<i64>()), 0..3),
        guards in prop::collection::vec(guard(), 0..2),
        buffers in prop::collection::vec(buffer(), 0..4),
        prepare in steps(),
        steps in steps(),
        inputs in prop::collection::vec((".{0,4}", id()), 0..3),
        outputs in prop::collection::vec((".{0,4}", id()), 0..3),
    ) -> Program {
        let symbols = symbols.into_iter().map(|(name, (low, high))| (Sym::new(&name), SymbolFact { low, high })).collect();
        let texts = Texts { table: vec!["a".into()], inputs: inputs.iter().map(|(name, _): &(String, BufferId)| name.clone()).collect(), ..Texts::default() };
        Program { name, symbols, guards, buffers, prepare, steps, inputs, outputs, texts }
    }
}
