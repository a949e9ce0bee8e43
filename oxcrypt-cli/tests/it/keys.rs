//! Passphrases, recovery keys, raw keys, lost key files and backups, as somebody uses them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oxcrypt_core::DirId;
use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::storage::MemoryStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::RecoveryKey;
use serde_json::json;

use crate::command::{Ended, Made, names_below, oxcrypt, run};
#[cfg(target_os = "linux")]
use crate::place::Place;
#[cfg(target_os = "linux")]
use crate::terminal::on_a_terminal;

const CONTENT: &str = "what a lost passphrase would take away";

fn made() -> Made {
    Made::new(|builder| {
        builder.file(&DirId::root(), "file", CONTENT.as_bytes()).unwrap();
    })
}

/// Runs a command with `input` as standard input.
fn fed(command: &mut Command, input: &str) -> Ended {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever ends before it has read all has seen enough.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn cat(made: &Made, passphrase: &str) -> Ended {
    run(made.command(&["cat"], &["file"]).env("PASSPHRASE", passphrase))
}

/// The words that open a vault of the usual recipe.
fn words() -> String {
    RecoveryKey::of(&MasterKey::from_raw(Recipe::default().key)).words().to_owned()
}

fn words_file(made: &Made, words: &str) -> PathBuf {
    let path = made.dir().join("words.txt");
    fs::write(&path, words.replace(' ', "\n")).unwrap();
    path
}

fn opens(made: &Made, passphrase: &str) {
    let ended = cat(made, passphrase);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), CONTENT), "{ended:?}");
}

#[test]
fn a_changed_passphrase_opens_the_vault_and_the_old_one_does_not() {
    let made = made();
    let change = |input: &str, more: &[&str]| {
        let mut command = oxcrypt(&["passphrase", "change", "--passphrase-stdin", "--new-passphrase-stdin"]);
        fed(command.arg(made.vault()).args(["--scrypt-cost", "2"]).args(more), input)
    };
    let before = names_below(&made.vault());
    for (input, code) in [("wrong\nlong enough\n", 3), ("passphrase\n\n", 2), ("passphrase", 2), ("", 2)] {
        assert_eq!(change(input, &[]).code, Some(code), "{input:?}");
        assert_eq!(names_below(&made.vault()), before, "{input:?}");
    }
    let changed = change("passphrase\nlong enough\n", &[]);
    assert_eq!((changed.code, changed.out.as_str()), (Some(0), ""), "{changed:?}");
    assert!(changed.err.contains("backups prune"), "{changed:?}");
    opens(&made, "long enough");
    assert_eq!(cat(&made, "passphrase").code, Some(3));

    // From anywhere else, and short.
    let mut command =
        made.command(&["passphrase", "change", "--new-passphrase-env", "NEW"], &["--scrypt-cost", "4"]);
    let changed = run(command.env("PASSPHRASE", "long enough").env("NEW", "short"));
    assert_eq!(changed.code, Some(0), "{changed:?}");
    assert!(changed.err.contains("fewer than 8"), "{changed:?}");
    opens(&made, "short");
}

