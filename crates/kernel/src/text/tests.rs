use super::*;
use crate::kernel::{Binary, Buffer, BufferId, Carried, Compare, Cond, Op, Space, Stmt, Ty, Unary, ValueId};
use ir::{DType, Literal};
use nest::Monoid;
use proptest::prelude::*;
use sym::{Expr, Sym};

const EXAMPLE: &str = r#"kernel gemm {
  size n
  input b0 "x/0": f32[384*n]
  output b1: f32[n]
  scratch b2 rows: bool[16]
  unused v2: bf16
  tasks (n)/(8)
  let i1 = 8*task
  v0: f32x16 = literal 0.0
  v1: boolx16 = below -i1 + n
  for i2 from 0 to 384 step 4 {
    carry v3: f32x16 = v0 next v6 after v7: f32x16
    v4: f32x16 = load b0[i2] mask v1
    v5: f32x16 = load b0[i1] stride 2 mask v1
    v6: f32x16 = mul_add v4 v5 v3
  }
  v8: i64 = index i1
  v9: f32 = fold max v7
  v10: f32x2 = shuffle v7 v0 [0, 17]
  check r3 = v8 in n site 0
  if i1 < n, i1 == 0, @v11 {
    store b1[r3] stride 2 = v7 mask v1
  } else {
    v11: bool = lt v9 v9
  }
}"#;

#[test]
fn text_is_kept() {
    assert_eq!(EXAMPLE.parse::<Kernel>().unwrap().to_string(), EXAMPLE);
    let empty = Kernel { name: "empty kernel".to_string(), ..Kernel::default() };
    assert_eq!(empty.to_string().parse::<Kernel>().unwrap(), empty);
}

#[test]
fn errors_say_where() {
    let error = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1).parse::<Kernel>().unwrap_err().to_string();
    let got = [
        error("mul_add v4", "mul_ad v4"),
        error("= load b0[i1]", "= load c0[i1]"),
        error("output b1", "output b2"),
        error("v9: f32 ", "v4: f32 "),
        error("unused v2: bf16", ""),
        error("f32x2 =", "f32y2 ="),
        error("site 0", "site -1"),
    ];
    let want = [
        "line 15, column 24: `mul_ad` is no op",
        "line 14, column 25: expected a buffer such as `b0`, found `c0`",
        "line 4, column 12: expected buffer b1, found b2",
        "line 18, column 10: v4 has two types: f32x16 and f32",
        "line 26, column 2: v2 has no type",
        "line 19, column 13: `f32y2` is no type of a value",
        "line 20, column 29: -1 is no site",
    ];
    assert_eq!(got, want);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_kernel_round_trips(kernel in kernel()) {
        let text = kernel.to_string();
        prop_assert_eq!(text.parse::<Kernel>().map_err(|error| error.to_string()), Ok(kernel), "{}", text);
    }

    #[test]
    fn no_text_panics(at in 0usize..900, cut in 0usize..20, new in "[ -~\n]{0,4}") {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        let at = at.min(chars.len());
        chars.splice(at..(at + cut).min(chars.len()), new.chars());
        let _ = chars.into_iter().collect::<String>().parse::<Kernel>();
    }
}

const VALUES: u32 = 12;
const BUFFERS: u32 = 3;

fn expr() -> impl Strategy<Value = Expr> {
    prop::sample::select(vec!["0", "-3*n + 1", "n*i1 + 7", "(i2 + n)/(4)", "min(n, 16 - i1)", "v1", "max(task, 2)*8"])
        .prop_map(|text| text.parse().unwrap())
}

fn sym() -> impl Strategy<Value = Sym> {
    prop::sample::select(vec!["n", "i1", "i2", "r3", "v1", "b0"]).prop_map(Sym::new)
}

fn value() -> impl Strategy<Value = ValueId> {
    (0..VALUES).prop_map(ValueId)
}

fn buffer() -> impl Strategy<Value = BufferId> {
    (0..BUFFERS).prop_map(BufferId)
}

fn ty() -> impl Strategy<Value = Ty> {
    (prop::sample::select(DType::ALL.to_vec()), prop::sample::select(vec![1, 2, 16])).prop_map(|(dtype, lanes)| Ty { dtype, lanes })
}

