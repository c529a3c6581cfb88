//! Metadata of a module: which memory accesses never meet.

use kernel::Kernel;

/// The numbered metadata lines of one module.
#[derive(Default)]
pub struct Metadata {
    lines: Vec<String>,
    named: Vec<String>,
}

impl Metadata {
    /// Adds a line; gives its number.
    pub fn add(&mut self, text: impl FnOnce(usize) -> String) -> usize {
        let number = self.lines.len();
        self.lines.push(text(number));
        number
    }

    /// What stands behind a memory access, for each buffer of the kernel: different buffers do not overlap. An output may
    /// take the place of an input only where each element is loaded once, and what is stored there depends on that load.
    pub fn alias_scopes(&mut self, kernel: &Kernel) -> Vec<String> {
        if kernel.buffers.len() < 2 {
            return vec![String::new(); kernel.buffers.len()];
        }
        let domain = self.add(|n| format!("distinct !{{!{n}}}"));
        let scopes: Vec<usize> = kernel.buffers.iter().map(|_| self.add(|n| format!("distinct !{{!{n}, !{domain}}}"))).collect();
        let list = |scopes: &[usize]| format!("!{{{}}}", scopes.iter().map(|n| format!("!{n}")).collect::<Vec<_>>().join(", "));
        let each = scopes.iter().map(|own| {
            let others: Vec<usize> = scopes.iter().copied().filter(|n| n != own).collect();
            let (scope, noalias) = (self.add(|_| list(&[*own])), self.add(|_| list(&others)));
            format!(", !alias.scope !{scope}, !noalias !{noalias}")
        });
        each.collect()
    }

    /// Lists lines under a name that LLVM knows.
    pub fn named(&mut self, name: &str, lines: &[usize]) {
        let lines: Vec<String> = lines.iter().map(|n| format!("!{n}")).collect();
        self.named.push(format!("!{name} = !{{{}}}\n", lines.join(", ")));
    }

    pub fn text(&self) -> String {
        let lines = self.lines.iter().enumerate().map(|(n, line)| format!("!{n} = {line}\n"));
        self.named.iter().cloned().chain(lines).collect()
    }
}
