//! Calls a shared library that was made here, as a program in C does by the header.

use crate::build::Artefact;
use ir::{Tensor, TensorType};
use kernel::facade::{ABI, Facade};
use kernel::module::SIZE_FAULT;
use runtime::AlignedBuffer;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

type Init = unsafe extern "C" fn(*mut u8, i64, *const u8, i64, i32) -> i32;
type Count = unsafe extern "C" fn(*const i64) -> i64;
type List = unsafe extern "C" fn(*const i64, *mut i64) -> i32;
type Run = unsafe extern "C" fn(
    *mut u8,
    *const *const u8,
    *const *mut u8,
    *mut i64,
    *mut u8,
    i64,
    Option<unsafe extern "C" fn()>,
    *const c_void,
) -> i32;
type Message = unsafe extern "C" fn(i32) -> *const c_char;

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("the library can't be loaded: {0}")]
    Load(String),
    /// As the library says it.
    #[error("{message} ({code})")]
    Result { code: i32, message: String },
    #[error("{0}")]
    Memory(String),
}

/// A loaded library with one context.
pub struct Library {
    facade: Facade,
    outputs: Vec<TensorType>,
    context: AlignedBuffer,
    /// The file of weights, where they are not linked in.
    _weights: AlignedBuffer,
    scratch: AlignedBuffer,
    scratch_bytes: Count,
    output_bytes: List,
    output_dims: List,
    run: Run,
    message: Message,
    /// Behind all that leads into it.
    _loaded: libloading::Library,
}

impl Library {
    /// Loads the library of an artefact of this process's machine and makes a context.
    pub fn open(artefact: &Artefact) -> Result<Library, CallError> {
        let facade = artefact.interface.facade.clone();
        let path = artefact.folder.join(format!("lib{}.so", facade.prefix));
        // SAFETY: the library was made by this crate; loading it runs nothing but its own resolvers.
        let loaded = unsafe { libloading::Library::new(&path) }.map_err(load)?;
        let weights = match &facade.weights.symbol {
            Some(_) => AlignedBuffer::empty(),
            None => read(&artefact.folder.join(format!("{}.weights", facade.prefix)))?,
        };
        let name = |name: &str| format!("{}_{name}", facade.prefix);
        // SAFETY: the functions have these types, as `kernel::facade` says.
        let (init, mut library) = unsafe {
            let init = *loaded.get::<Init>(name("init").as_bytes()).map_err(load)?;
            let library = Library {
                outputs: artefact.interface.outputs.iter().map(|(_, ty)| ty.clone()).collect(),
                context: room(facade.context_bytes())?,
                scratch: AlignedBuffer::empty(),
                scratch_bytes: *loaded.get(name("scratch_bytes").as_bytes()).map_err(load)?,
                output_bytes: *loaded.get(name("output_bytes").as_bytes()).map_err(load)?,
                output_dims: *loaded.get(name("output_dims").as_bytes()).map_err(load)?,
                run: *loaded.get(name("run").as_bytes()).map_err(load)?,
                message: *loaded.get(name("message").as_bytes()).map_err(load)?,
                _weights: weights,
                _loaded: loaded,
                facade,
            };
            (init, library)
        };
        let (weights, bytes) = match library._weights.len() {
            0 => (std::ptr::null(), 0),
            bytes => (library._weights.as_ptr(), bytes as i64),
        };
        // SAFETY: as above; the context has the bytes that are told.
        let code = unsafe { init(library.context.as_mut_ptr(), library.context.len() as i64, weights, bytes, ABI) };
        library.checked(code)?;
        Ok(library)
    }

