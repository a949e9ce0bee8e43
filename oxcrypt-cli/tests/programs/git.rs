//! A repository on the mount.

use crate::stage::Stage;
use crate::tools::lacks;

/// The same names and times for all commits, so that their ids are the same.
const GIT: &str = r#"
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    export GIT_AUTHOR_NAME=Somebody GIT_AUTHOR_EMAIL=somebody@example.org GIT_AUTHOR_DATE='2001-01-01T00:00:00Z'
    export GIT_COMMITTER_NAME=Somebody GIT_COMMITTER_EMAIL=somebody@example.org GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
    sound() { git -C "$1" fsck --full --strict; git -C "$1" status --porcelain; git -C "$1" log --format='%H %T %s' --all; }"#;

#[test]
fn a_repository_is_made_filled_cloned_packed_and_sound() {
    if lacks("git") {
        return;
    }
    for mut stage in Stage::both() {
        let work = format!(
            r#"{GIT}
            git init -q -b main repository
            cd repository
            mkdir -p src/deep
            for commit in $(seq 1 12); do
                for file in $(seq 1 8); do seq "$commit" "$((commit * file * 40))" > "src/file $file"; done
                printf '#!/bin/sh\necho %s\n' "$commit" > src/deep/script
                chmod +x src/deep/script
                ln -sf "file $commit" src/link
                git add -A
                git commit -q -m "commit $commit"
            done
            git branch side HEAD~5
            git checkout -q side
            echo side > src/side
            git add -A
            git commit -q -m side
            git checkout -q main
            git merge -q --no-edit side
            git mv src/deep moved
            git commit -q -m moved
            git stash list
            cd ..
            git clone -q repository clone
            git clone -q --bare "file://$PWD/repository" bare
            git -C clone remote set-url origin ../bare
            (cd clone; echo more >> 'src/file 1'; git commit -q -a -m more; git push -q origin main)
            git -C repository pull -q ../bare main
            git -C repository gc -q --aggressive
            git -C clone gc -q
            git -C clone repack -q -a -d
            for each in repository clone; do sound "$each"; done
            git -C bare fsck --full --strict
            git -C bare rev-parse main
            cd repository
            git reset -q --hard HEAD~3
            git clean -qfd
            cd ..
            diff -r --no-dereference --exclude .git repository clone | sort || true"#
        );
        let (plain, mounted) = (stage.run(&format!("cd ../plain; {work}"), &[]), stage.run(&work, &[]));
        assert_eq!(mounted, plain);
        stage.outlives_a_remount();
        stage.run(
            &format!(
                r#"{GIT}
                for each in repository clone; do
                    cmp <(sound "$each") <(sound "../plain/$each")
                    # What git has in its index of times and lengths is as it was.
                    git -C "$each" diff-files --quiet
                    git -C "$each" diff-index --quiet HEAD
                done"#
            ),
            &[],
        );
    }
}
