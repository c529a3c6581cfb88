//! Attention from its two contractions, in any order of axes.
//!
//! - [`Scores`]: what is under the softmax
//! - [`Axes`]: which axis of the operands is which

use super::claim;
use crate::rewrite::Rewriter;
use crate::view::{Uses, View};
use ir::{Node, ValueId};
use nest::Func;
use ops::attrs;
use ops::core::contract::Spec;

/// How many scalar functions may lie between the scores and the softmax.
const DEPTH: usize = 4;

/// ```text
/// s = contract(mul(q, a), k); w = softmax(add(mul(s, b), mask)); y = contract(w, v)   ->   y = attention(q, k, v, mask) with scale a b
/// ```
/// The operands are transposed to the composite's order of axes, and so is the result.
pub fn raised(rewriter: &mut Rewriter, uses: &Uses, root: ValueId) -> Option<ValueId> {
    let view = View::of(rewriter.before);
    let values = view.made_by(root, "contract")?;
    let weights = (0..2).find(|at| view.made_by(values.inputs[*at], "softmax").is_some())?;
    let softmax = view.made_by(values.inputs[weights], "softmax")?;
    let axis = attrs::int(&softmax.attrs, "axis").ok()? as usize;
    let mut scores = Scores::read(view, softmax.inputs[0], DEPTH)?;
    let products = view.made_by(scores.products, "contract")?;
    let axes = Axes::read(products, values, weights, axis)?;
    scores.inner.extend([values.inputs[weights], softmax.inputs[0], scores.products]);
    let [q, k] = [scores.unscaled(view, uses, products.inputs[axes.q_at]), scores.unscaled(view, uses, products.inputs[1 - axes.q_at])];
    claim(rewriter, uses, root, &scores.inner)?;
    build(rewriter, &scores, &axes, [q, k, values.inputs[1 - weights]])
}

fn build(rewriter: &mut Rewriter, scores: &Scores, axes: &Axes, qkv: [ValueId; 3]) -> Option<ValueId> {
    let mut operands = Vec::new();
    for (value, order) in qkv.into_iter().zip([&axes.q, &axes.k, &axes.v]) {
        let value = rewriter.after(value);
        operands.push(rewriter.b.transpose(value, order).ok()?);
    }
    let mut mask = None;
    for part in &scores.masks {
        let part = rewriter.after(*part);
        mask = Some(match mask {
            Some(sum) => rewriter.b.map(Func::Add, &[sum, part]).ok()?,
            None => part,
        });
    }
    let mask = match mask {
        Some(mask) => Some(rewriter.b.transpose(mask, &axes.scores).ok()?),
        None => None,
    };
    let out = rewriter.b.attention(operands[0], operands[1], operands[2], mask, scores.scale).ok()?;
    rewriter.b.transpose(out, &axes.out).ok()
}

/// `scale * products + masks`, in values of the graph before.
struct Scores {
    products: ValueId,
    scale: f64,
    masks: Vec<ValueId>,
    inner: Vec<ValueId>,
}

impl Scores {
    fn read(view: View, value: ValueId, depth: usize) -> Option<Scores> {
        if view.made_by(value, "contract").is_some() {
            return Some(Scores { products: value, scale: 1.0, masks: Vec::new(), inner: Vec::new() });
        }
        let below = |operand: ValueId| Scores::read(view, operand, depth.checked_sub(1)?).map(|scores| (operand, scores));
        let (operand, mut scores) = if let Some(((operand, mut scores), mask)) = view.either(value, Func::Add, below) {
            scores.masks.push(mask);
            (operand, scores)
        } else {
            let (operand, factor) = scaled(view, value)?;
            let mut scores = below(operand)?.1;
            scores.masks.is_empty().then_some(())?;
            scores.scale *= factor;
            (operand, scores)
        };
        scores.inner.push(operand);
        Some(scores)
    }

    /// What is below a scaling of q or k that nothing else reads; the scale becomes that of the scores.
    fn unscaled(&mut self, view: View, uses: &Uses, operand: ValueId) -> ValueId {
        match scaled(view, operand).filter(|_| uses.count(operand) == 1) {
            Some((value, factor)) => {
                self.scale *= factor;
                self.inner.push(operand);
                value
            }
            None => operand,
        }
    }
}

