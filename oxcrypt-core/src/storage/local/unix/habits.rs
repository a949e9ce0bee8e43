//! What a folder lies on, and how that behaves.

#[cfg(target_os = "linux")]
use std::fs;
use std::os::fd::BorrowedFd;

use super::super::super::Habits;

/// Linux's numbers of file systems on devices of this machine, or in its memory: ext2 to ext4, XFS, Btrfs, tmpfs, ramfs,
/// overlayfs, ZFS, F2FS, bcachefs, JFS, FAT, exFAT, NTFS, HFS+, NILFS2.
#[cfg(target_os = "linux")]
const LOCAL: [u64; 15] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0x794c_7630,
    0x2fc1_2fc1,
    0xf2f5_2010,
    0xca45_1a4e,
    0x3153_464a,
    0x4d44,
    0x2011_bab0,
    0x7366_746e,
    0x482b,
    0x3434,
];

/// Those of tmpfs and ramfs.
#[cfg(target_os = "linux")]
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// That of FUSE.
#[cfg(target_os = "linux")]
const FUSE: u64 = 0x6573_5546;

/// How many background requests a FUSE mount queues that does not say.
#[cfg(target_os = "linux")]
const USUAL_QUEUE: usize = 12;

/// Mounts whose direct reads take no place in that queue, because their libraries (go-fuse, bazil) do not ask for
/// `FUSE_ASYNC_DIO`.
#[cfg(target_os = "linux")]
const UNQUEUED: [&str; 3] = ["fuse.rclone", "fuse.gocryptfs", "fuse.juicefs"];

/// What was found out of a folder when it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ground {
    pub(super) habits: Habits,
    /// All that is in it is in this machine's memory, and there is nowhere else that it could go.
    #[cfg(target_os = "linux")]
    pub(super) stays_in_memory: bool,
    /// Reads that bypass the page cache take no place in the queue of what serves it.
    #[cfg(target_os = "linux")]
    direct: Option<Direct>,
}

/// What changes with reads that bypass the page cache.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct Direct {
    queue: Option<usize>,
    is_wanted: bool,
}

impl Ground {
    /// Looks at a folder. Where nothing can be found out, it is taken for one that may block.
    #[cfg(target_os = "linux")]
    pub(super) fn of(folder: BorrowedFd<'_>) -> Self {
        let Ok(stat) = rustix::fs::fstatfs(folder) else { return Self::default() };
        #[expect(clippy::cast_sign_loss, reason = "a number that only has to be the same")]
        let kind = stat.f_type as u64 & 0xffff_ffff;
        if LOCAL.contains(&kind) {
            let stays_in_memory = IN_MEMORY.contains(&kind) && !swaps();
            return Self { habits: Habits { may_block: false, queue: None }, stays_in_memory, direct: None };
        }
        if kind != FUSE {
            return Self::default();
        }
        let device = rustix::fs::fstat(folder).map_or(0, |stat| stat.st_dev);
        let connection = rustix::fs::minor(device);
        let queue = Some(queue_of(connection));
        let direct = Direct { queue: queue.filter(|_| shares_queue(connection)), is_wanted: false };
        Self { habits: Habits { may_block: true, queue }, direct: Some(direct), ..Self::default() }
    }

    /// From now on reads bypass the page cache where that is of use.
    #[cfg(target_os = "linux")]
    pub(super) fn read_directly(&mut self) {
        if let Some(direct) = &mut self.direct {
            direct.is_wanted = true;
            self.habits.queue = direct.queue;
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn reads_directly(&self) -> bool {
        self.direct.is_some_and(|direct| direct.is_wanted)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: BorrowedFd<'_>) -> Self {
        Self::default()
    }
}

/// Whether memory may be swapped out, or nobody knows. The first line of the table is its heading.
#[cfg(target_os = "linux")]
fn swaps() -> bool {
    fs::read_to_string("/proc/swaps").map_or(true, |table| table.lines().count() > 1)
}

/// How many background requests a FUSE mount queues, by the number of its connection.
#[cfg(target_os = "linux")]
fn queue_of(connection: u32) -> usize {
    let limit = fs::read_to_string(format!("/sys/fs/fuse/connections/{connection}/max_background"));
    limit.ok().and_then(|limit| limit.trim().parse().ok()).unwrap_or(USUAL_QUEUE)
}

/// Whether direct reads of a FUSE mount take a place in that queue.
#[cfg(target_os = "linux")]
fn shares_queue(connection: u32) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let kind = table.lines().find_map(|line| kind_of(line, connection));
    kind.is_none_or(|kind| !UNQUEUED.contains(&kind))
}

/// The kind of file system that a line of the mount table is about, if it is about this device.
#[cfg(target_os = "linux")]
fn kind_of(line: &str, minor: u32) -> Option<&str> {
    let mut fields = line.split(' ');
    let device = fields.nth(2)?.strip_prefix("0:")?;
    if device.parse() != Ok(minor) {
        return None;
    }
    fields.skip_while(|field| *field != "-").nth(1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_folder_of_this_machine_does_not_block_and_one_that_nobody_knows_may() {
        let dir = tempfile::tempdir().unwrap();
        let folder = fs::File::open(dir.path()).unwrap();
        let ground = Ground::of(folder.as_fd());
        assert!(!ground.habits.may_block && ground.direct.is_none(), "{ground:?}");
        let nobody_knows = fs::File::open("/proc/self").unwrap();
        assert_eq!(Ground::of(nobody_knows.as_fd()).habits, Habits::default());
    }

    #[test]
    fn a_folder_in_memory_stays_there_where_nothing_is_swapped_out() {
        let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return eprintln!("SKIPPED: no /dev/shm") };
        let in_memory = Ground::of(fs::File::open(dir.path()).unwrap().as_fd());
        assert_eq!(in_memory.stays_in_memory, !swaps());
        let nobody_knows = Ground::of(fs::File::open("/proc/self").unwrap().as_fd());
        assert!(!nobody_knows.stays_in_memory);
    }

    #[test]
    fn the_kind_of_a_mount_is_read_from_the_table() {
        let line = "98 29 0:61 / /mnt/x rw,nosuid shared:5 - fuse.rclone remote: rw,user_id=0";
        assert_eq!((kind_of(line, 61), kind_of(line, 6)), (Some("fuse.rclone"), None));
        assert_eq!(kind_of("1 2 8:1 / / rw - ext4 /dev/sda1 rw", 1), None);
    }
}
