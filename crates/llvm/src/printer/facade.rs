//! The functions around an entry that is called from C, as `kernel::facade` describes them.

use super::PrintOptions;
use super::scope::{Bound, Code};
use super::text::global;
use kernel::facade::{ABI, ALIGNMENT, Facade, HEADER_BYTES, Tensor, code};
use kernel::module::{Entry, SIZE_FAULT};
use std::collections::HashMap;
use std::fmt::Write;
use sym::Expr;
use target::processor::Question;

/// Byte offsets in a context.
const CONSTANTS: i64 = 0;
const PREPARED: i64 = 8;
const POOL: i64 = 16;
const SCRATCH: i64 = 24;
const COOKIE: i64 = 32;
const TABLE: i64 = 64;

/// The functions that callers see: result, name, parameters.
pub const FUNCTIONS: [(&str, &str, &str); 8] = [
    ("i32", "init", "ptr %context, i64 %context_bytes, ptr %weights, i64 %weights_bytes, i32 %abi"),
    ("i64", "scratch_bytes", "ptr %dims"),
    ("i64", "thread_scratch_bytes", "ptr %dims"),
    ("i32", "output_bytes", "ptr %dims, ptr %out"),
    ("i32", "input_dims", "ptr %dims, ptr %out"),
    ("i32", "output_dims", "ptr %dims, ptr %out"),
    ("i32", "run", "ptr %context, ptr %inputs, ptr %outputs, ptr %dims, ptr %scratch, i64 %scratch_bytes, ptr %parallel_for, ptr %pool"),
    ("ptr", "message", "i32 %code"),
];

fn signature(name: &str) -> (&'static str, &'static str) {
    let found = FUNCTIONS.iter().find(|function| function.1 == name);
    found.map_or(("i32", ""), |(result, _, parameters)| (result, parameters))
}

/// The functions and what they read.
pub fn facade_text(facade: &Facade, main: &Entry, options: &PrintOptions) -> String {
    let mut text = constants(facade);
    for function in [
        fits(facade, options),
        init(facade, options),
        count(facade, options, "scratch_bytes", &(&facade.arena_bytes + &facade.scratch_bytes)),
        count(facade, options, "thread_scratch_bytes", &facade.scratch_bytes),
        output_bytes(facade, options),
        dims_of(facade, options, "input_dims", &facade.inputs),
        dims_of(facade, options, "output_dims", &facade.outputs),
        run(facade, main, options),
        message(facade, options),
        SERIAL.to_string(),
        SAME.replace("#1", attributes(facade)),
        ANYWHERE.to_string(),
    ] {
        text.push_str(&function);
        text.push('\n');
    }
    text
}

/// One function while it is written.
struct Function<'a> {
    facade: &'a Facade,
    code: Code,
}

