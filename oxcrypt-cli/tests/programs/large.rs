//! Much of everything.

use std::path::Path;
use std::time::Instant;

use oxcrypt_core::crypto::CipherCombo;
use rustix::mount::{MountFlags, UnmountFlags};
use tempfile::TempDir;

use crate::child::CEILING;
use crate::slow_store::can_mount;
use crate::stage::{MEMORY, Stage};
use crate::tools::amount;
use crate::who::Who;

/// A file system in memory that says it has as much room as a test wants. What is written to it has to fit.
struct Room(TempDir);

impl Room {
    fn of(size: &str) -> Option<Self> {
        if !can_mount() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("oxcrypt-room-").tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={size},mode=755")).unwrap();
        rustix::mount::mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(&*options)).unwrap();
        Some(Self(folder))
    }

    fn stage(&self) -> Option<Stage> {
        Stage::below(self.0.path(), Who::Root, CipherCombo::SivGcm, &[])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// How much memory the mount's process ever had, in MiB.
fn peak_memory(stage: &mut Stage) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.process().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn a_folder_of_100000_files_is_filled_listed_and_removed() {
    let files = amount(3_000, 100_000).to_string();
    let Some(mut stage) = Stage::below(Path::new(MEMORY), Who::Root, CipherCombo::SivGcm, &[]) else {
        return;
    };
    stage.run(
        r#"
        mkdir folder
        cd folder
        seq -f 'file %.0f' "$1" | xargs -d '\n' touch -d 2001-02-03
        test "$(ls | wc -l)" = "$1"
        test "$(find . -type f -empty -name 'file *' | wc -l)" = "$1"
        echo text > "file $1"
        mv 'file 1' 'file 0'"#,
        &[&files],
    );
    stage.remount();
    stage.run(
        r#"
        cd folder
        cmp <(ls -U | sort) <(seq -f 'file %.0f' "$1" | sed 's/^file 1$/file 0/' | sort)
        test "$(find . -type f -mtime +1000 | wc -l)" = "$(($1 - 1))"
        test "$(cat "file $1")" = text
        cd ..
        rm -r folder
        test -z "$(ls)""#,
        &[&files],
    );
    assert!(peak_memory(&mut stage) < 700, "{} MiB", peak_memory(&mut stage));
}

#[test]
fn a_file_longer_than_four_gib_reads_as_it_was_written() {
    let len = (amount(96, 4_400) << 20).to_string();
    let Some(mut stage) = Stage::below(Path::new(MEMORY), Who::Root, CipherCombo::SivGcm, &[]) else {
        return;
    };
    let content = r#"content() { seq 1000000000 9999999999 2> /dev/null | head -c "$1" || true; };"#;
    stage.run(
        &format!(
            r#"{content} content "$1" > file
            test "$(stat -c %s file)" = "$1"
            printf 'at the very end' | dd of=file conv=notrunc bs=1M seek="$1" oflag=seek_bytes status=none"#
        ),
        &[&len],
    );
    let written = peak_memory(&mut stage);
    stage.remount();
    stage.run(
        &format!(
            r#"{content} cmp -n "$1" file <(content "$1")
            test "$(tail -c 15 file)" = 'at the very end'"#
        ),
        &[&len],
    );
    assert!(written < 400 && peak_memory(&mut stage) < 400, "{written} and {} MiB", peak_memory(&mut stage));
}

#[test]
fn a_file_is_made_100_gib_long_at_once_and_in_little_memory() {
    let Some(room) = Room::of("300g") else { return };
    let Some(mut stage) = room.stage() else { return };
    let started = Instant::now();
    stage.run(
        r#"
        echo text > file
        truncate -s 100G file
        test "$(stat -c %s file)" = 107374182400
        head -c 5 file
        tail -c 3000000 file | cmp - <(head -c 3000000 /dev/zero)
        printf end | dd of=file bs=1 seek=107374182397 conv=notrunc status=none
        test "$(tail -c 3 file)" = end
        truncate -s 100000 file
        test "$(stat -c %s file)" = 100000"#,
        &[],
    );
    assert!(started.elapsed() < CEILING, "{:?}", started.elapsed());
    stage.outlives_a_remount();
    assert!(peak_memory(&mut stage) < 400, "{} MiB", peak_memory(&mut stage));
}

#[test]
fn what_has_no_room_is_refused_at_once_and_harms_nothing() {
    let Some(room) = Room::of("64m") else { return };
    let Some(mut stage) = room.stage() else { return };
    let said = stage.run(
        r"
        seq 1 1000000 > sound
        exec 2>&1
        echo text > file
        truncate -s 100G file || true
        stat -c %s file
        head -c 200M /dev/zero > full || true
        rm -f full
        sync
        seq 1 1000000 | cmp - sound
        echo 'there is room again' > after
        head -c 100 file",
        &[],
    );
    let refused = said.matches("No space left on device").count();
    assert!(refused >= 2 && said.contains("\n5\n") && said.ends_with("text\n"), "{said}");
    stage.outlives_a_remount();
}
