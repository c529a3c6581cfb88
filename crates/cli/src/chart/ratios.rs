//! Ratios of times with their intervals: a row for each model, a mark for each peer, on a logarithmic scale.

use super::{ACCENT, FAINT, GRID, INK, colour, fitted, label, legend, line, page, rectangle, tooltip};
use svg::Document;
use svg::node::element::{Circle, Group};

/// A model's ratios, one for each series where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub ratios: Vec<Option<Mark>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub middle: f64,
    pub low: f64,
    pub high: f64,
}

const NAME: f64 = 200.0;
const PLOT: f64 = 620.0;
const MARGIN: f64 = 16.0;
const TOP: f64 = 92.0;
const ROW: f64 = 26.0;

/// A scale from a power of two at or below the least to one at or above the largest; 1 is on it.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(rows: &[Row]) -> Scale {
        let marks: Vec<Mark> = rows.iter().flat_map(|row| row.ratios.iter().flatten().copied()).collect();
        let least = marks.iter().map(|mark| mark.low).fold(0.999, f64::min).max(1e-3);
        let most = marks.iter().map(|mark| mark.high).fold(1.001, f64::max).min(1e3);
        Scale { low: least.log2().floor(), high: most.log2().ceil() }
    }

    fn x(&self, ratio: f64) -> f64 {
        MARGIN + NAME + PLOT * ((ratio.log2() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// `explanation` says what a ratio is; the series are the sides from the second on.
pub fn chart(title: &str, explanation: &str, series: &[String], rows: &[Row]) -> Document {
    let scale = Scale::of(rows);
    let bottom = TOP + ROW * rows.len() as f64;
    let page = page(2.0 * MARGIN + NAME + PLOT, bottom + 34.0, title, explanation).add(legend(series, 1, (MARGIN + NAME, 72.0)));
    let mut axes = Group::new();
    for power in scale.low as i32..=scale.high as i32 {
        let (ratio, x) = (2f64.powi(power), scale.x(2f64.powi(power)));
        let (ink, text) = (if power == 0 { ACCENT } else { GRID }, format!("{ratio}×"));
        axes = axes.add(line((x, TOP), (x, bottom), ink)).add(label(&text, x, bottom + 18.0, 11.0).set("text-anchor", "middle"));
    }
    rows.iter().enumerate().fold(page.add(axes), |page, (at, row)| page.add(marks(row, TOP + ROW * at as f64, series, &scale)))
}

fn marks(row: &Row, y: f64, series: &[String], scale: &Scale) -> Group {
    let mut group = Group::new().add(label(&fitted(&row.name, NAME - 12.0, 12.0), MARGIN, y + 17.0, 12.0)).add(rectangle(
        MARGIN,
        y + ROW - 0.5,
        NAME + PLOT,
        0.5,
        GRID,
    ));
    for (at, mark) in row.ratios.iter().enumerate() {
        let middle = y + ROW * (at as f64 + 1.0) / (series.len() as f64 + 1.0);
        let Some(Mark { middle: ratio, low, high }) = *mark else { continue };
        let text = format!("{}: {ratio:.3}, {low:.3} to {high:.3}", series[at]);
        let dot = Circle::new().set("cx", format!("{:.2}", scale.x(ratio))).set("cy", format!("{middle:.2}")).set("r", 4);
        group = group
            .add(line((scale.x(low), middle), (scale.x(high), middle), INK).set("stroke-width", 1.6))
            .add(dot.set("fill", colour(at + 1)).set("stroke", INK).set("stroke-width", 0.6).add(tooltip(&text)));
    }
    if row.ratios.iter().all(Option::is_none) {
        group = group.add(label("fails", scale.x(1.0) + 6.0, y + 17.0, 11.0).set("fill", FAINT));
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_on_a_logarithmic_scale() {
        let mark = |middle| Some(Mark { middle, low: middle / 2.0, high: middle * 2.0 });
        let rows =
            [Row { name: "a<b".to_string(), ratios: vec![mark(2.0), mark(0.5)] }, Row { name: "c".to_string(), ratios: vec![None, None] }];
        let text = chart("title", "what", &["p".to_string(), "q".to_string()], &rows).to_string();
        // from 1/4 to 4: 2 stands at three quarters
        for part in ["a&lt;b", "p: 2.000, 1.000 to 4.000", "cx=\"681.00\"", "cx=\"371.00\"", "0.25×", "fails"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
