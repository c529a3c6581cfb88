//! Where the time of a compile went, and what the cache did for it.

use crate::report::{self, BOLD, DIM};
use driver::{CacheUse, Compiled};
use serde_json::{Value, json};

/// Seconds of each stage of the compiler and, where there was any, of loading, in order.
pub struct Timings {
    stages: Vec<(String, f64)>,
    hits: usize,
    misses: usize,
}

impl Timings {
    /// `load`: seconds of loading what was compiled, None where it was not. A cache that can't be written is told to the user here.
    pub fn new(compiled: &Compiled, load: Option<f64>) -> Timings {
        let CacheUse { hits, misses, problem } = &compiled.cache;
        if let Some(problem) = problem {
            report::remark(&format!("the cache could not be written: {problem}"));
        }
        let stages = compiled.timings.iter().cloned().chain(load.map(|load| ("load".to_string(), load))).collect();
        Timings { stages, hits: *hits, misses: misses.len() }
    }

    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|(_, seconds)| seconds).sum()
    }

    pub fn stages_json(&self) -> Vec<Value> {
        self.stages.iter().map(|(name, seconds)| json!([name, seconds])).collect()
    }

    pub fn cache_json(&self) -> Value {
        json!({ "hits": self.hits, "misses": self.misses })
    }

    /// `; 20 of 22 functions from the cache`, or nothing where no cache was asked.
    pub fn cache_text(&self) -> String {
        let all = self.hits + self.misses;
        if all == 0 { String::new() } else { format!("; {} of {all} functions from the cache", self.hits) }
    }

    /// Every stage with its share.
    pub fn table(&self) -> String {
        let all = self.seconds();
        let row = |(name, seconds): &(String, f64)| vec![name.clone(), report::seconds(*seconds), format!("{:.1}", 100.0 * seconds / all)];
        let rows: Vec<Vec<String>> = self.stages.iter().map(row).collect();
        report::table(&["stage", "time", "%"], &rows, 1)
    }

    /// One line: stages that took at least a hundredth of the whole, and the whole.
    pub fn text(&self) -> String {
        let all = self.seconds();
        let long = self.stages.iter().filter(|(_, seconds)| *seconds >= all / 100.0);
        let parts: Vec<String> = long.map(|(name, seconds)| format!("{name} {}", report::seconds(*seconds))).collect();
        let cache = self.cache_text();
        format!("compiled in {BOLD}{}{BOLD:#} {DIM}({}){DIM:#}{cache}\n", report::seconds(all), parts.join(", "))
    }
}
