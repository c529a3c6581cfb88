//! Kernels and entries as LLVM 19 text.
//!
//! A kernel is `i32 NAME(ptr args, i64 begin, i64 end, ptr scratch)`: `args` holds 8-byte words, first the pointers of
//! the buffers that are parameters, in order, then the sizes; the tasks `begin..end` are run; `scratch` is 64-byte
//! aligned and has the bytes that [`Kernel::scratch`] tells. The printer makes no choice of its own: what it is given
//! decides loops, vectors and order. Every printed program is defined for every value of its operands.
//!
//! - [`text`]: types, constants, names
//! - [`scope`]: nested scopes of text, into which lines can be added at the right depth
//! - [`index`]: index expressions, cut by scope
//! - [`function`]: a kernel's frame, statements and control flow
//! - [`op`], [`convert`], [`saturate`]: the ops
//! - [`half`]: f16 without instructions for it
//! - [`wide`]: i64 on machines of 32 bits
//! - [`memory`], [`strided`]: loads and stores
//! - [`metadata`]: which accesses never meet
//! - [`debug`]: which model nodes instructions came from
//! - [`dispatch`]: versions for several processors behind one name
//! - [`entry`]: the functions that run the kernels in order
//! - [`facade`]: the functions by which a C program calls an entry

mod convert;
mod debug;
mod dispatch;
mod entry;
mod facade;
mod function;
mod half;
mod index;
mod memory;
mod metadata;
mod op;
mod saturate;
mod scope;
mod strided;
mod text;
mod wide;

pub use debug::Origins;
use ir::DType;
use kernel::facade::{Dispatch, Facade};
use kernel::module::{Entry, Module};
use kernel::{Interface, Kernel};
use metadata::Metadata;
use target::Target;

/// What the text asks of the code generator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// The width in bits of vectors to prefer; without it, the processor's own preference holds.
    pub vector_width: Option<u32>,
    /// Whether entries add the clock's ticks of each step to the profile.
    pub profile: bool,
    /// Whether kernels and entries are known in their own module only.
    pub internal: bool,
    /// Whether entries say where a step begins, for debug information.
    pub marks: bool,
    /// Whether inputs start where their elements are aligned.
    pub aligned: bool,
    /// How many 128-bit parts the machine's scalable vectors have at least, where vectors of that length are to be kept in them.
    pub scalable_parts: Option<u32>,
    /// Whether f16 is converted by operations on bits.
    pub soft_half: bool,
    /// Whether the machine rounds f32 to bf16, but for subnormal numbers, which it takes for zero.
    pub flushing_bf16: bool,
    /// Whether functions that run once a call are made small, which takes longer, rather than quickly.
    pub small: bool,
    /// Whether divisions and conversions of i64 are calls of functions in the module.
    pub narrow_words: bool,
}

impl PrintOptions {
    /// For a machine.
    pub fn of(target: &Target) -> PrintOptions {
        PrintOptions {
            vector_width: Some(target.vector_bits),
            scalable_parts: target.features.iter().any(|feature| feature == "sve").then(|| target.vector_bits / 128),
            soft_half: !target.half,
            flushing_bf16: target.dot_group(DType::BF16, DType::BF16) > 1,
            narrow_words: target.word_bits < 64,
            ..PrintOptions::default()
        }
    }
}

/// The LLVM module of one kernel.
pub fn print_kernel(kernel: &Kernel, options: &PrintOptions) -> String {
    print_kernels([kernel], options)
}

/// One LLVM module of several kernels; their names differ.
pub fn print_kernels<'a>(kernels: impl IntoIterator<Item = &'a Kernel>, options: &PrintOptions) -> String {
    assembled(kernels, &[], options)
}

/// The LLVM module of an entry; `kernels` are those of its module, which it declares where it calls them.
pub fn print_entry(entry: &Entry, kernels: &[Interface], options: &PrintOptions) -> String {
    let declared = entry.launched().into_iter().map(|at| declaration(&kernels[at]));
    let mut functions: Vec<String> = vec![entry::launch_function(options), entry::entry_function(entry, kernels, options)];
    functions.extend(entry::together_function([entry], options));
    functions.extend(entry::host_function([entry], options));
    functions.push(declared.collect());
    assembled([], &functions, options)
}

