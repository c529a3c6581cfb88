//! TreeEnsembleRegressor and TreeEnsembleClassifier: nodes have a tree and a number in it, and votes refer to leaves by both.

use super::super::scores::Transform;
use super::super::{Labels, Result, best_label, chosen_label, column, rows};
use super::{Aggregate, Branch, Mode, Node, Trees, as_many, evaluated, numbers, place, targets, tensor};
use crate::import::{Call, Outcome, one};
use crate::ops::Entry;
use ::ops::Builder;
use ir::{DType, ValueId};
use nest::Func;
use std::collections::BTreeMap;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("TreeEnsembleRegressor", 1, regress), Entry("TreeEnsembleClassifier", 1, classify)];

/// The names of the attributes of votes.
struct Votes {
    trees: &'static str,
    nodes: &'static str,
    targets: &'static str,
    weights: [&'static str; 2],
}

const FOR_TARGETS: Votes = Votes {
    trees: "target_treeids",
    nodes: "target_nodeids",
    targets: "target_ids",
    weights: ["target_weights", "target_weights_as_tensor"],
};
const FOR_CLASSES: Votes =
    Votes { trees: "class_treeids", nodes: "class_nodeids", targets: "class_ids", weights: ["class_weights", "class_weights_as_tensor"] };

fn regress(call: &mut Call) -> Outcome {
    let aggregates = [("AVERAGE", Aggregate::Average), ("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)];
    let name = call.text("aggregate_function")?.unwrap_or("SUM");
    let aggregate = aggregates.into_iter().find(|(text, _)| *text == name).map(|(_, aggregate)| aggregate);
    let aggregate = aggregate.ok_or_else(|| call.attribute_error(format!("attribute `aggregate_function` is `{name}`")))?;
    let (x, _) = rows(call)?;
    let dtype = call.b().dtype(x);
    let trees = trees(call, targets(call)?, dtype, &FOR_TARGETS)?;
    let (transform, base) = (Transform::of(call)?, base_values(call)?);
    let scores = evaluated(call, x, &trees, aggregate)?;
    let scores = with_base(call, scores, &base, trees.targets)?;
    let scores = transform.apply(call.b(), scores)?;
    one(call.b().convert(scores, DType::F32)?)
}

/// Numbers that older models have as a list, newer ones also as a tensor.
fn either(call: &Call, [list, as_tensor]: [&'static str; 2]) -> Result<Vec<f64>> {
    match call.floats(list)?.filter(|values| !values.is_empty()) {
        Some(values) => Ok(values.iter().map(|value| f64::from(*value)).collect()),
        None if call.opset >= 3 => Ok(tensor(call, as_tensor)?.unwrap_or_default()),
        None => Ok(vec![]),
    }
}

fn base_values(call: &Call) -> Result<Vec<f64>> {
    either(call, ["base_values", "base_values_as_tensor"])
}

fn with_base(call: &mut Call, scores: ValueId, base: &[f64], columns: usize) -> Result<ValueId> {
    if base.is_empty() {
        return Ok(scores);
    }
    if base.len() != columns && base.len() != 1 {
        return Err(call.attribute_error(format!("attribute `base_values` has {} entries, not {columns}", base.len())));
    }
    let b = call.b();
    let base = numbers(b, b.dtype(scores), vec![base.len()], base.to_vec());
    b.map_broadcast(Func::Add, &[scores, base])
}

fn trees(call: &Call, targets: usize, dtype: DType, votes: &Votes) -> Result<Trees> {
    call.ignore(&["nodes_hitrates"]);
    if call.opset >= 3 {
        call.ignore(&["nodes_hitrates_as_tensor"]);
    }
    let list = |name: &'static str| call.ints(name).map(Option::unwrap_or_default);
    let ids: Vec<(i64, i64)> = {
        let trees = list("nodes_treeids")?;
        let numbers = as_many(call, "nodes_nodeids", list("nodes_nodeids")?, trees.len())?;
        trees.into_iter().zip(numbers).collect()
    };
    let places: BTreeMap<(i64, i64), usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    if places.len() != ids.len() {
        return Err(call.attribute_error("two nodes of a tree have the same number"));
    }
    let mut nodes = nodes(call, &ids, &places)?;
    // of a tree's places the first
    let roots: BTreeMap<i64, usize> = ids.iter().enumerate().rev().map(|(at, (tree, _))| (*tree, at)).collect();
    let weights = either(call, votes.weights)?;
    let entries = |name: &'static str| as_many(call, name, list(name)?, weights.len());
    let (vote_trees, vote_nodes, vote_targets) = (entries(votes.trees)?, entries(votes.nodes)?, entries(votes.targets)?);
    for (at, weight) in weights.into_iter().enumerate() {
        let id = (vote_trees[at], vote_nodes[at]);
        let target = place(call, votes.targets, vote_targets[at], targets)?;
        let node = places.get(&id).ok_or_else(|| call.attribute_error(format!("tree {} has no node {}", id.0, id.1)))?;
        // what stands at a branch is never reached
        if let Node::Leaf(votes) = &mut nodes[*node] {
            votes.push((target, weight));
        }
    }
    Ok(Trees { nodes, roots: roots.into_values().collect(), targets, dtype })
}

fn nodes(call: &Call, ids: &[(i64, i64)], places: &BTreeMap<(i64, i64), usize>) -> Result<Vec<Node>> {
    let count = ids.len();
    let list = |name: &'static str| as_many(call, name, call.ints(name)?.unwrap_or_default(), count);
    let (features, then, other) = (list("nodes_featureids")?, list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
    let missing = call.ints("nodes_missing_value_tracks_true")?.filter(|flags| !flags.is_empty()).unwrap_or(vec![0; count]);
    let missing = as_many(call, "nodes_missing_value_tracks_true", missing, count)?;
    let thresholds = as_many(call, "nodes_values", either(call, ["nodes_values", "nodes_values_as_tensor"])?, count)?;
    let modes = as_many(call, "nodes_modes", call.texts("nodes_modes")?.unwrap_or_default(), count)?;
    let child = |tree: i64, number: i64| {
        let found = places.get(&(tree, number)).copied();
        found.ok_or_else(|| call.attribute_error(format!("tree {tree} has no node {number}")))
    };
    let mut nodes = Vec::new();
    for (at, (tree, _)) in ids.iter().enumerate() {
        let mode = match modes[at] {
            "LEAF" => None,
            "BRANCH_LEQ" => Some(Mode::LessEqual),
            "BRANCH_LT" => Some(Mode::Less),
            "BRANCH_GTE" => Some(Mode::GreaterEqual),
            "BRANCH_GT" => Some(Mode::Greater),
            "BRANCH_EQ" => Some(Mode::Equal),
            "BRANCH_NEQ" => Some(Mode::NotEqual),
            other => return Err(call.attribute_error(format!("attribute `nodes_modes` has `{other}`"))),
        };
        nodes.push(match mode {
            None => Node::Leaf(vec![]),
            Some(mode) => Node::Branch(Branch {
                mode,
                feature: place(call, "nodes_featureids", features[at], i32::MAX as usize)?,
                threshold: thresholds[at],
                missing: missing[at] != 0,
                children: [child(*tree, then[at])?, child(*tree, other[at])?],
            }),
        });
    }
    Ok(nodes)
}

/// Labels and scores. Trees that vote for a single one of two classes give the score of the second.
fn classify(call: &mut Call) -> Outcome {
    let labels = Labels::of(call, "classlabels_int64s", "classlabels_strings")?;
    let classes = labels.numbers.len();
    if classes == 0 {
        return Err(call.attribute_error("there are no classes").into());
    }
    let (x, _) = rows(call)?;
    let dtype = call.b().dtype(x);
    let trees = trees(call, classes, dtype, &FOR_CLASSES)?;
    let (transform, mut base) = (Transform::of(call)?, base_values(call)?);
    let ids = call.ints("class_ids")?.unwrap_or_default();
    let single = ids.first().copied().filter(|first| ids.iter().all(|id| id == first)).and_then(|id| usize::try_from(id).ok());
    let sums = evaluated(call, x, &trees, Aggregate::Sum)?;
    let (label, scores) = match (&labels.numbers[..], single) {
        ([first, second], Some(class)) => {
            if let [_, _] = base[..] {
                base = vec![base[class]];
            }
            let sum = call.b().slice_axis(sums, 1, &Expr::from(class as i64), &Expr::one())?;
            let score = with_base(call, sum, &base, 1)?;
            let positive = trees.votes().flatten().all(|(_, weight)| *weight >= 0.0);
            let b = call.b();
            let flat = column(b, score, 0)?;
            let is_second = b.map_number(Func::Greater, flat, if positive { 0.5 } else { 0.0 })?;
            (chosen_label(b, is_second, [*first, *second])?, two_columns(b, score, class, positive, transform)?)
        }
        ([only], _) => {
            let scores = with_base(call, sums, &base, 1)?;
            let b = call.b();
            let score = column(b, scores, 0)?;
            let is_it = b.map_number(Func::Greater, score, 0.0)?;
            (chosen_label(b, is_it, [0, *only])?, transform.apply(b, scores)?)
        }
        _ => {
            let scores = with_base(call, sums, &base, classes)?;
            let b = call.b();
            (best_label(b, scores, &labels.numbers)?, transform.apply(b, scores)?)
        }
    };
    let scores = call.b().convert(scores, DType::F32)?;
    Ok(vec![labels.result(label), scores.into()])
}

/// The scores of two classes from those for one. Votes for the first class stand for the second, whose opposite or complement it gets.
fn two_columns(b: &mut Builder, score: ValueId, class: usize, positive: bool, transform: Transform) -> Result<ValueId> {
    let one = b.number(b.dtype(score), 1.0);
    let opposite = b.map(Func::Neg, &[score])?;
    let complement = b.map_broadcast(Func::Sub, &[one, score])?;
    let whole = matches!(transform, Transform::None | Transform::Softmax | Transform::SoftmaxZero);
    let first = match (class, transform) {
        (1, _) => {
            let (zero, dims) = (b.number(b.dtype(score), 0.0), b.dims(score).to_vec());
            b.broadcast(zero, &dims)?
        }
        (_, Transform::Logistic) => opposite,
        _ if positive => complement,
        _ => opposite,
    };
    let both = b.concat(&[first, score], 1)?;
    if class == 0 && whole { Ok(both) } else { transform.apply(b, both) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    const NODES: &str = r#"nodes_treeids = [0, 0, 0, 4, 4, 4], nodes_nodeids = [0, 1, 2, 0, 1, 2], nodes_featureids = [0, 0, 0, 1, 0, 0],
        nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"], nodes_values = [0.5, 0.0, 0.0, 1.0, 0.0, 0.0],
        nodes_truenodeids = [1, 0, 0, 1, 0, 0], nodes_falsenodeids = [2, 0, 0, 2, 0, 0]"#;
    const X: &str = "f32[3, 2] 0 0 1 0 1 2";

    fn regressor(more: &str) -> String {
        format!(
            "x: f32[n, 2] y = ai.onnx.ml.TreeEnsembleRegressor {{{NODES}, n_targets = 1, target_treeids = [0, 0, 4, 4],
            target_nodeids = [1, 2, 1, 2], target_ids = [0, 0, 0, 0], target_weights = [1.0, 2.0, 10.0, 20.0], {more}}} (x) => y"
        )
    }

    fn classifier(labels: &str, ids: &str, weights: &str, more: &str) -> String {
        format!(
            "x: f32[n, 2] l, s = ai.onnx.ml.TreeEnsembleClassifier {{{NODES}, classlabels_int64s = {labels}, class_treeids = [0, 0, 4, 4],
            class_nodeids = [1, 2, 1, 2], class_ids = {ids}, class_weights = {weights}, {more}}} (x) => l, s"
        )
    }

    #[test]
    fn leaves_are_aggregated() {
        let of = |name: &str| regressor(&format!("aggregate_function = \"{name}\", base_values = [100.0]"));
        check(&of("SUM"), &[X], &["f32[3, 1] 121 122 112"]);
        check(&of("AVERAGE"), &[X], &["f32[3, 1] 110.5 111 106"]);
        check(&of("MIN"), &[X], &["f32[3, 1] 101 102 102"]);
        check(&of("MAX"), &[X], &["f32[3, 1] 120 120 110"]);
        check_problems(&of("MODE"), &["[E005] TreeEnsembleRegressor#0: attribute `aggregate_function` is `MODE`"]);
        let far = regressor("base_values = [0.0]").replace("target_nodeids = [1, 2, 1, 2]", "target_nodeids = [1, 2, 1, 3]");
        check_problems(&far, &["[E005] TreeEnsembleRegressor#0: tree 4 has no node 3"]);
    }

    #[test]
    fn leaves_vote_for_classes() {
        let three = classifier("[5, 6, 7]", "[0, 1, 2, 1]", "[1.0, 2.0, 5.0, -3.0]", "base_values = [0.0, 0.0, 0.25]");
        check(&three, &[X], &["i64[3] 5 7 7", "f32[3, 3] 1 -3 0.25 0 -1 0.25 0 2 5.25"]);
        let two = classifier("[5, 6]", "[0, 0, 0, 0]", "[0.25, 0.5, 0.25, 0.125]", "base_values = [0.125]");
        check(&two, &[X], &["i64[3] 5 6 6", "f32[3, 2] 0.5 0.5 0.25 0.75 0.125 0.875"]);
        let logistic = classifier("[5, 6]", "[0, 0, 0, 0]", "[-1.0, 2.0, 0.0, 0.0]", "post_transform = \"LOGISTIC\"");
        check(&logistic, &[X], &["i64[3] 5 6 6", "f32[3, 2] 0.7311 0.2689 0.1192 0.8808 0.1192 0.8808"]);
    }
}
