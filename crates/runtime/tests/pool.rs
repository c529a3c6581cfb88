//! Jobs on pools of one to four threads: every task runs once, results and scratch are as promised.

use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use runtime::{Code, KernelFn, POOL_BUSY, ParallelFor, Pool, SCRATCH_TOO_SMALL, parallel_for};

/// What the kernels of these tests work on.
#[derive(Default)]
struct Record {
    runs: Vec<AtomicU32>,
    calls: AtomicUsize,
    grain: i64,
    scratch_bytes: usize,
    in_scratch: AtomicI64,
    nested: AtomicI32,
    pool: usize,
}

impl Record {
    fn new(tasks: usize, grain: i64) -> Record {
        Record { runs: (0..tasks).map(|_| AtomicU32::new(0)).collect(), grain, ..Record::default() }
    }

    fn run(&self, pool: &Pool, kernel: KernelFn) -> i32 {
        let args = [std::ptr::from_ref(self) as u64];
        // SAFETY: each kernel below takes one record and any split of its tasks.
        unsafe { parallel_for(pool.handle(), kernel, args.as_ptr(), self.runs.len() as i64, self.grain, self.scratch_bytes as i64) }
    }

    fn assert_each_task_ran_once(&self) {
        for (task, runs) in self.runs.iter().enumerate() {
            assert_eq!(runs.load(Ordering::Relaxed), 1, "task {task} of {}, grain {}", self.runs.len(), self.grain);
        }
    }
}

fn record<'a>(args: *const u64) -> &'a Record {
    // SAFETY: `Record::run` passes a record that outlives the job.
    unsafe { &*(*args as *const Record) }
}

unsafe extern "C" fn count(args: *const u64, begin: i64, end: i64, _: *mut u8) -> i32 {
    let record = record(args);
    assert!(begin < end && begin % record.grain == 0 && (end % record.grain == 0 || end == record.runs.len() as i64));
    record.calls.fetch_add(1, Ordering::Relaxed);
    record.runs[begin as usize..end as usize].iter().for_each(|runs| _ = runs.fetch_add(1, Ordering::Relaxed));
    0
}

#[test]
fn every_task_runs_once() {
    for threads in 1..=4 {
        let pool = Pool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads);
        for tasks in [0, 1, 2, 3, 7, 64, 1000] {
            for grain in [1, 2, 5, 64, 5000] {
                let record = Record::new(tasks, grain);
                assert_eq!(record.run(&pool, count), 0);
                record.assert_each_task_ran_once();
            }
        }
    }
}

#[test]
fn many_rounds() {
    for threads in 2..=4 {
        let pool = Pool::new(threads).unwrap();
        for round in 0..20_000 {
            let record = Record::new(1 + round % 33, 1);
            assert_eq!(record.run(&pool, count), 0);
            record.assert_each_task_ran_once();
        }
    }
}

#[test]
fn workers_come_back_after_a_pause() {
    let pool = Pool::new(3).unwrap();
    for round in 0..60 {
        thread::sleep(Duration::from_micros(100 * (round % 7)));
        let record = Record::new(100, 1);
        assert_eq!(record.run(&pool, count), 0);
        record.assert_each_task_ran_once();
    }
}

