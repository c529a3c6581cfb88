//! From text to programs. The parser takes what has the form of a program; `verify` judges it.

use crate::layout::{Axis, Layout};
use crate::program::{Buffer, BufferId, Group, HostStep, Loop, Program, Role, Stage, Step, Times};
use ir::graph::SymbolFact;
use ir::text::constant::parse_elements;
use ir::text::parse::parse_attrs;
use ir::text::{parse_condition, parse_location, parse_tensor_type, parse_texts};
use ir::{Attrs, Guard, Tensor, TensorType};
use nest::text::parse_nest;
use std::sync::Arc;
use sym::{ParseError, Parser, Sym};

/// How deep branches and loops may nest.
const MAX_DEPTH: usize = 64;

/// Parses a whole text. `weights` gives the tensor that the model file holds under a name.
pub fn parse_program(text: &str, weights: &dyn Fn(&str) -> Option<Tensor>) -> Result<Program, ParseError> {
    let mut parser = Parser::new(text);
    let program = parse_program_at(&mut parser, weights)?;
    if parser.at_end() { Ok(program) } else { parser.error("text after the program") }
}

/// Parses `program "name" { .. }` at the cursor.
pub fn parse_program_at(parser: &mut Parser, weights: &dyn Fn(&str) -> Option<Tensor>) -> Result<Program, ParseError> {
    Reader { parser, weights, depth: 0 }.program()
}

struct Reader<'a, 'b> {
    parser: &'b mut Parser<'a>,
    weights: &'b dyn Fn(&str) -> Option<Tensor>,
    depth: usize,
}

impl Reader<'_, '_> {
    fn program(&mut self) -> Result<Program, ParseError> {
        self.parser.expect("program")?;
        let mut program = Program { name: self.parser.string()?, ..Program::default() };
        self.parser.expect("{")?;
        while !self.parser.accept("}") {
            self.item(&mut program)?;
        }
        Ok(program)
    }

    fn item(&mut self, program: &mut Program) -> Result<(), ParseError> {
        match self.parser.ident()? {
            "symbol" => {
                let (sym, fact) = self.symbol()?;
                if program.symbols.insert(sym.clone(), fact).is_some() {
                    return self.parser.error(format!("the symbol {sym} is declared twice"));
                }
            }
            "guard" => program.guards.push(self.guard()?),
            "strings" => program.texts = parse_texts(self.parser)?,
            "buffer" => {
                let buffer = self.buffer(program.buffers.len())?;
                program.buffers.push(buffer);
            }
            "prepare" => program.prepare = self.steps()?,
            "steps" => program.steps = self.steps()?,
            "input" => program.inputs.push(self.named()?),
            "output" => program.outputs.push(self.named()?),
            other => return self.parser.error(format!("`{other}` starts no part of a program")),
        }
        Ok(())
    }

    /// `n >= 2 @ ["/Add"]`
    fn guard(&mut self) -> Result<Guard, ParseError> {
        Ok(Guard { condition: parse_condition(self.parser)?, location: parse_location(self.parser)? })
    }

    /// `n in 1..=4096`
    fn symbol(&mut self) -> Result<(Sym, SymbolFact), ParseError> {
        let sym = Sym::new(self.parser.ident()?);
        self.parser.expect("in")?;
        let low = self.parser.integer()?;
        self.parser.expect("..=")?;
        Ok((sym, SymbolFact { low, high: self.parser.integer()? }))
    }

    /// `"x" = b0`
    fn named(&mut self) -> Result<(String, BufferId), ParseError> {
        let name = self.parser.string()?;
        self.parser.expect("=")?;
        Ok((name, self.buffer_id()?))
    }

    fn buffer_id(&mut self) -> Result<BufferId, ParseError> {
        let name = self.parser.ident()?;
        match name.strip_prefix('b').and_then(|number| number.parse().ok()) {
            Some(number) => Ok(BufferId(number)),
            None => self.parser.error(format!("expected a buffer such as `b0`, found `{name}`")),
        }
    }

    fn number(&mut self) -> Result<usize, ParseError> {
        let number = self.parser.integer()?;
        usize::try_from(number).or_else(|_| self.parser.error(format!("{number} is negative")))
    }

    fn buffer(&mut self, at: usize) -> Result<Buffer, ParseError> {
        let id = self.buffer_id()?;
        if id.0 as usize != at {
            return self.parser.error(format!("expected buffer b{at}, found {id:?}"));
        }
        let name = self.parser.string()?.into();
        self.parser.expect(":")?;
        let ty = parse_tensor_type(self.parser)?;
        let layout = if self.parser.peek("(") { self.layout(ty.rank())? } else { Layout::row_major(ty.rank()) };
        self.parser.expect("=")?;
        let role = self.role(&ty)?;
        Ok(Buffer { name, ty, layout, role })
    }

    /// `(d0+1:1, d1/16, d1%16) pad 4`
    fn layout(&mut self, rank: usize) -> Result<Layout, ParseError> {
        let mut halo = vec![(0, 0); rank];
        let axes = self.parser.list("(", ")", |parser| axis(parser, &mut halo))?;
        let pad = if self.parser.accept("pad") { self.parser.integer()? } else { 0 };
        Ok(Layout { axes, halo, pad })
    }

    fn role(&mut self, ty: &TensorType) -> Result<Role, ParseError> {
        match self.parser.ident()? {
            "input" => Ok(Role::Input(self.number()?)),
            "output" => Ok(Role::Output(self.number()?)),
            "weight" => self.weight(ty),
            "constant" => Ok(Role::Constant { tensor: parse_elements(self.parser, ty)?, weight: None }),
            "prepared" => Ok(Role::Prepared),
            "temp" => Ok(Role::Temp),
            "local" => Ok(Role::Local),
            other => self.parser.error(format!("`{other}` is no role of a buffer")),
        }
    }

