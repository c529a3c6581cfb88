//! Whether an index determines the point that it belongs to.
//!
//! The unknowns are the iterators, and the digits of what is divided: where `x/d` occurs, `x` is `d*q + r` with the digits `q = x/d` and
//! `0 <= r < d`, and `q` is made up of the digits of a coarser division in turn. So `[x/d, x % d]` is `[q, r]`, which determines `x`. An
//! expression that is linear in the unknowns left determines them all where their coefficients are a mixed radix: each larger than the sum
//! of the smaller ones' reach. What is determined counts as known in the other dims; this goes on until nothing new is learnt.

use super::proof::Proof;
use crate::nest::{IterKind, Nest, Write};
use std::collections::BTreeSet;
use sym::{Atom, Expr, Ranges, Sym};

/// The first iterator that the write's index maps must determine and are not proved to: parallel ones, and in a write that is no update
/// those of scans.
pub(super) fn undetermined(nest: &Nest, write: &Write, proof: &Proof) -> Option<Sym> {
    let index: Vec<Expr> = write.maps().cloned().collect();
    let points = || nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction);
    let inside: BTreeSet<Sym> = points().map(|iter| iter.sym.clone()).collect();
    let digits = Digits::new(&index, &inside, &proof.ranges);
    let known = points().filter(|iter| iter.extent.is_one()).map(|iter| iter.sym.clone()).collect();
    let mut known = Known { digits: &digits, unknown_at_first: digits.symbols(&inside), inside, proof, symbols: known };
    let mut open: Vec<Expr> = index.iter().map(|map| digits.spelled(map)).collect();
    let mut joined = vec![false; digits.sums.len()];
    loop {
        let before = (open.len(), known.symbols.len());
        open.retain(|map| !known.learn(map));
        for (sum, joined) in digits.sums.iter().zip(&mut joined) {
            if known.is_known(&sum.whole) {
                known.symbols.extend([sum.quotient.clone(), sum.rest.clone()]);
            } else if !*joined && [&sum.quotient, &sum.rest].into_iter().all(|sym| known.symbols.contains(sym)) {
                *joined = true;
                open.push(sum.whole.clone());
            }
        }
        if (open.len(), known.symbols.len()) == before {
            break;
        }
    }
    let wanted = points().filter(|iter| iter.kind == IterKind::Parallel || !write.is_update());
    let left = wanted.map(|iter| &iter.sym).find(|sym| !known.symbols.contains(*sym)).cloned();
    left.filter(|_| !proof.is_injective_at_points(&index))
}

/// `whole = unit*quotient + rest`, `0 <= rest < unit`.
struct Sum {
    whole: Expr,
    unit: Expr,
    quotient: Sym,
    rest: Sym,
}

/// Symbols for the divisions of an index, and for their remainders.
struct Digits {
    divisions: Vec<(Atom, Sym)>,
    sums: Vec<Sum>,
    /// Of iterators and digits.
    ranges: Ranges,
}

impl Digits {
    fn new(index: &[Expr], iterators: &BTreeSet<Sym>, ranges: &Ranges) -> Digits {
        let mut atoms = BTreeSet::new();
        index.iter().for_each(|map| collect_divisions(map, &mut atoms));
        atoms.retain(|atom| iterators.iter().any(|sym| Expr::atom(atom.clone()).mentions(sym)));
        let divisions: Vec<(Atom, Sym)> =
            atoms.into_iter().enumerate().map(|(at, atom)| (atom, Sym::new(&format!("quotient {at}")))).collect();
        let mut digits = Digits { divisions, sums: vec![], ranges: ranges.clone() };
        for at in 0..digits.divisions.len() {
            digits.divide(at, ranges);
        }
        digits
    }

    fn divide(&mut self, at: usize, ranges: &Ranges) {
        let (atom, quotient) = self.divisions[at].clone();
        let value = Expr::atom(atom.clone());
        if let (Some(low), Some(high)) = (ranges.lower_bound(&value), ranges.upper_bound(&value)) {
            self.ranges.bound(&quotient, low, high);
        }
        let Atom::FloorDiv(x, d) = &atom else { return };
        self.add(self.spelled(x), d.clone(), quotient.clone());
        for (other, finer) in self.divisions.clone() {
            let unit = match &other {
                Atom::FloorDiv(y, e) if y == x && e != d => d.exact_div(e),
                Atom::FloorDiv(..) | Atom::Sym(_) | Atom::Min(..) | Atom::Max(..) => None,
            };
            unit.into_iter().for_each(|unit| self.add(Expr::sym(&finer), unit, quotient.clone()));
        }
    }

    fn add(&mut self, whole: Expr, unit: Expr, quotient: Sym) {
        let rest = Sym::new(&format!("rest {}", self.sums.len()));
        self.ranges.iterator(&rest, &unit);
        self.sums.push(Sum { whole, unit, quotient, rest });
    }

    /// With symbols for the divisions that are factors.
    fn spelled(&self, expr: &Expr) -> Expr {
        let symbol = |atom: &Atom| self.divisions.iter().find(|(division, _)| division == atom).map(|(_, sym)| Atom::Sym(sym.clone()));
        let factor = |atom: &Atom| Expr::atom(symbol(atom).unwrap_or_else(|| atom.clone()));
        let terms = expr.terms().iter().map(|(monomial, c)| monomial.iter().fold(Expr::from(*c), |product, atom| product * factor(atom)));
        terms.fold(Expr::zero(), |sum, term| sum + term)
    }

