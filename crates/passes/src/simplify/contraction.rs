//! Rules of contractions, convolutions and windows: expansions and borders of their operands become part of them.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::{Attr, Attrs, ValueId};
use nest::{Func, Monoid};
use ops::attrs;
use ops::core::contract::Spec;
use ops::core::reduce::monoid;
use sym::Expr;

pub const RULES: &[Rule] = &[
    Rule { meaning: "contract(a, broadcast(b)) -> contract(a, b), without the letters of what is expanded", apply: expanded_operand },
    Rule {
        meaning: "contract(exp(x) / broadcast(z), b) -> contract(exp(x), b) / z, where what is summed over has one z and is not empty",
        apply: divided_operand,
    },
    Rule { meaning: "conv(pad(x, 0), w) -> conv(x, w), padded", apply: padded_conv },
    Rule { meaning: "reduce_window(pad(x, identity)) -> reduce_window(x), padded", apply: padded_window },
];

/// The quotients of a softmax: fewer divisions, and a pass less over the larger tensor. Of exponentials alone, since a sum of other
/// numbers might overflow where that of their quotients does not. Nothing summed is 0, not 0 / 0: where there may be nothing, z is taken
/// for 1 if it is less, as only the sum of no exponentials of `y - max(y)` is.
fn divided_operand(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    site.operand("contract")?;
    let spec = Spec::read(&site.node.attrs).ok()?;
    let lists = [&spec.a, &spec.b];
    (0..2).find_map(|at| {
        let (numerator, divisor) = quotient(rewriter, site.inputs[at])?;
        let (own, other) = (lists[at], lists[1 - at]);
        let view = rewriter.view();
        let (dims, wide) = (&view.ty(divisor).dims, &view.ty(numerator).dims);
        let full = |axis: usize| dims[axis] == wide[axis] && !dims[axis].is_one();
        let kept: Vec<char> = (0..own.len()).filter(|axis| full(*axis)).map(|axis| own[axis]).collect();
        let in_order: Vec<char> = spec.out.iter().filter(|c| kept.contains(c)).copied().collect();
        let extent = |letters: &[char], id: ValueId, c: char| view.ty(id).dims[letters.iter().position(|l| *l == c).unwrap_or(0)].clone();
        let size = |letters: &[char], id: ValueId, but: &[char]| -> Option<i64> {
            letters.iter().filter(|c| !but.contains(c)).map(|c| extent(letters, id, *c).as_const()).product()
        };
        let fewer = match (size(other, site.inputs[1 - at], own), size(own, numerator, &spec.out)) {
            (Some(results), Some(summed)) => results < summed,
            (results, _) => results.is_some(),
        };
        if in_order != kept || !fewer || uses(rewriter, site.node.inputs[at]) > 1 {
            return None;
        }
        let is_empty = own.iter().enumerate().any(|(axis, c)| !spec.out.contains(c) && wide[axis].as_const().is_none_or(|n| n < 1));
        if is_empty && !below_largest(rewriter, numerator, divisor) {
            return None;
        }
        let shape: Vec<Expr> = spec.out.iter().map(|c| if kept.contains(c) { extent(own, numerator, *c) } else { Expr::one() }).collect();
        rewriter.covers(site.inputs[at]);
        let mut inputs = site.inputs.clone();
        inputs[at] = numerator;
        let sum = rewriter.b.op("contract", site.node.attrs.clone(), &inputs).ok()?;
        let divisor = if is_empty { rewriter.b.map_number(Func::Max, divisor, 1.0).ok()? } else { divisor };
        let divisor = rewriter.b.reshape(divisor, &shape).ok()?;
        Some(vec![rewriter.b.map_broadcast(Func::Div, &[*sum.first()?, divisor]).ok()?])
    })
}

/// Of `exp(x) / broadcast(z)` the two operands, where z has as many axes.
fn quotient(rewriter: &Rewriter, value: ValueId) -> Option<(ValueId, ValueId)> {
    let view = rewriter.view();
    let [numerator, divisor] = view.map(value, Func::Div)? else { return None };
    let divisor = view.operand_of(*divisor, "broadcast")?;
    view.unary(*numerator, Func::Exp)?;
    (view.ty(divisor).rank() == view.ty(*numerator).rank()).then_some((*numerator, divisor))
}

/// Whether `exponentials` are those of `y - max(y)`, and `sum` is theirs along the same axes.
fn below_largest(rewriter: &Rewriter, exponentials: ValueId, sum: ValueId) -> bool {
    let view = rewriter.view();
    let fold = |value: ValueId, of: ValueId, kind: Monoid| {
        let folded = view.operand_of(value, "reshape").unwrap_or(value);
        let node = view.made_by(folded, "reduce").filter(|node| node.inputs[0] == of)?;
        (attrs::text(&node.attrs, "kind") == Ok(kind.name())).then(|| attrs::ints(&node.attrs, "axes").ok()).flatten()
    };
    let largest = || {
        let [y, largest] = view.map(view.unary(exponentials, Func::Exp)?, Func::Sub)? else { return None };
        fold(view.operand_of(*largest, "broadcast")?, *y, Monoid::Max)
    };
    fold(sum, exponentials, Monoid::Sum).is_some_and(|axes| largest() == Some(axes))
}

