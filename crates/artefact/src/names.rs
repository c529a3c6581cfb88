//! Names in C.

/// The start of all names of a model: its own in small letters, digits and `_`.
pub fn prefix(model: &str) -> String {
    let name: String = plain(model).to_lowercase();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("m{name}") }
}

/// The same in capital letters, one for each name; those that would be equal are numbered.
pub fn macros<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    different(names.into_iter().map(|name| plain(name).to_uppercase()))
}

/// Names in Rust, one for each name, likewise.
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    different(names.into_iter().map(|name| {
        let name = plain(name).to_lowercase();
        let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("t{name}") };
        if KEYWORDS.contains(&name.as_str()) { format!("{name}_") } else { name }
    }))
}

/// Rust's words in small letters, and the field that outputs have beside the model's.
const KEYWORDS: [&str; 53] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum", "extern",
    "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "model", "move", "mut", "override",
    "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof", "union", "unsafe",
    "unsized", "use", "virtual", "where", "while", "yield",
];

fn different(stems: impl Iterator<Item = String>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for stem in stems {
        let numbered = std::iter::once(stem.clone()).chain((2..).map(|number| format!("{stem}_{number}")));
        taken.extend(numbered.into_iter().find(|name| !taken.contains(name)));
    }
    taken
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A text as it may stand in a comment.
pub fn comment(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace("*/", "* /").replace("/*", "/ *").replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_differ() {
        assert_eq!(["resnet50", "PP-OCR v4", "7b", ""].map(prefix), ["resnet50", "pp_ocr_v4", "m7b", "m"]);
        assert_eq!(macros(["x", "a.b", "a/b", "X"]), ["X", "A_B", "A_B_2", "X_2"]);
        assert_eq!(identifiers(["input.1", "Type", "type_", "7", "", "x", "X"]), ["input_1", "type_", "type__2", "t7", "t", "x", "x_2"]);
        assert_eq!(comment("a */ b\n\\"), "a * / b /");
    }
}
