//! Programs that these tests need, and what is said where they are not to be had.

use std::env;
use std::io::{self, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

/// How long a program may take, with everything to be downloaded.
const PATIENCE: Duration = Duration::from_mins(4);

/// Runs a command that may hang, and returns what it printed. The error says what is wrong, or which Debian package
/// has the program.
pub(crate) fn run(mut command: Command, package: &str) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut errors = tempfile::tempfile().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.try_clone().unwrap());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {program} (on Debian: apt-get install {package})"),
        _ => format!("{program}: {error}"),
    })?;
    let mut stdout = child.stdout.take().unwrap();
    let (send, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        let _ = send.send(String::from_utf8_lossy(&text).into_owned());
    });
    let Ok(printed) = printed.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("{program} takes longer than {PATIENCE:?}"));
    };
    if child.wait().unwrap().success() {
        return Ok(printed);
    }
    let mut why = String::new();
    errors.rewind().unwrap();
    errors.read_to_string(&mut why).unwrap();
    Err(format!("{program} fails: {printed}{why}"))
}

/// Gets hold once of something that this machine may lack. Then the tests are skipped that want it, visibly; where
/// continuous integration lacks it, that is a failure and no reason to skip.
pub(crate) fn wanted<T>(
    what: &str,
    place: &'static OnceLock<Result<T, String>>,
    get: impl FnOnce() -> Result<T, String>,
) -> Option<&'static T> {
    let is_ci = env::var("CI").as_deref() == Ok("true");
    let result = place.get_or_init(|| {
        get().inspect_err(|reason| {
            if !is_ci {
                say(&format!("SKIPPED what {what} says of us: {reason}"));
            }
        })
    });
    assert!(result.is_ok() || !is_ci, "{:?}", result.as_ref().err());
    result.as_ref().ok()
}

/// Unlike `eprintln!`, which a test that passes keeps to itself.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
