//! The reductions of a stage: accumulators in registers, carried through the loops over the reduction's iterators.

use super::frame::{Frame, Lanes, State};
use super::stage::{Emit, Span};
use crate::build::KernelBuilder;
use crate::kernel::{Ty, ValueId};
use crate::lower::math;
use crate::lower::point::register_dtype;
use crate::lower::scalars;
use ir::DType;
use nest::{Func, Iter, Monoid, ScalarId, ScalarOp};
use sym::{Expr, Sym};

/// One accumulator: a fold, in one state or the same for all.
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: ScalarId,
    monoid: Monoid,
    operand: ScalarId,
    state: Option<usize>,
    ty: Ty,
}

impl Emit<'_> {
    /// Evaluates the folds that the writes need; their results come into the memos.
    pub fn reduce(&self, b: &mut KernelBuilder, frame: &mut Frame) {
        let slots = self.slots(frame);
        if slots.is_empty() {
            return;
        }
        let folded: Vec<Iter> = self.cx.nest().reductions().filter(|iter| !self.is_vector(&iter.sym)).cloned().collect();
        let vector = self.cx.nest().reductions().find(|iter| self.is_vector(&iter.sym)).cloned();
        let mut inner = frame.clone();
        self.hoist(b, &mut inner, &self.open(&folded, vector.as_ref()), &self.needs.folded);
        let copies = if vector.is_some() { self.choice.unroll as usize } else { 1 };
        let identities: Vec<ValueId> = slots.iter().map(|slot| b.literal(slot.monoid.identity(slot.ty.dtype), slot.ty)).collect();
        let init: Vec<ValueId> = identities.repeat(copies);
        let sums = self.steps(b, &inner, &folded, vector.as_ref(), &slots, init);
        for (at, slot) in slots.iter().enumerate() {
            let parts: Vec<ValueId> = (0..copies).map(|copy| sums[copy * slots.len() + at]).collect();
            let value = self.finish(b, slot, parts);
            match slot.state {
                Some(state) => frame.states[state].memo.insert(slot.id, value),
                None => frame.memo.insert(slot.id, value),
            };
        }
        frame.share();
    }

    fn is_vector(&self, sym: &Sym) -> bool {
        self.choice.vector.as_ref() == Some(sym)
    }

    fn open(&self, folded: &[Iter], vector: Option<&Iter>) -> Vec<Sym> {
        folded.iter().chain(vector).map(|iter| iter.sym.clone()).collect()
    }

    fn slots(&self, frame: &Frame) -> Vec<Slot> {
        let nest = self.cx.nest();
        let varying: Vec<Sym> = self.varying.iter().filter(|sym| !nest.reductions().any(|iter| iter.sym == **sym)).cloned().collect();
        let varies = scalars::depends_on(nest, &varying);
        let along = scalars::depends_on(nest, self.choice.vector.as_slice());
        let vector_folds = nest.reductions().any(|iter| self.is_vector(&iter.sym));
        let mut slots = Vec::new();
        for (at, scalar) in nest.body.iter().enumerate().filter(|(at, _)| self.needs.written[*at]) {
            let ScalarOp::Reduce(monoid, operand) = scalar.op else { continue };
            let lanes = if vector_folds || along[operand.0 as usize] { self.choice.lanes } else { 1 };
            let ty = Ty { dtype: register_dtype(scalar.dtype), lanes };
            let states: Vec<Option<usize>> =
                if varies[operand.0 as usize] { (0..frame.states.len()).map(Some).collect() } else { vec![None] };
            slots.extend(states.into_iter().map(|state| Slot { id: ScalarId(at as u32), monoid, operand, state, ty }));
        }
        slots
    }

    /// The loops over the iterators in `folded`, then that along the lanes; `sums` holds the slots, `unroll` times for folds along lanes.
    fn steps(
        &self,
        b: &mut KernelBuilder,
        frame: &Frame,
        folded: &[Iter],
        vector: Option<&Iter>,
        slots: &[Slot],
        sums: Vec<ValueId>,
    ) -> Vec<ValueId> {
        let Some((iter, rest)) = folded.split_first() else {
            return match vector {
                Some(iter) => self.vector_steps(b, frame, iter, slots, sums),
                None => self.fold(b, frame, None, slots, &sums),
            };
        };
        b.for_loop("k", (&Expr::zero(), &iter.extent, 1), &sums, |b, k, inside| {
            let mut frame = frame.clone();
            frame.bind(&iter.sym, &Expr::zero(), k, &iter.extent);
            self.hoist(b, &mut frame, &self.open(rest, vector), &self.needs.folded);
            self.steps(b, &frame, rest, vector, slots, inside.to_vec())
        })
    }

    /// Groups of vectors, each into its own accumulators, then the vectors that are left.
    fn vector_steps(&self, b: &mut KernelBuilder, frame: &Frame, iter: &Iter, slots: &[Slot], sums: Vec<ValueId>) -> Vec<ValueId> {
        let (lanes, unroll) = (self.choice.lanes as i64, self.choice.unroll as i64);
        let span = Span { start: Expr::zero(), extent: iter.extent.clone(), piece: None };
        let group = |b: &mut KernelBuilder, first: &Expr, count: i64, variable: (&Expr, &Expr), masked: bool, sums: &[ValueId]| {
            let mut frame = frame.clone();
            super::declare(&mut frame.point, variable.0, variable.1);
            let mut next = sums.to_vec();
            for k in 0..count {
                let part = k as usize * slots.len()..(k as usize + 1) * slots.len();
                let lanes = self.lanes(b, &iter.sym, &span, &(first + k), masked && k + 1 == count);
                let folded = self.fold(b, &frame, Some(&lanes), slots, &sums[part.clone()]);
                next[part].copy_from_slice(&folded);
            }
            next
        };
        let unit = Expr::from(unroll);
        let groups = b.name("n", &iter.extent.floor_div(&Expr::from(lanes * unroll)));
        let sums = match groups.as_const() {
            Some(0) => sums,
            Some(1) => group(b, &Expr::zero(), unroll, (&Expr::zero(), &groups), false, &sums),
            _ => {
                b.for_loop("v", (&Expr::zero(), &groups, 1), &sums, |b, v, sums| group(b, &(v * &unit), unroll, (v, &groups), false, sums))
            }
        };
        let Some(extent) = iter.extent.as_const() else {
            let end = b.name("n", &iter.extent.ceil_div(&Expr::from(lanes)));
            let (first, others) = sums.split_at(slots.len());
            let first = b.for_loop("v", (&(&groups * &unit), &end, 1), first, |b, v, sums| group(b, v, 1, (v, &end), true, sums));
            return [&first[..], others].concat();
        };
        let first = extent / (lanes * unroll) * unroll;
        let left = (extent + lanes - 1) / lanes - first;
        group(b, &Expr::from(first), left, (&Expr::zero(), &Expr::one()), extent % lanes != 0, &sums)
    }

    /// One step: each slot's operand folded into its accumulator.
    fn fold(&self, b: &mut KernelBuilder, frame: &Frame, lanes: Option<&Lanes>, slots: &[Slot], sums: &[ValueId]) -> Vec<ValueId> {
        let mut states: Vec<State> = frame.states.clone();
        states.push(State { memo: frame.memo.clone(), ..State::default() });
        if lanes.is_some() {
            states.iter_mut().for_each(|state| state.lanes = lanes.cloned());
        }
        let all = states.len() - 1;
        let points: Vec<_> = states.iter().map(|state| frame.at(state)).collect();
        let mut folded = Vec::with_capacity(slots.len());
        for (slot, sum) in slots.iter().zip(sums) {
            let at = slot.state.unwrap_or(all);
            let mask = lanes.and_then(|lanes| lanes.mask);
            folded.push(self.fold_one(b, &points[at], &mut states[at].memo, slot, mask, *sum));
        }
        folded
    }

    fn fold_one(
        &self,
        b: &mut KernelBuilder,
        point: &crate::lower::Point,
        memo: &mut crate::lower::Memo,
        slot: &Slot,
        mask: Option<ValueId>,
        sum: ValueId,
    ) -> ValueId {
        if let (Some([x, y]), None) = (self.product(slot), mask) {
            let [x, y] = [x, y].map(|id| {
                let value = scalars::eval(b, self.cx, point, id, memo);
                b.splat(value, slot.ty.lanes)
            });
            return b.mul_add(x, y, sum);
        }
        let value = scalars::eval(b, self.cx, point, slot.operand, memo);
        let mut value = b.splat(value, slot.ty.lanes);
        if let Some(mask) = mask {
            let identity = b.literal(slot.monoid.identity(slot.ty.dtype), slot.ty);
            value = b.select(mask, value, identity);
        }
        math::apply(b, slot.monoid.func(), &[sum, value], &[None, None])
    }

    /// The factors of a sum of products, which is folded by multiply-adds.
    fn product(&self, slot: &Slot) -> Option<[ScalarId; 2]> {
        let scalar = self.cx.nest().scalar(slot.operand);
        let floats = matches!(scalar.dtype, DType::F32 | DType::F64);
        match &scalar.op {
            ScalarOp::Apply(Func::Mul, factors) if slot.monoid == Monoid::Sum && floats => Some([factors[0], factors[1]]),
            _ => None,
        }
    }

    /// One value from the accumulators of a slot.
    fn finish(&self, b: &mut KernelBuilder, slot: &Slot, mut parts: Vec<ValueId>) -> ValueId {
        let func = slot.monoid.func();
        while parts.len() > 1 {
            let pairs: Vec<Vec<ValueId>> = parts.chunks(2).map(<[ValueId]>::to_vec).collect();
            parts = pairs.iter().map(|pair| if pair.len() == 2 { math::apply(b, func, pair, &[None, None]) } else { pair[0] }).collect();
        }
        let along = self.cx.nest().reductions().any(|iter| self.is_vector(&iter.sym));
        let value = if along { fold_lanes(b, slot.monoid, parts[0]) } else { parts[0] };
        scalars::round_to(b, value, self.cx.nest().scalar(slot.id).dtype)
    }
}

/// All lanes folded to a scalar. The kernel's fold of extrema would lose a NaN, so those are halved here.
fn fold_lanes(b: &mut KernelBuilder, monoid: Monoid, value: ValueId) -> ValueId {
    let extremum = matches!(monoid, Monoid::Max | Monoid::Min) && b.ty(value).dtype.is_float();
    if !extremum {
        return b.fold(monoid, value);
    }
    let mut value = value;
    while b.ty(value).lanes > 1 {
        let half = b.ty(value).lanes / 2;
        let low = b.shuffle(value, value, (0..half).collect());
        let high = b.shuffle(value, value, (half..2 * half).collect());
        value = math::apply(b, monoid.func(), &[low, high], &[None, None]);
    }
    value
}
