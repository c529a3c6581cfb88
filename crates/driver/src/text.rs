//! Text of the levels as input and output of the pipeline.

use crate::compile::Compiled;
use crate::error::Error;
use ir::{Code, Def, Diagnostics, Graph, Location, Tensor};
use kernel::Kernel;
use onnx::{ImportOptions, ModelFile};
use program::Program;
use std::collections::HashMap;
use std::path::Path;
use sym::{ParseError, Parser};

type Weight<'a> = &'a dyn Fn(&str) -> Option<Tensor>;

pub fn file_error(why: impl std::fmt::Display) -> Error {
    Error::Diagnostics(Diagnostics::one(Code::Malformed, &Location::default(), why.to_string()))
}

fn parse_error(why: ParseError) -> Error {
    file_error(why)
}

/// The weights of a model file, by name.
pub fn weights(path: &Path) -> Result<HashMap<String, Tensor>, Error> {
    let file = ModelFile::open(path).map_err(file_error)?;
    Ok(weights_of(&onnx::import(&file, &ImportOptions::default())?))
}

/// The model's own weights in a graph and its regions, by name.
pub fn weights_of(graph: &Graph) -> HashMap<String, Tensor> {
    let weight = |value: &ir::Value| match &value.def {
        Def::Constant { tensor, weight: Some(name) } => Some((name.to_string(), tensor.clone())),
        _ => None,
    };
    let inner = graph.nodes.iter().flat_map(|node| &node.regions).flat_map(weights_of);
    graph.values.iter().filter_map(weight).chain(inner).collect()
}

/// Parses and verifies a graph, and adds the guards that its nodes need.
pub fn graph(text: &str, weight: Weight) -> Result<Graph, Error> {
    let mut graph = ir::text::parse_graph(text, &ops::intern, weight).map_err(parse_error)?;
    let problems: Vec<String> = ir::verify::verify(&graph).iter().map(|p| p.to_string()).collect();
    well_formed(problems)?;
    ops::verify(&graph)?;
    ops::verify::add_guards(&mut graph);
    Ok(graph)
}

/// Parses and verifies a program.
pub fn program(text: &str, weight: Weight) -> Result<Program, Error> {
    let program = program::text::parse_program(text, weight).map_err(parse_error)?;
    well_formed(program::verify::verify(&program))?;
    Ok(program)
}

/// A program followed by its kernels.
pub fn kernels(text: &str, weight: Weight) -> Result<(Program, Vec<Kernel>), Error> {
    let at = text.find(KERNELS).ok_or_else(|| file_error(format!("no line `{KERNELS}` between program and kernels")))?;
    let program = program(&text[..at], weight)?;
    let mut parser = Parser::new(&text[at + KERNELS.len()..]);
    let mut kernels = Vec::new();
    while !parser.at_end() {
        kernels.push(kernel::text::parse_kernel(&mut parser).map_err(parse_error)?);
    }
    well_formed(kernels.iter().flat_map(kernel::verify::verify).collect())?;
    Ok((program, kernels))
}

fn well_formed(problems: Vec<String>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(file_error(problems.join("\n"))) }
}

/// What stands between the program and the kernels of a kernel level's text.
const KERNELS: &str = "\n=== kernels\n";

/// The text that [`kernels`] reads.
pub fn print_kernels(compiled: &Compiled) -> String {
    let kernels: Vec<String> = compiled.assembly.lowered.iter().map(|l| kernel::text::print_kernel(l.kernel())).collect();
    format!("{}{KERNELS}{}", program::text::print_program(&compiled.program), kernels.join("\n"))
}
