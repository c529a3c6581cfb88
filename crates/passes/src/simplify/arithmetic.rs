//! Rules of numbers: neutral elements, powers, signs.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::{DType, ValueId};
use nest::Func;

pub const RULES: &[Rule] = &[
    Rule { meaning: "x + 0 -> x", apply: |r, s| neutral(r, s, Func::Add, 0.0) },
    Rule { meaning: "x * 1 -> x", apply: |r, s| neutral(r, s, Func::Mul, 1.0) },
    Rule { meaning: "x * 0 -> 0, of integers", apply: integer_zero },
    Rule { meaning: "x - 0 -> x", apply: |r, s| neutral_second(r, s, Func::Sub, 0.0) },
    Rule { meaning: "x / 1 -> x", apply: |r, s| neutral_second(r, s, Func::Div, 1.0) },
    Rule { meaning: "pow(x, 1) -> x", apply: |r, s| neutral_second(r, s, Func::Pow, 1.0) },
    Rule { meaning: "pow(x, 2) -> x * x", apply: square },
    Rule { meaning: "pow(x, 3) -> x * x * x", apply: cube },
    Rule { meaning: "pow(x, 0.5) -> sqrt(x)", apply: |r, s| float_power(r, s, 0.5, Func::Sqrt) },
    Rule { meaning: "pow(x, -0.5) -> rsqrt(x)", apply: |r, s| float_power(r, s, -0.5, Func::Rsqrt) },
    Rule { meaning: "pow(x, -1) -> reciprocal(x)", apply: |r, s| float_power(r, s, -1.0, Func::Reciprocal) },
    Rule { meaning: "x / 2^k -> x * 2^-k", apply: division_by_power_of_two },
    Rule { meaning: "reciprocal(sqrt(x)) -> rsqrt(x)", apply: reciprocal_root },
    Rule { meaning: "-(-x) -> x", apply: |r, s| Some(vec![r.view().unary(s.map(Func::Neg)?[0], Func::Neg)?]) },
    Rule { meaning: "x + (-y) -> x - y", apply: added_negative },
    Rule { meaning: "x - (-y) -> x + y", apply: subtracted_negative },
    Rule { meaning: "max(x, x) -> x", apply: |_, s| repeated(s, Func::Max) },
    Rule { meaning: "min(x, x) -> x", apply: |_, s| repeated(s, Func::Min) },
    Rule { meaning: "max(max(x, c), c) -> max(x, c)", apply: |r, s| bounded_twice(r, s, Func::Max) },
    Rule { meaning: "min(min(x, c), c) -> min(x, c)", apply: |r, s| bounded_twice(r, s, Func::Min) },
];

/// The operand beside one that is `number` everywhere.
fn neutral(rewriter: &Rewriter, site: &Site, func: Func, number: f64) -> Option<Vec<ValueId>> {
    let operands = site.map(func)?;
    let at = operands.iter().position(|id| rewriter.view().is_number(*id, number))?;
    Some(vec![operands[1 - at]])
}

/// Not of floats: infinity times 0 is NaN.
fn integer_zero(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Mul)?;
    let zero = operands.iter().find(|id| rewriter.view().is_number(**id, 0.0))?;
    rewriter.b.dtype(*zero).is_int().then(|| vec![*zero])
}

fn neutral_second(rewriter: &Rewriter, site: &Site, func: Func, number: f64) -> Option<Vec<ValueId>> {
    let operands = site.map(func)?;
    rewriter.view().is_number(operands[1], number).then(|| vec![operands[0]])
}

/// The base of a power with this exponent.
fn base(rewriter: &Rewriter, site: &Site, exponent: f64) -> Option<ValueId> {
    let operands = site.map(Func::Pow)?;
    rewriter.view().is_number(operands[1], exponent).then_some(operands[0])
}

fn square(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = base(rewriter, site, 2.0)?;
    Some(vec![rewriter.b.map(Func::Mul, &[x, x]).ok()?])
}

fn cube(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = base(rewriter, site, 3.0)?;
    let square = rewriter.b.map(Func::Mul, &[x, x]).ok()?;
    Some(vec![rewriter.b.map(Func::Mul, &[square, x]).ok()?])
}

