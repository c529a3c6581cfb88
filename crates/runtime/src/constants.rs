//! The model's constants where generated code can read them: at multiples of 64 bytes.

use crate::memory::{ALIGNMENT, AlignedBuffer, MemoryError};
use ir::Tensor;

/// Invariant: each pointer leads to the bytes of a constant, which `_tensors` or `_copies` keep alive and unchanged.
#[derive(Debug)]
pub struct Constants {
    pointers: Vec<*const u8>,
    /// Those that lay aligned, in a mapped file perhaps.
    _tensors: Vec<Tensor>,
    _copies: AlignedBuffer,
}

/// What a thread copies at a time.
const PIECE: usize = 1 << 20;

impl Constants {
    /// Tensors that lie aligned are used as they are, the others are copied, by this many threads.
    pub fn new(tensors: &[Tensor], threads: usize) -> Result<Constants, MemoryError> {
        let mut copies = AlignedBuffer::zeroed(Constants::copied_bytes(tensors))?;
        let start = copies.as_ptr();
        let (mut pointers, mut jobs, mut end) = (Vec::new(), Vec::new(), 0);
        let mut room = copies.as_mut_slice();
        for tensor in tensors {
            if is_aligned(tensor) {
                pointers.push(tensor.bytes().as_ptr());
                continue;
            }
            let (place, rest) = room.split_at_mut(room_of(tensor));
            jobs.extend(tensor.bytes().chunks(PIECE).zip(place.chunks_mut(PIECE)));
            pointers.push(start.wrapping_add(end));
            end += room_of(tensor);
            room = rest;
        }
        copy(jobs, threads);
        let given = tensors.iter().filter(|tensor| is_aligned(tensor)).cloned().collect();
        Ok(Constants { pointers, _tensors: given, _copies: copies })
    }

    /// Bytes that [`Constants::new`] allocates.
    pub fn copied_bytes(tensors: &[Tensor]) -> usize {
        tensors.iter().filter(|tensor| !is_aligned(tensor)).map(room_of).fold(0, usize::saturating_add)
    }

    pub fn pointers(&self) -> &[*const u8] {
        &self.pointers
    }
}

fn is_aligned(tensor: &Tensor) -> bool {
    tensor.bytes().as_ptr().addr() % ALIGNMENT == 0
}

/// Whole cache lines.
fn room_of(tensor: &Tensor) -> usize {
    tensor.bytes().len().next_multiple_of(ALIGNMENT)
}

/// Copies each first to the start of its second. Most of the time goes to pages that are touched for the first time, so threads pay.
fn copy(mut jobs: Vec<(&[u8], &mut [u8])>, threads: usize) {
    let share = jobs.len().div_ceil(threads.max(1)).max(1);
    let run = |jobs: Vec<(&[u8], &mut [u8])>| jobs.into_iter().for_each(|(from, to)| to[..from.len()].copy_from_slice(from));
    std::thread::scope(|scope| {
        while jobs.len() > share {
            let part = jobs.split_off(jobs.len() - share);
            scope.spawn(move || run(part));
        }
        run(jobs);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;
    use std::sync::Arc;

    fn tensor(bytes: usize, seed: usize) -> Tensor {
        Tensor::new(DType::U8, vec![bytes], Arc::new((0..bytes).map(|at| (at * 7 + seed) as u8).collect::<Vec<u8>>())).unwrap()
    }

    #[test]
    fn constants_are_aligned_and_whole() {
        let mut tensors: Vec<Tensor> =
            [0, 1, 63, 64, 65, PIECE - 1, 3 * PIECE + 5].iter().enumerate().map(|(k, n)| tensor(*n, k)).collect();
        let aligned = AlignedBuffer::copy_of(&[9; 100]).unwrap();
        tensors.push(Tensor::new(DType::U8, vec![100], Arc::new(aligned)).unwrap());
        for threads in [1, 2, 3, 8] {
            let constants = Constants::new(&tensors, threads).unwrap();
            for (tensor, pointer) in tensors.iter().zip(constants.pointers()) {
                assert_eq!(pointer.addr() % ALIGNMENT, 0);
                // SAFETY: the pointer leads to the tensor's bytes as long as `constants` lives.
                assert_eq!(unsafe { std::slice::from_raw_parts(*pointer, tensor.bytes().len()) }, tensor.bytes());
            }
            assert_eq!(constants.pointers().last(), Some(&tensors[7].bytes().as_ptr()));
        }
    }
}
