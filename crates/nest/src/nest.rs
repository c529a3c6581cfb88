//! Types of the Nest level.

use crate::func::Func;
use ir::{DType, Literal, TensorType};
use sym::{Expr, Ranges, Sym};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IterKind {
    /// Points are independent; every write names its own element.
    Parallel,
    /// Points are folded by the `Reduce` scalars, in any order that the schedule fixes.
    Reduction,
    /// Points run in order; the body may read what earlier points wrote.
    Scan,
}

/// An iterator over `0..extent`; the extent mentions only sizes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iter {
    pub sym: Sym,
    pub extent: Expr,
    pub kind: IterKind,
}

/// A tensor that the nest reads; `dims` mention only sizes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operand {
    pub name: String,
    pub ty: TensorType,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScalarId(pub u32);

impl std::fmt::Debug for ScalarId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// How one dim of an operand is indexed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// A quasi-affine map of iterators and sizes. Must stay in bounds unless the read has a `fill`.
    Map(Expr),
    /// Read from data: the integer scalar's value, checked at run time. A negative value counts from the dim's end.
    Data(ScalarId),
}

impl Index {
    pub fn as_map(&self) -> Option<&Expr> {
        match self {
            Index::Map(expr) => Some(expr),
            Index::Data(_) => None,
        }
    }

    pub fn as_data(&self) -> Option<ScalarId> {
        match self {
            Index::Map(_) => None,
            Index::Data(id) => Some(*id),
        }
    }

    /// The same with its scalar renamed or its map rewritten.
    pub fn map(&self, scalar: &dyn Fn(ScalarId) -> ScalarId, expr: &dyn Fn(&Expr) -> Expr) -> Index {
        match self {
            Index::Map(e) => Index::Map(expr(e)),
            Index::Data(id) => Index::Data(scalar(*id)),
        }
    }
}

/// A read of one element. With `fill`, an index outside the operand (a map's, never data's) gives that value instead: padding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    pub operand: usize,
    pub index: Vec<Index>,
    pub fill: Option<Literal>,
}

/// How a reduction folds values. Each has an identity, so an empty reduction is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Monoid {
    Sum,
    Product,
    Max,
    Min,
    And,
    Or,
}

impl Monoid {
    pub const ALL: [Monoid; 6] = [Monoid::Sum, Monoid::Product, Monoid::Max, Monoid::Min, Monoid::And, Monoid::Or];

    pub fn name(self) -> &'static str {
        match self {
            Monoid::Sum => "sum",
            Monoid::Product => "product",
            Monoid::Max => "max",
            Monoid::Min => "min",
            Monoid::And => "and",
            Monoid::Or => "or",
        }
    }

    /// The binary function that folds.
    pub fn func(self) -> Func {
        match self {
            Monoid::Sum => Func::Add,
            Monoid::Product => Func::Mul,
            Monoid::Max => Func::Max,
            Monoid::Min => Func::Min,
            Monoid::And => Func::And,
            Monoid::Or => Func::Or,
        }
    }

    /// The value that folds to nothing: infinite for float maxima and minima, the type's end for integers.
    pub fn identity(self, dtype: DType) -> Literal {
        let end = |float: f64, int: i64| if dtype.is_float() { Literal::Float(float) } else { Literal::Int(int) };
        let (low, high) = dtype.int_range().unwrap_or((0, 0));
        match self {
            Monoid::Sum | Monoid::Or => end(0.0, 0),
            Monoid::Product | Monoid::And => end(1.0, 1),
            Monoid::Max => end(f64::NEG_INFINITY, low),
            Monoid::Min => end(f64::INFINITY, high),
        }
    }
}

/// One value of the body; its type is the type in which it is computed and stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar {
    pub op: ScalarOp,
    pub dtype: DType,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScalarOp {
    /// The operand's element, of the operand's type.
    Read(Read),
    Literal(Literal),
    /// The value of an index map, as an integer.
    Index(Expr),
    /// A scalar function; operands have the result's type except where the function says otherwise (comparisons, select).
    Apply(Func, Vec<ScalarId>),
    /// A conversion between element types: floats to integers truncate and saturate (NaN gives 0), integers wrap, anything to bool is `!= 0`.
    Convert(ScalarId),
    /// The bits of a scalar as another element type of the same size. A bool is 0 or 1, and what becomes one is `!= 0`.
    Bits(ScalarId),
    /// Folds the scalar over all reduction iterators, accumulating in this scalar's type.
    Reduce(Monoid, ScalarId),
}

/// Stores a scalar that does not depend on reduction iterators. No two parallel points write the same element; points of a scan may,
/// where the write is an update, and then take effect in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    pub name: String,
    pub ty: TensorType,
    pub index: Vec<Index>,
    /// It stores only at points where none of these is negative.
    pub only: Vec<Expr>,
    /// Folds the scalar into the element that is there; without it, the scalar takes the element's place.
    pub combine: Option<Monoid>,
    /// Floats that are finite at every point, or the nest fails: what is stored is right only where they are.
    pub finite: Vec<ScalarId>,
    pub value: ScalarId,
}

impl Write {
    /// A store at an affine index.
    pub fn plain(name: &str, ty: &TensorType, index: &[Expr], value: ScalarId) -> Write {
        let index = index.iter().cloned().map(Index::Map).collect();
        Write { name: name.to_string(), ty: ty.clone(), index, only: vec![], combine: None, finite: vec![], value }
    }

    /// Whether it changes some elements of a tensor that stands already: indexed by data, or folding.
    pub fn is_update(&self) -> bool {
        self.combine.is_some() || self.data().next().is_some()
    }

    /// The index maps, without the indices read from data.
    pub fn maps(&self) -> impl Iterator<Item = &Expr> {
        self.index.iter().filter_map(Index::as_map)
    }

