//! Sums of products by letters.

use crate::draft;
use crate::generator::{Generator, Id};
use crate::interval::Interval;
use sym::Expr;

/// A letter, and the size of its axis.
#[derive(Clone, Debug, PartialEq)]
struct Letter {
    name: char,
    size: Expr,
}

/// One to three operands; the others share letters with the first ones.
pub fn einsum(generator: &mut Generator) -> Option<Id> {
    let x = generator.floats(1..=4)?;
    let form = generator.form(x).clone();
    let mut names: Vec<char> = ('a'..='z').collect();
    generator.random.shuffle(&mut names);
    let mut fresh = names.into_iter();
    let first = first_term(generator, &form.dims, &mut fresh);
    let mut letters: Vec<Letter> = Vec::new();
    for letter in &first {
        if !letters.contains(letter) {
            letters.push(letter.clone());
        }
    }
    let (mut operands, mut terms, mut interval) = (vec![x], vec![first], form.interval);
    for _ in 0..generator.random.one_of([0, 1, 1, 1, 1, 2]) {
        let term = other_term(generator, &letters, &mut fresh);
        let dims: Vec<Expr> = term.iter().map(|letter| letter.size.clone()).collect();
        operands.push(generator.tensor(form.dtype, &dims, Interval::around_zero(1.0))?);
        interval = interval.multiply(Interval::around_zero(1.0));
        letters.extend(term.iter().filter(|letter| !letters.contains(letter)).cloned().collect::<Vec<Letter>>());
        terms.push(term);
    }
    if !generator.is_quick(letters.iter().map(|letter| &letter.size)) {
        return None;
    }
    let result = result_term(generator, &letters, &terms);
    let summed: Vec<&Expr> = letters.iter().filter(|letter| !result.contains(letter)).map(|letter| &letter.size).collect();
    let count = generator.largest(&Expr::product(summed)) as f64;
    let equation = draft::text("equation", &equation(generator, &terms, &result));
    let sums = form.of(result.into_iter().map(|letter| letter.size).collect()).within(interval.scale(count).hull(interval));
    let keeps = operands.len() == 1 && count == 1.0;
    let sums = generator.emit("Einsum", &operands, vec![equation], if keeps { sums } else { sums.rounded() })?;
    generator.tame(sums, 60.0)
}

/// A letter for each axis; at times two axes of one size have one, so that their diagonal is meant.
fn first_term(generator: &mut Generator, dims: &[Expr], fresh: &mut impl Iterator<Item = char>) -> Vec<Letter> {
    let mut term: Vec<Letter> = Vec::new();
    for size in dims {
        let same = term.iter().find(|letter| letter.size == *size).cloned();
        match same.filter(|_| generator.random.chance(40)) {
            Some(letter) => term.push(letter),
            None => term.extend(fresh.next().map(|name| Letter { name, size: size.clone() })),
        }
    }
    term
}

/// Some of the letters, and up to two new ones, in any order.
fn other_term(generator: &mut Generator, letters: &[Letter], fresh: &mut impl Iterator<Item = char>) -> Vec<Letter> {
    let mut term: Vec<Letter> = letters.iter().filter(|_| generator.random.chance(60)).cloned().collect();
    let new = if term.is_empty() { 1 } else { generator.random.below(3) };
    for _ in 0..new {
        let size = generator.dim();
        term.extend(fresh.next().map(|name| Letter { name, size }));
    }
    if generator.random.chance(50) {
        generator.random.shuffle(&mut term);
    }
    term.truncate(4);
    term
}

/// The letters that are not summed over: few of those that several terms have.
fn result_term(generator: &mut Generator, letters: &[Letter], terms: &[Vec<Letter>]) -> Vec<Letter> {
    let mut result = letters.to_vec();
    result.retain(|letter| {
        let shared = terms.iter().filter(|term| term.contains(letter)).count() > 1;
        generator.random.chance(if shared { 35 } else { 85 })
    });
    if generator.random.chance(50) {
        generator.random.shuffle(&mut result);
    }
    result
}

/// The equation, in one of the ways to write it: with the first letters under `...` where all terms that have some begin with them, or
/// without its result where that is what is meant then.
fn equation(generator: &mut Generator, terms: &[Vec<Letter>], result: &[Letter]) -> String {
    let text = |letters: &[Letter]| letters.iter().map(|letter| letter.name).collect::<String>();
    let mut parts: Vec<String> = terms.iter().map(|term| text(term)).collect();
    let mut last = text(result);
    let implied = implied(&parts.concat()) == last;
    let leading = parts[0].chars().next();
    if let (Some(first), true) = (leading, generator.random.chance(30)) {
        let in_front = |text: &String| text.rfind(first).is_none_or(|at| at == 0);
        if last.starts_with(first) && parts.iter().all(in_front) {
            parts.iter_mut().chain([&mut last]).for_each(|part| *part = part.replacen(first, "...", 1));
        }
    } else if implied && generator.random.chance(50) {
        return parts.join(",");
    }
    let comma = if generator.random.chance(20) { ", " } else { "," };
    format!("{}->{last}", parts.join(comma))
}

/// The letters that occur once, by the alphabet.
fn implied(all: &str) -> String {
    let mut once: Vec<char> = all.chars().filter(|letter| all.matches(*letter).count() == 1).collect();
    once.sort_unstable();
    once.into_iter().collect()
}
