//! Machine-learning operators.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::AttributeProto;
use sym::Expr;

const TRANSFORMS: [&str; 4] = ["NONE", "LOGISTIC", "SOFTMAX", "NONE"];

/// Rows of features that no rounding made, and how many features there are.
fn rows(generator: &mut Generator) -> Option<(Id, usize)> {
    let fits = |_: &Generator, form: &Form| {
        let few = form.dims.last().and_then(Expr::as_const).is_some_and(|count| (1..=40).contains(&count));
        matches!(form.dtype, DType::F32 | DType::F64) && form.exact && form.rank() == 2 && few
    };
    let found = generator.find(fits).filter(|_| generator.random.chance(60));
    let x = match found {
        Some(found) => found,
        None => {
            let dims = [generator.dim(), Expr::from(generator.random.one_of([1, 2, 3, 5, 8, 17]))];
            generator.input(DType::F32, &dims, Interval::around_zero(2.0))?
        }
    };
    let count = generator.dims(x)[1].as_const()?;
    Some((x, count as usize))
}

/// Numbers that sums of few of keep exactly.
fn quarters(generator: &mut Generator, count: usize) -> Vec<f32> {
    (0..count).map(|_| generator.random.between(-8, 8) as f32 / 4.0).collect()
}

fn numbers(generator: &mut Generator, count: usize) -> Vec<f32> {
    (0..count).map(|_| generator.random.float(-1.0, 1.0) as f32).collect()
}

fn sizes(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(value.abs())).sum()
}

/// A node with a second result alone: the first depends on roundings.
fn second_result(generator: &mut Generator, op: &str, x: Id, attributes: Vec<AttributeProto>, form: Form) -> Option<Id> {
    if !generator.is_handy(&form.dims) {
        return None;
    }
    let input = generator.used(x);
    let id = generator.given("scores", form);
    let output = generator.value(id).name.clone();
    generator.draft.node(op, vec![input], vec![String::new(), output], attributes);
    Some(id)
}

pub fn features(generator: &mut Generator) -> Option<Id> {
    let (x, count) = rows(generator)?;
    let form = generator.form(x).clone();
    let single = Form { dtype: DType::F32, ..form.clone() };
    match generator.random.below(7) {
        0 => {
            let picked: Vec<i64> = (0..generator.random.between(1, 4)).map(|_| generator.random.below(count) as i64).collect();
            let indices = generator.list("indices", &picked);
            let dims = vec![form.dims[0].clone(), Expr::from(picked.len() as i64)];
            generator.emit("ai.onnx.ml.ArrayFeatureExtractor", &[x, indices], vec![], form.of(dims))
        }
        1 => {
            let attributes = vec![draft::float("threshold", generator.random.float(-1.0, 1.0))];
            generator.emit("ai.onnx.ml.Binarizer", &[x], attributes, form.within(Interval::BOOL))
        }
        2 => {
            let few = if generator.random.chance(30) { 1 } else { count };
            let (offset, scale) = (numbers(generator, few), numbers(generator, few));
            let attributes = vec![draft::floats("offset", &offset), draft::floats("scale", &scale)];
            let scaled = single.rounded().within(Interval::around_zero(form.interval.largest() + 1.0));
            generator.emit("ai.onnx.ml.Scaler", &[x], attributes, scaled)
        }
        3 => {
            let x = generator.positive(x)?;
            let attributes = vec![draft::text("norm", generator.random.one_of(["MAX", "L1", "L2"]))];
            generator.emit("ai.onnx.ml.Normalizer", &[x], attributes, single.rounded().within(Interval::new(0.0, 1.01)))
        }
        4 => {
            let few = if generator.random.chance(30) { 1 } else { count };
            let values = numbers(generator, few);
            let replaced = generator.random.one_of([f64::NAN, 0.0]);
            let attributes = vec![draft::floats("imputed_value_floats", &values), draft::float("replaced_value_float", replaced)];
            generator.emit("ai.onnx.ml.Imputer", &[x], attributes, form.within(form.interval.hull(Interval::around_zero(1.0))))
        }
        5 => {
            let widths = [generator.random.between(1, count as i64), generator.random.between(1, count as i64 + 2)];
            let dims = vec![form.dims[0].clone(), Expr::from(widths[0] + widths[1])];
            let joined = single.of(dims).within(form.interval.with_zero());
            generator.emit("ai.onnx.ml.FeatureVectorizer", &[x, x], vec![draft::ints("inputdimensions", &widths)], joined)
        }
        _ => one_hot(generator),
    }
}

