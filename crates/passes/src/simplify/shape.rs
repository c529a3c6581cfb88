//! Rules of ops that only convert, move or expand elements.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::{Attr, Attrs, DType, ValueId};
use ops::attrs;
use sym::Expr;

pub const RULES: &[Rule] = &[
    Rule { meaning: "convert(x, type of x) -> x, and so on for reshape, broadcast", apply: unchanged },
    Rule { meaning: "transpose(x, [0, 1, ..]) -> x", apply: untransposed },
    Rule { meaning: "convert(convert(x, wider), to) -> convert(x, to)", apply: converted_twice },
    Rule { meaning: "reshape(reshape(x, a), b) -> reshape(x, b)", apply: |r, s| again(r, s, "reshape") },
    Rule { meaning: "broadcast(broadcast(x, a), b) -> broadcast(x, b)", apply: |r, s| again(r, s, "broadcast") },
    Rule { meaning: "broadcast(reshape(x, [1, dims of x]), b) -> broadcast(x, b)", apply: expanded_after_leading_ones },
    Rule { meaning: "reduce(x, no axes) -> x", apply: reduced_over_nothing },
    Rule { meaning: "reduce(x, axes of size 1) -> reshape(x)", apply: reduced_over_ones },
    Rule { meaning: "reshape(c everywhere) -> broadcast(c), and so on for transpose, slice", apply: uniform_moved },
    Rule { meaning: "broadcast([c, c, ..]) -> broadcast(c)", apply: uniform_expanded },
];

fn unchanged(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    matches!(site.node.op, "convert" | "reshape" | "broadcast").then(|| site.inputs.clone()).filter(|x| rewriter.fits(site.node, x))
}

fn untransposed(_: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("transpose")?;
    let perm = attrs::ints(&site.node.attrs, "perm").ok()?;
    perm.iter().copied().eq(0..perm.len() as i64).then(|| vec![x])
}

fn converted_twice(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let middle = site.operand("convert")?;
    let x = rewriter.view().operand_of(middle, "convert")?;
    let to = attrs::dtype(&site.node.attrs, "to").ok()?;
    let (wide, from) = (rewriter.b.dtype(middle), rewriter.b.dtype(x));
    // floats saturate where integers wrap
    let wraps = wide.is_float() && from.is_int() && to.is_int() && !holds_all(to, from);
    (holds_all(wide, from) && !wraps).then(|| rewriter.covers(middle))?;
    Some(vec![rewriter.b.convert(x, to).ok()?])
}

/// Whether every value of `from` is one of `wide` too.
fn holds_all(wide: DType, from: DType) -> bool {
    /// Bits of the magnitude: of integers all but the sign, of floats those of the significand.
    fn bits(dtype: DType) -> u32 {
        match dtype {
            DType::Bool => 1,
            DType::F16 => 11,
            DType::BF16 => 8,
            DType::F32 => 24,
            DType::F64 => 53,
            _ => 8 * dtype.size() as u32 - dtype.is_signed_int() as u32,
        }
    }
    let signs = !from.is_signed_int() || wide.is_signed_int() || wide.is_float();
    match (wide.is_float(), from.is_float()) {
        (true, true) => wide == from || wide == DType::F64 || (wide == DType::F32 && from.size() == 2),
        (true, false) => bits(from) <= bits(wide),
        (false, true) => false,
        (false, false) => wide == from || (wide != DType::Bool && signs && bits(from) <= bits(wide)),
    }
}

/// An op whose `dims` say all, on the operand of one of its kind.
fn again(rewriter: &mut Rewriter, site: &Site, op: &str) -> Option<Vec<ValueId>> {
    let middle = site.operand(op)?;
    let x = rewriter.view().operand_of(middle, op)?;
    rewriter.covers(middle);
    rewriter.b.op(op, site.node.attrs.clone(), &[x]).ok()
}

fn expanded_after_leading_ones(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let middle = site.operand("broadcast")?;
    let x = rewriter.view().operand_of(middle, "reshape")?;
    let (dims, inner) = (rewriter.b.dims(middle), rewriter.b.dims(x));
    let lead = dims.len().checked_sub(inner.len())?;
    (dims[..lead].iter().all(Expr::is_one) && dims[lead..] == *inner).then(|| rewriter.covers(middle))?;
    rewriter.b.op("broadcast", site.node.attrs.clone(), &[x]).ok()
}

fn folded_axes<'a>(site: &Site<'a>) -> Option<&'a [i64]> {
    attrs::ints(&site.node.attrs, "axes").ok()
}

fn reduced_over_nothing(_: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("reduce")?;
    folded_axes(site)?.is_empty().then(|| vec![x])
}

fn reduced_over_ones(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("reduce")?;
    let dims = rewriter.b.dims(x);
    folded_axes(site)?.iter().all(|axis| dims[*axis as usize].is_one()).then_some(())?;
    let dims = rewriter.before.ty(site.node.outputs[0]).dims.clone();
    Some(vec![rewriter.b.reshape(x, &dims).ok()?])
}

fn uniform_moved(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    matches!(site.node.op, "reshape" | "transpose" | "slice").then_some(())?;
    expanded_number(rewriter, site)
}

/// Of a constant that holds one number more than once.
fn uniform_expanded(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let x = site.operand("broadcast")?;
    rewriter.view().graph.constant(x).filter(|tensor| tensor.count() > 1)?;
    expanded_number(rewriter, site)
}

