//! TreeEnsemble: branches and leaves stand in lists of their own.

use super::super::scores::Transform;
use super::{Aggregate, Branch, Mode, Node, Trees, as_many, evaluated, place, targets, tensor};
use crate::import::{Call, Outcome, one};
use crate::ops::Entry;
use crate::ops::ml::Result;
use ir::{Code, DType};

pub const OPS: &[Entry] = &[Entry("TreeEnsemble", 5, ensemble)];

const MEMBER: usize = 6;

fn ensemble(call: &mut Call) -> Outcome {
    call.ignore(&["nodes_hitrates"]);
    let dtype = call.dtype(0)?;
    if !matches!(dtype, DType::F16 | DType::F32 | DType::F64) || call.rank(0)? != 2 {
        return Err(call.error(Code::Type, format!("the operand is {}, no matrix of floats", call.ty(0)?)).into());
    }
    let aggregates = [Aggregate::Average, Aggregate::Sum, Aggregate::Min, Aggregate::Max];
    let aggregate = aggregates[place(call, "aggregate_function", call.int_or("aggregate_function", 1)?, aggregates.len())?];
    let transform = Transform::ALL[place(call, "post_transform", call.int_or("post_transform", 0)?, Transform::ALL.len())?].1;
    let trees = trees(call, if dtype == DType::F64 { DType::F64 } else { DType::F32 })?;
    let x = call.value(0)?;
    let x = call.b().convert(x, trees.dtype)?;
    let scores = evaluated(call, x, &trees, aggregate)?;
    let scores = transform.apply(call.b(), scores)?;
    one(call.b().convert(scores, dtype)?)
}

/// The leaves stand behind the branches; what tests for members is a chain of branches, whose later ones stand behind the leaves.
fn trees(call: &Call, dtype: DType) -> Result<Trees> {
    let features = call.ints("nodes_featureids")?.unwrap_or_default();
    let count = features.len();
    let list = |name: &'static str| as_many(call, name, call.ints(name)?.unwrap_or_default(), count);
    let flags = |name: &'static str| call.ints(name)?.map_or(Ok(vec![0; count]), |flags| as_many(call, name, flags, count));
    let numbers = |name: &'static str| as_many(call, name, tensor(call, name)?.unwrap_or_default(), count);
    let weights = tensor(call, "leaf_weights")?.unwrap_or_default();
    let leaf_targets = as_many(call, "leaf_targetids", call.ints("leaf_targetids")?.unwrap_or_default(), weights.len())?;
    let targets = targets(call)?;
    let child = |ids: &'static str, leafs: &'static str| -> Result<Vec<usize>> {
        let pairs = list(ids)?.into_iter().zip(flags(leafs)?);
        pairs
            .map(|(id, leaf)| if leaf == 0 { place(call, ids, id, count) } else { Ok(count + place(call, ids, id, weights.len())?) })
            .collect()
    };
    let children = child("nodes_truenodeids", "nodes_trueleafs")?.into_iter().zip(child("nodes_falsenodeids", "nodes_falseleafs")?);
    let (modes, thresholds, missing) = (numbers("nodes_modes")?, numbers("nodes_splits")?, flags("nodes_missing_value_tracks_true")?);
    let mut nodes = Vec::new();
    let mut tests = Vec::new();
    for (at, (then, other)) in children.enumerate() {
        let mode = place(call, "nodes_modes", modes[at] as i64, MEMBER + 1)?;
        let feature = place(call, "nodes_featureids", features[at], i32::MAX as usize)?;
        tests.extend((mode == MEMBER).then_some(at));
        let mode = Mode::ALL.get(mode).copied().unwrap_or(Mode::Equal);
        nodes.push(Node::Branch(Branch { mode, feature, threshold: thresholds[at], missing: missing[at] != 0, children: [then, other] }));
    }
    for (target, weight) in leaf_targets.into_iter().zip(&weights) {
        nodes.push(Node::Leaf(vec![(place(call, "leaf_targetids", target, targets)?, *weight)]));
    }
    let members = tensor(call, "membership_values")?.unwrap_or_default();
    let mut sets = members.split(|member| member.is_nan());
    for at in tests {
        let set = sets.next().ok_or_else(|| call.attribute_error("attribute `membership_values` has fewer sets than there are tests"))?;
        chain(&mut nodes, at, set);
    }
    let roots = call.ints("tree_roots")?.unwrap_or_default();
    let roots = roots.into_iter().map(|root| place(call, "tree_roots", root, count)).collect::<Result<_>>()?;
    Ok(Trees { nodes, roots, targets, dtype })
}

