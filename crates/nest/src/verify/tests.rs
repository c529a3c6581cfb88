use super::*;
use crate::rewrite::at_sizes;
use proptest::prelude::*;
use std::collections::BTreeSet;
use sym::Sym;

fn check(text: &str, want: &[&str]) {
    let nest: Nest = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(verify(&nest, &Premises::default()), want, "{text}");
}

/// A copy of `x` to `y` with the given iterators, types and indices.
fn copy(iters: &str, x: &str, read: &str, y: &str, write: &str) -> String {
    format!("nest {{ for {iters} operand x: f32[{x}] v0: f32 = x[{read}] write y: f32[{y}] at [{write}] = v0 }}")
}

fn check_read(iters: &str, x: &str, read: &str, want: &[&str]) {
    let (dims, index): (Vec<&str>, Vec<&str>) =
        iters.split(", ").filter_map(|iter| iter.split_once(" in ")).map(|(name, dim)| (dim, name)).unzip();
    check(&copy(iters, x, read, &dims.join(", "), &index.join(", ")), want);
}

fn check_write(iters: &str, y: &str, write: &str, want: &[&str]) {
    check(&copy(iters, "", "", y, write), want);
}

#[test]
fn a_legal_nest_has_no_faults() {
    check(
        "nest { for i in n, j in m reduce k in 4 operand a: f16[n, 4] operand b: f32[4, m] operand t: i64[n]
           v0: f16 = a[i, k] v1: f32 = convert v0 v2: f32 = b[k, j] v3: f32 = mul v1 v2 v4: f32 = reduce sum v3
           v5: i64 = t[i] v6: f32 = b[@v5, j] v7: f32 = add v4 v6
           write y: f32[n, m] at [i, j] = v7 }",
        &[],
    );
}

#[test]
fn n1_references() {
    let nest = |body: &str| body.parse::<Nest>().unwrap();
    let mut broken = nest("nest { operand x: f32[] v0: f32 = x[] v1: f32 = neg v0 write y: f32[] at [] = v1 }");
    broken.body.swap(0, 1);
    broken.writes[0].value = ScalarId(2);
    assert_eq!(
        verify(&broken, &Premises::default()),
        ["N1: v0: mentions v0, which is not above it", "N1: write y: mentions v2 of 2 scalars"]
    );
}

#[test]
fn n2_types() {
    let body = |body: &str, want: &[&str]| {
        check(&format!("nest {{ operand x: f32[3] operand b: bool[] v0: f32 = x[0] v1: bool = b[] {body} }}"), want);
    };
    body("v2: f32 = add v0 v1", &["N2: v2: add: operand types differ: f32 vs bool"]);
    body("v2: f32 = lt v0 v0", &["N2: v2: is f32, but lt is bool"]);
    body("v2: f64 = x[0]", &["N2: v2: is f64, but its operand is f32"]);
    body("v2: f32 = x[@v1]", &["N2: v2: the index v1 is bool"]);
    body("v2: f32 = x[5] fill 0", &["N2: v2: 0 is no f32"]);
    body("v2: i32 = literal 0.5", &["N2: v2: 0.5 is no i32"]);
    body("v2: f32 = index 3", &["N2: v2: an index is no f32"]);
    body("v2: f32 = reduce or v0", &["N2: v2: or is not defined on f32"]);
    body("v2: f64 = reduce sum v0", &["N2: v2: is f64, but its term is f32"]);
    body("write y: f64[] at [] = v0", &["N2: write y: is f64, but v0 is f32"]);
}

#[test]
fn n3_ranks() {
    check_read("i in n", "n, 2", "i", &["N3: v0: 1 indices into x: f32[n, 2]"]);
    check_write("i in n", "n", "i, 0", &["N3: write y: 2 indices into f32[n]"]);
}

