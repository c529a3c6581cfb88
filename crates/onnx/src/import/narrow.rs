//! Element types that the compiler does not compute with: integers of 2 and 4 bits, floats of 4 and 8, strings. Tensors of the narrow ones
//! have one element a byte: the number of an integer, the code of a float; a string is its number in a table, an i64. Operators that are
//! not made for them refuse them.

use crate::proto::DataType;
use ir::DType;

/// An element type that another one holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Narrow {
    Int {
        bits: u32,
        signed: bool,
    },
    Float(&'static Format),
    /// Numbers of strings, in i64.
    Text,
}

/// A float of a sign, `exponent` and `mantissa` bits; the exponent's code 0 is that of subnormal numbers.
#[derive(Debug, PartialEq)]
pub struct Format {
    pub name: &'static str,
    pub exponent: u32,
    pub mantissa: u32,
    pub bias: i32,
    /// The code of the largest finite number.
    pub largest: u8,
    /// The code, without sign, of what is too large, where that does not saturate.
    pub overflow: u8,
    pub nan: u8,
    pub infinity: Option<u8>,
    pub negative_zero: bool,
}

const E4M3FN: Format = Format {
    name: "float8e4m3fn",
    exponent: 4,
    mantissa: 3,
    bias: 7,
    largest: 0x7e,
    overflow: 0x7f,
    nan: 0x7f,
    infinity: None,
    negative_zero: true,
};
const E4M3FNUZ: Format =
    Format { name: "float8e4m3fnuz", bias: 8, largest: 0x7f, overflow: 0x80, nan: 0x80, negative_zero: false, ..E4M3FN };
const E5M2: Format = Format {
    name: "float8e5m2",
    exponent: 5,
    mantissa: 2,
    bias: 15,
    largest: 0x7b,
    overflow: 0x7c,
    nan: 0x7e,
    infinity: Some(0x7c),
    negative_zero: true,
};
const E5M2FNUZ: Format =
    Format { name: "float8e5m2fnuz", bias: 16, largest: 0x7f, overflow: 0x80, nan: 0x80, infinity: None, negative_zero: false, ..E5M2 };
/// It has no NaN; what is none becomes -0, as in the standard's own reference.
const E2M1: Format =
    Format { name: "float4e2m1", exponent: 2, mantissa: 1, bias: 1, largest: 7, overflow: 7, nan: 8, infinity: None, negative_zero: true };
/// Powers of two, without sign and zero.
const E8M0: Format = Format {
    name: "float8e8m0",
    exponent: 8,
    mantissa: 0,
    bias: 127,
    largest: 0xfe,
    overflow: 0xff,
    nan: 0xff,
    infinity: None,
    negative_zero: false,
};

impl Narrow {
    pub fn of(data_type: DataType) -> Option<Narrow> {
        let int = |bits, signed| Some(Narrow::Int { bits, signed });
        match data_type {
            DataType::Int2 => int(2, true),
            DataType::Uint2 => int(2, false),
            DataType::Int4 => int(4, true),
            DataType::Uint4 => int(4, false),
            DataType::Float8e4m3fn => Some(Narrow::Float(&E4M3FN)),
            DataType::Float8e4m3fnuz => Some(Narrow::Float(&E4M3FNUZ)),
            DataType::Float8e5m2 => Some(Narrow::Float(&E5M2)),
            DataType::Float8e5m2fnuz => Some(Narrow::Float(&E5M2FNUZ)),
            DataType::Float4e2m1 => Some(Narrow::Float(&E2M1)),
            DataType::Float8e8m0 => Some(Narrow::Float(&E8M0)),
            DataType::String => Some(Narrow::Text),
            _ => None,
        }
    }

    pub fn name(self) -> String {
        match self {
            Narrow::Int { bits, signed } => format!("{}int{bits}", if signed { "" } else { "u" }),
            Narrow::Float(format) => format.name.to_string(),
            Narrow::Text => "string".to_string(),
        }
    }

    /// The type that holds the elements.
    pub fn held_in(self) -> DType {
        match self {
            Narrow::Int { signed: true, .. } => DType::I8,
            Narrow::Int { signed: false, .. } | Narrow::Float(_) => DType::U8,
            Narrow::Text => DType::I64,
        }
    }

