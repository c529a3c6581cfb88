//! Index expressions in `uint64_t`, which wraps; all symbols are of it. Constants alone are signed.

use crate::text::Code;
use sym::{Atom, Expr, Monomial};

impl Code {
    /// An expression as an operand.
    pub fn index(&self, expr: &Expr) -> String {
        if let Some(value) = expr.as_const() {
            return constant(value);
        }
        if let Some(sym) = expr.as_sym() {
            return self.lookup(sym).to_string();
        }
        format!("({})", self.sum(expr))
    }

    /// As a signed operand of a comparison.
    pub fn signed(&self, expr: &Expr) -> String {
        if expr.as_const().is_some() { self.index(expr) } else { format!("(int64_t){}", self.index(expr)) }
    }

    /// What is added stands in front of what is taken away.
    fn sum(&self, expr: &Expr) -> String {
        let (plus, minus): (Vec<_>, Vec<_>) = expr.terms().iter().partition(|(_, c)| *c > 0);
        let mut text = plus.iter().map(|(monomial, c)| self.term(monomial, *c)).collect::<Vec<_>>().join(" + ");
        // a constant alone would be a signed start
        if plus.iter().all(|(monomial, _)| monomial.is_empty()) {
            let start = expr.constant_part().max(0);
            text = format!("(uint64_t){start}");
        }
        minus.iter().for_each(|(monomial, c)| text.push_str(&format!(" - {}", self.term(monomial, *c))));
        text
    }

    fn term(&self, monomial: &Monomial, coefficient: i64) -> String {
        let factors = monomial.iter().map(|atom| self.atom(atom));
        let size = coefficient.unsigned_abs();
        let number = (size != 1 || monomial.is_empty()).then(|| format!("UINT64_C({size})"));
        number.into_iter().chain(factors).collect::<Vec<_>>().join(" * ")
    }

    fn atom(&self, atom: &Atom) -> String {
        let call = |name: &str, a: &Expr, b: &Expr| format!("{name}({}, {})", self.bare(a), self.bare(b));
        match atom {
            Atom::Sym(sym) => self.lookup(sym).to_string(),
            Atom::FloorDiv(a, b) => call("inkle_floor_div", a, b),
            Atom::Min(a, b) => call("inkle_smaller", a, b),
            Atom::Max(a, b) => call("inkle_larger", a, b),
        }
    }

    /// As an argument or a right side.
    pub fn bare(&self, expr: &Expr) -> String {
        if expr.as_const().is_some() || expr.as_sym().is_some() { self.index(expr) } else { self.sum(expr) }
    }
}

fn constant(value: i64) -> String {
    match value {
        i64::MIN => "INT64_MIN".to_string(),
        0.. => value.to_string(),
        _ => format!("({value})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sym::Sym;

    #[test]
    fn sums_are_unsigned() {
        let mut code = Code::new();
        ["n", "m"].iter().for_each(|name| code.bind(&Sym::new(name), name));
        let text = |expr: &str| code.index(&expr.parse().unwrap());
        assert_eq!(text("4*n*m - m - 3"), "(UINT64_C(4) * m * n - UINT64_C(3) - m)");
        assert_eq!(text("3 - n"), "((uint64_t)3 - n)");
        assert_eq!(text("n/3"), "(inkle_floor_div(n, 3))");
        assert_eq!([text("5"), text("-5"), text("n")], ["5", "(-5)", "n"]);
    }
}
