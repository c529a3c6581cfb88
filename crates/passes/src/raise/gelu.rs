//! GELU from its definition, in any order of its products.

use super::claim;
use super::polynomial::{Polynomial, Reader};
use crate::rewrite::Rewriter;
use crate::view::{Uses, View};
use ir::ValueId;
use nest::Func;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// How many scalar functions lie between the result and its `erf` or `tanh`, and between that and x.
const DEPTH: usize = 4;

/// ```text
/// y = mul(mul(x, 0.5), add(erf(div(x, sqrt 2)), 1))                               ->   y = gelu(x)
/// y = mul(mul(x, 0.5), add(tanh(mul(0.79788, add(x, 0.044715 x^3))), 1))   ->   y = gelu(x, approximate)
/// ```
pub fn raised(rewriter: &mut Rewriter, uses: &Uses, root: ValueId) -> Option<ValueId> {
    let view = View::of(rewriter.before);
    view.map(root, Func::Mul)?;
    let (bend, bent, approximate) = bend(view, root)?;
    let mut candidates = operands_within(view, bent);
    candidates.retain(|x| view.ty(*x) == view.ty(root));
    let (x, inner) = candidates.into_iter().find_map(|x| Some((x, form(view, root, bend, bent, approximate, x)?)))?;
    claim(rewriter, uses, root, &inner)?;
    let x = rewriter.after(x);
    if approximate { rewriter.b.gelu_tanh(x).ok() } else { rewriter.b.gelu(x).ok() }
}

/// The `erf` or `tanh` in the products and sums that make `root`, its operand, and whether it is `tanh`.
fn bend(view: View, root: ValueId) -> Option<(ValueId, ValueId, bool)> {
    operands_within(view, root).into_iter().find_map(|value| match view.unary(value, Func::Erf) {
        Some(bent) => Some((value, bent, false)),
        None => view.unary(value, Func::Tanh).map(|bent| (value, bent, true)),
    })
}

/// The values that sums, products and quotients within a few steps of `root` are made of, near ones first, without numbers.
fn operands_within(view: View, root: ValueId) -> Vec<ValueId> {
    let (mut found, mut row) = (Vec::new(), vec![root]);
    for _ in 0..DEPTH {
        let operands = |value: &ValueId| [Func::Mul, Func::Add, Func::Div, Func::Pow].into_iter().find_map(|func| view.map(*value, func));
        row = row.iter().filter_map(operands).flatten().copied().filter(|value| view.number(*value).is_none()).collect();
        row.sort_unstable();
        row.dedup();
        found.extend(&row);
    }
    found
}

