//! Conversions between f16 and f32 by operations on bits, for machines without instructions for them.

use super::function::{Function, Made};
use super::text::{splat, widened};

/// The f32 at whose bits the fraction of an f16, moved to its place, has the f16's own value: 2^112, the difference of their exponents.
const SCALE: &str = "0x46F0000000000000";

impl Function<'_> {
    /// The f32 of the bits of an f16, exact.
    pub fn single_of_half(&mut self, half: &str, lanes: u32) -> String {
        let (bits, words, floats, conds) = (widened("i16", lanes), widened("i32", lanes), widened("float", lanes), widened("i1", lanes));
        let word = |value: i64| splat("i32", lanes, &value.to_string());
        let wide = self.code.temp(format!("zext {bits} {half} to {words}"));
        let size = self.code.temp(format!("and {words} {wide}, {}", word(0x7FFF)));
        let moved = self.code.temp(format!("shl {words} {size}, {}", word(13)));
        let small = self.code.temp(format!("bitcast {words} {moved} to {floats}"));
        let scaled = self.code.temp(format!("fmul {floats} {small}, {}", splat("float", lanes, SCALE)));
        let finite = self.code.temp(format!("bitcast {floats} {scaled} to {words}"));
        let special = self.code.temp(format!("or {words} {moved}, {}", word(0x7F80_0000)));
        let is_special = self.code.temp(format!("icmp uge {words} {size}, {}", word(0x7C00)));
        let value = self.code.temp(format!("select {conds} {is_special}, {words} {special}, {words} {finite}"));
        let sign = self.code.temp(format!("sub {words} {wide}, {size}"));
        let sign = self.code.temp(format!("shl {words} {sign}, {}", word(16)));
        let signed = self.code.temp(format!("or {words} {value}, {sign}"));
        self.code.temp(format!("bitcast {words} {signed} to {floats}"))
    }

    /// The bits of the f16 next to an f32, the even one of two; a NaN stays one.
    pub fn half_of_single(&mut self, single: &str, lanes: u32) -> Made {
        let (words, floats, conds) = (widened("i32", lanes), widened("float", lanes), widened("i1", lanes));
        let word = |value: i64| splat("i32", lanes, &value.to_string());
        let bits = self.code.temp(format!("bitcast {floats} {single} to {words}"));
        let size = self.code.temp(format!("and {words} {bits}, {}", word(0x7FFF_FFFF)));
        let normal = self.rounded_normal(&size, lanes);
        // adding 1/2 rounds what is below 2^-14 to a multiple of 2^-24, and puts it into the lowest bits
        let value = self.code.temp(format!("bitcast {words} {size} to {floats}"));
        let sum = self.code.temp(format!("fadd {floats} {value}, {}", splat("float", lanes, "0x3FE0000000000000")));
        let sum = self.code.temp(format!("bitcast {floats} {sum} to {words}"));
        let tiny = self.code.temp(format!("sub {words} {sum}, {}", word(0x3F00_0000)));
        let is_tiny = self.code.temp(format!("icmp ult {words} {size}, {}", word(0x3880_0000)));
        let finite = self.code.temp(format!("select {conds} {is_tiny}, {words} {tiny}, {words} {normal}"));
        let payload = self.code.temp(format!("lshr {words} {size}, {}", word(13)));
        let payload = self.code.temp(format!("and {words} {payload}, {}", word(0x3FF)));
        let quiet = self.code.temp(format!("or {words} {payload}, {}", word(0x7E00)));
        let is_nan = self.code.temp(format!("icmp ugt {words} {size}, {}", word(0x7F80_0000)));
        let special = self.code.temp(format!("select {conds} {is_nan}, {words} {quiet}, {words} {}", word(0x7C00)));
        let is_special = self.code.temp(format!("icmp uge {words} {size}, {}", word(0x4780_0000)));
        let value = self.code.temp(format!("select {conds} {is_special}, {words} {special}, {words} {finite}"));
        let sign = self.code.temp(format!("sub {words} {bits}, {size}"));
        let sign = self.code.temp(format!("lshr {words} {sign}, {}", word(16)));
        let signed = self.code.temp(format!("or {words} {value}, {sign}"));
        Made::Instruction(format!("trunc {words} {signed} to {}", widened("i16", lanes)))
    }

    /// Of an f32 from 2^-14 to 2^16, as a word: the exponent is lowered by 112, and the last 13 bits of the fraction are rounded away.
    fn rounded_normal(&mut self, size: &str, lanes: u32) -> String {
        let words = widened("i32", lanes);
        let word = |value: i64| splat("i32", lanes, &value.to_string());
        let last = self.code.temp(format!("lshr {words} {size}, {}", word(13)));
        let odd = self.code.temp(format!("and {words} {last}, {}", word(1)));
        let lowered = self.code.temp(format!("add {words} {size}, {}", word(0xFFF - (112 << 23))));
        let rounded = self.code.temp(format!("add {words} {lowered}, {odd}"));
        self.code.temp(format!("lshr {words} {rounded}, {}", word(13)))
    }
}
