use super::*;
use crate::kernel::{Binary, Compare, Cond, Op, Space, Ty, Unary};
use crate::{BufferId, KernelBuilder, ValueId};
use bytemuck::{Pod, cast_slice, pod_collect_to_vec};
use half::{bf16, f16};
use ir::{DType, Literal};
use nest::Monoid;
use sym::{Expr, Sym};

fn bytes<T: Pod>(values: &[T]) -> Vec<u8> {
    cast_slice(values).to_vec()
}

fn read<T: Pod>(bytes: &[u8]) -> Vec<T> {
    pod_collect_to_vec(bytes)
}

fn c(value: i64) -> Expr {
    Expr::from(value)
}

/// Runs one task of a kernel that stores what `make` gives for a vector of `input`'s lanes.
fn mapped<T: Pod, R: Pod>(from: DType, to: DType, input: &[T], make: impl Fn(&mut KernelBuilder, ValueId) -> ValueId) -> Vec<R> {
    let lanes = input.len();
    let mut b = KernelBuilder::new("mapped");
    let (x, y) = (b.buffer("x", from, c(lanes as i64), Space::Input), b.buffer("y", to, c(lanes as i64), Space::Output));
    let v = b.load(x, &c(0), lanes as u32, None);
    let v = make(&mut b, v);
    b.store(y, &c(0), v, None);
    let stored = b.ty(v).lanes as usize;
    let kernel = b.finish(c(1), vec![]);
    let mut buffers = [bytes(input), vec![0; lanes * to.size()]];
    assert_eq!(run(&kernel, &mut buffers, &[], 0, 1), Ok(0));
    read(&buffers[1][..stored * to.size()])
}

fn binary<T: Pod>(dtype: DType, op: Binary, a: &[T], b: &[T]) -> Vec<T> {
    let both = [a, b].concat();
    let (n, lanes) = (a.len(), both.len() as u32);
    let out: Vec<T> = mapped(dtype, dtype, &both, |builder, v| {
        let swapped = builder.shuffle(v, v, (0..lanes).map(|l| (l + lanes / 2) % lanes).collect());
        builder.binary(op, v, swapped)
    });
    out[..n].to_vec()
}

#[test]
fn maxima_take_the_second_operand_on_nan() {
    let nan = f32::NAN;
    let out = binary(DType::F32, Binary::Max, &[nan, 1.0, 0.0, -0.0], &[1.0, nan, -0.0, 0.0]);
    assert_eq!(out[0], 1.0);
    assert!(out[1].is_nan());
    assert_eq!(out[2..].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [(-0.0f32).to_bits(), 0]);
    assert_eq!(binary(DType::I8, Binary::Min, &[-1i8, 3], &[1, -3]), [-1, -3]);
    assert_eq!(binary(DType::U8, Binary::Max, &[255u8, 3], &[1, 4]), [255, 4]);
}

#[test]
fn integers_wrap_and_never_trap() {
    assert_eq!(binary(DType::I8, Binary::Add, &[127i8, -128], &[1, -1]), [-128, 127]);
    assert_eq!(binary(DType::I32, Binary::Div, &[7i32, -7, i32::MIN, 5], &[-2, 2, -1, 0]), [-3, -3, i32::MIN, 0]);
    assert_eq!(binary(DType::I64, Binary::Rem, &[7i64, -7, i64::MIN, 5], &[-2, 2, -1, 0]), [1, -1, 0, 0]);
    assert_eq!(binary(DType::I16, Binary::Shl, &[1i16, 1, 1], &[15, 16, -1]), [i16::MIN, 1, i16::MIN]);
    assert_eq!(binary(DType::I32, Binary::Shr, &[-1i32, -1], &[31, 32]), [1, -1]);
    let neg: Vec<i8> = mapped(DType::I8, DType::I8, &[-128i8, 5], |b, v| b.unary(Unary::Neg, v));
    assert_eq!(neg, [-128, -5]);
}

#[test]
fn mul_add_rounds_once() {
    let x = 1.0 + 3.0 * f32::EPSILON;
    let out: Vec<f32> = mapped(DType::F32, DType::F32, &[x, 3.0], |b, v| {
        let one = b.float(-1.0, Ty::vector(DType::F32, 2));
        b.mul_add(v, v, one)
    });
    assert_eq!(out, [x.mul_add(x, -1.0), 8.0]);
    assert_ne!(out[0], x * x - 1.0);
}

