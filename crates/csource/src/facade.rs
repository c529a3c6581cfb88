//! The functions around an entry that is called from C, as `kernel::facade` describes them.

use crate::entry::TABLE;
use crate::text::{Code, mentions, quoted};
use kernel::facade::{ABI, Facade, HEADER_BYTES, Tensor, code};
use kernel::module::{Entry, SIZE_FAULT};
use sym::Expr;

/// Words of a context.
const CONSTANTS: usize = 0;
const PREPARED: usize = 1;
const POOL: usize = 2;
const SCRATCH: usize = 3;
const COOKIE: usize = 4;

/// All of the functions.
pub fn facade_text(facade: &Facade, main: &Entry) -> String {
    let both = &facade.arena_bytes + &facade.scratch_bytes;
    [
        header(facade),
        init(facade),
        count(facade, "scratch_bytes", &both),
        count(facade, "thread_scratch_bytes", &facade.scratch_bytes),
        listed(facade, "output_bytes", "bytes", facade.outputs.iter().map(|output| &output.bytes)),
        listed(facade, "input_dims", "input_dims", facade.inputs.iter().flat_map(|tensor| &tensor.dims)),
        listed(facade, "output_dims", "output_dims", facade.outputs.iter().flat_map(|tensor| &tensor.dims)),
        run(facade, main),
        message(facade),
    ]
    .join("\n")
}

/// The header that weights must have.
fn header(facade: &Facade) -> String {
    let bytes: Vec<String> = facade.weights.header.iter().map(u8::to_string).collect();
    format!("static const unsigned char inkle_header[{HEADER_BYTES}] = {{{}}};\n", bytes.join(", "))
}

fn function(result: &str, facade: &Facade, name: &str, parameters: &str, code: Code) -> String {
    format!("{result} {}_{name}({parameters}) {{\n{}}}\n", facade.prefix, code.finish())
}

fn init(facade: &Facade) -> String {
    let mut c = Code::new();
    let enough = format!("weights_bytes < {}", facade.weights.bytes);
    c.line(&format!("if (abi != {ABI}) return {};", code::ABI));
    c.line(&format!("if (context_bytes < {}) return {};", facade.context_bytes(), code::CONTEXT));
    let short = match &facade.weights.symbol {
        Some(_) => format!("weights != NULL && {enough}"),
        None => format!("{enough} || weights == NULL"),
    };
    c.line(&format!("if ({short}) return {};", code::WEIGHTS));
    let given = "(const unsigned char *)weights";
    match &facade.weights.symbol {
        Some(symbol) => c.line(&format!("const unsigned char *start = weights == NULL ? {symbol} : {given};")),
        None => c.line(&format!("const unsigned char *start = {given};")),
    }
    c.line(&format!("if (inkle_unaligned(context, 1) || inkle_unaligned(start, 1)) return {};", code::POINTER));
    c.line(&format!("for (int at = 0; at < {HEADER_BYTES}; at++) if (start[at] != inkle_header[at]) return {};", code::WEIGHTS));
    c.line("uint64_t *words = (uint64_t *)context;");
    c.line(&format!("words[{CONSTANTS}] = (uint64_t)(uintptr_t)(words + {TABLE});"));
    c.line(&format!("words[{PREPARED}] = (uint64_t)(uintptr_t)(start + {});", facade.weights.prepared));
    c.line(&format!("words[{COOKIE}] = {};", cookie(facade)));
    for (at, offset) in facade.weights.constants.iter().enumerate() {
        c.line(&format!("words[{}] = (uint64_t)(uintptr_t)(start + {offset});", TABLE + at));
    }
    c.line("return 0;");
    let parameters = "void *context, int64_t context_bytes, const void *weights, int64_t weights_bytes, int32_t abi";
    function("int32_t", facade, "init", parameters, c)
}

fn cookie(facade: &Facade) -> String {
    format!("UINT64_C({})", facade.cookie() as u64)
}

/// Reads the sizes; the function gives what is wrong with them.
fn sizes(facade: &Facade, c: &mut Code) {
    match facade.sizes.is_empty() {
        true => c.line("(void)dims;"),
        false => c.line(&format!("if (dims == NULL) return {};", code::POINTER)),
    }
    for (at, size) in facade.sizes.iter().enumerate() {
        let own = c.fresh(size.symbol.name());
        c.line(&format!("const uint64_t {own} = (uint64_t)dims[{at}];"));
        let (low, high) = (c.index(&Expr::from(size.low)), c.index(&Expr::from(size.high)));
        c.line(&format!("if ((int64_t){own} < {low} || (int64_t){own} > {high}) return {};", SIZE_FAULT - at as i32));
        c.bind(&size.symbol, &own);
    }
}

/// The places of temporaries that `wanted` and other such places build on.
fn places(facade: &Facade, c: &mut Code, wanted: &Expr) {
    let mut needed = wanted.symbols();
    for (symbol, place) in facade.places.iter().rev() {
        if needed.contains(symbol) {
            needed.extend(place.symbols());
        }
    }
    for (symbol, place) in facade.places.iter().filter(|(symbol, _)| needed.contains(symbol)) {
        let (own, value) = (c.fresh(symbol.name()), c.bare(place));
        c.line(&format!("const uint64_t {own} = {value};"));
        c.bind(symbol, &own);
    }
}

/// A function that gives a number of bytes.
fn count(facade: &Facade, name: &str, bytes: &Expr) -> String {
    let mut c = Code::new();
    sizes(facade, &mut c);
    places(facade, &mut c, bytes);
    let value = c.signed(bytes);
    c.line(&format!("return {value};"));
    function("int64_t", facade, name, "const int64_t *dims", c)
}

