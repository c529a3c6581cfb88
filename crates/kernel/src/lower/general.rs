//! Sizes as parameters, so that groups which differ in sizes alone share one kernel.
//!
//! ```text
//! for i0 in 56, i1 in 1024: y[i0, i1 + 64] = x[i0, i1], x: [56, 1024], y: [56, 1152]
//! ->
//! for i0 in s0, i1 in s1: y[s2*i0 + i1 + s3] = x[s1*i0 + i1]     with s0 = 56, s1 = 1024, s2 = 1152, s3 = 64
//! ```
//!
//! The group is flattened as its template would do, its memory is indexed by addresses, its iterators are numbered. Then each extent,
//! stride, offset and length becomes a parameter, equal ones the same. Constants below [`FIXED`] stay: loops over a window, tiles and unit
//! strides are what code is shaped by. With the values put back it is the flat group again, so that nothing can change its meaning.

use crate::lower::point::{Access, StageCx};
use crate::lower::rows::flat::flat;
use crate::lower::rows_schedule::{Piece, RowsSchedule, RowsStage};
use crate::schedule::Schedule;
use nest::{Index, Nest, Read, ScalarOp, rewrite};
use program::{PhysicalGroup, PhysicalRole, PhysicalStage};
use std::collections::BTreeMap;
use sym::{Expr, Ranges, Sym};

/// Constants below this one stay in the code.
const FIXED: i64 = 16;

/// A group with parameters for sizes, and the value of each.
#[derive(Clone, Debug, PartialEq)]
pub struct General {
    pub group: PhysicalGroup,
    pub values: Vec<(Sym, Expr)>,
    /// From the iterators of the flat group to those of `group`.
    names: BTreeMap<Sym, Sym>,
}

/// None where the group has no such form: it has several stages, pads, indices read from data, or writes that do not always store; or where
/// an address is not linear in the iterators.
pub fn general(group: &PhysicalGroup) -> Option<General> {
    if !may_be_general(group) {
        return None;
    }
    let mut group = flat(group);
    let [stage] = group.stages.as_mut_slice() else { return None };
    if stage.nest.iters.is_empty() {
        return None;
    }
    let lens: Vec<Expr> = group.buffers.iter().map(|buffer| Expr::product(&buffer.ty.dims)).collect();
    linearise(stage, &lens);
    let names: BTreeMap<Sym, Sym> =
        stage.nest.iters.iter().enumerate().map(|(at, iter)| (iter.sym.clone(), Sym::new(&format!("i{at}")))).collect();
    stage.nest = rewrite::rename(&stage.nest, &names);
    let mut sizes = Sizes::default();
    sizes.stage(stage)?;
    for (buffer, len) in group.buffers.iter_mut().zip(&lens) {
        buffer.ty.dims = vec![sizes.parameter(len)];
    }
    group.outer.clear();
    let fits = group.sizes().iter().all(|size| sizes.values.iter().any(|(known, _)| known == size));
    fits.then_some(General { group, values: sizes.values, names })
}

fn may_be_general(group: &PhysicalGroup) -> bool {
    let [stage] = group.stages.as_slice() else { return false };
    let plain = |read: &Read| read.fill.is_none() && read.index.iter().all(|index| index.as_map().is_some());
    !group.buffers.iter().any(|buffer| buffer.role == PhysicalRole::Local)
        && stage.nest.writes.iter().all(|write| write.only.is_empty())
        && !stage.nest.updates()
        && stage.nest.reads().all(|(_, read)| plain(read))
}

impl General {
    /// The schedule of the group that this one was made of, for this one, with pieces of few sizes; None where it is not legal for it.
    pub fn schedule(&self, own: &Schedule) -> Option<Schedule> {
        let Schedule::Rows(rows) = own else { return None };
        let schedule = Schedule::Rows(rounded(rows.renamed(&self.names)?));
        schedule.faults(&self.group).is_empty().then_some(schedule)
    }
}

