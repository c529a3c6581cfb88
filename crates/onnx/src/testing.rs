//! Models for tests, from text.
//!
//! ```text
//! opset 13                                        // the latest where left out
//! x: f32[n, 3]                                    // an input; a dim is a number, a name, or a text in quotes
//! s: optional seq f32[2]                          // one that is a sequence or an optional
//! w: i64[2] = 3 -1                                // an initializer
//! s: string[2] = "a" "b"                          // strings
//! y, z = Split "name" {axis = 1} (x, w)           // a node; an operand or result `_` is left out
//! => y
//! ```
//!
//! Attributes are `3`, `3.0`, `"text"`, `[1, 2]`, `[1.0]`, `["text"]`, `f32[2] 1 2`, `@name` (a reference) or `graph { .. }`. `function
//! f(a) { .. }` defines a function of domain `my`, which `my.f` calls. Operators of other domains are written likewise:
//! `com.microsoft.Gelu`.

use crate::proto::tensor_shape_proto::{Dimension, Value as Dim};
use crate::proto::{
    self, AttributeProto, AttributeType, DataType, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use crate::{ImportOptions, Imported, LATEST_OPSET, ModelFile, import_with_warnings};
use ir::{Array, DType, Diagnostics, Graph, Literal, Strings, Tensor};
use prost::Message;
use std::sync::Arc;
use sym::{ParseError, Parser};

type Result<T> = std::result::Result<T, ParseError>;

/// The model of a text.
pub fn model(text: &str) -> ModelProto {
    read_model(&mut Parser::new(text)).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// What a model becomes.
pub fn imported(text: &str, options: &ImportOptions) -> std::result::Result<Imported, Diagnostics> {
    let file = ModelFile::from_bytes(model(text).encode_to_vec().into()).expect("a model");
    import_with_warnings(&file, options)
}

/// Imports the model and interprets it on inputs such as `f32[2] 1 2`; the outputs are written likewise.
#[track_caller]
pub fn check(text: &str, inputs: &[&str], want: &[&str]) {
    let outputs = interpreted(text, &ImportOptions::default(), inputs);
    assert_eq!(outputs.into_iter().map(|(_, text)| text).collect::<Vec<String>>(), want);
}

/// As [`check`], with options, and the outputs' names before them.
#[track_caller]
pub fn check_named(text: &str, options: &ImportOptions, inputs: &[&str], want: &[&str]) {
    let outputs = interpreted(text, options, inputs);
    assert_eq!(outputs.iter().map(|(name, text)| format!("{name} {text}")).collect::<Vec<String>>(), want);
}

/// The numbers in each output.
#[track_caller]
pub fn numbers(text: &str, inputs: &[&str], options: &ImportOptions) -> Vec<Vec<f64>> {
    let numbers = |array: &Array| (0..array.count()).map(|at| array.get(at).as_f64()).collect();
    run(text, inputs, options).2.iter().map(numbers).collect()
}

/// The outputs as texts, by name.
#[track_caller]
fn interpreted(text: &str, options: &ImportOptions, inputs: &[&str]) -> Vec<(String, String)> {
    let (graph, strings, outputs) = run(text, inputs, options);
    let texts =
        |name: &str, array: &Array| graph.texts.outputs.contains(name).then(|| strings.texts(&Tensor::from_array(array)).expect("strings"));
    let outputs = graph.outputs.iter().zip(&outputs).map(|((name, _), array)| match texts(name, array) {
        Some(texts) => (name.clone(), format!("string{:?} {texts:?}", array.dims())),
        None => (name.clone(), written(array)),
    });
    outputs.collect()
}

#[track_caller]
fn run(text: &str, inputs: &[&str], options: &ImportOptions) -> (Graph, Strings, Vec<Array>) {
    let graph = imported(text, options).unwrap_or_else(|problems| panic!("{problems}")).graph;
    assert_eq!(ir::verify::verify(&graph), []);
    assert_eq!(::ops::verify::verify(&graph), Ok(()));
    let strings = Strings::of(&graph.texts);
    let inputs: Vec<Array> = inputs.iter().map(|text| tensor_of(text, &strings).to_array()).collect();
    let dims: Vec<Vec<usize>> = inputs.iter().map(|array| array.dims().to_vec()).collect();
    let symbols = ::ops::interp::bind_symbols(&graph, &dims).unwrap_or_else(|problems| panic!("{problems}"));
    let outputs = ::ops::interp::outputs_with(&graph, &inputs, &symbols, &strings, ::ops::interp::Floats::Exact)
        .unwrap_or_else(|problem| panic!("{problem}"));
    (graph, strings, outputs)
}

/// The types of the outputs and the guards.
#[track_caller]
pub fn check_types(text: &str, want: &[&str]) {
    let graph = imported(text, &ImportOptions::default()).unwrap_or_else(|problems| panic!("{problems}")).graph;
    assert_eq!(ir::verify::verify(&graph), []);
    let types = graph.outputs.iter().map(|(_, id)| graph.ty(*id).to_string());
    let guards = graph.guards.iter().map(|guard| guard.condition.to_string());
    assert_eq!(types.chain(guards).collect::<Vec<String>>(), want);
}

/// The problems of a model that does not import.
#[track_caller]
pub fn check_problems(text: &str, want: &[&str]) {
    let problems = imported(text, &ImportOptions::default()).expect_err("a problem");
    assert_eq!(problems.0.iter().map(|problem| problem.to_string()).collect::<Vec<String>>(), want);
}

/// The ops of the graph's nodes, in order.
pub fn ops_of(text: &str) -> String {
    let graph = imported(text, &ImportOptions::default()).unwrap_or_else(|problems| panic!("{problems}")).graph;
    graph.nodes.iter().map(|node| node.op).collect::<Vec<&str>>().join(" ")
}

fn written(array: &Array) -> String {
    let element = |at: usize| match array.get(at) {
        Literal::Float(value) => format!(" {}", (value * 1e4).round() / 1e4 + 0.0),
        Literal::Int(value) => format!(" {value}"),
    };
    format!("{}{:?}{}", array.dtype(), array.dims(), (0..array.count()).map(element).collect::<String>())
}

fn tensor_of(text: &str, strings: &Strings) -> Tensor {
    let proto = read_tensor(&mut Parser::new(text), "").unwrap_or_else(|error| panic!("{error} in {text}"));
    if proto.data_type == DataType::String as i32 {
        let texts: Vec<&str> = proto.string_data.iter().map(|text| std::str::from_utf8(text).expect("text")).collect();
        return strings.tensor(proto.dims.iter().map(|dim| *dim as usize).collect(), &texts).expect("strings");
    }
    let bytes = proto.raw_data.unwrap_or_default();
    let dims = proto.dims.iter().map(|dim| *dim as usize).collect();
    Tensor::new(crate::import::element_type_of(proto.data_type as i64).expect("a type"), dims, Arc::new(bytes)).expect("as many elements")
}

fn read_model(parser: &mut Parser) -> Result<ModelProto> {
    let version = if parser.accept("opset") { parser.integer()? } else { LATEST_OPSET };
    let opset = |domain: &str, version| proto::OperatorSetIdProto { domain: domain.to_string(), version };
    let domains =
        [("", version), ("my", 1), ("com.microsoft", 1), ("ai.onnx.preview", 1), ("ai.onnx.preview.training", 1), ("ai.onnx.ml", 5)];
    let opset_import: Vec<_> = domains.map(|(domain, version)| opset(domain, version)).into();
    let mut functions = Vec::new();
    while parser.accept("function") {
        functions.push(FunctionProto { opset_import: opset_import.clone(), ..read_function(parser)? });
    }
    let graph = read_graph(parser)?;
    if !parser.at_end() {
        return parser.error("text after the model");
    }
    Ok(ModelProto { ir_version: 10, opset_import, functions, graph: Some(graph), ..Default::default() })
}

fn read_function(parser: &mut Parser) -> Result<FunctionProto> {
    let name = parser.ident()?.to_string();
    let input = parser.list("(", ")", |parser| Ok(parser.ident()?.to_string()))?;
    let attribute = match parser.peek("[") {
        true => parser.list("[", "]", |parser| Ok(parser.ident()?.to_string()))?,
        false => Vec::new(),
    };
    parser.expect("{")?;
    let graph = read_graph(parser)?;
    parser.expect("}")?;
    let output = graph.output.into_iter().map(|info| info.name).collect();
    Ok(FunctionProto { name, domain: "my".to_string(), input, output, attribute, node: graph.node, ..Default::default() })
}

fn read_graph(parser: &mut Parser) -> Result<GraphProto> {
    let mut graph = GraphProto { name: "g".to_string(), ..Default::default() };
    while !parser.accept("=>") {
        let mut names = vec![parser.ident()?.to_string()];
        while parser.accept(",") {
            names.push(parser.ident()?.to_string());
        }
        if parser.accept(":") {
            read_declaration(parser, &names[0], &mut graph)?;
        } else {
            parser.expect("=")?;
            let output = names.into_iter().map(given_name).collect();
            graph.node.push(NodeProto { output, ..read_node(parser)? });
        }
    }
    while !parser.at_end() && !parser.peek("}") {
        let name = parser.ident()?.to_string();
        let r#type = if parser.accept(":") { Some(read_type(parser)?) } else { None };
        graph.output.push(ValueInfoProto { name, r#type, ..Default::default() });
        parser.accept(",");
    }
    Ok(graph)
}

fn read_declaration(parser: &mut Parser, name: &str, graph: &mut GraphProto) -> Result<()> {
    let (optional, sequence) = (parser.accept("optional"), parser.accept("seq"));
    let data_type = read_data_type(parser)?;
    let dims = read_dims(parser)?;
    if optional || sequence {
        let mut ty = type_of(data_type, dims);
        if sequence {
            ty = kind_of(proto::type_proto::Value::SequenceType(proto::type_proto::Sequence { elem_type: Some(Box::new(ty)) }));
        }
        if optional {
            ty = kind_of(proto::type_proto::Value::OptionalType(proto::type_proto::Optional { elem_type: Some(Box::new(ty)) }));
        }
        graph.input.push(ValueInfoProto { name: name.to_string(), r#type: Some(ty), ..Default::default() });
        return Ok(());
    }
    match !parser.peek("=>") && parser.accept("=") {
        true => graph.initializer.push(read_elements(parser, name, data_type, &dims)?),
        false => graph.input.push(ValueInfoProto { name: name.to_string(), r#type: Some(type_of(data_type, dims)), ..Default::default() }),
    }
    Ok(())
}

fn read_node(parser: &mut Parser) -> Result<NodeProto> {
    let op = parser.ident()?;
    let (domain, op_type) = op.rsplit_once('.').unwrap_or(("", op));
    let name = if parser.peek("\"") { parser.string()? } else { String::new() };
    let attribute = if parser.peek("{") { parser.list("{", "}", read_attribute)? } else { Vec::new() };
    let input = parser.list("(", ")", |parser| Ok(parser.ident()?.to_string()))?;
    let input = input.into_iter().map(given_name).collect();
    Ok(NodeProto { op_type: op_type.to_string(), domain: domain.to_string(), name, attribute, input, ..Default::default() })
}

fn given_name(name: String) -> String {
    if name == "_" { String::new() } else { name }
}

fn read_attribute(parser: &mut Parser) -> Result<AttributeProto> {
    let name = parser.ident()?.to_string();
    parser.expect("=")?;
    let mut attribute = AttributeProto { name, ..Default::default() };
    let kind = read_attribute_value(parser, &mut attribute)?;
    attribute.r#type = kind as i32;
    Ok(attribute)
}

fn read_attribute_value(parser: &mut Parser, attribute: &mut AttributeProto) -> Result<AttributeType> {
    if parser.accept("@") {
        attribute.ref_attr_name = parser.ident()?.to_string();
        return Ok(AttributeType::Undefined);
    }
    if parser.accept("graph") {
        parser.expect("{")?;
        attribute.g = Some(Box::new(read_graph(parser)?));
        parser.expect("}")?;
        return Ok(AttributeType::Graph);
    }
    if parser.peek("\"") {
        attribute.s = parser.string()?.into_bytes().into();
        return Ok(AttributeType::String);
    }
    if parser.rest().starts_with("[\"") {
        attribute.strings = parser.list("[", "]", |parser| Ok(parser.string()?.into_bytes().into()))?;
        return Ok(AttributeType::Strings);
    }
    if parser.peek("[") {
        let numbers = parser.list("[", "]", |parser| Ok(number(parser).to_string()))?;
        if numbers.iter().any(|number| number.contains('.')) {
            attribute.floats = numbers.iter().filter_map(|number| number.parse().ok()).collect();
            return Ok(AttributeType::Floats);
        }
        attribute.ints = numbers.iter().filter_map(|number| number.parse().ok()).collect();
        return Ok(AttributeType::Ints);
    }
    if parser.rest().starts_with(|c: char| c.is_ascii_lowercase()) {
        attribute.t = Some(Box::new(read_tensor(parser, "")?));
        return Ok(AttributeType::Tensor);
    }
    let number = number(parser);
    match number.parse() {
        Ok(int) => attribute.i = int,
        Err(_) => attribute.f = number.parse().unwrap_or(f32::NAN),
    }
    Ok(if number.contains('.') { AttributeType::Float } else { AttributeType::Int })
}

fn number<'a>(parser: &mut Parser<'a>) -> &'a str {
    parser.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+'))
}

fn read_tensor(parser: &mut Parser, name: &str) -> Result<TensorProto> {
    let data_type = read_data_type(parser)?;
    let dims = read_dims(parser)?;
    read_elements(parser, name, data_type, &dims)
}

fn read_data_type(parser: &mut Parser) -> Result<DataType> {
    let name = parser.ident()?;
    match DType::from_name(name) {
        Some(dtype) => Ok(data_type(dtype)),
        None if name == "string" => Ok(DataType::String),
        None => parser.error("expected an element type"),
    }
}

fn read_dims(parser: &mut Parser) -> Result<Vec<Dim>> {
    parser.list("[", "]", |parser| {
        if parser.peek("\"") {
            return Ok(Dim::DimParam(parser.string()?));
        }
        match parser.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            true => Ok(Dim::DimValue(parser.integer()?)),
            false => Ok(Dim::DimParam(parser.ident()?.to_string())),
        }
    })
}

fn read_type(parser: &mut Parser) -> Result<proto::TypeProto> {
    let data_type = read_data_type(parser)?;
    Ok(type_of(data_type, read_dims(parser)?))
}

fn type_of(data_type: DataType, dims: Vec<Dim>) -> proto::TypeProto {
    let dim = dims.into_iter().map(|value| Dimension { value: Some(value), ..Default::default() }).collect();
    let tensor = proto::type_proto::Tensor { elem_type: data_type as i32, shape: Some(proto::TensorShapeProto { dim }) };
    kind_of(proto::type_proto::Value::TensorType(tensor))
}

fn kind_of(value: proto::type_proto::Value) -> proto::TypeProto {
    proto::TypeProto { value: Some(value), ..Default::default() }
}

fn read_elements(parser: &mut Parser, name: &str, data_type: DataType, dims: &[Dim]) -> Result<TensorProto> {
    let dims: Vec<i64> = dims.iter().map(|dim| if let Dim::DimValue(size) = dim { *size } else { -1 }).collect();
    let count = dims.iter().product::<i64>().max(0) as usize;
    if data_type == DataType::String {
        let string_data = (0..count).map(|_| Ok(parser.string()?.into_bytes().into())).collect::<Result<_>>()?;
        return Ok(TensorProto { name: name.to_string(), dims, data_type: data_type as i32, string_data, ..Default::default() });
    }
    let dtype = crate::import::element_type_of(data_type as i64).expect("a type");
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(number(parser).parse::<f64>().or_else(|_| parser.error("expected a number"))?);
    }
    let literal = |at: usize| if dtype.is_float() { Literal::Float(numbers[at]) } else { Literal::Int(numbers[at] as i64) };
    let tensor = Tensor::from_array(&Array::from_fn(dtype, dims.iter().map(|dim| *dim as usize).collect(), literal));
    let raw_data = Some(tensor.bytes().to_vec().into());
    Ok(TensorProto { name: name.to_string(), dims, data_type: data_type as i32, raw_data, ..Default::default() })
}

fn data_type(dtype: DType) -> DataType {
    (1..=28)
        .filter_map(|number| DataType::try_from(number).ok())
        .find(|data_type| crate::import::element_type_of(*data_type as i64) == Ok(dtype))
        .unwrap_or_default()
}