#[test]
fn n4_names() {
    check(
        "nest { for i in n, i in n operand x: f32[i + 1] v0: f32 = x[0] write y: f32[n] at [i] = v0 }",
        &["N4: two iterators are named i", "N4: the dims of x: f32[i + 1] mention the iterator i"],
    );
    check("nest { for i in 3, j in i + 1 }", &["N4: the extent i + 1 of j mentions the iterator i"]);
}

#[test]
fn n5_reads_stay_inside() {
    check_read("i in n", "n", "n - i - 1", &[]);
    check_read("i in n - 2", "n", "i + 2", &[]);
    check_read("i in n, j in d", "d", "min(i, d - 1)", &[]);
    check_read("i in n, j in 64", "n*64", "64*i + j", &[]);
    check_read("i in n*64", "n, 64", "i/64, i % 64", &[]);
    check_read("i in n*64", "n, 8, 8", "i/64, (i/8) % 8, i % 8", &[]);
    check_read("b in B, s in S, c in 768", "B, 12, S, 64", "b, c/64, s, c % 64", &[]);
    check_read("i in n*m", "n, m", "i/m, i % m", &[]);
    check_read("i in a*b*c", "a, b, c", "i/(b*c), (i/c) % b, i % c", &[]);
    check_read("i in n, j in 4", "(4*n + 7)/8, 8", "(4*i + j)/8, (4*i + j) % 8", &[]);
    check_read("i in n", "n", "max(i - 1, 0)", &[]);
    check_read("i in (h - 3)/2 + 1", "h", "2*i + 2", &[]);
    check_read("i in (n + 1)/2", "n", "2*i", &[]);
    check_read("i in (n + 4)/(n + 2)", "n + 2", "i", &[]);
    check_read("i in n + 1", "n", "max(i - 1, 0)", &["N5: v0: reads x: f32[n]: not proved: max(0, i - 1) < n"]);
    check_read("i in n", "n", "i + 1", &["N5: v0: reads x: f32[n]: not proved: i + 1 < n"]);
    check_read("i in n", "n", "i - 1", &["N5: v0: reads x: f32[n]: not proved: 0 <= i - 1"]);
    check_read("i in n", "m", "i", &["N5: v0: reads x: f32[m]: not proved: i < m"]);
    check("nest { for i in n operand x: f32[n] v0: f32 = x[i + 1] fill 0.0 write y: f32[n] at [i] = v0 }", &[]);
}

#[test]
fn facts_bound_sizes() {
    let nest: Nest = copy("i in n", "8", "i", "n", "i").parse().unwrap();
    let mut facts = Premises::default();
    facts.nonnegative("8 - n".parse().unwrap());
    assert_eq!(verify(&nest, &facts), [""; 0]);
    assert_eq!(verify(&nest, &Premises::default()), ["N5: v0: reads x: f32[8]: not proved: i < 8"]);
}

#[test]
fn sizes_that_are_numbers_decide() {
    let nest = |n: i64| -> Nest {
        let text = copy("i in n, j in m", "n*n + 1", "(i*j*n)/(m + 1)", "n*n*m", "i*m + (j*(n + 2)) % m");
        let text: Nest = text.parse().unwrap();
        at_sizes(&text, &|sym| match sym.name() {
            "n" => Some(n),
            "m" => Some(3),
            _ => None,
        })
    };
    assert_eq!(verify(&nest(0), &Premises::default()), [""; 0]);
    assert_eq!(verify(&nest(2), &Premises::default()), [""; 0]);
    assert_eq!(verify(&nest(4), &Premises::default()), ["N8: write y: not proved: [3*i] determines the iterator j"].map(String::from));
}

#[test]
fn loops_that_may_be_empty_prove_nothing() {
    let nest = |index: &str| format!("nest {{ for i in n reduce k in m operand x: f32[m] v0: f32 = x[{index}] v1: f32 = reduce sum v0 }}");
    check(&nest("k"), &[]);
    check(&nest("m - k - 1"), &[]);
    check(&nest("0"), &["N5: v0: reads x: f32[m]: not proved: 0 < m"]);
}

