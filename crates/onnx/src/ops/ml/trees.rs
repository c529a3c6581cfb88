//! Ensembles of decision trees.
//!
//! All trees are walked at once: `node[n, tree]` starts at the roots, and each step takes it to a child by gathers from tables of the
//! nodes; a leaf is its own child, and there are as many steps as the deepest tree has levels.

use super::Result;
use crate::import::Call;
use ::ops::{Builder, Folded, Scan};
use ir::{Array, Code, DType, Graph, Tensor, TensorType, ValueId};
use nest::{Func, Monoid};
use std::collections::BTreeSet;
use sym::Expr;

mod classic;
mod ensemble;

pub use classic::OPS as CLASSIC;
pub use ensemble::OPS as ENSEMBLE;

/// The most entries of the table of leaves.
const MOST_ENTRIES: usize = 1 << 24;
/// The most columns of the result.
const MOST_TARGETS: i64 = 1 << 24;

/// How a node compares its feature with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    LessEqual,
    Less,
    GreaterEqual,
    Greater,
    Equal,
    NotEqual,
}

impl Mode {
    const ALL: [Mode; 6] = [Mode::LessEqual, Mode::Less, Mode::GreaterEqual, Mode::Greater, Mode::Equal, Mode::NotEqual];

    fn func(self) -> Func {
        match self {
            Mode::LessEqual => Func::LessEqual,
            Mode::Less => Func::Less,
            Mode::GreaterEqual => Func::GreaterEqual,
            Mode::Greater => Func::Greater,
            Mode::Equal => Func::Equal,
            Mode::NotEqual => Func::NotEqual,
        }
    }
}

/// Inside of a tree.
#[derive(Clone, Debug)]
struct Branch {
    mode: Mode,
    feature: usize,
    threshold: f64,
    /// Whether NaN goes where a comparison that holds goes.
    missing: bool,
    /// The nodes to go to where the comparison holds, and where not.
    children: [usize; 2],
}

#[derive(Clone, Debug)]
enum Node {
    Branch(Branch),
    /// What it adds to each target.
    Leaf(Vec<(usize, f64)>),
}

/// Nodes that refer to each other by place.
struct Trees {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    targets: usize,
    /// The type of thresholds and sums.
    dtype: DType,
}

/// How the leaves of all trees come together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn monoid(self) -> Monoid {
        match self {
            Aggregate::Average | Aggregate::Sum => Monoid::Sum,
            Aggregate::Min => Monoid::Min,
            Aggregate::Max => Monoid::Max,
        }
    }

    /// What a leaf has for a target that it says nothing of.
    fn nothing(self) -> f64 {
        match self {
            Aggregate::Average | Aggregate::Sum => 0.0,
            Aggregate::Min => f64::INFINITY,
            Aggregate::Max => f64::NEG_INFINITY,
        }
    }
}

impl Trees {
    /// The steps from a root to the farthest leaf. Err where a node can come back to itself.
    fn depth(&self) -> std::result::Result<usize, usize> {
        // how far below each node the farthest leaf is; None while its children are being looked at
        let mut below: Vec<Option<Option<usize>>> = vec![None; self.nodes.len()];
        let mut open: Vec<usize> = self.roots.clone();
        while let Some(at) = open.last().copied() {
            let Node::Branch(branch) = &self.nodes[at] else {
                below[at] = Some(Some(0));
                open.pop();
                continue;
            };
            let known = |child: usize| below[child].flatten();
            match (below[at], known(branch.children[0]), known(branch.children[1])) {
                (Some(Some(_)), ..) => drop(open.pop()),
                (_, Some(a), Some(b)) => {
                    below[at] = Some(Some(1 + a.max(b)));
                    open.pop();
                }
                (Some(None), ..) if branch.children.iter().any(|child| below[*child] == Some(None)) => return Err(at),
                _ => {
                    below[at] = Some(None);
                    open.extend(branch.children.iter().filter(|child| below[**child].is_none()));
                }
            }
        }
        Ok(self.roots.iter().filter_map(|root| below[*root].flatten()).max().unwrap_or(0))
    }

    fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.nodes.iter().filter_map(|node| if let Node::Branch(branch) = node { Some(branch) } else { None })
    }

    /// For each node what a branch has, or something else for a leaf at this place.
    fn table<T>(&self, of_branch: impl Fn(&Branch) -> T, of_leaf: impl Fn(usize) -> T) -> Vec<T> {
        let entry = |(at, node): (usize, &Node)| match node {
            Node::Branch(branch) => of_branch(branch),
            Node::Leaf(_) => of_leaf(at),
        };
        self.nodes.iter().enumerate().map(entry).collect()
    }

    fn votes(&self) -> impl Iterator<Item = &[(usize, f64)]> {
        self.nodes.iter().map(|node| if let Node::Leaf(votes) = node { votes.as_slice() } else { &[] })
    }
}