fn op() -> impl Strategy<Value = Op> {
    let literal = prop_oneof![any::<i64>().prop_map(Literal::Int), any::<f64>().prop_map(Literal::Float)];
    let mask = || prop::option::of(value());
    let monoid = prop::sample::select(Monoid::ALL.to_vec());
    let lanes = prop::collection::vec(0u32..32, 0..4);
    prop_oneof![
        literal.prop_map(Op::Literal),
        expr().prop_map(Op::Index),
        Just(Op::Lanes),
        expr().prop_map(Op::Below),
        (buffer(), expr(), mask()).prop_map(|(buffer, index, mask)| Op::Load { buffer, index, mask }),
        (buffer(), expr(), expr(), mask()).prop_map(|(buffer, index, stride, mask)| Op::LoadStrided { buffer, index, stride, mask }),
        (buffer(), expr(), value(), mask()).prop_map(|(buffer, index, offsets, mask)| Op::Gather { buffer, index, offsets, mask }),
        value().prop_map(Op::Splat),
        (prop::sample::select(Unary::ALL.to_vec()), value()).prop_map(|(op, a)| Op::Unary(op, a)),
        (prop::sample::select(Binary::ALL.to_vec()), value(), value()).prop_map(|(op, a, b)| Op::Binary(op, a, b)),
        (prop::sample::select(Compare::ALL.to_vec()), value(), value()).prop_map(|(op, a, b)| Op::Compare(op, a, b)),
        (value(), value(), value()).prop_map(|(a, b, c)| Op::MulAdd(a, b, c)),
        (value(), value(), value()).prop_map(|(a, b, c)| Op::Dot(a, b, c)),
        (value(), value(), value()).prop_map(|(a, b, c)| Op::Select(a, b, c)),
        value().prop_map(Op::Convert),
        value().prop_map(Op::Bits),
        (monoid, value()).prop_map(|(monoid, a)| Op::Fold(monoid, a)),
        (value(), value(), lanes).prop_map(|(a, b, lanes)| Op::Shuffle(a, b, lanes)),
    ]
}

fn cond() -> impl Strategy<Value = Cond> {
    prop_oneof![
        (expr(), expr()).prop_map(|(a, b)| Cond::Less(a, b)),
        (expr(), expr()).prop_map(|(a, b)| Cond::Equal(a, b)),
        value().prop_map(Cond::Value),
    ]
}

fn carried() -> impl Strategy<Value = Carried> {
    (value(), value(), value(), value()).prop_map(|(init, inside, next, result)| Carried { init, inside, next, result })
}

fn stmts() -> impl Strategy<Value = Vec<Stmt>> {
    let store = (buffer(), expr(), prop::option::of(expr()), value(), prop::option::of(value()));
    let leaf = prop_oneof![
        4 => (value(), op()).prop_map(|(value, op)| Stmt::Def { value, op }),
        1 => (sym(), expr()).prop_map(|(sym, value)| Stmt::Name { sym, value }),
        1 => (sym(), value(), expr(), any::<u32>()).prop_map(|(sym, value, extent, site)| Stmt::Check { sym, value, extent, site }),
        1 => store.prop_map(|(buffer, index, stride, value, mask)| Stmt::Store { buffer, index, stride, value, mask }),
    ];
    let stmt = leaf.prop_recursive(3, 24, 4, |inner| {
        let block = || prop::collection::vec(inner.clone(), 0..4);
        let header = (sym(), expr(), expr(), any::<i64>(), prop::collection::vec(carried(), 0..3));
        prop_oneof![
            (header, block()).prop_map(|((var, start, end, step, carried), body)| Stmt::For { var, start, end, step, carried, body }),
            (prop::collection::vec(cond(), 0..3), block(), block()).prop_map(|(conds, then, otherwise)| Stmt::If {
                conds,
                then,
                otherwise
            }),
        ]
    });
    prop::collection::vec(stmt, 0..6)
}

prop_compose! {
    fn kernel()(
        name in "[a-z_]{1,4}|.{0,4}",
        sizes in prop::collection::vec(sym(), 0..3),
        buffers in prop::collection::vec((".{0,3}|b[01]", prop::sample::select(DType::ALL.to_vec()), expr(), prop::sample::select(Space::ALL.to_vec())), 0..3),
        values in prop::collection::vec(ty(), VALUES as usize),
        tasks in expr(),
        body in stmts(),
    ) -> Kernel {
        let buffers = buffers.into_iter().map(|(name, dtype, len, space)| Buffer { name, dtype, len, space }).collect();
        Kernel { name, sizes, buffers, values, tasks, body }
    }
}
