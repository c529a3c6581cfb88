//! Rules on sizes: what is decided now, and what a guard decides at run time.

use crate::def::OpError;
use ir::TensorType;
use ir::guard::Condition;
use sym::{Atom, Expr, Ranges};

/// What is known of two sizes. Sizes that differ by a constant other than 0 are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Equal,
    Different,
    Undecided,
}

pub fn relation(a: &Expr, b: &Expr) -> Relation {
    match (a - b).as_const() {
        Some(0) => Relation::Equal,
        Some(_) => Relation::Different,
        None => Relation::Undecided,
    }
}

/// The conditions that a shape rule leaves to run time.
#[derive(Default)]
pub struct Guards(pub Vec<Condition>);

impl Guards {
    /// The size that `a` and `b` both are, a constant if one is; an error where they can't be equal.
    pub fn equal(&mut self, what: &str, a: &Expr, b: &Expr) -> Result<Expr, OpError> {
        match relation(a, b) {
            Relation::Equal => {}
            Relation::Different => return Err(OpError::shape(format!("{what} differs: {a} vs {b}"))),
            Relation::Undecided => self.0.push(Condition::Equal(a.clone(), b.clone())),
        }
        Ok(if b.as_const().is_some() { b.clone() } else { a.clone() })
    }

    /// All of `equal`, axis by axis.
    pub fn all_equal(&mut self, what: &str, a: &[Expr], b: &[Expr]) -> Result<Vec<Expr>, OpError> {
        if a.len() != b.len() {
            return Err(OpError::shape(format!("{what}: ranks differ: {} vs {}", a.len(), b.len())));
        }
        a.iter().zip(b).enumerate().map(|(axis, (a, b))| self.equal(&format!("{what}: axis {axis}"), a, b)).collect()
    }

    /// Size `from` is 1 or `to`.
    pub fn broadcasts(&mut self, axis: usize, from: &Expr, to: &Expr) -> Result<(), OpError> {
        if from.is_one() {
            return Ok(());
        }
        match (relation(from, to), from.as_const()) {
            (Relation::Equal, _) => {}
            (Relation::Different, Some(_)) => return Err(OpError::shape(format!("axis {axis} does not broadcast: {from} to {to}"))),
            (Relation::Undecided, Some(_)) => self.0.push(Condition::Equal(to.clone(), from.clone())),
            (Relation::Undecided | Relation::Different, None) => self.0.push(Condition::OneOrEqual(from.clone(), to.clone())),
        }
        Ok(())
    }

    /// `a >= b`.
    pub fn at_least(&mut self, what: &str, a: &Expr, b: &Expr) -> Result<(), OpError> {
        let gap = a - b;
        if gap.as_const().is_some_and(|gap| gap < 0) {
            return Err(OpError::shape(format!("{what}: {a} is less than {b}")));
        }
        if !Ranges::new(0).nonnegative(&gap) {
            self.0.push(Condition::AtLeast(a.clone(), b.clone()));
        }
        Ok(())
    }
}

/// The element type that two operands share.
pub fn same_type(a: &TensorType, b: &TensorType) -> Result<ir::DType, OpError> {
    if a.dtype != b.dtype {
        return Err(OpError::types(format!("element types differ: {} vs {}", a.dtype, b.dtype)));
    }
    Ok(a.dtype)
}

/// An operand of known rank.
pub fn rank_of(what: &str, ty: &TensorType, rank: usize) -> Result<(), OpError> {
    if ty.rank() != rank {
        return Err(OpError::shape(format!("{what}: rank {} of {ty}, not {rank}", ty.rank())));
    }
    Ok(())
}

/// The dims that numpy's rule gives for several lists, aligned at the last axis, with the conditions that remain. The size of an axis is
/// the one that is not 1; where that is not known it is the largest, and every operand is guarded to be 1 or that.
pub fn broadcast_dims(lists: &[&[Expr]]) -> Result<Vec<Expr>, OpError> {
    let rank = lists.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let axis = |axis: usize| {
        let sizes = lists.iter().filter_map(|dims| (axis + dims.len()).checked_sub(rank).map(|at| &dims[at]));
        sizes.filter(|size| !size.is_one()).try_fold(None, |found: Option<Expr>, size| broadcast_size(axis, found, size).map(Some))
    };
    (0..rank).map(|at| axis(at).map(|size| size.unwrap_or_else(Expr::one))).collect()
}

fn broadcast_size(axis: usize, found: Option<Expr>, size: &Expr) -> Result<Expr, OpError> {
    let Some(found) = found else { return Ok(size.clone()) };
    match (found.as_const(), size.as_const()) {
        (Some(a), Some(b)) if a != b => Err(OpError::shape(format!("axis {axis} does not broadcast: {a} vs {b}"))),
        (Some(_), _) => Ok(found),
        (_, Some(_)) => Ok(size.clone()),
        (None, None) if covers(&found, size) => Ok(found),
        (None, None) if covers(size, &found) => Ok(size.clone()),
        (None, None) => Ok(found.maximum(size)),
    }
}

/// Whether `size` is `other` or a maximum that holds it.
fn covers(size: &Expr, other: &Expr) -> bool {
    if size == other {
        return true;
    }
    match size.terms() {
        [(monomial, 1)] => matches!(monomial.as_slice(), [Atom::Max(a, b)] if covers(a, other) || covers(b, other)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<Expr> {
        text.split(' ').map(|dim| dim.parse().unwrap()).collect()
    }

    #[test]
    fn equal_sizes() {
        let mut guards = Guards::default();
        assert_eq!(guards.equal("K", &"n".parse().unwrap(), &Expr::from(4)).unwrap(), Expr::from(4));
        assert_eq!(guards.0.len(), 1);
        let error = guards.equal("K", &"n".parse().unwrap(), &"n + 1".parse().unwrap()).unwrap_err();
        assert_eq!(error.message, "K differs: n vs n + 1");
    }

    #[test]
    fn broadcast_rule() {
        let check = |lists: &[&str], want: &str| {
            let lists: Vec<Vec<Expr>> = lists.iter().map(|text| dims(text)).collect();
            let lists: Vec<&[Expr]> = lists.iter().map(|dims| dims.as_slice()).collect();
            assert_eq!(broadcast_dims(&lists).unwrap(), dims(want));
        };
        check(&["n 1 4", "3 1"], "n 3 4");
        check(&["n", "5"], "5");
        check(&["n", "n"], "n");
        check(&["0", "1"], "0");
        check(&["max(a,b)", "a", "1"], "max(a,b)");
        check(&["a", "max(a,b)", "b"], "max(a,b)");
        let error = broadcast_dims(&[&dims("3"), &dims("2 4")]).unwrap_err();
        assert_eq!(error.message, "axis 1 does not broadcast: 3 vs 4");
        assert_eq!(broadcast_dims(&[&dims("a"), &dims("b")]).unwrap(), [Expr::from(&sym::Sym::new("a")).maximum(&"b".parse().unwrap())]);
    }
}
