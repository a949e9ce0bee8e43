//! A mounted vault is a file system like others.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxcrypt_core::DirId;
use oxcrypt_core::storage::{Attributes, BlockStorage as _, FaultyStorage, MemoryStorage, Method, OpenMode};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::volume::VolumeOptions;
use tempfile::tempdir;

use crate::child::{CEILING, Child, poll};
use crate::house::{House, content};

/// Lengths around the borders of chunks, and of what the kernel asks for at once.
const LENGTHS: [usize; 9] = [0, 1, 4_096, 32_767, 32_768, 32_769, 131_072, 200_000, 3_000_000];

/// A name that the vault can hold and most programs cannot.
fn long_name(end: &str) -> String {
    format!("{} {end}.txt", "a long name".repeat(30))
}

fn a_little_of_everything(builder: &VaultBuilder<'_>, root: &DirId) {
    for len in LENGTHS {
        builder.file(root, &len.to_string(), &content(len)).unwrap();
    }
    let dir = builder.directory(root, "directory").unwrap();
    let inner = builder.directory(&dir, "inner").unwrap();
    builder.file(&inner, &"n".repeat(200), b"shortened").unwrap();
    builder.file(&dir, "\u{e4} and \u{1f600}", b"not ASCII").unwrap();
    builder.symlink(&dir, "link", "inner/../inner").unwrap();
    builder.directory(root, "empty").unwrap();
}

fn options(threads: usize, direct_io: DirectIo) -> MountOptions {
    let mut options = MountOptions::default();
    options.session_threads = NonZeroUsize::new(threads).unwrap();
    options.direct_io = direct_io;
    options
}