fn float_power(rewriter: &mut Rewriter, site: &Site, exponent: f64, func: Func) -> Option<Vec<ValueId>> {
    let x = base(rewriter, site, exponent).filter(|x| rewriter.b.dtype(*x).is_float())?;
    Some(vec![rewriter.b.map(func, &[x]).ok()?])
}

/// Exact: both powers are normal numbers of the type.
fn division_by_power_of_two(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Div)?;
    let divisor = rewriter.view().number(operands[1])?;
    let most = match rewriter.b.dtype(operands[0]) {
        DType::F16 => 14,
        DType::BF16 | DType::F32 => 126,
        DType::F64 => 1022,
        _ => return None,
    };
    let factor = 1.0 / divisor;
    let power_of_two = divisor.is_normal() && divisor.to_bits() & ((1 << 52) - 1) == 0;
    let exponent = (divisor.to_bits() >> 52 & 0x7ff) as i64 - 1023;
    (power_of_two && exponent.abs() <= most).then_some(())?;
    Some(vec![rewriter.b.map_number(Func::Mul, operands[0], factor).ok()?])
}

fn reciprocal_root(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let root = match site.map(Func::Reciprocal) {
        Some(operands) => operands[0],
        None => site.map(Func::Div).filter(|operands| rewriter.view().is_number(operands[0], 1.0))?[1],
    };
    let x = rewriter.view().unary(root, Func::Sqrt)?;
    rewriter.covers(root);
    Some(vec![rewriter.b.map(Func::Rsqrt, &[x]).ok()?])
}

fn added_negative(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Add)?;
    let negated = |at: usize| rewriter.view().unary(operands[at], Func::Neg);
    let (x, negative, y) = match (negated(1), negated(0)) {
        (Some(y), _) => (operands[0], operands[1], y),
        (None, Some(y)) => (operands[1], operands[0], y),
        (None, None) => return None,
    };
    rewriter.covers(negative);
    Some(vec![rewriter.b.map(Func::Sub, &[x, y]).ok()?])
}

fn subtracted_negative(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Sub)?;
    let y = rewriter.view().unary(operands[1], Func::Neg)?;
    rewriter.covers(operands[1]);
    Some(vec![rewriter.b.map(Func::Add, &[operands[0], y]).ok()?])
}

pub fn repeated(site: &Site, func: Func) -> Option<Vec<ValueId>> {
    let operands = site.map(func)?;
    (operands[0] == operands[1]).then(|| vec![operands[0]])
}

fn bounded_twice(rewriter: &Rewriter, site: &Site, func: Func) -> Option<Vec<ValueId>> {
    let (operands, view) = (site.map(func)?, rewriter.view());
    let inner = view.map(operands[0], func)?;
    let (outer, inner) = (view.uniform(operands[1])?, view.uniform(inner[1])?);
    (outer == inner).then(|| vec![operands[0]])
}

#[cfg(test)]
mod tests {
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{Diagnostic, ValueId};
    use nest::Func;
    use ops::Builder;

