//! The passes in order.

use crate::check::ROUNDING;
use crate::{batch_norm, cse, dce, decompose, fold, quantize, raise, simplify, transpose};
use ir::Graph;

/// A pure function from a graph to an equal one.
pub struct Pass {
    pub name: &'static str,
    pub run: fn(&Graph) -> Graph,
    /// How far an output may move, as a share of its largest number, where both graphs are interpreted in f64.
    pub tolerance: f64,
}

/// A pass that keeps every number, but for the rounding of f64.
const fn exact(name: &'static str, run: fn(&Graph) -> Graph) -> Pass {
    Pass { name, run, tolerance: ROUNDING }
}

/// A pass that writes down constants, rounded to their types, or takes rounded ones for what they stand for.
const fn rounding(name: &'static str, run: fn(&Graph) -> Graph) -> Pass {
    Pass { name, run, tolerance: 1e-5 }
}

const PIPELINE: [Pass; 16] = [
    // as the frontend left it, in fewer and plainer nodes
    exact("dce", dce::dce),
    exact("cse", cse::cse),
    // as long as scales and zero points stand beside what they belong to
    exact("quantize", quantize::quantize),
    rounding("fold", fold::fold),
    exact("simplify", simplify::simplify),
    exact("transpose", transpose::transpose),
    exact("simplify_turned", simplify::simplify),
    // with the names of composites, and what is known of them
    rounding("raise", raise::raise),
    rounding("batch_norm", batch_norm::batch_norm),
    // in core ops
    rounding("decompose", decompose::decompose),
    rounding("fold_core", fold::fold),
    exact("transpose_core", transpose::transpose),
    rounding("fold_turned", fold::fold),
    exact("simplify_core", simplify::simplify),
    exact("cse_core", cse::cse),
    exact("dce_core", dce::dce),
];

/// From any well-formed graph to one of core ops alone.
pub fn pipeline() -> &'static [Pass] {
    &PIPELINE
}