#[test]
fn a_killed_change_leaves_a_vault_that_one_of_both_passphrases_opens() {
    let made = made();
    let (mut current, mut next) = ("passphrase", "long enough");
    for round in 0..24 {
        let before = names_below(&made.vault());
        let mut command =
            made.command(&["passphrase", "change", "--quiet", "--new-passphrase-env", "NEW"], &[]);
        command.args(["--scrypt-cost", "2"]).env("PASSPHRASE", current).env("NEW", next);
        let mut child = command.spawn().unwrap();
        // From when the backup is there, or the temporary file, or as soon as it runs. Whether it comes in time is luck;
        // what is claimed holds either way.
        let begun = |ending: &str| {
            names_below(&made.vault()).iter().any(|name| name.ends_with(ending) && !before.contains(name))
        };
        while child.try_wait().unwrap().is_none() && round % 3 < 2 && !begun([".bkup", ".tmp"][round % 3]) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let codes = [current, next].map(|passphrase| cat(&made, passphrase).code);
        assert!([[Some(0), Some(3)], [Some(3), Some(0)]].contains(&codes), "{codes:?}");
        if codes[1] == Some(0) {
            (current, next) = (next, current);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_the_old_passphrase_is_asked_for_and_the_new_one_twice() {
    let made = made();
    let command = format!(
        "{} passphrase change --scrypt-cost 2 {}",
        env!("CARGO_BIN_EXE_oxcrypt"),
        made.vault().display()
    );
    let before = names_below(&made.vault());
    let talk = [("Passphrase: ", "passphrase\n"), ("New passphrase: ", "half\u{3}")];
    let Some((code, shown)) = on_a_terminal(&command, &talk) else { return };
    assert_eq!((code, names_below(&made.vault())), (Some(130), before), "{shown}");
    let talk = [
        ("Passphrase: ", "mistyped\n"),
        ("Passphrase: ", "passphrase\n"),
        ("New passphrase: ", "long enough\n"),
        ("New passphrase again: ", "long enough\n"),
    ];
    let Some((code, shown)) = on_a_terminal(&command, &talk) else { return };
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("wrong passphrase") && !shown.contains("long enough"), "{shown}");
    opens(&made, "long enough");
}

#[test]
fn the_recovery_key_is_shown_and_opens_the_vault_for_every_command() {
    let made = made();
    let shown = made.run(&["recovery-key", "show"], &[]);
    assert_eq!((shown.code, shown.out.trim_end()), (Some(0), words().as_str()), "{shown:?}");
    assert!(
        shown.err.contains("whoever has these words") && !shown.err.contains(&words()[..20]),
        "{shown:?}"
    );
    let json = made.run(&["recovery-key", "show", "--json"], &[]);
    assert_eq!(json.objects(), [json!({ "recoveryKey": words() })]);
    assert_eq!(
        run(oxcrypt(&["recovery-key", "show", "--passphrase-env", "OFFICIAL"]).arg(made.vault())).code,
        Some(3)
    );

    let file = words_file(&made, &shown.out);
    let with_file = |verb: &[&str], more: &[&str]| {
        run(oxcrypt(verb).arg("--recovery-key-file").arg(&file).arg(made.vault()).args(more))
    };
    assert_eq!(with_file(&["cat"], &["file"]).out, CONTENT);
    assert_eq!(with_file(&["ls"], &[]).out, "file\n");
    assert_eq!(with_file(&["recovery-key", "show"], &[]).out, shown.out);
    let dest = made.dest();
    assert_eq!(with_file(&["decrypt", "--quiet"], &[dest.to_str().unwrap()]).code, Some(0));
    let fed = fed(oxcrypt(&["cat", "--recovery-key-file", "-"]).arg(made.vault()).arg("file"), &shown.out);
    assert_eq!((fed.code, fed.out.as_str()), (Some(0), CONTENT), "{fed:?}");
    // Also where the masterkey file is lost.
    fs::remove_file(made.vault().join("masterkey.cryptomator")).unwrap();
    assert_eq!(with_file(&["cat"], &["file"]).out, CONTENT);
}

#[test]
fn a_raw_key_opens_the_vault_and_is_never_printed() {
    let made = made();
    let (bytes, hex) = (made.dir().join("bytes"), made.dir().join("hex"));
    fs::write(&bytes, Recipe::default().key).unwrap();
    fs::write(&hex, "5a".repeat(64)).unwrap();
    for file in [&bytes, &hex] {
        let ended =
            run(oxcrypt(&["cat", "--verbose", "--raw-key-file"]).arg(file).arg(made.vault()).arg("file"));
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), CONTENT), "{ended:?}");
    }
    let fed = fed(oxcrypt(&["cat", "--raw-key-file", "-"]).arg(made.vault()).arg("file"), &"5A".repeat(64));
    assert_eq!((fed.code, fed.out.as_str()), (Some(0), CONTENT), "{fed:?}");
    for wrong in ["5b".repeat(64), "5a".repeat(63), "not a key".to_owned()] {
        fs::write(&hex, &wrong).unwrap();
        let ended = run(oxcrypt(&["cat", "--raw-key-file"]).arg(&hex).arg(made.vault()).arg("file"));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(!ended.err.contains(&wrong), "{ended:?}");
    }
    let ended = run(oxcrypt(&["cat", "--raw-key-file", "/nonexistent"]).arg(made.vault()).arg("file"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn only_one_way_to_open_a_vault_is_taken_and_no_key_in_an_argument() {
    let made = made();
    for args in [
        &["--recovery-key-file", "x", "--raw-key-file", "y"][..],
        &["--recovery-key-file", "x", "--passphrase-env", "PASSPHRASE"],
        &["--raw-key-file", "x", "--passphrase-stdin"],
        &["--recovery-key", "words"],
        &["--raw-key", "5a"],
    ] {
        assert_eq!(run(oxcrypt(&["ls"]).args(args).arg(made.vault())).code, Some(2), "{args:?}");
    }
    let both = ["--recovery-key-file", "-", "--new-passphrase-stdin"];
    for verb in [&["passphrase", "change"][..], &["recovery-key", "reset-passphrase"]] {
        let ended = run(oxcrypt(verb).args(both).arg(made.vault()));
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[test]
fn a_recovery_key_is_validated_by_itself_and_against_a_vault() {
    let made = made();
    let validate = |words: &str, more: &[&str]| {
        fed(oxcrypt(&["recovery-key", "validate", "--recovery-key-file", "-"]).args(more), words)
    };
    let vault = made.vault().display().to_string();
    assert_eq!(validate(&words(), &[]).code, Some(0));
    assert!(validate(&words(), &[&vault]).out.contains(&vault));
    let json = validate(&words(), &[&vault, "--json"]);
    assert_eq!(json.objects(), [json!({ "valid": true, "vault": vault })]);

    let another = RecoveryKey::of(&MasterKey::from_raw(&[1; 64])).words().to_owned();
    assert_eq!(validate(&another, &[]).code, Some(0));
    let refused = validate(&another, &[&vault]);
    assert!(refused.code == Some(3) && refused.err.contains("another vault's"), "{refused:?}");

    let mut misspelt: Vec<String> = words().split(' ').map(str::to_owned).collect();
    misspelt[6] = "xyzzy".to_owned();
    // That a vault cannot be looked at says nothing of the words.
    let nowhere = validate(&words(), &["/nonexistent", "--json"]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (Some(4), ""), "{nowhere:?}");
    let mut swapped: Vec<String> = words().split(' ').map(str::to_owned).collect();
    swapped.swap(0, 1);
    for (wrong, text) in [
        (misspelt.join(" "), "word 7"),
        (words().split_once(' ').unwrap().1.to_owned(), "has 44 words, and this has 43"),
        (String::new(), "this has 0"),
        (swapped.join(" "), "one is wrong or in the wrong place"),
    ] {
        let refused = validate(&wrong, &["--json"]);
        let said = &refused.objects()[0];
        assert_eq!((refused.code, &said["valid"]), (Some(3), &false.into()), "{refused:?}");
        assert!(refused.err.contains(text) && said["error"].as_str().unwrap().contains(text), "{refused:?}");
        assert!(!refused.err.contains("xyzzy") && !refused.out.contains("xyzzy"), "{refused:?}");
    }
}

#[test]
fn a_lost_passphrase_or_masterkey_file_is_replaced_by_the_recovery_key() {
    let made = made();
    let file = words_file(&made, &words());
    let reset = |words: &Path, more: &[&str]| {
        let mut command = oxcrypt(&["recovery-key", "reset-passphrase", "--new-passphrase-env", "NEW"]);
        command.args(["--scrypt-cost", "2", "--recovery-key-file"]).arg(words).arg(made.vault()).args(more);
        run(command.env("NEW", "long enough"))
    };
    let before = names_below(&made.vault());
    let unasked = reset(&file, &[]);
    assert!(unasked.code == Some(7) && unasked.err.contains("--yes"), "{unasked:?}");
    let another = made.dir().join("another");
    fs::write(&another, RecoveryKey::of(&MasterKey::from_raw(&[1; 64])).words()).unwrap();
    assert_eq!(reset(&another, &["--yes"]).code, Some(3));
    assert_eq!(names_below(&made.vault()), before);
    opens(&made, "passphrase");

    let done = reset(&file, &["--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    opens(&made, "long enough");
    assert_eq!(names_below(&made.vault()).len(), before.len() + 1, "the old file is kept");

    fs::remove_file(made.vault().join("masterkey.cryptomator")).unwrap();
    let lost = cat(&made, "long enough");
    assert!(lost.code == Some(4) && lost.err.contains("recovery-key reset-passphrase"), "{lost:?}");
    assert_eq!(reset(&file, &["--yes"]).code, Some(0));
    opens(&made, "long enough");
}

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_somebody_is_asked_before_a_passphrase_is_replaced() {
    let made = made();
    let file = words_file(&made, &words());
    let command = format!(
        "{} recovery-key reset-passphrase --scrypt-cost 2 --recovery-key-file {} {}",
        env!("CARGO_BIN_EXE_oxcrypt"),
        file.display(),
        made.vault().display()
    );
    for answer in ["n\n", "\n", "\u{4}"] {
        let Some((code, shown)) = on_a_terminal(&command, &[("[y/N] ", answer)]) else { return };
        assert_eq!(code, Some(7), "{answer:?} {shown}");
        opens(&made, "passphrase");
    }
    let talk = [
        ("[y/N] ", "y\n"),
        ("New passphrase: ", "long enough\n"),
        ("New passphrase again: ", "long enough\n"),
    ];
    let Some((code, shown)) = on_a_terminal(&command, &talk) else { return };
    assert_eq!(code, Some(0), "{shown}");
    opens(&made, "long enough");

    let asked = format!("{} recovery-key validate", env!("CARGO_BIN_EXE_oxcrypt"));
    let Some((code, shown)) = on_a_terminal(&asked, &[("Recovery key: ", &format!("{}\n", words()))]) else {
        return;
    };
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(&words()[..20]), "{shown}");
}

#[test]
fn a_lost_config_is_rebuilt_from_the_vaults_files() {
    let made = made();
    let rebuild = |more: &[&str]| made.run(&["config", "rebuild"], more);
    let sound = rebuild(&["--yes"]);
    assert!(sound.code == Some(7) && sound.err.contains("nothing to rebuild"), "{sound:?}");
    let config = made.vault().join("vault.cryptomator");
    fs::remove_file(&config).unwrap();
    let lost = cat(&made, "passphrase");
    assert!(lost.code == Some(4) && lost.err.contains("oxcrypt config rebuild"), "{lost:?}");
    let wrong = run(made.command(&["config", "rebuild"], &[]).env("PASSPHRASE", "wrong"));
    assert_eq!((wrong.code, config.exists()), (Some(3), false), "{wrong:?}");
    let ended = rebuild(&["--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = &ended.objects()[0];
    assert_eq!((&said["cipherCombo"], &said["shorteningThreshold"]), (&"SIV_GCM".into(), &220.into()));
    opens(&made, "passphrase");

    fs::write(&config, "damaged").unwrap();
    let unasked = rebuild(&[]);
    assert_eq!(
        (unasked.code, fs::read(&config).unwrap().as_slice()),
        (Some(7), &b"damaged"[..]),
        "{unasked:?}"
    );
    assert_eq!(rebuild(&["--yes"]).code, Some(0));
    opens(&made, "passphrase");
}

#[test]
fn with_both_key_files_lost_two_steps_bring_the_vault_back() {
    let made = made();
    let file = words_file(&made, &words());
    for lost in ["vault.cryptomator", "masterkey.cryptomator"] {
        fs::remove_file(made.vault().join(lost)).unwrap();
    }
    let by_passphrase = made.run(&["config", "rebuild"], &[]);
    assert!(
        by_passphrase.code == Some(4) && by_passphrase.err.contains("--recovery-key-file"),
        "{by_passphrase:?}"
    );
    let rebuilt = run(oxcrypt(&["config", "rebuild", "--recovery-key-file"]).arg(&file).arg(made.vault()));
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    let mut reset =
        oxcrypt(&["recovery-key", "reset-passphrase", "--yes", "--new-passphrase-env", "PASSPHRASE"]);
    let reset = run(reset.arg("--recovery-key-file").arg(&file).arg(made.vault()));
    assert_eq!(reset.code, Some(0), "{reset:?}");
    opens(&made, "passphrase");

    // The words of another vault bring nothing back.
    fs::remove_file(made.vault().join("vault.cryptomator")).unwrap();
    let another = words_file(&made, RecoveryKey::of(&MasterKey::from_raw(&[1; 64])).words());
    let refused = run(oxcrypt(&["config", "rebuild", "--recovery-key-file"]).arg(&another).arg(made.vault()));
    assert_eq!(
        (refused.code, made.vault().join("vault.cryptomator").exists()),
        (Some(3), false),
        "{refused:?}"
    );
}

#[test]
fn a_suite_that_no_file_tells_must_be_said() {
    let made = Made::new(|_| ());
    fs::remove_file(made.vault().join("vault.cryptomator")).unwrap();
    let unsaid = made.run(&["config", "rebuild"], &[]);
    assert!(unsaid.code == Some(2) && unsaid.err.contains("--suite"), "{unsaid:?}");
    let said = made.run(&["config", "rebuild"], &["--suite", "siv-ctrmac", "--shortening-threshold", "100"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(made.run(&["ls"], &[]).code, Some(0));
}

#[test]
fn backups_are_listed_and_what_nobody_needs_is_removed() {
    let made = made();
    let list = || run(oxcrypt(&["backups", "list", "--json"]).arg(made.vault()));
    assert_eq!((list().code, list().out.as_str()), (Some(0), ""));
    for (old, new) in [("passphrase", "long enough"), ("long enough", "longer than that")] {
        let mut command =
            made.command(&["passphrase", "change", "--new-passphrase-env", "NEW"], &["--scrypt-cost", "2"]);
        assert_eq!(run(command.env("PASSPHRASE", old).env("NEW", new)).code, Some(0));
    }
    let config = fs::read(made.vault().join("vault.cryptomator")).unwrap();
    fs::write(made.vault().join("vault.cryptomator.12345678.bkup"), config).unwrap();
    let told = list().objects();
    let currents: Vec<_> =
        told.iter().map(|backup| (backup["of"].clone(), backup["current"].clone())).collect();
    assert_eq!(
        currents,
        [
            ("vault.cryptomator".into(), true.into()),
            ("masterkey.cryptomator".into(), false.into()),
            ("masterkey.cryptomator".into(), false.into()),
        ]
    );
    assert!(told.iter().all(|backup| backup["modified"].is_string()));
    let people = run(oxcrypt(&["backups", "list"]).arg(made.vault()));
    assert_eq!(people.out.lines().count(), 3, "{people:?}");

    let prune = |passphrase: &str, more: &[&str]| {
        run(made.command(&["backups", "prune"], more).env("PASSPHRASE", passphrase))
    };
    assert_eq!(prune("long enough", &["--keep", "0", "--yes"]).code, Some(3), "only a backup opens by that");
    let unasked = prune("longer than that", &["--keep", "0"]);
    assert!(unasked.code == Some(7) && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(list().objects().len(), 3);
    let one = prune("longer than that", &["--yes", "--json"]);
    assert_eq!((one.code, one.objects().len()), (Some(0), 1), "{one:?}");
    assert_eq!(prune("longer than that", &["--yes", "--keep", "0"]).code, Some(0));
    let left = list().objects();
    assert_eq!((left.len(), &left[0]["current"]), (1, &true.into()), "{left:?}");
    let nothing = prune("longer than that", &["--yes", "--keep", "0"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), ""), "{nothing:?}");
    opens(&made, "longer than that");
}

#[test]
fn whoever_writes_backs_the_key_files_up_once_and_readers_never() {
    let made = made();
    let backups = || run(oxcrypt(&["backups", "list", "--json"]).arg(made.vault())).objects();
    assert_eq!(made.run(&["ls"], &[]).code, Some(0));
    assert!(backups().is_empty());
    for dir in ["one", "two"] {
        let ended = made.run(&["mkdir", "--quiet"], &[dir]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        let told: Vec<_> =
            backups().iter().map(|backup| (backup["of"].clone(), backup["current"].clone())).collect();
        let expected = ["vault.cryptomator", "masterkey.cryptomator"].map(|of| (of.into(), true.into()));
        assert_eq!(told, expected);
    }
    // One that cannot be made is told, and keeps nobody from writing.
    let name = backups()[0]["name"].as_str().unwrap().to_owned();
    fs::remove_file(made.vault().join(&name)).unwrap();
    fs::create_dir(made.vault().join(&name)).unwrap();
    let ended = made.run(&["mkdir"], &["three"]);
    assert!(ended.code == Some(0) && ended.err.contains("could not be backed up"), "{ended:?}");
}

#[test]
fn a_hub_vault_opens_by_its_recovery_key_and_gets_no_passphrase() {
    let made = made();
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let header = json!({ "kid": "hub+https://hub.example/api/vaults/1", "typ": "JWT", "alg": "HS256" });
    let claims = json!({ "format": 8, "cipherCombo": "SIV_GCM", "shorteningThreshold": 220 });
    fs::write(made.vault().join("vault.cryptomator"), builder.sign_config(&header, &claims)).unwrap();
    fs::remove_file(made.vault().join("masterkey.cryptomator")).unwrap();
    assert_eq!(cat(&made, "passphrase").code, Some(4));
    let file = words_file(&made, &words());
    let ended = run(oxcrypt(&["cat", "--recovery-key-file"]).arg(&file).arg(made.vault()).arg("file"));
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), CONTENT), "{ended:?}");
    let mut reset =
        oxcrypt(&["recovery-key", "reset-passphrase", "--yes", "--new-passphrase-env", "PASSPHRASE"]);
    let reset = run(reset.arg("--recovery-key-file").arg(&file).arg(made.vault()));
    assert!(reset.code == Some(4) && reset.err.contains("hub.example"), "{reset:?}");
    assert!(!made.vault().join("masterkey.cryptomator").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_vault_is_mounted_by_its_recovery_key() {
    let Some(place) = Place::new() else { return };
    let file = place.dir().join("words.txt");
    fs::write(&file, words()).unwrap();
    let mut mount = place.command(&["mount", "-o", "ro", "--recovery-key-file"]);
    let mounted = run(mount.arg(&file).arg(place.vault()).arg(place.mountpoint()));
    assert_eq!(mounted.code, Some(0), "{mounted:?}");
    assert_eq!(place.read(), crate::place::CONTENT);
    assert_eq!(place.unmount(&[]).code, Some(0));
}
