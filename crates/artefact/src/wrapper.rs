//! A safe interface in Rust to the functions of an artefact.

use crate::build::Interface;
use crate::names::{comment, identifiers};
use ir::{DType, TensorType};
use kernel::facade::{ABI, code};
use kernel::module::SIZE_FAULT;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use sym::{Expr, Sym};

const TEMPLATE: &str = include_str!("wrapper/template.rs");
const THREADS: &str = include_str!("wrapper/threads.rs");

const WEIGHTS_INSIDE: &str = "    impl Model {
        pub fn new() -> Result<Model, Error> {
            Ok(Model::of(Model::made(ptr::null(), 0)?))
        }
    }

";

const WEIGHTS_IN_FILE: &str = "    /// The file of weights. Models share them.
    pub struct Weights(Memory);

    impl Weights {
        pub fn read(path: &std::path::Path) -> std::io::Result<Weights> {
            let mut memory = Memory::default();
            memory.grow(WEIGHTS_BYTES).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
            // SAFETY: the memory has that many bytes, all of them set
            let bytes = unsafe { slice::from_raw_parts_mut(memory.start(), WEIGHTS_BYTES as usize) };
            std::io::Read::read_exact(&mut std::fs::File::open(path)?, bytes)?;
            Ok(Weights(memory))
        }
    }

    impl Model {
        pub fn new(weights: std::sync::Arc<Weights>) -> Result<Model, Error> {
            Ok(Model::of(Model::made(weights.0.0.as_ptr().cast(), WEIGHTS_BYTES)?, weights))
        }
    }

";

/// A dim of an input, as the text of what it is in a call.
struct Given<'a> {
    dim: &'a Expr,
    text: String,
}

/// The wrapper's text.
pub fn wrapper(interface: &Interface) -> String {
    let inside = interface.facade.weights.symbol.is_some();
    let (field, more, own) = match inside {
        true => ("", "", ""),
        false => ("        weights: std::sync::Arc<Weights>,\n", ", weights: std::sync::Arc<Weights>", ", weights"),
    };
    let weights = if inside { WEIGHTS_INSIDE } else { WEIGHTS_IN_FILE };
    TEMPLATE
        .replace("@constants@\n", &constants(interface))
        .replace("@threads@\n", &indented(THREADS))
        .replace("@weights_field@", field)
        .replace("@weights_argument@", more)
        .replace("@weights_own@", own)
        .replace("@weights@\n", weights)
        .replace("PREFIX", &interface.facade.prefix)
        .replace("@run@", &run(interface))
        .replace("@model@", &comment(&interface.model))
        .replace("@targets@", &comment(&interface.targets.join(", ")))
}

/// Text for the inside of a module.
fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_string() } else { format!("    {line}\n") }).collect()
}

fn constants(interface: &Interface) -> String {
    let Interface { facade, inputs, outputs, .. } = interface;
    let dims = |tensors: &[(String, TensorType)]| tensors.iter().map(|(_, ty)| ty.rank()).sum::<usize>();
    // of a size that a call computes: what outputs get before it is known
    let first = facade.sizes.iter().map(|size| if size.computed { 1024.clamp(size.low, size.high) } else { 0 });
    let computed = facade.sizes.iter().map(|size| size.computed);
    let mut text = format!(
        "    const ABI: i32 = {ABI};\n    const ERROR_SIZE: i32 = {SIZE_FAULT};\n    const ERROR_SCRATCH: i32 = {};\n    const CONTEXT_BYTES: i64 = {};\n    const WEIGHTS_BYTES: i64 = {};\n",
        code::SCRATCH,
        facade.context_bytes(),
        facade.weights.bytes
    );
    let counts = [
        ("INPUTS", inputs.len()),
        ("OUTPUTS", outputs.len()),
        ("INPUT_DIMS", dims(inputs)),
        ("OUTPUT_DIMS", dims(outputs)),
        ("DIMS", facade.sizes.len()),
    ];
    for (name, count) in counts {
        let _ = writeln!(text, "    const {name}: usize = {count};");
    }
    let _ = writeln!(text, "    const COMPUTED: [bool; DIMS] = {};", list(computed));
    let _ = writeln!(text, "    const FIRST_ROOM: [i64; DIMS] = {};\n", list(first));
    text
}

fn list<T: Display>(items: impl Iterator<Item = T>) -> String {
    format!("[{}]", items.map(|item| item.to_string()).collect::<Vec<_>>().join(", "))
}

