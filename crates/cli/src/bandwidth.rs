//! The most that this machine reads: a generated kernel that adds up memory, by how much memory it goes over.

use crate::failure::Failure;
use crate::microkernel::Microkernel;
use crate::model::Machine;
use ir::DType;
use kernel::{Kernel, KernelBuilder, Space, Ty};
use runtime::AlignedBuffer;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use sym::{Expr, Sym};

/// Vectors that are added to sums of their own in a turn of the loop: enough to hide the latency of additions.
const CHAINS: i64 = 8;

/// Bytes that all threads together go over, each its own part: from one that private caches hold to one that no cache holds.
const FOOTPRINTS: [usize; 6] = [256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20];

/// What is read in one run, in as many passes as that takes.
const RUN_BYTES: usize = 16 << 20;

/// For each footprint.
const TIME: Duration = Duration::from_millis(60);

/// The kernel and the memory that it reads.
pub struct Bandwidth {
    kernel: Microkernel,
    lanes: usize,
    read: AlignedBuffer,
}

/// Bytes gone over and bytes read a second, smallest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadSpeeds(pub Vec<(f64, f64)>);

impl Bandwidth {
    pub fn new(machine: &Machine) -> Result<Bandwidth, Failure> {
        let lanes = machine.target.lanes(DType::F32);
        let mut read = memory(FOOTPRINTS[FOOTPRINTS.len() - 1])?;
        // pages never written may all be one
        read.as_mut_slice().fill(1);
        Ok(Bandwidth { kernel: Microkernel::new(machine, &kernel(lanes))?, lanes: lanes as usize, read })
    }

    /// The best of many runs for each footprint.
    pub fn read_speeds(&self) -> Result<ReadSpeeds, Failure> {
        Ok(ReadSpeeds(FOOTPRINTS.into_iter().map(|footprint| self.read_speed(footprint)).collect::<Result<_, Failure>>()?))
    }

    /// The bytes gone over, and the bytes read a second.
    fn read_speed(&self, footprint: usize) -> Result<(f64, f64), Failure> {
        let threads = self.kernel.threads();
        let turn_bytes = CHAINS as usize * self.lanes * DType::F32.size();
        let turns = (footprint / threads / turn_bytes).max(1);
        let passes = (RUN_BYTES / footprint).max(1);
        let mut sums = memory(threads * self.lanes * DType::F32.size())?;
        let args = [self.read.as_ptr() as u64, sums.as_mut_ptr() as u64, threads as u64, turns as u64, passes as u64];
        let bytes = (threads * turns * turn_bytes) as f64;
        Ok((bytes, bytes * passes as f64 / self.kernel.least_seconds(&args, threads, TIME)?))
    }
}

impl ReadSpeeds {
    /// From memory, where no cache holds what is read.
    pub fn memory(&self) -> f64 {
        self.0.last().map_or(f64::NAN, |(_, speed)| *speed)
    }

    /// For so many bytes: on a straight line over the logarithm of bytes between those measured.
    pub fn at(&self, bytes: f64) -> f64 {
        let after = self.0.iter().position(|(footprint, _)| *footprint >= bytes);
        match after {
            Some(0) => self.0[0].1,
            Some(after) => {
                let [(low, slow), (high, fast)] = [self.0[after - 1], self.0[after]];
                slow + (fast - slow) * (bytes / low).ln() / (high / low).ln()
            }
            None => self.memory(),
        }
    }

    /// The larger of two measurements, for each footprint.
    pub fn best(self, other: ReadSpeeds) -> ReadSpeeds {
        ReadSpeeds(self.0.into_iter().zip(other.0).map(|((bytes, a), (_, b))| (bytes, a.max(b))).collect())
    }
}

fn memory(bytes: usize) -> Result<AlignedBuffer, Failure> {
    AlignedBuffer::zeroed(bytes).map_err(|why| runtime::RunError::from(why).into())
}

/// Task t adds up `turns` times `CHAINS` vectors from t times as many on, `passes` times, and stores the sums.
fn kernel(lanes: u32) -> Kernel {
    let [tasks, turns, passes] = ["tasks", "turns", "passes"].map(Sym::new);
    let (turn, width) = (Expr::from(CHAINS * i64::from(lanes)), Expr::from(i64::from(lanes)));
    let task = Expr::sym(&Sym::new(kernel::kernel::TASK));
    let part = &Expr::sym(&turns) * &turn;
    let mut b = KernelBuilder::new("read");
    let memory = b.buffer("memory", DType::F32, &part * &Expr::sym(&tasks), Space::Input);
    let sums = b.buffer("sums", DType::F32, &width * &Expr::sym(&tasks), Space::Output);
    let zeros: Vec<_> = (0..CHAINS).map(|_| b.float(0.0, Ty::vector(DType::F32, lanes))).collect();
    let ends = b.for_loop("pass", (&Expr::zero(), &Expr::sym(&passes), 1), &zeros, |b, _, inside| {
        b.for_loop("turn", (&Expr::zero(), &Expr::sym(&turns), 1), inside, |b, at, inside| {
            let start = &(&task * &part) + &(at * &turn);
            let add = |(chain, sum): (usize, &kernel::ValueId)| {
                let vector = b.load(memory, &(&start + &(&width * chain as i64)), lanes, None);
                b.binary(kernel::Binary::Add, *sum, vector)
            };
            inside.iter().enumerate().map(add).collect()
        })
    });
    if let Some(sum) = ends.into_iter().reduce(|sum, value| b.binary(kernel::Binary::Add, sum, value)) {
        b.store(sums, &(&task * &width), sum, None);
    }
    b.finish(Expr::sym(&tasks), vec![tasks, turns, passes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_lie_between_those_measured() {
        let speeds = ReadSpeeds(vec![(1e6, 300.0), (4e6, 200.0), (16e6, 50.0)]);
        assert_eq!([0.0, 1e6, 2e6, 4e6, 1e9].map(|bytes| speeds.at(bytes).round()), [300.0, 300.0, 250.0, 200.0, 50.0]);
        assert_eq!(speeds.memory(), 50.0);
        let other = ReadSpeeds(vec![(1e6, 100.0), (4e6, 250.0), (16e6, 60.0)]);
        assert_eq!(speeds.best(other), ReadSpeeds(vec![(1e6, 300.0), (4e6, 250.0), (16e6, 60.0)]));
    }

    #[test]
    fn the_kernel_is_well_formed() {
        assert_eq!(kernel::verify::verify(&kernel(16)), Vec::<String>::new());
    }
}
