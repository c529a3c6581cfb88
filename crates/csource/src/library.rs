//! The functions that ops and entries call, of which a file gets those that it mentions. None needs a library of C's mathematics.

use crate::text::{finite, lane_type, literal, mentions, wrapping_type};
use ir::{DType, Literal};

/// A function's name and text.
struct Helper {
    name: String,
    text: String,
}

/// The texts of the functions that `text` calls, each behind those that it calls itself.
pub fn called(text: &str) -> String {
    let mut found: Vec<Helper> = Vec::new();
    for helper in all().into_iter().rev() {
        if mentions(text, &helper.name) || found.iter().any(|other| mentions(&other.text, &helper.name)) {
            found.push(helper);
        }
    }
    found.iter().rev().map(|helper| format!("{}\n", helper.text)).collect()
}

/// Each calls only those before it.
fn all() -> Vec<Helper> {
    let fixed = FIXED.iter().map(|(name, text)| Helper { name: name.to_string(), text: text.to_string() });
    let floats = [DType::F32, DType::F64];
    let rounded = floats.into_iter().flat_map(rounding);
    let saturated = floats.into_iter().flat_map(|from| INTEGERS.map(|to| saturated(from, to)));
    let divided = INTEGERS.into_iter().flat_map(divisions);
    fixed.chain(rounded).chain(saturated).chain(divided).collect()
}

const INTEGERS: [DType; 8] = [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];

/// Division and rest: by zero 0, and what does not fit wraps.
fn divisions(dtype: DType) -> [Helper; 2] {
    let (name, own, wide) = (dtype.name(), lane_type(dtype), wrapping_type(dtype));
    let head = |what: &str| format!("static inline {own} inkle_{what}_{name}({own} a, {own} b) {{\n    ");
    let (div, rem) = match dtype.is_signed_int() {
        true => (
            format!("return b == 0 ? 0 : b == -1 ? ({own})(0 - ({wide})a) : ({own})(a / b);"),
            format!("return b == 0 || b == -1 ? 0 : ({own})(a % b);"),
        ),
        false => (format!("return b == 0 ? 0 : ({own})(a / b);"), format!("return b == 0 ? 0 : ({own})(a % b);")),
    };
    let helper = |what: &str, body: String| Helper { name: format!("inkle_{what}_{name}"), text: format!("{}{body}\n}}\n", head(what)) };
    [helper("div", div), helper("rem", rem)]
}

/// A float as an integer: toward zero, to the nearest end where it does not fit, 0 for NaN.
fn saturated(from: DType, to: DType) -> Helper {
    let (name, float, own) = (format!("inkle_{}_of_{}", to.name(), from.name()), lane_type(from), lane_type(to));
    let signed = to.is_signed_int();
    let bits = to.size() as i32 * 8 - i32::from(signed);
    let precision = if from == DType::F32 { 24 } else { 53 };
    let end = 2f64.powi(bits);
    let (low, high) = (if signed { -end } else { 0.0 }, if bits <= precision { end - 1.0 } else { end - 2f64.powi(bits - precision) });
    let number = |value: f64| literal(Literal::Float(value), from);
    let most = match to {
        DType::U64 => -1,
        to => to.int_range().map_or(0, |(_, high)| high),
    };
    let mut text = format!("static inline {own} {name}({float} x) {{\n");
    text.push_str(&format!("    const {float} above = x > {low} ? x : {low};\n", low = number(low)));
    text.push_str(&format!("    const {float} inside = above < {high} ? above : {high};\n", high = number(high)));
    let by = if to.size() < 4 { "(int32_t)" } else { "" };
    text.push_str(&format!("    const {own} whole = ({own}){by}inside;\n"));
    if bits > precision {
        let beyond = format!("x >= {} ? {} : whole", number(end), literal(Literal::Int(most), to));
        text.push_str(&format!("    return x == x ? {beyond} : 0;\n}}\n"));
    } else {
        text.push_str("    return x == x ? whole : 0;\n}\n");
    }
    Helper { name, text }
}

