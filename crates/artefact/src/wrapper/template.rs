/// @model@, compiled for @targets@.
///
/// This file goes into a crate by `include!`; what `inkle compile` wrote beside it is linked by the crate's build script.
pub mod PREFIX {
    #![allow(dead_code, clippy::all)]

    use std::ffi::{CStr, c_char, c_void};
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize};
    use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
    use std::thread::JoinHandle;
    use std::{array, fmt, ptr, slice};

@constants@
    type Task = unsafe extern "C" fn(args: *const c_void, begin: i64, end: i64, scratch: *mut c_void) -> i32;
    type ParallelFor = unsafe extern "C" fn(*mut c_void, Task, *const c_void, tasks: i64, grain: i64, scratch_bytes: i64) -> i32;

    unsafe extern "C" {
        fn PREFIX_init(context: *mut u8, context_bytes: i64, weights: *const u8, weights_bytes: i64, abi: i32) -> i32;
        fn PREFIX_scratch_bytes(dims: *const i64) -> i64;
        fn PREFIX_thread_scratch_bytes(dims: *const i64) -> i64;
        fn PREFIX_output_bytes(dims: *const i64, bytes: *mut i64) -> i32;
        fn PREFIX_input_dims(dims: *const i64, input_dims: *mut i64) -> i32;
        fn PREFIX_output_dims(dims: *const i64, output_dims: *mut i64) -> i32;
        fn PREFIX_run(
            context: *mut u8,
            inputs: *const *const u8,
            outputs: *const *mut u8,
            dims: *mut i64,
            scratch: *mut u8,
            scratch_bytes: i64,
            parallel_for: Option<ParallelFor>,
            pool: *mut c_void,
        ) -> i32;
        fn PREFIX_message(result: i32) -> *const c_char;
    }

    /// Elements in row-major order, and the dims. Elements of f16 and bf16 are their bits.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Tensor<'a, T, const RANK: usize> {
        pub data: &'a [T],
        pub dims: [usize; RANK],
    }

    /// Why a call gave nothing.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Error {
        /// What the model's code gave; the header tells which there are.
        Code(i32),
        /// The dims of an input ask for another number of elements.
        Elements { input: &'static str, elements: usize, dims: Vec<usize> },
        /// A dim of an input is not what the other dims make it.
        Dim { input: &'static str, axis: usize, size: usize, wanted: i64 },
        /// There are not that many bytes of memory.
        Memory { bytes: i64 },
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Error::Code(result) => {
                    // SAFETY: each result has a text that ends in a zero and is never changed
                    let text = unsafe { CStr::from_ptr(PREFIX_message(*result)) };
                    write!(f, "{} ({result})", text.to_string_lossy())
                }
                Error::Elements { input, elements, dims } => write!(f, "{input}: {elements} elements are given for dims {dims:?}"),
                Error::Dim { input, axis, size, wanted } => write!(f, "{input}: dim {axis} is {size}, not {wanted}"),
                Error::Memory { bytes } => write!(f, "there are no {bytes} bytes of memory"),
            }
        }
    }

    impl std::error::Error for Error {}

    fn checked(result: i32) -> Result<(), Error> {
        if result == 0 { Ok(()) } else { Err(Error::Code(result)) }
    }

    #[derive(Clone, Copy)]
    #[repr(C, align(64))]
    struct Line([u8; 64]);

    /// Memory that starts where the code wants it.
    #[derive(Default)]
    struct Memory(Vec<Line>);

    impl Memory {
        /// Makes room for so many bytes; what it held may be lost.
        fn grow(&mut self, bytes: i64) -> Result<(), Error> {
            let lines = usize::try_from(bytes).map_err(|_| Error::Memory { bytes })?.div_ceil(64);
            if lines > self.0.len() {
                self.0.clear();
                self.0.try_reserve_exact(lines).map_err(|_| Error::Memory { bytes })?;
                self.0.resize(lines, Line([0; 64]));
            }
            Ok(())
        }

        fn bytes(&self) -> i64 {
            64 * self.0.len() as i64
        }

        fn start(&mut self) -> *mut u8 {
            self.0.as_mut_ptr().cast()
        }
    }

    /// An input of a call, without its type.
    struct Given<'a> {
        name: &'static str,
        data: *const u8,
        bytes: usize,
        elements: usize,
        dims: &'a [usize],
    }

    impl<T, const RANK: usize> Tensor<'_, T, RANK> {
        fn given(&self, name: &'static str) -> Given<'_> {
            Given { name, data: self.data.as_ptr().cast(), bytes: size_of_val(self.data), elements: self.data.len(), dims: &self.dims }
        }
    }

@threads@

    /// The model with memory of its own. Threads that call it at the same time have one each.
    pub struct Model {
        context: Memory,
        scratch: Memory,
        inputs: [Memory; INPUTS],
        outputs: [Memory; OUTPUTS],
        output_dims: [i64; OUTPUT_DIMS],
        /// Of computed sizes the largest that there is room for.
        room: [i64; DIMS],
        crew: Option<Crew>,
@weights_field@    }

