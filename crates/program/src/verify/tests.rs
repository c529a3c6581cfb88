mod loops;

use super::*;
use crate::text::parse_program;
use ir::{Array, DType, Tensor};

/// Softmax without the maximum over the rows of `x`, then a branch that scales the result by a prepared weight or copies it.
const EXAMPLE: &str = r#"program "rows" {
  symbol n in 1..=64
  buffer b0 "x": f32[n, 8] = input 0
  buffer b1 "flag": bool[] = input 1
  buffer b2 "w": f32[8] = weight "w"
  buffer b3 "w2": f32[8] = prepared
  buffer b4 "e": f32[n, 8] = local
  buffer b5 "z": f32[n] = local
  buffer b6 "p": f32[n, 8] (d0, d1+1:1/4, d1%4) = temp
  buffer b7 "y": f32[n, 8] = output 0
  prepare {
    group {
      stage [b2] -> [b3] @ ["/w2"]
      nest {
        for i0 in 8
        operand w: f32[8]
        v0: f32 = w[i0]
        v1: f32 = mul v0 v0
        write w2: f32[8] at [i0] = v1
      }
    }
  }
  steps {
    border b6
    group over o0 {
      stage [b0] -> [b4] @ ["/exp"]
      nest {
        for o0 in n, i0 in 8
        operand x: f32[n, 8]
        v0: f32 = x[o0, i0]
        v1: f32 = exp v0
        write e: f32[n, 8] at [o0, i0] = v1
      }
      stage [b4] -> [b5] @ ["/sum"]
      nest {
        for o0 in n
        reduce i0 in 8
        operand e: f32[n, 8]
        v0: f32 = e[o0, i0]
        v1: f32 = reduce sum v0
        write z: f32[n] at [o0] = v1
      }
      stage [b4, b5] -> [b6] @ ["/div"]
      nest {
        for o0 in n, i0 in 8
        operand e: f32[n, 8]
        operand z: f32[n]
        v0: f32 = e[o0, i0]
        v1: f32 = z[o0]
        v2: f32 = div v0 v1
        write p: f32[n, 8] at [o0, i0] = v2
      }
    }
    if b1 {
      group {
        stage [b6, b3] -> [b7] @ ["/scale"]
        nest {
          for i0 in n, i1 in 8
          operand p: f32[n, 8]
          operand w2: f32[8]
          v0: f32 = p[i0, i1]
          v1: f32 = w2[i1]
          v2: f32 = mul v0 v1
          write y: f32[n, 8] at [i0, i1] = v2
        }
      }
    } else {
      group {
        stage [b6] -> [b7] @ ["/copy"]
        nest {
          for i0 in n, i1 in 8
          operand p: f32[n, 8]
          v0: f32 = p[i0, i1]
          write y: f32[n, 8] at [i0, i1] = v0
        }
      }
    }
  }
  input "x" = b0
  input "flag" = b1
  output "y" = b7
}"#;

/// Also for the interpreter's tests.
pub fn rows() -> Program {
    changed(&[])
}

fn changed(changes: &[(&str, &str)]) -> Program {
    let mut text = EXAMPLE.to_string();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} does not stand in the example");
        text = text.replacen(from, to, 1);
    }
    parsed(&text)
}

