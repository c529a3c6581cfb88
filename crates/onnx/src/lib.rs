//! The ONNX frontend: a model file becomes a `Graph`.
//!
//! - [`proto`]: the messages of a model file
//! - [`file`]: the file itself and the elements of its tensors
//! - [`import`]: from the messages to the graph
//! - [`ops`]: the operators, one file a family, and their table

pub mod file;
pub mod import;
pub mod ops;
pub mod proto;

#[cfg(test)]
mod testing;

pub use file::ModelFile;
pub use import::{Content, Kind, LONGEST, Value, contents, input_kinds, output_kinds, read_value, unranked};
pub use import::{Drawn, ImportOptions, Imported, drawn_outputs, import, import_with_warnings};
pub use ops::{LATEST_OPSET, OpName, op_names};
