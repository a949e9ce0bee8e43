//! What is left of the work of writers when the process behind their mount is killed, byte by byte.
//!
//! Each writer does one step after the other, and notes a step when it is done and synced. So when all is over, a file is
//! as its last noted step left it, but for what the next step changes in it: there each byte is the one or the other. A
//! chunk that the next step changes may be damaged, and then says so. Nothing else may.

use std::fs;
use std::path::{Path, PathBuf};

use oxcrypt_core::DirId;
use oxcrypt_core::testing::VaultBuilder;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{CEILING, Child, poll};
use crate::commands::oxcrypt;
use crate::mounted::Mounted;
use crate::scene::{Scene, Setting};
use crate::who::Who;

const SETTING: Setting = Setting { max_background: 4096, async_dio: false, cold: 1 };

/// The payload of a chunk.
const CHUNK: usize = 32 << 10;

/// What a chunk is longer by in storage.
const OVERHEAD: usize = 28;

/// What is before the first chunk there.
const HEADER: usize = 68;

/// How long the file is that is written over in place.
const PLACE_LEN: usize = 400_000;

/// What each script begins with. `bytes STEP LEN` prints what a step writes, `noted STEP` says that it is done.
const PRELUDE: &str = r#"
    bytes() { head -c "$2" /dev/zero | tr '\0' "$(printf '\\%03o' $((33 + $1 % 90)))"; }
    noted() { echo "$1" >> "$log"; }
    log=$2
    cd "$1"
    i=0
"#;

/// Makes a file longer, opened anew for each step.
const APPENDS: &str = r"
    while i=$((i + 1)); do
        bytes $i $((i * 977 % 20000 + 1)) >> appended
        sync appended
        noted $i
    done";

/// Writes over parts of chunks, and over several, in a file that stays as long as it is.
const IN_PLACE: &str = r"
    while i=$((i + 1)); do
        bytes $i $((i * 7919 % 70000 + 1)) |
            dd of=place bs=128K iflag=fullblock oflag=seek_bytes seek=$((i * 104729 % 330000)) \
                conv=notrunc,fsync status=none
        noted $i
    done";

/// Makes a file longer by one handle, while the file gets another name between any two steps.
const WANDERS: &str = r"
    exec 3> wandering0
    while i=$((i + 1)); do
        bytes $i $((i * 977 % 20000 + 1)) >&3
        mv wandering$(((i + 1) % 2)) wandering$((i % 2))
        sync wandering$((i % 2))
        noted $i
    done";

/// Puts a new file in the place of one of seven.
const REPLACES: &str = r"
    while i=$((i + 1)); do
        bytes $i $((i * 9973 % 100000)) > new
        sync new
        mv new replaced$((i % 7))
        noted $i
    done";

/// What a step writes.
fn written(step: usize, len: usize) -> Vec<u8> {
    vec![u8::try_from(33 + step % 90).unwrap(); len]
}

/// A file that was made longer by so many steps.
fn appended(steps: usize) -> Vec<u8> {
    (1..=steps).flat_map(|step| written(step, step * 977 % 20_000 + 1)).collect()
}

/// A file that was written over by so many steps.
fn in_place(steps: usize) -> Vec<u8> {
    let mut content = vec![b' '; PLACE_LEN];
    for step in 1..=steps {
        let (from, len) = (step * 104_729 % 330_000, step * 7919 % 70_000 + 1);
        content[from..from + len].copy_from_slice(&written(step, len));
    }
    content
}

/// A file that was put in another's place by a step.
fn replaced(step: usize) -> Vec<u8> {
    written(step, step * 9973 % 100_000)
}

/// A writer and its notes.
struct Writer {
    child: Child,
    log: PathBuf,
}

impl Writer {
    fn start(mounted: &Mounted, script: &str, log: PathBuf) -> Self {
        let mut command = mounted.command("bash");
        command.args(["-euo", "pipefail", "-c", &format!("{PRELUDE}{script}"), "bash"]);
        fs::write(&log, "").unwrap();
        Self { child: Child::start(command.arg(mounted.path("")).arg(&log)), log }
    }