    pub fn bits(self) -> u32 {
        match self {
            Narrow::Int { bits, .. } => bits,
            Narrow::Float(format) => format.bits(),
            Narrow::Text => 8,
        }
    }

    /// One element a byte, from elements that are packed from the lowest bit up.
    pub fn unpacked(self, bytes: &[u8], count: usize) -> Vec<u8> {
        let bits = self.bits() as usize;
        let each = 8 / bits;
        let element = |at: usize| {
            let top = bytes[at / each] << (8 - bits - at % each * bits);
            let signed = matches!(self, Narrow::Int { signed: true, .. });
            if signed { ((top as i8) >> (8 - bits)) as u8 } else { top >> (8 - bits) }
        };
        (0..count.min(bytes.len() * each)).map(element).collect()
    }
}

impl Format {
    /// Bits of an element. The format of powers of two alone has no sign.
    pub fn bits(&self) -> u32 {
        self.sign_bit() + u32::from(self.is_signed())
    }

    pub fn is_signed(&self) -> bool {
        self.mantissa > 0
    }

    /// The number of the sign's bit.
    pub fn sign_bit(&self) -> u32 {
        self.exponent + self.mantissa
    }

    /// The exponent of the smallest normal number.
    pub fn lowest(&self) -> i32 {
        if self.is_signed() { 1 - self.bias } else { -self.bias }
    }

    /// The number that a code stands for.
    pub fn value(&self, code: u8) -> f64 {
        let (magnitude, negative) = (code & ((1u32 << self.sign_bit()) - 1) as u8, u32::from(code) >> self.sign_bit() != 0);
        let sign = if negative { -1.0 } else { 1.0 };
        let has_nan = self.exponent > 2;
        if has_nan && (code == self.nan || self.infinity.map_or(magnitude > self.largest, |infinity| magnitude > infinity)) {
            return f64::NAN;
        }
        if self.infinity == Some(magnitude) {
            return sign * f64::INFINITY;
        }
        let (exponent, mantissa) = (i32::from(magnitude) >> self.mantissa, i32::from(magnitude) & ((1 << self.mantissa) - 1));
        let one = 1 << self.mantissa;
        let (whole, exponent) = match exponent {
            0 if self.is_signed() => (mantissa, self.lowest()),
            exponent => (one + mantissa, exponent - self.bias),
        };
        sign * f64::from(whole) * 2f64.powi(exponent - self.mantissa as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_numbers() {
        for (format, code, value) in [
            (&E4M3FN, 0x7e, 448.0),
            (&E4M3FN, 0x01, 0.001953125),
            (&E4M3FN, 0x81, -0.001953125),
            (&E4M3FNUZ, 0x7f, 240.0),
            (&E5M2, 0x7b, 57344.0),
            (&E5M2, 0xfc, f64::NEG_INFINITY),
            (&E5M2FNUZ, 0x7f, 57344.0),
            (&E2M1, 0x07, 6.0),
            (&E2M1, 0x09, -0.5),
            (&E8M0, 0x00, 2f64.powi(-127)),
            (&E8M0, 0x80, 2.0),
        ] {
            assert_eq!(format.value(code), value, "{} {code:#x}", format.name);
        }
        for (format, code) in [(&E4M3FN, 0x7f), (&E4M3FN, 0xff), (&E4M3FNUZ, 0x80), (&E5M2, 0x7d), (&E5M2, 0xff), (&E8M0, 0xff)] {
            assert!(format.value(code).is_nan(), "{} {code:#x}", format.name);
        }
    }

    #[test]
    fn elements_come_from_the_lowest_bits_up() {
        let int = |bits, signed| Narrow::Int { bits, signed };
        assert_eq!(int(4, false).unpacked(&[0x21, 0x0f], 3), [1, 2, 15]);
        assert_eq!(int(4, true).unpacked(&[0x21, 0x0f], 3), [1, 2, 0xff]);
        assert_eq!(int(2, true).unpacked(&[0b11_10_01_00], 4), [0, 1, 0xfe, 0xff]);
        assert_eq!(Narrow::Float(&E4M3FN).unpacked(&[7, 200], 2), [7, 200]);
    }
}
