//! Strings joined, matched, split and cleaned, by steps of the host.

use super::Entry;
use super::chosen::places;
use super::constant::string_tensor;
use crate::import::{Call, Narrow, Out, Outcome, one};
use ::ops::Folded;
use ir::graph::SymbolFact;
use ir::{Attr, Attrs, Code, DType, Diagnostic, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("StringConcat", 20, concat),
    Entry("RegexFullMatch", 20, full_match),
    Entry("StringSplit", 20, split),
    Entry("StringNormalizer", 10, normalize),
];

/// An operand of strings.
fn texts(call: &mut Call, at: usize) -> Result<ValueId, Diagnostic> {
    match call.narrow(at) {
        Some(Narrow::Text) => call.value(at),
        _ => Err(call.error(Code::Type, format!("{} takes strings, not {}", call.node.op_type, call.ty(at)?))),
    }
}

/// A result of strings.
pub(super) fn of_texts(value: impl Into<Out>) -> Out {
    Out::of(value, Some(Narrow::Text))
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

/// The pieces of each string, as many as the string with the most of them has, and how many there are.
fn split(call: &mut Call) -> Outcome {
    let delimiter = call.text("delimiter")?.unwrap_or_default().to_string();
    let most = call.int("maxsplit")?.map_or(-1, |most| most.max(-1));
    let x = texts(call, 0)?;
    let mut attrs = Attrs::from([("delimiter", Attr::Text(delimiter)), ("most", Attr::Int(most))]);
    let b = call.b();
    let counts = b.one("split_counts", attrs.clone(), &[x])?;
    let all: Vec<usize> = (0..b.dims(x).len()).collect();
    let longest = b.reduce(Monoid::Max, counts, &all, Folded::Dropped)?;
    let longest = b.map_number(Func::Max, longest, 0.0)?;
    let size = call.computed_size(longest, &Expr::from(SymbolFact::default().high))?;
    attrs.insert("dims", Attr::Exprs(vec![size]));
    let pieces = call.b().one("string_split", attrs, &[x])?;
    Ok(vec![of_texts(pieces), counts.into()])
}

/// The strings that are no stopwords, in another case; a single empty one where none is left.
fn normalize(call: &mut Call) -> Outcome {
    call.ignore(&["locale"]);
    let stopwords: Vec<String> = call.texts("stopwords")?.unwrap_or_default().into_iter().map(str::to_string).collect();
    let sensitive = call.flag_or("is_case_sensitive", false)?;
    let case = match call.text("case_change_action")?.unwrap_or("NONE") {
        "NONE" => None,
        "LOWER" => Some("lower"),
        "UPPER" => Some("upper"),
        other => return Err(call.attribute_error(format!("attribute `case_change_action` is `{other}`")).into()),
    };
    let dims = call.dims(0)?;
    let (rows, count) = match dims.as_slice() {
        [count] => (None, count.clone()),
        [rows, count] if rows.is_one() => (Some(rows.clone()), count.clone()),
        _ => return Err(call.error(Code::Shape, format!("StringNormalizer of {}", call.ty(0)?)).into()),
    };
    let x = texts(call, 0)?;
    let x = call.b().reshape(x, &[count])?;
    let all = case.map_or(Ok(x), |case| changed(call, x, case))?;
    let kept = if stopwords.is_empty() { all } else { without(call, all, x, &stopwords, sensitive)? };
    let b = call.b();
    let left = b.dims(kept)[0].clone();
    let at_least_one = left.maximum(&Expr::one());
    let empty = b.number(DType::I64, 0.0);
    let padded = b.pad(kept, empty, &[Expr::zero()], &[&at_least_one - &left])?;
    one(of_texts(b.reshape(padded, &rows.into_iter().chain([at_least_one]).collect::<Vec<Expr>>())?))
}

fn changed(call: &mut Call, x: ValueId, case: &str) -> Result<ValueId, Diagnostic> {
    call.b().one("change_case", Attrs::from([("case", Attr::Text(case.to_string()))]), &[x])
}

/// The elements of `all` for which those of `x` are no stopwords.
fn without(call: &mut Call, all: ValueId, x: ValueId, stopwords: &[String], sensitive: bool) -> Result<ValueId, Diagnostic> {
    let (x, stopwords) = match sensitive {
        true => (x, stopwords.to_vec()),
        false => (changed(call, x, "lower")?, stopwords.iter().map(|word| word.to_lowercase()).collect()),
    };
    let words: Vec<&str> = stopwords.iter().map(String::as_str).collect();
    let words = string_tensor(call, vec![words.len()], &words)?;
    let b = call.b();
    let words = b.graph.constant(words, None, "stopwords");
    let each = b.unsqueeze(x, &[1])?;
    let equal = b.map_broadcast(Func::Equal, &[each, words])?;
    let stops = b.reduce(Monoid::Or, equal, &[1], Folded::Dropped)?;
    let keeps = b.map(Func::Not, &[stops])?;
    let places = places(call, keeps)?;
    call.b().gather(all, places, 0)
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
    fn strings_are_split() {
        let text = "x: string[n] y, c = StringSplit {delimiter = \".\", maxsplit = 1} (x) => y, c";
        check(text, &["string[2] \"a.b.c\" \"d\""], &["string[2, 2] [\"a\", \"b.c\", \"d\", \"\"]", "i64[2] 2 1"]);
        check(text, &["string[0]"], &["string[0, 0] []", "i64[0]"]);
        check("x: string[] y, _ = StringSplit (x) => y", &["string[] \" a  b \""], &["string[2] [\"a\", \"b\"]"]);
    }

    #[test]
    fn stopwords_go() {
        let text = "x: string[n] y = StringNormalizer {stopwords = [\"A\", \"be\"], case_change_action = \"UPPER\"} (x) => y";
        check(text, &["string[3] \"a\" \"bee\" \"Be\""], &["string[1] [\"BEE\"]"]);
        check(text, &["string[1] \"a\""], &["string[1] [\"\"]"]);
        let text = "x: string[1, n] y = StringNormalizer {stopwords = [\"A\"], is_case_sensitive = 1} (x) => y";
        check(text, &["string[1, 3] \"a\" \"A\" \"b\""], &["string[1, 2] [\"a\", \"b\"]"]);
        check("x: string[2] y = StringNormalizer (x) => y", &["string[2] \"a\" \"\""], &["string[2] [\"a\", \"\"]"]);
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
