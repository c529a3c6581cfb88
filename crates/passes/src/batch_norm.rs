//! `batch_norm`: scales and shifts by channel go into the convolution before them.

use crate::rewrite::{Rewriter, Site, rewrite};
use crate::view::{Uses, View, func_of};
use ir::{Attrs, Graph, ValueId};
use nest::Func;
use ops::attrs;
use sym::Expr;

/// Folds `batch_norm`, and products, quotients, sums and differences with constants by channel, into the weights of a convolution and one
/// sum after it. Those weights must be constant, and nothing else may read the convolution. What becomes of the weights is nodes on
/// constants alone, computed once before the first call.
///
/// ```text
/// y = batch_norm(conv(x, w), scale, bias, mean, variance)   ->   f = mul(scale, rsqrt(add(variance, epsilon)));
///                                                                y = add(conv(x, mul(w, f)), sub(bias, mul(mean, f)))
/// ```
pub fn batch_norm(graph: &Graph) -> Graph {
    let uses = Uses::of(graph);
    let mut fixed = Fixed::default();
    rewrite(graph, batch_norm, |rewriter, site| {
        fixed.extend(rewriter);
        folded(rewriter, site, &uses, &fixed).map(|value| vec![value])
    })
}

/// Which values of the graph after depend on nothing but constants.
#[derive(Default)]
struct Fixed(Vec<bool>);

impl Fixed {
    /// Looks at the values that are new.
    fn extend(&mut self, rewriter: &Rewriter) {
        let graph = rewriter.view().graph;
        for id in (self.0.len() as u32..graph.values.len() as u32).map(ValueId) {
            let of_constants = |node: &ir::Node| node.regions.is_empty() && node.inputs.iter().all(|id| self.holds(*id));
            let fixed = graph.constant(id).is_some() || graph.producer(id).is_some_and(|(_, node)| of_constants(node));
            self.0.push(fixed);
        }
    }

    fn holds(&self, id: ValueId) -> bool {
        self.0.get(id.0 as usize).copied().unwrap_or(false)
    }
}

/// `conv(x, w) + shift`, in values of the graph after.
struct Conv {
    x: ValueId,
    w: ValueId,
    attrs: Attrs,
    /// Of dims `[C]`.
    shift: Option<ValueId>,
    rank: usize,
    channels: Expr,
    /// The values that make it.
    inner: Vec<ValueId>,
}

/// What follows a convolution: a function with a value of dims `[C]`.
enum Step {
    Scale(Func, ValueId),
    Shift(Func, ValueId),
}

fn folded(rewriter: &mut Rewriter, site: &Site, uses: &Uses, fixed: &Fixed) -> Option<ValueId> {
    let (mut conv, steps) = match func_of(site.node.op, &site.node.attrs) {
        Some(func) => arithmetic(rewriter, site, uses, fixed, func)?,
        None => normalisation(rewriter, site, uses, fixed)?,
    };
    conv.inner.iter().for_each(|id| rewriter.covers(*id));
    for step in steps {
        conv.take(rewriter, step)?;
    }
    conv.build(rewriter)
}

/// A function of a convolution and a constant by channel. A lone sum is left as it is.
fn arithmetic(rewriter: &mut Rewriter, site: &Site, uses: &Uses, fixed: &Fixed, func: Func) -> Option<(Conv, Vec<Step>)> {
    let orders: &[[usize; 2]] = match func {
        Func::Mul | Func::Add => &[[0, 1], [1, 0]],
        Func::Div | Func::Sub => &[[0, 1]],
        _ => return None,
    };
    for [at, other] in orders {
        let Some(conv) = Conv::read_operand(rewriter, site, *at, uses, fixed) else { continue };
        let fit = if func == Func::Div { f64::is_normal } else { f64::is_finite };
        let vector = conv.by_channel(rewriter, site.inputs[*other], fixed, fit)?;
        return match func {
            Func::Mul | Func::Div => Some((conv, vec![Step::Scale(func, vector)])),
            _ => conv.shift.is_some().then(|| (conv, vec![Step::Shift(func, vector)])),
        };
    }
    None
}

