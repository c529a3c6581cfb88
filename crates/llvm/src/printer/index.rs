//! Index expressions as i64 arithmetic.
//!
//! An expression is cut into the parts that depend on ever fewer scopes. Each part is written once, in the outermost
//! scope where all its symbols are defined, so that the innermost loop holds only the terms with its own variable.
//! Nothing here can be poison: no `nsw`, no `inbounds`; a divisor below 1 counts as 1, since a division may now run
//! where the kernel would not have come to it.

use super::scope::Code;
use super::wide;
use std::collections::BTreeMap;
use sym::{Atom, Expr, Monomial};

impl Code {
    /// The operand with an expression's value.
    pub fn index(&mut self, expr: &Expr) -> String {
        if let Some(value) = expr.as_const() {
            return value.to_string();
        }
        if let Some(sym) = expr.as_sym() {
            return self.lookup(sym).1.operand.clone();
        }
        let depends = self.depends(expr);
        let home = self.home(depends);
        if let Some(known) = self.known_index(depends..=home, expr) {
            return known;
        }
        let operand = self.sum(expr, home);
        self.remember_index(home, expr, &operand);
        operand
    }

    /// The innermost scope that defines a symbol of the expression.
    pub fn depends(&self, expr: &Expr) -> usize {
        expr.terms().iter().flat_map(|(monomial, _)| monomial).map(|atom| self.atom_depends(atom)).max().unwrap_or(0)
    }

