//! Labels by keys: a table of the model, looked up for each element.

use super::Entry;
use super::constant::string_tensor;
use super::strings::of_texts;
use crate::import::{Call, Narrow, Outcome, one};
use ::ops::{Builder, Folded};
use ir::{Array, Code, DType, Diagnostic, Literal, Tensor, ValueId};
use nest::{Func, Monoid};
use sym::Expr;

pub const OPS: &[Entry] = &[
    Entry("LabelEncoder", 1, classes),
    Entry("LabelEncoder", 2, |call| encoder(call, false)),
    Entry("LabelEncoder", 4, |call| encoder(call, true)),
    Entry("CategoryMapper", 1, categories),
];

type Result<T> = std::result::Result<T, Diagnostic>;

/// Elements of a list, and whether they are strings.
struct List {
    tensor: Tensor,
    is_text: bool,
}

impl List {
    fn numbers(dtype: DType, numbers: Vec<i64>) -> List {
        List { tensor: Tensor::from_array(&Array::ints(dtype, vec![numbers.len()], numbers)), is_text: false }
    }

    fn floats(floats: &[f32]) -> List {
        let floats: Vec<f64> = floats.iter().map(|float| f64::from(*float)).collect();
        List { tensor: Tensor::from_array(&Array::floats(DType::F32, vec![floats.len()], floats)), is_text: false }
    }

    fn texts(call: &Call, texts: &[&str]) -> Result<List> {
        Ok(List { tensor: string_tensor(call, vec![texts.len()], texts)?, is_text: true })
    }

    fn of_tensor(call: &Call, name: &'static str) -> Result<Option<List>> {
        let Some((tensor, narrow)) = call.tensor(name)? else { return Ok(None) };
        if let Some(narrow) = narrow.filter(|narrow| *narrow != Narrow::Text) {
            return Err(call.unsupported(format!("attribute `{name}`: element type {}", narrow.name())));
        }
        let flat = tensor.reshaped(vec![tensor.count()]).unwrap_or(tensor);
        Ok(Some(List { tensor: flat, is_text: narrow.is_some() }))
    }
}

/// Places in a list of strings, or the strings of places.
fn classes(call: &mut Call) -> Outcome {
    call.ignore(&["default_int64", "default_string"]);
    let classes = call.texts("classes_strings")?.unwrap_or_default();
    let texts = List::texts(call, &classes)?;
    let places = List::numbers(DType::I64, (0..classes.len() as i64).collect());
    match call.narrow(0) {
        Some(_) => {
            let default = Literal::Int(call.int_or("default_int64", -1)?);
            looked_up(call, &texts, &places, default)
        }
        None => {
            let default = Literal::Int(call.string_number(call.text("default_string")?.unwrap_or("_Unused"))?);
            looked_up(call, &places, &texts, default)
        }
    }
}

/// The numbers of categories that are strings, or the strings of numbers.
fn categories(call: &mut Call) -> Outcome {
    let texts = List::texts(call, &call.texts("cats_strings")?.unwrap_or_default())?;
    let numbers = List::numbers(DType::I64, call.ints("cats_int64s")?.unwrap_or_default());
    let defaults = [call.int_or("default_int64", -1)?, call.string_number(call.text("default_string")?.unwrap_or("_Unused"))?];
    let [number, text] = defaults.map(Literal::Int);
    match call.narrow(0) {
        Some(_) => encoded(call, &texts, &numbers, number),
        None => encoded(call, &numbers, &texts, text),
    }
}

fn encoder(call: &mut Call, has_tensors: bool) -> Outcome {
    let keys = list(call, ["keys_strings", "keys_int64s", "keys_floats", "keys_tensor"], has_tensors)?;
    let values = list(call, ["values_strings", "values_int64s", "values_floats", "values_tensor"], has_tensors)?;
    let default = default(call, &values, has_tensors)?;
    encoded(call, &keys, &values, default)
}

/// As [`looked_up`], with a value for each key.
fn encoded(call: &mut Call, keys: &List, values: &List, default: Literal) -> Outcome {
    match (values.tensor.count(), keys.tensor.count()) {
        (values, keys) if values != keys => Err(call.attribute_error(format!("{values} values for {keys} keys")).into()),
        _ => looked_up(call, keys, values, default),
    }
}

