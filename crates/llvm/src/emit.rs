//! LLVM text to machine code: parse, verify, `function(early-cse)`, then an object or assembly.
//!
//! Every call works in its own LLVM context, so calls on several threads share nothing, and the same text with
//! the same options gives the same bytes. LLVM's objects are freed on every path by the guards in `guard`.
//!
//! The text decides what is generated: functions that want 512-bit registers say so in their own attributes.
//! An instruction that the target cannot select ends the process inside LLVM; the printer must not emit one.

mod guard;
mod library;
mod targets;

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use llvm_sys::analysis::LLVMVerifierFailureAction;
use llvm_sys::target_machine::{LLVMCodeGenFileType, LLVMCodeGenOptLevel, LLVMCodeModel};

use guard::{Context, DataLayout, Machine, MemoryBuffer, Message, Module, PassOptions, error_text};
use library::Llvm;
pub use library::identity;

/// The machine to generate for, in LLVM's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitOptions {
    /// A processor name such as `znver5`; LLVM reads an unknown one as the generic processor.
    pub cpu: String,
    /// Features added or taken away, such as `+avx512f,-amx-tile`; may be empty.
    pub features: String,
    /// A target triple such as `x86_64-unknown-linux-gnu`; it replaces the one in the text.
    pub triple: String,
}

/// Why no code came out; each carries LLVM's own message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// There is no LLVM to load.
    #[error("LLVM's library can't be loaded: {0}")]
    Library(String),
    /// The triple names no target of this build, or an option holds a NUL byte.
    #[error("target `{triple}`: {message}")]
    Target { triple: String, message: String },
    /// The text is no LLVM IR; the message has line and column.
    #[error("LLVM cannot read the module: {0}")]
    Parse(String),
    /// The module breaks a rule of LLVM IR.
    #[error("LLVM rejects the module: {0}")]
    Verify(String),
    /// A pass failed.
    #[error("LLVM's passes failed: {0}")]
    Passes(String),
    /// Code generation failed.
    #[error("LLVM generated no code: {0}")]
    Generate(String),
}

/// The passes that run before code generation: kernels arrive already shaped.
const PASSES: &CStr = c"function(early-cse)";

/// Stack of an emitting thread: instruction selection recurses over large blocks.
const STACK_BYTES: usize = 16 << 20;

/// The version of LLVM, which is loaded: `19.1.7`. None where there is none.
pub fn version() -> Option<String> {
    let llvm = Llvm::get().ok()?;
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: LLVM writes three numbers.
    unsafe { llvm.LLVMGetVersion(&mut major, &mut minor, &mut patch) };
    Some(format!("{major}.{minor}.{patch}"))
}

/// The relocatable object of one module.
pub fn emit_object(text: &str, options: &EmitOptions) -> Result<Vec<u8>, EmitError> {
    emit(text, options, LLVMCodeGenFileType::LLVMObjectFile)
}

/// The assembly of one module, for people to read.
pub fn emit_assembly(text: &str, options: &EmitOptions) -> Result<String, EmitError> {
    let bytes = emit(text, options, LLVMCodeGenFileType::LLVMAssemblyFile)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The objects of all modules in the order of `texts`, emitted on `threads` threads (at least one).
///
/// The result does not depend on `threads`. Where several modules fail, the error is that of the first in order. LLVM is loaded where there
/// are modules only.
pub fn emit_all<T: AsRef<str> + Sync>(texts: &[T], options: &EmitOptions, threads: usize) -> Result<Vec<Vec<u8>>, EmitError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let order = longest_first(texts);
    let next = AtomicUsize::new(0);
    let objects: Vec<_> = texts.iter().map(|_| Mutex::new(None)).collect();
    let emit_some = || {
        // making a machine takes as long as emitting a small kernel, so each thread has one
        let machine = target_machine(options);
        while let Some(&module) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let emitted = |machine| emit_on(machine, texts[module].as_ref(), options, LLVMCodeGenFileType::LLVMObjectFile);
            let object = machine.as_ref().map_err(EmitError::clone).and_then(emitted);
            *objects[module].lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(texts.len()) {
            // A thread that cannot start is no loss: the others take its share.
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, emit_some);
        }
        emit_some();
    });
    objects.into_iter().filter_map(|object| object.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Module numbers, the longest text first, so that no thread is left alone with the largest module at the end.
fn longest_first<T: AsRef<str>>(texts: &[T]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&module| std::cmp::Reverse(texts[module].as_ref().len()));
    order
}

