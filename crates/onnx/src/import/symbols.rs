//! The dims of the model's inputs: which sizes are numbers, which are named, which are unknown.
//!
//! A `dim_param` that is an identifier is the symbol of that name, wherever it stands. One that is an expression of a single symbol that
//! some input has as a dim is that expression. Any other text is a symbol of its own, the same for the same text. No text, and the
//! customary ones for "unknown", give a symbol that no other dim has. Then the options bind symbols to numbers.

use super::ImportOptions;
use crate::proto::TensorShapeProto;
use crate::proto::tensor_shape_proto::{Dimension, Value};
use ir::{Code, Diagnostic, Location};
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};

/// Texts longer than this are not read as expressions.
const MAX_TEXT: usize = 100;
/// The largest size that an option may bind.
const MAX_SIZE: i64 = 1 << 40;

/// An input's name with its declared shape.
pub(super) type Input<'a> = (&'a str, Option<&'a TensorShapeProto>);

/// A dim as the model declares it.
#[derive(Clone, Copy)]
enum Declared<'a> {
    Number(i64),
    Text(&'a str),
    Unknown,
}

/// The dims of the inputs, in order, with those of a faulty input missing; and what is wrong with the inputs or the options.
pub(super) fn input_dims(inputs: &[Input], options: &ImportOptions) -> (Vec<Option<Vec<Expr>>>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let declared = inputs.iter().map(|input| declared_dims(*input, options).map_err(|problem| problems.push(problem)).ok());
    let declared: Vec<Option<Vec<Declared>>> = declared.collect();
    let mut names = Names::of(declared.iter().flatten().flatten());
    let dims: Vec<Option<Vec<Expr>>> = inputs
        .iter()
        .zip(declared)
        .map(|((name, _), dims)| dims.map(|dims| dims.iter().enumerate().map(|(axis, dim)| names.dim(*dim, name, axis)).collect()))
        .collect();
    let bound = bindings(inputs, &dims, &names, options, &mut problems);
    let substitute = |dim: &Expr| dim.substitute(&|sym| bound.get(sym).map(|size| Expr::from(*size)));
    (dims.into_iter().map(|dims| dims.map(|dims| dims.iter().map(substitute).collect())).collect(), problems)
}

fn problem(input: &str, message: String) -> Diagnostic {
    Diagnostic::new(Code::Input, &Location::of(input), message)
}

/// The dims as declared; all unknown where only the options give a rank.
fn declared_dims<'a>((name, shape): Input<'a>, options: &ImportOptions) -> Result<Vec<Declared<'a>>, Diagnostic> {
    match (shape, options.shapes.get(name)) {
        (Some(shape), Some(bound)) if shape.dim.len() != bound.len() => {
            Err(problem(name, format!("the input has {} dims; {} are given", shape.dim.len(), bound.len())))
        }
        (Some(shape), _) => Ok(shape.dim.iter().map(declared_dim).collect()),
        (None, Some(bound)) => Ok(vec![Declared::Unknown; bound.len()]),
        (None, None) => {
            let message = "the input has no declared rank, and no dims are given for it";
            Err(Diagnostic::new(Code::Unsupported, &Location::of(name), message))
        }
    }
}

fn declared_dim(dim: &Dimension) -> Declared<'_> {
    match &dim.value {
        Some(Value::DimValue(size)) if *size > 0 => Declared::Number(*size),
        Some(Value::DimParam(text)) => match text.trim() {
            "" | "?" | "-1" | "None" => Declared::Unknown,
            text => Declared::Text(text),
        },
        Some(Value::DimValue(_)) | None => Declared::Unknown,
    }
}

fn is_identifier(text: &str) -> bool {
    is_word(text) && !names_iterator(text)
}

/// `i0`, `o12`: names that lower levels give to iterators. A dim of that name gets a fresh symbol; options still know it by its own text.
fn names_iterator(text: &str) -> bool {
    let digits = text.strip_prefix(['i', 'o']).unwrap_or("");
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !matches!(text, "min" | "max")
}

