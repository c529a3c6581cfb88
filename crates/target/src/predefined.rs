//! Records that have a name.

use crate::costs::Costs;
use crate::record::Target;

impl Target {
    /// All of them. `native` is no such record: it is this machine's.
    pub fn predefined() -> Vec<Target> {
        vec![
            Target::x86_64_v2(),
            Target::x86_64_v3(),
            Target::x86_64_v4(),
            Target::aarch64(),
            Target::aarch64_sve256(),
            Target::riscv64(),
            Target::wasm32(),
            Target::cortex_m7(),
        ]
    }

    /// A record by its name, `c` too; a level of x86-64 may have the instructions for short dot products: `x86-64-v4+vnni+bf16`.
    pub fn named(name: &str) -> Option<Target> {
        let (base, more) = name.split_once('+').map_or((name, None), |(base, more)| (base, Some(more)));
        let mut target = Target::predefined().into_iter().chain([Target::c()]).find(|target| target.name == base)?;
        for word in more.into_iter().flat_map(|more| more.split('+')) {
            let (has, feature) = match word {
                "vnni" => (&mut target.int8_dot, "avx512vnni"),
                "bf16" => (&mut target.bf16_dot, "avx512bf16"),
                _ => return None,
            };
            if *has || target.vector_bits < 512 {
                return None;
            }
            *has = true;
            target.features.push(feature.to_string());
        }
        target.name = name.to_string();
        Some(target)
    }

    /// Any x86-64 with SSE4.2.
    pub fn x86_64_v2() -> Target {
        let (name, cpu) = ("x86-64-v2".to_string(), "x86-64-v2".to_string());
        Target { name, cpu, vector_bits: 128, fma: false, half: false, ..Target::x86_64_v3() }
    }

    /// What C source is made for where nothing else is said: vectors of 128 bits, which most machines have. Code in place for it runs on
    /// any x86-64 with SSE4.2.
    pub fn c() -> Target {
        Target { name: "c".to_string(), cores: 4, l3_bytes: 4 << 20, ..Target::x86_64_v2() }
    }

    /// The numbers of a record without what C has no words for, so that its mathematics are not called.
    pub fn in_c(self) -> Target {
        Target { fma: false, half: false, bf16_dot: false, int8_dot: false, ..self }
    }

    /// Any x86-64 with AVX2 and FMA.
    pub fn x86_64_v3() -> Target {
        Target {
            name: "x86-64-v3".to_string(),
            triple: "x86_64-unknown-linux-gnu".to_string(),
            cpu: "x86-64-v3".to_string(),
            features: vec![],
            vector_bits: 256,
            vector_registers: 16,
            l1_bytes: 32 << 10,
            l1_ways: 8,
            l2_bytes: 512 << 10,
            l3_bytes: 16 << 20,
            cores: 8,
            word_bits: 64,
            fma: true,
            half: true,
            bf16_dot: false,
            int8_dot: false,
            costs: Costs::default(),
        }
    }

    /// Any x86-64 with the common part of AVX-512.
    pub fn x86_64_v4() -> Target {
        Target {
            name: "x86-64-v4".to_string(),
            cpu: "x86-64-v4".to_string(),
            vector_bits: 512,
            vector_registers: 32,
            l2_bytes: 1 << 20,
            l3_bytes: 32 << 20,
            ..Target::x86_64_v3()
        }
    }

    /// Any 64-bit Arm with Linux: NEON is part of all of them.
    pub fn aarch64() -> Target {
        Target {
            name: "aarch64".to_string(),
            triple: "aarch64-unknown-linux-gnu".to_string(),
            cpu: "generic".to_string(),
            vector_bits: 128,
            vector_registers: 32,
            l1_ways: 4,
            l3_bytes: 4 << 20,
            cores: 4,
            ..Target::x86_64_v3()
        }
    }

    /// A 64-bit Arm with Linux and scalable vectors (SVE) of 256 bits or more, of which 256 are used.
    pub fn aarch64_sve256() -> Target {
        Target { name: "aarch64-sve256".to_string(), features: vec!["sve".to_string()], vector_bits: 256, ..Target::aarch64() }
    }

    /// A 64-bit RISC-V with Linux and vectors of 128 bits or more.
    pub fn riscv64() -> Target {
        Target {
            name: "riscv64".to_string(),
            triple: "riscv64-unknown-linux-gnu".to_string(),
            cpu: "generic-rv64".to_string(),
            features: ["m", "a", "f", "d", "c", "v", "zvl128b"].map(str::to_string).to_vec(),
            half: false,
            ..Target::aarch64()
        }
    }

    /// WebAssembly with vectors, as browsers have it.
    pub fn wasm32() -> Target {
        Target {
            name: "wasm32".to_string(),
            triple: "wasm32-unknown-unknown".to_string(),
            cpu: "generic".to_string(),
            features: ["simd128", "bulk-memory", "nontrapping-fptoint", "sign-ext", "mutable-globals"].map(str::to_string).to_vec(),
            // what it runs on may have no more
            vector_registers: 16,
            cores: 1,
            fma: false,
            half: false,
            ..Target::aarch64()
        }
    }

    /// A microcontroller without a system: Cortex-M7 with floats of 64 bits.
    pub fn cortex_m7() -> Target {
        Target {
            name: "cortex-m7".to_string(),
            triple: "thumbv7em-none-eabihf".to_string(),
            cpu: "cortex-m7".to_string(),
            features: vec![],
            vector_bits: 8,
            vector_registers: 32,
            l1_bytes: 16 << 10,
            l1_ways: 4,
            l2_bytes: 512 << 10,
            l3_bytes: 0,
            cores: 1,
            word_bits: 32,
            ..Target::x86_64_v3()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_there() {
        let target = Target::named("x86-64-v4+vnni+bf16").unwrap();
        assert_eq!((target.int8_dot, target.bf16_dot, target.features.len()), (true, true, 2));
        assert_eq!(target.to_string().parse(), Ok(target));
        for target in Target::predefined() {
            assert_eq!(Target::named(&target.name), Some(target));
        }
        for name in ["x86-64-v3+vnni", "x86-64-v4+vnni+vnni", "x86-64-v4+", "native", "wasm32+bf16"] {
            assert_eq!(Target::named(name), None, "{name}");
        }
    }
}
