//! Softmax from its definition, with the maximum subtracted.

use super::{claim, kept_fold};
use crate::rewrite::Rewriter;
use crate::view::{Uses, View};
use ir::ValueId;
use nest::{Func, Monoid};

/// ```text
/// e = exp(sub(x, broadcast(reduce(x, max)))); y = div(e, broadcast(reduce(e, sum)))   ->   y = softmax(x)
/// ```
/// Also with `mul(e, broadcast(reciprocal(sum)))`. Without the maximum it is something else: it overflows.
pub fn raised(rewriter: &mut Rewriter, uses: &Uses, root: ValueId) -> Option<ValueId> {
    let view = View::of(rewriter.before);
    let mut inner = Vec::new();
    let (exp, sum) = quotient(view, root, &mut inner)?;
    let (folded, axes) = kept_fold(view, sum, Monoid::Sum)?;
    let [axis] = axes else { return None };
    let shifted = view.unary(exp, Func::Exp).filter(|_| folded == exp)?;
    let operands = view.map(shifted, Func::Sub)?;
    let (x, spread) = (operands[0], operands[1]);
    let max = view.unbroadcast(spread);
    (kept_fold(view, max, Monoid::Max)? == (x, axes)).then_some(())?;
    inner.extend([sum, exp, shifted, spread, max]);
    claim(rewriter, uses, root, &inner)?;
    let x = rewriter.after(x);
    rewriter.b.softmax(x, *axis as usize).ok()
}

/// Dividend and divisor before its expansion; adds what stands between.
fn quotient(view: View, root: ValueId, inner: &mut Vec<ValueId>) -> Option<(ValueId, ValueId)> {
    if let Some(operands) = view.map(root, Func::Div) {
        inner.push(operands[1]);
        return Some((operands[0], view.unbroadcast(operands[1])));
    }
    let inverse = |value: ValueId| view.unary(view.unbroadcast(value), Func::Reciprocal).map(|divisor| (value, divisor));
    let ((spread, divisor), dividend) = view.either(root, Func::Mul, inverse)?;
    inner.extend([spread, view.unbroadcast(spread)]);
    Some((dividend, divisor))
}

#[cfg(test)]
mod tests {
    use crate::raise::raise;
    use crate::testing::{check, graph, graph_of, ty};
    use ir::{Diagnostic, Location, ValueId};
    use nest::{Func, Monoid};
    use ops::{Builder, Folded};

    fn exponentials(b: &mut Builder, x: ValueId) -> Result<[ValueId; 2], Diagnostic> {
        b.location = Location::of("/max");
        let max = b.reduce(Monoid::Max, x, &[1], Folded::Kept)?;
        let shifted = b.map_broadcast(Func::Sub, &[x, max])?;
        let exp = b.map(Func::Exp, &[shifted])?;
        b.location = Location::of("/sum");
        Ok([exp, b.reduce(Monoid::Sum, exp, &[1], Folded::Kept)?])
    }

    #[test]
    fn quotients() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[n, 4]"));
            let [exp, sum] = exponentials(b, x)?;
            b.map_broadcast(Func::Div, &[exp, sum])
        });
        let after = check(raise, &before, "y = softmax<1>(x)");
        assert_eq!(after.nodes[0].location, Location(vec!["/max".into(), "/sum".into()]));
    }

    #[test]
    fn products_with_the_reciprocal() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[n, 4, 3]"));
            let [exp, sum] = exponentials(b, x)?;
            let inverse = b.map(Func::Reciprocal, &[sum])?;
            b.map_broadcast(Func::Mul, &[inverse, exp])
        });
        check(raise, &before, "y = softmax<1>(x)");
    }

    #[test]
    fn shared_parts_stay() {
        let before = graph(|b| {
            let x = b.input("x", ty("f64[n, 4]"));
            let [exp, sum] = exponentials(b, x)?;
            let y = b.map_broadcast(Func::Div, &[exp, sum])?;
            b.output("y", y);
            b.output("sum", sum);
            Ok(())
        });
        assert_eq!(raise(&before), before);
    }

    #[test]
    fn without_the_maximum_it_stays() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f64[n, 4]"));
            let exp = b.map(Func::Exp, &[x])?;
            let sum = b.reduce(Monoid::Sum, exp, &[1], Folded::Kept)?;
            b.map_broadcast(Func::Div, &[exp, sum])
        });
        assert_eq!(raise(&before), before);
    }
}