    /// The index maps, and what says where it stores.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.maps().chain(&self.only)
    }

    /// The scalars that it is indexed by.
    pub fn data(&self) -> impl Iterator<Item = ScalarId> {
        self.index.iter().filter_map(Index::as_data)
    }

    /// The scalars that it mentions.
    pub fn operands(&self) -> impl Iterator<Item = ScalarId> {
        self.data().chain(self.finite.iter().copied()).chain([self.value])
    }

    /// The same with its scalars renamed and its index maps rewritten.
    pub fn map(&self, scalar: &dyn Fn(ScalarId) -> ScalarId, expr: &dyn Fn(&Expr) -> Expr) -> Write {
        let index = self.index.iter().map(|index| index.map(scalar, expr)).collect();
        let finite = self.finite.iter().map(|id| scalar(*id)).collect();
        Write { index, only: self.only.iter().map(expr).collect(), finite, value: scalar(self.value), ..self.clone() }
    }
}

/// One structured computation. The body is in SSA order: a scalar mentions only earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nest {
    pub iters: Vec<Iter>,
    pub operands: Vec<Operand>,
    pub body: Vec<Scalar>,
    pub writes: Vec<Write>,
}

impl Nest {
    pub fn scalar(&self, id: ScalarId) -> &Scalar {
        &self.body[id.0 as usize]
    }

    /// The read that a scalar is.
    pub fn read(&self, id: ScalarId) -> Option<&Read> {
        match &self.scalar(id).op {
            ScalarOp::Read(read) => Some(read),
            _ => None,
        }
    }

    pub fn iter(&self, sym: &Sym) -> Option<&Iter> {
        self.iters.iter().find(|iter| iter.sym == *sym)
    }

    pub fn parallel(&self) -> impl Iterator<Item = &Iter> {
        self.iters.iter().filter(|iter| iter.kind == IterKind::Parallel)
    }

    pub fn reductions(&self) -> impl Iterator<Item = &Iter> {
        self.iters.iter().filter(|iter| iter.kind == IterKind::Reduction)
    }

    /// Whether some write changes a tensor that stands already.
    pub fn updates(&self) -> bool {
        self.writes.iter().any(Write::is_update)
    }

    pub fn has_reduction(&self) -> bool {
        self.reductions().next().is_some()
    }

    /// The reads of the body with the scalars that hold them.
    pub fn reads(&self) -> impl Iterator<Item = (ScalarId, &Read)> {
        self.body.iter().enumerate().filter_map(|(at, scalar)| match &scalar.op {
            ScalarOp::Read(read) => Some((ScalarId(at as u32), read)),
            _ => None,
        })
    }

    /// What the iterators' extents say: every iterator is inside its extent, and no loop is empty where the body runs, but that a
    /// reduction may fold nothing.
    pub fn ranges(&self) -> Ranges {
        let mut ranges = Ranges::new(0);
        for iter in &self.iters {
            ranges.iterator(&iter.sym, &iter.extent);
            if iter.kind != IterKind::Reduction {
                ranges.not_zero(&iter.extent);
            }
        }
        ranges
    }

    /// For each scalar, whether it varies over the reduction iterators (a `Reduce` never does).
    pub fn varies_in_reduction(&self) -> Vec<bool> {
        let reduced = |expr: &Expr| self.reductions().any(|iter| expr.mentions(&iter.sym));
        let mut varies: Vec<bool> = Vec::with_capacity(self.body.len());
        for scalar in &self.body {
            let of = |id: &ScalarId| varies[id.0 as usize];
            let this = match &scalar.op {
                ScalarOp::Read(read) => read.index.iter().any(|index| match index {
                    Index::Map(expr) => reduced(expr),
                    Index::Data(id) => of(id),
                }),
                ScalarOp::Literal(_) | ScalarOp::Reduce(..) => false,
                ScalarOp::Index(expr) => reduced(expr),
                ScalarOp::Apply(_, operands) => operands.iter().any(of),
                ScalarOp::Convert(operand) | ScalarOp::Bits(operand) => of(operand),
            };
            varies.push(this);
        }
        varies
    }
}

impl ScalarOp {
    /// The scalars that this one mentions, data indices included.
    pub fn operands(&self) -> Vec<ScalarId> {
        match self {
            ScalarOp::Read(read) => read.index.iter().filter_map(Index::as_data).collect(),
            ScalarOp::Literal(_) | ScalarOp::Index(_) => vec![],
            ScalarOp::Apply(_, operands) => operands.clone(),
            ScalarOp::Convert(operand) | ScalarOp::Bits(operand) | ScalarOp::Reduce(_, operand) => vec![*operand],
        }
    }

    /// The same op with its scalars renamed and its index maps rewritten.
    pub fn map(&self, scalar: &dyn Fn(ScalarId) -> ScalarId, expr: &dyn Fn(&Expr) -> Expr) -> ScalarOp {
        match self {
            ScalarOp::Read(read) => ScalarOp::Read(Read {
                operand: read.operand,
                index: read.index.iter().map(|index| index.map(scalar, expr)).collect(),
                fill: read.fill,
            }),
            ScalarOp::Literal(value) => ScalarOp::Literal(*value),
            ScalarOp::Index(e) => ScalarOp::Index(expr(e)),
            ScalarOp::Apply(func, operands) => ScalarOp::Apply(*func, operands.iter().map(|id| scalar(*id)).collect()),
            ScalarOp::Convert(operand) => ScalarOp::Convert(scalar(*operand)),
            ScalarOp::Bits(operand) => ScalarOp::Bits(scalar(*operand)),
            ScalarOp::Reduce(monoid, operand) => ScalarOp::Reduce(*monoid, scalar(*operand)),
        }
    }
}
