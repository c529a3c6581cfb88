//! The lines and functions of one file.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function that is no test.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// Its first line, from 1.
    pub start: usize,
    pub lines: usize,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// With code, outside of tests.
    pub lines: usize,
    /// With code, in tests.
    pub test_lines: usize,
    pub functions: Vec<Function>,
    /// Modules in other files that are tests.
    pub test_modules: Vec<String>,
}

impl Counts {
    /// All of it as tests.
    pub fn into_tests(self) -> Counts {
        Counts { lines: 0, test_lines: self.lines + self.test_lines, functions: vec![], test_modules: vec![] }
    }
}

/// Counts a file that is code but for what `#[cfg(test)]` says.
pub fn count(text: &str) -> Result<Counts> {
    let file = syn::parse_file(text)?;
    let mut found = Found::default();
    found.visit_file(&file);
    let (mut lines, mut test_lines) = (0, 0);
    for (at, _) in text.lines().enumerate().filter(|(_, line)| has_code(line)) {
        let in_test = found.tests.iter().any(|(first, last)| (*first..=*last).contains(&(at + 1)));
        *(if in_test { &mut test_lines } else { &mut lines }) += 1;
    }
    Ok(Counts { lines, test_lines, functions: found.functions, test_modules: found.modules })
}

/// Counts a file that is a test as a whole.
pub fn count_tests(text: &str) -> Result<Counts> {
    Ok(count(text)?.into_tests())
}

fn has_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

/// The files of test modules, and of the modules below them.
pub fn test_modules(files: &[(&Path, &Counts)]) -> BTreeSet<PathBuf> {
    let mut tests = BTreeSet::new();
    for (path, counts) in files {
        let stem = path.file_stem().unwrap_or_default();
        let root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
        let folder = if root { path.with_file_name("") } else { path.with_extension("") };
        for module in &counts.test_modules {
            let inside = folder.join(module);
            let below = files
                .iter()
                .map(|(path, _)| path.to_path_buf())
                .filter(|path| *path == inside.with_extension("rs") || path.starts_with(&inside));
            tests.extend(below);
        }
    }
    tests
}

/// What stands in a file, and where its tests are.
#[derive(Default)]
struct Found {
    tests: Vec<(usize, usize)>,
    functions: Vec<Function>,
    modules: Vec<String>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is_cfg_test = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::NameValue(_) => false,
    };
    attributes.iter().any(is_cfg_test)
}

fn lines_of(item: &impl Spanned) -> (usize, usize) {
    let span = item.span();
    (span.start().line, span.end().line)
}

impl Found {
    fn function(&mut self, name: &syn::Ident, signature: &syn::Signature, block: &syn::Block) {
        let (start, end) = (signature.span().start().line, block.span().end().line);
        self.functions.push(Function { name: name.to_string(), start, lines: end - start + 1 });
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            return visit::visit_item(self, item);
        }
        self.tests.push(lines_of(item));
        if let syn::Item::Mod(module) = item
            && module.content.is_none()
        {
            self.modules.push(module.ident.to_string());
        }
    }

    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.function(&function.sig.ident, &function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        self.function(&function.sig.ident, &function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig.ident, &function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "//! Doc.\n\nfn one() {\n    two();\n}\n\n// comment\nfn two() {}\n\n#[cfg(test)]\nmod tests {\n    fn three() {}\n}\n";

    #[test]
    fn tests_and_comments_do_not_count() {
        let counts = count(TEXT).unwrap();
        assert_eq!((counts.lines, counts.test_lines), (4, 4));
        let functions: Vec<(&str, usize, usize)> = counts.functions.iter().map(|f| (f.name.as_str(), f.start, f.lines)).collect();
        assert_eq!(functions, [("one", 3, 3), ("two", 8, 1)]);
    }

    #[test]
    fn files_of_test_modules_are_tests() {
        let parent = count("#[cfg(test)]\nmod tests;\nmod code;\n").unwrap();
        let empty = Counts::default();
        let paths = ["src/a.rs", "src/a/tests.rs", "src/a/tests/more.rs", "src/a/code.rs"].map(Path::new);
        let files: Vec<(&Path, &Counts)> =
            paths.iter().map(|path| (*path, if path.ends_with("a.rs") { &parent } else { &empty })).collect();
        assert_eq!(test_modules(&files), BTreeSet::from([paths[1].to_path_buf(), paths[2].to_path_buf()]));
    }
}
