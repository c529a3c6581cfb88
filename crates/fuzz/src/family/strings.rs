//! Strings of whole numbers. They are values of the model alone: what is drawn behind a step sees what was read from them.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::DType;
use onnx::proto::{AttributeProto, DataType, TensorProto};

/// Integers written out, perhaps joined with something, and then read again, matched, compared, or looked up.
pub fn strings(generator: &mut Generator) -> Option<Id> {
    let x = generator.integers()?;
    let form = generator.form(x).clone();
    let x = generator.used(x);
    let written = node(generator, "Cast", vec![x], vec![draft::int("to", DataType::String as i64)]);
    let joins = generator.opset >= 20 && generator.random.chance(60);
    let text = if joins { joined(generator, &written) } else { written.clone() };
    let bools = Form { dtype: DType::Bool, interval: Interval::BOOL, exact: true, ..form.clone() };
    match generator.random.below(4) {
        0 => Some(result(generator, "Cast", vec![written], vec![draft::int("to", draft::data_type(form.dtype) as i64)], form)),
        1 if generator.opset >= 20 => {
            let pattern = generator.random.one_of(["-?[0-9]*[02468]", r"\d+", ".", "[^1]*(3|x)?"]);
            Some(result(generator, "RegexFullMatch", vec![text], vec![draft::text("pattern", pattern)], bools))
        }
        2 => {
            let other = constant(generator);
            Some(result(generator, "Equal", vec![text, other], vec![], bools))
        }
        _ => {
            let keys = draft::texts("keys_strings", &["0", "1", "-1", "2x", "0"]);
            let values = draft::ints("values_int64s", &[3, 2, 1, 0, -1]);
            let labels = Form { dtype: DType::I64, interval: Interval::new(-1.0, 3.0), exact: true, ..form };
            Some(result(generator, "ai.onnx.ml.LabelEncoder", vec![text], vec![keys, values], labels))
        }
    }
}

/// With itself or a string of the model, in front or behind.
fn joined(generator: &mut Generator, text: &str) -> String {
    let other = if generator.random.chance(30) { text.to_string() } else { constant(generator) };
    let operands = if generator.random.chance(50) { vec![text.to_string(), other] } else { vec![other, text.to_string()] };
    node(generator, "StringConcat", operands, vec![])
}

/// A string of the model.
fn constant(generator: &mut Generator) -> String {
    let (name, text) = (generator.draft.fresh("text"), generator.random.one_of(["", "0", "x", "-", "\u{e9}"]));
    let string_data = vec![text.as_bytes().to_vec().into()];
    let tensor = TensorProto { name: name.clone(), data_type: DataType::String as i32, string_data, ..TensorProto::default() };
    generator.draft.graph.initializer.push(tensor);
    name
}

/// A node that gives strings.
fn node(generator: &mut Generator, op: &str, operands: Vec<String>, attributes: Vec<AttributeProto>) -> String {
    let name = generator.draft.fresh("text");
    generator.draft.node(op, operands, vec![name.clone()], attributes);
    name
}

/// A node that gives what is computed with.
fn result(generator: &mut Generator, op: &str, operands: Vec<String>, attributes: Vec<AttributeProto>, form: Form) -> Id {
    let id = generator.given("read", form);
    let name = generator.value(id).name.clone();
    generator.draft.node(op, operands, vec![name], attributes);
    id
}
