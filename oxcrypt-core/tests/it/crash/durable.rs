//! What was synced survives a loss of power, with everything that leads to it.

use std::time::Instant;

use oxcrypt_core::Vault;
use oxcrypt_core::storage::{Crash, Replace};

use crate::lab::{self, Lab, bytes, find, make_dir, make_symlink, rename, sync};

/// Losses of power after the last call.
const SEEDS: u64 = 150;

/// Does `act` in an empty vault, and looks at what losses of power leave when all of it has come to an end.
fn lose_power_after(lab: Lab, act: impl Fn(&Vault), look: impl Fn(&Vault, u64)) {
    let storage = lab.filled(|_| {});
    let vault = lab::open(&storage);
    act(&vault);
    for seed in 0..SEEDS {
        let image = storage.crash_image(usize::MAX, Crash::PowerLoss { seed });
        look(&lab::open(&std::sync::Arc::new(image)), seed);
    }
}

fn long(letter: &str) -> String {
    letter.repeat(200)
}

fn expect(vault: &Vault, path: &str, content: &[u8], seed: u64) {
    match lab::read(vault, path) {
        Ok(read) => assert!(read == content, "{path} with seed {seed}"),
        Err(error) => panic!("{path} with seed {seed}: {error}"),
    }
    // Not only for who knows its name: the listing of its directory shows it.
    let (dir, last) = path.rsplit_once('/').unwrap_or(("", path));
    let listing = vault.list(&find(vault, dir).unwrap(), Instant::now()).unwrap();
    assert!(listing.find(&lab::name(last)).is_some(), "{path} with seed {seed}");
}

#[test]
fn a_synced_file_survives_with_the_directories_that_lead_to_it() {
    for lab in [Lab::GCM, Lab::SHORT] {
        for path in
            ["file", "dir/file", &format!("dir/sub/{}", long("f")), &format!("{}/{}/x", long("d"), long("e"))]
        {
            let content = bytes(70_000, 0);
            lose_power_after(
                lab,
                |vault| {
                    for (end, _) in path.match_indices('/') {
                        make_dir(vault, &path[..end]).unwrap();
                    }
                    drop(lab::put(vault, path, &content));
                },
                |vault, seed| expect(vault, path, &content, seed),
            );
        }
    }
}

#[test]
fn a_file_that_moved_before_it_was_synced_survives_where_it_was_then() {
    for (made, moved) in [
        ("file", "moved"),
        ("file", "other/moved"),
        ("file", &*long("m")),
        (&*long("f"), "moved"),
        (&*long("f"), &*format!("other/{}", long("m"))),
    ] {
        lose_power_after(
            Lab::GCM,
            |vault| {
                make_dir(vault, "other").unwrap();
                let file = lab::create(vault, made).unwrap();
                lab::write(&file, 0, b"content").unwrap();
                rename(vault, made, moved, Replace::Never).unwrap();
                sync(&file).unwrap();
            },
            |vault, seed| {
                expect(vault, moved, b"content", seed);
                assert!(find(vault, made).is_err(), "{made} with seed {seed}");
            },
        );
    }
}

#[test]
fn a_file_in_a_directory_that_moved_before_it_was_synced_survives_where_that_was_then() {
    for (made, moved) in
        [("dir", "moved"), ("dir", "other/moved"), ("dir", &*long("m")), (&*long("d"), "other/x")]
    {
        lose_power_after(
            Lab::GCM,
            |vault| {
                make_dir(vault, "other").unwrap();
                make_dir(vault, made).unwrap();
                make_dir(vault, &format!("{made}/sub")).unwrap();
                let file = lab::create(vault, &format!("{made}/sub/file")).unwrap();
                lab::write(&file, 0, b"content").unwrap();
                rename(vault, made, moved, Replace::Never).unwrap();
                sync(&file).unwrap();
            },
            |vault, seed| expect(vault, &format!("{moved}/sub/file"), b"content", seed),
        );
    }
}

#[test]
fn a_file_that_moves_after_it_was_synced_is_in_one_of_its_places() {
    for (made, moved) in
        [("file", "moved"), ("file", "dir/moved"), ("file", &*long("m")), (&*long("f"), "moved")]
    {
        lose_power_after(
            Lab::GCM,
            |vault| {
                make_dir(vault, "dir").unwrap();
                vault.sync_dir(&vault.root()).unwrap();
                drop(lab::put(vault, made, b"content"));
                rename(vault, made, moved, Replace::Never).unwrap();
            },
            |vault, seed| {
                let found = [made, moved].map(|path| lab::read(vault, path).ok());
                let found: Vec<_> = found.into_iter().flatten().collect();
                assert_eq!(found, [b"content"], "with seed {seed}");
            },
        );
    }
}

