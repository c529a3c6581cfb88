//! Damaged texts of levels: words and lines changed, so that much of the rest can still be read.

use super::odd;
use random::Random;

/// A text with some damage.
pub fn damaged(text: &str, random: &mut Random) -> String {
    let mut text = text.to_string();
    for _ in 0..random.one_of([1, 1, 1, 2, 3, 6]) {
        text = match random.below(4) {
            0 => damage_lines(&text, random),
            _ => damage_words(&text, random),
        };
    }
    text
}

fn damage_lines(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    super::model::damage_list(&mut lines, random);
    lines.concat()
}

/// One word in place of another, a number in place of a number, brackets without end, or a cut.
fn damage_words(text: &str, random: &mut Random) -> String {
    let words = words(text);
    let Some((start, end)) = random.pick(&words) else { return text.to_string() };
    let is_number = text[start..end].bytes().all(|byte| byte.is_ascii_digit());
    let other = random.pick(&words).map_or("", |(start, end)| &text[start..end]);
    let new = match random.below(12) {
        0 => String::new(),
        1 => random.one_of(["(", "[", "{", "min(", "-", "n*"]).repeat(random.one_of([1, 3, 50_000])),
        2 => text[start..end].repeat(2),
        3 => random.one_of(["nan", "inf", "1e999", "\"", "\\", "\u{e9}", "i0", "f64", "bool", "0x"]).to_string(),
        4 => return text[..start].to_string(),
        _ if is_number => odd(random).to_string(),
        _ => other.to_string(),
    };
    format!("{}{new}{}", &text[..start], &text[end..])
}

/// Where names, numbers and other characters stand.
fn words(text: &str) -> Vec<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut before = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match words.last_mut() {
            Some(last) if before && is_word(c) => last.1 = end,
            _ if !c.is_whitespace() => words.push((at, end)),
            _ => {}
        }
        before = is_word(c);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_numbers_and_signs() {
        let text = "x0: f32[n, 12] é";
        let found: Vec<&str> = words(text).into_iter().map(|(start, end)| &text[start..end]).collect();
        assert_eq!(found, ["x0", ":", "f32", "[", "n", ",", "12", "]", "é"]);
    }
}
