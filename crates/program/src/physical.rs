//! A group with its layouts applied: nests whose operands are plain row-major memory. Kernels are made from this alone.

use crate::program::{BufferId, Group, Program, Role, Stage};
use ir::TensorType;
use nest::{Index, Iter, Nest, ScalarOp};
use std::fmt;
use sym::{Expr, Sym};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhysicalRole {
    Input,
    Output,
    /// Scratch of the kernel; its dims lack the group's outer iterators.
    Local,
}

/// Row-major memory with physical dims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalBuffer {
    pub ty: TensorType,
    pub role: PhysicalRole,
}

/// A nest over physical indices; operands and writes name buffers of the group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalStage {
    pub nest: Nest,
    pub operands: Vec<usize>,
    pub writes: Vec<usize>,
}

/// What one kernel computes. Two equal values of this type make equal kernels, whatever the buffers were called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalGroup {
    /// The shared leading parallel iterators; every stage has them too.
    pub outer: Vec<Iter>,
    pub stages: Vec<PhysicalStage>,
    pub buffers: Vec<PhysicalBuffer>,
}

impl PhysicalGroup {
    /// The physical form of a group, with the program's buffer for each of its buffers.
    pub fn new(program: &Program, group: &Group) -> (PhysicalGroup, Vec<BufferId>) {
        let mut ids: Vec<BufferId> = group.reads();
        ids.extend(group.writes());
        let first = &group.stages[0].nest;
        let outer = group.outer.iter().filter_map(|sym| first.iter(sym).cloned()).collect();
        let stages = group.stages.iter().map(|stage| physical_stage(program, group, stage, &ids)).collect();
        let writes = group.writes();
        let buffers = ids.iter().map(|id| physical_buffer(program, group, *id, writes.contains(id))).collect();
        (PhysicalGroup { outer, stages, buffers }, ids)
    }

    /// All sizes that the group mentions, in order of name.
    pub fn sizes(&self) -> Vec<Sym> {
        let mut all = std::collections::BTreeSet::new();
        let mut iters = std::collections::BTreeSet::new();
        for stage in &self.stages {
            stage.nest.iters.iter().for_each(|iter| {
                iters.insert(iter.sym.clone());
                iter.extent.collect_symbols(&mut all);
            });
            for scalar in &stage.nest.body {
                match &scalar.op {
                    ScalarOp::Read(read) => read.index.iter().filter_map(Index::as_map).for_each(|e| e.collect_symbols(&mut all)),
                    ScalarOp::Index(e) => e.collect_symbols(&mut all),
                    ScalarOp::Literal(_) | ScalarOp::Apply(..) | ScalarOp::Convert(_) | ScalarOp::Bits(_) | ScalarOp::Reduce(..) => {}
                }
            }
            stage.nest.writes.iter().flat_map(|w| w.exprs()).for_each(|e| e.collect_symbols(&mut all));
        }
        self.buffers.iter().flat_map(|b| &b.ty.dims).for_each(|d| d.collect_symbols(&mut all));
        all.difference(&iters).cloned().collect()
    }
}

impl fmt::Display for PhysicalGroup {
    /// ```text
    /// outer i0 in n
    /// input f32[n, 4]
    /// output f32[n, 4]
    /// stage reads [0] writes [1] nest { .. }
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.outer.iter().try_for_each(|iter| writeln!(f, "outer {} in {}", iter.sym, iter.extent))?;
        self.buffers.iter().try_for_each(|buffer| writeln!(f, "{} {}", buffer.role.name(), buffer.ty))?;
        self.stages.iter().try_for_each(|stage| writeln!(f, "stage reads {:?} writes {:?} {}", stage.operands, stage.writes, stage.nest))
    }
}

impl PhysicalRole {
    pub fn name(self) -> &'static str {
        match self {
            PhysicalRole::Input => "input",
            PhysicalRole::Output => "output",
            PhysicalRole::Local => "local",
        }
    }
}

fn is_local(program: &Program, id: BufferId) -> bool {
    program.buffer(id).role == Role::Local
}

/// For each physical axis of a local buffer, whether it is indexed by an outer iterator (and so drops out).
fn dropped_axes(program: &Program, group: &Group, id: BufferId) -> Vec<bool> {
    let rank = program.buffer(id).layout.axes.len();
    if !is_local(program, id) {
        return vec![false; rank];
    }
    let write = group.stages.iter().find_map(|s| s.writes.iter().position(|w| *w == id).map(|at| &s.nest.writes[at]));
    let Some(write) = write else { return vec![false; rank] };
    let maps: Vec<Expr> = write.index.iter().map(|index| index.as_map().cloned().unwrap_or_default()).collect();
    let index = program.buffer(id).layout.physical_index(&maps);
    index.iter().map(|e| e.as_sym().is_some_and(|sym| group.outer.contains(sym))).collect()
}