/// `batch_norm` as a factor and a shift, computed in f32 for the short floats.
fn normalisation(rewriter: &mut Rewriter, site: &Site, uses: &Uses, fixed: &Fixed) -> Option<(Conv, Vec<Step>)> {
    site.inputs.first().filter(|_| site.node.op == "batch_norm" && site.inputs[1..].iter().all(|id| fixed.holds(*id)))?;
    let conv = Conv::read_operand(rewriter, site, 0, uses, fixed)?;
    let epsilon = attrs::float(&site.node.attrs, "epsilon").ok()?;
    let b = &mut rewriter.b;
    let wide: Vec<ValueId> = site.inputs[1..].iter().map(|id| b.widened(*id).ok()).collect::<Option<_>>()?;
    let [scale, bias, mean, variance] = wide[..] else { return None };
    let shifted = b.map_number(Func::Add, variance, epsilon).ok()?;
    let root = b.map(Func::Rsqrt, &[shifted]).ok()?;
    let factor = b.map(Func::Mul, &[scale, root]).ok()?;
    let moved = b.map(Func::Mul, &[mean, factor]).ok()?;
    let shift = b.map(Func::Sub, &[bias, moved]).ok()?;
    let shift = b.convert(shift, b.dtype(site.inputs[1])).ok()?;
    Some((conv, vec![Step::Scale(Func::Mul, factor), Step::Shift(Func::Add, shift)]))
}

/// Whether all elements of a constant are `fit`; true of what is computed from constants.
fn all_elements(view: View, value: ValueId, fit: fn(f64) -> bool) -> bool {
    let value = view.operand_of(value, "reshape").unwrap_or(value);
    let Some(array) = view.graph.constant(value).map(|tensor| tensor.to_array()) else { return true };
    (0..array.count()).all(|at| fit(array.get(at).as_f64()))
}

/// `func(x, vector)` along x's first axis, rounded once to x's type.
fn scaled(rewriter: &mut Rewriter, func: Func, x: ValueId, vector: ValueId) -> Option<ValueId> {
    let b = &mut rewriter.b;
    let (dtype, dims) = (b.dtype(x), b.dims(x).to_vec());
    let axes: Vec<usize> = (1..dims.len()).collect();
    let (wide, vector) = (b.widened(x).ok()?, b.widened(vector).ok()?);
    let vector = b.unsqueeze(vector, &axes).ok()?;
    let vector = b.broadcast(vector, &dims).ok()?;
    let product = b.map(func, &[wide, vector]).ok()?;
    b.convert(product, dtype).ok()
}

impl Conv {
    /// An operand of the site that nothing else reads: a convolution, or one plus a constant by channel.
    fn read_operand(rewriter: &mut Rewriter, site: &Site, at: usize, uses: &Uses, fixed: &Fixed) -> Option<Conv> {
        (uses.count(site.node.inputs[at]) == 1).then_some(())?;
        let value = site.inputs[at];
        if let Some(conv) = Conv::read(rewriter.view(), value, fixed) {
            return Some(conv);
        }
        let view = rewriter.view();
        let bare = |operand: ValueId| Conv::read(view, operand, fixed).map(|conv| (operand, conv));
        let ((operand, mut conv), shift) = view.either(value, Func::Add, bare)?;
        // a convolution that a step before this one made has no reader but the sum
        let readers = rewriter.before_of(operand).map_or(1, |id| uses.count(id));
        (readers == 1).then_some(())?;
        conv.shift = Some(conv.by_channel(rewriter, shift, fixed, f64::is_finite)?);
        conv.inner.push(value);
        Some(conv)
    }

