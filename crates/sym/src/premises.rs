//! What is known, as inequalities, and what follows from it.
//!
//! A proof takes the inequalities that are known, the opposite of its goal, those that define the divisions, minima and maxima in play,
//! and products of all these with what is not negative; [`linear::contradict`] must find a contradiction. A minimum or maximum that is not
//! bounded by this is one of its two operands: both cases are tried. Everything is bounded: the number of inequalities, of cases, of steps
//! in each.

use crate::expr::{Atom, Expr, Monomial, Sym};
use crate::linear;
use std::collections::BTreeSet;

/// The most minima and maxima that one proof splits into cases.
const MOST_SPLITS: usize = 4;
/// The most inequalities of one proof.
const MOST_FACTS: usize = 120;
/// How deep a proof may ask for the signs of factors.
const DEPTH: usize = 2;
/// The most numbers that one proof computes: a tenth of a second or two.
const MOST_WORK: usize = 1_000_000;

/// Expressions that are not negative. All symbols are taken not to be negative.
#[derive(Clone, Debug, Default)]
pub struct Premises {
    facts: Vec<Expr>,
}

impl Premises {
    /// Declares `expr >= 0`.
    pub fn nonnegative(&mut self, expr: Expr) {
        if expr.as_const().is_none() && !self.facts.contains(&expr) {
            self.facts.push(expr);
        }
    }

    /// Declares `a == b`.
    pub fn equal(&mut self, a: &Expr, b: &Expr) {
        self.nonnegative(a - b);
        self.nonnegative(b - a);
    }

    /// Declares that `a` is 1 or `b`.
    pub fn one_or_equal(&mut self, a: &Expr, b: &Expr) {
        self.nonnegative(a - &b.minimum(&Expr::one()));
        self.nonnegative(&b.maximum(&Expr::one()) - a);
    }

    /// Declares `expr >= 1`, and so do its factors, as far as they are not negative.
    pub fn positive(&mut self, expr: &Expr) {
        self.nonnegative(expr - &Expr::one());
        let Some(((first, _), others)) = expr.terms().split_first() else { return };
        let common = first.iter().find(|atom| others.iter().all(|(monomial, _)| monomial.contains(atom)));
        if let Some(atom) = common.filter(|atom| is_plainly_nonnegative(atom)) {
            let atom = Expr::atom(atom.clone());
            if let Some(cofactor) = expr.exact_div(&atom).filter(|cofactor| cofactor.as_const().is_none()) {
                self.positive(&atom);
                self.positive(&cofactor);
            }
        }
    }

    /// What is known once symbols have values.
    pub fn substitute(&self, value: &dyn Fn(&Sym) -> Option<Expr>) -> Premises {
        let mut premises = Premises::default();
        self.facts.iter().for_each(|fact| premises.nonnegative(fact.substitute(value)));
        premises
    }

    /// Whether `expr >= 0` is proved. False means unknown.
    pub fn imply(&self, expr: &Expr) -> bool {
        let mut work = MOST_WORK;
        self.imply_within(expr, MOST_SPLITS, DEPTH, &mut work)
    }

    fn imply_within(&self, expr: &Expr, splits: usize, depth: usize, work: &mut usize) -> bool {
        let goal = without_common_factor(expr);
        if let Some(value) = goal.as_const() {
            return value >= 0;
        }
        let facts = self.in_play(-goal.clone() - Expr::one(), depth, work);
        linear::contradict(&facts, work) || (splits > 0 && self.imply_in_cases(&goal, splits, depth, work))
    }

    /// `min(a, b)` is `a` where `a <= b`, else `b`.
    fn imply_in_cases(&self, goal: &Expr, splits: usize, depth: usize, work: &mut usize) -> bool {
        let Some(atom) = [goal].into_iter().chain(&self.facts).find_map(choice_in) else { return false };
        let (a, b, sign) = match &atom {
            Atom::Min(a, b) => (a, b, 1),
            Atom::Max(a, b) => (a, b, -1),
            Atom::Sym(_) | Atom::FloorDiv(..) => return false,
        };
        let mut case = |taken: &Expr, condition: Expr| {
            let mut premises = Premises { facts: self.facts.iter().map(|fact| fact.replace_atom(&atom, taken)).collect() };
            premises.nonnegative(condition);
            premises.imply_within(&goal.replace_atom(&atom, taken), splits - 1, depth, work)
        };
        case(a, (b - a) * sign) && case(b, (a - b) * sign)
    }

