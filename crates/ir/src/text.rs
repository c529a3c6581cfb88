//! Text of graphs: `parse_graph` reads back what `print_graph` writes.
//!
//! ```text
//! graph "encoder" {
//!   symbol n in 0..=1099511627776                             // inclusive
//!   strings ["yes", "no"] inputs ["answer"] outputs []          // the model's own, from number 1 on; whose elements are numbers of strings
//!   input %0 "input_ids": i64[n, 128]
//!   weight %1 "table": f32[30522, 384]                        // the bytes that the model file holds under the value's name
//!   weight %2 "table_1": f32[384] = "bias"                    // .. or under another one
//!   constant %3 "shape": i64[2] = [1, 2]                      // row-major
//!   constant %4 "ones": f32[3, 3] = splat 1.0
//!   constant %5 "odd": f32[1] = bits "0100a07f"               // little-endian bytes
//!   guard n == m @ ["/Add"]                                   // also a >= b, one_or_equal(a, b)
//!   %6 "rows": f32[n, 128, 384] = gather(%1, %0) {axis = 0} @ ["/Gather"]
//!   %7 "y": f32[] = if(%8, %9) {}
//!     graph "then" { .. }
//!     graph "else" { .. }
//!   output "rows" = %6
//! }
//! ```
//!
//! Attributes show their kinds: `3`, `3.0`, `"text"`, `[1, 2]`, `exprs[n, 2*m]`, `dtype f32`. Values keep their numbers.
//!
//! - [`parts`]: what the texts of all levels share

pub mod constant;
pub mod parse;
pub mod parts;
pub mod print;

pub use parse::{Names, parse_condition, parse_graph, parse_graph_at};
pub use parts::*;
pub use print::print_graph;

#[cfg(test)]
mod tests;
