//! The most multiply-adds that this machine does: a generated kernel that works in registers alone.

use crate::failure::Failure;
use crate::model::Machine;
use ir::DType;
use kernel::{Kernel, KernelBuilder, Space, Ty};
use llvm::{EmitOptions, PrintOptions};
use runtime::{AlignedBuffer, Code, KernelFn, Pool};
use std::time::{Duration, Instant};
use sym::{Expr, Sym};

/// Independent chains of multiply-adds: more than latency times units, and they fit into 16 registers with two to spare.
const CHAINS: usize = 12;

/// Steps of each chain in a task: a few hundred microseconds.
const STEPS: i64 = 100_000;

/// Tasks for each thread.
const TASKS: usize = 8;

const TIME: Duration = Duration::from_millis(200);

/// The kernel, loaded, and the threads that run it.
pub struct Peak {
    code: Code,
    pool: Pool,
    lanes: u32,
    dtype: DType,
}

impl Peak {
    /// For f64 in f64, for every other type in f32.
    pub fn new(machine: &Machine, dtype: DType) -> Result<Peak, Failure> {
        let dtype = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let lanes = machine.target.lanes(dtype);
        let print = PrintOptions { vector_width: Some(machine.target.vector_bits), profile: false };
        let text = llvm::print_kernel(&kernel(dtype, lanes), &print);
        let target = &machine.target;
        let emit = EmitOptions { cpu: target.cpu.clone(), features: target.feature_text(), triple: target.triple.clone() };
        let object = llvm::emit_object(&text, &emit).map_err(|why| Failure::bug(format!("code generation: {why}")))?;
        let code = Code::load(&[object], &[]).map_err(|why| Failure::bug(why.to_string()))?;
        let pool = Pool::new(machine.threads).map_err(|why| Failure::bug(why.to_string()))?;
        Ok(Peak { code, pool, lanes, dtype })
    }

    /// The best of many runs.
    pub fn flops_per_second(&self) -> Result<f64, Failure> {
        let tasks = TASKS * self.pool.threads();
        let flops = 2.0 * CHAINS as f64 * f64::from(self.lanes) * STEPS as f64 * tasks as f64;
        let memory = |bytes| AlignedBuffer::zeroed(bytes).map_err(|why| Failure::from(runtime::RunError::from(why)));
        let bytes = self.lanes as usize * self.dtype.size();
        let (factors, mut sums) = (memory(2 * bytes)?, memory(tasks * bytes)?);
        let args = [factors.as_ptr() as u64, sums.as_mut_ptr() as u64, tasks as u64];
        let (start, mut best) = (Instant::now(), f64::INFINITY);
        while start.elapsed() < TIME {
            let run = Instant::now();
            self.run(&args, tasks)?;
            best = best.min(run.elapsed().as_secs_f64());
        }
        Ok(flops / best)
    }

    fn run(&self, args: &[u64; 3], tasks: usize) -> Result<(), Failure> {
        let address = self.code.symbol(NAME).ok_or_else(|| Failure::bug(format!("{NAME} is not in its object")))?;
        // SAFETY: the printer gives every kernel this type; `args` are its buffers, of the sizes that it declares, and its size.
        let result = unsafe {
            let kernel = std::mem::transmute::<*const (), KernelFn>(address);
            self.pool.parallel_for(kernel, args.as_ptr(), tasks as i64, 1, 0)
        };
        if result == 0 { Ok(()) } else { Err(Failure::bug(format!("{NAME} returned {result}"))) }
    }
}

const NAME: &str = "peak";

/// Each task: `CHAINS` vectors, `STEPS` times `v = v*a + b`, then their sum is stored.
fn kernel(dtype: DType, lanes: u32) -> Kernel {
    let (width, tasks) = (Expr::from(i64::from(lanes)), Sym::new("tasks"));
    let ty = Ty::vector(dtype, lanes);
    let mut b = KernelBuilder::new(NAME);
    let factors = b.buffer("factors", dtype, &width * 2, Space::Input);
    let sums = b.buffer("sums", dtype, &width * &Expr::sym(&tasks), Space::Output);
    let (factor, summand) = (b.load(factors, &Expr::zero(), lanes, None), b.load(factors, &width, lanes, None));
    let starts: Vec<_> = (0..CHAINS).map(|chain| b.float(chain as f64 + 1.0, ty)).collect();
    let ends = b.for_loop("i", (&Expr::zero(), &Expr::from(STEPS), 1), &starts, |b, _, inside| {
        inside.iter().map(|value| b.mul_add(*value, factor, summand)).collect()
    });
    let sum = ends.into_iter().reduce(|sum, value| b.binary(kernel::Binary::Add, sum, value));
    if let Some(sum) = sum {
        b.store(sums, &(&Expr::sym(&Sym::new(kernel::kernel::TASK)) * &width), sum, None);
    }
    b.finish(Expr::sym(&tasks), vec![tasks])
}