/// The other operand and the number of a product or quotient.
fn scaled(view: View, value: ValueId) -> Option<(ValueId, f64)> {
    if let Some((factor, operand)) = view.either(value, Func::Mul, |factor| view.number(factor)) {
        return Some((operand, factor));
    }
    let operands = view.map(value, Func::Div)?;
    Some((operands[0], 1.0 / view.number(operands[1])?))
}

/// The orders of axes that bring each operand to the composite's, and the composite's result to that of the contraction.
struct Axes {
    /// Which operand of the products is q.
    q_at: usize,
    q: Vec<usize>,
    k: Vec<usize>,
    v: Vec<usize>,
    scores: Vec<usize>,
    out: Vec<usize>,
}

impl Axes {
    /// `softmax` is the axis of the scores along which weights sum to 1.
    fn read(products: &Node, values: &Node, weights: usize, softmax: usize) -> Option<Axes> {
        let (products, values) = (Spec::read(&products.attrs).ok()?, Spec::read(&values.attrs).ok()?);
        let (weights, v) = if weights == 0 { (&values.a, &values.b) } else { (&values.b, &values.a) };
        let n = *products.out.get(softmax)?;
        let q_at = if products.a.contains(&n) { 1 } else { 0 };
        let (q, k) = if q_at == 0 { (&products.a, &products.b) } else { (&products.b, &products.a) };
        // letters of the scores, seen from the second contraction
        let seen = |letter: &char| weights[products.out.iter().position(|c| c == letter).unwrap_or_default()];
        let lead: Vec<char> = products.out.iter().filter(|c| q.contains(c) && k.contains(c)).copied().collect();
        let m = only(products.out.iter().filter(|c| **c != n && !lead.contains(c)))?;
        let d = only(q.iter().filter(|c| !products.out.contains(c)))?;
        let e = only(v.iter().filter(|c| !weights.contains(c)))?;
        let seen_lead: Vec<char> = lead.iter().map(seen).collect();
        let order = |letters: &[char], lead: &[char], last: [char; 2]| order(letters, &[lead, &last].concat());
        Some(Axes {
            q_at,
            q: order(q, &lead, [m, d])?,
            k: order(k, &lead, [n, d])?,
            v: order(v, &seen_lead, [seen(&n), e])?,
            scores: order(&products.out, &lead, [m, n])?,
            out: inverse(&order(&values.out, &seen_lead, [seen(&m), e])?),
        })
    }
}

fn only<'a>(mut letters: impl Iterator<Item = &'a char>) -> Option<char> {
    letters.next().copied().filter(|_| letters.next().is_none())
}

/// Where each wanted letter stands; None where the lists don't hold the same letters.
fn order(letters: &[char], want: &[char]) -> Option<Vec<usize>> {
    let order: Vec<usize> = want.iter().map(|c| letters.iter().position(|letter| letter == c)).collect::<Option<_>>()?;
    (order.len() == letters.len()).then_some(order)
}

fn inverse(order: &[usize]) -> Vec<usize> {
    (0..order.len()).filter_map(|axis| order.iter().position(|at| *at == axis)).collect()
}

#[cfg(test)]
mod tests {
    use crate::raise::raise;
    use crate::testing::{check, graph, graph_of, ty};
    use ir::{Diagnostic, Graph, ValueId};
    use nest::Func;
    use ops::Builder;

    /// As exporters write it: k is transposed first, the product scaled and masked.
    fn plain(b: &mut Builder, masked: bool) -> Result<ValueId, Diagnostic> {
        let (q, k, v) = (b.input("q", ty("f64[b, 2, m, 4]")), b.input("k", ty("f64[b, 2, n, 4]")), b.input("v", ty("f64[b, 2, n, 3]")));
        let k = b.transpose(k, &[0, 1, 3, 2])?;
        let products = b.contract("abmd,abdn->abmn", q, k)?;
        let mut scores = b.map_number(Func::Div, products, 2.0)?;
        if masked {
            let mask = b.input("mask", ty("f64[b, 1, m, n]"));
            scores = b.map_broadcast(Func::Add, &[scores, mask])?;
        }
        let weights = b.softmax(scores, 3)?;
        b.contract("abmn,abne->abme", weights, v)
    }

