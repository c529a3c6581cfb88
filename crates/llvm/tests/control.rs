//! Loops, conditions, checks and index expressions, against the interpreter.

mod common;

use common::{Random, check, elements};
use ir::DType;
use kernel::{Binary, BufferId, Compare, Cond, Kernel, KernelBuilder, Space, Ty, ValueId};
use sym::{Expr, Sym};

const LEN: i64 = 4096;

fn task() -> Expr {
    Expr::sym(&Sym::new(kernel::kernel::TASK))
}

fn size(name: &str) -> Expr {
    Expr::sym(&Sym::new(name))
}

fn c(value: i64) -> Expr {
    Expr::from(value)
}

/// Reads and writes integers, so that sums do not depend on their order.
fn kernel(name: &str, tasks: i64, sizes: &[&str], body: impl FnOnce(&mut KernelBuilder, BufferId, BufferId)) -> Kernel {
    let mut b = KernelBuilder::new(name);
    let x = b.buffer("x", DType::I64, c(LEN), Space::Input);
    let y = b.buffer("y", DType::I64, c(LEN), Space::Output);
    body(&mut b, x, y);
    b.finish(c(tasks), sizes.iter().map(|s| Sym::new(s)).collect())
}

fn check_sizes(kernel: &Kernel, sizes: &[i64], tasks: i64) -> i32 {
    let input: Vec<u8> = (0..LEN).flat_map(|at| (at * 7919 - 1000).to_le_bytes()).collect();
    check(kernel, &[input, vec![0; LEN as usize * 8]], sizes, tasks).0
}

#[test]
fn loops_turn_as_often_as_they_say() {
    for (start, end, step) in [(c(0), c(5), 1), (c(2), c(9), 3), (c(0), c(4), 4), (c(3), c(3), 1), (c(5), c(2), 2)] {
        let kernel = kernel("constant", 3, &[], |b, x, y| sum_loop(b, x, y, &start, &end, step));
        assert_eq!(check_sizes(&kernel, &[], 3), 0);
    }
    let kernel = kernel("symbolic", 3, &["n", "m"], |b, x, y| sum_loop(b, x, y, &size("m"), &(size("n") + task()), 2));
    for (n, m) in [(0, 0), (1, 0), (0, 1), (7, 2), (8, 2), (3, 5)] {
        assert_eq!(check_sizes(&kernel, &[n, m], 3), 0);
    }
    let equal_ends = |b: &mut KernelBuilder, x, y| sum_loop(b, x, y, &size("n"), &(size("n") + 3), 2);
    assert_eq!(check_sizes(&self::kernel("known_length", 3, &["n"], equal_ends), &[4], 3), 0);
}

/// Two carried values, one of which takes the other's place.
fn sum_loop(b: &mut KernelBuilder, x: BufferId, y: BufferId, start: &Expr, end: &Expr, step: i64) {
    let zero = b.int(0, Ty::scalar(DType::I64));
    let one = b.int(1, Ty::scalar(DType::I64));
    let sums = b.for_loop("i", (start, end, step), &[zero, one], |b, i, sums| {
        let value = b.load(x, &(i * &c(3)), 1, None);
        let mixed = b.binary(Binary::Mul, sums[1], value);
        vec![b.binary(Binary::Add, sums[0], mixed), sums[0]]
    });
    b.store(y, &(task() * 2), sums[0], None);
    b.store(y, &(task() * 2 + 1), sums[1], None);
}

#[test]
fn nested_loops_share_what_they_can() {
    let kernel = kernel("nested", 2, &["n", "m"], |b, x, y| {
        b.each("i", &c(0), &size("n"), 1, |b, i| {
            b.each("j", i, &size("m"), 1, |b, j| {
                let outer = b.name("p", &(i * &size("m") + task()));
                let value = b.load(x, &(&outer + j), 1, None);
                let index = b.index(&(i * j + task() * size("n") - 2), DType::I64);
                let sum = b.binary(Binary::Add, value, index);
                b.store(y, &(task() * 512 + i * &size("m") + j.clone()), sum, None);
            });
        });
    });
    for (n, m) in [(0, 3), (3, 0), (5, 7), (1, 1)] {
        assert_eq!(check_sizes(&kernel, &[n, m], 2), 0);
    }
}