/// The piece of a task becomes a power of four; as many points as before are handed out together. Pieces that are tiled stay.
fn rounded(mut rows: RowsSchedule) -> RowsSchedule {
    let tiled = |piece: &Piece| {
        rows.stages.iter().any(|stage| match stage {
            RowsStage::Loops(loops) => loops.tile.as_ref().is_some_and(|tile| tile.sym == piece.sym),
            RowsStage::Tiles(_) => true,
        })
    };
    if let Some(piece) = rows.piece.take_if(|piece| piece.size >= FIXED && !tiled(piece)) {
        let size = 1 << (piece.size.ilog2() & !1);
        rows.grain = rows.grain.saturating_mul(piece.size) / size;
        rows.piece = Some(Piece { size, ..piece });
    }
    rows
}

/// Indexes all memory by addresses.
fn linearise(stage: &mut PhysicalStage, lens: &[Expr]) {
    let cx = StageCx::new(stage, &[], 0);
    let address = |access| cx.ranges.simplify(&cx.address(access));
    let mut nest = stage.nest.clone();
    for (id, _) in stage.nest.reads() {
        if let ScalarOp::Read(read) = &mut nest.body[id.0 as usize].op {
            read.index = vec![Index::Map(address(Access::Read(id)))];
        }
    }
    for (at, write) in nest.writes.iter_mut().enumerate() {
        write.index = vec![Index::Map(address(Access::Write(at)))];
        write.ty.dims = vec![lens[stage.writes[at]].clone()];
    }
    for (operand, at) in nest.operands.iter_mut().zip(&stage.operands) {
        operand.ty.dims = vec![lens[*at].clone()];
    }
    stage.nest = nest;
}

/// The parameters so far, with their values.
#[derive(Default)]
struct Sizes {
    values: Vec<(Sym, Expr)>,
}

impl Sizes {
    /// What stands for a size that is at least 1 wherever the body runs.
    fn parameter(&mut self, value: &Expr) -> Expr {
        if value.as_const().is_some_and(|value| value < FIXED) {
            return value.clone();
        }
        if let Some((sym, _)) = self.values.iter().find(|(_, known)| known == value) {
            return Expr::sym(sym);
        }
        let sym = Sym::new(&format!("s{}", self.values.len()));
        self.values.push((sym.clone(), value.clone()));
        Expr::sym(&sym)
    }

    fn stage(&mut self, stage: &mut PhysicalStage) -> Option<()> {
        let before = stage.nest.clone();
        let ranges = before.ranges();
        let nest = &mut stage.nest;
        for iter in &mut nest.iters {
            iter.extent = self.parameter(&iter.extent);
        }
        for scalar in &mut nest.body {
            match &mut scalar.op {
                ScalarOp::Read(Read { index, .. }) => {
                    for index in index.iter_mut() {
                        *index = Index::Map(self.address(&before, &ranges, index.as_map()?)?);
                    }
                }
                // it may be computed with, so that its sizes are no strides
                ScalarOp::Index(map) if !map.symbols().iter().all(|sym| before.iter(sym).is_some()) => return None,
                ScalarOp::Index(_)
                | ScalarOp::Literal(_)
                | ScalarOp::Apply(..)
                | ScalarOp::Convert(_)
                | ScalarOp::Bits(_)
                | ScalarOp::Reduce(..) => {}
            }
        }
        for write in &mut nest.writes {
            for index in &mut write.index {
                *index = Index::Map(self.address(&before, &ranges, index.as_map()?)?);
            }
            write.ty.dims = write.ty.dims.iter().map(|dim| self.parameter(dim)).collect();
        }
        for operand in &mut nest.operands {
            operand.ty.dims = operand.ty.dims.iter().map(|dim| self.parameter(dim)).collect();
        }
        Some(())
    }

