//! From a kernel to the compact form: a place in the register file for each value, a slot for each symbol, a function for each op.

use super::code::{Access, Code, Copy, FormId, Inst, Lanes, Loop, Place, Span, Test};
use super::convert::convert;
use super::dot::dot;
use super::index::Poly;
use super::lanes::{binary, compare, copied, mul_add, select, splat, unary};
use crate::kernel::{Binary, BufferId, Carried, Cond, Kernel, Op, Stmt, TASK, Ty, ValueId};
use half::{bf16, f16};
use ir::{DType, Literal};
use sym::{Expr, Sym};

pub fn compile(kernel: &Kernel) -> Result<Code, String> {
    let symbols = kernel.sizes.iter().cloned().chain([Sym::new(TASK)]).enumerate().map(|(slot, sym)| (sym, slot)).collect();
    let spans = vec![None; kernel.values.len()];
    let slots = kernel.sizes.len() + 1;
    let mut compiler = Compiler { kernel, symbols, slots, spans, defined: Vec::new(), free: 0, registers: 0, polys: Vec::new() };
    let places = kernel.buffers.iter().map(|b| {
        let len = compiler.form(&b.len)?;
        Ok(Place { name: b.name.clone(), dtype: b.dtype, len, space: b.space })
    });
    let places = places.collect::<Result<Vec<Place>, String>>()?;
    let tasks = compiler.form(&kernel.tasks)?;
    let body = compiler.block(&kernel.body)?;
    let Compiler { slots, polys, registers, .. } = compiler;
    Ok(Code { sizes: kernel.sizes.len(), slots, polys, places, tasks, body, registers })
}

struct Compiler<'a> {
    kernel: &'a Kernel,
    /// The symbols in scope, innermost last.
    symbols: Vec<(Sym, usize)>,
    slots: usize,
    /// The places of the values in scope.
    spans: Vec<Option<Span>>,
    /// The values in scope, innermost last.
    defined: Vec<ValueId>,
    /// The register file is a stack: a block's values go when it ends.
    free: usize,
    registers: usize,
    polys: Vec<Poly>,
}

/// What was in scope when a block began.
struct Mark {
    symbols: usize,
    defined: usize,
    free: usize,
}

