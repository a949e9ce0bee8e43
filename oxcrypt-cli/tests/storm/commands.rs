//! Commands that read a vault whose storage hangs.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oxcrypt_core::DirId;
use oxcrypt_core::testing::VaultBuilder;

use crate::child::{CEILING, Child, poll};
use crate::mounted::{OXCRYPT, PASSPHRASE};
use crate::scene::{HOT_FILES, Scene, Setting, hot_content};

const SETTING: Setting = Setting { max_background: 12, async_dio: false, cold: 3 };

/// Whether everything healthy has come to a folder, and is right.
fn has_hot_files(dest: &Path) -> bool {
    let read = |number: usize| std::fs::read(dest.join("hot").join(number.to_string()));
    (0..HOT_FILES).all(|number| read(number).is_ok_and(|content| content == hot_content(number)))
}

pub(crate) fn oxcrypt(scene: &Scene, words: &[&str]) -> Command {
    let mut command = Command::new(OXCRYPT);
    command.args(words).args(["--passphrase-env", "PASSPHRASE"]).env("PASSPHRASE", PASSPHRASE);
    command.arg(scene.vault());
    command
}

#[test]
fn decrypt_names_and_counts_what_gives_no_answer_and_goes_on() {
    let Some(scene) = Scene::new(SETTING) else { return };
    scene.freeze();
    let dest = tempfile::tempdir().unwrap();
    let mut command = oxcrypt(&scene, &["decrypt", "--give-up-after", "2"]);
    let mut decrypt = Child::start(command.arg(dest.path()));
    let ended = decrypt.ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    for number in 0..SETTING.cold {
        assert!(said.contains(&format!("/cold/{number}: ")), "{said}");
    }
    assert_eq!(said.matches("did not answer in time").count(), SETTING.cold, "{said}");
    assert!(has_hot_files(dest.path()));
    assert_eq!(std::fs::read_dir(dest.path().join("cold")).unwrap().count(), 0, "something is left behind");
    scene.thaw();
}

#[test]
fn a_large_file_that_does_not_answer_leaves_workers_to_the_others() {
    const LARGE: usize = 40 << 20;
    let more = |builder: &VaultBuilder<'_>| {
        let dir = builder.directory(&DirId::root(), "dead")?;
        builder.file(&dir, "large", &vec![9; LARGE]).map(drop)
    };
    let Some(scene) = Scene::with(SETTING, more) else { return };
    scene.freeze();
    let dest = tempfile::tempdir().unwrap();
    let mut command = oxcrypt(&scene, &["decrypt", "--jobs", "4", "--give-up-after", "600"]);
    let mut decrypt = Child::start(command.arg(dest.path()).args(["dead", "hot"]));
    poll(CEILING, || has_hot_files(dest.path()).then_some(())).expect("healthy files beside the dead one");
    scene.thaw();
    let ended = decrypt.ended_within(CEILING).expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.output));
    assert!(std::fs::read(dest.path().join("dead/large")).unwrap() == vec![9; LARGE]);
}

#[test]
fn files_that_do_not_answer_are_asked_again_when_the_others_are_done() {
    let Some(scene) = Scene::new(SETTING) else { return };
    scene.freeze();
    let dest = tempfile::tempdir().unwrap();
    let mut command = oxcrypt(&scene, &["decrypt", "--jobs", "2", "--give-up-after", "600"]);
    let mut decrypt = Child::start(command.arg(dest.path()).args(["cold", "hot"]));
    poll(CEILING, || has_hot_files(dest.path()).then_some(())).expect("healthy files after the dead ones");
    scene.thaw();
    let ended = decrypt.ended_within(CEILING).expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.output));
    let cold = std::fs::read_dir(dest.path().join("cold")).unwrap();
    assert_eq!(
        cold.filter(|file| file.as_ref().unwrap().metadata().unwrap().len() > 0).count(),
        SETTING.cold
    );
}

/// Puts directories in a directory of their own, each with a file; tells where the entries of each lie.
fn directories(builder: &VaultBuilder<'_>, name: &str, count: usize) -> io::Result<Vec<String>> {
    let dir = builder.directory(&DirId::root(), name)?;
    let inner = (0..count).map(|number| {
        let id = builder.directory(&dir, &number.to_string())?;
        builder.file(&id, "file", b"inside")?;
        Ok(builder.content_dir(&id)?.as_str().to_owned())
    });
    inner.collect()
}

#[test]
fn directories_that_do_not_answer_are_asked_again_when_the_others_are_done() {
    const DEAD: usize = 3;
    let mut places = Vec::new();
    let more = |builder: &VaultBuilder<'_>| directories(builder, "dead", DEAD).map(|told| places = told);
    let Some(scene) = Scene::with(SETTING, more) else { return };
    for place in &places {
        scene.store.command(&format!("freeze all {place}**"));
    }
    let dest = tempfile::tempdir().unwrap();
    let mut command = oxcrypt(&scene, &["decrypt", "--give-up-after", "600"]);
    let mut decrypt = Child::start(command.arg(dest.path()).args(["dead", "hot"]));
    poll(CEILING, || has_hot_files(dest.path()).then_some(()))
        .expect("healthy files beside dead directories");
    scene.thaw();
    let ended = decrypt.ended_within(CEILING).expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.output));
    for number in 0..DEAD {
        let file = dest.path().join(format!("dead/{number}/file"));
        assert_eq!(std::fs::read(file).unwrap(), b"inside");
    }
}