#[test]
fn conversions_saturate_wrap_and_round_to_even() {
    let convert = |to: DType| move |b: &mut KernelBuilder, v: ValueId| b.convert(v, to);
    let floats = [1e30f32, -1e30, f32::NAN, -1.9, 2.5, 300.0];
    assert_eq!(mapped::<_, i8>(DType::F32, DType::I8, &floats, convert(DType::I8)), [127, -128, 0, -1, 2, 127]);
    assert_eq!(mapped::<_, u64>(DType::F32, DType::U64, &floats, convert(DType::U64)), [u64::MAX, 0, 0, 0, 2, 300]);
    assert_eq!(mapped::<_, u8>(DType::F32, DType::Bool, &[0.0f32, -0.0, f32::NAN, 0.1], convert(DType::Bool)), [0, 0, 1, 1]);
    assert_eq!(mapped::<_, u8>(DType::I32, DType::U8, &[-1i32, 257], convert(DType::U8)), [255, 1]);
    assert_eq!(mapped::<_, f32>(DType::Bool, DType::F32, &[1u8, 0], convert(DType::F32)), [1.0, 0.0]);
    let ties = [1.0 + 2f32.powi(-9), 1.0 + 3.0 * 2f32.powi(-9), 1.0 + 2f32.powi(-8) * 3.0];
    let brains: Vec<bf16> = mapped(DType::F32, DType::BF16, &ties, convert(DType::BF16));
    assert_eq!(brains.iter().map(|v| v.to_f32()).collect::<Vec<_>>(), [1.0, 1.0078125, 1.015625]);
    let halves: Vec<f16> = mapped(DType::I32, DType::F16, &[2049i32, 2051], convert(DType::F16));
    assert_eq!(halves.iter().map(|v| v.to_f32()).collect::<Vec<_>>(), [2048.0, 2052.0]);
}

#[test]
fn comparisons_select_and_bits() {
    let mine = [1.0f32, f32::NAN, -2.0, 0.0];
    let clamped: Vec<f32> = mapped(DType::F32, DType::F32, &mine, |b, v| {
        let zero = b.float(0.0, b.ty(v));
        let low = b.compare(Compare::Less, v, zero);
        b.select(low, zero, v)
    });
    assert_eq!(clamped[2], 0.0);
    let unequal: Vec<u8> = mapped(DType::F32, DType::Bool, &mine, |b, v| b.compare(Compare::NotEqual, v, v));
    assert_eq!(unequal, [0, 1, 0, 0]);
    let bits: Vec<i32> = mapped(DType::F32, DType::I32, &mine, |b, v| b.bits(v, DType::I32));
    assert_eq!(bits[0], 0x3f80_0000);
    let bytes: Vec<u8> = mapped(DType::I32, DType::U8, &[0x0403_0201_i32, -1], |b, v| {
        let bytes = b.bits(v, DType::U8);
        b.shuffle(bytes, bytes, vec![1, 7])
    });
    assert_eq!(bytes, [2, 255]);
}

#[test]
fn folds_go_by_halves() {
    // (1e8 + 1) + (-1e8 + 1) rounds both ones away; in another order something is left
    let lanes = [1e8f32, -1e8, 1.0, 1.0];
    let sum: Vec<f32> = mapped(DType::F32, DType::F32, &lanes, |b, v| b.fold(Monoid::Sum, v));
    assert_eq!(sum, [0.0]);
    let max: Vec<i64> = mapped(DType::I64, DType::I64, &[3i64, -9, 8, 1], |b, v| b.fold(Monoid::Max, v));
    assert_eq!(max, [8]);
}

/// `y[i] = x[i] * 2` for `n` elements by tasks of eight, with a masked tail.
fn doubling() -> Kernel {
    let (n, mut b) = (Expr::sym(&Sym::new("n")), KernelBuilder::new("doubling"));
    let (x, y) = (b.buffer("x", DType::F32, n.clone(), Space::Input), b.buffer("y", DType::F32, n.clone(), Space::Output));
    let start = b.name("i", &(Expr::sym(&Sym::new("task")) * 8));
    let mask = b.below(&(&n - &start), 8);
    let v = b.load(x, &start, 8, Some(mask));
    let twice = b.binary(Binary::Add, v, v);
    b.store(y, &start, twice, Some(mask));
    b.finish(n.ceil_div(&c(8)), vec![Sym::new("n")])
}

#[test]
fn tails_are_masked_and_tasks_can_be_split() {
    let kernel = doubling();
    let input: Vec<f32> = (0..21).map(|i| i as f32).collect();
    let mut buffers = [bytes(&input), bytes(&[-1.0f32; 21])];
    assert_eq!(run(&kernel, &mut buffers, &[21], 1, 3), Ok(0));
    let out: Vec<f32> = read(&buffers[1]);
    assert_eq!(out[7], -1.0);
    assert_eq!(out[8..], input[8..].iter().map(|v| v * 2.0).collect::<Vec<f32>>());
    let compiled = Compiled::new(&kernel).unwrap();
    let (read_only, output) = buffers.split_at_mut(1);
    let memory = vec![Memory::Read(&read_only[0]), Memory::Write(&mut output[0])];
    assert_eq!(compiled.run(memory, &[21], 0, 1), Ok(0));
    assert_eq!(read::<f32>(&buffers[1])[7], 14.0);
}

#[test]
fn faults_name_the_buffer() {
    let kernel = doubling();
    let short = run(&kernel, &mut [vec![0; 8], vec![0; 84]], &[21], 0, 1).unwrap_err();
    assert_eq!(short, "kernel doubling: buffer x: 84 bytes are needed for 21 elements, got 8");
    assert!(run(&kernel, &mut [vec![0; 84], vec![0; 84]], &[21], 0, 4).unwrap_err().contains("tasks 0..4 are not in 0..3"));
    let mut b = KernelBuilder::new("wild");
    let x = b.buffer("x", DType::F32, c(10), Space::Output);
    let v = b.load(x, &c(4), 8, None);
    b.store(x, &c(0), v, None);
    let wild = b.finish(c(1), vec![]);
    assert_eq!(run(&wild, &mut [vec![0; 40]], &[], 0, 1).unwrap_err(), "kernel wild: task 0: buffer x: index 10 is outside its len 10");
}

