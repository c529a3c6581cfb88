//! The operators: one file a family, and the table.
//!
//! An entry serves the opsets from its version up to the next entry's of the same operator. To add an operator: write its function in
//! the file of its family, and an entry for each version that reads differently.

pub mod activation;
pub mod attention;
pub mod chosen;
pub mod columns;
pub mod constant;
pub mod control;
pub mod conv;
pub mod convert;
pub mod deform;
pub mod determinant;
pub mod einsum;
pub mod elementwise;
pub mod extremum;
pub mod fourier;
pub mod gather;
pub mod integer;
mod interpolate;
pub mod join;
pub mod labels;
pub mod layout;
pub mod linear_attention;
pub mod logic;
pub mod loops;
pub mod loss;
pub mod matmul;
pub mod microsoft;
pub mod ml;
mod narrow;
mod network;
pub mod ngrams;
pub mod norm;
pub mod order;
pub mod pad;
pub mod picture;
pub mod pool;
pub mod position;
pub mod quantize;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod repeat;
pub mod reshape;
pub mod resize;
pub mod rotary;
pub mod sample;
pub mod scatter;
pub mod sequence;
pub mod signal;
pub mod slice;
pub mod softmax;
pub mod strings;
pub mod suppression;
pub mod training;
pub mod trigonometry;
pub mod units;
mod window;

use crate::import::{Call, Narrow, Outcome};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The latest opset of the default domain whose operators have been looked through.
pub const LATEST_OPSET: i64 = 28;

/// Operators that take elements of the narrow types and know what they stand for.
const NARROW: [&str; 5] = ["Cast", "CastLike", "BitCast", "QuantizeLinear", "DequantizeLinear"];

/// Operators that give on what they carry, whatever it stands for, and know of each which it is.
const CARRIES: [&str; 2] = ["Loop", "Scan"];

/// Operators that take strings and know what they are.
const STRINGS: [&str; 10] =
    ["Cast", "CastLike", "Equal", "Shape", "Size", "StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"];

/// Likewise, of `ai.onnx.ml`.
const ML_STRINGS: [&str; 3] = ["LabelEncoder", "CategoryMapper", "OneHotEncoder"];

/// Operators that give elements of their first operand, whatever these stand for.
const MOVES: [&str; 9] = ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Expand"];

/// Operators that give elements of their operands, which may be strings.
const MOVES_STRINGS: [&str; 12] = [
    "Where",
    "Concat",
    "Split",
    "Tile",
    "Pad",
    "Compress",
    "ReverseSequence",
    "GatherND",
    "GatherElements",
    "ScatterND",
    "ScatterElements",
    "Scatter",
];

/// What an operator does with elements that stand for something else than the numbers that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Gives them on.
    Moves,
    Knows,
    Refuses,
}

pub(crate) fn reading(domain: &str, op_type: &str, narrow: Narrow) -> Reading {
    let is_text = narrow == Narrow::Text;
    if domain == "ai.onnx.ml" && is_text && ML_STRINGS.contains(&op_type) {
        return Reading::Knows;
    }
    let knows: &[&str] = if is_text { &STRINGS } else { &NARROW };
    let is_in = |names: &[&str]| domain.is_empty() && names.contains(&op_type);
    match is_in(&MOVES) || is_text && is_in(&MOVES_STRINGS) {
        true => Reading::Moves,
        false if is_in(knows) || is_in(&CARRIES) => Reading::Knows,
        false => Reading::Refuses,
    }
}

/// Whether the elements of an operand meet those of the other such operands.
pub(crate) fn meets(op_type: &str, operand: usize) -> bool {
    match op_type {
        "Equal" | "StringConcat" | "Concat" => true,
        "Where" => operand > 0,
        "Pad" | "ScatterND" | "ScatterElements" | "Scatter" => operand == 0 || operand == 2,
        _ => false,
    }
}

/// Operators that take sequences, and optionals without a value.
pub const TAKES_SEQUENCES: [&str; 11] = [
    "Identity",
    "Loop",
    "SequenceInsert",
    "SequenceErase",
    "SequenceAt",
    "SequenceLength",
    "SequenceMap",
    "ConcatFromSequence",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
];

/// Operators whose results are random: Dropout only where it trains.
pub const RANDOM: [&str; 7] =
    ["RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"];