/// To whole numbers; the result has the sign of `x`, zeros too.
fn rounding(dtype: DType) -> Vec<Helper> {
    let (name, float) = (dtype.name(), lane_type(dtype));
    let suffix = if dtype == DType::F32 { "f" } else { "" };
    let (bits, word, sign) = match dtype {
        DType::F32 => ("inkle_bits32", "uint32_t", "0x80000000u"),
        _ => ("inkle_bits64", "uint64_t", "UINT64_C(0x8000000000000000)"),
    };
    let limit = format!("{}{suffix}", finite(if dtype == DType::F32 { 8388608.0 } else { 4503599627370496.0 }));
    let least = format!("{}{suffix}", finite(dtype.least_normal()));
    let of_bits = format!("inkle_{name}");
    let helper = |what: &str, parameters: &str, body: String| Helper {
        name: format!("inkle_{what}_{name}"),
        text: format!("static inline {float} inkle_{what}_{name}({parameters}) {{\n{body}}}\n"),
    };
    let x = format!("{float} x");
    let stepped = |test: &str, step: &str| {
        format!(
            "    const {float} near = inkle_round_{name}(x);\n    \
            return inkle_signed_{name}(near {test} x ? near {step} 1 : near, x);\n"
        )
    };
    vec![
        helper("abs", &x, format!("    return {of_bits}({bits}(x) & ~{sign});\n")),
        helper(
            "signed",
            &format!("{float} x, {float} sign"),
            format!("    const {word} bits = {bits}(x) & ~{sign};\n    return {of_bits}(bits | ({bits}(sign) & {sign}));\n"),
        ),
        helper(
            "round",
            &x,
            format!(
                "    const {float} size = inkle_abs_{name}(x);\n    const {float} whole = (size + {limit}) - {limit};\n    \
                return size < {limit} ? inkle_signed_{name}(whole, x) : x;\n"
            ),
        ),
        helper("floor", &x, stepped(">", "-")),
        helper("ceil", &x, stepped("<", "+")),
        helper("trunc", &x, format!("    return inkle_signed_{name}(inkle_floor_{name}(inkle_abs_{name}(x)), x);\n")),
        helper("flush", &x, format!("    return inkle_abs_{name}(x) < {least} ? inkle_signed_{name}(0, x) : x;\n")),
    ]
}

const FIXED: [(&str, &str); 22] = [
    ("inkle_floor_div", FLOOR_DIV),
    ("inkle_smaller", SMALLER),
    ("inkle_larger", LARGER),
    ("inkle_f32", F32),
    ("inkle_f64", F64),
    ("inkle_bits32", BITS32),
    ("inkle_bits64", BITS64),
    ("inkle_f32_of_f16", F32_OF_F16),
    ("inkle_f16_of_f32", F16_OF_F32),
    ("inkle_f32_of_bf16", F32_OF_BF16),
    ("inkle_bf16_of_f32", BF16_OF_F32),
    ("inkle_odd_f32", ODD_F32),
    ("inkle_odd_i64", ODD_I64),
    ("inkle_odd_u64", ODD_U64),
    ("inkle_sqrt_f64", SQRT_F64),
    ("inkle_sqrt_f32", SQRT_F32),
    ("inkle_flushed", FLUSHED),
    ("inkle_dot_bf16", DOT_BF16),
    ("inkle_pool", POOL),
    ("inkle_launch", LAUNCH),
    ("inkle_serial", SERIAL),
    ("inkle_unaligned", UNALIGNED),
];

/// A divisor below 1 counts as 1.
const FLOOR_DIV: &str = "\
static inline uint64_t inkle_floor_div(uint64_t a, uint64_t b) {
    const int64_t x = (int64_t)a, y = (int64_t)b < 1 ? 1 : (int64_t)b;
    return (uint64_t)(x / y - (x % y < 0));
}
";

