//! Entries: the functions that run a program's steps, as `kernel::module` describes them.
//!
//! A launch stores its arguments into one array on the stack and calls [`LAUNCH`], which is printed once a module. Launches that may run at
//! the same time become one, of the kernel [`TOGETHER`]. An entry is long and each of its instructions runs once, so LLVM is told not to
//! optimise it: that halves its compile time, which matters where code is run at once. In files it is made small instead.

use super::debug::mark;
use super::scope::{Bound, Code, Kind, Scope};
use super::text::global;
use super::{PrintOptions, linkage};
use ir::guard::Condition;
use kernel::Interface;
use kernel::module::{Entry, EntryStep, HostLaunch, Launch, Loop, Place, SIZE_FAULT, Times};
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};

/// Byte offsets in the context.
const CONSTANTS: i64 = 0;
const PREPARED: i64 = 8;

/// The function's name for one launch; internal to its module.
const LAUNCH: &str = "inkle.launch";

/// The function's name for one step of the host; internal to its module.
const HOST: &str = "inkle.host";

/// The kernel that is several: its arguments are their number, then for each its address, that of its arguments, the end of its tasks among
/// all, and what its number adds to that of the first in result codes.
const TOGETHER: &str = "inkle.together";

struct Writer<'a> {
    entry: &'a Entry,
    kernels: &'a [Interface],
    /// Whether launches that may run at the same time do; a profile tells them apart.
    together: bool,
    /// Whether steps are marked.
    marks: bool,
    /// The sizes that steps compute.
    computed: BTreeMap<Sym, Computed>,
    /// What the function gives, by the block that it ends behind.
    results: Vec<(String, String)>,
    code: Code,
}

/// A word of `dims` for a size that a step computes: its number, its address, and what it holds at first, the largest value.
struct Computed {
    word: usize,
    slot: String,
    most: String,
}

/// The most launches of one function, about. LLVM's time for a function grows faster than its length.
const LONGEST: usize = 128;

const PARAMETERS: &str = "ptr %ctx, ptr %inputs, ptr %outputs, ptr %dims, ptr %arena, ptr %parallel_for";

/// The text of an entry's function. It calls the kernels and [`launch_function`] by name. The steps of a long one are those of functions that
/// it calls in order; each reads the sizes anew, and the largest values of computed ones from a copy, since `dims` gets what they are.
pub fn entry_function(entry: &Entry, kernels: &[Interface], options: &PrintOptions) -> String {
    let parts = parts(&entry.steps);
    let ([] | [_]) = parts.as_slice() else {
        let name = |at: usize| format!("{}.{at}", entry.name);
        let mut texts: Vec<String> = Vec::new();
        let (mut done, parameters) = (0, format!("{PARAMETERS}, ptr %most"));
        for (at, part) in parts.iter().enumerate() {
            let mut writer = Writer::new(entry, kernels, options);
            writer.body(&entry.steps[..done], part, "%most");
            texts.push(writer.text("internal ", &name(at), &parameters));
            done += part.len();
        }
        let mut writer = Writer::new(entry, kernels, options);
        writer.keep_most();
        for at in 0..parts.len() {
            let result = writer.code.temp(format!("call i32 {}({parameters})", global(&name(at))));
            let fine = writer.code.temp(format!("icmp eq i32 {result}, 0"));
            writer.leave_unless(&fine, &result);
        }
        texts.push(writer.text(linkage(options), &entry.name, PARAMETERS));
        return texts.join("\n");
    };
    let mut writer = Writer::new(entry, kernels, options);
    writer.body(&[], &entry.steps, "%dims");
    writer.text(linkage(options), &entry.name, PARAMETERS)
}

