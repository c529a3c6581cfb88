//! What the system tells of this machine and this process.

use std::env;
use std::fs::read_to_string;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// When the process started.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// When `main` began.
    main: Instant,
    /// The time before it: loading the program and its libraries.
    before: Duration,
}

impl Started {
    /// To be called first of all.
    pub fn now() -> Started {
        let main = Instant::now();
        // time on a processor, and time waiting for one
        let text = read_to_string("/proc/self/schedstat").unwrap_or_default();
        let nanoseconds = text.split_whitespace().take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Started { main, before: Duration::from_nanos(nanoseconds) }
    }

    pub fn seconds(&self) -> f64 {
        (self.main.elapsed() + self.before).as_secs_f64()
    }
}

/// The most memory that the process has held so far, in MiB.
pub fn peak_rss_mib() -> Option<f64> {
    field_kib("/proc/self/status", "VmHWM:").map(|kib| kib as f64 / 1024.0)
}

/// The memory that the process holds for itself, in bytes: without the files that it has mapped. 0 where the system does not tell.
pub fn own_bytes() -> usize {
    field_kib("/proc/self/status", "RssAnon:").unwrap_or(0) << 10
}

/// Three quarters of the memory that the process may use.
pub fn default_memory_limit() -> usize {
    let physical = field_kib("/proc/meminfo", "MemTotal:").map_or(usize::MAX, |kib| kib << 10);
    let group = read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    physical.min(group.unwrap_or(usize::MAX)) / 4 * 3
}

/// A line `NAME   123 kB` of a file.
fn field_kib(path: &str, name: &str) -> Option<usize> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Where the user's caches are kept; None where the environment does not say. A relative `XDG_CACHE_HOME` is to be ignored.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("inkle"))
}

/// What the processor calls itself.
pub fn processor() -> String {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("an unknown processor".to_string(), |(_, name)| name.trim().to_string())
}

/// How many threads can work at a time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
