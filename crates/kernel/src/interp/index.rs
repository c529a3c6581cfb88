//! Indices compiled to numbers: polynomials over slots, which become linear forms once the sizes are known.

use sym::{Atom, Expr, Sym};

/// An indivisible factor, over slots of the machine.
#[derive(Clone, Debug)]
enum Factor {
    Slot(usize),
    FloorDiv(Poly, Poly),
    Min(Poly, Poly),
    Max(Poly, Poly),
}

/// A sum of products with their coefficients.
#[derive(Clone, Debug)]
pub struct Poly {
    terms: Vec<(i64, Vec<Factor>)>,
}

/// An index of one call: its sizes are numbers.
#[derive(Debug)]
pub enum Form {
    Linear { constant: i64, terms: Vec<(i64, usize)> },
    General(Poly),
}

impl Poly {
    /// Err names the symbol that `slot` does not know.
    pub fn new(expr: &Expr, slot: &dyn Fn(&Sym) -> Option<usize>) -> Result<Poly, String> {
        let term = |(monomial, c): &(Vec<Atom>, i64)| {
            let factors = monomial.iter().map(|atom| factor(atom, slot)).collect::<Result<Vec<Factor>, String>>()?;
            Ok((*c, factors))
        };
        Ok(Poly { terms: expr.terms().iter().map(term).collect::<Result<_, String>>()? })
    }

    /// Puts in the sizes, which stand in the first slots. A division that fails is left for the evaluation.
    pub fn bind(&self, sizes: &[i64]) -> Form {
        let poly = self.folded(sizes);
        let (mut constant, mut terms) = (0i64, Vec::new());
        for (c, factors) in &poly.terms {
            match factors.as_slice() {
                [] => constant = constant.wrapping_add(*c),
                [Factor::Slot(slot)] => terms.push((*c, *slot)),
                _ => return Form::General(poly),
            }
        }
        Form::Linear { constant, terms }
    }

    fn folded(&self, sizes: &[i64]) -> Poly {
        let mut terms = Vec::new();
        for (c, factors) in &self.terms {
            let (mut product, mut left) = (*c, Vec::new());
            for factor in factors.iter().map(|factor| factor.folded(sizes)) {
                match factor.known(sizes) {
                    Some(value) => product = product.wrapping_mul(value),
                    None => left.push(factor),
                }
            }
            terms.push((product, left));
        }
        Poly { terms }
    }

    /// The value where no slot is left.
    fn known(&self) -> Option<i64> {
        let all = self.terms.iter().all(|(_, factors)| factors.is_empty());
        all.then(|| self.eval(&[]).ok()).flatten()
    }

    fn eval(&self, slots: &[i64]) -> Result<i64, String> {
        let mut sum = 0i64;
        for (c, factors) in &self.terms {
            let mut product = *c;
            for factor in factors {
                product = product.wrapping_mul(factor.eval(slots)?);
            }
            sum = sum.wrapping_add(product);
        }
        Ok(sum)
    }
}

fn factor(atom: &Atom, slot: &dyn Fn(&Sym) -> Option<usize>) -> Result<Factor, String> {
    let pair = |a, b| Ok::<_, String>((Poly::new(a, slot)?, Poly::new(b, slot)?));
    Ok(match atom {
        Atom::Sym(sym) => Factor::Slot(slot(sym).ok_or_else(|| format!("symbol {sym} is not in scope"))?),
        Atom::FloorDiv(a, b) => pair(a, b).map(|(a, b)| Factor::FloorDiv(a, b))?,
        Atom::Min(a, b) => pair(a, b).map(|(a, b)| Factor::Min(a, b))?,
        Atom::Max(a, b) => pair(a, b).map(|(a, b)| Factor::Max(a, b))?,
    })
}

impl Factor {
    fn folded(&self, sizes: &[i64]) -> Factor {
        match self {
            Factor::Slot(slot) => Factor::Slot(*slot),
            Factor::FloorDiv(a, b) => Factor::FloorDiv(a.folded(sizes), b.folded(sizes)),
            Factor::Min(a, b) => Factor::Min(a.folded(sizes), b.folded(sizes)),
            Factor::Max(a, b) => Factor::Max(a.folded(sizes), b.folded(sizes)),
        }
    }

    /// The value of a folded factor where nothing but sizes is in it.
    fn known(&self, sizes: &[i64]) -> Option<i64> {
        match self {
            Factor::Slot(slot) => sizes.get(*slot).copied(),
            Factor::FloorDiv(a, b) => floor_div(a.known()?, b.known()?).ok(),
            Factor::Min(a, b) => Some(a.known()?.min(b.known()?)),
            Factor::Max(a, b) => Some(a.known()?.max(b.known()?)),
        }
    }

    fn eval(&self, slots: &[i64]) -> Result<i64, String> {
        Ok(match self {
            Factor::Slot(slot) => slots[*slot],
            Factor::FloorDiv(a, b) => floor_div(a.eval(slots)?, b.eval(slots)?)?,
            Factor::Min(a, b) => a.eval(slots)?.min(b.eval(slots)?),
            Factor::Max(a, b) => a.eval(slots)?.max(b.eval(slots)?),
        })
    }
}

fn floor_div(a: i64, b: i64) -> Result<i64, String> {
    if b > 0 { Ok(a.div_euclid(b)) } else { Err(format!("an index divides {a} by {b}")) }
}

impl Form {
    pub fn eval(&self, slots: &[i64]) -> Result<i64, String> {
        match self {
            Form::Linear { constant, terms } => {
                Ok(terms.iter().fold(*constant, |sum, (c, slot)| sum.wrapping_add(c.wrapping_mul(slots[*slot]))))
            }
            Form::General(poly) => poly.eval(slots),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates over the sizes `n = 10, m = 3` and the variables `i = 7, j = 2`, and says whether it became linear.
    fn check(text: &str, want: i64, linear: bool) {
        let expr: Expr = text.parse().unwrap();
        let names = ["n", "m", "i", "j"];
        let poly = Poly::new(&expr, &|sym| names.iter().position(|n| *n == sym.name())).unwrap();
        let form = poly.bind(&[10, 3]);
        assert_eq!(form.eval(&[10, 3, 7, 2]), Ok(want), "{text}");
        assert_eq!(matches!(form, Form::Linear { .. }), linear, "{text}: {form:?}");
    }

    #[test]
    fn sizes_fold_into_coefficients() {
        check("i*n*m + j*((n + m - 1)/(m)) - n*4 + 1", 7 * 30 + 2 * 4 - 40 + 1, true);
        check("min(n, m)*i - max(n, 20)", 21 - 20, true);
        check("(i - 9)/(4)", -1, false);
        check("i % 4 + i*j", 3 + 14, false);
    }

    #[test]
    fn faults_are_errors() {
        let slot = |sym: &Sym| (sym.name() == "n").then_some(0);
        assert!(Poly::new(&"k".parse().unwrap(), &slot).is_err());
        assert!(Poly::new(&"8/n".parse().unwrap(), &slot).unwrap().bind(&[0]).eval(&[0]).is_err());
    }
}
