//! The normal form of symbolic integers.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};
use std::sync::Arc;

/// A named symbol: a tensor size, a loop iterator or a run-time index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(Arc<str>);

impl Sym {
    pub fn new(name: &str) -> Sym {
        Sym(Arc::from(name))
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sym {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sym {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Sym {
    fn from(name: &str) -> Sym {
        Sym::new(name)
    }
}

/// An indivisible factor of a monomial. Divisors are positive wherever the expression is evaluated.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    Sym(Sym),
    FloorDiv(Expr, Expr),
    Min(Expr, Expr),
    Max(Expr, Expr),
}

/// A product of atoms, sorted; a power is a repeated atom; the empty product is 1.
pub type Monomial = Vec<Atom>;

/// A polynomial over atoms. Invariant: terms are sorted by monomial, monomials are distinct, no coefficient is 0. Clones share memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Expr {
    terms: Arc<[(Monomial, i64)]>,
}

impl Expr {
    pub fn zero() -> Expr {
        Expr::default()
    }

    pub fn one() -> Expr {
        Expr::from(1)
    }

    pub fn sym(name: &Sym) -> Expr {
        Expr::atom(Atom::Sym(name.clone()))
    }

    pub fn atom(atom: Atom) -> Expr {
        Expr { terms: Arc::new([(vec![atom], 1)]) }
    }

    pub fn monomial(monomial: Monomial) -> Expr {
        Expr::from_terms([(monomial, 1)])
    }

    /// The sum of terms in any order.
    fn from_terms(terms: impl IntoIterator<Item = (Monomial, i64)>) -> Expr {
        let mut terms: Vec<(Monomial, i64)> = terms.into_iter().collect();
        terms.sort_by(|a, b| a.0.cmp(&b.0));
        terms.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1 = sum.1.saturating_add(next.1);
            }
            same
        });
        terms.retain(|(_, c)| *c != 0);
        Expr { terms: terms.into() }
    }

    pub fn terms(&self) -> &[(Monomial, i64)] {
        &self.terms
    }

    /// The atoms of all terms; not those inside of them.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.terms.iter().flat_map(|(monomial, _)| monomial)
    }

    pub fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn is_one(&self) -> bool {
        self.as_const() == Some(1)
    }

    /// The value, where the expression has no symbols.
    pub fn as_const(&self) -> Option<i64> {
        match &*self.terms {
            [] => Some(0),
            [(monomial, value)] if monomial.is_empty() => Some(*value),
            _ => None,
        }
    }

    pub fn as_sym(&self) -> Option<&Sym> {
        match &*self.terms {
            [(monomial, 1)] => match monomial.as_slice() {
                [Atom::Sym(sym)] => Some(sym),
                _ => None,
            },
            _ => None,
        }
    }

    /// The constant term.
    pub fn constant_part(&self) -> i64 {
        self.coefficient(&Monomial::new())
    }

    pub fn coefficient(&self, monomial: &Monomial) -> i64 {
        self.terms.binary_search_by(|(other, _)| other.cmp(monomial)).map_or(0, |at| self.terms[at].1)
    }

    /// Adds every symbol of the expression, also inside divisions, to `out`.
    pub fn collect_symbols(&self, out: &mut BTreeSet<Sym>) {
        for atom in self.terms.iter().flat_map(|(monomial, _)| monomial) {
            match atom {
                Atom::Sym(sym) => {
                    out.insert(sym.clone());
                }
                Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    a.collect_symbols(out);
                    b.collect_symbols(out);
                }
            }
        }
    }

    pub fn symbols(&self) -> BTreeSet<Sym> {
        let mut out = BTreeSet::new();
        self.collect_symbols(&mut out);
        out
    }

    /// The number of terms and atoms, at any depth: how much there is to print or to evaluate.
    pub fn weight(&self) -> usize {
        let atom = |atom: &Atom| match atom {
            Atom::Sym(_) => 1,
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => 1 + a.weight() + b.weight(),
        };
        self.terms().iter().map(|(monomial, _)| 1 + monomial.iter().map(atom).sum::<usize>()).sum()
    }

    pub fn mentions(&self, sym: &Sym) -> bool {
        self.mentions_any(&|other| other == sym)
    }

    /// Whether a symbol that `picked` accepts stands anywhere in the expression.
    pub fn mentions_any(&self, picked: &dyn Fn(&Sym) -> bool) -> bool {
        self.terms.iter().flat_map(|(monomial, _)| monomial).any(|atom| atom.mentions_any(picked))
    }

    /// `(coefficient, rest)` with `self == coefficient*sym + rest` and neither mentioning `sym`; None where it is not linear in `sym`.
    pub fn split_linear(&self, sym: &Sym) -> Option<(Expr, Expr)> {
        let (mut coefficient, mut rest) = (Vec::new(), Vec::new());
        for (monomial, c) in self.terms.iter() {
            let direct = monomial.iter().filter(|a| matches!(a, Atom::Sym(s) if s == sym)).count();
            let others: Monomial = monomial.iter().filter(|a| !matches!(a, Atom::Sym(s) if s == sym)).cloned().collect();
            let nested = others.iter().any(|atom| atom.mentions_any(&|other| other == sym));
            match (direct, nested) {
                (0, false) => rest.push((others, *c)),
                (1, false) => coefficient.push((others, *c)),
                _ => return None,
            }
        }
        Some((Expr::from_terms(coefficient), Expr::from_terms(rest)))
    }

    /// Replaces every symbol that `value` knows, everywhere.
    pub fn substitute(&self, value: &dyn Fn(&Sym) -> Option<Expr>) -> Expr {
        self.map_atoms(&|atom| match atom {
            Atom::Sym(sym) => value(sym),
            Atom::FloorDiv(a, b) => Some(a.substitute(value).floor_div(&b.substitute(value))),
            Atom::Min(a, b) => Some(a.substitute(value).minimum(&b.substitute(value))),
            Atom::Max(a, b) => Some(a.substitute(value).maximum(&b.substitute(value))),
        })
    }

    /// Replaces every atom for which `value` gives something.
    pub fn map_atoms(&self, value: &dyn Fn(&Atom) -> Option<Expr>) -> Expr {
        let mut terms: Vec<(Monomial, i64)> = Vec::with_capacity(self.terms.len());
        for (monomial, c) in self.terms.iter() {
            let (mut kept, mut product) = (Vec::with_capacity(monomial.len()), None::<Expr>);
            for atom in monomial {
                match value(atom) {
                    Some(factor) => product = Some(product.map_or_else(|| factor.clone(), |product| &product * &factor)),
                    None => kept.push(atom.clone()),
                }
            }
            match product {
                None => terms.push((kept, *c)),
                Some(product) => terms.extend((&product * &Expr { terms: Arc::new([(kept, *c)]) }).terms.iter().cloned()),
            }
        }
        Expr::from_terms(terms)
    }

    pub fn replace(&self, sym: &Sym, value: &Expr) -> Expr {
        if !self.mentions(sym) {
            return self.clone();
        }
        self.substitute(&|s| (s == sym).then(|| value.clone()))
    }

    /// Replaces an atom everywhere, also inside of others.
    pub fn replace_atom(&self, from: &Atom, to: &Expr) -> Expr {
        let inside = |a: &Expr| a.replace_atom(from, to);
        let factor = |atom: &Atom| match atom {
            _ if atom == from => to.clone(),
            Atom::Sym(_) => Expr::atom(atom.clone()),
            Atom::FloorDiv(a, b) => inside(a).floor_div(&inside(b)),
            Atom::Min(a, b) => inside(a).minimum(&inside(b)),
            Atom::Max(a, b) => inside(a).maximum(&inside(b)),
        };
        let term = |(monomial, c): &(Monomial, i64)| monomial.iter().fold(Expr::from(*c), |product, atom| product * factor(atom));
        self.terms.iter().map(term).fold(Expr::zero(), |sum, term| sum + term)
    }

    /// The value under an assignment; None where a symbol is unknown, a divisor is not positive or the arithmetic overflows.
    pub fn eval(&self, value: &dyn Fn(&Sym) -> Option<i64>) -> Option<i64> {
        let mut sum = 0i64;
        for (monomial, c) in self.terms.iter() {
            let mut product = *c;
            for atom in monomial {
                let factor = match atom {
                    Atom::Sym(sym) => value(sym)?,
                    Atom::FloorDiv(a, b) => {
                        let divisor = b.eval(value)?;
                        (divisor > 0).then(|| a.eval(value)).flatten()?.div_euclid(divisor)
                    }
                    Atom::Min(a, b) => a.eval(value)?.min(b.eval(value)?),
                    Atom::Max(a, b) => a.eval(value)?.max(b.eval(value)?),
                };
                product = product.checked_mul(factor)?;
            }
            sum = sum.checked_add(product)?;
        }
        Some(sum)
    }

    /// Bounds of the value, the smaller first, where each symbol lies between two numbers: by interval arithmetic, so they may be wider than
    /// the values are. None where a symbol has no bounds, a divisor may not be positive or the arithmetic overflows.
    pub fn span(&self, bounds: &dyn Fn(&Sym) -> Option<(i64, i64)>) -> Option<(i64, i64)> {
        let mut sum = (0i64, 0i64);
        for (monomial, c) in self.terms.iter() {
            let mut product = (*c, *c);
            for atom in monomial {
                product = span_product(product, atom_span(atom, bounds)?)?;
            }
            sum = (sum.0.checked_add(product.0)?, sum.1.checked_add(product.1)?);
        }
        Some(sum)
    }

    /// `q` with `self == q * divisor`, by dividing every term; None where a term does not divide.
    pub fn exact_div(&self, divisor: &Expr) -> Option<Expr> {
        if self == divisor {
            return (!self.is_zero()).then(Expr::one);
        }
        if let [(monomial, c)] = &*divisor.terms {
            let terms: Option<Vec<_>> = self.terms.iter().map(|term| divide_term(term, monomial, *c)).collect();
            return terms.map(Expr::from_terms);
        }
        self.divide_by_polynomial(divisor)
    }

    /// Long division by leading terms; gives up where a remainder is left.
    fn divide_by_polynomial(&self, divisor: &Expr) -> Option<Expr> {
        let leading = |e: &Expr| e.terms.iter().max_by_key(|(m, _)| (m.len(), m.clone())).cloned();
        let (lead, c) = leading(divisor)?;
        let (mut rest, mut quotient) = (self.clone(), Expr::zero());
        for _ in 0..16 {
            if rest.is_zero() {
                return Some(quotient);
            }
            let term = divide_term(&leading(&rest)?, &lead, c)?;
            let term = Expr::from_terms([term]);
            rest = &rest - &(&term * divisor);
            quotient += &term;
        }
        None
    }

    /// `floor(self / divisor)`; the divisor is positive.
    pub fn floor_div(&self, divisor: &Expr) -> Expr {
        if divisor.is_one() || self.is_zero() {
            return self.clone();
        }
        if let (Some(a), Some(b)) = (self.as_const(), divisor.as_const())
            && b > 0
        {
            return Expr::from(a.div_euclid(b));
        }
        if let Some(quotient) = self.exact_div(divisor) {
            return quotient;
        }
        let (whole, rest) = self.split_multiples(divisor);
        if !whole.is_zero() {
            return whole + rest.floor_div(divisor);
        }
        if let (Some(Atom::FloorDiv(x, c)), Some(b)) = (self.single_atom(), divisor.as_const()) {
            return x.floor_div(&(c * &Expr::from(b)));
        }
        Expr::atom(Atom::FloorDiv(self.clone(), divisor.clone()))
    }

    /// `(q, r)` with `self == q*divisor + r`, where `q` takes every term that a one-term divisor divides.
    pub fn split_multiples(&self, divisor: &Expr) -> (Expr, Expr) {
        let [(monomial, c)] = &*divisor.terms else {
            return (Expr::zero(), self.clone());
        };
        let (mut whole, mut rest) = (Vec::new(), Vec::new());
        for term in self.terms.iter() {
            match divide_term(term, monomial, *c) {
                Some(quotient) => whole.push(quotient),
                None if monomial.is_empty() => {
                    let (q, r) = (term.1.div_euclid(*c), term.1.rem_euclid(*c));
                    if q != 0 {
                        whole.push((term.0.clone(), q));
                    }
                    rest.push((term.0.clone(), r));
                }
                None => rest.push(term.clone()),
            }
        }
        (Expr::from_terms(whole), Expr::from_terms(rest))
    }

    fn scaled(&self, factor: i64) -> Expr {
        match factor {
            0 => Expr::zero(),
            1 => self.clone(),
            _ => Expr { terms: self.terms.iter().map(|(m, c)| (m.clone(), c.saturating_mul(factor))).collect() },
        }
    }

    fn single_atom(&self) -> Option<&Atom> {
        match &*self.terms {
            [(monomial, 1)] if monomial.len() == 1 => monomial.first(),
            _ => None,
        }
    }

    pub fn ceil_div(&self, divisor: &Expr) -> Expr {
        (self + &(divisor - &Expr::one())).floor_div(divisor)
    }

    /// `self - divisor * floor(self / divisor)`.
    pub fn modulo(&self, divisor: &Expr) -> Expr {
        self - &(divisor * &self.floor_div(divisor))
    }

    /// The smallest multiple of `unit` that is at least `self`.
    pub fn round_up(&self, unit: i64) -> Expr {
        self.ceil_div(&Expr::from(unit)) * Expr::from(unit)
    }

    pub fn minimum(&self, other: &Expr) -> Expr {
        match (self - other).as_const() {
            Some(d) if d <= 0 => self.clone(),
            Some(_) => other.clone(),
            None => Expr::atom(if self <= other { Atom::Min(self.clone(), other.clone()) } else { Atom::Min(other.clone(), self.clone()) }),
        }
    }

    pub fn maximum(&self, other: &Expr) -> Expr {
        match (self - other).as_const() {
            Some(d) if d >= 0 => self.clone(),
            Some(_) => other.clone(),
            None => Expr::atom(if self <= other { Atom::Max(self.clone(), other.clone()) } else { Atom::Max(other.clone(), self.clone()) }),
        }
    }

    pub fn product<'a>(factors: impl IntoIterator<Item = &'a Expr>) -> Expr {
        factors.into_iter().fold(Expr::one(), |product, factor| &product * factor)
    }
}

