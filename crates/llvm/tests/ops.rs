//! Every op on every type it is defined on, in scalars and vectors, against the interpreter.

mod common;

use common::{check, check_on, elements, host_with};
use ir::{DType, Literal};
use kernel::{Binary, Compare, Kernel, KernelBuilder, Op, Space, Ty, Unary, ValueId};
use nest::Monoid;
use sym::{Expr, Sym};

const COUNT: i64 = 192;
const INTEGERS: [DType; 8] = [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];
const FLOATS: [DType; 2] = [DType::F32, DType::F64];

fn task() -> Expr {
    Expr::sym(&Sym::new(kernel::kernel::TASK))
}

/// `y[..] = make(x0[..], x1[..], ..)`, one vector a task.
fn mapped(name: &str, from: &[DType], to: DType, lanes: u32, make: impl Fn(&mut KernelBuilder, &[ValueId]) -> ValueId) -> Kernel {
    let mut b = KernelBuilder::new(name);
    let inputs: Vec<_> =
        from.iter().enumerate().map(|(at, dtype)| b.buffer(&format!("x{at}"), *dtype, Expr::from(COUNT), Space::Input)).collect();
    let y = b.buffer("y", to, Expr::from(COUNT), Space::Output);
    let index = task() * i64::from(lanes);
    let values: Vec<ValueId> = inputs.iter().map(|x| b.load(*x, &index, lanes, None)).collect();
    let value = make(&mut b, &values);
    b.store(y, &index, value, None);
    b.finish(Expr::from(COUNT / i64::from(lanes)), vec![])
}

fn check_map(name: &str, from: &[DType], to: DType, make: impl Fn(&mut KernelBuilder, &[ValueId]) -> ValueId) {
    [1, 16].into_iter().for_each(|lanes| check_lanes(name, from, to, lanes, &make));
}

fn check_lanes(name: &str, from: &[DType], to: DType, lanes: u32, make: impl Fn(&mut KernelBuilder, &[ValueId]) -> ValueId) {
    let kernel = mapped(&format!("{name}_{}_{to}_{lanes}", from[0]), from, to, lanes, &make);
    let mut buffers: Vec<Vec<u8>> = from.iter().enumerate().map(|(at, dtype)| elements(*dtype, COUNT as usize, 7 + at as u64)).collect();
    buffers.push(vec![0; COUNT as usize * to.size()]);
    check(&kernel, &buffers, &[], COUNT / i64::from(lanes));
}

#[test]
fn unary_ops() {
    for dtype in FLOATS {
        for op in [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Floor, Unary::Ceil, Unary::Round, Unary::Trunc] {
            check_map(&format!("{op:?}"), &[dtype], dtype, |b, x| b.unary(op, x[0]));
        }
    }
    for dtype in INTEGERS {
        check_map("Neg", &[dtype], dtype, |b, x| b.unary(Unary::Neg, x[0]));
        check_map("Not", &[dtype], dtype, |b, x| b.unary(Unary::Not, x[0]));
    }
    check_map("Not", &[DType::Bool], DType::Bool, |b, x| b.unary(Unary::Not, x[0]));
}

fn check_binary(dtype: DType, ops: &[Binary]) {
    for op in ops {
        check_map(&format!("{op:?}"), &[dtype, dtype], dtype, |b, x| b.binary(*op, x[0], x[1]));
    }
}

#[test]
fn float_binary_ops() {
    for dtype in FLOATS {
        check_binary(dtype, &[Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min]);
    }
    check_binary(DType::Bool, &[Binary::And, Binary::Or, Binary::Xor]);
}

#[test]
fn integer_binary_ops() {
    for dtype in INTEGERS {
        check_binary(dtype, &[Binary::Add, Binary::Sub, Binary::Mul, Binary::Max, Binary::Min]);
        check_binary(dtype, &[Binary::And, Binary::Or, Binary::Xor, Binary::Shl, Binary::Shr]);
    }
}

#[test]
fn divisions() {
    for dtype in INTEGERS {
        check_binary(dtype, &[Binary::Div, Binary::Rem]);
        for divisor in [0, 1, -1, 3, 64] {
            let by = |op| {
                move |b: &mut KernelBuilder, x: &[ValueId]| {
                    let divisor = if dtype.is_unsigned_int() { divisor & 0x7F } else { divisor };
                    let divisor = b.int(divisor, b.ty(x[0]));
                    b.binary(op, x[0], divisor)
                }
            };
            check_map("div_by", &[dtype], dtype, by(Binary::Div));
            check_map("rem_by", &[dtype], dtype, by(Binary::Rem));
        }
    }
}