/// What names and texts of dims stand for.
struct Names<'a> {
    /// The symbols that a dim names.
    named: BTreeSet<Sym>,
    /// Every symbol.
    taken: BTreeSet<Sym>,
    texts: BTreeMap<&'a str, Expr>,
}

impl<'a> Names<'a> {
    fn of<'b>(dims: impl Iterator<Item = &'b Declared<'a>>) -> Names<'a>
    where
        'a: 'b,
    {
        let named = dims.filter_map(|dim| match dim {
            Declared::Text(text) if is_identifier(text) => Some(Sym::new(text)),
            Declared::Text(_) | Declared::Number(_) | Declared::Unknown => None,
        });
        let named: BTreeSet<Sym> = named.collect();
        Names { taken: named.clone(), named, texts: BTreeMap::new() }
    }

    fn dim(&mut self, dim: Declared<'a>, input: &str, axis: usize) -> Expr {
        let text = match dim {
            Declared::Number(size) => return Expr::from(size),
            Declared::Unknown => return self.fresh(input, axis),
            Declared::Text(text) => text,
        };
        if is_identifier(text) {
            return Expr::sym(&Sym::new(text));
        }
        if let Some(expr) = self.texts.get(text) {
            return expr.clone();
        }
        let expr = self.expression(text).unwrap_or_else(|| self.fresh(input, axis));
        self.texts.insert(text, expr.clone());
        expr
    }

    /// A number, or an expression of one named symbol. `//` is a division here, as exporters print it.
    fn expression(&self, text: &str) -> Option<Expr> {
        let expr: Expr = (text.len() <= MAX_TEXT).then(|| text.replace("//", "/").parse().ok()).flatten()?;
        let symbols = expr.symbols();
        match symbols.len() {
            0 => expr.as_const().is_some_and(|size| (1..=MAX_SIZE).contains(&size)).then_some(expr),
            1 => symbols.is_subset(&self.named).then_some(expr),
            _ => None,
        }
    }

    /// A symbol that no other dim has.
    fn fresh(&mut self, input: &str, axis: usize) -> Expr {
        let word: String = input.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let word = if word.starts_with(|c: char| c.is_ascii_alphabetic()) { word } else { format!("_{word}") };
        let mut name = format!("{word}_{axis}");
        while !self.taken.insert(Sym::new(&name)) {
            name.push('_');
        }
        Expr::sym(&Sym::new(&name))
    }

    /// What an option's name stands for: a symbol, or the text of a dim.
    fn find(&self, name: &str) -> Option<Expr> {
        let sym = Sym::new(name);
        self.taken.contains(&sym).then(|| Expr::sym(&sym)).or_else(|| self.texts.get(name).cloned())
    }
}