    /// Makes a step part of the weights and the shift.
    fn take(&mut self, rewriter: &mut Rewriter, step: Step) -> Option<()> {
        match (step, self.shift) {
            (Step::Scale(func, factor), shift) => {
                self.w = scaled(rewriter, func, self.w, factor)?;
                if let Some(shift) = shift {
                    self.shift = Some(scaled(rewriter, func, shift, factor)?);
                }
            }
            (Step::Shift(func, more), Some(shift)) => self.shift = Some(scaled(rewriter, func, shift, more)?),
            (Step::Shift(Func::Sub, more), None) => self.shift = Some(rewriter.b.map(Func::Neg, &[more]).ok()?),
            (Step::Shift(_, more), None) => self.shift = Some(more),
        }
        Some(())
    }

    fn build(self, rewriter: &mut Rewriter) -> Option<ValueId> {
        let out = rewriter.b.one("conv", self.attrs, &[self.x, self.w]).ok()?;
        let Some(shift) = self.shift else { return Some(out) };
        let axes: Vec<usize> = (1..self.rank - 1).collect();
        let shift = rewriter.b.unsqueeze(shift, &axes).ok()?;
        rewriter.b.map_broadcast(Func::Add, &[out, shift]).ok()
    }

    fn read(view: View, value: ValueId, fixed: &Fixed) -> Option<Conv> {
        let node = view.made_by(value, "conv").filter(|node| fixed.holds(node.inputs[1]))?;
        let (x, w) = (node.inputs[0], node.inputs[1]);
        let ty = view.ty(value);
        let float = ty.dtype.is_float() && ty.dtype == view.ty(w).dtype;
        let (attrs, channels) = (node.attrs.clone(), view.ty(w).dims[0].clone());
        float.then(|| Conv { x, w, attrs, shift: None, rank: ty.rank(), channels, inner: vec![value] })
    }

