//! No command changes a vault: not a byte, not a time, not a file more.

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
        for (args, more) in [
            (&["info"][..], &[][..]),
            (&["ls", "-lR", "--passphrase-env", "OFFICIAL"], &[]),
            (&["tree", "--passphrase-env", "OFFICIAL"], &[]),
            (&["cat", "--passphrase-env", "OFFICIAL"], &["sizes/1.bin"]),
            (&["decrypt", "--passphrase-env", "OFFICIAL"], &[dest]),
            (&["decrypt", "--keep-damaged", "--force", "--passphrase-env", "OFFICIAL"], &[dest]),
            (&["locate", "--passphrase-env", "OFFICIAL"], &["/"]),
            (&["locate", "--reverse", "--passphrase-env", "OFFICIAL"], &["d/AA/BB"]),
            (&["ls", "--passphrase-env", "PASSPHRASE"], &[]),
        ] {
            let ended = run(oxcrypt(args).arg(&path).args(more));
            assert!(ended.code.is_some_and(|code| code < 5 && code != 2), "{args:?} {ended:?}");
            assert_eq!(state(&path), before, "{vault} {args:?}");
        }
    }
}
