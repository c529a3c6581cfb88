//! A kernel as one function: its frame, its statements and their control flow.

use crate::live::live;
use crate::text::{Code, element_type, lane_type, mentions};
use kernel::kernel::TASK;
use kernel::{BufferId, Carried, Cond, Kernel, Space, Stmt, Ty, ValueId};
use sym::{Expr, Sym};

/// A kernel while it is written.
pub struct Function<'a> {
    pub kernel: &'a Kernel,
    pub code: Code,
    values: Vec<Operand>,
    live: Vec<bool>,
}

/// What stands for a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// The same in every lane: a name or a constant.
    Same(String),
    /// An array.
    Lanes(String),
}

impl Operand {
    pub fn lane(&self, lane: &str) -> String {
        match self {
            Operand::Same(text) => text.clone(),
            Operand::Lanes(name) => format!("{name}[{lane}]"),
        }
    }
}

/// The text of the kernel's function, which is called `name`.
pub fn function(kernel: &Kernel, name: &str) -> String {
    let values = vec![Operand::Same(String::new()); kernel.values.len()];
    let mut function = Function { kernel, code: Code::new(), values, live: live(kernel) };
    for sym in &kernel.sizes {
        let own = function.code.fresh(sym.name());
        function.code.bind(sym, &own);
    }
    let scratch: Vec<(BufferId, String)> = kernel.scratch().0.into_iter().map(|(id, offset)| (id, function.code.bare(&offset))).collect();
    let task = function.code.fresh(TASK);
    let head = format!("for (uint64_t {task} = (uint64_t)begin; (int64_t){task} < end; {task}++)");
    let block = function.code.open(&head);
    function.code.bind(&Sym::new(TASK), &task);
    function.statements(&kernel.body);
    function.code.close(block);
    function.code.line("return 0;");
    let sizes: Vec<String> = kernel.sizes.iter().map(|sym| function.code.lookup(sym).to_string()).collect();
    let body = function.code.finish();
    let frame = frame(kernel, &body, &scratch, &sizes);
    format!("static int32_t {name}(const void *args, int64_t begin, int64_t end, void *scratch) {{\n{frame}{body}}}\n")
}

/// The start of each buffer and the sizes, as far as the body mentions them.
fn frame(kernel: &Kernel, body: &str, scratch: &[(BufferId, String)], sizes: &[String]) -> String {
    let mut frame = Code::new();
    let declared = |id: BufferId| {
        let buffer = kernel.buffer(id);
        let constant = if buffer.space == Space::Input { "const " } else { "" };
        (format!("{constant}{} *", element_type(buffer.dtype)), start(id))
    };
    let mut words = Code::new();
    for (at, (id, _)) in kernel.params().enumerate() {
        let (ty, name) = declared(id);
        if mentions(body, &name) {
            words.line(&format!("{ty}restrict {name} = ({ty})(uintptr_t)words[{at}];"));
        }
    }
    let mut offsets = Code::new();
    for (id, offset) in scratch {
        let (ty, name) = declared(*id);
        if mentions(body, &name) {
            offsets.line(&format!("{ty}restrict {name} = ({ty})(void *)((unsigned char *)scratch + {offset});"));
        }
    }
    let (mut words, offsets) = (words.finish(), offsets.finish());
    let first = kernel.params().count();
    for (at, name) in sizes.iter().enumerate().filter(|(_, name)| mentions(body, name) || mentions(&offsets, name)) {
        words.push_str(&format!("    const uint64_t {name} = words[{}];\n", first + at));
    }
    frame.line(if words.is_empty() { "(void)args;" } else { "const uint64_t *words = (const uint64_t *)args;" });
    if offsets.is_empty() {
        frame.line("(void)scratch;");
    }
    format!("{}{words}{offsets}", frame.finish())
}

/// The pointer to a buffer's first element.
pub fn start(buffer: BufferId) -> String {
    format!("b{}", buffer.0)
}