impl Atom {
    fn mentions_any(&self, picked: &dyn Fn(&Sym) -> bool) -> bool {
        match self {
            Atom::Sym(sym) => picked(sym),
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => a.mentions_any(picked) || b.mentions_any(picked),
        }
    }
}

fn divide_term((monomial, c): &(Monomial, i64), divisor: &Monomial, d: i64) -> Option<(Monomial, i64)> {
    if d == 0 || c % d != 0 {
        return None;
    }
    let mut left = monomial.clone();
    for atom in divisor {
        let at = left.iter().position(|a| a == atom)?;
        left.remove(at);
    }
    Some((left, c / d))
}

/// The greatest common divisor; of 0 and 0 it is 0.
pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i64
}

impl From<i64> for Expr {
    fn from(value: i64) -> Expr {
        if value == 0 { Expr::zero() } else { Expr { terms: Arc::new([(Vec::new(), value)]) } }
    }
}

impl From<&Sym> for Expr {
    fn from(sym: &Sym) -> Expr {
        Expr::sym(sym)
    }
}

impl Add for &Expr {
    type Output = Expr;
    fn add(self, other: &Expr) -> Expr {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other.clone() } else { self.clone() };
        }
        Expr::from_terms(self.terms.iter().chain(other.terms.iter()).cloned())
    }
}

