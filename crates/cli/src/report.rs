//! What a command prints: a text for people or one JSON document.

use anstyle::{AnsiColor, Color, Style};
use serde_json::Value;
use std::io::Write;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const RED: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));
pub const YELLOW: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
pub const GREEN: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Green)));

/// The result of a command. Colours in the text are taken out where standard output is no terminal.
pub struct Report {
    pub text: String,
    pub json: Value,
    pub exit_code: u8,
}

impl Report {
    pub fn new(text: String, json: Value) -> Report {
        Report { text, json, exit_code: 0 }
    }
}

/// Writes to standard output. A reader that went away, as `head` does, is no fault.
pub fn print(text: &str) {
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a remark to standard error.
pub fn remark(text: &str) {
    let _ = writeln!(anstream::stderr(), "{DIM}{text}{DIM:#}");
}

/// The longest label, in characters.
const LABEL: usize = 80;

/// The first model nodes of a long label, and how many more there are.
pub fn shortened(label: &str) -> String {
    let nodes: Vec<&str> = label.split(" + ").collect();
    let mut length = 0;
    let fits = |node: &&&str| {
        length += node.chars().count() + 3;
        length <= LABEL
    };
    let named = nodes.iter().take_while(fits).count().max(1);
    match nodes.len() - named {
        0 => label.to_string(),
        more => format!("{} + {more} more", nodes[..named].join(" + ")),
    }
}

/// `1.23 ms`, `45.6 µs`, `7.89 s`: three digits.
pub fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    format!("{} {unit}", three_digits(value))
}

/// `512 B`, `1.25 KiB`, `98.0 MiB`.
pub fn bytes(bytes: usize) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB"] {
        if value >= 1000.0 {
            (value, unit) = (value / 1024.0, next);
        }
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{} {unit}", three_digits(value)) }
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Rows under a head: the first `left` columns to the left, the others to the right.
pub fn table(head: &[&str], rows: &[Vec<String>], left: usize) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([head[at].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cell = |(at, cell): (usize, &str)| {
            let gap = " ".repeat(widths[at] - cell.chars().count());
            if at < left { format!("{cell}{gap}") } else { format!("{gap}{cell}") }
        };
        cells.into_iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut text = format!("{BOLD}{}{BOLD:#}\n", line(head.to_vec()));
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits() {
        assert_eq!([0.0000456, 0.00123, 7.891, 123.4].map(seconds), ["45.6 µs", "1.23 ms", "7.89 s", "123 s"]);
        assert_eq!([512, 1280, 98 << 20].map(bytes), ["512 B", "1.25 KiB", "98.0 MiB"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["/µ".to_string(), "1".to_string()], vec!["/block".to_string(), "100".to_string()]];
        let text = anstream::adapter::strip_str(&table(&["step", "calls"], &rows, 1)).to_string();
        assert_eq!(text, "step    calls\n/µ          1\n/block    100\n");
    }

    #[test]
    fn long_labels_are_cut_between_nodes() {
        let label = ["/encoder/layer.0/attention/self/MatMul"; 4].join(" + ");
        assert_eq!(shortened(&label), "/encoder/layer.0/attention/self/MatMul + 3 more");
        assert_eq!(shortened("/a + /b"), "/a + /b");
    }
}
