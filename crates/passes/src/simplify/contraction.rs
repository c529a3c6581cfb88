//! Rules of contractions, convolutions and windows: expansions and borders of their operands become part of them.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::{Attr, Attrs, ValueId};
use ops::attrs;
use ops::core::contract::Spec;
use ops::core::reduce::monoid;
use sym::Expr;

pub const RULES: &[Rule] = &[
    Rule { meaning: "contract(a, broadcast(b)) -> contract(a, b), without the letters of what is expanded", apply: expanded_operand },
    Rule { meaning: "conv(pad(x, 0), w) -> conv(x, w), padded", apply: padded_conv },
    Rule { meaning: "reduce_window(pad(x, identity)) -> reduce_window(x), padded", apply: padded_window },
];

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
    use nest::Monoid;
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
