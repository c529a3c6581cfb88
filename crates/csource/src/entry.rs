//! An entry as one function, with the control flow of C. Launches that could run at the same time run one after the other.

use crate::text::{Code, mentions};
use ir::guard::Condition;
use kernel::Interface;
use kernel::module::{Entry, EntryStep, Launch, Loop, Place, SIZE_FAULT, Times};
use std::collections::BTreeMap;
use sym::{Expr, Sym};

/// The word of a context in front of which the constants' pointers end: they stand from here on.
pub const TABLE: usize = 8;

/// The parameters of an entry.
pub const PARAMETERS: &str = "const uint64_t *context, const void *const *inputs, void *const *outputs, int64_t *dims, \
unsigned char *arena, inkle_pool pool";

struct Writer<'a> {
    entry: &'a Entry,
    kernels: &'a [Interface],
    steps: &'a BTreeMap<u32, String>,
    code: Code,
}

/// What kernel number `at` is called.
pub fn kernel_name(at: usize) -> String {
    format!("kernel_{at}")
}

/// The text of the entry's function; `steps` are the model nodes of its steps.
pub fn entry_function(entry: &Entry, kernels: &[Interface], steps: &BTreeMap<u32, String>) -> String {
    let mut writer = Writer { entry, kernels, steps, code: Code::new() };
    let computed = entry.computed();
    let mut words = Vec::new();
    for (at, sym) in entry.sizes.iter().enumerate() {
        let own = writer.code.fresh(sym.name());
        match computed.contains(sym) {
            true => words.push((room(at), format!("const int64_t {} = dims[{at}];", room(at)))),
            false => {
                writer.code.bind(sym, &own);
                words.push((own.clone(), format!("const uint64_t {own} = (uint64_t)dims[{at}];")));
            }
        }
    }
    writer.steps(&entry.steps);
    writer.code.line("return 0;");
    let body = writer.code.finish();
    let mut head = Code::new();
    ["context", "inputs", "outputs", "dims", "arena", "pool"].iter().filter(|name| !mentions(&body, name)).for_each(|name| {
        head.line(&format!("(void){name};"));
    });
    words.iter().filter(|(name, _)| mentions(&body, name)).for_each(|(_, line)| head.line(line));
    format!("static int32_t {}({PARAMETERS}) {{\n{}{body}}}\n", entry.name, head.finish())
}

/// What the largest value of a computed size is called.
fn room(at: usize) -> String {
    format!("room_of_{at}")
}

