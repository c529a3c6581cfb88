//! The C header of an artefact.

use crate::build::Interface;
use crate::names::{comment, macros};
use kernel::facade::{ABI, ALIGNMENT, Facade};
use std::fmt::Write;

/// The header's text.
pub fn header(interface: &Interface) -> String {
    let Interface { facade, .. } = interface;
    let (p, big) = (facade.prefix.as_str(), facade.prefix.to_uppercase());
    let mut text = format!("{}\n#ifndef {big}_H\n#define {big}_H\n\n#include <stdint.h>\n\n", introduction(interface));
    text.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    let _ = writeln!(text, "/* The version of this interface. */\n#define {big}_ABI {ABI}\n");
    let _ = writeln!(text, "/* Contexts, tensors and scratch start at multiples of this. */\n#define {big}_ALIGNMENT {ALIGNMENT}\n");
    let _ = writeln!(text, "/* Bytes of a context and of the weights. */");
    let _ =
        writeln!(text, "#define {big}_CONTEXT_BYTES {}\n#define {big}_WEIGHTS_BYTES {}\n", facade.context_bytes(), facade.weights.bytes);
    if let Some(bytes) = facade.known_scratch_bytes() {
        let _ = writeln!(text, "/* What {p}_scratch_bytes gives: no size is free. */\n#define {big}_SCRATCH_BYTES {bytes}\n");
    }
    tensors(&mut text, interface, &big);
    dims(&mut text, facade, &big);
    results(&mut text, facade, &big);
    functions(&mut text, interface, p, &big);
    text.push_str("#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

fn introduction(interface: &Interface) -> String {
    let Interface { model, facade, targets, .. } = interface;
    let (p, big) = (&facade.prefix, facade.prefix.to_uppercase());
    let (model, targets) = (comment(model), comment(&targets.join(", ")));
    let dims = if facade.sizes.is_empty() { "NULL".to_string() } else { "dims".to_string() };
    let weights = if facade.weights.symbol.is_some() { "NULL, 0".to_string() } else { format!("weights, {big}_WEIGHTS_BYTES") };
    format!(
        "/* {model}, compiled for {targets}.\n\n   A call, with memory that starts at multiples of {ALIGNMENT} bytes:\n\n     \
        {p}_init(context, {big}_CONTEXT_BYTES, {weights}, {big}_ABI);\n     \
        int64_t bytes = {p}_scratch_bytes({dims});\n     \
        int32_t result = {p}_run(context, inputs, outputs, {dims}, scratch, bytes, NULL, NULL);\n     \
        if (result != 0) puts({p}_message(result));\n\n   \
        Nothing here allocates, keeps state of its own or ends the process. A context serves one call at a time; threads that call at the\n   \
        same time have a context and scratch each, and share the weights. */"
    )
}

fn tensors(text: &mut String, interface: &Interface, big: &str) {
    for (what, tensors) in [("INPUT", &interface.inputs), ("OUTPUT", &interface.outputs)] {
        let names = macros(tensors.iter().map(|(name, _)| name.as_str()));
        let _ = writeln!(text, "/* {}s: row-major. */\n#define {big}_{what}S {}", capital(what), tensors.len());
        for (at, ((name, ty), own)) in tensors.iter().zip(names).enumerate() {
            let _ = writeln!(text, "#define {big}_{what}_{own} {at} /* {}: {} */", comment(name), comment(&ty.to_string()));
        }
        text.push('\n');
    }
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

fn dims(text: &mut String, facade: &Facade, big: &str) {
    let names = macros(facade.sizes.iter().map(|size| size.symbol.name()));
    let _ = writeln!(text, "/* Free sizes: the places of their values in `dims`, which may be NULL where there are none. */");
    let _ = writeln!(text, "#define {big}_DIMS {}", facade.sizes.len());
    for (at, (size, own)) in facade.sizes.iter().zip(names).enumerate() {
        let name = comment(size.symbol.name());
        let how = if size.computed {
            "computed: the caller gives the largest for which the outputs have room, and gets the size"
        } else {
            "given"
        };
        let _ = writeln!(text, "#define {big}_DIM_{own} {at} /* {name}, from {} to {}, {how} */", size.low, size.high);
    }
    text.push('\n');
}

fn results(text: &mut String, facade: &Facade, big: &str) {
    use kernel::facade::code;
    let _ = writeln!(
        text,
        "/* Results of calls; {}_message has a text for each. 0 is success. Above 0: a step failed, since an index that was\n   read from data is outside of its tensor or a value is not finite. From -1 to -65536: the sizes do not fit each other. */",
        facade.prefix
    );
    let own = [
        ("ERROR_ABI", code::ABI, "the caller was compiled with another version of this file"),
        ("ERROR_POINTER", code::POINTER, "a pointer is null or not aligned"),
        ("ERROR_SCRATCH", code::SCRATCH, "the scratch is too small"),
        ("ERROR_CONTEXT", code::CONTEXT, "the context is too small, or init has not made it"),
        ("ERROR_WEIGHTS", code::WEIGHTS, "the weights are not those of this code"),
        ("ERROR_PROCESSOR", code::PROCESSOR, "the processor lacks what the code needs"),
        (
            "ERROR_SIZE",
            kernel::module::SIZE_FAULT,
            "this minus n: size n of `dims` is out of its bounds, or a computed one beyond the room",
        ),
        ("ERROR_VALUE", code::VALUE, "this minus n: input n does not hold what the code was made for"),
    ];
    for (name, code, what) in own {
        let _ = writeln!(text, "#define {big}_{name} ({code}) /* {what} */");
    }
    text.push('\n');
}

fn functions(text: &mut String, interface: &Interface, p: &str, big: &str) {
    let inside = match interface.facade.weights.symbol.is_some() {
        true => "NULL for those that are linked in",
        false => "the bytes of the file of weights, which may be mapped; they must stay as long as the context",
    };
    let _ = write!(
        text,
        "/* Makes a context in `context`, of {big}_CONTEXT_BYTES. `weights`: {inside}. `abi`: {big}_ABI. */\n\
        int32_t {p}_init(void *context, int64_t context_bytes, const void *weights, int64_t weights_bytes, int32_t abi);\n\n\
        /* Bytes of scratch: of a call, and of each thread that runs tasks for `parallel_for`, the calling one too. Below 0 an error. */\n\
        int64_t {p}_scratch_bytes(const int64_t *dims);\nint64_t {p}_thread_scratch_bytes(const int64_t *dims);\n\n\
        /* The room for each output, in bytes; where sizes are computed, for the largest. */\n\
        int32_t {p}_output_bytes(const int64_t *dims, int64_t *bytes);\n\n\
        /* The dims of all inputs as the code takes them, one after the other, and of all outputs. */\n\
        int32_t {p}_input_dims(const int64_t *dims, int64_t *input_dims);\n\
        int32_t {p}_output_dims(const int64_t *dims, int64_t *output_dims);\n\n\
        /* Some tasks of a call: 0, or what {p}_run is to give. Tasks may run at the same time, each with scratch of its own. */\n\
        typedef int32_t (*{p}_task)(const void *args, int64_t begin, int64_t end, void *scratch);\n\n\
        /* Runs tasks 0 to `tasks`, in ranges that start at multiples of `grain`; returns when all are done, with the result of one that\n   \
        failed. Each thread gives its tasks scratch of at least `scratch_bytes`. `pool` is what {p}_run was given. */\n\
        typedef int32_t (*{p}_parallel_for)(void *pool, {p}_task task, const void *args, int64_t tasks, int64_t grain, int64_t scratch_bytes);\n\n\
        /* A call. `inputs` and `outputs` have a pointer for each tensor. Without `parallel_for` (NULL) the calling thread does all. Computed\n   \
        sizes are put in the place of the room for them in `dims`; where the result is {big}_ERROR_SIZE - n and size n is now larger than\n   \
        was given, call again with that room. The floating-point environment is the usual one: rounds to nearest, keeps subnormal numbers. */\n\
        int32_t {p}_run(void *context, const void *const *inputs, void *const *outputs, int64_t *dims, void *scratch, int64_t scratch_bytes,\n            \
        {p}_parallel_for parallel_for, void *pool);\n\n\
        /* What a result says; the model's node for a step that failed. */\n\
        const char *{p}_message(int32_t result);\n\n"
    );
}
