//! Host steps: the few operations that are no nests and so run as functions of this crate, called by generated code and by interpreters
//! alike. `docs/host-steps.md` lists them with the reasons.
//!
//! - [`view`]: the tensors that an operation is given
//! - [`call`]: an operation with its attributes, ready to be called
//! - [`mod@concat`], [`pattern`], [`number`], [`case`], [`split`], [`picture`]: the operations
//!
//! To add one: write its file with its types, its meaning and its tests, and add it to [`OPS`], to the list in `ops` and to the page.

pub mod call;
pub mod case;
pub mod concat;
pub mod number;
pub mod pattern;
pub mod picture;
pub mod split;
pub mod view;

#[cfg(test)]
mod testing;

pub use call::HostCall;
pub use view::{View, ViewMut};

use ir::{Attrs, Code, Strings, TensorType};
use std::fmt;

/// An operation. Sizes and contents of what it is given may be anything: what does not fit is a fault, never a panic.
pub struct HostOp {
    /// Also the name of the graph's op.
    pub name: &'static str,
    /// The types of the results for operands of these types.
    pub types: fn(&[TensorType], &Attrs) -> Result<Vec<TensorType>, Fault>,
    /// The meaning. Operands and results are as many and of such types as `types` says.
    pub run: Meaning,
}

/// From attributes, operands and the table of strings to results.
pub type Meaning = fn(&Attrs, &[View], &mut [ViewMut], &Strings) -> Result<(), Fault>;

/// Every operation.
pub static OPS: [HostOp; 9] =
    [concat::OP, pattern::OP, number::TO_STRING, number::OF_STRING, case::OP, split::COUNTS, split::OP, picture::SIZE, picture::OP];

pub fn find(name: &str) -> Option<&'static HostOp> {
    OPS.iter().find(|op| op.name == name)
}

impl fmt::Debug for HostOp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for HostOp {
    fn eq(&self, other: &HostOp) -> bool {
        self.name == other.name
    }
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: Code,
    pub message: String,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    pub fn types(message: impl Into<String>) -> Fault {
        Fault::new(Code::Type, message)
    }
}

impl From<ir::strings::Full> for Fault {
    fn from(_: ir::strings::Full) -> Fault {
        Fault::new(Code::Limit, ir::strings::Full::MESSAGE)
    }
}

/// `E009: "x" is no number`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

#[cfg(test)]
mod tests {
    /// The page's table and the list name the same operations, and give a reason for each.
    #[test]
    fn the_page_lists_them_all() {
        let page = include_str!("../../../docs/host-steps.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<&str>>());
        let named: Vec<String> =
            cells.filter(|cells| cells.len() == 3 && !cells[2].is_empty()).map(|cells| cells[0].trim_matches('`').to_string()).collect();
        assert_eq!(named, super::OPS.iter().map(|op| op.name).collect::<Vec<&str>>());
    }
}
