//! TfIdfVectorizer: how often the grams of a pool stand in rows of tokens.

use super::Entry;
use crate::import::{Call, Narrow, Outcome, one};
use ::ops::{Builder, Folded};
use ir::{Array, Code, DType, Diagnostic, Tensor, ValueId};
use nest::{Func, Monoid};
use std::collections::BTreeMap;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("TfIdfVectorizer", 9, tf_idf)];

type Result<T> = std::result::Result<T, Diagnostic>;

/// The most columns of the result.
const MOST_COLUMNS: i64 = 1 << 24;
/// The most distances between tokens that are tried where the length of a row is not known.
const MOST_DISTANCES: i64 = 4096;

/// The grams of one length, each with the column that it counts in.
struct Grams {
    length: usize,
    rows: Vec<(Vec<i64>, i64)>,
}

/// What becomes of a count.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Tf,
    Idf,
    TfIdf,
}

fn tf_idf(call: &mut Call) -> Outcome {
    let mode = match call.text("mode")? {
        Some("TF") => Mode::Tf,
        Some("IDF") => Mode::Idf,
        Some("TFIDF") => Mode::TfIdf,
        other => return Err(call.attribute_error(format!("attribute `mode` is {other:?}")).into()),
    };
    let indexes = call.ints("ngram_indexes")?.unwrap_or_default();
    let columns = indexes.iter().max().map_or(0, |most| most.saturating_add(1));
    if indexes.iter().any(|index| *index < 0) || columns > MOST_COLUMNS {
        return Err(call.attribute_error(format!("attribute `ngram_indexes` has an index that is not in 0..{MOST_COLUMNS}")).into());
    }
    let (groups, distances) = (groups(call, &indexes)?, distances(call)?);
    let dtype = call.dtype(0)?;
    if !matches!(dtype, DType::I32 | DType::I64) {
        return Err(call.error(Code::Type, format!("tokens are {dtype}, not i32 or i64")).into());
    }
    let dims = call.dims(0)?;
    let (rows, length) = match &dims[..] {
        [] => (Expr::one(), Expr::one()),
        [length] => (Expr::one(), length.clone()),
        [rows, length] => (rows.clone(), length.clone()),
        _ => return Err(call.error(Code::Shape, format!("tokens of {} axes", dims.len())).into()),
    };
    let distances = fewer_distances(call, distances, &length)?;
    let weights = weights(call, columns)?;
    let x = call.value(0)?;
    let b = call.b();
    let x = b.reshape(x, &[rows.clone(), length])?;
    let x = b.convert(x, DType::I64)?;
    let counted = groups.iter().map(|grams| counts(b, x, grams, &distances)).collect::<Result<Vec<ValueId>>>()?;
    let columns = Expr::from(columns);
    let counts = in_columns(b, &counted, &groups, &[columns.clone(), rows.clone()])?;
    let result = weighted(b, counts, weights, mode)?;
    one(if dims.len() < 2 { b.reshape(result, &[columns])? } else { result })
}

/// The grams whose lengths count. Of equal ones the last counts; indexes are for all grams of the pool, in order.
fn groups(call: &Call, indexes: &[i64]) -> Result<Vec<Grams>> {
    let length = |name| -> Result<i64> { call.int(name)?.ok_or_else(|| call.attribute_error(format!("attribute `{name}` is missing"))) };
    let lengths = length("min_gram_length")?..=length("max_gram_length")?;
    let pool = pool(call)?;
    let starts = call.ints("ngram_counts")?.unwrap_or_default();
    let mut groups = Vec::new();
    let mut indexes = indexes.iter();
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(pool.len() as i64);
        let part = usize::try_from(*start).ok().zip(usize::try_from(end).ok()).and_then(|(start, end)| pool.get(start..end));
        let part = part.ok_or_else(|| {
            call.attribute_error(format!("attribute `ngram_counts` has {start} before {end} in a pool of {}", pool.len()))
        })?;
        let mut rows = BTreeMap::new();
        for gram in part.chunks_exact(at + 1) {
            let index =
                indexes.next().ok_or_else(|| call.attribute_error("attribute `ngram_indexes` has fewer entries than there are grams"))?;
            rows.insert(gram.to_vec(), *index);
        }
        if lengths.contains(&(at as i64 + 1)) && !rows.is_empty() {
            groups.push(Grams { length: at + 1, rows: rows.into_iter().collect() });
        }
    }
    Ok(groups)
}