fn parsed(text: &str) -> Program {
    let weights = |_: &str| Some(Tensor::from_array(&Array::floats(DType::F32, vec![8], (0..8).map(f64::from).collect())));
    parse_program(text, &weights).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Changes the example, which makes `want` the first fault.
fn check(changes: &[(&str, &str)], want: &str) {
    assert_eq!(verify(&changed(changes)).first().map(String::as_str), Some(want), "{changes:?}");
}

#[test]
fn a_sound_program_has_no_faults() {
    assert_eq!(verify(&rows()), Vec::<String>::new());
}

#[test]
fn buffers() {
    check(&[("border b6", "border b9")], "P1: a step: there is no b9");
    check(&[("[b6, b3]", "[b6, b9]")], "P1: a stage: there is no b9");
    check(&[("b3 \"w2\"", "b3 \"w\"")], "P2: two buffers are called w");
    check(&[("output \"y\" = b7", "output \"y\" = b6")], "P3: output y: b6 is not output 0");
    check(&[("= input 1", "= input 0")], "P3: input flag: b1 is not input 1");
    check(&[("  output \"y\" = b7\n", "")], "P3: y has the role of an input or output that it is not");
    let p = "P4: p: the layout";
    check(&[("d1%4", "d1%8")], &format!("{p} (d0, d1+1:1/4, d1%8): d1 is not made up exactly once"));
    check(&[("(d0, ", "(")], &format!("{p} (d1+1:1/4, d1%4): d0 is not made up exactly once"));
    check(&[("f32[8] = weight", "f32[8] (d0/4, d0%4) = weight")], "P4: w: the layout (d0/4, d0%4) is not row-major");
    check(&[("symbol n", "symbol m")], "P6: x: n is no symbol of the program");
}

#[test]
fn constants_have_their_buffers_type() {
    let mut program = rows();
    program.buffers[2].ty.dtype = DType::F16;
    assert_eq!(verify(&program)[0], "P5: w: the constant is f32[8], the buffer f16[8]");
}

#[test]
fn stages() {
    check(&[("[b6, b3]", "[b6]")], "P7: /scale: 1 buffers for 2 operands");
    check(&[("[b6, b3]", "[b6, b0]")], "P7: /scale: the operand x is f32[8], its buffer f32[n, 8]");
    check(&[("w[i0]", "w[i0 + 1]")], "P8: /w2: N5: v0: reads w: f32[8]: not proved: i0 + 1 < 8");
}

#[test]
fn a_guard_leaves_bounds_to_the_call() {
    let shifted = ("p[i0, i1]\n          v1", "p[i0 + n - 4, i1]\n          v1");
    assert!(verify(&changed(&[shifted]))[0].starts_with("P8: /scale: N5"));
    let guarded = ("  buffer b0", "  guard n == 4 @ []\n  buffer b0");
    assert_eq!(verify(&changed(&[shifted, guarded])), Vec::<String>::new());
}

#[test]
fn flow() {
    check(&[("-> [b7] @ [\"/copy\"]", "-> [b4] @ [\"/copy\"]")], "P9: output y: y is read before it is written");
    check(&[("stage [b4] -> [b5]", "stage [b6] -> [b5]")], "P9: /sum: p is read before it is written");
    check(&[("-> [b7] @ [\"/copy\"]", "-> [b0] @ [\"/copy\"]")], "P10: /copy: x is an input or a constant and is written");
    check(&[("f32[8] = prepared", "f32[8] = temp")], "P11: /w2: w2 is written by a prepare step");
    check(&[("  steps {", "  steps {\n    border b3")], "P11: border: w2 is prepared and written by a step");
    check(&[("bool[] = input 1", "bool[1] = input 1")], "P15: if: flag is bool[1]");
    check(&[("border b6", "border b7")], "P16: border: y has no halo");
}

#[test]
fn groups() {
    check(&[("stage [b6] -> [b7]", "stage [b4] -> [b7]")], "P12: e is local and used outside its group");
    check(&[("group over o0", "group")], "P13: /exp + /sum + /div: 3 stages without outer iterators");
    let two = "P13: /exp + /sum + /div: i0 is not parallel iterator 1 of stage 1";
    check(&[("group over o0", "group over o0, i0")], two);
    check(&[("z[o0]", "z[n - o0 - 1]")], "P14: /exp + /sum + /div: z is read where another point wrote it");
    let single = EXAMPLE.replace(" in n", " in 1").replace("[n", "[1").replace("z[o0]", "z[0]");
    assert_eq!(verify(&parsed(&single)), Vec::<String>::new());
}