    /// A constant that varies with the channel only, as `[C]`, where all its elements are `fit`. Infinities and divisors of 0 stay outside:
    /// together with a weight of 0 they would make a NaN.
    fn by_channel(&self, rewriter: &mut Rewriter, value: ValueId, fixed: &Fixed, fit: fn(f64) -> bool) -> Option<ValueId> {
        fixed.holds(value).then_some(())?;
        let source = rewriter.view().unbroadcast(value);
        let dims = rewriter.b.dims(source).to_vec();
        let lead = self.rank - dims.len();
        let fits = |(axis, dim): (usize, &Expr)| dim.is_one() || (axis + lead == 1 && *dim == self.channels);
        (dims.iter().enumerate().all(fits) && all_elements(rewriter.view(), source, fit)).then_some(())?;
        let vector = rewriter.b.reshape(source, &[Expr::product(&dims)]).ok()?;
        rewriter.b.broadcast(vector, std::slice::from_ref(&self.channels)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::fold;
    use crate::testing::{check, counted, graph, graph_of, ty};
    use ir::{DType, Diagnostic, Location};
    use ops::{Builder, WindowAttrs};

    const X: &str = "f64[n, 4, 5, 5]";

    /// Two groups, padded: channels and borders must not mix.
    fn conv(b: &mut Builder, x: ValueId) -> Result<ValueId, Diagnostic> {
        let w = counted(b, DType::F64, &[6, 2, 3, 3]);
        let mut window = WindowAttrs::plain(2);
        window.low = vec![1, 0];
        b.location = Location::of("/conv");
        b.conv(x, w, &window, 2)
    }

    fn by_channel(b: &mut Builder, first: i64) -> ValueId {
        b.ints(DType::F64, vec![6], (first..first + 6).collect())
    }

    fn whole(graph: &Graph) -> Graph {
        fold(&batch_norm(graph))
    }

    fn ops(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.op).collect()
    }

    #[test]
    fn a_normalisation() {
        let before = graph_of(|b| {
            let x = b.input("x", ty(X));
            let out = conv(b, x)?;
            let parameters = [1, -2, 3, 4].map(|first| by_channel(b, first));
            b.location = Location::of("/norm");
            b.batch_norm(out, parameters, 1e-5)
        });
        let want = "y = add(conv<[1, 1] 2 [0, 0] [1, 0] [1, 1]>(x, mul_2), broadcast<[n, 6, 4, 3]>(reshape_1))";
        let after = check(whole, &before, want);
        let conv = after.nodes.iter().find(|node| node.op == "conv").unwrap();
        assert_eq!(conv.location, Location(vec!["/conv".into(), "/norm".into()]));
    }

    #[test]
    fn a_chain_of_steps() {
        let before = graph_of(|b| {
            let x = b.input("x", ty(X));
            let out = conv(b, x)?;
            let steps = [(Func::Add, 1), (Func::Mul, 2), (Func::Sub, 3), (Func::Div, 4), (Func::Add, 5)];
            steps.into_iter().try_fold(out, |out, (func, first)| {
                let vector = by_channel(b, first);
                let vector = b.unsqueeze(vector, &[1, 2])?;
                b.map_broadcast(func, &[out, vector])
            })
        });
        let after = whole(&before);
        let funcs: Vec<_> = after.nodes.iter().filter_map(|node| func_of(node.op, &node.attrs)).collect();
        assert_eq!(funcs, [Func::Add]);
        crate::check::executes_equally(&before, &after, 3).unwrap();
        crate::testing::well_formed(&after);
    }

    #[test]
    fn a_number_and_a_bias_before_a_normalisation() {
        let before = graph_of(|b| {
            let x = b.input("x", ty(X));
            let out = conv(b, x)?;
            let bias = by_channel(b, 7);
            let bias = b.reshape(bias, &ty("f64[1, 6, 1, 1]").dims)?;
            let out = b.map_broadcast(Func::Add, &[bias, out])?;
            let out = b.map_number(Func::Mul, out, 0.5)?;
            let parameters = [1, -2, 3, 4].map(|first| by_channel(b, first));
            b.batch_norm(out, parameters, 1e-5)
        });
        let after = whole(&before);
        assert_eq!(ops(&after), ["conv", "broadcast", "map"]);
        crate::check::executes_equally(&before, &after, 3).unwrap();
    }

    #[test]
    fn what_others_read_stays() {
        let before = graph(|b| {
            let x = b.input("x", ty(X));
            let out = conv(b, x)?;
            let doubled = b.map_number(Func::Mul, out, 2.0)?;
            b.output("out", out);
            b.output("doubled", doubled);
            Ok(())
        });
        assert_eq!(batch_norm(&before), before);
    }

    #[test]
    fn scales_that_vary_otherwise_stay() {
        for (dims, count) in [("n, 6, 1, 1", 0), ("3", 3), ("4, 1", 4)] {
            let before = graph_of(|b| {
                let x = b.input("x", ty(X));
                let scale = match count {
                    0 => b.input("scale", ty(&format!("f64[{dims}]"))),
                    _ => counted(b, DType::F64, &[count]),
                };
                let out = conv(b, x)?;
                let scale = b.reshape(scale, &ty(&format!("f64[{dims}]")).dims)?;
                b.map_broadcast(Func::Mul, &[out, scale])
            });
            assert_eq!(batch_norm(&before), before);
        }
    }

    #[test]
    fn short_floats_are_rounded_once() {
        let before = graph_of(|b| {
            let (x, w) = (b.input("x", ty("f16[n, 1, 4]")), counted(b, DType::F16, &[2, 1, 1]));
            let out = b.conv(x, w, &WindowAttrs::plain(1), 1)?;
            let parameters = [1, 1, 1, 3].map(|value| b.ints(DType::F16, vec![2], vec![value, value]));
            b.batch_norm(out, parameters, 1.0)
        });
        let after = whole(&before);
        assert_eq!(crate::testing::text(&after), "y = add(conv<[1] 1 [0] [0] [1]>(x, {0.5, 1.0}), broadcast<[n, 2, 4]>(0.5[2, 1]))");
    }
}
