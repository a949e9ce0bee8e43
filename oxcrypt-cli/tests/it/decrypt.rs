//! What `decrypt` does with what is there already, and with what the destination cannot hold.

use std::fs;
use std::time::{Duration, SystemTime};

use oxcrypt_core::DirId;

use crate::command::{Made, names_below};

/// A vault with a file, a folder with a file, and a link.
fn some() -> Made {
    Made::new(|builder| {
        let dir = builder.directory(&DirId::root(), "dir").unwrap();
        builder.file(&DirId::root(), "file", b"one").unwrap();
        builder.file(&dir, "inner", b"two").unwrap();
        builder.symlink(&DirId::root(), "link", "dir/inner").unwrap();
    })
}

#[test]
fn nothing_is_replaced_unless_one_says_so() {
    let made = some();
    fs::create_dir_all(made.dest().join("dir")).unwrap();
    fs::write(made.dest().join("dir/inner"), "mine").unwrap();
    let ended = made.decrypt(&[], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("/dir/inner") && ended.err.contains("--force"), "{}", ended.err);
    assert_eq!(fs::read(made.dest().join("dir/inner")).unwrap(), b"mine");
    assert_eq!(fs::read(made.dest().join("file")).unwrap(), b"one", "the rest is decrypted");

    let ended = made.decrypt(&["--force"], &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(fs::read(made.dest().join("dir/inner")).unwrap(), b"two");
}

#[test]
fn resume_does_what_is_missing_and_leaves_what_is_right() {
    let made = some();
    assert_eq!(made.decrypt(&[], &[]).code, Some(0));
    fs::remove_file(made.dest().join("file")).unwrap();
    let leftover = made.dest().join(".oxcrypt-1-0.part");
    fs::write(&leftover, "of a run that was killed").unwrap();
    let own = made.dest().join(".oxcrypt-notes.part");
    fs::write(&own, "somebody's own").unwrap();
    let ended = made.decrypt(&["--resume", "--json"], &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let counts = ended.objects().pop().unwrap();
    assert_eq!((counts["files"].as_u64(), counts["skipped"].as_u64()), (Some(1), Some(2)));
    assert!(!leftover.exists() && own.exists());

    // The same length and another time: it is not the vault's.
    fs::write(made.dest().join("file"), "two").unwrap();
    let ended = made.decrypt(&["--resume"], &[]);
    assert_eq!((ended.code, fs::read(made.dest().join("file")).unwrap()), (Some(1), b"two".to_vec()));
    assert_eq!(made.decrypt(&["--resume", "--force"], &[]).code, Some(0));
    assert_eq!(fs::read(made.dest().join("file")).unwrap(), b"one");
}

#[test]
fn a_damaged_file_that_was_kept_is_not_taken_for_right_by_resume() {
    let made = Made::new(|builder| {
        let mut ciphertext = builder.encrypt(&vec![7; 100_000]);
        ciphertext[50_000] ^= 1;
        builder.ciphertext_file(&DirId::root(), "file", &ciphertext).unwrap();
    });
    assert_eq!(made.decrypt(&["--keep-damaged"], &[]).code, Some(1));
    let mut expected = vec![7; 100_000];
    expected[32_768..65_536].fill(0);
    assert!(
        fs::read(made.dest().join("file")).unwrap() == expected,
        "zeros for the damaged chunk, and for nothing else"
    );
    let ended = made.decrypt(&["--resume"], &[]);
    assert!(ended.code == Some(1) && ended.err.contains("/file"), "{}", ended.err);
}

#[test]
fn times_of_files_and_folders_are_kept() {
    let made = some();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for name in names_below(&made.vault()) {
        let file = fs::File::open(made.vault().join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    assert_eq!(made.decrypt(&[], &[]).code, Some(0));
    for name in ["file", "dir", "dir/inner", "link"] {
        let modified = made.dest().join(name).symlink_metadata().unwrap().modified().unwrap();
        let apart = modified.duration_since(old).unwrap_or_else(|error| error.duration());
        assert!(apart < Duration::from_secs(2), "{name}: {modified:?}");
    }
}

#[test]
fn the_time_of_a_folder_that_was_asked_for_is_kept() {
    let made = some();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in names_below(&made.vault()) {
        fs::File::open(made.vault().join(name)).unwrap().set_modified(old).unwrap();
    }
    assert_eq!(made.decrypt(&[], &["dir"]).code, Some(0));
    assert_eq!(made.dest().join("dir").metadata().unwrap().modified().unwrap(), old);
}

#[test]
fn a_time_beyond_all_calendars_is_no_reason_to_stop() {
    let made = Made::new(|builder| {
        for number in 0..20 {
            let mut ciphertext = builder.encrypt(&vec![7; 40_000]);
            ciphertext[100] ^= 1;
            builder.ciphertext_file(&DirId::root(), &number.to_string(), &ciphertext).unwrap();
        }
    });
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 3);
    for name in names_below(&made.vault()) {
        fs::File::open(made.vault().join(name)).unwrap().set_modified(far).unwrap();
    }
    let ended = made.decrypt(&["--keep-damaged", "--jobs", "2"], &[]);
    assert_eq!((ended.code, names_below(&made.dest()).len()), (Some(1), 20), "{}", ended.err);
}

#[test]
fn what_stands_where_a_folder_has_to_go_is_left_alone_and_told() {
    let made = some();
    fs::create_dir(made.dest()).unwrap();
    fs::write(made.dest().join("dir"), "mine").unwrap();
    let ended = made.decrypt(&["--force"], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("/dir: ") && ended.err.contains("moved away"), "{}", ended.err);
    assert_eq!(fs::read(made.dest().join("dir")).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn more_folders_than_may_be_open_at_a_time_are_no_trouble() {
    let made = Made::new(|builder| {
        for number in 0..300 {
            let dir = builder.directory(&DirId::root(), &number.to_string()).unwrap();
            builder.file(&dir, "file", b"content").unwrap();
        }
    });
    let dest = made.dest();
    let mut command = std::process::Command::new("sh");
    let script = format!(
        "ulimit -n 100; exec {} decrypt --passphrase-env PASSPHRASE {} {}",
        env!("CARGO_BIN_EXE_oxcrypt"),
        made.vault().display(),
        dest.display()
    );
    let ended = crate::command::run(command.args(["-c", &script]).env("PASSPHRASE", "passphrase"));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(names_below(&dest).len(), 600);
}

#[cfg(unix)]
#[test]
fn permissions_are_kept_as_far_as_the_umask_lets_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut ciphertext = None;
    let vault = Made::new(|builder| {
        ciphertext = Some(builder.file(&DirId::root(), "script", b"#!/bin/sh").unwrap());
    });
    let ciphertext = vault.vault().join(ciphertext.unwrap().as_str());
    fs::set_permissions(ciphertext, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(vault.decrypt(&[], &[]).code, Some(0));
    for path in [vault.dest().join("script"), vault.dest()] {
        // The destination itself is made for its owner alone.
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_part_of_the_vault_goes_to_the_place_it_has_in_the_vault() {
    let made = some();
    let ended = made.decrypt(&[], &["dir/inner", "/link", "dir", "nowhere"]);
    assert_eq!(ended.code, Some(1), "one is not there");
    assert!(ended.err.contains("/nowhere: no such entry"), "{}", ended.err);
    assert_eq!(names_below(&made.dest()), ["dir", "dir/inner", "link"]);
}

#[test]
fn names_that_the_destination_cannot_hold_get_an_alias_that_is_told() {
    let long = format!("{}.jpeg", "\u{e4}".repeat(150));
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), &long, b"long").unwrap();
        builder.symlink(&DirId::root(), "far", &"x".repeat(5_000)).unwrap();
        let inside = builder.directory(&DirId::root(), &"d".repeat(300)).unwrap();
        builder.file(&inside, "inner", b"inner").unwrap();
    });
    let ended = made.decrypt(&[], &[]);
    assert_eq!(ended.code, Some(1), "the link cannot be made");
    assert!(ended.err.contains("/far: cannot be written"), "{}", ended.err);
    let names = names_below(&made.dest());
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names.iter().filter(|name| !name.contains('/')) {
        assert!(ended.err.contains(&format!("it is called {name} there")), "{}", ended.err);
        assert!(name.len() <= 255 && name.contains('~'));
    }
    let alias = names.iter().find(|name| name.starts_with('\u{e4}')).unwrap();
    assert_eq!(fs::read(made.dest().join(alias)).unwrap(), b"long");
    // The same again, so that it is found by `--resume`.
    assert_eq!(made.decrypt(&["--resume", "--json"], &[]).objects().last().unwrap()["skipped"], 2);
}

#[test]
fn a_large_file_is_decrypted_in_parts_and_comes_out_whole() {
    let content: Vec<u8> = (0..20_000_001_u32).map(|at| u8::try_from(at / 7 % 256).unwrap()).collect();
    let made = Made::new(|builder| {
        builder.file(&DirId::root(), "large", &content).unwrap();
    });
    for jobs in ["1", "4"] {
        let ended = made.decrypt(&["--force", "--jobs", jobs], &[]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(fs::read(made.dest().join("large")).unwrap() == content, "{jobs} jobs");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded_whatever_the_vault_holds() {
    let content = vec![7; 100 << 20];
    let made = Made::new(|builder| {
        for name in ["a", "b"] {
            builder.file(&DirId::root(), name, &content).unwrap();
        }
        let dir = builder.directory(&DirId::root(), "dir").unwrap();
        for number in 0..5_000 {
            builder.file(&dir, &number.to_string(), b"").unwrap();
        }
    });
    let dest = made.dest();
    let mut child =
        made.command(&["decrypt", "--quiet", "--jobs", "16"], &[dest.to_str().unwrap()]).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    assert!((1 << 10..128 << 10).contains(&peak), "{peak} KiB");
}
