//! Loads and stores. What is masked is not touched.

use crate::function::{Function, Operand, start};
use ir::DType;
use kernel::{Op, Stmt, Ty, ValueId};
use sym::Expr;

impl Function<'_> {
    /// One of the loading ops.
    pub fn load(&mut self, ty: Ty, name: &str, op: &Op) -> Operand {
        let (buffer, index, mask) = match op {
            Op::Load { buffer, index, mask } | Op::LoadStrided { buffer, index, mask, .. } | Op::Gather { buffer, index, mask, .. } => {
                (*buffer, index, *mask)
            }
            other => panic!("not a load: {other:?}"),
        };
        let offset = match op {
            Op::LoadStrided { stride, .. } => Offset::Stride(self.code.index(stride)),
            Op::Gather { offsets, .. } => Offset::Each(self.value(*offsets)),
            _ => Offset::Next,
        };
        let from = self.first(index, ty.lanes);
        let mask = mask.map(|mask| self.value(mask));
        let element = |lane: &str| {
            let element = format!("{}[{from}{}]", start(buffer), offset.text(lane));
            let value = if ty.dtype == DType::Bool { format!("{element} != 0") } else { element };
            match &mask {
                None => value,
                Some(mask) => format!("{} ? {value} : 0", mask.lane(lane)),
            }
        };
        self.each(name, ty, &[], &element)
    }

    pub fn store(&mut self, stmt: &Stmt) {
        let Stmt::Store { buffer, index, stride, value, mask } = stmt else { panic!("not a store: {stmt:?}") };
        let (lanes, offset) =
            (self.ty(*value).lanes, stride.as_ref().map_or(Offset::Next, |stride| Offset::Stride(self.code.index(stride))));
        let from = self.first(index, lanes);
        let (value, mask) = (self.value(*value), mask.map(|mask: ValueId| self.value(mask)));
        let lane = if lanes == 1 { "0" } else { "l" };
        let condition = mask.map(|mask| format!("if ({}) ", mask.lane(lane))).unwrap_or_default();
        let each = if lanes == 1 { String::new() } else { format!("for (int l = 0; l < {lanes}; l++) ") };
        self.code.line(&format!("{each}{condition}{}[{from}{}] = {};", start(*buffer), offset.text(lane), value.lane(lane)));
    }

    /// The index of the first lane, named where there are others.
    fn first(&mut self, index: &Expr, lanes: u32) -> String {
        let text = self.code.bare(index);
        if lanes == 1 {
            return text;
        }
        let own = self.code.fresh("at");
        self.code.line(&format!("const uint64_t {own} = {text};"));
        own
    }
}

/// How far a lane is from the first.
enum Offset {
    Next,
    Stride(String),
    Each(Operand),
}

impl Offset {
    /// To be written behind the index.
    fn text(&self, lane: &str) -> String {
        match (self, lane) {
            (Offset::Each(offsets), lane) => format!(" + (uint64_t){}", offsets.lane(lane)),
            (_, "0") => String::new(),
            (Offset::Next, lane) => format!(" + (uint64_t){lane}"),
            (Offset::Stride(stride), lane) => format!(" + (uint64_t){lane} * (uint64_t){stride}"),
        }
    }
}
