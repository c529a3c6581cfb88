//! A figure of each model on several sides: groups of bars.

use super::{FAINT, colour, fitted, label, legend, page, rectangle, tooltip};
use svg::Document;
use svg::node::element::Group;

/// A model's figure for each series; None where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

const NAME: f64 = 200.0;
const BAR: f64 = 520.0;
const FIGURE: f64 = 100.0;
const MARGIN: f64 = 16.0;
const TOP: f64 = 86.0;
const THICK: f64 = 12.0;
const GAP: f64 = 8.0;

/// Bars from 0 to the largest value, each with its text.
pub fn chart(title: &str, explanation: &str, series: &[String], rows: &[Row], text: &dyn Fn(f64) -> String) -> Document {
    let height = THICK * series.len() as f64 + GAP;
    let most = rows.iter().flat_map(|row| row.values.iter().flatten().copied()).fold(f64::MIN_POSITIVE, f64::max);
    let page = page(2.0 * MARGIN + NAME + BAR + FIGURE, TOP + height * rows.len() as f64 + MARGIN, title, explanation);
    let page = page.add(legend(series, 0, (MARGIN + NAME, 72.0)));
    rows.iter().enumerate().fold(page, |page, (at, row)| {
        let y = TOP + height * at as f64;
        let name = label(&fitted(&row.name, NAME - 12.0, 12.0), MARGIN, y + height / 2.0, 12.0);
        let bars = row.values.iter().enumerate().map(|(at, value)| bar(&series[at], at, *value, y + THICK * at as f64, most, text));
        page.add(bars.fold(Group::new().add(name), Group::add))
    })
}

fn bar(side: &str, at: usize, value: Option<f64>, y: f64, most: f64, text: &dyn Fn(f64) -> String) -> Group {
    let (left, baseline) = (MARGIN + NAME, y + THICK - 2.5);
    let Some(value) = value else {
        return Group::new().add(label("fails", left, baseline, 10.0).set("fill", FAINT));
    };
    let (width, figure) = (BAR * value / most, text(value));
    Group::new().add(rectangle(left, y, width, THICK - 1.0, colour(at)).add(tooltip(&format!("{side}: {figure}")))).add(label(
        &figure,
        left + width + 5.0,
        baseline,
        10.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share_of_the_largest() {
        let rows = [Row { name: "m".to_string(), values: vec![Some(1.0), Some(4.0), None] }];
        let series = ["a", "b", "c"].map(String::from);
        let text = chart("title", "what", &series, &rows, &|value| format!("{value:.1} s")).to_string();
        for part in ["width=\"130.00\"", "width=\"520.00\"", "b: 4.0 s", "fails"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
