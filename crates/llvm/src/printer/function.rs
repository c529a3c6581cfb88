//! A kernel as one function: its frame, its statements and their control flow.

use super::metadata::Metadata;
use super::scope::{Bound, Code, Kind};
use super::text::{global, local_stem, register_type};
use super::{PrintOptions, linkage};
use kernel::kernel::TASK;
use kernel::{BufferId, Carried, Cond, Kernel, Op, Stmt, Ty, Unary, ValueId};
use std::collections::HashMap;
use sym::{Expr, Sym};

/// A kernel while it is written.
pub struct Function<'a> {
    pub kernel: &'a Kernel,
    pub code: Code,
    /// The operand of each value that is defined by now.
    values: Vec<String>,
    /// The pointer to each buffer's start.
    buffers: Vec<String>,
    /// The metadata of accesses to each buffer.
    aliases: Vec<String>,
    /// For values without subnormal numbers what they were made from.
    pub flushed: HashMap<ValueId, ValueId>,
    pub options: &'a PrintOptions,
}

/// What an op comes to: an operand that is there already, or an instruction that the value will name.
pub enum Made {
    Operand(String),
    Instruction(String),
}

/// A loop over `start..end`; `certain` says that it runs at least once.
struct Range<'a> {
    var: &'a Sym,
    start: String,
    end: String,
    step: i64,
    nonnegative: bool,
    certain: bool,
}

/// The text of the kernel's function.
pub fn function(kernel: &Kernel, metadata: &mut Metadata, options: &PrintOptions) -> String {
    let mut function = Function {
        kernel,
        code: Code::new(options),
        options,
        values: vec![String::new(); kernel.values.len()],
        buffers: vec![String::new(); kernel.buffers.len()],
        aliases: metadata.alias_scopes(kernel),
        flushed: HashMap::new(),
    };
    function.arguments();
    function.scratch_buffers();
    function.tasks();
    function.code.line("ret i32 0");
    let (linkage, name) = (linkage(options), global(&kernel.name));
    let head = format!("define {linkage}signext i32 {name}(ptr noalias readonly %args, i64 %begin, i64 %end, ptr noalias %scratch) #0 {{");
    format!("{head}\nentry:\n{}}}\n", function.code.finish())
}

