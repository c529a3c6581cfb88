use super::*;
use ir::{DType, Literal, TensorType};
use proptest::prelude::*;
use sym::Expr;

const EXAMPLE: &str = r#"nest {
  for i0 in n, i1 in 768
  reduce i2 in 384
  operand a: f32[n, 384]
  operand "w/0": f32[384, 768]
  v0: f32 = a[i0, i2]
  v1: f32 = #1[i2, i1]
  v2: f32 = mul v0 v1
  v3: f32 = reduce sum v2
  v4: i64 = index 4*i0 + 1
  v5: f32 = convert v4
  v6: f32 = literal -inf
  v7: bool = lt v3 v6
  v8: f32 = select v7 v3 v5
  v9: f32 = a[i0 - 1, @v4] fill 0.0
  v10: f32 = mul_add v8 v9 v3
  write y: f32[n, 768] at [i0, i1] = v10
}"#;

#[test]
fn text_is_kept() {
    assert_eq!(EXAMPLE.parse::<Nest>().unwrap().to_string(), EXAMPLE);
    assert_eq!("nest {}".parse::<Nest>().unwrap(), Nest::default());
}

#[test]
fn errors_say_where() {
    let error = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1).parse::<Nest>().unwrap_err().to_string();
    let got = [
        error("= mul v0 v1", "= mul v0 v2"),
        error("= mul v0 v1", "= mull v0 v1"),
        error("v2: f32", "v9: f32"),
        error("= a[", "= b["),
        error("#1", "#2"),
        error("literal -inf", "literal -info"),
        error(" = v10\n}", " = v10\n"),
    ];
    let want = [
        "line 8, column 22: `v2` is no scalar above this line",
        "line 8, column 18: `mull` is no scalar function",
        "line 8, column 5: expected a statement or the scalar `v2`, found `v9`",
        "line 6, column 14: there is no operand `b`",
        "line 7, column 15: there is no operand #2",
        "line 12, column 26: `-info` is no number that fits 64 bits",
        "line 18, column 1: expected a name",
    ];
    assert_eq!(got, want);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_nest_round_trips(nest in nest()) {
        let text = nest.to_string();
        prop_assert_eq!(text.parse::<Nest>().map_err(|error| error.to_string()), Ok(nest), "{}", text);
    }

    #[test]
    fn no_text_panics(at in 0usize..600, cut in 0usize..20, new in "[ -~\n]{0,4}") {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        let at = at.min(chars.len());
        chars.splice(at..(at + cut).min(chars.len()), new.chars());
        let _ = chars.into_iter().collect::<String>().parse::<Nest>();
    }
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["n", "i0", "i1", "seq.len", "$0"]).prop_map(|name| Expr::sym(&Sym::new(name))),
        (-1000i64..1000).prop_map(Expr::from)
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            pair().prop_map(|(a, b)| a + b),
            pair().prop_map(|(a, b)| a * b),
            pair().prop_map(|(a, b)| a.minimum(&b)),
            pair().prop_map(|(a, b)| a.maximum(&b)),
            (inner.clone(), 1i64..9).prop_map(|(a, b)| a.floor_div(&Expr::from(b))),
            (inner.clone(), 1i64..9).prop_map(|(a, b)| a.modulo(&Expr::from(b))),
        ]
    })
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<i64>().prop_map(Literal::Int),
        any::<u64>().prop_map(|bits| Literal::Float(f64::from_bits(bits))),
        prop::sample::select(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(Literal::Float),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_.]{0,6}", ".{0,6}", prop::sample::select(vec!["literal", "reduce", "v0", "a"]).prop_map(String::from)]
}

fn ty() -> impl Strategy<Value = TensorType> {
    (dtype(), prop::collection::vec(expr(), 0..3)).prop_map(|(dtype, dims)| TensorType { dtype, dims })
}

fn iter() -> impl Strategy<Value = Iter> {
    let kind = prop::sample::select(vec![IterKind::Parallel, IterKind::Reduction, IterKind::Scan]);
    ("i[0-9]", expr(), kind).prop_map(|(name, extent, kind)| Iter { sym: Sym::new(&name), extent, kind })
}

fn index() -> impl Strategy<Value = Vec<Index>> {
    let index = prop_oneof![expr().prop_map(Index::Map), any::<u32>().prop_map(|id| Index::Data(ScalarId(id)))];
    prop::collection::vec(index, 0..3)
}

/// Scalars and operands are any numbers; the nest takes them modulo what it has.
fn op() -> impl Strategy<Value = ScalarOp> {
    let id = || any::<u32>().prop_map(ScalarId);
    let read = (any::<usize>(), index(), prop::option::of(literal()));
    prop_oneof![
        read.prop_map(|(operand, index, fill)| ScalarOp::Read(Read { operand, index, fill })),
        literal().prop_map(ScalarOp::Literal),
        expr().prop_map(ScalarOp::Index),
        (prop::sample::select(Func::ALL.to_vec()), [id(), id(), id()])
            .prop_map(|(func, ids)| ScalarOp::Apply(func, ids[..func.arity()].to_vec())),
        id().prop_map(ScalarOp::Convert),
        id().prop_map(ScalarOp::Bits),
        (prop::sample::select(Monoid::ALL.to_vec()), id()).prop_map(|(monoid, id)| ScalarOp::Reduce(monoid, id)),
    ]
}

prop_compose! {
    fn nest()(
        iters in prop::collection::vec(iter(), 0..5),
        operands in prop::collection::vec((name(), ty()), 1..4),
        ops in prop::collection::vec((op(), dtype()), 0..8),
        writes in prop::collection::vec((name(), ty(), index(), prop::collection::vec(expr(), 0..2), prop::option::of(prop::sample::select(Monoid::ALL.to_vec())), prop::collection::vec(any::<u32>(), 0..2), any::<u32>()), 0..3),
    ) -> Nest {
        let operands: Vec<Operand> = operands.into_iter().map(|(name, ty)| Operand { name, ty }).collect();
        let first = Scalar { op: ScalarOp::Literal(Literal::Int(0)), dtype: DType::I64 };
        let mut body = vec![first];
        for (op, dtype) in ops {
            let mut op = op.map(&|id| ScalarId(id.0 % body.len() as u32), &Expr::clone);
            if let ScalarOp::Read(read) = &mut op {
                read.operand %= operands.len();
            }
            body.push(Scalar { op, dtype });
        }
        let known = |id: ScalarId| ScalarId(id.0 % body.len() as u32);
        let write = |(name, ty, index, only, combine, finite, id): (_, _, _, _, _, Vec<u32>, u32)| {
            let finite = finite.into_iter().map(ScalarId).collect();
            Write { name, ty, index, only, combine, finite, value: ScalarId(id) }.map(&known, &Expr::clone)
        };
        let writes = writes.into_iter().map(write).collect();
        Nest { iters, operands, body, writes }
    }
}
