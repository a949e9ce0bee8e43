//! Programs that have to be there, and how much they are given to do.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether a program is lacking, which is said. In CI nothing may be.
pub(crate) fn lacks(program: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", r#"command -v "$1""#, "sh", program]).stdout(Stdio::null());
    let lacks = !command.status().is_ok_and(|status| status.success());
    if lacks {
        assert!(!in_ci(), "{program} is missing");
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Not `eprintln!`, which a test that passes keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {program} is missing (./scripts/setup test)");
    }
    lacks
}

/// One amount for every day, and another for CI.
pub(crate) fn amount(usual: usize, in_full: usize) -> usize {
    if in_ci() { in_full } else { usual }
}

fn in_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}
