//! The limits of time and memory. A thread beside the work looks at both and ends the process, with the usual message and exit code, when
//! one is passed. So they hold for whatever the work is, compiling, generated code or an interpreter, and the work need not take part.

use crate::args::MachineArgs;
use crate::failure::Failure;
use crate::machine::{self, Started};
use crate::report;
use ir::Code;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The longest time between two looks. What is taken meanwhile may lie above the limit of memory.
const PERIOD: Duration = Duration::from_millis(20);

/// What a command may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Seconds since the start of the process.
    pub most_seconds: f64,
    /// Memory that the process has written, without the files that it has mapped.
    pub most_bytes: usize,
}

impl Limits {
    /// Those that a command is given; none of time where it compiles nothing.
    pub fn of(arguments: Option<&MachineArgs>) -> Limits {
        Limits {
            most_seconds: arguments.map_or(f64::INFINITY, |arguments| arguments.max_time),
            most_bytes: arguments.and_then(|arguments| arguments.max_memory).unwrap_or_else(machine::default_memory_limit),
        }
    }

    /// E008 where one is passed.
    fn passed(&self, seconds: f64, bytes: usize) -> Option<Failure> {
        let limit = |text: String| Some(Failure::user(Code::Limit, text));
        match () {
            () if seconds > self.most_seconds => {
                limit(format!("it takes more than {}; --max-time allows more", report::seconds(self.most_seconds)))
            }
            () if bytes > self.most_bytes => {
                limit(format!("it takes more than {} of memory; --max-memory allows more", report::bytes(self.most_bytes)))
            }
            () => None,
        }
    }
}

/// The thread that watches.
pub struct Watchdog {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to watch. `end` tells a failure and ends the process.
    pub fn start(limits: Limits, started: Started, end: impl Fn(&Failure) + Send + 'static) -> Watchdog {
        let (stop, stopped) = channel();
        let watch = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Some(failure) = limits.passed(started.seconds(), machine::own_bytes()) {
                    end(&failure);
                }
            }
        };
        // a system that has no thread to give has other limits
        Watchdog { stop, thread: Builder::new().name("watchdog".to_string()).spawn(watch).ok() }
    }

    /// Ends the watch: either it is over, or it has found a limit passed and this never returns.
    pub fn stop(self) {
        drop(self.stop);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_message() {
        let limits = Limits { most_seconds: 2.0, most_bytes: 1 << 20 };
        let message = |seconds: f64, bytes: usize| limits.passed(seconds, bytes).map(|failure| failure.problems[0].message.clone());
        assert_eq!(message(2.0, 1 << 20), None);
        assert_eq!(message(2.1, 0).unwrap(), "it takes more than 2.00 s; --max-time allows more");
        assert_eq!(message(0.0, (1 << 20) + 1).unwrap(), "it takes more than 1.00 MiB of memory; --max-memory allows more");
        assert_eq!(limits.passed(9.0, 0).unwrap().exit_code, 3);
    }
}
