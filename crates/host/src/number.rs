//! `string_of`: numbers as text, written as Python does: floats by the fewest digits that read back to the same number. `number_of`: text
//! as numbers.

use crate::view::{check_equal_dims, check_texts, exactly};
use crate::{Fault, HostOp, View, ViewMut};
use ir::array::Data;
use ir::{Array, Attr, Attrs, Code, DType, Literal, Strings, Tensor, TensorType};
use std::sync::Arc;

pub const TO_STRING: HostOp = HostOp { name: "string_of", types: types_of_strings, run: to_strings };
/// Attribute: `to` DType.
pub const OF_STRING: HostOp = HostOp { name: "number_of", types: types_of_numbers, run: to_numbers };

fn types_of_strings(operands: &[TensorType], _: &Attrs) -> Result<Vec<TensorType>, Fault> {
    let [ty] = exactly(operands)?;
    Ok(vec![TensorType::new(DType::I64, ty.dims.clone())])
}

fn to_strings(_: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let View { dtype, dims, bytes } = operands[0];
    let tensor = Tensor::new(dtype, dims.to_vec(), Arc::new(bytes.to_vec()));
    let array = tensor.ok_or_else(|| Fault::types("a tensor's bytes are not those of its dims"))?.to_array();
    let texts: Vec<String> = match array.data() {
        Data::Float(values) => values.iter().map(|value| float_text(dtype, *value)).collect(),
        Data::Int(values) => values.iter().map(|value| int_text(dtype, *value)).collect(),
    };
    let numbers = texts.iter().map(|text| Ok(strings.number(text)?)).collect::<Result<Vec<i64>, Fault>>()?;
    results[0].write_numbers(numbers);
    Ok(())
}

fn int_text(dtype: DType, value: i64) -> String {
    match dtype {
        DType::Bool if value == 0 => "False".to_string(),
        DType::Bool => "True".to_string(),
        DType::U64 => (value as u64).to_string(),
        _ => value.to_string(),
    }
}

fn float_text(dtype: DType, value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let (digits, exponent) = shortest(dtype, value.abs());
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let count = digits.len() as i32;
    match exponent {
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..16 if count <= exponent + 1 => format!("{sign}{digits}{}.0", "0".repeat((exponent + 1 - count) as usize)),
        0..16 => format!("{sign}{}.{}", &digits[..(exponent + 1) as usize], &digits[(exponent + 1) as usize..]),
        _ => {
            let point = if count > 1 { "." } else { "" };
            let way = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{}{point}{}e{way}{:02}", &digits[..1], &digits[1..], exponent.abs())
        }
    }
}

