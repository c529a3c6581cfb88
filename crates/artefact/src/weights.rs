//! The bytes that the code of an artefact reads: prepared memory, constants, and values that inputs must have, each at a multiple of 64
//! bytes behind a header of 64: `INKLEWTS`, the number of bytes, a zero, a digest of what follows.

use ir::Tensor;
use kernel::facade::{ALIGNMENT, HEADER_BYTES};
use std::io::{self, Write};

const MAGIC: &[u8; 8] = b"INKLEWTS";

/// Parts of bytes that lie one behind the other, at multiples of the alignment.
#[derive(Default)]
pub struct Weights {
    parts: Vec<Part>,
}

enum Part {
    Prepared(Vec<u8>),
    Tensor(Tensor),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Part::Prepared(bytes) => bytes,
            Part::Tensor(tensor) => tensor.bytes(),
        }
    }

    fn padding(&self) -> usize {
        self.bytes().len().next_multiple_of(ALIGNMENT as usize) - self.bytes().len()
    }
}

impl Weights {
    /// Adds bytes; gives where they will lie.
    pub fn prepared(&mut self, bytes: Vec<u8>) -> i64 {
        self.add(Part::Prepared(bytes))
    }

    pub fn tensor(&mut self, tensor: &Tensor) -> i64 {
        self.add(Part::Tensor(tensor.clone()))
    }

    fn add(&mut self, part: Part) -> i64 {
        let at = self.bytes();
        self.parts.push(part);
        at
    }

    /// All bytes, the header's too.
    pub fn bytes(&self) -> i64 {
        HEADER_BYTES + self.parts.iter().map(|part| (part.bytes().len() + part.padding()) as i64).sum::<i64>()
    }

    pub fn header(&self) -> Vec<u8> {
        let mut digest = blake3::Hasher::new();
        self.parts.iter().for_each(|part| {
            digest.update(part.bytes()).update(&[0; ALIGNMENT as usize][..part.padding()]);
        });
        [MAGIC.as_slice(), &self.bytes().to_le_bytes(), &[0; 8], digest.finalize().as_bytes(), &[0; 8]].concat()
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header())?;
        for part in &self.parts {
            out.write_all(part.bytes())?;
            out.write_all(&[0; ALIGNMENT as usize][..part.padding()])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_where_they_are_said_to() {
        let mut weights = Weights::default();
        let places = [vec![1; 3], vec![2; 64], vec![3; 65]].map(|bytes| weights.prepared(bytes));
        assert_eq!((places, weights.bytes()), ([64, 128, 192], 320));
        let mut bytes = Vec::new();
        weights.write(&mut bytes).unwrap();
        assert_eq!((bytes.len(), &bytes[..64]), (320, weights.header().as_slice()));
        assert_eq!([63, 64, 67, 128, 192, 256, 257].map(|at| bytes[at]), [0, 1, 0, 2, 3, 3, 0]);
        assert_ne!(weights.header(), Weights::default().header());
    }
}
