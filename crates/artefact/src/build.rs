//! The files of an artefact.

use crate::header::header;
use crate::link::{self, Form, LinkError};
use crate::manifest::manifest;
use crate::names;
use crate::version::Version;
use crate::weights::Weights;
use crate::wrapper::wrapper;
use driver::compile::Assembled;
use driver::{Error, Options};
use ir::{Code, Diagnostics, Location, TensorType};
use kernel::facade::{ALIGNMENT, Dispatch, Facade};
use llvm::EmitOptions;
use serde_json::Value;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use target::Target;

/// What code is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Emit {
    /// An object, and what is linked of it.
    #[default]
    Object,
    /// A file in C11.
    C,
}

/// What is to be made.
pub struct Request {
    /// The name for people.
    pub model: String,
    /// Of all names in C; by default the model's.
    pub prefix: Option<String>,
    /// Whether the weights are part of the object, or a file of their own; by default part of it where they can be.
    pub weights_inside: Option<bool>,
    /// Whether there is a wrapper in Rust too.
    pub rust: bool,
    pub emit: Emit,
    /// What the manifest says of where the artefact came from.
    pub hashes: Vec<(String, Value)>,
    /// What the model carries for its users, such as names of classes.
    pub metadata: Vec<(String, Value)>,
}

/// What was written.
pub struct Artefact {
    pub folder: PathBuf,
    pub files: Vec<File>,
    pub manifest: Value,
    pub interface: Interface,
}

pub struct File {
    pub name: String,
    pub bytes: u64,
}

/// How a program sees the model.
pub struct Interface {
    pub model: String,
    pub targets: Vec<String>,
    pub facade: Facade,
    pub inputs: Vec<(String, TensorType)>,
    pub outputs: Vec<(String, TensorType)>,
    pub hashes: Vec<(String, Value)>,
    pub metadata: Vec<(String, Value)>,
}

/// The most bytes of weights that code reaches where they are linked in.
const MOST_INSIDE: i64 = 3 << 29;

/// The most that C compilers read as an array in reasonable memory.
const MOST_IN_SOURCE: i64 = 64 << 20;

/// Writes the artefact of a model into a folder; files of the same names are replaced. The model is given for each target, the least
/// demanding first; only x86-64 has several.
pub fn build(request: Request, assembled: Vec<(Assembled, Options)>, folder: &Path) -> Result<Artefact, Error> {
    let prefix = request.prefix.unwrap_or_else(|| names::prefix(&request.model));
    let (mut weights, mut versions, several) = (Weights::default(), Vec::new(), assembled.len() > 1);
    if several && request.emit == Emit::C {
        return Err(Error::input("C source is for one target"));
    }
    let mut inside = true;
    for (assembled, options) in assembled {
        if several && !options.target.triple.starts_with("x86_64") {
            return Err(Error::input(format!("only levels of x86-64 can share an artefact, which {} is not", options.target.name)));
        }
        inside = request.weights_inside.unwrap_or(request.emit != Emit::C && Form::of(&options.target).holds_weights());
        let own = if several { format!("{prefix}_{}", names::prefix(&options.target.name)) } else { prefix.clone() };
        let mut version = Version::new(assembled, &options, (&request.model, &own), &mut weights)?;
        version.facade.hidden = several;
        versions.push(version);
    }
    if inside {
        within(weights.bytes(), if request.emit == Emit::C { MOST_IN_SOURCE } else { MOST_INSIDE })?;
    }
    for version in &mut versions {
        let own = &mut version.facade.weights;
        (own.bytes, own.header) = (weights.bytes(), weights.header());
        own.symbol = inside.then(|| format!("{prefix}_weights"));
    }
    let interface = Interface { hashes: request.hashes, metadata: request.metadata, ..interface(request.model, &prefix, &versions)? };
    let mut texts = vec![(format!("{prefix}.h"), header(&interface))];
    if request.rust {
        texts.push((format!("{prefix}.rs"), wrapper(&interface)));
    }
    let written = write(folder, &interface, request.emit, &texts, &versions, &weights)?;
    Ok(Artefact { folder: folder.to_path_buf(), files: written.0, manifest: written.1, interface })
}

fn within(bytes: i64, most: i64) -> Result<(), Error> {
    if bytes <= most {
        return Ok(());
    }
    let why = format!("weights of {bytes} bytes can't be linked in; with --weights-in file they are a file of their own");
    Err(Error::Diagnostics(Diagnostics::one(Code::Limit, &Location::default(), why)))
}

fn error(why: LinkError) -> Error {
    let code = match why {
        LinkError::Format(_) => Code::Unsupported,
        _ => Code::Input,
    };
    Error::Diagnostics(Diagnostics::one(code, &Location::default(), why.to_string()))
}

/// What callers see of all versions: the sizes that all of them take, and the most room that one needs.
fn interface(model: String, prefix: &str, versions: &[Version]) -> Result<Interface, Error> {
    let first = versions.first().ok_or_else(|| Error::input("there is no target"))?;
    let mut facade = Facade { prefix: prefix.to_string(), ..first.facade.clone() };
    for version in versions {
        facade.sizes.iter_mut().zip(&version.facade.sizes).for_each(|(size, other)| size.high = size.high.min(other.high));
        if version.facade.context_bytes() > facade.context_bytes() {
            facade.weights.constants = version.facade.weights.constants.clone();
        }
    }
    let program = first.program();
    let typed =
        |list: &[(String, program::BufferId)]| list.iter().map(|(name, id)| (name.clone(), program.buffer(*id).ty.clone())).collect();
    let targets = versions.iter().map(|version| version.target().name.clone()).collect();
    Ok(Interface {
        model,
        targets,
        facade,
        inputs: typed(&program.inputs),
        outputs: typed(&program.outputs),
        hashes: vec![],
        metadata: vec![],
    })
}

