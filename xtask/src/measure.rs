//! Calls of compiled operations in memory that stays the same.

use anyhow::{Context, Result};
use driver::Compiled;
use ir::{DType, Tensor};
use runtime::{AlignedBuffer, Executable, HUGE_PAGE, InputRef, OutputMut, RunError};
use target::Target;

/// A record by its name or its file.
pub fn target(name: &str) -> Result<Target> {
    match name {
        "native" => Ok(Target::native()),
        "x86-64-v3" => Ok(Target::x86_64_v3()),
        path => {
            let text = std::fs::read_to_string(path).with_context(|| format!("--target is native, x86-64-v3 or a file, not {path}"))?;
            text.parse().map_err(|why| anyhow::anyhow!("{path}: {why}"))
        }
    }
}

/// Inputs and outputs of an operation, the same for all ways to compile it: where other pages or other places in them came with each, they
/// would differ by more than the code. They lie on huge pages, and so that nothing is copied or allocated in a call.
pub struct Memory {
    inputs: Vec<Part>,
    outputs: Vec<Part>,
}

struct Part {
    dtype: DType,
    dims: Vec<usize>,
    bytes: usize,
    buffer: AlignedBuffer,
}

impl Part {
    fn new(dtype: DType, dims: &[usize]) -> Result<Part> {
        let bytes = dims.iter().product::<usize>() * dtype.size();
        Ok(Part { dtype, dims: dims.to_vec(), bytes, buffer: AlignedBuffer::zeroed(bytes.max(HUGE_PAGE))? })
    }
}

impl Memory {
    pub fn new(compiled: &Compiled, inputs: &[Tensor]) -> Result<Memory> {
        let input = |tensor: &Tensor| -> Result<Part> {
            let mut part = Part::new(tensor.dtype(), tensor.dims())?;
            part.buffer.as_mut_slice()[..part.bytes].copy_from_slice(tensor.bytes());
            Ok(part)
        };
        let output = |(name, ty): &(String, ir::TensorType)| {
            let dims = ty.const_dims().with_context(|| format!("{name} has free sizes"))?;
            Part::new(ty.dtype, &dims)
        };
        Ok(Memory {
            inputs: inputs.iter().map(input).collect::<Result<_>>()?,
            outputs: compiled.image.outputs.iter().map(output).collect::<Result<_>>()?,
        })
    }

    pub fn call(&mut self, executable: &mut Executable) -> Result<(), RunError> {
        let inputs: Vec<InputRef> = self
            .inputs
            .iter()
            .map(|part| InputRef { dtype: part.dtype, dims: &part.dims, bytes: &part.buffer.as_slice()[..part.bytes] })
            .collect();
        let outputs = self.outputs.iter_mut();
        let mut outputs: Vec<OutputMut> = outputs
            .map(|part| OutputMut { dtype: part.dtype, dims: &part.dims, bytes: &mut part.buffer.as_mut_slice()[..part.bytes] })
            .collect();
        executable.run_into(&inputs, &mut outputs)
    }
}