/// The one list that is given.
fn list(call: &Call, [texts, ints, floats, tensor]: [&'static str; 4], has_tensors: bool) -> Result<List> {
    let lists = [
        call.texts(texts)?.map(|texts| List::texts(call, &texts)).transpose()?,
        call.ints(ints)?.map(|numbers| List::numbers(DType::I64, numbers)),
        call.floats(floats)?.map(List::floats),
        if has_tensors { List::of_tensor(call, tensor)? } else { None },
    ];
    let mut given = lists.into_iter().flatten().filter(|list| list.tensor.count() > 0);
    match (given.next(), given.next()) {
        (Some(list), None) => Ok(list),
        (None, _) => Err(call.attribute_error(format!("none of `{texts}`, `{ints}`, `{floats}` is given"))),
        (Some(_), Some(_)) => Err(call.attribute_error(format!("several of `{texts}`, `{ints}`, `{floats}` are given"))),
    }
}

/// The value of what is no key: of the values' type.
fn default(call: &Call, values: &List, has_tensors: bool) -> Result<Literal> {
    call.ignore(&["default_string", "default_int64", "default_float"]);
    let given = if has_tensors { List::of_tensor(call, "default_tensor")? } else { None };
    let own_tensor = has_tensors && call.tensor("values_tensor")?.is_some();
    let dtype = values.tensor.dtype();
    match given.filter(|_| own_tensor) {
        Some(list) if list.tensor.dtype() != dtype || list.is_text != values.is_text || list.tensor.count() != 1 => {
            Err(call.attribute_error(format!("attribute `default_tensor` is {:?}, not one element of {dtype}", list.tensor)))
        }
        Some(list) => Ok(list.tensor.to_array().get(0)),
        None if values.is_text => {
            let text = if own_tensor { None } else { call.text("default_string")? };
            Ok(Literal::Int(call.string_number(text.unwrap_or("_Unused"))?))
        }
        None if dtype.is_float() => Ok(Literal::Float(if own_tensor { -0.0 } else { call.float_or("default_float", -0.0)? })),
        None => Ok(Literal::Int(if own_tensor { -1 } else { call.int_or("default_int64", -1)? })),
    }
}

/// `[default, values..][1 + the last place of x among the keys, or 0]`
fn looked_up(call: &mut Call, keys: &List, values: &List, default: Literal) -> Outcome {
    let is_text = call.narrow(0) == Some(Narrow::Text);
    if call.dtype(0)? != keys.tensor.dtype() || is_text != keys.is_text {
        let message =
            format!("the keys are {}{}, x is {}", keys.tensor.dtype(), if keys.is_text { " of strings" } else { "" }, call.ty(0)?);
        return Err(call.error(Code::Type, message).into());
    }
    let x = call.value(0)?;
    let b = call.b();
    let place = last_place(b, x, &keys.tensor)?;
    let own = values.tensor.to_array();
    let value = |at: usize| if at == 0 { default } else { own.get(at - 1) };
    let table = Tensor::from_array(&Array::from_fn(values.tensor.dtype(), vec![own.count() + 1], value));
    let table = b.graph.constant(table, None, "labels");
    let found = b.gather(table, place, 0)?;
    if values.is_text { one(of_texts(found)) } else { one(found) }
}

/// The last place of each element among the keys, from 1 on; 0 for none. A NaN is a key like any other.
fn last_place(b: &mut Builder, x: ValueId, keys: &Tensor) -> Result<ValueId> {
    let (count, rank) = (keys.count(), b.dims(x).len());
    let is_nan = |at: usize| keys.dtype().is_float() && keys.to_array().get(at).as_f64().is_nan();
    let nan = (0..count).rev().find(|at| is_nan(*at));
    let keys = b.graph.constant(keys.clone(), None, "keys");
    let each = b.unsqueeze(x, &[rank])?;
    let mut equal = b.map_broadcast(Func::Equal, &[each, keys])?;
    if let Some(nan) = nan {
        let own = b.ints(DType::Bool, vec![count], (0..count).map(|at| (at == nan).into()).collect());
        let none = b.map(Func::IsNan, &[each])?;
        let none = b.map_broadcast(Func::And, &[none, own])?;
        equal = b.map(Func::Or, &[equal, none])?;
    }
    let places = b.iota(&[Expr::from(count as i64)], 0, DType::I64)?;
    let places = b.map_number(Func::Add, places, 1.0)?;
    let zero = b.number(DType::I64, 0.0);
    let found = b.map_broadcast(Func::Select, &[equal, places, zero])?;
    b.reduce(Monoid::Max, found, &[rank], Folded::Dropped)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_problems};

    fn model(x: &str, attributes: &str) -> String {
        format!("x: {x} y = ai.onnx.ml.LabelEncoder {{{attributes}}} (x) => y")
    }

    #[test]
    fn strings_have_labels() {
        let text = model("string[n]", "keys_strings = [\"a\", \"b\", \"a\"], values_int64s = [1, 2, 3], default_int64 = 9");
        check(&text, &["string[4] \"b\" \"a\" \"c\" \"\""], &["i64[4] 2 3 9 9"]);
        let text = model("string[2, n]", "keys_tensor = string[2] \"a\" \"b\", values_tensor = i16[2] 5 6");
        check(&text, &["string[2, 1] \"b\" \"c\""], &["i16[2, 1] 6 -1"]);
    }

    #[test]
    fn labels_are_strings() {
        let text = model("f32[n]", "keys_floats = [1.5, nan], values_strings = [\"x\", \"y\"]").replace("[1.5, nan]", "[1.5, 0.0]");
        check(&text, &["f32[3] 1.5 2 0"], &["string[3] [\"x\", \"_Unused\", \"y\"]"]);
        let text = model("f64[n]", "keys_tensor = f64[2] nan 1, values_tensor = string[2] \"n\" \"1\", default_tensor = string[1] \"d\"");
        check(&text, &["f64[3] 1 nan 2"], &["string[3] [\"1\", \"n\", \"d\"]"]);
    }

    #[test]
    fn categories_are_mapped_both_ways() {
        let text =
            |ty: &str| format!("x: {ty} y = ai.onnx.ml.CategoryMapper {{cats_strings = [\"a\", \"b\"], cats_int64s = [7, 9]}} (x) => y");
        check(&text("string[n]"), &["string[3] \"b\" \"c\" \"a\""], &["i64[3] 9 -1 7"]);
        check(&text("i64[n]"), &["i64[2] 7 8"], &["string[2] [\"a\", \"_Unused\"]"]);
    }

    #[test]
    fn faults() {
        check_problems(
            &model("i64[n]", "keys_strings = [\"a\"], values_int64s = [1]"),
            &["[E004] LabelEncoder#0: the keys are i64 of strings, x is i64[n]"],
        );
        check_problems(&model("i64[n]", "keys_int64s = [1, 2], values_int64s = [1]"), &["[E005] LabelEncoder#0: 1 values for 2 keys"]);
    }
}
