//! llvm

mod emit;

pub use emit::{EmitError, EmitOptions, emit_all, emit_assembly, emit_object};
