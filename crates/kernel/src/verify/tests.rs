use super::*;

const EXAMPLE: &str = "kernel example {
  size n
  input b0: f32[n]
  input b1: f16[n]
  output b2: f32[n]
  unused v20: f64x3
  tasks n
  let i1 = 8*task
  v0: f32x8 = literal 0.0
  v1: boolx8 = below n - i1
  for i2 from 0 to n step 4 {
    carry v2: f32x8 = v0 next v5 after v6: f32x8
    v3: f32x8 = load b0[i2] mask v1
    v4: f32 = load b0[i1]
    v19: f32x8 = splat v4
    v5: f32x8 = mul_add v3 v19 v2
  }
  v7: i64 = index i1
  v8: f32 = fold max v6
  v9: f16x8 = load b1[i1] stride 2
  v10: f32x8 = convert v9
  v11: f32x2 = shuffle v6 v8 [0, 8]
  v12: boolx8 = lt v10 v6
  v13: f32x8 = select v12 v10 v6
  v14: i32x8 = bits v13
  v15: i64x8 = convert v14
  v16: f32x8 = load b0[n - 1] offsets v15 mask v12
  v17: bool = eq v8 v8
  check r3 = v7 in n site 0
  if i1 < n, i1 == 0, @v17 {
    store b2[r3] stride 2 = v16 mask v1
  } else {
    v18: f32x8 = max v16 v6
    store b2[i1] = v18
  }
}";

fn faults(from: &str, to: &str) -> Vec<String> {
    let changed = EXAMPLE.replacen(from, to, 1);
    assert!(from == to || changed != EXAMPLE, "{from} does not stand in the example");
    verify(&changed.parse().unwrap_or_else(|error| panic!("{to}: {error}")))
}

#[test]
fn a_sound_kernel_has_no_faults() {
    assert_eq!(faults("", ""), Vec::<String>::new());
}

/// Puts `to` for `from` in the example, which makes `want` the first fault.
fn check(from: &str, to: &str, want: &str) {
    assert_eq!(faults(from, to).first().map(String::as_str), Some(want), "{from} -> {to}");
}

#[test]
fn names_and_scopes() {
    check("load b0[i1]", "load b7[i1]", "K1: v4 = load b7[i1]: b7 does not exist");
    check("f64x3", "f64x0", "K1: v20: f64x0 has no lanes");
    check("  v7: i64", "  v0: f32x8 = literal 0.0\n  v7: i64", "K2: v0 = literal 0.0: v0 is defined already");
    check("= fold max v6", "= fold max v5", "K3: v8 = fold max v5: v5 is not defined here");
    check("next v5", "next v6", "K3: for i2: v6 is not defined here");
    check("stride 2 = v16 mask v1", "stride 2 = v16 mask v18", "K3: store b2[r3]: v18 is not defined here");
    check("b2[i1] = v18", "b2[i2] = v18", "K4: store b2[i2]: i2 is not in scope");
    check("check r3", "check i1", "K4: check i1: i1 is bound already");
    check("size n", "size n size n", "K4: the sizes: n is bound already");
    check("size n", "size n size task", "K4: the tasks: task is bound already");
    check("b2: f32[n]", "b2: f32[n + i1]", "K5: the len of b2: i1 is no size");
    check("tasks n", "tasks task", "K5: the number of tasks: task is no size");
}

#[test]
fn types_of_ops() {
    check("mul_add v3 v19", "mul_add v3 v4", "K6: v5 = mul_add v3 v4 v2: v4 is f32, f32x8 is wanted");
    check("v12: boolx8", "v12: i8x8", "K6: v12 = lt v10 v6: the result is i8x8, not bool");
    check("v19: f32x8 = splat", "v19: f64x8 = splat", "K6: v19 = splat v4: v4 is f32, f64 is wanted");
    check("offsets v15", "offsets v14", "K6: v16 = load b0[n - 1] offsets v14 mask v12: v14 is i32x8, i64x8 is wanted");
    check("i32x8 = bits", "i64x8 = bits", "K6: v14 = bits v13: the result is i64x8, not as wide as its operand");
    check("i64 = index", "u8 = index", "K7: v7 = index i1: not defined on u8");
    check("lt v10 v6", "lt v9 v9", "K7: v12 = lt v9 v9: not defined on f16");
    check("= max v16 v6", "= rem v16 v6", "K7: v18 = rem v16 v6: not defined on f32");
    check("fold max", "fold and", "K7: v8 = fold and v6: not defined on f32");
    check("v0: f32x8 = literal 0.0", "v0: f32x8 = literal 0", "K9: v0 = literal 0: a literal of f32x8");
}

#[test]
fn memory_and_lanes() {
    check("load b0[i2] mask v1", "load b0[i2] mask v0", "K8: v3 = load b0[i2] mask v0: the mask is f32x8, boolx8 is wanted");
    check("v9: f16x8", "v9: bf16x8", "K10: v9 = load b1[i1] stride 2: the result is bf16x8, the buffer f16");
    check("store b2[i1]", "store b0[i1]", "K11: store b0[i1]: b0 is an input");
    check("b2[i1] = v18", "b2[i1] = v15", "K11: store b2[i1]: the value is i64x8, the buffer f32");
    check("f32 = fold", "f32x2 = fold", "K12: v8 = fold max v6: 8 lanes fold to 2");
    check("[0, 8]", "[0, 9]", "K13: v11 = shuffle v6 v8 [0, 9]: lane 9 of 9");
    check("[0, 8]", "[0]", "K13: v11 = shuffle v6 v8 [0]: 1 lanes for a result of 2");
}

#[test]
fn control() {
    check("step 4", "step 0", "K14: for i2: the step is 0");
    check("after v6: f32x8", "after v6: f32x4", "K14: for i2: v0: f32x8 is carried as v6: f32x4");
    check("r3 = v7", "r3 = v8", "K15: check r3: v8: f32 is no i64");
    check("site 0", "site 2147483647", "K15: check r3: site 2147483647 is too large");
    check("@v17", "@v12", "K16: if: v12: boolx8 is no bool");
}

#[test]
fn dots() {
    let faults = |a: &str, b: &str, c: &str| {
        let literal = |ty: &str| if ty.contains('f') { "0.0" } else { "0" };
        let [x, y, z] = [a, b, c].map(literal);
        let text = format!(
            "kernel dots {{ tasks 1 v0: {a} = literal {x} v1: {b} = literal {y} v2: {c} = literal {z} v3: {c} = dot v0 v1 v2 v4: {c} = dot v0 v1 v0 }}"
        );
        verify(&text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
    };
    let wrong_sum = |ty: &str, sum: &str| vec![format!("K6: v4 = dot v0 v1 v0: v0 is {ty}, {sum} is wanted")];
    for (a, b, c) in [("bf16x32", "bf16x32", "f32x16"), ("u8x16", "i8x16", "i32x4"), ("i8x32", "u8x32", "i32x8")] {
        assert_eq!(faults(a, b, c), wrong_sum(a, c));
    }
    for (a, b, c) in [
        ("i8x16", "i8x16", "i32x4"),
        ("bf16x16", "bf16x32", "f32x16"),
        ("f16x32", "f16x32", "f32x16"),
        ("bf16x4", "bf16x4", "f32x2"),
        ("u8x64", "i8x64", "u32x16"),
    ] {
        assert_eq!(faults(a, b, c)[0], format!("K17: v3 = dot v0 v1 v2: no dot of {a} and {b} into {c}"));
    }
}
