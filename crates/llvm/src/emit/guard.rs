//! Owners of LLVM's objects: each frees its object when it is dropped.
//!
//! A `Module` borrows its `Context`, so the compiler keeps the order in which LLVM wants them freed.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr;

use llvm_sys::LLVMDiagnosticSeverity;
use llvm_sys::core::{
    LLVMContextCreate, LLVMContextDispose, LLVMContextSetDiagnosticHandler, LLVMDisposeMemoryBuffer, LLVMDisposeMessage, LLVMDisposeModule,
    LLVMGetBufferSize, LLVMGetBufferStart, LLVMGetDiagInfoDescription, LLVMGetDiagInfoSeverity,
};
use llvm_sys::error::{LLVMDisposeErrorMessage, LLVMErrorRef, LLVMGetErrorMessage};
use llvm_sys::prelude::{LLVMContextRef, LLVMDiagnosticInfoRef, LLVMMemoryBufferRef, LLVMModuleRef};
use llvm_sys::target::{LLVMDisposeTargetData, LLVMTargetDataRef};
use llvm_sys::target_machine::{LLVMDisposeTargetMachine, LLVMTargetMachineRef};
use llvm_sys::transforms::pass_builder::{LLVMDisposePassBuilderOptions, LLVMPassBuilderOptionsRef};

/// A context, and the errors that LLVM reports to it; without a handler LLVM would end the process instead.
pub struct Context {
    pub raw: LLVMContextRef,
    errors: Box<RefCell<Vec<String>>>,
}

impl Context {
    pub fn new() -> Context {
        let errors = Box::new(RefCell::new(Vec::new()));
        // SAFETY: the box keeps its address and is freed after the context.
        let raw = unsafe {
            let raw = LLVMContextCreate();
            LLVMContextSetDiagnosticHandler(raw, Some(keep_error), (&raw const *errors).cast_mut().cast());
            raw
        };
        Context { raw, errors }
    }

    /// The first error reported since the context was made.
    pub fn first_error(&self) -> Option<String> {
        self.errors.borrow().first().cloned()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: modules borrow the context, so none is left.
        unsafe { LLVMContextDispose(self.raw) }
    }
}

extern "C" fn keep_error(info: LLVMDiagnosticInfoRef, errors: *mut c_void) {
    // SAFETY: LLVM passes a live diagnostic and the pointer given in `Context::new`, on the context's thread.
    let (errors, message) = unsafe {
        if LLVMGetDiagInfoSeverity(info) != LLVMDiagnosticSeverity::LLVMDSError {
            return;
        }
        (&*errors.cast::<RefCell<Vec<String>>>(), Message(LLVMGetDiagInfoDescription(info)))
    };
    errors.borrow_mut().push(message.text());
}

/// A module, which lives no longer than its context.
pub struct Module<'a> {
    pub raw: LLVMModuleRef,
    context: PhantomData<&'a Context>,
}

impl<'a> Module<'a> {
    /// Takes over `raw`, a module of `context`.
    pub fn new(raw: LLVMModuleRef, _: &'a Context) -> Module<'a> {
        Module { raw, context: PhantomData }
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { LLVMDisposeModule(self.raw) }
    }
}

/// A message that LLVM may have stored.
pub struct Message(*mut c_char);

impl Message {
    pub fn none() -> Message {
        Message(ptr::null_mut())
    }

    /// Where LLVM stores a message; use it for one call only.
    pub fn slot(&mut self) -> *mut *mut c_char {
        &mut self.0
    }

    /// The message without the line end, or an empty string.
    pub fn text(&self) -> String {
        // SAFETY: a stored message is a NUL-terminated string.
        if self.0.is_null() { String::new() } else { unsafe { CStr::from_ptr(self.0) }.to_string_lossy().trim_end().into() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: LLVM allocated the message for the caller.
            unsafe { LLVMDisposeMessage(self.0) }
        }
    }
}

/// The message of an error, which is freed; `None` stands for success.
pub fn error_text(error: LLVMErrorRef) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: reading the message consumes the error; the message is freed by its own call.
    unsafe {
        let message = LLVMGetErrorMessage(error);
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LLVMDisposeErrorMessage(message);
        Some(text)
    }
}

/// Bytes that LLVM generated; null until they are.
pub struct MemoryBuffer(pub LLVMMemoryBufferRef);

impl MemoryBuffer {
    /// A copy of the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: start and size describe the live buffer.
        unsafe { std::slice::from_raw_parts(LLVMGetBufferStart(self.0).cast(), LLVMGetBufferSize(self.0)) }.to_vec()
    }
}

impl Drop for MemoryBuffer {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: this is the only owner.
            unsafe { LLVMDisposeMemoryBuffer(self.0) }
        }
    }
}

/// A target machine.
pub struct Machine(pub LLVMTargetMachineRef);

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { LLVMDisposeTargetMachine(self.0) }
    }
}

/// A data layout.
pub struct DataLayout(pub LLVMTargetDataRef);

impl Drop for DataLayout {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { LLVMDisposeTargetData(self.0) }
    }
}

/// Options of a pass pipeline.
pub struct PassOptions(pub LLVMPassBuilderOptionsRef);

impl Drop for PassOptions {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { LLVMDisposePassBuilderOptions(self.0) }
    }
}