#[test]
fn n6_reductions_do_not_nest() {
    let body = |body: &str, want: &[&str]| check(&format!("nest {{ reduce k in 3 operand x: f32[3] v0: f32 = x[k] {body} }}"), want);
    body("v1: f32 = reduce sum v0 v2: f32 = reduce max v1", &["N6: v2: needs a finished reduction at the steps of one"]);
    body("v1: f32 = reduce sum v0 v2: f32 = sub v0 v1", &["N6: v2: needs a finished reduction at the steps of one"]);
    body("v1: f32 = reduce sum v0 v2: f32 = reduce max v0 v3: f32 = sub v1 v2", &[]);
}

#[test]
fn n7_writes_stand_outside_reductions() {
    check(
        "nest { reduce k in 3 operand x: f32[3] v0: f32 = x[k] write y: f32[3] at [k] = v0 }",
        &["N7: write y: v0 depends on a reduction iterator", "N7: write y: the index mentions the reduction iterator k"],
    );
}

#[test]
fn n8_writes_do_not_collide() {
    check_write("i in n, j in m", "m, n", "j, i", &[]);
    check_write("i in n, j in m", "m*n", "m*i + j", &[]);
    check_write("i in n, j in 4, k in 8", "n*32", "32*i + k + 8*j", &[]);
    check_write("i in n", "n + 2", "n - i", &[]);
    check_write("i in n", "n, 1", "i, 0", &[]);
    check_write("i in 1, j in n", "n", "j", &[]);
    check_write("i in n*64", "n, 64", "i/64, i % 64", &[]);
    check_write("i in n*64", "n, 8, 8", "i/64, (i/8) % 8, i % 8", &[]);
    check_write("i in n, j in 32", "n, 64", "i, 2*j + 1", &[]);
    check_write("i in 16, j in 6", "3, 32", "j/2, 2*i + j % 2", &[]);
    check_write("i in 2, j in 6", "12", "4*(j/2) + 2*i + j % 2", &[]);
    check_write(
        "i in 16, j in 6, k in n",
        "3, 6*n",
        "j % 3, 6*k",
        &["N8: write y: not proved: [j - 3*((j)/(3)), 6*k] determines the iterator i"],
    );
    check_write("i in n, j in m/3 + 1, k in 4", "4*n*(m/3 + 1)", "4*i*(m/3 + 1) + 4*j + k", &[]);
    check_write("i in 2, j in m/3, k in 4", "8*(m/3)", "4*i*(m/3) + 4*j + k", &[]);
    let lost = |index: &str, sym: &str| vec![format!("N8: write y: not proved: [{index}] determines the iterator {sym}")];
    for (iters, y, index, sym) in [
        ("i in n, j in m", "n", "i", "j"),
        ("i in n, j in m", "n + m", "i + j", "i"),
        ("i in n, j in 5", "n*4 + 1", "4*i + j", "i"),
        ("i in n", "n", "(i)/(2)", "i"),
        ("i in n*64", "64", "i - 64*((i)/(64))", "i"),
    ] {
        let want = lost(index, sym);
        check_write(iters, y, index, &want.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// `x[j]` stored in y by `write`, over some iterators and `j in m`, with `v1` read from an i64 tensor along `i in n`.
fn check_update(iters: &str, write: &str, want: &[&str]) {
    let body = "operand x: f32[m] operand at: i64[n] v0: f32 = x[j] v1: i64 = at[i]";
    check(&format!("nest {{ {iters} {body} write y: f32[5, m] at {write} }}"), want);
}

#[test]
fn updates_collide_in_scans_alone() {
    check_update("scan i in n for j in m", "[@v1, j] = v0", &[]);
    check_update("scan i in n for j in m", "[@v1, j] = sum v0", &[]);
    check_update("scan i in n for j in m", "[0, j] = max v0", &[]);
    check_update("for i in n, j in m", "[@v1, j] = v0", &["N8: write y: not proved: [j] determines the iterator i"]);
    check_update("scan i in n for j in m", "[0, j] = v0", &["N8: write y: not proved: [0, j] determines the iterator i"]);
    check_update("scan i in n for j in m", "[@v1, j + 1] = v0", &["N9: write y: not proved: j + 1 < m"]);
    check_update("scan i in n for j in m", "[@v0, j] = v0", &["N2: write y: the index v0 is f32"]);
    check_update("scan i in n for j in m", "[@v1, j] = and v0", &["N2: write y: and is not defined on f32"]);
    check_update("scan i in n for j in m reduce k in 3", "[@v1, j] = v0", &["N10: write y: is an update in a nest that reduces"]);
}

#[test]
fn n9_writes_stay_inside() {
    check_write("i in n", "n", "i + 1", &["N9: write y: not proved: i + 1 < n"]);
    check_write("i in n", "n", "i - 1", &["N9: write y: not proved: 0 <= i - 1"]);
}

fn expr() -> impl Strategy<Value = Expr> {
    let name = prop::sample::select(vec!["i", "j", "n", "m"]);
    let leaf = prop_oneof![3 => name.prop_map(|name| Expr::sym(&Sym::new(name))), 1 => (-3i64..9).prop_map(Expr::from)];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let pair = || (inner.clone(), inner.clone());
        let divisor = || prop_oneof![(2i64..9).prop_map(Expr::from), Just(Expr::sym(&Sym::new("m")))];
        prop_oneof![
            4 => pair().prop_map(|(a, b)| a + b),
            2 => pair().prop_map(|(a, b)| a - b),
            2 => pair().prop_map(|(a, b)| a * b),
            1 => pair().prop_map(|(a, b)| a.minimum(&b)),
            1 => pair().prop_map(|(a, b)| a.maximum(&b)),
            2 => (inner.clone(), divisor()).prop_map(|(a, b)| a.floor_div(&b)),
            2 => (inner.clone(), divisor()).prop_map(|(a, b)| a.modulo(&b)),
        ]
    })
}

/// Calls `visit` with the sizes `n`, `m` below 5 and the values of the maps at every point `i < n, j < m`.
fn for_each_point(maps: &[Expr], mut visit: impl FnMut([i64; 2], Vec<i64>)) {
    for at in 0..4 * 4 * 4 * 4 {
        let [n, m, i, j] = [at % 4 + 1, at / 4 % 4 + 1, at / 16 % 4, at / 64];
        let value = |sym: &Sym| ["n", "m", "i", "j"].iter().position(|name| *name == sym.name()).map(|at| [n, m, i, j][at]);
        if i < n && j < m {
            visit([n, m], maps.iter().map(|map| map.eval(&value).unwrap()).collect());
        }
    }
}

fn two_iterators() -> Nest {
    "nest { for i in n, j in m }".parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proved_holds(map in expr()) {
        let inside = [Sym::new("i"), Sym::new("j")].into();
        if Proof::new(&two_iterators(), &Premises::default()).nonnegative(&map, &inside) {
            for_each_point(std::slice::from_ref(&map), |sizes, values| assert!(values[0] >= 0, "{map} for {sizes:?}"));
        }
    }

    #[test]
    fn what_is_injective_never_collides(index in prop::collection::vec(expr(), 1..4)) {
        let nest = two_iterators();
        let write = Write::plain("y", &ir::TensorType::new(DType::F32, vec![]), &index, ScalarId(0));
        if injective::undetermined(&nest, &write, &Proof::new(&nest, &Premises::default())).is_none() {
            let mut seen = BTreeSet::new();
            for_each_point(&index, |sizes, values| assert!(seen.insert((sizes, values.clone())), "{index:?} is {values:?} twice for {sizes:?}"));
        }
    }
}
