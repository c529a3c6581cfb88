//! What is known about symbols, and what can be proved from it.

use crate::expr::{Atom, Expr, Monomial, Sym, gcd};
use std::collections::{BTreeMap, BTreeSet};

/// Inclusive symbolic bounds of symbols. A bound mentions only symbols that were added before it, so bounds resolve in one sweep
/// from the last symbol to the first. A symbol that was never added is a size: at least 1 where that was said of it, else at least
/// [`Ranges::size_floor`].
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    bounds: BTreeMap<Sym, (Expr, Expr)>,
    order: Vec<Sym>,
    positive: BTreeSet<Sym>,
    /// The smallest value of unlisted symbols (sizes): 0, or 1 where code only runs when nothing is empty.
    pub size_floor: i64,
}

/// The longest product of sizes whose factors are shifted.
const MOST_FACTORS: usize = 10;

impl Ranges {
    pub fn new(size_floor: i64) -> Ranges {
        Ranges { size_floor, ..Ranges::default() }
    }

    /// Declares `low <= sym <= high`.
    pub fn bound(&mut self, sym: &Sym, low: Expr, high: Expr) {
        if self.bounds.insert(sym.clone(), (low, high)).is_none() {
            self.order.push(sym.clone());
        }
    }

    /// Whether the symbol was added.
    pub fn bounds(&self, sym: &Sym) -> bool {
        self.bounds.contains_key(sym)
    }

    /// Declares an iterator: `0 <= sym < extent`.
    pub fn iterator(&mut self, sym: &Sym, extent: &Expr) {
        self.bound(sym, Expr::zero(), extent - &Expr::one());
    }

    /// Declares that a product is not 0: none of the symbols that are its factors is. A loop runs where its extent is not 0.
    pub fn not_zero(&mut self, product: &Expr) {
        let [(monomial, _)] = product.terms() else { return };
        self.positive.extend(monomial.iter().filter_map(|atom| if let Atom::Sym(sym) = atom { Some(sym.clone()) } else { None }));
    }

    /// Whether `expr >= 0` is proved. False means unknown.
    pub fn nonnegative(&self, expr: &Expr) -> bool {
        if let Some(value) = expr.as_const() {
            return value >= 0;
        }
        self.lower_bound(expr).is_some_and(|bound| self.size_polynomial_nonnegative(&bound))
    }

    pub fn less(&self, a: &Expr, b: &Expr) -> bool {
        self.nonnegative(&(b - a - 1))
    }

    /// A bound from below that mentions only sizes.
    pub fn lower_bound(&self, expr: &Expr) -> Option<Expr> {
        self.resolve(expr, false)
    }

    /// A bound from above that mentions only sizes.
    pub fn upper_bound(&self, expr: &Expr) -> Option<Expr> {
        self.resolve(expr, true)
    }

    fn resolve(&self, expr: &Expr, upper: bool) -> Option<Expr> {
        let mut expr = self.bound_atoms(expr, upper)?;
        for sym in self.order.iter().rev() {
            if !expr.mentions(sym) {
                continue;
            }
            let (low, high) = &self.bounds[sym];
            let (coefficient, rest) = expr.split_linear(sym)?;
            let end = if self.nonnegative(&coefficient) {
                if upper { high } else { low }
            } else if self.nonnegative(&-&coefficient) {
                if upper { low } else { high }
            } else {
                return None;
            };
            expr = &(&coefficient * end) + &rest;
        }
        Some(expr)
    }

    /// Whether the expression holds no bounded symbol.
    fn is_over_sizes(&self, expr: &Expr) -> bool {
        !expr.mentions_any(&|sym| self.bounds.contains_key(sym))
    }

