//! Rules of bools, comparisons, `select` and branches.

use super::Rule;
use super::arithmetic::repeated;
use crate::rewrite::{Rewriter, Site};
use ir::{DType, Def, Graph, Location, NewNode, ValueId};
use nest::Func;
use std::collections::BTreeMap;

pub const RULES: &[Rule] = &[
    Rule { meaning: "and(x, true) -> x", apply: |r, s| beside_bool(r, s, Func::And, true) },
    Rule { meaning: "and(x, false) -> false", apply: |r, s| absorbing(r, s, Func::And, false) },
    Rule { meaning: "and(x, x) -> x", apply: |_, s| repeated(s, Func::And) },
    Rule { meaning: "or(x, false) -> x", apply: |r, s| beside_bool(r, s, Func::Or, false) },
    Rule { meaning: "or(x, true) -> true", apply: |r, s| absorbing(r, s, Func::Or, true) },
    Rule { meaning: "or(x, x) -> x", apply: |_, s| repeated(s, Func::Or) },
    Rule { meaning: "xor(x, false) -> x", apply: |r, s| beside_bool(r, s, Func::Xor, false) },
    Rule { meaning: "xor(x, true) -> not(x)", apply: |r, s| negated_beside(r, s, Func::Xor, true) },
    Rule { meaning: "eq(x, true) -> x", apply: |r, s| beside_bool(r, s, Func::Equal, true) },
    Rule { meaning: "eq(x, false) -> not(x)", apply: |r, s| negated_beside(r, s, Func::Equal, false) },
    Rule { meaning: "ne(x, false) -> x", apply: |r, s| beside_bool(r, s, Func::NotEqual, false) },
    Rule { meaning: "not(not(x)) -> x", apply: |r, s| Some(vec![r.view().unary(s.map(Func::Not)?[0], Func::Not)?]) },
    Rule { meaning: "not(eq(x, y)) -> ne(x, y)", apply: |r, s| negated_comparison(r, s, Func::Equal, Func::NotEqual) },
    Rule { meaning: "not(ne(x, y)) -> eq(x, y)", apply: |r, s| negated_comparison(r, s, Func::NotEqual, Func::Equal) },
    Rule { meaning: "select(true, x, y) -> x, select(false, x, y) -> y", apply: select_known },
    Rule { meaning: "select(c, x, x) -> x", apply: select_same },
    Rule { meaning: "select(not(c), x, y) -> select(c, y, x)", apply: select_negated },
    Rule { meaning: "select(c, true, false) -> c", apply: select_of_bools },
    Rule { meaning: "if true then a else b -> a, if false then a else b -> b", apply: known_branch },
];

/// The operand beside one that is `value` everywhere, of a function of two bools.
fn beside(rewriter: &Rewriter, site: &Site, func: Func, value: bool) -> Option<(ValueId, ValueId)> {
    let operands = site.map(func).filter(|operands| rewriter.b.dtype(operands[0]) == DType::Bool)?;
    let at = operands.iter().position(|id| rewriter.view().is_number(*id, value as u8 as f64))?;
    Some((operands[1 - at], operands[at]))
}

fn beside_bool(rewriter: &Rewriter, site: &Site, func: Func, value: bool) -> Option<Vec<ValueId>> {
    beside(rewriter, site, func, value).map(|(x, _)| vec![x])
}

fn absorbing(rewriter: &Rewriter, site: &Site, func: Func, value: bool) -> Option<Vec<ValueId>> {
    beside(rewriter, site, func, value).map(|(_, constant)| vec![constant])
}

fn negated_beside(rewriter: &mut Rewriter, site: &Site, func: Func, value: bool) -> Option<Vec<ValueId>> {
    let (x, _) = beside(rewriter, site, func, value)?;
    Some(vec![rewriter.b.map(Func::Not, &[x]).ok()?])
}

/// Not for `lt` and the like: of a NaN both a comparison and its opposite are false.
fn negated_comparison(rewriter: &mut Rewriter, site: &Site, from: Func, to: Func) -> Option<Vec<ValueId>> {
    let comparison = site.map(Func::Not)?[0];
    let operands = rewriter.view().map(comparison, from)?.to_vec();
    rewriter.covers(comparison);
    Some(vec![rewriter.b.map(to, &operands).ok()?])
}