#[test]
fn loops_carry_values_round() {
    // (a, b) = (b, a + b): Fibonacci, where one carried value is the other's next
    let mut b = KernelBuilder::new("loop");
    let y = b.buffer("y", DType::I64, c(2), Space::Output);
    let ty = Ty::scalar(DType::I64);
    let (zero, one) = (b.int(0, ty), b.int(1, ty));
    let out = b.for_loop("i", (&c(3), &c(23), 2), &[zero, one], |b, _, inside| {
        let next = b.binary(Binary::Add, inside[0], inside[1]);
        vec![inside[1], next]
    });
    let empty = b.for_loop("j", (&c(0), &c(0), 1), &[out[1]], |_, _, inside| inside.to_vec());
    b.store(y, &c(0), out[0], None);
    b.store(y, &c(1), empty[0], None);
    let kernel = b.finish(c(1), vec![]);
    let mut buffers = [vec![0; 16]];
    assert_eq!(run(&kernel, &mut buffers, &[], 0, 1), Ok(0));
    assert_eq!(read::<i64>(&buffers[0]), [55, 89]);
}

#[test]
fn strides_gathers_and_branches() {
    let mut b = KernelBuilder::new("moves");
    let (x, y) = (b.buffer("x", DType::U16, c(12), Space::Input), b.buffer("y", DType::U16, c(12), Space::Output));
    let task = Expr::sym(&Sym::new("task"));
    let first = vec![Cond::Less(task.clone(), c(1)), Cond::Equal(task.clone(), c(0))];
    b.when(
        first,
        |b| {
            let column = b.load_strided(x, &c(1), &c(3), 4, None);
            b.store_strided(y, &c(9), &c(-3), column, None);
        },
        |b| {
            let lanes = b.lanes(Ty::vector(DType::I64, 4));
            let three = b.int(3, Ty::vector(DType::I64, 4));
            let offsets = b.binary(Binary::Mul, lanes, three);
            let mask = b.compare(Compare::Less, lanes, three);
            let column = b.gather(x, &c(2), offsets, Some(mask));
            b.store(y, &c(4), column, Some(mask));
        },
    );
    let kernel = b.finish(c(2), vec![]);
    let mut buffers = [bytes(&(0..12).collect::<Vec<u16>>()), bytes(&[99u16; 12])];
    assert_eq!(run(&kernel, &mut buffers, &[], 0, 2), Ok(0));
    assert_eq!(read::<u16>(&buffers[1]), [10, 99, 99, 7, 2, 5, 8, 99, 99, 1, 99, 99]);
}

/// `y[task] = x[data[task]]` with the index checked.
fn lookup() -> Kernel {
    let (n, mut b) = (Expr::sym(&Sym::new("n")), KernelBuilder::new("lookup"));
    let data = b.buffer("data", DType::I64, c(3), Space::Input);
    let x = b.buffer("x", DType::F32, n.clone(), Space::Input);
    let y = b.buffer("y", DType::F32, c(3), Space::Output);
    let task = Expr::sym(&Sym::new("task"));
    let at = b.load(data, &task, 1, None);
    let row = b.check(at, &n, 4);
    let v = b.load(x, &row, 1, None);
    b.store(y, &task, v, None);
    b.finish(c(3), vec![Sym::new("n")])
}

#[test]
fn data_indices_are_checked() {
    let mut buffers = [bytes(&[1i64, -1, 2]), bytes(&[10.0f32, 11.0]), vec![0; 12]];
    assert_eq!(run(&lookup(), &mut buffers, &[2], 0, 3), Ok(5));
    assert_eq!(read::<f32>(&buffers[2]), [11.0, 11.0, 0.0]);
}

#[test]
fn scratch_is_forgotten_between_tasks() {
    let mut b = KernelBuilder::new("scratch");
    let (s, y) = (b.buffer("s", DType::BF16, c(1), Space::Scratch), b.buffer("y", DType::BF16, c(2), Space::Output));
    let task = Expr::sym(&Sym::new("task"));
    let old = b.load(s, &c(0), 1, None);
    b.store(y, &task, old, None);
    let one = b.op(Op::Literal(Literal::Float(1.0)), Ty::scalar(DType::BF16));
    b.store(s, &c(0), one, None);
    let kernel = b.finish(c(2), vec![]);
    assert_eq!(kernel.params().map(|(id, _)| id).collect::<Vec<_>>(), [BufferId(1)]);
    let mut buffers = [vec![0; 4]];
    assert_eq!(run(&kernel, &mut buffers, &[], 0, 2), Ok(0));
    assert!(read::<bf16>(&buffers[0]).iter().all(|v| v.is_nan()));
}
