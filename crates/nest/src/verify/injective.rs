//! Whether an index determines the point that it belongs to.
//!
//! The unknowns are the iterators, and divisions of them: `[e/c, e % c]` determines `e`, since `e % c` is `e - c*(e/c)`. An expression that
//! is linear in the unknowns left determines them all where their coefficients are a mixed radix: each larger than the sum of the
//! smaller ones' reach. What is determined counts as known in the other dims; this goes on until nothing new is learnt.

use crate::nest::{IterKind, Nest};
use sym::{Atom, Expr, Ranges, Sym};

/// The first parallel or scan iterator that the index is not proved to determine.
pub(super) fn undetermined(nest: &Nest, index: &[Expr], ranges: &Ranges) -> Option<Sym> {
    let points = || nest.iters.iter().filter(|iter| iter.kind != IterKind::Reduction);
    let mut known = Known { nest, atoms: points().filter(|iter| iter.extent.is_one()).map(|iter| Atom::Sym(iter.sym.clone())).collect() };
    let mut open: Vec<&Expr> = index.iter().collect();
    loop {
        let count = open.len();
        open.retain(|map| !known.learn(map, ranges));
        if open.len() == count {
            break;
        }
    }
    points().map(|iter| &iter.sym).find(|sym| !known.atoms.contains(&Atom::Sym((*sym).clone()))).cloned()
}

struct Known<'a> {
    nest: &'a Nest,
    atoms: Vec<Atom>,
}

impl Known<'_> {
    /// Adds the unknowns that the value of `map` determines; false where it determines not all that it mentions.
    fn learn(&mut self, map: &Expr, ranges: &Ranges) -> bool {
        let Some(unknowns) = self.linear_unknowns(map) else { return false };
        let Some(places) = unknowns.iter().map(|(atom, c)| place(atom, c, ranges)).collect::<Option<Vec<_>>>() else { return false };
        let determined = is_mixed_radix(places, ranges);
        if determined {
            self.atoms.extend(unknowns.into_iter().map(|(atom, _)| atom));
        }
        determined
    }

    /// The unknown atoms with their coefficients; None where a coefficient is not known, or an atom is none of those followed.
    fn linear_unknowns(&self, map: &Expr) -> Option<Vec<(Atom, Expr)>> {
        let mut unknowns: Vec<(Atom, Expr)> = vec![];
        for (monomial, c) in map.terms() {
            let (known, unknown): (Vec<&Atom>, Vec<&Atom>) = monomial.iter().partition(|atom| self.is_known(atom));
            let [atom] = unknown.as_slice() else { if unknown.is_empty() { continue } else { return None } };
            let coefficient = known.into_iter().fold(Expr::from(*c), |product, atom| product * Expr::atom(atom.clone()));
            match unknowns.iter_mut().find(|(other, _)| other == *atom) {
                Some((_, sum)) => *sum += &coefficient,
                None => unknowns.push(((*atom).clone(), coefficient)),
            }
        }
        Some(unknowns)
    }

    fn is_known(&self, atom: &Atom) -> bool {
        let expr_is_known = |expr: &Expr| expr.terms().iter().flat_map(|(monomial, _)| monomial).all(|atom| self.is_known(atom));
        self.atoms.contains(atom)
            || match atom {
                Atom::Sym(sym) => self.nest.iter(sym).is_none(),
                Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => expr_is_known(a) && expr_is_known(b),
            }
    }
}

/// `(step, reach)`: by how much the sum grows with the unknown, and at most in all.
fn place(atom: &Atom, coefficient: &Expr, ranges: &Ranges) -> Option<(Expr, Expr)> {
    let unknown = Expr::atom(atom.clone());
    let (low, high) = (ranges.lower_bound(&unknown)?, ranges.upper_bound(&unknown)?);
    let step = if ranges.nonnegative(coefficient) { coefficient.clone() } else { -coefficient };
    let reach = &step * &(&high - &low);
    ranges.nonnegative(&(&step - &Expr::one())).then_some((step, reach))
}

/// Takes the smallest place first: every other step must be larger than what the places so far reach together.
fn is_mixed_radix(mut places: Vec<(Expr, Expr)>, ranges: &Ranges) -> bool {
    let mut reached = Expr::zero();
    while !places.is_empty() {
        let outgrown = |at: usize| {
            let reach = &reached + &places[at].1;
            places.iter().enumerate().all(|(other, (step, _))| other == at || ranges.less(&reach, step))
        };
        let Some(at) = (0..places.len()).find(|at| outgrown(*at)) else { return false };
        reached += &places.remove(at).1;
    }
    true
}
