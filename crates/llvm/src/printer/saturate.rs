//! Floats to integers: toward zero, to the nearest end where the value does not fit, NaN to 0.
//!
//! LLVM's saturating conversions go lane by lane on x86. Here the float is cut to what the integer holds before it is
//! converted, so that the plain conversion is defined, and stays one of vectors.

use super::function::{Function, Made};
use super::text::{lane_type, literal, register_type, widened};
use ir::{DType, Literal};
use kernel::Ty;

/// The ends of an integer type among the floats.
struct Ends {
    low: f64,
    /// The largest float that fits.
    high: f64,
    /// The first float that does not fit, where the type goes on between `high` and it.
    beyond: Option<f64>,
}

impl Function<'_> {
    /// `from` is F32 or F64, `to` an integer type.
    pub fn float_to_integer(&mut self, operand: &str, from: DType, to: Ty) -> Made {
        let (floats, conds) = (register_type(Ty { dtype: from, lanes: to.lanes }), widened("i1", to.lanes));
        let float = |value: f64| literal(Literal::Float(value), Ty { dtype: from, lanes: to.lanes });
        let integer = register_type(to);
        let ends = Ends::of(from, to.dtype);
        let is_above = self.code.temp(format!("fcmp ogt {floats} {operand}, {}", float(ends.low)));
        let above = self.code.temp(format!("select {conds} {is_above}, {floats} {operand}, {floats} {}", float(ends.low)));
        let is_below = self.code.temp(format!("fcmp olt {floats} {above}, {}", float(ends.high)));
        let inside = self.code.temp(format!("select {conds} {is_below}, {floats} {above}, {floats} {}", float(ends.high)));
        let mut converted = self.convert_inside(&inside, &floats, to);
        if let Some(beyond) = ends.beyond {
            let too_large = self.code.temp(format!("fcmp oge {floats} {operand}, {}", float(beyond)));
            let most = literal(Literal::Int(highest(to.dtype)), to);
            converted = self.code.temp(format!("select {conds} {too_large}, {integer} {most}, {integer} {converted}"));
        }
        if ends.low == 0.0 {
            // what is no number is not above 0
            return Made::Operand(converted);
        }
        let is_number = self.code.temp(format!("fcmp ord {floats} {operand}, {}", float(0.0)));
        let zero = literal(Literal::Int(0), to);
        Made::Instruction(format!("select {conds} {is_number}, {integer} {converted}, {integer} {zero}"))
    }

    fn convert_inside(&mut self, inside: &str, floats: &str, to: Ty) -> String {
        if to.dtype.size() < 4 {
            let words = widened("i32", to.lanes);
            let wide = self.code.temp(format!("fptosi {floats} {inside} to {words}"));
            return self.code.temp(format!("trunc {words} {wide} to {}", register_type(to)));
        }
        if to.dtype.size() == 8 && self.options.narrow_words {
            return self.wide_of_float(inside, floats, to);
        }
        let name = if to.dtype.is_signed_int() { "fptosi" } else { "fptoui" };
        self.code.temp(format!("{name} {floats} {inside} to {}", widened(lane_type(to.dtype), to.lanes)))
    }
}

impl Ends {
    fn of(from: DType, to: DType) -> Ends {
        let signed = to.is_signed_int();
        let bits = to.size() as i32 * 8 - i32::from(signed);
        let precision = if from == DType::F32 { 24 } else { 53 };
        let end = 2f64.powi(bits);
        let low = if signed { -end } else { 0.0 };
        match bits <= precision {
            true => Ends { low, high: end - 1.0, beyond: None },
            false => Ends { low, high: end - 2f64.powi(bits - precision), beyond: Some(end) },
        }
    }
}

/// The type's last value, as a literal stores it.
fn highest(dtype: DType) -> i64 {
    match dtype {
        DType::U64 => -1,
        dtype => dtype.int_range().map_or(0, |(_, high)| high),
    }
}
