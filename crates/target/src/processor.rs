//! What a program asks an x86 processor for before it runs code for a target.

use crate::record::Target;

/// Bits that an instruction must give, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    pub question: Question,
    pub bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// `cpuid`: eax and ecx, and which of eax, ebx, ecx, edx has the answer.
    Cpuid { leaf: u32, subleaf: u32, register: u8 },
    /// `xgetbv` of register 0: what the system saves. Only to be asked where bit 27 of ecx of leaf 1 is set.
    Saved,
}

const fn cpuid(leaf: u32, subleaf: u32, register: u8) -> Question {
    Question::Cpuid { leaf, subleaf, register }
}

const FIRST: Question = cpuid(1, 0, 2);
const SEVENTH_B: Question = cpuid(7, 0, 1);
const SEVENTH_C: Question = cpuid(7, 0, 2);
const SEVENTH_1_A: Question = cpuid(7, 1, 0);
const EXTENDED: Question = cpuid(0x8000_0001, 0, 2);

/// LLVM's names of features, where the processor tells of them, and what the system must save for them.
const FEATURES: &[(&str, Question, u32)] = &[
    ("sse3", FIRST, 0),
    ("ssse3", FIRST, 9),
    ("fma", FIRST, 12),
    ("cx16", FIRST, 13),
    ("sse4.1", FIRST, 19),
    ("sse4.2", FIRST, 20),
    ("movbe", FIRST, 22),
    ("popcnt", FIRST, 23),
    ("osxsave", FIRST, 27),
    ("avx", FIRST, 28),
    ("f16c", FIRST, 29),
    ("bmi1", SEVENTH_B, 3),
    ("avx2", SEVENTH_B, 5),
    ("bmi2", SEVENTH_B, 8),
    ("avx512f", SEVENTH_B, 16),
    ("avx512dq", SEVENTH_B, 17),
    ("avx512ifma", SEVENTH_B, 21),
    ("avx512cd", SEVENTH_B, 28),
    ("avx512bw", SEVENTH_B, 30),
    ("avx512vl", SEVENTH_B, 31),
    ("avx512vbmi", SEVENTH_C, 1),
    ("avx512vbmi2", SEVENTH_C, 6),
    ("gfni", SEVENTH_C, 8),
    ("vpclmulqdq", SEVENTH_C, 10),
    ("avx512vnni", SEVENTH_C, 11),
    ("avx512bitalg", SEVENTH_C, 12),
    ("avx512vpopcntdq", SEVENTH_C, 14),
    ("avx512bf16", SEVENTH_1_A, 5),
    ("lahf", EXTENDED, 0),
    ("lzcnt", EXTENDED, 5),
];

const V2: &[&str] = &["sse3", "ssse3", "cx16", "sse4.1", "sse4.2", "popcnt", "lahf"];
const V3: &[&str] = &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "osxsave"];
const V4: &[&str] = &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

/// SSE and AVX registers; those of AVX-512.
const AVX_SAVED: u32 = 0x6;
const AVX512_SAVED: u32 = 0xe6;

impl Target {
    /// What the processor must say, in the order to ask; nothing where the target is no x86. A processor that is named has all that
    /// level 4 has.
    pub fn needed(&self) -> Vec<Needed> {
        if !self.triple.starts_with("x86_64") {
            return vec![];
        }
        let levels: &[&[&str]] = match self.cpu.as_str() {
            "x86-64" => &[],
            "x86-64-v2" => &[V2],
            "x86-64-v3" => &[V2, V3],
            _ => &[V2, V3, V4],
        };
        let names: Vec<&str> = levels.iter().copied().flatten().copied().chain(self.features.iter().map(String::as_str)).collect();
        let mut questions = std::collections::BTreeMap::new();
        for (_, question, bit) in FEATURES.iter().filter(|(name, ..)| names.contains(name)) {
            *questions.entry(*question).or_insert(0) |= 1 << bit;
        }
        let saved = match levels.len() {
            3 => AVX512_SAVED,
            2 => AVX_SAVED,
            _ => 0,
        };
        let needed = questions.into_iter().map(|(question, bits)| Needed { question, bits });
        needed.chain((saved != 0).then_some(Needed { question: Question::Saved, bits: saved })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_ask_for_more_and_more() {
        let bits = |target: Target| target.needed().iter().map(|needed| needed.bits.count_ones()).sum::<u32>();
        let (v2, v3, v4) = (bits(Target::x86_64_v2()), bits(Target::x86_64_v3()), bits(Target::x86_64_v4()));
        assert_eq!((v2, v3, v4), (7, 18, 26));
        assert_eq!(Target::x86_64_v4().needed().last(), Some(&Needed { question: Question::Saved, bits: 0xe6 }));
        let vnni = Target { features: vec!["avx512vnni".to_string()], ..Target::x86_64_v4() };
        assert_eq!(bits(vnni), 27);
        assert!(Target { triple: "aarch64-unknown-linux-gnu".to_string(), ..Target::x86_64_v4() }.needed().is_empty());
    }
}
