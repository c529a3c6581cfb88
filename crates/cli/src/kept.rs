//! `inkle cache`: what is kept of earlier compiles.

use crate::args::{CacheAction, CacheArgs, WhyArgs};
use crate::failure::Failure;
use crate::machine;
use crate::model::{self, CACHE_BYTES, Machine};
use crate::progress::Progress;
use crate::report::{self, BOLD, Report};
use cache::{Difference, Key, Store, Stored, nearest};
use driver::Options;
use ir::Code;
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use target::Target;

pub fn kept(arguments: &CacheArgs) -> Result<Report, Failure> {
    match &arguments.action {
        None => shown(&store()?),
        Some(CacheAction::Clear(_)) => cleared(&store()?),
        Some(CacheAction::Why(why)) => explained(why, store()?),
    }
}

fn store() -> Result<Store, Failure> {
    let nowhere = || Failure::user(Code::Input, "neither XDG_CACHE_HOME nor HOME says where the cache is");
    let folder = machine::cache_folder().ok_or_else(nowhere)?;
    Store::open(&folder, CACHE_BYTES, SystemTime::now()).map_err(|why| Failure::user(Code::Input, format!("{}: {why}", folder.display())))
}

fn fault(store: &Store) -> impl Fn(io::Error) -> Failure {
    move |why| Failure::user(Code::Input, format!("{}: {why}", store.folder().display()))
}

fn shown(store: &Store) -> Result<Report, Failure> {
    let files = store.entries().map_err(fault(store))?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let mut targets: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for file in &files {
        let (count, bytes) = targets.entry(target_name(file)).or_default();
        (*count, *bytes) = (*count + 1, *bytes + file.bytes);
    }
    let rows: Vec<Vec<String>> =
        targets.iter().map(|(name, (count, bytes))| vec![name.clone(), count.to_string(), report::bytes(*bytes as usize)]).collect();
    let [held, most] = [bytes, store.most_bytes()].map(|bytes| report::bytes(bytes as usize));
    let folder = store.folder().display();
    let text = format!(
        "{BOLD}{folder}{BOLD:#}: {} entries, {held} of at most {most}\n{}",
        files.len(),
        report::table(&["target", "entries", "bytes"], &rows, 1)
    );
    let json = json!({
        "folder": folder.to_string(),
        "entries": files.len(),
        "bytes": bytes,
        "most_bytes": store.most_bytes(),
        "targets": targets.iter().map(|(name, (count, bytes))| json!({ "target": name, "entries": count, "bytes": bytes })).collect::<Vec<_>>(),
    });
    Ok(Report::new(text, json))
}

/// The name and the processor of the target that an entry was generated for.
fn target_name(file: &Stored) -> String {
    let Some(key) = &file.key else { return "damaged".to_string() };
    let target = key.field("target").and_then(|text| text.parse::<Target>().ok());
    target.map_or("unknown".to_string(), |target| format!("{} ({})", target.name, target.cpu))
}

fn cleared(store: &Store) -> Result<Report, Failure> {
    let (entries, bytes) = store.clear().map_err(fault(store))?;
    let text = format!("{entries} entries removed, {}\n", report::bytes(bytes as usize));
    Ok(Report::new(text, json!({ "removed": entries, "bytes": bytes })))
}

/// Compiles the model with the cache as it is, and leaves it so.
fn explained(arguments: &WhyArgs, store: Store) -> Result<Report, Failure> {
    let machine = Machine::new(&arguments.compile.machine)?;
    let source = model::source(&arguments.model, arguments.compile.weights.as_deref())?;
    let store = Arc::new(store.read_only());
    let options = Options { store: Some(store.clone()), ..model::options(&arguments.compile, &machine)? };
    let progress = Progress::new("compiling");
    let cache = driver::compile(&source, &options)?.cache;
    let keys: Vec<Key> = store.entries().map_err(fault(&store))?.into_iter().filter_map(|file| file.key).collect();
    let found: Vec<(String, Option<Vec<Difference>>)> =
        cache.misses.into_iter().map(|miss| (miss.label, nearest(&miss.key, &keys))).collect();
    drop(progress);
    let text: String = found.iter().map(|(label, differences)| format!("{BOLD}{label}{BOLD:#}: {}\n", reason(differences))).collect();
    let json = json!({
        "hits": cache.hits,
        "misses": found.iter().map(|(label, differences)| json!({
            "kernel": label,
            "fields": differences.iter().flatten().map(|difference| json!({
                "field": difference.field, "wanted": difference.wanted, "nearest": difference.found,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    Ok(Report::new(format!("{text}{} hits, {} misses\n", cache.hits, found.len()), json))
}

/// In words: the fields in which the nearest entry differs.
fn reason(differences: &Option<Vec<Difference>>) -> String {
    let Some(differences) = differences else { return "there is no entry of its kind".to_string() };
    let told = |difference: &Difference| {
        let Difference { field, wanted, found } = difference;
        format!("the {field} differs: `{wanted}`, in the nearest entry `{found}`")
    };
    if differences.is_empty() { "its entry is damaged".to_string() } else { differences.iter().map(told).collect::<Vec<_>>().join("; ") }
}
