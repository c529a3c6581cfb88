//! What the memory plan comes to in a call.

use crate::compile::Compiled;
use program::memory;
use sym::Expr;

/// Bytes of the temporaries of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// The arena: all temporaries in their places.
    pub arena_bytes: usize,
    /// What is live during each step. No plan can do with less than the largest of these.
    pub live_bytes: Vec<usize>,
}

impl MemoryUse {
    /// For sizes in the order of the image's symbols, as `Executable::bind` gives them; None where one overflows.
    pub fn of(compiled: &Compiled, sizes: &[i64]) -> Option<MemoryUse> {
        let most = |expr: &Expr| compiled.image.most(expr, sizes);
        let live = memory::live_bytes(&compiled.program, &compiled.memory, &most)?;
        Some(MemoryUse {
            arena_bytes: usize::try_from(compiled.memory.at(&most)?.1).ok()?,
            live_bytes: live.into_iter().map(|bytes| usize::try_from(bytes).ok()).collect::<Option<_>>()?,
        })
    }

    /// The largest sum of bytes that are live at once.
    pub fn lower_bound(&self) -> usize {
        self.live_bytes.iter().copied().max().unwrap_or(0)
    }

    /// Arena over lower bound; 1 where there are no temporaries.
    pub fn ratio(&self) -> f64 {
        match self.lower_bound() {
            0 => 1.0,
            bound => self.arena_bytes as f64 / bound as f64,
        }
    }
}