/// Steps in pieces of [`LONGEST`] launches, but for branches and loops that have more, and for launches at the same time, which stay together.
fn parts(steps: &[EntryStep]) -> Vec<&[EntryStep]> {
    let (mut parts, mut start, mut at, mut launches) = (Vec::new(), 0, 0, 0);
    while at < steps.len() {
        let run = run_of(&steps[at..]).len().max(1);
        let more: usize = steps[at..at + run].iter().map(|step| step.launches().len().max(1)).sum();
        if launches > 0 && launches + more > LONGEST {
            parts.push(&steps[start..at]);
            (start, launches) = (at, 0);
        }
        (at, launches) = (at + run, launches + more);
    }
    parts.push(&steps[start..]);
    parts
}

/// What all launches need, in one place so that each passes one pointer.
const CALL: &str = "  \
  %call = alloca [2 x ptr], align 8
  store ptr %ctx, ptr %call, align 8
  %call_threads = getelementptr ptr, ptr %call, i64 1
  store ptr %parallel_for, ptr %call_threads, align 8
";

/// The array's words for the arguments of a launch.
fn words(launch: &Launch) -> usize {
    launch.args.len() + launch.sizes.len()
}

/// The launches at the start of some steps that may run at the same time.
fn run_of(steps: &[EntryStep]) -> Vec<&Launch> {
    let launches = steps.iter().map_while(|step| if let EntryStep::Launch(launch) = step { Some(launch) } else { None });
    launches.enumerate().take_while(|(at, launch)| *at == 0 || launch.beside).map(|(_, launch)| launch).collect()
}

