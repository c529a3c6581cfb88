//! Nests made by hand.

use super::{Case, case};
use crate::interp;
use crate::lower::rows::lower;
use crate::lower::rows_choice::rows_schedule;
use target::Target;

#[test]
fn flat_add() {
    let add = "nest { for i0 in 2, i1 in 30, i2 in 768 operand a: f32[2, 30, 768] operand b: f32[2, 30, 768]
        v0: f32 = a[i0, i1, i2] v1: f32 = b[i0, i1, i2] v2: f32 = add v0 v1 write y: f32[2, 30, 768] at [i0, i1, i2] = v2 }";
    assert_eq!(case(&[add]).scheduled(), "rows outer [] piece i2:15360 grain 5 {vector i2:16 unroll 4}");
    case(&[&add.replace("768", "7")]).check();
}

#[test]
fn broadcast_bias() {
    case(&["nest { for i0 in 5, i1 in 37 operand a: f32[5, 37] operand b: f32[37] operand s: f32[5]
        v0: f32 = a[i0, i1] v1: f32 = b[i1] v2: f32 = add v0 v1 v3: f32 = s[i0] v4: f32 = rsqrt v3 v5: f32 = abs v2 v6: f32 = mul v5 v5
        write y: f32[5, 37] at [i0, i1] = v6 write z: f32[37, 5] at [i1, i0] = v2 }"])
    .check();
}

#[test]
fn symbolic_tails() {
    for (n, m) in [(3, 37), (1, 64), (2, 1), (0, 5), (4, 0)] {
        case(&["nest { for i0 in n, i1 in m operand a: f32[n, m] operand b: f32[m]
            v0: f32 = a[i0, i1] v1: f32 = b[i1] v2: f32 = add v0 v1 write y: f32[n, m] at [i0, i1] = v2 }"])
        .sizes(&[("n", n), ("m", m)])
        .check();
        case(&["nest { for i0 in n, i1 in m operand a: f32[n, m] v0: f32 = a[i0, i1] v1: f32 = add v0 v0
            write y: f32[n, m] at [i0, i1] = v1 }"])
        .sizes(&[("n", n), ("m", m)])
        .check();
    }
}

#[test]
fn what_stores_at_some_points_only() {
    for m in [37, 16, 1] {
        case(&["nest { for i0 in 5, i1 in 3*m operand a: f32[5, 3*m] v0: f32 = a[i0, i1] v1: f32 = add v0 v0
            write y: f32[4, m] at [i0, i1] only [m - i1 - 1, 3 - i0] = v1 }"])
        .sizes(&[("m", m)])
        .check();
    }
}

#[test]
fn values_that_an_iterator_chooses_are_computed_once() {
    let text = "nest { for i0 in 5, i1 in 40, i2 in 2, i3 in 3 operand a: f32[10, 40]
        v0: f32 = a[2*i0, i1] v1: f32 = a[2*i0 + 1, i1] v2: f32 = add v0 v1 v3: f32 = sub v0 v1 v4: f32 = mul v0 v1
        v5: i64 = index i2 v6: i64 = index i3 v7: i64 = literal 0 v8: i64 = literal 1 v9: bool = eq v6 v7 v10: bool = eq v6 v8
        v11: f32 = select v10 v3 v4 v12: f32 = select v9 v2 v11 v13: f32 = neg v12 v14: bool = eq v5 v7 v15: f32 = select v14 v12 v13
        write y: f32[5, 2, 3, 40] at [i0, i2, i3, i1] = v15 }";
    let scheduled = case(&[text]).scheduled();
    assert!(scheduled.contains("spread i2 spread i3"), "{scheduled}");
    case(&[text]).check();
}

#[test]
fn transpose() {
    case(&["nest { for i0 in 3, i1 in 19, i2 in 21 operand a: f32[21, 3, 19] v0: f32 = a[i2, i0, i1]
        write y: f32[3, 19, 21] at [i0, i1, i2] = v0 }"])
    .check();
    case(&["nest { for i0 in n, i1 in 5 operand a: bf16[5, n] v0: bf16 = a[i1, i0] write y: bf16[n, 5] at [i0, i1] = v0 }"])
        .sizes(&[("n", 18)])
        .check();
}

#[test]
fn blocks_are_transposed_in_registers() {
    let text =
        "nest { for i0 in 50, i1 in 37 operand a: f32[37, 50] operand b: f32[37] v0: f32 = a[i1, i0] v1: f32 = b[i1] v2: f32 = add v0 v1
        write y: f32[50, 37] at [i0, i1] = v2 }";
    assert_eq!(case(&[text]).scheduled(), "rows outer [] grain 18 {vector i1:16 unroll 1 tile i0:16}");
    case(&[text]).check();
    // one point is left of the tile, where four vectors are not a block
    case(&["nest { for i0 in 41, i1 in 36 operand a: f32[36, 41] v0: f32 = a[i1, i0] write y: f32[41, 36] at [i0, i1] = v0 }"]).check();
    case(&["nest { for i0 in n, i1 in m operand a: bf16[m, n] v0: bf16 = a[i1, i0] write y: bf16[n, m] at [i0, i1] = v0 }"])
        .sizes(&[("n", 35), ("m", 40)])
        .check();
    case(&[
        "nest { for i0 in 40, i1 in 48 operand a: i64[48, 40] v0: i64 = a[i1, i0] write y: i64[3, 40, 16] at [i1/16, i0, i1 % 16] = v0 }",
    ])
    .check();
}

#[test]
fn nothing_is_written_by_no_kernel() {
    case(&["nest { for i0 in n, i1 in (n + 1)/(2), i2 in 3, i3 in 0 operand a: f32[n, (n + 1)/(2), 3, 8] v0: f32 = a[i0, i1, i2, i3]
        write y: f32[n, (n + 1)/(2), 3, 0] at [i0, i1, i2, i3] = v0 }"])
    .sizes(&[("n", 3)])
    .check();
}

#[test]
fn row_folds() {
    for kind in ["sum", "product", "max", "min"] {
        for extent in [1, 7, 40] {
            let text = format!(
                "nest {{ for i0 in 5 reduce i1 in {extent} operand a: f32[5, {extent}] v0: f32 = a[i0, i1] v1: f32 = reduce {kind} v0
                v2: f32 = neg v1 write y: f32[5] at [i0] = v2 }}"
            );
            case(&[&text]).check();
        }
    }
    for n in [0, 3, 70] {
        case(&[
            "nest { for i0 in 3 reduce i1 in n operand a: f32[3, n] v0: f32 = a[i0, i1] v1: f32 = reduce max v0 v2: f32 = reduce sum v0
            v3: f32 = add v1 v2 write y: f32[3] at [i0] = v3 }",
        ])
        .sizes(&[("n", n)])
        .check();
    }
    case(&["nest { for i0 in 3 reduce i1 in 40 operand a: i32[3, 40] operand p: bool[3, 40] v0: i32 = a[i0, i1] v1: i32 = reduce min v0
        v2: bool = p[i0, i1] v3: bool = reduce or v2 v4: bool = reduce and v2 write y: i32[3] at [i0] = v1 write q: bool[3] at [i0] = v3
        write r: bool[3] at [i0] = v4 }"])
    .check();
}

#[test]
fn column_folds() {
    case(&["nest { for i0 in 2, i1 in 37 reduce i2 in 5, i3 in 3 operand a: f32[2, 5, 3, 37] operand s: f32[5, 3]
        v0: f32 = a[i0, i2, i3, i1] v1: f32 = reduce max v0 v2: f32 = s[i2, i3] v3: f32 = reduce sum v2 v4: f32 = div v1 v3
        write y: f32[2, 37] at [i0, i1] = v4 }"])
    .check();
}

#[test]
fn whole_fold() {
    case(&["nest { reduce i0 in 5, i1 in 60 operand a: f32[5, 60] v0: f32 = a[i0, i1] v1: f32 = mul v0 v0 v2: f32 = reduce sum v1
        write y: f32[] at [] = v2 }"])
    .check();
}

#[test]
fn contraction() {
    case(&["nest { for i0 in 7, i1 in 33 reduce i2 in 12 operand a: f32[7, 12] operand b: f32[12, 33] operand c: f32[33]
        v0: f32 = a[i0, i2] v1: f32 = b[i2, i1] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2 v4: f32 = c[i1] v5: f32 = add v3 v4
        write y: f32[7, 33] at [i0, i1] = v5 }"])
    .check();
    case(&["nest { for i0 in n, i1 in 5 reduce i2 in 24 operand a: bf16[n, 24] operand b: bf16[5, 24]
        v0: bf16 = a[i0, i2] v1: bf16 = b[i1, i2] v2: f32 = convert v0 v3: f32 = convert v1 v4: f32 = mul v2 v3 v5: f32 = reduce sum v4
        v6: bf16 = convert v5 write y: bf16[n, 5] at [i0, i1] = v6 }"])
    .sizes(&[("n", 4)])
    .check();
}

#[test]
fn matrix_times_vector_shares_the_vector() {
    let text = "nest { for i0 in 768 reduce i1 in 384 operand w: f32[768, 384] operand x: f32[384] v0: f32 = w[i0, i1] v1: f32 = x[i1]
        v2: f32 = mul v0 v1 v3: f32 = reduce sum v2 write y: f32[768] at [i0] = v3 }";
    assert_eq!(case(&[text]).scheduled(), "rows outer [] piece i0:96 grain 3 {vector i1:16 unroll 1 tile i0:8}");
    case(&[&text.replace("768", "13").replace("384", "50")]).check();
}

fn softmax<'a>(n: &str, m: &str) -> Case<'a> {
    let with = |text: &str| text.replace("N", n).replace("M", m);
    let nests = [
        "nest { for o0 in N reduce i0 in M operand x: f32[N, M] v0: f32 = x[o0, i0] v1: f32 = reduce max v0 write m: f32[N] at [o0] = v1 }",
        "nest { for o0 in N, i0 in M operand x: f32[N, M] operand m: f32[N] v0: f32 = x[o0, i0] v1: f32 = m[o0] v2: f32 = sub v0 v1
         v3: f32 = exp v2 write e: f32[N, M] at [o0, i0] = v3 }",
        "nest { for o0 in N reduce i0 in M operand e: f32[N, M] v0: f32 = e[o0, i0] v1: f32 = reduce sum v0 write s: f32[N] at [o0] = v1 }",
        "nest { for o0 in N, i0 in M operand e: f32[N, M] operand s: f32[N] v0: f32 = e[o0, i0] v1: f32 = s[o0] v2: f32 = div v0 v1
         write y: f32[N, M] at [o0, i0] = v2 }",
    ];
    let nests: Vec<String> = nests.iter().map(|text| with(text)).collect();
    case(&nests.iter().map(String::as_str).collect::<Vec<_>>()).group(&["o0"], &["m", "e", "s"])
}

#[test]
fn softmax_rows() {
    softmax("5", "50").check();
    for (n, m) in [(3, 37), (0, 4), (2, 1), (9, 0)] {
        softmax("n", "m").sizes(&[("n", n), ("m", m)]).check();
    }
}

/// Scores, softmax and weighted sum over two heads; the keys lie in panels.
fn attention<'a>(n: &str, m: &str) -> Case<'a> {
    let scores = "nest { for o0 in 2, o1 in N, i0 in M reduce i1 in 8 operand q: f32[N, 2, 8] operand k: f32[2, M ceil 32, 8, 32] operand mask: f32[M]
         v0: f32 = q[o1, o0, i1] v1: f32 = k[o0, i0/32, i1, i0 % 32] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2 v4: f32 = mask[i0]
         v5: f32 = add v3 v4 write s: f32[2, N, M] at [o0, o1, i0] = v5 }";
    let nests = [
        scores,
        "nest { for o0 in 2, o1 in N reduce i0 in M operand s: f32[2, N, M] v0: f32 = s[o0, o1, i0] v1: f32 = reduce max v0
         write m: f32[2, N] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in N, i0 in M operand s: f32[2, N, M] operand m: f32[2, N] v0: f32 = s[o0, o1, i0] v1: f32 = m[o0, o1]
         v2: f32 = sub v0 v1 v3: f32 = exp v2 write e: f32[2, N, M] at [o0, o1, i0] = v3 }",
        "nest { for o0 in 2, o1 in N reduce i0 in M operand e: f32[2, N, M] v0: f32 = e[o0, o1, i0] v1: f32 = reduce sum v0
         write z: f32[2, N] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in N, i0 in 32 reduce i1 in M operand e: f32[2, N, M] operand v: f32[M, 2, 32] operand z: f32[2, N]
         v0: f32 = e[o0, o1, i1] v1: f32 = v[i1, o0, i0] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2 v4: f32 = z[o0, o1] v5: f32 = div v3 v4
         write y: f32[N, 2, 32] at [o1, o0, i0] = v5 }",
    ];
    let panels = format!("({m} + 31)/32");
    let with = |text: &str| text.replace("M ceil 32", &panels).replace('N', n).replace('M', m);
    let nests: Vec<String> = nests.iter().map(|text| with(text)).collect();
    case(&nests.iter().map(String::as_str).collect::<Vec<_>>()).group(&["o0", "o1"], &["s", "m", "e", "z"])
}

