//! Sums of products by letters.

use super::Entry;
use crate::import::{Call, Outcome, one};
use ::ops::{Builder, Folded};
use ir::{Code, Diagnostic, ValueId};
use nest::Monoid;
use sym::Expr;

pub const OPS: &[Entry] = &[Entry("Einsum", 12, einsum)];

/// The letters of each operand and of the result.
struct Equation {
    operands: Vec<Vec<char>>,
    result: Vec<char>,
}

/// A tensor under construction, with a letter for each axis.
struct Lettered {
    id: ValueId,
    letters: Vec<char>,
}

/// The operands are multiplied from the left. A letter is summed over with the last operand that holds it.
fn einsum(call: &mut Call) -> Outcome {
    super::matmul::check_types(call)?;
    let equation = equation(call)?;
    let values = call.values()?;
    let operands = values.into_iter().zip(equation.operands).map(|(id, letters)| diagonal(call, Lettered { id, letters }));
    let operands: Vec<Lettered> = operands.collect::<Result<_, _>>()?;
    let mut operands = operands.into_iter();
    let Some(mut product) = operands.next() else { return Err(call.error(Code::Malformed, "Einsum has no operands").into()) };
    let rest: Vec<Lettered> = operands.collect();
    for (at, factor) in rest.iter().enumerate() {
        let later = |letter: &char| equation.result.contains(letter) || rest[at + 1..].iter().any(|other| other.letters.contains(letter));
        let mut kept: Vec<char> =
            equation.result.iter().copied().filter(|c| product.letters.contains(c) || factor.letters.contains(c)).collect();
        let others: Vec<char> = product.letters.iter().chain(&factor.letters).copied().filter(later).collect();
        for letter in others {
            if !kept.contains(&letter) {
                kept.push(letter);
            }
        }
        let text = |letters: &[char]| letters.iter().collect::<String>();
        let spec = format!("{},{}->{}", text(&product.letters), text(&factor.letters), text(&kept));
        product = Lettered { id: call.b().contract(&spec, product.id, factor.id)?, letters: kept };
    }
    one(arranged(call, product, &equation.result)?)
}

/// The elements whose indices agree along the axes of one letter, which then has one axis.
fn diagonal(call: &mut Call, mut x: Lettered) -> Result<Lettered, Diagnostic> {
    while let Some((first, second)) = repeated(&x.letters) {
        let dims = call.b().dims(x.id).to_vec();
        let what = format!("axes of `{}`", x.letters[first]);
        call.equal_dims(&what, std::slice::from_ref(&dims[first]), std::slice::from_ref(&dims[second]))?;
        let others: Vec<usize> = (0..dims.len()).filter(|axis| *axis != first && *axis != second).collect();
        let last = call.b().transpose(x.id, &[&others[..], &[first, second]].concat())?;
        let leading: Vec<Expr> = others.iter().map(|axis| dims[*axis].clone()).collect();
        let letters = others.iter().chain([&first]).map(|axis| x.letters[*axis]).collect();
        x = Lettered { id: main_diagonals(call.b(), last, &leading, &dims[first])?, letters };
    }
    Ok(x)
}

/// Two axes of one letter.
fn repeated(letters: &[char]) -> Option<(usize, usize)> {
    (0..letters.len()).find_map(|at| Some((letters[..at].iter().position(|letter| *letter == letters[at])?, at)))
}

/// The diagonals of `n` by `n` matrices: row by row, with `n` zeros behind, they are the first columns of `n` by `n + 1`.
fn main_diagonals(b: &mut Builder, x: ValueId, leading: &[Expr], n: &Expr) -> Result<ValueId, Diagnostic> {
    let with = |last: &[Expr]| [leading, last].concat();
    let rank = leading.len();
    let flat = b.reshape(x, &with(&[n * n]))?;
    let (zero, nothing) = (b.number(b.dtype(x), 0.0), vec![Expr::zero(); rank]);
    let longer = b.pad(flat, zero, &vec![Expr::zero(); rank + 1], &[&nothing[..], std::slice::from_ref(n)].concat())?;
    let wider = b.reshape(longer, &with(&[n.clone(), n + 1]))?;
    let column = b.slice_axis(wider, rank + 1, &Expr::zero(), &Expr::one())?;
    b.reshape(column, &with(std::slice::from_ref(n)))
}

/// Sums what the result lacks, and puts its axes in order.
fn arranged(call: &mut Call, product: Lettered, result: &[char]) -> Result<ValueId, Diagnostic> {
    let gone: Vec<usize> = (0..product.letters.len()).filter(|at| !result.contains(&product.letters[*at])).collect();
    let left: Vec<char> = product.letters.into_iter().filter(|letter| result.contains(letter)).collect();
    let sum = if gone.is_empty() { product.id } else { call.b().reduce(Monoid::Sum, product.id, &gone, Folded::Dropped)? };
    let perm: Vec<usize> = result.iter().filter_map(|letter| left.iter().position(|other| other == letter)).collect();
    call.b().transpose(sum, &perm)
}

