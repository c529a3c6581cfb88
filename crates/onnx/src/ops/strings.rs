//! Strings joined and matched, by steps of the host.

use super::Entry;
use crate::import::{Call, Narrow, Out, Outcome, one};
use ir::{Attr, Attrs, Code, Diagnostic, ValueId};

pub const OPS: &[Entry] = &[Entry("StringConcat", 20, concat), Entry("RegexFullMatch", 20, full_match)];

/// An operand of strings.
fn texts(call: &mut Call, at: usize) -> Result<ValueId, Diagnostic> {
    match call.narrow(at) {
        Some(Narrow::Text) => call.value(at),
        _ => Err(call.error(Code::Type, format!("{} takes strings, not {}", call.node.op_type, call.ty(at)?))),
    }
}

/// A result of strings.
pub(super) fn of_texts(value: impl Into<Out>) -> Out {
    Out::Narrow(Box::new(value.into()), Narrow::Text)
}

fn concat(call: &mut Call) -> Outcome {
    let operands = [texts(call, 0)?, texts(call, 1)?];
    let operands = call.b().broadcast_together(&operands)?;
    one(of_texts(call.b().one("string_concat", Attrs::new(), &operands)?))
}

fn full_match(call: &mut Call) -> Outcome {
    let pattern = call.text("pattern")?.ok_or_else(|| call.attribute_error("attribute `pattern` is missing"))?;
    let x = texts(call, 0)?;
    one(call.b().one("regex_full_match", Attrs::from([("pattern", Attr::Text(pattern.to_string()))]), &[x])?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    #[test]
    fn strings_are_joined_with_broadcasting() {
        let text = "x: string[n, 1] y: string[2] = \"1\" \"\" z = StringConcat (x, y) => z";
        check(text, &["string[2, 1] \"a\" \"b\""], &["string[2, 2] [\"a1\", \"a\", \"b1\", \"b\"]"]);
        check("x: string[] y = StringConcat (x, x) => y", &["string[] \"é\""], &["string[] [\"éé\"]"]);
    }

    #[test]
    fn patterns_match_whole_strings() {
        let text = "x: string[n] y = RegexFullMatch {pattern = \"a[0-9]+\"} (x) => y";
        check(text, &["string[3] \"a12\" \"a\" \"ba1\""], &["bool[3] 1 0 0"]);
        check_problems(
            "x: i64[n] y = RegexFullMatch {pattern = \"a\"} (x) => y",
            &["[E004] RegexFullMatch#0: RegexFullMatch takes strings, not i64[n]"],
        );
    }

    #[test]
    fn what_moves_elements_moves_strings() {
        let text =
            "x: string[n] k: string[2] = \"b\" \"\" e = Equal (x, k) w = Where (e, k, x) c = Concat {axis = 0} (w, x) i: i64[2] = 2 -1
            g = Gather (c, i) s = Cast {to = 8} (i) j = StringConcat (g, s) => e, w, g, j";
        let want = ["bool[2] 0 1", "string[2] [\"a\", \"\"]", "string[2] [\"a\", \"\"]", "string[2] [\"a2\", \"-1\"]"];
        check(text, &["string[2] \"a\" \"\""], &want);
    }

    #[test]
    fn numbers_are_read_and_written() {
        let text = "x: string[n] f = Cast {to = 1} (x) s = Cast {to = 8} (f) i = Cast {to = 7} (x) => f, s, i";
        check(text, &["string[2] \"1e2\" \"-7.0\""], &["f32[2] 100 -7", "string[2] [\"100.0\", \"-7.0\"]", "i64[2] 100 -7"]);
    }

    #[test]
    fn strings_are_no_numbers() {
        check_problems("x: string[n] y = Add (x, x) => y", &["[E006] Add#0: Add: element type string is not supported"]);
        check_problems("x: string[n] i: i64[n] y = Equal (x, i) => y", &["[E004] Equal#0: Equal of strings and what is none"]);
        check_problems(
            "x: i64[n] c: bool[n] s: string[1] = \"a\" y = Where (c, x, s) => y",
            &["[E004] Where#0: Where of strings and what is none"],
        );
    }

    #[test]
    fn constants_are_strings_too() {
        let text = "x: string[n] a = Constant {value_string = \"a\"} () b = Constant {value_strings = [\"b\", \"c\"]} ()
            y = StringConcat (a, b) z = StringConcat (x, y) => z";
        check(text, &["string[2] \"1\" \"2\""], &["string[2] [\"1ab\", \"2ac\"]"]);
    }
}
