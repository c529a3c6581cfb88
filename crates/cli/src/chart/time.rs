//! Time by kernel: a bar for each, and in it the least that its operations or its memory take on this machine.

use super::{fitted, label, page, rectangle, tooltip};
use crate::report;
use crate::roofline::KernelShare;
use svg::Document;
use svg::node::element::Group;

const NAME: f64 = 360.0;
const BAR: f64 = 480.0;
const FIGURES: f64 = 210.0;
/// Where the columns of figures end, from the end of the bars on.
const COLUMNS: [f64; 3] = [66.0, 120.0, 208.0];
const MARGIN: f64 = 16.0;
const TOP: f64 = 66.0;
const ROW: f64 = 20.0;
/// More kernels are summed up in one row.
const ROWS: usize = 40;
const TIME: &str = "#f2c79b";
const LEAST: &str = "#c96f1e";

/// Kernels with the longest first.
pub fn chart(model: &str, kernels: &[KernelShare]) -> Document {
    let all: f64 = kernels.iter().map(|kernel| kernel.ms).sum();
    let rows = rows(kernels);
    let explanation = format!(
        "{} in the {} kernels of one call; dark: the least that their operations on floats, or their memory, take on this machine",
        report::seconds(all / 1e3),
        kernels.len(),
    );
    let height = TOP + ROW * rows.len() as f64 + MARGIN;
    let page = page(2.0 * MARGIN + NAME + BAR + FIGURES, height, &format!("Time of {model} by kernel"), &explanation);
    let most = rows.iter().map(|row| row.ms).fold(f64::MIN_POSITIVE, f64::max);
    rows.iter().enumerate().fold(page, |page, (at, row)| page.add(bar(row, TOP + ROW * at as f64, all, most)))
}

/// The kernels that get a row, and one row for the others.
fn rows(kernels: &[KernelShare]) -> Vec<KernelShare> {
    let (named, others) = kernels.split_at(kernels.len().min(ROWS));
    let mut rows = named.to_vec();
    if !others.is_empty() {
        rows.push(KernelShare {
            kernel: format!("{} others", others.len()),
            label: String::new(),
            ms: others.iter().map(|kernel| kernel.ms).sum(),
            least_ms: others.iter().map(|kernel| kernel.least_ms).sum(),
            launches: others.iter().flat_map(|kernel| kernel.launches.clone()).collect(),
        });
    }
    rows
}

fn bar(row: &KernelShare, y: f64, all: f64, most: f64) -> Group {
    let baseline = y + 14.0;
    let least = row.least_ms.unwrap_or(0.0).min(row.ms);
    let (width, dark, left) = (BAR * row.ms / most, BAR * least / most, MARGIN + NAME);
    let launches = if row.launches.len() == 1 { String::new() } else { format!(" ×{}", row.launches.len()) };
    let group = Group::new()
        .add(label(&format!("{}{launches}", row.kernel), MARGIN, baseline, 11.0).set("font-weight", "bold"))
        .add(label(&fitted(first_node(&row.label), NAME - 104.0, 11.0), MARGIN + 92.0, baseline, 11.0))
        .add(rectangle(left, y + 3.0, width, ROW - 6.0, TIME).add(tooltip(&row.label)))
        .add(rectangle(left, y + 3.0, dark, ROW - 6.0, LEAST).add(tooltip(&row.label)));
    let share = format!("{:.1} %", 100.0 * row.ms / all.max(f64::MIN_POSITIVE));
    let of_limit = row.least_ms.map_or(String::new(), |least| format!("{:.0} % of limit", 100.0 * least / row.ms.max(f64::MIN_POSITIVE)));
    let figures = [report::seconds(row.ms / 1e3), share, of_limit];
    let columns =
        figures.iter().zip(COLUMNS).map(|(text, right)| label(text, left + BAR + right, baseline, 11.0).set("text-anchor", "end"));
    columns.fold(group, Group::add)
}

/// The first model node of a label.
fn first_node(label: &str) -> &str {
    label.split(" + ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roofline::LaunchShare;

    #[test]
    fn bars_tell_share_and_limit() {
        let launch = LaunchShare { runs: Some(1.0), gflop: Some(1.0), mbytes: None };
        let row = |at: usize| KernelShare {
            kernel: format!("k{at}"),
            label: "/Conv + /Relu".to_string(),
            ms: 1.0,
            least_ms: (at > 0).then_some(0.5),
            launches: vec![launch; 2],
        };
        let text = chart("m", &(0..ROWS + 2).map(row).collect::<Vec<_>>()).to_string();
        for part in ["\n/Conv\n", "k0 ×2", "2 others ×4", "50 % of limit", "\n2.00 ms\n", "\n4.8 %\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("% of limit").count(), ROWS);
        assert!(chart("nothing", &[]).to_string().contains("0 kernels"));
    }
}
