//! Text of graphs, and of what all levels share ([`parts`]).

pub mod parts;

pub use parts::*;