#[test]
fn a_synced_file_that_replaced_another_has_replaced_it() {
    for (from, to) in [("new", "old"), ("new", &*long("o")), (&*long("n"), "old"), (&*long("n"), "dir/old")] {
        lose_power_after(
            Lab::GCM,
            |vault| {
                make_dir(vault, "dir").unwrap();
                drop(lab::put(vault, to, b"old"));
                let file = lab::create(vault, from).unwrap();
                lab::write(&file, 0, b"new").unwrap();
                sync(&file).unwrap();
                rename(vault, from, to, Replace::Always).unwrap();
                vault.sync_dir(&file.node().parent().unwrap()).unwrap();
            },
            |vault, seed| expect(vault, to, b"new", seed),
        );
    }
}

#[test]
fn a_synced_directory_survives_with_what_was_made_in_it() {
    for name in ["x".to_owned(), long("x")] {
        lose_power_after(
            Lab::GCM,
            |vault| {
                let dir = make_dir(vault, "dir").unwrap();
                make_dir(vault, &format!("dir/{name}d")).unwrap();
                make_symlink(vault, &format!("dir/{name}l"), "target").unwrap();
                vault.sync_dir(&dir).unwrap();
            },
            |vault, seed| {
                let now = Instant::now();
                let dir = find(vault, &format!("dir/{name}d")).unwrap();
                assert_eq!(vault.list(&dir, now).unwrap().entries().len(), 0, "with seed {seed}");
                let link = find(vault, &format!("dir/{name}l")).unwrap();
                assert_eq!(vault.read_link(&link, now).unwrap().as_str(), "target", "with seed {seed}");
                let parent = vault.list(&find(vault, "dir").unwrap(), now).unwrap();
                assert_eq!(parent.entries().len(), 2, "with seed {seed}");
            },
        );
    }
}

#[test]
fn what_was_removed_from_a_synced_directory_does_not_come_back() {
    for name in ["x".to_owned(), long("x")] {
        lose_power_after(
            Lab::GCM,
            |vault| {
                let file = lab::put(vault, &name, b"content");
                let link = format!("{name}l");
                make_symlink(vault, &link, "target").unwrap();
                let dir = format!("{name}d");
                make_dir(vault, &dir).unwrap();
                vault.sync_dir(&vault.root()).unwrap();
                drop(file);
                lab::remove(vault, &name).unwrap();
                lab::remove(vault, &link).unwrap();
                lab::remove_dir(vault, &dir).unwrap();
                vault.sync_dir(&vault.root()).unwrap();
            },
            |vault, seed| {
                for path in [name.clone(), format!("{name}l"), format!("{name}d")] {
                    let found = find(vault, &path);
                    assert!(found.is_err(), "{path} with seed {seed}");
                }
            },
        );
    }
}

#[test]
fn what_was_synced_before_a_write_is_there_after_it_was_lost() {
    let before = bytes(3 * 32_768 + 10, 0);
    lose_power_after(
        Lab::GCM,
        |vault| {
            let file = lab::put(vault, "file", &before);
            lab::write(&file, before.len() as u64, &bytes(200_000, 1)).unwrap();
            lab::flush(&file).unwrap();
        },
        |vault, seed| {
            let file = vault.open(&find(vault, "file").unwrap(), Instant::now()).unwrap();
            let mut buf = vec![0; 3 * 32_768];
            // The chunk in which it ended was being written.
            assert_eq!(file.read_at(0, &mut buf).unwrap(), buf.len(), "with seed {seed}");
            assert!(buf == before[..buf.len()], "with seed {seed}");
        },
    );
}

#[test]
fn regression_a_synced_directory_survives_however_much_else_was_made_and_not_synced() {
    let storage = Lab::GCM.filled(|vault| drop(make_dir(vault, "crowd").unwrap()));
    let vault = lab::open(&storage);
    let crowd = find(&vault, "crowd").unwrap();
    for number in 0..4_200 {
        drop(vault.create(&crowd, &lab::name(&number.to_string()), Instant::now()).unwrap());
    }
    let long = long("d");
    for path in ["dir", &long, "dir/inside"] {
        make_dir(&vault, path).unwrap();
    }
    vault.sync_dir(&find(&vault, "dir").unwrap()).unwrap();
    vault.sync_dir(&vault.root()).unwrap();
    for seed in 0..20 {
        let image = storage.crash_image(usize::MAX, Crash::PowerLoss { seed });
        let vault = lab::open(&std::sync::Arc::new(image));
        for path in ["dir", &long, "dir/inside"] {
            let dir = find(&vault, path).unwrap();
            assert!(vault.list(&dir, Instant::now()).is_ok(), "{path} with seed {seed}");
        }
    }
}
