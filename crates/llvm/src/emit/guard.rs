//! Owners of LLVM's objects: each frees its object when it is dropped.
//!
//! A `Module` borrows its `Context`, so the compiler keeps the order in which LLVM wants them freed.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr;

use llvm_sys::LLVMDiagnosticSeverity;
use llvm_sys::error::LLVMErrorRef;
use llvm_sys::prelude::{LLVMContextRef, LLVMDiagnosticInfoRef, LLVMMemoryBufferRef, LLVMModuleRef};
use llvm_sys::target::LLVMTargetDataRef;
use llvm_sys::target_machine::LLVMTargetMachineRef;
use llvm_sys::transforms::pass_builder::LLVMPassBuilderOptionsRef;

use super::library::Llvm;

/// A context, and the errors that LLVM reports to it; without a handler LLVM would end the process instead.
pub struct Context {
    pub raw: LLVMContextRef,
    reported: Box<Reported>,
}

/// What LLVM told a context.
struct Reported {
    llvm: Llvm,
    errors: RefCell<Vec<String>>,
}

impl Context {
    pub fn new(llvm: Llvm) -> Context {
        let reported = Box::new(Reported { llvm, errors: RefCell::default() });
        // SAFETY: the box keeps its address and is freed after the context.
        let raw = unsafe {
            let raw = llvm.LLVMContextCreate();
            llvm.LLVMContextSetDiagnosticHandler(raw, Some(keep_error), (&raw const *reported).cast_mut().cast());
            raw
        };
        Context { raw, reported }
    }

    /// The first error reported since the context was made.
    pub fn first_error(&self) -> Option<String> {
        self.reported.errors.borrow().first().cloned()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: modules borrow the context, so none is left.
        unsafe { self.reported.llvm.LLVMContextDispose(self.raw) }
    }
}

extern "C" fn keep_error(info: LLVMDiagnosticInfoRef, reported: *mut c_void) {
    // SAFETY: LLVM passes a live diagnostic and the pointer given in `Context::new`, on the context's thread.
    let (reported, message) = unsafe {
        let reported = &*reported.cast::<Reported>();
        if reported.llvm.LLVMGetDiagInfoSeverity(info) != LLVMDiagnosticSeverity::LLVMDSError {
            return;
        }
        (reported, Message { llvm: reported.llvm, raw: reported.llvm.LLVMGetDiagInfoDescription(info) })
    };
    reported.errors.borrow_mut().push(message.text());
}

/// A module, which lives no longer than its context.
pub struct Module<'a> {
    pub raw: LLVMModuleRef,
    llvm: Llvm,
    context: PhantomData<&'a Context>,
}

impl<'a> Module<'a> {
    /// Takes over `raw`, a module of `context`.
    pub fn new(raw: LLVMModuleRef, context: &'a Context) -> Module<'a> {
        Module { raw, llvm: context.reported.llvm, context: PhantomData }
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { self.llvm.LLVMDisposeModule(self.raw) }
    }
}

/// A message that LLVM may have stored.
pub struct Message {
    llvm: Llvm,
    raw: *mut c_char,
}

impl Message {
    pub fn none(llvm: Llvm) -> Message {
        Message { llvm, raw: ptr::null_mut() }
    }

    /// Where LLVM stores a message; use it for one call only.
    pub fn slot(&mut self) -> *mut *mut c_char {
        &mut self.raw
    }

    /// The message without the line end, or an empty string.
    pub fn text(&self) -> String {
        // SAFETY: a stored message is a NUL-terminated string.
        if self.raw.is_null() { String::new() } else { unsafe { CStr::from_ptr(self.raw) }.to_string_lossy().trim_end().into() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: LLVM allocated the message for the caller.
            unsafe { self.llvm.LLVMDisposeMessage(self.raw) }
        }
    }
}

/// The message of an error, which is freed; `None` stands for success.
pub fn error_text(llvm: Llvm, error: LLVMErrorRef) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: reading the message consumes the error; the message is freed by its own call.
    unsafe {
        let message = llvm.LLVMGetErrorMessage(error);
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        llvm.LLVMDisposeErrorMessage(message);
        Some(text)
    }
}

/// Bytes that LLVM generated; null until they are.
pub struct MemoryBuffer {
    pub llvm: Llvm,
    pub raw: LLVMMemoryBufferRef,
}

impl MemoryBuffer {
    /// A copy of the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: start and size describe the live buffer.
        unsafe { std::slice::from_raw_parts(self.llvm.LLVMGetBufferStart(self.raw).cast(), self.llvm.LLVMGetBufferSize(self.raw)) }.to_vec()
    }
}

impl Drop for MemoryBuffer {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: this is the only owner.
            unsafe { self.llvm.LLVMDisposeMemoryBuffer(self.raw) }
        }
    }
}

/// A target machine.
pub struct Machine {
    pub llvm: Llvm,
    pub raw: LLVMTargetMachineRef,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { self.llvm.LLVMDisposeTargetMachine(self.raw) }
    }
}

/// A data layout.
pub struct DataLayout {
    pub llvm: Llvm,
    pub raw: LLVMTargetDataRef,
}

impl Drop for DataLayout {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { self.llvm.LLVMDisposeTargetData(self.raw) }
    }
}

/// Options of a pass pipeline.
pub struct PassOptions {
    pub llvm: Llvm,
    pub raw: LLVMPassBuilderOptionsRef,
}

impl Drop for PassOptions {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { self.llvm.LLVMDisposePassBuilderOptions(self.raw) }
    }
}