    /// The outputs at these sizes; of computed ones they are the first room, which grows where it is too small.
    pub fn call(&mut self, inputs: &[Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, CallError> {
        let copies = inputs.iter().map(|tensor| AlignedBuffer::copy_of(tensor.bytes())).collect::<Result<Vec<_>, _>>().map_err(memory)?;
        let inputs: Vec<*const u8> = copies.iter().map(AlignedBuffer::as_ptr).collect();
        let mut room_of = sizes.to_vec();
        loop {
            let mut dims = room_of.clone();
            let mut outputs = self.rooms(&dims)?;
            let pointers: Vec<*mut u8> = outputs.iter_mut().map(AlignedBuffer::as_mut_ptr).collect();
            let (context, scratch) = (self.context.as_mut_ptr(), self.scratch.as_mut_ptr());
            // SAFETY: the pointers lead to as many bytes as the library asked for.
            let code = unsafe {
                (self.run)(
                    context,
                    inputs.as_ptr(),
                    pointers.as_ptr(),
                    dims.as_mut_ptr(),
                    scratch,
                    self.scratch.len() as i64,
                    None,
                    std::ptr::null(),
                )
            };
            match self.beyond(code, &room_of, &dims) {
                Some(at) => room_of[at] = dims[at],
                None => {
                    self.checked(code)?;
                    return self.tensors(&dims, outputs);
                }
            }
        }
    }

    /// The computed size that needs more room than it had.
    fn beyond(&self, code: i32, room: &[i64], dims: &[i64]) -> Option<usize> {
        let at = usize::try_from(i64::from(SIZE_FAULT) - i64::from(code)).ok()?;
        let size = self.facade.sizes.get(at)?;
        (size.computed && dims[at] > room[at] && dims[at] <= size.high).then_some(at)
    }

    /// Memory for the outputs and the call.
    fn rooms(&mut self, dims: &[i64]) -> Result<Vec<AlignedBuffer>, CallError> {
        // SAFETY: there are as many dims as sizes, and as many numbers as outputs.
        let needed = unsafe { (self.scratch_bytes)(dims.as_ptr()) };
        self.checked(needed.min(0) as i32)?;
        let mut bytes = vec![0i64; self.outputs.len()];
        self.checked(unsafe { (self.output_bytes)(dims.as_ptr(), bytes.as_mut_ptr()) })?;
        self.scratch = room(needed)?;
        bytes.into_iter().map(room).collect()
    }

    fn tensors(&self, dims: &[i64], outputs: Vec<AlignedBuffer>) -> Result<Vec<Tensor>, CallError> {
        let mut all = vec![0i64; self.outputs.iter().map(|ty| ty.rank()).sum()];
        // SAFETY: there is a number for each dim.
        self.checked(unsafe { (self.output_dims)(dims.as_ptr(), all.as_mut_ptr()) })?;
        let mut rest = all.as_slice();
        let tensor = |(ty, buffer): (&TensorType, AlignedBuffer)| {
            let (own, others) = rest.split_at(ty.rank());
            rest = others;
            let dims: Vec<usize> = own.iter().map(|dim| *dim as usize).collect();
            let bytes = dims.iter().product::<usize>() * ty.dtype.size();
            Tensor::new(ty.dtype, dims, Arc::new(buffer.as_slice()[..bytes].to_vec()))
                .ok_or_else(|| CallError::Memory("bytes do not match".to_string()))
        };
        self.outputs.iter().zip(outputs).map(tensor).collect()
    }

    fn checked(&self, code: i32) -> Result<(), CallError> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function gives a text that ends with a zero, for every number.
        let message = unsafe { CStr::from_ptr((self.message)(code)) };
        Err(CallError::Result { code, message: message.to_string_lossy().into_owned() })
    }
}

fn load(why: libloading::Error) -> CallError {
    CallError::Load(why.to_string())
}

fn read(path: &std::path::Path) -> Result<AlignedBuffer, CallError> {
    let bytes = std::fs::read(path).map_err(|why| CallError::Load(format!("{}: {why}", path.display())))?;
    AlignedBuffer::copy_of(&bytes).map_err(memory)
}

fn room(bytes: i64) -> Result<AlignedBuffer, CallError> {
    AlignedBuffer::zeroed(usize::try_from(bytes).map_err(|why| CallError::Memory(why.to_string()))?).map_err(memory)
}

fn memory(why: impl std::fmt::Display) -> CallError {
    CallError::Memory(why.to_string())
}
