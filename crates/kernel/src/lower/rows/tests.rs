//! Kernels of many nests against the interpreter of nests, by the default choices for two targets and by many other legal ones.

use super::flat::flat;
use super::lower;
use crate::interp;
use crate::lower::rows_choice::rows_schedule;
use crate::lower::rows_schedule::{Piece, RowsSchedule, RowsStage};
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
            let array = Array::from_fn(dtype, self.dims(&ty), |_| if written { Literal::zero(dtype) } else { number(random()) });
            // rounded to the type
            made.insert(name, Tensor::from_array(&array).to_array());
        }
        made
    }

    /// What the nests mean, with a bound on the error of each element of the last nest's results.
    fn wanted(&self) -> (BTreeMap<String, Array>, BTreeMap<String, Array>) {
        let (mut arrays, mut bounds) = (self.inputs(), BTreeMap::new());
        for nest in &self.nests {
            let operands: Vec<&Array> = nest.operands.iter().map(|o| &arrays[&o.name]).collect();
            let mut outputs: Vec<Array> = nest.writes.iter().map(|w| arrays[&w.name].clone()).collect();
            let errors = nest::interp::run_bounded(nest, &operands, &self.sizes_map(), &mut outputs).expect("a nest that runs");
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
        let kernel = lower("test", &group, schedule);
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
                // a group's later stages see the errors of earlier ones, which their own bounds do not know
                let slack = if self.nests.len() > 1 { 1e-4 } else { 0.0 };
                let near = bound.map_or(0.0, |bound| bound.get(at).as_f64()) + slack * want.get(at).as_f64().abs();
                let (x, y) = (got.get(at), want.get(at));
                let same = x == y || x.as_f64() == y.as_f64() || (x.as_f64() - y.as_f64()).abs() <= near;
                assert!(
                    same || (x.as_f64().is_nan() && y.as_f64().is_nan()),
                    "{name}[{at}]: {x} instead of {y}, within {near}\n{schedule}\n{}",
                    lower("test", &self.physical().0, schedule)
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
    let group = flat(group);
    let mut all = Vec::new();
    for (at, stage) in group.stages.iter().enumerate() {
        let syms: Vec<Sym> = stage.nest.iters.iter().map(|iter| iter.sym.clone()).collect();
        for vector in syms.iter().map(|sym| Some(sym.clone())).chain([None]) {
            let lanes = if vector.is_some() { 4 } else { 1 };
            for (unroll, tile) in [(1, None), (2, None), (3, Some(2)), (1, Some(3)), (1, Some(4))] {
                let tiled = syms.iter().rev().find(|sym| vector.as_ref() != Some(sym) && !scheduled.outer.contains(sym));
                let tile = tile.and_then(|size| tiled.map(|sym| Piece { sym: sym.clone(), size }));
                let mut other = scheduled.clone();
                other.piece = None;
                other.stages[at] = RowsStage { vector: vector.clone(), lanes, unroll, tile };
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
        let stage = RowsStage { vector: Some(iter.sym.clone()), lanes: 4, unroll: 1, tile: None };
        let outer = group.outer.iter().map(|iter| iter.sym.clone()).filter(|sym| *sym != iter.sym).collect();
        let piece = Some(Piece { sym: iter.sym.clone(), size: 4 });
        all.push(RowsSchedule { outer, piece, grain: 1, stages: vec![stage; group.stages.len()] });
    }
    all
}

#[test]
fn flat_add() {
    let add = "nest { for i0 in 2, i1 in 30, i2 in 768 operand a: f32[2, 30, 768] operand b: f32[2, 30, 768]
        v0: f32 = a[i0, i1, i2] v1: f32 = b[i0, i1, i2] v2: f32 = add v0 v1 write y: f32[2, 30, 768] at [i0, i1, i2] = v2 }";
    assert_eq!(case(&[add]).scheduled(), "rows outer [] piece i2:15360 grain 5 {vector i2:16 unroll 4}");
    case(&[&add.replace("768", "7")]).check();
}

#[test]
fn broadcast_bias() {
    case(&["nest { for i0 in 5, i1 in 37 operand a: f32[5, 37] operand b: f32[37] operand s: f32[5]
        v0: f32 = a[i0, i1] v1: f32 = b[i1] v2: f32 = add v0 v1 v3: f32 = s[i0] v4: f32 = rsqrt v3 v5: f32 = abs v2 v6: f32 = mul v5 v5
        write y: f32[5, 37] at [i0, i1] = v6 write z: f32[37, 5] at [i1, i0] = v2 }"])
    .check();
}

#[test]
fn symbolic_tails() {
    for (n, m) in [(3, 37), (1, 64), (2, 1), (0, 5), (4, 0)] {
        case(&["nest { for i0 in n, i1 in m operand a: f32[n, m] operand b: f32[m]
            v0: f32 = a[i0, i1] v1: f32 = b[i1] v2: f32 = add v0 v1 write y: f32[n, m] at [i0, i1] = v2 }"])
        .sizes(&[("n", n), ("m", m)])
        .check();
        case(&["nest { for i0 in n, i1 in m operand a: f32[n, m] v0: f32 = a[i0, i1] v1: f32 = add v0 v0
            write y: f32[n, m] at [i0, i1] = v1 }"])
        .sizes(&[("n", n), ("m", m)])
        .check();
    }
}

#[test]
fn transpose() {
    case(&["nest { for i0 in 3, i1 in 19, i2 in 21 operand a: f32[21, 3, 19] v0: f32 = a[i2, i0, i1]
        write y: f32[3, 19, 21] at [i0, i1, i2] = v0 }"])
    .check();
    case(&["nest { for i0 in n, i1 in 5 operand a: bf16[5, n] v0: bf16 = a[i1, i0] write y: bf16[n, 5] at [i0, i1] = v0 }"])
        .sizes(&[("n", 18)])
        .check();
}

#[test]
fn blocks_are_transposed_in_registers() {
    let text = "nest { for i0 in 50, i1 in 37 operand a: f32[37, 50] operand b: f32[37] v0: f32 = a[i1, i0] v1: f32 = b[i1] v2: f32 = add v0 v1
        write y: f32[50, 37] at [i0, i1] = v2 }";
    assert_eq!(case(&[text]).scheduled(), "rows outer [] grain 22 {vector i1:16 unroll 1 tile i0:16}");
    case(&[text]).check();
    case(&["nest { for i0 in n, i1 in m operand a: bf16[m, n] v0: bf16 = a[i1, i0] write y: bf16[n, m] at [i0, i1] = v0 }"])
        .sizes(&[("n", 35), ("m", 40)])
        .check();
    case(&["nest { for i0 in 40, i1 in 48 operand a: i64[48, 40] v0: i64 = a[i1, i0] write y: i64[3, 40, 16] at [i1/16, i0, i1 % 16] = v0 }"])
        .check();
}

#[test]
fn row_folds() {
    for kind in ["sum", "product", "max", "min"] {
        for extent in [1, 7, 40] {
            let text = format!(
                "nest {{ for i0 in 5 reduce i1 in {extent} operand a: f32[5, {extent}] v0: f32 = a[i0, i1] v1: f32 = reduce {kind} v0
                v2: f32 = neg v1 write y: f32[5] at [i0] = v2 }}"
            );
            case(&[&text]).check();
        }
    }
    for n in [0, 3, 70] {
        case(&[
            "nest { for i0 in 3 reduce i1 in n operand a: f32[3, n] v0: f32 = a[i0, i1] v1: f32 = reduce max v0 v2: f32 = reduce sum v0
            v3: f32 = add v1 v2 write y: f32[3] at [i0] = v3 }",
        ])
        .sizes(&[("n", n)])
        .check();
    }
    case(&["nest { for i0 in 3 reduce i1 in 40 operand a: i32[3, 40] operand p: bool[3, 40] v0: i32 = a[i0, i1] v1: i32 = reduce min v0
        v2: bool = p[i0, i1] v3: bool = reduce or v2 v4: bool = reduce and v2 write y: i32[3] at [i0] = v1 write q: bool[3] at [i0] = v3
        write r: bool[3] at [i0] = v4 }"])
    .check();
}

#[test]
fn column_folds() {
    case(&["nest { for i0 in 2, i1 in 37 reduce i2 in 5, i3 in 3 operand a: f32[2, 5, 3, 37] operand s: f32[5, 3]
        v0: f32 = a[i0, i2, i3, i1] v1: f32 = reduce max v0 v2: f32 = s[i2, i3] v3: f32 = reduce sum v2 v4: f32 = div v1 v3
        write y: f32[2, 37] at [i0, i1] = v4 }"])
    .check();
}

#[test]
fn whole_fold() {
    case(&["nest { reduce i0 in 5, i1 in 60 operand a: f32[5, 60] v0: f32 = a[i0, i1] v1: f32 = mul v0 v0 v2: f32 = reduce sum v1
        write y: f32[] at [] = v2 }"])
    .check();
}

#[test]
fn contraction() {
    case(&["nest { for i0 in 7, i1 in 33 reduce i2 in 12 operand a: f32[7, 12] operand b: f32[12, 33] operand c: f32[33]
        v0: f32 = a[i0, i2] v1: f32 = b[i2, i1] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2 v4: f32 = c[i1] v5: f32 = add v3 v4
        write y: f32[7, 33] at [i0, i1] = v5 }"])
    .check();
    case(&["nest { for i0 in n, i1 in 5 reduce i2 in 24 operand a: bf16[n, 24] operand b: bf16[5, 24]
        v0: bf16 = a[i0, i2] v1: bf16 = b[i1, i2] v2: f32 = convert v0 v3: f32 = convert v1 v4: f32 = mul v2 v3 v5: f32 = reduce sum v4
        v6: bf16 = convert v5 write y: bf16[n, 5] at [i0, i1] = v6 }"])
    .sizes(&[("n", 4)])
    .check();
}

fn softmax<'a>(n: &str, m: &str) -> Case<'a> {
    let with = |text: &str| text.replace("N", n).replace("M", m);
    let nests = [
        "nest { for o0 in N reduce i0 in M operand x: f32[N, M] v0: f32 = x[o0, i0] v1: f32 = reduce max v0 write m: f32[N] at [o0] = v1 }",
        "nest { for o0 in N, i0 in M operand x: f32[N, M] operand m: f32[N] v0: f32 = x[o0, i0] v1: f32 = m[o0] v2: f32 = sub v0 v1
         v3: f32 = exp v2 write e: f32[N, M] at [o0, i0] = v3 }",
        "nest { for o0 in N reduce i0 in M operand e: f32[N, M] v0: f32 = e[o0, i0] v1: f32 = reduce sum v0 write s: f32[N] at [o0] = v1 }",
        "nest { for o0 in N, i0 in M operand e: f32[N, M] operand s: f32[N] v0: f32 = e[o0, i0] v1: f32 = s[o0] v2: f32 = div v0 v1
         write y: f32[N, M] at [o0, i0] = v2 }",
    ];
    let nests: Vec<String> = nests.iter().map(|text| with(text)).collect();
    case(&nests.iter().map(String::as_str).collect::<Vec<_>>()).group(&["o0"], &["m", "e", "s"])
}

#[test]
fn softmax_rows() {
    softmax("5", "50").check();
    for (n, m) in [(3, 37), (0, 4), (2, 1), (9, 0)] {
        softmax("n", "m").sizes(&[("n", n), ("m", m)]).check();
    }
}

#[test]
fn softmax_along_channels() {
    let text = [
        "nest { for o0 in 2, o1 in 21 reduce i0 in 6 operand x: f32[2, 6, 21] v0: f32 = x[o0, i0, o1] v1: f32 = reduce max v0
         write m: f32[2, 21] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in 21, i0 in 6 operand x: f32[2, 6, 21] operand m: f32[2, 21] v0: f32 = x[o0, i0, o1] v1: f32 = m[o0, o1]
         v2: f32 = sub v0 v1 v3: f32 = exp v2 write e: f32[2, 6, 21] at [o0, i0, o1] = v3 }",
        "nest { for o0 in 2, o1 in 21 reduce i0 in 6 operand e: f32[2, 6, 21] v0: f32 = e[o0, i0, o1] v1: f32 = reduce sum v0
         write s: f32[2, 21] at [o0, o1] = v1 }",
        "nest { for o0 in 2, o1 in 21, i0 in 6 operand e: f32[2, 6, 21] operand s: f32[2, 21] v0: f32 = e[o0, i0, o1] v1: f32 = s[o0, o1]
         v2: f32 = div v0 v1 write y: f32[2, 6, 21] at [o0, i0, o1] = v2 }",
    ];
    let rows = case(&text).group(&["o0", "o1"], &["m", "e", "s"]);
    assert!(rows.scheduled().contains("piece o1:16"), "{}", rows.scheduled());
    rows.check();
}

#[test]
fn layer_norm_rows() {
    case(&[
        "nest { for o0 in 3, o1 in 4 reduce i0 in 40 operand x: f32[3, 4, 40] v0: f32 = x[o0, o1, i0] v1: f32 = reduce sum v0
         v2: f32 = literal 0.025 v3: f32 = mul v1 v2 write mean: f32[3, 4] at [o0, o1] = v3 }",
        "nest { for o0 in 3, o1 in 4 reduce i0 in 40 operand x: f32[3, 4, 40] operand mean: f32[3, 4] v0: f32 = x[o0, o1, i0]
         v1: f32 = mean[o0, o1] v2: f32 = sub v0 v1 v3: f32 = mul v2 v2 v4: f32 = reduce sum v3 v5: f32 = literal 0.025 v6: f32 = mul v4 v5
         v7: f32 = literal 0.00001 v8: f32 = add v6 v7 v9: f32 = rsqrt v8 write r: f32[3, 4] at [o0, o1] = v9 }",
        "nest { for o0 in 3, o1 in 4, i0 in 40 operand x: f32[3, 4, 40] operand mean: f32[3, 4] operand r: f32[3, 4] operand w: f32[40]
         operand b: f32[40] v0: f32 = x[o0, o1, i0] v1: f32 = mean[o0, o1] v2: f32 = sub v0 v1 v3: f32 = r[o0, o1] v4: f32 = mul v2 v3
         v5: f32 = w[i0] v6: f32 = b[i0] v7: f32 = mul_add v4 v5 v6 write y: f32[3, 4, 40] at [o0, o1, i0] = v7 }",
    ])
    .group(&["o0", "o1"], &["mean", "r"])
    .check();
}

