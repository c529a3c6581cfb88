//! Entries: the functions that run a program's steps, as `kernel::module` describes them.
//!
//! A launch stores its arguments into one array on the stack and calls [`LAUNCH`], which is printed once a module. An
//! entry is long and each of its instructions runs once, so LLVM is told not to optimise it: that halves its compile time.

use super::PrintOptions;
use super::scope::{Bound, Code, Kind, Scope};
use super::text::global;
use ir::guard::Condition;
use kernel::Interface;
use kernel::module::{Entry, EntryStep, Launch, Loop, Place, Times};
use sym::{Expr, Sym};

/// Byte offsets in the context.
const CONSTANTS: i64 = 0;
const PREPARED: i64 = 8;

/// The function's name for one launch; internal to its module.
const LAUNCH: &str = "inkle.launch";

struct Writer<'a> {
    entry: &'a Entry,
    kernels: &'a [Interface],
    code: Code,
}

/// The text of an entry's function. It calls the kernels and [`launch_function`] by name.
pub fn entry_function(entry: &Entry, kernels: &[Interface]) -> String {
    let mut writer = Writer { entry, kernels, code: Code::new() };
    let words = most_arguments(&entry.steps).max(1);
    writer.code.line(&format!("%args = alloca [{words} x i64], align 16"));
    writer.code.line("%result = alloca i32, align 4");
    writer.sizes();
    writer.steps(&entry.steps);
    writer.code.append(END);
    let parameters = "ptr %ctx, ptr %inputs, ptr %outputs, ptr %dims, ptr %arena, ptr %parallel_for";
    format!("define i32 {}({parameters}) #1 {{\nentry:\n{}}}\n", global(&entry.name), writer.code.finish())
}

/// The end of an entry; failures go to `leave` too.
const END: &str = "  \
  store i32 0, ptr %result, align 4
  br label %leave
leave:
  %code = load i32, ptr %result, align 4
  ret i32 %code
";

/// The numbers of the kernels that the entry launches, in order, each once.
pub fn launched(entry: &Entry) -> Vec<usize> {
    let mut kernels: Vec<usize> = launches(&entry.steps).into_iter().map(|launch| launch.kernel).collect();
    kernels.sort_unstable();
    kernels.dedup();
    kernels
}

fn launches<'a>(steps: &'a [EntryStep]) -> Vec<&'a Launch> {
    let of_step = |step: &'a EntryStep| match step {
        EntryStep::Launch(launch) => vec![launch],
        EntryStep::If { .. } | EntryStep::Loop(_) | EntryStep::Guard { .. } => step.blocks().into_iter().flat_map(launches).collect(),
    };
    steps.iter().flat_map(of_step).collect()
}

fn most_arguments(steps: &[EntryStep]) -> usize {
    launches(steps).iter().map(|launch| launch.args.len() + launch.sizes.len()).max().unwrap_or(0)
}

impl Writer<'_> {
    fn sizes(&mut self) {
        let entry = self.entry;
        for (at, sym) in entry.sizes.iter().enumerate() {
            let slot = self.code.temp(format!("getelementptr i64, ptr %dims, i64 {at}"));
            let operand = self.code.local(sym.name());
            self.code.line(&format!("{operand} = load i64, ptr {slot}, align 8"));
            self.code.bind(0, sym, Bound { operand, nonnegative: true });
        }
    }

    fn steps(&mut self, steps: &[EntryStep]) {
        for step in steps {
            match step {
                EntryStep::Launch(launch) => self.launch(launch),
                EntryStep::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
                EntryStep::Loop(repeat) => self.repeat(repeat),
                EntryStep::Guard { condition, guard } => self.guard(condition, *guard),
            }
        }
    }

    fn launch(&mut self, launch: &Launch) {
        let kernel = &self.kernels[launch.kernel];
        self.arguments(launch);
        let bound = |sym: &Sym| kernel.sizes.iter().position(|size| size == sym).map(|at| launch.sizes[at].clone());
        let scratch = self.code.index(&kernel.scratch_bytes.substitute(&bound));
        let tasks = self.code.index(&launch.tasks);
        let grain = if launch.parallel { self.code.index(&launch.grain) } else { i64::MAX.to_string() };
        let name = global(&kernel.name);
        let range = format!("i64 {tasks}, i64 {grain}, i64 {scratch}, i32 {}", launch.step);
        let result = self.code.temp(format!("call i32 @{LAUNCH}(ptr %ctx, ptr %parallel_for, ptr {name}, ptr %args, {range})"));
        let fine = self.code.temp(format!("icmp eq i32 {result}, 0"));
        self.leave_unless(&fine, &result);
    }

    fn arguments(&mut self, launch: &Launch) {
        for (at, place) in launch.args.iter().enumerate() {
            let pointer = self.place(place);
            self.argument(at, &format!("ptr {pointer}"));
        }
        for (at, size) in launch.sizes.iter().enumerate() {
            let size = self.code.index(size);
            self.argument(launch.args.len() + at, &format!("i64 {size}"));
        }
    }

    fn argument(&mut self, at: usize, value: &str) {
        let slot = self.code.temp(format!("getelementptr i64, ptr %args, i64 {at}"));
        self.code.line(&format!("store {value}, ptr {slot}, align 8"));
    }

    /// Ends the function with `result` where `fine` is false.
    fn leave_unless(&mut self, fine: &str, result: &str) {
        let next = format!("next.{}", self.code.fresh());
        self.code.line(&format!("store i32 {result}, ptr %result, align 4"));
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

const LAUNCH_HEAD: &str = "\
define internal i32 @inkle.launch(ptr %ctx, ptr %parallel_for, ptr %kernel, ptr %args, i64 %tasks, i64 %grain, i64 %scratch_bytes, i32 %step) #0 {
entry:
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