#[test]
fn comparisons() {
    let ops = [Compare::Equal, Compare::NotEqual, Compare::Less, Compare::LessEqual, Compare::Greater, Compare::GreaterEqual];
    for dtype in INTEGERS.into_iter().chain(FLOATS).chain([DType::Bool]) {
        for op in ops {
            check_map(&format!("{op:?}"), &[dtype, dtype], DType::Bool, |b, x| b.compare(op, x[0], x[1]));
        }
    }
}

#[test]
fn mul_add_and_select() {
    for dtype in FLOATS {
        check_map("mul_add", &[dtype; 3], dtype, |b, x| b.mul_add(x[0], x[1], x[2]));
    }
    for dtype in DType::ALL {
        check_map("select", &[DType::Bool, dtype, dtype], dtype, |b, x| b.select(x[0], x[1], x[2]));
    }
}

#[test]
fn conversions() {
    for from in DType::ALL {
        for to in DType::ALL {
            check_map("convert", &[from], to, |b, x| b.convert(x[0], to));
        }
    }
}

#[test]
fn bits() {
    let families: [&[DType]; 4] = [
        &[DType::I8, DType::U8],
        &[DType::I16, DType::U16, DType::F16, DType::BF16],
        &[DType::I32, DType::U32, DType::F32],
        &[DType::I64, DType::U64, DType::F64],
    ];
    for family in families {
        for (from, to) in family.iter().flat_map(|a| family.iter().map(move |b| (*a, *b))) {
            check_map("bits", &[from], to, |b, x| b.bits(x[0], to));
        }
    }
}

#[test]
fn bits_of_other_lanes() {
    for (from, to) in [(DType::I8, DType::I32), (DType::F64, DType::BF16), (DType::U16, DType::I64)] {
        let kernel = mapped("wide_bits", &[from], from, 16, |b, x| {
            let bits = b.bits(x[0], to);
            let turned = (0..b.ty(bits).lanes).rev().collect();
            let turned = b.shuffle(bits, bits, turned);
            b.bits(turned, from)
        });
        let buffers = [elements(from, COUNT as usize, 3), vec![0; COUNT as usize * from.size()]];
        check(&kernel, &buffers, &[], COUNT / 16);
    }
}

/// `y = dot(a, b, c)`, the factors' groups as the types ask.
fn check_dot(feature: &str, a: DType, b: DType, c: DType, group: u32) {
    for lanes in [4, 8, 16] {
        let mut k = KernelBuilder::new(&format!("dot_{a}_{b}_{lanes}"));
        let inputs = [(a, group), (b, group), (c, 1)].map(|(dtype, group)| {
            let buffer = k.buffer("x", dtype, Expr::from(COUNT * i64::from(group)), Space::Input);
            let value = k.load(buffer, &(task() * i64::from(lanes * group)), lanes * group, None);
            (value, elements(dtype, COUNT as usize * group as usize, u64::from(lanes)))
        });
        let y = k.buffer("y", c, Expr::from(COUNT), Space::Output);
        let [x0, x1, x2] = inputs.each_ref().map(|(value, _)| *value);
        let sum = k.dot(x0, x1, x2);
        k.store(y, &(task() * i64::from(lanes)), sum, None);
        let tasks = COUNT / i64::from(lanes);
        let kernel = k.finish(Expr::from(tasks), vec![]);
        let buffers: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).chain([vec![0; COUNT as usize * c.size()]]).collect();
        check_on(&host_with(feature), &kernel, &buffers, &[], tasks);
    }
}

/// With subnormals, infinities and the ends of the integers among the elements.
#[test]
fn dots() {
    check_dot("avx512bf16", DType::BF16, DType::BF16, DType::F32, 2);
    check_dot("avx512vnni", DType::U8, DType::I8, DType::I32, 4);
    check_dot("avx512vnni", DType::I8, DType::U8, DType::I32, 4);
}

/// Repeats a scalar result over the lanes, so that it can be stored like any other.
fn check_fold(dtype: DType, monoid: Monoid) {
    check_map(monoid.name(), &[dtype], dtype, |b, x| {
        let folded = b.fold(monoid, x[0]);
        b.splat(folded, b.ty(x[0]).lanes)
    });
}