fn kept<T: Clone>(all: &[T], dropped: &[bool]) -> Vec<T> {
    all.iter().zip(dropped).filter(|(_, dropped)| !**dropped).map(|(x, _)| x.clone()).collect()
}

fn physical_buffer(program: &Program, group: &Group, id: BufferId, written: bool) -> PhysicalBuffer {
    let buffer = program.buffer(id);
    let dims = kept(&buffer.layout.physical_dims(&buffer.ty.dims), &dropped_axes(program, group, id));
    let role = match (&buffer.role, written) {
        (Role::Local, _) => PhysicalRole::Local,
        (_, true) => PhysicalRole::Output,
        (_, false) => PhysicalRole::Input,
    };
    PhysicalBuffer { ty: TensorType::new(buffer.ty.dtype, dims), role }
}

fn physical_stage(program: &Program, group: &Group, stage: &Stage, ids: &[BufferId]) -> PhysicalStage {
    let place = |id: &BufferId| ids.iter().position(|other| other == id).unwrap_or(0);
    let mut nest = stage.nest.clone();
    let ranges = nest.ranges();
    let physical = |id: BufferId, index: &[Index]| -> Vec<Index> {
        let layout = &program.buffer(id).layout;
        let maps: Option<Vec<Expr>> = index.iter().map(|index| index.as_map().cloned()).collect();
        let index: Vec<Index> = match maps {
            Some(maps) => layout.physical_index(&maps).iter().map(|e| Index::Map(ranges.simplify(e))).collect(),
            // an index from data needs whole axes
            None => layout.axes.iter().map(|axis| index[axis.dim].clone()).collect(),
        };
        kept(&index, &dropped_axes(program, group, id))
    };
    for scalar in &mut nest.body {
        if let ScalarOp::Read(read) = &mut scalar.op {
            let id = stage.operands[read.operand];
            read.index = physical(id, &read.index);
            // where the halo holds all that a fill of zero could ask for, the fill goes
            read.fill = read.fill.filter(|_| !program.buffer(id).layout.has_halo());
        }
    }
    for (write, id) in nest.writes.iter_mut().zip(&stage.writes) {
        write.index = physical(*id, &write.index);
        write.ty = physical_buffer(program, group, *id, true).ty;
        write.name = format!("w{}", place(id));
    }
    for (operand, id) in nest.operands.iter_mut().zip(&stage.operands) {
        operand.ty = physical_buffer(program, group, *id, false).ty;
        operand.name = format!("b{}", place(id));
    }
    PhysicalStage { nest, operands: stage.operands.iter().map(place).collect(), writes: stage.writes.iter().map(place).collect() }
}

/// What sets the halo of a buffer to zero: one group for each slab before or behind a physical axis. Empty where there is no halo.
pub fn border_groups(program: &Program, id: BufferId) -> Vec<PhysicalGroup> {
    let buffer = program.buffer(id);
    let dims = buffer.layout.physical_dims(&buffer.ty.dims);
    let ty = TensorType::new(buffer.ty.dtype, dims.clone());
    let mut groups = Vec::new();
    for (at, axis) in buffer.layout.axes.iter().enumerate() {
        let (low, high) = buffer.layout.halo[axis.dim];
        let end = &dims[at] - high;
        for (start, width) in [(Expr::zero(), low), (end, high)].into_iter().filter(|(_, width)| *width > 0) {
            groups.push(slab(&ty, at, &start, width));
        }
    }
    groups
}

/// Zero in all elements whose index along `axis` is in `start..start + width`.
fn slab(ty: &TensorType, axis: usize, start: &Expr, width: i64) -> PhysicalGroup {
    let mut b = nest::NestBuilder::new();
    let extents = ty.dims.iter().enumerate().map(|(at, dim)| if at == axis { Expr::from(width) } else { dim.clone() });
    let index: Vec<Expr> =
        extents.map(|extent| if extent.is_one() { Expr::zero() } else { b.iter(&extent, nest::IterKind::Parallel) }).collect();
    let mut at = index;
    at[axis] = &at[axis] + start;
    let zero = b.literal(ir::Literal::zero(ty.dtype), ty.dtype);
    b.write("w0", ty, &at, zero);
    let stage = PhysicalStage { nest: b.finish(), operands: vec![], writes: vec![0] };
    PhysicalGroup { outer: vec![], stages: vec![stage], buffers: vec![PhysicalBuffer { ty: ty.clone(), role: PhysicalRole::Output }] }
}