fn emit(text: &str, options: &EmitOptions, kind: LLVMCodeGenFileType) -> Result<Vec<u8>, EmitError> {
    emit_on(&target_machine(options)?, text, options, kind)
}

fn emit_on(machine: &Machine, text: &str, options: &EmitOptions, kind: LLVMCodeGenFileType) -> Result<Vec<u8>, EmitError> {
    let context = Context::new(machine.llvm);
    let module = parsed(text, machine.llvm, &context)?;
    retarget(&module, machine, options)?;
    verify(&module, machine.llvm)?;
    run_passes(&module, machine)?;
    generated(&module, machine, &context, kind)
}

fn parsed<'a>(text: &str, llvm: Llvm, context: &'a Context) -> Result<Module<'a>, EmitError> {
    let mut module = ptr::null_mut();
    let mut message = Message::none(llvm);
    // SAFETY: the buffer copies the text and adds the NUL the parser wants; the parser owns and frees the buffer.
    let failed = unsafe {
        let buffer = llvm.LLVMCreateMemoryBufferWithMemoryRangeCopy(text.as_ptr().cast::<c_char>(), text.len(), c"module".as_ptr());
        llvm.LLVMParseIRInContext(context.raw, buffer, &mut module, message.slot())
    };
    if failed != 0 {
        return Err(EmitError::Parse(message.text()));
    }
    Ok(Module::new(module, context))
}

/// Gives the module the triple and the data layout of the machine.
fn retarget(module: &Module, machine: &Machine, options: &EmitOptions) -> Result<(), EmitError> {
    let llvm = machine.llvm;
    let triple = targets::normalised(llvm, &c_string(&options.triple, options)?);
    // SAFETY: module and machine are live; LLVM copies both strings.
    unsafe {
        let layout = DataLayout { llvm, raw: llvm.LLVMCreateTargetDataLayout(machine.raw) };
        llvm.LLVMSetTarget(module.raw, triple.as_ptr());
        llvm.LLVMSetModuleDataLayout(module.raw, layout.raw);
    }
    Ok(())
}

fn verify(module: &Module, llvm: Llvm) -> Result<(), EmitError> {
    let mut message = Message::none(llvm);
    // SAFETY: the module is live and the slot takes one message, which the guard frees.
    let broken = unsafe { llvm.LLVMVerifyModule(module.raw, LLVMVerifierFailureAction::LLVMReturnStatusAction, message.slot()) };
    if broken != 0 { Err(EmitError::Verify(message.text())) } else { Ok(()) }
}

fn run_passes(module: &Module, machine: &Machine) -> Result<(), EmitError> {
    let llvm = machine.llvm;
    // SAFETY: all four are live for the call.
    let error = unsafe {
        let options = PassOptions { llvm, raw: llvm.LLVMCreatePassBuilderOptions() };
        llvm.LLVMRunPasses(module.raw, PASSES.as_ptr(), machine.raw, options.raw)
    };
    error_text(llvm, error).map_or(Ok(()), |message| Err(EmitError::Passes(message)))
}

fn generated(module: &Module, machine: &Machine, context: &Context, kind: LLVMCodeGenFileType) -> Result<Vec<u8>, EmitError> {
    let llvm = machine.llvm;
    let mut buffer = MemoryBuffer { llvm, raw: ptr::null_mut() };
    let mut message = Message::none(llvm);
    // SAFETY: module and machine are live; on success LLVM stores a buffer that the guard frees.
    let failed = unsafe { llvm.LLVMTargetMachineEmitToMemoryBuffer(machine.raw, module.raw, kind, message.slot(), &mut buffer.raw) };
    if failed != 0 {
        return Err(EmitError::Generate(message.text()));
    }
    context.first_error().map_or_else(|| Ok(buffer.bytes()), |message| Err(EmitError::Generate(message)))
}

fn target_machine(options: &EmitOptions) -> Result<Machine, EmitError> {
    let llvm = Llvm::get().map_err(EmitError::Library)?;
    let triple = targets::normalised(llvm, &c_string(&options.triple, options)?);
    let cpu = c_string(&options.cpu, options)?;
    let features = c_string(&options.features, options)?;
    let target = targets::generator(llvm, &triple).map_err(|message| target_error(options, message))?;
    // SAFETY: the strings outlive the call.
    let raw = unsafe {
        llvm.LLVMCreateTargetMachine(
            target,
            triple.as_ptr(),
            cpu.as_ptr(),
            features.as_ptr(),
            LLVMCodeGenOptLevel::LLVMCodeGenLevelDefault,
            targets::relocation(&options.triple),
            LLVMCodeModel::LLVMCodeModelSmall,
        )
    };
    if raw.is_null() { Err(target_error(options, "no target machine".into())) } else { Ok(Machine { llvm, raw }) }
}