/// How often a value of the graph before is read.
fn uses(rewriter: &Rewriter, value: ValueId) -> usize {
    let read = rewriter.before.nodes.iter().flat_map(|node| &node.inputs).filter(|id| **id == value).count();
    read + rewriter.before.roots().filter(|id| *id == value).count()
}

/// Where the other operand has the expanded letters too, at the same size.
fn expanded_operand(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    site.operand("contract")?;
    let spec = Spec::read(&site.node.attrs).ok()?;
    let lists = [&spec.a, &spec.b];
    (0..2).find_map(|at| {
        let (source, letters) = unexpanded(rewriter, site.inputs[at], lists[at], lists[1 - at], site.inputs[1 - at])?;
        rewriter.covers(site.inputs[at]);
        let (mut inputs, mut lists) = (site.inputs.clone(), [spec.a.clone(), spec.b.clone()]);
        (inputs[at], lists[at]) = (source, letters);
        let text = |letters: &[char]| letters.iter().collect::<String>();
        let spec = format!("{},{}->{}", text(&lists[0]), text(&lists[1]), text(&spec.out));
        rewriter.b.op("contract", Attrs::from([("spec", Attr::Text(spec))]), &inputs).ok()
    })
}

/// What was expanded to an operand, without the axes along which it was, and the letters of the others.
fn unexpanded(
    rewriter: &mut Rewriter,
    operand: ValueId,
    letters: &[char],
    others: &[char],
    other: ValueId,
) -> Option<(ValueId, Vec<char>)> {
    let view = rewriter.view();
    let source = view.operand_of(operand, "broadcast")?;
    let (wide, dims, sizes) = (&view.ty(operand).dims, &view.ty(source).dims, &view.ty(other).dims);
    let lead = wide.len() - dims.len();
    let shared = |axis: usize| others.iter().position(|c| *c == letters[axis]).is_some_and(|at| sizes[at] == wide[axis]);
    // an axis that is there at its full size, or expanded from nothing or from 1
    let full = |axis: &usize| *axis >= lead && dims[*axis - lead] == wide[*axis];
    let one = |axis: usize| axis < lead || dims[axis - lead].is_one();
    let kept: Vec<usize> = (0..wide.len()).filter(|axis| full(axis) || !(one(*axis) && shared(*axis))).collect();
    (kept.len() < wide.len() && kept.iter().all(full)).then_some(())?;
    let kept_dims: Vec<Expr> = kept.iter().map(|axis| wide[*axis].clone()).collect();
    let source = rewriter.b.reshape(source, &kept_dims).ok()?;
    Some((source, kept.into_iter().map(|axis| letters[axis]).collect()))
}

fn padded_conv(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    site.operand("conv")?;
    padded(rewriter, site, 0.0)
}

fn padded_window(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("reduce_window")?;
    let dtype = rewriter.b.dtype(x);
    let identity = monoid(&site.node.attrs, dtype).ok()?.identity(dtype).as_f64();
    padded(rewriter, site, identity)
}

/// The node on what was padded with `value`, along spatial axes, by known amounts.
fn padded(rewriter: &mut Rewriter, site: &Site, value: f64) -> Option<Vec<ValueId>> {
    let view = rewriter.view();
    let pad = view.made_by(site.inputs[0], "pad").filter(|pad| view.is_number(pad.inputs[1], value))?;
    let mut inputs = site.inputs.clone();
    inputs[0] = pad.inputs[0];
    let mut all = site.node.attrs.clone();
    for side in ["low", "high"] {
        let amounts: Vec<i64> = attrs::exprs(&pad.attrs, side).ok()?.iter().map(Expr::as_const).collect::<Option<_>>()?;
        (amounts[..2] == [0, 0]).then_some(())?;
        let own = attrs::ints(&site.node.attrs, side).ok()?;
        all.insert(side, Attr::Ints(own.iter().zip(&amounts[2..]).map(|(own, more)| own + more).collect()));
    }
    rewriter.covers(site.inputs[0]);
    rewriter.b.op(site.node.op, all, &inputs).ok()
}

#[cfg(test)]
mod tests {
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{DType, Diagnostic, Literal, ValueId};
    use nest::{Func, Monoid};
    use ops::{Builder, WindowAttrs};

