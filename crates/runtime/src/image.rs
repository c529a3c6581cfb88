//! A compiled model as data: machine code, what its entry functions expect, and the model's constants.

use arena::{Arena, Effort, Plan};
use host::HostCall;
use ir::graph::SymbolFact;
use ir::{Guard, Tensor, TensorType, Texts};
use std::collections::{BTreeMap, BTreeSet};
use sym::{Expr, Sym};

/// The largest value of a computed size that the first call has memory for.
const FIRST_ROOM: i64 = 1024;

/// What [`crate::Executable::load`] makes callable. It holds no address and no handle: what is in it may be written to a file.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Relocatable objects; together they define `main` and `prepare`.
    pub objects: Vec<Vec<u8>>,
    /// The symbol of the function that a call runs: a [`crate::entry::EntryFn`].
    pub main: String,
    /// The symbol of the function that is run once after loading; it fills the prepared memory. An `EntryFn` too: it gets no inputs,
    /// outputs, dims or arena.
    pub prepare: String,
    /// The symbols in the order of the entry's `dims`; behind their values it gets the offsets of the arena's tenants.
    pub symbols: Vec<Sym>,
    pub symbol_facts: BTreeMap<Sym, SymbolFact>,
    /// The symbols that no input gives: `main` computes them. Its `dims` hold the largest values that there is memory for, and then the
    /// values.
    pub computed: BTreeSet<Sym>,
    /// What must hold of the symbols; a guard's place in the list is its number in the entry's result.
    pub guards: Vec<Guard>,
    /// Guards that a call meets only where its branches and loops lead there; their numbers follow those of `guards`.
    pub step_guards: Vec<Guard>,
    /// Names and types in the order of the entry's `inputs`.
    pub inputs: Vec<(String, TensorType)>,
    /// What inputs must hold, since the code was made for that; None, or no entry, where anything will do.
    pub values: Vec<Option<Tensor>>,
    /// Names and types in the order of the entry's `outputs`.
    pub outputs: Vec<(String, TensorType)>,
    /// The tensors behind the context's `constants`, in order.
    pub constants: Vec<Tensor>,
    /// Bytes of the memory that `prepare` fills and `main` reads; constant.
    pub prepared_bytes: Expr,
    /// What lies in the arena of a call.
    pub arena: Arena,
    /// Bytes of scratch of each thread, for `main` and, at every assignment of sizes, for `prepare`.
    pub scratch_bytes: Expr,
    /// The calls of the host by their numbers.
    pub host_calls: Vec<HostCall>,
    /// The model's strings, and which inputs and outputs are of strings.
    pub texts: Texts,
    /// For each step the model nodes it came from: those of `prepare` first, then those of `main`.
    pub steps: Vec<String>,
    /// How many of `steps` belong to `prepare`.
    pub prepare_steps: usize,
    /// Whether the entries write the context's `profile`.
    pub profiled: bool,
}

impl Image {
    /// The symbols that the dims of inputs give.
    pub fn given(&self) -> impl Iterator<Item = &Sym> {
        self.symbols.iter().filter(|sym| !self.computed.contains(*sym))
    }

    /// The value of a size over the image's symbols; None where it overflows or is negative.
    pub fn size(&self, expr: &Expr, sizes: &[i64]) -> Option<usize> {
        usize::try_from(expr.eval(&|sym| self.value(sym, sizes))?).ok()
    }

    /// The largest value of a size where `sizes` has the largest values of computed symbols; None where it overflows.
    pub fn most(&self, expr: &Expr, sizes: &[i64]) -> Option<i64> {
        if self.computed.is_empty() {
            return expr.eval(&|sym| self.value(sym, sizes));
        }
        let bounds = |sym: &Sym| {
            let value = self.value(sym, sizes)?;
            Some((if self.computed.contains(sym) { 0 } else { value }, value))
        };
        Some(expr.span(&bounds)?.1)
    }

    /// The places in the arena, for sizes as of [`Image::most`]; None where one overflows or is negative.
    pub fn arena_plan(&self, sizes: &[i64]) -> Option<Plan> {
        self.arena.plan(&|size| self.most(size, sizes), Effort::CALL)
    }

    /// Where memory for a computed size starts; it grows with what calls need.
    pub fn first_room(&self, sym: &Sym) -> i64 {
        self.symbol_facts.get(sym).copied().unwrap_or_default().high.min(FIRST_ROOM)
    }

    fn value(&self, sym: &Sym, sizes: &[i64]) -> Option<i64> {
        self.symbols.iter().position(|other| other == sym).and_then(|at| sizes.get(at).copied())
    }

    /// The smallest value that each symbol may have.
    pub fn smallest_sizes(&self) -> Vec<i64> {
        let low = |sym: &Sym| self.symbol_facts.get(sym).copied().unwrap_or_default().low;
        self.symbols.iter().map(low).collect()
    }
}