fn one_hot(generator: &mut Generator) -> Option<Id> {
    let x = generator.integers().filter(|x| generator.rank(*x) <= 3)?;
    let categories: Vec<i64> = (0..generator.random.between(1, 6)).map(|at| 2 * at - 3).collect();
    let mut dims = generator.dims(x);
    dims.push(Expr::from(categories.len() as i64));
    let form = Form { dtype: DType::F32, dims, interval: Interval::BOOL, exact: true };
    generator.emit("ai.onnx.ml.OneHotEncoder", &[x], vec![draft::ints("cats_int64s", &categories)], form)
}

pub fn linear(generator: &mut Generator) -> Option<Id> {
    let (x, count) = rows(generator)?;
    let classifies = generator.random.chance(50);
    let columns = generator.random.between(1, 5) as usize;
    let (coefficients, intercepts) = (numbers(generator, columns * count), numbers(generator, columns));
    let transform = generator.random.one_of(TRANSFORMS);
    let mut attributes = vec![
        draft::floats("coefficients", &coefficients),
        draft::floats("intercepts", &intercepts),
        draft::text("post_transform", transform),
    ];
    let form = generator.form(x).clone();
    let most = if transform == "NONE" { count as f64 * form.interval.largest() + 2.0 } else { 1.0 };
    let scores = |columns: usize, most: f64| Form {
        dtype: DType::F32,
        dims: vec![form.dims[0].clone(), Expr::from(columns as i64)],
        interval: Interval::around_zero(most),
        exact: false,
    };
    if !classifies {
        attributes.push(draft::int("targets", columns as i64));
        return generator.emit("ai.onnx.ml.LinearRegressor", &[x], attributes, scores(columns, most));
    }
    let classes = columns.max(2);
    let labels: Vec<i64> = (0..classes as i64).map(|at| 10 - 3 * at).collect();
    attributes.push(draft::ints("classlabels_ints", &labels));
    // a softmax of one column is left out
    let most = if columns == 1 && transform != "LOGISTIC" { count as f64 * form.interval.largest() + 2.0 } else { most };
    second_result(generator, "ai.onnx.ml.LinearClassifier", x, attributes, scores(classes, most))
}

pub fn support(generator: &mut Generator) -> Option<Id> {
    let (x, count) = rows(generator)?;
    let x = generator.tame(x, 2.0)?;
    let form = generator.form(x).clone();
    let kernel = generator.random.one_of(["LINEAR", "RBF", "SIGMOID", "POLY"]);
    let classes = if generator.random.chance(50) { generator.random.between(2, 4) } else { 0 };
    let counts: Vec<i64> = (0..classes.max(1)).map(|_| generator.random.between(1, 3)).collect();
    let total = counts.iter().sum::<i64>() as usize;
    let pairs = if classes > 0 { classes * (classes - 1) / 2 } else { 1 };
    let vectors = numbers(generator, total * count);
    let coefficients = numbers(generator, total * (classes - 1).max(1) as usize);
    let mut attributes = vec![
        draft::text("kernel_type", kernel),
        draft::floats("kernel_params", &[0.25, 0.5, 2.0]),
        draft::floats("support_vectors", &vectors),
        draft::floats("coefficients", &coefficients),
        draft::floats("rho", &numbers(generator, pairs as usize)),
    ];
    let product = count as f64 * form.interval.largest();
    let largest = match kernel {
        "RBF" | "SIGMOID" => 1.0,
        "POLY" => (0.25 * product + 0.5).powi(2),
        _ => product,
    };
    let scores = |columns: i64| Form {
        dtype: DType::F32,
        dims: vec![form.dims[0].clone(), Expr::from(columns)],
        interval: Interval::around_zero(total as f64 * largest + 1.0),
        exact: false,
    };
    if classes == 0 {
        attributes.push(draft::int("n_supports", total as i64));
        return generator.emit("ai.onnx.ml.SVMRegressor", &[x], attributes, scores(1));
    }
    let labels: Vec<i64> = (0..classes).collect();
    attributes.extend([draft::ints("classlabels_ints", &labels), draft::ints("vectors_per_class", &counts)]);
    let columns = if classes == 2 { 2 } else { pairs };
    second_result(generator, "ai.onnx.ml.SVMClassifier", x, attributes, scores(columns))
}