/// `[n, targets]`: what the trees give for rows of features `x`, `[n, f]`, of the trees' type.
fn evaluated(call: &mut Call, x: ValueId, trees: &Trees, aggregate: Aggregate) -> Result<ValueId> {
    if trees.roots.is_empty() || trees.targets == 0 {
        return Err(call.attribute_error(format!("{} trees for {} targets", trees.roots.len(), trees.targets)));
    }
    let depth = trees.depth().map_err(|_| call.attribute_error("the nodes of a tree form a ring"))?;
    let features = call.b().dims(x)[1].clone();
    let most = trees.branches().map(|branch| branch.feature).max().map_or(0, |most| most as i64 + 1);
    if features.as_const().is_some_and(|features| features < most) {
        return Err(call.attribute_error(format!("a node compares feature {}, of {features}", most - 1)));
    }
    call.guard(ir::guard::Condition::AtLeast(features, Expr::from(most)));
    let leaves = reached(call.b(), x, trees, depth)?;
    aggregated(call, leaves, trees, aggregate)
}

/// The numbers of a tensor, where the attribute is there.
fn tensor(call: &Call, name: &'static str) -> Result<Option<Vec<f64>>> {
    let Some((tensor, _)) = call.tensor(name)? else { return Ok(None) };
    let array = tensor.to_array();
    Ok(Some((0..array.count()).map(|at| array.get(at).as_f64()).collect()))
}

/// As many entries as there are nodes or leaves.
fn as_many<T>(call: &Call, name: &str, list: Vec<T>, count: usize) -> Result<Vec<T>> {
    match list.len() == count {
        true => Ok(list),
        false => Err(call.attribute_error(format!("attribute `{name}` has {} entries, not {count}", list.len()))),
    }
}

/// A place in a list of `count`.
fn place(call: &Call, name: &str, number: i64, count: usize) -> Result<usize> {
    let place = usize::try_from(number).ok().filter(|place| *place < count);
    place.ok_or_else(|| call.attribute_error(format!("attribute `{name}` has {number}, which is not in 0..{count}")))
}

fn targets(call: &Call) -> Result<usize> {
    let targets = call.int_or("n_targets", 1)?;
    let count = (1..=MOST_TARGETS).contains(&targets).then_some(targets as usize);
    count.ok_or_else(|| call.attribute_error(format!("attribute `n_targets` is {targets}, not in 1..={MOST_TARGETS}")))
}

fn ints(b: &mut Builder, values: Vec<usize>) -> ValueId {
    b.ints(DType::I64, vec![values.len()], values.into_iter().map(|value| value as i64).collect())
}

fn numbers(b: &mut Builder, dtype: DType, dims: Vec<usize>, values: Vec<f64>) -> ValueId {
    b.graph.constant(Tensor::from_array(&Array::floats(dtype, dims, values)), None, "constant")
}

/// `[n, trees]`: the leaf of each tree that a row comes to.
fn reached(b: &mut Builder, x: ValueId, trees: &Trees, depth: usize) -> Result<ValueId> {
    let roots = ints(b, trees.roots.clone());
    let start = b.broadcast(roots, &[b.dims(x)[0].clone(), Expr::from(trees.roots.len() as i64)])?;
    if depth == 0 {
        return Ok(start);
    }
    let modes: Vec<Mode> = Mode::ALL.into_iter().filter(|mode| trees.branches().any(|branch| branch.mode == *mode)).collect();
    let place = |mode: Mode| modes.iter().position(|other| *other == mode).unwrap_or(0);
    let tracks = trees.branches().any(|branch| branch.missing);
    let mut tables = vec![
        ints(b, trees.table(|branch| branch.feature, |_| 0)),
        numbers(b, trees.dtype, vec![trees.nodes.len()], trees.table(|branch| branch.threshold, |_| 0.0)),
        ints(b, trees.table(|branch| branch.children[0], |at| at)),
        ints(b, trees.table(|branch| branch.children[1], |at| at)),
    ];
    if tracks {
        tables.push(b.ints(DType::Bool, vec![trees.nodes.len()], trees.table(|branch| i64::from(branch.missing), |_| 0)));
    }
    if modes.len() > 1 {
        tables.push(ints(b, trees.table(|branch| place(branch.mode), |_| 0)));
    }
    let captures = [&[x], &tables[..]].concat();
    let types: Vec<TensorType> = captures.iter().map(|id| b.ty(*id).clone()).collect();
    let region = step(b, b.ty(start).clone(), types, &modes, tracks)?;
    let scan = Scan { trips: Expr::from(depth as i64), scanned: vec![], stacked: vec![] };
    let last = b.scan(&scan, &[start], &captures, region)?;
    last.first().copied().ok_or_else(|| b.error(Code::Malformed, "a scan without a result"))
}

