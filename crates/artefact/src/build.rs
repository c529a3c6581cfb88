//! The files of an artefact.

use crate::header::header;
use crate::link::{self, LinkError};
use crate::manifest::manifest;
use crate::names;
use crate::version::Version;
use crate::weights::Weights;
use crate::wrapper::wrapper;
use driver::compile::Assembled;
use driver::{Error, Options};
use ir::{Code, Diagnostics, Location, TensorType};
use kernel::facade::{ALIGNMENT, Facade};
use serde_json::Value;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What is to be made.
pub struct Request {
    /// The name for people.
    pub model: String,
    /// Of all names in C; by default the model's.
    pub prefix: Option<String>,
    /// Whether the weights are part of the object, or a file of their own.
    pub weights_inside: bool,
    /// Whether there is a wrapper in Rust too.
    pub rust: bool,
    /// What the manifest says of where the artefact came from.
    pub hashes: Vec<(String, Value)>,
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
}

/// The most bytes of weights that code reaches where they are linked in.
const MOST_INSIDE: i64 = 3 << 29;

/// Writes the artefact of a model into a folder; files of the same names are replaced.
pub fn build(request: Request, assembled: Assembled, options: &Options, folder: &Path) -> Result<Artefact, Error> {
    let prefix = request.prefix.unwrap_or_else(|| names::prefix(&request.model));
    let mut weights = Weights::default();
    let mut version = Version::new(assembled, options, &prefix, &mut weights)?;
    version.facade.weights.bytes = weights.bytes();
    version.facade.weights.header = weights.header();
    if request.weights_inside {
        within(weights.bytes())?;
        version.facade.weights.symbol = Some(format!("{prefix}_weights"));
    }
    let interface = interface(request.model, request.hashes, &version);
    let mut texts = vec![(format!("{prefix}.h"), header(&interface))];
    if request.rust {
        texts.push((format!("{prefix}.rs"), wrapper(&interface)));
    }
    let written = write(folder, &prefix, &interface, &texts, &[version], &weights).map_err(error)?;
    Ok(Artefact { folder: folder.to_path_buf(), files: written.0, manifest: written.1, interface })
}

fn within(bytes: i64) -> Result<(), Error> {
    if bytes <= MOST_INSIDE {
        return Ok(());
    }
    let why = format!("weights of {bytes} bytes can't be linked in; with --weights file they are a file of their own");
    Err(Error::Diagnostics(Diagnostics::one(Code::Limit, &Location::default(), why)))
}

fn error(why: LinkError) -> Error {
    let code = match why {
        LinkError::Format(_) => Code::Unsupported,
        _ => Code::Input,
    };
    Error::Diagnostics(Diagnostics::one(code, &Location::default(), why.to_string()))
}

fn interface(model: String, hashes: Vec<(String, Value)>, version: &Version) -> Interface {
    let program = version.program();
    let typed =
        |list: &[(String, program::BufferId)]| list.iter().map(|(name, id)| (name.clone(), program.buffer(*id).ty.clone())).collect();
    Interface {
        model,
        targets: vec![version.target().name.clone()],
        facade: version.facade.clone(),
        inputs: typed(&program.inputs),
        outputs: typed(&program.outputs),
        hashes,
    }
}

type Written = (Vec<File>, Value);

/// All files; `texts` are those for users, with their names.
fn write(
    folder: &Path,
    prefix: &str,
    interface: &Interface,
    texts: &[(String, String)],
    versions: &[Version],
    weights: &Weights,
) -> Result<Written, LinkError> {
    fs::create_dir_all(folder).map_err(LinkError::file(folder))?;
    let path = |name: &str| folder.join(name);
    let mut names = Vec::new();
    for (name, text) in texts {
        put(&path(name), text.as_bytes())?;
        names.push(name.clone());
    }
    names.extend(code_files(folder, prefix, interface, versions, weights)?);
    let own = format!("{prefix}.json");
    let manifest = manifest(interface, versions, &names);
    put(&path(&own), format!("{manifest:#}\n").as_bytes())?;
    names.push(own);
    let file = |name: String| {
        let bytes = fs::metadata(path(&name)).map_err(LinkError::file(&path(&name)))?.len();
        Ok(File { name, bytes })
    };
    Ok((names.into_iter().map(file).collect::<Result<_, LinkError>>()?, manifest))
}

/// Objects, the shared library, and the weights where they are a file.
fn code_files(
    folder: &Path,
    prefix: &str,
    interface: &Interface,
    versions: &[Version],
    weights: &Weights,
) -> Result<Vec<String>, LinkError> {
    let target = versions[0].target();
    let (object, library) = (format!("{prefix}.o"), format!("lib{prefix}.so"));
    let mut parts = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        let part = folder.join(format!("{prefix}.part{at}"));
        put(&part, &version.object().map_err(|why| LinkError::Format(why.to_string()))?)?;
        parts.push(part);
    }
    let mut names = vec![object.clone(), library.clone()];
    match &interface.facade.weights.symbol {
        Some(symbol) => {
            let part = folder.join(format!("{prefix}.weights.part"));
            let mut bytes = Vec::with_capacity(weights.bytes() as usize);
            weights.write(&mut bytes).map_err(LinkError::file(&part))?;
            link::write_bytes(&part, target, symbol, &bytes, ALIGNMENT as u64)?;
            parts.push(part);
        }
        None => {
            let name = format!("{prefix}.weights");
            let path = folder.join(&name);
            let file = fs::File::create(&path).map_err(LinkError::file(&path))?;
            let mut out = BufWriter::new(file);
            weights.write(&mut out).and_then(|()| out.flush()).map_err(LinkError::file(&path))?;
            names.push(name);
        }
    }
    let linked = link::relocatable(target, &parts, &folder.join(object)).and_then(|()| link::shared(target, &parts, &folder.join(library)));
    parts.iter().for_each(|part| {
        let _ = fs::remove_file(part);
    });
    linked.map(|()| names)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), LinkError> {
    fs::write(path, bytes).map_err(LinkError::file(path))
}