/// A function that writes expressions over the sizes to an array.
fn listed<'a>(facade: &Facade, name: &str, out: &str, expressions: impl Iterator<Item = &'a Expr>) -> String {
    let mut c = Code::new();
    sizes(facade, &mut c);
    let values: Vec<String> = expressions.map(|expression| c.signed(expression)).collect();
    match values.is_empty() {
        true => c.line(&format!("(void){out};")),
        false => c.line(&format!("if ({out} == NULL) return {};", code::POINTER)),
    }
    values.iter().enumerate().for_each(|(at, value)| c.line(&format!("{out}[{at}] = {value};")));
    c.line("return 0;");
    function("int32_t", facade, name, &format!("const int64_t *dims, int64_t *{out}"), c)
}

fn run(facade: &Facade, main: &Entry) -> String {
    let mut c = Code::new();
    c.line(&format!("if (inkle_unaligned(context, 1)) return {};", code::POINTER));
    c.line("uint64_t *words = (uint64_t *)context;");
    c.line(&format!("if (words[{COOKIE}] != {}) return {};", cookie(facade), code::CONTEXT));
    sizes(facade, &mut c);
    pointers(&mut c, "inputs", &facade.inputs);
    pointers(&mut c, "outputs", &facade.outputs);
    values(facade, &mut c);
    let all = main.sizes.iter().map(Expr::sym).fold(&facade.arena_bytes + &facade.scratch_bytes, |sum, size| sum + size);
    places(facade, &mut c, &all);
    let (arena, scratch) = (c.bare(&facade.arena_bytes), c.bare(&facade.scratch_bytes));
    c.line(&format!("const uint64_t arena_bytes = {arena};"));
    c.line(&format!("const int64_t all_bytes = (int64_t)(arena_bytes + (uint64_t)({scratch}));"));
    c.line(&format!("if (scratch_bytes < all_bytes) return {};", code::SCRATCH));
    c.line(&format!("if (inkle_unaligned(scratch, all_bytes)) return {};", code::POINTER));
    let own: Vec<String> = main.sizes.iter().map(|symbol| format!("(int64_t){}", c.lookup(symbol))).collect();
    c.line(&format!("int64_t own_dims[] = {{{}}};", if own.is_empty() { "0".to_string() } else { own.join(", ") }));
    c.line("unsigned char *arena = (unsigned char *)scratch;");
    c.line("void *own_scratch = scratch == NULL ? NULL : arena + arena_bytes;");
    c.line(&format!("words[{SCRATCH}] = (uint64_t)(uintptr_t)own_scratch;"));
    c.line(&format!("words[{POOL}] = (uint64_t)(uintptr_t)(parallel_for == NULL ? own_scratch : pool);"));
    c.line("const inkle_pool runs = parallel_for == NULL ? inkle_serial : parallel_for;");
    c.line(&format!("const int32_t result = {}(words, inputs, outputs, own_dims, arena, runs);", main.name));
    for (at, _) in facade.sizes.iter().enumerate().filter(|(_, size)| size.computed) {
        c.line(&format!("dims[{at}] = own_dims[{at}];"));
    }
    c.line("return result;");
    let parallel_for = format!("{}_parallel_for parallel_for", facade.prefix);
    let parameters = format!(
        "void *context, const void *const *inputs, void *const *outputs, int64_t *dims, void *scratch, int64_t scratch_bytes,\n    \
        {parallel_for}, void *pool"
    );
    function("int32_t", facade, "run", &parameters, c)
}

/// The function ends where one of the pointers in an array does not do for its tensor.
fn pointers(c: &mut Code, array: &str, tensors: &[Tensor]) {
    if !tensors.is_empty() {
        c.line(&format!("if ({array} == NULL) return {};", code::POINTER));
    }
    for (at, tensor) in tensors.iter().enumerate() {
        let bytes = c.signed(&tensor.bytes);
        c.line(&format!("if (inkle_unaligned({array}[{at}], {bytes})) return {};", code::POINTER));
    }
}

/// The function ends where an input does not hold what it must.
fn values(facade: &Facade, c: &mut Code) {
    for value in &facade.values {
        let (given, wanted) = (c.fresh("given"), c.fresh("wanted"));
        let offset = value.offset - facade.weights.prepared;
        c.line(&format!("const unsigned char *{given} = (const unsigned char *)inputs[{}];", value.input));
        c.line(&format!("const unsigned char *{wanted} = (const unsigned char *)(uintptr_t)words[{PREPARED}] + {offset};"));
        let differ = format!("if ({given}[at] != {wanted}[at]) return {};", code::VALUE - value.input as i32);
        c.line(&format!("for (int64_t at = 0; at < {}; at++) {differ}", value.bytes));
    }
}

/// The texts of results.
fn message(facade: &Facade) -> String {
    let mut c = Code::new();
    switch(&mut c, "result", facade.texts());
    switch(&mut c, "result / 65536", facade.step_texts());
    c.line("return \"no code of this model\";");
    function("const char *", facade, "message", "int32_t result", c)
}

fn switch(c: &mut Code, value: &str, cases: Vec<(i32, String)>) {
    let block = c.open(&format!("switch ({value})"));
    cases.into_iter().for_each(|(code, text)| c.line(&format!("case {code}: return {};", quoted(&text))));
    c.line("default: break;");
    c.close(block);
}

/// The header files that the text needs.
pub fn includes(text: &str, own: &str) -> String {
    let mathematics = if mentions(text, "fmaf") || mentions(text, "fma") { "#include <math.h>\n" } else { "" };
    format!("#include \"{own}.h\"\n\n{mathematics}#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n")
}