#[test]
fn max_pool_with_padding() {
    case(&["nest { for i0 in 2, i1 in 3, i2 in 5, i3 in 5 reduce i4 in 3, i5 in 3 operand x: f32[2, 3, 9, 9]
        v0: f32 = x[i0, i1, 2*i2 + i4 - 1, 2*i3 + i5 - 1] fill -inf v1: f32 = reduce max v0
        write y: f32[2, 3, 5, 5] at [i0, i1, i2, i3] = v1 }"])
    .check();
    case(&["nest { for i0 in 2, i1 in 20, i2 in 5, i3 in w reduce i4 in 3, i5 in 3 operand x: f32[2, 5, w, 20]
        v0: f32 = x[i0, i2 + i4 - 1, i3 + i5 - 1, i1] fill 0.0 v1: f32 = reduce sum v0
        write y: f32[2, 5, w, 20] at [i0, i2, i3, i1] = v1 }"])
    .sizes(&[("w", 6)])
    .check();
}

#[test]
fn depthwise() {
    let text =
        "nest { for i0 in 2, i1 in 40, i2 in 6, i3 in 8 reduce i4 in 3, i5 in 3 operand x: f32[2, 8, 10, 40] operand w: f32[3, 3, 40]
        operand b: f32[40] v0: f32 = x[i0, i2 + i4, i3 + i5, i1] v1: f32 = w[i4, i5, i1] v2: f32 = mul v0 v1 v3: f32 = reduce sum v2
        v4: f32 = b[i1] v5: f32 = add v3 v4 v6: f32 = literal 0.0 v7: f32 = max v5 v6 write y: f32[2, 6, 8, 40] at [i0, i2, i3, i1] = v7 }";
    assert_eq!(case(&[text]).scheduled(), "rows outer [i0, i2] grain 23 {vector i1:16 unroll 3 tile i3:2}");
    case(&[text]).check();
}

#[test]
fn gather_rows() {
    for (n, d) in [(7, 24), (3, 1)] {
        case(&["nest { for i0 in n, i1 in d operand t: f32[50, d] operand k: i64[n] v0: i64 = k[i0] v1: f32 = t[@v0, i1]
            write y: f32[n, d] at [i0, i1] = v1 }"])
        .sizes(&[("n", n), ("d", d)])
        .range("k", -50, 50)
        .check();
    }
    case(&["nest { for i0 in 9, i1 in 3 operand t: f32[4, 5] operand k: i32[9, 2] operand c: f32[9] v0: i32 = k[i0, 0] v1: i32 = k[i0, 1]
        v2: f32 = t[@v0, @v1] v3: f32 = c[i0] v4: f32 = add v2 v3 write y: f32[9, 3] at [i0, i1] = v4 }"])
    .range("k", -4, 4)
    .check();
}

#[test]
fn a_bad_index_is_a_failed_check() {
    let gather = case(&["nest { for i0 in 3, i1 in 20 operand t: f32[5, 20] operand k: i64[3] v0: i64 = k[i0] v1: f32 = t[@v0, i1]
        write y: f32[3, 20] at [i0, i1] = v1 }"]);
    let (group, _) = gather.physical();
    let kernel = lower("gather", &group, &rows_schedule(&group, &Target::x86_64_v4()));
    let keys: Vec<u8> = [1i64, -6, 0].iter().flat_map(|k| k.to_le_bytes()).collect();
    let mut buffers = vec![vec![0; 400], keys, vec![0; 240]];
    assert_eq!(interp::run(&kernel, &mut buffers, &[], 0, 1), Ok(1));
}

#[test]
fn part_of_a_concat() {
    case(&["nest { for i0 in 3, i1 in 17 operand a: f32[3, 17] v0: f32 = a[i0, i1] write y: f32[3, 40] at [i0, i1 + 23] = v0 }"]).check();
}

#[test]
fn iota() {
    case(&["nest { for i0 in 3, i1 in 50 v0: i64 = index i1 v1: i32 = index 3*i0 + 2*i1 v2: f32 = convert v0 v3: i64 = index i1/7 + i0
        write y: i64[3, 50] at [i0, i1] = v0 write z: i32[3, 50] at [i0, i1] = v1 write w: f32[3, 50] at [i0, i1] = v2
        write q: i64[3, 50] at [i0, i1] = v3 }"])
    .check();
}

#[test]
fn bool_logic_and_select() {
    case(&["nest { for i0 in 45 operand p: bool[45] operand q: bool[45] operand a: f32[45] operand b: f32[45]
        v0: bool = p[i0] v1: bool = q[i0] v2: bool = and v0 v1 v3: bool = xor v0 v1 v4: f32 = a[i0] v5: f32 = b[i0] v6: bool = lt v4 v5
        v7: bool = or v3 v6 v8: f32 = select v7 v4 v5 v9: bool = not v2 v10: bool = eq v9 v6 v11: bool = ge v0 v1 v12: f32 = convert v11
        v13: bool = is_nan v12 v14: bool = or v10 v13 v15: bool = convert v4
        write y: f32[45] at [i0] = v8 write z: bool[45] at [i0] = v14 write w: f32[45] at [i0] = v12 write c: bool[45] at [i0] = v15 }"])
    .check();
}

#[test]
fn integer_arithmetic() {
    for dtype in ["i64", "i32", "u8", "i16", "u64"] {
        let text = "nest { for i0 in 45 operand a: T[45] operand b: T[45] v0: T = a[i0] v1: T = b[i0] v2: T = div v0 v1 v3: T = rem v0 v1
            v4: T = mul v2 v1 v5: T = add v4 v3 v6: T = sub v5 v1 v7: T = abs v6 v8: T = sign v6 v9: T = max v7 v8 v10: T = pow v0 v1
            v11: T = xor v9 v10 v12: bool = gt v0 v1 v13: T = select v12 v11 v5 write y: T[45] at [i0] = v13 write z: T[45] at [i0] = v10 }";
        case(&[&text.replace('T', dtype)]).check();
    }
}

#[test]
fn conversions() {
    case(&[
        "nest { for i0 in 45 operand a: f32[45] operand b: i64[45] operand h: f16[45] v0: f32 = a[i0] v1: i64 = convert v0 v2: i64 = b[i0]
        v3: f32 = convert v2 v4: u8 = convert v2 v5: f16 = h[i0] v6: f16 = exp v5 v7: bf16 = convert v6 v8: f64 = convert v5
        v9: f64 = sqrt v8 v10: f16 = convert v2 v11: bool = convert v5
        write y: i64[45] at [i0] = v1 write z: f32[45] at [i0] = v3 write u: u8[45] at [i0] = v4 write w: f16[45] at [i0] = v6
        write c: bf16[45] at [i0] = v7 write d: f64[45] at [i0] = v9 write e: f16[45] at [i0] = v10 write f: bool[45] at [i0] = v11 }",
    ])
    .check();
}

#[test]
fn slices_and_reversal() {
    case(&["nest { for i0 in 4, i1 in 21 operand a: f32[9, 50] v0: f32 = a[2*i0 + 1, 2*i1 + 3] v1: f32 = a[8 - i0, 49 - i1]
        v2: f32 = add v0 v1 write y: f32[4, 21] at [i0, i1] = v2 }"])
    .check();
}

#[test]
fn global_average_pool() {
    let text = "nest { for i0 in 2, i1 in 40 reduce i2 in 7, i3 in 7 operand x: f32[2, 7, 7, 40] v0: f32 = x[i0, i2, i3, i1]
        v1: f32 = reduce sum v0 v2: f32 = literal 0.02 v3: f32 = mul v1 v2 write y: f32[2, 40] at [i0, i1] = v3 }";
    assert!(case(&[text]).scheduled().contains("vector i1:16"), "{}", case(&[text]).scheduled());
    case(&[text]).check();
    case(&["nest { for i0 in 2, i1 in 5 reduce i2 in 7, i3 in 7 operand x: f32[2, 5, 7, 7] v0: f32 = x[i0, i1, i2, i3]
        v1: f32 = reduce sum v0 write y: f32[2, 5] at [i0, i1] = v1 }"])
    .check();
}

#[test]
fn mixed_radix_maps() {
    // a reshape of heads, and panels whose last one is not full
    case(&["nest { for i0 in 5, i1 in 48 operand a: f32[3, 5, 16] v0: f32 = a[i1/16, i0, i1 % 16] write y: f32[5, 48] at [i0, i1] = v0 }"])
        .check();
    case(&["nest { for i0 in 5, i1 in 50 operand a: f32[5, 50] v0: f32 = a[i0, i1] write y: f32[4, 5, 16] at [i1/16, i0, i1 % 16] = v0 }"])
        .check();
    case(&["nest { for i0 in 5, i1 in n operand a: f32[5, n] v0: f32 = a[i0, i1]
        write y: f32[(n + 15)/16, 5, 16] at [i1/16, i0, i1 % 16] = v0 }"])
    .sizes(&[("n", 50)])
    .check();
}

#[test]
fn broadcast_to_an_undecided_size() {
    for d in [1, 20] {
        case(&[
            "nest { for i0 in 3, i1 in 20 operand a: f32[3, d] operand b: f32[3, 20] v0: f32 = a[i0, min(i1, d - 1)] v1: f32 = b[i0, i1]
            v2: f32 = add v0 v1 write y: f32[3, 20] at [i0, i1] = v2 }",
        ])
        .sizes(&[("d", d)])
        .check();
    }
}

/// Random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as i64 % limit
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as i64) as usize].clone()
    }
}

/// A dim's index and its extent, as texts: an affine map of some iterators, or one with a division.
fn random_index(random: &mut Random, iters: &[(String, i64)]) -> (String, i64) {
    let (name, extent) = random.pick(iters);
    match random.below(7) {
        0 => ("0".to_string(), 2),
        1 => (format!("2*{name} + 1"), 2 * extent),
        2 => (format!("{} - {name}", extent - 1), extent),
        3 => {
            let (other, more) = random.pick(iters);
            (format!("{name} + {other}"), extent + more)
        }
        4 => (format!("{name}/{}", 2 + random.below(3)), extent),
        5 => (format!("{name} % {}", 2 + random.below(4)), 5),
        _ => (name, extent),
    }
}

fn random_nest(random: &mut Random) -> String {
    let extents = [1, 2, 3, 4, 5, 8, 12, 16, 21];
    let named = |k: i64, random: &mut Random| (format!("i{k}"), random.pick(&extents));
    let parallel: Vec<(String, i64)> = (0..1 + random.below(3)).map(|k| named(k, random)).collect();
    let folded: Vec<(String, i64)> = (0..random.below(3)).map(|k| named(k + 5, random)).collect();
    let list = |iters: &[(String, i64)]| iters.iter().map(|(name, e)| format!("{name} in {e}")).collect::<Vec<_>>().join(", ");
    let mut text = format!("nest {{ for {}\n", list(&parallel));
    if !folded.is_empty() {
        text += &format!("  reduce {}\n", list(&folded));
    }
    let all = [&parallel[..], &folded[..]].concat();
    let reads = 1 + random.below(3);
    let mut body = String::new();
    for k in 0..reads {
        let dims: Vec<(String, i64)> = (0..1 + random.below(3)).map(|_| random_index(random, &all)).collect();
        let (index, extents): (Vec<String>, Vec<String>) = dims.into_iter().map(|(i, e)| (i, e.to_string())).unzip();
        text += &format!("  operand a{k}: f32[{}]\n", extents.join(", "));
        let padded = random.below(4) == 0;
        let shifted = if padded { format!("{} - 1", index[0]) } else { index[0].clone() };
        let index = [&[shifted], &index[1..]].concat();
        body += &format!("  v{k}: f32 = a{k}[{}]{}\n", index.join(", "), if padded { " fill 1.5" } else { "" });
    }
    let mut next = reads;
    let mut value = 0;
    for k in 1..reads {
        body += &format!("  v{next}: f32 = {} v{value} v{k}\n", random.pick(&["add", "mul", "max", "sub"]));
        (value, next) = (next, next + 1);
    }
    if !folded.is_empty() {
        body += &format!("  v{next}: f32 = reduce {} v{value}\n", random.pick(&["sum", "max", "min"]));
        (value, next) = (next, next + 1);
    }
    body += &format!("  v{next}: f32 = neg v{value}\n");
    let mut order = parallel.clone();
    order.rotate_left(random.below(parallel.len() as i64) as usize);
    let index: Vec<String> = order.iter().map(|(name, _)| name.clone()).collect();
    let dims: Vec<String> = order.iter().map(|(_, e)| e.to_string()).collect();
    format!("{text}{body}  write y: f32[{}] at [{}] = v{next} }}", dims.join(", "), index.join(", "))
}

#[test]
fn random_nests() {
    let mut random = Random(11);
    for _ in 0..60 {
        case(&[&random_nest(&mut random)]).check();
    }
}