const SMALLER: &str = "\
static inline uint64_t inkle_smaller(uint64_t a, uint64_t b) {
    return (int64_t)a < (int64_t)b ? a : b;
}
";

const LARGER: &str = "\
static inline uint64_t inkle_larger(uint64_t a, uint64_t b) {
    return (int64_t)a > (int64_t)b ? a : b;
}
";

const F32: &str = "\
static inline float inkle_f32(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
";

const F64: &str = "\
static inline double inkle_f64(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
";

const BITS32: &str = "\
static inline uint32_t inkle_bits32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
";

const BITS64: &str = "\
static inline uint64_t inkle_bits64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
";

/// The fraction of an f16, moved to its place, has the f16's own value times 2^-112, the difference of their exponents.
const F32_OF_F16: &str = "\
static inline float inkle_f32_of_f16(uint16_t half) {
    const uint32_t size = half & 0x7fffu, moved = size << 13;
    const uint32_t finite = inkle_bits32(inkle_f32(moved) * 0x1p112f);
    const uint32_t value = size >= 0x7c00u ? moved | 0x7f800000u : finite;
    return inkle_f32(value | (half & 0x8000u) << 16);
}
";

/// Adding 1/2 rounds what is below 2^-14 to a multiple of 2^-24, and puts it into the lowest bits.
const F16_OF_F32: &str = "\
static inline uint16_t inkle_f16_of_f32(float x) {
    const uint32_t bits = inkle_bits32(x), size = bits & 0x7fffffffu;
    const uint32_t normal = (size + (0xfffu - (112u << 23)) + (size >> 13 & 1u)) >> 13;
    const uint32_t tiny = inkle_bits32(inkle_f32(size) + 0.5f) - 0x3f000000u;
    const uint32_t special = size > 0x7f800000u ? (size >> 13 & 0x3ffu) | 0x7e00u : 0x7c00u;
    const uint32_t value = size >= 0x47800000u ? special : size < 0x38800000u ? tiny : normal;
    return (uint16_t)(value | (bits ^ size) >> 16);
}
";

const F32_OF_BF16: &str = "\
static inline float inkle_f32_of_bf16(uint16_t half) {
    return inkle_f32((uint32_t)half << 16);
}
";

const BF16_OF_F32: &str = "\
static inline uint16_t inkle_bf16_of_f32(float x) {
    const uint32_t bits = inkle_bits32(x), high = bits >> 16;
    return (uint16_t)(x != x ? high | 0x40u : (bits + 0x7fffu + (high & 1u)) >> 16);
}
";

/// The f32 at the double, or the odd one of the two around it.
const ODD_F32: &str = "\
static inline float inkle_odd_f32(double x) {
    const float near = (float)x;
    const double back = (double)near;
    const uint32_t beyond = x < 0 ? back < x : back > x;
    const uint32_t inexact = back < x || back > x;
    return inkle_f32((inkle_bits32(near) - beyond) | inexact);
}
";

/// From 2^53 on the lowest 11 bits are cut off, and bit 11 is set where one was: f64 holds the result, and it rounds alike.
const ODD_I64: &str = "\
static inline int64_t inkle_odd_i64(int64_t x) {
    const uint64_t bits = (uint64_t)x, cut = bits & 0x7ffu;
    const uint64_t odd = (bits - cut) | (cut != 0 ? 0x800u : 0u);
    return bits + (UINT64_C(1) << 53) < UINT64_C(1) << 54 ? x : (int64_t)odd;
}
";

const ODD_U64: &str = "\
static inline uint64_t inkle_odd_u64(uint64_t x) {
    const uint64_t cut = x & 0x7ffu;
    return x < UINT64_C(1) << 53 ? x : ((x - cut) | (cut != 0 ? 0x800u : 0u));
}
";