    /// A digit may be negative, other symbols are not: proofs take the division itself.
    fn unspelled(&self, atom: &Atom) -> Atom {
        let division = self.divisions.iter().find(|(_, sym)| *atom == Atom::Sym(sym.clone()));
        division.map_or(atom, |(division, _)| division).clone()
    }

    fn symbols(&self, iterators: &BTreeSet<Sym>) -> BTreeSet<Sym> {
        let digits = self.sums.iter().flat_map(|sum| [sum.quotient.clone(), sum.rest.clone()]);
        digits.chain(self.divisions.iter().map(|(_, sym)| sym.clone())).chain(iterators.iter().cloned()).collect()
    }
}

fn collect_divisions(expr: &Expr, out: &mut BTreeSet<Atom>) {
    for atom in expr.atoms() {
        if let Atom::FloorDiv(x, _) = atom {
            out.insert(atom.clone());
            collect_divisions(x, out);
        }
    }
}

struct Known<'a> {
    digits: &'a Digits,
    proof: &'a Proof<'a>,
    /// The parallel and scan iterators.
    inside: BTreeSet<Sym>,
    unknown_at_first: BTreeSet<Sym>,
    symbols: BTreeSet<Sym>,
}

impl Known<'_> {
    /// Adds the unknowns that the value of `map` determines; false where it determines not all that it mentions.
    fn learn(&mut self, map: &Expr) -> bool {
        [map.clone(), self.in_digits(map)].iter().any(|map| self.learn_linear(map))
    }

    fn learn_linear(&mut self, map: &Expr) -> bool {
        let Some(unknowns) = self.linear_unknowns(map) else { return false };
        let Some(places) = unknowns.iter().map(|(sym, c)| self.place(sym, c)).collect::<Option<Vec<_>>>() else { return false };
        let determined = self.is_mixed_radix(places);
        if determined {
            self.symbols.extend(unknowns.into_iter().map(|(sym, _)| sym));
        }
        determined
    }

    /// With the digits put in for what is divided, where a quotient is known or occurs beside it.
    fn in_digits(&self, map: &Expr) -> Expr {
        self.digits.sums.iter().fold(map.clone(), |map, sum| {
            let useful = self.symbols.contains(&sum.quotient) || map.mentions(&sum.quotient);
            let digits = || &sum.unit * &Expr::sym(&sum.quotient) + Expr::sym(&sum.rest);
            match multiple_in(&map, &sum.whole).filter(|_| useful) {
                Some(factor) => &map + &(&factor * &(digits() - sum.whole.clone())),
                None => map,
            }
        })
    }

    /// The unknown symbols with their coefficients; None where a coefficient is not known, or an atom is none of those followed.
    fn linear_unknowns(&self, map: &Expr) -> Option<Vec<(Sym, Expr)>> {
        let mut unknowns: Vec<(Sym, Expr)> = vec![];
        for (monomial, c) in map.terms() {
            let (known, unknown): (Vec<&Atom>, Vec<&Atom>) = monomial.iter().partition(|atom| self.is_known_atom(atom));
            let sym = match unknown.as_slice() {
                [] => continue,
                [Atom::Sym(sym)] => sym,
                _ => return None,
            };
            let coefficient = known.into_iter().fold(Expr::from(*c), |product, atom| product * Expr::atom(self.digits.unspelled(atom)));
            match unknowns.iter_mut().find(|(other, _)| other == sym) {
                Some((_, sum)) => *sum += &coefficient,
                None => unknowns.push((sym.clone(), coefficient)),
            }
        }
        Some(unknowns)
    }

    fn is_known(&self, expr: &Expr) -> bool {
        expr.atoms().all(|atom| self.is_known_atom(atom))
    }

    fn is_known_atom(&self, atom: &Atom) -> bool {
        match atom {
            Atom::Sym(sym) => self.symbols.contains(sym) || !self.unknown_at_first.contains(sym),
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => self.is_known(a) && self.is_known(b),
        }
    }

    /// `(step, reach)`: by how much the sum grows with the unknown, and at most in all.
    fn place(&self, sym: &Sym, coefficient: &Expr) -> Option<(Expr, Expr)> {
        let unknown = Some(Expr::sym(sym)).filter(|_| self.digits.ranges.bounds(sym))?;
        let (low, high) = (self.digits.ranges.lower_bound(&unknown)?, self.digits.ranges.upper_bound(&unknown)?);
        [coefficient.clone(), -coefficient].into_iter().find(|step| self.less(&Expr::zero(), step)).map(|step| {
            let reach = &step * &(&high - &low);
            (step, reach)
        })
    }

    /// Takes the smallest place first: every other step must be larger than what the places so far reach together.
    fn is_mixed_radix(&self, mut places: Vec<(Expr, Expr)>) -> bool {
        let mut reached = Expr::zero();
        while !places.is_empty() {
            let outgrown = |at: usize| {
                let reach = &reached + &places[at].1;
                places.iter().enumerate().all(|(other, (step, _))| other == at || self.less(&reach, step))
            };
            let Some(at) = (0..places.len()).find(|at| outgrown(*at)) else { return false };
            reached += &places.remove(at).1;
        }
        true
    }

    fn less(&self, a: &Expr, b: &Expr) -> bool {
        self.proof.less(a, b, &self.inside)
    }
}

/// `k` where `map` is `k*x` and terms without the first symbol of `x`.
fn multiple_in(map: &Expr, x: &Expr) -> Option<Expr> {
    let sym = x.atoms().find_map(|atom| if let Atom::Sym(sym) = atom { Some(sym) } else { None })?;
    let (own, _) = x.split_linear(sym)?;
    let (factor, _) = map.split_linear(sym)?;
    factor.exact_div(&own).filter(|factor| !factor.is_zero())
}