/// The tokens of all grams, of the type of operand 0; strings are their numbers.
fn pool(call: &Call) -> Result<Vec<i64>> {
    let ints = call.ints("pool_int64s")?.unwrap_or_default();
    let texts = call.texts("pool_strings")?.unwrap_or_default();
    let is_text = call.narrow(0) == Some(Narrow::Text);
    match if is_text { !ints.is_empty() } else { !texts.is_empty() } {
        true => Err(call.attribute_error(format!("the pool is not of the tokens' type, {}", if is_text { "string" } else { "integers" }))),
        false if is_text => texts.iter().map(|text| call.string_number(text)).collect(),
        false => Ok(ints),
    }
}

/// How many distances from token to token of a gram are tried: 1, 2 ...
fn distances(call: &Call) -> Result<i64> {
    let skipped = call.int("max_skip_count")?.ok_or_else(|| call.attribute_error("attribute `max_skip_count` is missing"))?;
    let count = skipped.checked_add(1).filter(|count| *count > 0);
    count.ok_or_else(|| call.attribute_error(format!("attribute `max_skip_count` is {skipped}")))
}

/// Distances of a whole row and more reach no second token.
fn fewer_distances(call: &Call, count: i64, length: &Expr) -> Result<Expr> {
    match length.as_const() {
        Some(length) => Ok(Expr::from(count.min(length.max(1)))),
        None if count <= MOST_DISTANCES => Ok(Expr::from(count)),
        None => Err(call
            .error(Code::Limit, format!("attribute `max_skip_count` is more than {MOST_DISTANCES}, and the length of a row is not known"))),
    }
}

fn weights(call: &mut Call, columns: i64) -> Result<Option<ValueId>> {
    let Some(weights) = call.floats("weights")?.filter(|weights| !weights.is_empty()) else { return Ok(None) };
    let used = usize::try_from(columns).ok().and_then(|columns| weights.get(..columns));
    let Some(used) = used else {
        return Err(call.attribute_error(format!("attribute `weights` has {} entries for {columns} columns", weights.len())));
    };
    let array = Array::floats(DType::F32, vec![used.len()], used.iter().map(|weight| *weight as f64).collect());
    Ok(Some(call.b().graph.constant(Tensor::from_array(&array), None, "weights")))
}

/// `[rows, grams]`: how often each gram stands in a row of `x`, `[rows, length]`, at any of the distances. One token has one.
fn counts(b: &mut Builder, x: ValueId, grams: &Grams, distances: &Expr) -> Result<ValueId> {
    let length = b.dims(x)[1].clone();
    let distances = if grams.length == 1 { Expr::one() } else { distances.clone() };
    let places = [length.clone(), distances];
    let (start, distance) = (b.iota(&places, 0, DType::I64)?, b.iota(&places, 1, DType::I64)?);
    let distance = b.map_number(Func::Add, distance, 1.0)?;
    let size = b.size(&length, DType::I64)?;
    let last = b.map_number(Func::Sub, size, 1.0)?;
    let mut found = None;
    for at in 0..grams.length {
        let offset = b.map_number(Func::Mul, distance, at as f64)?;
        let place = b.map(Func::Add, &[start, offset])?;
        let inside = b.map_broadcast(Func::Less, &[place, size])?;
        let place = b.map_broadcast(Func::Min, &[place, last])?;
        let tokens = b.gather(x, place, 1)?;
        let tokens = b.unsqueeze(tokens, &[3])?;
        let wanted = b.ints(DType::I64, vec![grams.rows.len()], grams.rows.iter().map(|(gram, _)| gram[at]).collect());
        let equal = b.map_broadcast(Func::Equal, &[tokens, wanted])?;
        let inside = b.unsqueeze(inside, &[2])?;
        let equal = b.map_broadcast(Func::And, &[equal, inside])?;
        found = Some(match found {
            Some(found) => b.map(Func::And, &[found, equal])?,
            None => equal,
        });
    }
    let found = found.ok_or_else(|| b.error(Code::Malformed, "a gram of no tokens"))?;
    let found = b.convert(found, DType::I64)?;
    b.reduce(Monoid::Sum, found, &[1, 2], Folded::Dropped)
}