/// Makes branch number `at` a test for the first member, and adds one for each other, to go to where the test before does not hold.
fn chain(nodes: &mut Vec<Node>, at: usize, members: &[f64]) {
    let (mut at, count) = (at, nodes.len());
    let Node::Branch(first) = nodes[at].clone() else { return };
    if members.is_empty() {
        let [_, other] = first.children;
        nodes[at] = Node::Branch(Branch { children: [if first.missing { first.children[0] } else { other }, other], ..first });
        return;
    }
    for (number, member) in members.iter().enumerate() {
        let next = if number + 1 < members.len() { count + number } else { first.children[1] };
        let branch = Node::Branch(Branch { threshold: *member, children: [first.children[0], next], ..first.clone() });
        match number {
            0 => nodes[at] = branch,
            _ => nodes.push(branch),
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    fn model(more: &str) -> String {
        format!(
            "x: f32[n, 2] y = ai.onnx.ml.TreeEnsemble {{n_targets = 2, nodes_featureids = [0, 1, 0], nodes_splits = f32[3] 3 1 4,
            nodes_truenodeids = [1, 0, 2], nodes_trueleafs = [0, 1, 1], nodes_falsenodeids = [2, 1, 3], nodes_falseleafs = [0, 1, 1],
            leaf_targetids = [0, 1, 0, 1], leaf_weights = f32[4] 5 12 -12 7, {more}}} (x) => y"
        )
    }

    #[test]
    fn trees_are_walked_to_their_leaves() {
        let x = "f32[4, 2] 1 0 1 2 3.5 0 5 0";
        let one = model("tree_roots = [0], nodes_modes = u8[3] 0 0 0");
        check(&one, &[x], &["f32[4, 2] 5 0 0 12 -12 0 0 7"]);
        let two = model("tree_roots = [0, 2], nodes_modes = u8[3] 0 0 3, aggregate_function = 0");
        check(&two, &[x], &["f32[4, 2] 2.5 3.5 0 9.5 0 7 -12 0"]);
        let most = model("tree_roots = [0, 2], nodes_modes = u8[3] 0 0 3, aggregate_function = 3");
        check(&most, &[x], &["f32[4, 2] 5 7 0 12 0 7 -12 0"]);
        let missing = model("tree_roots = [0], nodes_modes = u8[3] 0 5 0, nodes_missing_value_tracks_true = [1, 0, 0]");
        check(&missing, &["f32[2, 2] nan 0 0 nan"], &["f32[2, 2] 5 0 0 12"]);
    }

    #[test]
    fn members_are_a_chain_of_tests() {
        let text = model("tree_roots = [0], nodes_modes = u8[3] 6 0 6, membership_values = f32[5] 1 2 nan 3 nan");
        check(&text, &["f32[4, 2] 1 0 2 5 3 0 4 0"], &["f32[4, 2] 5 0 0 12 -12 0 0 7"]);
        let few = model("tree_roots = [0], nodes_modes = u8[3] 6 0 6, membership_values = f32[1] 1");
        check_problems(&few, &["[E005] TreeEnsemble#0: attribute `membership_values` has fewer sets than there are tests"]);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let ring =
            model("tree_roots = [0], nodes_modes = u8[3] 0 0 0").replace("nodes_trueleafs = [0, 1, 1]", "nodes_trueleafs = [0, 0, 1]");
        check_problems(&ring, &["[E005] TreeEnsemble#0: the nodes of a tree form a ring"]);
        let far = model("tree_roots = [7], nodes_modes = u8[3] 0 0 0");
        check_problems(&far, &["[E005] TreeEnsemble#0: attribute `tree_roots` has 7, which is not in 0..3"]);
        let features = model("tree_roots = [0], nodes_modes = u8[3] 0 0 0").replace("[0, 1, 0], nodes_splits", "[0, 2, 0], nodes_splits");
        check_problems(&features, &["[E005] TreeEnsemble#0: a node compares feature 2, of 2"]);
    }
}
