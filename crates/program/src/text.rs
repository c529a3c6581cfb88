//! Text of programs: `parse_program` reads back what `print_program` writes.
//!
//! ```text
//! program "encoder" {
//!   symbol n in 1..=4096                                            // inclusive
//!   strings ["yes"] inputs [] outputs []                              // as in graphs
//!   guard n >= 2 @ ["/Add"]                                         // also a == b, one_or_equal(a, b)
//!   buffer b0 "x": f32[n, 384] = input 0
//!   buffer b1 "w": f32[384, 384] = weight "onnx::MatMul_12"         // the bytes that the model file holds under a name
//!   buffer b2 "eps": f32[2] = constant [1e-5, 0.5]                  // `splat 0.5`, `bits "00ff"`: as in graphs
//!   buffer b3 "w.packed": f32[384, 384] (d1/16, d0, d1%16) = prepared
//!   buffer b4 "t": f32[n, 8, 8] (d0, d1+1:1, d2) = temp             // a layout that is not row-major; d1 has a halo
//!   buffer b5 "y": f32[n] = output 0
//!   prepare {
//!     group {
//!       stage [b1] -> [b3] @ ["/MatMul"]                            // buffers of the nest's operands and writes
//!       nest { .. }
//!     }
//!   }
//!   steps {
//!     border b4
//!     group over o0, o1 { .. }                                      // the outer iterators
//!     if b6 { .. } else { .. }
//!     host regex_full_match [b7] -> [b8] {pattern = "a+"} @ ["/R"]   // an operation of the host; attributes as in graphs
//!   }
//!   input "x" = b0
//!   output "y" = b5
//! }
//! ```
//!
//! A constant's tensor must have its buffer's type.

mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use parse::{parse_program, parse_program_at};
pub use print::print_program;
