//! The printed text of a few kernels and of an entry. `INSTA_UPDATE=always cargo test -p llvm --test print` blesses.

use insta::assert_snapshot;
use ir::DType;
use ir::guard::Condition;
use kernel::module::{Entry, EntryStep, Launch, Place};
use kernel::{Cond, KernelBuilder, Space, Ty};
use llvm::{PrintOptions, print_entry, print_kernel};
use sym::{Expr, Sym};

fn task() -> Expr {
    Expr::sym(&Sym::new(kernel::kernel::TASK))
}

fn size(name: &str) -> Expr {
    Expr::sym(&Sym::new(name))
}

/// Two rows by two vectors: row addresses in the task, one step of `k*8` in the loop, constants at the accesses.
#[test]
fn register_tile() {
    let mut k = KernelBuilder::new("tile");
    let a = k.buffer("a", DType::F32, size("lda") * 64, Space::Input);
    let b = k.buffer("b", DType::F32, Expr::from(2048), Space::Input);
    let c = k.buffer("c", DType::F32, Expr::from(512), Space::Output);
    let zero = k.float(0.0, Ty::vector(DType::F32, 4));
    let sums = k.for_loop("k", (&Expr::zero(), &Expr::from(256), 1), &[zero; 4], |k, at, sums| {
        let panel = [0, 4].map(|j| k.load(b, &(at * &Expr::from(8) + j), 4, None));
        let mut next = Vec::new();
        for row in 0..2 {
            let scalar = k.load(a, &((task() * 2 + row) * size("lda") + at.clone()), 1, None);
            let spread = k.splat(scalar, 4);
            for (j, panel) in panel.iter().enumerate() {
                next.push(k.mul_add(spread, *panel, sums[row as usize * 2 + j]));
            }
        }
        next
    });
    for (at, sum) in sums.iter().enumerate() {
        k.store(c, &(task() * 16 + at as i64 * 4), *sum, None);
    }
    let kernel = k.finish(Expr::from(32), vec![Sym::new("lda")]);
    assert_snapshot!(print_kernel(&kernel, &PrintOptions::default()));
}

/// A loop that may not turn, a cut last vector, a Bool in memory.
#[test]
fn masked_rows() {
    let mut k = KernelBuilder::new("rows");
    let x = k.buffer("x", DType::F32, size("m") * size("n"), Space::Input);
    let y = k.buffer("y", DType::Bool, size("m") * size("n"), Space::Output);
    let zero = k.float(0.0, Ty::vector(DType::F32, 8));
    k.each("i", &Expr::zero(), &size("n"), 8, |k, i| {
        let mask = k.below(&(size("n") - i.clone()), 8);
        let index = task() * size("n") + i.clone();
        let value = k.load(x, &index, 8, Some(mask));
        let positive = k.compare(kernel::Compare::Greater, value, zero);
        k.store(y, &index, positive, Some(mask));
    });
    let kernel = k.finish(size("m"), vec![Sym::new("m"), Sym::new("n")]);
    assert_snapshot!(print_kernel(&kernel, &PrintOptions { vector_width: Some(256), profile: false, ..PrintOptions::default() }));
}

/// A checked index, both sides of a condition, scratch.
#[test]
fn checked_choice() {
    let mut k = KernelBuilder::new("choice");
    let table = k.buffer("table", DType::F16, size("n") * 4, Space::Input);
    let index = k.buffer("index", DType::I64, size("m"), Space::Input);
    let y = k.buffer("y", DType::F32, size("m") * 4, Space::Output);
    let spill = k.buffer("spill", DType::F32, Expr::from(4), Space::Scratch);
    let found = k.load(index, &task(), 1, None);
    let row = k.check(found, &size("n"), 2);
    let half = k.load(table, &(row * 4), 4, None);
    let value = k.convert(half, DType::F32);
    k.store(spill, &Expr::zero(), value, None);
    let at = task() * 4;
    k.when(
        vec![Cond::Less(task().floor_div(&Expr::from(3)), size("n"))],
        |k| k.store(y, &at, value, None),
        |k| {
            let back = k.load_strided(spill, &Expr::from(3), &Expr::from(-1), 4, None);
            k.store(y, &at, back, None);
        },
    );
    let kernel = k.finish(size("m"), vec![Sym::new("n"), Sym::new("m")]);
    assert_snapshot!(print_kernel(&kernel, &PrintOptions::default()));
}

#[test]
fn entry() {
    let mut k = KernelBuilder::new("copy");
    let (x, y) = (k.buffer("x", DType::F32, size("n"), Space::Input), k.buffer("y", DType::F32, size("n"), Space::Output));
    let value = k.load(x, &task(), 1, None);
    k.store(y, &task(), value, None);
    let kernel = k.finish(size("n"), vec![Sym::new("n")]);
    let copy = |step, from, to, parallel| {
        let (sizes, tasks, grain) = (vec![size("b") * 4], size("b") * 4, Expr::from(64));
        EntryStep::Launch(Launch { kernel: 0, args: vec![from, to], sizes, tasks, grain, step, beside: false, parallel })
    };
    let arena = Place::Arena(size("b") * 64);
    let steps = vec![
        EntryStep::Guard { condition: Condition::AtLeast(size("b"), Expr::one()), guard: 0 },
        copy(0, Place::Input(0), arena.clone(), true),
        EntryStep::If {
            condition: Place::Input(1),
            then: vec![copy(1, arena, Place::Output(0), false)],
            otherwise: vec![copy(2, Place::Constant(3), Place::Output(0), true)],
        },
    ];
    let entry = Entry { name: "main".into(), sizes: vec![Sym::new("b")], steps };
    assert_snapshot!(print_entry(
        &entry,
        &[kernel.interface()],
        &PrintOptions { vector_width: None, profile: true, ..PrintOptions::default() }
    ));
}

/// A group of four bytes in all lanes, turned to unsigned, by a vector of groups; and bf16 pairs.
#[test]
fn dots() {
    let mut k = KernelBuilder::new("dots");
    let a = k.buffer("a", DType::I8, Expr::from(4), Space::Input);
    let b = k.buffer("b", DType::I8, Expr::from(64), Space::Input);
    let c = k.buffer("c", DType::BF16, Expr::from(32), Space::Input);
    let sums = k.buffer("sums", DType::I32, Expr::from(16), Space::Output);
    let floats = k.buffer("floats", DType::F32, Expr::from(16), Space::Output);
    let group = k.load(a, &Expr::zero(), 4, None);
    let group = k.bits(group, DType::I32);
    let groups = k.splat(group, 16);
    let top = k.int(i64::from(0x8080_8080_u32 as i32), k.ty(groups));
    let turned = k.binary(kernel::Binary::Xor, groups, top);
    let turned = k.bits(turned, DType::U8);
    let column = k.load(b, &Expr::zero(), 64, None);
    let zero = k.int(0, Ty::vector(DType::I32, 16));
    let sum = k.dot(turned, column, zero);
    k.store(sums, &Expr::zero(), sum, None);
    let pairs = k.load(c, &Expr::zero(), 32, None);
    let zero = k.float(0.0, Ty::vector(DType::F32, 16));
    let sum = k.dot(pairs, pairs, zero);
    k.store(floats, &Expr::zero(), sum, None);
    let kernel = k.finish(Expr::one(), vec![]);
    assert_snapshot!(print_kernel(&kernel, &PrintOptions::default()));
}
