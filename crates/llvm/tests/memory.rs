//! Loads and stores of every form and type, against the interpreter.

mod common;

use common::{Random, check, elements};
use ir::DType;
use kernel::{Binary, BufferId, Compare, Kernel, KernelBuilder, Space, Ty, ValueId};
use sym::{Expr, Sym};

const LEN: i64 = 640;
const TASKS: i64 = 8;

fn task() -> Expr {
    Expr::sym(&Sym::new(kernel::kernel::TASK))
}

fn size(name: &str) -> Expr {
    Expr::sym(&Sym::new(name))
}

/// `x` and `offsets` are read, `y` is written; `s` is 3 and `m` is 5.
fn kernel(name: &str, dtype: DType, body: impl Fn(&mut KernelBuilder, BufferId, BufferId, BufferId)) -> Kernel {
    let mut b = KernelBuilder::new(name);
    let x = b.buffer("x", dtype, Expr::from(LEN), Space::Input);
    let offsets = b.buffer("offsets", DType::I64, Expr::from(LEN), Space::Input);
    let y = b.buffer("y", dtype, Expr::from(LEN), Space::Output);
    body(&mut b, x, offsets, y);
    b.finish(Expr::from(TASKS), vec![Sym::new("s"), Sym::new("m")])
}

fn check_kernel(kernel: &Kernel) {
    let dtype = kernel.buffers[0].dtype;
    let mut random = Random(5);
    let offsets: Vec<u8> = (0..LEN).flat_map(|_| (random.below(300) as i64).to_le_bytes()).collect();
    let (x, y) = (elements(dtype, LEN as usize, 1), elements(dtype, LEN as usize, 2));
    check(kernel, &[x, offsets, y], &[3, 5], TASKS);
}

/// Masks: none, one that cuts with the task, one of loaded Bools.
fn masks(b: &mut KernelBuilder, lanes: u32) -> Vec<Option<ValueId>> {
    let below = b.below(&(task() * 3 - 4), lanes);
    let even = {
        let ty = Ty { dtype: DType::I32, lanes };
        let (numbers, one) = (b.lanes(ty), b.int(1, ty));
        let low = b.binary(Binary::And, numbers, one);
        b.convert(low, DType::Bool)
    };
    vec![None, Some(below), Some(even)]
}

/// Checks a way to load and a way to store, with each mask and several numbers of lanes.
fn check_access(
    name: &str,
    load: impl Fn(&mut KernelBuilder, BufferId, BufferId, u32, Option<ValueId>) -> ValueId,
    store: impl Fn(&mut KernelBuilder, BufferId, ValueId, Option<ValueId>),
) {
    for dtype in [DType::Bool, DType::I8, DType::U16, DType::I64, DType::BF16, DType::F32] {
        for lanes in [1, 2, 16] {
            for mask in 0..3 {
                let kernel = kernel(&format!("{name}_{dtype}_{lanes}_{mask}"), dtype, |b, x, offsets, y| {
                    let mask = masks(b, lanes)[mask];
                    let value = load(b, x, offsets, lanes, mask);
                    store(b, y, value, mask);
                });
                check_kernel(&kernel);
            }
        }
    }
}

fn dense(b: &mut KernelBuilder, y: BufferId, value: ValueId, _: Option<ValueId>) {
    b.store(y, &(task() * 64), value, None);
}

/// A mask wider than the registers of some machines, of which one lane may be set: the other half is not loaded.
#[test]
fn one_lane_of_a_wide_mask() {
    for set in 0..8 {
        let kernel = kernel(&format!("one_lane_{set}"), DType::F64, |b, x, _, y| {
            let ty = Ty { dtype: DType::I32, lanes: 8 };
            let (numbers, own) = (b.lanes(ty), b.int(set, ty));
            let one = b.compare(Compare::Equal, numbers, own);
            let later = b.below(&(task() - 3), 1);
            let later = b.splat(later, 8);
            let mask = b.binary(Binary::And, later, one);
            let value = b.load(x, &(task() * 31 + 1), 8, Some(mask));
            b.store(y, &(task() * 64 + 3), value, None);
        });
        check_kernel(&kernel);
    }
}

