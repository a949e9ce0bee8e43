//! Threads that take requests from the kernel leave storage to others.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::child::{CEILING, Child};
use crate::mounted::{Mounted, OXCRYPT};
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// How a line of the trace begins that is a session thread's.
const SESSION: &str = "<fuser-";

#[test]
fn session_threads_make_no_system_call_on_vault_storage() {
    let strace = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
    if strace.is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "strace is missing");
        let _ = writeln!(std::io::stderr(), "SKIPPED: strace is missing (on Debian: apt-get install strace)");
        return;
    }
    let Some(scene) = Scene::new(Setting { max_background: 12, async_dio: false, cold: 2 }) else { return };
    let home = tempfile::tempdir().unwrap();
    let (trace, place) = (home.path().join("trace"), home.path().join("mount"));
    fs::create_dir(&place).unwrap();
    let mut command = Who::Root.command(home.path(), "strace");
    // The name of each thread, and what each handle leads to.
    command.args(["-f", "-Y", "-y", "-qq", "-e", "trace=%file,%desc", "-o"]).arg(&trace).arg(OXCRYPT);
    command.args(["mount", "--read-only", "--foreground", "--passphrase-env", "PASSPHRASE"]);
    let mounted = Mounted::run(Who::Root, command.arg(scene.vault()).arg(&place), &place, home.path());
    mounted.is_used();
    Child::start(
        Command::new("sh")
            .args([
                "-euc",
                r#"cd "$1"; ls -lR . > /dev/null; cat cold/*  > /dev/null; ! touch new 2> /dev/null"#,
                "sh",
            ])
            .arg(&place),
    )
    .succeed();
    let mut unmount = mounted.oxcrypt(&["unmount"]);
    unmount.ended_within(CEILING).expect("an end");
    drop(mounted);

    let text = String::from_utf8_lossy(&fs::read(&trace).unwrap()).into_owned();
    let vault = scene.vault();
    let vault = vault.to_str().unwrap().trim_end_matches('/');
    let touches = |line: &&str| line.contains(vault) || line.contains(".c9r") || line.contains("AT_FDCWD");
    let (session, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(SESSION));
    // The trace is not blind: it sees session threads at work, and lanes at storage.
    assert!(
        session.iter().any(|line| line.contains("/dev/fuse")),
        "no session thread in {} lines",
        text.lines().count()
    );
    assert!(others.iter().filter(|line| line.contains("<oxcrypt-lane")).any(touches));
    let promised = |line: &&str| line.contains("preadv2(") && line.contains("RWF_NOWAIT");
    let broken: BTreeSet<_> = session.into_iter().filter(touches).filter(|line| !promised(line)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
