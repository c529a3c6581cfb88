//! The text of one function while it is written: nested scopes, each with its own text, so that a line can still be
//! added to an outer scope in front of the loop that is being written.
//!
//! Scope 0 is the function's entry. What scope s defines is visible in all scopes inside it from there on: scopes are
//! entered at their top and left at their end only. A line that is needed in scope t and depends on scopes up to s is
//! added to scope [`Code::home`]`(s)`: outside every loop between the two, but not outside the branches around it.

use super::PrintOptions;
use super::text::local_stem;
use kernel::BufferId;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use sym::{Expr, Sym};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    Loop,
    /// One side of a condition.
    Branch,
}

/// A symbol's operand, and whether its value is known to be at least 0.
#[derive(Clone, Debug)]
pub struct Bound {
    pub operand: String,
    pub nonnegative: bool,
}

/// A piece of text that runs from the block `first` to the end of the block `last`, which has no terminator yet.
pub struct Scope {
    kind: Kind,
    pub text: String,
    pub last: String,
    symbols: HashMap<Sym, Bound>,
    indices: HashMap<Expr, String>,
    addresses: HashMap<(BufferId, Expr), String>,
}

impl Scope {
    fn new(kind: Kind, label: &str) -> Scope {
        Scope {
            kind,
            text: String::new(),
            last: label.to_string(),
            symbols: HashMap::new(),
            indices: HashMap::new(),
            addresses: HashMap::new(),
        }
    }
}

pub struct Code {
    scopes: Vec<Scope>,
    names: usize,
    pub narrow_words: bool,
}

impl Code {
    pub fn new(options: &PrintOptions) -> Code {
        Code { scopes: vec![Scope::new(Kind::Function, "entry")], names: 0, narrow_words: options.narrow_words }
    }

    /// A number that no other name of the function has.
    pub fn fresh(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    /// A new local name: `%stem.7`.
    pub fn local(&mut self, stem: &str) -> String {
        format!("%{}.{}", local_stem(stem), self.fresh())
    }

    /// The number of the innermost scope.
    pub fn here(&self) -> usize {
        self.scopes.len() - 1
    }

    pub fn open(&mut self, kind: Kind, label: &str) {
        self.scopes.push(Scope::new(kind, label));
    }

    /// Ends the innermost scope; its text is the caller's to place.
    pub fn close(&mut self) -> Scope {
        match self.scopes.pop() {
            Some(scope) => scope,
            None => panic!("a scope closed that was not open"),
        }
    }

    fn scope(&mut self) -> &mut Scope {
        let here = self.here();
        &mut self.scopes[here]
    }

    /// Adds a line to the innermost scope.
    pub fn line(&mut self, line: &str) {
        let text = &mut self.scope().text;
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }

    /// Adds finished text to the innermost scope.
    pub fn append(&mut self, text: &str) {
        self.scope().text.push_str(text);
    }

    /// Starts a block in the innermost scope.
    pub fn block(&mut self, label: &str) {
        let scope = self.scope();
        scope.text.push_str(label);
        scope.text.push_str(":\n");
        scope.last = label.to_string();
    }

    /// The block in which the innermost scope's text ends.
    pub fn last_block(&self) -> String {
        self.scopes[self.here()].last.clone()
    }

    /// A temporary with this value, in the innermost scope.
    pub fn temp(&mut self, value: impl AsRef<str>) -> String {
        let here = self.here();
        self.temp_in(here, value.as_ref())
    }

    /// A temporary with this value, at the end of what scope `scope` has by now.
    pub fn temp_in(&mut self, scope: usize, value: &str) -> String {
        let name = format!("%t{}", self.fresh());
        let text = &mut self.scopes[scope].text;
        text.push_str("  ");
        text.push_str(&name);
        text.push_str(" = ");
        text.push_str(value);
        text.push('\n');
        name
    }

    /// The scope for what depends on scopes up to `depends`.
    pub fn home(&self, depends: usize) -> usize {
        let branches = self.scopes[depends + 1..].iter().take_while(|scope| scope.kind == Kind::Branch);
        depends + branches.count()
    }

    /// Binds a symbol in scope `scope`.
    pub fn bind(&mut self, scope: usize, sym: &Sym, bound: Bound) {
        if self.scopes[scope].symbols.insert(sym.clone(), bound).is_some() {
            self.forget(sym);
        }
    }

    /// Drops what is known about expressions with a symbol that gets a new meaning.
    fn forget(&mut self, sym: &Sym) {
        for scope in &mut self.scopes {
            scope.indices.retain(|expr, _| !expr.mentions(sym));
            scope.addresses.retain(|(_, expr), _| !expr.mentions(sym));
        }
    }

    /// A symbol's scope and meaning.
    pub fn lookup(&self, sym: &Sym) -> (usize, &Bound) {
        let found = self.scopes.iter().enumerate().rev().find_map(|(at, scope)| scope.symbols.get(sym).map(|bound| (at, bound)));
        match found {
            Some(found) => found,
            None => panic!("symbol `{sym}` is used where it is not defined"),
        }
    }

    pub fn known_index(&self, scopes: RangeInclusive<usize>, expr: &Expr) -> Option<String> {
        self.scopes[scopes].iter().find_map(|scope| scope.indices.get(expr).cloned())
    }

    pub fn remember_index(&mut self, scope: usize, expr: &Expr, operand: &str) {
        self.scopes[scope].indices.insert(expr.clone(), operand.to_string());
    }

    pub fn known_address(&self, scopes: RangeInclusive<usize>, key: &(BufferId, Expr)) -> Option<String> {
        self.scopes[scopes].iter().find_map(|scope| scope.addresses.get(key).cloned())
    }

    pub fn remember_address(&mut self, scope: usize, key: (BufferId, Expr), operand: &str) {
        self.scopes[scope].addresses.insert(key, operand.to_string());
    }

    /// The text of the whole function body.
    pub fn finish(mut self) -> String {
        self.close().text
    }
}