#[test]
fn entries_that_do_not_answer_are_all_waited_for_at_the_same_time() {
    const DEAD: usize = 20;
    let mut places = Vec::new();
    let more = |builder: &VaultBuilder<'_>| directories(builder, "dead", DEAD).map(|told| places = told);
    let Some(scene) = Scene::with(SETTING, more) else { return };
    for words in [&["ls", "-R"][..], &["tree"]] {
        for place in &places {
            // Names may be known to the kernel from the last time.
            scene.store.command(&format!("freeze opendir {place}"));
        }
        let mut child = Child::start(oxcrypt(&scene, words).arg("dead"));
        scene.store.command(&format!("await held {DEAD} 60s"));
        scene.thaw();
        let ended = child.ended_within(CEILING).expect("an end");
        let said = String::from_utf8_lossy(&ended.output);
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {said}");
        assert_eq!(said.matches("file\n").count(), DEAD, "{words:?}: {said}");
    }
}

#[test]
fn attributes_that_do_not_come_are_all_waited_for_at_the_same_time() {
    const DEAD: usize = 20;
    let mut places = Vec::new();
    let more = |builder: &VaultBuilder<'_>| {
        let dir = builder.directory(&DirId::root(), "dead")?;
        for number in 0..DEAD {
            places.push(builder.file(&dir, &number.to_string(), b"short")?.as_str().to_owned());
        }
        Ok(())
    };
    let Some(scene) = Scene::with(SETTING, more) else { return };
    for place in &places {
        scene.store.command(&format!("freeze lookup,getattr {place}"));
    }
    let mut child = Child::start(oxcrypt(&scene, &["ls", "-l"]).arg("dead"));
    scene.store.command(&format!("await held {DEAD} 60s"));
    scene.thaw();
    let ended = child.ended_within(CEILING).expect("an end");
    let said = String::from_utf8_lossy(&ended.output);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with('-')).count(), DEAD, "{said}");
}

#[test]
fn unlocking_is_given_up_where_storage_does_not_answer() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let place = tempfile::tempdir().unwrap();
    let at = place.path().to_str().unwrap();
    for (rule, words, more) in [
        ("read vault.cryptomator", &["ls"][..], &[][..]),
        ("read vault.cryptomator", &["mount"], &[at]),
        ("read vault.cryptomator", &["mount", "--foreground"], &[at]),
        ("all **", &["cat"], &["hot/1"]),
        ("all **", &["decrypt"], &[at]),
        ("all **", &["mount"], &[at]),
    ] {
        scene.store.command(&format!("freeze {rule}"));
        let mut command = oxcrypt(&scene, &[words, &["--give-up-after", "1"]].concat());
        let mut child = Child::start(command.args(more));
        let over = poll(CEILING, || is_over(&child).then_some(()));
        // A thread that the store does not let go of keeps what is left of the process.
        scene.thaw();
        let ended = child.ended_within(CEILING).expect("an end");
        let said = String::from_utf8_lossy(&ended.output);
        assert!(over.is_some(), "{words:?} waited for the store: {said}");
        assert_eq!(ended.status.code(), Some(5), "{words:?}: {said}");
        assert!(said.contains("its storage did not answer in time"), "{words:?}: {said}");
    }
}

#[test]
fn cat_says_that_there_is_no_answer_and_prints_the_rest() {
    let Some(scene) = Scene::new(SETTING) else { return };
    scene.freeze();
    let mut command = oxcrypt(&scene, &["cat", "--give-up-after", "2"]);
    let mut cat = Child::start(command.args(["cold/0", "hot/3"]));
    let ended = cat.ended_within(CEILING).expect("an end");
    assert_eq!(ended.status.code(), Some(1));
    let output = ended.output;
    assert!(String::from_utf8_lossy(&output).contains("/cold/0: the storage did not answer in time"));
    assert!(output.windows(1_000).any(|part| part == &hot_content(3)[..1_000]));
    scene.thaw();
}

#[test]
fn ctrl_c_ends_each_command_within_a_second_or_so_while_storage_hangs() {
    let Some(scene) = Scene::new(SETTING) else { return };
    let dest = tempfile::tempdir().unwrap();
    let dest = dest.path().to_str().unwrap();
    // What hangs is what comes after unlocking: the names of the root's entries.
    for (words, more) in [
        (&["ls", "-l", "-R"][..], &[][..]),
        (&["tree"], &[]),
        (&["cat"], &["cold/0"]),
        (&["decrypt"], &[dest]),
    ] {
        scene.store.command("reset");
        scene.store.command("freeze read ** min-size=128K");
        scene.store.command("freeze lookup,getattr,open,opendir d/**");
        let mut child = Child::start(oxcrypt(&scene, words).args(more));
        poll(CEILING, || (scene.store.command("status")["held"].as_u64() > Some(0)).then_some(()))
            .expect("a command that waits for storage");
        interrupt(&child);
        let ended = child.ended_within(Duration::from_secs(3));
        // A thread that the store does not let go of keeps what is left of the process.
        scene.thaw();
        let ended = ended.or_else(|| child.ended_within(CEILING)).expect("an end");
        assert!(matches!(ended.status.code(), Some(130)), "{words:?}: {:?}", ended.status);
        assert!(!Path::new(dest).join("cold").exists(), "{words:?}");
    }
}

/// Whether a process has ended, or waits for nothing but threads of it that hang in the kernel.
pub(crate) fn is_over(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

pub(crate) fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}