    const K: &str = "transpose<[0, 1, 3, 2]>(transpose<[0, 1, 3, 2]>(k))";

    #[test]
    fn without_a_mask() {
        check(raise, &graph_of(|b| plain(b, false)), &format!("y = attention<0.5>(q, {K}, v)"));
    }

    #[test]
    fn with_a_mask() {
        let want = format!("y = attention<0.5>(q, {K}, v, broadcast<[b, 2, m, n]>(mask))");
        check(raise, &graph_of(|b| plain(b, true)), &want);
    }

    #[test]
    fn with_a_softmax_spelled_out() {
        let whole = |graph: &Graph| raise(&crate::decompose::decompose(graph));
        check(whole, &graph_of(|b| plain(b, false)), &format!("y = attention<0.5>(q, {K}, v)"));
    }

    #[test]
    fn with_two_scales_and_two_masks() {
        let before = graph_of(|b| {
            let (q, k, v) = (b.input("q", ty("f64[m, 4]")), b.input("k", ty("f64[n, 4]")), b.input("v", ty("f64[n, 3]")));
            let (near, far) = (b.input("near", ty("f64[m, n]")), b.input("far", ty("f64[m, n]")));
            let (q, k) = (b.map_number(Func::Mul, q, 0.5)?, b.map_number(Func::Mul, k, 0.25)?);
            let products = b.contract("md,nd->mn", q, k)?;
            let scores = b.map(Func::Add, &[near, products])?;
            let scores = b.map(Func::Add, &[scores, far])?;
            let weights = b.softmax(scores, 1)?;
            b.contract("mn,ne->me", weights, v)
        });
        check(raise, &before, "y = attention<0.125>(q, k, v, add(near, far))");
    }

    #[test]
    fn axes_in_another_order() {
        let before = graph_of(|b| {
            let (q, k, v) = (b.input("q", ty("f64[m, 2, 4]")), b.input("k", ty("f64[n, 2, 4]")), b.input("v", ty("f64[n, 2, 3]")));
            let mask = b.input("mask", ty("f64[n, 2, m]"));
            let products = b.contract("nhd,mhd->nhm", k, q)?;
            let scores = b.map(Func::Add, &[products, mask])?;
            let weights = b.softmax(scores, 0)?;
            b.contract("khe,khq->qhe", v, weights)
        });
        let by_head = |name: &str| format!("transpose<[1, 0, 2]>({name})");
        let operands = ["q", "k", "v"].map(by_head).join(", ");
        let want = format!("y = transpose<[1, 0, 2]>(attention<1.0>({operands}, transpose<[1, 2, 0]>(mask)))");
        check(raise, &before, &want);
    }

    /// Weights that something else reads, and weights that are no softmax.
    #[test]
    fn other_forms_stay() {
        let shared = graph(|b| {
            let (q, v) = (b.input("q", ty("f64[m, 4]")), b.input("v", ty("f64[m, 3]")));
            let products = b.contract("md,nd->mn", q, q)?;
            let weights = b.softmax(products, 1)?;
            let y = b.contract("mn,ne->me", weights, v)?;
            b.output("y", y);
            b.output("weights", weights);
            Ok(())
        });
        assert_eq!(raise(&shared), shared);
        let guarded = graph_of(|b| {
            let (q, v) = (b.input("q", ty("f64[m, 4]")), b.input("v", ty("f64[m, 3]")));
            let products = b.contract("md,nd->mn", q, q)?;
            let weights = b.softmax(products, 1)?;
            let (nan, zero) = (b.map(Func::IsNan, &[weights])?, b.number(ir::DType::F64, 0.0));
            let weights = b.map_broadcast(Func::Select, &[nan, zero, weights])?;
            b.contract("mn,ne->me", weights, v)
        });
        assert_eq!(raise(&guarded), guarded);
        let along_m = graph_of(|b| {
            let (q, v) = (b.input("q", ty("f64[m, 4]")), b.input("v", ty("f64[m, 3]")));
            let products = b.contract("md,nd->mn", q, q)?;
            let weights = b.softmax(products, 0)?;
            b.contract("mn,ne->me", weights, v)
        });
        assert_eq!(raise(&along_m), along_m);
    }
}
