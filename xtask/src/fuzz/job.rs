//! What a worker is asked, and what it answers: lines of fields between tabs.

use fuzz::{Failure, Kind};
use std::fmt;
use std::path::PathBuf;

/// One model to check.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub seed: u64,
    /// The model's file; without it, it is the seed's.
    pub model: Option<PathBuf>,
    pub reference: bool,
    pub dump: Option<PathBuf>,
    /// Also say which pass is wrong.
    pub explain: bool,
    /// Leave out what takes long, whatever the seed asks for.
    pub brief: bool,
}

impl Job {
    pub fn name(&self) -> String {
        match &self.model {
            Some(path) => path.display().to_string(),
            None => self.seed.to_string(),
        }
    }

    pub fn line(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
        format!("{}\t{}\t{}\t{}\t{}\t{}", self.seed, path(&self.model), self.reference, path(&self.dump), self.explain, self.brief)
    }

    pub fn read(line: &str) -> Option<Job> {
        let [seed, model, reference, dump, explain, brief] = fields(line)?;
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let [reference, explain, brief] = [reference, explain, brief].map(|text| text == "true");
        Some(Job { seed: seed.parse().ok()?, model: path(model), reference, dump: path(dump), explain, brief })
    }
}

/// What came of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    Fails(Kind),
    /// The worker died.
    Crash,
    Hang,
}

impl Verdict {
    pub const NAMES: [&str; 7] = ["ok", "rejected", "bug", "panic", "mismatch", "crash", "hang"];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Agrees => "ok",
            Verdict::Fails(Kind::Rejected) => "rejected",
            Verdict::Fails(Kind::Bug) => "bug",
            Verdict::Fails(Kind::Panic) => "panic",
            Verdict::Fails(Kind::Mismatch) => "mismatch",
            Verdict::Crash => "crash",
            Verdict::Hang => "hang",
        }
    }

    fn from_name(name: &str) -> Option<Verdict> {
        let fails = [Kind::Rejected, Kind::Bug, Kind::Panic, Kind::Mismatch].map(Verdict::Fails);
        [Verdict::Agrees, Verdict::Crash, Verdict::Hang].into_iter().chain(fails).find(|verdict| verdict.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub verdict: Verdict,
    pub place: String,
    pub message: String,
    /// The first wrong pass, where that was asked.
    pub explanation: String,
}

impl Answer {
    pub fn of(verdict: Verdict, place: &str, message: &str) -> Answer {
        Answer { verdict, place: place.to_string(), message: message.to_string(), explanation: String::new() }
    }

    pub fn line(&self) -> String {
        let flat = |text: &str| text.replace(['\n', '\t'], " ");
        format!("{}\t{}\t{}\t{}", self.verdict.name(), flat(&self.place), flat(&self.message), flat(&self.explanation))
    }

    pub fn read(line: &str) -> Option<Answer> {
        let [verdict, place, message, explanation] = fields(line)?;
        Some(Answer { explanation: explanation.to_string(), ..Answer::of(Verdict::from_name(verdict)?, place, message) })
    }

    /// Whether two failures have the same cause, as far as one can tell.
    pub fn is_like(&self, other: &Answer) -> bool {
        match (self.verdict, other.verdict) {
            (Verdict::Fails(a), Verdict::Fails(b)) => self.failure(a).is_like(&other.failure(b)),
            (a, b) => a == b,
        }
    }

    fn failure(&self, kind: Kind) -> Failure {
        Failure::new(kind, self.place.clone(), self.message.clone())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.verdict.name())?;
        for (before, text) in [(" at ", &self.place), (": ", &self.message), ("; first wrong: ", &self.explanation)] {
            if !text.is_empty() {
                write!(f, "{before}{text}")?;
            }
        }
        Ok(())
    }
}

fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    line.trim_end_matches('\n').split('\t').collect::<Vec<&str>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let job = Job { seed: 7, model: Some("a b.onnx".into()), reference: true, dump: None, explain: false, brief: true };
        assert_eq!(Job::read(&job.line()), Some(job));
        let answer = Answer::of(Verdict::Fails(Kind::Panic), "x.rs:3", "no\nmore");
        assert_eq!(Answer::read(&answer.line()).unwrap().message, "no more");
        assert_eq!(Answer::read("maybe\t\t\t"), None);
    }
}
