//! The most multiply-adds that this machine does: a generated kernel that works in registers alone, with the instruction that products of
//! an element type are made with.

use crate::failure::Failure;
use crate::microkernel::Microkernel;
use crate::model::Machine;
use ir::DType;
use kernel::{Kernel, KernelBuilder, Space, Ty};
use runtime::AlignedBuffer;
use std::time::Duration;
use sym::{Expr, Sym};
use target::Target;

/// Independent chains of multiply-adds: more than latency times units, and they fit into 16 registers with two to spare.
const CHAINS: usize = 12;

/// Steps of each chain in a task: a few hundred microseconds.
const STEPS: i64 = 100_000;

/// Tasks for each thread.
const TASKS: usize = 8;

const TIME: Duration = Duration::from_millis(200);

/// The kernel and what it does.
pub struct Peak {
    kernel: Microkernel,
    step: Step,
}

/// What one instruction of a chain does: `lanes` sums of type `sum`, to each the product of `group` factors of types `factors`.
#[derive(Clone, Copy, Debug)]
struct Step {
    factors: [DType; 2],
    sum: DType,
    lanes: u32,
    group: u32,
}

impl Step {
    /// Where the target has no dot products of the type: f64 in f64, every other type in f32.
    fn of(target: &Target, dtype: DType) -> Step {
        let sum = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let group = target.dot_group(dtype, dtype) as u32;
        let (factors, sum) = match (group, dtype) {
            (1, _) => ([sum; 2], sum),
            (_, DType::BF16) => ([DType::BF16; 2], DType::F32),
            _ => ([DType::U8, DType::I8], DType::I32),
        };
        Step { factors, sum, lanes: target.lanes(sum), group }
    }
}

impl Peak {
    pub fn new(machine: &Machine, dtype: DType) -> Result<Peak, Failure> {
        let step = Step::of(&machine.target, dtype);
        Ok(Peak { kernel: Microkernel::new(machine, &kernel(step))?, step })
    }

    /// The best of many runs.
    pub fn flops_per_second(&self) -> Result<f64, Failure> {
        let tasks = TASKS * self.kernel.threads();
        let flops = 2.0 * CHAINS as f64 * f64::from(self.step.lanes * self.step.group) * STEPS as f64 * tasks as f64;
        let memory = |bytes| AlignedBuffer::zeroed(bytes).map_err(|why| Failure::from(runtime::RunError::from(why)));
        let bytes = self.step.lanes as usize * self.step.sum.size();
        let (factors, mut sums) = (memory(bytes)?, memory(tasks * bytes)?);
        let args = [factors.as_ptr() as u64, factors.as_ptr() as u64, sums.as_mut_ptr() as u64, tasks as u64];
        Ok(flops / self.kernel.least_seconds(&args, tasks, TIME)?)
    }
}

/// Each task: `CHAINS` vectors, `STEPS` times the products of two other vectors are added to each, then their sum is stored.
fn kernel(step: Step) -> Kernel {
    let Step { factors, sum, lanes, group } = step;
    let (width, tasks) = (Expr::from(i64::from(lanes)), Sym::new("tasks"));
    let mut b = KernelBuilder::new("peak");
    let of = factors.map(|dtype| b.buffer("factors", dtype, &width * i64::from(group), Space::Input));
    let sums = b.buffer("sums", sum, &width * &Expr::sym(&tasks), Space::Output);
    let [x, y] = of.map(|buffer| b.load(buffer, &Expr::zero(), lanes * group, None));
    let ty = Ty::vector(sum, lanes);
    let start = |b: &mut KernelBuilder, number: i64| if sum.is_float() { b.float(number as f64, ty) } else { b.int(number, ty) };
    let starts: Vec<_> = (0..CHAINS).map(|chain| start(&mut b, chain as i64 + 1)).collect();
    let ends = b.for_loop("i", (&Expr::zero(), &Expr::from(STEPS), 1), &starts, |b, _, inside| {
        inside.iter().map(|value| if group == 1 { b.mul_add(*value, x, y) } else { b.dot(x, y, *value) }).collect()
    });
    if let Some(sum) = ends.into_iter().reduce(|sum, value| b.binary(kernel::Binary::Add, sum, value)) {
        b.store(sums, &(&Expr::sym(&Sym::new(kernel::kernel::TASK)) * &width), sum, None);
    }
    b.finish(Expr::sym(&tasks), vec![tasks])
}