    fn atom_depends(&self, atom: &Atom) -> usize {
        match atom {
            Atom::Sym(sym) => self.lookup(sym).0,
            Atom::FloorDiv(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => self.depends(a).max(self.depends(b)),
        }
    }

    /// `(outer, inner)` with `expr == outer + inner`: the terms that need the innermost scope of them all stand in `inner`.
    pub fn split_by_scope(&self, expr: &Expr) -> (Expr, Expr) {
        let depends = self.depends(expr);
        let (mut outer, mut inner) = (Expr::zero(), Expr::zero());
        for (monomial, c) in expr.terms() {
            let term = product_of(monomial) * *c;
            if self.depends(&term) == depends { inner += &term } else { outer += &term }
        }
        (outer, inner)
    }

    fn sum(&mut self, expr: &Expr, home: usize) -> String {
        let constant = expr.constant_part();
        if constant != 0 {
            let rest = self.index(&(expr - &Expr::from(constant)));
            return self.temp_in(home, &format!("add i64 {rest}, {constant}"));
        }
        let (outer, inner) = self.split_by_scope(expr);
        if !outer.is_zero() {
            return self.sum_of_two(&outer, &inner, home);
        }
        let groups = self.groups(expr);
        match groups.as_slice() {
            [(monomial, coefficient)] => self.scaled(monomial, coefficient, home),
            groups => self.sum_of_groups(groups, home),
        }
    }

    fn sum_of_two(&mut self, outer: &Expr, inner: &Expr, home: usize) -> String {
        let minus = inner.terms().iter().all(|(_, c)| *c < 0);
        let a = self.index(outer);
        let (name, b) = if minus { ("sub", self.index(&-inner)) } else { ("add", self.index(inner)) };
        self.temp_in(home, &format!("{name} i64 {a}, {b}"))
    }

    /// The terms by what they have of the innermost scope: `i*s + i*t` gives `(i, s + t)`.
    fn groups(&self, expr: &Expr) -> Vec<(Monomial, Expr)> {
        let depends = self.depends(expr);
        let mut groups: BTreeMap<Monomial, Expr> = BTreeMap::new();
        for (monomial, c) in expr.terms() {
            let (inner, outer): (Monomial, Monomial) = monomial.iter().cloned().partition(|atom| self.atom_depends(atom) == depends);
            *groups.entry(inner).or_default() += &(product_of(&outer) * *c);
        }
        groups.into_iter().collect()
    }

    /// Added terms first, then the subtracted ones.
    fn sum_of_groups(&mut self, groups: &[(Monomial, Expr)], home: usize) -> String {
        let negative = |coefficient: &Expr| coefficient.as_const().is_some_and(|c| c < 0);
        let (minus, plus): (Vec<_>, Vec<_>) = groups.iter().partition(|(_, coefficient)| negative(coefficient));
        let mut sum: Option<String> = None;
        for (monomial, coefficient) in plus {
            let term = self.index(&(product_of(monomial) * coefficient.clone()));
            sum = Some(match sum {
                None => term,
                Some(sum) => self.temp_in(home, &format!("add i64 {sum}, {term}")),
            });
        }
        for (monomial, coefficient) in minus {
            let term = self.index(&(product_of(monomial) * -coefficient));
            let from = sum.as_deref().unwrap_or("0");
            sum = Some(self.temp_in(home, &format!("sub i64 {from}, {term}")));
        }
        sum.unwrap_or_else(|| "0".to_string())
    }

    fn scaled(&mut self, monomial: &Monomial, coefficient: &Expr, home: usize) -> String {
        let product = self.product(monomial, home);
        match coefficient.as_const() {
            Some(1) => product,
            Some(-1) => self.temp_in(home, &format!("sub i64 0, {product}")),
            _ => {
                let factor = self.index(coefficient);
                self.temp_in(home, &format!("mul i64 {product}, {factor}"))
            }
        }
    }

    fn product(&mut self, monomial: &Monomial, home: usize) -> String {
        if let [atom] = monomial.as_slice() {
            return self.atom(atom, home);
        }
        let mut product: Option<String> = None;
        for atom in monomial {
            let factor = self.index(&Expr::atom(atom.clone()));
            product = Some(match product {
                None => factor,
                Some(product) => self.temp_in(home, &format!("mul i64 {product}, {factor}")),
            });
        }
        product.unwrap_or_else(|| "1".to_string())
    }

    fn atom(&mut self, atom: &Atom, home: usize) -> String {
        match atom {
            Atom::Sym(sym) => self.lookup(sym).1.operand.clone(),
            Atom::FloorDiv(a, b) => self.floor_div(a, b, home),
            Atom::Min(a, b) => self.extreme("smin", a, b, home),
            Atom::Max(a, b) => self.extreme("smax", a, b, home),
        }
    }

    fn extreme(&mut self, name: &str, a: &Expr, b: &Expr, home: usize) -> String {
        let (a, b) = (self.index(a), self.index(b));
        self.temp_in(home, &format!("call i64 @llvm.{name}.i64(i64 {a}, i64 {b})"))
    }

    fn floor_div(&mut self, a: &Expr, b: &Expr, home: usize) -> String {
        let nonnegative = self.nonnegative(a);
        let dividend = self.index(a);
        let divisor = match b.as_const() {
            Some(b) if b > 0 && (b as u64).is_power_of_two() => {
                return self.temp_in(home, &format!("ashr i64 {dividend}, {}", b.trailing_zeros()));
            }
            Some(b) => b.max(1).to_string(),
            None => {
                let b = self.index(b);
                self.temp_in(home, &format!("call i64 @llvm.smax.i64(i64 {b}, i64 1)"))
            }
        };
        if nonnegative {
            return self.divided(home, "udiv", &dividend, &divisor);
        }
        let quotient = self.divided(home, "sdiv", &dividend, &divisor);
        let whole = self.temp_in(home, &format!("mul i64 {quotient}, {divisor}"));
        let rest = self.temp_in(home, &format!("sub i64 {dividend}, {whole}"));
        let borrow = self.temp_in(home, &format!("ashr i64 {rest}, 63"));
        self.temp_in(home, &format!("add i64 {quotient}, {borrow}"))
    }

    fn divided(&mut self, home: usize, name: &str, dividend: &str, divisor: &str) -> String {
        let divided = if self.narrow_words { wide::quotient(name, dividend, divisor) } else { format!("{name} i64 {dividend}, {divisor}") };
        self.temp_in(home, &divided)
    }

    /// Whether the expression is at least 0 by its form alone: nothing is subtracted, and every symbol is at least 0.
    pub fn nonnegative(&self, expr: &Expr) -> bool {
        expr.terms().iter().all(|(monomial, c)| *c >= 0 && monomial.iter().all(|atom| self.atom_nonnegative(atom)))
    }

    fn atom_nonnegative(&self, atom: &Atom) -> bool {
        match atom {
            Atom::Sym(sym) => self.lookup(sym).1.nonnegative,
            Atom::FloorDiv(a, _) => self.nonnegative(a),
            Atom::Min(a, b) => self.nonnegative(a) && self.nonnegative(b),
            Atom::Max(a, b) => self.nonnegative(a) || self.nonnegative(b),
        }
    }
}

fn product_of(monomial: &Monomial) -> Expr {
    monomial.iter().fold(Expr::one(), |product, atom| product * Expr::atom(atom.clone()))
}
