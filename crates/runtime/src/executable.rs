//! A loaded model: its code, its prepared weights, its threads, and the memory of its calls.

use crate::bind::bind;
use crate::entry::{Context, EntryFn, Outcome, PARALLEL_FOR};
use crate::error::RunError;
use crate::float_mode::DefaultFloatMode;
use crate::frame::{Frame, Sizes};
use crate::image::Image;
use crate::load::Code;
use crate::memory::AlignedBuffer;
use crate::pool::Pool;
use crate::steps::Steps;
use crate::tensors::{InputRef, OutputMut};
use host::Fault;
use ir::{DType, Diagnostic, Diagnostics, Location, Strings, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;
use sym::{Expr, Sym};

/// A model that can be called. One call runs at a time; its memory is kept for the next.
#[derive(Debug)]
pub struct Executable {
    image: Image,
    code: Code,
    /// Invariant: lies in `code`.
    main: EntryFn,
    /// Boxed, since generated code knows its address.
    pool: Box<Pool>,
    /// The bytes of the image's constants.
    constants: Vec<*const u8>,
    prepared: AlignedBuffer,
    /// Nanoseconds of each step; empty where the image is not profiled.
    profile: Vec<u64>,
    /// Calls of `prepare` and of `main` since loading or the last reset.
    calls: [u64; 2],
    most_bytes: usize,
    /// Begins with the model's own.
    strings: Arc<Strings>,
    sizes: Option<Sizes>,
    /// The room for computed sizes that calls have asked for.
    room: BTreeMap<Sym, i64>,
    frame: Frame,
}

// SAFETY: the raw pointers lead to memory that the value owns or that its tensors share and nobody writes.
unsafe impl Send for Executable {}

/// The time that one step took in `calls` calls; in some of them it may have been on a branch not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTime {
    /// The model nodes that the step came from.
    pub label: String,
    pub nanoseconds: u64,
    pub calls: u64,
}

impl Executable {
    /// Loads the code, starts `threads - 1` threads, and runs `prepare`.
    pub fn load(image: Image, threads: usize) -> Result<Executable, RunError> {
        Executable::load_within(image, threads, usize::MAX)
    }

    /// As [`Executable::load`]; E008 where the memory for weights and calls would come to more than `most_bytes`.
    pub fn load_within(mut image: Image, threads: usize, most_bytes: usize) -> Result<Executable, RunError> {
        let code = Code::load(&image.objects, &[])?;
        image.objects = Vec::new();
        let (prepare, main) = (entry(&code, &image.prepare)?, entry(&code, &image.main)?);
        let prepared_bytes = image.size(&image.prepared_bytes, &[]).ok_or_else(|| RunError::Bug("no prepared size".to_string()))?;
        within(most_bytes, "weights", prepared_bytes)?;
        // workers take over the mode
        let _mode = DefaultFloatMode::enter();
        let pool = Pool::new(threads).map_err(|error| RunError::limit(format!("{threads} threads can't be started: {error}")))?;
        let mut executable = Executable {
            code,
            main,
            pool: Box::new(pool),
            constants: image.constants.iter().map(|tensor| tensor.bytes().as_ptr()).collect(),
            prepared: AlignedBuffer::zeroed(prepared_bytes)?,
            profile: vec![0; if image.profiled { image.steps.len() } else { 0 }],
            calls: [1, 0],
            most_bytes,
            strings: Arc::new(Strings::of(&image.texts)),
            sizes: None,
            room: BTreeMap::new(),
            frame: Frame::default(),
            image,
        };
        executable.prepare(prepare)?;
        Ok(executable)
    }

    fn prepare(&mut self, prepare: EntryFn) -> Result<(), RunError> {
        let smallest = self.image.smallest_sizes();
        let scratch_bytes = self.image.size(&self.image.scratch_bytes, &smallest).unwrap_or(0);
        self.pool.reserve_scratch(scratch_bytes)?;
        self.frame.reserve(&Sizes { scratch_bytes, ..Sizes::default() })?;
        let ended = self.call(prepare, std::ptr::null(), std::ptr::null());
        self.outcome(ended)
    }