#[test]
fn folds() {
    for dtype in INTEGERS {
        Monoid::ALL.into_iter().for_each(|monoid| check_fold(dtype, monoid));
    }
    for dtype in FLOATS {
        [Monoid::Sum, Monoid::Product, Monoid::Max, Monoid::Min].into_iter().for_each(|monoid| check_fold(dtype, monoid));
    }
    [Monoid::And, Monoid::Or].into_iter().for_each(|monoid| check_fold(DType::Bool, monoid));
}

#[test]
fn shuffles() {
    for dtype in DType::ALL {
        check_map("reverse", &[dtype, dtype], dtype, |b, x| {
            let lanes = b.ty(x[0]).lanes;
            b.shuffle(x[0], x[1], (0..lanes).map(|l| 2 * lanes - 1 - 2 * l).collect())
        });
        check_map("uneven", &[dtype, dtype], dtype, |b, x| {
            let lanes = b.ty(x[0]).lanes;
            let short = b.shuffle(x[0], x[1], (0..lanes.div_ceil(2)).collect());
            b.shuffle(x[1], short, (0..lanes).map(|l| if l % 2 == 0 { l } else { lanes + l / 2 }).collect())
        });
        check_map("last_lane", &[dtype, dtype], dtype, |b, x| {
            let lanes = b.ty(x[0]).lanes;
            let last = b.shuffle(x[0], x[1], vec![2 * lanes - 1]);
            b.splat(last, lanes)
        });
    }
}

#[test]
fn literals() {
    for dtype in DType::ALL {
        for value in [-0.0, -1.5, 100.0, f64::INFINITY, f64::NAN, 0.1] {
            check_map("literal", &[dtype], dtype, |b, x| {
                let ty = b.ty(x[0]);
                let literal = match dtype.is_float() {
                    true => Literal::Float(value),
                    false => Literal::Int((value as i64).clamp(dtype.int_range().unwrap().0, dtype.int_range().unwrap().1)),
                };
                let scalar = b.literal(literal, Ty::scalar(dtype));
                let (vector, spread) = (b.literal(literal, ty), b.splat(scalar, ty.lanes));
                let first = b.ty(vector).lanes.div_ceil(2);
                b.shuffle(vector, spread, (0..ty.lanes).map(|l| if l < first { l } else { ty.lanes + l }).collect())
            });
        }
    }
}

#[test]
fn literals_of_16_bit_floats_are_rounded() {
    let out = mapped("tenth", &[DType::F16], DType::F16, 4, |b, x| b.literal(Literal::Float(0.0999755859375), b.ty(x[0])));
    let buffers = [vec![0; 2 * COUNT as usize], vec![0; 2 * COUNT as usize]];
    let (_, found) = check(&out, &buffers, &[], 1);
    assert_eq!(half::f16::from_le_bytes([found[1][0], found[1][1]]), half::f16::from_f64(0.1));
}

#[test]
fn lanes_indices_and_masks() {
    for dtype in [DType::I32, DType::I64] {
        check_map("indices", &[dtype], dtype, |b, x| {
            let ty = b.ty(x[0]);
            let (lanes, index) = (b.lanes(ty), b.index(&(task() * 3 - 5), dtype));
            let index = b.splat(index, ty.lanes);
            b.binary(Binary::Add, lanes, index)
        });
    }
    for limit in [task() - 2, task() * 5 - 20, Expr::from(3), Expr::from(1 << 40), Expr::from(-1 << 40)] {
        for lanes in [1, 4, 16, 32, 64] {
            check_lanes("below", &[DType::Bool], DType::Bool, lanes, |b, x| {
                let below = b.below(&limit, lanes);
                b.binary(Binary::And, below, x[0])
            });
        }
    }
}

#[test]
fn vectors_wider_than_a_register() {
    for dtype in [DType::F32, DType::U8, DType::I64] {
        check_lanes("add", &[dtype, dtype], dtype, 64, |b, x| b.binary(Binary::Add, x[0], x[1]));
        check_lanes("less", &[dtype, dtype], DType::Bool, 64, |b, x| b.compare(Compare::Less, x[0], x[1]));
        check_lanes("to_f16", &[dtype], DType::F16, 32, |b, x| b.convert(x[0], DType::F16));
    }
}

#[test]
fn splats() {
    for dtype in DType::ALL {
        check_map("splat", &[dtype], dtype, |b, x| {
            let lanes = b.ty(x[0]).lanes;
            let one = b.op(Op::Shuffle(x[0], x[0], vec![0]), Ty::scalar(dtype));
            b.splat(one, lanes)
        });
    }
}