    /// The inequalities that a proof may need.
    fn in_play(&self, opposite: Expr, depth: usize, work: &mut usize) -> Vec<Expr> {
        let mut facts = self.facts.clone();
        facts.push(opposite);
        let mut defined: BTreeSet<Atom> = BTreeSet::new();
        loop {
            let atoms: BTreeSet<Atom> = facts.iter().flat_map(Expr::atoms).cloned().collect();
            let new: Vec<Atom> = atoms.difference(&defined).cloned().collect();
            if new.is_empty() || facts.len() > MOST_FACTS {
                break;
            }
            new.iter().for_each(|atom| self.define(atom, &defined, depth, work, &mut facts));
            defined.extend(new);
        }
        self.multiply(depth, work, &mut facts);
        facts
    }

    /// What holds of an atom by itself, and beside those that are defined already.
    fn define(&self, atom: &Atom, others: &BTreeSet<Atom>, depth: usize, work: &mut usize, facts: &mut Vec<Expr>) {
        let value = Expr::atom(atom.clone());
        match atom {
            Atom::Sym(_) => {}
            Atom::FloorDiv(x, d) => {
                let rest = x - &(d * &value);
                facts.push(d - &rest - 1);
                facts.push(rest);
                facts.extend(others.iter().flat_map(|other| nested(x, d, &value, other)).flatten());
            }
            Atom::Min(a, b) => facts.extend([a - &value, b - &value]),
            Atom::Max(a, b) => facts.extend([&value - a, &value - b]),
        }
        if self.is_nonnegative(atom, depth, work) {
            facts.push(value);
        }
    }

    /// Adds products that have the monomials of the facts, and those that these bring in.
    fn multiply(&self, depth: usize, work: &mut usize, facts: &mut Vec<Expr>) {
        let base = facts.clone();
        let mut done: BTreeSet<Monomial> = BTreeSet::new();
        for _ in 0..2 {
            let products = facts.iter().flat_map(|expr| expr.terms()).map(|(monomial, _)| monomial);
            let new: BTreeSet<Monomial> = products.filter(|monomial| monomial.len() > 1 && !done.contains(*monomial)).cloned().collect();
            for monomial in new {
                self.multiply_towards(&monomial, &base, depth, work, facts);
                done.insert(monomial);
                if facts.len() > MOST_FACTS {
                    return;
                }
            }
        }
    }

    /// Every fact about one atom of the monomial, times the other atoms, where these are not negative.
    fn multiply_towards(&self, monomial: &Monomial, base: &[Expr], depth: usize, work: &mut usize, facts: &mut Vec<Expr>) {
        let unsigned: Vec<bool> = monomial.iter().map(|atom| self.is_nonnegative(atom, depth, work)).collect();
        if unsigned.iter().all(|unsigned| *unsigned) {
            facts.push(Expr::monomial(monomial.clone()));
        }
        for (at, atom) in monomial.iter().enumerate().filter(|(at, atom)| !monomial[..*at].contains(atom)) {
            if unsigned.iter().enumerate().any(|(other, unsigned)| other != at && !unsigned) {
                continue;
            }
            let mut rest = monomial.clone();
            rest.remove(at);
            let rest = Expr::monomial(rest);
            let about =
                base.iter().filter(|fact| fact.terms().iter().any(|(monomial, _)| monomial.as_slice() == std::slice::from_ref(atom)));
            for fact in about {
                let fact = fact * &rest;
                if !facts.contains(&fact) {
                    facts.push(fact);
                }
            }
        }
    }

    fn is_nonnegative(&self, atom: &Atom, depth: usize, work: &mut usize) -> bool {
        let mut proved = |expr: &Expr| depth > 0 && self.imply_within(expr, 0, depth - 1, work);
        is_plainly_nonnegative(atom)
            || match atom {
                Atom::Sym(_) => true,
                Atom::FloorDiv(x, _) => proved(x),
                Atom::Min(a, b) => proved(a) && proved(b),
                Atom::Max(a, b) => proved(a) || proved(b),
            }
    }
}

fn is_plainly_nonnegative(atom: &Atom) -> bool {
    let all = |expr: &Expr| expr.terms().iter().all(|(monomial, c)| *c >= 0 && monomial.iter().all(is_plainly_nonnegative));
    match atom {
        Atom::Sym(_) => true,
        Atom::FloorDiv(x, _) => all(x),
        Atom::Min(a, b) => all(a) && all(b),
        Atom::Max(a, b) => all(a) || all(b),
    }
}