impl Sub for &Expr {
    type Output = Expr;
    fn sub(self, other: &Expr) -> Expr {
        self + &-other
    }
}

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr { terms: self.terms.iter().map(|(m, c)| (m.clone(), c.saturating_neg())).collect() }
    }
}

impl Mul for &Expr {
    type Output = Expr;
    fn mul(self, other: &Expr) -> Expr {
        if let Some((expr, factor)) = other.as_const().map(|c| (self, c)).or_else(|| self.as_const().map(|c| (other, c))) {
            return expr.scaled(factor);
        }
        let pairs = self.terms.iter().flat_map(|a| other.terms.iter().map(move |b| (a, b)));
        Expr::from_terms(pairs.map(|((m, c), (n, d))| {
            let mut product: Monomial = m.iter().chain(n).cloned().collect();
            product.sort();
            (product, c.saturating_mul(*d))
        }))
    }
}

macro_rules! by_value {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                $trait::$method(&self, &other)
            }
        }
        impl $trait<i64> for &Expr {
            type Output = Expr;
            fn $method(self, other: i64) -> Expr {
                $trait::$method(self, &Expr::from(other))
            }
        }
        impl $trait<i64> for Expr {
            type Output = Expr;
            fn $method(self, other: i64) -> Expr {
                $trait::$method(&self, &Expr::from(other))
            }
        }
    )*};
}
by_value!(Add add, Sub sub, Mul mul);

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        -&self
    }
}

