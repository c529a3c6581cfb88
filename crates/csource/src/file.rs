//! A model as one file.

use crate::entry::{entry_function, kernel_name};
use crate::facade::{facade_text, includes};
use crate::function::function;
use crate::library;
use kernel::facade::{ALIGNMENT, Facade};
use kernel::module::Entry;
use kernel::{Interface, Kernel};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Where the code came from, as texts that may stand in comments.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    pub model: String,
    pub target: String,
    /// The model nodes of each kernel, by its number.
    pub kernels: BTreeMap<usize, String>,
    /// The model nodes of each step of the entry, by its number.
    pub steps: BTreeMap<u32, String>,
}

/// All of a model that is called from C: `main` with the kernels that it launches, and the functions around it. Weights that are to be
/// part of the file follow as [`Bytes`]. `kernels` are those whose interfaces `interfaces` lists.
pub fn print_artefact<'a>(
    kernels: &dyn Fn(usize) -> &'a Kernel,
    interfaces: &[Interface],
    main: &Entry,
    facade: &Facade,
    origins: &Origins,
) -> String {
    let mut functions: Vec<String> =
        facade.weights.symbol.iter().map(|symbol| format!("{};\n", array(symbol, facade.weights.bytes))).collect();
    for at in main.launched() {
        let node = origins.kernels.get(&at).map(|node| format!("/* {node} */\n")).unwrap_or_default();
        functions.push(format!("{node}{}", function(kernels(at), &kernel_name(at))));
    }
    functions.push(entry_function(main, interfaces, &origins.steps));
    functions.push(facade_text(facade, main));
    let text = functions.join("\n");
    let called = library::called(&text);
    let own = includes(&format!("{called}{text}"), &facade.prefix);
    let Origins { model, target, .. } = origins;
    format!("/* {model}, compiled for {target}; {}.h tells how to call it. */\n\n{own}\n{ORDER}\n{called}{text}", facade.prefix)
}

const ORDER: &str = "\
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error \"the weights are little-endian\"
#endif
";

fn array(symbol: &str, bytes: i64) -> String {
    format!("static const _Alignas({ALIGNMENT}) unsigned char {symbol}[{bytes}]")
}

/// Bytes that are written as the definition of an array.
pub struct Bytes<'a> {
    out: &'a mut dyn Write,
    column: usize,
}

impl Bytes<'_> {
    /// Starts the array, of so many bytes.
    pub fn new<'a>(out: &'a mut dyn Write, symbol: &str, bytes: i64) -> io::Result<Bytes<'a>> {
        write!(out, "\n{} = {{\n", array(symbol, bytes))?;
        Ok(Bytes { out, column: 0 })
    }

    pub fn end(self) -> io::Result<()> {
        writeln!(self.out, "}};")
    }
}

/// How many bytes a line has.
const COLUMNS: usize = 32;

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.column = (self.column + 1) % COLUMNS;
            write!(self.out, "{byte},{}", if self.column == 0 { "\n" } else { "" })?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