impl<'a> Writer<'a> {
    fn new(entry: &'a Entry, kernels: &'a [Interface], options: &PrintOptions) -> Writer<'a> {
        let (together, marks, code) = (!options.profile, options.marks, Code::new(options));
        Writer { entry, kernels, together, marks, computed: BTreeMap::new(), results: Vec::new(), code }
    }

    /// Steps that follow those that are done; the largest values of computed sizes stand in `most`.
    fn body(&mut self, done: &[EntryStep], steps: &[EntryStep], most: &str) {
        let words = self.most_words(steps).max(1);
        self.code.line(&format!("%args = alloca [{words} x i64], align 16"));
        self.code.append(CALL);
        self.sizes(done, steps, most);
        self.steps(steps);
    }

    /// Copies the words of computed sizes.
    fn keep_most(&mut self) {
        let (entry, computed) = (self.entry, self.entry.computed());
        self.code.line(&format!("%most = alloca [{} x i64], align 8", entry.sizes.len().max(1)));
        for at in (0..entry.sizes.len()).filter(|at| computed.contains(&entry.sizes[*at])) {
            let [from, to] = ["%dims", "%most"].map(|array| self.code.temp(format!("getelementptr i64, ptr {array}, i64 {at}")));
            let word = self.code.temp(format!("load i64, ptr {from}, align 8"));
            self.code.line(&format!("store i64 {word}, ptr {to}, align 8"));
        }
    }

    fn text(mut self, linkage: &str, name: &str, parameters: &str) -> String {
        self.results.push(("0".to_string(), self.code.last_block()));
        let results: Vec<String> = self.results.iter().map(|(result, block)| format!("[ {result}, %{block} ]")).collect();
        self.code.append(&format!("  br label %leave\nleave:\n  %code = phi i32 {}\n  ret i32 %code\n", results.join(", ")));
        format!("define {linkage}i32 {}({parameters}) #1 {{\nentry:\n{}}}\n", global(name), self.code.finish())
    }

    fn most_words(&self, steps: &[EntryStep]) -> usize {
        let here = (0..steps.len()).map(|at| match run_of(&steps[at..]).as_slice() {
            [] => 0,
            [launch] => words(launch),
            run => run.iter().map(|launch| words(launch) + 4).sum::<usize>() + 1,
        });
        let host = steps.iter().map(|step| if let EntryStep::Host(host) = step { host.args.len() + host.dims.len() } else { 0 });
        let inside = steps.iter().flat_map(EntryStep::blocks).map(|block| self.most_words(block));
        here.chain(host).chain(inside).max().unwrap_or(0)
    }

    /// What steps mention of the sizes: the values of those that are known behind the steps that are done, and where those go that the
    /// steps compute, some perhaps again.
    fn sizes(&mut self, done: &[EntryStep], steps: &[EntryStep], most: &str) {
        let [computed, known] = [steps, done].map(|steps| steps.iter().flat_map(EntryStep::computed).collect::<BTreeSet<&Sym>>());
        let mentioned: BTreeSet<Sym> = steps.iter().flat_map(EntryStep::symbols).collect();
        for (at, sym) in self.entry.sizes.iter().enumerate().filter(|(_, sym)| mentioned.contains(sym)) {
            let slot = self.code.temp(format!("getelementptr i64, ptr %dims, i64 {at}"));
            if !computed.contains(sym) || known.contains(sym) {
                let operand = self.loaded(sym, &slot);
                self.code.bind(0, sym, Bound { operand, nonnegative: true });
            }
            if computed.contains(sym) {
                let largest = self.code.temp(format!("getelementptr i64, ptr {most}, i64 {at}"));
                let most = self.loaded(sym, &largest);
                self.computed.insert(sym.clone(), Computed { word: at, slot, most });
            }
        }
    }

    fn loaded(&mut self, sym: &Sym, slot: &str) -> String {
        let operand = self.code.local(sym.name());
        self.code.line(&format!("{operand} = load i64, ptr {slot}, align 8"));
        operand
    }

    /// Reads a size, puts it where the caller finds it, and goes on where there is memory for it.
    fn size(&mut self, symbol: &Sym, from: &Place, least: i64) {
        let place = self.place(from);
        let value = self.code.temp(format!("load i64, ptr {place}, align 8"));
        let Computed { word, slot, most } = &self.computed[symbol];
        let (code, few) = (SIZE_FAULT - *word as i32, format!("icmp sle i64 {value}, {most}"));
        self.code.line(&format!("store i64 {value}, ptr {slot}, align 8"));
        let enough = self.code.temp(format!("icmp sge i64 {value}, {least}"));
        let few = self.code.temp(few);
        let fine = self.code.temp(format!("and i1 {enough}, {few}"));
        self.leave_unless(&fine, &code.to_string());
        let here = self.code.here();
        self.code.bind(here, symbol, Bound { operand: value, nonnegative: true });
    }

    fn steps(&mut self, steps: &[EntryStep]) {
        let mut at = 0;
        while at < steps.len() {
            let run = run_of(&steps[at..]);
            self.mark(&steps[at]);
            if self.together && run.len() > 1 {
                self.launch_together(&run);
                at += run.len();
                continue;
            }
            match &steps[at] {
                EntryStep::Launch(launch) => self.launch(launch),
                EntryStep::Host(host) => self.host(host),
                EntryStep::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
                EntryStep::Loop(repeat) => self.repeat(repeat),
                EntryStep::Guard { condition, guard } => self.guard(condition, *guard),
                EntryStep::Size { symbol, from, least } => self.size(symbol, from, *least),
            }
            at += 1;
        }
    }

    fn mark(&mut self, step: &EntryStep) {
        let number = match step {
            EntryStep::Launch(launch) => launch.step,
            EntryStep::Host(host) => host.step,
            EntryStep::If { .. } | EntryStep::Loop(_) | EntryStep::Guard { .. } | EntryStep::Size { .. } => return,
        };
        if self.marks {
            self.code.append(&mark(number));
        }
    }

    fn launch(&mut self, launch: &Launch) {
        self.arguments(launch, 0);
        let scratch = self.code.index(&self.scratch_bytes(launch));
        let tasks = self.code.index(&launch.tasks);
        let grain = if launch.parallel { self.code.index(&launch.grain) } else { i64::MAX.to_string() };
        let name = global(&self.kernels[launch.kernel].name);
        self.call(&name, "%args", &format!("i64 {tasks}, i64 {grain}, i64 {scratch}, i32 {}", launch.step));
    }

    fn host(&mut self, host: &HostLaunch) {
        for (at, place) in host.args.iter().enumerate() {
            let pointer = self.place(place);
            self.argument(at, &format!("ptr {pointer}"));
        }
        for (at, dim) in host.dims.iter().enumerate() {
            let dim = self.code.index(dim);
            self.argument(host.args.len() + at, &format!("i64 {dim}"));
        }
        let result = self.code.temp(format!("call i32 @{HOST}(ptr %ctx, i32 {}, ptr %args, i32 {})", host.call, host.step));
        let fine = self.code.temp(format!("icmp eq i32 {result}, 0"));
        self.leave_unless(&fine, &result);
    }

    /// Scratch at the launch's sizes.
    fn scratch_bytes(&self, launch: &Launch) -> Expr {
        let kernel = &self.kernels[launch.kernel];
        let bound = |sym: &Sym| kernel.sizes.iter().position(|size| size == sym).map(|at| launch.sizes[at].clone());
        kernel.scratch_bytes.substitute(&bound)
    }

    /// One launch of several kernels; the least grain and the most scratch of any serve all.
    fn launch_together(&mut self, run: &[&Launch]) {
        let table: usize = run.iter().map(|launch| words(launch)).sum();
        self.argument(table, &format!("i64 {}", run.len()));
        let (mut start, mut end) = (0, Expr::zero());
        for (at, launch) in run.iter().enumerate() {
            self.arguments(launch, start);
            let arguments = self.code.temp(format!("getelementptr i64, ptr %args, i64 {start}"));
            start += words(launch);
            end = &end + &launch.tasks;
            let stop = self.code.index(&end);
            let kernel = global(&self.kernels[launch.kernel].name);
            let step = (launch.step - run[0].step) << 16;
            let row = [format!("ptr {kernel}"), format!("ptr {arguments}"), format!("i64 {stop}"), format!("i64 {step}")];
            row.iter().enumerate().for_each(|(column, value)| self.argument(table + 1 + 4 * at + column, value));
        }
        let scratch = run.iter().map(|launch| self.scratch_bytes(launch)).reduce(|a, b| a.maximum(&b)).unwrap_or_default();
        let grain = run.iter().map(|launch| launch.grain.clone()).reduce(|a, b| a.minimum(&b)).unwrap_or_default();
        let [tasks, grain, scratch] = [end, grain, scratch].map(|e| self.code.index(&e));
        let arguments = self.code.temp(format!("getelementptr i64, ptr %args, i64 {table}"));
        self.call(&format!("@{TOGETHER}"), &arguments, &format!("i64 {tasks}, i64 {grain}, i64 {scratch}, i32 {}", run[0].step));
    }

    /// Runs a kernel's tasks; the entry ends where that fails.
    fn call(&mut self, kernel: &str, arguments: &str, range: &str) {
        let result = self.code.temp(format!("call i32 @{LAUNCH}(ptr %call, ptr {kernel}, ptr {arguments}, {range})"));
        let fine = self.code.temp(format!("icmp eq i32 {result}, 0"));
        self.leave_unless(&fine, &result);
    }

    /// Stores a launch's arguments from a word of the array on.
    fn arguments(&mut self, launch: &Launch, from: usize) {
        for (at, place) in launch.args.iter().enumerate() {
            let pointer = self.place(place);
            self.argument(from + at, &format!("ptr {pointer}"));
        }
        for (at, size) in launch.sizes.iter().enumerate() {
            let size = self.code.index(size);
            self.argument(from + launch.args.len() + at, &format!("i64 {size}"));
        }
    }

    fn argument(&mut self, at: usize, value: &str) {
        let slot = self.code.temp(format!("getelementptr i64, ptr %args, i64 {at}"));
        self.code.line(&format!("store {value}, ptr {slot}, align 8"));
    }

    /// Ends the function with `result` where `fine` is false.
    fn leave_unless(&mut self, fine: &str, result: &str) {
        let next = format!("next.{}", self.code.fresh());
        self.results.push((result.to_string(), self.code.last_block()));
        self.code.line(&format!("br i1 {fine}, label %{next}, label %leave"));
        self.code.block(&next);
    }

    fn place(&mut self, place: &Place) -> String {
        match place {
            Place::Input(at) => self.word("%inputs", *at as i64 * 8),
            Place::Output(at) => self.word("%outputs", *at as i64 * 8),
            Place::Constant(at) => {
                let constants = self.word("%ctx", CONSTANTS);
                self.word(&constants, *at as i64 * 8)
            }
            Place::Prepared(offset) => {
                let prepared = self.word("%ctx", PREPARED);
                self.bytes_after(&prepared, offset)
            }
            Place::Arena(offset) => self.bytes_after("%arena", offset),
        }
    }

    /// The pointer that stands at a byte offset.
    fn word(&mut self, base: &str, offset: i64) -> String {
        let slot = self.bytes_after(base, &Expr::from(offset));
        self.code.temp(format!("load ptr, ptr {slot}, align 8"))
    }

    fn bytes_after(&mut self, base: &str, offset: &Expr) -> String {
        if offset.is_zero() {
            return base.to_string();
        }
        let offset = self.code.index(offset);
        self.code.temp(format!("getelementptr i8, ptr {base}, i64 {offset}"))
    }

    fn branch(&mut self, condition: &Place, then: &[EntryStep], otherwise: &[EntryStep]) {
        let pointer = self.place(condition);
        let byte = self.code.temp(format!("load i8, ptr {pointer}, align 1"));
        let truth = self.code.temp(format!("icmp ne i8 {byte}, 0"));
        let number = self.code.fresh();
        let (yes, no, join) = (format!("then.{number}"), format!("else.{number}"), format!("join.{number}"));
        let (then, otherwise) = (self.side(&yes, then, &join), self.side(&no, otherwise, &join));
        self.code.line(&format!("br i1 {truth}, label %{yes}, label %{no}"));
        self.code.append(&then);
        self.code.append(&otherwise);
        self.code.block(&join);
    }

    fn side(&mut self, label: &str, steps: &[EntryStep], join: &str) -> String {
        self.code.open(Kind::Branch, label);
        self.code.block(label);
        self.steps(steps);
        self.code.line(&format!("br label %{join}"));
        self.code.close().text
    }

    /// The test in front of each run counts the runs that are over.
    fn repeat(&mut self, repeat: &Loop) {
        let number = self.code.fresh();
        let label = |part: &str| format!("{part}.{number}");
        let (runs, run) = (format!("%past.{number}"), format!("%present.{number}"));
        let limit = match &repeat.times {
            Times::Trips(trips) => self.code.index(trips),
            Times::While(condition) => self.place(condition),
        };
        let body = self.counted(&repeat.counter, &run, (Kind::Loop, &label("run")), &repeat.body, &label("again"));
        let last = self.counted(&repeat.counter, &runs, (Kind::Branch, &label("last")), &repeat.last, &label("after"));
        let before = self.code.last_block();
        self.code.line(&format!("br label %{}", label("again")));
        self.code.block(&label("again"));
        self.code.line(&format!("{runs} = phi i64 [ 0, %{before} ], [ {run}, %{} ]", body.last));
        self.code.line(&format!("{run} = add i64 {runs}, 1"));
        let more = match &repeat.times {
            Times::Trips(_) => self.code.temp(format!("icmp slt i64 {runs}, {limit}")),
            Times::While(_) => {
                let byte = self.code.temp(format!("load i8, ptr {limit}, align 1"));
                self.code.temp(format!("icmp ne i8 {byte}, 0"))
            }
        };
        self.code.line(&format!("br i1 {more}, label %{}, label %{}", label("run"), label("last")));
        self.code.append(&body.text);
        self.code.append(&last.text);
        self.code.block(&label("after"));
    }

    /// Steps under a label of their own that know the counter, and then go to `next`.
    fn counted(&mut self, counter: &Sym, value: &str, (kind, label): (Kind, &str), steps: &[EntryStep], next: &str) -> Scope {
        self.code.open(kind, label);
        self.code.block(label);
        let here = self.code.here();
        self.code.bind(here, counter, Bound { operand: value.to_string(), nonnegative: true });
        self.steps(steps);
        self.code.line(&format!("br label %{next}"));
        self.code.close()
    }

    fn guard(&mut self, condition: &Condition, guard: u32) {
        let holds = match condition {
            Condition::Equal(a, b) => self.compare("eq", a, b),
            Condition::AtLeast(a, b) => self.compare("sge", a, b),
            Condition::OneOrEqual(a, b) => {
                let (one, equal) = (self.compare("eq", a, &Expr::one()), self.compare("eq", a, b));
                self.code.temp(format!("or i1 {one}, {equal}"))
            }
        };
        self.leave_unless(&holds, &(-i64::from(guard) - 1).to_string());
    }

    fn compare(&mut self, test: &str, a: &Expr, b: &Expr) -> String {
        let (a, b) = (self.code.index(a), self.code.index(b));
        self.code.temp(format!("icmp {test} i64 {a}, {b}"))
    }
}

