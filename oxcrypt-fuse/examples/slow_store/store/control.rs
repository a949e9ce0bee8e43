//! The control channel: a unix socket, on which every line is a command and every answer a line of JSON.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use serde_json::{Value, json};

use super::Event;
use super::controls::Controls;
use super::counters::{Counters, lossy};
use super::gate::Gate;
use super::op::Op;
use super::rule::Verdict;
use super::units;

/// What commands act upon.
pub(crate) struct Control {
    pub(crate) gate: Arc<Gate>,
    pub(crate) counters: Arc<Counters>,
    /// Missing where the kernel does not let us have them.
    pub(crate) kernel: Option<Arc<Controls>>,
    pub(crate) connection: u32,
    pub(crate) events: Sender<Event>,
}

impl Control {
    /// Answers on a socket, with a thread for each connection, until the process ends.
    pub(crate) fn serve(self, listener: UnixListener) {
        let control = Arc::new(self);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let control = Arc::clone(&control);
                thread::spawn(move || control.converse(&stream));
            }
        });
    }

    fn converse(&self, stream: &UnixStream) {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let answer = self.answer(&line).unwrap_or_else(|error| json!({"ok": false, "error": error}));
            let mut out = stream;
            if writeln!(out, "{answer}").is_err() {
                break;
            }
            if line.trim() == "quit" {
                // Only now: the process may be gone before the next line of this function.
                let _ = self.events.send(Event::Quit);
            }
        }
    }

    fn answer(&self, line: &str) -> Result<Value, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["pass" | "freeze" | "delay" | "fail", ..] => json!({"rule": self.gate.add(line.parse()?)}),
            ["thaw", rest @ ..] => {
                let (rules, requests) = self.gate.thaw(rule(rest)?);
                json!({"rules": rules, "released": requests})
            }
            ["remove", rest @ ..] => json!({"rules": self.gate.remove(rule(rest)?)}),
            ["release", rest @ ..] => json!({"released": self.gate.release(rule(rest)?, Verdict::Go)}),
            ["answer", errno, rest @ ..] => {
                let verdict = Verdict::Fail(units::errno(errno)?);
                json!({"released": self.gate.release(rule(rest)?, verdict)})
            }
            ["await", what, count, time] => self.wait(what, count, time)?,
            ["counters"] => json!({"ops": self.counters.to_json()}),
            ["counters", "files"] => {
                json!({"ops": self.counters.to_json(), "files": self.counters.files_to_json()})
            }
            ["reset"] => {
                self.counters.reset();
                json!({})
            }
            ["rules"] => {
                let rules = self.gate.rules().into_iter();
                json!({"rules": rules.map(|(id, text)| json!({"id": id, "text": text})).collect::<Vec<_>>()})
            }
            ["held"] => json!({"held": self.held()}),
            ["status"] => self.status(),
            ["quit"] => json!({}),
            _ => return Err(format!("{line:?} is no command; slow_store --help has them")),
        };
        Ok(with_ok(answer))
    }

    /// Waits for what a test waits for, so that it need not sleep.
    fn wait(&self, what: &str, count: &str, time: &str) -> Result<Value, String> {
        let (count, time) =
            (count.parse::<u64>().map_err(|_| format!("{count:?} is no number"))?, units::duration(time)?);
        let reached = if what == "held" {
            self.gate.await_held(usize::try_from(count).unwrap_or(usize::MAX), time) as u64
        } else {
            let op = Op::ALL.into_iter().find(|op| op.name() == what);
            self.counters.await_arrived(
                op.ok_or_else(|| format!("{what:?} is nothing to wait for"))?,
                count,
                time,
            )
        };
        if reached < count {
            Err(format!("{what}: {reached}, not {count}"))
        } else {
            Ok(json!({what: reached}))
        }
    }

    fn held(&self) -> Vec<Value> {
        let row = |waiting: super::gate::Waiting| {
            json!({
                "rule": waiting.rule,
                "op": waiting.op.name(),
                "path": lossy(&waiting.path),
                "offset": waiting.bytes.as_ref().map(|bytes| bytes.start),
                "size": waiting.bytes.as_ref().map(|bytes| bytes.end - bytes.start),
                "age_ms": u64::try_from(waiting.age.as_millis()).unwrap_or(u64::MAX),
            })
        };
        self.gate.waiting().into_iter().map(row).collect()
    }

    fn status(&self) -> Value {
        let kernel = |read: fn(&Controls) -> io::Result<u64>| {
            self.kernel.as_ref().and_then(|kernel| read(kernel).ok())
        };
        json!({
            "pid": std::process::id(),
            "connection": self.connection,
            "held": self.gate.held(),
            "kernel_waiting": kernel(Controls::waiting),
            "max_background": kernel(Controls::max_background),
        })
    }
}