impl Function<'_> {
    fn new<'a>(facade: &'a Facade, options: &PrintOptions) -> Function<'a> {
        Function { facade, code: Code::new(options) }
    }

    fn text(self, name: &str) -> String {
        let (result, parameters) = signature(name);
        let linkage = if self.facade.hidden { "hidden " } else { "" };
        let name = global(&format!("{}_{name}", self.facade.prefix));
        // C on RISC-V wants results of 32 bits extended by their signs
        let extended = if result == "i32" { "signext " } else { "" };
        let attributes = attributes(self.facade);
        format!("define {linkage}{extended}{result} {name}({parameters}) {attributes} {{\nentry:\n{}}}\n", self.code.finish())
    }

    /// Ends the function with `result`, type in front, where `fine` is false.
    fn leave_unless(&mut self, fine: &str, result: &str) {
        let number = self.code.fresh();
        self.code.line(&format!("br i1 {fine}, label %next.{number}, label %leave.{number}"));
        self.code.block(&format!("leave.{number}"));
        self.code.line(&format!("ret {result}"));
        self.code.block(&format!("next.{number}"));
    }

    fn compare(&mut self, test: &str, a: &str, b: &str) -> String {
        self.code.temp(format!("icmp {test} i64 {a}, {b}"))
    }

    fn bytes_after(&mut self, base: &str, offset: &str) -> String {
        if offset == "0" { base.to_string() } else { self.code.temp(format!("getelementptr i8, ptr {base}, i64 {offset}")) }
    }

    fn store(&mut self, value: &str, base: &str, offset: i64) {
        let slot = self.bytes_after(base, &offset.to_string());
        self.code.line(&format!("store {value}, ptr {slot}, align 8"));
    }

    fn load(&mut self, ty: &str, base: &str, offset: i64) -> String {
        let slot = self.bytes_after(base, &offset.to_string());
        self.code.temp(format!("load {ty}, ptr {slot}, align 8"))
    }

    /// Reads the sizes; ends the function with a result of type `ty` where one is out of its bounds.
    fn sizes(&mut self, ty: &str) {
        if !self.facade.sizes.is_empty() {
            self.given("%dims", &format!("{ty} {}", code::POINTER));
        }
        for (at, size) in self.facade.sizes.iter().enumerate() {
            let value = self.load("i64", "%dims", 8 * at as i64);
            let (low, high) = (self.compare("sge", &value, &size.low.to_string()), self.compare("sle", &value, &size.high.to_string()));
            let fine = self.code.temp(format!("and i1 {low}, {high}"));
            self.leave_unless(&fine, &format!("{ty} {}", SIZE_FAULT - at as i32));
            self.code.bind(0, &size.symbol, Bound { operand: value, nonnegative: size.low >= 0 });
        }
    }

    fn places(&mut self) {
        for (symbol, place) in &self.facade.places {
            let operand = self.code.index(place);
            self.code.bind(0, symbol, Bound { operand, nonnegative: true });
        }
    }

    /// An array of 8-byte words on the stack.
    fn words(&mut self, count: usize) -> String {
        self.code.temp(format!("alloca [{} x i64], align 16", count.max(1)))
    }

    /// Ends the function where one of the pointers in an array does not do for its tensor; gives the array with 8 bytes for each.
    fn pointers(&mut self, array: &str, tensors: &[Tensor]) -> String {
        let words = self.words(tensors.len());
        if !tensors.is_empty() {
            self.given(array, &format!("i32 {}", code::POINTER));
        }
        for (at, tensor) in tensors.iter().enumerate() {
            let slot = self.code.temp(format!("getelementptr ptr, ptr {array}, i64 {at}"));
            let pointer = self.code.temp(format!("load ptr, ptr {slot}"));
            let bytes = self.code.index(&tensor.bytes);
            self.room(&pointer, &bytes);
            self.store(&format!("ptr {pointer}"), &words, 8 * at as i64);
        }
        words
    }

    /// Ends the function with `result` where the pointer is null.
    fn given(&mut self, pointer: &str, result: &str) {
        let fine = self.code.temp(format!("icmp ne ptr {pointer}, null"));
        self.leave_unless(&fine, result);
    }

    /// Ends the function where the pointer is null or not aligned, but for 0 bytes, which may be anywhere.
    fn room(&mut self, pointer: &str, bytes: &str) {
        let number = self.code.temp(format!("ptrtoint ptr {pointer} to i64"));
        let low = self.code.temp(format!("and i64 {number}, {}", ALIGNMENT - 1));
        let (there, aligned) = (self.compare("ne", &number, "0"), self.compare("eq", &low, "0"));
        let start = self.code.temp(format!("and i1 {there}, {aligned}"));
        let empty = self.compare("sle", bytes, "0");
        let fine = self.code.temp(format!("or i1 {start}, {empty}"));
        self.leave_unless(&fine, &format!("i32 {}", code::POINTER));
    }
}

/// The header that weights must have, and the weights where they are linked in.
fn constants(facade: &Facade) -> String {
    let bytes: String = facade.weights.header.iter().map(|byte| format!("\\{byte:02X}")).collect();
    let mut text = format!("@inkle.header = internal constant [{HEADER_BYTES} x i8] c\"{bytes}\", align 8\n");
    if let Some(symbol) = &facade.weights.symbol {
        let _ = writeln!(text, "{} = external hidden constant i8", global(symbol));
    }
    text
}

