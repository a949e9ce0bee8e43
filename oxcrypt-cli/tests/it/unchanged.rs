//! No command that reads changes a vault, and none that is refused: not a byte, not a time, not a file more.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::command::{Official, names_below, oxcrypt, run};

fn state(vault: &Path) -> Vec<(String, SystemTime, String)> {
    let describe = |name: String| {
        let path = vault.join(&name);
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_dir() { vec![] } else { fs::read(&path).unwrap() };
        (name, metadata.modified().unwrap(), HEXLOWER.encode(&Sha256::digest(content)))
    };
    let root = (".".to_owned(), vault.metadata().unwrap().modified().unwrap(), String::new());
    names_below(vault).into_iter().map(describe).chain([root]).collect()
}

#[test]
fn the_vault_is_as_it_was_after_every_command() {
    let official = Official::unpack();
    for vault in
        ["full_gcm", "full_ctrmac", "conflicts_gcm", "broken_structure_gcm", "damaged_gcm", "legacy_v7"]
    {
        let path = official.path(vault);
        let before = state(&path);
        let dest = tempfile::tempdir().unwrap();
        let dest = dest.path().to_str().unwrap();
        let opens = if vault.starts_with("legacy") { Some(4) } else { None };
        let damaged = i32::from(["broken_structure_gcm", "damaged_gcm"].contains(&vault));
        for (args, more, code) in [
            (&["info"][..], &[][..], 0),
            (&["ls", "-lR", "--passphrase-env", "OFFICIAL"], &[], i32::from(vault == "broken_structure_gcm")),
            (&["tree", "--passphrase-env", "OFFICIAL"], &[], i32::from(vault == "broken_structure_gcm")),
            (&["cat", "--passphrase-env", "OFFICIAL"], &["no such file"], 1),
            (&["decrypt", "--passphrase-env", "OFFICIAL"], &[dest], damaged),
            (&["decrypt", "--keep-damaged", "--force", "--passphrase-env", "OFFICIAL"], &[dest], damaged),
            (&["locate", "--passphrase-env", "OFFICIAL"], &["/"], 0),
            (&["locate", "--reverse", "--passphrase-env", "OFFICIAL"], &["d/AA/BB"], 1),
            (&["ls", "--passphrase-env", "PASSPHRASE"], &[], 3),
        ] {
            let ended = run(oxcrypt(args).arg(&path).args(more));
            assert_eq!(ended.code, opens.or(Some(code)), "{vault} {args:?} {ended:?}");
            assert_eq!(state(&path), before, "{vault} {args:?}");
        }
    }
}

#[test]
fn the_vault_is_as_it_was_after_looking_at_its_keys_and_after_refusals() {
    let official = Official::unpack();
    let path = official.path("full_gcm");
    let before = state(&path);
    let key = tempfile::tempdir().unwrap();
    let key = key.path().join("words");
    let shown = run(oxcrypt(&["recovery-key", "show", "--passphrase-env", "OFFICIAL"]).arg(&path));
    fs::write(&key, shown.out).unwrap();
    let key = key.to_str().unwrap();
    for (args, code) in [
        (&["recovery-key", "show", "--recovery-key-file", key][..], 0),
        (&["recovery-key", "validate", "--recovery-key-file", key], 0),
        (&["ls", "--recovery-key-file", key], 0),
        (&["backups", "list"], 0),
        (&["backups", "prune", "--keep", "0", "--passphrase-env", "PASSPHRASE", "--yes"], 3),
        (&["create", "--passphrase-env", "OFFICIAL"], 7),
        (&["config", "rebuild", "--passphrase-env", "OFFICIAL", "--yes"], 7),
        (&["passphrase", "change", "--passphrase-env", "PASSPHRASE", "--new-passphrase-env", "OFFICIAL"], 3),
        (
            &[
                "recovery-key",
                "reset-passphrase",
                "--recovery-key-file",
                key,
                "--new-passphrase-env",
                "OFFICIAL",
            ],
            7,
        ),
    ] {
        let ended = run(oxcrypt(args).arg(&path));
        assert_eq!(ended.code, Some(code), "{args:?} {ended:?}");
        assert_eq!(state(&path), before, "{args:?}");
    }
}
