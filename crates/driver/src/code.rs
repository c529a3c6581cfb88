//! Machine code of kernels and entries: from the store where it is there, else generated and put there.
//!
//! An entry of the store is the object of one function. A kernel's key is its nests and schedule, the target and the version of the code
//! generator, so that it is found before the kernel itself is made. An entry function's key is its text in place of the nests. No option
//! changes a kernel; those that change an entry function show in its text. One more entry holds the schedules of all groups, since choosing
//! them takes most of a compile whose objects are there.

use crate::assemble::{Assembly, Lowered};
use crate::compile::{emit_options, print_options};
use crate::error::Error;
use crate::options::Options;
use crate::parallel;
use crate::tuned::group_digest;
use cache::{Entry, Key, Store};
use kernel::Interface;
use kernel::schedule::Schedule;
use program::PhysicalGroup;
use std::io;
use std::sync::Arc;
use target::Target;

/// The version of what turns nests into objects: a digest of its sources, and LLVM's version.
pub fn compiler_version() -> String {
    format!("inkle {} llvm {}", env!("INKLE_SOURCES"), llvm::version().as_deref().unwrap_or("not found"))
}

/// The same for keys, which are made before anyone needs LLVM.
fn compiler_identity() -> String {
    format!("inkle {} llvm {}", env!("INKLE_SOURCES"), llvm::identity())
}

/// How the store served a compile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    pub hits: usize,
    pub misses: Vec<Miss>,
    /// Why what was generated could not be kept.
    pub problem: Option<String>,
}

/// A kernel or an entry that was not in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The model nodes of a kernel, the name of an entry.
    pub label: String,
    pub key: Key,
}

/// Makes keys and looks them up.
pub struct Lookup<'a> {
    store: Option<&'a Store>,
    pub target: Arc<Target>,
    target_text: Arc<str>,
    compiler: Arc<str>,
}

