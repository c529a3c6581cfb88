//! A folder of compiled code, found again by what it was made from.
//!
//! - [`key`]: what decides an entry's code, as named fields
//! - [`entry`]: an entry as the bytes of a file
//! - [`store`]: the folder: look up, write, trim, clear
//! - [`nearest`]: which field made a miss
//!
//! Processes share the folder without locks: a file appears whole, by a rename, and a reader checks all of it. A checksum guards against
//! damage, not against malice: who may write the folder may run code as its owner, so it is the owner's alone.

pub mod key;

pub mod entry;

pub mod store;

pub mod nearest;

pub use entry::Entry;
pub use key::Key;
pub use nearest::{Difference, nearest};
pub use store::{Store, Stored};