/// The sizes that the options give to symbols.
fn bindings(
    inputs: &[Input],
    dims: &[Option<Vec<Expr>>],
    names: &Names,
    options: &ImportOptions,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<Sym, i64> {
    let mut bound = BTreeMap::new();
    for (name, size) in &options.dims {
        let result = match names.find(name) {
            Some(expr) => bind(&mut bound, &expr, *size),
            None => Err(format!("the model has no such dim; it has {}", listed(&names.taken))),
        };
        problems.extend(result.err().map(|message| problem(name, message)));
    }
    for (name, sizes) in &options.shapes {
        let Some(at) = inputs.iter().position(|(input, _)| input == name) else {
            let known: Vec<&str> = inputs.iter().map(|(input, _)| *input).collect();
            problems.push(problem(name, format!("the model has no such input; it has {}", known.join(", "))));
            continue;
        };
        for (axis, (dim, size)) in dims[at].iter().flatten().zip(sizes).enumerate() {
            let result = size.map_or(Ok(()), |size| bind(&mut bound, dim, size));
            problems.extend(result.err().map(|message| problem(name, format!("axis {axis}: {message}"))));
        }
    }
    bound
}

fn listed(symbols: &BTreeSet<Sym>) -> String {
    let names: Vec<&str> = symbols.iter().map(Sym::name).collect();
    if names.is_empty() { "none that is not a number".to_string() } else { names.join(", ") }
}

/// Binds the symbol of `dim` so that `dim` is `size`; the text says why that can't be.
fn bind(bound: &mut BTreeMap<Sym, i64>, dim: &Expr, size: i64) -> Result<(), String> {
    if !(0..=MAX_SIZE).contains(&size) {
        return Err(format!("{size} is no size"));
    }
    let Some(sym) = dim.symbols().into_iter().next() else {
        return if dim.as_const() == Some(size) { Ok(()) } else { Err(format!("the size is {dim}, not {size}")) };
    };
    let value = solved(dim, &sym, size).ok_or_else(|| format!("{dim} can't be {size}"))?;
    match bound.insert(sym.clone(), value) {
        Some(other) if other != value => Err(format!("{sym} is both {other} and {value}")),
        _ => Ok(()),
    }
}

/// The size of `sym` that makes `dim`, linear in it, be `size`.
fn solved(dim: &Expr, sym: &Sym, size: i64) -> Option<i64> {
    let (factor, rest) = dim.split_linear(sym)?;
    let value = (Expr::from(size) - rest).exact_div(&factor)?.as_const()?;
    (0..=MAX_SIZE).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> TensorShapeProto {
        let value = |text: &str| match text.parse::<i64>() {
            Ok(size) => Value::DimValue(size),
            Err(_) => Value::DimParam(text.to_string()),
        };
        TensorShapeProto { dim: text.split(',').map(|text| Dimension { value: Some(value(text)), ..Dimension::default() }).collect() }
    }

    fn check(inputs: &[(&str, &str)], options: ImportOptions, want: &[&str]) {
        let shapes: Vec<TensorShapeProto> = inputs.iter().map(|(_, dims)| shape(dims)).collect();
        let inputs: Vec<Input> = inputs.iter().zip(&shapes).map(|((name, _), shape)| (*name, Some(shape))).collect();
        let (dims, problems) = input_dims(&inputs, &options);
        let text = |dims: &Option<Vec<Expr>>| dims.iter().flatten().map(|dim| dim.to_string()).collect::<Vec<_>>().join(", ");
        let got: Vec<String> =
            dims.iter().filter(|dims| dims.is_some()).map(text).chain(problems.iter().map(|problem| problem.to_string())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn names_are_shared_and_unknown_sizes_are_not() {
        check(&[("x", "n,3,?,-1"), ("y:0", "n,0,None,")], ImportOptions::default(), &["n, 3, x_2, x_3", "n, y_0_1, y_0_2, y_0_3"]);
        check(&[("x", "-5"), ("y", "x_0"), ("1", "max")], ImportOptions::default(), &["x_0_", "x_0", "_1_0"]);
    }

    #[test]
    fn expressions_of_a_named_size_are_understood() {
        check(&[("x", "s0,2*s0 + 1,s0//2"), ("y", "2*s1,a b,a b")], ImportOptions::default(), &["s0, 2*s0 + 1, (s0)/(2)", "y_0, y_1, y_1"]);
    }

    #[test]
    fn options_bind_names_and_positions() {
        let dims = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, size)| (name.to_string(), *size)).collect();
        let options = ImportOptions { dims: dims(&[("n", 2), ("x_1", 7)]), ..ImportOptions::default() };
        check(&[("x", "n,-1"), ("y", "n,n*2")], options, &["2, 7", "2, 4"]);
        let shapes = BTreeMap::from([("x".to_string(), vec![None, Some(9)])]);
        let options = ImportOptions { shapes, ..ImportOptions::default() };
        check(&[("x", "n,2*n + 1")], options.clone(), &["4, 9"]);
        check(&[("x", "n,8")], options.clone(), &["n, 8", "[E009] x: axis 1: the size is 8, not 9"]);
        check(&[("x", "n")], options, &["[E009] x: the input has 1 dims; 2 are given"]);
        let options = ImportOptions { dims: dims(&[("m", 2), ("n", -2)]), ..ImportOptions::default() };
        check(&[("x", "n")], options, &["n", "[E009] m: the model has no such dim; it has n", "[E009] n: -2 is no size"]);
    }
}
