//! From an address in an artefact back to the model: by the debug information, and the manifest beside it.

use object::{Object, ObjectSection, SymbolKind};
use object::{ObjectSymbol, SectionKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Why an artefact can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("{0}")]
    File(String),
    #[error("no function holds the address {0:#x}; functions lie from {1:#x} to {2:#x}")]
    Address(u64, u64, u64),
}

/// What an instruction is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// The function, and the byte in it.
    pub function: String,
    pub offset: u64,
    /// The model nodes; the model's name for what serves no node.
    pub node: String,
    /// What the manifest says of the kernel, where it is one.
    pub kernel: Option<Value>,
}

/// Bytes of code.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    pub bytes: u64,
    /// Those of which the debug information says what they are for.
    pub resolved: u64,
    /// By node.
    pub nodes: BTreeMap<String, u64>,
}

struct Function {
    name: String,
    start: u64,
    bytes: u64,
}

/// A shared library or an object of an artefact.
pub struct Explainer {
    functions: Vec<Function>,
    /// Starts and lengths of the executable sections.
    code: Vec<(u64, u64)>,
    lines: addr2line::Loader,
    manifest: Value,
}

impl Explainer {
    /// Reads the file, and the manifest that lies in the same folder, if there is one.
    pub fn open(path: &Path) -> Result<Explainer, ExplainError> {
        let fault = |why: String| ExplainError::File(format!("{}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|why| fault(why.to_string()))?;
        let file = object::File::parse(bytes.as_slice()).map_err(|why| fault(why.to_string()))?;
        let text = |symbol: &object::Symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition();
        let function = |symbol: object::Symbol| {
            Some(Function { name: symbol.name().ok()?.to_string(), start: symbol.address(), bytes: symbol.size() })
        };
        let mut functions: Vec<Function> = file.symbols().filter(text).filter_map(function).collect();
        functions.sort_by_key(|function| function.start);
        let code = file.sections().filter(|section| section.kind() == SectionKind::Text).map(|section| (section.address(), section.size()));
        let code = code.collect();
        let lines = addr2line::Loader::new(path).map_err(|why| fault(why.to_string()))?;
        Ok(Explainer { functions, code, lines, manifest: manifest(path).unwrap_or_default() })
    }

    pub fn explain(&self, address: u64) -> Result<Explained, ExplainError> {
        let holds = |function: &&Function| (function.start..function.start + function.bytes).contains(&address);
        let Some(function) = self.functions.iter().find(holds) else {
            let ends = self.functions.iter().map(|function| function.start + function.bytes);
            let first = self.functions.first().map_or(0, |function| function.start);
            return Err(ExplainError::Address(address, first, ends.max().unwrap_or(0)));
        };
        let location = self.lines.find_location(address).ok().flatten();
        let node = location.and_then(|location| location.file).unwrap_or_default().to_string();
        let kernel = self.kernels().find(|kernel| kernel["name"] == function.name.as_str()).cloned();
        Ok(Explained { function: function.name.clone(), offset: address - function.start, node, kernel })
    }

    fn kernels(&self) -> impl Iterator<Item = &Value> {
        let versions = self.manifest["versions"].as_array().into_iter().flatten();
        versions.flat_map(|version| version["kernels"].as_array().into_iter().flatten())
    }

    /// What all of the code is for.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        for (start, bytes) in &self.code {
            coverage.bytes += bytes;
            let ranges = self.lines.find_location_range(*start, start + bytes).ok().into_iter().flatten();
            for (_, length, location) in ranges {
                let Some(node) = location.file else { continue };
                coverage.resolved += length;
                *coverage.nodes.entry(node.to_string()).or_default() += length;
            }
        }
        coverage
    }
}

/// The manifest in the folder of an artefact's file.
fn manifest(path: &Path) -> Option<Value> {
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let folder = path.parent()?;
    let names = [stem.clone(), stem.strip_prefix("lib").unwrap_or(&stem).to_string()];
    let text = names.iter().find_map(|name| std::fs::read_to_string(folder.join(format!("{name}.json"))).ok())?;
    serde_json::from_str(&text).ok()
}