impl Function<'_> {
    fn arguments(&mut self) {
        let kernel = self.kernel;
        for (at, (id, buffer)) in kernel.params().enumerate() {
            self.buffers[id.0 as usize] = self.argument(at, "ptr", &buffer.name);
        }
        let buffers = kernel.params().count();
        for (at, sym) in kernel.sizes.iter().enumerate() {
            let operand = self.argument(buffers + at, "i64", sym.name());
            self.code.bind(0, sym, Bound { operand, nonnegative: true });
        }
    }

    fn argument(&mut self, at: usize, ty: &str, stem: &str) -> String {
        let slot = if at == 0 { "%args".to_string() } else { self.code.temp(format!("getelementptr i64, ptr %args, i64 {at}")) };
        let name = self.code.local(stem);
        self.code.line(&format!("{name} = load {ty}, ptr {slot}, align 8"));
        name
    }

    fn scratch_buffers(&mut self) {
        for (id, offset) in self.kernel.scratch().0 {
            let offset = self.code.index(&offset);
            let name = self.code.local(&self.kernel.buffer(id).name);
            self.code.line(&format!("{name} = getelementptr i8, ptr %scratch, i64 {offset}"));
            self.buffers[id.0 as usize] = name;
        }
    }

    fn tasks(&mut self) {
        let (start, end) = ("%begin".to_string(), "%end".to_string());
        let range = Range { var: &Sym::new(TASK), start, end, step: 1, nonnegative: true, certain: false };
        self.looped(range, &[], &self.kernel.body);
    }

    fn statements(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.statement(stmt));
    }

    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Def { value, op } => self.define(*value, op),
            Stmt::Name { sym, value } => self.name(sym, value),
            Stmt::Check { sym, value, extent, site } => self.check(sym, *value, extent, *site),
            Stmt::Store { .. } => self.store(stmt),
            Stmt::For { var, start, end, step, carried, body } => self.for_loop(var, (start, end, *step), carried, body),
            Stmt::If { conds, then, otherwise } => self.branch(conds, then, otherwise),
        }
    }

    /// The pointer to a buffer's first element.
    pub fn start(&self, buffer: BufferId) -> String {
        self.buffers[buffer.0 as usize].clone()
    }

    /// What stands behind an access to the buffer.
    pub fn alias(&self, buffer: BufferId) -> &str {
        &self.aliases[buffer.0 as usize]
    }

    pub fn ty(&self, value: ValueId) -> Ty {
        self.kernel.ty(value)
    }

    /// The operand of a value.
    pub fn value(&self, value: ValueId) -> String {
        self.values[value.0 as usize].clone()
    }

    /// The operand with its type in front.
    pub fn typed(&self, value: ValueId) -> String {
        format!("{} {}", register_type(self.ty(value)), self.values[value.0 as usize])
    }

    /// Names an instruction where there is no operand yet.
    pub fn operand(&mut self, made: Made) -> String {
        match made {
            Made::Operand(operand) => operand,
            Made::Instruction(instruction) => self.code.temp(instruction),
        }
    }

    fn define(&mut self, value: ValueId, op: &Op) {
        if let Op::Unary(Unary::Flush, from) = op {
            self.flushed.insert(value, *from);
        }
        let operand = match self.op(self.ty(value), op) {
            Made::Operand(operand) => operand,
            Made::Instruction(instruction) => {
                let name = format!("%{value:?}");
                self.code.line(&format!("{name} = {instruction}"));
                name
            }
        };
        self.set(value, operand);
    }

    fn set(&mut self, value: ValueId, operand: String) {
        self.values[value.0 as usize] = operand;
    }

    fn name(&mut self, sym: &Sym, value: &Expr) {
        let home = self.code.home(self.code.depends(value));
        let bound = Bound { operand: self.code.index(value), nonnegative: self.code.nonnegative(value) };
        self.code.bind(home, sym, bound);
    }

    fn check(&mut self, sym: &Sym, value: ValueId, extent: &Expr, site: u32) {
        let (value, extent) = (self.value(value), self.code.index(extent));
        let negative = self.code.temp(format!("icmp slt i64 {value}, 0"));
        let from_end = self.code.temp(format!("add i64 {value}, {extent}"));
        let operand = self.code.temp(format!("select i1 {negative}, i64 {from_end}, i64 {value}"));
        let inside = self.code.temp(format!("icmp ult i64 {operand}, {extent}"));
        let number = self.code.fresh();
        self.code.line(&format!("br i1 {inside}, label %inside.{number}, label %outside.{number}"));
        self.code.block(&format!("outside.{number}"));
        self.code.line(&format!("ret i32 {}", i64::from(site) + 1));
        self.code.block(&format!("inside.{number}"));
        let here = self.code.here();
        self.code.bind(here, sym, Bound { operand, nonnegative: true });
    }

    fn for_loop(&mut self, var: &Sym, (start, end, step): (&Expr, &Expr, i64), carried: &[Carried], body: &[Stmt]) {
        let known = (end - start).as_const();
        if known.is_some_and(|length| length <= 0) {
            return carried.iter().for_each(|c| self.set(c.result, self.value(c.init)));
        }
        if known.is_some_and(|length| length <= step) {
            return self.single_turn(var, start, carried, body);
        }
        let nonnegative = self.code.nonnegative(start);
        let (start, end) = (self.code.index(start), self.code.index(end));
        self.looped(Range { var, start, end, step, nonnegative, certain: known.is_some() }, carried, body);
    }

    fn single_turn(&mut self, var: &Sym, start: &Expr, carried: &[Carried], body: &[Stmt]) {
        self.name(var, start);
        carried.iter().for_each(|c| self.set(c.inside, self.value(c.init)));
        self.statements(body);
        carried.iter().for_each(|c| self.set(c.result, self.value(c.next)));
    }

    /// The body with its test at the end; one more test in front where the loop may have no turn.
    fn looped(&mut self, range: Range, carried: &[Carried], body: &[Stmt]) {
        let number = self.code.fresh();
        let (again, done) = (format!("loop.{number}"), format!("done.{number}"));
        let var = format!("%{}.{number}", local_stem(range.var.name()));
        self.code.open(Kind::Loop, &again);
        let here = self.code.here();
        self.code.bind(here, range.var, Bound { operand: var.clone(), nonnegative: range.nonnegative });
        carried.iter().for_each(|c| self.set(c.inside, format!("%{:?}", c.inside)));
        self.statements(body);
        let next = self.code.temp(format!("add i64 {var}, {}", range.step));
        let more = self.code.temp(format!("icmp slt i64 {next}, {}", range.end));
        self.code.line(&format!("br i1 {more}, label %{again}, label %{done}"));
        let turn = self.code.close();

        let before = self.code.last_block();
        match range.certain {
            true => self.code.line(&format!("br label %{again}")),
            false => {
                let any = self.code.temp(format!("icmp slt i64 {}, {}", range.start, range.end));
                self.code.line(&format!("br i1 {any}, label %{again}, label %{done}"));
            }
        }
        self.code.block(&again);
        self.code.line(&format!("{var} = phi i64 [ {}, %{before} ], [ {next}, %{} ]", range.start, turn.last));
        carried.iter().for_each(|c| self.phi(c.inside, c, &before, &turn.last));
        self.code.append(&turn.text);
        self.code.block(&done);
        for c in carried {
            match range.certain {
                true => self.set(c.result, self.value(c.next)),
                false => {
                    self.phi(c.result, c, &before, &turn.last);
                    self.set(c.result, format!("%{:?}", c.result));
                }
            }
        }
    }

    /// `value` is `init` on the way from `before` and `next` on the way from `last`.
    fn phi(&mut self, value: ValueId, carried: &Carried, before: &str, last: &str) {
        let (ty, init, next) = (register_type(self.ty(value)), self.value(carried.init), self.value(carried.next));
        self.code.line(&format!("%{value:?} = phi {ty} [ {init}, %{before} ], [ {next}, %{last} ]"));
    }

    fn branch(&mut self, conds: &[Cond], then: &[Stmt], otherwise: &[Stmt]) {
        let number = self.code.fresh();
        let label = |stem: &str| format!("{stem}.{number}");
        let cond = self.conds(conds);
        let then = self.side(&label("then"), then);
        let otherwise = if otherwise.is_empty() { String::new() } else { self.side(&label("else"), otherwise) };
        let or = if otherwise.is_empty() { label("join") } else { label("else") };
        self.code.line(&format!("br i1 {cond}, label %{}, label %{or}", label("then")));
        self.code.append(&then);
        self.code.line(&format!("br label %{}", label("join")));
        if !otherwise.is_empty() {
            self.code.append(&otherwise);
            self.code.line(&format!("br label %{}", label("join")));
        }
        self.code.block(&label("join"));
    }

    fn side(&mut self, label: &str, stmts: &[Stmt]) -> String {
        self.code.open(Kind::Branch, label);
        self.code.block(label);
        self.statements(stmts);
        self.code.close().text
    }

    fn conds(&mut self, conds: &[Cond]) -> String {
        let mut all: Option<String> = None;
        for cond in conds {
            let one = self.cond(cond);
            all = Some(match all {
                None => one,
                Some(all) => self.code.temp(format!("and i1 {all}, {one}")),
            });
        }
        all.unwrap_or_else(|| "true".to_string())
    }

    fn cond(&mut self, cond: &Cond) -> String {
        let (test, a, b) = match cond {
            Cond::Less(a, b) => ("slt", a, b),
            Cond::Equal(a, b) => ("eq", a, b),
            Cond::Value(value) => return self.value(*value),
        };
        let (a, b) = (self.code.index(a), self.code.index(b));
        self.code.temp(format!("icmp {test} i64 {a}, {b}"))
    }
}
