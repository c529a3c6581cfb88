//! What a comparison found, as one page that needs nothing else: plots in the page, no scripts.

use super::result::{Comparison, ModelResult, Side};
use super::table::{interval, machine_text, milliseconds, peer_names};
use crate::chart::bars;
use crate::chart::ratios::{self, Mark};
use crate::chart::time;

const STYLE: &str = "body { font: 15px/1.5 'DejaVu Sans', Verdana, sans-serif; margin: 2em auto; max-width: 1120px; padding: 0 1em; \
color: #22262e; background: #fbfaf7 } svg { max-width: 100%; height: auto } table { border-collapse: collapse; font-size: 13px } \
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #dcd9d1 } th:first-child, td:first-child { text-align: left } \
.bad { color: #b3261e } summary { cursor: pointer }";

pub fn html(comparison: &Comparison) -> String {
    let parts = [
        paragraph(&machine_text(comparison)),
        paragraph(&method(comparison)),
        comparison.summary.as_ref().map_or(String::new(), |summary| {
            let least = format!("the least is {:.3}, {}", summary.least, summary.least_model);
            let mean =
                format!("Geometric mean over {} models: {:.3} times as fast as the best peer", summary.models, summary.geometric_mean);
            format!("<p><b>{}</b>; {}.</p>\n", escaped(&mean), escaped(&least))
        }),
        plots(comparison),
        "<h2>Figures</h2>\n".to_string() + &table(comparison),
        failures(comparison),
        "<h2>Where our time goes</h2>\n".to_string() + &paragraph(LIMIT_OF_KERNELS),
        comparison.models.iter().filter(|model| !model.kernels.is_empty()).map(kernels).collect(),
    ];
    let title = "Inkle beside its peers";
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{}</body>\n</html>\n",
        parts.concat()
    )
}

const LIMIT_OF_KERNELS: &str = "The limit of a kernel is the longer of two times: its operations on floats at the peak of f32, and the bytes \
that it touches at the speed of reading so many bytes over and over. What it touches may lie in a slower memory than that, and operations on \
integers are not counted, so the limit is a bound from below. Clocks between the steps cost some microseconds a call.";

/// How it was measured, in words.
fn method(comparison: &Comparison) -> String {
    let precision = if comparison.peer_precision == "f32" { "in f32" } else { "in the precision that they choose" };
    format!(
        "Our side computes {}. Peers compute {precision}. Each side is a process of its own that holds the model. In each of {} rounds every side makes calls for \
         a quarter of a second, and at least four, by turns with two sets of inputs, while the other sides are stopped; rounds begin with \
         another side each time. A round counts with its median. Shown are medians of the rounds; ratios are taken within a round. \
         Intervals reach from one round to another and rest on their order alone (sign test): they hold the median with a probability of \
         {:.1} % if rounds are independent. The roofline of a model is the longer of two times: its operations on floats at the peak of f32, \
         and its inputs, outputs and weights once, at the speed of reading so many bytes over and over; both ceilings are the best that generated kernels reached between the \
         models. Operations are counted on the model as it is defined, a multiply-add as two; a convolution by Winograd's method has fewer, so that a share may be above 100 %. Compile time is from the file to a \
         model that can be called, nothing cached, without the start of Python; memory is the peak of the process, with Python.",
        comparison.ours,
        comparison.rounds,
        100.0 * comparison.coverage
    )
}

