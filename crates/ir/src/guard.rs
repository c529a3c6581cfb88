//! Conditions on sizes that a compile assumes and a call checks.

use crate::graph::Location;
use std::collections::BTreeSet;
use std::fmt;
use sym::Expr;

/// What must hold of the sizes of a call, or the call fails with an error that names `location`.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    pub condition: Condition,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `a == b`
    Equal(Expr, Expr),
    /// `a == 1` or `a == b`: the dim `a` broadcasts to `b`.
    OneOrEqual(Expr, Expr),
    /// `a >= b`
    AtLeast(Expr, Expr),
}

impl Condition {
    /// Whether the condition holds under an assignment; None where a symbol is unknown.
    pub fn holds(&self, value: &dyn Fn(&sym::Sym) -> Option<i64>) -> Option<bool> {
        Some(match self {
            Condition::Equal(a, b) => a.eval(value)? == b.eval(value)?,
            Condition::OneOrEqual(a, b) => a.eval(value)? == 1 || a.eval(value)? == b.eval(value)?,
            Condition::AtLeast(a, b) => a.eval(value)? >= b.eval(value)?,
        })
    }

    /// The symbols of both sides.
    pub fn symbols(&self) -> BTreeSet<sym::Sym> {
        let (Condition::Equal(a, b) | Condition::OneOrEqual(a, b) | Condition::AtLeast(a, b)) = self;
        &a.symbols() | &b.symbols()
    }

    pub fn substitute(&self, value: &dyn Fn(&sym::Sym) -> Option<Expr>) -> Condition {
        match self {
            Condition::Equal(a, b) => Condition::Equal(a.substitute(value), b.substitute(value)),
            Condition::OneOrEqual(a, b) => Condition::OneOrEqual(a.substitute(value), b.substitute(value)),
            Condition::AtLeast(a, b) => Condition::AtLeast(a.substitute(value), b.substitute(value)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Condition::Equal(a, b) => write!(f, "{a} == {b}"),
            Condition::OneOrEqual(a, b) => write!(f, "one_or_equal({a}, {b})"),
            Condition::AtLeast(a, b) => write!(f, "{a} >= {b}"),
        }
    }
}
