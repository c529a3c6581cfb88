//! From text to kernels. The parser takes what has the form of a kernel; `verify` judges it.

use crate::kernel::{Binary, Buffer, BufferId, Carried, Compare, Cond, Kernel, Op, Space, Stmt, Ty, Unary, ValueId};
use ir::DType;
use ir::text::{parse_dtype, parse_literal, parse_name};
use nest::Monoid;
use std::collections::BTreeMap;
use sym::{Expr, ParseError, Parser, Sym};

/// Parses `kernel name { .. }` at the cursor.
pub fn parse_kernel(parser: &mut Parser) -> Result<Kernel, ParseError> {
    let mut reader = Reader { parser, types: BTreeMap::new(), depth: 0 };
    let kernel = reader.kernel()?;
    let values = reader.values()?;
    Ok(Kernel { values, ..kernel })
}

/// Blocks inside blocks.
const MAX_DEPTH: usize = 100;

struct Reader<'a, 'b> {
    parser: &'b mut Parser<'a>,
    types: BTreeMap<ValueId, Ty>,
    depth: usize,
}

impl<'a> Reader<'a, '_> {
    fn kernel(&mut self) -> Result<Kernel, ParseError> {
        self.parser.expect("kernel")?;
        let mut kernel = Kernel { name: parse_name(self.parser)?, ..Kernel::default() };
        self.parser.expect("{")?;
        while self.parser.accept("size") {
            kernel.sizes.push(self.sym()?);
        }
        while let Some(space) = Space::ALL.into_iter().find(|space| self.parser.accept(space.name())) {
            let buffer = self.buffer(space, kernel.buffers.len())?;
            kernel.buffers.push(buffer);
        }
        while self.parser.accept("unused") {
            self.typed()?;
        }
        self.parser.expect("tasks")?;
        kernel.tasks = self.parser.expr()?;
        kernel.body = self.stmts()?;
        Ok(kernel)
    }

    /// The types in the order of ids, which leave no gap.
    fn values(&mut self) -> Result<Vec<Ty>, ParseError> {
        let gap = self.types.keys().zip(0..).find(|(id, at)| id.0 != *at);
        if let Some((_, at)) = gap {
            return self.parser.error(format!("v{at} has no type"));
        }
        Ok(self.types.values().copied().collect())
    }

    fn sym(&mut self) -> Result<Sym, ParseError> {
        self.parser.ident().map(Sym::new)
    }

    fn buffer(&mut self, space: Space, at: usize) -> Result<Buffer, ParseError> {
        let id = self.buffer_id()?;
        if id.0 as usize != at {
            return self.parser.error(format!("expected buffer b{at}, found {id:?}"));
        }
        let name = if self.parser.peek(":") { format!("{id:?}") } else { parse_name(self.parser)? };
        self.parser.expect(":")?;
        let dtype = parse_dtype(self.parser)?;
        Ok(Buffer { name, dtype, len: self.bracketed()?, space })
    }

    fn bracketed(&mut self) -> Result<Expr, ParseError> {
        self.parser.expect("[")?;
        let expr = self.parser.expr()?;
        self.parser.expect("]")?;
        Ok(expr)
    }

    fn numbered(&mut self, prefix: char, what: &str) -> Result<u32, ParseError> {
        let name = self.parser.ident()?;
        match name.strip_prefix(prefix).and_then(|number| number.parse().ok()) {
            Some(number) => Ok(number),
            None => self.parser.error(format!("expected a {what}, found `{name}`")),
        }
    }

    fn buffer_id(&mut self) -> Result<BufferId, ParseError> {
        self.numbered('b', "buffer such as `b0`").map(BufferId)
    }

    fn value(&mut self) -> Result<ValueId, ParseError> {
        self.numbered('v', "value such as `v0`").map(ValueId)
    }

    /// `v0: f32x16`
    fn typed(&mut self) -> Result<ValueId, ParseError> {
        let id = self.value()?;
        self.parser.expect(":")?;
        let ty = self.ty()?;
        match self.types.insert(id, ty) {
            Some(before) if before != ty => self.parser.error(format!("{id:?} has two types: {before} and {ty}")),
            _ => Ok(id),
        }
    }

    fn ty(&mut self) -> Result<Ty, ParseError> {
        let name = self.parser.ident()?;
        let (dtype, lanes) = name.split_once('x').unwrap_or((name, "1"));
        match (DType::from_name(dtype), lanes.parse()) {
            (Some(dtype), Ok(lanes)) => Ok(Ty { dtype, lanes }),
            _ => self.parser.error(format!("`{name}` is no type of a value")),
        }
    }

    /// Statements up to a `}`, which is taken.
    fn stmts(&mut self) -> Result<Vec<Stmt>, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.parser.error("blocks nested too deeply");
        }
        let mut stmts = Vec::new();
        while !self.parser.accept("}") {
            stmts.push(self.stmt()?);
        }
        self.depth -= 1;
        Ok(stmts)
    }

    fn stmt(&mut self) -> Result<Stmt, ParseError> {
        if self.parser.accept("let") {
            let sym = self.sym()?;
            self.parser.expect("=")?;
            return Ok(Stmt::Name { sym, value: self.parser.expr()? });
        }
        if self.parser.accept("check") {
            return self.check();
        }
        if self.parser.accept("store") {
            return self.store();
        }
        if self.parser.accept("for") {
            return self.for_loop();
        }
        if self.parser.accept("if") {
            return self.branch();
        }
        let value = self.typed()?;
        self.parser.expect("=")?;
        Ok(Stmt::Def { value, op: self.op()? })
    }

    fn check(&mut self) -> Result<Stmt, ParseError> {
        let sym = self.sym()?;
        self.parser.expect("=")?;
        let value = self.value()?;
        self.parser.expect("in")?;
        let extent = self.parser.expr()?;
        self.parser.expect("site")?;
        Ok(Stmt::Check { sym, value, extent, site: self.small("site")? })
    }

    fn small(&mut self, what: &str) -> Result<u32, ParseError> {
        let number = self.parser.integer()?;
        u32::try_from(number).or_else(|_| self.parser.error(format!("{number} is no {what}")))
    }

    fn store(&mut self) -> Result<Stmt, ParseError> {
        let (buffer, index) = (self.buffer_id()?, self.bracketed()?);
        let stride = if self.parser.accept("stride") { Some(self.parser.expr()?) } else { None };
        self.parser.expect("=")?;
        Ok(Stmt::Store { buffer, index, stride, value: self.value()?, mask: self.mask()? })
    }

    fn mask(&mut self) -> Result<Option<ValueId>, ParseError> {
        if self.parser.accept("mask") { self.value().map(Some) } else { Ok(None) }
    }

    fn for_loop(&mut self) -> Result<Stmt, ParseError> {
        let var = self.sym()?;
        self.parser.expect("from")?;
        let start = self.parser.expr()?;
        self.parser.expect("to")?;
        let end = self.parser.expr()?;
        self.parser.expect("step")?;
        let step = self.parser.integer()?;
        self.parser.expect("{")?;
        let mut carried = Vec::new();
        while self.parser.accept("carry") {
            carried.push(self.carried()?);
        }
        Ok(Stmt::For { var, start, end, step, carried, body: self.stmts()? })
    }

    fn carried(&mut self) -> Result<Carried, ParseError> {
        let inside = self.typed()?;
        self.parser.expect("=")?;
        let init = self.value()?;
        self.parser.expect("next")?;
        let next = self.value()?;
        self.parser.expect("after")?;
        Ok(Carried { init, inside, next, result: self.typed()? })
    }

    fn branch(&mut self) -> Result<Stmt, ParseError> {
        let mut conds = Vec::new();
        while !self.parser.accept("{") {
            conds.push(self.cond()?);
            if !self.parser.accept(",") {
                self.parser.expect("{")?;
                break;
            }
        }
        let then = self.stmts()?;
        let otherwise = if self.parser.accept("else") {
            self.parser.expect("{")?;
            self.stmts()?
        } else {
            Vec::new()
        };
        Ok(Stmt::If { conds, then, otherwise })
    }

    fn cond(&mut self) -> Result<Cond, ParseError> {
        if self.parser.accept("@") {
            return self.value().map(Cond::Value);
        }
        let a = self.parser.expr()?;
        if self.parser.accept("<") {
            return Ok(Cond::Less(a, self.parser.expr()?));
        }
        self.parser.expect("==")?;
        Ok(Cond::Equal(a, self.parser.expr()?))
    }

    fn op(&mut self) -> Result<Op, ParseError> {
        let name = self.parser.ident()?;
        match name {
            "literal" => Ok(Op::Literal(parse_literal(self.parser)?)),
            "index" => Ok(Op::Index(self.parser.expr()?)),
            "lanes" => Ok(Op::Lanes),
            "below" => Ok(Op::Below(self.parser.expr()?)),
            "load" => self.load(),
            "splat" => Ok(Op::Splat(self.value()?)),
            "mul_add" => Ok(Op::MulAdd(self.value()?, self.value()?, self.value()?)),
            "dot" => Ok(Op::Dot(self.value()?, self.value()?, self.value()?)),
            "select" => Ok(Op::Select(self.value()?, self.value()?, self.value()?)),
            "convert" => Ok(Op::Convert(self.value()?)),
            "bits" => Ok(Op::Bits(self.value()?)),
            "fold" => Ok(Op::Fold(self.monoid()?, self.value()?)),
            "shuffle" => {
                let (a, b) = (self.value()?, self.value()?);
                self.parser.expect("[")?;
                Ok(Op::Shuffle(a, b, self.lane_list()?))
            }
            name => self.arithmetic(name),
        }
    }

    fn arithmetic(&mut self, name: &str) -> Result<Op, ParseError> {
        if let Some(op) = Unary::ALL.into_iter().find(|op| op.name() == name) {
            return Ok(Op::Unary(op, self.value()?));
        }
        if let Some(op) = Binary::ALL.into_iter().find(|op| op.name() == name) {
            return Ok(Op::Binary(op, self.value()?, self.value()?));
        }
        if let Some(op) = Compare::ALL.into_iter().find(|op| op.name() == name) {
            return Ok(Op::Compare(op, self.value()?, self.value()?));
        }
        self.parser.error(format!("`{name}` is no op"))
    }

    fn lane_list(&mut self) -> Result<Vec<u32>, ParseError> {
        let mut lanes = Vec::new();
        while !self.parser.accept("]") {
            lanes.push(self.small("lane")?);
            if !self.parser.accept(",") {
                self.parser.expect("]")?;
                break;
            }
        }
        Ok(lanes)
    }

    fn monoid(&mut self) -> Result<Monoid, ParseError> {
        let name = self.parser.ident()?;
        match Monoid::ALL.into_iter().find(|monoid| monoid.name() == name) {
            Some(monoid) => Ok(monoid),
            None => self.parser.error(format!("`{name}` is no reduction")),
        }
    }

    fn load(&mut self) -> Result<Op, ParseError> {
        let (buffer, index) = (self.buffer_id()?, self.bracketed()?);
        if self.parser.accept("stride") {
            return Ok(Op::LoadStrided { buffer, index, stride: self.parser.expr()?, mask: self.mask()? });
        }
        if self.parser.accept("offsets") {
            return Ok(Op::Gather { buffer, index, offsets: self.value()?, mask: self.mask()? });
        }
        Ok(Op::Load { buffer, index, mask: self.mask()? })
    }
}
