//! Why a compile or a check failed.

use ir::{Code, Diagnostics, Location};
use llvm::EmitError;
use std::fmt;

#[derive(Debug)]
pub enum Error {
    /// The user's input is wrong or asks for what is not supported; all problems at once.
    Diagnostics(Diagnostics),
    /// The compiler is wrong: a broken invariant, or a pass that changed a result.
    Bug(String),
}

impl Error {
    pub fn input(message: impl Into<String>) -> Error {
        Error::Diagnostics(Diagnostics::one(Code::Input, &Location::default(), message))
    }

    /// The process exit code: 1 our bug, 2 the user's input, 3 a limit, 4 valid but unsupported.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Diagnostics(diagnostics) => diagnostics.exit_code(),
            Error::Bug(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Diagnostics(diagnostics) => write!(f, "{diagnostics}"),
            Error::Bug(message) => write!(f, "bug in the compiler: {message}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<EmitError> for Error {
    fn from(why: EmitError) -> Error {
        match why {
            EmitError::Library(_) => Error::input(why.to_string()),
            _ => Error::Bug(format!("code generation: {why}")),
        }
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Error {
        Error::Diagnostics(diagnostics)
    }
}