    /// What `y` of an operand x becomes.
    fn rule(dtype: &str, want: &str, build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            let x = b.input("x", ty(&format!("{dtype}[n]")));
            build(b, x)
        });
        check(simplify, &before, &format!("y = {want}"));
    }

    #[test]
    fn neutral_elements() {
        for dtype in ["f32", "i32", "f16", "u8"] {
            rule(dtype, "x", |b, x| b.map_number(Func::Add, x, 0.0));
            rule(dtype, "x", |b, x| b.map_number(Func::Mul, x, 1.0));
            rule(dtype, "x", |b, x| b.map_number(Func::Sub, x, 0.0));
            rule(dtype, "x", |b, x| b.map_number(Func::Div, x, 1.0));
            rule(dtype, "x", |b, x| b.map_number(Func::Pow, x, 1.0));
        }
        rule("f32", "x", |b, x| {
            let zero = b.number(ir::DType::F32, 0.0);
            b.map_broadcast(Func::Add, &[zero, x])
        });
    }

    #[test]
    fn what_is_not_neutral_stays() {
        rule("f32", "mul(x, broadcast<[n]>(0.0))", |b, x| b.map_number(Func::Mul, x, 0.0));
        rule("f32", "sub(broadcast<[n]>(0.0), x)", |b, x| {
            let zero = b.number(ir::DType::F32, 0.0);
            b.map_broadcast(Func::Sub, &[zero, x])
        });
    }

    #[test]
    fn products_with_zero() {
        rule("i32", "broadcast<[n]>(0)", |b, x| b.map_number(Func::Mul, x, 0.0));
    }

    #[test]
    fn powers() {
        rule("f32", "mul(x, x)", |b, x| b.map_number(Func::Pow, x, 2.0));
        rule("i64", "mul(x, x)", |b, x| b.map_number(Func::Pow, x, 2.0));
        rule("f32", "mul(mul(x, x), x)", |b, x| b.map_number(Func::Pow, x, 3.0));
        rule("f32", "sqrt(x)", |b, x| b.map_number(Func::Pow, x, 0.5));
        rule("f32", "rsqrt(x)", |b, x| b.map_number(Func::Pow, x, -0.5));
        rule("f32", "reciprocal(x)", |b, x| b.map_number(Func::Pow, x, -1.0));
        rule("i32", "pow(x, broadcast<[n]>(-1))", |b, x| b.map_number(Func::Pow, x, -1.0));
        rule("f32", "pow(x, broadcast<[n]>(2.5))", |b, x| b.map_number(Func::Pow, x, 2.5));
    }

    #[test]
    fn divisions_that_are_exact_as_products() {
        rule("f32", "mul(x, broadcast<[n]>(0.125))", |b, x| b.map_number(Func::Div, x, 8.0));
        rule("f32", "mul(x, broadcast<[n]>(-4.0))", |b, x| b.map_number(Func::Div, x, -0.25));
        rule("f32", "div(x, broadcast<[n]>(3.0))", |b, x| b.map_number(Func::Div, x, 3.0));
        rule("i32", "div(x, broadcast<[n]>(8))", |b, x| b.map_number(Func::Div, x, 8.0));
        rule("f16", "div(x, broadcast<[n]>(32768.0))", |b, x| b.map_number(Func::Div, x, 32768.0));
    }

    #[test]
    fn roots() {
        rule("f32", "rsqrt(x)", |b, x| {
            let root = b.map(Func::Sqrt, &[x])?;
            b.map(Func::Reciprocal, &[root])
        });
        rule("f32", "rsqrt(x)", |b, x| {
            let (root, one) = (b.map(Func::Sqrt, &[x])?, b.number(ir::DType::F32, 1.0));
            b.map_broadcast(Func::Div, &[one, root])
        });
    }

    #[test]
    fn signs() {
        rule("f32", "x", |b, x| {
            let negative = b.map(Func::Neg, &[x])?;
            b.map(Func::Neg, &[negative])
        });
        rule("f32", "sub(x, exp(x))", |b, x| {
            let exp = b.map(Func::Exp, &[x])?;
            let negative = b.map(Func::Neg, &[exp])?;
            b.map(Func::Add, &[negative, x])
        });
        rule("f32", "add(x, exp(x))", |b, x| {
            let exp = b.map(Func::Exp, &[x])?;
            let negative = b.map(Func::Neg, &[exp])?;
            b.map(Func::Sub, &[x, negative])
        });
    }

    #[test]
    fn bounds() {
        rule("f32", "x", |b, x| b.map(Func::Max, &[x, x]));
        rule("f32", "x", |b, x| b.map(Func::Min, &[x, x]));
        rule("f32", "max(x, broadcast<[n]>(0.0))", |b, x| {
            let relu = b.map_number(Func::Max, x, 0.0)?;
            b.map_number(Func::Max, relu, 0.0)
        });
        rule("f32", "min(x, broadcast<[n]>(6.0))", |b, x| {
            let relu = b.map_number(Func::Min, x, 6.0)?;
            b.map_number(Func::Min, relu, 6.0)
        });
    }

    #[test]
    fn new_nodes_come_from_all_that_they_replace() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n]"));
            b.location = ir::Location::of("/sqrt");
            let root = b.map(Func::Sqrt, &[x])?;
            b.location = ir::Location::of("/div");
            b.map(Func::Reciprocal, &[root])
        });
        let after = simplify(&before);
        assert_eq!(after.nodes[0].location, ir::Location(vec!["/sqrt".into(), "/div".into()]));
        assert_eq!(after.value(after.nodes[0].outputs[0]).name, before.value(before.nodes[1].outputs[0]).name);
    }
}