impl Compiler<'_> {
    fn form(&mut self, expr: &Expr) -> Result<FormId, String> {
        let slot = |sym: &Sym| self.symbols.iter().rev().find(|(s, _)| s == sym).map(|(_, slot)| *slot);
        let poly = Poly::new(expr, &slot)?;
        self.polys.push(poly);
        Ok(FormId(self.polys.len() - 1))
    }

    fn bind(&mut self, sym: &Sym) -> usize {
        self.symbols.push((sym.clone(), self.slots));
        self.slots += 1;
        self.slots - 1
    }

    fn ty(&self, id: ValueId) -> Result<Ty, String> {
        self.kernel.values.get(id.0 as usize).copied().ok_or_else(|| format!("{id:?} has no type"))
    }

    fn span(&self, id: ValueId) -> Result<Span, String> {
        self.spans.get(id.0 as usize).copied().flatten().ok_or_else(|| format!("{id:?} is used where it is not defined"))
    }

    /// A place for a value, on top of the stack.
    fn define(&mut self, id: ValueId) -> Result<Span, String> {
        let ty = self.ty(id)?;
        let span = Span { at: self.free, len: ty.lanes as usize * ty.dtype.size() };
        self.free += span.len.next_multiple_of(8);
        self.registers = self.registers.max(self.free);
        self.place(id, span);
        Ok(span)
    }

    fn place(&mut self, id: ValueId, span: Span) {
        self.spans[id.0 as usize] = Some(span);
        self.defined.push(id);
    }

    fn block(&mut self, stmts: &[Stmt]) -> Result<Vec<Inst>, String> {
        let mark = self.open();
        let body = stmts.iter().map(|stmt| self.stmt(stmt)).collect();
        self.close(mark);
        body
    }

    fn open(&self) -> Mark {
        Mark { symbols: self.symbols.len(), defined: self.defined.len(), free: self.free }
    }

    fn close(&mut self, mark: Mark) {
        self.symbols.truncate(mark.symbols);
        self.free = mark.free;
        for id in self.defined.drain(mark.defined..) {
            self.spans[id.0 as usize] = None;
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<Inst, String> {
        Ok(match stmt {
            Stmt::Def { value, op } => return self.op(*value, op).map_err(|why| format!("{value:?}: {why}")),
            Stmt::Name { sym, value } => {
                let value = self.form(value)?;
                Inst::Name { slot: self.bind(sym), value }
            }
            Stmt::Check { sym, value, extent, site } => {
                let (value, extent) = (self.span(*value)?, self.form(extent)?);
                Inst::Check { slot: self.bind(sym), value, extent, code: 1 + *site as i32 }
            }
            Stmt::Store { buffer, index, stride, value, mask } => {
                let lanes = stride.as_ref().map_or(Ok(Lanes::Dense), |stride| self.form(stride).map(Lanes::Strided))?;
                let value = self.span(*value)?;
                Inst::Store(self.access(*buffer, index, lanes, mask, value)?)
            }
            Stmt::For { var, start, end, step, carried, body } => {
                let (start, end) = (self.form(start)?, self.form(end)?);
                self.for_loop(var, (start, end, *step), carried, body)?
            }
            Stmt::If { conds, then, otherwise } => Inst::If {
                conds: conds.iter().map(|cond| self.test(cond)).collect::<Result<_, String>>()?,
                then: self.block(then)?,
                otherwise: self.block(otherwise)?,
            },
        })
    }

    fn test(&mut self, cond: &Cond) -> Result<Test, String> {
        Ok(match cond {
            Cond::Less(a, b) => Test::Less(self.form(a)?, self.form(b)?),
            Cond::Equal(a, b) => Test::Equal(self.form(a)?, self.form(b)?),
            Cond::Value(id) => Test::Value(self.span(*id)?),
        })
    }

    /// `inside` and `result` share one place: the value carried last is the result.
    fn for_loop(
        &mut self,
        var: &Sym,
        (start, end, step): (FormId, FormId, i64),
        carried: &[Carried],
        body: &[Stmt],
    ) -> Result<Inst, String> {
        let inside = carried.iter().map(|c| self.define(c.inside)).collect::<Result<Vec<Span>, String>>()?;
        let enter = self.copies(carried.iter().map(|c| c.init), &inside)?;
        let mark = self.open();
        let slot = self.bind(var);
        let body = body.iter().map(|stmt| self.stmt(stmt)).collect::<Result<Vec<Inst>, String>>()?;
        let turn = self.copies(carried.iter().map(|c| c.next), &inside)?;
        self.close(mark);
        for (c, span) in carried.iter().zip(&inside) {
            self.place(c.result, *span);
        }
        let staged = turn.iter().enumerate().any(|(at, copy)| turn[..at].iter().any(|before| before.to == copy.from));
        Ok(Inst::For(Box::new(Loop { slot, start, end, step, enter, turn, staged, body })))
    }

    fn copies(&self, from: impl Iterator<Item = ValueId>, to: &[Span]) -> Result<Vec<Copy>, String> {
        from.zip(to).map(|(from, to)| Ok(Copy { from: self.span(from)?, to: *to })).collect()
    }

    fn op(&mut self, value: ValueId, op: &Op) -> Result<Inst, String> {
        let ty = self.ty(value)?;
        let operand = |this: &Self, id: &ValueId| Ok::<_, String>((this.span(*id)?, this.ty(*id)?.dtype));
        let undefined = || format!("{op:?} is not defined on {}", ty.dtype);
        // operands are looked up first: a value is not in its own scope
        Ok(match op {
            Op::Literal(literal) => Inst::Const { bytes: element(*literal, ty.dtype).repeat(ty.lanes as usize), to: self.define(value)? },
            Op::Lanes => {
                let bytes = (0..ty.lanes).flat_map(|lane| element(Literal::Int(lane as i64), ty.dtype)).collect();
                Inst::Const { bytes, to: self.define(value)? }
            }
            Op::Index(index) => Inst::Index { value: self.form(index)?, to: self.define(value)? },
            Op::Below(limit) => Inst::Below { limit: self.form(limit)?, to: self.define(value)? },
            Op::Load { buffer, index, mask } => self.load(value, *buffer, index, Lanes::Dense, mask)?,
            Op::LoadStrided { buffer, index, stride, mask } => {
                let lanes = Lanes::Strided(self.form(stride)?);
                self.load(value, *buffer, index, lanes, mask)?
            }
            Op::Gather { buffer, index, offsets, mask } => {
                let lanes = Lanes::Offsets(self.span(*offsets)?);
                self.load(value, *buffer, index, lanes, mask)?
            }
            Op::Splat(a) => Inst::Map1 { map: splat(ty.dtype), a: self.span(*a)?, to: self.define(value)? },
            Op::Bits(a) => Inst::Map1 { map: copied, a: self.span(*a)?, to: self.define(value)? },
            Op::Unary(op, a) => Inst::Map1 { map: unary(*op, ty.dtype).ok_or_else(undefined)?, a: self.span(*a)?, to: self.define(value)? },
            Op::Convert(a) => {
                let (a, from) = operand(self, a)?;
                Inst::Map1 { map: convert(from, ty.dtype), a, to: self.define(value)? }
            }
            Op::Binary(op, a, b) => {
                let map = binary(*op, ty.dtype).ok_or_else(undefined)?;
                Inst::Map2 { map, a: self.span(*a)?, b: self.span(*b)?, to: self.define(value)? }
            }
            Op::Compare(op, a, b) => {
                let (a, dtype) = operand(self, a)?;
                let map = compare(*op, dtype).ok_or_else(undefined)?;
                Inst::Map2 { map, a, b: self.span(*b)?, to: self.define(value)? }
            }
            Op::MulAdd(a, b, c) => {
                let map = mul_add(ty.dtype).ok_or_else(undefined)?;
                Inst::Map3 { map, a: self.span(*a)?, b: self.span(*b)?, c: self.span(*c)?, to: self.define(value)? }
            }
            Op::Dot(a, b, c) => {
                let (a, dtype) = operand(self, a)?;
                let map = dot(dtype).ok_or_else(undefined)?;
                Inst::Map3 { map, a, b: self.span(*b)?, c: self.span(*c)?, to: self.define(value)? }
            }
            Op::Select(cond, a, b) => {
                let (a, b, c) = (self.span(*cond)?, self.span(*a)?, self.span(*b)?);
                Inst::Map3 { map: select(ty.dtype), a, b, c, to: self.define(value)? }
            }
            Op::Fold(monoid, a) => {
                let map = binary(Binary::folds(*monoid), ty.dtype).ok_or_else(undefined)?;
                Inst::Fold { map, a: self.span(*a)?, to: self.define(value)? }
            }
            Op::Shuffle(a, b, lanes) => {
                let (a, b) = (self.span(*a)?, self.span(*b)?);
                Inst::Shuffle { a, b, size: ty.dtype.size(), lanes: lanes.clone(), to: self.define(value)? }
            }
        })
    }

    fn load(&mut self, id: ValueId, buffer: BufferId, index: &Expr, lanes: Lanes, mask: &Option<ValueId>) -> Result<Inst, String> {
        let access = self.access(buffer, index, lanes, mask, Span { at: 0, len: 0 })?;
        Ok(Inst::Load(Access { value: self.define(id)?, ..access }))
    }

    fn access(&mut self, buffer: BufferId, index: &Expr, lanes: Lanes, mask: &Option<ValueId>, value: Span) -> Result<Access, String> {
        let mask = mask.map(|mask| self.span(mask)).transpose()?;
        Ok(Access { buffer, index: self.form(index)?, lanes, mask, value })
    }
}

/// One lane's bytes.
fn element(literal: Literal, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => f16::from_f64(literal.as_f64()).to_le_bytes().to_vec(),
        DType::BF16 => bf16::from_f64(literal.as_f64()).to_le_bytes().to_vec(),
        DType::F32 => (literal.as_f64() as f32).to_le_bytes().to_vec(),
        DType::F64 => literal.as_f64().to_le_bytes().to_vec(),
        DType::Bool => vec![(literal.as_i64() != 0) as u8],
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
            literal.as_i64().to_le_bytes()[..dtype.size()].to_vec()
        }
    }
}
