//! `fold`: computes now what needs no input.

use crate::rewrite::{Rewriter, Site, rewrite};
use ir::graph::{Attr, Node};
use ir::{Graph, Tensor, ValueId};
use ops::ConcreteType;
use std::collections::BTreeMap;

/// The largest result, in elements.
const MOST_RESULTS: usize = 1024;
/// The largest sum of operands, in elements.
const MOST_OPERANDS: usize = 65536;

/// Evaluates nodes whose operands are all constants, by the reference meaning of their op, where result and operands are small. A result is
/// a constant without a weight's name. An expanding `broadcast` stays (it stores less), but what reads it is folded. What is larger is left
/// to be computed once before the first call. A node whose meaning is an error stays, and fails when it runs.
///
/// ```text
/// c = [1, 2]; y = mul(add(c, c), x)   ->   d = [2, 4]; y = mul(d, x)
/// ```
pub fn fold(graph: &Graph) -> Graph {
    let mut known: Known = BTreeMap::new();
    rewrite(graph, fold, |rewriter, site| {
        let operands = known_operands(rewriter, site, &known)?;
        let results = evaluated(rewriter, site, &operands)?;
        if expands(site, &operands, &results) {
            let value = rewriter.b.op(site.node.op, site.node.attrs.clone(), &site.inputs).ok()?;
            known.insert(*value.first()?, results.into_iter().next()?);
            return Some(value);
        }
        Some(results.into_iter().map(|tensor| rewriter.b.graph.constant(tensor, None, site.node.op)).collect())
    })
}

/// Contents of values that are no constants, but equal to one.
type Known = BTreeMap<ValueId, Tensor>;

/// The contents of all operands, where they are known and small enough.
fn known_operands(rewriter: &Rewriter, site: &Site, known: &Known) -> Option<Vec<Tensor>> {
    let graph = rewriter.b.graph.graph();
    let tensor = |id: &ValueId| graph.constant(*id).or_else(|| known.get(id)).cloned();
    let operands: Vec<Tensor> = site.inputs.iter().map(tensor).collect::<Option<_>>()?;
    (operands.iter().map(Tensor::count).sum::<usize>() <= MOST_OPERANDS).then_some(operands)
}

/// The results of a node without regions at sizes without symbols, each rounded to its type.
fn evaluated(rewriter: &Rewriter, site: &Site, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let def = ops::find(site.node.op).filter(|_| site.node.regions.is_empty())?;
    let attrs = ops::attrs::concrete(&site.node.attrs, &|_| None)?;
    let types: Vec<ConcreteType> =
        rewriter.types(&site.node.outputs).iter().map(|ty| Some((ty.dtype, ty.const_dims()?))).collect::<Option<_>>()?;
    let counts = types.iter().map(|(_, dims)| dims.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim)));
    if counts.map(|count| count.unwrap_or(usize::MAX)).max()? > MOST_RESULTS || taps(site.node) > MOST_OPERANDS as i64 {
        return None;
    }
    let arrays: Vec<_> = operands.iter().map(Tensor::to_array).collect();
    let results = (def.reference)(&arrays.iter().collect::<Vec<_>>(), &attrs, &types).ok()?;
    Some(results.iter().map(Tensor::from_array).collect())
}

/// The size of a window, which may be far larger than the operand under it.
fn taps(node: &Node) -> i64 {
    match node.attrs.get("window") {
        Some(Attr::Ints(taps)) => taps.iter().copied().fold(1i64, i64::saturating_mul),
        _ => 1,
    }
}

/// Whether the result is longer than its only source.
fn expands(site: &Site, operands: &[Tensor], results: &[Tensor]) -> bool {
    site.node.op == "broadcast" && results[0].count() > operands[0].count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, counted, graph, graph_of, ty};
    use ir::DType;
    use nest::Func;

    #[test]
    fn chains_of_small_constants_become_one() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[2]"));
            let c = counted(b, DType::F32, &[2]);
            let doubled = b.map_number(Func::Mul, c, 2.0)?;
            let square = b.map(Func::Mul, &[doubled, doubled])?;
            b.map(Func::Add, &[x, square])
        });
        let after = check(fold, &before, "y = add(x, {4.0, 16.0})");
        assert_eq!(*after.value(after.nodes[0].inputs[1]).name, *"mul_1");
    }

    #[test]
    fn a_window_of_a_billion_taps_stays() {
        let before = graph_of(|b| {
            let c = counted(b, DType::F32, &[1, 1, 4]);
            let window = ops::WindowAttrs { low: vec![1 << 30], ..ops::WindowAttrs::plain(1) };
            b.reduce_window(nest::Monoid::Sum, c, &[1 << 30], &window)
        });
        assert_eq!(fold(&before).nodes.len(), 1);
    }

    #[test]
    fn results_take_the_type_of_their_node() {
        let before = graph(|b| {
            let c = b.ints(DType::I64, vec![2], vec![200, -1]);
            let byte = b.convert(c, DType::I8)?;
            let zero = b.number(DType::I64, 0.0);
            let below = b.map_broadcast(Func::Less, &[c, zero])?;
            b.output("byte", byte);
            b.output("below", below);
            Ok(())
        });
        check(fold, &before, "byte = {-56, -1}; below = {0, 1}");
    }

    #[test]
    fn sizes_and_coordinates_without_symbols_fold() {
        let before = graph(|b| {
            let at = b.iota(&[2.into(), 2.into()], 1, DType::I32)?;
            let x = b.input("x", ty("f32[n]"));
            let size = b.size(&b.dims(x)[0].clone(), DType::I64)?;
            b.output("at", at);
            b.output("size", size);
            Ok(())
        });
        check(fold, &before, "at = {0, 1, 0, 1}; size = sizes<[] i64 [n]>()");
    }

    #[test]
    fn expanded_constants_stay_short_but_fold_further() {
        let before = graph(|b| {
            let x = b.input("x", ty("f32[3]"));
            let one = b.number(DType::F32, 1.0);
            let ones = b.broadcast(one, &[3.into()])?;
            let more = b.map(Func::Add, &[x, ones])?;
            let twos = b.map(Func::Add, &[ones, ones])?;
            b.output("more", more);
            b.output("twos", twos);
            Ok(())
        });
        check(fold, &before, "more = add(x, broadcast<[3]>(1.0)); twos = 2.0[3]");
    }

    #[test]
    fn large_results_and_errors_stay() {
        let large = graph_of(|b| {
            let c = counted(b, DType::F32, &[1025]);
            b.map(Func::Neg, &[c])
        });
        assert_eq!(fold(&large), large);
        let error = graph_of(|b| {
            let (c, index) = (counted(b, DType::F32, &[3]), b.ints(DType::I64, vec![1], vec![3]));
            b.gather(c, index, 0)
        });
        assert_eq!(fold(&error), error);
    }

    #[test]
    fn empty_tensors_fold() {
        let before = graph_of(|b| {
            let c = b.ints(DType::I64, vec![0], vec![]);
            b.reduce(nest::Monoid::Sum, c, &[0], ops::Folded::Dropped)
        });
        check(fold, &before, "y = 0");
    }
}