    /// The last step that is noted.
    fn step(&self) -> usize {
        fs::read_to_string(&self.log).unwrap().lines().next_back().map_or(0, |line| line.parse().unwrap())
    }
}

/// A mount of a vault with a file to write over, and writers who have each done some steps when it is killed.
fn killed_after(scene: &Scene, logs: &Path, steps: usize) -> [usize; 4] {
    let mut mounted = scene.mount_to_work(Who::Root, &[]);
    let script = r#"cd "$1"; rm -f -- appended wandering* replaced* new; head -c "$2" /dev/zero | tr '\0' ' ' > place; sync place"#;
    let mut command = mounted.command("bash");
    command.args(["-euc", script, "bash"]).arg(mounted.path("")).arg(PLACE_LEN.to_string());
    Child::start(&mut command).succeed();
    let mut writers = [("a", APPENDS), ("i", IN_PLACE), ("w", WANDERS), ("r", REPLACES)]
        .map(|(log, script)| Writer::start(&mounted, script, logs.join(log)));
    let all = || writers.iter().all(|writer| writer.step() >= steps).then_some(());
    poll(CEILING, all).expect("writers that write");
    mounted.signal(Signal::KILL);
    for writer in &mut writers {
        let ended = writer.child.ended_within(CEILING).expect("an end without a mount");
        assert!(!ended.status.success());
    }
    mounted.process().ended_within(CEILING).expect("the end");
    writers.map(|writer| writer.step())
}

/// A file's chunks, read one by one; `None` for those that say `EIO`.
fn chunks(mounted: &Mounted, name: &str) -> Vec<Option<Vec<u8>>> {
    let mut chunks = Vec::new();
    loop {
        let mut command = mounted.command("dd");
        command.arg(format!("if={}", mounted.path(name).display()));
        command.args(["bs=32K", "count=1", "status=none", &format!("skip={}", chunks.len())]);
        let ended = Child::start(&mut command).ended_within(CEILING).expect("an answer");
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.output).into_owned();
            assert!(said.contains("Input/output error"), "{name}: {said}");
            chunks.push(None);
        } else if ended.output.is_empty() {
            return chunks;
        } else {
            chunks.push(Some(ended.output));
        }
    }
}

/// A file is what it was `before` a step or `after` it, byte by byte, and damaged only where the two differ.
#[track_caller]
fn is_between(mounted: &Mounted, name: &str, before: &[u8], after: &[u8]) {
    let (mut len, chunks) = (0, chunks(mounted, name));
    for (number, chunk) in chunks.iter().enumerate() {
        let range = number * CHUNK..(number + 1) * CHUNK;
        let of = |state: &[u8]| state[range.start.min(state.len())..range.end.min(state.len())].to_vec();
        let (before, after) = (of(before), of(after));
        let Some(found) = chunk else {
            assert_ne!(before, after, "{name}: chunk {number} is damaged, and nobody was writing to it");
            len = range.start + before.len();
            continue;
        };
        let may_be = |at: usize, byte: &u8| before.get(at) == Some(byte) || after.get(at) == Some(byte);
        let wrong = found.iter().enumerate().find(|(at, byte)| !may_be(*at, byte));
        assert_eq!(wrong, None, "{name}: chunk {number} has a byte that nobody wrote there");
        assert!(found.len() == CHUNK || number + 1 == chunks.len(), "{name}: chunk {number} is short");
        len = range.start + found.len();
    }
    assert!((before.len()..=after.len()).contains(&len), "{name}: {len} bytes, of {} synced", before.len());
}

/// Whether there is such an entry.
fn exists(mounted: &Mounted, name: &str) -> bool {
    let ended = mounted.look("stat", &[name]).ended_within(CEILING).expect("an answer");
    ended.status.success()
}

