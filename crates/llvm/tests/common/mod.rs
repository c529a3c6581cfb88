//! Runs kernels as machine code and in the interpreter, and compares all buffers.

#![allow(dead_code)]

use ir::DType;
use kernel::interp;
use kernel::{Kernel, Space};
use llvm::{EmitOptions, PrintOptions, emit_object, print_kernel};
use runtime::{AlignedBuffer, Code, KernelFn};
use target::Target;

/// The machine that the tests run on.
pub fn host() -> EmitOptions {
    let target = Target::native();
    EmitOptions { features: target.feature_text(), cpu: target.cpu, triple: target.triple }
}

/// The host, where it has a feature.
pub fn host_with(feature: &str) -> Vec<EmitOptions> {
    Some(host()).filter(|host| host.features.split(',').any(|has| has.strip_prefix('+') == Some(feature))).into_iter().collect()
}

/// The host, and older machines whose code it runs as well.
pub fn machines() -> Vec<EmitOptions> {
    let old = |cpu: &str| EmitOptions { cpu: cpu.into(), features: String::new(), ..host() };
    vec![host(), old("x86-64-v3")]
}

/// A kernel's machine code.
pub struct Native {
    code: Code,
    name: String,
    scratch: AlignedBuffer,
}

impl Native {
    pub fn new(kernel: &Kernel, machine: &EmitOptions, sizes: &[i64]) -> Native {
        Native::printed(kernel, machine, &PrintOptions::default(), sizes)
    }

    pub fn printed(kernel: &Kernel, machine: &EmitOptions, options: &PrintOptions, sizes: &[i64]) -> Native {
        let text = print_kernel(kernel, options);
        let object = emit_object(&text, machine).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let code = Code::load(&[object], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let value = |sym: &sym::Sym| kernel.sizes.iter().position(|s| s == sym).map(|at| sizes[at]);
        let bytes = kernel.scratch().1.eval(&value).unwrap() as usize;
        Native { code, name: kernel.name.clone(), scratch: AlignedBuffer::zeroed(bytes).unwrap() }
    }

    pub fn function(&self) -> KernelFn {
        // SAFETY: every printed kernel has this signature.
        unsafe { std::mem::transmute::<*const (), KernelFn>(self.code.symbol(&self.name).unwrap()) }
    }

    /// Runs the tasks on the buffers, in their order.
    pub fn run(&mut self, buffers: &mut [AlignedBuffer], sizes: &[i64], begin: i64, end: i64) -> i32 {
        let mut args: Vec<u64> = buffers.iter_mut().map(|buffer| buffer.as_mut_ptr() as u64).collect();
        args.extend(sizes.iter().map(|size| *size as u64));
        // SAFETY: the arguments are those of the kernel, and the interpreter has found its accesses inside the buffers.
        unsafe { self.function()(args.as_ptr(), begin, end, self.scratch.as_mut_ptr()) }
    }
}

/// Runs the tasks `0..tasks` on every machine and in the interpreter; gives the interpreter's code and buffers.
pub fn check(kernel: &Kernel, buffers: &[Vec<u8>], sizes: &[i64], tasks: i64) -> (i32, Vec<Vec<u8>>) {
    check_on(&machines(), kernel, buffers, sizes, tasks)
}

/// The same on some machines.
pub fn check_on(machines: &[EmitOptions], kernel: &Kernel, buffers: &[Vec<u8>], sizes: &[i64], tasks: i64) -> (i32, Vec<Vec<u8>>) {
    let mut expected = buffers.to_vec();
    let code = interp::run(kernel, &mut expected, sizes, 0, tasks).unwrap();
    // what is printed for lesser machines runs here too
    let spelled_out = PrintOptions { soft_half: true, narrow_words: true, ..PrintOptions::default() };
    let printed =
        machines.iter().map(|machine| (machine, PrintOptions::default())).chain(machines.iter().take(1).map(|m| (m, spelled_out.clone())));
    for (machine, options) in printed {
        let mut native = Native::printed(kernel, machine, &options, sizes);
        let mut found: Vec<AlignedBuffer> = buffers.iter().map(|bytes| AlignedBuffer::copy_of(bytes).unwrap()).collect();
        let found_code = native.run(&mut found, sizes, 0, tasks);
        assert_eq!(found_code, code, "{} on {}", kernel.name, machine.cpu);
        if code == 0 {
            compare(kernel, buffers, &found, &expected, (&machine.cpu, &options));
        }
    }
    (code, expected)
}

fn compare(kernel: &Kernel, inputs: &[Vec<u8>], found: &[AlignedBuffer], expected: &[Vec<u8>], (cpu, options): (&str, &PrintOptions)) {
    for (at, (_, buffer)) in kernel.params().enumerate() {
        let size = buffer.dtype.size();
        let pairs = found[at].as_slice().chunks(size).zip(expected[at].chunks(size));
        for (element, (found, expected)) in pairs.enumerate() {
            if !same(buffer.dtype, found, expected) {
                let inputs: Vec<&[u8]> = inputs.iter().filter_map(|i| i.get(element * size..element * size + size)).collect();
                panic!(
                    "{} on {cpu}: {}[{element}] is {found:x?}, not {expected:x?}; inputs there {inputs:x?}\n{}",
                    kernel.name,
                    buffer.name,
                    print_kernel(kernel, options)
                );
            }
        }
        assert!(buffer.space == Space::Output || found[at].as_slice() == expected[at]);
    }
}

/// Equal bits, or both NaN.
fn same(dtype: DType, a: &[u8], b: &[u8]) -> bool {
    a == b || (is_nan(dtype, a) && is_nan(dtype, b))
}

fn is_nan(dtype: DType, bytes: &[u8]) -> bool {
    match dtype {
        DType::F16 => half::f16::from_le_bytes([bytes[0], bytes[1]]).is_nan(),
        DType::BF16 => half::bf16::from_le_bytes([bytes[0], bytes[1]]).is_nan(),
        DType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F64 => f64::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        _ => false,
    }
}

/// A sequence of numbers without pattern, the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 29);
        x.wrapping_mul(0xBF58476D1CE4E5B9) ^ (x >> 32)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// Elements of a type: ends, ties, special values, all magnitudes.
pub fn elements(dtype: DType, count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).flat_map(|_| element(dtype, &mut random)).collect()
}

fn element(dtype: DType, random: &mut Random) -> Vec<u8> {
    const SPECIAL: [f64; 20] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1.5,
        -2.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        65504.0,
        65520.0,
        -65519.99,
        1e-8,
        6e-5,
        -1e-40,
        3.4e38,
        1e300,
        255.5,
        -128.7,
    ];
    let (kind, bits) = (random.below(4), random.next());
    if dtype == DType::Bool {
        return vec![(bits & 1) as u8];
    }
    if !dtype.is_float() {
        let value = match kind {
            0 => (bits % 5) as i64 - 2,
            1 => [i64::MIN, i64::MAX, i32::MIN as i64, i32::MAX as i64, i16::MIN as i64, -128][bits as usize % 6],
            2 => (bits >> (bits % 64)) as i64,
            _ => bits as i64,
        };
        return value.to_le_bytes()[..dtype.size()].to_vec();
    }
    let value = match kind {
        0 => SPECIAL[bits as usize % SPECIAL.len()],
        1 => (bits % 4096) as f64 / 8.0 - 256.0,
        2 => (bits as i64 >> (bits % 64)) as f64,
        _ => return bits.to_le_bytes()[..dtype.size()].to_vec(),
    };
    match dtype {
        DType::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
        DType::F32 => (value as f32).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    }
}
