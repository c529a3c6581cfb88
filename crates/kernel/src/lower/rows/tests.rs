//! Kernels of many nests against the interpreter of nests, by the default choices for two targets and by many other legal ones.

mod cases;
mod random;

use super::flat::flat;
use super::lower;
use crate::interp;
use crate::lower::rows_choice::rows_schedule;
use crate::lower::rows_schedule::{Loops, Piece, RowsSchedule, RowsStage};
use crate::schedule::Schedule;
use crate::verify::verify;
use ir::{Array, DType, Literal, Location, Tensor, TensorType};
use nest::Nest;
use program::{Buffer, BufferId, Group, Layout, PhysicalGroup, Program, Role, Stage};
use std::collections::BTreeMap;
use sym::Sym;
use target::Target;

/// Nests that run one after the other; what one writes, later ones read by its name.
struct Case<'a> {
    nests: Vec<Nest>,
    outer: Vec<&'a str>,
    locals: Vec<&'a str>,
    sizes: Vec<(&'a str, i64)>,
    /// Integer operands hold numbers of these ranges; others some small ones.
    ranges: Vec<(&'a str, (i64, i64))>,
}

fn case<'a>(nests: &[&str]) -> Case<'a> {
    let parse = |text: &&str| text.parse::<Nest>().unwrap_or_else(|why| panic!("{text}\n{why}"));
    Case { nests: nests.iter().map(parse).collect(), outer: vec![], locals: vec![], sizes: vec![], ranges: vec![] }
}

impl<'a> Case<'a> {
    fn sizes(mut self, sizes: &[(&'a str, i64)]) -> Case<'a> {
        self.sizes = sizes.to_vec();
        self
    }

    fn group(mut self, outer: &[&'a str], locals: &[&'a str]) -> Case<'a> {
        (self.outer, self.locals) = (outer.to_vec(), locals.to_vec());
        self
    }

    fn range(mut self, name: &'a str, low: i64, high: i64) -> Case<'a> {
        self.ranges.push((name, (low, high)));
        self
    }

    fn sizes_map(&self) -> BTreeMap<Sym, i64> {
        self.sizes.iter().map(|(name, value)| (Sym::new(name), *value)).collect()
    }

    fn dims(&self, ty: &TensorType) -> Vec<usize> {
        let sizes = self.sizes_map();
        ty.dims.iter().map(|d| d.eval(&|s| sizes.get(s).copied()).expect("a size") as usize).collect()
    }

    /// The tensors by name, in the order of first mention; whether each is written.
    fn tensors(&self) -> Vec<(String, TensorType, bool)> {
        let mut all: Vec<(String, TensorType, bool)> = Vec::new();
        for nest in &self.nests {
            for operand in &nest.operands {
                if all.iter().all(|(name, ..)| *name != operand.name) {
                    all.push((operand.name.clone(), operand.ty.clone(), false));
                }
            }
            for write in &nest.writes {
                all.push((write.name.clone(), write.ty.clone(), true));
            }
        }
        all
    }

    /// The group with the names of its buffers, in order.
    fn physical(&self) -> (PhysicalGroup, Vec<String>) {
        let tensors = self.tensors();
        let id = |name: &str| BufferId(tensors.iter().position(|(n, ..)| n == name).expect("a tensor") as u32);
        let role = |name: &str, written: bool| match written {
            _ if self.locals.contains(&name) => Role::Local,
            true => Role::Output(0),
            false => Role::Input(0),
        };
        let buffers = tensors.iter().map(|(name, ty, written)| Buffer {
            name: name.as_str().into(),
            ty: ty.clone(),
            layout: Layout::row_major(ty.dims.len()),
            role: role(name, *written),
        });
        let program = Program { buffers: buffers.collect(), ..Program::default() };
        let stage = |nest: &Nest| Stage {
            nest: nest.clone(),
            operands: nest.operands.iter().map(|o| id(&o.name)).collect(),
            writes: nest.writes.iter().map(|w| id(&w.name)).collect(),
            location: Location::default(),
        };
        let group = Group { outer: self.outer.iter().map(|name| Sym::new(name)).collect(), stages: self.nests.iter().map(stage).collect() };
        let (physical, ids) = PhysicalGroup::new(&program, &group);
        (physical, ids.iter().map(|id| tensors[id.0 as usize].0.clone()).collect())
    }

    fn inputs(&self) -> BTreeMap<String, Array> {
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as i64
        };
        let mut made = BTreeMap::new();
        for (name, ty, written) in self.tensors() {
            let dtype = ty.dtype;
            let range = self.ranges.iter().find(|(n, _)| *n == name).map(|(_, range)| *range);
            let (low, high) = range.unwrap_or(if dtype == DType::Bool { (0, 2) } else { (-9, 9) });
            let low = if dtype.is_unsigned_int() { low.max(0) } else { low };
            let number = |r: i64| match dtype.is_float() {
                true => Literal::Float((r % 4001) as f64 / 1024.0 - 2.0),
                false => Literal::Int(low + r % (high - low).max(1)),
            };
            let kept = written && self.nests.iter().all(|nest| !nest.updates());
            let array = Array::from_fn(dtype, self.dims(&ty), |_| if kept { Literal::zero(dtype) } else { number(random()) });
            // rounded to the type
            made.insert(name, Tensor::from_array(&array).to_array());
        }
        made
    }

    /// What the nests mean, with a bound on the error of each element of their results.
    fn wanted(&self) -> (BTreeMap<String, Array>, BTreeMap<String, Array>) {
        let (mut arrays, mut bounds) = (self.inputs(), BTreeMap::new());
        for nest in &self.nests {
            let operands: Vec<&Array> = nest.operands.iter().map(|o| &arrays[&o.name]).collect();
            let mut outputs: Vec<Array> = nest.writes.iter().map(|w| arrays[&w.name].clone()).collect();
            let known: Vec<Option<&Array>> = nest.operands.iter().map(|o| bounds.get(&o.name)).collect();
            let errors = nest::interp::run_bounded(nest, &operands, &known, &self.sizes_map(), &mut outputs).expect("a nest that runs");
            for ((write, output), error) in nest.writes.iter().zip(outputs).zip(errors) {
                arrays.insert(write.name.clone(), output);
                bounds.insert(write.name.clone(), error);
            }
        }
        (arrays, bounds)
    }

    fn run(&self, schedule: &RowsSchedule) -> BTreeMap<String, Array> {
        let (group, names) = self.physical();
        assert_eq!(schedule.faults(&group), Vec::<String>::new(), "{schedule}\n{}", self.nests[0]);
        let text = Schedule::Rows(schedule.clone()).to_string();
        assert_eq!(text.parse(), Ok(Schedule::Rows(schedule.clone())), "{text}");
        let kernel = lower("test", &group, schedule, &Target::x86_64_v4());
        let explain = || format!("{schedule}\n{}\n{kernel}", self.nests.iter().map(Nest::to_string).collect::<Vec<_>>().join("\n"));
        assert_eq!(verify(&kernel), Vec::<String>::new(), "{}", explain());
        let params: Vec<&String> = names.iter().filter(|name| !self.locals.contains(&name.as_str())).collect();
        let inputs = self.inputs();
        let mut buffers: Vec<Vec<u8>> = params.iter().map(|name| Tensor::from_array(&inputs[*name]).bytes().to_vec()).collect();
        let sizes = self.sizes_map();
        let values: Vec<i64> = kernel.sizes.iter().map(|s| sizes[s]).collect();
        let tasks = kernel.tasks.eval(&|s| sizes.get(s).copied()).expect("tasks");
        let code = interp::run(&kernel, &mut buffers, &values, 0, tasks).unwrap_or_else(|why| panic!("{why}\n{}", explain()));
        assert_eq!(code, 0, "{}", explain());
        let back = params.iter().zip(buffers).map(|(name, bytes)| {
            let was = &inputs[*name];
            let tensor = Tensor::new(was.dtype(), was.dims().to_vec(), std::sync::Arc::new(bytes)).expect("as many bytes");
            ((*name).clone(), tensor.to_array())
        });
        back.collect()
    }

    fn check_schedule(&self, schedule: &RowsSchedule) {
        let (wanted, bounds) = self.wanted();
        let got = self.run(schedule);
        for (name, got) in &got {
            let (want, bound) = (&wanted[name], bounds.get(name));
            for at in 0..want.count() {
                let near = bound.map_or(0.0, |bound| bound.get(at).as_f64());
                let (x, y) = (got.get(at), want.get(at));
                let same = x == y || x.as_f64() == y.as_f64() || (x.as_f64() - y.as_f64()).abs() <= near;
                assert!(
                    same || (x.as_f64().is_nan() && y.as_f64().is_nan()),
                    "{name}[{at}]: {x} instead of {y}, within {near}\n{schedule}\n{}",
                    lower("test", &self.physical().0, schedule, &Target::x86_64_v4())
                );
            }
        }
    }

    /// The default choices for two targets, and then every iterator along the lanes with some shapes of loops.
    fn check(self) {
        let (group, _) = self.physical();
        for target in [Target::x86_64_v4(), Target::x86_64_v3()] {
            self.check_schedule(&rows_schedule(&group, &target));
        }
        let scheduled = rows_schedule(&group, &Target::x86_64_v3());
        for schedule in variants(&group, &scheduled) {
            if schedule.faults(&group).is_empty() {
                self.check_schedule(&schedule);
            }
        }
    }

    /// The default schedule's text for AVX-512.
    fn scheduled(&self) -> String {
        rows_schedule(&self.physical().0, &Target::x86_64_v4()).to_string()
    }
}

/// Other schedules, legal or not.
fn variants(group: &PhysicalGroup, scheduled: &RowsSchedule) -> Vec<RowsSchedule> {
    let named = super::scheduled(group, scheduled.block.as_ref());
    let group = flat(group);
    let mut all = Vec::new();
    for (at, stage) in named.stages.iter().enumerate() {
        let syms: Vec<Sym> = stage.nest.iters.iter().map(|iter| iter.sym.clone()).collect();
        for vector in syms.iter().map(|sym| Some(sym.clone())).chain([None]) {
            let lanes = if vector.is_some() { 4 } else { 1 };
            for (unroll, tile) in [(1, None), (2, None), (3, Some(2)), (1, Some(3)), (1, Some(4)), (4, Some(4))] {
                let tiled = syms.iter().rev().find(|sym| vector.as_ref() != Some(sym) && !scheduled.outer.contains(sym));
                let tile = tile.and_then(|size| tiled.map(|sym| Piece { sym: sym.clone(), size }));
                let mut other = scheduled.clone();
                other.piece = None;
                other.stages[at] = RowsStage::Loops(Loops { vector: vector.clone(), lanes, unroll, tile, spread: vec![] });
                if group.stages.len() == 1 {
                    let piece = syms.iter().rev().find(|sym| !other.outer.contains(sym));
                    all.extend(piece.map(|sym| RowsSchedule { piece: Some(Piece { sym: sym.clone(), size: 8 }), ..other.clone() }));
                    all.push(RowsSchedule { outer: vec![], ..other.clone() });
                }
                all.push(other);
            }
        }
    }
    for iter in &group.outer {
        let stage = RowsStage::Loops(Loops { vector: Some(iter.sym.clone()), lanes: 4, unroll: 1, tile: None, spread: vec![] });
        let outer = group.outer.iter().map(|iter| iter.sym.clone()).filter(|sym| *sym != iter.sym).collect();
        let piece = Some(Piece { sym: iter.sym.clone(), size: 4 });
        all.push(RowsSchedule { outer, piece, block: None, grain: 1, stages: vec![stage; group.stages.len()] });
    }
    all
}
