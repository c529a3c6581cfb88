//! Index maps made ready to evaluate: polynomials over numbered iterators, with every size filled in.

use std::collections::BTreeMap;
use sym::{Atom, Expr, Sym};

/// `constant + sum c*iterator + sum c*product(factors)`.
#[derive(Clone, Debug, Default)]
pub(super) struct Poly {
    constant: i64,
    linear: Vec<(usize, i64)>,
    products: Vec<(i64, Vec<Factor>)>,
}

#[derive(Clone, Debug)]
enum Factor {
    Iter(usize),
    FloorDiv(Poly, i64),
    Min(Poly, Poly),
    Max(Poly, Poly),
}

/// The names that maps may use.
pub(super) struct Names<'a> {
    pub iters: BTreeMap<Sym, usize>,
    pub sizes: &'a BTreeMap<Sym, i64>,
}

/// Where maps are evaluated: a block of lanes at one step of the reduction.
pub(super) struct Place {
    /// By iterator: its value at every lane; empty for iterators of the reduction.
    pub columns: Vec<Vec<i64>>,
    /// By iterator: its value at the present step; 0 for iterators of points.
    pub steps: Vec<i64>,
}

impl Names<'_> {
    fn is_known(&self, sym: &Sym) -> bool {
        self.iters.contains_key(sym) || self.sizes.contains_key(sym)
    }

    /// The map with its sizes filled in.
    pub fn resolve(&self, expr: &Expr) -> Result<Expr, String> {
        if let Some(sym) = expr.symbols().iter().find(|sym| !self.is_known(sym)) {
            return Err(format!("bug: `{sym}` in `{expr}` is neither an iterator nor a known size"));
        }
        Ok(expr.substitute(&|sym| if self.iters.contains_key(sym) { None } else { self.sizes.get(sym).map(|size| Expr::from(*size)) }))
    }

    /// The value of an expression of sizes.
    pub fn size(&self, expr: &Expr) -> Result<usize, String> {
        let value = self.resolve(expr)?.as_const().and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| format!("bug: `{expr}` is no size"))
    }

    pub fn poly(&self, expr: &Expr) -> Result<Poly, String> {
        self.compile(&self.resolve(expr)?)
    }

    /// `(lane, step, mixed)` that sum to the map: the terms without reduction iterators, those with nothing else, and the rest.
    pub fn split_poly(&self, expr: &Expr, is_step: &dyn Fn(usize) -> bool) -> Result<(Poly, Poly, Option<Poly>), String> {
        let (mut lane, mut step, mut mixed) = (Expr::zero(), Expr::zero(), Expr::zero());
        for (monomial, c) in self.resolve(expr)?.terms() {
            let term = monomial.iter().fold(Expr::from(*c), |product, atom| product * Expr::atom(atom.clone()));
            let kinds: Vec<bool> = term.symbols().iter().map(|sym| is_step(self.iters[sym])).collect();
            match (kinds.contains(&true), kinds.contains(&false)) {
                (false, _) => lane += &term,
                (true, false) => step += &term,
                (true, true) => mixed += &term,
            }
        }
        let mixed = if mixed.is_zero() { None } else { Some(self.compile(&mixed)?) };
        Ok((self.compile(&lane)?, self.compile(&step)?, mixed))
    }

    fn compile(&self, expr: &Expr) -> Result<Poly, String> {
        let mut poly = Poly::default();
        for (monomial, c) in expr.terms() {
            match monomial.as_slice() {
                [] => poly.constant = *c,
                [Atom::Sym(sym)] => poly.linear.push((self.iters[sym], *c)),
                atoms => poly.products.push((*c, atoms.iter().map(|atom| self.factor(atom)).collect::<Result<_, _>>()?)),
            }
        }
        Ok(poly)
    }

    fn factor(&self, atom: &Atom) -> Result<Factor, String> {
        Ok(match atom {
            Atom::Sym(sym) => Factor::Iter(self.iters[sym]),
            Atom::FloorDiv(a, b) => match b.as_const() {
                Some(divisor) if divisor > 0 => Factor::FloorDiv(self.compile(a)?, divisor),
                _ => return Err(format!("bug: `{b}` divides in an index map and is no positive size")),
            },
            Atom::Min(a, b) => Factor::Min(self.compile(a)?, self.compile(b)?),
            Atom::Max(a, b) => Factor::Max(self.compile(a)?, self.compile(b)?),
        })
    }
}