fn select_known(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Select)?;
    let condition = rewriter.view().number(operands[0])?;
    Some(vec![if condition != 0.0 { operands[1] } else { operands[2] }])
}

fn select_same(_: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Select)?;
    (operands[1] == operands[2]).then(|| vec![operands[1]])
}

fn select_negated(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let operands = site.map(Func::Select)?;
    let condition = rewriter.view().unary(operands[0], Func::Not)?;
    rewriter.covers(operands[0]);
    Some(vec![rewriter.b.map(Func::Select, &[condition, operands[2], operands[1]]).ok()?])
}

fn select_of_bools(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let (operands, view) = (site.map(Func::Select)?, rewriter.view());
    let bools = view.ty(operands[1]).dtype == DType::Bool;
    (bools && view.is_number(operands[1], 1.0) && view.is_number(operands[2], 0.0)).then(|| vec![operands[0]])
}

/// The region that a known condition chooses, in place of its node. What it holds back and
/// computes of sizes counts only where it runs, so one that has guards or such sizes stays.
fn known_branch(rewriter: &mut Rewriter, site: &Site) -> Option<Vec<ValueId>> {
    let condition = site.operand("if").and_then(|condition| rewriter.view().number(condition))?;
    let region = &site.node.regions[if condition != 0.0 { 0 } else { 1 }];
    (region.guards.is_empty() && region.computed.is_empty()).then(|| inlined(rewriter, region, &site.inputs[1..], &site.node.location))
}

/// The values of a region's outputs on these operands, its nodes copied into the graph after.
fn inlined(rewriter: &mut Rewriter, region: &Graph, operands: &[ValueId], location: &Location) -> Vec<ValueId> {
    let graph = &mut rewriter.b.graph;
    let mut copies = BTreeMap::new();
    for (at, value) in region.values.iter().enumerate() {
        match &value.def {
            Def::Input(input) => copies.insert(ValueId(at as u32), operands[*input]),
            Def::Constant { tensor, weight } => {
                copies.insert(ValueId(at as u32), graph.constant(tensor.clone(), weight.as_deref(), &value.name))
            }
            Def::Node(..) => None,
        };
    }
    for node in &region.nodes {
        let names: Vec<&str> = node.outputs.iter().map(|id| &*region.value(*id).name).collect();
        let results = graph.add_node(NewNode {
            op: node.op,
            attrs: node.attrs.clone(),
            inputs: &node.inputs.iter().map(|id| copies[id]).collect::<Vec<ValueId>>(),
            outputs: node.outputs.iter().map(|id| region.ty(*id).clone()).collect(),
            regions: node.regions.clone(),
            location: location.join(&node.location),
            hints: &names,
        });
        copies.extend(node.outputs.iter().copied().zip(results));
    }
    region.outputs.iter().map(|(_, id)| copies[id]).collect()
}

#[cfg(test)]
mod tests {
    use crate::simplify::simplify;
    use crate::testing::{check, graph_of, ty};
    use ir::{DType, Diagnostic, Literal, ValueId};
    use nest::Func;
    use ops::Builder;

    /// What `y` of operands c (bool), x and z becomes.
    fn rule(want: &str, build: impl FnOnce(&mut Builder, [ValueId; 3]) -> Result<ValueId, Diagnostic>) {
        let before = graph_of(|b| {
            let operands = [b.input("c", ty("bool[n]")), b.input("x", ty("f32[n]")), b.input("z", ty("f32[n]"))];
            build(b, operands)
        });
        check(simplify, &before, &format!("y = {want}"));
    }

    fn with_bool(func: Func, value: i64, want: &str) {
        rule(want, |b, [c, ..]| {
            let value = b.scalar(DType::Bool, Literal::Int(value));
            b.map_broadcast(func, &[c, value])
        });
    }

