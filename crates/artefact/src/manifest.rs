//! What a program reads of an artefact: JSON.

use crate::build::Interface;
use crate::version::Version;
use kernel::facade::{ABI, Facade};
use serde_json::{Value, json};

pub fn manifest(interface: &Interface, versions: &[Version], files: &[String]) -> Value {
    let Interface { facade, .. } = interface;
    let tensors = |list: &[(String, ir::TensorType)]| -> Vec<Value> {
        list.iter().map(|(name, ty)| json!({ "name": name, "type": ty.dtype.name(), "dims": texts(&ty.dims) })).collect()
    };
    let size =
        |size: &kernel::facade::Size| json!({ "name": size.symbol.name(), "low": size.low, "high": size.high, "computed": size.computed });
    json!({
        "model": interface.model,
        "prefix": facade.prefix,
        "abi": ABI,
        "compiler": driver::code::compiler_version(),
        "metadata": interface.metadata.iter().cloned().collect::<serde_json::Map<_, _>>(),
        "hashes": interface.hashes.iter().cloned().collect::<serde_json::Map<_, _>>(),
        "inputs": tensors(&interface.inputs),
        "outputs": tensors(&interface.outputs),
        "sizes": facade.sizes.iter().map(size).collect::<Vec<_>>(),
        "context_bytes": facade.context_bytes(),
        "weights_bytes": facade.weights.bytes,
        "files": files,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
    })
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

fn version(version: &Version) -> Value {
    let facade = &version.facade;
    json!({
        "target": serde_json::to_value(version.target()).unwrap_or_default(),
        "memory": memory(facade),
        "kernels": version.kernels(),
    })
}

/// The bytes of scratch as a formula: `where` defines names in order, over the sizes and the names before.
fn memory(facade: &Facade) -> Value {
    let places: Vec<Value> = facade.places.iter().map(|(symbol, place)| json!([symbol.name(), place.to_string()])).collect();
    json!({
        "scratch_bytes": (&facade.arena_bytes + &facade.scratch_bytes).to_string(),
        "thread_scratch_bytes": facade.scratch_bytes.to_string(),
        "where": places,
    })
}
