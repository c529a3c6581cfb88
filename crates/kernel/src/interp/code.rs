//! The compact form that the machine runs: instructions over spans of the register file, slots of indices and numbered forms.

use super::index::Poly;
use super::lanes::{Map1, Map2, Map3};
use crate::kernel::{BufferId, Space};
use ir::DType;
use std::ops::Range;

/// Where a value's bytes stand in the register file. Operands of an op stand before its result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub at: usize,
    pub len: usize,
}

impl Span {
    pub fn range(self) -> Range<usize> {
        self.at..self.at + self.len
    }
}

/// A number into [`Code::polys`].
#[derive(Clone, Copy, Debug)]
pub struct FormId(pub usize);

/// Which elements the lanes of an access touch, counted from its index.
#[derive(Clone, Copy, Debug)]
pub enum Lanes {
    Dense,
    Strided(FormId),
    /// i64 offsets.
    Offsets(Span),
}

#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub buffer: BufferId,
    pub index: FormId,
    pub lanes: Lanes,
    pub mask: Option<Span>,
    /// The register's side.
    pub value: Span,
}

pub enum Inst {
    Const {
        to: Span,
        bytes: Vec<u8>,
    },
    /// Four or eight bytes of an index.
    Index {
        to: Span,
        value: FormId,
    },
    Below {
        to: Span,
        limit: FormId,
    },
    Load(Access),
    Store(Access),
    Map1 {
        map: Map1,
        to: Span,
        a: Span,
    },
    Map2 {
        map: Map2,
        to: Span,
        a: Span,
        b: Span,
    },
    Map3 {
        map: Map3,
        to: Span,
        a: Span,
        b: Span,
        c: Span,
    },
    Shuffle {
        to: Span,
        a: Span,
        b: Span,
        size: usize,
        lanes: Vec<u32>,
    },
    /// Halves of `a` onto each other down to `to`.
    Fold {
        map: Map2,
        to: Span,
        a: Span,
    },
    Name {
        slot: usize,
        value: FormId,
    },
    Check {
        slot: usize,
        value: Span,
        extent: FormId,
        code: i32,
    },
    For(Box<Loop>),
    If {
        conds: Vec<Test>,
        then: Vec<Inst>,
        otherwise: Vec<Inst>,
    },
}

pub struct Loop {
    pub slot: usize,
    pub start: FormId,
    pub end: FormId,
    pub step: i64,
    pub enter: Vec<Copy>,
    pub turn: Vec<Copy>,
    /// A copy of `turn` reads what an earlier one writes, so that all are read first.
    pub staged: bool,
    pub body: Vec<Inst>,
}

#[derive(Clone, Copy, Debug)]
pub struct Copy {
    pub from: Span,
    pub to: Span,
}

pub enum Test {
    Less(FormId, FormId),
    Equal(FormId, FormId),
    Value(Span),
}

pub struct Place {
    pub name: String,
    pub dtype: DType,
    pub len: FormId,
    pub space: Space,
}

/// A kernel ready to run. The sizes stand in the first slots, the task in the next one.
pub struct Code {
    pub sizes: usize,
    pub slots: usize,
    pub polys: Vec<Poly>,
    pub places: Vec<Place>,
    pub tasks: FormId,
    pub body: Vec<Inst>,
    /// Bytes of the register file.
    pub registers: usize,
}
