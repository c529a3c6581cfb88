//! What is known of sizes: signs, quotients, and limits on how large an expression may grow.
//!
//! Every symbol is a size and at least 0. A file is untrusted, and a few nodes can square an expression again and again; so whatever
//! would grow past the limits here is not known.

use ir::TensorType;
use ir::guard::Condition;
use sym::{Expr, Monomial, Premises, Ranges};

/// The largest weight of one expression.
const MAX_WEIGHT: usize = 512;
/// The largest weight of an expression whose sign is worth a proof.
const MAX_PROVED_WEIGHT: usize = 24;
/// The most terms of a product, among them the number of a tensor's elements.
const MAX_TERMS: usize = 1024;
/// The most elements of a tensor, with its symbols counted as 1.
const MAX_ELEMENTS: i64 = 1 << 48;

/// The most axes of a tensor.
pub const MAX_RANK: usize = 64;

/// Whether `expr >= 0` for all sizes; None where that depends on them.
pub fn is_nonnegative(expr: &Expr) -> Option<bool> {
    let (ranges, opposite) = (Ranges::new(0), -expr - 1);
    if ranges.nonnegative(expr) {
        return Some(true);
    }
    if ranges.nonnegative(&opposite) {
        return Some(false);
    }
    // what is large stays unknown: proofs take time
    let premises = Premises::default();
    let small = expr.weight() <= MAX_PROVED_WEIGHT;
    let proved = |expr: &Expr| small && premises.imply(expr);
    if proved(expr) { Some(true) } else { proved(&opposite).then_some(false) }
}

/// Whether `a == b` for all sizes; None where that depends on them.
pub fn is_equal(a: &Expr, b: &Expr) -> Option<bool> {
    let gap = a - b;
    if gap.is_zero() {
        return Some(true);
    }
    let apart = is_nonnegative(&(&gap - 1)) == Some(true) || is_nonnegative(&(-&gap - 1)) == Some(true);
    apart.then_some(false)
}

pub fn maximum(a: &Expr, b: &Expr) -> Expr {
    match is_nonnegative(&(a - b)) {
        Some(true) => a.clone(),
        Some(false) => b.clone(),
        None if is_nonnegative(&(b - a)) == Some(true) => b.clone(),
        None => a.maximum(b),
    }
}

pub fn minimum(a: &Expr, b: &Expr) -> Expr {
    match is_nonnegative(&(a - b)) {
        Some(true) => b.clone(),
        Some(false) => a.clone(),
        None if is_nonnegative(&(b - a)) == Some(true) => a.clone(),
        None => a.minimum(b),
    }
}

/// `a / b` rounded toward zero; None where the rounding or the sign of `b` is not known.
pub fn quotient(a: &Expr, b: &Expr) -> Option<Expr> {
    let positive = b.as_const().is_some_and(|b| b > 0);
    match is_nonnegative(a) {
        Some(true) if positive => bounded(a.floor_div(b)),
        _ if positive || is_nonnegative(b) == Some(true) => a.exact_div(b),
        _ => None,
    }
}

/// `a >= b` with what is subtracted on the other side, so that equal conditions look equal.
pub fn at_least(a: &Expr, b: &Expr) -> Condition {
    let gap = a - b;
    let term = |(monomial, c): &(Monomial, i64)| monomial.iter().fold(Expr::from(*c), |product, atom| product * Expr::atom(atom.clone()));
    let (added, subtracted): (Vec<_>, Vec<_>) = gap.terms().iter().partition(|(_, c)| *c > 0);
    let sum = |terms: Vec<&(Monomial, i64)>| terms.into_iter().fold(Expr::zero(), |sum, one| sum + term(one));
    Condition::AtLeast(sum(added), -sum(subtracted))
}

/// The product, where it stays within the limits.
pub fn product<'a>(factors: impl IntoIterator<Item = &'a Expr>) -> Option<Expr> {
    let mut product = Expr::one();
    for factor in factors {
        if product.terms().len() * factor.terms().len() > MAX_TERMS {
            return None;
        }
        product = bounded(&product * factor)?;
    }
    Some(product)
}

/// The expression, where it is within the limits.
pub fn bounded(expr: Expr) -> Option<Expr> {
    (expr.weight() <= MAX_WEIGHT).then_some(expr)
}

/// Whether the dims, and the number of elements, are within the limits.
pub fn is_reasonable(ty: &TensorType) -> bool {
    let terms = ty.dims.iter().try_fold(1usize, |count, dim| {
        let count = count.checked_mul(dim.terms().len().max(1))?;
        (count <= MAX_TERMS && dim.weight() <= MAX_WEIGHT).then_some(count)
    });
    let largest = |dim: &Expr| dim.terms().iter().map(|(_, c)| c.saturating_abs()).max().unwrap_or(0);
    let elements =
        ty.dims.iter().try_fold(1i64, |count, dim| count.checked_mul(largest(dim).max(1)).filter(|count| *count <= MAX_ELEMENTS));
    ty.rank() <= MAX_RANK && terms.is_some() && elements.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    fn expr(text: &str) -> Expr {
        text.parse().unwrap()
    }

    #[test]
    fn signs() {
        assert_eq!(is_nonnegative(&expr("n + 1")), Some(true));
        assert_eq!(is_nonnegative(&expr("-n - 1")), Some(false));
        assert_eq!(is_nonnegative(&expr("n - 1")), None);
        assert_eq!(maximum(&expr("n"), &expr("0")), expr("n"));
        assert_eq!(minimum(&expr("n + 3"), &expr("n")), expr("n"));
    }

    #[test]
    fn growth_is_limited() {
        let mut square = expr("a + b");
        let mut steps = 0;
        while let Some(next) = product([&square, &square]) {
            (square, steps) = (next, steps + 1);
        }
        assert!(steps < 8);
        let ty = |dims: &[&str]| TensorType::new(DType::F32, dims.iter().map(|dim| expr(dim)).collect());
        assert!(is_reasonable(&ty(&["n", "(h + 1)/2", "1099511627776"])));
        assert!(!is_reasonable(&ty(&["1099511627776", "1099511627776"])));
        assert!(is_reasonable(&ty(&["1"; MAX_RANK])) && !is_reasonable(&ty(&["1"; MAX_RANK + 1])));
    }
}
