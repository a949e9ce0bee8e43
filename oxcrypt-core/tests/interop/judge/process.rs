//! The process that answers.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use std::{fs, io};

use serde_json::Value;

use super::program::Program;

/// How long it may take to start.
const START: Duration = Duration::from_mins(1);

/// Is killed when dropped.
pub(super) struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Process {
    /// Starts it, and says who judges.
    pub(super) fn start(program: &Program) -> (Self, Value) {
        let mut child = program.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, answers) = mpsc::channel();
        thread::spawn(move || BufReader::new(stdout).lines().try_for_each(|line| send.send(line)));
        let process = Self { child, questions, answers };
        let Some(versions) = process.next(START) else {
            panic!("it does not start: {}", fs::read_to_string(program.errors()).unwrap_or_default())
        };
        (process, versions)
    }

    /// Nothing if no answer came in time, or none will come.
    pub(super) fn ask(&mut self, question: &Value, limit: Duration) -> Option<Value> {
        writeln!(self.questions, "{question}").ok()?;
        self.next(limit)
    }

    fn next(&self, limit: Duration) -> Option<Value> {
        let line = self.answers.recv_timeout(limit).ok()?.ok()?;
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