/// The function that runs one launch, on the pool where there are more tasks than `grain`, and makes the entry's result.
pub fn launch_function(options: &PrintOptions) -> String {
    let (start, stop) = if options.profile { (PROFILE_START, PROFILE_STOP) } else { ("", "") };
    format!("{LAUNCH_HEAD}{start}{LAUNCH_CALLS}{stop}{LAUNCH_RESULT}")
}

/// The function that runs one step of the host and makes the entry's result, where entries have such steps.
pub fn host_function<'a>(entries: impl IntoIterator<Item = &'a Entry>, options: &PrintOptions) -> Option<String> {
    fn any(steps: &[EntryStep]) -> bool {
        steps.iter().any(|step| matches!(step, EntryStep::Host(_)) || step.blocks().into_iter().any(any))
    }
    let (start, stop) = if options.profile { (PROFILE_START, PROFILE_STOP) } else { ("", "") };
    entries.into_iter().any(|entry| any(&entry.steps)).then(|| format!("{HOST_HEAD}{start}{HOST_CALL}{stop}{LAUNCH_RESULT}"))
}

const HOST_HEAD: &str = "\
define internal i32 @inkle.host(ptr %ctx, i32 %call, ptr %args, i32 %step) #0 {
entry:
";

const HOST_CALL: &str = "  \
  %host_slot = getelementptr i8, ptr %ctx, i64 48
  %host = load ptr, ptr %host_slot, align 8
  %function_slot = getelementptr i8, ptr %ctx, i64 56
  %function = load ptr, ptr %function_slot, align 8
  %code = call i32 %function(ptr %host, i32 %call, ptr %args)