/// A tree as lists: a branch has a feature, a mode, a threshold and children, a leaf has none.
#[derive(Default)]
struct Tree {
    nodes: Vec<Option<Branch>>,
}

/// Feature, mode, threshold, children.
type Branch = (i64, usize, f32, [usize; 2]);

const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

impl Tree {
    /// The place of a new subtree of at most so many levels.
    fn grow(&mut self, generator: &mut Generator, features: usize, levels: usize) -> usize {
        let at = self.nodes.len();
        self.nodes.push(None);
        if levels == 0 || generator.random.chance(20) {
            return at;
        }
        let children = [(); 2].map(|()| self.grow(generator, features, levels - 1));
        let mode = if generator.random.chance(70) { 0 } else { generator.random.below(MODES.len()) };
        let threshold = generator.random.float(-1.5, 1.5) as f32;
        self.nodes[at] = Some((generator.random.below(features) as i64, mode, threshold, children));
        at
    }
}

pub fn trees(generator: &mut Generator) -> Option<Id> {
    let (x, count) = rows(generator)?;
    let levels = generator.random.between(0, 4) as usize;
    let trees: Vec<Tree> = (0..generator.random.between(1, 5))
        .map(|_| {
            let mut tree = Tree::default();
            tree.grow(generator, count, levels);
            tree
        })
        .collect();
    let targets = generator.random.between(1, 4);
    match generator.random.below(3) {
        0 if generator.form(x).dtype == DType::F32 => ensemble(generator, x, &trees, targets),
        1 => classifier(generator, x, &trees, targets + 1),
        _ => regressor(generator, x, &trees, targets),
    }
}

fn aggregate(generator: &mut Generator, form: Form) -> (&'static str, i64, Form) {
    let (name, number) = generator.random.one_of([("AVERAGE", 0), ("SUM", 1), ("SUM", 1), ("MIN", 2), ("MAX", 3)]);
    (name, number, if number == 0 { form.rounded() } else { form })
}

fn scores(generator: &Generator, x: Id, columns: i64, most: f64) -> Form {
    let dims = vec![generator.dims(x)[0].clone(), Expr::from(columns)];
    Form { dtype: DType::F32, dims, interval: Interval::around_zero(most), exact: true }
}

/// The nodes with the tree and the number of each.
fn nodes(trees: &[Tree]) -> Vec<AttributeProto> {
    let all = || trees.iter().enumerate().flat_map(|(tree, own)| own.nodes.iter().enumerate().map(move |(at, node)| (tree, at, node)));
    let ints = |name: &str, of: &dyn Fn(&Branch) -> i64| {
        draft::ints(name, &all().map(|(_, _, node)| node.as_ref().map_or(0, of)).collect::<Vec<i64>>())
    };
    let modes: Vec<&str> = all().map(|(_, _, node)| node.map_or("LEAF", |(_, mode, ..)| MODES[mode])).collect();
    let values: Vec<f32> = all().map(|(_, _, node)| node.map_or(0.0, |(_, _, threshold, _)| threshold)).collect();
    vec![
        draft::ints("nodes_treeids", &all().map(|(tree, ..)| tree as i64).collect::<Vec<i64>>()),
        draft::ints("nodes_nodeids", &all().map(|(_, at, _)| at as i64).collect::<Vec<i64>>()),
        ints("nodes_featureids", &|(feature, ..)| *feature),
        ints("nodes_truenodeids", &|(.., children)| children[0] as i64),
        ints("nodes_falsenodeids", &|(.., children)| children[1] as i64),
        draft::texts("nodes_modes", &modes),
        draft::floats("nodes_values", &values),
    ]
}