impl Poly {
    /// The value where iterator `i` stands at `values[i]`.
    pub fn at(&self, values: &[i64]) -> i64 {
        let mut sum = self.constant;
        for (iter, c) in &self.linear {
            sum = sum.wrapping_add(c.wrapping_mul(values[*iter]));
        }
        for (c, factors) in &self.products {
            sum = sum.wrapping_add(factors.iter().fold(*c, |product, factor| product.wrapping_mul(factor.at(values))));
        }
        sum
    }

    /// The values at all lanes.
    pub fn fill(&self, place: &Place, out: &mut [i64]) {
        out.fill(self.constant);
        for (iter, c) in &self.linear {
            add_iter(place, *iter, *c, out);
        }
        for (c, factors) in &self.products {
            let mut product = vec![*c; out.len()];
            for factor in factors {
                factor.multiply_into(place, &mut product);
            }
            zip(out, &product, |sum, value| sum.wrapping_add(value));
        }
    }

    fn filled(&self, place: &Place, lanes: usize) -> Vec<i64> {
        let mut out = vec![0; lanes];
        self.fill(place, &mut out);
        out
    }

    /// Bounds of the value where every iterator is inside its extent; perhaps not tight where the map is not linear.
    pub fn range(&self, extents: &[i64]) -> (i64, i64) {
        let mut sum = (self.constant, self.constant);
        for (iter, c) in &self.linear {
            sum = add_range(sum, multiply_range((*c, *c), (0, extents[*iter] - 1)));
        }
        for (c, factors) in &self.products {
            sum = add_range(sum, factors.iter().fold((*c, *c), |product, factor| multiply_range(product, factor.range(extents))));
        }
        sum
    }
}

impl Factor {
    fn at(&self, values: &[i64]) -> i64 {
        match self {
            Factor::Iter(iter) => values[*iter],
            Factor::FloorDiv(a, divisor) => a.at(values).div_euclid(*divisor),
            Factor::Min(a, b) => a.at(values).min(b.at(values)),
            Factor::Max(a, b) => a.at(values).max(b.at(values)),
        }
    }

    fn multiply_into(&self, place: &Place, out: &mut [i64]) {
        let values = match self {
            Factor::Iter(iter) => {
                let mut values = vec![0; out.len()];
                add_iter(place, *iter, 1, &mut values);
                values
            }
            Factor::FloorDiv(a, divisor) => {
                let mut values = a.filled(place, out.len());
                values.iter_mut().for_each(|value| *value = value.div_euclid(*divisor));
                values
            }
            Factor::Min(a, b) => {
                let mut values = a.filled(place, out.len());
                zip(&mut values, &b.filled(place, out.len()), i64::min);
                values
            }
            Factor::Max(a, b) => {
                let mut values = a.filled(place, out.len());
                zip(&mut values, &b.filled(place, out.len()), i64::max);
                values
            }
        };
        zip(out, &values, i64::wrapping_mul);
    }

    fn range(&self, extents: &[i64]) -> (i64, i64) {
        match self {
            Factor::Iter(iter) => (0, extents[*iter] - 1),
            Factor::FloorDiv(a, divisor) => {
                let (low, high) = a.range(extents);
                (low.div_euclid(*divisor), high.div_euclid(*divisor))
            }
            Factor::Min(a, b) => {
                let (a, b) = (a.range(extents), b.range(extents));
                (a.0.min(b.0), a.1.min(b.1))
            }
            Factor::Max(a, b) => {
                let (a, b) = (a.range(extents), b.range(extents));
                (a.0.max(b.0), a.1.max(b.1))
            }
        }
    }
}

/// `out[lane] += c * iterator[lane]`
fn add_iter(place: &Place, iter: usize, c: i64, out: &mut [i64]) {
    let step = c.wrapping_mul(place.steps[iter]);
    match place.columns[iter].as_slice() {
        [] => out.iter_mut().for_each(|sum| *sum = sum.wrapping_add(step)),
        column => zip(out, column, |sum, value| sum.wrapping_add(c.wrapping_mul(value))),
    }
}

fn zip(out: &mut [i64], values: &[i64], f: impl Fn(i64, i64) -> i64) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = f(*out, *value);
    }
}

fn add_range(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

fn multiply_range(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    let corners = [a.0.saturating_mul(b.0), a.0.saturating_mul(b.1), a.1.saturating_mul(b.0), a.1.saturating_mul(b.1)];
    corners.iter().fold((i64::MAX, i64::MIN), |(low, high), corner| (low.min(*corner), high.max(*corner)))
}