fn c_string(text: &str, options: &EmitOptions) -> Result<CString, EmitError> {
    CString::new(text).map_err(|_| target_error(options, format!("`{}` holds a NUL byte", text.escape_debug())))
}

fn target_error(options: &EmitOptions, message: String) -> EmitError {
    EmitError::Target { triple: options.triple.clone(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> EmitOptions {
        EmitOptions { cpu: "x86-64-v4".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() }
    }

    fn add(name: &str) -> String {
        format!("define i64 @{name}(i64 %a, i64 %b) {{\n  %c = add i64 %a, %b\n  ret i64 %c\n}}\n")
    }

    #[test]
    fn object_is_elf() {
        let object = emit_object(&add("sum"), &options()).unwrap();
        assert_eq!(&object[..4], b"\x7fELF");
    }

    #[test]
    fn assembly_uses_the_features_of_the_options() {
        let text = "define <8 x float> @f(<8 x float> %a, <8 x float> %b) {\n  %c = fadd <8 x float> %a, %b\n  ret <8 x float> %c\n}\n";
        let generic = EmitOptions { cpu: "x86-64".into(), ..options() };
        let avx = EmitOptions { features: "+avx".into(), ..generic.clone() };
        assert!(emit_assembly(text, &generic).unwrap().contains("addps\t%xmm"));
        assert!(emit_assembly(text, &avx).unwrap().contains("vaddps\t%ymm"));
    }

    #[test]
    fn passes_remove_a_repeated_expression() {
        let text =
            "define i64 @f(i64 %a, i64 %b) {\n  %c = sdiv i64 %a, %b\n  %d = sdiv i64 %a, %b\n  %e = add i64 %c, %d\n  ret i64 %e\n}\n";
        assert_eq!(emit_assembly(text, &options()).unwrap().matches("idivq").count(), 1);
    }

    #[test]
    fn syntax_error_has_its_line() {
        let EmitError::Parse(message) = emit_object("define i64 @f() {\n  ret i64 %x\n}\n", &options()).unwrap_err() else { panic!() };
        assert!(message.contains("module:2:"), "{message}");
        assert!(message.contains("undefined value '%x'"), "{message}");
    }

    #[test]
    fn broken_module_is_rejected() {
        let text = "define void @f(ptr %p) {\n  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 8, i1 poison)\n  ret void\n}\ndeclare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)\n";
        assert!(matches!(emit_object(text, &options()), Err(EmitError::Verify(_))));
    }

    #[test]
    fn error_in_generation_is_returned() {
        let text = "define void @f() {\n  call void asm sideeffect \"no_such_instruction\", \"\"()\n  ret void\n}\n";
        let EmitError::Generate(message) = emit_object(text, &options()).unwrap_err() else { panic!() };
        assert!(message.contains("invalid instruction"), "{message}");
    }

    #[test]
    fn unknown_target_is_an_error() {
        let toaster = EmitOptions { triple: "toaster-unknown-none".into(), ..options() };
        assert!(matches!(emit_object(&add("f"), &toaster), Err(EmitError::Target { .. })));
        let nul = EmitOptions { cpu: "a\0b".into(), ..options() };
        assert!(matches!(emit_object(&add("f"), &nul), Err(EmitError::Target { .. })));
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let texts: Vec<String> = (0..17).map(|i| (0..=i % 5).map(|j| add(&format!("f{i}_{j}"))).collect()).collect();
        let one = emit_all(&texts, &options(), 1).unwrap();
        assert_eq!(one.len(), texts.len());
        assert_eq!(emit_all(&texts, &options(), 3).unwrap(), one);
        assert_eq!(emit_all::<&str>(&[], &options(), 3).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn first_error_in_order_is_returned() {
        let texts = [add("f"), "first fault".to_string(), "a longer second fault, emitted earlier".to_string()];
        let EmitError::Parse(message) = emit_all(&texts, &options(), 2).unwrap_err() else { panic!() };
        assert!(message.contains("first fault"), "{message}");
    }
}
