//! Entries: their steps run on real memory and on real threads.

mod common;

use common::host;
use ir::DType;
use ir::guard::Condition;
use kernel::module::{Entry, EntryStep, Launch, Loop, Module, Place, Times};
use kernel::{Kernel, KernelBuilder, Space};
use llvm::{PrintOptions, emit_object, print_entry, print_kernel, print_kernels, print_module};
use runtime::{AlignedBuffer, Code, ParallelFor, Pool, parallel_for};
use std::ffi::c_void;
use sym::{Expr, Sym};

type Main = unsafe extern "C" fn(*const Context, *const *const u8, *const *mut u8, *mut i64, *mut u8, ParallelFor) -> i32;

/// The context as `kernel::module` describes it.
#[repr(C)]
struct Context {
    constants: *const *const u8,
    prepared: *mut u8,
    pool: *const c_void,
    scratch: *mut u8,
    profile: *mut u64,
    clock: extern "C" fn() -> u64,
}

extern "C" fn clock() -> u64 {
    static TICKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    TICKS.fetch_add(10, std::sync::atomic::Ordering::Relaxed)
}

fn size(name: &str) -> Expr {
    Expr::sym(&Sym::new(name))
}

fn task() -> Expr {
    size(kernel::kernel::TASK)
}

/// `z[i] = x[i] + y[i]` for the `count` elements, one a task, by way of scratch.
fn add() -> Kernel {
    let mut b = KernelBuilder::new("add");
    let x = b.buffer("x", DType::I32, size("count"), Space::Input);
    let y = b.buffer("y", DType::I32, size("count"), Space::Input);
    let z = b.buffer("z", DType::I32, size("count"), Space::Output);
    let spill = b.buffer("spill", DType::I32, size("count"), Space::Scratch);
    let (u, v) = (b.load(x, &task(), 1, None), b.load(y, &task(), 1, None));
    let sum = b.binary(kernel::Binary::Add, u, v);
    b.store(spill, &task(), sum, None);
    let sum = b.load(spill, &task(), 1, None);
    b.store(z, &task(), sum, None);
    b.finish(size("count"), vec![Sym::new("count")])
}

/// `z[i] = x[index[i]]`, checked at site 4.
fn pick() -> Kernel {
    let mut b = KernelBuilder::new("pick");
    let x = b.buffer("x", DType::I32, size("extent"), Space::Input);
    let index = b.buffer("index", DType::I32, size("count"), Space::Input);
    let z = b.buffer("z", DType::I32, size("count"), Space::Output);
    let at = b.load(index, &task(), 1, None);
    let at = b.convert(at, DType::I64);
    let at = b.check(at, &size("extent"), 4);
    let found = b.load(x, &at, 1, None);
    b.store(z, &task(), found, None);
    b.finish(size("count"), vec![Sym::new("count"), Sym::new("extent")])
}

fn launch(step: u32, kernel: usize, args: Vec<Place>, sizes: Vec<Expr>, parallel: bool) -> EntryStep {
    let grain = Expr::from(4);
    EntryStep::Launch(Launch { kernel, args, tasks: sizes[0].clone(), sizes, grain, step, beside: false, parallel })
}

fn kernels() -> [Kernel; 2] {
    [add(), pick()]
}

/// prepare: doubled = constant 0 + constant 0. main: t = in0 + doubled (kept in the arena behind n words); out0 = t[in1];
/// then out1 = out0 + t where in2 is true, else out0 + out0.
fn module() -> Module {
    let behind = (size("n") * 4).round_up(64);
    let (doubled, t) = (Place::Prepared(Expr::from(64)), Place::Arena(behind));
    let n = vec![size("n")];
    let prepare = vec![launch(0, 0, vec![Place::Constant(0), Place::Constant(0), doubled.clone()], n.clone(), false)];
    let sum = |step, other: Place| launch(step, 0, vec![Place::Output(0), other, Place::Output(1)], n.clone(), true);
    let main = vec![
        EntryStep::Guard { condition: Condition::AtLeast(size("n"), Expr::from(2)), guard: 0 },
        EntryStep::Guard { condition: Condition::OneOrEqual(size("m"), size("n")), guard: 1 },
        EntryStep::Guard { condition: Condition::Equal(size("m"), size("n")), guard: 2 },
        launch(0, 0, vec![Place::Input(0), doubled, t.clone()], n.clone(), true),
        launch(1, 1, vec![t.clone(), Place::Input(1), Place::Output(0)], vec![size("m"), size("n")], true),
        EntryStep::If { condition: Place::Input(2), then: vec![sum(2, t)], otherwise: vec![sum(3, Place::Output(0))] },
    ];
    let sizes = vec![Sym::new("n"), Sym::new("m")];
    Module {
        kernels: kernels().iter().map(Kernel::interface).collect(),
        prepare: Entry { name: "prepare".into(), sizes: sizes.clone(), steps: prepare },
        main: Entry { name: "main".into(), sizes, steps: main },
    }
}

