//! Tensors that a call borrows from its caller: dense and row-major, in the machine's memory.

use ir::{DType, Tensor};

/// A tensor that a call reads. Elements that do not start at a multiple of 64 bytes are copied first.
#[derive(Clone, Copy, Debug)]
pub struct InputRef<'a> {
    pub dtype: DType,
    pub dims: &'a [usize],
    /// `product(dims) * dtype.size()` bytes.
    pub bytes: &'a [u8],
}

/// A tensor that a call writes. Elements that do not start at a multiple of 64 bytes are written elsewhere first and then copied.
#[derive(Debug)]
pub struct OutputMut<'a> {
    pub dtype: DType,
    pub dims: &'a [usize],
    /// `product(dims) * dtype.size()` bytes; what they hold before the call does not matter.
    pub bytes: &'a mut [u8],
}

impl<'a> From<&'a Tensor> for InputRef<'a> {
    fn from(tensor: &'a Tensor) -> InputRef<'a> {
        InputRef { dtype: tensor.dtype(), dims: tensor.dims(), bytes: tensor.bytes() }
    }
}
