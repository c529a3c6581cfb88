//! i64 on machines with words of 32 bits, where LLVM would call a library for divisions and conversions: functions of the module's own.

use super::function::{Function, Made};
use super::text::{register_type, widened};
use ir::DType;
use kernel::Ty;

/// `name` is `udiv`, `sdiv`, `urem` or `srem`; the divisor is not 0.
pub fn quotient(name: &str, dividend: &str, divisor: &str) -> String {
    format!("call i64 @inkle.{name}(i64 {dividend}, i64 {divisor})")
}

/// The functions that the texts of others call, and those that these call.
pub fn functions(callers: &[String]) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    for (name, text) in FUNCTIONS.iter().rev() {
        let call = format!("@inkle.{name}(");
        if callers.iter().chain(&needed).any(|caller| caller.contains(&call)) {
            needed.push(text.to_string());
        }
    }
    needed
}

impl Function<'_> {
    /// A call for each lane of some operands of one type.
    pub fn each_lane(&mut self, lanes: u32, from: &str, operands: &[&str], to: &str, call: &dyn Fn(&[String]) -> String) -> Made {
        if lanes == 1 {
            let own: Vec<String> = operands.iter().map(|operand| operand.to_string()).collect();
            return Made::Instruction(call(&own));
        }
        let (vector, result) = (widened(from, lanes), widened(to, lanes));
        let mut made = Made::Operand("poison".to_string());
        for lane in 0..lanes {
            let one = |operand: &&str| format!("extractelement {vector} {operand}, i64 {lane}");
            let own: Vec<String> = operands.iter().map(one).map(|value| self.code.temp(value)).collect();
            let called = self.code.temp(call(&own));
            let so_far = self.operand(made);
            made = Made::Instruction(format!("insertelement {result} {so_far}, {to} {called}, i64 {lane}"));
        }
        made
    }

    /// The float next to an i64 or u64. What goes to f32 is first made a value that f64 holds and that rounds alike.
    pub fn float_of_wide(&mut self, operand: &str, from: DType, to: Ty) -> String {
        let name = if from.is_signed_int() { "signed_to_double" } else { "unsigned_to_double" };
        let exact = if to.dtype == DType::F32 { self.integer_to_odd(operand, from, to.lanes) } else { operand.to_string() };
        let call = |x: &[String]| format!("call double @inkle.{name}(i64 {})", x[0]);
        let doubles = self.each_lane(to.lanes, "i64", &[&exact], "double", &call);
        match (to.dtype, doubles) {
            (DType::F64, Made::Instruction(text)) => text,
            (_, doubles) => {
                let doubles = self.operand(doubles);
                format!("fptrunc {} {doubles} to {}", widened("double", to.lanes), register_type(to))
            }
        }
    }

    /// The i64 or u64 of a float that it holds, toward zero.
    pub fn wide_of_float(&mut self, inside: &str, floats: &str, to: Ty) -> String {
        let name = if to.dtype.is_signed_int() { "double_to_signed" } else { "double_to_unsigned" };
        let doubles = widened("double", to.lanes);
        let inside = if floats == doubles { inside.to_string() } else { self.code.temp(format!("fpext {floats} {inside} to {doubles}")) };
        let call = |x: &[String]| format!("call i64 @inkle.{name}(double {})", x[0]);
        let made = self.each_lane(to.lanes, "double", &[&inside], "i64", &call);
        self.operand(made)
    }
}

/// Each calls only those before it.
const FUNCTIONS: [(&str, &str); 8] = [
    ("udiv", UDIV),
    ("urem", UREM),
    ("sdiv", SDIV),
    ("srem", SREM),
    ("signed_to_double", SIGNED_TO_DOUBLE),
    ("unsigned_to_double", UNSIGNED_TO_DOUBLE),
    ("double_to_unsigned", DOUBLE_TO_UNSIGNED),
    ("double_to_signed", DOUBLE_TO_SIGNED),
];

/// By the machine's own division where both are words, else bit by bit: the rest is doubled, and the divisor taken from it where it fits.
const UDIV: &str = "\
define internal i64 @inkle.udiv(i64 %a, i64 %b) #0 {
entry:
  %both = or i64 %a, %b
  %high = lshr i64 %both, 32
  %words = icmp eq i64 %high, 0
  br i1 %words, label %short, label %long
short:
  %a_word = trunc i64 %a to i32
  %b_word = trunc i64 %b to i32
  %word = udiv i32 %a_word, %b_word
  %short_quotient = zext i32 %word to i64
  ret i64 %short_quotient
long:
  br label %bit
