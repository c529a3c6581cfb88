//! onnx
pub mod proto;

pub mod file;