#[test]
fn what_is_in_the_vault_is_what_programs_see() {
    for (threads, direct) in [(1, DirectIo::Always), (4, DirectIo::Never), (4, DirectIo::WhereItMayBlock)] {
        let Some(house) = House::new(options(threads, direct), a_little_of_everything) else { return };
        for len in LENGTHS {
            assert!(
                house.read(&len.to_string()) == content(len),
                "{len} bytes, {threads} threads, {direct:?}"
            );
        }
        let found = house.sh(r#"cd "$1"; find . -printf '%p %y %s %m %l\n' | sort"#, "directory").succeed();
        let expected = format!(
            ". d 0 700 \n./inner d 0 700 \n./inner/{} f 9 600 \n./link l 14 777 inner/../inner\n./\u{e4} and \u{1f600} f 9 600 \n",
            "n".repeat(200)
        );
        assert_eq!(String::from_utf8(found.output).unwrap(), expected);
        assert_eq!(house.read(&format!("directory/link/{}", "n".repeat(200))), b"shortened");
        house.sh(r#"test -z "$(ls "$1")""#, "empty").succeed();
    }
}

#[test]
fn programs_that_copy_compare_and_map_agree() {
    let copy = tempdir().unwrap();
    for direct in [DirectIo::Always, DirectIo::Never] {
        let Some(house) = House::new(options(4, direct), a_little_of_everything) else { return };
        let to = copy.path().join(format!("{direct:?}"));
        let script = r#"cp -a "$1" "$2" && diff -r "$1" "$2""#;
        Child::sh(script, &[house.place(), &to]).succeed();
        // git maps what it hashes, if that is large.
        let hash = r#"git hash-object --no-filters "$1" "$2" | uniq | wc -l"#;
        let hashed = Child::sh(hash, &[&house.path("3000000"), &to.join("3000000")]).succeed();
        assert_eq!(String::from_utf8(hashed.output).unwrap().trim(), "1", "{direct:?}");
    }
}

#[test]
fn nothing_can_be_written_where_that_was_asked_for() {
    let mut options = MountOptions::default();
    options.read_only = true;
    let Some(house) = House::new(options, a_little_of_everything) else { return };
    for script in [
        r#": > "$1/new""#,
        r#"echo >> "$1/1""#,
        r#"rm "$1/1""#,
        r#"mv "$1/1" "$1/2""#,
        r#"mkdir "$1/new""#,
        r#"rmdir "$1/empty""#,
        r#"ln -s x "$1/new""#,
        r#"ln "$1/1" "$1/new""#,
        r#"chmod 600 "$1/1""#,
        r#"touch -d 2020-01-01 "$1/1""#,
        r#"truncate -s 0 "$1/1""#,
        r#"mkfifo "$1/new""#,
    ] {
        let said = house.fails(script, "");
        assert!(said.contains("Read-only file system"), "{script}: {said}");
    }
    assert_eq!(house.storage.mutations(), 0);
}

#[test]
fn a_name_too_long_for_programs_is_shown_under_an_alias() {
    let fill = |builder: &VaultBuilder<'_>, root: &DirId| {
        for end in ["one", "two"] {
            builder.file(root, &long_name(end), end.as_bytes()).unwrap();
        }
        builder.file(root, &format!("{}~", long_name("three")), b"backup").unwrap();
    };
    // So that every name is looked up.
    let mut options = MountOptions::default();
    options.attribute_lifetime = Some(Duration::ZERO);
    let Some(house) = House::new(options, fill) else { return };
    let listed = String::from_utf8(house.sh(r#"ls "$1""#, "").succeed().output).unwrap();
    let names: Vec<_> = listed.lines().collect();
    assert!(names.len() == 3 && names.iter().all(|name| name.len() <= 255), "{listed}");
    assert_eq!(
        names.iter().filter(|name| matches!(name.rsplit_once('.'), Some((_, "txt")))).count(),
        2,
        "{listed}"
    );
    let mut contents: Vec<_> = names.iter().map(|name| house.read(name)).collect();
    contents.sort();
    assert_eq!(contents, [&b"backup"[..], b"one", b"two"]);
    house.fails(r#"stat "$1""#, &names[0].replace('~', "-"));
}

#[test]
fn a_damaged_entry_is_shown_and_says_eio_when_it_is_opened() {
    let fill = |builder: &VaultBuilder<'_>, root: &DirId| {
        builder.file(root, "sound", b"sound").unwrap();
        let mut spoilt = builder.encrypt(&content(100_000));
        let at = spoilt.len() / 2;
        spoilt[at] ^= 1;
        builder.ciphertext_file(root, "spoilt", &spoilt).unwrap();
        let cut = builder.encrypt(&content(40_000));
        builder.ciphertext_file(root, "cut off", &cut[..33_000]).unwrap();
    };
    let Some(house) = House::new(MountOptions::default(), fill) else { return };
    let listed = String::from_utf8(house.sh(r#"ls "$1""#, "").succeed().output).unwrap();
    assert_eq!(listed, "cut off\nsound\nspoilt\n");
    for name in ["spoilt", "cut off"] {
        let said = house.fails(r#"cat "$1" > /dev/null"#, name);
        assert!(said.contains("Input/output error"), "{name}: {said}");
    }
    // What is sound before the damage is read, and the rest of the vault.
    let head = house.sh(r#"head -c 32768 "$1""#, "spoilt").succeed().output;
    assert!(head == content(32_768) && house.read("sound") == b"sound");
    let damaged = house.mount.as_ref().unwrap().status().figures.damaged;
    assert!(damaged.iter().any(|line| line.contains("chunk")), "{damaged:?}");
    assert!(!damaged.concat().contains("spoilt"), "cleartext in {damaged:?}");
}

#[test]
fn a_large_directory_is_listed_whole_with_attributes_and_costs_no_question_twice() {
    let fill = |builder: &VaultBuilder<'_>, root: &DirId| {
        for number in 0..3_000 {
            builder.file(root, &format!("file {number}"), b"x").unwrap();
        }
    };
    let Some(house) = House::new(MountOptions::default(), fill) else { return };
    let count = |script| {
        let output = house.sh(script, "").succeed().output;
        String::from_utf8(output).unwrap().trim().parse::<usize>().unwrap()
    };
    assert_eq!(count(r#"ls -l "$1" | grep -c '^-rw------- 1 .* 1 '"#), 3_000);
    assert_eq!(count(r#"find "$1" -type f | sort -u | wc -l"#), 3_000);
    let metadata = house.storage.counts().of(Method::Metadata);
    assert!(metadata <= 3_000 + 100, "{metadata} questions for the attributes of 3,000 files");
}

#[test]
fn a_directory_can_be_read_from_the_beginning_again_and_from_any_place_in_it() {
    let fill = |builder: &VaultBuilder<'_>, root: &DirId| {
        for number in 0..1_000 {
            builder.file(root, &format!("file {number}"), b"x").unwrap();
        }
    };
    let Some(house) = House::new(MountOptions::default(), fill) else { return };
    let script = r#"
        opendir(my $dir, $ARGV[0]) or die;
        my @all = readdir $dir;
        rewinddir $dir;
        "@all" eq join(" ", readdir $dir) or die "another directory";
        for my $place (1, 2, 3, 64, 65, 500, 1001) {
            rewinddir $dir;
            readdir $dir for 1..$place;
            my $there = telldir $dir;
            readdir $dir for 1..7;
            seekdir $dir, $there;
            my @rest = readdir $dir;
            "@rest" eq "@all[$place..$#all]" or die "another rest at $place";
        }
        print scalar @all;
    "#;
    let mut perl = Command::new("perl");
    let told = Child::start(perl.current_dir("/").arg("-e").arg(script).arg(house.place())).succeed();
    assert_eq!(String::from_utf8(told.output).unwrap(), "1002");
}

#[test]
fn a_name_is_found_however_its_letters_are_composed() {
    let Some(house) = House::new(MountOptions::default(), a_little_of_everything) else { return };
    for name in ["\u{e4} and \u{1f600}", "a\u{308} and \u{1f600}"] {
        assert_eq!(house.read(&format!("directory/{name}")), b"not ASCII");
    }
}

#[test]
fn a_directory_that_is_damaged_does_not_hide_its_neighbours() {
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let root = DirId::root();
    builder.file(&root, "neighbour", b"sound").unwrap();
    let nowhere = DirId::from_dir_file(b"00000000-0000-4000-8000-000000000000").unwrap();
    builder.directory_with_id(&root, "without content", &nowhere).unwrap();
    storage.create_dir(&builder.spell(&root, "without id").0).unwrap();
    let faulty = Arc::new(FaultyStorage::new(&storage));
    let Some(house) = House::over(MountOptions::default(), VolumeOptions::default(), faulty) else { return };
    let listed = String::from_utf8(house.sh(r#"ls "$1""#, "").succeed().output).unwrap();
    assert_eq!(listed, "neighbour\nwithout content\nwithout id\n");
    for damaged in ["without content", "without id"] {
        let said = house.fails(r#"ls "$1/""#, damaged);
        assert!(said.contains("Input/output error"), "{damaged}: {said}");
    }
    assert_eq!(house.read("neighbour"), b"sound");
}

#[test]
fn a_file_that_was_changed_below_the_mount_is_seen_as_it_is() {
    let storage = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
    let builder = VaultBuilder::create(&*storage, Recipe::default()).unwrap();
    let path = builder.file(&DirId::root(), "file", &content(100_000)).unwrap();
    let at = |seconds| {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let attributes = Attributes { modified: Some(modified), ..Attributes::default() };
        storage.set_attributes(&path, &attributes).unwrap();
    };
    at(1);
    for direct_io in [DirectIo::Never, DirectIo::Always] {
        let mut options = options(2, direct_io);
        options.attribute_lifetime = Some(Duration::ZERO);
        let house = House::over(options, VolumeOptions::default(), Arc::clone(&storage));
        let Some(house) = house else { return };
        let before = house.read("file");
        // Of the same length, so that only its time tells.
        let after: Vec<u8> = before.iter().rev().copied().collect();
        // In its place, so that the kernel knows it by the same number.
        let (file, _) = storage.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(0, &builder.encrypt(&after)).unwrap();
        at(if direct_io == DirectIo::Never { 2 } else { 3 });
        poll(CEILING, || (house.read("file") == after).then_some(())).expect("the new content");
        assert!(before != after);
    }
}

#[test]
fn there_are_no_extended_attributes() {
    let Some(house) = House::new(MountOptions::default(), a_little_of_everything) else { return };
    let mut value = [0; 16];
    for name in ["1", "directory"] {
        let refused = rustix::fs::getxattr(house.path(name), "user.any", &mut value);
        assert_eq!(refused, Err(rustix::io::Errno::OPNOTSUPP));
        let refused = rustix::fs::listxattr(house.path(name), &mut value);
        assert_eq!(refused, Err(rustix::io::Errno::OPNOTSUPP));
    }
}

#[test]
fn the_space_is_that_of_the_storage() {
    let Some(house) = House::new(MountOptions::default(), a_little_of_everything) else { return };
    let told = house.sh(r#"stat -f -c '%S %b %l' "$1""#, "").succeed().output;
    let told = String::from_utf8(told).unwrap();
    let numbers: Vec<u64> = told.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let space = oxcrypt_core::storage::BlockStorage::space(&*house.storage).unwrap();
    assert_eq!((numbers[0] * numbers[1] / 4096, numbers[2]), (space.total / 4096, 255), "{told}");
}

#[test]
fn mode_and_owner_are_those_that_were_asked_for() {
    let mut options = MountOptions::default();
    (options.uid, options.gid, options.umask) = (Some(1234), Some(4321), Some(0o027));
    let Some(house) = House::new(options, a_little_of_everything) else { return };
    let looks = |name| house.sh(r#"stat -c '%u %g %a' "$1""#, name).succeed().output;
    assert_eq!((looks("1"), looks("directory")), (b"1234 4321 640\n".to_vec(), b"1234 4321 750\n".to_vec()));
}

#[test]
fn what_the_kernel_forgets_is_forgotten_here() {
    let fill = |builder: &VaultBuilder<'_>, root: &DirId| {
        for number in 0..500 {
            builder.file(root, &format!("file {number}"), b"x").unwrap();
        }
    };
    let Some(house) = House::new(MountOptions::default(), fill) else { return };
    house.sh(r#"ls -l "$1" > /dev/null"#, "").succeed();
    let inodes = || house.mount.as_ref().unwrap().status().figures.inodes;
    assert!(inodes() > 500, "{}", inodes());
    Child::sh("echo 2 > /proc/sys/vm/drop_caches", &[]).succeed();
    let gone = poll(CEILING, || (inodes() < 50).then_some(()));
    assert!(gone.is_some(), "{} inodes", inodes());
}