type Written = (Vec<File>, Value);

/// All files; `texts` are those for users, with their names.
fn write(
    folder: &Path,
    interface: &Interface,
    emit: Emit,
    texts: &[(String, String)],
    versions: &[Version],
    weights: &Weights,
) -> Result<Written, Error> {
    fs::create_dir_all(folder).map_err(LinkError::file(folder)).map_err(error)?;
    let (prefix, path) = (interface.facade.prefix.as_str(), |name: &str| folder.join(name));
    let mut names = Vec::new();
    for (name, text) in texts {
        put(&path(name), text.as_bytes()).map_err(error)?;
        names.push(name.clone());
    }
    names.extend(match emit {
        Emit::Object => code_files(folder, prefix, interface, versions, weights)?,
        Emit::C => source_files(folder, prefix, &versions[0], weights).map_err(error)?,
    });
    let own = format!("{prefix}.json");
    let manifest = manifest(interface, versions, &names);
    put(&path(&own), format!("{manifest:#}\n").as_bytes()).map_err(error)?;
    names.push(own);
    let file = |name: String| {
        let bytes = fs::metadata(path(&name)).map_err(LinkError::file(&path(&name))).map_err(error)?.len();
        Ok(File { name, bytes })
    };
    Ok((names.into_iter().map(file).collect::<Result<_, Error>>()?, manifest))
}

/// Objects, what is linked of them, and the weights where they are a file.
fn code_files(folder: &Path, prefix: &str, interface: &Interface, versions: &[Version], weights: &Weights) -> Result<Vec<String>, Error> {
    let target = versions[0].target();
    let mut parts = Parts(Vec::new());
    for (at, version) in versions.iter().enumerate() {
        let part = parts.add(folder.join(format!("{prefix}.part{at}")));
        put(&part, &version.object()?).map_err(error)?;
    }
    if versions.len() > 1 {
        let part = parts.add(folder.join(format!("{prefix}.dispatch.part")));
        let dispatch =
            Dispatch { prefix: prefix.to_string(), versions: versions.iter().map(|version| version.facade.prefix.clone()).collect() };
        put(&part, &dispatch_object(&dispatch)?).map_err(error)?;
    }
    let mut names = Vec::new();
    match &interface.facade.weights.symbol {
        Some(symbol) => {
            let part = parts.add(folder.join(format!("{prefix}.weights.part")));
            let mut bytes = Vec::with_capacity(weights.bytes() as usize);
            weights.write(&mut bytes).map_err(LinkError::file(&part)).map_err(error)?;
            link::write_bytes(&part, target, symbol, &bytes, ALIGNMENT as u64).map_err(error)?;
        }
        None => {
            names.push(format!("{prefix}.weights"));
            weights_file(&folder.join(&names[0]), weights).map_err(error)?;
        }
    }
    let linked = linked(folder, prefix, target, &parts.0).map_err(error)?;
    Ok(linked.into_iter().chain(names).collect())
}

/// C source, and the weights where they are a file.
fn source_files(folder: &Path, prefix: &str, version: &Version, weights: &Weights) -> Result<Vec<String>, LinkError> {
    let mut names = vec![format!("{prefix}.c")];
    let path = folder.join(&names[0]);
    let text = version.source();
    let write = |out: &mut dyn Write| -> std::io::Result<()> {
        out.write_all(text.as_bytes())?;
        if let Some(symbol) = &version.facade.weights.symbol {
            let mut array = csource::Bytes::new(out, symbol, weights.bytes())?;
            weights.write(&mut array)?;
            array.end()?;
        }
        out.flush()
    };
    let file = fs::File::create(&path).map_err(LinkError::file(&path))?;
    write(&mut BufWriter::new(file)).map_err(LinkError::file(&path))?;
    if version.facade.weights.symbol.is_none() {
        names.push(format!("{prefix}.weights"));
        weights_file(&folder.join(&names[1]), weights)?;
    }
    Ok(names)
}

/// Files that are there until they are linked.
struct Parts(Vec<PathBuf>);

impl Parts {
    fn add(&mut self, path: PathBuf) -> PathBuf {
        self.0.push(path.clone());
        path
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.0.iter().for_each(|part| {
            let _ = fs::remove_file(part);
        });
    }
}

fn weights_file(path: &Path, weights: &Weights) -> Result<(), LinkError> {
    let mut out = BufWriter::new(fs::File::create(path).map_err(LinkError::file(path))?);
    weights.write(&mut out).and_then(|()| out.flush()).map_err(LinkError::file(path))
}

fn linked(folder: &Path, prefix: &str, target: &Target, parts: &[PathBuf]) -> Result<Vec<String>, LinkError> {
    let mut names = vec![format!("{prefix}.o")];
    link::relocatable(target, parts, &folder.join(&names[0]))?;
    match Form::of(target) {
        Form::Elf => {
            names.push(format!("lib{prefix}.so"));
            link::shared(target, parts, &folder.join(&names[1]))?;
        }
        Form::Wasm => {
            names.push(format!("{prefix}.wasm"));
            link::module(target, prefix, parts, &folder.join(&names[1]))?;
        }
        Form::Bare => {}
    }
    Ok(names)
}

/// For any x86-64: it runs before it is known what the processor has.
fn dispatch_object(dispatch: &Dispatch) -> Result<Vec<u8>, Error> {
    let options = EmitOptions { cpu: "x86-64".to_string(), features: String::new(), triple: Target::x86_64_v2().triple };
    Ok(llvm::emit_object(&llvm::print_dispatch(dispatch), &options)?)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), LinkError> {
    fs::write(path, bytes).map_err(LinkError::file(path))
}
