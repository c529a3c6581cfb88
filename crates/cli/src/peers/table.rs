//! What a comparison found, for a terminal.

use super::result::{Comparison, ModelResult, Side};
use super::statistics::Interval;
use crate::report::{self, BOLD, RED};
use std::collections::BTreeMap;

/// A row for each model, then what holds for all.
pub fn text(comparison: &Comparison) -> String {
    let peers = peer_names(comparison);
    let columns = ["model", "inkle ms"].into_iter().map(String::from);
    let columns = columns.chain(peers.iter().map(|peer| format!("{peer} ms")));
    let interval = format!("{:.0} % interval", 100.0 * comparison.coverage);
    let columns = columns.chain(["best/inkle", &interval, "of limit", "error/bound"].map(String::from));
    let columns: Vec<String> = columns.collect();
    let rows: Vec<Vec<String>> = comparison.models.iter().filter(|model| model.failure.is_none()).map(|model| row(model, &peers)).collect();
    let head: Vec<&str> = columns.iter().map(String::as_str).collect();
    let failures = comparison.failures().into_iter().map(|(model, side, why)| format!("{RED}{side} fails{RED:#} on {model}: {why}\n"));
    let mut text = report::table(&head, &rows, 1) + &failures.collect::<String>();
    if let Some(summary) = &comparison.summary {
        text += &format!(
            "{BOLD}{:.3}{BOLD:#} times as fast as the best peer, geometric mean of {} models; least {:.3} ({})\n",
            summary.geometric_mean, summary.models, summary.least, summary.least_model
        );
    }
    text + &machine_text(comparison) + "\n"
}

/// `2 threads of AMD ..: 236 Gflop/s in registers, 40.1 GB/s from memory`
pub fn machine_text(comparison: &Comparison) -> String {
    let ceilings = &comparison.ceilings;
    format!(
        "{} threads of {}: {:.0} Gflop/s of f32 in registers, {:.1} GB/s read from memory{}",
        comparison.threads,
        comparison.processor,
        ceilings.flops_per_s / 1e9,
        ceilings.read_bytes_per_s.memory() / 1e9,
        vectors_text(comparison)
    )
}

/// Who is held to our vectors, where these are not the widest; nothing where they are.
fn vectors_text(comparison: &Comparison) -> String {
    let bits = comparison.vector_bits;
    if bits >= 512 {
        return String::new();
    }
    let sides: BTreeMap<&str, bool> = comparison
        .models
        .iter()
        .flat_map(|model| &model.sides)
        .filter(|side| side.latency_ms.is_some())
        .map(|side| (side.name.as_str(), side.vector_bits.is_some()))
        .collect();
    let names = |held: bool| sides.iter().filter(|side| *side.1 == held).map(|side| *side.0).collect::<Vec<_>>().join(", ");
    let free = names(false);
    let rest = if free.is_empty() { String::new() } else { format!("; as wide as the processor has them: {free}") };
    format!("\nvectors of {bits} bits at most: {}{rest}", names(true))
}

/// The peers of all models, in order.
pub fn peer_names(comparison: &Comparison) -> Vec<String> {
    let model = comparison.models.iter().find(|model| !model.sides.is_empty());
    model.map_or(vec![], |model| model.sides.iter().skip(1).map(|side| side.name.clone()).collect())
}

fn row(model: &ModelResult, peers: &[String]) -> Vec<String> {
    let latency = |side: Option<&Side>| match side {
        Some(Side { latency_ms: Some(latency), .. }) => milliseconds(latency.median),
        _ => "fails".to_string(),
    };
    let ratio = model.best_peer().and_then(|peer| peer.ratio);
    let peer = |name: &String| latency(model.sides.iter().find(|side| side.name == *name));
    let worst =
        model.sides.iter().filter_map(|side| side.difference.as_ref()).map(|difference| difference.over_bound.unwrap_or(f64::INFINITY));
    let cells = [model.model.clone(), latency(model.ours())].into_iter().chain(peers.iter().map(peer));
    let last = [
        ratio.map_or(String::new(), |ratio| format!("{:.3}", ratio.median)),
        ratio.map_or(String::new(), |ratio| interval(&ratio)),
        model.ours().and_then(|side| side.of_limit).map_or(String::new(), |share| format!("{:.0} %", 100.0 * share)),
        worst.reduce(f64::max).map_or(String::new(), |worst| format!("{worst:.2}")),
    ];
    cells.chain(last).collect()
}

/// `1.020..1.134`
pub fn interval(interval: &Interval) -> String {
    format!("{:.3}..{:.3}", interval.low, interval.high)
}

/// Three digits or more.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms if ms >= 10.0 => format!("{ms:.1}"),
        ms if ms >= 1.0 => format!("{ms:.2}"),
        ms => format!("{ms:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_vectors_are_told() {
        let mut comparison = super::super::result::example();
        comparison.vector_bits = 256;
        comparison.models[0].sides[0].vector_bits = Some(256);
        let want = "\nvectors of 256 bits at most: inkle; as wide as the processor has them: onnxruntime";
        assert_eq!(vectors_text(&comparison), want);
    }

    #[test]
    fn a_row_for_each_model() {
        let text = anstream::adapter::strip_str(&text(&super::super::result::example())).to_string();
        let want = "\
model     inkle ms  onnxruntime ms  openvino ms  best/inkle  50 % interval  of limit  error/bound
small<1>      2.50            3.50        fails       1.500   1.000..2.000      40 %         0.01
openvino fails on small<1>: no such op: Loop & If
inkle fails on other: E006: no such op
1.500 times as fast as the best peer, geometric mean of 1 models; least 1.500 (small<1>)
2 threads of a processor: 100 Gflop/s of f32 in registers, 10.0 GB/s read from memory
";
        assert_eq!(text, want);
    }
}
