//! LLVM's shared library, loaded when code is first generated: what is in the cache needs none, and loading takes as long as all the rest of
//! such a compile.

use llvm_sys::analysis::LLVMVerifierFailureAction;
use llvm_sys::{LLVMDiagnosticHandler, LLVMDiagnosticSeverity};

use llvm_sys::error::LLVMErrorRef;
use llvm_sys::prelude::{LLVMBool, LLVMContextRef, LLVMDiagnosticInfoRef, LLVMMemoryBufferRef, LLVMModuleRef};
use llvm_sys::target::LLVMTargetDataRef;
use llvm_sys::target_machine::{
    LLVMCodeGenFileType, LLVMCodeGenOptLevel, LLVMCodeModel, LLVMRelocMode, LLVMTargetMachineRef, LLVMTargetRef,
};
use llvm_sys::transforms::pass_builder::LLVMPassBuilderOptionsRef;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

/// The environment variable that names the library, where it stands elsewhere.
const NAMED: &str = "INKLE_LLVM";

/// Where packages of Debian, of LLVM itself and of other systems put the library, and last the loader's own search.
const PLACES: [&str; 5] = [
    "/usr/lib/llvm-19/lib/libLLVM.so.19.1",
    "/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1",
    "/usr/lib64/libLLVM.so.19.1",
    "/usr/lib/libLLVM.so.19.1",
    "libLLVM.so.19.1",
];

