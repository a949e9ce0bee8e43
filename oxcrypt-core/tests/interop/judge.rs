//! The official implementation, asked.

// By their paths, because the tests of the command have this file in another place of their own.
#[path = "judge/jdk.rs"]
mod jdk;
#[path = "judge/process.rs"]
mod process;
#[path = "judge/program.rs"]
mod program;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use self::jdk::Jdk;
use self::process::Process;
use self::program::Program;
use crate::command::{say, wanted};
use crate::manifest::{Manifest, listed};
use crate::operation::{Operation, Outcome};
use crate::suite::Suite;

/// How long one answer may take; the longest takes a second.
const LIMIT: Duration = Duration::from_secs(30);

/// After which the process is taken for dead. It gives up by itself before.
const HARD_LIMIT: Duration = Duration::from_secs(45);

/// One process for all tests of this binary. They take turns.
pub(crate) struct Judge {
    program: Program,
    process: Mutex<Option<Process>>,
}

/// A vault's folder, and what unlocks it.
pub(crate) struct Access {
    pub(crate) path: PathBuf,
    pub(crate) secret: Secret,
}

pub(crate) enum Secret {
    Key([u8; 64]),
    Passphrase(&'static str),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The vault as a whole cannot be used, and the exception that says so.
    Refused(String),
    /// Where it hangs.
    Hangs(String),
}

/// What the health checks found, but for what is good.
#[derive(Debug)]
pub(crate) struct Health {
    /// How many results were good.
    pub(crate) good: u64,
    /// Severity, check, and what it is.
    pub(crate) findings: Vec<(String, String, String)>,
}

impl Judge {
    /// The judge, unless this machine cannot have one: then the test is skipped, visibly.
    pub(crate) fn get() -> Option<&'static Self> {
        static JUDGE: OnceLock<Result<Judge, String>> = OnceLock::new();
        wanted("the official implementation", &JUDGE, Self::appoint)
    }

    fn appoint() -> Result<Self, String> {
        let program = Program::build(Jdk::find()?)?;
        let (process, versions) = Process::start(&program);
        let version = |of: &str| versions[of].as_str().unwrap().to_owned();
        say(&format!("judged by cryptofs {} on Java {}", version("cryptofs"), version("java")));
        Ok(Self { program, process: Mutex::new(Some(process)) })
    }

    /// Has official code make an empty vault in a new folder.
    pub(crate) fn create(&self, access: &Access, suite: Suite) {
        let details = json!({"combo": suite.combo.name(), "threshold": suite.threshold});
        self.ask("create", access, details, LIMIT).unwrap();
    }

    /// Has official code change the passphrase.
    pub(crate) fn change_passphrase(&self, access: &Access, new: &str) {
        self.ask("passphrase", access, json!({"new": new}), LIMIT).unwrap();
    }

    /// All that official code sees.
    pub(crate) fn list(&self, access: &Access) -> Manifest {
        let answer = self.ask("list", access, json!({}), LIMIT).unwrap();
        let manifest = listed(&answer);
        assert_eq!(answer.as_array().unwrap().len(), manifest.len(), "an entry is listed twice: {answer}");
        manifest
    }

    /// The official health checks, all of them.
    pub(crate) fn health(&self, access: &Access) -> Health {
        let answer = self.ask("health", access, json!({}), LIMIT).unwrap();
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        let findings = answer["findings"].as_array().unwrap().iter();
        let findings = findings
            .map(|finding| (text(finding, "severity"), text(finding, "check"), text(finding, "finding")));
        Health { good: answer["good"].as_u64().unwrap(), findings: findings.collect() }
    }

    /// Has official code repair whatever its health checks find and can repair, and tells how much that was.
    pub(crate) fn repair(&self, access: &Access) -> u64 {
        self.ask("repair", access, json!({}), LIMIT).unwrap().as_u64().unwrap()
    }

    /// Has official code open the vault, change it, and close it.
    pub(crate) fn apply(&self, access: &Access, operations: &[Operation]) -> Vec<Outcome> {
        self.try_apply(access, operations, LIMIT).unwrap()
    }

    pub(crate) fn try_apply(
        &self,
        access: &Access,
        operations: &[Operation],
        limit: Duration,
    ) -> Result<Vec<Outcome>, Trouble> {
        let operations: Vec<Value> = operations.iter().map(Operation::to_json).collect();
        let answer = self.ask("apply", access, json!({"operations": operations}), limit)?;
        let outcomes = answer.as_array().unwrap().iter();
        Ok(outcomes.map(|outcome| Outcome::parse(outcome.as_str().unwrap())).collect())
    }

    fn ask(
        &self,
        ask: &str,
        access: &Access,
        mut question: Value,
        limit: Duration,
    ) -> Result<Value, Trouble> {
        question["ask"] = ask.into();
        question["vault"] = access.path.to_str().unwrap().into();
        question["limit"] = u64::try_from(limit.as_millis()).unwrap().into();
        match &access.secret {
            Secret::Key(key) => question["key"] = HEXLOWER.encode(key).into(),
            Secret::Passphrase(passphrase) => question["passphrase"] = (*passphrase).into(),
        }
        let mut place = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // It goes back only if it can answer another question.
        let mut process = place.take().unwrap_or_else(|| Process::start(&self.program).0);
        let Some(mut answer) = process.ask(&question, HARD_LIMIT) else {
            let errors = fs::read_to_string(self.program.errors()).unwrap_or_default();
            panic!("no answer to {ask}: {errors}")
        };
        if let Some(place) = answer.get("timeout") {
            return Err(Trouble::Hangs(place.as_str().unwrap().to_owned()));
        }
        *place = Some(process);
        match answer.get("refused") {
            Some(why) => Err(Trouble::Refused(why.as_str().unwrap().to_owned())),
            None => Ok(answer["answer"].take()),
        }
    }
}

impl Health {
    /// Whether all is good, and the checks have looked at something.
    pub(crate) fn is_perfect(&self) -> bool {
        self.findings.is_empty() && self.good > 0
    }

    /// Whether nothing was found that is more than a remark.
    pub(crate) fn is_sound(&self) -> bool {
        let mut remarks = self.findings.iter().map(|(severity, ..)| severity == "INFO");
        self.good + remarks.len() as u64 > 0 && remarks.all(|is_remark| is_remark)
    }
}
