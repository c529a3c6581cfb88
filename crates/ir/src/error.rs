//! Diagnostics: what is wrong, where, and a code that `docs/errors.md` explains.

use crate::graph::Location;
use std::fmt;

/// Stable codes of the problems that a user can meet; each has a section in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// E001: the file is no model: bytes that do not decode, a missing part.
    Malformed,
    /// E002: a name that is used but not defined, or defined twice, or a cycle.
    Names,
    /// E003: shapes that do not fit each other.
    Shape,
    /// E004: element types that do not fit the op.
    Type,
    /// E005: an attribute that is missing or has a value the op does not allow.
    Attribute,
    /// E006: an op, opset, type or form that is valid but not supported.
    Unsupported,
    /// E007: a tensor's bytes do not match its shape, or its external data can't be read.
    Data,
    /// E008: a limit of memory, size or time.
    Limit,
    /// E009: the inputs of a call do not fit the model.
    Input,
    /// E010: an index read from a tensor is outside the tensor it points into.
    Index,
    /// E011: a value that is infinite or no number, where an algorithm was chosen that needs finite ones.
    NotFinite,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "E001",
            Code::Names => "E002",
            Code::Shape => "E003",
            Code::Type => "E004",
            Code::Attribute => "E005",
            Code::Unsupported => "E006",
            Code::Data => "E007",
            Code::Limit => "E008",
            Code::Input => "E009",
            Code::Index => "E010",
            Code::NotFinite => "E011",
        }
    }

    /// The process exit code: 2 the user's input, 3 a limit, 4 valid but unsupported.
    pub fn exit_code(self) -> i32 {
        match self {
            Code::Limit => 3,
            Code::Unsupported => 4,
            _ => 2,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub code: Code,
    pub location: Location,
    pub message: String,
}

impl Diagnostic {
    pub fn new(code: Code, location: &Location, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, location: location.clone(), message: message.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.code.name(), self.location, self.message)
    }
}

/// All problems found at once; never empty where it is an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn one(code: Code, location: &Location, message: impl Into<String>) -> Diagnostics {
        Diagnostics(vec![Diagnostic::new(code, location, message)])
    }

    /// A limit outweighs a fault of the input, a fault outweighs a lack of support.
    pub fn exit_code(&self) -> i32 {
        let codes: Vec<i32> = self.0.iter().map(|d| d.code.exit_code()).collect();
        [3, 2, 4].into_iter().find(|c| codes.contains(c)).unwrap_or(1)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            write!(f, "{}{diagnostic}", if at > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}
