//! The last level: kernels as LLVM text, and LLVM text as machine code.
//!
//! - [`printer`]: Kernel and Entry -> LLVM text
//! - [`emit`]: LLVM text -> object or assembly

mod printer;

mod emit;

pub use emit::{EmitError, EmitOptions, emit_all, emit_assembly, emit_object, identity, version};
pub use printer::{Origins, PrintOptions, print_artefact, print_dispatch, print_entry, print_kernel, print_kernels, print_module};