/// The region of one step: the nodes, the features and the tables -> the nodes one level below.
fn step(outer: &Builder, node: TensorType, captures: Vec<TensorType>, modes: &[Mode], tracks: bool) -> Result<Graph> {
    let mut b = Builder::new("step");
    b.location = outer.location.clone();
    outer.graph.graph().symbols.iter().for_each(|(sym, fact)| b.graph.symbol(sym, *fact));
    let node = b.input("node", node);
    let captures: Vec<ValueId> = captures.into_iter().map(|ty| b.input("table", ty)).collect();
    let [x, feature, threshold, then, other] = captures[..5] else { return Err(b.error(Code::Malformed, "too few tables")) };
    let more = &captures[5..];
    let at = b.gather(feature, node, 0)?;
    let value = b.gather_elements(x, at, 1)?;
    let threshold = b.gather(threshold, node, 0)?;
    let mut holds = b.map(modes[0].func(), &[value, threshold])?;
    if let (Some(table), [_, rest @ ..]) = (more.last().filter(|_| modes.len() > 1), modes) {
        let mode = b.gather(*table, node, 0)?;
        for (number, other) in rest.iter().enumerate() {
            let (is_it, found) = (b.map_number(Func::Equal, mode, number as f64 + 1.0)?, b.map(other.func(), &[value, threshold])?);
            holds = b.map(Func::Select, &[is_it, found, holds])?;
        }
    }
    let missing = b.map(Func::IsNan, &[value])?;
    if let Some(table) = more.first().filter(|_| tracks) {
        let follows = b.gather(*table, node, 0)?;
        holds = b.map(Func::Select, &[missing, follows, holds])?;
    } else if modes.contains(&Mode::NotEqual) {
        let there = b.map(Func::Not, &[missing])?;
        holds = b.map(Func::And, &[holds, there])?;
    }
    let (then, other) = (b.gather(then, node, 0)?, b.gather(other, node, 0)?);
    let next = b.map(Func::Select, &[holds, then, other])?;
    b.output("next", next);
    Ok(b.finish())
}

/// What the leaves say of each target, over all trees.
fn aggregated(call: &mut Call, leaves: ValueId, trees: &Trees, aggregate: Aggregate) -> Result<ValueId> {
    let most = trees.votes().map(<[_]>::len).max().unwrap_or(0).max(1);
    let twice = trees.votes().any(|votes| votes.iter().map(|(target, _)| target).collect::<BTreeSet<_>>().len() < votes.len());
    let whole = trees.targets <= 2 * most && !twice;
    let width = if whole { trees.targets } else { most };
    if trees.nodes.len().checked_mul(width).is_none_or(|entries| entries > MOST_ENTRIES) {
        return Err(call.error(Code::Limit, format!("a table of {} nodes by {width}", trees.nodes.len())));
    }
    let b = call.b();
    let sums = if whole { from_rows(b, leaves, trees, aggregate)? } else { from_votes(b, leaves, trees, aggregate, width)? };
    match aggregate {
        Aggregate::Sum => Ok(sums),
        Aggregate::Average => b.map_number(Func::Div, sums, trees.roots.len() as f64),
        Aggregate::Min | Aggregate::Max => {
            // no tree said anything
            let (nothing, zero) = (b.map_number(Func::Equal, sums, aggregate.nothing())?, b.number(b.dtype(sums), 0.0));
            b.map_broadcast(Func::Select, &[nothing, zero, sums])
        }
    }
}

/// Every leaf has a row of all targets.
fn from_rows(b: &mut Builder, leaves: ValueId, trees: &Trees, aggregate: Aggregate) -> Result<ValueId> {
    let mut entries = vec![aggregate.nothing(); trees.nodes.len() * trees.targets];
    for (at, votes) in trees.votes().enumerate() {
        votes.iter().for_each(|(target, weight)| entries[at * trees.targets + target] = *weight);
    }
    let table = numbers(b, trees.dtype, vec![trees.nodes.len(), trees.targets], entries);
    let rows = b.gather(table, leaves, 0)?;
    b.reduce(aggregate.monoid(), rows, &[1], Folded::Dropped)
}

/// Every leaf has up to `width` pairs of a target and what it gets.
fn from_votes(b: &mut Builder, leaves: ValueId, trees: &Trees, aggregate: Aggregate, width: usize) -> Result<ValueId> {
    let (mut places, mut weights) = (Vec::new(), Vec::new());
    for votes in trees.votes() {
        let filled = votes.iter().copied().chain(std::iter::repeat((0, aggregate.nothing())));
        filled.take(width).for_each(|(place, weight)| {
            places.push(place as i64);
            weights.push(weight);
        });
    }
    let dims = vec![trees.nodes.len(), width];
    let places = b.ints(DType::I64, dims.clone(), places);
    let weights = numbers(b, trees.dtype, dims, weights);
    let rows = b.dims(leaves)[0].clone();
    let flat = [rows.clone(), Expr::from((trees.roots.len() * width) as i64)];
    let (places, weights) = (b.gather(places, leaves, 0)?, b.gather(weights, leaves, 0)?);
    let (places, weights) = (b.reshape(places, &flat)?, b.reshape(weights, &flat)?);
    let nothing = b.number(b.dtype(weights), aggregate.nothing());
    let nothing = b.broadcast(nothing, &[rows, Expr::from(trees.targets as i64)])?;
    b.scatter_elements([nothing, places, weights], 1, Some(aggregate.monoid()))
}
