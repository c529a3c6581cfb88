//! `decompose`: composites as core ops.

use crate::rewrite::{Rewriter, Site, rewrite};
use ir::{Graph, ValueId};
use ops::Kind;

/// How deep composites are made of composites.
const DEPTH: usize = 4;

/// Replaces composites by their decompositions until only core ops are left; those of a decomposition too. A composite beyond the limits of
/// its decomposition stays, for the lowering to name.
///
/// ```text
/// y = softmax(x, 1)   ->   e = exp(sub(x, broadcast(reduce(x, max)))); y = div(e, broadcast(reduce(e, sum)))
/// ```
pub fn decompose(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for _ in 0..DEPTH {
        if !has_composites(&graph) {
            break;
        }
        graph = rewrite(&graph, decompose, decomposed);
    }
    graph
}

/// Whether a graph or a region in it has a composite.
pub fn has_composites(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| is_composite(node.op) || node.regions.iter().any(has_composites))
}

fn is_composite(op: &str) -> bool {
    ops::find(op).is_some_and(|def| matches!(def.kind, Kind::Composite { .. }))
}

/// The node's decomposition; a result whose dims are spelled in another way is reshaped to the node's.
fn decomposed(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let Kind::Composite { decompose } = ops::find(site.node.op)?.kind else { return None };
    let results = decompose(&mut rewriter.b, &site.inputs, &site.node.attrs).ok()?;
    let types = rewriter.types(&site.node.outputs);
    results.iter().zip(types).map(|(id, ty)| rewriter.b.reshape(*id, &ty.dims).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, graph_of, ty};
    use nest::Func;

    #[test]
    fn a_softmax() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n, 4]"));
            b.softmax(x, 1)
        });
        let exp = "exp(sub(x, broadcast<[n, 4]>(reduce<[1] 1 max>(x))))";
        check(decompose, &before, &format!("y = div({exp}, broadcast<[n, 4]>(reduce<[1] 1 sum>({exp})))"));
    }

    #[test]
    fn composites_of_composites() {
        let before = graph_of(|b| {
            let q = b.input("q", ty("f64[n, 3, 4]"));
            let out = b.attention(q, q, q, None, 0.5)?;
            b.gelu(out)
        });
        let after = decompose(&before);
        assert!(!has_composites(&after));
        crate::testing::well_formed(&after);
        crate::check::executes_equally(&before, &after, 1).unwrap();
    }

    #[test]
    fn regions_are_decomposed() {
        let region = |func: Func| {
            graph_of(|b| {
                let x = b.input("x", ty("f64[n]"));
                let x = b.map(func, &[x])?;
                b.hard_sigmoid(x, 0.2, 0.5)
            })
        };
        let before = graph_of(|b| {
            let (flag, x) = (b.input("flag", ty("bool[]")), b.input("x", ty("f64[n]")));
            Ok(b.branch(flag, &[x], region(Func::Neg), region(Func::Abs))?[0])
        });
        let after = decompose(&before);
        assert!(!has_composites(&after));
        crate::check::executes_equally(&before, &after, 1).unwrap();
    }

    #[test]
    fn a_result_keeps_its_type_and_name() {
        let before = graph_of(|b| {
            let (x, scale) = (b.input("x", ty("f64[n, 3]")), b.input("scale", ty("f64[3]")));
            let zero = b.ints(ir::DType::F64, vec![3], vec![0, 0, 0]);
            b.layer_norm(x, scale, zero, 1, 1e-5)
        });
        let after = decompose(&before);
        assert_eq!(*after.value(after.outputs[0].1).name, *"layer_norm");
        assert!(after.nodes.iter().all(|node| node.location == ir::Location::of("/test")));
    }
}
