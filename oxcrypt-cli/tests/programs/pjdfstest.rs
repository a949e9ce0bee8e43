//! `pjdfstest`: what POSIX says of each system call, by cases.

use oxcrypt_core::crypto::CipherCombo;

use crate::stage::Stage;
use crate::tools::lacks;
use crate::who::Who;

/// How it is run, and which of its cases fail, each with the reason. One that passes after all has to go from there.
const SETTINGS: &str = include_str!("pjdfstest.toml");

#[test]
fn what_posix_says_holds_but_for_what_a_vault_cannot_hold() {
    if lacks("pjdfstest") {
        return;
    }
    let options = &["--allow-other"];
    let Some(stage) = Stage::new(Who::Root, CipherCombo::SivGcm, options) else { return };
    let said = stage.run(
        r#"
        printf '%s' "$1" > ../pjdfstest.toml
        RUST_BACKTRACE=0 pjdfstest -c ../pjdfstest.toml -s ../plain 2>&1 | grep -vE ' (ok|failed as expected)$' || true"#,
        &[SETTINGS],
    );
    assert!(said.contains("Summary: 0 failed"), "{said}");
}
