//! What a comparison found. The structs are the JSON document too.

use super::statistics::{self, Interval};
use crate::roofline::{Ceilings, KernelShare};
use driver::Work;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub processor: String,
    pub threads: usize,
    /// Width of our vectors.
    pub vector_bits: u32,
    /// How our side was compiled, in words.
    pub ours: String,
    /// `f32`, or `default` where peers may choose.
    pub peer_precision: String,
    pub rounds: usize,
    /// How likely each interval holds its median.
    pub coverage: f64,
    pub ceilings: Ceilings,
    pub summary: Option<Summary>,
    pub models: Vec<ModelResult>,
}

/// How many times as fast as the best peer we are, over all models that have one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub models: usize,
    pub geometric_mean: f64,
    pub least: f64,
    pub least_model: String,
}

/// A model; without sides where ours can't be timed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelResult {
    pub model: String,
    pub failure: Option<ModelFailure>,
    /// How the inputs came about.
    pub inputs: String,
    /// Operations on floats, and the bytes that must be read and written once: inputs, outputs, weights.
    pub gflop: Option<f64>,
    pub mbytes: Option<f64>,
    /// The least time that both take on this machine.
    pub least_ms: Option<f64>,
    /// Ours first.
    pub sides: Vec<Side>,
    /// Where our time goes, longest first.
    pub kernels: Vec<KernelShare>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFailure {
    pub error: String,
    pub exit_code: u8,
}

/// A framework with a model; with nothing but a failure where it can't load or run it. One that fails after its calls were timed keeps the
/// times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Side {
    pub name: String,
    pub version: String,
    /// The width that its vectors are held to; None where they are as wide as the processor has them.
    pub vector_bits: Option<u64>,
    pub failure: Option<String>,
    /// Median of the rounds' medians.
    pub latency_ms: Option<Interval>,
    /// A tenth of all calls are faster.
    pub p10_ms: f64,
    pub rounds_ms: Vec<f64>,
    /// Its time over ours, round by round; None for ours.
    pub ratio: Option<Interval>,
    /// From the file to a model that can be called; nothing is taken from a cache.
    pub load_s: f64,
    /// Of the whole process.
    pub peak_rss_mib: f64,
    /// Share of the roofline: `least_ms` over the latency.
    pub of_limit: Option<f64>,
    /// How far its outputs are from ours; None for ours.
    pub difference: Option<Difference>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The output where it is largest.
    pub output: String,
    /// Over the bound of rounding errors; None where one is infinite or no number and the other not.
    pub over_bound: Option<f64>,
}

impl Comparison {
    /// (model, side, why) of all that fails.
    pub fn failures(&self) -> Vec<(&str, &str, &str)> {
        self.models.iter().flat_map(ModelResult::failures).collect()
    }
}

impl Difference {
    pub fn is_small(&self) -> bool {
        self.over_bound.is_some_and(|quotient| quotient <= 1.0)
    }
}

impl ModelResult {
    fn failures(&self) -> Vec<(&str, &str, &str)> {
        let ours = self.failure.iter().map(|failure| (self.model.as_str(), "inkle", failure.error.as_str()));
        let peers = self.sides.iter().filter_map(|side| Some((self.model.as_str(), side.name.as_str(), side.failure.as_deref()?)));
        ours.chain(peers).collect()
    }

    pub fn ours(&self) -> Option<&Side> {
        self.sides.first()
    }

    /// The peer with the least latency.
    pub fn best_peer(&self) -> Option<&Side> {
        let peers = self.sides.iter().skip(1).filter(|side| side.ratio.is_some());
        let median = |side: &Side| side.latency_ms.map_or(f64::INFINITY, |latency| latency.median);
        peers.min_by(|a, b| median(a).total_cmp(&median(b)))
    }

    /// Needs: `gflop` and `mbytes` are known, where they can be.
    pub fn with_limits(mut self, ceilings: &Ceilings) -> ModelResult {
        let work = self.gflop.zip(self.mbytes).map(|(gflop, mbytes)| Work { flops: gflop * 1e9, bytes: mbytes * 1e6 });
        self.least_ms = work.map(|work| ceilings.least_seconds(&work) * 1e3).filter(|least| least.is_finite());
        self.kernels = self.kernels.into_iter().map(|kernel| kernel.within(ceilings)).collect();
        for side in &mut self.sides {
            side.of_limit = self.least_ms.zip(side.latency_ms).map(|(least, latency)| least / latency.median);
        }
        self
    }
}

impl Side {
    pub fn failed(name: &str, failure: String) -> Side {
        Side { name: name.to_string(), failure: Some(failure), ..Side::default() }
    }

