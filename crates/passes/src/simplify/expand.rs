//! Scalar functions of expanded operands: computed before the expansion, on fewer elements.

use super::Rule;
use crate::rewrite::{Rewriter, Site};
use ir::ValueId;
use sym::Expr;

pub const RULES: &[Rule] =
    &[Rule { meaning: "f(broadcast(x), broadcast(z)) -> broadcast(f(x, z)), and so on for numbers, convert", apply: before_expansion }];

/// Where all operands are expanded from one shape, or from a number.
fn before_expansion(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    matches!(site.node.op, "map" | "convert" | "bitcast").then_some(())?;
    let sources: Vec<ValueId> = site.inputs.iter().map(|id| rewriter.view().operand_of(*id, "broadcast")).collect::<Option<_>>()?;
    let dims = common_dims(rewriter, &sources)?;
    site.inputs.iter().for_each(|id| rewriter.covers(*id));
    let operands: Vec<ValueId> = sources.iter().map(|id| rewriter.b.broadcast(*id, &dims).ok()).collect::<Option<_>>()?;
    let value = rewriter.b.one(site.node.op, site.node.attrs.clone(), &operands).ok()?;
    let dims = rewriter.before.ty(site.node.outputs[0]).dims.clone();
    Some(vec![rewriter.b.broadcast(value, &dims).ok()?])
}

/// The dims that all sources but scalars have.
fn common_dims(rewriter: &Rewriter, sources: &[ValueId]) -> Option<Vec<Expr>> {
    let mut shapes = sources.iter().map(|id| rewriter.b.dims(*id)).filter(|dims| !dims.is_empty());
    let first = shapes.next().unwrap_or_default();
    shapes.all(|dims| dims == first).then(|| first.to_vec())
}

#[cfg(test)]
mod tests {
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::DType;
    use nest::Func;

    #[test]
    fn functions_of_expanded_operands() {
        let before = graph_of(|b| {
            let mask = b.input("mask", ty("bool[n, 1, 4]"));
            let mask = b.broadcast(mask, &ty("bool[n, 8, 4]").dims)?;
            let mask = b.convert(mask, DType::F32)?;
            let one = b.number(DType::F32, 1.0);
            let inverse = b.map_broadcast(Func::Sub, &[one, mask])?;
            b.map_number(Func::Mul, inverse, -1e9)
        });
        let ones = |number: &str| format!("broadcast<[n, 1, 4]>({number})");
        let want = format!("mul(sub({}, convert<f32>(mask)), {})", ones("1.0"), ones("-1000000000.0"));
        check(simplify, &before, &format!("y = broadcast<[n, 8, 4]>({want})"));
    }

    #[test]
    fn expansions_from_different_shapes_stay() {
        let before = graph_of(|b| {
            let (x, z) = (b.input("x", ty("f32[4, 1]")), b.input("z", ty("f32[4]")));
            b.map_broadcast(Func::Add, &[x, z])
        });
        assert_eq!(simplify(&before), before);
    }
}