/// Binds a socket; one that a dead store has left there is replaced.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Sends one command and returns its answer; after `quit`, once the store is gone.
pub(crate) fn send(socket: &Path, command: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{command}")?;
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    if command == "quit" {
        while let Some(Ok(_)) = lines.next() {}
    }
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// Reads the number of a rule; nothing means all.
fn rule(words: &[&str]) -> Result<Option<u64>, String> {
    match words {
        [] | ["all"] => Ok(None),
        [id] => id.parse().map(Some).map_err(|_| format!("{id:?} is no rule's number")),
        _ => Err("one rule at a time, or all".to_owned()),
    }
}

fn with_ok(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("ok".to_owned(), Value::Bool(true));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::super::gate::Admission;
    use super::super::rule::Call;
    use super::*;

    fn control() -> (Control, Receiver<Event>) {
        let (events, received) = channel();
        let counters = Arc::new(Counters::default());
        let gate = Arc::new(Gate::new(Arc::clone(&counters)));
        (Control { gate, counters, kernel: None, connection: 7, events }, received)
    }

    #[test]
    fn commands_make_rules_and_tell_of_them() {
        let (control, _events) = control();
        assert_eq!(control.answer("freeze  read *.c9r"), Ok(json!({"ok": true, "rule": 1})));
        assert_eq!(control.answer("fail EIO all x times=2"), Ok(json!({"ok": true, "rule": 2})));
        let rules = json!([
            {"id": 1, "text": "freeze read *.c9r"},
            {"id": 2, "text": "fail EIO all x times=2 (times left: 2)"},
        ]);
        assert_eq!(control.answer("rules"), Ok(json!({"ok": true, "rules": rules})));
        let call = Call { op: Op::Read, path: b"a.c9r", other: None, bytes: Some(4..10), file_len: &|| None };
        assert!(matches!(control.gate.admit(&call, |_| ()), Admission::Held));
        let held = &control.answer("held").unwrap()["held"][0];
        assert_eq!((&held["path"], &held["offset"], &held["size"]), (&json!("a.c9r"), &json!(4), &json!(6)));
        assert_eq!(control.answer("await held 1 1s"), Ok(json!({"ok": true, "held": 1})));
        assert!(control.answer("await held 2 1ms").is_err());
        assert_eq!(control.answer("status").unwrap()["held"], 1);
        assert_eq!(control.answer("thaw 1"), Ok(json!({"ok": true, "rules": 1, "released": 1})));
        assert_eq!(control.answer("remove all"), Ok(json!({"ok": true, "rules": 1})));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let (control, _events) = control();
        for line in [
            "",
            "freez read *",
            "freeze",
            "thaw x",
            "thaw 1 2",
            "answer",
            "await held",
            "await x 1 1s",
            "quit now",
        ] {
            assert!(control.answer(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_client_talks_through_the_socket_which_survives_a_dead_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(listen(&path).unwrap());
        let listener = listen(&path).unwrap();
        assert!(listen(&path).is_err(), "a store that lives keeps its socket");
        let (control, events) = control();
        control.serve(listener);
        assert_eq!(send(&path, "freeze read *").unwrap(), json!({"ok": true, "rule": 1}));
        assert_eq!(send(&path, "nonsense").unwrap()["ok"], json!(false));
        let mut quitting = UnixStream::connect(&path).unwrap();
        writeln!(quitting, "quit").unwrap();
        assert!(matches!(events.recv(), Ok(Event::Quit)));
    }
}