impl AddAssign<&Expr> for Expr {
    fn add_assign(&mut self, other: &Expr) {
        *self = &*self + other;
    }
}

fn atom_span(atom: &Atom, bounds: &dyn Fn(&Sym) -> Option<(i64, i64)>) -> Option<(i64, i64)> {
    let both = |a: &Expr, b: &Expr| Some((a.span(bounds)?, b.span(bounds)?));
    match atom {
        Atom::Sym(sym) => bounds(sym),
        Atom::FloorDiv(a, b) => {
            let ((low, high), (least, most)) = both(a, b)?;
            let low = low.checked_div_euclid(least)?.min(low.checked_div_euclid(most)?);
            (least > 0).then_some((low, high.div_euclid(least).max(high.div_euclid(most))))
        }
        Atom::Min(a, b) => both(a, b).map(|(a, b)| (a.0.min(b.0), a.1.min(b.1))),
        Atom::Max(a, b) => both(a, b).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1))),
    }
}

fn span_product(a: (i64, i64), b: (i64, i64)) -> Option<(i64, i64)> {
    let ends = [a.0.checked_mul(b.0)?, a.0.checked_mul(b.1)?, a.1.checked_mul(b.0)?, a.1.checked_mul(b.1)?];
    Some((ends.into_iter().min()?, ends.into_iter().max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Expr {
        Expr::sym(&Sym::new(name))
    }

    #[test]
    fn spans_hold_all_values() {
        let bounds = |sym: &Sym| Some(if sym.name() == "n" { (5, 5) } else { (0, 9) });
        let span = |text: &str| text.parse::<Expr>().unwrap().span(&bounds);
        assert_eq!(span("n - k"), Some((-4, 5)));
        assert_eq!(span("64*((4*k*n + 63)/64)"), Some((0, 192)));
        assert_eq!(span("min(k, n) + max(k, n)"), Some((5, 14)));
        assert_eq!((span("n/k"), span("n/(k + 1)")), (None, Some((0, 5))));
        assert_eq!(span("n").and_then(|_| s("m").span(&|_| None)), None);
    }

    #[test]
    fn shape_arithmetic_simplifies() {
        let n = s("n");
        assert_eq!((n.clone() * 64).floor_div(&Expr::from(64)), n);
        assert_eq!((s("a") * s("b")).floor_div(&s("a")), s("b"));
        assert_eq!((n.clone() * 128 + 5).floor_div(&Expr::from(64)), n.clone() * 2);
        let x = s("x");
        assert_eq!(x.floor_div(&Expr::from(7)) * 7 + x.modulo(&Expr::from(7)), x);
        assert_eq!(((s("a") + s("b")) * s("c")).exact_div(&(s("a") + s("b"))), Some(s("c")));
        assert_eq!(x.floor_div(&Expr::from(2)).floor_div(&Expr::from(3)), x.floor_div(&Expr::from(6)));
    }

    #[test]
    fn linear_parts() {
        let e = s("i") * s("w") + s("j") * 2 + 3;
        assert_eq!(e.split_linear(&Sym::new("i")), Some((s("w"), s("j") * 2 + 3)));
        assert_eq!(s("i").floor_div(&Expr::from(2)).split_linear(&Sym::new("i")), None);
    }

    #[test]
    fn floors_toward_minus_infinity() {
        assert_eq!(Expr::from(-1).floor_div(&Expr::from(4)), Expr::from(-1));
        let x = s("x").floor_div(&Expr::from(4));
        assert_eq!(x.eval(&|_| Some(-1)), Some(-1));
    }
}