/// The values inside, where `root` is `x/2 (1 + bend)` and what is bent is the polynomial of x that it should be.
fn form(view: View, root: ValueId, bend: ValueId, bent: ValueId, approximate: bool, x: ValueId) -> Option<Vec<ValueId>> {
    let tolerance = 8.0 * view.ty(root).dtype.unit_roundoff().max(1e-15);
    let mut outer = Reader::new(view, [x, bend]);
    let product = Polynomial::of(&[((1, 0), 0.5), ((1, 1), 0.5)]);
    outer.read(root)?.is_about(&product, tolerance).then_some(())?;
    let mut inner = Reader::new(view, [x, bend]);
    let factor = (2.0 / PI).sqrt();
    let argument = match approximate {
        true => Polynomial::of(&[((1, 0), factor), ((3, 0), factor * 0.044715)]),
        false => Polynomial::of(&[((1, 0), FRAC_1_SQRT_2)]),
    };
    inner.read(bent)?.is_about(&argument, tolerance).then_some(())?;
    let mut all: Vec<ValueId> = outer.inner.into_iter().chain(inner.inner).chain([bend]).filter(|id| *id != root).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use crate::raise::raise;
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{Diagnostic, Graph, ValueId};
    use nest::Func;
    use ops::Builder;
    use std::f64::consts::{PI, SQRT_2};

    fn simplified_and_raised(graph: &Graph) -> Graph {
        raise(&simplify(graph))
    }

    /// `x` is itself a product and a sum, as behind a linear layer.
    fn check_form(approximate: u8, build: impl Fn(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            let (x, z) = (b.input("x", ty("f64[n]")), b.input("z", ty("f64[n]")));
            let product = b.map(Func::Mul, &[x, z])?;
            let sum = b.map(Func::Add, &[product, z])?;
            build(b, sum)
        });
        let want = format!("y = gelu<{approximate}>(add(mul(x, z), z))");
        check(raise, &before, &want);
        check(simplified_and_raised, &before, &want);
    }

    fn one_plus_erf(b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let scaled = b.map_number(Func::Div, x, SQRT_2)?;
        let erf = b.map(Func::Erf, &[scaled])?;
        b.map_number(Func::Add, erf, 1.0)
    }

    #[test]
    fn with_erf() {
        check_form(0, |b, x| {
            let bend = one_plus_erf(b, x)?;
            let product = b.map(Func::Mul, &[x, bend])?;
            b.map_number(Func::Mul, product, 0.5)
        });
        check_form(0, |b, x| {
            let (bend, half) = (one_plus_erf(b, x)?, b.map_number(Func::Mul, x, 0.5)?);
            b.map(Func::Mul, &[half, bend])
        });
        check_form(0, |b, x| {
            let bend = one_plus_erf(b, x)?;
            let half = b.map_number(Func::Div, bend, 2.0)?;
            b.map(Func::Mul, &[half, x])
        });
    }

    #[test]
    fn with_tanh() {
        let factor = (2.0 / PI).sqrt();
        // x^3 by pow
        check_form(1, |b, x| {
            let cube = b.map_number(Func::Pow, x, 3.0)?;
            let small = b.map_number(Func::Mul, cube, 0.044715)?;
            let sum = b.map(Func::Add, &[x, small])?;
            let scaled = b.map_number(Func::Mul, sum, factor)?;
            let tanh = b.map(Func::Tanh, &[scaled])?;
            let bend = b.map_number(Func::Add, tanh, 1.0)?;
            let half = b.map_number(Func::Mul, x, 0.5)?;
            b.map(Func::Mul, &[half, bend])
        });
        // c x (1 + 0.044715 x x)
        check_form(1, |b, x| {
            let small = b.map_number(Func::Mul, x, 0.044715)?;
            let square = b.map(Func::Mul, &[small, x])?;
            let sum = b.map_number(Func::Add, square, 1.0)?;
            let scaled = b.map_number(Func::Mul, x, factor)?;
            let product = b.map(Func::Mul, &[scaled, sum])?;
            let tanh = b.map(Func::Tanh, &[product])?;
            let bend = b.map_number(Func::Add, tanh, 1.0)?;
            let product = b.map(Func::Mul, &[x, bend])?;
            b.map_number(Func::Mul, product, 0.5)
        });
    }

    #[test]
    fn other_numbers_stay() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[n]"));
            let scaled = b.map_number(Func::Div, x, 1.5)?;
            let erf = b.map(Func::Erf, &[scaled])?;
            let bend = b.map_number(Func::Add, erf, 1.0)?;
            let half = b.map_number(Func::Mul, x, 0.5)?;
            b.map(Func::Mul, &[half, bend])
        });
        assert_eq!(raise(&before), before);
    }

    /// Numbers are rounded to f32: the pass may take 8 roundings of them for the true ones, and x is at most 2.
    #[test]
    fn in_f32() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n]"));
            let (bend, half) = (one_plus_erf(b, x)?, b.map_number(Func::Mul, x, 0.5)?);
            b.map(Func::Mul, &[half, bend])
        });
        let after = raise(&before);
        assert_eq!(crate::testing::text(&after), "y = gelu<0>(x)");
        crate::check::executes_within(&before, &after, 0, 16.0 * 2f64.powi(-24)).unwrap();
    }
}
