//! The model's constants where generated code can read them: at multiples of 64 bytes.

use crate::memory::{ALIGNMENT, AlignedBuffer, MemoryError};
use ir::Tensor;

/// Invariant: each pointer leads to the bytes of a constant, which `_owners` keeps alive and unchanged.
#[derive(Debug)]
pub struct Constants {
    pointers: Vec<*const u8>,
    _owners: Vec<Owner>,
}

#[derive(Debug)]
enum Owner {
    /// Aligned as it lay, in a mapped file perhaps.
    Given {
        _tensor: Tensor,
    },
    Copied {
        _buffer: AlignedBuffer,
    },
}

impl Constants {
    /// Tensors that lie aligned are used as they are, the others are copied.
    pub fn new(tensors: &[Tensor]) -> Result<Constants, MemoryError> {
        let (mut pointers, mut owners) = (Vec::new(), Vec::new());
        for tensor in tensors {
            let start = tensor.bytes().as_ptr();
            if start.addr() % ALIGNMENT == 0 {
                pointers.push(start);
                owners.push(Owner::Given { _tensor: tensor.clone() });
            } else {
                let buffer = AlignedBuffer::copy_of(tensor.bytes())?;
                pointers.push(buffer.as_ptr());
                owners.push(Owner::Copied { _buffer: buffer });
            }
        }
        Ok(Constants { pointers, _owners: owners })
    }

    /// Bytes that [`Constants::new`] would copy.
    pub fn copied_bytes(tensors: &[Tensor]) -> usize {
        let copied = tensors.iter().filter(|tensor| tensor.bytes().as_ptr().addr() % ALIGNMENT != 0);
        copied.map(|tensor| tensor.bytes().len()).sum()
    }

    pub fn pointers(&self) -> &[*const u8] {
        &self.pointers
    }
}