bit:
  %left = phi i32 [ 64, %long ], [ %fewer, %bit ]
  %quotient = phi i64 [ %a, %long ], [ %shifted_in, %bit ]
  %rest = phi i64 [ 0, %long ], [ %new_rest, %bit ]
  %top = lshr i64 %quotient, 63
  %overflow = icmp slt i64 %rest, 0
  %doubled = shl i64 %rest, 1
  %grown = or i64 %doubled, %top
  %reaches = icmp uge i64 %grown, %b
  %fits = or i1 %overflow, %reaches
  %less = sub i64 %grown, %b
  %new_rest = select i1 %fits, i64 %less, i64 %grown
  %digit = zext i1 %fits to i64
  %moved = shl i64 %quotient, 1
  %shifted_in = or i64 %moved, %digit
  %fewer = sub i32 %left, 1
  %more = icmp ne i32 %fewer, 0
  br i1 %more, label %bit, label %done
done:
  ret i64 %shifted_in
}
";

const UREM: &str = "\
define internal i64 @inkle.urem(i64 %a, i64 %b) #0 {
entry:
  %quotient = call i64 @inkle.udiv(i64 %a, i64 %b)
  %whole = mul i64 %quotient, %b
  %rest = sub i64 %a, %whole
  ret i64 %rest
}
";

const SDIV: &str = "\
define internal i64 @inkle.sdiv(i64 %a, i64 %b) #0 {
entry:
  %a_sign = ashr i64 %a, 63
  %b_sign = ashr i64 %b, 63
  %a_flipped = xor i64 %a, %a_sign
  %b_flipped = xor i64 %b, %b_sign
  %a_size = sub i64 %a_flipped, %a_sign
  %b_size = sub i64 %b_flipped, %b_sign
  %size = call i64 @inkle.udiv(i64 %a_size, i64 %b_size)
  %sign = xor i64 %a_sign, %b_sign
  %flipped = xor i64 %size, %sign
  %quotient = sub i64 %flipped, %sign
  ret i64 %quotient
}
";

const SREM: &str = "\
define internal i64 @inkle.srem(i64 %a, i64 %b) #0 {
entry:
  %quotient = call i64 @inkle.sdiv(i64 %a, i64 %b)
  %whole = mul i64 %quotient, %b
  %rest = sub i64 %a, %whole
  ret i64 %rest
}
";

/// Both halves are exact; only their sum is rounded.
const SIGNED_TO_DOUBLE: &str = "\
define internal double @inkle.signed_to_double(i64 %a) #0 {
entry:
  %low_word = trunc i64 %a to i32
  %high_bits = ashr i64 %a, 32
  %high_word = trunc i64 %high_bits to i32
  %high = sitofp i32 %high_word to double
  %scaled = fmul double %high, 0x41F0000000000000
  %low = uitofp i32 %low_word to double
  %sum = fadd double %scaled, %low
  ret double %sum
}
";

const UNSIGNED_TO_DOUBLE: &str = "\
define internal double @inkle.unsigned_to_double(i64 %a) #0 {
entry:
  %low_word = trunc i64 %a to i32
  %high_bits = lshr i64 %a, 32
  %high_word = trunc i64 %high_bits to i32
  %high = uitofp i32 %high_word to double
  %scaled = fmul double %high, 0x41F0000000000000
  %low = uitofp i32 %low_word to double
  %sum = fadd double %scaled, %low
  ret double %sum
}
";

const DOUBLE_TO_SIGNED: &str = "\
define internal i64 @inkle.double_to_signed(double %a) #0 {
entry:
  %size = call double @llvm.fabs.f64(double %a)
  %whole = call i64 @inkle.double_to_unsigned(double %size)
  %negated = sub i64 0, %whole
  %negative = fcmp olt double %a, 0.0
  %signed = select i1 %negative, i64 %negated, i64 %whole
  ret i64 %signed
}
";

const DOUBLE_TO_UNSIGNED: &str = "\
define internal i64 @inkle.double_to_unsigned(double %a) #0 {
entry:
  %scaled = fmul double %a, 0x3DF0000000000000
  %high_word = fptoui double %scaled to i32
  %high = uitofp i32 %high_word to double
  %taken = fmul double %high, 0x41F0000000000000
  %rest = fsub double %a, %taken
  %low_word = fptoui double %rest to i32
  %high_bits = zext i32 %high_word to i64
  %low_bits = zext i32 %low_word to i64
  %moved = shl i64 %high_bits, 32
  %whole = or i64 %moved, %low_bits
  ret i64 %whole
}
";