    /// What `y` of two operands becomes.
    fn rule(from: [&str; 2], want: &str, build: impl FnOnce(&mut Builder, ValueId, ValueId) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            let (x, w) = (b.input("x", ty(from[0])), b.input("w", ty(from[1])));
            build(b, x, w)
        });
        check(simplify, &before, &format!("y = {want}"));
    }

    #[test]
    fn expansions() {
        rule(["f32[b, m, 4]", "f32[4, n]"], "contract<bmk,kn->bmn>(x, w)", |b, x, w| {
            let w = b.broadcast(w, &ty("f32[b, 4, n]").dims)?;
            b.contract("bmk,bkn->bmn", x, w)
        });
        rule(["f32[1, m, 4]", "f32[b, 4, n]"], "contract<mk,bkn->bmn>(reshape<[m, 4]>(x), w)", |b, x, w| {
            let x = b.broadcast(x, &ty("f32[b, m, 4]").dims)?;
            b.contract("bmk,bkn->bmn", x, w)
        });
        // nothing else says how long n is
        let from = ["f32[m, 4]", "f32[4, 1]"];
        rule(from, "contract<mk,kn->mn>(x, broadcast<[4, 3]>(w))", |b, x, w| {
            let w = b.broadcast(w, &ty("f32[4, 3]").dims)?;
            b.contract("mk,kn->mn", x, w)
        });
    }

    #[test]
    fn quotients_of_a_softmax() {
        let weighted = |b: &mut Builder, x: ValueId, w: ValueId, spec: &str, is_shifted: bool| {
            let largest = b.reduce(Monoid::Max, x, &[1], ops::build::core::Folded::Kept)?;
            let x = if is_shifted { b.map_broadcast(Func::Sub, &[x, largest])? } else { x };
            let exp = b.map(Func::Exp, &[x])?;
            let sum = b.reduce(Monoid::Sum, exp, &[1], ops::build::core::Folded::Kept)?;
            let weights = b.map_broadcast(Func::Div, &[exp, sum])?;
            b.contract(spec, weights, w)
        };
        let text_of = |from: [&str; 2], spec: &str, is_shifted: bool| {
            let before = graph_of(|b| {
                let (x, w) = (b.input("x", ty(from[0])), b.input("w", ty(from[1])));
                weighted(b, x, w, spec, is_shifted)
            });
            let after = simplify(&before);
            (0..20).for_each(|seed| crate::check::executes_equally(&before, &after, seed).unwrap());
            let last = after.nodes.last().map(|node| node.op.to_string());
            last.unwrap_or_default()
        };
        let text = |from: [&str; 2], spec: &str| text_of(from, spec, true);
        assert_eq!(text(["f32[m, 8]", "f32[8, 3]"], "mk,kn->mn"), "map");
        assert_eq!(text_of(["f32[m, 8]", "f32[8, 3]"], "mk,kn->mn", false), "map");
        // the sum of nothing is 0 / 0, and how small that of others may be is not known
        assert_eq!(text_of(["f32[m, k]", "f32[k, 3]"], "mk,kn->mn", false), "contract");
        assert_eq!(text(["f32[m, k]", "f32[k, 3]"], "mk,kn->mn"), "map");
        // more quotients than before
        assert_eq!(text(["f32[m, 3]", "f32[3, 8]"], "mk,kn->mn"), "contract");
        // one z for each term of a sum
        assert_eq!(text(["f32[m, 8]", "f32[m, 3]"], "mk,mn->kn"), "contract");
    }

    fn pad(b: &mut Builder, x: ValueId, value: f64) -> Result<ValueId, Diagnostic> {
        let value = b.scalar(DType::F32, Literal::Float(value));
        b.pad(x, value, &[0.into(), 0.into(), 2.into()], &[0.into(), 0.into(), 1.into()])
    }

    #[test]
    fn borders() {
        let from = ["f32[n, 2, 5]", "f32[3, 2, 2]"];
        let window = WindowAttrs { low: vec![1], ..WindowAttrs::plain(1) };
        rule(from, "conv<[1] 1 [1] [3] [1]>(x, w)", |b, x, w| {
            let x = pad(b, x, 0.0)?;
            b.conv(x, w, &window, 1)
        });
        rule(from, "conv<[1] 1 [0] [1] [1]>(pad<[0, 0, 1] [0, 0, 2]>(x, 1.0), w)", |b, x, w| {
            let x = pad(b, x, 1.0)?;
            b.conv(x, w, &window, 1)
        });
        rule(from, "reduce_window<[1] [1] max [3] [1] [2]>(x)", |b, x, _| {
            let x = pad(b, x, f64::NEG_INFINITY)?;
            b.reduce_window(Monoid::Max, x, &[2], &window)
        });
        rule(from, "reduce_window<[1] [0] max [1] [1] [2]>(pad<[0, 0, 1] [0, 0, 2]>(x, 0.0))", |b, x, _| {
            let x = pad(b, x, 0.0)?;
            b.reduce_window(Monoid::Max, x, &[2], &window)
        });
    }
}
