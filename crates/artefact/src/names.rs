//! Names in C.

/// The start of all names of a model: its own in small letters, digits and `_`.
pub fn prefix(model: &str) -> String {
    let name: String = plain(model).to_lowercase();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("m{name}") }
}

/// The same in capital letters, one for each name; those that would be equal are numbered.
pub fn macros<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for name in names {
        let stem = plain(name).to_uppercase();
        let numbered = std::iter::once(stem.clone()).chain((2..).map(|number| format!("{stem}_{number}")));
        taken.extend(numbered.into_iter().find(|name| !taken.contains(name)).into_iter().collect::<Vec<_>>());
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
        assert_eq!(comment("a */ b\n\\"), "a * / b /");
    }
}