fn init(facade: &Facade, options: &PrintOptions) -> String {
    let mut f = Function::new(facade, options);
    let fits = f.code.temp(format!("call i32 {}()", global(&format!("{}_fits", facade.prefix))));
    let fits = f.code.temp(format!("icmp ne i32 {fits}, 0"));
    f.leave_unless(&fits, &format!("i32 {}", code::PROCESSOR));
    let abi = f.code.temp(format!("icmp eq i32 %abi, {ABI}"));
    f.leave_unless(&abi, &format!("i32 {}", code::ABI));
    let room = f.compare("sge", "%context_bytes", &facade.context_bytes().to_string());
    f.leave_unless(&room, &format!("i32 {}", code::CONTEXT));
    let mut weights = "%weights".to_string();
    let mut enough = f.compare("sge", "%weights_bytes", &facade.weights.bytes.to_string());
    if let Some(symbol) = &facade.weights.symbol {
        let none = f.code.temp("icmp eq ptr %weights, null");
        weights = f.code.temp(format!("select i1 {none}, ptr {}, ptr %weights", global(symbol)));
        enough = f.code.temp(format!("or i1 {none}, {enough}"));
    }
    f.leave_unless(&enough, &format!("i32 {}", code::WEIGHTS));
    f.given(&weights, &format!("i32 {}", code::WEIGHTS));
    f.room("%context", "1");
    f.room(&weights, "1");
    let same = f.code.temp(format!("call i1 @inkle.same(ptr {weights}, ptr @inkle.header, i64 {HEADER_BYTES})"));
    f.leave_unless(&same, &format!("i32 {}", code::WEIGHTS));
    let table = f.bytes_after("%context", &TABLE.to_string());
    f.store(&format!("ptr {table}"), "%context", CONSTANTS);
    let prepared = f.bytes_after(&weights, &facade.weights.prepared.to_string());
    f.store(&format!("ptr {prepared}"), "%context", PREPARED);
    f.store(&format!("i64 {}", facade.cookie()), "%context", COOKIE);
    for (at, offset) in facade.weights.constants.iter().enumerate() {
        let constant = f.bytes_after(&weights, &offset.to_string());
        f.store(&format!("ptr {constant}"), &table, 8 * at as i64);
    }
    f.code.line("ret i32 0");
    f.text("init")
}

/// Whether the processor has what the code needs: 0 or 1.
fn fits(facade: &Facade, options: &PrintOptions) -> String {
    let mut f = Function::new(facade, options);
    let most = facade.needed.iter().any(|needed| matches!(needed.question, Question::Cpuid { leaf: 7, .. }));
    if most {
        let leaves = f.asked(0, 0, 0);
        f.has(&format!("icmp uge i32 {leaves}, 7"));
    }
    for needed in &facade.needed {
        let word = match needed.question {
            Question::Cpuid { leaf, subleaf, register } => f.asked(leaf, subleaf, register),
            Question::Saved => {
                let both = f.code.temp("call { i32, i32 } asm \"xgetbv\", \"={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 0)");
                f.code.temp(format!("extractvalue {{ i32, i32 }} {both}, 0"))
            }
        };
        let bits = f.code.temp(format!("and i32 {word}, {}", needed.bits as i32));
        f.has(&format!("icmp eq i32 {bits}, {}", needed.bits as i32));
    }
    f.code.line("ret i32 1");
    f.text("fits")
}

impl Function<'_> {
    /// One of the four words that `cpuid` gives.
    fn asked(&mut self, leaf: u32, subleaf: u32, register: u8) -> String {
        let clobbered = "={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}";
        let (leaf, subleaf) = (leaf as i32, subleaf as i32);
        let words = self.code.temp(format!("call {{ i32, i32, i32, i32 }} asm \"cpuid\", \"{clobbered}\"(i32 {leaf}, i32 {subleaf})"));
        self.code.temp(format!("extractvalue {{ i32, i32, i32, i32 }} {words}, {register}"))
    }

    /// The function gives 0 where the condition does not hold.
    fn has(&mut self, condition: &str) {
        let fine = self.code.temp(condition);
        self.leave_unless(&fine, "i32 0");
    }
}

