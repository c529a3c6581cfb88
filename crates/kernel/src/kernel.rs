//! Types of the Kernel level.
//!
//! A kernel is a function `(buffers, sizes, begin, end, scratch) -> code` that runs the tasks `begin..end` of `0..tasks`. Tasks are
//! independent: no task reads what another one writes. The code is 0, or `1 + site` of the first failed [`Stmt::Check`].
//! Indices are [`Expr`]s over sizes, loop variables and named run-time indices; they count elements, not bytes.

use ir::{DType, Literal};
use nest::Monoid;
use std::collections::BTreeSet;
use sym::{Expr, Sym};

/// Sites from here on are of values that are to be finite, those below of indices.
pub const FINITE: i32 = 1 << 15;

/// The name of the loop variable over tasks.
pub const TASK: &str = "task";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

impl std::fmt::Debug for ValueId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl std::fmt::Debug for BufferId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// A scalar (`lanes == 1`) or a vector register value. A `Bool` is one bit a lane in registers and one byte in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ty {
    pub dtype: DType,
    pub lanes: u32,
}

impl Ty {
    pub fn scalar(dtype: DType) -> Ty {
        Ty { dtype, lanes: 1 }
    }

    pub fn vector(dtype: DType, lanes: u32) -> Ty {
        Ty { dtype, lanes }
    }
}

/// Where a buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// A parameter that is only read.
    Input,
    /// A parameter that is written (and may be read back by the task that wrote).
    Output,
    /// Memory of the worker, undefined at the start of each task.
    Scratch,
}

/// Flat memory of `len` elements; every access stays inside. Parameters come in the order of the list. Starts are 64-byte aligned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer {
    pub name: String,
    pub dtype: DType,
    pub len: Expr,
    pub space: Space,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unary {
    /// Floats and integers (wrapping).
    Neg,
    /// Floats: clears the sign.
    Abs,
    Sqrt,
    Floor,
    Ceil,
    /// Half to even.
    Round,
    Trunc,
    /// Subnormal numbers become zero of their sign.
    Flush,
    /// Bitwise; of a Bool, logical.
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Floats: IEEE. Integers: toward zero, by zero 0, lowest by -1 wraps.
    Div,
    /// Integers only: sign of the dividend, by zero 0.
    Rem,
    /// `a > b ? a : b` (so `b` where either is NaN).
    Max,
    /// `a < b ? a : b` (so `b` where either is NaN).
    Min,
    And,
    Or,
    Xor,
    /// Integers; the count is taken modulo the width.
    Shl,
    /// Logical shift right.
    Shr,
}

impl Binary {
    /// The op that folds two halves.
    pub fn folds(monoid: Monoid) -> Binary {
        match monoid {
            Monoid::Sum => Binary::Add,
            Monoid::Product => Binary::Mul,
            Monoid::Max => Binary::Max,
            Monoid::Min => Binary::Min,
            Monoid::And => Binary::And,
            Monoid::Or => Binary::Or,
        }
    }
}

/// Comparisons; of floats ordered (false on NaN), but `NotEqual` is true on NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// What makes a value; the value's type stands in [`Kernel::values`]. Operands have the result's lanes unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// The same literal in every lane.
    Literal(Literal),
    /// An index as a scalar integer of the result's type (i64 or i32).
    Index(Expr),
    /// `0, 1, 2, ..` as integers.
    Lanes,
    /// Lane l is true where `l < limit`.
    Below(Expr),
    /// `lanes` elements from `index` on. Lanes where `mask` is false read nothing and give 0.
    Load {
        buffer: BufferId,
        index: Expr,
        mask: Option<ValueId>,
    },
    /// Lane l reads `index + l*stride`.
    LoadStrided {
        buffer: BufferId,
        index: Expr,
        stride: Expr,
        mask: Option<ValueId>,
    },
    /// Lane l reads `index + offsets[l]` (i64 lanes).
    Gather {
        buffer: BufferId,
        index: Expr,
        offsets: ValueId,
        mask: Option<ValueId>,
    },
    /// A scalar in every lane.
    Splat(ValueId),
    Unary(Unary, ValueId),
    Binary(Binary, ValueId, ValueId),
    Compare(Compare, ValueId, ValueId),
    /// `a*b + c`, rounded once; floats.
    MulAdd(ValueId, ValueId, ValueId),
    /// `dot(a, b, c)`: to each lane of c the products of a group of lanes of a and b.
    ///
    /// - Into i32, of four u8 by four i8 or the other way round: `c[l] + sum of a[4l+g]*b[4l+g]`, which wraps.
    /// - Into f32, of two bf16: `fma(a[2l], b[2l], fma(a[2l+1], b[2l+1], c[l]))`, with every operand and result that is subnormal taken
    ///   as a zero of its sign.
    Dot(ValueId, ValueId, ValueId),
    /// `select(bool, a, b)`, lane by lane.
    Select(ValueId, ValueId, ValueId),
    /// Between element types as `nest::ScalarOp::Convert`.
    Convert(ValueId),
    /// The same bits as lanes of another type; as wide in all as the operand.
    Bits(ValueId),
    /// Folds the lanes to a scalar: halves onto each other (`x[..n/2] op x[n/2..]`) until one is left; lanes is a power of two.
    Fold(Monoid, ValueId),
    /// Lane l of the result is lane `lanes[l]` of the two vectors put end to end.
    Shuffle(ValueId, ValueId, Vec<u32>),
}

