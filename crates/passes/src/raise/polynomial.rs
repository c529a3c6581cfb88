//! Scalar functions as polynomials of two values, whatever the order in which a program computes them.

use crate::view::View;
use ir::ValueId;
use nest::Func;
use std::collections::BTreeMap;

/// The largest degree of a term, and the largest number of values looked at.
const DEGREE: usize = 4;
const VALUES: usize = 24;

/// Coefficients by the powers of the two variables; none is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polynomial(BTreeMap<(usize, usize), f64>);

impl Polynomial {
    pub fn term(powers: (usize, usize), coefficient: f64) -> Polynomial {
        let mut terms = BTreeMap::from([(powers, coefficient)]);
        terms.retain(|_, coefficient| *coefficient != 0.0);
        Polynomial(terms)
    }

    pub fn of(terms: &[((usize, usize), f64)]) -> Polynomial {
        terms.iter().fold(Polynomial::default(), |sum, (powers, coefficient)| sum.plus(&Polynomial::term(*powers, *coefficient), 1.0))
    }

    /// Whether the terms are the same, and coefficients up to a relative difference.
    pub fn is_about(&self, other: &Polynomial, tolerance: f64) -> bool {
        let close = |(powers, a): (&(usize, usize), &f64)| other.0.get(powers).is_some_and(|b| (a - b).abs() <= tolerance * b.abs());
        self.0.len() == other.0.len() && self.0.iter().all(close)
    }

    fn plus(&self, other: &Polynomial, factor: f64) -> Polynomial {
        let mut sum = self.0.clone();
        for (powers, coefficient) in &other.0 {
            *sum.entry(*powers).or_insert(0.0) += factor * coefficient;
        }
        sum.retain(|_, coefficient| *coefficient != 0.0);
        Polynomial(sum)
    }

    fn times(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut product = Polynomial::default();
        for ((a, b), c) in &self.0 {
            for ((d, e), f) in &other.0 {
                (a + b + d + e <= DEGREE).then_some(())?;
                product = product.plus(&Polynomial::term((a + d, b + e), c * f), 1.0);
            }
        }
        Some(product)
    }

    fn as_number(&self) -> Option<f64> {
        match self.0.iter().next() {
            None => Some(0.0),
            Some(((0, 0), number)) if self.0.len() == 1 => Some(*number),
            Some(_) => None,
        }
    }
}

/// Reads values as polynomials of two others.
pub struct Reader<'g> {
    view: View<'g>,
    variables: [ValueId; 2],
    /// The values between, in the order of reading.
    pub inner: Vec<ValueId>,
}

impl<'g> Reader<'g> {
    pub fn new(view: View<'g>, variables: [ValueId; 2]) -> Reader<'g> {
        Reader { view, variables, inner: Vec::new() }
    }

    /// The polynomial that a value is; None where another function or value is in it.
    pub fn read(&mut self, value: ValueId) -> Option<Polynomial> {
        if let Some(at) = self.variables.iter().position(|variable| *variable == value) {
            return Some(Polynomial::term([(1, 0), (0, 1)][at], 1.0));
        }
        if let Some(number) = self.view.number(value) {
            return Some(Polynomial::term((0, 0), number));
        }
        (self.inner.len() < VALUES).then(|| self.inner.push(value))?;
        let read = |operands: &[ValueId], reader: &mut Self| Some((reader.read(operands[0])?, reader.read(operands[1])?));
        if let Some(operands) = self.view.map(value, Func::Add) {
            read(operands, self).map(|(a, b)| a.plus(&b, 1.0))
        } else if let Some(operands) = self.view.map(value, Func::Sub) {
            read(operands, self).map(|(a, b)| a.plus(&b, -1.0))
        } else if let Some(operands) = self.view.map(value, Func::Mul) {
            read(operands, self).and_then(|(a, b)| a.times(&b))
        } else if let Some(operands) = self.view.map(value, Func::Div) {
            read(operands, self).and_then(|(a, b)| a.times(&Polynomial::term((0, 0), 1.0 / b.as_number()?)))
        } else {
            let operands = self.view.map(value, Func::Pow)?;
            read(operands, self).and_then(|(a, b)| power(&a, b.as_number()?))
        }
    }
}

fn power(base: &Polynomial, exponent: f64) -> Option<Polynomial> {
    let count = (1..=DEGREE).find(|count| *count as f64 == exponent)?;
    (1..count).try_fold(base.clone(), |power, _| power.times(base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph_of, ty};
    use nest::Func;

    #[test]
    fn any_order_gives_the_same() {
        let mut operands = None;
        let graph = graph_of(|b| {
            let (x, z) = (b.input("x", ty("f64[n]")), b.input("z", ty("f64[n]")));
            operands = Some([x, z]);
            let cube = b.map_number(Func::Pow, x, 3.0)?;
            let half = b.map_number(Func::Div, cube, 2.0)?;
            let one = b.map_number(Func::Sub, z, 1.0)?;
            let product = b.map(Func::Mul, &[x, one])?;
            b.map(Func::Add, &[product, half])
        });
        let mut reader = Reader::new(View::of(&graph), operands.unwrap());
        let polynomial = reader.read(graph.outputs[0].1).unwrap();
        assert_eq!(polynomial, Polynomial::of(&[((3, 0), 0.5), ((1, 1), 1.0), ((1, 0), -1.0)]));
        assert_eq!(reader.inner.len(), 5);
    }
}
