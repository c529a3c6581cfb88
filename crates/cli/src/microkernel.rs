//! A kernel of our own that shows what this machine can do, printed, loaded and run as a model's kernels are.

use crate::failure::Failure;
use crate::model::Machine;
use kernel::Kernel;
use llvm::{EmitOptions, PrintOptions};
use runtime::{Code, KernelFn, Pool};
use std::time::{Duration, Instant};

/// The kernel, loaded, and the threads that run it.
pub struct Microkernel {
    name: String,
    code: Code,
    pool: Pool,
}

impl Microkernel {
    pub fn new(machine: &Machine, kernel: &Kernel) -> Result<Microkernel, Failure> {
        let target = &machine.target;
        let print = PrintOptions::of(target);
        let emit = EmitOptions { cpu: target.cpu.clone(), features: target.feature_text(), triple: target.triple.clone() };
        let object = llvm::emit_object(&llvm::print_kernel(kernel, &print), &emit).map_err(driver::Error::from)?;
        let code = Code::load(&[object], &[]).map_err(|why| Failure::bug(why.to_string()))?;
        let pool = Pool::new(machine.threads).map_err(|why| Failure::bug(why.to_string()))?;
        Ok(Microkernel { name: kernel.name.clone(), code, pool })
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The least seconds of all tasks, of as many runs as fit into a time. `args` are the buffers and sizes that the kernel declares.
    pub fn least_seconds(&self, args: &[u64], tasks: usize, time: Duration) -> Result<f64, Failure> {
        let (start, mut least) = (Instant::now(), f64::INFINITY);
        while start.elapsed() < time {
            let run = Instant::now();
            self.run(args, tasks)?;
            least = least.min(run.elapsed().as_secs_f64());
        }
        Ok(least)
    }

    fn run(&self, args: &[u64], tasks: usize) -> Result<(), Failure> {
        let Microkernel { name, code, pool } = self;
        let address = code.symbol(name).ok_or_else(|| Failure::bug(format!("{name} is not in its object")))?;
        // SAFETY: the printer gives every kernel this type; `args` are its buffers, of the sizes that it declares, and its sizes.
        let result = unsafe {
            let kernel = std::mem::transmute::<*const (), KernelFn>(address);
            pool.parallel_for(kernel, args.as_ptr(), tasks as i64, 1, 0)
        };
        if result == 0 { Ok(()) } else { Err(Failure::bug(format!("{name} returned {result}"))) }
    }
}