/// The equation, checked against the operands' ranks; axes under `...` have got letters that it does not use.
fn equation(call: &Call) -> Result<Equation, Diagnostic> {
    let text = call.text("equation")?.ok_or_else(|| call.attribute_error("attribute `equation` is missing"))?;
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left.to_string(), Some(right.to_string())),
        None => (text.clone(), None),
    };
    let wrong = |why: &str| call.attribute_error(format!("attribute `equation` is `{text}`: {why}"));
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != call.operand_count() {
        return Err(wrong(&format!("{} terms for {} operands", terms.len(), call.operand_count())));
    }
    let free: Vec<char> = ('A'..='Z').chain('a'..='z').filter(|c| !text.contains(*c)).collect();
    let mut operands = Vec::new();
    let mut widest = 0;
    for (at, term) in terms.iter().enumerate() {
        let rank = call.rank(at)?;
        let named = term.replacen("...", "", 1).chars().count();
        let covered = match term.contains("...") {
            true => rank.checked_sub(named).ok_or_else(|| wrong(&format!("operand {at} has {rank} axes")))?,
            false if named == rank => 0,
            false => return Err(wrong(&format!("operand {at} has {rank} axes"))),
        };
        widest = widest.max(covered);
        operands.push((term.to_string(), covered));
    }
    let covering = free.get(..widest).ok_or_else(|| wrong("too many axes"))?;
    // axes under `...` align at the last one
    let written = |term: &str, covered: usize| term.replacen("...", &covering[widest - covered..].iter().collect::<String>(), 1);
    let operands: Vec<Vec<char>> = operands.iter().map(|(term, covered)| written(term, *covered).chars().collect()).collect();
    let result: Vec<char> = match right {
        Some(right) => written(&right, widest).chars().collect(),
        None => implied(&operands, covering),
    };
    if operands.iter().chain([&result]).flatten().any(|letter| !letter.is_ascii_alphabetic()) {
        return Err(wrong("letters, commas, `...` and `->` are known"));
    }
    if repeated(&result).is_some() {
        return Err(wrong("a letter twice in the result"));
    }
    if result.iter().any(|letter| !operands.iter().any(|letters| letters.contains(letter))) {
        return Err(wrong("a letter of the result is in no operand"));
    }
    Ok(Equation { operands, result })
}

/// The result of an equation without one: what `...` stands for, then the letters that occur once, by the alphabet.
fn implied(operands: &[Vec<char>], covering: &[char]) -> Vec<char> {
    let mut once: Vec<char> = operands.iter().flatten().copied().collect();
    once.retain(|letter| !covering.contains(letter) && operands.iter().flatten().filter(|other| *other == letter).count() == 1);
    once.sort_unstable();
    [covering, &once].concat()
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems, check_types};

    #[test]
    fn products_by_letters() {
        let text = |equation: &str| format!("x: f32[2, 2] y: f32[2, 2] z = Einsum {{equation = \"{equation}\"}} (x, y) => z");
        let (x, y) = ("f32[2, 2] 1 2 3 4", "f32[2, 2] 5 6 7 8");
        check(&text("ij,jk->ik"), &[x, y], &["f32[2, 2] 19 22 43 50"]);
        check(&text("ij,jk"), &[x, y], &["f32[2, 2] 19 22 43 50"]);
        check(&text("ij, ij -> j"), &[x, y], &["f32[2] 26 44"]);
        check(&text("i..., j... -> ..."), &[x, y], &["f32[2] 48 84"]);
        check("x: f32[2, 2] y = Einsum {equation = \"ij->ji\"} (x) => y", &[x], &["f32[2, 2] 1 3 2 4"]);
        check("x: f32[2, 2] y = Einsum {equation = \"ij->\"} (x) => y", &[x], &["f32[] 10"]);
        let three = "x: f32[a, b] y: f32[b, c] z: f32[c, d] w = Einsum {equation = \"ab,bc,cd->da\"} (x, y, z) => w";
        check_types(three, &["f32[d, a]"]);
        check(three, &[x, y, "f32[2, 1] 1 1"], &["f32[1, 2] 41 93"]);
    }

    #[test]
    fn diagonals() {
        let text = |ty: &str, equation: &str| format!("x: {ty} y = Einsum {{equation = \"{equation}\"}} (x) => y");
        let x = "f32[2, 2] 1 2 3 4";
        check(&text("f32[n, n]", "ii->i"), &[x], &["f32[2] 1 4"]);
        check(&text("f32[n, n]", "ii"), &[x], &["f32[] 5"]);
        let cube = "f32[2, 2, 2] 1 2 3 4 5 6 7 8";
        check(&text("f32[2, 2, 2]", "iii->i"), &[cube], &["f32[2] 1 8"]);
        check(&text("f32[2, 2, 2]", "...ii->...i"), &[cube], &["f32[2, 2] 1 4 5 8"]);
        check(&text("f32[n, m, n]", "iji->ji"), &[cube], &["f32[2, 2] 1 6 3 8"]);
        check(&text("f32[n, n]", "ii->i"), &["f32[0, 0]"], &["f32[0]"]);
        let product = "x: f32[2, 2] y: f32[2, 2] z = Einsum {equation = \"ii,ij->j\"} (x, y) => z";
        check(product, &[x, x], &["f32[2] 13 18"]);
    }

    #[test]
    fn equations_that_do_not_fit() {
        let text = |equation: &str| format!("x: f32[2, 2] y = Einsum {{equation = \"{equation}\"}} (x) => y");
        check_problems(&text("i->i"), &["[E005] Einsum#0: attribute `equation` is `i->i`: operand 0 has 2 axes"]);
        check_problems(&text("ij->ii"), &["[E005] Einsum#0: attribute `equation` is `ij->ii`: a letter twice in the result"]);
        check_problems("x: f32[2, 3] y = Einsum {equation = \"ii\"} (x) => y", &["[E003] Einsum#0: axes of `i`: axis 0 differs: 2 vs 3"]);
        check_problems(&text("ij->k"), &["[E005] Einsum#0: attribute `equation` is `ij->k`: a letter of the result is in no operand"]);
        check_problems(&text("ij,j->i"), &["[E005] Einsum#0: attribute `equation` is `ij,j->i`: 2 terms for 1 operands"]);
    }
}
