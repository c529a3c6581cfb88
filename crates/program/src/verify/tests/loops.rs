//! Faults of loops.

use crate::text::parse_program;
use crate::verify::verify;

/// Sums of the rows of `x` up to each, and the last of them.
const EXAMPLE: &str = r#"program "sums" {
  symbol n in 0..=64
  buffer b0 "x": f32[n, 8] = input 0
  buffer b1 "flag": bool[] = input 1
  buffer b2 "c": f32[2, 8] = temp
  buffer b3 "y": f32[n, 8] = output 0
  buffer b4 "s": f32[8] = output 1
  steps {
    group {
      stage [] -> [b2] @ ["/zero"]
      nest {
        for i0 in 8
        v0: f32 = literal 0.0
        write c: f32[2, 8] at [0, i0] = v0
      }
    }
    loop t0 to n {
      group {
        stage [b2, b0] -> [b2, b3] @ ["/add"]
        nest {
          for i0 in 8
          operand c: f32[2, 8]
          operand x: f32[n, 8]
          v0: f32 = c[(t0 + 1)%2, i0]
          v1: f32 = x[t0 - 1, i0]
          v2: f32 = add v0 v1
          write c: f32[2, 8] at [t0%2, i0] = v2
          write y: f32[n, 8] at [t0 - 1, i0] = v2
        }
      }
    } last {
      group {
        stage [b2] -> [b4] @ ["/last"]
        nest {
          for i0 in 8
          operand c: f32[2, 8]
          v0: f32 = c[t0%2, i0]
          write s: f32[8] at [i0] = v0
        }
      }
    }
  }
  input "x" = b0
  input "flag" = b1
  output "y" = b3
  output "s" = b4
}"#;

/// The first fault after the changes.
fn fault(changes: &[(&str, &str)]) -> Option<String> {
    let mut text = EXAMPLE.to_string();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} does not stand in the example");
        text = text.replacen(from, to, 1);
    }
    let program = parse_program(&text, &|_| None).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
    verify(&program).into_iter().next()
}

#[test]
fn loops() {
    let check = |changes: &[(&str, &str)], want: &str| assert_eq!(fault(changes).as_deref(), Some(want), "{changes:?}");
    assert_eq!(fault(&[]), None);
    check(&[("x[t0 - 1", "x[t0")], "P8: /add: N5: v1: reads x: f32[n, 8]: not proved: t0 < n");
    check(&[("v0: f32 = c[t0%2", "v0: f32 = c[t0")], "P8: /last: N5: v0: reads c: f32[2, 8]: not proved: t0 < 2");
    check(&[("y: f32[n, 8] at [t0 - 1", "y: f32[n, 8] at [0")], "P9: output y: y is read before it is written");
    check(
        &[("symbol n in 0", "symbol n in 1"), ("-> [b2] @", "-> [b3] @"), ("c: f32[2, 8] at [0, i0]", "y: f32[n, 8] at [n - 1, i0]")],
        "P9: /add: c is read before it is written",
    );
    check(
        &[("symbol n in 0", "symbol n in 1"), ("to n", "while b1"), ("x[t0 - 1", "x[0"), ("at [t0 - 1", "at [0")],
        "P9: output y: y is read before it is written",
    );
    check(
        &[("symbol n in 0", "symbol n in 1"), ("to n", "while b0"), ("x[t0 - 1", "x[0"), ("at [t0 - 1", "at [0")],
        "P15: loop: x is f32[n, 8]",
    );
    check(&[("v0: f32 = c[t0%2", "v0: f32 = c[t1%2")], "P17: /last: there is no t1 here");
    check(
        &[("symbol n in 0..=64", "symbol n in 0..=64\n  symbol t0 in 1..=2")],
        "P17: t0 counts a loop and means something else around it",
    );
}