#[test]
fn attention_in_blocks() {
    let text = attention("30", "50").scheduled();
    assert!(text.starts_with("rows outer [o0] block o1:30 grain") && text.matches("tiles").count() == 2, "{text}");
    attention("30", "50").check();
    attention("29", "256").check();
    for (n, m) in [(3, 37), (0, 4), (15, 1), (40, 64)] {
        attention("n", "m").sizes(&[("n", n), ("m", m)]).check();
    }
}

#[test]
fn softmax_along_channels() {
    let text = [
        "nest { for o0 in 2, o1 in 21 reduce i0 in 6 operand x: f32[2, 6, 21] v0: f32 = x[o0, i0, o1] v1: f32 = reduce max v0
         write m: f32[2, 21] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in 21, i0 in 6 operand x: f32[2, 6, 21] operand m: f32[2, 21] v0: f32 = x[o0, i0, o1] v1: f32 = m[o0, o1]
         v2: f32 = sub v0 v1 v3: f32 = exp v2 write e: f32[2, 6, 21] at [o0, i0, o1] = v3 }",
        "nest { for o0 in 2, o1 in 21 reduce i0 in 6 operand e: f32[2, 6, 21] v0: f32 = e[o0, i0, o1] v1: f32 = reduce sum v0
         write s: f32[2, 21] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in 21, i0 in 6 operand e: f32[2, 6, 21] operand s: f32[2, 21] v0: f32 = e[o0, i0, o1] v1: f32 = s[o0, o1]
         v2: f32 = div v0 v1 write y: f32[2, 6, 21] at [o0, i0, o1] = v2 }",
    ];
    let rows = case(&text).group(&["o0", "o1"], &["m", "e", "s"]);
    assert!(rows.scheduled().contains("piece o1:16"), "{}", rows.scheduled());
    rows.check();
}

