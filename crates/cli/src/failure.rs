//! Why a command fails: what the user reads, and the exit code.

use crate::npz::NpzError;
use crate::report::{BOLD, RED};
use ir::{Code, Diagnostic, Diagnostics, Location};
use runtime::RunError;
use serde_json::{Value, json};
use std::fmt;

/// All problems that stopped a command; never empty.
#[derive(Debug)]
pub struct Failure {
    pub problems: Vec<Problem>,
    pub exit_code: u8,
}

/// One problem; a bug has no code.
#[derive(Debug)]
pub struct Problem {
    pub code: Option<Code>,
    pub location: Option<String>,
    pub message: String,
}

/// The exit code of a bug of ours.
pub const BUG: u8 = 1;

impl Failure {
    pub fn bug(message: impl Into<String>) -> Failure {
        Failure { problems: vec![Problem { code: None, location: None, message: message.into() }], exit_code: BUG }
    }

    /// A fault of the user's without a place in the model.
    pub fn user(code: Code, message: impl Into<String>) -> Failure {
        let problem = Problem { code: Some(code), location: None, message: message.into() };
        Failure { problems: vec![problem], exit_code: code.exit_code() as u8 }
    }

    /// The first problem without colours.
    pub fn first_line(&self) -> String {
        anstream::adapter::strip_str(self.to_string().lines().next().unwrap_or_default()).to_string()
    }

    pub fn json(&self) -> Value {
        let problem = |problem: &Problem| {
            json!({
                "code": problem.code.map(Code::name),
                "location": problem.location,
                "message": problem.message,
            })
        };
        json!({ "exit_code": self.exit_code, "errors": self.problems.iter().map(problem).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Failure {
    /// A line for each problem: `error[E003] /add: sizes differ: 3 vs 4`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for problem in &self.problems {
            let kind = problem.code.map_or("bug in inkle".to_string(), |code| format!("error[{}]", code.name()));
            let place = problem.location.as_ref().map_or(String::new(), |place| format!(" {BOLD}{place}{BOLD:#}:"));
            let colon = if place.is_empty() { ":" } else { "" };
            writeln!(f, "{RED}{kind}{RED:#}{colon}{place} {}", problem.message)?;
        }
        Ok(())
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Problem {
        let location = (diagnostic.location != Location::default()).then(|| diagnostic.location.to_string());
        Problem { code: Some(diagnostic.code), location, message: diagnostic.message.clone() }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Failure {
        Failure { problems: diagnostics.0.iter().map(Problem::from).collect(), exit_code: diagnostics.exit_code() as u8 }
    }
}

impl From<driver::Error> for Failure {
    fn from(error: driver::Error) -> Failure {
        match error {
            driver::Error::Diagnostics(diagnostics) => diagnostics.into(),
            driver::Error::Bug(message) => Failure::bug(message),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        match error {
            RunError::Call(diagnostics) => diagnostics.into(),
            RunError::Bug(message) => Failure::bug(message),
        }
    }
}

impl From<NpzError> for Failure {
    fn from(error: NpzError) -> Failure {
        Failure::user(Code::Input, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_problem() {
        let mut all = Diagnostics::one(Code::Shape, &Location::of("/add"), "sizes differ: 3 vs 4");
        all.0.push(Diagnostic::new(Code::Unsupported, &Location::default(), "opset 99"));
        let failure = Failure::from(all);
        let plain = anstream::adapter::strip_str(&failure.to_string()).to_string();
        assert_eq!(plain, "error[E003] /add: sizes differ: 3 vs 4\nerror[E006]: opset 99\n");
        assert_eq!((failure.first_line().as_str(), failure.exit_code), ("error[E003] /add: sizes differ: 3 vs 4", 2));
        assert_eq!(failure.json()["errors"][1], json!({ "code": "E006", "location": null, "message": "opset 99" }));
        assert_eq!(Failure::bug("x").exit_code, 1);
    }
}
