//! Rules of ops that pick and join parts: slices, gathers, concatenations, padding.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::{Attrs, Tensor, ValueId};
use ops::attrs;
use sym::{Expr, Ranges};

pub const RULES: &[Rule] = &[
    Rule { meaning: "slice(x, all of it) -> x", apply: whole_slice },
    Rule { meaning: "slice(slice(x, a), b) -> slice(x, a of b)", apply: sliced_twice },
    Rule { meaning: "pad(x, by nothing) -> x", apply: padded_by_nothing },
    Rule { meaning: "concat(x) -> x", apply: concat_of_one },
    Rule { meaning: "concat(x, nothing) -> concat(x)", apply: concat_with_nothing },
    Rule { meaning: "gather(x, i) -> slice(x, i ..), where i is known, even and in bounds", apply: gather_of_known },
];

/// The attributes of a slice.
struct Slice {
    starts: Vec<Expr>,
    sizes: Vec<Expr>,
    steps: Vec<i64>,
}

impl Slice {
    fn read(attrs: &Attrs) -> Option<Slice> {
        let exprs = |name: &str| attrs::exprs(attrs, name).ok().map(<[Expr]>::to_vec);
        Some(Slice { starts: exprs("starts")?, sizes: exprs("sizes")?, steps: attrs::ints(attrs, "steps").ok()?.to_vec() })
    }

    /// This part of a part.
    fn of(&self, outer: &Slice) -> Slice {
        let axes = 0..self.starts.len();
        Slice {
            starts: axes.clone().map(|axis| &outer.starts[axis] + &(&self.starts[axis] * outer.steps[axis])).collect(),
            sizes: self.sizes.clone(),
            steps: axes.map(|axis| self.steps[axis] * outer.steps[axis]).collect(),
        }
    }
}

fn whole_slice(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("slice")?;
    let slice = Slice::read(&site.node.attrs)?;
    // a step does not matter where there is one element
    let forward = slice.steps.iter().zip(&slice.sizes).all(|(step, size)| *step == 1 || size.is_one());
    (forward && slice.starts.iter().all(Expr::is_zero) && slice.sizes == rewriter.b.dims(x)).then(|| vec![x])
}

fn sliced_twice(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let middle = site.operand("slice")?;
    let node = rewriter.view().made_by(middle, "slice")?;
    let (x, outer) = (node.inputs[0], Slice::read(&node.attrs)?);
    let slice = Slice::read(&site.node.attrs)?.of(&outer);
    rewriter.covers(middle);
    Some(vec![rewriter.b.slice(x, &slice.starts, &slice.sizes, &slice.steps).ok()?])
}

fn padded_by_nothing(_: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("pad")?;
    let nothing = |name: &str| attrs::exprs(&site.node.attrs, name).is_ok_and(|amounts| amounts.iter().all(Expr::is_zero));
    (nothing("low") && nothing("high")).then(|| vec![x])
}

fn concat_of_one(_: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    (site.node.op == "concat" && site.inputs.len() == 1).then(|| site.inputs.clone())
}

fn concat_with_nothing(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let first = site.operand("concat")?;
    let axis = attrs::axis(&site.node.attrs, "axis", rewriter.b.dims(first).len()).ok()?;
    let some: Vec<ValueId> = site.inputs.iter().copied().filter(|id| !rewriter.b.dims(*id)[axis].is_zero()).collect();
    (!some.is_empty() && some.len() < site.inputs.len()).then_some(())?;
    rewriter.b.op("concat", site.node.attrs.clone(), &some).ok()
}

/// Of indices that step evenly: all in bounds of the axis, for every size that its symbols can have.
fn gather_of_known(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let data = site.operand("gather")?;
    let dims = rewriter.b.dims(data).to_vec();
    let axis = attrs::axis(&site.node.attrs, "axis", dims.len()).ok()?;
    let (first, step, count) = even_steps(rewriter.view().graph.constant(site.inputs[1])?)?;
    let last = first + step * (count - 1);
    let ranges = size_ranges(rewriter);
    // negative indices count from the end
    let start = if first < 0 { &dims[axis] + first } else { Expr::from(first) };
    let least = if first < 0 { -first.min(last) } else { first.max(last) + 1 };
    ranges.nonnegative(&(&dims[axis] - least)).then_some(())?;
    let (mut starts, mut sizes, mut steps) = (vec![Expr::zero(); dims.len()], dims.clone(), vec![1; dims.len()]);
    (starts[axis], sizes[axis], steps[axis]) = (start, Expr::from(count), step);
    let slice = rewriter.b.slice(data, &starts, &sizes, &steps).ok()?;
    let dims = rewriter.before.ty(site.node.outputs[0]).dims.clone();
    Some(vec![rewriter.b.reshape(slice, &dims).ok()?])
}

/// `(first, step, count)` of 1 or more indices of one sign that step evenly.
fn even_steps(indices: &Tensor) -> Option<(i64, i64, i64)> {
    let array = indices.to_array();
    let at = |k: usize| array.get(k).as_i64();
    let (first, count) = ((array.count() > 0).then(|| at(0))?, array.count());
    let step = if count > 1 { at(1).checked_sub(first)? } else { 1 };
    let even = step != 0 && (1..count).all(|k| at(k).checked_sub(at(k - 1)) == Some(step));
    let small = |index: i64| index.unsigned_abs() < 1 << 40;
    let one_sign = (first < 0) == (at(count - 1) < 0) && small(first) && small(at(count - 1));
    (even && one_sign).then_some((first, step, count as i64))
}