/// One or more votes at each leaf: their attributes, whose names begin with these, and the sum of their sizes.
fn votes(generator: &mut Generator, trees: &[Tree], targets: i64, [prefix, ids]: [&str; 2]) -> (Vec<AttributeProto>, f64) {
    let (mut places, mut chosen) = ([vec![], vec![]], vec![]);
    let most = if generator.random.chance(50) { 1 } else { targets };
    for (tree, own) in trees.iter().enumerate() {
        for at in (0..own.nodes.len()).filter(|at| own.nodes[*at].is_none()) {
            let first = generator.random.below(targets as usize) as i64;
            for vote in 0..generator.random.between(1, most) {
                places[0].push(tree as i64);
                places[1].push(at as i64);
                chosen.push((first + vote) % targets);
            }
        }
    }
    let weights = quarters(generator, chosen.len());
    let attributes = vec![
        draft::ints(&format!("{prefix}_treeids"), &places[0]),
        draft::ints(&format!("{prefix}_nodeids"), &places[1]),
        draft::ints(ids, &chosen),
        draft::floats(&format!("{prefix}_weights"), &weights),
    ];
    (attributes, sizes(&weights))
}

fn regressor(generator: &mut Generator, x: Id, trees: &[Tree], targets: i64) -> Option<Id> {
    let (votes, most) = votes(generator, trees, targets, ["target", "target_ids"]);
    let form = scores(generator, x, targets, most);
    let (name, _, form) = aggregate(generator, form);
    let own = vec![draft::int("n_targets", targets), draft::text("aggregate_function", name)];
    generator.emit("ai.onnx.ml.TreeEnsembleRegressor", &[x], [nodes(trees), votes, own].concat(), form)
}

fn classifier(generator: &mut Generator, x: Id, trees: &[Tree], classes: i64) -> Option<Id> {
    let (votes, most) = votes(generator, trees, classes, ["class", "class_ids"]);
    let labels: Vec<i64> = (0..classes).map(|at| 5 * at - 4).collect();
    let scores = scores(generator, x, classes, most + 1.0);
    let label = Form { dtype: DType::I64, dims: scores.dims[..1].to_vec(), interval: Interval::new(-4.0, 40.0), exact: true };
    let own = vec![draft::ints("classlabels_int64s", &labels)];
    let results =
        generator.emit_all("ai.onnx.ml.TreeEnsembleClassifier", &[Some(x)], [nodes(trees), votes, own].concat(), vec![label, scores])?;
    generator.random.pick(&results)
}