impl Function<'_> {
    fn statements(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.statement(stmt));
    }

    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Def { value, op } if self.live[value.0 as usize] => {
                let operand = self.op(self.ty(*value), &name(*value), op);
                self.set(*value, operand);
            }
            Stmt::Def { .. } => {}
            Stmt::Name { sym, value } => {
                let value = self.code.bare(value);
                let own = self.code.fresh(sym.name());
                self.code.line(&format!("const uint64_t {own} = {value};"));
                self.code.line(&format!("(void){own};"));
                self.code.bind(sym, &own);
            }
            Stmt::Check { sym, value, extent, site } => self.check(sym, *value, extent, *site),
            Stmt::Store { .. } => self.store(stmt),
            Stmt::For { var, start, end, step, carried, body } => self.for_loop(var, (start, end, *step), carried, body),
            Stmt::If { conds, then, otherwise } => self.branch(conds, then, otherwise),
        }
    }

    pub fn ty(&self, value: ValueId) -> Ty {
        self.kernel.ty(value)
    }

    pub fn value(&self, value: ValueId) -> Operand {
        self.values[value.0 as usize].clone()
    }

    fn set(&mut self, value: ValueId, operand: Operand) {
        self.values[value.0 as usize] = operand;
    }

    /// Defines a value lane by lane; once, where it is the same in all of them.
    pub fn each(&mut self, name: &str, ty: Ty, operands: &[Operand], lane: &dyn Fn(&str) -> String) -> Operand {
        let same = operands.iter().all(|operand| matches!(operand, Operand::Same(_)));
        if ty.lanes == 1 || (same && !operands.is_empty()) {
            return self.scalar(name, ty, &lane("0"));
        }
        self.code.line(&format!("{} {name}[{}];", lane_type(ty.dtype), ty.lanes));
        self.code.line(&format!("for (int l = 0; l < {}; l++) {name}[l] = {};", ty.lanes, lane("l")));
        Operand::Lanes(name.to_string())
    }

    /// Defines a value that is the same in every lane.
    pub fn scalar(&mut self, name: &str, ty: Ty, value: &str) -> Operand {
        self.code.line(&format!("const {} {name} = {value};", lane_type(ty.dtype)));
        Operand::Same(name.to_string())
    }

    fn check(&mut self, sym: &Sym, value: ValueId, extent: &Expr, site: u32) {
        let (value, extent) = (self.value(value).lane("0"), self.code.index(extent));
        let own = self.code.fresh(sym.name());
        self.code.line(&format!("const uint64_t {own} = (uint64_t){value} + ({value} < 0 ? (uint64_t){extent} : (uint64_t)0);"));
        self.code.line(&format!("if ({own} >= (uint64_t){extent}) return {};", i64::from(site) + 1));
        self.code.bind(sym, &own);
    }

    /// What is carried is one variable, which is the result too.
    fn for_loop(&mut self, var: &Sym, (start, end, step): (&Expr, &Expr, i64), carried: &[Carried], body: &[Stmt]) {
        let carried: Vec<&Carried> = carried.iter().filter(|c| self.live[c.result.0 as usize]).collect();
        for c in &carried {
            let operand = self.variable(&name(c.result), self.ty(c.result), &self.value(c.init));
            self.set(c.inside, operand.clone());
            self.set(c.result, operand);
        }
        let (start, end) = (self.code.bare(start), self.code.signed(end));
        let own = self.code.fresh(var.name());
        let block = self.code.open(&format!("for (uint64_t {own} = {start}; (int64_t){own} < {end}; {own} += {step})"));
        self.code.bind(var, &own);
        self.statements(body);
        self.turn(&carried);
        self.code.close(block);
    }

    /// The values of the next turn; all are read before any is written, where that counts.
    fn turn(&mut self, carried: &[&Carried]) {
        let places: Vec<Operand> = carried.iter().map(|c| self.value(c.result)).collect();
        let mut next: Vec<Operand> = carried.iter().map(|c| self.value(c.next)).collect();
        if next.iter().enumerate().any(|(at, next)| places[..at].contains(next)) {
            for (at, c) in carried.iter().enumerate() {
                let own = self.code.fresh("next");
                next[at] = self.variable(&own, self.ty(c.next), &next[at]);
            }
        }
        for ((c, place), next) in carried.iter().zip(&places).zip(&next).filter(|((_, place), next)| place != next) {
            let (to, from) = (place.lane("l"), next.lane("l"));
            match self.ty(c.result).lanes {
                1 => self.code.line(&format!("{to} = {from};")),
                lanes => self.code.line(&format!("for (int l = 0; l < {lanes}; l++) {to} = {from};")),
            }
        }
    }

    /// A variable with the value of an operand.
    fn variable(&mut self, name: &str, ty: Ty, from: &Operand) -> Operand {
        let c = lane_type(ty.dtype);
        if ty.lanes == 1 {
            self.code.line(&format!("{c} {name} = {};", from.lane("0")));
            return Operand::Same(name.to_string());
        }
        self.code.line(&format!("{c} {name}[{}];", ty.lanes));
        self.code.line(&format!("for (int l = 0; l < {}; l++) {name}[l] = {};", ty.lanes, from.lane("l")));
        Operand::Lanes(name.to_string())
    }

    fn branch(&mut self, conds: &[Cond], then: &[Stmt], otherwise: &[Stmt]) {
        let all: Vec<String> = conds.iter().map(|cond| self.cond(cond)).collect();
        let holds = if all.is_empty() { "true".to_string() } else { all.join(" && ") };
        let block = self.code.open(&format!("if ({holds})"));
        self.statements(then);
        self.code.close(block);
        if !otherwise.is_empty() {
            let block = self.code.open("else");
            self.statements(otherwise);
            self.code.close(block);
        }
    }

    fn cond(&self, cond: &Cond) -> String {
        match cond {
            Cond::Less(a, b) => format!("{} < {}", self.code.signed(a), self.code.signed(b)),
            Cond::Equal(a, b) => format!("{} == {}", self.code.signed(a), self.code.signed(b)),
            Cond::Value(value) => self.value(*value).lane("0"),
        }
    }
}

fn name(value: ValueId) -> String {
    format!("{value:?}")
}