/// What the graph knows of its symbols.
fn size_ranges(rewriter: &Rewriter) -> Ranges {
    let mut ranges = Ranges::new(0);
    for (sym, fact) in &rewriter.before.symbols {
        ranges.bound(sym, Expr::from(fact.low), Expr::from(fact.high));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::graph::SymbolFact;
    use ir::{Attr, Attrs, DType, Diagnostic, GraphBuilder, NewNode, ValueId};
    use ops::Builder;
    use sym::{Expr, Sym};

    fn dims(text: &str) -> Vec<Expr> {
        ty(&format!("f32[{text}]")).dims
    }

    fn rule(from: &str, want: &str, build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            b.graph.symbol(&Sym::new("m"), SymbolFact { low: 1, high: 100 });
            let x = b.input("x", ty(from));
            build(b, x)
        });
        check(simplify, &before, &format!("y = {want}"));
    }

    #[test]
    fn whole_slices() {
        let mut builder = GraphBuilder::new("g");
        let x = builder.input("x", ty("f32[n, 1]"));
        let attrs =
            Attrs::from([("starts", Attr::Exprs(dims("0, 0"))), ("sizes", Attr::Exprs(dims("n, 1"))), ("steps", Attr::Ints(vec![1, -1]))]);
        let y = builder.add_node(NewNode { op: "slice", attrs, inputs: &[x], outputs: vec![ty("f32[n, 1]")], ..NewNode::default() });
        builder.output("y", y[0]);
        check(simplify, &builder.finish(), "y = x");
    }

    #[test]
    fn parts_of_parts() {
        rule("f32[10]", "slice<[2] [7] [-4]>(x)", |b, x| {
            let part = b.slice(x, &dims("1"), &dims("4"), &[2])?;
            b.slice(part, &dims("3"), &dims("2"), &[-2])
        });
        rule("f32[n, 5]", "slice<[n, 1] [0, 3] [1, 1]>(x)", |b, x| {
            let part = b.slice_axis(x, 1, &1.into(), &3.into())?;
            b.slice_axis(part, 1, &2.into(), &1.into())
        });
    }

    #[test]
    fn padding_by_nothing() {
        let mut builder = GraphBuilder::new("g");
        let (x, zero) = (builder.input("x", ty("f32[n]")), builder.input("zero", ty("f32[]")));
        let attrs = Attrs::from([("low", Attr::Exprs(dims("0"))), ("high", Attr::Exprs(dims("0")))]);
        let y = builder.add_node(NewNode { op: "pad", attrs, inputs: &[x, zero], outputs: vec![ty("f32[n]")], ..NewNode::default() });
        builder.output("y", y[0]);
        check(simplify, &builder.finish(), "y = x");
    }

    #[test]
    fn concatenations() {
        let mut builder = GraphBuilder::new("g");
        let x = builder.input("x", ty("f32[n]"));
        let attrs = Attrs::from([("axis", Attr::Int(0))]);
        let y = builder.add_node(NewNode { op: "concat", attrs, inputs: &[x], outputs: vec![ty("f32[n]")], ..NewNode::default() });
        builder.output("y", y[0]);
        check(simplify, &builder.finish(), "y = x");
        rule("f32[n, 2]", "x", |b, x| {
            let nothing = b.slice_axis(x, 1, &0.into(), &0.into())?;
            b.concat(&[nothing, x], 1)
        });
        rule("f32[n, 2]", "concat<1>(x, x)", |b, x| {
            let nothing = b.slice_axis(x, 1, &0.into(), &0.into())?;
            b.concat(&[x, nothing, x], 1)
        });
    }

    fn gathered(from: &str, indices: &[i64], scalar: bool, want: &str) {
        rule(from, want, |b, x| {
            let shape = if scalar { vec![] } else { vec![indices.len()] };
            let indices = b.ints(DType::I64, shape, indices.to_vec());
            b.gather(x, indices, 0)
        });
    }

    #[test]
    fn gathers_with_known_indices() {
        gathered("f32[4, n]", &[1, 2, 3], false, "slice<[3, n] [1, 0] [1, 1]>(x)");
        gathered("f32[4, n]", &[3, 1], false, "slice<[2, n] [3, 0] [-2, 1]>(x)");
        gathered("f32[4, n]", &[-1], true, "reshape<[n]>(slice<[1, n] [3, 0] [1, 1]>(x))");
        gathered("f32[m, n]", &[0], true, "reshape<[n]>(slice<[1, n] [0, 0] [1, 1]>(x))");
        gathered("f32[m, n]", &[-1], true, "reshape<[n]>(slice<[1, n] [m - 1, 0] [1, 1]>(x))");
    }

    #[test]
    fn gathers_that_may_fail_or_jump_stay() {
        gathered("f32[n, 2]", &[0], true, "gather<0>(x, 0)");
        gathered("f32[m, 2]", &[1], true, "gather<0>(x, 1)");
        gathered("f32[4]", &[0, 1, 3], false, "gather<0>(x, {0, 1, 3})");
        gathered("f32[4]", &[2, 2], false, "gather<0>(x, 2[2])");
        gathered("f32[4]", &[-1, 0], false, "gather<0>(x, {-1, 0})");
    }
}