    #[test]
    fn bools_with_constants() {
        with_bool(Func::And, 1, "c");
        with_bool(Func::And, 0, "broadcast<[n]>(0)");
        with_bool(Func::Or, 0, "c");
        with_bool(Func::Or, 1, "broadcast<[n]>(1)");
        with_bool(Func::Xor, 0, "c");
        with_bool(Func::Xor, 1, "not(c)");
        with_bool(Func::Equal, 1, "c");
        with_bool(Func::Equal, 0, "not(c)");
        with_bool(Func::NotEqual, 0, "c");
    }

    #[test]
    fn bits_of_integers_are_no_bools() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("i32[n]"));
            b.map_number(Func::And, x, 1.0)
        });
        assert_eq!(simplify(&before), before);
    }

    #[test]
    fn repeated_bools() {
        rule("c", |b, [c, ..]| b.map(Func::And, &[c, c]));
        rule("c", |b, [c, ..]| b.map(Func::Or, &[c, c]));
    }

    #[test]
    fn negations() {
        let not = |func: Func, want: &str| {
            rule(want, |b, [_, x, z]| {
                let flag = b.map(func, &[x, z])?;
                b.map(Func::Not, &[flag])
            })
        };
        not(Func::Equal, "ne(x, z)");
        not(Func::NotEqual, "eq(x, z)");
        not(Func::Less, "not(lt(x, z))");
        rule("c", |b, [c, ..]| {
            let not = b.map(Func::Not, &[c])?;
            b.map(Func::Not, &[not])
        });
    }

    #[test]
    fn selects() {
        for (condition, want) in [(1, "x"), (0, "z")] {
            rule(want, |b, [_, x, z]| {
                let condition = b.scalar(DType::Bool, Literal::Int(condition));
                b.map_broadcast(Func::Select, &[condition, x, z])
            });
        }
        rule("x", |b, [c, x, _]| b.map(Func::Select, &[c, x, x]));
        rule("select(c, z, x)", |b, [c, x, z]| {
            let not = b.map(Func::Not, &[c])?;
            b.map(Func::Select, &[not, x, z])
        });
        rule("c", |b, [c, ..]| {
            let (yes, no) = (b.scalar(DType::Bool, Literal::Int(1)), b.scalar(DType::Bool, Literal::Int(0)));
            b.map_broadcast(Func::Select, &[c, yes, no])
        });
    }

    /// A row of all -inf makes a NaN.
    #[test]
    fn guards_of_softmax_stay() {
        let before = graph_of(|b| {
            let x = b.input("x", ty("f32[n, 4]"));
            let weights = b.softmax(x, 1)?;
            let (nan, zero) = (b.map(Func::IsNan, &[weights])?, b.number(DType::F32, 0.0));
            b.map_broadcast(Func::Select, &[nan, zero, weights])
        });
        assert_eq!(simplify(&before), before);
    }

    #[test]
    fn known_branches() {
        let region = |func: Func| {
            graph_of(|b| {
                let x = b.input("x", ty("f32[n]"));
                let doubled = b.map_number(Func::Mul, x, 2.0)?;
                b.map(func, &[doubled])
            })
        };
        for (condition, want) in [(1, "exp(mul(x, broadcast<[n]>(2.0)))"), (0, "abs(mul(x, broadcast<[n]>(2.0)))")] {
            rule(want, |b, [_, x, _]| {
                let condition = b.scalar(DType::Bool, Literal::Int(condition));
                Ok(b.branch(condition, &[x], region(Func::Exp), region(Func::Abs))?[0])
            });
        }
    }

    #[test]
    fn regions_are_simplified() {
        let region = |func: Func| {
            graph_of(|b| {
                let x = b.input("x", ty("f32[n]"));
                let same = b.map_number(Func::Mul, x, 1.0)?;
                b.map(func, &[same])
            })
        };
        let before = graph_of(|b| {
            let (flag, x) = (b.input("flag", ty("bool[]")), b.input("x", ty("f32[n]")));
            Ok(b.branch(flag, &[x], region(Func::Exp), region(Func::Abs))?[0])
        });
        check(simplify, &before, "y = if(flag, x){y = exp(x)}{y = abs(x)}");
    }
}