#[test]
fn layer_norm_rows() {
    case(&[
        "nest { for o0 in 3, o1 in 4 reduce i0 in 40 operand x: f32[3, 4, 40] v0: f32 = x[o0, o1, i0] v1: f32 = reduce sum v0
         v2: f32 = literal 0.025 v3: f32 = mul v1 v2 write mean: f32[3, 4] at [o0, o1] = v3 }",
        "nest { for o0 in 3, o1 in 4 reduce i0 in 40 operand x: f32[3, 4, 40] operand mean: f32[3, 4] v0: f32 = x[o0, o1, i0]
         v1: f32 = mean[o0, o1] v2: f32 = sub v0 v1 v3: f32 = mul v2 v2 v4: f32 = reduce sum v3 v5: f32 = literal 0.025 v6: f32 = mul v4 v5
         v7: f32 = literal 0.00001 v8: f32 = add v6 v7 v9: f32 = rsqrt v8 write r: f32[3, 4] at [o0, o1] = v9 }",
        "nest { for o0 in 3, o1 in 4, i0 in 40 operand x: f32[3, 4, 40] operand mean: f32[3, 4] operand r: f32[3, 4] operand w: f32[40]
         operand b: f32[40] v0: f32 = x[o0, o1, i0] v1: f32 = mean[o0, o1] v2: f32 = sub v0 v1 v3: f32 = r[o0, o1] v4: f32 = mul v2 v3
         v5: f32 = w[i0] v6: f32 = b[i0] v7: f32 = mul_add v4 v5 v6 write y: f32[3, 4, 40] at [o0, o1, i0] = v7 }",
    ])
    .group(&["o0", "o1"], &["mean", "r"])
    .check();
}

