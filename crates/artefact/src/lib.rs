//! Models as files that need neither the compiler nor a library of its own: ahead-of-time compilation.
//!
//! - [`version`]: the code for one target: an entry, the functions around it, and its weights
//! - [`room`]: how much room sizes need that are not known before a call
//! - [`weights`]: the bytes that the code reads
//! - [`names`]: names in C and Rust
//! - [`hash`]: digests of what an artefact was made from
//! - [`header`], [`manifest`]: what a user reads of an artefact, and what a program does
//! - [`wrapper`]: an interface in Rust
//! - [`link`]: objects, and what a linker makes of them
//! - [`build`]: all of it: the files of an artefact
//! - [`call`]: a call from this process
//! - [`explain`]: from an instruction back to the model

pub mod build;
pub mod call;
pub mod explain;
pub mod hash;
pub mod header;
pub mod link;
pub mod manifest;
pub mod names;
pub mod room;
pub mod version;
pub mod weights;
pub mod wrapper;

pub use build::{Artefact, Emit, File, Request, build};
pub use call::{CallError, Library};