/// What holds between two divisions of one number: `0 <= x/b - a*(x/(a*b)) < a`.
fn nested(x: &Expr, d: &Expr, value: &Expr, other: &Atom) -> Option<[Expr; 2]> {
    let Atom::FloorDiv(y, e) = other else { return None };
    let other = Expr::atom(other.clone());
    let (finer, coarser, a) = match (e.exact_div(d), d.exact_div(e)) {
        (Some(a), _) => (value.clone(), other, a),
        (None, Some(a)) => (other, value.clone(), a),
        (None, None) => return None,
    };
    let rest = &finer - &(&a * &coarser);
    (x == y).then(|| [&a - &rest - 1, rest])
}

/// The first minimum or maximum, also inside of divisions; one inside of another comes first.
fn choice_in(expr: &Expr) -> Option<Atom> {
    expr.atoms().find_map(|atom| match atom {
        Atom::Sym(_) => None,
        Atom::FloorDiv(a, b) => choice_in(a).or_else(|| choice_in(b)),
        Atom::Min(a, b) | Atom::Max(a, b) => choice_in(a).or_else(|| choice_in(b)).or_else(|| Some(atom.clone())),
    })
}

/// `e` where `g*e + r >= 0`, `r < g`, is meant.
fn without_common_factor(expr: &Expr) -> Expr {
    let coefficients = expr.terms().iter().filter(|(monomial, _)| !monomial.is_empty()).map(|(_, c)| *c);
    let g = coefficients.fold(0, crate::expr::gcd);
    if g > 1 { expr.split_multiples(&Expr::from(g)).0 } else { expr.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &[&str], positive: &[&str], goals: &[(&str, bool)]) {
        let mut premises = Premises::default();
        known.iter().for_each(|text| premises.nonnegative(text.parse().unwrap()));
        positive.iter().for_each(|text| premises.positive(&text.parse().unwrap()));
        for (goal, want) in goals {
            assert_eq!(premises.imply(&goal.parse().unwrap()), *want, "{goal}");
        }
    }

    #[test]
    fn sums_and_products() {
        check(&["n - 1 - i", "m - 1 - j"], &[], &[("n*m - 1 - m*i - j", true), ("n*m - 2 - m*i - j", false), ("n*m - m*i - j", true)]);
        check(&[], &["n*m"], &[("n + m - 2", true), ("n*m - n", true), ("n - 2", false)]);
        check(&["2*n - 2*i - 1"], &[], &[("n - i - 1", true)]);
    }

    #[test]
    fn divisions_round() {
        check(&["n/2 - 1 - i"], &[], &[("n - 2 - 2*i", true), ("n - 3 - 2*i", false)]);
        check(&["n - 1 - i"], &[], &[("(n + 3)/4 - 1 - i/4", true), ("3 - i % 4", true), ("2 - i % 4", false), ("7 - (i/4) % 8", true)]);
        check(&["n*m - 1 - i"], &["m"], &[("n - 1 - i/m", true), ("m - 1 - i % m", true)]);
        check(&["(h - 3)/2 - i"], &[], &[("h - 3 - 2*i", true)]);
        check(&[], &[], &[("3*((n + 2)/3) - n", true), ("n + 2 - 3*((n + 2)/3)", true)]);
    }

    #[test]
    fn minima_and_maxima_are_one_of_two() {
        check(&["n - 1 - i"], &["d"], &[("d - 1 - min(i, d - 1)", true), ("min(i, d - 1)", true), ("min(i, d - 2)", false)]);
        check(&[], &[], &[("max(n, 5) - 5", true), ("n + 5 - max(n, 5)", true), ("n + 4 - max(n, 5)", false)]);
        check(&[], &[], &[("5 - (max(n, 5) - n)", true), ("4*((max(n, 5) - n)/4)", true)]);
        let mut guarded = Premises::default();
        guarded.one_or_equal(&"d".parse().unwrap(), &"n".parse().unwrap());
        assert!(!guarded.imply(&"d - 1".parse().unwrap()));
        guarded.positive(&"n".parse().unwrap());
        assert!(guarded.imply(&"d - 1".parse().unwrap()));
    }

    #[test]
    fn sums_that_are_positive_scale() {
        check(&[], &["n/3 + (n + 1)/2"], &[("4*(n/3) + 4*((n + 1)/2) - 4", true), ("4*(n/3) + 4*((n + 1)/2) - 5", false)]);
    }
}
