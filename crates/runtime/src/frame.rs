//! The memory of one call, kept for the next: sizes, arena, scratch, and copies of tensors that are not aligned.

use crate::image::Image;
use crate::memory::{ALIGNMENT, AlignedBuffer, MemoryError};
use crate::tensors::{InputRef, OutputMut};

/// What the sizes of a call come to.
#[derive(Debug, Default)]
pub struct Sizes {
    /// The dims of each input that these sizes are of.
    pub inputs: Vec<Vec<usize>>,
    /// The symbols' values; of computed ones the largest that there is room for.
    pub symbols: Vec<i64>,
    /// What the entry gets: the symbols' values and the offsets in the arena.
    pub dims: Vec<i64>,
    /// The dims of each output; the largest ones where sizes are computed.
    pub outputs: Vec<Vec<usize>>,
    pub output_bytes: Vec<usize>,
    pub arena_bytes: usize,
    pub scratch_bytes: usize,
}

impl Sizes {
    /// The sizes for inputs of these dims, bound to `symbols`. None where one overflows.
    pub fn new(image: &Image, inputs: &[&[usize]], symbols: Vec<i64>) -> Option<Sizes> {
        let dims = |ty: &ir::TensorType| {
            ty.dims.iter().map(|dim| usize::try_from(image.most(dim, &symbols)?).ok()).collect::<Option<Vec<usize>>>()
        };
        let outputs: Vec<Vec<usize>> = image.outputs.iter().map(|(_, ty)| dims(ty)).collect::<Option<_>>()?;
        let bytes = |((_, ty), dims): (&(String, ir::TensorType), &Vec<usize>)| {
            dims.iter().try_fold(ty.dtype.size(), |bytes, dim| bytes.checked_mul(*dim))
        };
        let plan = image.arena_plan(&symbols)?;
        Some(Sizes {
            inputs: inputs.iter().map(|dims| dims.to_vec()).collect(),
            output_bytes: image.outputs.iter().zip(&outputs).map(bytes).collect::<Option<_>>()?,
            outputs,
            arena_bytes: usize::try_from(plan.bytes).ok()?,
            scratch_bytes: usize::try_from(image.most(&image.scratch_bytes, &symbols)?).ok()?,
            dims: symbols.iter().copied().chain(plan.offsets).collect(),
            symbols,
        })
    }

    /// Whether these are the sizes of a call with such inputs; allocates nothing.
    pub fn fit(&self, inputs: &[InputRef]) -> bool {
        self.inputs.len() == inputs.len() && self.inputs.iter().zip(inputs).all(|(dims, input)| dims == input.dims)
    }
}

/// The kept memory. Buffers grow and never shrink.
#[derive(Debug, Default)]
pub struct Frame {
    pub arena: AlignedBuffer,
    pub scratch: AlignedBuffer,
    input_copies: Vec<AlignedBuffer>,
    output_copies: Vec<AlignedBuffer>,
    inputs: Vec<*const u8>,
    outputs: Vec<*mut u8>,
    /// The entry's `dims`: computed sizes are written here.
    pub dims: Vec<i64>,
}

impl Frame {
    /// Sees to it that arena and scratch have at least these sizes.
    pub fn reserve(&mut self, sizes: &Sizes) -> Result<(), MemoryError> {
        grow(&mut self.arena, sizes.arena_bytes, AlignedBuffer::with_margins)?;
        grow(&mut self.scratch, sizes.scratch_bytes, AlignedBuffer::zeroed)
    }

    /// Aligned pointers to the inputs' elements and to room for the outputs', valid until the next call and as long as the tensors are.
    pub fn pointers(&mut self, inputs: &[InputRef], outputs: &mut [OutputMut]) -> Result<(*const *const u8, *const *mut u8), MemoryError> {
        self.input_copies.resize_with(inputs.len(), AlignedBuffer::empty);
        self.output_copies.resize_with(outputs.len(), AlignedBuffer::empty);
        self.inputs.clear();
        self.outputs.clear();
        for (input, copy) in inputs.iter().zip(&mut self.input_copies) {
            self.inputs.push(aligned_input(input.bytes, copy)?);
        }
        for (output, copy) in outputs.iter_mut().zip(&mut self.output_copies) {
            self.outputs.push(aligned_output(output.bytes, copy)?);
        }
        Ok((self.inputs.as_ptr(), self.outputs.as_ptr()))
    }

    /// Brings home what was written to copies.
    pub fn copy_back(&mut self, outputs: &mut [OutputMut]) {
        for (output, copy) in outputs.iter_mut().zip(&self.output_copies) {
            if !is_aligned(output.bytes.as_ptr()) {
                output.bytes.copy_from_slice(&copy.as_slice()[..output.bytes.len()]);
            }
        }
    }
}

fn grow(buffer: &mut AlignedBuffer, bytes: usize, allocate: fn(usize) -> Result<AlignedBuffer, MemoryError>) -> Result<(), MemoryError> {
    if buffer.len() < bytes {
        // the old one goes first, so that both never stand side by side
        *buffer = AlignedBuffer::empty();
        *buffer = allocate(bytes)?;
    }
    Ok(())
}

fn is_aligned(start: *const u8) -> bool {
    start.addr().is_multiple_of(ALIGNMENT)
}

fn aligned_input(bytes: &[u8], copy: &mut AlignedBuffer) -> Result<*const u8, MemoryError> {
    if is_aligned(bytes.as_ptr()) {
        return Ok(bytes.as_ptr());
    }
    grow(copy, bytes.len(), AlignedBuffer::zeroed)?;
    copy.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    Ok(copy.as_ptr())
}

fn aligned_output(bytes: &mut [u8], copy: &mut AlignedBuffer) -> Result<*mut u8, MemoryError> {
    if is_aligned(bytes.as_ptr()) {
        return Ok(bytes.as_mut_ptr());
    }
    grow(copy, bytes.len(), AlignedBuffer::zeroed)?;
    Ok(copy.as_mut_ptr())
}