#[test]
fn conditions_choose() {
    let kernel = kernel("choice", 8, &["n"], |b, x, y| {
        let value = b.load(x, &task(), 1, None);
        let limit = b.int(20000, Ty::scalar(DType::I64));
        let small = b.compare(Compare::Less, value, limit);
        let index = task() * 4;
        b.when(
            vec![Cond::Less(task() * 2, size("n")), Cond::Value(small)],
            |b| {
                b.each("i", &c(0), &c(3), 1, |b, i| {
                    let value = b.load(x, &(i + &task()), 1, None);
                    b.store(y, &(&index + i), value, None);
                });
            },
            |b| b.when(vec![Cond::Equal(task(), size("n") - 1)], |b| b.store(y, &index, value, None), |_| {}),
        );
        b.when(vec![], |b| b.store(y, &(&index + 3), value, None), |_| {});
    });
    for n in [0, 1, 5, 8, 20] {
        assert_eq!(check_sizes(&kernel, &[n], 8), 0);
    }
}

#[test]
fn divisions_of_indices_round_down() {
    let forms = ["(t - 9)/4", "(t - 9)/7", "(3*t)/5", "t % 6", "(t - n)/n", "(t*n)/(n + 3)", "min(t, n)", "max(t - 4, n - t)"];
    let kernel = kernel("forms", 24, &["n"], |b, _, y| {
        for (at, form) in forms.iter().enumerate() {
            let expr = form.parse::<Expr>().unwrap().replace(&Sym::new("t"), &task());
            let value = b.index(&expr, DType::I64);
            b.store(y, &(task() * 8 + at as i64), value, None);
        }
    });
    for n in [1, 3, 8] {
        assert_eq!(check_sizes(&kernel, &[n], 24), 0);
    }
}

/// The division stands in a branch that is not taken, in a loop that does not turn.
#[test]
fn division_by_a_size_of_zero_is_not_reached() {
    let kernel = kernel("empty", 2, &["n"], |b, x, y| {
        b.each("i", &c(0), &size("n"), 1, |b, i| {
            let value = b.load(x, &(i + &task()).floor_div(&size("n")), 1, None);
            b.store(y, &(&task().floor_div(&size("n")) + i), value, None);
        });
    });
    assert_eq!(check_sizes(&kernel, &[0], 2), 0);
    assert_eq!(check_sizes(&kernel, &[3], 2), 0);
}

fn checked(b: &mut KernelBuilder, x: BufferId, y: BufferId) {
    let value = b.load(x, &task(), 1, None);
    let index = b.check(value, &size("n"), 6);
    let found = b.load(x, &(index + 8), 1, None);
    b.store(y, &task(), found, None);
}

#[test]
fn checks_wrap_once_and_fail_outside() {
    let kernel = kernel("checked", 4, &["n"], checked);
    let run = |indices: [i64; 4], n: i64| {
        let mut x: Vec<u8> = indices.iter().flat_map(|i| i.to_le_bytes()).collect();
        x.extend((0..LEN - 4).flat_map(|at| at.to_le_bytes()));
        let (code, buffers) = check(&kernel, &[x, vec![0; LEN as usize * 8]], &[n], 4);
        (code, i64::from_le_bytes(buffers[1][24..32].try_into().unwrap()))
    };
    assert_eq!(run([0, 1, 2, 9], 10), (0, 13));
    assert_eq!(run([0, -1, 2, -10], 10), (0, 4));
    for bad in [10, -11, i64::MIN, i64::MAX] {
        assert_eq!(run([0, bad, 0, 0], 10).0, 7);
    }
    assert_eq!(run([0, 0, 0, 0], 0).0, 7);
}

#[test]
fn checks_in_loops_leave_the_kernel() {
    let kernel = kernel("scan", 2, &["n"], |b, x, y| {
        let zero = b.int(0, Ty::scalar(DType::I64));
        let sums = b.for_loop("i", (&c(0), &size("n"), 1), &[zero], |b, i, sums| {
            let value = b.load(x, i, 1, None);
            let index = b.check(value, &c(3000), 0);
            let found = b.load(x, &index, 1, None);
            vec![b.binary(Binary::Add, sums[0], found)]
        });
        b.store(y, &task(), sums[0], None);
    });
    assert_eq!(check_sizes(&kernel, &[0], 2), 0);
    assert_eq!(check_sizes(&kernel, &[1], 2), 0);
    assert_eq!(check_sizes(&kernel, &[3], 2), 1);
}