    /// Bounds of the divisions, minima and maxima that hold bounded symbols; those over sizes alone stay.
    fn bound_atoms(&self, expr: &Expr, upper: bool) -> Option<Expr> {
        if expr.terms().iter().flat_map(|(monomial, _)| monomial).all(|atom| matches!(atom, Atom::Sym(_))) {
            return Some(expr.clone());
        }
        let over_sizes = |e: &Expr| self.is_over_sizes(e);
        let mut sum = Expr::zero();
        for (monomial, c) in expr.terms() {
            let mut product = Expr::from(*c);
            for atom in monomial {
                let up = upper == (*c > 0);
                let factor = match atom {
                    Atom::Sym(_) => Expr::atom(atom.clone()),
                    Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) if over_sizes(a) && over_sizes(b) => Expr::atom(atom.clone()),
                    _ if monomial.len() > 1 => return None,
                    Atom::FloorDiv(a, b) if over_sizes(b) => self.resolve(a, up)?.floor_div(b),
                    Atom::FloorDiv(..) => return None,
                    Atom::Min(a, b) if up => self.either(a, b, up)?,
                    Atom::Max(a, b) if !up => self.either(a, b, up)?,
                    Atom::Min(a, b) => self.resolve(a, up)?.minimum(&self.resolve(b, up)?),
                    Atom::Max(a, b) => self.resolve(a, up)?.maximum(&self.resolve(b, up)?),
                };
                product = &product * &factor;
            }
            sum += &product;
        }
        Some(sum)
    }

    fn either(&self, a: &Expr, b: &Expr, upper: bool) -> Option<Expr> {
        match (self.resolve(a, upper), self.resolve(b, upper)) {
            (Some(a), Some(b)) => Some(if upper { a.minimum(&b) } else { a.maximum(&b) }),
            (a, b) => a.or(b),
        }
    }

    /// Shifts every size by its floor; the polynomial is nonnegative where no coefficient is then negative. Products of more sizes than
    /// [`MOST_FACTORS`] stay as they are, since shifting doubles their terms with each.
    fn size_polynomial_nonnegative(&self, expr: &Expr) -> bool {
        let from_zero = Ranges::new(0);
        let no_negative = |expr: &Expr| expr.terms().iter().all(|(monomial, c)| *c >= 0 && from_zero.monomial_nonnegative(monomial));
        if self.size_floor >= 0 && no_negative(expr) {
            return true;
        }
        let floor = |sym: &Sym| if self.positive.contains(sym) { self.size_floor.max(1) } else { self.size_floor };
        let degree = expr.terms().iter().map(|(monomial, _)| monomial.len()).max().unwrap_or(0);
        let shifts = degree <= MOST_FACTORS && expr.mentions_any(&|sym| floor(sym) != 0);
        let shifted = if shifts { expr.substitute(&|sym| Some(Expr::sym(sym) + floor(sym))) } else { expr.clone() };
        no_negative(&shifted) || from_zero.bounded_by_parts(&shifted) || self.bounded_by_choice(expr)
    }

    /// `x - min(a, b)` is at least `x - a` and at least `x - b`; `x + max(a, b)` likewise.
    fn bounded_by_choice(&self, expr: &Expr) -> bool {
        expr.terms().iter().any(|(monomial, c)| {
            let ends = match monomial.as_slice() {
                [Atom::Min(a, b)] if *c < 0 => [a, b],
                [Atom::Max(a, b)] if *c > 0 => [a, b],
                _ => return false,
            };
            let rest = expr - &(&Expr::from(*c) * &Expr::atom(monomial[0].clone()));
            ends.into_iter().any(|end| self.nonnegative(&(&rest + &(&Expr::from(*c) * end))))
        })
    }

    fn monomial_nonnegative(&self, monomial: &Monomial) -> bool {
        monomial.iter().all(|atom| match atom {
            Atom::Sym(_) => true,
            Atom::FloorDiv(a, _) => self.nonnegative(a),
            Atom::Min(a, b) => self.nonnegative(a) && self.nonnegative(b),
            Atom::Max(a, b) => self.nonnegative(a) || self.nonnegative(b),
        })
    }

    /// `x - k*floor(x/c)` with `k <= c` and `x >= 0`: the division never outweighs its operand.
    fn bounded_by_parts(&self, expr: &Expr) -> bool {
        for (monomial, c) in expr.terms() {
            if let ([Atom::FloorDiv(x, d)], true) = (monomial.as_slice(), *c < 0) {
                let without = expr - &(&Expr::from(*c) * &Expr::atom(monomial[0].clone()));
                // floor(x/d) <= x/d, so expr >= without + c*x/d, scaled by d
                if let Some(d) = d.as_const() {
                    let scaled = &(&without * &Expr::from(d)) + &(&Expr::from(*c) * x);
                    if scaled.terms().iter().all(|(m, c)| *c >= 0 && self.monomial_nonnegative(m)) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Drops divisions whose result the ranges determine: `floor(r/c) = 0` for `0 <= r < c`, also after taking whole multiples out;
    /// and minima and maxima that are decided. What is over sizes alone stays as it is written: shape rules have simplified it.
    pub fn simplify(&self, expr: &Expr) -> Expr {
        expr.map_atoms(&|atom| self.simplify_atom(atom))
    }

    /// None where an atom stays.
    fn simplify_atom(&self, atom: &Atom) -> Option<Expr> {
        Some(match atom {
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) if self.is_over_sizes(a) && self.is_over_sizes(b) => return None,
            Atom::Sym(sym) => {
                let (low, high) = self.bounds.get(sym)?;
                return (low == high).then(|| low.clone());
            }
            Atom::FloorDiv(a, b) => self.divide(&self.simplify(a), &self.simplify(b)),
            Atom::Min(a, b) => {
                let (a, b) = (self.simplify(a), self.simplify(b));
                if self.nonnegative(&(&b - &a)) {
                    a
                } else if self.nonnegative(&(&a - &b)) {
                    b
                } else {
                    a.minimum(&b)
                }
            }
            Atom::Max(a, b) => {
                let (a, b) = (self.simplify(a), self.simplify(b));
                if self.nonnegative(&(&b - &a)) {
                    b
                } else if self.nonnegative(&(&a - &b)) {
                    a
                } else {
                    a.maximum(&b)
                }
            }
        })
    }

    fn divide(&self, a: &Expr, b: &Expr) -> Expr {
        let (whole, rest) = a.split_multiples(b);
        if self.nonnegative(&rest) && self.less(&rest, b) {
            return whole;
        }
        if let Some(b) = b.as_const() {
            return whole + self.divide_by_common_factor(&rest, b);
        }
        whole + rest.floor_div(b)
    }

    /// `floor((g*x + r)/b) = floor(x/(b/g))` where `g` divides `b` and `0 <= r < g`.
    fn divide_by_common_factor(&self, a: &Expr, b: i64) -> Expr {
        let divisors = a.terms().iter().map(|(_, c)| gcd(*c, b)).filter(|g| *g > 1);
        for g in divisors.collect::<std::collections::BTreeSet<_>>().into_iter().rev() {
            let unit = Expr::from(g);
            let (whole, rest) = a.split_multiples(&unit);
            if b % g == 0 && self.nonnegative(&rest) && self.less(&rest, &unit) {
                return self.divide(&whole, &Expr::from(b / g));
            }
        }
        a.floor_div(&Expr::from(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(iters: &[(&str, &str)]) -> Ranges {
        let mut ranges = Ranges::new(0);
        for (name, extent) in iters {
            ranges.iterator(&Sym::new(name), &extent.parse().unwrap());
        }
        ranges
    }

    fn check(ranges: &Ranges, text: &str, want: &str) {
        assert_eq!(ranges.simplify(&text.parse().unwrap()), want.parse().unwrap(), "{text}");
    }

    #[test]
    fn long_products_are_decided_in_time() {
        let names: Vec<String> = (0..40).map(|at| format!("n{at}")).collect();
        let product = Expr::product(&names.iter().map(|name| Expr::sym(&Sym::new(name))).collect::<Vec<_>>());
        let ranges = Ranges::new(1);
        assert!(ranges.nonnegative(&product));
        assert!(!ranges.nonnegative(&-&product));
    }

    #[test]
    fn reshape_indices_collapse() {
        let r = ranges(&[("b", "B"), ("s", "S"), ("h", "12"), ("d", "64")]);
        check(&r, "((b*S + s)*768 + h*64 + d)/768", "b*S + s");
        check(&r, "((b*S + s)*768 + h*64 + d) % 768", "h*64 + d");
        check(&r, "(h*64 + d)/64", "h");
        check(&r, "(b*S + s)/S", "b");
        check(&r, "(h*64 + d)/128", "h/2");
    }

    #[test]
    fn bounds_are_proved() {
        let r = ranges(&[("i", "n"), ("j", "8")]);
        assert!(r.less(&"i*8 + j".parse().unwrap(), &"n*8".parse().unwrap()));
        assert!(!r.less(&"i*8 + j".parse().unwrap(), &"n*8 - 1".parse().unwrap()));
        assert!(r.nonnegative(&"7 - j".parse().unwrap()));
        assert!(r.nonnegative(&"n - min(n, 5)".parse().unwrap()));
        assert!(r.nonnegative(&"max(n, 5) - 5".parse().unwrap()));
        assert!(!r.nonnegative(&"min(n, 5) - n".parse().unwrap()));
        let from_one = Ranges::new(1);
        assert!(from_one.nonnegative(&"min(n - 1, 3)".parse().unwrap()));
        assert!(!from_one.nonnegative(&"min(n - 2, 3)".parse().unwrap()));
        assert!(!from_one.nonnegative(&"(n - 2)/3".parse().unwrap()));
        let mut looped = Ranges::new(0);
        looped.not_zero(&"4*n*m".parse().unwrap());
        looped.not_zero(&"k + 2".parse().unwrap());
        assert!(looped.nonnegative(&"n + m - 2".parse().unwrap()));
        assert!(!looped.nonnegative(&"n + k - 2".parse().unwrap()));
        check(&r, "min(i, n - 1)", "i");
        check(&r, "max(i - n, 0)", "0");
        check(&r, "max(n, 0) + i/n", "max(n, 0)");
    }
}
