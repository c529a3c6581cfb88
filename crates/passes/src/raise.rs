//! `raise`: composites by name, where exporters spelled them out.
//!
//! - [`softmax`], [`layer_norm`], [`gelu`]: read from scalar functions and folds
//! - [`attention`]: read from contractions around a softmax
//! - [`polynomial`]: scalar functions as polynomials, whatever their order

pub mod attention;
pub mod gelu;
pub mod layer_norm;
pub mod polynomial;
pub mod softmax;

use crate::rewrite::{Rewriter, rewrite};
use crate::view::{Uses, View};
use ir::{Graph, Node, ValueId};
use nest::Monoid;
use ops::attrs;

/// Recovers the names of composites. Needs the forms that `simplify` leaves; values inside a composite must have no other reader.
///
/// ```text
/// e = exp(sub(x, broadcast(reduce(x, max)))); y = div(e, broadcast(reduce(e, sum)))   ->   y = softmax(x)
/// ```
pub fn raise(graph: &Graph) -> Graph {
    let graph = raise_scalar_forms(graph);
    if graph.nodes.iter().any(|node| node.op == "softmax") { raise_attention(&graph) } else { graph }
}

fn raise_scalar_forms(graph: &Graph) -> Graph {
    let uses = Uses::of(graph);
    rewrite(graph, raise, |rewriter, site| {
        let root = *site.node.outputs.first()?;
        let raised = [softmax::raised, layer_norm::raised, gelu::raised];
        raised.iter().find_map(|raised| raised(rewriter, &uses, root)).map(|value| vec![value])
    })
}

/// Regions are done: they went through `raise` with the scalar forms.
fn raise_attention(graph: &Graph) -> Graph {
    let uses = Uses::of(graph);
    rewrite(graph, Graph::clone, |rewriter, site| {
        let root = *site.node.outputs.first().filter(|_| site.node.op == "contract")?;
        attention::raised(rewriter, &uses, root).map(|value| vec![value])
    })
}

/// The next nodes come from what made `root` and the `inner` values of the graph before; None where those have other readers.
fn claim(rewriter: &mut Rewriter, uses: &Uses, root: ValueId, inner: &[ValueId]) -> Option<()> {
    let before = rewriter.before;
    uses.closed(before, root, inner).then_some(())?;
    let mut inner = inner.to_vec();
    inner.sort_unstable();
    let view = View::of(before);
    let location = inner.iter().map(|id| view.location(*id)).reduce(|all, one| all.join(&one));
    rewriter.b.location = location.unwrap_or_default().join(&view.location(root));
    Some(())
}

/// The operand and axes of a fold that keeps its axes.
fn kept_fold<'g>(view: View<'g>, value: ValueId, kind: Monoid) -> Option<(ValueId, &'g [i64])> {
    let node: &Node = view.made_by(value, "reduce")?;
    let same = attrs::text(&node.attrs, "kind") == Ok(kind.name()) && attrs::flag(&node.attrs, "keep") == Ok(true);
    same.then_some((node.inputs[0], attrs::ints(&node.attrs, "axes").ok()?))
}