@weights@
    impl Model {
        fn of(context: Memory@weights_argument@) -> Model {
            let (inputs, outputs) = (array::from_fn(|_| Memory::default()), array::from_fn(|_| Memory::default()));
            Model { context, scratch: Memory::default(), inputs, outputs, output_dims: [0; OUTPUT_DIMS], room: FIRST_ROOM, crew: None@weights_own@ }
        }

        /// Shares the work of calls between threads, which several models may have. Results have the same bits.
        pub fn on(mut self, threads: Arc<dyn Parallel>) -> Model {
            let scratch = (0..threads.threads().max(1)).map(|_| Memory::default()).collect();
            self.crew = Some(Crew { parallel: threads, scratch });
            self
        }

        fn made(weights: *const u8, weights_bytes: i64) -> Result<Memory, Error> {
            let mut context = Memory::default();
            context.grow(CONTEXT_BYTES)?;
            // SAFETY: the context has these bytes, and so have the weights
            checked(unsafe { PREFIX_init(context.start(), CONTEXT_BYTES, weights, weights_bytes, ABI) })?;
            Ok(context)
        }

        fn call(&mut self, given: [Given<'_>; INPUTS], sizes: [i64; DIMS]) -> Result<(), Error> {
            fit(&given, &sizes)?;
            let inputs = self.aligned(&given)?;
            let (mut sizes, mut dims) = (sizes, sizes);
            loop {
                let mut bytes = [0; OUTPUTS];
                // SAFETY: the arrays have a place for each output and each size
                checked(unsafe { PREFIX_output_bytes(sizes.as_ptr(), bytes.as_mut_ptr()) })?;
                for (output, bytes) in self.outputs.iter_mut().zip(bytes) {
                    output.grow(bytes)?;
                }
                // SAFETY: as above
                let scratch = unsafe { PREFIX_scratch_bytes(sizes.as_ptr()) };
                if scratch < 0 {
                    return Err(Error::Code(scratch as i32));
                }
                self.scratch.grow(scratch)?;
                let (mut share, mut crew): (Option<ParallelFor>, *mut c_void) = (None, ptr::null_mut());
                if let Some(own) = &mut self.crew {
                    // SAFETY: as above
                    own.grow(unsafe { PREFIX_thread_scratch_bytes(sizes.as_ptr()) })?;
                    share = Some(Crew::share);
                    crew = ptr::from_mut(own).cast();
                }
                dims.copy_from_slice(&sizes);
                let outputs: [*mut u8; OUTPUTS] = array::from_fn(|at| self.outputs[at].start());
                let (context, scratch, bytes) = (self.context.start(), self.scratch.start(), self.scratch.bytes());
                // SAFETY: each tensor has the dims that the code takes it to have, and outputs and scratch the bytes that it asks for
                let result = unsafe {
                    PREFIX_run(context, inputs.as_ptr(), outputs.as_ptr(), dims.as_mut_ptr(), scratch, bytes, share, crew)
                };
                if result == 0 {
                    break;
                }
                // a computed size is beyond the room: as much as it needs, and again
                let word = ERROR_SIZE.wrapping_sub(result) as usize;
                if result > ERROR_SIZE || word >= DIMS || !COMPUTED[word] || dims[word] <= sizes[word] {
                    return Err(Error::Code(result));
                }
                sizes[word] = dims[word];
                self.room[word] = dims[word];
            }
            // SAFETY: the array has a place for each dim
            checked(unsafe { PREFIX_output_dims(dims.as_ptr(), self.output_dims.as_mut_ptr()) })
        }

        /// The inputs where they are, or in memory of the model's own where they are not aligned.
        fn aligned(&mut self, given: &[Given<'_>; INPUTS]) -> Result<[*const u8; INPUTS], Error> {
            let mut starts = [ptr::null(); INPUTS];
            for ((start, own), given) in starts.iter_mut().zip(&mut self.inputs).zip(given) {
                *start = given.data;
                if given.data as usize % 64 != 0 {
                    own.grow(given.bytes as i64)?;
                    // SAFETY: both have these bytes, and nobody else knows of the model's own
                    unsafe { ptr::copy_nonoverlapping(given.data, own.start(), given.bytes) };
                    *start = own.start();
                }
            }
            Ok(starts)
        }

        /// An output of the last call, whose dims start at `from` among all.
        fn output<T, const RANK: usize>(&self, at: usize, from: usize) -> Tensor<'_, T, RANK> {
            let dims: [usize; RANK] = array::from_fn(|axis| self.output_dims[from + axis] as usize);
            let elements: usize = dims.iter().product();
            assert!(elements * size_of::<T>() <= self.outputs[at].0.len() * 64);
            // SAFETY: the memory has as many bytes, and the call wrote elements of this type
            Tensor { data: unsafe { slice::from_raw_parts(self.outputs[at].0.as_ptr().cast(), elements) }, dims }
        }
    }

    /// Whether the inputs are what the code takes them to be.
    fn fit(given: &[Given<'_>; INPUTS], sizes: &[i64; DIMS]) -> Result<(), Error> {
        let mut wanted = [0; INPUT_DIMS];
        // SAFETY: the array has a place for each dim
        checked(unsafe { PREFIX_input_dims(sizes.as_ptr(), wanted.as_mut_ptr()) })?;
        let mut all = wanted.iter();
        for Given { name: input, elements, dims, .. } in given {
            for (axis, (size, wanted)) in dims.iter().zip(&mut all).enumerate() {
                if i64::try_from(*size) != Ok(*wanted) {
                    return Err(Error::Dim { input, axis, size: *size, wanted: *wanted });
                }
            }
            if dims.iter().try_fold(1, |product: usize, size| product.checked_mul(*size)) != Some(*elements) {
                return Err(Error::Elements { input, elements: *elements, dims: dims.to_vec() });
            }
        }
        Ok(())
    }

@run@}
