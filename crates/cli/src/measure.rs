//! Timing calls: the caller's inputs to the caller's outputs.

use crate::failure::Failure;
use ir::{Tensor, TensorType};
use runtime::{AlignedBuffer, Executable, InputRef, OutputMut};
use std::time::{Duration, Instant};

/// Calls before the first that counts.
const WARM_UPS: usize = 3;

/// The least that is measured.
const LEAST_RUNS: usize = 10;
const LEAST_TIME: Duration = Duration::from_secs(2);

/// The memory of a caller: inputs and outputs of one call, aligned.
pub struct Caller {
    inputs: Vec<(ir::DType, Vec<usize>, AlignedBuffer)>,
    outputs: Vec<(ir::DType, Vec<usize>, AlignedBuffer)>,
}

impl Caller {
    pub fn new(executable: &Executable, inputs: &[Tensor]) -> Result<Caller, Failure> {
        let sizes = executable.bind(&inputs.iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>())?;
        let dims = executable.output_room(&sizes).ok_or_else(|| Failure::bug("an output's size has no value"))?;
        let short = |error| Failure::from(runtime::RunError::from(error));
        let copy = |tensor: &Tensor| Ok((tensor.dtype(), tensor.dims().to_vec(), AlignedBuffer::copy_of(tensor.bytes()).map_err(short)?));
        let room = |((_, ty), dims): (&(String, TensorType), Vec<usize>)| {
            let bytes = dims.iter().product::<usize>() * ty.dtype.size();
            Ok((ty.dtype, dims, AlignedBuffer::zeroed(bytes).map_err(short)?))
        };
        Ok(Caller {
            inputs: inputs.iter().map(copy).collect::<Result<_, Failure>>()?,
            outputs: executable.image().outputs.iter().zip(dims).map(room).collect::<Result<_, Failure>>()?,
        })
    }

    /// The seconds of one call.
    pub fn call(&mut self, executable: &mut Executable) -> Result<f64, Failure> {
        let inputs: Vec<InputRef> =
            self.inputs.iter().map(|(dtype, dims, buffer)| InputRef { dtype: *dtype, dims, bytes: buffer.as_slice() }).collect();
        let outputs = self.outputs.iter_mut();
        let mut outputs: Vec<OutputMut> =
            outputs.map(|(dtype, dims, buffer)| OutputMut { dtype: *dtype, dims, bytes: buffer.as_mut_slice() }).collect();
        let start = Instant::now();
        executable.run_into(&inputs, &mut outputs)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// What the last call, which was this caller's, wrote to an output.
    pub fn output(&self, executable: &Executable, at: usize) -> Option<Tensor> {
        let (dtype, _, buffer) = self.outputs.get(at)?;
        let dims = executable.output_dims(executable.computed_sizes())?.swap_remove(at);
        let bytes = dims.iter().product::<usize>() * dtype.size();
        Tensor::new(*dtype, dims, std::sync::Arc::new(buffer.as_slice().get(..bytes)?.to_vec()))
    }
}

/// The seconds of calls, sorted; and of the very first call.
#[derive(Debug)]
pub struct Times {
    pub first: f64,
    sorted: Vec<f64>,
}

impl Times {
    /// Calls by turns for each caller.
    pub fn of(executable: &mut Executable, callers: &mut [Caller]) -> Result<Times, Failure> {
        let count = callers.len();
        let mut call = |at: usize| callers[at % count].call(executable);
        let first = call(0)?;
        for at in 1..WARM_UPS {
            call(at)?;
        }
        let (mut sorted, start) = (Vec::new(), Instant::now());
        while sorted.len() < LEAST_RUNS || start.elapsed() < LEAST_TIME {
            sorted.push(call(sorted.len())?);
        }
        sorted.sort_by(f64::total_cmp);
        Ok(Times { first, sorted })
    }

    pub fn runs(&self) -> usize {
        self.sorted.len()
    }

    /// The time that this share of the calls stays within.
    pub fn quantile(&self, share: f64) -> f64 {
        self.sorted[((self.sorted.len() - 1) as f64 * share).round() as usize]
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_elements() {
        let times = Times { first: 9.0, sorted: (0..11).map(f64::from).collect() };
        assert_eq!([0.1, 0.5, 0.9].map(|share| times.quantile(share)), [1.0, 5.0, 9.0]);
    }
}
