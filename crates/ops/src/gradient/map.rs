//! The rules of scalar functions.

use super::{Cotangents, Result};
use crate::build::Builder;
use ir::ValueId;
use nest::Func;
use std::f64::consts::FRAC_2_SQRT_PI;

/// The cotangents of the operands `x` of `y = func(x..)`, whose cotangent is `g`; None where there is no rule.
pub fn cotangents(b: &mut Builder, func: Func, x: &[ValueId], y: ValueId, g: ValueId) -> Result<Option<Cotangents>> {
    use Func::*;
    let mut rule = Rule { b };
    let r = &mut rule;
    let one = |id: ValueId| vec![Some(id)];
    Ok(Some(match func {
        Neg => one(r.of(Neg, &[g])?),
        Abs => {
            let sign = r.of(Sign, &[x[0]])?;
            one(r.of(Mul, &[g, sign])?)
        }
        Exp => one(r.of(Mul, &[g, y])?),
        Log => one(r.of(Div, &[g, x[0]])?),
        Sqrt => {
            let half = r.number(Mul, g, 0.5)?;
            one(r.of(Div, &[half, y])?)
        }
        // y^3 / -2
        Rsqrt => {
            let square = r.of(Mul, &[y, y])?;
            let cube = r.of(Mul, &[square, y])?;
            let slope = r.number(Mul, cube, -0.5)?;
            one(r.of(Mul, &[g, slope])?)
        }
        Reciprocal => {
            let square = r.of(Mul, &[y, y])?;
            let part = r.of(Mul, &[g, square])?;
            one(r.of(Neg, &[part])?)
        }
        Erf => {
            let square = r.of(Mul, &[x[0], x[0]])?;
            let square = r.of(Neg, &[square])?;
            let bell = r.of(Exp, &[square])?;
            let slope = r.number(Mul, bell, FRAC_2_SQRT_PI)?;
            one(r.of(Mul, &[g, slope])?)
        }
        Tanh => {
            let square = r.of(Mul, &[y, y])?;
            let slope = r.one_minus(square)?;
            one(r.of(Mul, &[g, slope])?)
        }
        Sigmoid => {
            let rest = r.one_minus(y)?;
            let slope = r.of(Mul, &[y, rest])?;
            one(r.of(Mul, &[g, slope])?)
        }
        Sin => {
            let slope = r.of(Cos, &[x[0]])?;
            one(r.of(Mul, &[g, slope])?)
        }
        Cos => {
            let slope = r.of(Sin, &[x[0]])?;
            let part = r.of(Mul, &[g, slope])?;
            one(r.of(Neg, &[part])?)
        }
        Atan => {
            let square = r.of(Mul, &[x[0], x[0]])?;
            let square = r.number(Add, square, 1.0)?;
            one(r.of(Div, &[g, square])?)
        }
        Add => vec![Some(g), Some(g)],
        Sub => vec![Some(g), Some(r.of(Neg, &[g])?)],
        Mul => vec![Some(r.of(Mul, &[g, x[1]])?), Some(r.of(Mul, &[g, x[0]])?)],
        MulAdd => vec![Some(r.of(Mul, &[g, x[1]])?), Some(r.of(Mul, &[g, x[0]])?), Some(g)],
        Div => {
            let first = r.of(Div, &[g, x[1]])?;
            let second = r.of(Mul, &[first, y])?;
            vec![Some(first), Some(r.of(Neg, &[second])?)]
        }
        Pow => r.power(x, y, g)?,
        Max | Min => {
            let wins = r.of(if func == Max { GreaterEqual } else { LessEqual }, x)?;
            r.chosen(wins, g)?
        }
        Select => {
            let mut both = r.chosen(x[0], g)?;
            both.insert(0, None);
            both
        }
        Floor | Ceil | Round | Trunc | Sign => vec![],
        Flush => vec![Some(g)],
        IsNan | IsInf | Not | And | Or | Xor | Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => vec![],
        Rem => return Ok(None),
    }))
}

struct Rule<'a> {
    b: &'a mut Builder,
}

impl Rule<'_> {
    fn of(&mut self, func: Func, operands: &[ValueId]) -> Result<ValueId> {
        self.b.map(func, operands)
    }

    fn number(&mut self, func: Func, x: ValueId, value: f64) -> Result<ValueId> {
        self.b.map_number(func, x, value)
    }

    fn one_minus(&mut self, x: ValueId) -> Result<ValueId> {
        let one = self.b.number(self.b.dtype(x), 1.0);
        self.b.map_broadcast(Func::Sub, &[one, x])
    }

    /// The cotangent to the first of two operands where `first` holds, else to the second.
    fn chosen(&mut self, first: ValueId, g: ValueId) -> Result<Cotangents> {
        let zero = self.b.number(self.b.dtype(g), 0.0);
        let yes = self.b.map_broadcast(Func::Select, &[first, g, zero])?;
        let no = self.b.map_broadcast(Func::Select, &[first, zero, g])?;
        Ok(vec![Some(yes), Some(no)])
    }

    /// `b * a^(b-1)`, and `a^b * log(a)`, which is 0 where a is.
    fn power(&mut self, x: &[ValueId], y: ValueId, g: ValueId) -> Result<Cotangents> {
        let less = self.number(Func::Sub, x[1], 1.0)?;
        let slope = self.of(Func::Pow, &[x[0], less])?;
        let slope = self.of(Func::Mul, &[x[1], slope])?;
        let first = self.of(Func::Mul, &[g, slope])?;
        let logarithm = self.of(Func::Log, &[x[0]])?;
        let slope = self.of(Func::Mul, &[y, logarithm])?;
        let zero = self.b.number(self.b.dtype(g), 0.0);
        let none = self.number(Func::Equal, x[0], 0.0)?;
        let slope = self.b.map_broadcast(Func::Select, &[none, zero, slope])?;
        Ok(vec![Some(first), Some(self.of(Func::Mul, &[g, slope])?)])
    }
}