/// All passes, one after the other.
pub fn run(graph: &Graph) -> Graph {
    PIPELINE.iter().fold(graph.clone(), |graph, pass| (pass.run)(&graph))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::executes_equally;
    use crate::decompose::has_composites;
    use crate::testing::{counted, graph, graph_of, text, ty, well_formed};
    use ir::{DType, Diagnostic, ValueId};
    use nest::Func;
    use ops::{Builder, Folded, WindowAttrs};

    /// Each pass keeps the graph well-formed and its meaning; after all of them it is in core ops, and stays as it is.
    fn check_pipeline(before: &Graph) -> Graph {
        let mut graph = before.clone();
        for pass in pipeline() {
            let after = (pass.run)(&graph);
            well_formed(&after);
            for seed in 0..2 {
                // the types are f64, and so nothing is rounded further
                executes_equally(&graph, &after, seed).unwrap_or_else(|error| panic!("{}: {error}", pass.name));
            }
            graph = after;
        }
        assert!(!has_composites(&graph));
        assert_eq!(text(&run(&graph)), text(&graph), "a second run changes nothing");
        graph
    }

    fn count(graph: &Graph, op: &str) -> usize {
        graph.nodes.iter().filter(|node| node.op == op).count()
    }

    /// A layer norm as PyTorch writes it.
    fn norm(b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let mean = b.mean(x, &[2], Folded::Kept)?;
        let centred = b.map_broadcast(Func::Sub, &[x, mean])?;
        let square = b.map_number(Func::Pow, centred, 2.0)?;
        let variance = b.mean(square, &[2], Folded::Kept)?;
        let shifted = b.map_number(Func::Add, variance, 1e-5)?;
        let root = b.map(Func::Sqrt, &[shifted])?;
        let normal = b.map_broadcast(Func::Div, &[centred, root])?;
        let (scale, bias) = (counted(b, DType::F64, &[8]), counted(b, DType::F64, &[8]));
        let scaled = b.map_broadcast(Func::Mul, &[normal, scale])?;
        b.map_broadcast(Func::Add, &[scaled, bias])
    }

    /// Every one has other weights.
    fn linear(b: &mut Builder, x: ValueId, outputs: usize) -> Result<ValueId, Diagnostic> {
        let inputs = b.dims(x)[2].as_const().unwrap_or(0) as usize;
        let first = b.graph.graph().nodes.len() as i64;
        let w = b.ints(DType::F64, vec![inputs, outputs], (first..first + (inputs * outputs) as i64).map(|at| at * 7 % 5 - 2).collect());
        let (w, bias) = (b.map_number(Func::Mul, w, 0.25)?, counted(b, DType::F64, &[outputs]));
        let product = b.contract("bsk,kn->bsn", x, w)?;
        b.map_broadcast(Func::Add, &[product, bias])
    }

    fn heads(b: &mut Builder, x: ValueId, perm: [usize; 4]) -> Result<ValueId, Diagnostic> {
        let x = linear(b, x, 8)?;
        let split = b.reshape(x, &ty("f64[b, s, 2, 4]").dims)?;
        b.transpose(split, &perm)
    }

    /// A whole layer: of its orders of axes one is left.
    #[test]
    fn a_transformer_layer() {
        let before = graph_of(|b| {
            let (x, mask) = (b.input("x", ty("f64[b, s, 8]")), b.input("mask", ty("i64[b, s]")));
            let mask = b.convert(mask, DType::F64)?;
            let mask = b.unsqueeze(mask, &[1, 2])?;
            let one = b.number(DType::F64, 1.0);
            let hidden = b.map_broadcast(Func::Sub, &[one, mask])?;
            let hidden = b.map_number(Func::Mul, hidden, -1e4)?;
            let (q, k, v) = (heads(b, x, [0, 2, 1, 3])?, heads(b, x, [0, 2, 3, 1])?, heads(b, x, [0, 2, 1, 3])?);
            let scores = b.contract("abmd,abdn->abmn", q, k)?;
            let scores = b.map_number(Func::Div, scores, 2.0)?;
            let scores = b.map_broadcast(Func::Add, &[scores, hidden])?;
            let weights = b.softmax(scores, 3)?;
            let out = b.contract("abmn,abne->abme", weights, v)?;
            let out = b.transpose(out, &[0, 2, 1, 3])?;
            let out = b.reshape(out, &ty("f64[b, s, 8]").dims)?;
            let out = linear(b, out, 8)?;
            let sum = b.map(Func::Add, &[x, out])?;
            let normal = norm(b, sum)?;
            let wide = linear(b, normal, 16)?;
            let bent = b.gelu(wide)?;
            linear(b, bent, 8)
        });
        let after = check_pipeline(&before);
        // what is divided by the sums of the softmax is turned behind that, by the indices of what writes it
        assert_eq!((count(&after, "transpose"), count(&after, "contract")), (1, 8));
    }

    #[test]
    fn a_block_of_convolutions() {
        let before = graph(|b| {
            let x = b.input("x", ty("f64[n, 2, 6, 6]"));
            let mut out = x;
            for _ in 0..2 {
                let w = counted(b, DType::F64, &[2, 2, 3, 3]);
                let w = b.map_number(Func::Mul, w, 0.01)?;
                out = b.conv(out, w, &WindowAttrs { low: vec![1, 1], high: vec![1, 1], ..WindowAttrs::plain(2) }, 1)?;
                let parameters = [1, 2, 3, 4].map(|value| b.ints(DType::F64, vec![2], vec![value, value + 1]));
                out = b.batch_norm(out, parameters, 1e-5)?;
                out = b.map_number(Func::Max, out, 0.0)?;
            }
            let sum = b.map(Func::Add, &[out, x])?;
            let pooled = b.mean(sum, &[2, 3], Folded::Dropped)?;
            b.output("features", sum);
            b.output("pooled", pooled);
            Ok(())
        });
        let after = check_pipeline(&before);
        let names: Vec<&str> = after.nodes.iter().map(|node| node.op).collect();
        assert_eq!(after.outputs.len(), 2);
        assert!(names.len() <= 14, "{names:?}");
    }

    /// Convolutions between channels first and last, as TensorFlow's models have them.
    #[test]
    fn orders_around_convolutions_cancel() {
        let before = graph_of(|b| {
            let mut x = b.input("x", ty("f64[n, 4, 4, 2]"));
            for _ in 0..3 {
                let w = counted(b, DType::F64, &[2, 2, 1, 1]);
                let first = b.transpose(x, &[0, 3, 1, 2])?;
                let out = b.conv(first, w, &WindowAttrs::plain(2), 1)?;
                let last = b.transpose(out, &[0, 2, 3, 1])?;
                let bias = counted(b, DType::F64, &[2]);
                let sum = b.map_broadcast(Func::Add, &[last, bias])?;
                x = b.map_number(Func::Max, sum, 0.0)?;
            }
            Ok(x)
        });
        let after = check_pipeline(&before);
        assert_eq!(count(&after, "transpose"), 2);
    }

    #[test]
    fn an_empty_graph() {
        check_pipeline(&graph_of(|b| Ok(b.input("x", ty("f32[n]")))));
    }
}
