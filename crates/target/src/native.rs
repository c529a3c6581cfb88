//! The record of this machine. Nothing else in the compiler looks at the machine.

use crate::record::Target;

impl Target {
    /// Probes the machine that runs the compiler. `INKLE_NATIVE=x86-64-v3` makes it one with AVX2 at most, for tests on machines that have
    /// more.
    pub fn native() -> Target {
        let least = std::env::var_os("INKLE_NATIVE").is_some_and(|name| name == "x86-64-v3");
        let mut target = if least { Target::x86_64_v3() } else { instruction_set() };
        target.name = "native".to_string();
        target.cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        for (bytes, level) in [(&mut target.l1_bytes, 1), (&mut target.l2_bytes, 2), (&mut target.l3_bytes, 3)] {
            *bytes = cache(level, "size").and_then(|text| parse_size(&text)).unwrap_or(*bytes);
        }
        target.l1_ways =
            cache(1, "ways_of_associativity").and_then(|text| text.parse().ok()).filter(|ways| *ways > 0).unwrap_or(target.l1_ways);
        target
    }
}

/// What the system tells of the first core's data cache at a level.
fn cache(level: u32, name: &str) -> Option<String> {
    let field = |at: u32, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{at}/{name}");
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_string())
    };
    let is_it =
        |at: &u32| field(*at, "level").is_some_and(|l| l == level.to_string()) && field(*at, "type").is_some_and(|t| t != "Instruction");
    field((0..8).find(is_it)?, name)
}

/// `48K`, `32M` or plain bytes.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(target_arch = "x86_64")]
fn instruction_set() -> Target {
    use x86::*;
    let found = detected();
    let all = |names: &[&str]| names.iter().all(|name| found.contains(name));
    let mut target = match (all(V4), all(V3)) {
        (true, _) => Target::x86_64_v4(),
        (false, true) => Target::x86_64_v3(),
        (false, false) => baseline("x86-64"),
    };
    if let Some(cpu) = processor().filter(|_| all(V4) && all(EXTRA)) {
        target.cpu = cpu.to_string();
    }
    if all(V3) {
        target.features = found.iter().filter(|name| EXTRA.contains(name)).map(|name| name.to_string()).collect();
    }
    target.bf16_dot = all(V4) && all(&["avx512bf16"]);
    target.int8_dot = all(V4) && all(&["avx512vnni"]);
    target
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_set() -> Target {
    let arch = std::env::consts::ARCH;
    let known = Target::predefined().into_iter().find(|target| target.architecture() == arch);
    known.unwrap_or_else(|| Target { triple: format!("{arch}-unknown-linux-gnu"), ..baseline("generic") })
}

/// 128-bit vectors without fused multiply-add and conversions of f16.
fn baseline(cpu: &str) -> Target {
    Target { cpu: cpu.to_string(), vector_bits: 128, fma: false, half: false, ..Target::x86_64_v3() }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    /// What LLVM's x86-64-v3 and x86-64-v4 stand for.
    pub const V3: &[&str] = &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt"];
    pub const V4: &[&str] = &[
        "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl",
    ];
    /// Beyond the levels; a processor that has all of these is named where it is known.
    pub const EXTRA: &[&str] =
        &["avx512bf16", "avx512bitalg", "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512vpopcntdq", "gfni", "vpclmulqdq"];

    macro_rules! found {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }

    /// The features of this machine that the lists above ask for, under the names of the standard library, which are LLVM's too
    /// (but `bmi1`, which is implied by the levels alone).
    pub fn detected() -> Vec<&'static str> {
        let all = found![
            "avx",
            "avx2",
            "bmi1",
            "bmi2",
            "f16c",
            "fma",
            "lzcnt",
            "movbe",
            "popcnt",
            "avx512f",
            "avx512bw",
            "avx512cd",
            "avx512dq",
            "avx512vl",
            "avx512bf16",
            "avx512bitalg",
            "avx512ifma",
            "avx512vbmi",
            "avx512vbmi2",
            "avx512vnni",
            "avx512vpopcntdq",
            "gfni",
            "vpclmulqdq"
        ];
        all.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
    }

    /// LLVM's name of the processor, for those with every feature of `V4` and `EXTRA` whose tuning matters.
    pub fn processor() -> Option<&'static str> {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim));
        match (field("vendor_id")?, field("cpu family")?) {
            ("AuthenticAMD", "26") => Some("znver5"),
            ("AuthenticAMD", "25") => Some("znver4"),
            (_, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("48K"), Some(48 << 10));
        assert_eq!(parse_size("32M"), Some(32 << 20));
        assert_eq!(parse_size("12"), Some(12));
        assert_eq!(parse_size("x"), None);
    }

    #[test]
    fn native_is_plausible() {
        let target = Target::native();
        assert!(target.cores >= 1 && target.vector_bits >= 128 && target.l1_bytes >= 4 << 10, "{target}");
    }
}