#[test]
fn dense_accesses() {
    check_access(
        "dense",
        |b, x, _, lanes, mask| b.load(x, &(task() * 31 + 1), lanes, mask),
        |b, y, value, mask| b.store(y, &(task() * 64 + 3), value, mask),
    );
}

#[test]
fn constant_strides() {
    for stride in [-7, -3, -1, 0, 2, 5, 9] {
        let start = if stride < 0 { LEN - 1 - 56 } else { 0 };
        check_access(
            &format!("stride_{}", stride + 10),
            |b, x, _, lanes, mask| b.load_strided(x, &(task() * 7 + start), &Expr::from(stride), lanes, mask),
            dense,
        );
    }
}

#[test]
fn constant_strides_of_stores() {
    for stride in [-3, 1, 4] {
        let start = if stride < 0 { 45 } else { 0 };
        check_access(
            &format!("store_stride_{}", stride + 10),
            |b, x, _, lanes, mask| b.load(x, &(task() * 16), lanes, mask),
            |b, y, value, mask| b.store_strided(y, &(task() * 64 + start), &Expr::from(stride), value, mask),
        );
    }
}

#[test]
fn symbolic_strides() {
    check_access(
        "load_by_size",
        |b, x, _, lanes, mask| b.load_strided(x, &(task() + size("m")), &(size("s") * 2 + 1), lanes, mask),
        |b, y, value, mask| b.store_strided(y, &(task() * 64), &size("s"), value, mask),
    );
}

#[test]
fn gathers() {
    check_access(
        "gather",
        |b, x, offsets, lanes, mask| {
            let offsets = b.load(offsets, &(task() * 16), lanes, None);
            b.gather(x, &(task() * size("s")), offsets, mask)
        },
        dense,
    );
}

/// Masked lanes may point anywhere: the buffers end with a page that cannot be touched only by luck, so far offsets are used.
#[test]
fn masked_lanes_touch_nothing() {
    let kernel = kernel("far", DType::F32, |b, x, _, y| {
        let mask = b.below(&Expr::from(3), 16);
        let far = 1i64 << 40;
        let strided = b.load_strided(x, &Expr::zero(), &Expr::from(2), 16, Some(mask));
        let none = b.below(&(task() - TASKS), 16);
        let absent = b.load(x, &Expr::from(far), 16, Some(none));
        let sum = b.binary(Binary::Add, strided, absent);
        b.store(y, &(task() * 64), sum, Some(mask));
        b.store(y, &Expr::from(far), sum, Some(none));
        let one = b.below(&(task() - TASKS), 1);
        let scalar = b.load(x, &Expr::from(far), 1, Some(one));
        b.store(y, &Expr::from(far), scalar, Some(one));
        b.store_strided(y, &Expr::from(far), &Expr::from(5), sum, Some(none));
    });
    check_kernel(&kernel);
}

#[test]
fn scratch_lies_after_scratch() {
    let mut b = KernelBuilder::new("scratch");
    let x = b.buffer("x", DType::F32, Expr::from(LEN), Space::Input);
    let first = b.buffer("first", DType::F32, size("m") * 7, Space::Scratch);
    let y = b.buffer("y", DType::F32, Expr::from(LEN), Space::Output);
    let second = b.buffer("second", DType::F32, Expr::from(64), Space::Scratch);
    for part in 0..4 {
        let value = b.load(x, &(task() * 64 + part * 8), 8, None);
        b.store(first, &Expr::from(part * 8), value, None);
        b.store(second, &Expr::from(part * 8), value, None);
    }
    for part in 0..4 {
        let (u, v) = (b.load(first, &Expr::from(24 - part * 8), 8, None), b.load(second, &Expr::from(part * 8), 8, None));
        let sum = b.binary(Binary::Sub, u, v);
        b.store(y, &(task() * 64 + part * 8), sum, None);
    }
    let kernel = b.finish(Expr::from(TASKS), vec![Sym::new("m")]);
    let (x, y) = (elements(DType::F32, LEN as usize, 1), vec![0; LEN as usize * 4]);
    check(&kernel, &[x, y], &[5], TASKS);
}