/// The fraction, from 1 to below 4, by Heron's steps; its last bit by the exact rest, which is small, so that it may wrap.
const SQRT_F64: &str = "\
static inline double inkle_sqrt_f64(double x) {
    if (!(x > 0) || x > 0x1.fffffffffffffp1023) return x < 0 ? (x - x) / (x - x) : x;
    const double scale = x < 0x1p-1022 ? 0x1p-54 : 1.0;
    const uint64_t bits = inkle_bits64(x < 0x1p-1022 ? x * 0x1p108 : x);
    const int32_t exponent = (int32_t)(bits >> 52) - 1023;
    const int32_t odd = exponent & 1;
    const uint64_t square = ((bits & UINT64_C(0xfffffffffffff)) | UINT64_C(1) << 52) << odd;
    const double d = (double)square * 0x1p-52;
    double y = 0.5 + 0.5 * d;
    for (int step = 0; step < 5; step++) y = 0.5 * (y + d / y);
    uint64_t root = (uint64_t)(y * 0x1p52);
    for (int step = 0; step < 2; step++) {
        const int64_t rest = (int64_t)((square << 52) - root * root);
        root += rest > (int64_t)root ? 1u : 0u;
        root -= rest <= -(int64_t)root ? 1u : 0u;
    }
    const uint64_t half = (uint64_t)((exponent - odd) / 2 + 1023);
    return inkle_f64((half << 52) + (root - (UINT64_C(1) << 52))) * scale;
}
";

/// The root in f64 is never so near to the middle of two f32 that it rounds otherwise.
const SQRT_F32: &str = "\
static inline float inkle_sqrt_f32(float x) {
    return (float)inkle_sqrt_f64((double)x);
}
";

const FLUSHED: &str = "\
static inline float inkle_flushed(float x) {
    const uint32_t bits = inkle_bits32(x);
    return (bits & 0x7f800000u) == 0 ? inkle_f32(bits & 0x80000000u) : x;
}
";

const DOT_BF16: &str = "\
static inline float inkle_dot_bf16(uint16_t a, uint16_t b, float c) {
    const float x = inkle_flushed(inkle_f32_of_bf16(a)), y = inkle_flushed(inkle_f32_of_bf16(b));
    return inkle_flushed(fmaf(x, y, inkle_flushed(c)));
}
";

/// The types of kernels and of what runs their tasks.
const POOL: &str = "\
typedef int32_t (*inkle_task)(const void *args, int64_t begin, int64_t end, void *scratch);
typedef int32_t (*inkle_pool)(void *pool, inkle_task task, const void *args, int64_t tasks, int64_t grain, int64_t scratch_bytes);
";

/// Runs one step, by several threads where there are more tasks than `grain`, and makes the entry's result.
const LAUNCH: &str = "\
static int32_t inkle_launch(const uint64_t *context, inkle_pool pool, inkle_task task, const uint64_t *args, int64_t tasks,
                            int64_t grain, int64_t scratch_bytes, int32_t step) {
    const int32_t code = tasks <= grain ? task(args, 0, tasks, (void *)(uintptr_t)context[3])
                                        : pool((void *)(uintptr_t)context[2], task, args, tasks, grain, scratch_bytes);
    return code > 0 ? (int32_t)(((uint32_t)step + 1) * 65536u + (uint32_t)code) : code;
}
";

/// All tasks by the caller; the pool is its scratch.
const SERIAL: &str = "\
static int32_t inkle_serial(void *pool, inkle_task task, const void *args, int64_t tasks, int64_t grain, int64_t scratch_bytes) {
    (void)grain;
    (void)scratch_bytes;
    return task(args, 0, tasks, pool);
}
";

/// Whether a pointer does not do for so many bytes; no bytes may be anywhere.
const UNALIGNED: &str = "\
static int inkle_unaligned(const void *pointer, int64_t bytes) {
    return bytes > 0 && (pointer == NULL || ((uintptr_t)pointer & 63u) != 0);
}
";
