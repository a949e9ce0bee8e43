//! The control socket of a mount: other commands ask its process, and touch neither the mount nor the storage.
//!
//! A question is one line of JSON, and so is its answer. A connection that stays open tells its other end when the
//! process lets go of everything.

mod client;
mod server;

use std::fmt;

use indicatif::BinaryBytes;
use serde::{Deserialize, Serialize};

pub(crate) use client::Client;
pub(crate) use server::{Asked, Server};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub(crate) enum Question {
    /// What it is that is mounted.
    About,
    /// How it fares.
    Status,
    /// Of which files something is not in storage yet.
    Unsaved,
    /// To give up what is unsaved of a file, if it could not be stored.
    Discard { file: u64 },
    /// To unmount; with force, whoever uses it.
    Unmount { force: bool },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "camelCase")]
pub(crate) enum Answer {
    About(About),
    /// As `oxcrypt status --json` prints it.
    Status(serde_json::Value),
    /// These are not in storage yet. Where it was to unmount, it stays mounted for that.
    Unsaved(Vec<Left>),
    /// Whether there was anything to give up.
    Discarded(bool),
    /// It is mounted no longer, and the process ends.
    Unmounted,
    /// The same, and what these had unsaved is lost.
    Lost(Vec<Left>),
    /// Somebody uses it. It stays mounted.
    Busy,
    /// Something else went wrong; it is said what.
    Failed(String),
}

/// What it is that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    pub(crate) mountpoint: String,
    pub(crate) vault: String,
    pub(crate) pid: u32,
    /// When it was mounted, in RFC 3339.
    pub(crate) since: String,
    pub(crate) read_only: bool,
    pub(crate) version: String,
    pub(crate) log: Option<String>,
}

/// A file of which something is not in storage. Whoever may ask may also see the mount, so it is told by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Left {
    /// The number by which this process knows it.
    pub(crate) file: u64,
    /// In the vault; `None` where it was removed, and a program still has it open.
    pub(crate) path: Option<String>,
    /// In the vault's folder.
    pub(crate) ciphertext: String,
    pub(crate) bytes: u64,
    /// When it was written to, in RFC 3339.
    pub(crate) written: Option<String>,
    /// Why it could not be stored, where that was tried.
    pub(crate) error: Option<String>,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}")?,
            None => f.write_str("a file that was removed and is still open")?,
        }
        let why = self.error.as_deref().unwrap_or("storage has not answered yet");
        write!(f, ": {} not stored: {why}", BinaryBytes(self.bytes))
    }
}

/// How many files and bytes.
pub(crate) fn in_words(left: &[Left]) -> String {
    let bytes = BinaryBytes(left.iter().map(|left| left.bytes).sum());
    let files = if left.len() == 1 { "file" } else { "files" };
    format!("{} {files} ({bytes})", left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_stay_as_they_are_spelled() {
        let question = serde_json::to_string(&Question::Unmount { force: true }).unwrap();
        assert_eq!(question, r#"{"ask":"unmount","force":true}"#);
        assert_eq!(serde_json::to_string(&Question::About).unwrap(), r#"{"ask":"about"}"#);
        assert_eq!(serde_json::to_string(&Answer::Busy).unwrap(), r#"{"answer":"busy"}"#);
        let question = serde_json::to_string(&Question::Discard { file: 7 }).unwrap();
        assert_eq!(question, r#"{"ask":"discard","file":7}"#);
        let answer = serde_json::to_string(&Answer::Unsaved(Vec::new())).unwrap();
        assert_eq!(answer, r#"{"answer":"unsaved","value":[]}"#);
    }
}
