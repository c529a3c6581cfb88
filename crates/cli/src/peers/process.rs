//! A side of the comparison: a process that holds a model and answers requests, JSON documents of one line each. It works only while it
//! is asked; between requests it is stopped, so that none of its threads takes time from the others.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Process {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, and waits for what it says when it is ready. The error is a document with `error`, a text, and maybe more.
    pub fn start(command: &mut Command) -> Result<(Process, Value), Value> {
        let mut process = Process::spawn(command).map_err(|why| error(&format!("{:?}: {why}", command.get_program())))?;
        let ready = process.answer()?;
        Ok((process, ready))
    }

    fn spawn(command: &mut Command) -> io::Result<Process> {
        // SAFETY: the call is one that a forked process may make.
        unsafe { command.pre_exec(end_with_parent) };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => Ok(Process { child, requests, answers: BufReader::new(answers) }),
            _ => Err(io::Error::other("it has no pipes")),
        }
    }

    /// The answer to a request, of this process alone.
    pub fn ask(&mut self, request: &Value) -> Result<Value, Value> {
        self.signal(libc::SIGCONT);
        writeln!(self.requests, "{request}").map_err(|why| error(&why.to_string()))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, Value> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        self.signal(libc::SIGSTOP);
        match read {
            Ok(0) => Err(error("it ended without an answer")),
            Ok(_) => {
                let answer: Value = serde_json::from_str(&line).map_err(|why| error(&format!("its answer is no JSON: {why}")))?;
                match &answer["errors"][0]["message"] {
                    // the report of a command that failed
                    Value::String(message) => Err(serde_json::json!({ "error": message, "exit_code": answer["exit_code"] })),
                    _ if answer.get("error").is_some() => Err(answer),
                    _ => Ok(answer),
                }
            }
            Err(why) => Err(error(&why.to_string())),
        }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the call takes no memory; the process is a child that was not waited for, so its number is its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stopped process would outlive a parent that is killed.
fn end_with_parent() -> io::Result<()> {
    // SAFETY: the call takes no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn error(text: &str) -> Value {
    serde_json::json!({ "error": text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shell(script: &str) -> Result<(Process, Value), Value> {
        Process::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn requests_are_answered_in_order() {
        let (mut process, ready) = shell(r#"echo '{"version": "1"}'; while read line; do echo "[$line]"; done"#).unwrap();
        assert_eq!(ready, json!({ "version": "1" }));
        for request in [json!(1), json!({ "run": 0.5 })] {
            assert_eq!(process.ask(&request), Ok(json!([request])));
        }
    }

    #[test]
    fn failures_are_told() {
        let error = |script: &str| shell(script).err().unwrap()["error"].as_str().unwrap().to_string();
        assert_eq!(error("exit 1"), "it ended without an answer");
        assert_eq!(error(r#"echo '{"error": "no such op"}'"#), "no such op");
        assert!(error("echo hello").starts_with("its answer is no JSON"));
        let (mut process, _) = shell("echo '{}'; read line").unwrap();
        assert!(process.ask(&json!(1)).is_err());
    }

    #[test]
    fn it_stands_still_between_requests() {
        let (process, _) = shell("echo '{}'; while true; do :; done").unwrap();
        let state = || {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", process.child.id())).unwrap();
            text.rsplit_once(") ").unwrap().1.chars().next()
        };
        while state() != Some('T') {
            std::thread::yield_now();
        }
    }
}
