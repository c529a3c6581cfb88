//! Symbolic integers: tensor sizes and index maps.
//!
//! An [`Expr`] is a polynomial with integer coefficients over *atoms*: named symbols, floor divisions, minima and maxima of
//! expressions. It is kept in one normal form, so structural equality is (syntactic) mathematical equality: `(n*64)/64 == n`,
//! `x % c` is stored as `x - c*(x/c)`, and `(x/c)*c + x%c == x`.
//!
//! - [`expr`]: the normal form and its arithmetic
//! - [`range`]: what is known about symbols, and what it proves: bounds, signs, simplified divisions
//! - [`premises`]: slower, stronger proofs of inequalities, for verifiers
//! - `linear`: the linear programs that they come to
//! - [`text`]: printing and parsing

pub mod expr;
mod linear;
pub mod premises;
pub mod range;
pub mod text;

pub use expr::{Atom, Expr, Monomial, Sym};
pub use premises::Premises;
pub use range::Ranges;
pub use text::{ParseError, Parser};
