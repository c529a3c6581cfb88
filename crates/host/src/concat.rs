//! `string_concat`: the strings of two tensors of equal dims, joined one by one.

use crate::view::{check_equal_dims, check_texts, exactly};
use crate::{Fault, HostOp, View, ViewMut};
use ir::{Attrs, Code, Strings, TensorType};

pub const OP: HostOp = HostOp { name: "string_concat", types, run };

fn types(operands: &[TensorType], _: &Attrs) -> Result<Vec<TensorType>, Fault> {
    let [a, b] = exactly(operands)?;
    check_texts(a)?;
    match a == b {
        true => Ok(vec![a.clone()]),
        false => Err(Fault::new(Code::Shape, format!("{a} and {b} differ"))),
    }
}

fn run(_: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let [a, b] = [operands[0].texts(strings)?, operands[1].texts(strings)?];
    let joined = |(a, b): (_, &_)| Ok(strings.number(&format!("{a}{b}"))?);
    let numbers = a.iter().zip(&b).map(joined).collect::<Result<Vec<i64>, Fault>>()?;
    results[0].write_numbers(numbers);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Case, texts};
    use ir::Attrs;

    #[test]
    fn strings_are_joined() {
        let case = Case::new(&super::OP, Attrs::new());
        let joined = case.run(&[case.texts(&["a", "", "é"]), case.texts(&["b", "", "x"])], &[vec![3]]).unwrap();
        assert_eq!(texts(&case, &joined[0]), "ab,,éx");
    }

    #[test]
    fn what_grows_without_end_is_stopped() {
        let case = Case::new(&super::OP, Attrs::new());
        let mut text = case.texts(&["x".repeat(1 << 20).as_str()]);
        let error = (0..40).find_map(|_| match case.run(&[text.clone(), text.clone()], &[vec![1]]) {
            Ok(joined) => {
                text = joined[0].clone();
                None
            }
            Err(fault) => Some(fault.code),
        });
        assert_eq!(error, Some(ir::Code::Limit));
    }
}
