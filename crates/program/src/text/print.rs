//! From programs to text.

use crate::program::{Buffer, BufferId, Group, HostStep, Loop, Program, Role, Stage, Step, Times};
use ir::Guard;
use ir::text::constant::elements_text;
use ir::text::print::attrs_text;
use ir::text::{location_text, texts_text};
use nest::text::print_nest;
use std::fmt;

/// The program's text, ending in `}` without a newline.
pub fn print_program(program: &Program) -> String {
    let mut printer = Printer { lines: vec![format!("program {:?} {{", program.name)], depth: 1 };
    for (sym, fact) in &program.symbols {
        printer.line(format!("symbol {sym} in {}..={}", fact.low, fact.high));
    }
    if !program.texts.is_empty() {
        printer.line(texts_text(&program.texts));
    }
    for guard in &program.guards {
        printer.line(guard_text(guard));
    }
    for (at, buffer) in program.buffers.iter().enumerate() {
        printer.line(buffer_text(BufferId(at as u32), buffer));
    }
    if !program.prepare.is_empty() {
        printer.block("prepare {", &program.prepare);
        printer.line("}");
    }
    printer.block("steps {", &program.steps);
    printer.line("}");
    for (name, id) in &program.inputs {
        printer.line(format!("input {name:?} = {id:?}"));
    }
    for (name, id) in &program.outputs {
        printer.line(format!("output {name:?} = {id:?}"));
    }
    printer.lines.push("}".to_string());
    printer.lines.join("\n")
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&print_program(self))
    }
}

fn buffer_text(id: BufferId, buffer: &Buffer) -> String {
    let layout = if buffer.layout.is_row_major() { String::new() } else { format!(" {}", buffer.layout) };
    format!("buffer {id:?} {:?}: {}{layout} = {}", buffer.name, buffer.ty, role_text(&buffer.role))
}

fn guard_text(guard: &Guard) -> String {
    format!("guard {}{}", guard.condition, location_text(&guard.location))
}

fn host_text(HostStep { op, attrs, operands, results, location }: &HostStep) -> String {
    format!("host {} {operands:?} -> {results:?}{}{}", op.name, attrs_text(attrs), location_text(location))
}

fn role_text(role: &Role) -> String {
    match role {
        Role::Input(number) => format!("input {number}"),
        Role::Output(number) => format!("output {number}"),
        Role::Constant { weight: Some(weight), .. } => format!("weight {weight:?}"),
        Role::Constant { tensor, weight: None } => format!("constant {}", elements_text(tensor)),
        Role::Prepared => "prepared".to_string(),
        Role::Temp => "temp".to_string(),
        Role::Local => "local".to_string(),
    }
}

struct Printer {
    lines: Vec<String>,
    depth: usize,
}

impl Printer {
    fn line(&mut self, text: impl fmt::Display) {
        self.lines.push(format!("{:width$}{text}", "", width = 2 * self.depth));
    }

    /// All of a block but its closing bracket.
    fn block(&mut self, head: &str, steps: &[Step]) {
        self.line(head);
        self.depth += 1;
        steps.iter().for_each(|step| self.step(step));
        self.depth -= 1;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Group(group) => self.group(group),
            Step::Host(step) => self.line(host_text(step)),
            Step::Border(id) => self.line(format!("border {id:?}")),
            Step::Guard(guard) => self.line(guard_text(guard)),
            Step::Size { symbol, from } => self.line(format!("size {symbol} = {from:?}")),
            Step::If { condition, then, otherwise } => {
                self.block(&format!("if {condition:?} {{"), then);
                self.block("} else {", otherwise);
                self.line("}");
            }
            Step::Loop(Loop { counter, times, body, last }) => {
                let times = match times {
                    Times::Trips(trips) => format!("to {trips}"),
                    Times::While(condition) => format!("while {condition:?}"),
                };
                self.block(&format!("loop {counter} {times} {{"), body);
                self.block("} last {", last);
                self.line("}");
            }
        }
    }

    fn group(&mut self, group: &Group) {
        let outer: Vec<&str> = group.outer.iter().map(|sym| sym.name()).collect();
        let over = if outer.is_empty() { String::new() } else { format!("over {} ", outer.join(", ")) };
        self.line(format!("group {over}{{"));
        self.depth += 1;
        group.stages.iter().for_each(|stage| self.stage(stage));
        self.depth -= 1;
        self.line("}");
    }

    fn stage(&mut self, stage: &Stage) {
        self.line(format!("stage {:?} -> {:?}{}", stage.operands, stage.writes, location_text(&stage.location)));
        for line in print_nest(&stage.nest).lines() {
            self.line(line);
        }
    }
}