impl Writer<'_> {
    fn steps(&mut self, steps: &[EntryStep]) {
        steps.iter().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: &EntryStep) {
        match step {
            EntryStep::Launch(launch) => self.launch(launch),
            EntryStep::Host(host) => panic!("host step {} in an artefact", host.call),
            EntryStep::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            EntryStep::Loop(repeat) => self.repeat(repeat),
            EntryStep::Guard { condition, guard } => self.guard(condition, *guard),
            EntryStep::Size { symbol, from, least } => self.size(symbol, from, *least),
        }
    }

    fn launch(&mut self, launch: &Launch) {
        let kernel = &self.kernels[launch.kernel];
        let bound = |sym: &Sym| kernel.sizes.iter().position(|size| size == sym).map(|at| launch.sizes[at].clone());
        let scratch = self.code.signed(&kernel.scratch_bytes.substitute(&bound));
        let tasks = self.code.signed(&launch.tasks);
        let grain = if launch.parallel { self.code.signed(&launch.grain) } else { "INT64_MAX".to_string() };
        let places = launch.args.iter().map(|place| self.word(place));
        let sizes = launch.sizes.iter().map(|size| format!("(uint64_t){}", self.code.index(size)));
        let words: Vec<String> = places.chain(sizes).collect();
        if let Some(node) = self.steps.get(&launch.step) {
            self.code.line(&format!("/* {node} */"));
        }
        let args = self.code.fresh("args");
        let words = if words.is_empty() { "0".to_string() } else { words.join(", ") };
        self.code.line(&format!("const uint64_t {args}[] = {{{words}}};"));
        let result = self.code.fresh("code");
        let name = kernel_name(launch.kernel);
        let call = format!("inkle_launch(context, pool, {name}, {args}, {tasks}, {grain}, {scratch}, {})", launch.step);
        self.code.line(&format!("const int32_t {result} = {call};"));
        self.code.line(&format!("if ({result} != 0) return {result};"));
    }

    /// An address as a number.
    fn word(&self, place: &Place) -> String {
        let of_pointer = |pointer: String| format!("(uint64_t)(uintptr_t){pointer}");
        match place {
            Place::Input(at) => of_pointer(format!("inputs[{at}]")),
            Place::Output(at) => of_pointer(format!("outputs[{at}]")),
            Place::Constant(at) => format!("context[{}]", TABLE + at),
            Place::Prepared(offset) => format!("context[1] + (uint64_t){}", self.code.index(offset)),
            Place::Arena(offset) if offset.is_zero() => of_pointer("arena".to_string()),
            Place::Arena(offset) => of_pointer(format!("(arena + {})", self.code.index(offset))),
        }
    }

    /// What stands at a place.
    fn read(&self, ty: &str, place: &Place) -> String {
        format!("*(const {ty} *)(uintptr_t)({})", self.word(place))
    }

    fn size(&mut self, symbol: &Sym, from: &Place, least: i64) {
        let Some(word) = self.entry.sizes.iter().position(|sym| sym == symbol) else { panic!("`{symbol}` is no size of the entry") };
        let own = self.code.fresh(symbol.name());
        self.code.line(&format!("const uint64_t {own} = (uint64_t){};", self.read("int64_t", from)));
        self.code.line(&format!("dims[{word}] = (int64_t){own};"));
        let outside = format!("(int64_t){own} < {} || (int64_t){own} > {}", self.code.index(&Expr::from(least)), room(word));
        self.code.line(&format!("if ({outside}) return {};", SIZE_FAULT - word as i32));
        self.code.bind(symbol, &own);
    }

    fn branch(&mut self, condition: &Place, then: &[EntryStep], otherwise: &[EntryStep]) {
        let block = self.code.open(&format!("if ({} != 0)", self.read("uint8_t", condition)));
        self.steps(then);
        self.code.close(block);
        if !otherwise.is_empty() {
            let block = self.code.open("else");
            self.steps(otherwise);
            self.code.close(block);
        }
    }

    fn repeat(&mut self, repeat: &Loop) {
        let past = self.code.fresh("past");
        self.code.line(&format!("uint64_t {past} = 0;"));
        let more = match &repeat.times {
            Times::Trips(trips) => format!("(int64_t){past} < {}", self.code.signed(trips)),
            Times::While(condition) => format!("{} != 0", self.read("uint8_t", condition)),
        };
        let block = self.code.open(&format!("while ({more})"));
        self.code.line(&format!("{past}++;"));
        self.code.bind(&repeat.counter, &past);
        self.steps(&repeat.body);
        self.code.close(block);
        if !repeat.last.is_empty() {
            let block = self.code.open("");
            self.code.bind(&repeat.counter, &past);
            self.steps(&repeat.last);
            self.code.close(block);
        }
    }

    fn guard(&mut self, condition: &Condition, guard: u32) {
        let holds = match condition {
            Condition::Equal(a, b) => self.compare("==", a, b),
            Condition::AtLeast(a, b) => self.compare(">=", a, b),
            Condition::OneOrEqual(a, b) => format!("{} || {}", self.compare("==", a, &Expr::one()), self.compare("==", a, b)),
        };
        self.code.line(&format!("if (!({holds})) return {};", -i64::from(guard) - 1));
    }

    fn compare(&self, test: &str, a: &Expr, b: &Expr) -> String {
        format!("{} {test} {}", self.code.signed(a), self.code.signed(b))
    }
}