#[test]
fn workers_take_part() {
    unsafe extern "C" fn wait_for_company(args: *const u64, begin: i64, end: i64, _: *mut u8) -> i32 {
        let record = record(args);
        for _ in begin..end {
            record.calls.fetch_add(1, Ordering::SeqCst);
            while record.calls.load(Ordering::SeqCst) < 3 {
                thread::yield_now();
            }
        }
        0
    }
    let pool = Pool::new(3).unwrap();
    for _ in 0..20 {
        assert_eq!(Record::new(3, 1).run(&pool, wait_for_company), 0);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn pools_start_and_stop() {
    for round in 0..200 {
        let pool = Pool::new(1 + round % 4).unwrap();
        if round % 3 != 0 {
            let record = Record::new(10, 1);
            assert_eq!(record.run(&pool, count), 0);
            record.assert_each_task_ran_once();
        }
    }
    assert_eq!(Pool::new(0).unwrap().threads(), 1);
}

#[test]
fn smallest_code_is_returned_and_the_rest_still_runs() {
    unsafe extern "C" fn fail_sometimes(args: *const u64, begin: i64, end: i64, scratch: *mut u8) -> i32 {
        // SAFETY: the arguments are passed on.
        unsafe { count(args, begin, end, scratch) };
        match begin {
            17 => 5,
            40 => 3,
            90 => i32::MAX,
            _ => 0,
        }
    }
    for threads in 2..=4 {
        let pool = Pool::new(threads).unwrap();
        for _ in 0..500 {
            // So few units that each is a chunk of its own for the threads here.
            let record = Record::new(7, 1);
            assert_eq!(record.run(&pool, fail_on_three_and_five), 3);
            record.assert_each_task_ran_once();
            assert_eq!(Record::new(7, 1).run(&pool, count), 0);
        }
        let record = Record::new(1000, 1);
        record.run(&pool, fail_sometimes);
        record.assert_each_task_ran_once();
    }
    unsafe extern "C" fn fail_on_three_and_five(args: *const u64, begin: i64, end: i64, scratch: *mut u8) -> i32 {
        // SAFETY: the arguments are passed on.
        unsafe { count(args, begin, end, scratch) };
        assert_eq!(end, begin + 1);
        if begin % 2 == 1 { begin.max(3) as i32 } else { 0 }
    }
}

#[test]
fn result_of_a_single_call_is_returned() {
    unsafe extern "C" fn fail(_: *const u64, _: i64, _: i64, _: *mut u8) -> i32 {
        -7
    }
    assert_eq!(Record::new(5, 1).run(&Pool::new(1).unwrap(), fail), -7);
    assert_eq!(Record::new(5, 5).run(&Pool::new(2).unwrap(), fail), -7);
    assert_eq!(Record::new(5, 1).run(&Pool::new(2).unwrap(), fail), -7);
    assert_eq!(Record::new(0, 1).run(&Pool::new(2).unwrap(), fail), 0);
}

/// Fills its scratch with the task and looks whether it stays so.
unsafe extern "C" fn use_scratch(args: *const u64, begin: i64, _: i64, scratch: *mut u8) -> i32 {
    let record = record(args);
    assert_eq!(scratch as usize % 64, 0);
    // SAFETY: the pool gives every call this much scratch for itself.
    let scratch = unsafe { std::slice::from_raw_parts_mut(scratch, record.scratch_bytes) };
    scratch.fill(begin as u8);
    for _ in 0..20 {
        thread::yield_now();
    }
    record.in_scratch.fetch_add(scratch.iter().filter(|&&byte| byte == begin as u8).count() as i64, Ordering::Relaxed);
    0
}

#[test]
fn every_call_has_its_own_scratch() {
    for threads in 1..=4 {
        let mut pool = Pool::new(threads).unwrap();
        for scratch_bytes in [1, 5000, 100, 3 << 20] {
            pool.reserve_scratch(scratch_bytes).unwrap();
            let record = Record { scratch_bytes, ..Record::new(12, 1) };
            assert_eq!(record.run(&pool, use_scratch), 0);
            let calls = if threads == 1 { 1 } else { 12 };
            assert_eq!(record.in_scratch.into_inner(), calls * scratch_bytes as i64);
        }
    }
}

#[test]
fn scratch_that_was_not_reserved_is_refused() {
    let mut pool = Pool::new(2).unwrap();
    let record = Record { scratch_bytes: 100, ..Record::new(4, 1) };
    assert_eq!(record.run(&pool, use_scratch), SCRATCH_TOO_SMALL);
    pool.reserve_scratch(99).unwrap();
    assert_eq!(record.run(&pool, use_scratch), SCRATCH_TOO_SMALL);
    pool.reserve_scratch(100).unwrap();
    assert_eq!(record.run(&pool, use_scratch), 0);
    assert!(pool.reserve_scratch(usize::MAX / 2).is_err());
    assert_eq!(record.run(&pool, use_scratch), 0);
}

#[test]
fn job_inside_a_job_is_refused() {
    unsafe extern "C" fn nest(args: *const u64, _: i64, _: i64, _: *mut u8) -> i32 {
        let outer = record(args);
        let inner = Record::new(4, 1);
        let args = [std::ptr::from_ref(&inner) as u64];
        // SAFETY: the pool runs the outer job, so it lives.
        let code = unsafe { parallel_for(outer.pool as *const c_void, count, args.as_ptr(), 4, 1, 0) };
        outer.nested.store(code, Ordering::Relaxed);
        0
    }
    for (threads, tasks) in [(1, 1), (2, 1), (2, 8)] {
        let pool = Pool::new(threads).unwrap();
        let record = Record { pool: pool.handle() as usize, ..Record::new(tasks, 1) };
        assert_eq!(record.run(&pool, nest), 0);
        assert_eq!(record.nested.into_inner(), POOL_BUSY);
        assert_eq!(Record::new(9, 1).run(&pool, count), 0);
    }
}

#[test]
fn more_tasks_than_32_bits() {
    unsafe extern "C" fn measure(args: *const u64, begin: i64, end: i64, _: *mut u8) -> i32 {
        assert_eq!(begin % 3, 0);
        record(args).in_scratch.fetch_add(end - begin, Ordering::Relaxed);
        0
    }
    let pool = Pool::new(2).unwrap();
    for tasks in [1_i64 << 33, (1 << 40) + 1, i64::MAX] {
        let record = Record::default();
        let args = [std::ptr::from_ref(&record) as u64];
        // SAFETY: the kernel takes a record and any split.
        assert_eq!(unsafe { pool.parallel_for(measure, args.as_ptr(), tasks, 3, 0) }, 0);
        assert_eq!(record.in_scratch.into_inner(), tasks);
    }
}

#[test]
fn busy_neighbours_do_not_stop_a_job() {
    let stop = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| while stop.load(Ordering::Relaxed) == 0 {});
        }
        let pool = Pool::new(4).unwrap();
        for _ in 0..200 {
            let record = Record::new(500, 3);
            assert_eq!(record.run(&pool, count), 0);
            record.assert_each_task_ran_once();
        }
        stop.store(1, Ordering::Relaxed);
    });
}