/// All of an executable as one LLVM module; `kernels` are those whose interfaces it names.
pub fn print_module(kernels: &[Kernel], module: &Module, options: &PrintOptions) -> String {
    let entry = |entry| entry::entry_function(entry, &module.kernels, options);
    let mut functions = vec![entry::launch_function(options), entry(&module.prepare), entry(&module.main)];
    functions.extend(entry::together_function([&module.prepare, &module.main], options));
    functions.extend(entry::host_function([&module.prepare, &module.main], options));
    assembled(kernels, &functions, options)
}

/// All of a model that is called from C as one LLVM module: `main` with the kernels that it launches, known to nobody outside, and the
/// functions around it. `kernels` are those whose interfaces `interfaces` lists.
pub fn print_artefact<'a>(
    kernels: &dyn Fn(usize) -> &'a Kernel,
    interfaces: &[Interface],
    main: &Entry,
    facade: &Facade,
    origins: &Origins,
    options: &PrintOptions,
) -> String {
    let mut functions = vec![entry::launch_function(options), entry::entry_function(main, interfaces, options)];
    functions.extend(entry::together_function([main], options));
    functions.push(facade::facade_text(facade, main, options));
    let mut metadata = Metadata::default();
    let text = definitions(main.launched().into_iter().map(kernels), &functions, options, &mut metadata);
    let text = debug::annotated(&text, origins, &mut metadata);
    format!("{text}\n{}{}", attributes(options), metadata.text())
}

/// The LLVM module by which versions of an artefact share a name.
pub fn print_dispatch(dispatch: &Dispatch) -> String {
    format!("{}{}", dispatch::dispatch_text(dispatch), attributes(&PrintOptions::default()))
}

/// Kernels and finished functions, with what they share.
fn assembled<'a>(kernels: impl IntoIterator<Item = &'a Kernel>, functions: &[String], options: &PrintOptions) -> String {
    let mut metadata = Metadata::default();
    let text = definitions(kernels, functions, options, &mut metadata);
    format!("{text}\n{}{}", attributes(options), metadata.text())
}

/// The functions of a module, and those that they call where the machine lacks an instruction.
fn definitions<'a>(
    kernels: impl IntoIterator<Item = &'a Kernel>,
    functions: &[String],
    options: &PrintOptions,
    metadata: &mut Metadata,
) -> String {
    let mut all: Vec<String> = kernels.into_iter().map(|kernel| function::function(kernel, metadata, options)).collect();
    all.extend_from_slice(functions);
    if options.narrow_words {
        all.extend(wide::functions(&all));
    }
    all.join("\n")
}

fn declaration(kernel: &Interface) -> String {
    format!("declare i32 {}(ptr, i64, i64, ptr)\n", text::global(&kernel.name))
}

/// What stands between `define` and the type.
fn linkage(options: &PrintOptions) -> &'static str {
    if options.internal { "internal " } else { "" }
}

fn attributes(options: &PrintOptions) -> String {
    let width = options.vector_width.map(|width| format!(" \"prefer-vector-width\"=\"{width}\"")).unwrap_or_default();
    // 16 is the most that there is
    let scalable = options.scalable_parts.map(|parts| format!(" vscale_range({parts},16)")).unwrap_or_default();
    let once = if options.small { "minsize optsize" } else { "optnone" };
    format!("attributes #0 = {{ nounwind{scalable}{width} }}\nattributes #1 = {{ nounwind noinline {once} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalable_vectors_are_long_enough() {
        let of = |target: &Target| attributes(&PrintOptions::of(target));
        assert!(
            of(&Target::aarch64_sve256()).starts_with("attributes #0 = { nounwind vscale_range(2,16) \"prefer-vector-width\"=\"256\" }")
        );
        assert!(!of(&Target::aarch64()).contains("vscale_range"));
    }
}
