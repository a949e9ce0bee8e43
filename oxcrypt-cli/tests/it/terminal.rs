//! The command on a terminal of its own, with somebody who types.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::command::skip;

/// Runs a command of the shell. Whenever a prompt of `talk` was shown, what belongs to it is typed. Returns the exit code
/// and all that was shown; `None` where there is no way to make a terminal, which is said.
pub(crate) fn on_a_terminal(command: &str, talk: &[(&str, &str)]) -> Option<(Option<i32>, String)> {
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", command, "/dev/null"]).env("PASSPHRASE", "passphrase");
    let spawned = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        skip("there is no `script` to make a terminal with");
        return None;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    for (prompt, typed) in talk {
        let mut byte = [0];
        // Typed before anybody asks, Ctrl-C would be somebody else's.
        while !shown.ends_with(prompt.as_bytes()) && stdout.read(&mut byte).unwrap() > 0 {
            shown.push(byte[0]);
        }
        if shown.ends_with(prompt.as_bytes()) {
            stdin.write_all(typed.as_bytes()).unwrap();
        }
    }
    stdout.read_to_end(&mut shown).unwrap();
    drop(stdin);
    Some((child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned()))
}
