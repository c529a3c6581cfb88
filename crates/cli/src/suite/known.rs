//! The list of cases that are known not to pass.

use super::case::{Outcome, Verdict};
use crate::failure::Failure;
use ir::Code;
use std::collections::BTreeMap;
use std::path::Path;

/// What may come of each such case, by its name.
pub struct Known(BTreeMap<String, Vec<Outcome>>);

impl Known {
    pub fn read(path: &Path) -> Result<Known, Failure> {
        let fault = |why: String| Failure::user(Code::Malformed, format!("{}: {why}", path.display()));
        Known::parse(&std::fs::read_to_string(path).map_err(|why| fault(why.to_string()))?).map_err(fault)
    }

    /// A line a case: its name, the outcome, and why; `#` begins a remark. Outcomes that differ from level to level stand with `|` between.
    fn parse(text: &str) -> Result<Known, String> {
        let mut cases = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            let outcome: Option<Vec<Outcome>> = words.next().and_then(|words| words.split('|').map(Outcome::from_name).collect());
            let outcome = outcome.ok_or_else(|| format!("line {}: no outcome after {name}", at + 1))?;
            if words.next().is_none() {
                return Err(format!("line {}: {name} has no reason", at + 1));
            }
            if cases.insert(name.to_string(), outcome).is_some() {
                return Err(format!("line {}: {name} stands twice", at + 1));
            }
        }
        Ok(Known(cases))
    }

    /// The cases that did not come out as the list says.
    pub fn surprises(&self, verdicts: &[Verdict]) -> Vec<String> {
        let surprise = |verdict: &Verdict| {
            let expected = self.0.get(&verdict.name).map_or(&[Outcome::Pass][..], Vec::as_slice);
            let names = || expected.iter().map(|outcome| outcome.name()).collect::<Vec<_>>().join(" or ");
            let text = || format!("{}: {}, not {}: {}", verdict.name, verdict.outcome.name(), names(), verdict.message);
            (!expected.contains(&verdict.outcome)).then(text)
        };
        verdicts.iter().filter_map(surprise).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprises_are_what_the_list_does_not_say() {
        let known = Known::parse("# remark\ntest_a unsupported: no strings\n").map(|_| ()).unwrap_err();
        assert_eq!(known, "line 2: no outcome after test_a");
        let known = Known::parse("# remark\n\ntest_a  unsupported  strings\ntest_b  mismatch  rounds up\n").unwrap();
        let verdict = |name: &str, outcome| Verdict { name: name.to_string(), outcome, message: "m".to_string(), host_steps: vec![] };
        let verdicts = [
            verdict("test_a", Outcome::Unsupported),
            verdict("test_b", Outcome::Pass),
            verdict("test_c", Outcome::Pass),
            verdict("test_d", Outcome::Error),
        ];
        assert_eq!(known.surprises(&verdicts), ["test_b: pass, not mismatch: m", "test_d: error, not pass: m"]);
        let either = Known::parse("test_a pass|mismatch one rounding\n").unwrap();
        assert_eq!(either.surprises(&[verdict("test_a", Outcome::Mismatch), verdict("test_a", Outcome::Pass)]), [""; 0]);
        assert!(Known::parse("test_a pass\n").is_err() && Known::parse("a error x\na error y\n").is_err());
    }
}