fn plots(comparison: &Comparison) -> String {
    let peers = peer_names(comparison);
    let sides: Vec<String> = std::iter::once("inkle".to_string()).chain(peers.iter().cloned()).collect();
    let models = || comparison.models.iter().filter(|model| !model.sides.is_empty());
    let ratio = |side: &Side| side.ratio.map(|ratio| Mark { middle: ratio.median, low: ratio.low, high: ratio.high });
    let ratios: Vec<ratios::Row> =
        models().map(|model| ratios::Row { name: model.model.clone(), ratios: model.sides.iter().skip(1).map(ratio).collect() }).collect();
    let rows = |value: &dyn Fn(&Side) -> Option<f64>| -> Vec<bars::Row> {
        models().map(|model| bars::Row { name: model.model.clone(), values: model.sides.iter().map(value).collect() }).collect()
    };
    let of_limit = rows(&|side| side.of_limit);
    let load = rows(&|side| side.latency_ms.map(|_| side.load_s));
    let memory = rows(&|side| side.latency_ms.map(|_| side.peak_rss_mib));
    let charts = [
        ratios::chart("Latency", "the peer's time over ours, with its interval: right of the red line we are faster", &peers, &ratios),
        bars::chart("Share of the roofline", "the least time on this machine over the time taken", &sides, &of_limit, &|share| {
            format!("{:.0} %", 100.0 * share)
        }),
        bars::chart("Compile time", "from the file to a model that can be called", &sides, &load, &|seconds| format!("{seconds:.2} s")),
        bars::chart("Memory", "peak of the process", &sides, &memory, &|mib| format!("{mib:.0} MiB")),
    ];
    charts.iter().map(|chart| format!("{chart}\n")).collect()
}

fn table(comparison: &Comparison) -> String {
    let head = "model|side|latency ms|interval|p10|ratio to ours|interval|of limit|compile s|memory MiB|error/bound";
    let head: String = head.split('|').map(|cell| format!("<th>{cell}</th>")).collect();
    let rows: String = comparison.models.iter().flat_map(|model| model.sides.iter().map(|side| row(model, side))).collect();
    format!("<table>\n<tr>{head}</tr>\n{rows}</table>\n")
}

fn row(model: &ModelResult, side: &Side) -> String {
    let Some(latency) = side.latency_ms else {
        let why = side.failure.as_deref().unwrap_or_default();
        return format!(
            "<tr><td>{}</td><td>{}</td><td class=\"bad\" title=\"{}\">fails</td></tr>\n",
            escaped(&model.model),
            escaped(&side.name),
            escaped(why)
        );
    };
    let difference = side.difference.as_ref().map_or(String::new(), |difference| {
        let class = if difference.is_small() { "" } else { " class=\"bad\"" };
        let quotient = difference.over_bound.map_or("∞".to_string(), |quotient| format!("{quotient:.3}"));
        format!("<span{class} title=\"{}\">{quotient}</span>", escaped(&difference.output))
    });
    let cells = [
        escaped(&model.model),
        escaped(&format!("{} {}", side.name, side.version)),
        milliseconds(latency.median),
        format!("{}..{}", milliseconds(latency.low), milliseconds(latency.high)),
        milliseconds(side.p10_ms),
        side.ratio.map_or(String::new(), |ratio| format!("{:.3}", ratio.median)),
        side.ratio.map_or(String::new(), |ratio| interval(&ratio)),
        side.of_limit.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share)),
        format!("{:.2}", side.load_s),
        format!("{:.0}", side.peak_rss_mib),
        difference,
    ];
    format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{cell}</td>")).concat())
}

/// What fails and why; nothing where nothing does.
fn failures(comparison: &Comparison) -> String {
    let line = |(model, side, why): (&str, &str, &str)| format!("<li>{}, {}: {}</li>\n", escaped(model), escaped(side), escaped(why));
    let lines: String = comparison.failures().into_iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("<h2>What fails</h2>\n<ul>\n{lines}</ul>\n") }
}

fn kernels(model: &ModelResult) -> String {
    format!(
        "<details open><summary>{}: {}</summary>\n{}\n</details>\n",
        escaped(&model.model),
        escaped(&model.inputs),
        time::chart(&model.model, &model.kernels)
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

/// As the text of an element or the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page without its plots, which are tested where they are made.
    fn without_plots(page: &str) -> String {
        let (mut out, mut rest) = (String::new(), page);
        while let Some((before, after)) = rest.split_once("<svg") {
            out += &format!("{before}<svg/>");
            rest = after.split_once("</svg>").map_or("", |(_, rest)| rest);
        }
        out + rest
    }

    #[test]
    fn the_page_has_every_figure() {
        insta::assert_snapshot!(without_plots(&html(&super::super::result::example())));
    }

    #[test]
    fn names_are_text() {
        let page = html(&super::super::result::example());
        assert!(!page.contains("small<1>") && page.contains("small&lt;1&gt;") && !page.contains("<script"));
    }
}