/// All in one object, or each kernel and each entry in its own.
fn objects(module: &Module, options: &PrintOptions) -> [Vec<Vec<u8>>; 2] {
    let emit = |text: String| emit_object(&text, &host()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut parts: Vec<Vec<u8>> = kernels().iter().map(|kernel| emit(print_kernel(kernel, options))).collect();
    parts.extend([&module.prepare, &module.main].map(|entry| emit(print_entry(entry, &module.kernels, options))));
    [vec![emit(print_module(&kernels(), module, options))], parts]
}

/// The largest value of a size that a step computes.
const MOST: i64 = 1000;

struct Run {
    code: i32,
    out: [Vec<i32>; 2],
    profile: [u64; 4],
}

fn words(buffer: &AlignedBuffer) -> Vec<i32> {
    buffer.as_slice().chunks(4).map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn buffer(words: impl IntoIterator<Item = i32>) -> AlignedBuffer {
    let bytes: Vec<u8> = words.into_iter().flat_map(i32::to_le_bytes).collect();
    AlignedBuffer::copy_of(&bytes).unwrap()
}

/// Runs both entries; constant 0 is 0, 1, 2, .., input 0 is all 100, input 2 is `truth` and input 3 is `MOST`.
fn run(code: &Code, threads: usize, n: i32, index: &[i32], truth: u8) -> Run {
    let mut pool = Pool::new(threads).unwrap();
    pool.reserve_scratch(1 << 16).unwrap();
    let bytes = n as usize * 4 + 128;
    let [mut prepared, mut scratch, mut arena] = [bytes, bytes, 3 * bytes].map(|bytes| AlignedBuffer::zeroed(bytes).unwrap());
    let constant = buffer(0..n);
    let (all, index_words) = (buffer(vec![100; n as usize]), buffer(index.iter().copied()));
    let inputs = [all, index_words, AlignedBuffer::copy_of(&[truth]).unwrap(), AlignedBuffer::copy_of(&MOST.to_le_bytes()).unwrap()];
    let mut outputs = [buffer(vec![-1; n as usize]), buffer(vec![-1; n as usize])];
    let mut profile = [0; 4];
    let constants = [constant.as_ptr()];
    let context = Context {
        constants: constants.as_ptr(),
        prepared: prepared.as_mut_ptr(),
        pool: pool.handle(),
        scratch: scratch.as_mut_ptr(),
        profile: profile.as_mut_ptr(),
        clock,
    };
    let ins: Vec<*const u8> = inputs.iter().map(AlignedBuffer::as_ptr).collect();
    let outs: Vec<*mut u8> = outputs.iter_mut().map(AlignedBuffer::as_mut_ptr).collect();
    let mut dims = [i64::from(n), index.len() as i64, MOST];
    let mut call = |name: &str| {
        // SAFETY: the entry has this signature, and the buffers are as long as its kernels want.
        unsafe {
            let main = std::mem::transmute::<*const (), Main>(code.symbol(name).unwrap());
            main(&context, ins.as_ptr(), outs.as_ptr(), dims.as_mut_ptr(), arena.as_mut_ptr(), parallel_for)
        }
    };
    assert_eq!(call("prepare"), 0);
    let code = call("main");
    Run { code, out: outputs.each_ref().map(words), profile }
}

#[test]
fn steps_run_in_order_on_one_thread_and_on_two() {
    for objects in objects(&module(), &PrintOptions::default()) {
        let code = Code::load(&objects, &[]).unwrap();
        for (threads, n) in [(1, 3), (2, 3), (2, 400)] {
            let index: Vec<i32> = (0..n).map(|i| n - 1 - i).collect();
            let t: Vec<i32> = (0..n).map(|i| 100 + 2 * i).collect();
            let picked: Vec<i32> = t.iter().rev().copied().collect();
            let yes = run(&code, threads, n, &index, 1);
            assert_eq!((yes.code, &yes.out[0]), (0, &picked));
            assert_eq!(yes.out[1], picked.iter().zip(&t).map(|(a, b)| a + b).collect::<Vec<_>>());
            let no = run(&code, threads, n, &index, 0);
            assert_eq!(no.out[1], picked.iter().map(|a| 2 * a).collect::<Vec<_>>());
            assert_eq!(no.profile, [0; 4]);
        }
    }
}

/// out0 starts as in0 + in0 and then gets in0 added in each run, so often as the counter says; out1 = out0 + out0 at the end.
fn looped(times: Times) -> Module {
    let n = vec![size("n")];
    let again = |step, args: [Place; 3]| launch(step, 0, args.to_vec(), n.clone(), false);
    let (x, out) = (Place::Input(0), Place::Output(0));
    let behind = |at: Expr| Place::Arena(at * (size("n") * 4).round_up(64));
    let t = size("t0");
    // run t reads place t - 1 and writes place t
    let body = vec![again(1, [behind(t.clone() - 1), x.clone(), behind(t.clone())])];
    let last = vec![again(2, [behind(t.clone()), x.clone(), out.clone()]), again(3, [out.clone(), out, Place::Output(1)])];
    let steps = vec![again(0, [x.clone(), x, behind(Expr::zero())]), EntryStep::Loop(Loop { counter: Sym::new("t0"), times, body, last })];
    let sizes = vec![Sym::new("n"), Sym::new("m")];
    let prepare = Entry { name: "prepare".into(), sizes: sizes.clone(), steps: vec![] };
    Module { kernels: kernels().iter().map(Kernel::interface).collect(), prepare, main: Entry { name: "main".into(), sizes, steps } }
}

#[test]
fn loops_count_their_runs() {
    let check = |times: Times, m: i32, truth: u8, want: i32| {
        for objects in objects(&looped(times.clone()), &PrintOptions::default()) {
            let code = Code::load(&objects, &[]).unwrap();
            let got = run(&code, 1, 3, &vec![0; m as usize], truth);
            assert_eq!((got.code, got.out), (0, [vec![want; 3], vec![2 * want; 3]]));
        }
    };
    check(Times::Trips(size("m") - 1), 1, 0, 300);
    check(Times::Trips(size("m") - 1), 2, 0, 400);
    check(Times::Trips(size("m")), 4, 0, 700);
    check(Times::While(Place::Input(2)), 1, 0, 300);
}

/// out0 = in0 + in0 and then 300 times in0 more; `s` is what in1 starts with, and must be `n`: a place of out0 that is not there.
fn long() -> Module {
    let n = vec![size("n")];
    let (x, out) = (Place::Input(0), Place::Output(0));
    let more = |step: u32, x: Place, y: Place, z: Place| launch(step, 0, vec![x, y, z], n.clone(), true);
    let mut steps =
        vec![EntryStep::Size { symbol: Sym::new("s"), from: Place::Input(1), least: 1 }, more(0, x.clone(), x.clone(), out.clone())];
    steps.extend((1..=300).map(|step| more(step, out.clone(), x.clone(), out.clone())));
    // the largest that there is memory for is still the caller's
    steps.push(EntryStep::Size { symbol: Sym::new("s"), from: Place::Input(3), least: 1 });
    steps.push(EntryStep::Size { symbol: Sym::new("s"), from: Place::Input(1), least: 1 });
    steps.push(EntryStep::Guard { condition: Condition::Equal(size("s"), size("n")), guard: 6 });
    steps.push(launch(301, 1, vec![out.clone(), Place::Input(1), Place::Output(1)], vec![Expr::from(2), size("s")], true));
    let sizes = ["n", "m", "s"].map(Sym::new).to_vec();
    let main = Entry { name: "main".into(), sizes, steps };
    Module { main, ..module() }
}

#[test]
fn long_entries_are_several_functions() {
    let module = long();
    let text = print_entry(&module.main, &module.kernels, &PrintOptions::default());
    assert_eq!(text.matches("define internal i32 @main.").count(), 3);
    for objects in objects(&module, &PrintOptions::default()) {
        let code = Code::load(&objects, &[]).unwrap();
        for (threads, n) in [(1, 3), (2, 400)] {
            let got = run(&code, threads, n, &[n, 0], 1);
            assert_eq!((got.code, got.out[0][0]), (302 * 65536 + 5, 30_200));
            assert_eq!(run(&code, threads, n, &[n - 1, 0], 1).code, -7);
            assert_eq!(run(&code, threads, n, &[0, 0], 1).code, kernel::module::SIZE_FAULT - 2);
            assert_eq!(run(&code, threads, n, &[MOST as i32 + 1, 0], 1).code, kernel::module::SIZE_FAULT - 2);
        }
    }
}

/// At the same time: out0 = in0 + in0, and out1 = in0[in1].
fn side_by_side() -> Module {
    let mut module = module();
    let x = || Place::Input(0);
    let pick = launch(1, 1, vec![x(), Place::Input(1), Place::Output(1)], vec![size("m"), size("n")], true);
    let mut steps = vec![launch(0, 0, vec![x(), x(), Place::Output(0)], vec![size("n")], true), pick];
    if let EntryStep::Launch(launch) = &mut steps[1] {
        launch.beside = true;
    }
    module.main.steps = steps;
    module
}

#[test]
fn launches_beside_each_other_share_the_tasks() {
    for profile in [false, true] {
        let options = PrintOptions { profile, ..PrintOptions::default() };
        for objects in objects(&side_by_side(), &options) {
            let code = Code::load(&objects, &[]).unwrap();
            for (threads, n) in [(1, 3), (2, 3), (2, 400)] {
                let index: Vec<i32> = (0..n).collect();
                let got = run(&code, threads, n, &index, 1);
                assert_eq!((got.code, got.out), (0, [vec![200; n as usize], vec![100; n as usize]]));
                let mut far = index;
                far[n as usize - 1] = n;
                assert_eq!(run(&code, threads, n, &far, 1).code, 2 * 65536 + 5);
            }
        }
    }
}

#[test]
fn failures_name_the_guard_or_the_step() {
    let [objects, _] = objects(&module(), &PrintOptions::default());
    let code = Code::load(&objects, &[]).unwrap();
    let code_of = |n, index: &[i32]| run(&code, 2, n, index, 1).code;
    assert_eq!(code_of(1, &[0]), -1);
    assert_eq!(code_of(3, &[0, 0]), -2);
    assert_eq!(code_of(3, &[0]), -3);
    assert_eq!(code_of(3, &[0, 3, 0]), 2 * 65536 + 5);
    let mut far = vec![0; 100];
    far[99] = -101;
    assert_eq!(code_of(100, &far), 2 * 65536 + 5);
}

#[test]
fn failures_of_the_pool_come_back() {
    let [objects, _] = objects(&module(), &PrintOptions::default());
    let code = Code::load(&objects, &[]).unwrap();
    let n = 40_000;
    assert_eq!(run(&code, 2, n, &vec![0; n as usize], 1).code, runtime::SCRATCH_TOO_SMALL);
}

#[test]
fn profile_has_ticks_of_the_steps_that_ran() {
    let options = PrintOptions { profile: true, ..PrintOptions::default() };
    for objects in objects(&module(), &options) {
        let code = Code::load(&objects, &[]).unwrap();
        let profile = run(&code, 1, 3, &[0, 1, 2], 1).profile;
        assert!(profile[0] > profile[1] && profile[1] > 0 && profile[2] > 0, "{profile:?}");
        assert_eq!(profile[3], 0);
    }
}

#[test]
fn kernels_of_one_text_keep_their_own_metadata() {
    let text = print_kernels(&[add(), pick()], &PrintOptions { vector_width: Some(512), profile: false, ..PrintOptions::default() });
    assert!(text.contains("attributes #0 = { nounwind \"prefer-vector-width\"=\"512\" }"));
    let code = Code::load(&[emit_object(&text, &host()).unwrap()], &[]).unwrap();
    assert!(code.symbol("add").is_some() && code.symbol("pick").is_some());
}
