//! The memory that a call takes, and the size of its code.

use crate::chart::memory::{Place, Plan};
use crate::failure::Failure;
use crate::report;
use driver::{Compiled, MemoryUse};
use ir::{Code, Diagnostics, Location, Tensor};
use program::BufferId;
use program::memory::{Life, buffer_bytes};
use runtime::Executable;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use sym::{Expr, Sym};

/// Numbers of the memory plan and the code.
#[derive(Debug)]
pub struct Memory {
    /// The values of the symbols.
    pub sizes: Vec<i64>,
    pub temporaries: MemoryUse,
    prepared: usize,
    code: usize,
    kernels: usize,
    steps: usize,
}

impl Memory {
    /// For calls with such inputs.
    pub fn of(executable: &Executable, compiled: &Compiled, inputs: &[Tensor]) -> Result<Memory, Failure> {
        let sizes = executable.bind(&inputs.iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>())?;
        let too_large = || Failure::from(Diagnostics::one(Code::Limit, &Location::default(), "a size overflows 64 bits"));
        Ok(Memory {
            temporaries: MemoryUse::of(compiled, &sizes).ok_or_else(too_large)?,
            sizes,
            prepared: executable.prepared_bytes(),
            code: executable.code_bytes(),
            kernels: compiled.assembly.lowered.len(),
            steps: executable.image().steps.len() - executable.image().prepare_steps,
        })
    }

    pub fn text(&self) -> String {
        let Memory { prepared, code, kernels, steps, .. } = self;
        let [prepared, code] = [prepared, code].map(|bytes| report::bytes(*bytes));
        format!("memory: {}, prepared weights {prepared}, code {code}; {kernels} kernels in {steps} steps\n", self.arena_text())
    }

    /// `arena 2.00 MiB, 1.043 of the 1.92 MiB live at once`
    pub fn arena_text(&self) -> String {
        let [arena, bound] = [self.temporaries.arena_bytes, self.temporaries.lower_bound()].map(report::bytes);
        format!("arena {arena}, {:.3} of the {bound} live at once", self.temporaries.ratio())
    }

    pub fn json(&self) -> Value {
        json!({
            "arena_bytes": self.temporaries.arena_bytes,
            "live_bytes": self.temporaries.lower_bound(),
            "arena_ratio": self.temporaries.ratio(),
            "prepared_bytes": self.prepared,
            "code_bytes": self.code,
            "kernels": self.kernels,
            "steps": self.steps,
        })
    }

    /// The places of the temporaries.
    pub fn plan(&self, compiled: &Compiled) -> Plan {
        let (program, memory) = (&compiled.program, &compiled.memory);
        let mut sizes: BTreeMap<Sym, i64> = compiled.image.symbols.iter().cloned().zip(self.sizes.iter().copied()).collect();
        let offsets = memory.at(&|expr| compiled.image.most(expr, &self.sizes)).map(|(offsets, _)| offsets).unwrap_or_default();
        sizes.extend(offsets);
        let value = |expr: &Expr| expr.span(&|sym| sizes.get(sym).map(|size| (*size, *size))).map(|(_, most)| most);
        let bytes = |expr: &Expr| value(expr).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let place = |at: usize| {
            let (offset, Life { first, last }) = (memory.arena[at].as_ref()?, memory.lives[at]?);
            let id = BufferId(at as u32);
            let name = program.buffer(id).name.to_string();
            Some(Place { name, life: (first, last), offset: bytes(offset), bytes: bytes(&buffer_bytes(program, id)) })
        };
        Plan {
            places: (0..program.buffers.len()).filter_map(place).collect(),
            arena_bytes: self.temporaries.arena_bytes,
            live_bytes: self.temporaries.live_bytes.clone(),
        }
    }
}
