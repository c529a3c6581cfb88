//! `string_split`: the pieces of each string along a new last axis, empty strings behind them; `split_counts`: how many there are.
//!
//! Attributes: `delimiter` Text, empty for any white space, of which several in a row are one and those at the ends none; `most` Int, the
//! most splits of a string, or -1. Of `string_split` also `dims` Exprs: the size of the new axis.

use crate::view::{check_equal_dims, int, only_texts, text};
use crate::{Fault, HostOp, View, ViewMut};
use ir::{Attr, Attrs, Code, Strings, TensorType};

pub const OP: HostOp = HostOp { name: "string_split", types, run };
pub const COUNTS: HostOp = HostOp { name: "split_counts", types: types_of_counts, run: run_counts };

fn types_of_counts(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    Splits::of(attrs)?;
    Ok(vec![only_texts(operands)?.clone()])
}

fn types(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    let mut ty = types_of_counts(operands, attrs)?.remove(0);
    match attrs.get("dims") {
        Some(Attr::Exprs(dims)) if dims.len() == 1 => ty.dims.extend(dims.clone()),
        other => return Err(Fault::new(Code::Attribute, format!("attribute `dims`: one size wanted, got {other:?}"))),
    }
    Ok(vec![ty])
}

fn run_counts(attrs: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let splits = Splits::of(attrs)?;
    let texts = operands[0].texts(strings)?;
    results[0].write_numbers(texts.iter().map(|text| splits.pieces(text).len() as i64));
    Ok(())
}

fn run(attrs: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    let (splits, texts) = (Splits::of(attrs)?, operands[0].texts(strings)?);
    let (x, y) = (operands[0].dims, results[0].dims);
    let Some(size) = y.last().filter(|_| y[..y.len() - 1] == *x) else {
        return Err(Fault::new(Code::Shape, format!("pieces of {x:?} can't be {y:?}")));
    };
    let mut numbers = Vec::new();
    for text in &texts {
        let pieces = splits.pieces(text);
        if pieces.len() > *size {
            return Err(Fault::new(Code::Shape, format!("a string has {} pieces, not {size}", pieces.len())));
        }
        for piece in &pieces {
            numbers.push(strings.number(piece)?);
        }
        numbers.extend(std::iter::repeat_n(0, size - pieces.len()));
    }
    results[0].write_numbers(numbers);
    Ok(())
}

/// Where strings are split.
struct Splits<'a> {
    delimiter: &'a str,
    most: usize,
}

impl<'a> Splits<'a> {
    fn of(attrs: &'a Attrs) -> Result<Splits<'a>, Fault> {
        let most = usize::try_from(int(attrs, "most")?).unwrap_or(usize::MAX);
        Ok(Splits { delimiter: text(attrs, "delimiter")?, most })
    }

    fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        match self.delimiter {
            "" => self.words(text),
            delimiter => text.splitn(self.most.saturating_add(1), delimiter).collect(),
        }
    }

    /// Behind the last split the rest stays as it is, but for white space in front.
    fn words<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let (mut pieces, mut rest) = (Vec::new(), text.trim_start());
        while !rest.is_empty() {
            let end = rest.find(char::is_whitespace).filter(|_| pieces.len() < self.most).unwrap_or(rest.len());
            pieces.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, texts};

    #[track_caller]
    fn check(delimiter: &str, most: i64, given: &[&str], size: usize, want: &str) {
        let dims = Attr::Exprs(vec![(size as i64).into()]);
        let text = Attr::Text(delimiter.to_string());
        let attrs = Attrs::from([("delimiter", text), ("most", Attr::Int(most)), ("dims", dims)]);
        let (case, counts) = (Case::new(&OP, attrs.clone()), Case::new(&COUNTS, attrs));
        let pieces = case.run(&[case.texts(given)], &[vec![given.len(), size]]).unwrap();
        assert_eq!(texts(&case, &pieces[0]), want);
        let counts = counts.run(&[counts.texts(given)], &[vec![given.len()]]).unwrap();
        assert_eq!((0..given.len()).map(|at| counts[0].get(at).as_i64()).max(), Some(size as i64));
    }

    #[test]
    fn strings_are_split() {
        check(".", -1, &["abc.com", "a..b", ""], 3, "abc,com,,a,,b,,,");
        check("", -1, &["  hello   world ", "x"], 2, "hello,world,x,");
        check("", 1, &[" a b  c "], 2, "a,b  c ");
        check("ab", 1, &["xabyabz"], 2, "x,yabz");
        check(",", 0, &["a,b"], 1, "a,b");
    }

    #[test]
    fn too_small_an_axis_is_a_fault() {
        let attrs =
            Attrs::from([("delimiter", Attr::Text(".".to_string())), ("most", Attr::Int(-1)), ("dims", Attr::Exprs(vec![1.into()]))]);
        let case = Case::new(&OP, attrs);
        assert_eq!(case.run(&[case.texts(&["a.b"])], &[vec![1, 1]]).unwrap_err().code, Code::Shape);
        assert_eq!(case.run(&[case.texts(&["a.b"])], &[vec![2, 1]]).unwrap_err().code, Code::Shape);
    }
}
