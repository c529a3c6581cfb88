//! The whole pipeline: from a model to code that runs.
//!
//! - [`options`]: what a compile is given
//! - [`compile`]: the pipeline on one page
//! - [`plan`]: the program passes, in order
//! - [`selection`]: which passes run, in which order
//! - [`launches`]: its steps as launches of physical groups
//! - [`choices`]: which kernel serves which group
//! - [`assemble`]: a kernel for each distinct group, and the entries
//! - [`code`]: their machine code, generated or from the store
//! - [`tuned`], [`tune`]: schedules that were measured, and looking for them
//! - [`values`]: inputs whose values a compile needs
//! - `parallel`: work on several threads
//! - [`text`]: the levels' texts as input and output
//! - [`inspect`]: any level as text
//! - [`memory_use`], [`work`], [`kernel_times`]: what a call takes
//! - [`interpret`]: a compiled model run by the interpreters of its levels
//! - [`verify`]: each step of the pipeline checked by execution
//! - [`sabotage`]: wrong steps, to prove that the checks find them
//! - [`error`]: why a compile or a check failed

pub mod assemble;
pub mod choices;
pub mod code;
pub mod compile;
pub mod error;
pub mod inspect;
pub mod interpret;
pub mod kernel_times;
pub mod launches;
pub mod memory_use;
pub mod options;
pub mod parallel;
pub mod plan;
pub mod sabotage;
pub mod selection;
pub mod text;
pub mod tune;
pub mod tuned;
pub mod values;
pub mod verify;
pub mod work;

pub use code::CacheUse;
pub use compile::{Compiled, compile, compile_graph};
pub use error::Error;
pub use inspect::{At, inspect};
pub use kernel_times::{KernelTime, LaunchWork, kernel_times};
pub use memory_use::MemoryUse;
pub use options::{Level, Options, Precision, Sabotage, Source};
pub use selection::Selection;
pub use tune::Tuner;
pub use tuned::Tuned;
pub use work::{Work, call_work};