#[test]
fn what_was_synced_survives_the_death_of_the_process_behind_the_mount() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let logs = TempDir::new().unwrap();
    for round in 0..5 {
        let [appends, overwrites, moves, replacements] = killed_after(&scene, logs.path(), 8 + 3 * round);
        let mounted = scene.mount(Who::Root, &[]);
        is_between(&mounted, "appended", &appended(appends), &appended(appends + 1));
        is_between(&mounted, "place", &in_place(overwrites), &in_place(overwrites + 1));
        // It has one name, whether or not it was about to get the other.
        let name = ["wandering0", "wandering1"].into_iter().filter(|name| exists(&mounted, name));
        let [name] = name.collect::<Vec<_>>()[..] else {
            panic!("a file has not one name after step {moves}")
        };
        is_between(&mounted, name, &appended(moves), &appended(moves + 1));
        // The last seven, of which the oldest may be the one that is being replaced.
        for step in replacements.saturating_sub(6).max(1)..=replacements {
            let name = format!("replaced{}", step % 7);
            let found: Option<Vec<_>> = chunks(&mounted, &name).into_iter().collect();
            let found = found.unwrap_or_else(|| panic!("{name} is damaged")).concat();
            let is_new = step + 6 == replacements && found == replaced(step + 7);
            assert!(is_new || found == replaced(step), "{name}: neither old nor new");
        }
    }
}

#[test]
fn a_chunk_that_a_kill_tears_says_eio_and_is_named_and_its_neighbours_are_whole() {
    const CHUNKS: usize = 64;
    /// The first chunk of the second megabyte.
    const TORN: usize = 32;
    let old = |builder: &VaultBuilder<'_>| {
        let dir = builder.directory(&DirId::root(), "torn")?;
        builder.file(&dir, "file", &vec![b'o'; CHUNKS * CHUNK]).map(drop)
    };
    let Some(scene) = Scene::with(SETTING, old) else { return };
    let mut mounted = scene.mount_to_work(Who::Root, &[]);
    let write = |letter: &str, more: &[&str]| {
        let script =
            r#"head -c 1M /dev/zero | tr '\0' "$1" | dd of="$2" bs=1M iflag=fullblock status=none "${@:3}""#;
        let mut command = mounted.command("bash");
        command.args(["-euc", script, "bash", letter]).arg(mounted.path("torn/file"));
        Child::start(command.args(more).arg("conv=notrunc,fsync"))
    };
    write("s", &[]).succeed();
    // The kernel cuts what is stored where a page of the store's file ends, which is within a chunk.
    let page = (HEADER + TORN * (CHUNK + OVERHEAD)).next_multiple_of(4096);
    scene.store.command(&format!("freeze write ** offset={page}.. min-size=1M"));
    let _writer = write("n", &["seek=1"]);
    scene.store.command("await held 1 60s");
    mounted.signal(Signal::KILL);
    poll(CEILING, || (!mounted.is_mounted()).then_some(())).expect("a place that is free");
    // Now it is sure that the rest is never written.
    scene.store.command("answer EIO");
    scene.thaw();
    mounted.process().ended_within(CEILING).expect("the end");
    drop(mounted);

    let mounted = scene.mount(Who::Root, &[]);
    let found = chunks(&mounted, "torn/file");
    assert_eq!(found.len(), CHUNKS);
    for (number, chunk) in found.iter().enumerate() {
        let expected = if number < TORN { b's' } else { b'o' };
        let is_whole = chunk.as_ref().is_some_and(|chunk| *chunk == vec![expected; CHUNK]);
        assert!(if number == TORN { chunk.is_none() } else { is_whole }, "chunk {number} of {CHUNKS}");
    }
    let damaged = mounted.status()["damaged"].as_array().cloned().unwrap_or_default();
    assert!(damaged.len() == 1 && damaged[0].to_string().contains(".c9r"), "{damaged:?}");
    let folder = TempDir::new().unwrap();
    let mut command = oxcrypt(&scene, &["decrypt", "--keep-damaged"]);
    let ended = Child::start(command.arg(folder.path()).arg("torn")).ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output).into_owned();
    let bytes = format!("zeros for bytes {}-{}", TORN * CHUNK, (TORN + 1) * CHUNK - 1);
    assert!(ended.status.code() == Some(1) && said.contains(&bytes), "{said}");
}