/// A function that gives a number of bytes, which is over the sizes and the places.
fn count(facade: &Facade, options: &PrintOptions, name: &str, bytes: &Expr) -> String {
    let mut f = Function::new(facade, options);
    f.sizes("i64");
    f.places();
    let bytes = f.code.index(bytes);
    f.code.line(&format!("ret i64 {bytes}"));
    f.text(name)
}

fn output_bytes(facade: &Facade, options: &PrintOptions) -> String {
    let bytes = facade.outputs.iter().map(|output| &output.bytes);
    listed(facade, options, "output_bytes", bytes)
}

fn dims_of(facade: &Facade, options: &PrintOptions, name: &str, tensors: &[Tensor]) -> String {
    listed(facade, options, name, tensors.iter().flat_map(|tensor| &tensor.dims))
}

/// A function that writes expressions over the sizes to an array.
fn listed<'a>(facade: &Facade, options: &PrintOptions, name: &str, expressions: impl Iterator<Item = &'a Expr>) -> String {
    let mut f = Function::new(facade, options);
    f.sizes("i32");
    for (at, expression) in expressions.enumerate() {
        if at == 0 {
            f.given("%out", &format!("i32 {}", code::POINTER));
        }
        let value = f.code.index(expression);
        f.store(&format!("i64 {value}"), "%out", 8 * at as i64);
    }
    f.code.line("ret i32 0");
    f.text(name)
}

fn run(facade: &Facade, main: &Entry, options: &PrintOptions) -> String {
    let mut f = Function::new(facade, options);
    f.room("%context", "1");
    let cookie = f.load("i64", "%context", COOKIE);
    let fine = f.compare("eq", &cookie, &facade.cookie().to_string());
    f.leave_unless(&fine, &format!("i32 {}", code::CONTEXT));
    f.sizes("i32");
    let inputs = f.pointers("%inputs", &facade.inputs);
    let outputs = f.pointers("%outputs", &facade.outputs);
    f.values(&inputs);
    f.places();
    let (arena, scratch) = (f.code.index(&facade.arena_bytes), f.code.index(&facade.scratch_bytes));
    let all = f.code.temp(format!("add i64 {arena}, {scratch}"));
    let fine = f.compare("sge", "%scratch_bytes", &all);
    f.leave_unless(&fine, &format!("i32 {}", code::SCRATCH));
    f.room("%scratch", &all);
    let words = f.words(main.sizes.len());
    for (at, symbol) in main.sizes.iter().enumerate() {
        let value = f.code.index(&Expr::sym(symbol));
        f.store(&format!("i64 {value}"), &words, 8 * at as i64);
    }
    let own = f.bytes_after("%scratch", &arena);
    f.store(&format!("ptr {own}"), "%context", SCRATCH);
    let alone = f.code.temp("icmp eq ptr %parallel_for, null");
    let function = f.code.temp(format!("select i1 {alone}, ptr @inkle.serial, ptr %parallel_for"));
    let pool = f.code.temp(format!("select i1 {alone}, ptr {own}, ptr %pool"));
    f.store(&format!("ptr {pool}"), "%context", POOL);
    let arguments = format!("ptr %context, ptr {inputs}, ptr {outputs}, ptr {words}, ptr %scratch, ptr {function}");
    let code = f.code.temp(format!("call i32 {}({arguments})", global(&main.name)));
    for (at, _) in facade.sizes.iter().enumerate().filter(|(_, size)| size.computed) {
        let value = f.load("i64", &words, 8 * at as i64);
        f.store(&format!("i64 {value}"), "%dims", 8 * at as i64);
    }
    f.code.line(&format!("ret i32 {code}"));
    f.text("run")
}

