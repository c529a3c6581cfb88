//! An entry as the bytes of a file.
//!
//! ```text
//! magic, number of fields, (name, text) of each, interface, object, checksum
//! ```
//!
//! A number is 8 bytes, little end first; a text or an object is its length and its bytes; the checksum is 32 bytes over all before it.

use crate::key::Key;
use std::sync::Arc;

/// Code with what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    /// What a caller of the code must know, as text.
    pub interface: String,
    /// A relocatable object.
    pub object: Vec<u8>,
}

const MAGIC: &[u8; 8] = b"inkle\0\0\x01";
const CHECKSUM: usize = blake3::OUT_LEN;

impl Entry {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((self.key.fields.len() as u64).to_le_bytes());
        self.key.fields.iter().flat_map(|(name, text)| [name, text]).for_each(|text| push(&mut out, text.as_bytes()));
        push(&mut out, self.interface.as_bytes());
        push(&mut out, &self.object);
        let checksum = blake3::hash(&out);
        out.extend(checksum.as_bytes());
        out
    }

    /// None where the bytes are not those of one whole, undamaged entry.
    pub fn from_bytes(bytes: &[u8]) -> Option<Entry> {
        let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        if blake3::hash(content) != blake3::Hash::from_slice(checksum).ok()? {
            return None;
        }
        let mut reader = Reader(content.strip_prefix(MAGIC)?);
        let fields = reader.number()?;
        let fields = (0..fields).map(|_| Some((Arc::from(reader.text()?), Arc::from(reader.text()?)))).collect::<Option<Vec<_>>>()?;
        let (interface, object) = (reader.text()?.to_string(), reader.block()?.to_vec());
        reader.0.is_empty().then_some(Entry { key: Key { fields }, interface, object })
    }
}

fn push(out: &mut Vec<u8>, block: &[u8]) {
    out.extend((block.len() as u64).to_le_bytes());
    out.extend(block);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (block, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(block)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.block()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let key = Key::new([("nest", "for i0 in 3".into()), ("target", "any".into())]);
        Entry { key, interface: "sizes n".to_string(), object: vec![7; 100] }
    }

    #[test]
    fn bytes_round_trip() {
        assert_eq!(Entry::from_bytes(&entry().to_bytes()), Some(entry()));
        let empty = Entry { key: Key::default(), interface: String::new(), object: vec![] };
        assert_eq!(Entry::from_bytes(&empty.to_bytes()), Some(empty));
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let bytes = entry().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Entry::from_bytes(&bytes[..length]), None, "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::from_bytes(&damaged), None, "{bit}");
        }
        assert_eq!(Entry::from_bytes(&[bytes, vec![0]].concat()), None);
    }

    /// With a right checksum, too: whoever wrote it, reading stays inside.
    #[test]
    fn lengths_are_checked() {
        let sealed = |content: Vec<u8>| [content.clone(), blake3::hash(&content).as_bytes().to_vec()].concat();
        let content = entry().to_bytes();
        let content = &content[..content.len() - CHECKSUM];
        assert!(Entry::from_bytes(&sealed(content.to_vec())).is_some());
        for at in (8..content.len() - 8).step_by(8) {
            let mut long = content.to_vec();
            long[at..at + 8].fill(0xff);
            if let Some(read) = Entry::from_bytes(&sealed(long)) {
                assert_eq!(read.object.len(), 100);
            }
        }
    }
}