/// The number that all elements of the operand are, at the dims of the result.
fn expanded_number(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let number = rewriter.view().uniform(site.inputs[0])?;
    let ty = rewriter.before.ty(site.node.outputs[0]).clone();
    let scalar = rewriter.b.scalar(ty.dtype, number);
    Some(vec![rewriter.b.one("broadcast", Attrs::from([("dims", Attr::Exprs(ty.dims))]), &[scalar]).ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{Diagnostic, Graph, GraphBuilder, NewNode};
    use nest::Monoid;
    use ops::{Builder, Folded};

    fn dims(text: &str) -> Vec<Expr> {
        ty(&format!("f32[{text}]")).dims
    }

    /// What `y` of an operand x becomes; n is a size of another.
    fn rule(from: &str, want: &str, build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            let (x, _) = (b.input("x", ty(from)), b.input("z", ty("f32[n]")));
            build(b, x)
        });
        check(simplify, &before, &format!("y = {want}"));
    }

    /// A node that the builder would not make.
    fn plain(op: &'static str, attrs: Attrs, from: &str, to: &str) -> Graph {
        let mut builder = GraphBuilder::new("g");
        let x = builder.input("x", ty(from));
        let y = builder.add_node(NewNode { op, attrs, inputs: &[x], outputs: vec![ty(to)], ..NewNode::default() });
        builder.output("y", y[0]);
        builder.finish()
    }

    #[test]
    fn identities() {
        let dims = || Attrs::from([("dims", Attr::Exprs(ty("f32[n, 2]").dims))]);
        check(simplify, &plain("reshape", dims(), "f32[n, 2]", "f32[n, 2]"), "y = x");
        check(simplify, &plain("broadcast", dims(), "f32[n, 2]", "f32[n, 2]"), "y = x");
        check(simplify, &plain("convert", Attrs::from([("to", Attr::DType(DType::F32))]), "f32[n]", "f32[n]"), "y = x");
        check(simplify, &plain("transpose", Attrs::from([("perm", Attr::Ints(vec![0, 1]))]), "f32[n, n]", "f32[n, n]"), "y = x");
    }

    #[test]
    fn conversions_through_wider_types() {
        for (from, middle, to, want) in [
            ("f16", DType::F32, DType::F16, "x"),
            ("i32", DType::I64, DType::F32, "convert<f32>(x)"),
            ("bool", DType::F32, DType::Bool, "x"),
            ("u8", DType::I16, DType::I64, "convert<i64>(x)"),
            ("i32", DType::F64, DType::I32, "x"),
            ("i32", DType::F64, DType::U8, "convert<u8>(convert<f64>(x))"),
            ("i8", DType::U64, DType::I64, "convert<i64>(convert<u64>(x))"),
            ("i64", DType::I32, DType::I64, "convert<i64>(convert<i32>(x))"),
            ("i32", DType::F32, DType::I32, "convert<i32>(convert<f32>(x))"),
            ("u16", DType::F16, DType::F32, "convert<f32>(convert<f16>(x))"),
        ] {
            rule(&format!("{from}[n]"), want, |b, x| {
                let middle = b.convert(x, middle)?;
                b.convert(middle, to)
            });
        }
    }

    #[test]
    fn chains_of_one_op() {
        rule("f32[2, 3, n]", "reshape<[3, 2*n]>(x)", |b, x| {
            let flat = b.reshape(x, &dims("6*n"))?;
            b.reshape(flat, &dims("3, 2*n"))
        });
        rule("f32[2, n]", "x", |b, x| {
            let flat = b.reshape(x, &dims("2*n"))?;
            b.reshape(flat, &dims("2, n"))
        });
        rule("f32[1, 1]", "broadcast<[4, n, 3]>(x)", |b, x| {
            let row = b.broadcast(x, &dims("1, 3"))?;
            b.broadcast(row, &dims("4, n, 3"))
        });
    }

    #[test]
    fn leading_ones_before_an_expansion() {
        rule("f32[3]", "broadcast<[n, 2, 3]>(x)", |b, x| {
            let row = b.reshape(x, &dims("1, 1, 3"))?;
            b.broadcast(row, &dims("n, 2, 3"))
        });
        rule("f32[3]", "broadcast<[3, 2]>(reshape<[3, 1]>(x))", |b, x| {
            let column = b.reshape(x, &dims("3, 1"))?;
            b.broadcast(column, &dims("3, 2"))
        });
    }

    #[test]
    fn folds_of_one_element() {
        rule("f32[n, 2]", "x", |b, x| b.reduce(Monoid::Sum, x, &[], Folded::Kept));
        rule("f32[n, 1, 2, 1]", "reshape<[n, 2]>(x)", |b, x| b.reduce(Monoid::Max, x, &[1, 3], Folded::Dropped));
        rule("f32[n, 1]", "x", |b, x| b.reduce(Monoid::Sum, x, &[1], Folded::Kept));
    }

    #[test]
    fn moved_numbers() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n, 2]"));
            let one = b.number(DType::F32, 1.0);
            let ones = b.broadcast(one, &dims("2, n"))?;
            let ones = b.transpose(ones, &[1, 0])?;
            b.map(nest::Func::Add, &[x, ones])
        });
        check(simplify, &before, "y = add(x, broadcast<[n, 2]>(1.0))");
        let constant = graph_of(|b| {
            let twos = b.ints(DType::F32, vec![3], vec![2, 2, 2]);
            let x = b.input("x", ty("f32[n, 3]"));
            b.map_broadcast(nest::Func::Mul, &[x, twos])
        });
        check(simplify, &constant, "y = mul(x, broadcast<[n, 3]>(2.0))");
    }
}