/// The library, loaded; all calls go through it.
#[derive(Clone, Copy)]
pub struct Llvm(&'static Functions);

impl Llvm {
    /// The library, loaded by the first call, or why there is none.
    pub fn get() -> Result<Llvm, String> {
        static LOADED: OnceLock<Result<Functions, String>> = OnceLock::new();
        let place = path();
        // SAFETY: the library is LLVM's, by its name or by the user's word, and the functions have the types of its headers.
        let load = || unsafe { libloading::Library::new(&place).and_then(|library| Functions::of(library)) };
        let loaded = LOADED.get_or_init(|| load().map_err(|why| format!("{why}; install LLVM 19, or name its library in {NAMED}")));
        loaded.as_ref().map(Llvm).map_err(String::clone)
    }

    /// Calls the functions that register the parts of a target, such as `X86` and `TargetInfo`.
    ///
    /// # Safety
    /// No other thread may be in a call that looks a target up.
    pub unsafe fn register(self, target: &str, parts: &[&str]) -> Result<(), String> {
        for part in parts {
            let name = format!("LLVMInitialize{target}{part}");
            // SAFETY: these functions have no arguments and no result.
            unsafe { self.0.library.get::<unsafe extern "C" fn()>(name.as_bytes()).map_err(|why| why.to_string())?() }
        }
        Ok(())
    }
}

/// Tells one library from another without loading it: where it is, how long, and when it was last changed.
pub fn identity() -> String {
    let path = path();
    let Ok(file) = std::fs::metadata(&path) else { return path.display().to_string() };
    let changed = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{} {} {}", path.display(), file.len(), changed.as_nanos())
}

fn path() -> PathBuf {
    let named = std::env::var_os(NAMED).map(PathBuf::from);
    let found = || PLACES.iter().map(PathBuf::from).find(|place| place.exists());
    named.or_else(found).unwrap_or_else(|| PLACES[PLACES.len() - 1].into())
}

/// Declares functions of LLVM's C interface with the types that `llvm_sys` gives them, and calls through the loaded library.
macro_rules! functions {
    ($($($module:ident)::+: $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        #[allow(non_snake_case)]
        struct Functions {
            library: libloading::Library,
            $($name: unsafe extern "C" fn($($kind),*) $(-> $result)?,)*
        }

        $(const _: unsafe extern "C" fn($($kind),*) $(-> $result)? = llvm_sys::$($module)::+::$name;)*

        impl Functions {
            /// # Safety
            /// The library must be LLVM's.
            unsafe fn of(library: libloading::Library) -> Result<Functions, libloading::Error> {
                // SAFETY: the types were compared above.
                unsafe { Ok(Functions { $($name: *library.get(stringify!($name).as_bytes())?,)* library }) }
            }
        }

        /// Each is as unsafe as LLVM says.
        #[allow(non_snake_case, clippy::missing_safety_doc, clippy::too_many_arguments)]
        impl Llvm {
            $(pub unsafe fn $name(self, $($argument: $kind),*) $(-> $result)? {
                // SAFETY: the caller's duty.
                unsafe { (self.0.$name)($($argument),*) }
            })*
        }
    };
}

functions! {
    analysis: LLVMVerifyModule(module: LLVMModuleRef, action: LLVMVerifierFailureAction, message: *mut *mut c_char) -> LLVMBool;
    core: LLVMContextCreate() -> LLVMContextRef;
    core: LLVMContextDispose(context: LLVMContextRef);
    core: LLVMContextSetDiagnosticHandler(context: LLVMContextRef, handler: LLVMDiagnosticHandler, data: *mut c_void);
    core: LLVMCreateMemoryBufferWithMemoryRangeCopy(start: *const c_char, length: usize, name: *const c_char) -> LLVMMemoryBufferRef;
    core: LLVMDisposeMemoryBuffer(buffer: LLVMMemoryBufferRef);
    core: LLVMDisposeMessage(message: *mut c_char);
    core: LLVMDisposeModule(module: LLVMModuleRef);
    core: LLVMGetBufferSize(buffer: LLVMMemoryBufferRef) -> usize;
    core: LLVMGetBufferStart(buffer: LLVMMemoryBufferRef) -> *const c_char;
    core: LLVMGetDiagInfoDescription(info: LLVMDiagnosticInfoRef) -> *mut c_char;
    core: LLVMGetDiagInfoSeverity(info: LLVMDiagnosticInfoRef) -> LLVMDiagnosticSeverity;
    core: LLVMGetVersion(major: *mut c_uint, minor: *mut c_uint, patch: *mut c_uint);
    core: LLVMSetTarget(module: LLVMModuleRef, triple: *const c_char);
    error: LLVMDisposeErrorMessage(message: *mut c_char);
    error: LLVMGetErrorMessage(error: LLVMErrorRef) -> *mut c_char;
    ir_reader: LLVMParseIRInContext(
        context: LLVMContextRef, buffer: LLVMMemoryBufferRef, module: *mut LLVMModuleRef, message: *mut *mut c_char
    ) -> LLVMBool;
    support: LLVMParseCommandLineOptions(count: c_int, options: *const *const c_char, overview: *const c_char);
    target: LLVMDisposeTargetData(layout: LLVMTargetDataRef);
    target: LLVMSetModuleDataLayout(module: LLVMModuleRef, layout: LLVMTargetDataRef);
    target_machine: LLVMCreateTargetDataLayout(machine: LLVMTargetMachineRef) -> LLVMTargetDataRef;
    target_machine: LLVMCreateTargetMachine(
        target: LLVMTargetRef, triple: *const c_char, cpu: *const c_char, features: *const c_char,
        level: LLVMCodeGenOptLevel, relocation: LLVMRelocMode, model: LLVMCodeModel
    ) -> LLVMTargetMachineRef;
    target_machine: LLVMDisposeTargetMachine(machine: LLVMTargetMachineRef);
    target_machine: LLVMGetTargetFromTriple(triple: *const c_char, target: *mut LLVMTargetRef, message: *mut *mut c_char) -> LLVMBool;
    target_machine: LLVMNormalizeTargetTriple(triple: *const c_char) -> *mut c_char;
    target_machine: LLVMTargetMachineEmitToMemoryBuffer(
        machine: LLVMTargetMachineRef, module: LLVMModuleRef, kind: LLVMCodeGenFileType, message: *mut *mut c_char,
        buffer: *mut LLVMMemoryBufferRef
    ) -> LLVMBool;
    transforms::pass_builder: LLVMCreatePassBuilderOptions() -> LLVMPassBuilderOptionsRef;
    transforms::pass_builder: LLVMDisposePassBuilderOptions(options: LLVMPassBuilderOptionsRef);
    transforms::pass_builder: LLVMRunPasses(
        module: LLVMModuleRef, passes: *const c_char, machine: LLVMTargetMachineRef, options: LLVMPassBuilderOptionsRef
    ) -> LLVMErrorRef;
}