";

/// [`TOGETHER`], where entries have launches for it.
pub fn together_function<'a>(entries: impl IntoIterator<Item = &'a Entry>, options: &PrintOptions) -> Option<String> {
    fn any(steps: &[EntryStep]) -> bool {
        (0..steps.len()).any(|at| run_of(&steps[at..]).len() > 1) || steps.iter().flat_map(EntryStep::blocks).any(any)
    }
    (!options.profile && entries.into_iter().any(|entry| any(&entry.steps))).then(|| TOGETHER_TEXT.to_string())
}

const TOGETHER_TEXT: &str = "\
define internal signext i32 @inkle.together(ptr %table, i64 %begin, i64 %end, ptr %scratch) #0 {
entry:
  %count = load i64, ptr %table, align 8
  %rows = getelementptr i64, ptr %table, i64 1
  br label %head
head:
  %at = phi i64 [ 0, %entry ], [ %after, %next ]
  %start = phi i64 [ 0, %entry ], [ %stop, %next ]
  %more = icmp slt i64 %at, %count
  br i1 %more, label %part, label %fine
part:
  %row = getelementptr [4 x i64], ptr %rows, i64 %at
  %stop_slot = getelementptr i64, ptr %row, i64 2
  %stop = load i64, ptr %stop_slot, align 8
  %low = call i64 @llvm.smax.i64(i64 %begin, i64 %start)
  %high = call i64 @llvm.smin.i64(i64 %end, i64 %stop)
  %after = add i64 %at, 1
  %some = icmp slt i64 %low, %high
  br i1 %some, label %run, label %next