    /// An address with parameters for its strides and its offset. None where it is not linear, or walks backwards: a parameter is at least
    /// 1.
    fn address(&mut self, nest: &Nest, ranges: &Ranges, address: &Expr) -> Option<Expr> {
        let (mut rest, mut out) = (address.clone(), Expr::zero());
        for iter in &nest.iters {
            let (stride, without) = rest.split_linear(&iter.sym)?;
            if nest.iters.iter().any(|other| stride.mentions(&other.sym)) || !ranges.nonnegative(&stride) {
                return None;
            }
            out = out + &self.parameter(&stride) * &Expr::sym(&iter.sym);
            rest = without;
        }
        // the offset is the address of a point, so not negative; a parameter is at least 1
        let offset = match rest.as_const() {
            Some(offset) if offset < 0 => return None,
            Some(_) => self.parameter(&rest),
            None => self.parameter(&(rest + 1)) - 1,
        };
        Some(out + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule;
    use target::Target;

    fn group(extents: [i64; 2], dtype: &str) -> PhysicalGroup {
        let [rows, columns] = extents;
        let text = format!(
            "nest {{\n for i0 in {rows}, i1 in {columns}\n operand b0: {dtype}[{rows}, {columns}]\n v0: {dtype} = b0[i0, i1]\n \
             write w1: {dtype}[{rows}, {}] at [i0, i1 + 64] = v0\n}}",
            columns + 128
        );
        let nest: Nest = text.parse().unwrap();
        let buffer = |ty: &ir::TensorType, role| program::PhysicalBuffer { ty: ty.clone(), role };
        let buffers = vec![buffer(&nest.operands[0].ty, PhysicalRole::Input), buffer(&nest.writes[0].ty, PhysicalRole::Output)];
        PhysicalGroup { outer: vec![], stages: vec![PhysicalStage { nest, operands: vec![0], writes: vec![1] }], buffers }
    }

    fn made(extents: [i64; 2], dtype: &str) -> General {
        general(&group(extents, dtype)).unwrap()
    }

    #[test]
    fn groups_that_differ_in_sizes_become_one() {
        let (a, b) = (made([100, 1000], "f32"), made([300, 2000], "f32"));
        assert_eq!(a.group, b.group);
        assert_ne!(a.values, b.values);
        assert_ne!(a.group, made([100, 1000], "i32").group);
    }

    #[test]
    fn with_the_values_back_it_is_the_group_again() {
        let general = made([100, 1000], "f32");
        let value = |sym: &Sym| general.values.iter().find(|(known, _)| known == sym).map(|(_, value)| value.clone());
        let nest = rewrite::substitute(&general.group.stages[0].nest, &value);
        assert_eq!(nest.writes[0].index, [Index::Map("1128*i0 + i1 + 64".parse().unwrap())]);
        let extents: Vec<Expr> = nest.iters.iter().map(|iter| iter.extent.substitute(&value)).collect();
        assert_eq!(extents, [Expr::from(100), Expr::from(1000)]);
    }

    #[test]
    fn the_own_schedule_takes_the_new_names() {
        let (rows, text) = (group([100, 1000], "f32"), "rows outer [i0] piece i1:200 grain 3 {vector i1:8 unroll 2}");
        let schedule = general(&rows).unwrap().schedule(&text.parse().unwrap()).unwrap();
        assert_eq!(schedule.to_string(), "rows outer [i0] piece i1:64 grain 9 {vector i1:8 unroll 2}");
        let own = schedule::choose(&rows, &Target::x86_64_v3());
        assert!(general(&rows).unwrap().schedule(&own).is_some(), "{own}");
    }

    #[test]
    fn strides_that_may_be_negative_stay() {
        let text = "nest {\n for i0 in n, i1 in m\n operand b0: f32[n, m]\n v0: f32 = b0[n - i0 - 1, i1]\n write w1: f32[n, m] at [i0, i1] = v0\n}";
        let nest: Nest = text.parse().unwrap();
        let buffer = |ty: &ir::TensorType, role| program::PhysicalBuffer { ty: ty.clone(), role };
        let buffers = vec![buffer(&nest.operands[0].ty, PhysicalRole::Input), buffer(&nest.writes[0].ty, PhysicalRole::Output)];
        let group = PhysicalGroup { outer: vec![], stages: vec![PhysicalStage { nest, operands: vec![0], writes: vec![1] }], buffers };
        assert_eq!(general(&group), None);
    }

    #[test]
    fn short_loops_stay() {
        assert_eq!(made([3, 1000], "f32").group.stages[0].nest.iters[0].extent, Expr::from(3));
        assert_ne!(made([3, 1000], "f32").group, made([100, 1000], "f32").group);
    }
}