/// Adds an operator's node to the graph.
pub type Import = fn(&mut Call) -> Outcome;

/// An operator, the first opset that the function serves, and the function.
pub struct Entry(pub &'static str, pub i64, pub Import);

/// Every family, with its domain.
static FAMILIES: &[(&str, &[Entry])] = &[
    ("", elementwise::OPS),
    ("", trigonometry::OPS),
    ("", activation::OPS),
    ("", units::OPS),
    ("", logic::OPS),
    ("", convert::OPS),
    ("", random::OPS),
    ("", matmul::OPS),
    ("", einsum::OPS),
    ("", determinant::OPS),
    ("", conv::OPS),
    ("", deform::OPS),
    ("", integer::OPS),
    ("", quantize::OPS),
    ("", pool::OPS),
    ("", norm::OPS),
    ("", softmax::OPS),
    ("", chosen::OPS),
    ("", suppression::OPS),
    ("", loss::OPS),
    ("", attention::OPS),
    ("ai.onnx.preview", attention::flex::OPS),
    ("", linear_attention::OPS),
    ("", rotary::OPS),
    ("", reduce::OPS),
    ("", extremum::OPS),
    ("", reshape::OPS),
    ("", layout::OPS),
    ("", join::OPS),
    ("", slice::OPS),
    ("", pad::OPS),
    ("", repeat::OPS),
    ("", resize::OPS),
    ("", sample::OPS),
    ("", columns::OPS),
    ("", fourier::OPS),
    ("", position::OPS),
    ("", order::OPS),
    ("", gather::OPS),
    ("", scatter::OPS),
    ("", constant::OPS),
    ("", signal::OPS),
    ("", control::OPS),
    ("", loops::OPS),
    ("", recurrent::OPS),
    ("", sequence::OPS),
    ("", strings::OPS),
    ("", picture::OPS),
    ("ai.onnx.ml", labels::OPS),
    ("", ngrams::OPS),
    ("ai.onnx.ml", ml::features::OPS),
    ("ai.onnx.ml", ml::linear::OPS),
    ("ai.onnx.ml", ml::support::OPS),
    ("ai.onnx.ml", ml::trees::CLASSIC),
    ("ai.onnx.ml", ml::trees::ENSEMBLE),
    ("ai.onnx.ml", ml::MAPS),
    (training::DOMAIN, training::OPS),
    ("com.microsoft", microsoft::OPS),
    ("", microsoft::norm::OF_ONNX),
];

fn entries() -> impl Iterator<Item = (&'static str, &'static Entry)> {
    FAMILIES.iter().flat_map(|(domain, entries)| entries.iter().map(move |entry| (*domain, entry)))
}

/// The entries of each domain and name.
static BY_NAME: LazyLock<HashMap<(&str, &str), Vec<&Entry>>> = LazyLock::new(|| {
    let mut named: HashMap<_, Vec<_>> = HashMap::new();
    entries().for_each(|(domain, entry)| named.entry((domain, entry.0)).or_default().push(entry));
    named
});

fn named<'a>(domain: &'a str, op_type: &'a str) -> impl Iterator<Item = &'static Entry> {
    BY_NAME.get(&(domain, op_type)).into_iter().flatten().copied()
}

/// The function for an operator as of an opset.
pub(crate) fn find(domain: &str, op_type: &str, opset: i64) -> Option<Import> {
    named(domain, op_type).filter(|entry| entry.1 <= opset).max_by_key(|entry| entry.1).map(|entry| entry.2)
}

/// The first opset whose form of the operator is supported.
pub(crate) fn oldest(domain: &str, op_type: &str) -> Option<i64> {
    named(domain, op_type).map(|entry| entry.1).min()
}

/// A supported operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpName {
    /// Empty for ONNX's own.
    pub domain: &'static str,
    pub op_type: &'static str,
    /// The first opset whose form is supported.
    pub since: i64,
}

/// The supported operators, by domain and name.
pub fn op_names() -> Vec<OpName> {
    let mut names: Vec<OpName> = entries().map(|(domain, entry)| OpName { domain, op_type: entry.0, since: entry.1 }).collect();
    names.sort();
    names.dedup_by_key(|name| (name.domain, name.op_type));
    names
}