run:
  %kernel = load ptr, ptr %row, align 8
  %args_slot = getelementptr i64, ptr %row, i64 1
  %args = load ptr, ptr %args_slot, align 8
  %first = sub i64 %low, %start
  %last = sub i64 %high, %start
  %code = call i32 %kernel(ptr %args, i64 %first, i64 %last, ptr %scratch)
  %failed = icmp ne i32 %code, 0
  br i1 %failed, label %leave, label %next
next:
  br label %head
leave:
  %step_slot = getelementptr i64, ptr %row, i64 3
  %step_word = load i64, ptr %step_slot, align 8
  %step = trunc i64 %step_word to i32
  %own = add i32 %code, %step
  %check = icmp sgt i32 %code, 0
  %told = select i1 %check, i32 %own, i32 %code
  ret i32 %told
fine:
  ret i32 0
}
";

const LAUNCH_HEAD: &str = "\
define internal i32 @inkle.launch(ptr %call, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %scratch_bytes, i32 %step) #0 {
entry:
  %ctx = load ptr, ptr %call, align 8
  %threads_slot = getelementptr ptr, ptr %call, i64 1
  %parallel_for = load ptr, ptr %threads_slot, align 8
";

const PROFILE_START: &str = "  \
  %clock_slot = getelementptr i8, ptr %ctx, i64 40
  %clock = load ptr, ptr %clock_slot, align 8
  %start = call i64 %clock()
