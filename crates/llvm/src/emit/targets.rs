//! LLVM's code generators, each registered when a triple first asks for it: nobody waits for those that are not used.

use super::guard::Message;
use super::library::Llvm;
use llvm_sys::target_machine::{LLVMRelocMode, LLVMTargetRef};
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};

/// The triple with a word for each of its four parts. LLVM passes floats in their own registers where the last one says so, and looks for
/// it in its place.
pub fn normalised(llvm: Llvm, triple: &CStr) -> CString {
    // SAFETY: LLVM gives a string that is ours to free.
    unsafe {
        let normal = llvm.LLVMNormalizeTargetTriple(triple.as_ptr());
        let copy = CStr::from_ptr(normal).to_owned();
        llvm.LLVMDisposeMessage(normal);
        copy
    }
}

/// The code generator of a triple, or LLVM's message that there is none.
///
/// Loop strength reduction is turned off: kernels come with their addresses shaped, and it takes up to four fifths of a kernel's time. So
/// is scheduling after the registers are chosen: these machines reorder instructions themselves, and it takes a tenth.
pub fn generator(llvm: Llvm, triple: &CStr) -> Result<LLVMTargetRef, String> {
    // one thread at a time: who looks a target up walks a list that another one may be added to
    static REGISTERED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    static OPTIONS: Once = Once::new();
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the call sets LLVM's options, which the lock keeps to one thread.
    OPTIONS.call_once(|| unsafe {
        let options = [c"inkle".as_ptr(), c"-disable-lsr".as_ptr(), c"-disable-post-ra".as_ptr()];
        llvm.LLVMParseCommandLineOptions(options.len() as i32, options.as_ptr(), ptr::null());
    });
    if let Some((target, parts)) = parts(&triple.to_string_lossy()).filter(|(target, _)| !registered.contains(target)) {
        // SAFETY: the lock keeps LLVM's tables of targets to one thread.
        unsafe { llvm.register(target, parts)? };
        registered.push(target);
    }
    let mut target = ptr::null_mut();
    let mut message = Message::none(llvm);
    // SAFETY: the string outlives the call, and the slot takes one message, which the guard frees.
    let failed = unsafe { llvm.LLVMGetTargetFromTriple(triple.as_ptr(), &mut target, message.slot()) };
    if failed != 0 { Err(message.text()) } else { Ok(target) }
}

/// What LLVM calls the target of an architecture, and the parts of it that are used: inline assembly is read for x86 only.
fn parts(triple: &str) -> Option<(&'static str, &'static [&'static str])> {
    const PARTS: [&str; 5] = ["TargetInfo", "Target", "TargetMC", "AsmPrinter", "AsmParser"];
    match architecture(triple) {
        "x86_64" => Some(("X86", &PARTS)),
        "aarch64" => Some(("AArch64", &PARTS[..4])),
        "riscv64" => Some(("RISCV", &PARTS[..4])),
        "wasm32" => Some(("WebAssembly", &PARTS[..4])),
        word if word.starts_with("thumb") => Some(("ARM", &PARTS[..4])),
        _ => None,
    }
}

/// How code finds data and functions: by its own address, so that shared libraries can have it, but where nothing is ever moved.
pub fn relocation(triple: &str) -> LLVMRelocMode {
    if architecture(triple) == "wasm32" || triple.contains("-none") { LLVMRelocMode::LLVMRelocStatic } else { LLVMRelocMode::LLVMRelocPIC }
}

fn architecture(triple: &str) -> &str {
    triple.split('-').next().unwrap_or_default()
}
