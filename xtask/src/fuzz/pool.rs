//! A worker process as its owner sees it.

use super::job::{Answer, Verdict};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A process that answers one job at a time. It is started again after a crash.
pub struct Worker {
    command: &'static str,
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    /// Runs this program with a command that answers lines.
    pub fn start(name: &'static str) -> Result<Worker> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("a worker can't be started")?;
        let input = child.stdin.take().context("a worker without input")?;
        let output = child.stdout.take().context("a worker without output")?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker { command: name, child, input, answers })
    }

    /// The answer; a worker that dies or takes longer has failed on the job. What counts is the time that it computes, for the machine may
    /// be busy with other things; where that is not known, and for one that only waits, ten times as long on the clock.
    pub fn ask(&mut self, job: &str, timeout: Duration) -> Result<Answer> {
        let sent = writeln!(self.input, "{job}").and_then(|()| self.input.flush());
        let received = if sent.is_ok() { self.wait(timeout) } else { Err(RecvTimeoutError::Disconnected) };
        match received {
            Ok(line) => Answer::read(&line).with_context(|| format!("no answer: {line}")),
            Err(why) => {
                let answer = self.lost(why)?;
                *self = Worker::start(self.command)?;
                Ok(answer)
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<String, RecvTimeoutError> {
        let (start, computed) = (Instant::now(), self.computed());
        loop {
            match self.answers.recv_timeout(Duration::from_secs(1)) {
                Err(RecvTimeoutError::Timeout) => {}
                done => return done,
            }
            if self.computed() > computed + timeout || start.elapsed() > 10 * timeout {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// The processor time of the worker so far: fields 14 and 15 of Linux's `/proc/PID/stat`, in hundredths of a second.
    fn computed(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(10 * ticks)
    }

    fn lost(&mut self, why: RecvTimeoutError) -> Result<Answer> {
        if why == RecvTimeoutError::Timeout {
            self.child.kill()?;
            self.child.wait()?;
            return Ok(Answer::of(Verdict::Hang, "", "no answer in time"));
        }
        let status = self.child.wait()?;
        Ok(Answer::of(Verdict::Crash, "", &status.to_string()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
