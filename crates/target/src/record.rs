//! The record of a target.

use crate::costs::Costs;
use ir::DType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A machine to generate for. Equal records give equal code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    pub name: String,
    /// An LLVM triple.
    pub triple: String,
    /// A processor name of LLVM; it implies features.
    pub cpu: String,
    /// LLVM features on top of those of `cpu`, without sign.
    pub features: Vec<String>,
    /// Width of a vector register; 8 where there are none, so that all code is of single elements.
    pub vector_bits: u32,
    /// How many vector registers there are.
    pub vector_registers: u32,
    /// First-level data cache of a core.
    pub l1_bytes: u64,
    /// Lines of it that a set holds.
    pub l1_ways: u32,
    /// Second-level cache of a core.
    pub l2_bytes: u64,
    /// Last-level cache, shared by the cores.
    pub l3_bytes: u64,
    pub cores: u32,
    /// Width of an integer register: 32 or 64. Divisions and conversions of i64 are functions of the printer's where it is 32.
    pub word_bits: u32,
    /// Fused multiply-add of f32 and f64 vectors. Without it sums of products are rounded twice a term, and functions that need the
    /// fused one compute it by wider or by more sums.
    pub fma: bool,
    /// Conversions between f16 and f32; without them they are operations on bits.
    pub half: bool,
    /// Dot products of bf16 pairs into f32 (`vdpbf16ps`).
    pub bf16_dot: bool,
    /// Dot products of unsigned by signed bytes, four at a time, into i32, without saturation (`vpdpbusd`).
    pub int8_dot: bool,
    /// What choices of schedules and plans go by; not written where it is the default.
    #[serde(default, skip_serializing_if = "Costs::is_default")]
    pub costs: Costs,
}

impl Target {
    /// How many elements of a type fill a vector register.
    pub fn lanes(&self, dtype: DType) -> u32 {
        (self.vector_bits / 8 / dtype.size() as u32).max(1)
    }

    /// How many neighbouring products of these types one instruction adds to a lane of a sum (see `kernel::Op::Dot`); 1 where none does.
    /// Bytes are multiplied unsigned by signed.
    pub fn dot_group(&self, a: DType, b: DType) -> i64 {
        let bytes = [a, b].iter().all(|dtype| matches!(dtype, DType::I8 | DType::U8));
        match (a, b) {
            (DType::BF16, DType::BF16) if self.bf16_dot => 2,
            _ if bytes && self.int8_dot => 4,
            _ => 1,
        }
    }

    /// Why code for this target can't run on `machine`, as far as the records tell.
    pub fn missing_on(&self, machine: &Target) -> Option<String> {
        if self.architecture() != machine.architecture() {
            return Some(format!("{} is no machine of this kind", self.name));
        }
        let missing: Vec<&str> = self.features.iter().filter(|f| !machine.features.contains(f)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Some(format!("this machine lacks {}, which {} has", missing.join(", "), self.name));
        }
        let wider = self.vector_bits > machine.vector_bits;
        wider.then(|| format!("this machine lacks {} bit vectors, which {} has", self.vector_bits, self.name))
    }

    /// The first part of the triple: `x86_64`.
    pub fn architecture(&self) -> &str {
        self.triple.split('-').next().unwrap_or_default()
    }

    /// The features as LLVM reads them: `+avx2,+fma`.
    pub fn feature_text(&self) -> String {
        let signed: Vec<String> = self.features.iter().map(|feature| format!("+{feature}")).collect();
        signed.join(",")
    }
}

