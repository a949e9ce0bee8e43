//! Commands that change a vault whose storage hangs, or read files that do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use oxcrypt_core::DirId;
use oxcrypt_core::testing::VaultBuilder;

use crate::child::{CEILING, Child, poll};
use crate::commands::{interrupt, is_over, oxcrypt};
use crate::scene::{Scene, Setting};
use crate::slow_store::Store;

const SETTING: Setting = Setting { max_background: 12, async_dio: false, cold: 0 };

/// Files of each folder.
const FILES: usize = 3;

/// Longer than a block, so that it is read and written in pieces.
const LEN: usize = 600_000;

fn write_folder(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..FILES {
        fs::write(folder.join(number.to_string()), vec![7; LEN]).unwrap();
    }
}

/// A store with a vault that has two directories, and where the entries of one of them lie.
fn scene() -> Option<(Scene, String)> {
    let mut place = String::new();
    let more = |builder: &VaultBuilder<'_>| {
        builder.directory(&DirId::root(), "live")?;
        let dead = builder.directory(&DirId::root(), "dead")?;
        builder.content_dir(&dead)?.as_str().clone_into(&mut place);
        Ok(())
    };
    let scene = Scene::with(SETTING, more)?;
    Some((scene, place))
}

/// What is in a directory of the vault, when nothing hangs any more.
fn listed(scene: &Scene, dir: &str) -> Vec<String> {
    let mut child = Child::start(oxcrypt(scene, &["ls"]).arg(dir));
    let ended = child.ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    said.lines().filter(|line| !line.starts_with("warning")).map(str::to_owned).collect()
}

#[test]
fn put_names_and_counts_what_the_storage_does_not_take_and_goes_on() {
    let Some((scene, place)) = scene() else { return };
    let sources = tempfile::tempdir().unwrap();
    for folder in ["live", "dead"] {
        write_folder(&sources.path().join(folder));
    }
    scene.store.command(&format!("freeze create,write {place}/**"));
    let mut command = oxcrypt(&scene, &["put", "--give-up-after", "2"]);
    command.args([sources.path().join("dead"), sources.path().join("live")]).arg("/");
    let mut put = Child::start(&mut command);
    let over = poll(CEILING, || is_over(&put).then_some(()));
    // A thread that the store does not let go of keeps what is left of the process.
    scene.thaw();
    let ended = put.ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output);
    assert!(over.is_some(), "it waited for the store: {said}");
    assert_eq!(ended.status.code(), Some(1), "{said}");
    for number in 0..FILES {
        assert!(said.contains(&format!("dead/{number}: the storage did not answer in time")), "{said}");
    }
    assert_eq!(listed(&scene, "/live"), ["0", "1", "2"], "{said}");
    let mut command = oxcrypt(&scene, &["put", "--resume"]);
    command.args([sources.path().join("dead"), sources.path().join("live")]).arg("/");
    let ended = Child::start(&mut command).ended_within(CEILING).expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.output));
    assert_eq!(listed(&scene, "/dead"), ["0", "1", "2"]);
}

#[test]
fn put_names_and_counts_sources_that_give_no_answer_and_goes_on() {
    let Some((scene, _)) = scene() else { return };
    let Some(sources) = Store::start(&[], |folder| write_folder(&folder.join("tree"))) else { return };
    sources.command("freeze read tree/1");
    let mut command = oxcrypt(&scene, &["put", "--give-up-after", "2"]);
    let mut put = Child::start(command.arg(sources.mounted("tree")).arg("/"));
    let ended = put.ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("tree/1: cannot be read: it did not answer in time"), "{said}");
    assert_eq!(listed(&scene, "/tree"), ["0", "2"], "{said}");
    sources.command("thaw");
}

#[test]
fn ctrl_c_ends_what_changes_a_vault_within_a_second_or_so_while_storage_hangs() {
    let Some((scene, place)) = scene() else { return };
    let sources = tempfile::tempdir().unwrap();
    write_folder(&sources.path().join("dead"));
    let source = sources.path().join("dead");
    for (words, more) in [
        (&["put"][..], &[source.to_str().unwrap(), "/"][..]),
        (&["mkdir"], &["/dead/new"]),
        (&["rm", "-r", "--yes"], &["/dead"]),
    ] {
        scene.store.command("reset");
        scene.store.command(&format!("freeze create,mkdir,rmdir,opendir,lookup {place}**"));
        let mut child = Child::start(oxcrypt(&scene, words).args(more));
        poll(CEILING, || (scene.store.command("status")["held"].as_u64() > Some(0)).then_some(()))
            .expect("a command that waits for storage");
        interrupt(&child);
        let ended = child.ended_within(Duration::from_secs(3));
        // A thread that the store does not let go of keeps what is left of the process.
        scene.thaw();
        let ended = ended.or_else(|| child.ended_within(CEILING)).expect("an end");
        let said = String::from_utf8_lossy(&ended.output);
        assert_eq!(ended.status.code(), Some(130), "{words:?}: {:?} {said}", ended.status);
    }
}
