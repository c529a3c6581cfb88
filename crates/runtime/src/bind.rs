//! From the dims of a call's inputs to the values of the symbols, with every mismatch found at once.

use crate::image::Image;
use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{Code, Diagnostic, Diagnostics, Location};
use std::collections::BTreeMap;
use sym::{Expr, Sym};

/// The symbols' values in the image's order; for those that are computed, the room that the first call has. Errors: E009 at an input whose
/// rank or dims do not fit or that puts a symbol outside its bounds, and at the place of a guard that does not hold.
pub fn bind(image: &Image, dims: &[&[usize]]) -> Result<Vec<i64>, Diagnostics> {
    if dims.len() != image.inputs.len() {
        let message = format!("{} inputs are given, {} needed", dims.len(), image.inputs.len());
        return Err(Diagnostics::one(Code::Input, &Location::default(), message));
    }
    let mut problems = rank_problems(image, dims);
    let ranks_fit = problems.is_empty();
    let pairs = pairs(image, dims);
    let known = Known::solve(&pairs);
    problems.extend(pairs.iter().filter_map(|pair| known.mismatch(pair)));
    problems.extend(image.symbols.iter().filter_map(|sym| known.outside(sym, image.symbol_facts.get(sym)?)));
    let unsolved = image.given().filter(|sym| !known.0.contains_key(*sym));
    problems.extend(unsolved.filter_map(|sym| unsolved_problem(sym, &pairs, ranks_fit)));
    let broken = image.guards.iter().filter(|guard| guard.condition.holds(&|sym| known.value(sym)) == Some(false));
    problems.extend(broken.map(|guard| Diagnostic::new(Code::Input, &guard.location, known.broken(&guard.condition))));
    match problems.is_empty() {
        true => Ok(image.symbols.iter().map(|sym| known.value(sym).unwrap_or_else(|| image.first_room(sym))).collect()),
        false => Err(Diagnostics(problems)),
    }
}

/// One dim of one input: what it is by the model, and in the call.
struct Pair<'a> {
    input: &'a str,
    axis: usize,
    dim: &'a Expr,
    size: i64,
}

fn problem(input: &str, message: String) -> Diagnostic {
    let location = if input.is_empty() { Location::default() } else { Location::of(input) };
    Diagnostic::new(Code::Input, &location, message)
}

fn rank_problems(image: &Image, dims: &[&[usize]]) -> Vec<Diagnostic> {
    let wrong = image.inputs.iter().zip(dims).filter(|((_, ty), dims)| ty.rank() != dims.len());
    wrong.map(|((name, ty), dims)| problem(name, format!("its shape is {dims:?} but the model takes {ty}"))).collect()
}

fn pairs<'a>(image: &'a Image, dims: &[&[usize]]) -> Vec<Pair<'a>> {
    let fitting = image.inputs.iter().zip(dims).filter(|((_, ty), dims)| ty.rank() == dims.len());
    let of_input = |((name, ty), dims): (&'a (String, ir::TensorType), &&[usize])| {
        let pair = |(axis, (dim, size)): (usize, (&'a Expr, &usize))| Pair { input: name, axis, dim, size: *size as i64 };
        ty.dims.iter().zip(*dims).enumerate().map(pair).collect::<Vec<_>>()
    };
    fitting.flat_map(of_input).collect()
}

/// A symbol that no dim fixes; where ranks do not fit, the dim that would fix it may be missing, which is told already.
fn unsolved_problem(sym: &Sym, pairs: &[Pair], ranks_fit: bool) -> Option<Diagnostic> {
    match pairs.iter().find(|pair| pair.dim.mentions(sym)) {
        Some(Pair { input, axis, dim, size }) => Some(problem(input, format!("dim {axis} is {size}, which as {dim} fixes no {sym}"))),
        None => ranks_fit.then(|| problem("", format!("no input's dims fix the size {sym}"))),
    }
}

/// Values of symbols, each with the input that gave it.
struct Known<'a>(BTreeMap<Sym, (i64, &'a str)>);