/// A value carried round a loop: `inside` is `init` on the first turn and the last turn's `next` afterwards; `result` is it after the loop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carried {
    pub init: ValueId,
    pub inside: ValueId,
    pub next: ValueId,
    pub result: ValueId,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cond {
    /// `a < b`
    Less(Expr, Expr),
    /// `a == b`
    Equal(Expr, Expr),
    /// A Bool scalar.
    Value(ValueId),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stmt {
    Def {
        value: ValueId,
        op: Op,
    },
    /// Names an index, computed here once.
    Name {
        sym: Sym,
        value: Expr,
    },
    /// Names a run-time index: the i64 scalar (plus `extent` where it is negative), or the kernel fails with `1 + site` where it is not in
    /// `0..extent`.
    Check {
        sym: Sym,
        value: ValueId,
        extent: Expr,
        site: u32,
    },
    /// Stores `lanes` elements from `index` on, with `stride` lane l at `index + l*stride`; masked lanes stay untouched.
    Store {
        buffer: BufferId,
        index: Expr,
        stride: Option<Expr>,
        value: ValueId,
        mask: Option<ValueId>,
    },
    /// Runs `body` for `var = start, start+step, ..` below `end`; `step > 0`.
    For {
        var: Sym,
        start: Expr,
        end: Expr,
        step: i64,
        carried: Vec<Carried>,
        body: Vec<Stmt>,
    },
    /// Runs `then` where all conditions hold, else `otherwise`.
    If {
        conds: Vec<Cond>,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kernel {
    pub name: String,
    /// Sizes passed in, in the order of parameters, after the buffers.
    pub sizes: Vec<Sym>,
    pub buffers: Vec<Buffer>,
    /// The type of each value.
    pub values: Vec<Ty>,
    /// How many tasks there are, over the sizes.
    pub tasks: Expr,
    /// The body of one task; the loop variable is [`TASK`].
    pub body: Vec<Stmt>,
}

impl Kernel {
    /// The element types that dots multiply.
    pub fn dot_types(&self) -> BTreeSet<[DType; 2]> {
        let types = |op: &Op| if let Op::Dot(a, b, _) = op { Some([*a, *b].map(|factor| self.ty(factor).dtype)) } else { None };
        ops(&self.body).into_iter().filter_map(types).collect()
    }

    /// Whether a task may give another code than 0.
    pub fn may_fail(&self) -> bool {
        fn any(stmts: &[Stmt]) -> bool {
            stmts.iter().any(|stmt| match stmt {
                Stmt::Check { .. } => true,
                Stmt::For { body, .. } => any(body),
                Stmt::If { then, otherwise, .. } => any(then) || any(otherwise),
                Stmt::Name { .. } | Stmt::Def { .. } | Stmt::Store { .. } => false,
            })
        }
        any(&self.body)
    }

    pub fn has_mul_add(&self) -> bool {
        ops(&self.body).into_iter().any(|op| matches!(op, Op::MulAdd(..)))
    }

    pub fn ty(&self, id: ValueId) -> Ty {
        self.values[id.0 as usize]
    }

    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// The buffers that are parameters, in the order of the argument block; the sizes follow them there.
    pub fn params(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        let ids = self.buffers.iter().enumerate().map(|(at, buffer)| (BufferId(at as u32), buffer));
        ids.filter(|(_, buffer)| buffer.space != Space::Scratch)
    }

    /// Byte offset of each scratch buffer in the worker's scratch memory, and the bytes in all; each starts 64-byte aligned.
    pub fn scratch(&self) -> (Vec<(BufferId, Expr)>, Expr) {
        let (mut offsets, mut end) = (Vec::new(), Expr::zero());
        for (at, buffer) in self.buffers.iter().enumerate().filter(|(_, b)| b.space == Space::Scratch) {
            offsets.push((BufferId(at as u32), end.clone()));
            end = end + (&buffer.len * buffer.dtype.size() as i64).round_up(64);
        }
        (offsets, end)
    }
}

impl Op {
    /// The values that this one reads.
    pub fn operands(&self) -> Vec<ValueId> {
        match self {
            Op::Literal(_) | Op::Index(_) | Op::Lanes | Op::Below(_) => vec![],
            Op::Load { mask, .. } | Op::LoadStrided { mask, .. } => mask.iter().copied().collect(),
            Op::Gather { offsets, mask, .. } => std::iter::once(*offsets).chain(*mask).collect(),
            Op::Splat(a) | Op::Unary(_, a) | Op::Convert(a) | Op::Bits(a) | Op::Fold(_, a) => vec![*a],
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Shuffle(a, b, _) => vec![*a, *b],
            Op::MulAdd(a, b, c) | Op::Dot(a, b, c) | Op::Select(a, b, c) => vec![*a, *b, *c],
        }
    }
}

/// All ops of some statements.
fn ops(stmts: &[Stmt]) -> Vec<&Op> {
    fn of(stmt: &Stmt) -> Vec<&Op> {
        match stmt {
            Stmt::Def { op, .. } => vec![op],
            Stmt::For { body, .. } => ops(body),
            Stmt::If { then, otherwise, .. } => [ops(then), ops(otherwise)].concat(),
            Stmt::Name { .. } | Stmt::Check { .. } | Stmt::Store { .. } => vec![],
        }
    }
    stmts.iter().flat_map(of).collect()
}