impl Function<'_> {
    /// Ends the function where an input does not hold what it must.
    fn values(&mut self, inputs: &str) {
        let facade = self.facade;
        for value in &facade.values {
            let given = self.load("ptr", inputs, 8 * value.input as i64);
            let table = self.load("ptr", "%context", PREPARED);
            let wanted = self.bytes_after(&table, &(value.offset - facade.weights.prepared).to_string());
            let same = self.code.temp(format!("call i1 @inkle.same(ptr {given}, ptr {wanted}, i64 {})", value.bytes));
            self.leave_unless(&same, &format!("i32 {}", code::VALUE - value.input as i32));
        }
    }
}

/// The texts of results.
fn message(facade: &Facade, options: &PrintOptions) -> String {
    let (codes, steps) = (facade.texts(), facade.step_texts());
    let mut texts = String::new();
    let mut switch = |name: &str, cases: &[(i32, String)], other: &str| {
        let (mut targets, mut blocks) = (String::new(), String::new());
        // many steps are called the same
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (code, text) in cases {
            let at = known.len();
            let at = *known.entry(text).or_insert_with(|| {
                let _ = writeln!(texts, "@inkle.{name}.{at} = {}", string(text));
                let _ = write!(blocks, "{name}.{at}:\n  ret ptr @inkle.{name}.{at}\n");
                at
            });
            let _ = write!(targets, " i32 {code}, label %{name}.{at}");
        }
        format!("  switch i32 %{name}, label %{other} [{targets} ]\n{blocks}")
    };
    let (codes, steps) = (switch("code", &codes, "other"), switch("step", &steps, "unknown"));
    let mut f = Function::new(facade, options);
    f.code.append(&format!("{codes}other:\n  %step = ashr i32 %code, 16\n{steps}unknown:\n  ret ptr @inkle.unknown\n"));
    format!("{texts}@inkle.unknown = {}\n{}", string("no code of this model"), f.text("message"))
}

/// A constant: the text in UTF-8, and a zero. Linkers keep equal ones once.
fn string(text: &str) -> String {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\');
    let escaped: String =
        text.bytes().filter(|byte| *byte != 0).map(|b| if plain(b) { (b as char).to_string() } else { format!("\\{b:02X}") }).collect();
    format!("private unnamed_addr constant [{} x i8] c\"{escaped}\\00\", align 1", text.bytes().filter(|byte| *byte != 0).count() + 1)
}

/// All tasks by the caller; the pool is its scratch.
const SERIAL: &str = "\
define internal i32 @inkle.serial(ptr %pool, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %scratch_bytes) #0 {
entry:
  %code = call i32 %kernel(ptr %args, i64 0, i64 %tasks, ptr %pool)
  ret i32 %code
}
";

/// Functions of an x86 that run before it is known what the processor has.
const ANYWHERE: &str = "attributes #2 = { nounwind noinline minsize optsize \"target-cpu\"=\"x86-64\" \"target-features\"=\"\" }\n";

fn attributes(facade: &Facade) -> &'static str {
    if facade.needed.is_empty() { "#1" } else { "#2" }
}

/// Whether bytes are equal.
const SAME: &str = "\
define internal i1 @inkle.same(ptr %a, ptr %b, i64 %bytes) #1 {
entry:
  br label %head
head:
  %at = phi i64 [ 0, %entry ], [ %next, %fine ]
  %more = icmp slt i64 %at, %bytes
  br i1 %more, label %look, label %equal
look:
  %a_slot = getelementptr i8, ptr %a, i64 %at
  %b_slot = getelementptr i8, ptr %b, i64 %at
  %a_byte = load i8, ptr %a_slot, align 1
  %b_byte = load i8, ptr %b_slot, align 1
  %same = icmp eq i8 %a_byte, %b_byte
  br i1 %same, label %fine, label %differ
fine:
  %next = add i64 %at, 1
  br label %head
equal:
  ret i1 true
differ:
  ret i1 false
}
";