/// The form of opset 5: branches and leaves apart, a tree that is a leaf as a branch with two equal ends.
fn ensemble(generator: &mut Generator, x: Id, trees: &[Tree], targets: i64) -> Option<Id> {
    let (mut features, mut modes, mut splits, mut roots, mut leaves) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut ids, mut ends) = ([vec![], vec![]], [vec![], vec![]]);
    for tree in trees {
        let start = features.len();
        roots.push(start as i64);
        let branches: Vec<usize> = (0..tree.nodes.len()).filter(|at| tree.nodes[*at].is_some()).collect();
        let drawn: Vec<_> = branches.iter().filter_map(|at| tree.nodes[*at]).collect();
        for (feature, mode, threshold, children) in if drawn.is_empty() { vec![(0, 0, 0.0, [0, 0])] } else { drawn } {
            features.push(feature);
            modes.push(mode as i64);
            splits.push(f64::from(threshold));
            for (side, child) in children.into_iter().enumerate() {
                let branch = branches.iter().position(|at| *at == child);
                if branch.is_none() {
                    leaves.push(generator.random.below(targets as usize) as i64);
                }
                ids[side].push(branch.map_or(leaves.len() as i64 - 1, |at| (start + at) as i64));
                ends[side].push(i64::from(branch.is_none()));
            }
        }
    }
    let weights = quarters(generator, leaves.len());
    let form = scores(generator, x, targets, sizes(&weights));
    let (_, aggregate, form) = aggregate(generator, form);
    let floats = |name: &str, values: Vec<f64>| {
        draft::tensor(name, &ir::Tensor::from_array(&ir::Array::floats(DType::F32, vec![values.len()], values)))
    };
    let modes = draft::tensor("nodes_modes", &ir::Tensor::from_array(&ir::Array::ints(DType::U8, vec![modes.len()], modes)));
    let attributes = vec![
        draft::int("n_targets", targets),
        draft::int("aggregate_function", aggregate),
        draft::ints("tree_roots", &roots),
        draft::ints("nodes_featureids", &features),
        modes,
        floats("nodes_splits", splits),
        draft::ints("nodes_truenodeids", &ids[0]),
        draft::ints("nodes_trueleafs", &ends[0]),
        draft::ints("nodes_falsenodeids", &ids[1]),
        draft::ints("nodes_falseleafs", &ends[1]),
        draft::ints("leaf_targetids", &leaves),
        floats("leaf_weights", weights.into_iter().map(f64::from).collect()),
    ];
    generator.emit("ai.onnx.ml.TreeEnsemble", &[x], attributes, form)
}

/// Counts of grams in rows of tokens.
pub fn grams(generator: &mut Generator) -> Option<Id> {
    let length = generator.dim();
    let rows = if generator.random.chance(60) { Some(generator.dim()) } else { None };
    let dims: Vec<Expr> = rows.iter().cloned().chain([length.clone()]).collect();
    let dtype = generator.random.one_of([DType::I32, DType::I64]);
    let tokens = generator.input(dtype, &dims, Interval::new(0.0, 3.0))?;
    let longest = generator.random.between(1, 3);
    let (mut pool, mut starts, mut count) = (vec![], vec![], 0);
    for size in 1..=longest {
        starts.push(pool.len() as i64);
        let grams = generator.random.between(0, 4);
        pool.extend((0..grams * size).map(|_| generator.random.between(0, 3)));
        count += grams;
    }
    if count == 0 {
        return None;
    }
    let mut indexes: Vec<i64> = (0..count).collect();
    generator.random.shuffle(&mut indexes);
    let skips = generator.random.between(0, 3);
    let work = [&dims[..], &[Expr::from(count * longest * (skips + 1))]].concat();
    if !generator.is_quick(&work) {
        return None;
    }
    let mode = generator.random.one_of(["TF", "IDF", "TFIDF"]);
    let mut attributes = vec![
        draft::int("min_gram_length", generator.random.between(1, longest)),
        draft::int("max_gram_length", longest),
        draft::int("max_skip_count", skips),
        draft::text("mode", mode),
        draft::ints("ngram_counts", &starts),
        draft::ints("ngram_indexes", &indexes),
        draft::ints("pool_int64s", &pool),
    ];
    if generator.random.chance(50) {
        attributes.push(draft::floats("weights", &quarters(generator, count as usize)));
    }
    let most = 2.0 * (generator.largest(&length) * (skips + 1)) as f64;
    let dims = rows.into_iter().chain([Expr::from(count)]).collect();
    let form = Form { dtype: DType::F32, dims, interval: Interval::around_zero(most), exact: true };
    generator.emit("TfIdfVectorizer", &[tokens], attributes, form)
}