impl<'a> Lookup<'a> {
    pub fn new(target: &Target, store: Option<&'a Store>) -> Lookup<'a> {
        Lookup { store, target: Arc::new(target.clone()), target_text: target.to_string().into(), compiler: compiler_identity().into() }
    }

    pub fn kernel_key(&self, group: &PhysicalGroup, schedule: &Schedule) -> Key {
        let own = [("nest", group.to_string().into()), ("schedule", schedule.to_string().into())];
        Key::new(own.into_iter().chain(self.circumstances()))
    }

    /// Of the default schedules of groups, all together; None without a store.
    pub fn schedules_key(&self, groups: &[PhysicalGroup], threads: usize) -> Option<Key> {
        self.store?;
        let digests = parallel::map(groups, threads, group_digest);
        Some(Key::new([("groups", digests.concat().into())].into_iter().chain(self.circumstances())))
    }

    pub fn schedules(&self, key: &Key) -> Option<Vec<Schedule>> {
        self.store?.get(key)?.interface.lines().map(|line| line.parse().ok()).collect()
    }

    /// Where they can't be kept, they are chosen again the next time.
    pub fn keep_schedules(&self, key: &Key, schedules: &[Schedule]) {
        let interface = schedules.iter().map(|schedule| format!("{schedule}\n")).collect();
        let _ = self.store.map(|store| store.put(&Entry { key: key.clone(), interface, object: vec![] }));
    }

    fn entry_key(&self, text: &str) -> Key {
        Key::new([("text", text.into())].into_iter().chain(self.circumstances()))
    }

    fn circumstances(&self) -> [(&'static str, Arc<str>); 2] {
        [("target", self.target_text.clone()), ("compiler", self.compiler.clone())]
    }

    /// The interface and the object of a kernel of this name. What does not read as that is no hit.
    pub fn kernel(&self, key: &Key, name: &str) -> Option<(Interface, Vec<u8>)> {
        let entry = self.store?.get(key)?;
        let interface: Interface = entry.interface.parse().ok()?;
        (interface.name == name).then_some((interface, entry.object))
    }

    fn entry(&self, key: &Key) -> Option<Vec<u8>> {
        Some(self.store?.get(key)?.object)
    }
}

/// The name of a kernel in every module that has it: equal names mean equal kernels.
pub fn kernel_name(key: &Key) -> String {
    let own = Key { fields: key.fields.iter().take(2).cloned().collect() };
    format!("k{}", &own.digest()[..16])
}

/// One function whose object is wanted.
pub struct Part {
    label: String,
    /// LLVM text; None for a kernel whose object is there.
    text: Option<String>,
    /// None for what must not be kept.
    key: Option<Key>,
    interface: String,
    object: Option<Vec<u8>>,
}

/// The kernels, `prepare` and `main`, with the objects that are there and the texts of the others.
pub fn parts(assembly: &Assembly, options: &Options) -> Vec<Part> {
    let lookup = Lookup::new(&options.target, options.store.as_deref());
    let kernels = parallel::map(&assembly.lowered, options.threads, |lowered| kernel_part(lowered, options));
    let names = [&assembly.module.prepare.name, &assembly.module.main.name];
    let entries = names.into_iter().zip(entry_texts(assembly, options)).map(|(name, text)| {
        let key = lookup.entry_key(&text);
        Part { label: name.clone(), object: lookup.entry(&key), text: Some(text), key: Some(key), interface: String::new() }
    });
    kernels.into_iter().chain(entries).collect()
}

fn kernel_part(lowered: &Lowered, options: &Options) -> Part {
    let object = lowered.object.clone();
    let text = object.is_none().then(|| llvm::print_kernel(lowered.kernel(), &print_options(options)));
    Part { label: lowered.label.clone(), text, key: lowered.key.clone(), interface: lowered.interface.to_string(), object }
}

fn entry_texts(assembly: &Assembly, options: &Options) -> [String; 2] {
    let module = &assembly.module;
    [&module.prepare, &module.main].map(|entry| llvm::print_entry(entry, &module.kernels, &print_options(options)))
}

/// The LLVM text of every kernel and of the entries.
pub fn texts(assembly: &Assembly, options: &Options) -> Vec<String> {
    let kernels = assembly.lowered.iter().map(|lowered| llvm::print_kernel(lowered.kernel(), &print_options(options)));
    kernels.chain(entry_texts(assembly, options)).collect()
}

/// Generates the objects that are missing, on all threads, and keeps them. Gives all in order.
pub fn objects(mut parts: Vec<Part>, options: &Options) -> Result<(Vec<Vec<u8>>, CacheUse), Error> {
    let missing: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].object.is_none()).collect();
    let texts: Vec<&str> = missing.iter().filter_map(|at| parts[*at].text.as_deref()).collect();
    let objects = llvm::emit_all(&texts, &emit_options(options), options.threads)?;
    for (at, object) in missing.iter().zip(objects) {
        parts[*at].object = Some(object);
    }
    let cache = options.store.as_deref().map(|store| kept(store, &parts, &missing)).unwrap_or_default();
    Ok((parts.into_iter().filter_map(|part| part.object).collect(), cache))
}

/// Puts the parts that were missing into the store.
fn kept(store: &Store, parts: &[Part], missing: &[usize]) -> CacheUse {
    let misses: Vec<&Part> = missing.iter().map(|at| &parts[*at]).collect();
    let miss = |part: &&Part| Some(Miss { label: part.label.clone(), key: part.key.clone()? });
    let problem = keep(store, &misses).err().map(|why| format!("{}: {why}", store.folder().display()));
    CacheUse { hits: parts.len() - missing.len(), misses: misses.iter().filter_map(miss).collect(), problem }
}

fn keep(store: &Store, parts: &[&Part]) -> io::Result<()> {
    for part in parts {
        if let (Some(key), Some(object)) = (&part.key, &part.object) {
            store.put(&Entry { key: key.clone(), interface: part.interface.clone(), object: object.clone() })?;
        }
    }
    if parts.is_empty() { Ok(()) } else { store.trim() }
}