    fn weight(&mut self, ty: &TensorType) -> Result<Role, ParseError> {
        let name: Arc<str> = self.parser.string()?.into();
        let Some(tensor) = (self.weights)(&name) else {
            return self.parser.error(format!("the model holds no weight {name:?}"));
        };
        let fitting = ty.const_dims().filter(|_| tensor.dtype() == ty.dtype).and_then(|dims| tensor.reshaped(dims));
        match fitting {
            Some(tensor) => Ok(Role::Constant { tensor, weight: Some(name) }),
            None => self.parser.error(format!("the weight {name:?} is {tensor:?}, not {ty}")),
        }
    }

    /// `{ .. }`
    fn steps(&mut self) -> Result<Vec<Step>, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.parser.error("steps nested too deeply");
        }
        self.parser.expect("{")?;
        let mut steps = Vec::new();
        while !self.parser.accept("}") {
            steps.push(self.step()?);
        }
        self.depth -= 1;
        Ok(steps)
    }

    fn step(&mut self) -> Result<Step, ParseError> {
        match self.parser.ident()? {
            "group" => self.group().map(Step::Group),
            "host" => self.host().map(Step::Host),
            "border" => self.buffer_id().map(Step::Border),
            "if" => {
                let (condition, then) = (self.buffer_id()?, self.steps()?);
                self.parser.expect("else")?;
                Ok(Step::If { condition, then, otherwise: self.steps()? })
            }
            "guard" => self.guard().map(Step::Guard),
            "size" => {
                let symbol = Sym::new(self.parser.ident()?);
                self.parser.expect("=")?;
                Ok(Step::Size { symbol, from: self.buffer_id()? })
            }
            "loop" => self.repeat().map(Step::Loop),
            other => self.parser.error(format!("`{other}` starts no step")),
        }
    }

    /// `regex_full_match [b0] -> [b1] {pattern = "a+"} @ ["/R"]`
    fn host(&mut self) -> Result<HostStep, ParseError> {
        let name = self.parser.ident()?;
        let Some(op) = host::find(name) else { return self.parser.error(format!("`{name}` is no operation of the host")) };
        let operands = self.buffer_ids()?;
        self.parser.expect("->")?;
        let results = self.buffer_ids()?;
        let attrs = if self.parser.peek("{") { parse_attrs(self.parser, &ops::intern)? } else { Attrs::new() };
        Ok(HostStep { op, attrs, operands, results, location: parse_location(self.parser)? })
    }

    /// `t0 to 3*n { .. } last { .. }` or `t0 while b4 { .. } last { .. }`
    fn repeat(&mut self) -> Result<Loop, ParseError> {
        let counter = Sym::new(self.parser.ident()?);
        let times = match self.parser.ident()? {
            "to" => Times::Trips(self.parser.expr()?),
            "while" => Times::While(self.buffer_id()?),
            other => return self.parser.error(format!("expected `to` or `while`, found `{other}`")),
        };
        let body = self.steps()?;
        self.parser.expect("last")?;
        Ok(Loop { counter, times, body, last: self.steps()? })
    }

    fn group(&mut self) -> Result<Group, ParseError> {
        let mut group = Group { outer: Vec::new(), stages: Vec::new() };
        if self.parser.accept("over") {
            group.outer = self.outer()?;
        }
        self.parser.expect("{")?;
        while !self.parser.accept("}") {
            group.stages.push(self.stage()?);
        }
        Ok(group)
    }

    fn outer(&mut self) -> Result<Vec<Sym>, ParseError> {
        let mut outer = vec![Sym::new(self.parser.ident()?)];
        while self.parser.accept(",") {
            outer.push(Sym::new(self.parser.ident()?));
        }
        Ok(outer)
    }

    fn stage(&mut self) -> Result<Stage, ParseError> {
        self.parser.expect("stage")?;
        let operands = self.buffer_ids()?;
        self.parser.expect("->")?;
        let writes = self.buffer_ids()?;
        let location = parse_location(self.parser)?;
        Ok(Stage { nest: parse_nest(self.parser)?, operands, writes, location })
    }

    fn buffer_ids(&mut self) -> Result<Vec<BufferId>, ParseError> {
        let mut ids = Vec::new();
        self.parser.expect("[")?;
        while !self.parser.accept("]") {
            ids.push(self.buffer_id()?);
            if !self.parser.accept(",") {
                self.parser.expect("]")?;
                break;
            }
        }
        Ok(ids)
    }
}

/// `d1+1:2/16%16`: the dim, its halo at the first axis, the divisor, the modulus.
fn axis(parser: &mut Parser, halo: &mut [(i64, i64)]) -> Result<Axis, ParseError> {
    let name = parser.ident()?;
    let dim = name.strip_prefix('d').and_then(|number| number.parse().ok()).filter(|dim| *dim < halo.len());
    let Some(dim) = dim else { return parser.error(format!("`{name}` is no dim of the buffer")) };
    if parser.accept("+") {
        let low = parser.integer()?;
        parser.expect(":")?;
        halo[dim] = (low, parser.integer()?);
    }
    let div = if parser.accept("/") { positive(parser)? } else { 1 };
    let modulo = if parser.accept("%") { Some(positive(parser)?) } else { None };
    Ok(Axis { dim, div, modulo })
}

fn positive(parser: &mut Parser) -> Result<i64, ParseError> {
    let number = parser.integer()?;
    if number > 0 { Ok(number) } else { parser.error(format!("{number} is not positive")) }
}