/// `run` with an argument for each input, and for each size that no input tells; and what it gives.
fn run(interface: &Interface) -> String {
    let Interface { facade, inputs, outputs, .. } = interface;
    let known: Vec<String> = identifiers(inputs.iter().map(|(name, _)| name.as_str()));
    let solved = solved(inputs, &known);
    let asked: Vec<&Sym> =
        facade.sizes.iter().filter(|size| !size.computed).map(|size| &size.symbol).filter(|s| !solved.contains_key(s)).collect();
    let mut names = identifiers(inputs.iter().map(|(name, _)| name.as_str()).chain(asked.iter().map(|symbol| symbol.name())));
    let sizes = names.split_off(inputs.len());
    let fields = identifiers(outputs.iter().map(|(name, _)| name.as_str()));
    let place = |at: usize| outputs[..at].iter().map(|(_, ty)| ty.rank()).sum::<usize>();

    let mut text =
        "    /// What a call gave; it stands until the next one.\n    #[derive(Clone, Copy, Debug)]\n    pub struct Outputs<'a> {\n"
            .to_string();
    for (field, (name, ty)) in fields.iter().zip(outputs) {
        let _ = writeln!(text, "        /// {}\n        pub {field}: {},", described(name, ty), tensor("'a", ty));
    }
    text.push_str("        model: std::marker::PhantomData<&'a Model>,\n    }\n\n    impl Model {\n        /// A call.\n        ///\n");
    for (argument, (name, ty)) in names.iter().zip(inputs) {
        let _ = writeln!(text, "        /// - `{argument}`: {}", described(name, ty));
    }
    for (argument, symbol) in sizes.iter().zip(&asked) {
        let _ = writeln!(text, "        /// - `{argument}`: the size {}, which no input tells", comment(symbol.name()));
    }
    let tensors = names.iter().zip(inputs).map(|(argument, (_, ty))| format!("{argument}: {}", tensor("'_", ty)));
    let numbers = sizes.iter().map(|argument| format!("{argument}: usize"));
    let arguments: String = tensors.chain(numbers).map(|argument| format!(", {argument}")).collect();
    let given = list(names.iter().zip(inputs).map(|(argument, (name, _))| format!("{argument}.given({:?})", comment(name))));
    let dims = list(facade.sizes.iter().enumerate().map(|(at, size)| {
        let own = asked.iter().position(|symbol| **symbol == size.symbol).map(|at| format!("i64::try_from({}).unwrap_or(-1)", sizes[at]));
        own.or_else(|| solved.get(&size.symbol).cloned()).unwrap_or_else(|| format!("self.room[{at}]"))
    }));
    let results: String = fields.iter().enumerate().map(|(at, field)| format!("{field}: self.output({at}, {}), ", place(at))).collect();
    let _ = write!(
        text,
        "        pub fn run(&mut self{arguments}) -> Result<Outputs<'_>, Error> {{\n            let (given, dims) = ({given}, {dims});\n            \
        self.call(given, dims)?;\n            Ok(Outputs {{ {results}model: std::marker::PhantomData }})\n        }}\n    }}\n"
    );
    text
}

fn described(name: &str, ty: &TensorType) -> String {
    format!("{}: {}", comment(name), comment(&ty.to_string()))
}

fn tensor(lifetime: &str, ty: &TensorType) -> String {
    format!("Tensor<{lifetime}, {}, {}>", element(ty.dtype), ty.rank())
}

fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 | DType::BF16 => "u16",
        DType::Bool => "bool",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::U8 => "u8",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::F32 => "f32",
        DType::F64 => "f64",
    }
}

/// Sizes that an input's dim tells, plainly or as `c*n + k`; that all dims fit them is checked in the call.
fn solved(inputs: &[(String, TensorType)], names: &[String]) -> BTreeMap<Sym, String> {
    let given = inputs.iter().zip(names).flat_map(|((_, ty), name)| {
        ty.dims.iter().enumerate().map(move |(axis, dim)| Given { dim, text: format!("{name}.dims[{axis}] as i64") })
    });
    let given: Vec<Given> = given.collect();
    let mut solved = BTreeMap::new();
    for Given { dim, text } in &given {
        if let Some(symbol) = dim.as_sym() {
            solved.entry(symbol.clone()).or_insert_with(|| text.clone());
        }
    }
    for Given { dim, text } in &given {
        let Ok([symbol]) = <[Sym; 1]>::try_from(Vec::from_iter(dim.symbols())) else { continue };
        let Some((factor, rest)) = dim.split_linear(&symbol) else { continue };
        if let (Some(factor @ 1..), Some(rest)) = (factor.as_const(), rest.as_const()) {
            solved.entry(symbol).or_insert_with(|| format!("({text}).wrapping_sub({rest}) / {factor}"));
        }
    }
    solved
}

#[cfg(test)]
mod tests;
