//! Time by kernel: a bar for each, and in it the part that the same operations would take at the machine's peak.

use super::{fitted, label, page, rectangle, tooltip};
use crate::report;
use driver::KernelTime;
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
const PEAK: &str = "#c96f1e";

/// Kernels with the longest first; `peak` is operations a second.
pub fn chart(model: &str, kernels: &[KernelTime], peak: f64) -> Document {
    let all: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
    let rows = rows(kernels);
    let explanation = format!(
        "{} in the {} kernels of one call; dark: what their operations on floats would take at the peak of {:.0} Gflop/s",
        report::seconds(all),
        kernels.len(),
        peak / 1e9
    );
    let height = TOP + ROW * rows.len() as f64 + MARGIN;
    let page = page(2.0 * MARGIN + NAME + BAR + FIGURES, height, &format!("Time of {model} by kernel"), &explanation);
    let most = rows.iter().map(|row| row.seconds).fold(f64::MIN_POSITIVE, f64::max);
    rows.iter().enumerate().fold(page, |page, (at, row)| page.add(bar(row, TOP + ROW * at as f64, all, most, peak)))
}

/// The kernels that get a row, and one row for the others.
fn rows(kernels: &[KernelTime]) -> Vec<KernelTime> {
    let (named, others) = kernels.split_at(kernels.len().min(ROWS));
    let mut rows = named.to_vec();
    if !others.is_empty() {
        rows.push(KernelTime {
            kernel: format!("{} others", others.len()),
            label: String::new(),
            launches: others.iter().map(|kernel| kernel.launches).sum(),
            seconds: others.iter().map(|kernel| kernel.seconds).sum(),
            flops: others.iter().map(|kernel| kernel.flops).sum(),
        });
    }
    rows
}

fn bar(row: &KernelTime, y: f64, all: f64, most: f64, peak: f64) -> Group {
    let baseline = y + 14.0;
    let (width, at_peak) = (BAR * row.seconds / most, BAR * at_peak(row, peak) / most);
    let left = MARGIN + NAME;
    let share = format!("{:.1} %", 100.0 * row.seconds / all.max(f64::MIN_POSITIVE));
    let figures = [report::seconds(row.seconds), share, share_of_peak(row, peak)];
    let launches = if row.launches == 1 { String::new() } else { format!(" ×{}", row.launches) };
    let kernel = format!("{}{launches}", row.kernel);
    let label_room = NAME - 104.0;
    let group = Group::new()
        .add(label(&kernel, MARGIN, baseline, 11.0).set("font-weight", "bold"))
        .add(label(&fitted(first_node(&row.label), label_room, 11.0), MARGIN + 92.0, baseline, 11.0))
        .add(rectangle(left, y + 3.0, width, ROW - 6.0, TIME).add(tooltip(&row.label)))
        .add(rectangle(left, y + 3.0, at_peak, ROW - 6.0, PEAK).add(tooltip(&row.label)));
    let columns =
        figures.iter().zip(COLUMNS).map(|(text, right)| label(text, left + BAR + right, baseline, 11.0).set("text-anchor", "end"));
    columns.fold(group, Group::add)
}

/// Seconds at the machine's peak, at most those of the bar; 0 where they are not known.
fn at_peak(row: &KernelTime, peak: f64) -> f64 {
    let seconds = row.flops / peak;
    if seconds.is_finite() { seconds.min(row.seconds) } else { 0.0 }
}

fn share_of_peak(row: &KernelTime, peak: f64) -> String {
    let share = 100.0 * row.flops / row.seconds.max(f64::MIN_POSITIVE) / peak;
    if share.is_finite() { format!("{share:.0} % of peak") } else { String::new() }
}

/// The first model node of a label, and how many more there are.
fn first_node(label: &str) -> &str {
    label.split(" + ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_tell_share_and_peak() {
        let kernel =
            |at: usize| KernelTime { kernel: format!("k{at}"), label: "/Conv + /Relu".to_string(), launches: 2, seconds: 1e-3, flops: 5e5 };
        let text = chart("m", &(0..ROWS + 2).map(kernel).collect::<Vec<_>>(), 1e9).to_string();
        for part in ["\n/Conv\n", "k0 ×2", "2 others ×4", "50 % of peak", "1 Gflop/s", "\n2.00 ms\n", "\n4.8 %\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(chart("nothing", &[], 1e9).to_string().contains("0 kernels"));
    }
}
