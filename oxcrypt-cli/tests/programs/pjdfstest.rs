//! `pjdfstest`: what POSIX says of each system call, by cases.

use oxcrypt_core::crypto::CipherCombo;

use crate::stage::Stage;
use crate::tools::lacks;
use crate::who::Who;

/// How it is run: nanoseconds are kept, a rename changes the time of change, and users are those that every system has.
const SETTINGS: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utimensat = {}
utime_now = {}

[settings]
naptime = 0.01

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

const FIFO: &str = "the format has no FIFOs";
const DEVICE: &str = "the format has no devices";
const SOCKET: &str = "the format has no sockets";
const LINK: &str = "the format has no hard links";

const FOLDER: &str =
    "what is moved is a folder, and times are those of what is in it, which POSIX leaves open";

/// The cases that fail, by the end of their names, and why. All others have to pass.
const FAILING: [(&str, &str); 23] = [
    ("::fifo", FIFO),
    ("::block", DEVICE),
    ("::char", DEVICE),
    ("::socket", SOCKET),
    ("mkfifo::changed_time_fields_success", FIFO),
    ("mkfifo::permission_bits_from_mode", FIFO),
    ("mkfifo::uid_gid_eq_euid_egid", FIFO),
    ("mknod::changed_time_fields_success", FIFO),
    ("mknod::permission_bits_from_mode", FIFO),
    ("mknod::uid_gid_eq_euid_egid", FIFO),
    ("open::fifo_nonblock_wronly", FIFO),
    ("open::socket_error", SOCKET),
    ("link::changed_ctime_success::regular", LINK),
    ("link::share_metadata::regular", LINK),
    ("link::remove_link::regular", LINK),
    ("unlink::unchanged_ctime_failed::regular", LINK),
    ("unlink::update_ctime_success::regular", LINK),
    ("rename::preserve_metadata::regular", LINK),
    ("rename::to_multiply_linked::regular", LINK),
    (
        "rename::updates_link_parent",
        "every directory has one link: to count its directories would be to list it",
    ),
    ("rename::changed_ctime_success::dir", FOLDER),
    ("rename::changed_ctime_success::symlink", FOLDER),
    (
        "ftruncate::unchanged_ctime_failed",
        "the time of change is that of the ciphertext, which is stored later",
    ),
];

#[test]
fn what_posix_says_holds_but_for_what_a_vault_cannot_hold() {
    if lacks("pjdfstest") {
        return;
    }
    let options = &["--allow-other"];
    let Some(stage) = Stage::new(Who::Root, CipherCombo::SivGcm, options) else { return };
    let said = stage.run(
        r#"
        printf %s "$1" > ../pjdfstest.toml
        RUST_BACKTRACE=0 pjdfstest -c ../pjdfstest.toml -s ../plain 2>&1 || true"#,
        &[SETTINGS],
    );
    assert!(said.contains("Summary: "), "it did not come to an end: {said}");
    let named = said.lines().filter_map(|line| line.strip_suffix(" FAILED"));
    let failed: Vec<_> = named.map(str::trim_end).collect();
    let told = |name: &str| FAILING.iter().any(|(end, _)| name.ends_with(end));
    let untold: Vec<_> = failed.iter().filter(|name| !told(name)).collect();
    assert!(untold.is_empty(), "{untold:#?} failed: {said}");
    for (end, reason) in FAILING {
        assert!(failed.iter().any(|name| name.ends_with(end)), "{end} passes, and is told to fail: {reason}");
    }
    let passed = said.lines().filter(|line| line.ends_with(" ok")).count();
    assert!(passed >= 195, "only {passed} passed: {said}");
}
