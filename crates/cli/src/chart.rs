//! Charts in SVG: the memory plan of a call, its time by kernel, and models side by side. They bring their own background, so that they can
//! be read on light and dark pages alike.
//!
//! - [`memory`]: boxes in the arena over the steps
//! - [`time`]: a bar for each kernel
//! - [`ratios`], [`bars`]: models on several sides

pub mod bars;
pub mod memory;
pub mod ratios;
pub mod time;

use crate::failure::Failure;
use std::path::Path;
use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Text, Title};

const PAPER: &str = "#fbfaf7";
const INK: &str = "#22262e";
const FAINT: &str = "#6b7078";
const GRID: &str = "#dcd9d1";
const ACCENT: &str = "#b3261e";
/// The sides of a comparison, ours first.
const SERIES: [&str; 5] = ["#c96f1e", "#5b8db8", "#6fa86a", "#9a7fc0", "#b5a642"];

/// The width of a character over the size of its font, a little generous.
const CHARACTER: f64 = 0.62;

/// Writes charts into a folder, which is made where it is not there.
pub fn write(folder: &Path, charts: &[(&str, Document)]) -> Result<(), Failure> {
    let fault = |path: &Path, why: std::io::Error| Failure::user(ir::Code::Input, format!("{}: {why}", path.display()));
    std::fs::create_dir_all(folder).map_err(|why| fault(folder, why))?;
    for (name, chart) in charts {
        let path = folder.join(name);
        svg::save(&path, chart).map_err(|why| fault(&path, why))?;
    }
    Ok(())
}

/// An empty page with a title and a line of explanation.
fn page(width: f64, height: f64, title: &str, explanation: &str) -> Document {
    Document::new()
        .set("viewBox", format!("0 0 {width:.0} {height:.0}"))
        .set("width", format!("{width:.0}"))
        .set("height", format!("{height:.0}"))
        .set("font-family", "DejaVu Sans, Verdana, sans-serif")
        .add(rectangle(0.0, 0.0, width, height, PAPER))
        .add(label(title, 16.0, 26.0, 15.0).set("font-weight", "bold"))
        .add(label(explanation, 16.0, 46.0, 12.0).set("fill", FAINT))
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, fill: &str) -> Rectangle {
    let number = |value: f64| format!("{value:.2}");
    Rectangle::new()
        .set("x", number(x))
        .set("y", number(y))
        .set("width", number(width.max(0.0)))
        .set("height", number(height.max(0.0)))
        .set("fill", fill)
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str) -> Line {
    let number = |value: f64| format!("{value:.2}");
    Line::new().set("x1", number(from.0)).set("y1", number(from.1)).set("x2", number(to.0)).set("y2", number(to.1)).set("stroke", colour)
}

/// Text whose baseline starts at a point.
fn label(text: &str, x: f64, y: f64, size: f64) -> Text {
    let number = |value: f64| format!("{value:.2}");
    Text::new(printable(text)).set("x", number(x)).set("y", number(y)).set("font-size", number(size)).set("fill", INK)
}

/// The colour of a side.
fn colour(side: usize) -> &'static str {
    SERIES[side % SERIES.len()]
}

/// The colours of sides, the first of them number `first`.
fn legend(names: &[String], first: usize, (mut x, y): (f64, f64)) -> Group {
    let mut group = Group::new();
    for (at, name) in names.iter().enumerate() {
        group = group.add(rectangle(x, y - 9.0, 10.0, 10.0, colour(first + at))).add(label(name, x + 14.0, y, 11.0));
        x += text_width(name, 11.0) + 34.0;
    }
    group
}

/// What a reader sees who points at something.
fn tooltip(text: &str) -> Title {
    Title::new(printable(text))
}

/// Without the characters that XML has no place for.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c }).collect()
}

/// How wide a text is at most.
fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c.is_ascii() { CHARACTER } else { 1.0 }).sum::<f64>() * size
}

/// The text, or as many of its last characters behind an ellipsis as fit; empty where not even four do.
fn fitted(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_string();
    }
    let characters: Vec<char> = text.chars().collect();
    let tail = |count: usize| std::iter::once('…').chain(characters[characters.len() - count..].iter().copied()).collect::<String>();
    (4..characters.len()).rev().map(tail).find(|text| text_width(text, size) <= width).unwrap_or_default()
}

/// At most `most` + 1 multiples of a round step from 0 to `end`; round in tens, or in powers of two.
fn ticks(end: usize, most: usize, binary: bool) -> Vec<usize> {
    let steps = |power: u32| -> Vec<usize> {
        if binary {
            vec![2usize.saturating_pow(power)]
        } else {
            [1, 2, 5].map(|digit| 10usize.saturating_pow(power).saturating_mul(digit)).to_vec()
        }
    };
    let step = (0..64).flat_map(steps).find(|step| end / step <= most).unwrap_or(usize::MAX);
    (0..=end / step).map(|at| at * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(37, 8, false), [0, 5, 10, 15, 20, 25, 30, 35]);
        assert_eq!(ticks(3 << 20, 6, true), [0, 1 << 19, 1 << 20, 3 << 19, 2 << 20, 5 << 19, 3 << 20]);
        assert_eq!(ticks(0, 5, false), [0]);
    }

    #[test]
    fn long_texts_keep_their_end() {
        assert_eq!(fitted("/layer.0/Add", 300.0, 10.0), "/layer.0/Add");
        assert_eq!(fitted("/layer.0/Add", 36.0, 10.0), "…/Add");
        assert_eq!(fitted("/layer.0/Add", 20.0, 10.0), "");
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(printable("a\u{1}b\n"), "a\u{fffd}b\u{fffd}");
    }
}
