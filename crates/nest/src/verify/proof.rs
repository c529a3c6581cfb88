//! Proofs of bounds that `sym::Ranges` leaves open: remainders lie below their divisor, and minima and maxima are one of two.

use crate::nest::Nest;
use sym::{Atom, Expr, Monomial, Ranges, Sym};

/// How many remainders and minima one proof may take apart.
const DEPTH: usize = 4;

/// Two sets of ranges: a fact can hide that a size is the same one on both sides of a comparison.
pub(super) struct Proof {
    pub bare: Ranges,
    informed: Ranges,
}

impl Proof {
    pub fn new(nest: &Nest, facts: &Ranges) -> Proof {
        let mut informed = facts.clone();
        informed.size_floor = 1;
        nest.iters.iter().for_each(|iter| informed.iterator(&iter.sym, &iter.extent));
        Proof { bare: nest.ranges(), informed }
    }

    pub fn nonnegative(&self, expr: &Expr) -> bool {
        nonnegative(&self.bare, expr, DEPTH) || nonnegative(&self.informed, expr, DEPTH)
    }

    pub fn less(&self, a: &Expr, b: &Expr) -> bool {
        self.nonnegative(&(b - a - 1))
    }
}

fn nonnegative(ranges: &Ranges, expr: &Expr, depth: usize) -> bool {
    let simple = ranges.simplify(expr);
    ranges.nonnegative(expr)
        || ranges.nonnegative(&simple)
        || (depth > 0 && (by_remainder(ranges, &simple, depth) || by_product(ranges, &simple, depth) || by_cases(ranges, &simple, depth)))
}

/// Replaces a remainder by a symbol below its divisor: `floor(x/b) - a*floor(x/(a*b))` is `floor(x/b) % a`.
fn by_remainder(ranges: &Ranges, expr: &Expr, depth: usize) -> bool {
    let divisions = || expr.terms().iter().flat_map(|(monomial, c)| division(monomial, *c));
    divisions().any(|(x, divisor, coefficient)| {
        let inner = divisions().filter(|(other, b, _)| *other == x && *b != divisor).map(|(_, b, _)| b.clone());
        inner.chain([Expr::one()]).any(|b| {
            let Some(a) = divisor.exact_div(&b) else { return false };
            let Some(times) = (-&coefficient).exact_div(&a) else { return false };
            let remainder = x.floor_div(&b) - &a * &x.floor_div(divisor);
            let symbol = Sym::new(&format!("remainder {depth}"));
            let mut ranges = ranges.clone();
            ranges.iterator(&symbol, &a);
            nonnegative(&ranges, &(expr - &(&times * &remainder) + &times * &Expr::sym(&symbol)), depth - 1)
        })
    })
}

/// Multiplies one division out: `e + floor(x/d) >= 0` where `x + e*d >= 0`, and `e - floor(x/d) >= 0` where `(e + 1)*d - 1 - x >= 0`.
fn by_product(ranges: &Ranges, expr: &Expr, depth: usize) -> bool {
    expr.terms().iter().filter_map(|(monomial, c)| division(monomial, *c)).any(|(x, divisor, coefficient)| {
        let rest = expr - &(&coefficient * &x.floor_div(divisor));
        match coefficient.as_const() {
            Some(1) => nonnegative(ranges, &(x + &(&rest * divisor)), depth - 1),
            Some(-1) => nonnegative(ranges, &((rest + 1) * divisor.clone() - x.clone() - 1), depth - 1),
            _ => false,
        }
    })
}

/// `(x, d, c)` where the term is `c * floor(x/d)`.
fn division(monomial: &Monomial, c: i64) -> Option<(&Expr, &Expr, Expr)> {
    let at = monomial.iter().position(|atom| matches!(atom, Atom::FloorDiv(..)))?;
    let others = monomial.iter().enumerate().filter(|(other, _)| *other != at);
    let coefficient = others.fold(Expr::from(c), |product, (_, atom)| product * Expr::atom(atom.clone()));
    match &monomial[at] {
        Atom::FloorDiv(x, divisor) => Some((x, divisor, coefficient)),
        Atom::Sym(_) | Atom::Min(..) | Atom::Max(..) => None,
    }
}

/// Replaces a minimum or maximum by its operands: either one proves it where that only lowers the value, else both must.
fn by_cases(ranges: &Ranges, expr: &Expr, depth: usize) -> bool {
    let found = expr.terms().iter().find_map(|(monomial, c)| match monomial.as_slice() {
        [atom @ Atom::Min(a, b)] => Some((atom, *c, a, b, *c < 0)),
        [atom @ Atom::Max(a, b)] => Some((atom, *c, a, b, *c > 0)),
        _ => None,
    });
    let Some((atom, c, a, b, lowers)) = found else { return false };
    let case = |operand: &Expr| nonnegative(ranges, &(expr + &((operand - &Expr::atom(atom.clone())) * c)), depth - 1);
    if lowers { case(a) || case(b) } else { case(a) && case(b) }
}