#[test]
fn max_pool_with_padding() {
    case(&["nest { for i0 in 2, i1 in 3, i2 in 5, i3 in 5 reduce i4 in 3, i5 in 3 operand x: f32[2, 3, 9, 9]
        v0: f32 = x[i0, i1, 2*i2 + i4 - 1, 2*i3 + i5 - 1] fill -inf v1: f32 = reduce max v0
        write y: f32[2, 3, 5, 5] at [i0, i1, i2, i3] = v1 }"])
    .check();
    case(&["nest { for i0 in 2, i1 in 20, i2 in 5, i3 in w reduce i4 in 3, i5 in 3 operand x: f32[2, 5, w, 20]
        v0: f32 = x[i0, i2 + i4 - 1, i3 + i5 - 1, i1] fill 0.0 v1: f32 = reduce sum v0
        write y: f32[2, 5, w, 20] at [i0, i2, i3, i1] = v1 }"])
    .sizes(&[("w", 6)])
    .check();
}

#[test]
fn depthwise() {
    let text =
        "nest { for i0 in 2, i1 in 40, i2 in 6, i3 in 8 reduce i4 in 3, i5 in 3 operand x: f32[2, 8, 10, 40] operand w: f32[3, 3, 40]
        operand b: f32[40] v0: f32 = x[i0, i2 + i4, i3 + i5, i1] v1: f32 = w[i4, i5, i1] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2
        v4: f32 = b[i1] v5: f32 = add v3 v4 v6: f32 = literal 0.0 v7: f32 = max v5 v6 write y: f32[2, 6, 8, 40] at [i0, i2, i3, i1] = v7 }";
    assert_eq!(case(&[text]).scheduled(), "rows outer [i0] grain 7 {vector i1:16 unroll 1 tile i3:8}");
    case(&[text]).check();
}

#[test]
fn gather_rows() {
    for (n, d) in [(7, 24), (3, 1)] {
        case(&["nest { for i0 in n, i1 in d operand t: f32[50, d] operand k: i64[n] v0: i64 = k[i0] v1: f32 = t[@v0, i1]
            write y: f32[n, d] at [i0, i1] = v1 }"])
        .sizes(&[("n", n), ("d", d)])
        .range("k", -50, 50)
        .check();
    }
    case(&["nest { for i0 in 9, i1 in 3 operand t: f32[4, 5] operand k: i32[9, 2] operand c: f32[9] v0: i32 = k[i0, 0] v1: i32 = k[i0, 1]
        v2: f32 = t[@v0, @v1] v3: f32 = c[i0] v4: f32 = add v2 v3 write y: f32[9, 3] at [i0, i1] = v4 }"])
    .range("k", -4, 4)
    .check();
}

#[test]
fn a_bad_index_is_a_failed_check() {
    let gather = case(&["nest { for i0 in 3, i1 in 20 operand t: f32[5, 20] operand k: i64[3] v0: i64 = k[i0] v1: f32 = t[@v0, i1]
        write y: f32[3, 20] at [i0, i1] = v1 }"]);
    let (group, _) = gather.physical();
    let kernel = lower("gather", &group, &rows_schedule(&group, &Target::x86_64_v4()), &Target::x86_64_v4());
    let keys: Vec<u8> = [1i64, -6, 0].iter().flat_map(|k| k.to_le_bytes()).collect();
    let mut buffers = vec![vec![0; 400], keys, vec![0; 240]];
    assert_eq!(interp::run(&kernel, &mut buffers, &[], 0, 1), Ok(1));
    let update = "nest { scan i0 in 3 operand k: i64[3] v0: i64 = k[i0] write y: i64[5] at [@v0] = sum v0 }";
    let (group, _) = case(&[update]).physical();
    let kernel = lower("update", &group, &rows_schedule(&group, &Target::x86_64_v4()), &Target::x86_64_v4());
    assert_eq!(interp::run(&kernel, &mut [buffers.swap_remove(1), vec![0; 40]], &[], 0, 1), Ok(1));
}

#[test]
fn part_of_a_concat() {
    case(&["nest { for i0 in 3, i1 in 17 operand a: f32[3, 17] v0: f32 = a[i0, i1] write y: f32[3, 40] at [i0, i1 + 23] = v0 }"]).check();
}

#[test]
fn iota() {
    case(&["nest { for i0 in 3, i1 in 50 v0: i64 = index i1 v1: i32 = index 3*i0 + 2*i1 v2: f32 = convert v0 v3: i64 = index i1/7 + i0
        write y: i64[3, 50] at [i0, i1] = v0 write z: i32[3, 50] at [i0, i1] = v1 write w: f32[3, 50] at [i0, i1] = v2
        write q: i64[3, 50] at [i0, i1] = v3 }"])
    .check();
}

#[test]
fn bool_logic_and_select() {
    case(&["nest { for i0 in 45 operand p: bool[45] operand q: bool[45] operand a: f32[45] operand b: f32[45]
        v0: bool = p[i0] v1: bool = q[i0] v2: bool = and v0 v1 v3: bool = xor v0 v1 v4: f32 = a[i0] v5: f32 = b[i0] v6: bool = lt v4 v5
        v7: bool = or v3 v6 v8: f32 = select v7 v4 v5 v9: bool = not v2 v10: bool = eq v9 v6 v11: bool = ge v0 v1 v12: f32 = convert v11
        v13: bool = is_nan v12 v14: bool = or v10 v13 v15: bool = convert v4
        write y: f32[45] at [i0] = v8 write z: bool[45] at [i0] = v14 write w: f32[45] at [i0] = v12 write c: bool[45] at [i0] = v15 }"])
    .check();
}

#[test]
fn integer_arithmetic() {
    for dtype in ["i64", "i32", "u8", "i16", "u64"] {
        let text = "nest { for i0 in 45 operand a: T[45] operand b: T[45] v0: T = a[i0] v1: T = b[i0] v2: T = div v0 v1 v3: T = rem v0 v1
            v4: T = mul v2 v1 v5: T = add v4 v3 v6: T = sub v5 v1 v7: T = abs v6 v8: T = sign v6 v9: T = max v7 v8 v10: T = pow v0 v1
            v11: T = xor v9 v10 v12: bool = gt v0 v1 v13: T = select v12 v11 v5 write y: T[45] at [i0] = v13 write z: T[45] at [i0] = v10 }";
        case(&[&text.replace('T', dtype)]).check();
    }
}

#[test]
fn conversions() {
    case(&[
        "nest { for i0 in 45 operand a: f32[45] operand b: i64[45] operand h: f16[45] v0: f32 = a[i0] v1: i64 = convert v0 v2: i64 = b[i0]
        v3: f32 = convert v2 v4: u8 = convert v2 v5: f16 = h[i0] v6: f16 = exp v5 v7: bf16 = convert v6 v8: f64 = convert v5
        v9: f64 = sqrt v8 v10: f16 = convert v2 v11: bool = convert v5
        write y: i64[45] at [i0] = v1 write z: f32[45] at [i0] = v3 write u: u8[45] at [i0] = v4 write w: f16[45] at [i0] = v6
        write c: bf16[45] at [i0] = v7 write d: f64[45] at [i0] = v9 write e: f16[45] at [i0] = v10 write f: bool[45] at [i0] = v11 }",
    ])
    .check();
}

#[test]
fn slices_and_reversal() {
    case(&["nest { for i0 in 4, i1 in 21 operand a: f32[9, 50] v0: f32 = a[2*i0 + 1, 2*i1 + 3] v1: f32 = a[8 - i0, 49 - i1]
        v2: f32 = add v0 v1 write y: f32[4, 21] at [i0, i1] = v2 }"])
    .check();
}

#[test]
fn global_average_pool() {
    let text = "nest { for i0 in 2, i1 in 40 reduce i2 in 7, i3 in 7 operand x: f32[2, 7, 7, 40] v0: f32 = x[i0, i2, i3, i1]
        v1: f32 = reduce sum v0 v2: f32 = literal 0.02 v3: f32 = mul v1 v2 write y: f32[2, 40] at [i0, i1] = v3 }";
    assert!(case(&[text]).scheduled().contains("vector i1:16"), "{}", case(&[text]).scheduled());
    case(&[text]).check();
    case(&["nest { for i0 in 2, i1 in 5 reduce i2 in 7, i3 in 7 operand x: f32[2, 5, 7, 7] v0: f32 = x[i0, i1, i2, i3]
        v1: f32 = reduce sum v0 write y: f32[2, 5] at [i0, i1] = v1 }"])
    .check();
}

#[test]
fn mixed_radix_maps() {
    // a reshape of heads, and panels whose last one is not full
    case(&["nest { for i0 in 5, i1 in 48 operand a: f32[3, 5, 16] v0: f32 = a[i1/16, i0, i1 % 16] write y: f32[5, 48] at [i0, i1] = v0 }"])
        .check();
    case(&["nest { for i0 in 5, i1 in 50 operand a: f32[5, 50] v0: f32 = a[i0, i1] write y: f32[4, 5, 16] at [i1/16, i0, i1 % 16] = v0 }"])
        .check();
    case(&["nest { for i0 in 5, i1 in n operand a: f32[5, n] v0: f32 = a[i0, i1]
        write y: f32[(n + 15)/16, 5, 16] at [i1/16, i0, i1 % 16] = v0 }"])
    .sizes(&[("n", 50)])
    .check();
}

#[test]
fn broadcast_to_an_undecided_size() {
    for d in [1, 20] {
        case(&[
            "nest { for i0 in 3, i1 in 20 operand a: f32[3, d] operand b: f32[3, 20] v0: f32 = a[i0, min(i1, d - 1)] v1: f32 = b[i0, i1]
            v2: f32 = add v0 v1 write y: f32[3, 20] at [i0, i1] = v2 }",
        ])
        .sizes(&[("d", d)])
        .check();
    }
}

#[test]
fn updates() {
    for combine in ["", "sum", "product", "max", "min"] {
        for dtype in ["f32", "bf16", "f64", "i32", "u8"] {
            // whole rows
            let rows = format!(
                "nest {{ scan i0 in n for i1 in 37 operand at: i64[n] operand x: {dtype}[n, 37] v0: i64 = at[i0] v1: {dtype} = x[i0, i1]
                write y: {dtype}[5, 37] at [@v0, i1] = {combine} v1 }}"
            );
            // single elements, at indices that differ from point to point of both iterators
            let elements = format!(
                "nest {{ for i0 in 6 scan i1 in n operand at: i32[6, n] operand x: {dtype}[6, n] v0: i32 = at[i0, i1]
                v1: {dtype} = x[i0, i1] write y: {dtype}[6, 5] at [i0, @v0] = {combine} v1 }}"
            );
            for (text, n) in [(&rows, 9), (&rows, 0), (&elements, 11), (&elements, 1)] {
                case(&[text]).range("at", -5, 5).sizes(&[("n", n)]).check();
            }
        }
    }
}

#[test]
fn rows_of_updates_are_vectors() {
    let update = "nest { scan i0 in 3 for i1 in 37 operand at: i64[3] operand x: f32[3, 37] v0: i64 = at[i0] v1: f32 = x[i0, i1]
        write y: f32[5, 37] at [@v0, i1] = v1 }";
    assert_eq!(case(&[update]).scheduled(), "rows outer [] grain 925 {vector i1:16 unroll 3}");
}
