//! Damaged inputs: what the loader, the parsers of texts and the compiler are given to see that they refuse it in good order.
//!
//! - [`model`]: model files, damaged as messages and as bytes
//! - [`text`]: the texts of levels
//! - [`whole`]: what is damaged

pub mod model;
pub mod text;
pub mod whole;

use random::Random;

/// Numbers that sizes, axes and counts are not, or hardly ever.
const ODD: [i64; 22] = [
    0,
    1,
    -1,
    2,
    3,
    7,
    -2,
    63,
    64,
    255,
    65_536,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    -(1 << 31),
    1 << 40,
    1 << 53,
    1 << 61,
    1 << 62,
    i64::MAX - 1,
    i64::MAX,
    i64::MIN,
];

fn odd(random: &mut Random) -> i64 {
    if random.chance(40) { random.between(-3, 9) } else { random.one_of(ODD) }
}

/// Bytes changed, inserted, repeated, removed.
fn damage_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let byte = random.bits() as u8;
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = random.one_of([0, 1, 0x7f, 0x80, 0xff, byte])),
        }
    }
}
