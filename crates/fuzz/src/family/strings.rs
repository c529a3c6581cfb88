//! Strings of whole numbers. They are values of the model alone: what is drawn behind a step sees what was read from them.

use crate::draft;
use crate::generator::{Form, Generator, Id};
use crate::interval::Interval;
use ir::{Array, DType, Tensor};
use onnx::proto::{AttributeProto, DataType, TensorProto};
use sym::Expr;

/// Integers written out, perhaps joined with something, and then read again, matched, compared, or looked up.
pub fn strings(generator: &mut Generator) -> Option<Id> {
    let x = generator.integers()?;
    let form = generator.form(x).clone();
    let x = generator.used(x);
    let written = node(generator, "Cast", vec![x], vec![draft::int("to", DataType::String as i64)]);
    let joins = generator.opset >= 20 && generator.random.chance(60);
    let text = if joins { joined(generator, &written) } else { written.clone() };
    let bools = Form { dtype: DType::Bool, interval: Interval::BOOL, exact: true, ..form.clone() };
    match generator.random.below(7) {
        0 => Some(result(generator, "Cast", vec![written], vec![draft::int("to", draft::data_type(form.dtype) as i64)], form)),
        1 if generator.opset >= 20 => {
            let pattern = generator.random.one_of(["-?[0-9]*[02468]", r"\d+", ".", "[^1]*(3|x)?"]);
            Some(result(generator, "RegexFullMatch", vec![text], vec![draft::text("pattern", pattern)], bools))
        }
        3 if generator.opset >= 20 => split(generator, text, form),
        4 => normalized(generator, written, form),
        2 => {
            let other = constant(generator);
            Some(result(generator, "Equal", vec![text, other], vec![], bools))
        }
        other => {
            let texts = ["0", "1", "-1", "2x", "0"];
            let labels = Form { dtype: DType::I64, interval: Interval::new(-1.0, 3.0), exact: true, ..form };
            if other == 5 {
                let attributes = vec![draft::texts("cats_strings", &texts[..4]), draft::ints("cats_int64s", &[3, 2, 1, 0])];
                return Some(result(generator, "ai.onnx.ml.CategoryMapper", vec![text], attributes, labels));
            }
            let attributes = vec![draft::texts("keys_strings", &texts), draft::ints("values_int64s", &[3, 2, 1, 0, -1])];
            Some(result(generator, "ai.onnx.ml.LabelEncoder", vec![text], attributes, labels))
        }
    }
}

/// How many pieces each string has; the pieces themselves are read again, all but empty ones.
fn split(generator: &mut Generator, text: String, form: Form) -> Option<Id> {
    let delimiter = generator.random.one_of(["", "1", "-", "x"]);
    let mut attributes = vec![draft::text("delimiter", delimiter)];
    if generator.random.chance(50) {
        attributes.push(draft::int("maxsplit", generator.random.between(0, 2)));
    }
    let pieces = generator.draft.fresh("text");
    let counts = generator.given("read", Form { dtype: DType::I64, interval: Interval::new(0.0, 24.0), exact: true, ..form });
    let outputs = vec![pieces, generator.value(counts).name.clone()];
    generator.draft.node("StringSplit", vec![text], outputs, attributes);
    Some(counts)
}

/// How many numbers are none of a few, at least one.
fn normalized(generator: &mut Generator, text: String, form: Form) -> Option<Id> {
    if form.rank() != 1 {
        return None;
    }
    let stopwords = draft::texts("stopwords", &["0", "1", "-1", "2"]);
    let case = draft::text("case_change_action", generator.random.one_of(["NONE", "LOWER", "UPPER"]));
    let left = node(generator, "StringNormalizer", vec![text], vec![stopwords, case]);
    let count = Form { dtype: DType::I64, dims: vec![], interval: Interval::new(1.0, 6000.0), exact: true };
    Some(result(generator, "Size", vec![left], vec![], count))
}

/// A picture of a few grey pixels, of which an input may be the values.
pub fn picture(generator: &mut Generator) -> Option<Id> {
    if generator.opset < 20 {
        return None;
    }
    let (height, width) = (generator.random.between(1, 9), generator.random.between(1, 9));
    let header: Vec<i64> = format!("P5 {width} {height} 255\n").bytes().map(i64::from).collect();
    let header = Tensor::from_array(&Array::ints(DType::U8, vec![header.len()], header));
    let header = generator.constant("header", &header);
    let pixels = generator.tensor(DType::U8, &[Expr::from(height * width)], Interval::new(0.0, 255.0))?;
    let length = Expr::from(height * width) + generator.dims(header)[0].clone();
    let bytes = Form { dtype: DType::U8, dims: vec![length], interval: Interval::new(0.0, 255.0), exact: true };
    let file = generator.emit("Concat", &[header, pixels], vec![draft::int("axis", 0)], bytes.clone())?;
    let (format, channels) = generator.random.one_of([("RGB", 3), ("BGR", 3), ("Grayscale", 1)]);
    let file = generator.used(file);
    let decoded = node(generator, "ImageDecoder", vec![file], vec![draft::text("pixel_format", format)]);
    let count = Form { dtype: DType::I64, dims: vec![], interval: Interval::new(1.0, 81.0 * f64::from(channels)), exact: true };
    Some(result(generator, "Size", vec![decoded], vec![], count))
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
