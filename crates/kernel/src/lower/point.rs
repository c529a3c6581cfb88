//! Where a body is evaluated.

use crate::kernel::{BufferId, ValueId};
use ir::DType;
use nest::{Index, Nest, ScalarId};
use program::PhysicalStage;
use std::collections::{BTreeMap, HashMap};
use sym::{Atom, Expr, Ranges, Sym};

/// Values of scalars that are known at a point. An entry is good in the block that made it and inside it: clone the memo on entering a
/// loop. The caller puts the results of the reductions here.
pub type Memo = HashMap<ScalarId, ValueId>;

/// The iterator that runs along the lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorIter {
    pub sym: Sym,
    pub lanes: u32,
}

/// A memory access of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    Read(ScalarId),
    /// A write of the nest, by its number.
    Write(usize),
}

/// A stage with what its lowering needs beside it.
pub struct StageCx<'a> {
    pub stage: &'a PhysicalStage,
    /// The kernel's buffer for each buffer of the group.
    pub buffers: &'a [BufferId],
    /// The site of the stage's checks: the stage's number in its group.
    pub site: u32,
    /// What holds of the nest's iterators wherever the body runs.
    pub ranges: Ranges,
}

impl<'a> StageCx<'a> {
    pub fn new(stage: &'a PhysicalStage, buffers: &'a [BufferId], site: u32) -> StageCx<'a> {
        StageCx { stage, buffers, site, ranges: stage.nest.ranges() }
    }

    pub fn nest(&self) -> &'a Nest {
        &self.stage.nest
    }

    pub fn operand_buffer(&self, operand: usize) -> BufferId {
        self.buffers[self.stage.operands[operand]]
    }

    pub fn write_buffer(&self, write: usize) -> BufferId {
        self.buffers[self.stage.writes[write]]
    }

    /// The address of an access over the nest's iterators; data indices stand as [`data_sym`].
    pub fn address(&self, access: Access) -> Expr {
        let Some((dims, index)) = self.indexed(access) else { panic!("{access:?} accesses no memory") };
        let map = |(index, dim): (&Index, &Expr)| match index {
            Index::Map(expr) => expr.clone(),
            Index::Data(id) => Expr::sym(&data_sym(*id, dim)),
        };
        let maps: Vec<Expr> = index.iter().zip(dims).map(map).collect();
        address(dims, &maps)
    }

    /// The dims of the tensor that an access is to, and its index; None of a scalar that is no read.
    pub fn indexed(&self, access: Access) -> Option<(&'a [Expr], &'a [Index])> {
        let nest = self.nest();
        match access {
            Access::Read(id) => match &nest.scalar(id).op {
                nest::ScalarOp::Read(read) => Some((&nest.operands[read.operand].ty.dims, &read.index)),
                _ => None,
            },
            Access::Write(at) => Some((&nest.writes[at].ty.dims, &nest.writes[at].index)),
        }
    }

    /// The data indices of an access with the dims that they point into.
    pub fn data_indices(&self, access: Access) -> impl Iterator<Item = (ScalarId, &'a Expr)> + use<'a> {
        let (dims, index) = self.indexed(access).unwrap_or_default();
        index.iter().zip(dims).filter_map(|(index, dim)| Some((index.as_data()?, dim)))
    }
}

/// The row-major linear address of an index.
pub fn address(dims: &[Expr], index: &[Expr]) -> Expr {
    dims.iter().zip(index).fold(Expr::zero(), |sum, (dim, at)| &(&sum * dim) + at)
}

/// The symbol that stands for a data index into a dim; a point's environment gives it the checked value.
pub fn data_sym(data: ScalarId, extent: &Expr) -> Sym {
    Sym::new(&format!("$data{}[{extent}]", data.0))
}

/// The symbol of the lane's number in expressions that [`Point::at`] gives.
pub fn lane_sym() -> Sym {
    Sym::new("$lane")
}

/// A point of a nest's iterators, or a vector of points.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// The value of each iterator, over sizes, loop variables and named indices; of the vector iterator, its value in lane 0. Data indices
    /// that are checked already stand here too, under [`data_sym`].
    pub env: BTreeMap<Sym, Expr>,
    pub vector: Option<VectorIter>,
    /// The lanes that count; all where it is None. At least lane 0 does.
    pub mask: Option<ValueId>,
    /// What is known of the symbols in `env`'s values.
    pub ranges: Ranges,
    /// Addresses with their outer part computed already (see `rows`); an access that is not here has [`StageCx::address`].
    pub addresses: BTreeMap<Access, Expr>,
}

impl Point {
    /// No iterator of the nest bound yet.
    pub fn new(nest: &Nest) -> Point {
        Point { ranges: nest.ranges(), ..Point::default() }
    }

    pub fn bind(&mut self, sym: &Sym, value: Expr) {
        self.env.insert(sym.clone(), value);
    }

    /// Lets an iterator run along the lanes, from `base` in lane 0. Addresses simplify best where `base` is written as a multiple of `lanes`.
    pub fn vectorise(&mut self, sym: &Sym, base: Expr, lanes: u32, mask: Option<ValueId>) {
        self.bind(sym, base);
        self.mask = mask;
        self.vector = Some(VectorIter { sym: sym.clone(), lanes });
        self.ranges.iterator(&lane_sym(), &Expr::from(lanes as i64));
    }

    pub fn lanes(&self) -> u32 {
        self.vector.as_ref().map_or(1, |v| v.lanes)
    }

    /// An expression over iterators at this point, simplified; it mentions [`lane_sym`] where it differs from lane to lane.
    pub fn at(&self, expr: &Expr) -> Expr {
        let value = |sym: &Sym| {
            let value = self.env.get(sym)?;
            let varies = self.vector.as_ref().is_some_and(|v| v.sym == *sym);
            Some(if varies { value + &Expr::sym(&lane_sym()) } else { value.clone() })
        };
        let moved = self.env.keys().any(|sym| expr.mentions(sym));
        let expr = if moved { expr.substitute(&value) } else { expr.clone() };
        let divides = expr.terms().iter().flat_map(|(monomial, _)| monomial).any(|atom| !matches!(atom, Atom::Sym(_)));
        if divides { self.ranges.simplify(&expr) } else { expr }
    }

    /// The address of an access at this point.
    pub fn address(&self, cx: &StageCx, access: Access) -> Expr {
        match self.addresses.get(&access) {
            Some(partial) => self.at(partial),
            None => self.at(&cx.address(access)),
        }
    }
}

/// The type in which values of an element type are held: f32 for the 16-bit floats, which only memory holds as they are.
pub fn register_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::Bool
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::F32
        | DType::F64 => dtype,
    }
}