impl fmt::Display for Target {
    /// JSON, one field a line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Target, String> {
        let target: Target = serde_json::from_str(text).map_err(|why| format!("target record: {why}"))?;
        let numbers = [
            (u64::from(target.vector_bits), "vector_bits", 8, 1 << 14),
            (u64::from(target.vector_registers), "vector_registers", 8, 1 << 10),
            (target.l1_bytes, "l1_bytes", 1 << 10, 1 << 40),
            (u64::from(target.l1_ways), "l1_ways", 1, 1 << 10),
            (target.l2_bytes, "l2_bytes", 1 << 10, 1 << 40),
            (target.l3_bytes, "l3_bytes", 0, 1 << 40),
            (u64::from(target.cores), "cores", 1, 1 << 16),
        ];
        for (number, field, least, most) in numbers {
            if !(least..=most).contains(&number) {
                return Err(format!("target record: {field} is {number}, not from {least} to {most}"));
            }
        }
        if !target.vector_bits.is_power_of_two() {
            return Err(format!("target record: vector_bits is {}, not a power of two", target.vector_bits));
        }
        if let Some(fault) = target.costs.fault() {
            return Err(format!("target record: {fault}"));
        }
        if ![32, 64].contains(&target.word_bits) {
            return Err(format!("target record: word_bits is {}, not 32 or 64", target.word_bits));
        }
        let dots = [(target.bf16_dot, "bf16_dot", "avx512bf16"), (target.int8_dot, "int8_dot", "avx512vnni")];
        for (has, field, feature) in dots {
            if has && !(target.vector_bits == 512 && target.features.iter().any(|own| own == feature)) {
                return Err(format!("target record: {field} needs 512 vector_bits and {feature} among the features"));
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let fitted = Target { costs: Costs { stream: 250, ..Costs::default() }, ..Target::x86_64_v4() };
        for target in Target::predefined().into_iter().chain([Target::native(), fitted]) {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn numbers_have_ranges() {
        let why = |target: Target| target.to_string().parse::<Target>().expect_err("a fault");
        assert_eq!(why(Target { l1_ways: 0, ..Target::x86_64_v4() }), "target record: l1_ways is 0, not from 1 to 1024");
        assert_eq!(why(Target { vector_bits: 384, ..Target::x86_64_v4() }), "target record: vector_bits is 384, not a power of two");
        assert_eq!(why(Target { word_bits: 16, ..Target::x86_64_v4() }), "target record: word_bits is 16, not 32 or 64");
    }

    #[test]
    fn costs_are_written_where_they_differ_and_have_ranges() {
        assert!(!Target::x86_64_v4().to_string().contains("costs"));
        let wrong = Target { costs: Costs { stream: 1, ..Costs::default() }, ..Target::x86_64_v4() };
        assert_eq!(wrong.to_string().parse::<Target>(), Err("target record: costs.stream is 1, not from 100 to 2000".to_string()));
        let unknown = wrong.to_string().replace("\"stream\"", "\"dream\"").parse::<Target>();
        assert!(unknown.is_err_and(|why| why.contains("unknown field `dream`")));
    }

    #[test]
    fn dots_need_their_feature() {
        let target = Target { bf16_dot: true, ..Target::x86_64_v4() };
        let why = "target record: bf16_dot needs 512 vector_bits and avx512bf16 among the features";
        assert_eq!(target.to_string().parse::<Target>(), Err(why.to_string()));
        let target = Target { features: vec!["avx512bf16".to_string()], ..target };
        assert_eq!(target.to_string().parse(), Ok(target));
    }

    #[test]
    fn dots_take_as_many_as_fill_a_lane() {
        let target = Target { bf16_dot: true, int8_dot: true, ..Target::x86_64_v4() };
        let pairs = [(DType::BF16, DType::BF16), (DType::U8, DType::I8), (DType::I8, DType::I8), (DType::BF16, DType::F32)];
        assert_eq!(pairs.map(|(a, b)| target.dot_group(a, b)), [2, 4, 4, 1]);
        assert_eq!(pairs.map(|(a, b)| Target::x86_64_v4().dot_group(a, b)), [1; 4]);
    }

    #[test]
    fn lanes_fill_a_register() {
        let lanes = |d| Target::x86_64_v4().lanes(d);
        assert_eq!((lanes(DType::F32), lanes(DType::Bool), lanes(DType::I64), lanes(DType::BF16)), (16, 64, 8, 32));
    }
}
