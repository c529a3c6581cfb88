//! Whether linear inequalities contradict each other: exact linear programming over the monomials.

use crate::expr::{Expr, Monomial};
use num_rational::Ratio;
use num_traits::{CheckedDiv, CheckedMul, CheckedSub, Signed, Zero};
use std::collections::BTreeSet;

type Number = Ratio<i128>;

/// Whether the expressions can't all be at least 0: whether some combination `sum c*fact`, `c >= 0`, is -1. Monomials count as variables
/// that know nothing of each other. Takes what it does off `work`, in numbers changed; with none left nothing is proved.
pub fn contradict(facts: &[Expr], work: &mut usize) -> bool {
    Tableau::new(facts).is_feasible(work)
}

/// The simplex method's first phase. The columns are the factors of the facts and one slack; a row says that the combination has no
/// share of one monomial, the last row that its constant is -1 or less.
struct Tableau {
    /// Coefficients, then the right side, which is not negative.
    rows: Vec<Vec<Number>>,
    /// The sum of the rows whose basic variable is artificial: how much they miss.
    missing: Vec<Number>,
}

impl Tableau {
    fn new(facts: &[Expr]) -> Tableau {
        let monomials: BTreeSet<&Monomial> = facts.iter().flat_map(|fact| fact.terms()).map(|(monomial, _)| monomial).collect();
        let row = |monomial: &Monomial, sign: i128, ends: [i128; 2]| {
            let coefficients = facts.iter().map(|fact| sign * i128::from(fact.coefficient(monomial)));
            coefficients.chain(ends).map(Number::from_integer).collect::<Vec<Number>>()
        };
        let products = monomials.into_iter().filter(|monomial| !monomial.is_empty());
        let mut rows: Vec<Vec<Number>> = products.map(|monomial| row(monomial, 1, [0, 0])).collect();
        rows.push(row(&Monomial::new(), -1, [-1, 1]));
        let sum = |sum: Vec<Number>, row: &Vec<Number>| sum.iter().zip(row).map(|(a, b)| a + b).collect();
        let missing = rows.iter().fold(vec![Number::zero(); facts.len() + 2], sum);
        Tableau { rows, missing }
    }

    fn is_feasible(&mut self, work: &mut usize) -> bool {
        let pivot = self.rows.len() * self.missing.len();
        while *work > 0 {
            *work = work.saturating_sub(pivot);
            let Some((right, coefficients)) = self.missing.split_last() else { return false };
            if right.is_zero() {
                return true;
            }
            let steepest = coefficients.iter().enumerate().filter(|(_, c)| c.is_positive()).max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(&a.0)));
            let Some((column, _)) = steepest else { return false };
            if self.pivot(column).is_none() {
                return false;
            }
        }
        false
    }

    /// Brings a column into the basis; None where numbers grow too large.
    fn pivot(&mut self, column: usize) -> Option<()> {
        let right = self.missing.len() - 1;
        let mut best: Option<(Number, usize)> = None;
        for (at, row) in self.rows.iter().enumerate().filter(|(_, row)| row[column].is_positive()) {
            let ratio = row[right].checked_div(&row[column])?;
            if best.is_none_or(|(least, _)| ratio < least) {
                best = Some((ratio, at));
            }
        }
        let (_, at) = best?;
        let mut row = std::mem::take(&mut self.rows[at]);
        let divisor = row[column];
        for number in row.iter_mut().filter(|number| !number.is_zero()) {
            *number = number.checked_div(&divisor)?;
        }
        for other in self.rows.iter_mut().filter(|other| !other.is_empty()).chain([&mut self.missing]) {
            subtract(other, &row, column)?;
        }
        self.rows[at] = row;
        Some(())
    }
}

/// Takes so much of `row` off `other` that its number in the column is 0.
fn subtract(other: &mut [Number], row: &[Number], column: usize) -> Option<()> {
    let factor = other[column];
    if factor.is_zero() {
        return Some(());
    }
    for (number, by) in other.iter_mut().zip(row).filter(|(_, by)| !by.is_zero()) {
        *number = number.checked_sub(&factor.checked_mul(by)?)?;
    }
    Some(())
}