/// A loop whose carried values are vectors of every type, Bools too.
#[test]
fn every_type_is_carried() {
    for dtype in DType::ALL {
        let mut b = KernelBuilder::new("carried");
        let x = b.buffer("x", dtype, c(256), Space::Input);
        let y = b.buffer("y", dtype, c(32), Space::Output);
        let (first, second) = (b.load(x, &c(0), 16, None), b.load(x, &c(16), 16, None));
        let turned = b.for_loop("i", (&c(0), &size("n"), 1), &[first, second], |b, i, values: &[ValueId]| {
            let new = b.load(x, &(i * &c(16)), 16, None);
            vec![values[1], new]
        });
        b.store(y, &c(0), turned[0], None);
        b.store(y, &c(16), turned[1], None);
        let kernel = b.finish(c(1), vec![Sym::new("n")]);
        for n in [0, 1, 9] {
            check(&kernel, &[elements(dtype, 256, 9), vec![0; 32 * dtype.size()]], &[n], 1);
        }
    }
}

/// Random nests of loops, names and conditions: the scopes of the printer at work.
#[test]
fn random_kernels() {
    for seed in 0..30 {
        for sizes in [[3, 5], [1, 2]] {
            assert_eq!(check_sizes(&random(seed), &sizes, 3), 0);
        }
    }
}

pub fn random(seed: u64) -> Kernel {
    let mut random = Random(seed);
    kernel(&format!("random_{seed}"), 3, &["n", "m"], |b, x, y| {
        let mut known = vec![task(), size("n"), size("m")];
        random_block(b, &mut random, &mut known, x, y, 4);
    })
}

fn random_expr(random: &mut Random, known: &[Expr]) -> Expr {
    let mut sum = c(random.below(9) as i64 - 4);
    for _ in 0..1 + random.below(3) {
        let a = known[random.below(known.len() as u64) as usize].clone();
        let b = known[random.below(known.len() as u64) as usize].clone();
        let factor = c(random.below(7) as i64 - 2);
        sum = match random.below(6) {
            0 => sum + a * b,
            1 => sum + a.floor_div(&c(1 + random.below(5) as i64)),
            2 => sum + (a * factor).floor_div(&(size("n") + 1)),
            3 => sum.minimum(&a),
            4 => sum.maximum(&(a - b)),
            _ => sum + a * factor,
        };
    }
    sum
}

/// An index inside the buffers.
fn inside(expr: &Expr) -> Expr {
    expr.modulo(&c(LEN))
}

fn random_block(b: &mut KernelBuilder, random: &mut Random, known: &mut Vec<Expr>, x: BufferId, y: BufferId, depth: usize) {
    let outside = known.len();
    for _ in 0..2 + random.below(3) {
        let expr = random_expr(random, known);
        match random.below(5) {
            0 => {
                let named = b.name("s", &expr);
                known.push(named);
            }
            1 if depth > 0 => {
                let length = c(1 + random.below(3) as i64);
                let end = if random.below(2) == 0 { &expr.modulo(&c(3)) + &length } else { size("m") };
                b.each("i", &c(0), &end, 1, |b, i| {
                    known.push(i.clone());
                    random_block(b, random, known, x, y, depth - 1);
                    known.pop();
                });
            }
            2 if depth > 0 => {
                let other = random_expr(random, known);
                let random = std::cell::RefCell::new((&mut *random, &mut *known));
                let side = |b: &mut KernelBuilder| {
                    let (random, known) = &mut *random.borrow_mut();
                    random_block(b, random, known, x, y, depth - 1);
                };
                b.when(vec![Cond::Less(expr, other)], side, side);
            }
            _ => {
                let value = b.load(x, &inside(&expr), 1, None);
                let at = inside(&random_expr(random, known));
                let old = b.load(y, &at, 1, None);
                let index = b.index(&expr, DType::I64);
                let sum = b.binary(Binary::Add, value, old);
                let sum = b.binary(Binary::Xor, sum, index);
                b.store(y, &at, sum, None);
            }
        }
    }
    known.truncate(outside);
}
