//! Text of what all levels share: element types, tensor types, literals, names, locations.

use crate::dtype::{DType, Literal};
use crate::graph::{Location, TensorType};
use crate::strings::Texts;
use std::collections::BTreeSet;
use std::sync::Arc;
use sym::{ParseError, Parser};

/// An element type's name.
pub fn parse_dtype(parser: &mut Parser) -> Result<DType, ParseError> {
    let name = parser.ident()?;
    match DType::from_name(name) {
        Some(dtype) => Ok(dtype),
        None => parser.error(format!("`{name}` is no element type")),
    }
}

/// `f32[n, 64]`
pub fn parse_tensor_type(parser: &mut Parser) -> Result<TensorType, ParseError> {
    let dtype = parse_dtype(parser)?;
    Ok(TensorType { dtype, dims: parser.list("[", "]", |parser| parser.expr())? })
}

/// A literal's `Display`; a NaN of unusual bits shows them.
pub fn literal_text(value: Literal) -> String {
    match value {
        Literal::Float(float) if float.is_nan() && float.to_bits() != f64::NAN.to_bits() => format!("nan:{:016x}", float.to_bits()),
        value => value.to_string(),
    }
}

/// `-3`, `1.5`, `1e-7`, `inf`, `-inf`, `nan`, `nan:fff8000000000000`; what shows no point and no exponent is an integer.
pub fn parse_literal(parser: &mut Parser) -> Result<Literal, ParseError> {
    let text = parser.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | ':'));
    let value = match text.strip_prefix("nan:") {
        Some(bits) => u64::from_str_radix(bits, 16).ok().map(|bits| Literal::Float(f64::from_bits(bits))),
        None if text == "nan" => Some(Literal::Float(f64::NAN)),
        None => match text.parse() {
            Ok(int) => Some(Literal::Int(int)),
            Err(_) => text.parse().ok().filter(|_| shows_float(text)).map(Literal::Float),
        },
    };
    match value {
        Some(value) => Ok(value),
        None => parser.error(format!("`{text}` is no number that fits 64 bits")),
    }
}

fn shows_float(text: &str) -> bool {
    text.ends_with("inf") || text.contains(['.', 'e', 'E'])
}

/// A name: bare where it reads as an identifier, in quotes otherwise.
pub fn name_text(name: &str) -> String {
    let bare = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if bare { name.to_string() } else { format!("{name:?}") }
}

pub fn parse_name(parser: &mut Parser) -> Result<String, ParseError> {
    if parser.peek("\"") { parser.string() } else { parser.ident().map(str::to_string) }
}

/// ` @ ["/a", "/b"]`
pub fn location_text(location: &Location) -> String {
    format!(" @ {:?}", location.0)
}

pub fn parse_location(parser: &mut Parser) -> Result<Location, ParseError> {
    parser.expect("@")?;
    Ok(Location(parser.list("[", "]", |parser| parser.string().map(Into::into))?))
}

/// `strings ["yes", "no"] inputs ["answer"] outputs []`
pub fn texts_text(texts: &Texts) -> String {
    let names = |names: &BTreeSet<String>| format!("{:?}", names.iter().collect::<Vec<_>>());
    format!("strings {:?} inputs {} outputs {}", texts.table, names(&texts.inputs), names(&texts.outputs))
}

/// What [`texts_text`] prints behind its first word.
pub fn parse_texts(parser: &mut Parser) -> Result<Texts, ParseError> {
    let mut strings = |word: &str| {
        if !word.is_empty() {
            parser.expect(word)?;
        }
        parser.list("[", "]", |parser| parser.string())
    };
    let table: Vec<Arc<str>> = strings("")?.into_iter().map(Into::into).collect();
    let (inputs, outputs) = (strings("inputs")?, strings("outputs")?);
    let distinct: BTreeSet<&Arc<str>> = table.iter().collect();
    if distinct.len() < table.len() || table.iter().any(|text| text.is_empty()) {
        return parser.error("a string stands twice, or is the empty one");
    }
    Ok(Texts { table, inputs: inputs.into_iter().collect(), outputs: outputs.into_iter().collect() })
}