    /// The numbers of rounds: for each, the seconds of its calls. `ours` are our rounds in ms, none for our own side.
    pub fn with_rounds(mut self, rounds: &[Vec<f64>], ours: &[f64]) -> Side {
        self.rounds_ms = rounds.iter().map(|calls| statistics::median(calls) * 1e3).collect();
        self.latency_ms = statistics::interval(&self.rounds_ms);
        self.p10_ms = statistics::quantile(&rounds.concat(), 0.1) * 1e3;
        let ratios: Vec<f64> = self.rounds_ms.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
        self.ratio = statistics::interval(&ratios);
        self
    }
}

/// None where no model has a peer.
pub fn summary(models: &[ModelResult]) -> Option<Summary> {
    let ratio = |model: &ModelResult| Some((model.best_peer()?.ratio?.median, model.model.clone()));
    let ratios: Vec<(f64, String)> = models.iter().filter_map(ratio).collect();
    let (least, least_model) = ratios.iter().min_by(|a, b| a.0.total_cmp(&b.0))?.clone();
    let geometric_mean = statistics::geometric_mean(&ratios.iter().map(|(ratio, _)| *ratio).collect::<Vec<_>>())?;
    Some(Summary { models: ratios.len(), geometric_mean, least, least_model })
}

/// Two models for tests: one that a peer fails on, and one that our side fails on.
#[cfg(test)]
pub fn example() -> Comparison {
    use crate::bandwidth::ReadSpeeds;
    use crate::roofline::LaunchShare;
    let ours = Side { name: "inkle".to_string(), version: "1.0".to_string(), load_s: 0.25, peak_rss_mib: 50.0, ..Side::default() };
    let ours = ours.with_rounds(&[vec![0.002, 0.002], vec![0.002, 0.003, 0.004]], &[]);
    let difference = Difference { output: "y".to_string(), over_bound: Some(0.01) };
    let fast = Side { name: "onnxruntime".to_string(), version: "1.2".to_string(), load_s: 0.5, peak_rss_mib: 100.0, ..Side::default() };
    let fast = Side { difference: Some(difference), ..fast }.with_rounds(&[vec![0.004], vec![0.003]], &ours.rounds_ms);
    let kernel = |kernel: &str, ms, runs| KernelShare {
        kernel: kernel.to_string(),
        label: "/Conv + /Relu".to_string(),
        ms,
        least_ms: None,
        launches: vec![LaunchShare { runs, gflop: Some(0.075), mbytes: Some(0.5) }],
    };
    let small = ModelResult {
        model: "small<1>".to_string(),
        inputs: "inputs: drawn".to_string(),
        gflop: Some(0.1),
        mbytes: Some(0.5),
        sides: vec![ours, fast, Side::failed("openvino", "no such op: Loop & If".to_string())],
        kernels: vec![kernel("k1", 1.5, Some(1.0)), kernel("k0", 0.5, None)],
        ..ModelResult::default()
    };
    let failure = Some(ModelFailure { error: "E006: no such op".to_string(), exit_code: 4 });
    let models = vec![small, ModelResult { model: "other".to_string(), failure, ..ModelResult::default() }];
    let ceilings = Ceilings { flops_per_s: 1e11, read_bytes_per_s: ReadSpeeds(vec![(1e6, 1e11), (1e8, 1e10)]) };
    Comparison {
        processor: "a processor".to_string(),
        threads: 2,
        vector_bits: 512,
        ours: "f32".to_string(),
        peer_precision: "f32".to_string(),
        rounds: 2,
        coverage: statistics::coverage(2),
        summary: summary(&models),
        models: models.into_iter().map(|model| model.with_limits(&ceilings)).collect(),
        ceilings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let comparison = example();
        let (ours, best) = (&comparison.models[0].sides[0], comparison.models[0].best_peer().unwrap());
        assert_eq!(ours.rounds_ms, [2.0, 3.0]);
        assert_eq!((ours.ratio, best.ratio), (None, Some(Interval { median: 1.5, low: 1.0, high: 2.0 })));
        // 0.1 Gflop at 100 Gflop/s
        assert_eq!((comparison.models[0].least_ms, ours.of_limit), (Some(1.0), Some(0.4)));
        assert_eq!(comparison.models[0].kernels.iter().map(|kernel| kernel.least_ms).collect::<Vec<_>>(), [Some(0.75), None]);
        let summary = comparison.summary.unwrap();
        assert_eq!((summary.models, summary.least, summary.least_model.as_str()), (1, 1.5, "small<1>"));
    }
}
