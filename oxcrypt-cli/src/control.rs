//! The control socket of a mount: other commands ask its process, and touch neither the mount nor the storage.
//!
//! A question is one line of JSON, and so is its answer. A connection that stays open tells its other end when the
//! process lets go of everything.

mod client;
mod server;

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
    /// It is mounted no longer, and the process ends.
    Unmounted,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_stay_as_they_are_spelled() {
        let question = serde_json::to_string(&Question::Unmount { force: true }).unwrap();
        assert_eq!(question, r#"{"ask":"unmount","force":true}"#);
        assert_eq!(serde_json::to_string(&Question::About).unwrap(), r#"{"ask":"about"}"#);
        assert_eq!(serde_json::to_string(&Answer::Busy).unwrap(), r#"{"answer":"busy"}"#);
    }
}