impl<'a> Known<'a> {
    /// Plain symbols first, then dims that are linear in one unknown symbol, until no more come.
    fn solve(pairs: &[Pair<'a>]) -> Known<'a> {
        let mut known = Known(BTreeMap::new());
        for pair in pairs {
            if let Some(sym) = pair.dim.as_sym() {
                known.0.entry(sym.clone()).or_insert((pair.size, pair.input));
            }
        }
        let mut count = usize::MAX;
        while count != known.0.len() {
            count = known.0.len();
            for pair in pairs {
                if let Some((sym, value)) = known.solved(pair.dim, pair.size) {
                    known.0.insert(sym, (value, pair.input));
                }
            }
        }
        known
    }

    /// The value of the only unknown symbol of `dim == size`, where the dim is linear in it and divides evenly.
    fn solved(&self, dim: &Expr, size: i64) -> Option<(Sym, i64)> {
        let left = dim.substitute(&|sym| self.value(sym).map(Expr::from));
        let unknown = left.symbols();
        let sym = unknown.first().filter(|_| unknown.len() == 1)?;
        let (coefficient, rest) = left.split_linear(sym)?;
        let (coefficient, gap) = (coefficient.as_const()?, size.checked_sub(rest.as_const()?)?);
        (gap.checked_rem(coefficient)? == 0).then(|| (sym.clone(), gap / coefficient))
    }

    fn value(&self, sym: &Sym) -> Option<i64> {
        self.0.get(sym).map(|(value, _)| *value)
    }

    /// A dim that differs from what the symbols say. One whose symbols are not known is not judged.
    fn mismatch(&self, pair: &Pair) -> Option<Diagnostic> {
        let wanted = pair.dim.eval(&|sym| self.value(sym));
        let unknown = pair.dim.symbols().iter().any(|sym| !self.0.contains_key(sym));
        if unknown || wanted == Some(pair.size) {
            return None;
        }
        let Pair { input, axis, dim, size } = pair;
        let message = match wanted {
            Some(wanted) if dim.as_const().is_some() => format!("dim {axis} is {size}, not {wanted}"),
            Some(wanted) => format!("dim {axis} is {size}, not {dim} = {wanted} ({})", self.sources(dim)),
            None => format!("dim {axis} is {size}, and {dim} is out of range ({})", self.sources(dim)),
        };
        Some(problem(input, message))
    }

    /// `n = 3 by x, m = 4 by y`
    fn sources(&self, dim: &Expr) -> String {
        let source = |sym: Sym| self.0.get(&sym).map(|(value, input)| format!("{sym} = {value} by {input}"));
        dim.symbols().into_iter().filter_map(source).collect::<Vec<_>>().join(", ")
    }

    fn outside(&self, sym: &Sym, fact: &SymbolFact) -> Option<Diagnostic> {
        let (value, input) = self.0.get(sym)?;
        let inside = (fact.low..=fact.high).contains(value);
        (!inside).then(|| problem(input, format!("size {sym} = {value} is not in {}..={}", fact.low, fact.high)))
    }

    fn broken(&self, condition: &Condition) -> String {
        let (Condition::Equal(a, b) | Condition::OneOrEqual(a, b) | Condition::AtLeast(a, b)) = condition;
        let side = |e: &Expr| match (e.as_const(), e.eval(&|sym| self.value(sym))) {
            (None, Some(value)) => format!("{e} = {value}"),
            _ => e.to_string(),
        };
        match condition {
            Condition::Equal(..) => format!("sizes differ: {} vs {}", side(a), side(b)),
            Condition::OneOrEqual(..) => format!("cannot broadcast {} to {}", side(a), side(b)),
            Condition::AtLeast(..) => format!("{} is less than {}", side(a), side(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{DType, Guard, TensorType};

    fn image(inputs: &[(&str, &[&str])], guards: Vec<Guard>) -> Image {
        let ty = |dims: &[&str]| TensorType::new(DType::F32, dims.iter().map(|dim| dim.parse().unwrap()).collect());
        let inputs: Vec<_> = inputs.iter().map(|(name, dims)| (name.to_string(), ty(dims))).collect();
        let symbols: std::collections::BTreeSet<Sym> = inputs.iter().flat_map(|(_, ty)| &ty.dims).flat_map(|d| d.symbols()).collect();
        let symbol_facts = symbols.iter().map(|sym| (sym.clone(), SymbolFact { low: 1, high: 512 })).collect();
        Image { symbols: symbols.into_iter().collect(), symbol_facts, guards, inputs, ..Image::default() }
    }

    fn check(image: &Image, dims: &[&[usize]], want: Result<&[i64], &str>) {
        let got = bind(image, dims).map_err(|problems| problems.to_string());
        assert_eq!(got, want.map(<[i64]>::to_vec).map_err(str::to_string));
    }

    #[test]
    fn symbols_come_from_plain_and_linear_dims() {
        let image = image(&[("x", &["2*n + 1", "m"]), ("y", &["n*m"])], vec![]);
        check(&image, &[&[7, 4], &[12]], Ok(&[4, 3]));
        check(&image, &[&[6, 4], &[12]], Err("[E009] x: dim 0 is 6, not 2*n + 1 = 7 (n = 3 by y)"));
        check(&image, &[&[6, 4], &[13]], Err("[E009] x: dim 0 is 6, which as 2*n + 1 fixes no n"));
    }

    #[test]
    fn every_mismatch_is_told() {
        let guard = Guard { condition: Condition::OneOrEqual("n".parse().unwrap(), "m".parse().unwrap()), location: Location::of("/add") };
        let image = image(&[("x", &["n", "3"]), ("y", &["m", "n"]), ("z", &["4"])], vec![guard]);
        check(&image, &[&[1, 3], &[2, 1], &[4]], Ok(&[2, 1]));
        let all = "[E009] z: its shape is [4, 1] but the model takes f32[4]\n[E009] x: dim 1 is 5, not 3\n\
            [E009] y: dim 1 is 2, not n = 600 (n = 600 by x)\n[E009] x: size n = 600 is not in 1..=512\n\
            [E009] /add: cannot broadcast n = 600 to m = 2";
        check(&image, &[&[600, 5], &[2, 2], &[4, 1]], Err(all));
        check(&image, &[&[1, 3]], Err("[E009] model: 1 inputs are given, 3 needed"));
    }
}
