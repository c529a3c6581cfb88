//! Why a model can't be loaded or a call fails.

use crate::load::LoadError;
use crate::memory::MemoryError;
use ir::{Code, Diagnostics, Location};

/// The caller's fault, a limit, or a bug of ours.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The inputs do not fit (E009), an index in them is outside its tensor (E010), memory is short (E008), or the code was compiled for
    /// finite values alone (E011).
    #[error(transparent)]
    Call(#[from] Diagnostics),
    /// The image can't be loaded, or its code does what no image may do.
    #[error("{0}")]
    Bug(String),
}

impl RunError {
    /// The process exit code, as of [`Diagnostics::exit_code`]; 1 for a bug.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::Call(diagnostics) => diagnostics.exit_code(),
            RunError::Bug(_) => 1,
        }
    }

    /// Whether the same call is served by the model compiled without minimal filtering.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, RunError::Call(problems) if problems.0.iter().any(|problem| problem.code == Code::NotFinite))
    }

    pub(crate) fn limit(message: String) -> RunError {
        RunError::Call(Diagnostics::one(Code::Limit, &Location::default(), message))
    }
}

impl From<MemoryError> for RunError {
    fn from(error: MemoryError) -> RunError {
        RunError::limit(error.to_string())
    }
}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> RunError {
        match &error {
            LoadError::Memory { .. } | LoadError::TooLarge { .. } => RunError::limit(error.to_string()),
            _ => RunError::Bug(format!("the code can't be loaded: {error}")),
        }
    }
}
