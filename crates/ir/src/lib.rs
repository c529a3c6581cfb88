//! The Graph level: SSA tensor values, nodes, regions, symbolic shapes. This room knows no op: what an op means stands in `ops`.
//!
//! - [`dtype`]: element types and literals
//! - [`tensor`]: concrete tensors: element bytes with a type
//! - [`strings`]: tensors of strings, and their table
//! - [`array`]: the interpreters' values: f64 or i64 per element
//! - [`graph`]: the graph itself
//! - [`builder`]: writing graphs in code
//! - [`guard`]: conditions on sizes that are checked at run time
//! - [`text`]: printing and parsing
//! - [`verify`]: the invariants G1..
//! - [`error`]: diagnostics with codes and places

pub mod array;
pub mod builder;
pub mod dtype;
pub mod error;
pub mod graph;
pub mod guard;
pub mod strings;
pub mod tensor;
pub mod text;
pub mod verify;

pub use array::Array;
pub use builder::{GraphBuilder, NewNode};
pub use dtype::{DType, Literal};
pub use error::{Code, Diagnostic, Diagnostics};
pub use graph::{Attr, Attrs, Def, Graph, Location, Node, NodeId, TensorType, Value, ValueId};
pub use guard::Guard;
pub use strings::{Strings, Texts};
pub use tensor::Tensor;