";

const LAUNCH_CALLS: &str = "  \
  %few = icmp sle i64 %tasks, %grain
  br i1 %few, label %alone, label %shared
alone:
  %scratch_slot = getelementptr i8, ptr %ctx, i64 24
  %scratch = load ptr, ptr %scratch_slot, align 8
  %alone_code = call i32 %kernel(ptr %args, i64 0, i64 %tasks, ptr %scratch)
  br label %done
shared:
  %pool_slot = getelementptr i8, ptr %ctx, i64 16
  %pool = load ptr, ptr %pool_slot, align 8
  %shared_code = call i32 %parallel_for(ptr %pool, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %scratch_bytes)
  br label %done
done:
  %code = phi i32 [ %alone_code, %alone ], [ %shared_code, %shared ]
";

const PROFILE_STOP: &str = "  \
  %stop = call i64 %clock()
  %ticks = sub i64 %stop, %start
  %profile_slot = getelementptr i8, ptr %ctx, i64 32
  %profile = load ptr, ptr %profile_slot, align 8
  %sum_slot = getelementptr i64, ptr %profile, i32 %step
  %sum = load i64, ptr %sum_slot, align 8
  %new_sum = add i64 %sum, %ticks
  store i64 %new_sum, ptr %sum_slot, align 8
";

const LAUNCH_RESULT: &str = "  \
  %failed = icmp sgt i32 %code, 0
  %steps = shl i32 %step, 16
  %one_more = add i32 %steps, 65536
  %failure = add i32 %one_more, %code
  %result = select i1 %failed, i32 %failure, i32 %code
  ret i32 %result
}
";
