//! Strings: a tensor of strings is a tensor of i64 whose elements are the numbers of strings in a table. Equal strings have equal numbers,
//! so that moving, picking and comparing them is what it is for integers; only host steps look into the table.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Code, Diagnostic};
use crate::graph::Location;
use crate::tensor::Tensor;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

/// The strings of a model: what graph, program and image know of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    /// The model's own strings, by number from 1 on; number 0 is the empty string.
    pub table: Vec<Arc<str>>,
    /// The names of the inputs and outputs that are tensors of strings.
    pub inputs: BTreeSet<String>,
    pub outputs: BTreeSet<String>,
}

impl Texts {
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.inputs.is_empty() && self.outputs.is_empty()
    }
}

/// The most bytes that the strings of a table may take, each with [`ENTRY_BYTES`] of its own.
const MOST_BYTES: usize = 1 << 28;
const ENTRY_BYTES: usize = 64;

/// A table of strings that grows while a model is imported or runs. Number 0 is the empty string.
#[derive(Debug)]
pub struct Strings(Mutex<Table>);

#[derive(Clone, Debug)]
struct Table {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, i64>,
    bytes: usize,
}

impl Strings {
    /// A table that begins with a model's own strings.
    pub fn of(texts: &Texts) -> Strings {
        let mut table = Table { texts: Vec::new(), numbers: HashMap::new(), bytes: 0 };
        for text in std::iter::once(&Arc::from("")).chain(&texts.table) {
            table.push(text.clone());
        }
        Strings(Mutex::new(table))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // a panic while it was held left it whole: texts and numbers are only ever added
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The number of a string; E008 where the table is full.
    pub fn number(&self, text: &str) -> Result<i64, Full> {
        let mut table = self.table();
        match table.numbers.get(text) {
            Some(number) => Ok(*number),
            None if text.len() + ENTRY_BYTES > MOST_BYTES - table.bytes.min(MOST_BYTES) => Err(Full),
            None => Ok(table.push(Arc::from(text))),
        }
    }

    /// The string of a number, where there is one.
    pub fn text(&self, number: i64) -> Option<Arc<str>> {
        self.table().texts.get(usize::try_from(number).ok()?).cloned()
    }

    /// The strings from number 1 on.
    pub fn added(&self) -> Vec<Arc<str>> {
        self.table().texts[1..].to_vec()
    }

    /// Forgets all strings from number `count` on.
    pub fn shorten(&self, count: usize) {
        let table = &mut *self.table();
        for text in table.texts.drain(count.clamp(1, table.texts.len())..) {
            table.bytes -= text.len() + ENTRY_BYTES;
            table.numbers.remove(&text);
        }
    }

    /// A tensor of strings.
    pub fn tensor(&self, dims: Vec<usize>, texts: &[impl AsRef<str>]) -> Result<Tensor, Diagnostic> {
        let numbers = texts.iter().map(|text| self.number(text.as_ref())).collect::<Result<Vec<i64>, Full>>();
        let numbers = numbers.map_err(|Full| Diagnostic::new(Code::Limit, &Location::default(), Full::MESSAGE))?;
        match dims.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim)) {
            Some(count) if count == numbers.len() => Ok(Tensor::from_array(&Array::ints(DType::I64, dims, numbers))),
            _ => Err(Diagnostic::new(Code::Data, &Location::default(), format!("{} strings for the shape {dims:?}", texts.len()))),
        }
    }

    /// The strings of a tensor; None for one that is no tensor of strings of this table.
    pub fn texts(&self, tensor: &Tensor) -> Option<Vec<Arc<str>>> {
        let table = self.table();
        let text = |bytes: &[u8]| table.texts.get(usize::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok()?).cloned();
        (tensor.dtype() == DType::I64).then(|| tensor.bytes().chunks_exact(8).map(text).collect()).flatten()
    }
}

impl Default for Strings {
    fn default() -> Strings {
        Strings::of(&Texts::default())
    }
}

/// The table has no room for a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Full;

impl Full {
    pub const MESSAGE: &str = "the strings of the call take more than 256 MiB";
}

impl Table {
    fn push(&mut self, text: Arc<str>) -> i64 {
        let number = self.texts.len() as i64;
        self.bytes += text.len() + ENTRY_BYTES;
        self.numbers.entry(text.clone()).or_insert(number);
        self.texts.push(text);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_have_equal_numbers() {
        let strings = Strings::of(&Texts { table: vec!["a".into()], ..Texts::default() });
        let numbers = ["", "a", "b", "a", "b"].map(|text| strings.number(text).unwrap());
        assert_eq!(numbers, [0, 1, 2, 1, 2]);
        assert_eq!((strings.text(2).as_deref(), strings.text(3), strings.text(-1)), (Some("b"), None, None));
        strings.shorten(2);
        assert_eq!((strings.text(2), strings.number("c"), strings.number("b")), (None, Ok(2), Ok(3)));
    }

    #[test]
    fn a_table_has_an_end() {
        let strings = Strings::default();
        assert_eq!(strings.number(&"x".repeat(MOST_BYTES)), Err(Full));
        assert!(strings.number("x").is_ok());
    }

    #[test]
    fn tensors_hold_numbers() {
        let strings = Strings::default();
        let tensor = strings.tensor(vec![2, 2], &["a", "", "b", "a"]).unwrap();
        assert_eq!(strings.texts(&tensor).unwrap().join(","), "a,,b,a");
        assert_eq!(strings.tensor(vec![3], &["a"]).unwrap_err().code, Code::Data);
        assert_eq!(strings.texts(&Tensor::from_array(&Array::ints(DType::I64, vec![1], vec![9]))), None);
    }
}
