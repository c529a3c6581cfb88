//! The machine: the state of one call and the instructions' effects on it.

use super::code::{Access, Code, Copy, FormId, Inst, Loop, Span, Test};
use super::index::Form;
use super::lanes::{Map2, shuffle};
use super::memory::{At, Memory, Region, regions};
use bytemuck::{cast_slice, cast_slice_mut};

/// Why a task ends early.
pub enum Stop {
    /// A failed check: the kernel's code.
    Code(i32),
    /// A fault of the kernel or of the call.
    Fault(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Stop {
        Stop::Fault(why)
    }
}

pub struct Machine<'a> {
    code: &'a Code,
    forms: Vec<Form>,
    slots: Vec<i64>,
    /// Words, so that every lane is aligned.
    registers: Vec<u64>,
    /// Room for staged copies and for the halves of a fold.
    stage: [Vec<u64>; 2],
    regions: Vec<Region<'a>>,
}

impl<'a> Machine<'a> {
    pub fn new(code: &'a Code, parameters: Vec<Memory<'a>>, sizes: &[i64]) -> Result<Machine<'a>, String> {
        if sizes.len() != code.sizes {
            return Err(format!("the kernel takes {} sizes, got {}", code.sizes, sizes.len()));
        }
        let forms: Vec<Form> = code.polys.iter().map(|poly| poly.bind(sizes)).collect();
        let regions = regions(code, parameters, &forms, sizes)?;
        let mut slots = sizes.to_vec();
        slots.resize(code.slots, 0);
        let registers = vec![0; code.registers.div_ceil(8)];
        let stage = [registers.clone(), registers.clone()];
        Ok(Machine { code, forms, slots, registers, stage, regions })
    }

    pub fn tasks(&self) -> Result<i64, String> {
        self.eval(self.code.tasks)
    }

    pub fn task(&mut self, task: i64) -> Result<(), Stop> {
        let code = self.code;
        self.slots[code.sizes] = task;
        self.regions.iter_mut().for_each(Region::forget);
        self.block(&code.body)
    }

    fn eval(&self, id: FormId) -> Result<i64, String> {
        self.forms[id.0].eval(&self.slots)
    }

    fn block(&mut self, block: &[Inst]) -> Result<(), Stop> {
        block.iter().try_for_each(|inst| self.inst(inst))
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), Stop> {
        match inst {
            Inst::Const { to, bytes } => self.split(*to).0.copy_from_slice(bytes),
            Inst::Index { to, value } => {
                let value = self.eval(*value)?.to_le_bytes();
                self.split(*to).0.copy_from_slice(&value[..to.len]);
            }
            Inst::Below { to, limit } => {
                let limit = self.eval(*limit)?;
                self.split(*to).0.iter_mut().zip(0..).for_each(|(bit, lane)| *bit = (lane < limit) as u8);
            }
            Inst::Load(access) => self.load(access)?,
            Inst::Store(access) => self.store(access)?,
            Inst::Map1 { map, to, a } => {
                let (to, old) = self.split(*to);
                map(to, &old[a.range()]);
            }
            Inst::Map2 { map, to, a, b } => {
                let (to, old) = self.split(*to);
                map(to, &old[a.range()], &old[b.range()]);
            }
            Inst::Map3 { map, to, a, b, c } => {
                let (to, old) = self.split(*to);
                map(to, &old[a.range()], &old[b.range()], &old[c.range()]);
            }
            Inst::Shuffle { to, a, b, size, lanes } => {
                let (to, old) = self.split(*to);
                shuffle(*size, to, &old[a.range()], &old[b.range()], lanes);
            }
            Inst::Fold { map, to, a } => self.fold(*map, *to, *a),
            Inst::Name { slot, value } => self.slots[*slot] = self.eval(*value)?,
            Inst::Check { slot, value, extent, code } => self.check(*slot, *value, *extent, *code)?,
            Inst::For(each) => self.for_loop(each)?,
            Inst::If { conds, then, otherwise } => {
                let branch = if self.all(conds)? { then } else { otherwise };
                self.block(branch)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        cast_slice(&self.registers)
    }

    /// The bytes of a result, and all those before it.
    fn split(&mut self, to: Span) -> (&mut [u8], &[u8]) {
        let (old, new) = cast_slice_mut::<u64, u8>(&mut self.registers).split_at_mut(to.at);
        (&mut new[..to.len], old)
    }

    fn load(&mut self, access: &Access) -> Result<(), String> {
        let index = self.eval(access.index)?;
        let (old, new) = cast_slice_mut::<u64, u8>(&mut self.registers).split_at_mut(access.value.at);
        let at = At::new(access.lanes, &self.forms, &self.slots, old)?;
        let mask = access.mask.map(|mask| &old[mask.range()]);
        self.regions[access.buffer.0 as usize].load(index, &at, mask, &mut new[..access.value.len])
    }

    fn store(&mut self, access: &Access) -> Result<(), String> {
        let index = self.eval(access.index)?;
        let registers = cast_slice::<u64, u8>(&self.registers);
        let at = At::new(access.lanes, &self.forms, &self.slots, registers)?;
        let mask = access.mask.map(|mask| &registers[mask.range()]);
        self.regions[access.buffer.0 as usize].store(index, &at, mask, &registers[access.value.range()])
    }

    fn fold(&mut self, map: Map2, to: Span, a: Span) {
        let [from, half] = &mut self.stage;
        let (mut from, mut half) = (cast_slice_mut::<u64, u8>(from), cast_slice_mut::<u64, u8>(half));
        let registers = cast_slice_mut::<u64, u8>(&mut self.registers);
        from[..a.len].copy_from_slice(&registers[a.range()]);
        let mut len = a.len / 2;
        while len >= to.len {
            map(&mut half[..len], &from[..len], &from[len..2 * len]);
            (from, half) = (half, from);
            len /= 2;
        }
        registers[to.range()].copy_from_slice(&from[..to.len]);
    }

    fn check(&mut self, slot: usize, value: Span, extent: FormId, code: i32) -> Result<(), Stop> {
        let extent = self.eval(extent)?;
        let value = cast_slice::<u8, i64>(&self.bytes()[value.range()])[0];
        let index = if value < 0 { value.wrapping_add(extent) } else { value };
        self.slots[slot] = index;
        if (0..extent).contains(&index) { Ok(()) } else { Err(Stop::Code(code)) }
    }

    fn all(&self, conds: &[Test]) -> Result<bool, String> {
        for cond in conds {
            let holds = match cond {
                Test::Less(a, b) => self.eval(*a)? < self.eval(*b)?,
                Test::Equal(a, b) => self.eval(*a)? == self.eval(*b)?,
                Test::Value(span) => self.bytes()[span.at] != 0,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn for_loop(&mut self, each: &Loop) -> Result<(), Stop> {
        let (mut at, end) = (self.eval(each.start)?, self.eval(each.end)?);
        self.copy(&each.enter);
        while at < end {
            self.slots[each.slot] = at;
            self.block(&each.body)?;
            if each.staged {
                self.copy_staged(&each.turn)
            } else {
                self.copy(&each.turn)
            }
            at = at.saturating_add(each.step);
        }
        Ok(())
    }

    fn copy(&mut self, copies: &[Copy]) {
        let registers = cast_slice_mut::<u64, u8>(&mut self.registers);
        copies.iter().for_each(|copy| registers.copy_within(copy.from.range(), copy.to.at));
    }

    fn copy_staged(&mut self, copies: &[Copy]) {
        let (stage, registers) = (cast_slice_mut::<u64, u8>(&mut self.stage[0]), cast_slice_mut::<u64, u8>(&mut self.registers));
        copies.iter().for_each(|copy| stage[copy.to.range()].copy_from_slice(&registers[copy.from.range()]));
        copies.iter().for_each(|copy| registers[copy.to.range()].copy_from_slice(&stage[copy.to.range()]));
    }
}