    /// The symbols' values for inputs of these dims, in the image's order; of computed ones the largest that there is room for. Every
    /// mismatch is told: E009 at an input, or at the place of a guard that does not hold.
    pub fn bind(&self, dims: &[Vec<usize>]) -> Result<Vec<i64>, Diagnostics> {
        self.bound(&dims.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn bound(&self, dims: &[&[usize]]) -> Result<Vec<i64>, Diagnostics> {
        let mut sizes = bind(&self.image, dims)?;
        for (sym, size) in self.image.symbols.iter().zip(&mut sizes) {
            *size = self.room.get(sym).copied().unwrap_or(*size);
        }
        Ok(sizes)
    }

    /// The symbols' values in the last call, in the image's order, computed ones too.
    pub fn computed_sizes(&self) -> &[i64] {
        &self.frame.dims[..self.image.symbols.len().min(self.frame.dims.len())]
    }

    /// The table behind the tensors of strings that calls take and give: i64, each element the number of a string. It keeps what calls add
    /// to it; [`Executable::forget_strings`] empties it.
    pub fn strings(&self) -> &Arc<Strings> {
        &self.strings
    }

    /// Forgets all strings but the model's own; tensors of other strings mean nothing any more.
    pub fn forget_strings(&mut self) {
        self.strings.shorten(1 + self.image.texts.table.len());
    }

    /// Takes another table, which begins with the model's own strings too.
    pub fn share_strings(&mut self, strings: &Arc<Strings>) {
        self.strings = strings.clone();
    }

    /// The outputs for `inputs`, in the model's order.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let inputs: Vec<InputRef> = inputs.iter().map(InputRef::from).collect();
        let types = self.image.outputs.iter().map(|(_, ty)| ty.dtype).collect::<Vec<_>>();
        let buffers = loop {
            self.size(&inputs)?;
            let sizes = self.sizes.as_ref().map(|sizes| (sizes.outputs.clone(), sizes.output_bytes.clone()));
            let (dims, bytes) = sizes.unwrap_or_default();
            let mut buffers = bytes.iter().map(|bytes| AlignedBuffer::zeroed(*bytes)).collect::<Result<Vec<_>, _>>()?;
            let parts = types.iter().zip(&dims).zip(&mut buffers);
            let mut outputs: Vec<OutputMut> =
                parts.map(|((dtype, dims), buffer)| OutputMut { dtype: *dtype, dims, bytes: buffer.as_mut_slice() }).collect();
            if let Call::Done = self.run_sized(&inputs, &mut outputs)? {
                break buffers;
            }
        };
        let dims = self.output_dims(&self.frame.dims).ok_or_else(|| RunError::Bug("an output's size has no value".to_string()))?;
        let tensors = types.into_iter().zip(dims).zip(buffers);
        Ok(tensors.filter_map(|((dtype, dims), buffer)| part_of(dtype, dims, buffer)).collect())
    }

    /// Writes the outputs for `inputs` to the caller's memory. Where the sizes of outputs are computed, the outputs given have the dims
    /// that [`Executable::output_room`] gives for those of [`Executable::bind`], and what is written are the first of their elements, by
    /// the dims that [`Executable::output_dims`] gives for [`Executable::computed_sizes`]; E009 tells that they have become too small.
    /// Nothing is allocated where the sizes are those of the call before and the tensors lie as they did then.
    pub fn run_into(&mut self, inputs: &[InputRef], outputs: &mut [OutputMut]) -> Result<(), RunError> {
        loop {
            self.size(inputs)?;
            self.check_outputs(outputs)?;
            if let Call::Done = self.run_sized(inputs, outputs)? {
                return Ok(());
            }
        }
    }

    /// Checks the inputs, and sees to it that `sizes` are theirs and that the memory is there.
    fn size(&mut self, inputs: &[InputRef]) -> Result<(), RunError> {
        let types = self.image.inputs.iter().zip(inputs).all(|((_, ty), input)| ty.dtype == input.dtype);
        if types && self.sizes.as_ref().is_some_and(|sizes| sizes.fit(inputs)) {
            return Ok(());
        }
        let dims: Vec<&[usize]> = inputs.iter().map(|input| input.dims).collect();
        let mut problems = self.type_problems(inputs);
        let symbols = self.bound(&dims).map_err(|more| problems.extend(more.0)).unwrap_or_default();
        if !problems.is_empty() {
            return Err(RunError::Call(Diagnostics(problems)));
        }
        let mut sizes = Sizes::new(&self.image, &dims, symbols);
        if self.room.is_empty() && !self.image.computed.is_empty() && sizes.as_ref().is_none_or(|sizes| sizes.bytes() > FIRST_BYTES) {
            // several computed sizes multiply: the room of each grows by itself
            self.room = self.image.computed.iter().map(|sym| (sym.clone(), 1)).collect();
            sizes = Sizes::new(&self.image, &dims, self.bound(&dims)?);
        }
        let sizes = sizes.ok_or_else(|| RunError::limit("a size overflows 64 bits".to_string()))?;
        self.sizes = None;
        match self.reserve(&sizes) {
            Ok(()) => {
                self.sizes = Some(sizes);
                Ok(())
            }
            // another call may do with less
            Err(error) => {
                self.room.clear();
                Err(error)
            }
        }
    }

    fn reserve(&mut self, sizes: &Sizes) -> Result<(), RunError> {
        self.check_memory(sizes)?;
        self.pool.reserve_scratch(sizes.scratch_bytes)?;
        Ok(self.frame.reserve(sizes)?)
    }

    fn type_problems(&self, inputs: &[InputRef]) -> Vec<Diagnostic> {
        let differing = self.image.inputs.iter().zip(inputs).filter(|((_, ty), input)| ty.dtype != input.dtype);
        let message = |((name, ty), input): (&(String, ir::TensorType), &InputRef)| {
            Diagnostic::new(ir::Code::Input, &Location::of(name), format!("its type is {}, not {}", input.dtype, ty.dtype))
        };
        differing.map(message).collect()
    }

    fn check_memory(&self, sizes: &Sizes) -> Result<(), RunError> {
        let scratch = sizes.scratch_bytes.saturating_mul(self.pool.threads() + 1);
        let bytes = [self.prepared.len(), sizes.bytes(), scratch].iter().fold(0usize, |sum, bytes| sum.saturating_add(*bytes));
        within(self.most_bytes, &format!("a call with {}", self.named_sizes(sizes)), bytes)
    }

    /// `batch = 3, seq = 128`, or `these inputs` where the model has no free sizes.
    fn named_sizes(&self, sizes: &Sizes) -> String {
        let named: Vec<String> = self.image.symbols.iter().zip(&sizes.symbols).map(|(sym, value)| format!("{sym} = {value}")).collect();
        if named.is_empty() { "these inputs".to_string() } else { named.join(", ") }
    }

    /// The inputs that the code was made for hold what it was made for.
    fn check_values(&self, inputs: &[InputRef]) -> Result<(), RunError> {
        let differs = |value: &Option<Tensor>, input: &InputRef| {
            value.as_ref().is_some_and(|value| value.dims() != input.dims || value.bytes() != input.bytes)
        };
        let values = self.image.values.iter().zip(inputs).zip(&self.image.inputs);
        let problems = values.filter(|((value, input), _)| differs(value, input)).map(|(_, (name, _))| {
            Diagnostic::new(ir::Code::Input, &Location::of(name), "the model was compiled for another value of this input")
        });
        let problems: Vec<Diagnostic> = problems.collect();
        if problems.is_empty() { Ok(()) } else { Err(RunError::Call(Diagnostics(problems))) }
    }

    fn check_outputs(&self, outputs: &[OutputMut]) -> Result<(), RunError> {
        let wanted = self.sizes.as_ref().map_or(&[][..], |sizes| &sizes.outputs);
        if wanted.len() != outputs.len() {
            let message = format!("{} outputs are given, {} needed", outputs.len(), wanted.len());
            return Err(Diagnostics::one(ir::Code::Input, &Location::default(), message).into());
        }
        for ((output, dims), (name, ty)) in outputs.iter().zip(wanted).zip(&self.image.outputs) {
            if output.dtype != ty.dtype || output.dims != dims {
                let message = format!("it is {}{dims:?}, not {}{:?}", ty.dtype, output.dtype, output.dims);
                return Err(Diagnostics::one(ir::Code::Input, &Location::of(name), message).into());
            }
        }
        Ok(())
    }

    /// Needs: `sizes` are those of the inputs.
    fn run_sized(&mut self, inputs: &[InputRef], outputs: &mut [OutputMut]) -> Result<Call, RunError> {
        check_bytes(inputs.iter().map(|input| (input.dtype, input.dims, input.bytes.len())))?;
        self.check_values(inputs)?;
        check_bytes(outputs.iter().map(|output| (output.dtype, output.dims, output.bytes.len())))?;
        let (input_pointers, output_pointers) = self.frame.pointers(inputs, outputs)?;
        self.frame.dims.clear();
        self.frame.dims.extend(self.sizes.iter().flat_map(|sizes| &sizes.dims));
        self.calls[1] += 1;
        let ended = self.call(self.main, input_pointers, output_pointers);
        if let Outcome::Size(word) = Outcome::of(ended.code) {
            return self.grow(word).map(|()| Call::Again);
        }
        self.outcome(ended)?;
        self.frame.copy_back(outputs);
        Ok(Call::Done)
    }

    /// Sees to it that the next try has room for the size in a word of `dims`; E009 where the symbol does not allow it.
    fn grow(&mut self, word: usize) -> Result<(), RunError> {
        let bug = || RunError::Bug(format!("generated code names size {word}"));
        let (sym, size) = (self.image.symbols.get(word).ok_or_else(bug)?, *self.frame.dims.get(word).ok_or_else(bug)?);
        let fact = self.image.symbol_facts.get(sym).copied().unwrap_or_default();
        if !(fact.low..=fact.high).contains(&size) {
            let message = format!("the model computes a size of {size}, which is not in {}..={}", fact.low, fact.high);
            return Err(Diagnostics::one(ir::Code::Input, &Location::of(sym.name()), message).into());
        }
        // somewhat more than is needed, so that sizes that grow from call to call seldom come here
        let step = 1 << (i64::BITS - size.leading_zeros()).saturating_sub(4);
        let room = size.unsigned_abs().checked_next_multiple_of(step).and_then(|room| i64::try_from(room).ok());
        self.room.insert(sym.clone(), room.unwrap_or(size).min(fact.high));
        self.sizes = None;
        Ok(())
    }

    fn call(&mut self, entry: EntryFn, inputs: *const *const u8, outputs: *const *mut u8) -> Ended {
        let profile = (!self.profile.is_empty()).then_some(self.profile.as_mut_slice());
        let scratch = self.frame.scratch.as_mut_ptr();
        let steps = Steps::new(&self.image, &self.strings);
        let context = Context::new(&self.constants, self.prepared.as_mut_ptr(), &self.pool, scratch, profile, &steps);
        let _mode = DefaultFloatMode::enter();
        let (dims, arena) = (self.frame.dims.as_mut_ptr(), self.frame.arena.as_mut_ptr());
        // SAFETY: the image's author answers for the code; the pointers lead to tensors of the image's types, of the sizes that
        // `dims` give, and to an arena and scratch as large as the image asks for with them.
        let code = unsafe { entry(&context, inputs, outputs, dims, arena, PARALLEL_FOR) };
        Ended { code, fault: steps.fault() }
    }

    fn outcome(&self, Ended { code, fault }: Ended) -> Result<(), RunError> {
        match Outcome::of(code) {
            Outcome::Done => Ok(()),
            Outcome::Check { step, .. } if step < self.image.steps.len() => {
                let message = "an index read from data is outside of the tensor it points into";
                Err(Diagnostics::one(ir::Code::Index, &Location::of(&self.image.steps[step]), message).into())
            }
            Outcome::NotFinite { step } if step < self.image.steps.len() => {
                let message = "a value is infinite or no number, which minimal filtering would spread over its tile; compile without it";
                Err(Diagnostics::one(ir::Code::NotFinite, &Location::of(&self.image.steps[step]), message).into())
            }
            Outcome::Host { step } if step < self.image.steps.len() => {
                let fault = fault.ok_or_else(|| RunError::Bug("a step of the host failed and does not say why".to_string()))?;
                Err(Diagnostics::one(fault.code, &Location::of(&self.image.steps[step]), fault.message).into())
            }
            Outcome::Guard(number) => {
                let guard = self.image.guards.iter().chain(&self.image.step_guards).nth(number);
                let guard = guard.ok_or_else(|| RunError::Bug(format!("generated code returned {code:#x}")))?;
                Err(Diagnostics::one(ir::Code::Input, &guard.location, format!("{} does not hold", guard.condition)).into())
            }
            Outcome::Check { .. } | Outcome::NotFinite { .. } | Outcome::Host { .. } | Outcome::Size(_) | Outcome::Broken(_) => {
                Err(RunError::Bug(format!("generated code returned {code:#x}")))
            }
        }
    }

    /// The time of each step since loading or [`Executable::reset_profile`]; None where the image is not profiled.
    pub fn profile(&self) -> Option<Vec<StepTime>> {
        let calls = |step: usize| if step < self.image.prepare_steps { self.calls[0] } else { self.calls[1] };
        let times = self.image.steps.iter().zip(&self.profile).enumerate();
        let step = |(at, (label, time)): (usize, (&String, &u64))| StepTime { label: label.clone(), nanoseconds: *time, calls: calls(at) };
        self.image.profiled.then(|| times.map(step).collect())
    }

    pub fn reset_profile(&mut self) {
        self.profile.fill(0);
        self.calls = [0; 2];
    }

    /// The image without its objects.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Bytes of the arena for sizes as of [`Executable::bind`].
    pub fn arena_bytes(&self, sizes: &[i64]) -> Option<usize> {
        usize::try_from(self.image.arena_plan(sizes)?.bytes).ok()
    }

    /// The largest dims of each output for sizes as of [`Executable::bind`].
    pub fn output_room(&self, sizes: &[i64]) -> Option<Vec<Vec<usize>>> {
        let most = |dim: &Expr| usize::try_from(self.image.most(dim, sizes)?).ok();
        self.image.outputs.iter().map(|(_, ty)| ty.dims.iter().map(most).collect()).collect()
    }

    /// Dims of each output for sizes as of [`Executable::computed_sizes`].
    pub fn output_dims(&self, sizes: &[i64]) -> Option<Vec<Vec<usize>>> {
        let dims = |(_, ty): &(String, ir::TensorType)| ty.dims.iter().map(|dim| self.image.size(dim, sizes)).collect();
        self.image.outputs.iter().map(dims).collect()
    }

    pub fn prepared(&self) -> &[u8] {
        self.prepared.as_slice()
    }

    pub fn prepared_bytes(&self) -> usize {
        self.prepared.len()
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.code_bytes()
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    pub fn code(&self) -> &Code {
        &self.code
    }
}

/// The most memory that a call starts with where sizes are computed.
const FIRST_BYTES: usize = 64 << 20;

/// How an entry ended: its code, and why a step of the host failed.
struct Ended {
    code: i32,
    fault: Option<Fault>,
}

/// What became of a call.
enum Call {
    Done,
    /// A computed size is larger than the memory; it has been made larger.
    Again,
}

/// The tensor of the first elements of a buffer; None where it has fewer.
fn part_of(dtype: DType, dims: Vec<usize>, buffer: AlignedBuffer) -> Option<Tensor> {
    let len = dims.iter().try_fold(dtype.size(), |bytes, dim| bytes.checked_mul(*dim))?;
    Tensor::new(dtype, dims, Arc::new(buffer.shortened(len)?))
}

fn entry(code: &Code, name: &str) -> Result<EntryFn, RunError> {
    let address = code.symbol(name).ok_or_else(|| RunError::Bug(format!("the objects do not define {name}")))?;
    // SAFETY: the image says that the symbol is a function of this type.
    Ok(unsafe { std::mem::transmute::<*const (), EntryFn>(address) })
}

fn within(most_bytes: usize, what: &str, bytes: usize) -> Result<(), RunError> {
    if bytes <= most_bytes {
        return Ok(());
    }
    Err(RunError::limit(format!("{what} needs {} of memory; {} are allowed", rounded(bytes), rounded(most_bytes))))
}

/// Bytes in a unit that leaves at least two digits.
fn rounded(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// E009 where a tensor's bytes are not those of its dims.
fn check_bytes<'a>(tensors: impl Iterator<Item = (ir::DType, &'a [usize], usize)>) -> Result<(), RunError> {
    for (dtype, dims, bytes) in tensors {
        let wanted = dims.iter().try_fold(dtype.size(), |bytes, dim| bytes.checked_mul(*dim));
        if wanted != Some(bytes) {
            let message = format!("a tensor {dtype}{dims:?} is given with {bytes} bytes");
            return Err(Diagnostics::one(ir::Code::Input, &Location::default(), message).into());
        }
    }
    Ok(())
}
