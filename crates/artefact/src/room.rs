//! Largest values of sizes, as expressions over what a caller of generated code knows.

use ir::graph::SymbolFact;
use std::collections::{BTreeMap, BTreeSet};
use sym::{Atom, Expr, Sym};

/// The largest value of a size, where each computed symbol stands for its own largest value and may be anything from 0 to that. The
/// expression itself where it grows with all of them.
pub fn most(expr: &Expr, computed: &BTreeSet<Sym>) -> Expr {
    if expr.mentions_any(&|sym| computed.contains(sym)) { span(expr, computed).1 } else { expr.clone() }
}

/// Bounds of an expression, by interval arithmetic.
fn span(expr: &Expr, computed: &BTreeSet<Sym>) -> (Expr, Expr) {
    let (mut low, mut high) = (Expr::zero(), Expr::zero());
    for (monomial, c) in expr.terms() {
        let (least, most) = product(monomial, computed);
        let (a, b) = if *c < 0 { (most, least) } else { (least, most) };
        low = low + a * *c;
        high = high + b * *c;
    }
    (low, high)
}

fn product(atoms: &[Atom], computed: &BTreeSet<Sym>) -> (Expr, Expr) {
    let spans: Vec<(Expr, Expr)> = atoms.iter().map(|atom| atom_span(atom, computed)).collect();
    if spans.iter().all(|(low, _)| nonnegative(low)) {
        let of = |pick: fn(&(Expr, Expr)) -> &Expr| Expr::product(&spans.iter().map(|span| pick(span).clone()).collect::<Vec<_>>());
        return (of(|span| &span.0), of(|span| &span.1));
    }
    let sizes: Vec<Expr> = spans.iter().map(|(low, high)| high.maximum(&-low)).collect();
    let largest = Expr::product(&sizes);
    (-&largest, largest)
}

/// Whether no symbol can make the value negative; symbols are sizes.
fn nonnegative(expr: &Expr) -> bool {
    let atom = |atom: &Atom| match atom {
        Atom::Sym(_) => true,
        Atom::FloorDiv(a, _) => nonnegative(a),
        Atom::Min(a, b) => nonnegative(a) && nonnegative(b),
        Atom::Max(a, b) => nonnegative(a) || nonnegative(b),
    };
    expr.terms().iter().all(|(monomial, c)| *c >= 0 && monomial.iter().all(atom))
}

fn atom_span(atom: &Atom, computed: &BTreeSet<Sym>) -> (Expr, Expr) {
    match atom {
        Atom::Sym(sym) if computed.contains(sym) => (Expr::zero(), Expr::sym(sym)),
        Atom::Sym(sym) => (Expr::sym(sym), Expr::sym(sym)),
        Atom::FloorDiv(a, b) => {
            let ((low, high), divisor) = (span(a, computed), span(b, computed));
            let (least, most) = (divisor.0.maximum(&Expr::one()), divisor.1.maximum(&Expr::one()));
            match nonnegative(&low) {
                true => (low.floor_div(&most), high.floor_div(&least)),
                false => (low.floor_div(&least).minimum(&Expr::zero()), high.floor_div(&least).maximum(&Expr::zero())),
            }
        }
        Atom::Min(a, b) => {
            let (a, b) = (span(a, computed), span(b, computed));
            (a.0.minimum(&b.0), a.1.minimum(&b.1))
        }
        Atom::Max(a, b) => {
            let (a, b) = (span(a, computed), span(b, computed));
            (a.0.maximum(&b.0), a.1.maximum(&b.1))
        }
    }
}

/// The largest power of two up to which all symbols may go, so that none of these expressions leaves 62 bits.
pub fn largest_symbol(symbols: &BTreeMap<Sym, SymbolFact>, expressions: &[&Expr]) -> Option<i64> {
    let fits = |most: i64| {
        let bounds = |sym: &Sym| symbols.get(sym).map(|fact| (fact.low.min(fact.high).max(0), fact.high.min(most).max(fact.low)));
        let span = |expr: &&Expr| expr.span(&bounds).is_some_and(|(low, high)| low > -(1 << 62) && high < 1 << 62);
        expressions.iter().all(span)
    };
    (4..=40).rev().map(|bits| 1i64 << bits).find(|most| fits(*most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_size() -> impl Strategy<Value = Expr> {
        let leaf = prop_oneof![
            prop::sample::select(vec!["n", "k", "j"]).prop_map(|name| Expr::sym(&Sym::new(name))),
            (-4..20i64).prop_map(Expr::from)
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a + b),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a - b),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a * b),
                (inner.clone(), 1..9i64).prop_map(|(a, b)| a.floor_div(&Expr::from(b))),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a.minimum(&b)),
                (inner.clone(), inner).prop_map(|(a, b)| a.maximum(&b)),
            ]
        })
    }

    proptest! {
        #[test]
        fn most_is_no_less_than_any_value(size in any_size(), n in 0..9i64, k in 0..9i64, j in 0..9i64, part in 0..9i64) {
            let computed = ["k", "j"].map(Sym::new).into();
            let at = |k: i64, j: i64| move |sym: &Sym| Some(match sym.name() { "n" => n, "k" => k, _ => j });
            let room = most(&size, &computed).eval(&at(k, j));
            let value = size.eval(&at(k * part / 8, j * (8 - part) / 8));
            prop_assert!(value <= room, "{size} is {value:?}, {} is {room:?}", most(&size, &computed));
        }
    }

    #[test]
    fn sums_of_sizes_are_their_own_bounds() {
        let computed = [Sym::new("k")].into();
        for text in ["64*((4*k*n + 63)/64)", "k + 3", "n - 1", "k*n*12"] {
            let size: Expr = text.parse().unwrap();
            assert_eq!(most(&size, &computed), size, "{text}");
        }
        assert_eq!(most(&"n - k".parse().unwrap(), &computed), "n".parse().unwrap());
    }

    #[test]
    fn symbols_are_bounded_so_that_sizes_fit() {
        let symbols: BTreeMap<Sym, SymbolFact> = ["n", "m"].map(|name| (Sym::new(name), SymbolFact { low: 1, high: 1 << 40 })).into();
        let size: Expr = "4096*n*m".parse().unwrap();
        assert_eq!(largest_symbol(&symbols, &[&size]), Some(1 << 24));
    }
}