#[test]
fn generated_code_calls_the_pool() {
    let text = "define internal i32 @square(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
entry:
  %w = load i64, ptr %args
  %data = inttoptr i64 %w to ptr
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %p = getelementptr i64, ptr %data, i64 %i
  %v = load i64, ptr %p
  %q = mul i64 %v, %v
  store i64 %q, ptr %p
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}
define i32 @main(ptr %pool, ptr %parallel_for, ptr %data, i64 %tasks) {
  %args = alloca i64
  %w = ptrtoint ptr %data to i64
  store i64 %w, ptr %args
  %code = call i32 %parallel_for(ptr %pool, ptr @square, ptr %args, i64 %tasks, i64 16, i64 0)
  ret i32 %code
}";
    type Main = extern "C" fn(*const c_void, ParallelFor, *mut i64, i64) -> i32;
    let options = llvm::EmitOptions { cpu: "x86-64-v3".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() };
    let code = Code::load(&[llvm::emit_object(text, &options).unwrap()], &[]).unwrap();
    // SAFETY: the text defines `main` with this signature.
    let main = unsafe { std::mem::transmute::<*const (), Main>(code.symbol("main").unwrap()) };
    let pool = Pool::new(2).unwrap();
    let mut data: Vec<i64> = (0..1000).collect();
    assert_eq!(main(pool.handle(), parallel_for, data.as_mut_ptr(), 1000), 0);
    assert_eq!(data, (0..1000).map(|i| i * i).collect::<Vec<i64>>());
}
