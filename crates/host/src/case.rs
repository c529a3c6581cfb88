//! `change_case`: each string in lower or upper case, by Unicode's rules for no language in particular.
//!
//! Attribute: `case` Text, `lower` or `upper`.

use crate::view::{check_equal_dims, only_texts, text};
use crate::{Fault, HostOp, View, ViewMut};
use ir::{Attrs, Code, Strings, TensorType};

pub const OP: HostOp = HostOp { name: "change_case", types, run };

fn types(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    changed(text(attrs, "case")?, "")?;
    Ok(vec![only_texts(operands)?.clone()])
}

fn run(attrs: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let case = text(attrs, "case")?;
    let texts = operands[0].texts(strings)?;
    let numbers = texts.iter().map(|text| Ok(strings.number(&changed(case, text)?)?)).collect::<Result<Vec<i64>, Fault>>()?;
    results[0].write_numbers(numbers);
    Ok(())
}

/// A text in another case.
pub fn changed(case: &str, text: &str) -> Result<String, Fault> {
    match case {
        "lower" => Ok(text.to_lowercase()),
        "upper" => Ok(text.to_uppercase()),
        other => Err(Fault::new(Code::Attribute, format!("attribute `case` is {other:?}, not lower or upper"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Case, texts};
    use ir::{Attr, Attrs};

    #[test]
    fn letters_change() {
        for (case, want) in [("lower", "straße,é,"), ("upper", "STRASSE,É,")] {
            let case = Case::new(&super::OP, Attrs::from([("case", Attr::Text(case.to_string()))]));
            let got = case.run(&[case.texts(&["Straße", "É", ""])], &[vec![3]]).unwrap();
            assert_eq!(texts(&case, &got[0]), want);
        }
    }
}
