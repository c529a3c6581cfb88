//! What a fork and join costs, and what a busy neighbour does to it.
//!
//!     cargo run --release -p runtime --example fork_join [THREADS]
//!
//! `shared`: as many tasks of about 5 us as threads, so all must take part; the cost is the time beyond that of one
//! task. `empty`: the kernel does nothing, right after `shared`, so the workers are awake; mostly the caller is through
//! before one comes. `shared, after a pause`: with parked workers. `work`: 256 tasks of about 5 us. `with neighbours`:
//! again, while one thread that never sleeps runs for each thread of the pool but one.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runtime::{KernelFn, Pool};

const TASK: Duration = Duration::from_micros(5);

fn main() -> std::io::Result<()> {
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2);
    let pool = Pool::new(threads)?;
    let steps = steps_of_a_task();
    let tasks = pool.threads() as i64;
    let single = Pool::new(1)?;
    let one = median(times(2000, Duration::ZERO, || run(&single, step, steps, 1)));
    println!("{} threads; one task {one:.2} us", pool.threads());
    print("shared", times(20_000, Duration::ZERO, || run(&pool, step, steps, tasks)), one);
    print("empty", times(50_000, Duration::ZERO, || run(&pool, nothing, 0, tasks)), 0.0);
    print("shared, after a pause", times(500, Duration::from_millis(2), || run(&pool, step, steps, tasks)), one);
    let alone = times(1000, Duration::ZERO, || run(&pool, step, steps, 256));
    let ideal = 256.0 * one / pool.threads() as f64;
    print_efficiency("work", alone, ideal);
    print_efficiency(
        "work with neighbours",
        with_neighbours(threads - 1, || times(1000, Duration::ZERO, || run(&pool, step, steps, 256))),
        ideal,
    );
    print("empty with neighbours", with_neighbours(threads - 1, || times(50_000, Duration::ZERO, || run(&pool, nothing, 0, tasks))), 0.0);
    Ok(())
}

unsafe extern "C" fn nothing(_: *const u64, _: i64, _: i64, _: *mut u8) -> i32 {
    0
}

/// For each task, a chain of `args[0]` multiplications.
unsafe extern "C" fn step(args: *const u64, begin: i64, end: i64, _: *mut u8) -> i32 {
    // SAFETY: `run` passes one word.
    let steps = unsafe { *args };
    let chain = |task: i64| (0..steps).fold(task as u64, |value, _| black_box(value.wrapping_mul(3)));
    black_box((begin..end).map(chain).fold(0, u64::wrapping_add));
    0
}

fn run(pool: &Pool, kernel: KernelFn, steps: u64, tasks: i64) {
    // SAFETY: the kernels take one word and any split of the tasks.
    let code = unsafe { pool.parallel_for(kernel, &steps, tasks, 1, 0) };
    assert_eq!(code, 0);
}

/// How many steps take about [`TASK`].
fn steps_of_a_task() -> u64 {
    const PROBE: u64 = 100_000;
    let pool = Pool::new(1).unwrap();
    let probe = median(times(50, Duration::ZERO, || run(&pool, step, PROBE, 1)));
    (PROBE as f64 * TASK.as_secs_f64() * 1e6 / probe) as u64
}

/// The time of each of `rounds` calls in microseconds, with a `pause` before each.
fn times(rounds: usize, pause: Duration, call: impl Fn()) -> Vec<f64> {
    let time = |_| {
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..rounds).map(time).collect()
}

fn with_neighbours<T>(neighbours: usize, measure: impl Fn() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..neighbours {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let result = measure();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn median(times: Vec<f64>) -> f64 {
    quantile(&times, 0.5)
}

fn quantile(times: &[f64], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

fn print(name: &str, times: Vec<f64>, base: f64) {
    let beyond = |part| quantile(&times, part) - base;
    println!("{name:24} median {:7.2} us   90 % {:7.2} us   99 % {:7.2} us", beyond(0.5), beyond(0.9), beyond(0.99));
}

fn print_efficiency(name: &str, times: Vec<f64>, ideal: f64) {
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    println!(
        "{name:24} median {:7.1} us   99 % {:7.1} us   mean {mean:7.1} us   ideal {ideal:.1} us",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
}