/// The fewest digits that read back to the same number of the type, and the exponent of the first.
fn shortest(dtype: DType, value: f64) -> (String, i32) {
    let read = |text: &str| dtype.rounded(text.parse().unwrap_or(f64::NAN));
    let texts = (0..17).map(|digits| format!("{value:.digits$e}"));
    let text = texts.clone().find(|text| read(text) == value).or_else(|| texts.clone().next_back()).unwrap_or_default();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn types_of_numbers(operands: &[TensorType], attrs: &Attrs) -> Result<Vec<TensorType>, Fault> {
    let [ty] = exactly(operands)?;
    check_texts(ty)?;
    match attrs.get("to") {
        Some(Attr::DType(to)) => Ok(vec![TensorType::new(*to, ty.dims.clone())]),
        other => Err(Fault::new(Code::Attribute, format!("attribute `to`: an element type wanted, got {other:?}"))),
    }
}

fn to_numbers(_: &Attrs, operands: &[View], results: &mut [ViewMut], strings: &Strings) -> Result<(), Fault> {
    check_equal_dims(operands, results)?;
    let dtype = results[0].dtype;
    let number = |text: &Arc<str>| {
        let no_number = || Fault::new(Code::Input, format!("{:?} is no number of {dtype}", shortened(text)));
        number(dtype, text.trim()).ok_or_else(no_number)
    };
    let numbers = operands[0].texts(strings)?.iter().map(number).collect::<Result<Vec<Literal>, Fault>>()?;
    let tensor = Tensor::from_array(&Array::from_fn(dtype, results[0].dims.to_vec(), |at| numbers[at]));
    results[0].bytes.copy_from_slice(tensor.bytes());
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The number of a type that a text stands for. A text with a fraction is cut for integers.
fn number(dtype: DType, text: &str) -> Option<Literal> {
    let float = || text.parse::<f64>().ok();
    match dtype {
        DType::F32 => text.parse::<f32>().ok().map(|value| Literal::Float(value.into())),
        DType::F16 | DType::BF16 | DType::F64 => float().map(|value| Literal::Float(dtype.rounded(value))),
        DType::Bool => float().map(|value| Literal::Int((value != 0.0).into())),
        _ => {
            let whole = text.parse::<i128>().ok().or_else(|| float().filter(|value| value.is_finite()).map(|value| value as i128))?;
            let (low, high) = dtype.int_range()?;
            let high = if dtype == DType::U64 { i128::from(u64::MAX) } else { i128::from(high) };
            (i128::from(low)..=high).contains(&whole).then_some(Literal::Int(whole as i64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, texts};

    #[track_caller]
    fn written(array: Array, want: &str) {
        let case = Case::new(&TO_STRING, Attrs::new());
        let dims = vec![array.dims().to_vec()];
        assert_eq!(texts(&case, &case.run(&[array], &dims).unwrap()[0]), want);
    }

    #[test]
    fn numbers_are_written_as_python_does() {
        let floats = |dtype, values: &[f64]| Array::floats(dtype, vec![values.len()], values.to_vec());
        let f32s = [f64::from(314.159_26_f32), 1.0, -0.0, 1e-5, 0.0001, 1e16, 123456.0, f64::NAN, f64::NEG_INFINITY, f64::from(f32::MAX)];
        written(floats(DType::F32, &f32s), "314.15927,1.0,-0.0,1e-05,0.0001,1e+16,123456.0,nan,-inf,3.4028235e+38");
        written(floats(DType::F16, &[0.0999755859375, 65504.0]), "0.1,65500.0");
        written(floats(DType::F64, &[0.1, 1.0 / 3.0, 5e-324]), "0.1,0.3333333333333333,5e-324");
        written(Array::ints(DType::U64, vec![2], vec![-1, 7]), "18446744073709551615,7");
        written(Array::ints(DType::I8, vec![1], vec![-128]), "-128");
        written(Array::ints(DType::Bool, vec![2], vec![0, 1]), "False,True");
    }

    #[test]
    fn texts_are_read() {
        let read = |to: DType, text: &str| {
            let case = Case::new(&OF_STRING, Attrs::from([("to", Attr::DType(to))]));
            case.run(&[case.texts(&[text])], &[vec![1]]).map(|results| results[0].get(0))
        };
        let float = |value: f64| Ok(Literal::Float(value));
        assert_eq!(read(DType::F32, "3.25"), float(f64::from(3.25_f32)));
        assert_eq!(read(DType::F64, " 1E8 "), float(1e8));
        assert_eq!([read(DType::F32, "+INF"), read(DType::F16, "-inf")], [float(f64::INFINITY), float(f64::NEG_INFINITY)]);
        assert!(matches!(read(DType::BF16, "NaN"), Ok(Literal::Float(value)) if value.is_nan()));
        assert_eq!([read(DType::I32, "100.5"), read(DType::I64, "-7")], [Ok(Literal::Int(100)), Ok(Literal::Int(-7))]);
        assert_eq!(read(DType::U64, "18446744073709551615"), Ok(Literal::Int(-1)));
        for (to, text) in [(DType::F32, "x"), (DType::I8, "300"), (DType::U8, "-1"), (DType::I64, "1e30"), (DType::F64, "")] {
            assert_eq!(read(to, text).map_err(|fault| fault.code), Err(Code::Input), "{text}");
        }
    }
}