/// The counts of the grams in their columns, `[rows, columns]`; `dims` are columns and rows.
fn in_columns(b: &mut Builder, counted: &[ValueId], groups: &[Grams], dims: &[Expr; 2]) -> Result<ValueId> {
    let zero = b.number(DType::I64, 0.0);
    let none = b.broadcast(zero, dims)?;
    if counted.is_empty() {
        return b.transpose(none, &[1, 0]);
    }
    let counts = b.concat(counted, 1)?;
    let counts = b.transpose(counts, &[1, 0])?;
    let columns: Vec<i64> = groups.iter().flat_map(|grams| grams.rows.iter().map(|(_, column)| *column)).collect();
    let columns = b.ints(DType::I64, vec![columns.len(), 1], columns);
    let sums = b.scatter_nd([none, columns, counts], Some(Monoid::Sum))?;
    b.transpose(sums, &[1, 0])
}

fn weighted(b: &mut Builder, counts: ValueId, weights: Option<ValueId>, mode: Mode) -> Result<ValueId> {
    match (mode, weights) {
        (Mode::Tf, _) | (Mode::TfIdf, None) => b.convert(counts, DType::F32),
        (Mode::TfIdf, Some(weights)) => {
            let counts = b.convert(counts, DType::F32)?;
            b.map_broadcast(Func::Mul, &[counts, weights])
        }
        (Mode::Idf, weights) => {
            let is_there = b.map_number(Func::Greater, counts, 0.0)?;
            let (zero, one) = (b.number(DType::F32, 0.0), b.number(DType::F32, 1.0));
            b.map_broadcast(Func::Select, &[is_there, weights.unwrap_or(one), zero])
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    fn model(x: &str, more: &str) -> String {
        format!(
            "{x} y = TfIdfVectorizer {{min_gram_length = 1, {more}, ngram_counts = [0, 4], ngram_indexes = [0, 1, 2, 3, 4, 5, 6],
            pool_int64s = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]}} (x) => y"
        )
    }

    #[test]
    fn grams_are_counted_at_all_distances() {
        let rows = "i32[2, 6] 1 1 3 3 3 7 8 6 7 5 6 8";
        let all = r#"max_gram_length = 2, max_skip_count = 5, mode = "TF""#;
        check(&model("x: i32[2, n]", all), &[rows], &["f32[2, 7] 0 3 0 0 0 0 0 0 0 1 0 1 1 1"]);
        let near = r#"max_gram_length = 2, max_skip_count = 0, mode = "TF""#;
        check(&model("x: i32[12]", near), &["i32[12] 1 1 3 3 3 7 8 6 7 5 6 8"], &["f32[7] 0 3 1 0 1 1 1"]);
        let weights = "weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]";
        let of = |mode: &str| model("x: i64[n]", &format!(r#"max_gram_length = 2, max_skip_count = 0, mode = "{mode}", {weights}"#));
        check(&of("IDF"), &["i64[5] 3 3 5 6 9"], &["f32[7] 0 2 3 0 5 0 0"]);
        check(&of("TFIDF"), &["i64[5] 3 3 5 6 9"], &["f32[7] 0 4 3 0 5 0 0"]);
        check(&of("TF"), &["i64[0]"], &["f32[7] 0 0 0 0 0 0 0"]);
    }

    #[test]
    fn tokens_may_be_strings() {
        let text = r#"x: string[n] y = TfIdfVectorizer {min_gram_length = 1, max_gram_length = 2, max_skip_count = 0, mode = "TF",
            ngram_counts = [0, 2], ngram_indexes = [0, 1, 2], pool_strings = ["a", "b", "b", "c"]} (x) => y"#;
        check(text, &[r#"string[5] "b" "c" "" "zz" "a""#], &["f32[3] 1 1 1"]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let text = model("x: i32[n]", r#"max_gram_length = 2, max_skip_count = 0, mode = "TF""#);
        let few = text.replace("4, 5, 6],", "4, 5],");
        check_problems(&few, &["[E005] TfIdfVectorizer#0: attribute `ngram_indexes` has fewer entries than there are grams"]);
        let far = text.replace("[0, 4]", "[0, 40]");
        check_problems(&far, &["[E005] TfIdfVectorizer#0: attribute `ngram_counts` has 0 before 40 in a pool of 10"]);
        let words = text.replace("pool_int64s = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]", r#"pool_strings = ["a"]"#);
        check_problems(&words, &["[E005] TfIdfVectorizer#0: the pool is not of the tokens' type, integers"]);
    }
}
