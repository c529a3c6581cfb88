//! From kernels to text.

use crate::kernel::{Buffer, BufferId, Carried, Cond, Kernel, Op, Stmt, Ty, ValueId};
use ir::text::{literal_text, name_text};
use std::fmt;
use sym::Expr;

impl fmt::Display for Ty {
    /// `f32`, `f32x16`
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.lanes == 1 { write!(f, "{}", self.dtype) } else { write!(f, "{}x{}", self.dtype, self.lanes) }
    }
}

/// The kernel's text, ending in `}` without a newline.
pub fn print_kernel(kernel: &Kernel) -> String {
    let mut printer = Printer { kernel, lines: vec![format!("kernel {} {{", name_text(&kernel.name))], depth: 1 };
    kernel.sizes.iter().for_each(|sym| printer.line(format!("size {sym}")));
    for (at, buffer) in kernel.buffers.iter().enumerate() {
        printer.line(buffer_text(BufferId(at as u32), buffer));
    }
    for id in undefined(kernel) {
        printer.line(format!("unused {}", printer.typed(id)));
    }
    printer.line(format!("tasks {}", kernel.tasks));
    printer.stmts(&kernel.body);
    printer.lines.push("}".to_string());
    printer.lines.join("\n")
}

fn buffer_text(id: BufferId, buffer: &Buffer) -> String {
    let own = if buffer.name == format!("{id:?}") { String::new() } else { format!(" {}", name_text(&buffer.name)) };
    format!("{} {id:?}{own}: {}[{}]", buffer.space.name(), buffer.dtype, buffer.len)
}

/// The values that no statement defines: their types stand nowhere else.
fn undefined(kernel: &Kernel) -> Vec<ValueId> {
    let mut defined = vec![false; kernel.values.len()];
    mark_defined(&kernel.body, &mut defined);
    defined.iter().zip(0..).filter(|(defined, _)| !**defined).map(|(_, at)| ValueId(at)).collect()
}

fn mark_defined(stmts: &[Stmt], defined: &mut [bool]) {
    for stmt in stmts {
        match stmt {
            Stmt::Def { value, .. } => mark(*value, defined),
            Stmt::For { carried, body, .. } => {
                carried.iter().flat_map(|c| [c.inside, c.result]).for_each(|id| mark(id, defined));
                mark_defined(body, defined);
            }
            Stmt::If { then, otherwise, .. } => {
                mark_defined(then, defined);
                mark_defined(otherwise, defined);
            }
            Stmt::Name { .. } | Stmt::Check { .. } | Stmt::Store { .. } => {}
        }
    }
}

fn mark(id: ValueId, defined: &mut [bool]) {
    if let Some(slot) = defined.get_mut(id.0 as usize) {
        *slot = true;
    }
}

struct Printer<'a> {
    kernel: &'a Kernel,
    lines: Vec<String>,
    depth: usize,
}

impl Printer<'_> {
    fn line(&mut self, text: impl fmt::Display) {
        self.lines.push(format!("{:width$}{text}", "", width = 2 * self.depth));
    }

    fn typed(&self, id: ValueId) -> String {
        self.kernel.values.get(id.0 as usize).map_or(format!("{id:?}: ?"), |ty| format!("{id:?}: {ty}"))
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn block(&mut self, stmts: &[Stmt]) {
        self.depth += 1;
        self.stmts(stmts);
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Def { value, op } => self.line(format!("{} = {}", self.typed(*value), op_text(op))),
            Stmt::Name { sym, value } => self.line(format!("let {sym} = {value}")),
            Stmt::Check { sym, value, extent, site } => self.line(format!("check {sym} = {value:?} in {extent} site {site}")),
            Stmt::Store { buffer, index, stride, value, mask } => {
                let to = access_text(*buffer, index, stride.as_ref());
                self.line(format!("store {to} = {value:?}{}", mask_text(mask)));
            }
            Stmt::For { var, start, end, step, carried, body } => {
                self.line(format!("for {var} from {start} to {end} step {step} {{"));
                self.depth += 1;
                carried.iter().for_each(|c| self.carried(c));
                self.stmts(body);
                self.depth -= 1;
                self.line("}");
            }
            Stmt::If { conds, then, otherwise } => {
                let conds: Vec<String> = conds.iter().map(cond_text).collect();
                self.line(format!("if {} {{", conds.join(", ")));
                self.block(then);
                self.line("} else {");
                self.block(otherwise);
                self.line("}");
            }
        }
    }

    fn carried(&mut self, carried: &Carried) {
        let Carried { init, inside, next, result } = carried;
        self.line(format!("carry {} = {init:?} next {next:?} after {}", self.typed(*inside), self.typed(*result)));
    }
}

fn cond_text(cond: &Cond) -> String {
    match cond {
        Cond::Less(a, b) => format!("{a} < {b}"),
        Cond::Equal(a, b) => format!("{a} == {b}"),
        Cond::Value(id) => format!("@{id:?}"),
    }
}

fn access_text(buffer: BufferId, index: &Expr, stride: Option<&Expr>) -> String {
    let stride = stride.map_or(String::new(), |stride| format!(" stride {stride}"));
    format!("{buffer:?}[{index}]{stride}")
}

fn mask_text(mask: &Option<ValueId>) -> String {
    mask.map_or(String::new(), |mask| format!(" mask {mask:?}"))
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&op_text(self))
    }
}

fn op_text(op: &Op) -> String {
    match op {
        Op::Literal(value) => format!("literal {}", literal_text(*value)),
        Op::Index(index) => format!("index {index}"),
        Op::Lanes => "lanes".to_string(),
        Op::Below(limit) => format!("below {limit}"),
        Op::Load { buffer, index, mask } => format!("load {}{}", access_text(*buffer, index, None), mask_text(mask)),
        Op::LoadStrided { buffer, index, stride, mask } => {
            format!("load {}{}", access_text(*buffer, index, Some(stride)), mask_text(mask))
        }
        Op::Gather { buffer, index, offsets, mask } => {
            format!("load {} offsets {offsets:?}{}", access_text(*buffer, index, None), mask_text(mask))
        }
        Op::Splat(a) => format!("splat {a:?}"),
        Op::Unary(op, a) => format!("{} {a:?}", op.name()),
        Op::Binary(op, a, b) => format!("{} {a:?} {b:?}", op.name()),
        Op::Compare(op, a, b) => format!("{} {a:?} {b:?}", op.name()),
        Op::MulAdd(a, b, c) => format!("mul_add {a:?} {b:?} {c:?}"),
        Op::Dot(a, b, c) => format!("dot {a:?} {b:?} {c:?}"),
        Op::Select(cond, a, b) => format!("select {cond:?} {a:?} {b:?}"),
        Op::Convert(a) => format!("convert {a:?}"),
        Op::Bits(a) => format!("bits {a:?}"),
        Op::Fold(monoid, a) => format!("fold {} {a:?}", monoid.name()),
        Op::Shuffle(a, b, lanes) => format!("shuffle {a:?} {b:?} {lanes:?}"),
    }
}
