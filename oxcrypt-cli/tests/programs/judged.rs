//! What official code says of a vault that programs have worked in, and what programs see of one that it has.

use std::path::Path;

use oxcrypt_core::storage::Replace;

use crate::judge::{Access, Judge, Secret};
use crate::manifest::{Item, Manifest};
use crate::mounted::PASSPHRASE;
use crate::operation::{Content, Operation, Outcome};
use crate::stage::Stage;

/// A working day: files made, written over, made longer and shorter, moved between long names and short ones, links, deep
/// folders, names of other alphabets.
const SESSION: &str = r#"
    long=$(printf 'n%.0s' $(seq 200))
    seq 1 50000 > numbers
    head -c 100000 /dev/zero > zeros; printf over | dd of=zeros bs=1 seek=40000 conv=notrunc status=none
    printf more >> numbers; truncate -s 70000 numbers; truncate -s 250000 numbers
    : > empty
    mkdir -p deep/er/and/deeper folder/inside; cp numbers deep/er/and/deeper/
    seq 1 9 > "$long"; mv "$long" short; seq 1 99 > other; mv other "$long 2"
    mkdir "$long dir"; seq 3 > "$long dir/file"; mv "$long dir" moved; mkdir emptied; mv moved emptied/
    ln -s numbers link; ln -s "$long" "$long link"
    echo one > replaced; echo two > new; mv new replaced
    mv folder/inside deep/; rmdir folder; mkdir folder; rmdir folder
    printf 'text' > 'ünïcödé'; mkdir '日本語'; echo a > "日本語/file with 'quotes' and spaces"
    rm -r deep/er/and/deeper; mkdir deep/er/and/deeper"#;

/// Each entry of a tree with what it holds, in the order of their names.
const TELL: &str = r"
    export LC_ALL=C
    find . -mindepth 1 -type d -printf '%p folder\n' | sort
    find . -type l -printf '%p -> %l\n' | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum";

/// The same of what official code lists.
fn told(manifest: &Manifest) -> String {
    let (mut folders, mut links, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for (path, item) in manifest.iter().filter(|(path, _)| *path != "/") {
        match item {
            Item::Directory => folders.push(format!(".{path} folder\n")),
            Item::Symlink(target) => links.push(format!(".{path} -> {target}\n")),
            Item::File { sha256, .. } => files.push(format!("{sha256}  .{path}\n")),
            Item::Damaged(why) => panic!("{path} is damaged: {why}"),
        }
    }
    [folders, links, files].concat().concat()
}

fn access(vault: &Path) -> Access {
    Access { path: vault.to_owned(), secret: Secret::Passphrase(PASSPHRASE) }
}

#[test]
fn official_code_reads_what_programs_wrote_and_programs_read_what_official_code_did() {
    let Some(judge) = Judge::get() else { return };
    for mut stage in Stage::both() {
        // The vault was made in a hurry, without the copy of the root's id; nothing more is to be found later.
        let at_first = stage.apart(|vault| judge.health(&access(vault))).findings;
        assert!(at_first.len() <= 1, "{at_first:?}");
        stage.compare(SESSION, &[]);
        let mine = stage.run(TELL, &[]);
        let path = |name: &str| format!("/{name}");
        let content = |len| Content { seed: 7, len };
        let operations = [
            Operation::Write { path: path("theirs"), offset: 0, content: content(100_000) },
            Operation::Write { path: path("numbers"), offset: 33_000, content: content(10) },
            Operation::Truncate { path: path("zeros"), len: 32_769 },
            Operation::Rename { from: path("short"), to: path(&"m".repeat(210)), replace: Replace::Never },
            Operation::Remove { path: path("empty") },
            Operation::MakeDir { path: path("deep/theirs") },
            Operation::MakeSymlink { path: path("deep/their link"), target: "theirs".to_owned() },
            Operation::RemoveDir { path: path("deep/er/and/deeper") },
        ];
        let (before, health, outcomes, after) = stage.apart(|vault| {
            let access = access(vault);
            let (before, health) = (judge.list(&access), judge.health(&access));
            let outcomes = judge.apply(&access, &operations);
            (before, health, outcomes, judge.list(&access))
        });
        assert_eq!(told(&before), mine, "what official code sees of our work");
        assert_eq!(health.findings, at_first);
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done), "{outcomes:?}");
        assert_eq!(stage.run(TELL, &[]), told(&after), "what we see of theirs");
        // And on with it.
        stage.run("echo more >> theirs; mv theirs deep/theirs/; rm numbers; tac zeros > /dev/null", &[]);
        let mine = stage.run(TELL, &[]);
        let (last, health) = stage.apart(|vault| (judge.list(&access(vault)), judge.health(&access(vault))));
        assert_eq!(told(&last), mine, "what official code sees of the rest");
        assert_eq!(health.findings, at_first);
    }
}

/// Writers that go on until their mount is gone; each synced file is told with its sum, once it is whole.
const WRITERS: &str = r#"
    ulimit -c 0
    for writer in 1 2 3; do
        (
            i=0
            while i=$((i + 1)); do
                seq $i $((i + 20000)) > "part $writer" || exit
                echo $i >> "appended $writer" || exit
                dd if=/dev/zero of="inside $writer" bs=1000 seek=$((i % 300)) count=40 conv=notrunc status=none || exit
                mv "part $writer" "whole $writer $((i % 5))" || exit
            done
        ) > /dev/null 2>&1 &
    done
    disown -a
    seq 1 30000 > synced; sync synced; sync .
    sleep 1"#;

#[test]
fn official_code_finds_nothing_wrong_after_a_mount_was_killed_in_the_middle_of_writers() {
    let Some(judge) = Judge::get() else { return };
    let Some(mut stage) = Stage::of_root() else { return };
    let at_first = stage.apart(|vault| judge.health(&access(vault))).findings;
    for round in 0..3 {
        stage.run(WRITERS, &[]);
        let health = stage.killed(|vault| judge.health(&access(vault)));
        assert_eq!(health.findings, at_first, "round {round}");
        assert_eq!(stage.run("cmp synced <(seq 1 30000) && echo same", &[]), "same\n");
        // Whole files were moved there, stored before; only what was being written over may be damaged, and says so.
        stage.run(
            r#"for file in whole*; do seq "$(head -n1 "$file")" "$(tail -n1 "$file")" | cmp - "$file"; done"#,
            &[],
        );
        stage.run("rm -f -- *", &[]);
    }
}
