//! The names of ops and spaces.

use crate::kernel::{Binary, Compare, Space, Unary};

impl Unary {
    pub const ALL: [Unary; 9] =
        [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Floor, Unary::Ceil, Unary::Round, Unary::Trunc, Unary::Flush, Unary::Not];

    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sqrt => "sqrt",
            Unary::Floor => "floor",
            Unary::Ceil => "ceil",
            Unary::Round => "round",
            Unary::Trunc => "trunc",
            Unary::Flush => "flush",
            Unary::Not => "not",
        }
    }
}

impl Binary {
    pub const ALL: [Binary; 12] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Max,
        Binary::Min,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::Shl,
        Binary::Shr,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Rem => "rem",
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::And => "and",
            Binary::Or => "or",
            Binary::Xor => "xor",
            Binary::Shl => "shl",
            Binary::Shr => "shr",
        }
    }
}

impl Compare {
    pub const ALL: [Compare; 6] =
        [Compare::Equal, Compare::NotEqual, Compare::Less, Compare::LessEqual, Compare::Greater, Compare::GreaterEqual];

    pub fn name(self) -> &'static str {
        match self {
            Compare::Equal => "eq",
            Compare::NotEqual => "ne",
            Compare::Less => "lt",
            Compare::LessEqual => "le",
            Compare::Greater => "gt",
            Compare::GreaterEqual => "ge",
        }
    }
}

impl Space {
    pub const ALL: [Space; 3] = [Space::Input, Space::Output, Space::Scratch];

    pub fn name(self) -> &'static str {
        match self {
            Space::Input => "input",
            Space::Output => "output",
            Space::Scratch => "scratch",
        }
    }
}
