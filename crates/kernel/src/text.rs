//! Text of kernels: `parse_kernel` reads back what `print_kernel` writes.
//!
//! ```text
//! kernel gemm {
//!   size n
//!   input b0 x: f32[384*n]                                // `input`, `output` or `scratch`; the name `b0` itself is left out
//!   output b1 y: f32[n]
//!   tasks n/8                                             // the loop variable over tasks is `task`
//!   let i1 = 8*task
//!   v0: f32x16 = literal 0.0                              // element type and lanes of the value
//!   v1: boolx16 = below n - i1
//!   for i2 from 0 to 384 step 4 {
//!     carry v2: f32x16 = v0 next v5 after v6: f32x16      // v0 on the first turn, then v5; v6 after the loop
//!     v3: f32x16 = load b0[i2] mask v1
//!     v4: f32x16 = load b0[i1] stride 2                   // `offsets v9`: a gather
//!     v5: f32x16 = mul_add v3 v4 v2
//!   }
//!   v7: i64 = index i1
//!   check r3 = v7 in n site 0
//!   if i1 < n, i1 == 0, @v8 {                             // @: a bool scalar
//!     store b1[r3] stride 2 = v6 mask v1
//!   } else {
//!   }
//! }
//! ```
//!
//! - [`names`]: the ops' names
//! - [`print`], [`parse`]: the two directions

mod names;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use crate::kernel::Kernel;
pub use parse::parse_kernel;
pub use print::print_kernel;
use std::fmt;
use sym::{ParseError, Parser};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&print_kernel(self))
    }
}

impl std::str::FromStr for Kernel {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Kernel, ParseError> {
        let mut parser = Parser::new(text);
        let kernel = parse_kernel(&mut parser)?;
        if parser.at_end() { Ok(kernel) } else { parser.error("text after the kernel") }
    }
}
