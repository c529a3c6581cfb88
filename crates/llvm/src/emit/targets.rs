//! LLVM's code generators, each registered when a triple first asks for it: nobody waits for those that are not used.

use super::guard::Message;
use llvm_sys::core::LLVMDisposeMessage;
use llvm_sys::support::LLVMParseCommandLineOptions;
use llvm_sys::target::*;
use llvm_sys::target_machine::{LLVMGetTargetFromTriple, LLVMNormalizeTargetTriple, LLVMRelocMode, LLVMTargetRef};
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};

/// The triple with a word for each of its four parts. LLVM passes floats in their own registers where the last one says so, and looks for
/// it in its place.
pub fn normalised(triple: &CStr) -> CString {
    // SAFETY: LLVM gives a string that is ours to free.
    unsafe {
        let normal = LLVMNormalizeTargetTriple(triple.as_ptr());
        let copy = CStr::from_ptr(normal).to_owned();
        LLVMDisposeMessage(normal);
        copy
    }
}

/// The code generator of a triple, or LLVM's message that there is none.
///
/// Loop strength reduction is turned off: kernels come with their addresses shaped, and it takes up to four fifths of a kernel's time. So
/// is scheduling after the registers are chosen: these machines reorder instructions themselves, and it takes a tenth.
pub fn generator(triple: &CStr) -> Result<LLVMTargetRef, String> {
    // one thread at a time: who looks a target up walks a list that another one may be added to
    static TABLES: Mutex<()> = Mutex::new(());
    static OPTIONS: Once = Once::new();
    let _lock = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the call sets LLVM's options, which the lock keeps to one thread.
    OPTIONS.call_once(|| unsafe {
        let options = [c"inkle".as_ptr(), c"-disable-lsr".as_ptr(), c"-disable-post-ra".as_ptr()];
        LLVMParseCommandLineOptions(options.len() as i32, options.as_ptr(), ptr::null());
    });
    register(&triple.to_string_lossy());
    let mut target = ptr::null_mut();
    let mut message = Message::none();
    // SAFETY: the string outlives the call, and the slot takes one message, which the guard frees.
    let failed = unsafe { LLVMGetTargetFromTriple(triple.as_ptr(), &mut target, message.slot()) };
    if failed != 0 { Err(message.text()) } else { Ok(target) }
}

/// Nothing is registered for an architecture that is not known.
fn register(triple: &str) {
    match architecture(triple) {
        "x86_64" => x86(),
        "aarch64" => aarch64(),
        "riscv64" => riscv(),
        "wasm32" => wasm(),
        word if word.starts_with("thumb") => arm(),
        _ => {}
    }
}

/// How code finds data and functions: by its own address, so that shared libraries can have it, but where nothing is ever moved.
pub fn relocation(triple: &str) -> LLVMRelocMode {
    if architecture(triple) == "wasm32" || triple.contains("-none") { LLVMRelocMode::LLVMRelocStatic } else { LLVMRelocMode::LLVMRelocPIC }
}

fn architecture(triple: &str) -> &str {
    triple.split('-').next().unwrap_or_default()
}

macro_rules! registered {
    ($name:ident: $($call:ident),*) => {
        fn $name() {
            static REGISTERED: Once = Once::new();
            // SAFETY: the calls fill LLVM's tables of targets, which the lock keeps to one thread.
            REGISTERED.call_once(|| unsafe {
                $($call();)*
            });
        }
    };
}

registered!(x86: LLVMInitializeX86TargetInfo, LLVMInitializeX86Target, LLVMInitializeX86TargetMC, LLVMInitializeX86AsmPrinter, LLVMInitializeX86AsmParser);
registered!(aarch64: LLVMInitializeAArch64TargetInfo, LLVMInitializeAArch64Target, LLVMInitializeAArch64TargetMC, LLVMInitializeAArch64AsmPrinter);
registered!(riscv: LLVMInitializeRISCVTargetInfo, LLVMInitializeRISCVTarget, LLVMInitializeRISCVTargetMC, LLVMInitializeRISCVAsmPrinter);
registered!(wasm: LLVMInitializeWebAssemblyTargetInfo, LLVMInitializeWebAssemblyTarget, LLVMInitializeWebAssemblyTargetMC, LLVMInitializeWebAssemblyAsmPrinter);
registered!(arm: LLVMInitializeARMTargetInfo, LLVMInitializeARMTarget, LLVMInitializeARMTargetMC, LLVMInitializeARMAsmPrinter);
