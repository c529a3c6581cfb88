//! `regex_full_match`: whether each string as a whole matches a pattern, in the syntax of RE2.
//!
//! The pattern is rewritten for the engine, in whose own syntax `\d`, `\s`, `\w` and `\b` go beyond ASCII, brackets nest, and `\Q..\E` is
//! missing. Time is linear in the string, and the compiled pattern is limited.

use crate::view::{check_equal_dims, only_texts, text};
use crate::{Fault, HostOp, View, ViewMut};
use ir::{Attrs, Code, DType, Strings, TensorType};
use regex::{Regex, RegexBuilder};

pub const OP: HostOp = HostOp { name: "regex_full_match", types, run };

/// The most bytes of a compiled pattern.
const MOST_BYTES: usize = 1 << 22;

fn types(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    let ty = only_texts(operands)?;
    full_match(text(attrs, "pattern")?)?;
    Ok(vec![TensorType::new(DType::Bool, ty.dims.clone())])
}

fn run(attrs: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let regex = full_match(text(attrs, "pattern")?)?;
    let texts = operands[0].texts(strings)?;
    texts.iter().zip(results[0].bytes.iter_mut()).for_each(|(text, byte)| *byte = u8::from(regex.is_match(text)));
    Ok(())
}

fn full_match(pattern: &str) -> Result<Regex, Fault> {
    let whole = format!(r"\A(?:{})\z", rewritten(pattern));
    let regex = RegexBuilder::new(&whole).octal(true).size_limit(MOST_BYTES).dfa_size_limit(MOST_BYTES).build();
    regex.map_err(|why| match why {
        regex::Error::CompiledTooBig(_) => Fault::new(Code::Limit, format!("the pattern {pattern:?} is too large")),
        why => Fault::new(Code::Attribute, format!("the pattern {pattern:?} can't be read: {why}")),
    })
}

/// A pattern of RE2 in the engine's syntax.
fn rewritten(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    // inside of brackets, and at the place behind their beginning
    let (mut class, mut before) = (false, ' ');
    while let Some(first) = rest.chars().next() {
        let second = rest[first.len_utf8()..].chars().next();
        let mut taken = first.len_utf8();
        match (first, second) {
            ('\\', Some('Q')) if !class => {
                let end = rest.find("\\E").unwrap_or(rest.len());
                out += &regex::escape(&rest[2..end]);
                taken = (end + 2).min(rest.len());
            }
            ('\\', Some(letter)) => {
                taken += letter.len_utf8();
                match ascii_class(letter) {
                    Some(ascii) => out += ascii,
                    None if letter == 'b' && !class => out += r"(?-u:\b)",
                    None => out += &rest[..taken],
                }
            }
            ('[', Some(':')) if class && rest.contains(":]") => {
                taken = rest.find(":]").map_or(taken, |end| end + 2);
                out += &rest[..taken];
            }
            ('[', _) if !class => {
                class = true;
                // a bracket that closes nothing yet stands for itself
                taken = rest.len() - rest[1..].strip_prefix('^').unwrap_or(&rest[1..]).len();
                taken += usize::from(rest[taken..].starts_with(']'));
                out += &rest[..taken];
            }
            (']', _) if class => {
                class = false;
                out.push(']');
            }
            ('[' | '&' | '~', _) if class => out.extend(['\\', first]),
            ('-', _) if class && before == '-' => out += r"\-",
            _ => out.push(first),
        }
        before = first;
        rest = &rest[taken..];
    }
    out
}

fn ascii_class(letter: char) -> Option<&'static str> {
    match letter {
        'd' => Some("[0-9]"),
        'D' => Some("[^0-9]"),
        's' => Some(r"[\t\n\f\r ]"),
        'S' => Some(r"[^\t\n\f\r ]"),
        'w' => Some("[0-9A-Za-z_]"),
        'W' => Some("[^0-9A-Za-z_]"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Case;
    use ir::{Array, Attr};

    #[track_caller]
    fn check(pattern: &str, texts: &[&str], want: &[i64]) {
        let case = Case::new(&OP, Attrs::from([("pattern", Attr::Text(pattern.to_string()))]));
        let got = case.run(&[case.texts(texts)], &[vec![texts.len()]]);
        assert_eq!(got, Ok(vec![Array::ints(DType::Bool, vec![texts.len()], want.to_vec())]), "{pattern}");
    }

    #[test]
    fn the_whole_string_matches() {
        check(r"www\.[\w.-]+\.com", &["www.a-b.com", "www.a.com.", "xwww.a.com"], &[1, 0, 0]);
        check("a|ab", &["a", "ab", "abb"], &[1, 1, 0]);
        check("", &["", "x"], &[1, 0]);
        check("a\\Qa.[\\Eb", &["aa.[b", "aaxb"], &[1, 0]);
    }

    #[test]
    fn classes_are_those_of_re2() {
        check(r"\d\w\s", &["1a ", "1é ", "١a "], &[1, 0, 0]);
        check(r"[\d[&&b]+", &["1[&b", "a"], &[1, 0]);
        check(r"[]a]+[^]]", &["]ab", "]a]"], &[1, 0]);
        check(r"[[:alpha:]]+", &["abc", "ab1"], &[1, 0]);
        check(r".", &["é", "\n"], &[1, 0]);
        check(r"[+--]", &["+", ",", "-", "."], &[1, 1, 1, 0]);
    }

    #[test]
    fn bad_patterns_are_refused() {
        let code = |pattern: &str| full_match(pattern).unwrap_err().code;
        assert_eq!(["(", "[", "*", r"\C", "\\"].map(code), [Code::Attribute; 5]);
        assert_eq!(code("((a{1000}){1000}){1000}"), Code::Limit);
        for pattern in [r"[\Q", r"\Q", "[[:", "[^", "[^]", "[é-\\"] {
            let _ = full_match(pattern);
        }
    }
}
